"""Built-in functions on plain values, attributes and classes, and `operator`'s functions of the same.

Not concerned with what makes a container of its arguments (`_containers`), nor with what is printed (`_output`).
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from guardrail.effects.code.python._carried import can_act, carried, content
from guardrail.effects.code.python._concrete import concrete, printed
from guardrail.effects.code.python._core import single
from guardrail.effects.code.python._defined import Instance
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._system import argument_of
from guardrail.effects.code.python._texts import any_of, one_of, whole
from guardrail.effects.code.python._values import (
    MAX_ITEMS,
    Args,
    Const,
    Dict,
    Native,
    Partial,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    anything,
    options,
    text,
)

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine


SLOW: Final = 32
"""How much longer than others the functions take that look at each character in Python."""


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
                    each = one_of(items, rest)
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
