"""The short way for the plainest texts: words and quotes, `|`, `&&`, `||` and `;`, and nothing else at all.

Not concerned with anything that is expanded, redirected or nested: such a text is not plain, and goes to the parser.
INVARIANT: where this gives a tree, the parser gives the same one or vouches for none; a test holds the two together.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from guardrail.parse._simple import RESERVED
from guardrail.parse.ir import AndOr, Pipeline, Script, Simple, Statement, Text, Word

MAX_PLAIN_BYTES: Final = 1024
"""Longest text that is tried this way, in bytes."""

_WORD: Final = r"(?:[A-Za-z0-9_./:@%+,=^\-]++|'[\x20-&(-~]*+'|\"[ #%-\[\]-_a-~]*+\")++"
_TEXT: Final = re.compile(rf"{_WORD}(?:(?: ++(?![|&;])| *+(?:\|\||&&|\||;) *+){_WORD})*+ *+;?+ *+\n?+")
_BARE: Final = r"[A-Za-z0-9_./:@%+,=^\-]++"
_SPACED: Final = re.compile(rf"{_BARE}(?: ++(?:(?:\|\||&&|\||;) ++)?+{_BARE})*+")
_SIGNS: Final = frozenset(("|", "||", "&&", ";"))
_TOKEN: Final = re.compile(rf"{_WORD}|\|\||&&|\||;")
_PART: Final = re.compile(r"'([^']*)'|\"([^\"]*)\"|([^'\"]+)")
_OTHERWISE: Final = RESERVED | frozenset("in declare typeset export readonly local unset unsetenv time".split())
"""First words that the grammar has a rule of its own for."""


def plain_command(text: str) -> Script | None:
    """The tree of a plain text; None for any other."""
    if len(text) > MAX_PLAIN_BYTES:
        return None
    if _SPACED.fullmatch(text):
        tokens = _split(text)
    elif _TEXT.fullmatch(text):
        tokens = [(match[0], match.start()) for match in _TOKEN.finditer(text)]
    else:
        return None
    body: list[Statement] = []
    chain: list[tuple[Literal["&&", "||"], Statement]] = []
    first: Statement | None = None
    sign: Literal["&&", "||"] | None = None
    stages: list[Simple] = []
    words: list[Word] = []
    tokens.append((";", len(text)))
    for raw, start in tokens:
        if raw not in _SIGNS:
            if not words and (raw in _OTHERWISE or "=" in raw or "'" in raw or '"' in raw):
                return None
            if "'" in raw or '"' in raw:
                words.append(_quoted(raw, start))
            else:
                words.append(Word(parts=(Text(text=raw),), start=start, end=start + len(raw), plain=raw))
            continue
        if words:
            stages.append(Simple(words=tuple(words), assigns=(), redirects=(), start=words[0].start, end=words[-1].end))
            words = []
        if raw == "|":
            continue
        if stages:
            statement: Statement = stages[0] if len(stages) == 1 else Pipeline(stages=tuple(stages))
            stages = []
            if sign is None:
                first = statement
            else:
                chain.append((sign, statement))
        if raw == ";":
            if first is not None:
                body.append(AndOr(first=first, rest=tuple(chain)) if chain else first)
            first, sign, chain = None, None, []
        else:
            sign = "&&" if raw == "&&" else "||"
    return Script(body=tuple(body), text=text)


def _split(text: str) -> list[tuple[str, int]]:
    """The words between blanks, each with its offset."""
    tokens: list[tuple[str, int]] = []
    at = 0
    for raw in text.split(" "):
        if raw:
            tokens.append((raw, at))
        at += len(raw) + 1
    return tokens


def _quoted(raw: str, start: int) -> Word:
    parts: list[Text] = []
    for match in _PART.finditer(raw):
        quoted = match[1] if match[1] is not None else match[2]
        parts.append(Text(text=match[3]) if quoted is None else Text(text=quoted, quoted=True))
    return Word(parts=tuple(parts), start=start, end=start + len(raw), plain="".join(part.text for part in parts))
