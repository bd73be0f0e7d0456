"""Numbers of rounds in code of Node: the second parameter of what `map` and its kin are handed.

Not concerned with other counters. Where a program may bring a `map` of its own, nothing is taken to be a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from guardrail.effects.code._tokens import Token

_COUNTING: Final = frozenset("map forEach filter flatMap some every find findIndex".split())
_LOCAL: Final = ("./", "../", "/")
_BEHIND: Final = frozenset("+ - * / % < > <= >= === !== == != ) ] , ; ? : && ||".split())
_BEFORE: Final = frozenset("+ - * / % < > <= >= === !== == != ( [ , ? : && || =>".split())
_ZERO: Final = Token("number", "0")


def counted(tokens: Sequence[Token]) -> Sequence[Token]:
    """The tokens, with a number in place of each subscript that is the number of a round.

    Args:
        tokens: the program.
    """
    names = _names(tokens)
    names = {name for name in names if all(_stays(tokens, at) for at, one in enumerate(tokens) if _is(one, name))}
    if not names or _brings_its_own(tokens):
        return tokens
    return [_ZERO if _is_subscript(tokens, at, names) else token for at, token in enumerate(tokens)]


def _is_subscript(tokens: Sequence[Token], at: int, names: set[str]) -> bool:
    named = tokens[at].kind == "word" and tokens[at].text in names
    return named and _sign(tokens, at - 1) == "[" and _sign(tokens, at + 1) == "]"


def _is(token: Token, name: str) -> bool:
    return token.kind == "word" and token.text == name


def _sign(tokens: Sequence[Token], at: int) -> str:
    return tokens[at].text if 0 <= at < len(tokens) and tokens[at].kind == "sign" else ""


def _brings_its_own(tokens: Sequence[Token]) -> bool:
    """A member of that name may be the program's, or a module's."""
    for at, token in enumerate(tokens):
        if token.kind == "text" and (token.text.startswith(_LOCAL) or token.text in _COUNTING):
            return True
        if token.kind == "word" and token.text in _COUNTING:
            called = _sign(tokens, at - 1) in (".", "?.") and _sign(tokens, at + 1) == "("
            if not called:
                return True
    return False


def _names(tokens: Sequence[Token]) -> set[str]:
    return {tokens[at].text for at in range(len(tokens)) if _is_round(tokens, at)}


def _is_round(tokens: Sequence[Token], at: int) -> bool:
    """`.map((x, NAME) =>`."""
    if at < 6 or tokens[at].kind != "word" or tokens[at - 2].kind != "word" or tokens[at - 5].kind != "word":
        return False
    before = [_sign(tokens, at - back) for back in (6, 4, 3, 1)]
    begins = before[0] in (".", "?.") and before[1:] == ["(", "(", ","] and tokens[at - 5].text in _COUNTING
    return begins and _sign(tokens, at + 1) == ")" and _sign(tokens, at + 2) == "=>"


def _stays(tokens: Sequence[Token], at: int) -> bool:
    """A name keeps its number here: it is that parameter, or it is looked at where nothing gets a name."""
    if _is_round(tokens, at) or _sign(tokens, at - 1) in (".", "?."):
        return True
    if _sign(tokens, at + 1) not in _BEHIND or _sign(tokens, at - 1) not in _BEFORE:
        return False
    return not _names_something(tokens, at)


def _names_something(tokens: Sequence[Token], at: int) -> bool:
    """One of the brackets around it may be a list of parameters, or a pattern."""
    depth = 0
    for place in range(at + 1, len(tokens)):
        sign = _sign(tokens, place)
        depth += (sign in ("(", "[", "{")) - (sign in (")", "]", "}"))
        if depth < 0:
            depth = 0
            after = tokens[place + 1] if place + 1 < len(tokens) else _ZERO
            if after.text in ("=>", "{", "=", "of", "in") and after.kind in ("sign", "word"):
                return True
            if sign == "}":
                return False
    return False
