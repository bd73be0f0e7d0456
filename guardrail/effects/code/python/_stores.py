"""Files that libraries hold open as arrays, groups or fields: whatever is put into them is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardrail.effects.code.python._carried import carried, content, hold, store_of
from guardrail.effects.code.python._core import single
from guardrail.effects.code.python._handlers import Handler, handles
from guardrail.effects.code.python._system import argument_of
from guardrail.effects.code.python._values import NONE, Args, Const, Handle, Seq, Text, Thing, Unknown, Value, options
from guardrail.effects.domain._values import merge
from guardrail.model import Resource
from guardrail.patterns import lazy

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine

_SAME: Final = frozenset(
    "reshape view ravel transpose squeeze swapaxes diagonal get require_group create_group __enter__ get_field "
    "get_tensor set_default detach view_as numpy flatten unflatten narrow select unsqueeze expand".split()
)
"""Methods that give another view of the same file."""

_LOOKING: Final = frozenset(
    "keys values items visit visititems flush close __exit__ __len__ __iter__ __contains__ mean sum min max std var "
    "argmin argmax argsort nonzero astype tolist copy tobytes item all any dot round clip cumsum cumprod prod ptp "
    "searchsorted trace conj choose compress repeat take dump dumps tofile read_direct iter_chunks len is_virtual "
    "size dim float half long int double bool clone cpu cuda to abs mean median norm numel tostring index_select "
    "gather info tree element_size data_ptr is_contiguous contiguous stride storage byteswapped isnan unique".split()
)
"""Methods that change nothing of it."""


def open_store(machine: Machine, path: Value, mode: str | None, held: tuple[Resource, ...] | None = None) -> Value:
    """A file in a mode: what is read of it, and a way to write it unless the mode says that there is none.

    Args:
        machine: the process.
        path: the file.
        mode: as libraries name it; None if it is not known.
        held: what was read of it, if that was told already.
    """
    fresh = mode is not None and mode[:1] in ("w", "x")
    if held is None:
        held = () if fresh else _held(machine, path)
    if mode in ("r", "rb", "c"):
        return Unknown(held)
    if fresh:
        _write(machine, path, ())
    return Thing("<map>", {"to": path}, held)


def _held(machine: Machine, path: Value) -> tuple[Resource, ...]:
    if any(not isinstance(option, Unknown) and carried(option) for option in options(path)):
        return machine.contents_of(path)
    return machine.read(machine.places(path))


def _write(machine: Machine, path: Value, sources: tuple[Resource, ...]) -> None:
    machine.sink(Thing("<store>", {"to": path}), sources, None)


def _mode(args: Args, index: int, default: str, name: str = "mode") -> str | None:
    given = args.get(index, name)
    if given is None or (isinstance(given, Const) and given.value is None):
        return default
    found = single(given)
    return {"readonly": "r", "copyonwrite": "c", "readwrite": "r+", "write": "w+"}.get(found or "", found)


def _account(machine: Machine, args: Args) -> None:
    for value in args.all():
        machine.account(value)


@handles("numpy.memmap", "numpy.core.memmap", "numpy.lib.format.open_memmap")
def array_of_file(machine: Machine, args: Args) -> Value:
    """A file as an array, which may be written to unless the mode says otherwise."""
    _account(machine, Args(args.pos[1:], {k: v for k, v in args.named.items() if k != "filename"}))
    return open_store(machine, argument_of(args, 0, "filename"), _mode(args, 2, "r+"))


@handles("gguf.GGUFReader", "gguf.gguf_reader.GGUFReader")
def fields_of_file(machine: Machine, args: Args) -> Value:
    """A model file as its fields and tensors."""
    return open_store(machine, argument_of(args, 0, "path"), _mode(args, 1, "r"))


@handles("h5py.File", "netCDF4.Dataset", "tables.open_file")
def groups_of_file(machine: Machine, args: Args) -> Value:
    """A file of named arrays."""
    _account(machine, Args(args.pos[1:], {k: v for k, v in args.named.items() if k not in ("name", "path")}))
    path = args.get(0, "name") or argument_of(args, -1, "path")
    return open_store(machine, path, _mode(args, 1, "r"))


@handles("torch.from_file", "torch.UntypedStorage.from_file", "torch.FloatStorage.from_file",
         "torch.ByteStorage.from_file", "torch.Storage.from_file")  # fmt: skip
def tensor_of_file(machine: Machine, args: Args) -> Value:
    """A file as a tensor; what is shared is written back."""
    shared = args.get(1, "shared")
    private = shared is None or (isinstance(shared, Const) and not shared.value)
    return open_store(machine, argument_of(args, 0, "filename"), "r" if private else "r+")


def store_method(machine: Machine, owner: Thing, name: str, args: Args) -> Value:
    """A method of such a file: unless it is known to change nothing, it writes."""
    for value in args.all():
        machine.account(value)
        machine.escape(value)
    if "external" in args.named:
        machine.mention(args.named["external"])  # the numbers stay in other files, and are written there
    if name == "dump" or (name == "tofile" and args.pos):
        _write(machine, argument_of(args, 0), owner.sources)
        return NONE
    if name in _SAME:
        return owner
    if name not in _LOOKING or name.endswith("_"):
        _write(machine, owner.facts["to"], content(args))
        return owner
    return Unknown(merge(owner.sources, content(args)))


_INTO_FIRST = "copyto put place putmask fill_diagonal put_along_axis"


@handles(*(f"numpy.{name}" for name in _INTO_FIRST.split()), "numpy.random.shuffle")
def put_into(machine: Machine, args: Args) -> Value:
    """Values are put into an array."""
    _account(machine, args)
    machine.store(argument_of(args, 0), Unknown(), Unknown(content(args.after(1))))
    return NONE


_UNARY = "negative positive absolute abs fabs exp exp2 log log2 log10 sqrt square sign rint floor ceil trunc invert"
_BINARY = (
    "add subtract multiply divide true_divide floor_divide power remainder mod fmod maximum minimum bitwise_and "
    "bitwise_or bitwise_xor left_shift right_shift logical_and logical_or logical_xor copysign dot matmul clip"
)


def _worked_out(count: int) -> Handler:
    """A function of arrays that puts what it works out into the argument after the first ones, or into `out`."""

    def run(machine: Machine, args: Args) -> Value:
        for value in args.all():
            machine.account(value)
            machine.escape(value)
        found = Unknown(content(args))
        for out in (*args.pos[count:], args.named.get("out")):
            if out is not None and store_of(out) is not None:
                machine.store(out, NONE, found)
        return found

    return run


handles(*(f"numpy.{name}" for name in _UNARY.split()))(_worked_out(1))
handles(*(f"numpy.{name}" for name in _BINARY.split()))(_worked_out(2))


@handles("numpy.asarray", "numpy.asanyarray", "numpy.frombuffer", "numpy.ascontiguousarray", "numpy.ndarray",
         "torch.from_numpy", "torch.as_tensor", "torch.frombuffer", "jax.numpy.asarray", "numpy.atleast_1d",
         "numpy.reshape", "numpy.ravel", "numpy.squeeze", "numpy.transpose", "numpy.nditer")  # fmt: skip
def same_memory(machine: Machine, args: Args) -> Value:
    """Another array over the same memory: of a file that is open, it is that file."""
    for value in args.all():
        machine.account(value)
        machine.escape(value)
    for value in args.all():
        store = store_of(value)
        if store is not None:
            return store
        if isinstance(value, Thing) and value.kind == "mmap.mmap":
            return Thing("<map>", dict(value.facts), value.sources)
    return Unknown(content(args))


@handles("accelerator.prepare", "accelerator.prepare_model", "accelerator.unwrap_model", "accelerator.gather",
         "accelerator.register_for_checkpointing", "accelerator.get_state_dict")  # fmt: skip
def prepare(machine: Machine, args: Args) -> Value:
    """What is given comes back, and is saved with the state."""
    given = args.after(1)
    for value in given.all():
        machine.account(value)
    if isinstance(args.pos[0], Thing):
        hold(args.pos[0], content(given))
    if len(given.pos) == 1:
        return given.pos[0]
    return Seq(given.pos, "tuple", args.vague)


@handles("model.load_adapter", "model.load_lora_weights", "model.load_weights", "model.load_ip_adapter",
         "model.load_textual_inversion")  # fmt: skip
def load_more(machine: Machine, args: Args) -> Value:
    """A model takes in what a file holds."""
    owner = args.pos[0]
    for value in (*args.pos[2:], *args.named.values()):
        machine.account(value)
    path = args.get(1, "peft_model_id") or args.named.get("model_id") or Unknown()
    found = machine.read(machine.places(path, recursive=True)) if isinstance(path, Text) else carried(path)
    if isinstance(owner, Thing):
        owner.held = merge(owner.held, found)
    return Unknown()


# -- methods by which objects that are not known write themselves


@handles("any.dump")
def dump_any(machine: Machine, args: Args) -> Value:
    """`array.dump(file)` has the object itself, `module.dump(value, file)` what it is given."""
    owner, rest = argument_of(args, 0), args.after(1)
    target = rest.get(1, "stream") or rest.named.get("fp") or rest.named.get("file")
    held = carried(owner)
    if target is None:
        target = rest.get(0) or Unknown()
    else:
        held = merge(held, carried(rest.get(0)))
    _account(machine, rest)
    if not (isinstance(target, Seq | Const) or (isinstance(target, Unknown) and not held)):
        _write(machine, target, held)
    elif held:
        machine.mention(Unknown(held))
    return NONE


_WRITER: Final = lazy(
    r"(?:^|_)(?:imsave|imwrite|savez?\w{0,12}|save|write|writes|dump|export|sink|store|unload|serialize)(?:_|$)|^to_"
)
_PATHS: Final = lazy(r"file|path|dir|name|dest|dst|out|fp|where|sink|buf|checkpoint|store|root|location|^f$")
_FILE: Final = lazy(r"/|\.[A-Za-z]\w{0,9}$")
_SPACE: Final = lazy(r"\s")
_NO_FILE: Final = frozenset(
    "to_datetime to_timedelta to_period to_timestamp to_numeric to_device to_dict to_dtype".split()
)


def write_by_name(machine: Machine, name: str, owner: Value | None, args: Args, *, only: bool = False) -> bool:
    """A function of which only the name is known, and says that it writes: into what looks like a file.

    Args:
        machine: the process.
        name: the function's.
        owner: the object, for a method.
        args: what it is given.
        only: nothing is done unless there is such a file.

    Returns:
        Whether the name says so.
    """
    if _WRITER.search(name) is None or name in _NO_FILE:
        return False
    held = carried(owner)
    targets: list[Value] = []
    named = [(value, _PATHS.search(key) is not None) for key, value in args.named.items()]
    for value, may in (*((value, True) for value in args.pos), *named):
        if may and _is_target(value):
            targets.append(value)
        else:
            held = merge(held, carried(value))
    if only and not targets:
        return False
    for target in targets:
        _write(machine, target, held)
    if not targets and held:
        machine.mention(Unknown(held))
    return True


def _is_target(value: Value) -> bool:
    if isinstance(value, Handle):
        return "r" not in value.mode or "+" in value.mode
    if not isinstance(value, Text) or value.sources:
        return False
    return value.path or any(
        len(text) < 1024 and _FILE.search(text) is not None and _SPACE.search(text) is None
        for text in value.alternatives
    )
