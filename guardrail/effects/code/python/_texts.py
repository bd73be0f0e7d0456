"""Operators and methods of text, bytes and numbers, worked out on abstract values.

Exact operands are given to Python itself, within bounds on size; text that is known in part keeps its known parts
where that is sound, and is unknown otherwise. Not concerned with anything that has an effect.
"""

from __future__ import annotations

import ast
import operator
import re
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from guardrail.effects.code.python._carried import carried
from guardrail.effects.code.python._concrete import Plain, abstract, concrete, concrete_items, is_key, printed
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._values import (
    MARKS,
    MAX_ITEMS,
    MAX_OPTIONS,
    NAME,
    NONE,
    Args,
    Const,
    Dict,
    Seq,
    Sources,
    Text,
    Thing,
    Unknown,
    Value,
    options,
)
from guardrail.effects.domain._values import NUM, TOP, merge
from guardrail.patterns import lazy

MAX_SIZE: Final = 64 * 1024
"""Longest text or bytes that is worked out, in characters."""

MAX_NUMBER: Final = 10_000
"""Largest width, count or exponent that is worked out."""

_WIDE = lazy(r"[0-9]{5,}")
_WIDTH = lazy(r"[0-9]{1,9}")
_Work = Callable[[Any, Any], Any]


def _operator(name: str) -> _Work:
    found: _Work = getattr(operator, name)
    return found


_OPERATORS: Final[Mapping[type[ast.operator], _Work]] = {
    ast.Add: _operator("add"), ast.Sub: _operator("sub"), ast.Mult: _operator("mul"), ast.Div: _operator("truediv"),
    ast.FloorDiv: _operator("floordiv"), ast.Mod: _operator("mod"), ast.BitAnd: _operator("and_"),
    ast.BitOr: _operator("or_"), ast.BitXor: _operator("xor"), ast.LShift: _operator("lshift"),
    ast.RShift: _operator("rshift"), ast.Pow: _operator("pow"),
}  # fmt: skip


def whole(value: Any, sources: Sources, born: int = 0) -> Value:
    """The result of something that was worked out, if it is not too large."""
    if isinstance(value, str | bytes | bytearray) and len(value) > MAX_SIZE:
        return Text((TOP,), sources) if isinstance(value, str) else Unknown(sources)
    if isinstance(value, bytearray):
        value = bytes(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value).bit_length() > MAX_SIZE:
        return Unknown(sources, numeric=True)
    return abstract(value, sources, born)


def binary(op: ast.operator, left: Value, right: Value, born: int = 0) -> Value:
    """`left op right`."""
    sources = merge(carried(left), carried(right))
    if isinstance(left, Seq) or isinstance(right, Seq):
        made = _of_lists(op, left, right, born)
        if made is not None:
            return made
    a, b = concrete(left), concrete(right)
    if a is not None and b is not None and not isinstance(left, Dict) and not isinstance(right, Dict):
        found = _exact(op, a.value, b.value)
        if found is not None:
            return whole(found.value, sources, born)
    if isinstance(op, ast.Add) and (_is_text(left) or _is_text(right)):
        return joined_texts((left, right), sources)
    if isinstance(op, ast.Mod) and _is_text(left):
        return percent(left, right, sources)
    if isinstance(op, ast.BitOr) and isinstance(left, Dict) and isinstance(right, Dict):
        rest = left.rest if right.rest is None else right.rest
        return Dict({**left.items, **right.items}, rest, born)
    return Unknown(sources, numeric=_is_number(left) and _is_number(right))


def _of_lists(op: ast.operator, left: Value, right: Value, born: int) -> Value | None:
    """Lists put together hold the same objects, and no copies of them."""
    if isinstance(op, ast.Add) and isinstance(left, Seq) and isinstance(right, Seq):
        return _concatenated(left, right, born)
    if isinstance(op, ast.Mult):
        items, times = (left, right) if isinstance(left, Seq) else (right, left)
        count = concrete(times)
        if not isinstance(items, Seq):
            return None
        if count is None or not isinstance(count.value, int) or count.value * len(items.items) > MAX_ITEMS:
            everything = [*items.items, *([items.rest] if items.rest is not None else [])]
            return Seq([], items.kind, any_of(everything) if everything else None, born)
        made = Seq(items.items * count.value, items.kind, items.rest, born)
        made.scrambled = items.scrambled or items.rest is not None
        return made
    return None


def _size(value: Any) -> int:
    return len(value) if hasattr(value, "__len__") else int(value)


def _exact(op: ast.operator, a: Any, b: Any) -> Plain | None:
    numbers = not hasattr(a, "__len__") and not hasattr(b, "__len__")
    if isinstance(op, ast.Mult) and not numbers and abs(_size(a) * _size(b)) > MAX_SIZE:
        return None
    if isinstance(op, ast.Pow | ast.LShift) and numbers and not _small(op, a, b):
        return None
    if isinstance(op, ast.Mod) and not numbers and isinstance(a, str | bytes) and not _narrow(a, b):
        return None
    work = _OPERATORS.get(type(op))
    try:
        return Plain(work(a, b)) if work is not None else None
    except Exception:  # noqa: BLE001 - whatever Python says to odd operands, the snippet would hear it too
        return None


