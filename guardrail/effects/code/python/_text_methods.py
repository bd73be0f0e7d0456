"""Methods of text and bytes, worked out on abstract values.

Not concerned with operators and templates: those are in `_texts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from guardrail.effects.code.python._carried import carried
from guardrail.effects.code.python._concrete import Plain, concrete
from guardrail.effects.code.python._texts import MAX_NUMBER, MAX_SIZE, _is_text, formatted, joined_texts, whole
from guardrail.effects.code.python._values import (
    MAX_OPTIONS,
    NAME,
    Args,
    Const,
    Dict,
    Either,
    Seq,
    Sources,
    Text,
    Unknown,
    Value,
    is_exact,
)
from guardrail.effects.domain._values import NUM, TOP, merge

_STR_METHODS: Final = frozenset(
    "capitalize casefold center count encode endswith expandtabs find index isalnum isalpha isascii isdecimal isdigit "
    "isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip partition removeprefix "
    "removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip swapcase title "
    "translate upper zfill".split()
)
_BYTES_METHODS: Final = frozenset((*_STR_METHODS, "decode", "hex")) - {"encode", "casefold"}
_ENDS: Final = {"strip": (True, True), "lstrip": (True, False), "rstrip": (False, True)}
_TRUTH: Final = frozenset(name for name in _STR_METHODS if name.startswith("is")) | {"startswith", "endswith"}
_COUNTS: Final = frozenset("count find index rfind rindex".split())
_PIECES: Final = frozenset("split rsplit splitlines partition rpartition".split())


def text_method(owner: Value, name: str, args: Args, born: int = 0) -> Value | None:
    """A method of text or bytes; None if there is no such method here."""
    is_bytes = isinstance(owner, Const) and isinstance(owner.value, bytes)
    if name not in (_BYTES_METHODS if is_bytes else _STR_METHODS) and name not in ("format", "format_map"):
        return None
    sources = carried(owner)
    for value in args.all():
        sources = merge(sources, carried(value))
    if name == "join" and args.pos:
        found = _join(owner, args.pos[0], sources)
        if found is not None:
            return found
    results = [_one_method(option, name, args, sources, born) for option in _receivers(owner)]
    return _merged(results, sources)


def _receivers(owner: Value) -> list[Any]:
    if isinstance(owner, Const):
        return [owner.value]
    return list(owner.alternatives) if isinstance(owner, Text) else [TOP]


def _one_method(owner: Any, name: str, args: Args, sources: Sources, born: int) -> Value:
    if isinstance(owner, bytes) or is_exact(owner):
        if name in ("format", "format_map") and isinstance(owner, str):
            if name == "format_map":
                given = args.pos[0] if args.pos else None
                items = {str(k): v for k, v in given.items.items()} if isinstance(given, Dict) else {}
                return formatted(owner, Args(named=items), sources)
            return formatted(owner, args, sources)
        found = _exact_method(owner, name, args)
        if found is not None:
            return whole(found.value, sources, born)
    return _partial_method(owner, name, args, sources)


def _exact_method(owner: Any, name: str, args: Args) -> Plain | None:
    if args.vague is not None:
        return None
    given = [concrete(value) for value in args.pos]
    named = {key: concrete(value) for key, value in args.named.items()}
    plain = [item.value for item in given if item is not None]
    keywords = {key: item.value for key, item in named.items() if item is not None}
    if len(plain) != len(given) or len(keywords) != len(named):
        return None
    if any(isinstance(item, int) and abs(item) > MAX_NUMBER for item in plain):
        return None
    if _grows(owner, name, plain) > 4 * MAX_SIZE:
        return None
    try:
        return Plain(getattr(owner, name)(*plain, **keywords))
    except Exception:  # noqa: BLE001 - whatever Python says to odd arguments, the snippet would hear it too
        return None


def _grows(owner: Any, name: str, given: Sequence[Any]) -> int:
    """How long the result may be."""
    longest = max((len(item) for item in given if isinstance(item, str | bytes)), default=0)
    if name == "replace":
        return longest * (len(owner) + 1)
    if name == "expandtabs":
        tab: Any = "\t" if isinstance(owner, str) else b"\t"
        width = given[0] if given and isinstance(given[0], int) else 8
        return int(len(owner) + owner.count(tab) * abs(width))
    names: Any = given[0] if given else None
    if name == "translate" and hasattr(names, "values"):
        return len(owner) * max((len(item) for item in names.values() if isinstance(item, str)), default=1)
    if name == "join" and given and hasattr(given[0], "__len__"):
        items = [len(item) for item in given[0] if hasattr(item, "__len__")]
        return len(owner) * len(given[0]) + sum(items)
    return len(owner)


def _partial_method(owner: Any, name: str, args: Args, sources: Sources) -> Value:
    """A method of text that is known in part."""
    if name in _TRUTH:
        return Unknown(sources)
    if name in _COUNTS:
        return Unknown(sources, numeric=True)
    if name in _PIECES:
        separator = args.get(0, "sep")
        piece = NAME if isinstance(separator, Text) and separator.exact == "/" else TOP
        plain = isinstance(owner, str) and set(owner) <= set("0123456789" + NUM)
        return Seq([], "list", rest=Text((NUM if plain else piece,), sources))
    if name == "encode":
        return Text((owner,), sources) if isinstance(owner, str) else Unknown(sources)
    if isinstance(owner, bytes):
        return Text((TOP,), sources) if name in ("decode", "hex") else Unknown(sources)
    if name in ("lower", "upper", "casefold") and TOP not in owner:
        return Text((getattr(owner, name)(),), sources)
    if name == "replace" and owner == NAME and _keeps_a_name(args):
        return Text((NAME,), sources)
    if name in _ENDS and not args.pos:
        left, right = _ENDS[name]
        start = left and (owner[:1].isspace() or owner[:1] == TOP)
        end = right and (owner[-1:].isspace() or owner[-1:] == TOP)
        if not start and not end:
            return Text((owner,), sources)
    return Text((TOP,), sources)


def _keeps_a_name(args: Args) -> bool:
    """Another text in a name leaves it a name: it holds no slash, and what it comes to is no `..`."""
    new = args.get(1, "new")
    exact = new.exact if isinstance(new, Text) else None
    return exact is not None and "/" not in exact and exact.strip(".") != ""


def _join(owner: Value, items: Value, sources: Sources) -> Value | None:
    separator = owner.exact if isinstance(owner, Text) else None
    if separator is None or not isinstance(items, Seq) or not items.known:
        return None
    parts: list[Value] = []
    for index, item in enumerate(items.items):
        if index:
            parts.append(Text((separator,)))
        parts.append(item if _is_text(item) else Text((TOP,)))
    return joined_texts(parts, sources)


def _merged(results: Sequence[Value], sources: Sources) -> Value:
    if len(results) == 1:
        return results[0]
    if all(isinstance(result, Text) for result in results):
        return Text([text for result in results if isinstance(result, Text) for text in result.alternatives], sources)
    return Either(tuple(results)) if len(results) <= MAX_OPTIONS else Unknown(sources)
