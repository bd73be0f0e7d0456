"""Built-in functions, and those of the standard library that call what they are given."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from guardrail.effects.code.python._concrete import concrete, printed
from guardrail.effects.code.python._core import single
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._system import argument_of
from guardrail.effects.code.python._texts import any_of, whole
from guardrail.effects.code.python._values import (
    MAX_ITEMS,
    NAME,
    NONE,
    Args,
    Const,
    Dict,
    Handle,
    Instance,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    anything,
    carried,
    join,
    text,
)
from guardrail.effects.domain._values import NUM, TOP, merge
from guardrail.model import Resource

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine


def content(args: Args) -> tuple[Resource, ...]:
    """Whose content is in any argument."""
    found: tuple[Resource, ...] = ()
    for value in args.all():
        found = merge(found, carried(value))
    return found


# -- output and input


@handles("builtins.print", "pprint.pprint", "pprint.pp")
def print_out(machine: Machine, args: Args) -> Value:
    """`print`: to standard output or to what is open."""
    file = args.named.get("file")
    end, between = args.named.get("end"), args.named.get("sep")
    sources: tuple[Resource, ...] = ()
    parts: list[str] = []
    exact = args.vague is None
    for value in args.pos:
        machine.account(value)
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
    "ascii": ascii, "bytes": bytes, "bytearray": bytearray, "complex": complex,
}  # fmt: skip


def _pure(name: str, work: Callable[..., Any]) -> Callable[[Machine, Args], Value]:
    def run(machine: Machine, args: Args) -> Value:
        sources = () if name in ("len", "bool", "any", "all") else content(args)
        for value in args.pos:
            machine.account(value)
            machine.escape(value)
        plain = [concrete(value) for value in args.pos]
        given = [item.value for item in plain if item is not None]
        if args.vague is None and not args.named and len(given) == len(plain) and _fits(name, given):
            try:
                return whole(work(*given), sources, machine.branch)
            except Exception:  # noqa: BLE001 - whatever Python says to odd arguments, the snippet would hear it too
                return Unknown(sources)
        if name in ("min", "max") and args.pos:
            items, rest = machine.items_of(args.pos[0]) if len(args.pos) == 1 else (args.pos, None)
            if "key" in args.named:
                with machine.undecided():
                    each = any_of([*items, *([rest] if rest is not None else [])])
                    machine.call_value(args.named["key"], Args([each]))
            return any_of([*items, *([rest] if rest is not None else []), *args.named.values()])
        numeric = name in ("int", "float", "len", "sum", "abs", "round", "ord")
        return Unknown(sources, numeric=numeric)

    return run


def _fits(name: str, given: list[Any]) -> bool:
    if name in ("bytes", "bytearray") and given and isinstance(given[0], int):
        return given[0] < MAX_ITEMS
    return not (name == "int" and given and isinstance(given[0], str) and len(given[0]) > 1000)


for _name, _work in _PURE.items():
    handles(f"builtins.{_name}")(_pure(_name, _work))
handles("shlex.quote")(_pure("quote", shlex.quote))
handles("shlex.split")(_pure("split", shlex.split))
handles("textwrap.dedent")(_pure("dedent", textwrap.dedent))


@handles("builtins.str", "builtins.repr", "builtins.format")
def as_text(machine: Machine, args: Args) -> Value:
    """`str(x)`."""
    if not args.pos and args.vague is None:
        return text("")
    value = argument_of(args, 0)
    machine.escape(value) if isinstance(value, Instance) else None
    if isinstance(value, Const) and isinstance(value.value, bytes) and (len(args.pos) > 1 or args.named):
        return text(value.value.decode("utf-8", "replace"), value.sources)
    return Text(printed(value), value.sources if not isinstance(value, Seq | Dict) else carried(value))


@handles("builtins.repr", "builtins.ascii")
def as_repr(machine: Machine, args: Args) -> Value:
    """`repr(x)`."""
    value = argument_of(args, 0)
    plain = concrete(value)
    machine.account(value)
    return text(repr(plain.value), carried(value)) if plain is not None else anything(carried(value))


@handles("builtins.list", "builtins.tuple", "builtins.set", "builtins.frozenset", "collections.deque", "builtins.iter",
         "itertools.tee")  # fmt: skip
def as_list(machine: Machine, args: Args) -> Value:
    """A list of what iterating gives."""
    if not args.pos:
        return Seq([], "list", args.vague, machine.branch)
    value = args.pos[0]
    items, rest = machine.items_of(value)
    out = Seq(items, "list", rest, machine.branch)
    out.sources = value.sources
    return out


@handles("builtins.tuple")
def as_tuple(machine: Machine, args: Args) -> Value:
    """`tuple(x)`."""
    out = as_list(machine, args)
    if isinstance(out, Seq):
        out.kind = "tuple"
    return out


@handles("builtins.sorted", "builtins.reversed")
def as_sorted(machine: Machine, args: Args) -> Value:
    """The same items in another order."""
    value = argument_of(args, 0)
    items, rest = machine.items_of(value)
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
    items, rest = machine.items_of(argument_of(args, 0))
    out = Seq(items[::-1], "list", rest, machine.branch)
    out.scrambled = rest is not None
    return out


@handles(
    "builtins.dict",
    "collections.OrderedDict",
    "collections.defaultdict",
    "types.SimpleNamespace",
    "collections.Counter",
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


@handles("collections.defaultdict", "collections.Counter")
def as_default_dict(machine: Machine, args: Args) -> Value:
    """A dictionary that has every key."""
    for value in args.pos[:1]:
        machine.escape(value)
    return Dict({}, Unknown(), machine.branch)


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


@handles("builtins.enumerate", "builtins.zip", "itertools.zip_longest")
def as_enumerated(machine: Machine, args: Args) -> Value:
    """Numbers and items."""
    items, rest = machine.items_of(argument_of(args, 0))
    pairs: list[Value] = [Seq([Const(index), item], "tuple") for index, item in enumerate(items)]
    more = Seq([Unknown(numeric=True), rest], "tuple") if rest is not None else None
    return Seq(pairs, "list", more, machine.branch)


@handles("builtins.zip", "itertools.zip_longest", "itertools.product")
def as_zipped(machine: Machine, args: Args) -> Value:
    """Items side by side."""
    columns = [machine.items_of(value) for value in args.pos]
    if not columns or args.vague is not None:
        return Seq([], "list", Unknown(content(args)), machine.branch)
    if all(rest is None for _, rest in columns) and len({len(items) for items, _ in columns}) == 1:
        rows: list[Value] = [Seq(list(row), "tuple") for row in zip(*(items for items, _ in columns), strict=True)]
        return Seq(rows, "list", born=machine.branch)
    each: list[Value] = [any_of([*items, *([rest] if rest is not None else [])]) for items, rest in columns]
    return Seq([], "list", Seq(each, "tuple"), machine.branch)


@handles("itertools.product")
def as_product(machine: Machine, args: Args) -> Value:
    """Every combination."""
    columns = [machine.items_of(value) for value in args.pos]
    each: list[Value] = [any_of([*items, *([rest] if rest is not None else [])]) for items, rest in columns]
    return Seq([], "list", Seq(each, "tuple"), machine.branch)


@handles("itertools.chain", "itertools.chain.from_iterable", "heapq.merge")
def as_chain(machine: Machine, args: Args) -> Value:
    """Items of several."""
    out = Seq([], "list", args.vague, machine.branch)
    for value in args.pos:
        items, rest = machine.items_of(value)
        out.items += items
        out.rest = join(out.rest, rest) if rest is not None else out.rest
    out.scrambled = out.rest is not None
    return out


@handles("builtins.next", "random.choice", "itertools.cycle", "copy.copy", "copy.deepcopy", "operator.itemgetter")
def one_item(machine: Machine, args: Args) -> Value:
    """One of the items."""
    value = argument_of(args, 0)
    items, rest = machine.items_of(value)
    first = items[:1] if items and not (isinstance(value, Seq) and value.scrambled) else items
    return any_of([*first, *([rest] if rest is not None else []), *args.pos[1:]])


@handles("random.choice", "random.sample", "random.choices")
def any_item(machine: Machine, args: Args) -> Value:
    """Any of the items."""
    items, rest = machine.items_of(argument_of(args, 0))
    return any_of([*items, *([rest] if rest is not None else [])])


@handles("copy.copy", "copy.deepcopy")
def as_copy(machine: Machine, args: Args) -> Value:
    """The same, and no longer shared."""
    return _copied(machine, argument_of(args, 0))


def _copied(machine: Machine, value: Value, depth: int = 0) -> Value:
    if depth > 8:
        return value
    if isinstance(value, Dict):
        items = {key: _copied(machine, item, depth + 1) for key, item in value.items.items()}
        return Dict(items, value.rest, machine.branch)
    if isinstance(value, Seq):
        made = Seq([_copied(machine, item, depth + 1) for item in value.items], value.kind, value.rest, machine.branch)
        made.scrambled = value.scrambled
        return made
    return value


@handles("builtins.isinstance", "builtins.issubclass", "builtins.callable", "builtins.hasattr", "builtins.id",
         "builtins.hash", "builtins.dir", "builtins.help")  # fmt: skip
def look(machine: Machine, args: Args) -> Value:
    """Looks at a value."""
    for value in args.all():
        machine.account(value)
    return Unknown()


@handles("builtins.object", "builtins.super", "builtins.staticmethod", "builtins.classmethod", "builtins.property",
         "builtins.memoryview", "typing.cast", "builtins.slice")  # fmt: skip
def passed(_machine: Machine, args: Args) -> Value:
    """What it is given."""
    if len(args.pos) == 2 and isinstance(args.pos[1], Text | Unknown | Dict | Seq | Thing | Handle):
        return args.pos[1]
    return args.pos[0] if args.pos else Unknown()


@handles("builtins.exit", "builtins.quit", "sys.exit", "os._exit", "os.abort", "builtins.SystemExit")
def leave(machine: Machine, args: Args) -> Value:
    """The process ends; a text goes to standard error."""
    for value in args.all():
        machine.account(value)
        machine.write_out(carried(value), None, errors=True)
    return Thing("<exit>")
