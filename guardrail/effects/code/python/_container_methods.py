"""Methods of lists, sets and dictionaries."""

from __future__ import annotations

from typing import Any, Final

from guardrail.effects.code.python._carried import carried
from guardrail.effects.code.python._concrete import concrete, is_key
from guardrail.effects.code.python._expressions import Expressions
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._texts import any_of, one_of
from guardrail.effects.code.python._values import NONE, Args, Const, Dict, Seq, Unknown, Value, text

_GROWING: Final = frozenset("append extend insert add update appendleft extendleft".split())


_SHUFFLING: Final = frozenset("pop remove clear sort reverse discard popleft rotate".split())


def seq_method(core: Expressions, owner: Seq, name: str, args: Args) -> Value | None:
    if name in _GROWING or name in _SHUFFLING:
        core.mutated()
    if name in _GROWING:
        _grow(core, owner, name, args)
        return NONE
    if name in _SHUFFLING:
        return _shuffle(core, owner, name, args)
    if name == "copy":
        made = Seq(owner.items[:], owner.kind, owner.rest, core.branch)
        made.scrambled = owner.scrambled
        return made
    if name in ("index", "count", "issubset", "issuperset", "isdisjoint"):
        for value in args.all():
            core.account(value)
        return Unknown(numeric=True)
    if name in ("union", "intersection", "difference", "symmetric_difference"):
        items = [*owner.items, *([owner.rest] if owner.rest is not None else [])]
        for value in args.all():
            more, rest = core.items_of(value)
            items += [*more, *([rest] if rest is not None else [])]
        return Seq([], "set", any_of(items) if items else None, core.branch)
    return None


def _grow(core: Expressions, owner: Seq, name: str, args: Args) -> None:
    values: list[Value] = []
    rest: Value | None = args.vague
    if name in ("append", "add", "appendleft"):
        values = args.pos[:1]
    elif name == "insert":
        values = args.pos[1:2]
    else:
        for value in args.pos:
            items, more = core.items_of(value)
            values += items
            rest = join(rest, more) if more is not None else rest
    certain = core.branch <= owner.born and rest is None and owner.rest is None and len(owner.items) < 512
    if certain and name == "insert":
        at = concrete(args.pos[0]) if args.pos else None
        if at is not None and isinstance(at.value, int):
            owner.items[at.value : at.value] = values
            return
        certain = False
    if certain and name in ("append", "extend", "add", "update"):
        owner.items.extend(values)
        return
    if not certain and name in ("append", "extend", "add", "update"):
        # What was there stays in front; what may follow is joined.
        for value in values:
            owner.rest = join(owner.rest, value) if owner.rest is not None else value
        if rest is not None:
            owner.rest = join(owner.rest, rest) if owner.rest is not None else rest
        return
    owner.items[:0] = values
    owner.scrambled = True


def _shuffle(core: Expressions, owner: Seq, name: str, args: Args) -> Value:
    everything = [*owner.items, *([owner.rest] if owner.rest is not None else [])]
    if core.branch <= owner.born and owner.known:
        plain = [concrete(value) for value in args.pos]
        if name in ("pop", "popleft") and owner.items and all(item is not None for item in plain):
            at = 0 if name == "popleft" else plain[0].value if plain and plain[0] is not None else -1
            try:
                return owner.items.pop(at)
            except (IndexError, TypeError):
                return NONE
        if name == "reverse":
            owner.items.reverse()
            return NONE
        if name == "clear":
            owner.items.clear()
            return NONE
        whole = concrete(owner)
        if name == "sort" and whole is not None and not args.named:
            try:
                owner.items.sort(key=_plain_of)
                return NONE
            except TypeError:
                pass
    owner.scrambled = True
    for value in args.all():
        core.escape(value)
    return any_of(everything) if name.startswith("pop") else NONE


def _plain_of(value: Value) -> Any:
    found = concrete(value)
    return found.value if found is not None else None


def dict_method(core: Expressions, owner: Dict, name: str, args: Args) -> Value | None:
    everything = [*owner.items.values(), *([owner.rest] if owner.rest is not None else [])]
    if name in ("setdefault", "pop", "update", "clear", "popitem"):
        core.mutated()
    if name in ("get", "setdefault", "pop"):
        return _dict_get(core, owner, name, args)
    if name in ("keys", "values", "items"):
        return core.lazily(lambda: _view(core, owner, name), (), (owner,), once=False)
    if name == "update":
        _dict_update(core, owner, args)
        return NONE
    if name == "copy":
        return Dict(dict(owner.items), owner.rest, core.branch)
    if name in ("clear", "popitem"):
        if name == "clear" and core.branch <= owner.born:
            owner.items.clear()
            owner.rest = None
            return NONE
        keys, more = core.items_of(owner)
        owner.rest = any_of(everything) if everything else Unknown()
        if name == "clear":
            return NONE
        return Seq([one_of(keys, more), owner.rest], "tuple")
    return None


def _view(core: Expressions, owner: Dict, name: str) -> Value:
    """Keys, values or pairs, as they are now."""
    if name == "values":
        return Seq(list(owner.items.values()), "list", owner.rest, core.branch)
    keys, more = core.items_of(owner)
    if name == "keys":
        return Seq(keys, "list", more, core.branch)
    pairs: list[Value] = [Seq([key, value], "tuple") for key, value in zip(keys, owner.items.values(), strict=False)]
    rest = Seq([Unknown(owner.sources), owner.rest], "tuple") if owner.rest is not None else None
    return Seq(pairs, "list", rest, core.branch)


def _dict_get(core: Expressions, owner: Dict, name: str, args: Args) -> Value:
    key = args.get(0) or Unknown()
    default = args.get(1) or NONE
    plain = concrete(key)
    if plain is None or not is_key(plain.value):
        if name == "pop" and len(args.pos) < 2:
            core.doubt(key)
        found = any_of([*owner.items.values(), *([owner.rest] if owner.rest is not None else []), default])
        if name == "setdefault":
            core.store_item(owner, key, default)
        elif name == "pop":
            owner.rest = join(owner.rest, found) if owner.rest is not None else found
        return found
    known = owner.items.get(plain.value)
    if known is not None and owner.rest is None:
        if name == "pop":
            if core.branch <= owner.born:
                del owner.items[plain.value]
            else:
                owner.rest = Unknown()
        return known
    if name == "pop" and len(args.pos) < 2:
        core.doubt(key)
    found = any_of(
        [*([known] if known is not None else []), *([owner.rest] if owner.rest is not None else []), default]
    )
    if name == "setdefault":
        core.store_item(owner, key, found)
    return found


def _dict_update(core: Expressions, owner: Dict, args: Args) -> None:
    for value in args.pos:
        if isinstance(value, Dict):
            for key, item in value.items.items():
                core.store_item(owner, text(key) if isinstance(key, str) else Const(key), item)
            if value.rest is not None:
                owner.rest = join(owner.rest, value.rest) if owner.rest is not None else value.rest
        else:
            owner.rest = (
                join(owner.rest, Unknown(carried(value))) if owner.rest is not None else Unknown(carried(value))
            )
    for key, item in args.named.items():
        core.store_item(owner, text(key), item)
    if args.vague is not None:
        owner.rest = args.vague