def _narrow(template: str | bytes, values: Any) -> bool:
    """No field of a format is so wide that it would fill the memory."""
    words = template if isinstance(template, str) else template.decode("latin-1")
    many: list[Any] = [*values.values()] if isinstance(values, dict) else concrete_items(values)
    given = [abs(item) for item in many if isinstance(item, int)] if "*" in words else []
    widest = max((*map(int, _WIDTH.findall(words)), *given), default=0)
    longest = max((len(item) for item in many if isinstance(item, str | bytes)), default=32)
    most = words.count("%") * max(widest, longest)
    return bool(most <= 4 * MAX_SIZE)


def _small(op: ast.operator, a: Any, b: Any) -> bool:
    """The number is not too long to be worked out."""
    if not isinstance(a, int) or not isinstance(b, int):
        return bool(abs(b) <= MAX_NUMBER)
    if isinstance(op, ast.LShift):
        return abs(b) <= MAX_SIZE
    return bool(abs(b) * max(a.bit_length(), 1) <= 4 * MAX_SIZE)


def _concatenated(left: Seq, right: Seq, born: int) -> Seq:
    out = Seq([*left.items, *right.items], left.kind, left.rest or right.rest, born)
    out.scrambled = left.scrambled or right.scrambled or (left.rest is not None and bool(right.items))
    return out


def _is_text(value: Value) -> bool:
    return all(isinstance(option, Text) for option in options(value))


def _is_number(value: Value) -> bool:
    return all(
        (isinstance(option, Unknown) and option.numeric)
        or (isinstance(option, Const) and isinstance(option.value, int | float))
        for option in options(value)
    )


def joined_texts(parts: Sequence[Value], sources: Sources) -> Text:
    """Texts one after the other."""
    found: list[list[str]] = [[]]
    size = 0
    for part in parts:
        texts = printed(part) if _is_text(part) or _is_number(part) else (TOP,)
        size += len(texts[0]) if texts else 0
        if len(found) * len(texts) > MAX_OPTIONS or size > MAX_SIZE:
            return Text((TOP,), sources)
        if len(texts) == 1:
            for one in found:
                one.append(texts[0])
        else:
            found = [[*one, text] for one in found for text in texts]
    return Text([_bounded("".join(one)) for one in found], sources)


def _bounded(text: str) -> str:
    while TOP + TOP in text:
        text = text.replace(TOP + TOP, TOP)
    return text if len(text) <= MAX_SIZE else TOP


def shown(value: Value, conversion: str = "", spec: str = "") -> tuple[str, ...]:
    """What a value looks like in an f-string or a format."""
    texts = printed(value)
    if not spec and not conversion:
        return texts
    if not conversion and _DATED.fullmatch(spec) and _is_date(value):
        return (NAME,)  # as of `strftime`
    plain = concrete(value)
    if plain is not None and not _WIDE.search(spec):
        try:
            item: Any = repr(plain.value) if conversion in ("r", "a") else plain.value
            return (format(str(item) if conversion == "s" else item, spec),)
        except Exception:  # noqa: BLE001 - as above
            return (TOP,)
    if not conversion and all(text in (NUM, NAME) for text in texts) and re.fullmatch(r"0?[0-9]{0,3}[dx]?", spec):
        return texts
    return (TOP,)


_DATED: Final = lazy(r"%-?[YmdHMSjybBaAfIpUWGVu](?:%-?[YmdHMSjybBaAfIpUWGVu]|[\w:. -])*", re.ASCII)
"""A format that begins with a part of a date, and has no slashes."""


def _is_date(value: Value) -> bool:
    return all(isinstance(option, Thing) and option.kind == "date" for option in options(value))


def percent(template: Value, values: Value, sources: Sources) -> Text:
    """`template % values` where some of it is not known."""
    exact = template.exact if isinstance(template, Text) else None
    if exact is None or exact.count("%") > MAX_ITEMS:
        return Text((TOP,), sources)
    given = values.items if isinstance(values, Seq) and values.kind == "tuple" and values.known else [values]
    named: Mapping[Any, Value] = values.items if isinstance(values, Dict) and values.rest is None else {}
    parts: list[Value] = []
    last = index = 0
    for match in re.finditer(r"%(?:\((\w+)\))?([-+ #0]*+[0-9]*+(?:\.[0-9]++)?)([a-zA-Z%])", exact):
        parts.append(Text((exact[last : match.start()],)))
        last = match.end()
        if match[3] == "%":
            parts.append(Text(("%",)))
            continue
        item = named.get(match[1]) if match[1] else given[index] if index < len(given) else None
        index += 1
        plain = match[2] == "" and match[3] in "sd"
        parts.append(Text(printed(item) if item is not None and plain else (TOP,)))
    if "%" in exact[last:]:
        return Text((TOP,), sources)
    parts.append(Text((exact[last:],)))
    return joined_texts(parts, sources)


