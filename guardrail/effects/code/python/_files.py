"""Opening files, the current directory, temporary files, and copies between what is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.effects.code.python._carried import carried
from guardrail.effects.code.python._core import remote, single
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._library import use
from guardrail.effects.code.python._path_methods import parent
from guardrail.effects.code.python._system import argument_of
from guardrail.effects.code.python._values import (
    CWD_MARK,
    NAME,
    NONE,
    Args,
    Const,
    Handle,
    Text,
    Thing,
    Unknown,
    Value,
    options,
    path_texts,
)
from guardrail.effects.domain._values import TOP
from guardrail.model import Op, Resource

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine

_WRITE_FLAGS = 1 | 2 | 512 | 1024 | 64


def open_places(machine: Machine, places: tuple[Resource, ...], mode: str, binary: bool = False) -> Handle:
    """Open files in a mode of `open`."""
    handle = Handle("file", places, mode, machine.branch)
    handle.binary = handle.binary or binary
    writes = any(c in mode for c in "wax+")
    if "r" in mode or "+" in mode:
        machine.read(places)
    if writes:
        op: Op = "append" if "a" in mode and "+" not in mode else "write"
        effects = machine.call.shell.emit.effects
        before = len(effects)
        machine.put(op, places, ())
        certain = len(places) == 1 and len(effects) == before + 1 and machine.branch == machine.attempts
        handle.effect = before if certain and "+" not in mode else None
        machine.handles.append(handle)
    return handle


@handles("codecs.open", "gzip.open", "bz2.open", "lzma.open", "wave.open", "gzip.GzipFile", "bz2.BZ2File")
def open_encoded(machine: Machine, args: Args) -> Value:
    """What is written is not what the file then holds, nor is what is read what it holds now."""
    handle = open_file(machine, args)
    if isinstance(handle, Handle):
        handle.text, handle.used = None, True
    return handle


@handles("builtins.open", "io.FileIO")
def open_file(machine: Machine, args: Args) -> Value:
    """`open(path, mode)`: also with a mode that is not known, with a descriptor, and with an opener."""
    path = argument_of(args, 0, "file")
    path = args.named.get("filename", path) if not args.pos else path
    mode_value = args.get(1, "mode")
    mode = "r" if mode_value is None else single(mode_value) or "r+"
    opener = args.named.get("opener") or args.get(7)
    if opener is not None:
        machine.escape(opener)
        machine.call_value(opener, Args([path, Unknown()]))
    machine.account(mode_value)
    for keyword in ("encoding", "newline", "errors"):
        machine.account(args.named.get(keyword))
    machine.account(args.get(2))
    given = [option for option in options(path) if isinstance(option, Handle)]
    if given:
        return given[0]
    if opener is not None:
        with machine.undecided():  # what is opened is what the opener opens
            handle = open_places(machine, machine.places(path), mode)
    else:
        handle = open_places(machine, machine.places(path), mode)
    handle.inside = path.sources
    handle.name = path
    if not _as_written(args):
        handle.text, handle.used = None, True
    if any(isinstance(option, Const | Unknown) and not _is_bytes(option) for option in options(path)):
        handle = _descriptor(path, handle)
    return handle


_TEXT_AS_IT_IS = frozenset(("utf-8", "utf8", "utf_8", "U8", "UTF-8", "UTF8", "ascii", "us-ascii"))


def _as_written(args: Args) -> bool:
    """The file then holds the text that is written into it, byte for byte."""
    encoding, newline = args.get(3, "encoding"), args.get(5, "newline")
    known = encoding is None or (isinstance(encoding, Const) and encoding.value is None)
    plain = known or single(encoding) in _TEXT_AS_IT_IS
    ends = newline is None or (isinstance(newline, Const) and newline.value is None) or single(newline) in ("", "\n")
    return plain and ends


def _is_bytes(value: Value) -> bool:
    return isinstance(value, Const) and isinstance(value.value, bytes)


def _descriptor(path: Value, handle: Handle) -> Handle:
    if not (isinstance(path, Const) and isinstance(path.value, int)):
        return handle
    if path.value == 0 or ("r" in handle.mode and "+" not in handle.mode):
        return Handle("stdin", mode="r")  # what the shell opened to be read comes in with the input
    # What is written to any other than standard output goes to wherever the shell opened it.
    return Handle("stdout" if path.value == 1 else "stderr", mode="w")


@handles("os.open")
def open_descriptor(machine: Machine, args: Args) -> Value:
    """`os.open(path, flags)`: flags that are not known may write."""
    flags = args.get(1, "flags")
    value = flags.value if isinstance(flags, Const) and isinstance(flags.value, int) else None
    mode = "r+b" if value is None else "rb"
    if value is not None and value & _WRITE_FLAGS:
        mode = "ab" if value & 1024 else "wb" if value & 1 and not value & 2 else "r+b"
    handle = open_places(machine, machine.places(argument_of(args, 0, "path")), mode, binary=True)
    handle.text = None  # the flags may leave what is there
    return handle


@handles("os.fdopen")
def open_number(_machine: Machine, args: Args) -> Value:
    """`os.fdopen(fd, mode)`: what was opened before, or what the shell opened."""
    path = args.get(0) or Unknown()
    if isinstance(path, Const):
        mode = args.get(1, "mode")
        return _descriptor(path, Handle("file", (), "r" if mode is None else single(mode) or "w"))
    return path


@handles(
    "io.open_code",
    "io.TextIOWrapper",
    "io.BufferedReader",
    "io.BufferedWriter",
    "os.dup",
    "io.BufferedRandom",
)
def wrap(machine: Machine, args: Args) -> Value:
    """Another object for the same descriptor."""
    found = args.get(0) or Unknown()
    others = [*args.pos[1:], *args.named.values()]
    for value in others:
        machine.account(value)
    for handle in options(found):
        if isinstance(handle, Handle) and others:
            handle.text, handle.used = None, True  # it may be in another encoding
    return found


@handles("os.write", "os.pwrite")
def write_descriptor(machine: Machine, args: Args) -> Value:
    """`os.write(fd, data)`."""
    target, data = argument_of(args, 0), argument_of(args, 1)
    if isinstance(target, Const) and isinstance(target.value, int):
        exact = data.value if isinstance(data, Const) and isinstance(data.value, bytes) else None
        shown = exact.decode("utf-8", "replace") if exact is not None else None
        machine.write_out(carried(data), shown, errors=target.value != 1)
    else:
        machine.sink(target, carried(data), None)
    machine.account(data)
    return Unknown(numeric=True)


@handles("os.read", "os.pread")
def read_descriptor(machine: Machine, args: Args) -> Value:
    """`os.read(fd, n)`."""
    source = argument_of(args, 0)
    if isinstance(source, Const) and isinstance(source.value, int):
        return Unknown(machine.call.stdin.sources)
    return Unknown(machine.contents_of(source))


@handles("shutil.copyfileobj", "os.copy_file_range", "os.splice")
def copy_open(machine: Machine, args: Args) -> Value:
    """Content goes from one open file to another."""
    return _copy_open(machine, argument_of(args, 0, "fsrc"), argument_of(args, 1, "fdst"))


@handles("os.sendfile")
def send_open(machine: Machine, args: Args) -> Value:
    """`os.sendfile(out, in, …)`."""
    return _copy_open(machine, argument_of(args, 1, "in_fd"), argument_of(args, 0, "out_fd"))


def _copy_open(machine: Machine, source: Value, target: Value) -> Value:
    use(source)
    if isinstance(target, Const) and target.value in (1, 2):
        machine.write_out(machine.contents_of(source), None, errors=target.value == 2)
    elif isinstance(target, Thing) and "to" not in target.facts:
        machine.put("write", (remote("net:*"),), machine.contents_of(source))  # a socket
    else:
        machine.sink(target, machine.contents_of(source), None)
    return NONE


@handles("io.BytesIO", "io.StringIO", "tempfile.SpooledTemporaryFile")
def memory(machine: Machine, args: Args) -> Value:
    """A file in memory."""
    first = args.get(0)
    handle = Handle("memory", mode="w+", born=machine.branch)
    handle.binary = not isinstance(first, Text | None)
    handle.inside = carried(first)
    exact = single(first)
    handle.text = "" if first is None else exact
    handle.mode = "r+" if first is not None else "w+"
    return handle


@handles("contextlib.chdir")
def within_directory(_machine: Machine, args: Args) -> Value:
    """As long as the block of `with` runs, relative paths are meant from somewhere else."""
    return Thing("<chdir>", {"to": argument_of(args, 0, "path")})


@handles("<chdir>.__enter__", "<chdir>.__exit__")
def enter_directory(machine: Machine, args: Args) -> Value:
    """From then on relative paths may be meant from either."""
    before = machine.globals.names[CWD_MARK]
    machine.enter(argument_of(args, 0))
    machine.set_name(machine.globals, CWD_MARK, join(before, machine.globals.names[CWD_MARK]))
    return NONE


@handles("os.chdir", "os.fchdir")
def change_directory(machine: Machine, args: Args) -> Value:
    """Relative paths are meant from somewhere else from now on."""
    places = machine.places(argument_of(args, 0, "path"), kind="dir")
    found = [place.path if place.path is not None else TOP for place in places]
    machine.set_name(machine.globals, CWD_MARK, Text(tuple(found) or (TOP,)))
    return NONE


MAX_ROOTS = 8
"""Most directories that `/` may be."""


@handles("os.chroot")
def change_root(machine: Machine, args: Args) -> Value:
    """Paths from the root are meant from somewhere else from now on."""
    places = machine.places(argument_of(args, 0, "path"), kind="dir")
    machine.each("list", places)
    found = tuple((place.path if place.path is not None else TOP).rstrip("/") for place in places) or (TOP,)
    roots = tuple(dict.fromkeys(found if machine.branch == 0 else (*machine.tops, *found)))
    machine.tops = roots if len(roots) <= MAX_ROOTS else (TOP,)
    return NONE


@handles("os.posix_fallocate", "os.writev", "os.pwritev")
def write_parts(machine: Machine, args: Args) -> Value:
    """A descriptor is written to in parts, or is given more room."""
    target = argument_of(args, 0)
    machine.account(args.get(1))
    if isinstance(target, Const):
        return write_descriptor(machine, Args([target, Unknown(carried(args.get(1)))]))
    machine.sink(target, carried(args.get(1)), None)
    machine.each("write", machine.places(target))
    return Unknown(numeric=True)


@handles("fcntl.ioctl")
def control(machine: Machine, args: Args) -> Value:
    """A request to what is open, such as to change the flags of a file."""
    for value in args.pos[1:]:
        machine.account(value)
    target = argument_of(args, 0)
    if isinstance(target, Handle):
        with machine.undecided():
            machine.each("set_security", target.places)
    return Unknown()


@handles("dbm.dumb.open")
def open_dumb(machine: Machine, args: Args) -> Value:
    """The same; the database is made if it is not there, unless something else is said."""
    flag = args.get(1, "flag") or Text(("c",))
    return open_database(machine, Args([argument_of(args, 0, "file"), flag, *args.pos[2:]]))


@handles("dbm.open", "dbm.gnu.open", "dbm.ndbm.open", "dbm.sqlite3.open")
def open_database(machine: Machine, args: Args) -> Value:
    """A file, or several whose names begin like it."""
    path = argument_of(args, 0, "file")
    flag = args.get(1, "flag")
    machine.account(flag)
    machine.account(args.get(2))
    files = Text([name for item in path_texts(path) for name in (item, f"{item}.{NAME}")])
    places = machine.places(files)
    if flag is None or single(flag) == "r":
        return Thing("<database>", sources=machine.read(places))
    machine.put("write", places, ())
    return Thing("<database>", {"to": files}, places)


@handles("compileall.compile_dir", "compileall.compile_file")
def compile_all(machine: Machine, args: Args) -> Value:
    """Sources are read, and what they are compiled to is written beside them."""
    path = argument_of(args, 0, "dir")
    machine.read(machine.places(path, recursive=True))
    for extra in (*args.pos[1:], *args.named.values()):
        machine.account(extra)
    for folder in path_texts(path):
        for start in (folder, parent(folder)):
            base = start.rstrip("/")
            found = [f"{base}/{f'{NAME}/' * level}__pycache__{end}" for level in range(4) for end in ("", f"/{NAME}")]
            with machine.undecided():
                machine.put("write", machine.places(Text(found)), ())
    return Unknown()


@handles("shutil.copystat")
def copy_state(machine: Machine, args: Args) -> Value:
    """Mode and times are taken over."""
    machine.each("list", machine.places(argument_of(args, 0, "src")))
    target = machine.places(argument_of(args, 1, "dst"))
    machine.each("set_security", target)
    machine.each("set_times", target)
    return NONE


@handles("xml.etree.ElementTree.parse")
def parse_tree(machine: Machine, args: Args) -> Value:
    """A document: what is taken out of it is the file's content, and so is what it writes."""
    source = argument_of(args, 0, "source")
    if any(isinstance(option, Handle | Thing) for option in options(source)):
        return Thing("xml.tree", sources=machine.contents_of(source))
    return Thing("xml.tree", sources=machine.read(machine.places(source)))
