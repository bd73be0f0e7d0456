"""Words of curl that stand for more words: config files, and sets and ranges in addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from guardrail.effects.catalogue._options import Parsed, parse_options
from guardrail.effects.commands._given import given_text
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import TOP, Field
from guardrail.patterns import lazy

MAX_SETS: Final = 32
"""Most names that sets in one word stand for; of more, nothing is known."""

_LINE: Final = lazy(r"\s*(?P<dashes>--?)?(?P<name>[\w.-]+)(?:\s*[=:]\s*|\s+|$)(?P<value>.*)")
_SET: Final = lazy(r"\{([^{}]*)\}")
_RANGE: Final = lazy(r"\[[^\[\]]*\]")


def with_configs(call: Call, parsed: Parsed) -> Parsed:
    """The words, with those of config files whose text is known; the option stays where it is not."""
    given: list[Field] = []
    unknown = False
    for field in parsed.values_of("--config"):
        text = given_text(call, field)
        if field.text not in ("-", "/dev/stdin"):
            call.read(field, reveals="some")
        words = _words(text) if text is not None else None
        if words is None:
            unknown = True
            continue
        given.extend(words)
    if not given:
        return parsed
    more = parse_options(parsed.spec, given)
    unknown = unknown or bool(more.unknown)
    more.flags |= parsed.flags if unknown else parsed.flags - {"--config"}
    kept = [value for value in parsed.values if value[0] != "--config" or unknown]
    more.values = [*kept, *(value for value in more.values if value[0] != "--config")]
    more.operands = [*parsed.operands, *more.operands]
    return more


def _words(text: str) -> list[Field] | None:
    """What a config file says, as words; None if a line of it is not understood, or leads to another file."""
    words: list[Field] = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None or match["name"] in ("config", "K"):
            return None
        dashes = match["dashes"] or ("-" if len(match["name"]) == 1 else "--")
        words.append(Field(text=dashes + match["name"]))
        value = match["value"].strip()
        if value:
            words.append(Field(text=_unquoted(value)))
    return words


def _unquoted(value: str) -> str:
    if value[:1] != '"':
        return value.partition(" #")[0].strip()
    inner = re.match(r'"((?:[^"\\]|\\.)*)"', value)
    return re.sub(r"\\(.)", r"\1", inner[1]) if inner is not None else value[1:]


def spread(field: Field) -> Iterator[Field]:
    """Every name that a word with sets and ranges stands for."""
    if not any(c in field.text for c in "{["):
        yield field
        return
    names = [field.text]
    # Every name has as many sets as the word: one is worked out after the other.
    while len(names) <= MAX_SETS and _SET.search(names[0]) is not None:
        names = [name for old in names for name in _first_set(old)]
    if len(names) > MAX_SETS:
        names = [TOP]
    for name in names:
        yield Field(text=_RANGE.sub(TOP, name), sources=field.sources, span=field.span)


def _first_set(name: str) -> list[str]:
    match = _SET.search(name)
    if match is None:
        return [name]
    return [name[: match.start()] + part + name[match.end() :] for part in match[1].split(",")]