def formatted(template: str, args: Args, sources: Sources) -> Text:
    """`template.format(...)`."""
    parts: list[Value] = []
    count = 0
    try:
        fields = list(string.Formatter().parse(template))
    except ValueError:
        return Text((TOP,), sources)
    if len(fields) > MAX_ITEMS:
        return Text((TOP,), sources)
    for literal, field, spec, conversion in fields:
        parts.append(Text((literal,)))
        if field is None:
            continue
        if field == "":
            field, count = str(count), count + 1
        item = args.get(int(field)) if field.isdecimal() else args.named.get(field)
        nested = "{" in (spec or "")
        known = item is not None and re.fullmatch(r"\w+", field) and not nested
        parts.append(Text(shown(item, conversion or "", spec or "") if known and item is not None else (TOP,)))
    return joined_texts(parts, sources)


def compared(ops: Sequence[ast.cmpop], values: Sequence[Value]) -> bool | None:
    """The truth of a comparison, if it is known."""
    if len(ops) != 1:
        return None
    a, b = concrete(values[0]), concrete(values[1])
    if a is None or b is None:
        return None
    try:
        return _compare(ops[0], a.value, b.value)
    except Exception:  # noqa: BLE001 - as above
        return None


def _compare(op: ast.cmpop, a: Any, b: Any) -> bool | None:
    if isinstance(op, ast.In | ast.NotIn):
        return (a in b) == isinstance(op, ast.In)
    if isinstance(op, ast.Is | ast.IsNot):
        if a is None or b is None or isinstance(a, bool) or isinstance(b, bool):
            return (a is b) == isinstance(op, ast.Is)
        return None
    work = _COMPARISONS.get(type(op))
    return bool(work(a, b)) if work is not None else None


_COMPARISONS: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip


def truth(value: Value) -> bool | None:
    """Whether a value counts as true; None if that is not known."""
    plain = concrete(value)
    if plain is not None:
        return bool(plain.value)
    if isinstance(value, Text) and all(text.strip("".join(MARKS)) for text in value.alternatives):
        return True
    if isinstance(value, Seq) and (value.later is not None and value.later.once):
        return True  # an iterator counts as true, even if it has nothing to give
    if isinstance(value, Seq) and value.items and not value.scrambled and value.later is None:
        return True
    return None


def unary(op: ast.unaryop, value: Value) -> Value:
    """`-x`, `+x`, `~x`; `not x` is left to `truth`."""
    plain = concrete(value)
    if isinstance(op, ast.Not):
        known = truth(value)
        return Unknown(value.sources) if known is None else Const(not known)
    if plain is not None and isinstance(plain.value, int | float):
        try:
            number: Any = plain.value
            found: Any = -number if isinstance(op, ast.USub) else number
            return Const(~number if isinstance(op, ast.Invert) else found, value.sources)
        except TypeError:
            return Unknown(value.sources)
    return Unknown(carried(value), numeric=_is_number(value))


def subscript(value: Value, key: Value, born: int = 0) -> Value:
    """`value[key]` of text, bytes, lists and dictionaries."""
    plain, index = concrete(value) if isinstance(value, Text | Const) else None, concrete(key)
    if plain is not None and index is not None:
        try:
            return whole(plain.value[index.value], value.sources, born)
        except Exception:  # noqa: BLE001 - as above
            return Unknown(value.sources)
    if isinstance(value, Text):
        return Text((TOP,), value.sources)
    if isinstance(value, Seq):
        return _item(value, index, born)
    if isinstance(value, Dict):
        if index is not None and is_key(index.value):
            found = value.items.get(index.value)
            if found is not None and value.rest is None:
                return found
            return any_of([*([found] if found is not None else []), *([value.rest] if value.rest else [])])
        return one_of(value.items.values(), value.rest)
    return Unknown(carried(value))


def _item(value: Seq, plain: Plain | None, born: int) -> Value:
    index: Any = plain.value if plain is not None else None
    whole_slice = type(index) is slice
    if plain is not None and not value.scrambled:
        try:
            if whole_slice and value.rest is None:
                return Seq(value.items[index], value.kind, born=born)
            if not whole_slice and (value.rest is None or 0 <= index < len(value.items)):
                items: list[Value] = value.items
                return items[int(index)]
        except (IndexError, TypeError, ValueError):
            return NONE
    everything = [*value.items, *([value.rest] if value.rest is not None else [])]
    if whole_slice:
        out = Seq([], value.kind, rest=any_of(everything), born=born)
        out.scrambled = True
        return out
    return any_of(everything)


def any_of(items: Iterable[Value]) -> Value:
    """One of some values; None if there are none.

    Args:
        items: the values.
    """
    found: Value | None = None
    for item in items:
        found = join(found, item)
    return found if found is not None else NONE


def one_of(items: Iterable[Value], rest: Value | None) -> Value:
    """Any of what going through something gives; None if that is nothing.

    Args:
        items: the items that are known.
        rest: what any others are; None if there are none.
    """
    return any_of([*items, rest] if rest is not None else items)
