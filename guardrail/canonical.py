"""JSON as bytes of which there is one only: what is hashed, signed and compared.

Not concerned with what the values mean.
"""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

from guardrail.errors import InvalidCall
from guardrail.printing import visible


def canonical(value: Any) -> bytes:
    """Canonical JSON of plain values: RFC 8785 for strings, booleans, null, integers within 2**53 and their containers.

    Tool arguments also hold floats, larger integers and odd keys: those are encoded injectively, as
    `{"_f": "0.1"}`, `{"_i": "..."}` and `{"_o": [[key, value], ...]}`, so that no two values share a digest.
    """
    return orjson.dumps(value if _is_plain(value) else _injective(value), option=orjson.OPT_SORT_KEYS)


_MAX_SAFE_INT: Final = 2**53 - 1


def _is_plain(value: Any) -> bool:
    """Whether `_injective` would change nothing: true of nearly every record, and much cheaper to find out."""
    kind: object = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind is str:
        return bool(value.isascii()) or _is_utf8(value)
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str or not key.isascii() or key[:1] == "_":
                return False
            # Most values are short words: to look at those here saves a call for each.
            if not (item.isascii() if type(item) is str else item is None) and not _is_plain(item):
                return False
        return True
    if kind is list or kind is tuple:
        for item in value:  # noqa: SIM110 - a generator costs as much again, and this runs on every decision
            if not (type(item) is str and item.isascii()) and not _is_plain(item):
                return False
        return True
    if kind is int:
        return bool(-_MAX_SAFE_INT <= value <= _MAX_SAFE_INT)
    return kind is bool or value is None


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _injective(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value if value.isascii() else _injective_text(value)
    if isinstance(value, int):
        return value if -_MAX_SAFE_INT <= value <= _MAX_SAFE_INT else {"_i": str(value)}
    if isinstance(value, float):
        return {"_f": repr(value)}
    if isinstance(value, dict):
        return _injective_object(value)  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, list | tuple):
        return [_injective(v) for v in value]  # pyright: ignore[reportUnknownVariableType]
    return {"_r": [type(value).__name__, repr(value)]}


def _injective_object(value: dict[Any, Any]) -> Any:
    if not all(isinstance(key, str) for key in value):
        return {"_r": ["dict", repr(value)]}
    if all(key.isascii() and not key.startswith("_") for key in value):
        return {key: _injective(item) for key, item in value.items()}
    return {"_o": [[_injective_text(key), _injective(value[key])] for key in sorted(value)]}


def _injective_text(text: str) -> Any:
    return text if _is_utf8(text) else {"_b": text.encode("utf-8", "surrogatepass").hex()}


def check_depth(data: bytes, most: int) -> None:
    """Refuse what is nested deeper than `most` levels.

    Raises:
        InvalidCall: if it is.
    """
    # Counts brackets outside strings; cheap for the usual call, which has few brackets at all.
    if data.count(b"[") + data.count(b"{") <= most:
        return
    depth = 0
    quoted = escaped = False
    for byte in data:
        if quoted:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                quoted = False
        elif byte == 0x22:
            quoted = True
        elif byte in (0x5B, 0x7B):
            depth += 1
            if depth > most:
                raise InvalidCall(f"not a tool call: nested deeper than {most}")
        elif byte in (0x5D, 0x7D):
            depth -= 1


def check_names(data: bytes) -> None:
    """Refuse an object that has a name twice: whoever carries the call out may read the other one.

    Args:
        data: JSON; what is none is left to its decoder.

    Raises:
        InvalidCall: if any object in it has a name twice.
    """
    try:
        json.loads(data, object_pairs_hook=_once)
    except ValueError:
        return  # not JSON at all: the decoder says so, and where


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > 1 and len({name for name, _ in pairs}) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidCall(f"not a tool call: `{visible(twice)[:64]}` stands twice in one object")
