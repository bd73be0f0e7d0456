"""Tokens of TypeScript without its types, so that they read as Node's.

Not concerned with whether the types are right. Only such tokens are taken out as do nothing wherever they stand: names
of types, and signs between them. If they were no types after all, they would name nothing but what the program made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from guardrail.effects.code._tokens import Token
from guardrail.effects.code._words import INNER, NODE, NODE_GLOBALS

MAX_TYPE: Final = 200
"""Most tokens of one type."""

_BUILT_IN: Final = frozenset(
    "string number boolean bigint void any unknown never null undefined true false Date Map Set Array Record Promise "
    "Partial Readonly ReadonlyArray Error Request Response NextFunction Application".split()
)
"""Types that every program has."""

_BETWEEN: Final = frozenset(": ; , ? | [ ] { } & < >".split())
_AFTER: Final = frozenset("= , ) { ; =>".split())
"""What stands behind the type of a name."""


def untyped(tokens: Sequence[Token]) -> Sequence[Token]:
    """The tokens of a program without declarations of types, and without the types of its names.

    Args:
        tokens: the program.
    """
    types = _BUILT_IN | _named(tokens)
    found: list[Token] = []
    at = 0
    while at < len(tokens):
        count = _declared(tokens, at, types) or _typed(tokens, at, types)
        if count == 0:
            found.append(tokens[at])
        at += count or 1
    return found


def _named(tokens: Sequence[Token]) -> set[str]:
    """Names that are given to types."""
    found: set[str] = set()
    for at, token in enumerate(tokens[:-1]):
        name = tokens[at + 1]
        if token.kind == "word" and token.text in ("interface", "type") and name.kind == "word":
            found.add(name.text)
    return found - NODE_GLOBALS - NODE - INNER


def _is_sign(tokens: Sequence[Token], at: int, *texts: str) -> bool:
    return 0 <= at < len(tokens) and tokens[at].kind == "sign" and tokens[at].text in texts


def _declared(tokens: Sequence[Token], at: int, types: set[str] | frozenset[str]) -> int:
    """How many tokens `interface NAME {…}` or `type NAME = …;` has that begins here; 0 for anything else."""
    begin = at + (tokens[at].text == "export" and tokens[at].kind == "word")
    if begin + 2 >= len(tokens) or tokens[begin].kind != "word" or tokens[begin + 1].text not in types:
        return 0
    if tokens[begin].text == "interface" and _is_sign(tokens, begin + 2, "{"):
        end, depth = begin + 3, 1
        while end < len(tokens) and depth and end - begin < MAX_TYPE and _is_harmless(tokens, end, types):
            depth += _is_sign(tokens, end, "{") - _is_sign(tokens, end, "}")
            end += 1
        return end - at if depth == 0 else 0
    if tokens[begin].text == "type" and _is_sign(tokens, begin + 2, "="):
        end = begin + 3
        while end < len(tokens) and end - begin < MAX_TYPE and _is_harmless(tokens, end, types):
            if _is_sign(tokens, end, ";") and sum(
                _is_sign(tokens, one, "{") - _is_sign(tokens, one, "}") for one in range(begin, end)
            ) == 0:  # fmt: skip
                return end + 1 - at
            end += 1
    return 0


def _is_harmless(tokens: Sequence[Token], at: int, types: set[str] | frozenset[str]) -> bool:
    """A sign between types, a text, the name of a type, or that of a member."""
    token = tokens[at]
    if token.kind != "word":
        return token.kind in ("text", "number") or (token.kind == "sign" and token.text in _BETWEEN)
    member = _is_sign(tokens, at + 1, ":") or (_is_sign(tokens, at + 1, "?") and _is_sign(tokens, at + 2, ":"))
    return token.text in types or (member and token.text not in INNER)


def _typed(tokens: Sequence[Token], at: int, types: set[str] | frozenset[str]) -> int:
    """How many tokens say of what type a name, a value or a call is; 0 for anything else."""
    token = tokens[at]
    if _is_sign(tokens, at, "!") and at and (tokens[at - 1].kind == "word" or _is_sign(tokens, at - 1, ")", "]")):
        # In Node no such sign stands between a value and one of these.
        return int(_is_sign(tokens, at + 1, ".", ")", ";", ",", "]"))
    if token.kind == "word" and token.text == "as":
        if at + 1 < len(tokens) and tokens[at + 1] == Token("word", "const"):
            return 2
        end = _type(tokens, at + 1, types)
        return end - at if end else 0
    if token.kind == "word" and token.text == "type" and at and tokens[at - 1] == Token("word", "import"):
        return int(_is_sign(tokens, at + 1, "{"))
    if _is_sign(tokens, at, "<") and at and tokens[at - 1].kind == "word":
        end = _listed(tokens, at, types)
        return end - at if end and _is_sign(tokens, end, "(") else 0
    begin = at + _is_sign(tokens, at, "?")
    if not _is_sign(tokens, begin, ":") or not at:
        return 0
    named = tokens[at - 1].kind == "word" or _is_sign(tokens, at - 1, ")", "]")
    end = _type(tokens, begin + 1, types) if named else 0
    return end - at if end and _is_sign(tokens, end, *_AFTER) else 0


def _type(tokens: Sequence[Token], at: int, types: set[str] | frozenset[str]) -> int:
    """Where a type ends that begins here; 0 if none does."""
    while True:
        shape = _shape(tokens, at, types)
        if shape:
            at = shape
        elif at >= len(tokens) or tokens[at].kind != "word" or tokens[at].text not in types:
            return 0
        else:
            at += 1
        if _is_sign(tokens, at, "<"):
            at = _listed(tokens, at, types)
            if not at:
                return 0
        while _is_sign(tokens, at, "[") and _is_sign(tokens, at + 1, "]"):
            at += 2
        if not _is_sign(tokens, at, "|"):
            return at
        at += 1


def _shape(tokens: Sequence[Token], at: int, types: set[str] | frozenset[str]) -> int:
    """Where `{name?: TYPE; …}` ends, of members and types; 0 if it is none."""
    if not _is_sign(tokens, at, "{") or at + 2 >= len(tokens) or not _is_sign(tokens, at + 2, ":", "?"):
        return 0
    end, depth = at + 1, 1
    while end < len(tokens) and depth and end - at < MAX_TYPE and _is_harmless(tokens, end, types):
        depth += _is_sign(tokens, end, "{") - _is_sign(tokens, end, "}")
        end += 1
    return end if depth == 0 else 0


def _listed(tokens: Sequence[Token], at: int, types: set[str] | frozenset[str]) -> int:
    """Where `<TYPE, …>` ends, of types that have no others inside; 0 if it is none."""
    at += 1
    while at < len(tokens) and tokens[at].kind == "word" and tokens[at].text in types:
        at += 1
        while _is_sign(tokens, at, "[") and _is_sign(tokens, at + 1, "]"):
            at += 2
        if _is_sign(tokens, at, ">"):
            return at + 1
        if not _is_sign(tokens, at, ",", "|"):
            return 0
        at += 1
    return 0
