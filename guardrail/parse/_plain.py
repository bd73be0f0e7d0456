"""The short way for plain texts: words, quotes, variables; `|`, `&&`, `||`, `;`; assignments before, files behind.

Not concerned with anything that nests, or that the grammar has a rule of its own for: such a text goes to the parser.
INVARIANT: where this gives a tree, the parser gives the same one or vouches for none; a test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

from guardrail.parse._simple import RESERVED
from guardrail.parse.ir import AndOr, Assign, Param, Part, Pipeline, Redirect, Script, Simple, Statement, Text, Word
from guardrail.patterns import lazy

MAX_PLAIN_BYTES: Final = 1024
"""Longest text that is tried this way, in bytes."""

# A group is atomic and never possessive: until Python 3.11.4 a possessive group matched what it may not (gh-106052).
_SURE: Final = r"[A-Za-z0-9_./:@%+,=^\-]++"
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*+"
_QUOTED: Final = rf"'[\x20-&(-~]*+'|\"(?>(?:[ #%-\[\]-_a-~]++|\${_NAME})*)\""
_WORD: Final = rf"(?>(?:[A-Za-z0-9_./:@%+,=^*?~\-]++|\${_NAME}|{_QUOTED})+)"
_REDIRECT: Final = rf"(?:(?:[0-9]?(?:>>?|<)|&>>?) *+{_SURE}|[0-9]?>&[0-9])"
_NEXT: Final = r" ++(?![0-9][<>]|[<>&|;])"
_COMMAND: Final = rf"{_WORD}(?>(?:{_NEXT}{_WORD})*)(?>(?: ++{_REDIRECT})*)"
_SIGN: Final = r"(?:\|\||&&|\||;)"
_TEXT: Final = re.compile(rf"{_COMMAND}(?>(?: *+{_SIGN} *+{_COMMAND})*) *+;?+ *+\n?+")
_SPACED: Final = re.compile(rf"{_SURE}(?>(?: ++(?>(?:{_SIGN} ++)?){_SURE})*)")
_TOKEN: Final = re.compile(rf"(?P<fd>[0-9]?)(?P<op>>>|>&|>|<|&>>|&>) *+(?P<target>{_SURE})|{_WORD}|{_SIGN}")
_ASSIGNED: Final = lazy(rf"({_NAME})=({_SURE})")
_PART: Final = re.compile(rf"'([^']*)'|\"([^\"]*)\"|\$({_NAME})|([^'\"$]+)")
_INSIDE: Final = lazy(rf"\$({_NAME})|([^$]+)")
_PARTED: Final = re.compile(r"['\"$*?~]")
_MATCHED: Final = lazy(r"[*?~]")
_SIGNS: Final = frozenset(("|", "||", "&&", ";"))
_OTHERWISE: Final = RESERVED | frozenset("in declare typeset export readonly local unset unsetenv time".split())
"""First words that the grammar has a rule of its own for."""


def plain_command(text: str) -> Script | None:
    """The tree of a plain text; None for any other."""
    if len(text) > MAX_PLAIN_BYTES:
        return None
    items = _spaced(text) if _SPACED.fullmatch(text) else None
    if items is None and _TEXT.fullmatch(text):
        items = _commands(_tokens(text))
    return Script(body=_statements(items), text=text) if items is not None else None


def _spaced(text: str) -> list[Simple | str] | None:
    """The commands and signs of a text in which nothing is expanded and blanks stand between all words and signs.

    None if a command begins with anything but a name.
    """
    items: list[Simple | str] = []
    words: list[Word] = []
    at = 0
    for raw in (*text.split(" "), ";"):
        end = at + len(raw)
        if raw in _SIGNS:
            first = words[0]
            if "=" in (name := first.plain or "") or name in _OTHERWISE:
                return None
            found = Simple(words=tuple(words), assigns=(), redirects=(), start=first.start, end=words[-1].end)
            items += (found, raw)
            words = []
        elif raw:
            words.append(Word(parts=(Text(text=raw),), start=at, end=end, plain=raw))
        at = end + 1
    return items


def _commands(tokens: Sequence[Word | Redirect | str]) -> list[Simple | str] | None:
    """The commands, with the signs between them; None if there is one that the grammar has a rule for."""
    items: list[Simple | str] = []
    assigns: list[Assign] = []
    words: list[Word] = []
    redirects: list[Redirect] = []
    for token in (*tokens, ";"):
        if isinstance(token, Word):
            if words or _is_name(token):
                words.append(token)
            elif assign := _assign(token):
                assigns.append(assign)
            else:
                return None
        elif isinstance(token, Redirect):
            redirects.append(token)
        elif words:
            begin = assigns[0].value.start - len(assigns[0].name) - 1 if assigns else words[0].start
            end = redirects[-1].end if redirects else words[-1].end
            found = Simple(words=tuple(words), assigns=tuple(assigns), redirects=tuple(redirects), start=begin, end=end)
            items += (found, token)
            words, assigns, redirects = [], [], []
        elif assigns:
            return None
    return items


def _is_name(word: Word) -> bool:
    """A first word that is nothing but the name of a command."""
    name = word.plain
    return name is not None and "=" not in name and name not in _OTHERWISE and len(word.parts) == 1


def _statements(items: Sequence[Simple | str]) -> tuple[Statement, ...]:
    """The commands, joined by the signs that follow them."""
    if len(items) == 2 and isinstance(items[0], Simple):
        return (items[0],)
    body: list[Statement] = []
    chain: list[tuple[Literal["&&", "||"], Statement]] = []
    first: Statement | None = None
    sign: Literal["&&", "||"] | None = None
    stages: list[Simple] = []
    for item in items:
        if isinstance(item, Simple):
            stages.append(item)
            continue
        if item == "|":
            continue
        statement: Statement = stages[0] if len(stages) == 1 else Pipeline(stages=tuple(stages))
        stages = []
        if sign is None:
            first = statement
        else:
            chain.append((sign, statement))
        if item == ";" and first is not None:
            body.append(AndOr(first=first, rest=tuple(chain)) if chain else first)
            first, sign, chain = None, None, []
        else:
            sign = "&&" if item == "&&" else "||"
    return tuple(body)


def _tokens(text: str) -> list[Word | Redirect | str]:
    """The words, redirections and signs."""
    tokens: list[Word | Redirect | str] = []
    for match in _TOKEN.finditer(text):
        raw, op, start = match[0], match["op"], match.start()
        if op is not None:
            name = match["target"]
            target = Word(parts=(Text(text=name),), start=match.start("target"), end=match.end(), plain=name)
            fd = int(match["fd"]) if match["fd"] else None
            tokens.append(Redirect(op=op, fd=fd, target=target, start=start, end=match.end()))
        elif raw in _SIGNS:
            tokens.append(raw)
        elif _PARTED.search(raw) is None:
            tokens.append(Word(parts=(Text(text=raw),), start=start, end=match.end(), plain=raw))
        else:
            tokens.append(_word(raw, start))
    return tokens


def _assign(word: Word) -> Assign | None:
    """An assignment of a text in which nothing is expanded."""
    raw = word.plain
    match = _ASSIGNED.fullmatch(raw) if raw is not None and "=" in raw and len(word.parts) == 1 else None
    if match is None:
        return None
    begin = word.start + match.start(2)
    value = Word(parts=(Text(text=match[2]),), start=begin, end=word.end, plain=match[2], assignment=True)
    return Assign(name=match[1], value=value)


def _word(raw: str, start: int) -> Word:
    """A word with quotes, variables or patterns in it."""
    parts: list[Part] = []
    known = True
    for match in _PART.finditer(raw):
        single, double, name, bare = match.groups()
        if single is not None:
            parts.append(Text(text=single, quoted=True))
        elif name is not None:
            parts.append(Param(name=name, bare=True))
            known = False
        elif bare is not None:
            parts.append(Text(text=bare))
            known = known and _MATCHED.search(bare) is None
        elif "$" not in double:
            parts.append(Text(text=double, quoted=True))
        else:
            known = False
            for inner in _INSIDE.finditer(double):
                name, literal = inner.groups()
                parts.append(Text(text=literal, quoted=True) if name is None else Param(name=name, quoted=True))
    plain = "".join(part.text for part in parts if isinstance(part, Text)) if known else None
    return Word(parts=tuple(parts), start=start, end=start + len(raw), plain=plain)
