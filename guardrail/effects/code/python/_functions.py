"""Built-in functions, and those of the standard library that call what they are given."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from guardrail.effects.code.python._concrete import Plain, concrete, printed
from guardrail.effects.code.python._core import single
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._system import argument_of
from guardrail.effects.code.python._texts import any_of, whole
from guardrail.effects.code.python._values import (
    ANY_NAME,
    MAX_ITEMS,
    NAME,
    NONE,
    Args,
    Bound,
    Const,
    Dict,
    Either,
    Function,
    Handle,
    Instance,
    Klass,
    Native,
    Partial,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    anything,
    can_act,
    carried,
    join,
    options,
    text,
)
from guardrail.effects.domain._values import NUM, TOP, merge
from guardrail.model import Resource

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine


MAX_SPLIT: Final = 8
"""Most iterators that one is split into."""

SLOW: Final = 32
"""How much longer than others the functions take that look at each character in Python."""


def content(args: Args) -> tuple[Resource, ...]:
    """Whose content is in any argument."""
    found: tuple[Resource, ...] = ()
    for value in args.all():
        found = merge(found, carried(value))
    return found


# -- output and input


@handles("pprint.pprint", "pprint.pp")
def print_pretty(machine: Machine, args: Args) -> Value:
    """`pprint(x, stream)`: the text is laid out in its own way."""
    machine.account(args.get(0))
    sources = carried(args.get(0, "object"))
    stream = args.get(1, "stream")
    if stream is None or (isinstance(stream, Const) and stream.value is None):
        machine.write_out(sources, None)
    else:
        machine.sink(stream, sources, None)
    return NONE


@handles("builtins.print")
def print_out(machine: Machine, args: Args) -> Value:
    """`print`: to standard output or to what is open."""
    file = args.named.get("file")
    end, between = args.named.get("end"), args.named.get("sep")
    sources: tuple[Resource, ...] = ()
    parts: list[str] = []
    exact = args.vague is None
    for given in args.pos:
        machine.account(given)
        value = machine.spoken(given, "__str__", "__repr__")
        sources = merge(sources, value.sources if isinstance(value, Thing) else carried(value))
        shown = printed(value) if not isinstance(value, Handle) else (TOP,)
        one = shown[0] if len(shown) == 1 else TOP
        exact = exact and not any(mark in one for mark in (TOP, NUM, NAME))
        parts.append(one)
    for extra in (end, between, args.vague):
        machine.account(extra)
        sources = merge(sources, carried(extra))
    separator = " " if between is None else single(between)
    last = "\n" if end is None else single(end)
    words = separator.join(parts) + last if exact and separator is not None and last is not None else None
    if file is None or (isinstance(file, Const) and file.value is None):
        machine.write_out(sources, words)
    else:
        machine.sink(file, sources, words)
    return NONE


@handles("rich.print", "rich.print_json", "rich.pretty.pprint", "dis.dis", "click.echo", "click.secho", "typer.echo",
         "typer.secho", "tqdm.tqdm.write", "tqdm.write", "tqdm.auto.tqdm.write", "termcolor.cprint",
         "IPython.display.display", "click.echo_via_pager")  # fmt: skip
def print_shown(machine: Machine, args: Args) -> Value:
    """As `print`, laid out in its own way."""
    for value in args.all():
        machine.account(value)
    files = [value for value in args.all() if isinstance(value, Handle)]
    sources = content(Args([value for value in args.all() if not isinstance(value, Handle | Thing)]))
    for file in files:
        machine.sink(file, sources, None)
    if not files:
        machine.write_out(sources, None, errors="err" in args.named)
    return NONE


@handles("traceback.format_exc", "traceback.format_exception", "traceback.format_exception_only", "sys.exc_info",
         "sys.exception", "sys.last_exc", "sys.last_value")  # fmt: skip
def tell_error(machine: Machine, args: Args) -> Value:
    """What an error says: any that the code raised."""
    sources = merge(carried(Seq(machine.thrown)), content(args))
    acting = [value for value in machine.thrown if can_act(value)]
    return Unknown(sources, hidden=bool(acting))


@handles("traceback.print_exc", "traceback.print_exception", "traceback.print_last", "traceback.print_stack",
         "traceback.print_tb", "traceback.print_list", "sys.excepthook", "sys.__excepthook__",
         "sys.unraisablehook")  # fmt: skip
def print_error(machine: Machine, args: Args) -> Value:
    """What an error says goes to standard error, or to what is open."""
    said = tell_error(machine, Args([value for value in args.all() if not isinstance(value, Handle)]))
    _to_errors(machine, said.sources, args)
    return NONE


@handles("warnings.warn", "warnings.warn_explicit", "warnings.showwarning")
def warn(machine: Machine, args: Args) -> Value:
    """A warning goes to standard error."""
    for value in args.all():
        machine.account(value)
        machine.escape(value)
    machine.complain(*(value for value in args.all() if not isinstance(value, Handle)))
    _to_errors(machine, content(Args([value for value in args.pos if not isinstance(value, Handle)])), args)
    return NONE


def _to_errors(machine: Machine, sources: tuple[Resource, ...], args: Args) -> None:
    """To whatever open file is given, else to standard error."""
    files = [value for value in args.all() if any(isinstance(option, Handle) for option in options(value))]
    for file in files:
        machine.sink(file, sources, None)
    if not files:
        machine.write_out(sources, None, errors=True)


@handles("builtins.input")
def read_line(machine: Machine, args: Args) -> Value:
    """A line of standard input."""
    for value in args.all():
        machine.account(value)
        machine.write_out(carried(value), None)
    return anything(machine.call.stdin.sources)


# -- values


_PURE: Final[dict[str, Callable[..., Any]]] = {
    "chr": chr, "ord": ord, "int": int, "float": float, "bool": bool, "hex": hex, "bin": bin, "oct": oct, "abs": abs,
    "round": round, "divmod": divmod, "len": len, "sum": sum, "min": min, "max": max, "any": any, "all": all,
    "bytes": bytes, "bytearray": bytearray, "complex": complex,
}  # fmt: skip


_NUMBERS: Final = frozenset(("int", "float", "complex"))
_SPOKEN: Final = {
    "int": ("__int__", "__index__", "__trunc__"), "hex": ("__index__",), "oct": ("__index__",), "bin": ("__index__",),
    "bool": ("__bool__", "__len__"), "bytes": ("__bytes__", "__iter__"), "float": ("__float__", "__index__"),
    "sum": ("__iter__",), "min": ("__iter__",), "max": ("__iter__",), "any": ("__iter__",), "all": ("__iter__",),
}  # fmt: skip


def _pure(name: str, work: Callable[..., Any]) -> Callable[[Machine, Args], Value]:
    def run(machine: Machine, args: Args) -> Value:
        sources = () if name in ("len", "bool", "any", "all") else content(args)
        for value in args.pos:
            machine.account(value)
            machine.escape(value)
        machine.charge(*args.pos)
        if "." in name:
            machine.charge(*(value for value in args.pos for _ in range(SLOW)))
        args = Args([machine.settled(value) for value in args.pos], args.named, args.vague)
        machine.doubt(*(args.pos[:1] if name in _NUMBERS else ()))  # what is no number is named
        if len(args.pos) == 1 and any(isinstance(option, Instance) for option in options(args.pos[0])):
            found = machine.spoken(args.pos[0], *_SPOKEN.get(name, (f"__{name}__",)))
            return Unknown(carried(found), numeric=name in ("int", "len", "ord"))
        plain = [concrete(value) for value in args.pos]
        given = [item.value for item in plain if item is not None]
        fits = args.vague is None and not args.named and len(given) == len(plain) and name != "bytearray"
        if fits and _fits(name, given):
            try:
                found = work(*given)
                if name not in ("min", "max", "sum") or not isinstance(found, list | dict | set | tuple):
                    return whole(found, sources, machine.branch)
            except Exception:  # noqa: BLE001 - whatever Python says to odd arguments, the snippet would hear it too
                return Unknown(sources)
        if name == "bytearray":
            return Unknown(sources)  # it may be changed
        if name in ("min", "max") and args.pos:
            items, rest = machine.items_of(args.pos[0]) if len(args.pos) == 1 else (args.pos, None)
            if "key" in args.named:
                with machine.undecided():
                    each = any_of([*items, *([rest] if rest is not None else [])])
                    machine.call_value(args.named["key"], Args([each]))
            named = [value for key, value in args.named.items() if key != "key"]
            return any_of([*items, *([rest] if rest is not None else []), *named])
        if name == "sum" and can_act(Seq(args.pos)):
            return Unknown(sources, hidden=True)
        numeric = name in ("int", "float", "len", "sum", "abs", "round", "ord")
        return Unknown(sources, numeric=numeric)

    return run


def _fits(name: str, given: list[Any]) -> bool:
    if name in ("bytes", "bytearray") and given and isinstance(given[0], int):
        return given[0] < MAX_ITEMS
    return not (name == "int" and given and isinstance(given[0], str) and len(given[0]) > 1000)


for _name, _work in _PURE.items():
    handles(f"builtins.{_name}")(_pure(_name, _work))
for _name, _work in (("quote", shlex.quote), ("split", shlex.split)):
    handles(f"shlex.{_name}")(_pure(f"shlex.{_name}", _work))
handles("textwrap.dedent")(_pure("textwrap.dedent", textwrap.dedent))


@handles("builtins.str", "builtins.format")
def as_text(machine: Machine, args: Args) -> Value:
    """`str(x)`."""
    if not args.pos and args.vague is None:
        return text("")
    value = argument_of(args, 0)
    value = machine.spoken(value, *(("__format__",) if len(args.pos) > 1 else ()), "__str__", "__format__", "__repr__")
    if isinstance(value, Const) and isinstance(value.value, bytes) and (len(args.pos) > 1 or args.named):
        return text(value.value.decode("utf-8", "replace"), value.sources)
    return Text(printed(value), value.sources if not isinstance(value, Seq | Dict) else carried(value))


@handles("builtins.repr", "builtins.ascii")
def as_repr(machine: Machine, args: Args) -> Value:
    """`repr(x)`."""
    value = machine.spoken(argument_of(args, 0), "__repr__")
    plain = concrete(value)
    machine.account(value)
    return text(repr(plain.value), carried(value)) if plain is not None else anything(carried(value))


@handles("itertools.tee")
def as_iterators(machine: Machine, args: Args) -> Value:
    """Several iterators over the same."""
    count = concrete(args.get(1, "n") or Const(2))
    known = count is not None and isinstance(count.value, int) and 0 <= count.value <= MAX_SPLIT
    one = machine.settled(argument_of(args, 0))
    made = [machine.lazily(lambda: as_list(machine, Args([one])), (), (one,)) for _ in range(MAX_SPLIT)]
    return Seq(made[: count.value] if known and count is not None else [], "tuple", None if known else any_of(made))


@handles("builtins.list", "builtins.aiter")
def as_list(machine: Machine, args: Args) -> Value:
    """A list of what iterating gives."""
    if not args.pos:
        return Seq([], "list", args.vague, machine.branch)
    value = args.pos[0]
    items, rest = machine.items_of(value)
    out = Seq(items, "list", rest, machine.branch)
    out.sources = value.sources
    return out


@handles("collections.deque")
def as_deque(machine: Machine, args: Args) -> Value:
    """A list that may have a longest length."""
    out = as_list(machine, args)
    if isinstance(out, Seq) and (len(args.pos) > 1 or "maxlen" in args.named):
        out.scrambled = True
    return out


@handles("builtins.set", "builtins.frozenset")
def as_set(machine: Machine, args: Args) -> Value:
    """Its items in any order."""
    out = as_list(machine, args)
    if isinstance(out, Seq):
        out.kind = "set"
        out.scrambled = False
    return out


@handles("builtins.iter")
def as_iterator(machine: Machine, args: Args) -> Value:
    """An iterator: it sees what becomes of what it goes through."""
    if len(args.pos) > 1:
        return Seq([], "list", machine.every_call(args.pos[0], Args()), machine.branch)
    value = argument_of(args, 0)
    if isinstance(value, Seq) and value.later is not None:
        return value
    if isinstance(value, Handle):
        return value
    return machine.lazily(lambda: as_list(machine, args), (), tuple(args.all()))


@handles("builtins.tuple")
def as_tuple(machine: Machine, args: Args) -> Value:
    """`tuple(x)`."""
    out = as_list(machine, args)
    if isinstance(out, Seq):
        out.kind = "tuple"
    return out


@handles("builtins.sorted")
def as_sorted(machine: Machine, args: Args) -> Value:
    """The same items in another order."""
    value = argument_of(args, 0)
    items, rest = machine.items_of(value)
    if isinstance(value, Seq) and value.kind == "set" and value.known:
        items, rest = value.items[:], None
    key = args.named.get("key")
    if key is not None and not (isinstance(key, Const) and key.value is None):
        with machine.undecided():
            machine.call_value(key, Args([any_of([*items, *([rest] if rest is not None else [])])]))
    plain = [concrete(item) for item in items]
    if rest is None and all(item is not None for item in plain) and not args.named:
        try:
            pairs = sorted(
                zip([item.value for item in plain if item is not None], items, strict=True), key=lambda p: p[0]
            )
            return Seq([item for _, item in pairs], "list", born=machine.branch)
        except TypeError:
            pass
    out = Seq(items, "list", rest, machine.branch)
    out.scrambled = len(items) > 1
    return out


@handles("builtins.reversed")
def as_reversed(machine: Machine, args: Args) -> Value:
    """`reversed(x)`."""
    return machine.lazily(lambda: _reversed(machine, args), (), tuple(args.all()))


def _reversed(machine: Machine, args: Args) -> Value:
    items, rest = machine.items_of(argument_of(args, 0))
    out = Seq(items[::-1], "list", rest, machine.branch)
    out.scrambled = rest is not None
    return out


@handles(
    "builtins.dict",
    "collections.OrderedDict",
)
def as_dict(machine: Machine, args: Args) -> Value:
    """A dictionary."""
    out = Dict({}, None, machine.branch)
    for value in args.pos:
        if isinstance(value, Dict):
            out.items.update(value.items)
            out.rest = value.rest
            continue
        machine.escape(value)
        items, rest = machine.items_of(value)
        for item in items:
            pair = machine.items_of(item)[0]
            if len(pair) == 2:
                machine.store_item(out, pair[0], pair[1])
            else:
                out.rest = Unknown(carried(value))
        if rest is not None:
            inner = machine.items_of(rest)[0]
            out.rest = any_of(inner) if inner else Unknown(carried(rest))
    out.items.update(args.named)
    if args.vague is not None:
        out.rest = args.vague
    return out


@handles("types.SimpleNamespace", "argparse.Namespace")
def as_namespace(machine: Machine, args: Args) -> Value:
    """An object with these attributes."""
    made = Instance(Klass("SimpleNamespace", {}, (), framed=False), machine.branch)
    for value in args.pos:
        if isinstance(value, Dict):
            made.names.update({str(key): item for key, item in value.items.items()})
        else:
            machine.escape(value)
    made.names.update(args.named)
    if args.vague is not None:
        made.names[ANY_NAME] = args.vague
    return made


@handles("collections.defaultdict", "collections.Counter")
def as_default_dict(machine: Machine, args: Args) -> Value:
    """A dictionary that has every key."""
    for value in args.pos[:1]:
        machine.escape(value)
    made = as_dict(machine, Args(args.pos[1:], args.named, args.vague))
    made.sources = content(args)
    if isinstance(made, Dict):
        kept = [value for value in args.pos[:1] if isinstance(value, Function)]
        given = [machine.call_value(value, Args()) for value in kept]
        made.rest = any_of([Unknown(), *given, *([made.rest] if made.rest is not None else [])])
    return made


@handles("builtins.range")
def as_range(machine: Machine, args: Args) -> Value:
    """Numbers."""
    plain = [concrete(value) for value in args.pos]
    given = [item.value for item in plain if item is not None]
    if len(given) == len(plain) and args.vague is None and all(isinstance(item, int) for item in given):
        try:
            numbers = range(*given)
        except (TypeError, ValueError):
            return Unknown()
        if len(numbers) <= 256:
            return Seq([Const(number) for number in numbers], "list", born=machine.branch)
    return Seq([], "list", Unknown(numeric=True), machine.branch)


@handles("builtins.enumerate")
def as_enumerated(machine: Machine, args: Args) -> Value:
    """Numbers and items."""
    return machine.lazily(lambda: _enumerated(machine, args), (), tuple(args.all()))


def _enumerated(machine: Machine, args: Args) -> Value:
    items, rest = machine.items_of(argument_of(args, 0))
    start = args.get(1, "start")
    first = concrete(start) if start is not None else Plain(0)
    known = first is not None and isinstance(first.value, int)
    pairs: list[Value] = [
        Seq([Const(index + first.value) if known and first is not None else Unknown(numeric=True), item], "tuple")
        for index, item in enumerate(items)
    ]
    more = Seq([Unknown(numeric=True), rest], "tuple") if rest is not None else None
    return Seq(pairs, "list", more, machine.branch)


@handles("builtins.zip", "itertools.zip_longest")
def as_zipped(machine: Machine, args: Args) -> Value:
    """Items side by side."""
    return machine.lazily(lambda: _zipped(machine, args), (), tuple(args.all()))


def _zipped(machine: Machine, args: Args) -> Value:
    columns = [machine.items_of(value) for value in args.pos]
    if not columns or args.vague is not None:
        return Seq([], "list", Unknown(content(args)), machine.branch)
    if all(rest is None for _, rest in columns) and len({len(items) for items, _ in columns}) == 1:
        rows: list[Value] = [Seq(list(row), "tuple") for row in zip(*(items for items, _ in columns), strict=True)]
        return Seq(rows, "list", born=machine.branch)
    each: list[Value] = [any_of([*items, *([rest] if rest is not None else [])]) for items, rest in columns]
    if "fillvalue" in args.named:
        each = [join(value, args.named["fillvalue"]) for value in each]
    return Seq([], "list", Seq(each, "tuple"), machine.branch)


@handles("itertools.product")
def as_product(machine: Machine, args: Args) -> Value:
    """Every combination."""
    columns = [machine.items_of(value) for value in args.pos]
    each: list[Value] = [any_of([*items, *([rest] if rest is not None else [])]) for items, rest in columns]
    return Seq([], "list", Seq(each, "tuple"), machine.branch)


@handles("itertools.chain.from_iterable")
def as_flat(machine: Machine, args: Args) -> Value:
    """Items of the items."""
    return machine.lazily(lambda: _flat(machine, args), (), tuple(args.all()))


def _flat(machine: Machine, args: Args) -> Value:
    items, rest = machine.items_of(argument_of(args, 0))
    return _chained(machine, Args(items, {}, rest if rest is None else any_of(_each(machine, rest))))


def _each(machine: Machine, value: Value) -> list[Value]:
    items, rest = machine.items_of(value)
    return [*items, *([rest] if rest is not None else [])]


@handles("itertools.chain", "heapq.merge")
def as_chain(machine: Machine, args: Args) -> Value:
    """Items of several."""
    return machine.lazily(lambda: _chained(machine, args), (), tuple(args.all()))


def _chained(machine: Machine, args: Args) -> Value:
    out = Seq([], "list", args.vague, machine.branch)
    for value in args.pos:
        items, rest = machine.items_of(value)
        out.items += items
        out.rest = join(out.rest, rest) if rest is not None else out.rest
    if "key" in args.named:
        machine.escape(args.named["key"])
    out.scrambled = out.rest is not None
    return out


@handles("builtins.next", "builtins.anext")
def one_item(machine: Machine, args: Args) -> Value:
    """The next of the items: the first is known, and after it any."""
    value = argument_of(args, 0)
    if isinstance(value, Instance):
        return machine.call_value(Bound(value, "__next__"), Args())
    items, rest = machine.items_of(value)
    if isinstance(value, Seq):
        value.scrambled = True
        value.rest = value.rest if value.rest is not None else any_of(items)
    return any_of([*(items[:1] if rest is None else items), *([rest] if rest is not None else []), *args.pos[1:]])


@handles("itertools.cycle", "itertools.repeat")
def again_and_again(machine: Machine, args: Args) -> Value:
    """The same items without end; `repeat` has one."""
    value = argument_of(args, 0)
    return Seq([], "list", any_of([value, *_each(machine, value)]), machine.branch)


@handles("heapq.heappush", "bisect.insort", "bisect.insort_left", "bisect.insort_right", "operator.setitem",
         "operator.delitem", "operator.iadd", "operator.iconcat", "operator.ior", "operator.iand", "operator.isub",
         "operator.ixor", "operator.imul", "random.shuffle", "heapq.heapify")  # fmt: skip
def change_first(machine: Machine, args: Args) -> Value:
    """The first argument is changed, and may hold the others."""
    first = argument_of(args, 0)
    for value in args.all():
        machine.account(value)
        if value is not first:
            machine.escape(value)
    if isinstance(first, Instance):
        machine.escape(first)
    machine.disturb(first, tuple(args.after(1).all()))
    return first if isinstance(first, Seq | Dict | Either) else Unknown(carried(first), hidden=can_act(first))


@handles("heapq.heappop", "heapq.heappushpop", "heapq.heapreplace")
def pop_first(machine: Machine, args: Args) -> Value:
    """One of the items, or what is put in."""
    first = argument_of(args, 0)
    machine.disturb(first, tuple(args.after(1).all()))
    return any_of([*_each(machine, first), *args.pos[1:]])


@handles("operator.itemgetter")
def item_getter(machine: Machine, args: Args) -> Value:
    """A function that takes items out of what it is given."""

    def get(given: Args) -> Value:
        found = [machine.item(argument_of(given, 0), key) for key in args.pos]
        return found[0] if len(found) == 1 else Seq(found, "tuple", None, machine.branch)

    return Native(get)


@handles("operator.attrgetter")
def attribute_getter(machine: Machine, args: Args) -> Value:
    """A function that takes attributes of what it is given."""

    def get(given: Args) -> Value:
        found = [_attribute(machine, argument_of(given, 0), name) for name in args.pos]
        return found[0] if len(found) == 1 else Seq(found, "tuple", None, machine.branch)

    return Native(get)


def _attribute(machine: Machine, owner: Value, name: Value) -> Value:
    machine.account(name)
    exact = single(name)
    if exact is None:
        return machine.opaque("an attribute whose name is not known", "dynamic", owner)
    for part in exact.split("."):
        owner = machine.attribute(owner, part)
    return owner


@handles("operator.methodcaller")
def method_caller(machine: Machine, args: Args) -> Value:
    """A function that calls a method of what it is given."""

    def call(given: Args) -> Value:
        method = _attribute(machine, argument_of(given, 0), argument_of(args, 0))
        return machine.call_value(method, args.after(1))

    return Native(call)


@handles("operator.call")
def call_first(machine: Machine, args: Args) -> Value:
    """`operator.call(f, ...)`."""
    return machine.call_value(argument_of(args, 0), args.after(1))


@handles("operator.getitem")
def get_item(machine: Machine, args: Args) -> Value:
    """`operator.getitem(x, key)`."""
    return machine.item(argument_of(args, 0), argument_of(args, 1))


@handles("dataclasses.field")
def field_of(machine: Machine, args: Args) -> Value:
    """A field of a dataclass: a value, or a function that makes one for each object."""
    factory = args.named.get("default_factory")
    if factory is not None:
        return Thing("<field>", {"factory": factory})
    for value in args.all():
        machine.account(value)
    return args.named.get("default") or Unknown()


@handles("random.choice", "random.sample", "random.choices")
def any_item(machine: Machine, args: Args) -> Value:
    """Any of the items."""
    items, rest = machine.items_of(argument_of(args, 0))
    return any_of([*items, *([rest] if rest is not None else [])])


@handles("copy.copy")
def as_copy(machine: Machine, args: Args) -> Value:
    """Another container of the same items."""
    value = argument_of(args, 0)
    if isinstance(value, Dict):
        return Dict(dict(value.items), value.rest, machine.branch)
    if isinstance(value, Seq):
        made = Seq(value.items[:], value.kind, value.rest, machine.branch)
        made.scrambled = value.scrambled
        return made
    return copied(machine, value)


@handles("copy.deepcopy")
def as_deep_copy(machine: Machine, args: Args) -> Value:
    """The same, and no longer shared."""
    return copied(machine, argument_of(args, 0))


def copied(machine: Machine, value: Value, depth: int = 0) -> Value:
    if depth > 8:
        return value
    machine.step()
    if isinstance(value, Dict):
        items = {key: copied(machine, item, depth + 1) for key, item in value.items.items()}
        return Dict(items, value.rest, machine.branch)
    if isinstance(value, Seq):
        made = Seq([copied(machine, item, depth + 1) for item in value.items], value.kind, value.rest, machine.branch)
        made.scrambled = value.scrambled
        return made
    if isinstance(value, Instance):
        for name in ("__copy__", "__deepcopy__"):
            if value.klass.find(name) is not None:
                return machine.call_value(Bound(value, name), Args([Unknown()] if name == "__deepcopy__" else []))
        twin = Instance(value.klass, machine.branch)
        twin.names = dict(value.names)
        return twin
    return value


@handles("builtins.isinstance", "builtins.issubclass", "builtins.callable", "builtins.hasattr", "builtins.id",
         "builtins.hash", "builtins.dir", "builtins.help")  # fmt: skip
def look(machine: Machine, args: Args) -> Value:
    """Looks at a value."""
    for value in args.all():
        machine.account(value)
    return Unknown()


@handles("builtins.property")
def as_property(machine: Machine, args: Args) -> Value:
    """`property(get, set, delete)`."""
    return machine.property_of(args)


@handles("builtins.classmethod")
def as_class_method(machine: Machine, args: Args) -> Value:
    """`classmethod(f)`."""
    return machine.class_method(argument_of(args, 0))


@handles("builtins.staticmethod")
def as_static_method(_machine: Machine, args: Args) -> Value:
    """`staticmethod(f)`."""
    return Partial(argument_of(args, 0), Args())


@handles("builtins.super")
def parent_of(machine: Machine, args: Args) -> Value:
    """`super(Class, self)`."""
    if not args.pos:
        return machine.lookup("<super>")
    this = args.get(1) or Unknown()
    return Thing("<super>", {"self": this, "home": args.pos[0]})


@handles("typing.cast")
def cast_to(_machine: Machine, args: Args) -> Value:
    """The value as it is."""
    return args.get(1, "val") or Unknown(hidden=True)


@handles("builtins.slice")
def as_slice(_machine: Machine, args: Args) -> Value:
    """A slice, if its ends are known."""
    plain = [concrete(value) for value in args.pos]
    if args.vague is None and plain and all(part is not None for part in plain):
        return Const(slice(*(part.value for part in plain if part is not None)))
    return Unknown()


@handles("builtins.object", "builtins.memoryview")
def passed(_machine: Machine, args: Args) -> Value:
    """What it is given."""
    return args.pos[0] if args.pos else Unknown()


@handles("builtins.exit", "builtins.quit", "sys.exit", "os._exit", "os.abort")
def leave(machine: Machine, args: Args) -> Value:
    """The process ends; a text goes to standard error."""
    for value in args.all():
        machine.account(value)
        machine.write_out(carried(value), None, errors=True)
    return Thing("<exit>")
