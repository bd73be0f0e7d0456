"""Functions that make a list, a dictionary or an iterator of what they are given, change one, or take an item out.

Not concerned with the methods that containers have (`_methods`), nor with functions that are called for each item
(`_higher`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardrail.effects.code.python._carried import can_act, carried, content
from guardrail.effects.code.python._concrete import Plain, concrete
from guardrail.effects.code.python._defined import Function, Instance, Klass
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._system import argument_of
from guardrail.effects.code.python._texts import any_of, one_of
from guardrail.effects.code.python._values import (
    ANY_NAME,
    Args,
    Bound,
    Const,
    Dict,
    Either,
    Handle,
    Seq,
    Unknown,
    Value,
)

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine

MAX_SPLIT: Final = 8
"""Most iterators that one is split into."""


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
            machine.call_value(key, Args([one_of(items, rest)]))
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
    each: list[Value] = [one_of(items, rest) for items, rest in columns]
    if "fillvalue" in args.named:
        each = [join(value, args.named["fillvalue"]) for value in each]
    return Seq([], "list", Seq(each, "tuple"), machine.branch)


@handles("itertools.product")
def as_product(machine: Machine, args: Args) -> Value:
    """Every combination."""
    columns = [machine.items_of(value) for value in args.pos]
    each: list[Value] = [one_of(items, rest) for items, rest in columns]
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


@handles("random.choice", "random.sample", "random.choices")
def any_item(machine: Machine, args: Args) -> Value:
    """Any of the items."""
    items, rest = machine.items_of(argument_of(args, 0))
    return one_of(items, rest)


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
    """A value of which nothing is shared with the other.

    Args:
        machine: the process.
        value: the value.
        depth: how many containers it is in; what is too deep in them is shared all the same.
    """
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
