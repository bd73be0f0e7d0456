"""Arithmetic of the shell on numbers that are known.

Not concerned with what text hides in a variable: whoever asks looks at that first (`_numbers.look_into`).
An expression that cannot be worked out exactly has no value here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from guardrail.patterns import lazy

MAX_EXPRESSION: Final = 256
"""Longest expression that is worked out, in characters."""

MAX_NESTING: Final = 24
"""Deepest nesting of parentheses, conditions and signs in an expression, in levels."""

_TOKEN: Final = lazy(
    r"\s*(?:(0[xX][0-9a-fA-F]{1,15}|[1-9][0-9]?#[0-9A-Za-z]{1,12}|[0-9]{1,18})(?![0-9A-Za-z_#])|(\$?\{?)([A-Za-z_][A-Za-z0-9_]*|[0-9]+)(\}?)"
    r"|(<<=|>>=|\*\*|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[-+*/%<>=!&|^~?:,()]))"
)
_INTEGER: Final = lazy(r"0|[1-9][0-9]{0,17}")
_SIGNED: Final = lazy(r"-?(?:0|[1-9][0-9]{0,17})")
_LEVELS: Final[tuple[tuple[str, ...], ...]] = (
    ("||",), ("&&",), ("|",), ("^",), ("&",), ("==", "!="), ("<=", ">=", "<", ">"), ("<<", ">>"), ("+", "-"),
    ("*", "/", "%"),
)  # fmt: skip
_BITS: Final = 1 << 63


_SIGNS: Final[Mapping[str, Callable[[int], int]]] = {
    "-": lambda value: -value,
    "+": lambda value: value,
    "!": lambda value: int(not value),
    "~": lambda value: ~value,
}
_STEPS: Final = {"++": 1, "--": -1}


def _divided(left: int, right: int) -> int:
    found = abs(left) // abs(right)
    return found if (left < 0) == (right < 0) else -found


_APPLY: Final[Mapping[str, Callable[[int, int], int]]] = {
    "|": lambda left, right: left | right,
    "^": lambda left, right: left ^ right,
    "&": lambda left, right: left & right,
    "==": lambda left, right: int(left == right),
    "!=": lambda left, right: int(left != right),
    "<=": lambda left, right: int(left <= right),
    ">=": lambda left, right: int(left >= right),
    "<": lambda left, right: int(left < right),
    ">": lambda left, right: int(left > right),
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
}


class _Unknown(Exception):
    """The value of the expression cannot be told."""


def evaluate(text: str, lookup: Callable[[str], str | None]) -> tuple[int, dict[str, int]] | None:
    """The value of an expression and what it sets.

    Args:
        text: the expression.
        lookup: value of a variable; None if it is not known.

    Returns:
        The value and the variables that it gives new ones; None if either is not known.
    """
    if len(text) > MAX_EXPRESSION:
        return None
    try:
        parser = _Parser(_tokens(text), lookup)
        value = 0 if not parser.tokens else parser.comma()
        return None if parser.tokens else (value, parser.assigned)
    except (_Unknown, IndexError):
        return None


def _tokens(text: str) -> list[str]:
    """Tokens, the first one last; names with what stands before them."""
    found: list[str] = []
    position, text = 0, text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or (match[2] or "") not in ("", "$", "${") or ((match[2] or "") == "${") != (match[4] == "}"):
            raise _Unknown
        position = match.end()
        if match[1] is not None:
            if match[1][:1] == "0" and match[1][1:2] not in ("", "x", "X"):
                raise _Unknown  # octal, or an error
            found.append(match[1])
        elif match[3] is not None:
            if match[3][0].isdigit() and not match[2]:
                raise _Unknown
            found.append(("$" if match[2] else "") + match[3])
        else:
            found.append(match[5])
    return found[::-1]


class _Parser:
    """Evaluates while it reads, so that what is not reached is not evaluated."""

    __slots__ = ("assigned", "depth", "lookup", "skipping", "tokens")

    def __init__(self, tokens: list[str], lookup: Callable[[str], str | None]) -> None:
        self.tokens = tokens
        self.lookup = lookup
        self.assigned: dict[str, int] = {}
        self.skipping = 0
        self.depth = 0

    def comma(self) -> int:
        value = self._assignment()
        while self.tokens and self.tokens[-1] == ",":
            self.tokens.pop()
            value = self._assignment()
        return value

    def _assignment(self) -> int:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise _Unknown
        try:
            sign = self.tokens[-2] if len(self.tokens) > 1 and _is_name(self.tokens[-1]) else ""
            if sign == "=" or (
                sign.endswith("=") and sign[:-1] in ("+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>")
            ):
                name = self.tokens.pop()
                self.tokens.pop()
                value = self._assignment()
                if sign != "=":
                    value = self._apply(sign[:-1], self._variable(name), value)
                return self._set(name, value)
            return self._conditional()
        finally:
            self.depth -= 1

    def _conditional(self) -> int:
        value = self._binary(0)
        if not self.tokens or self.tokens[-1] != "?":
            return value
        self.tokens.pop()
        yes = self._reached(self._assignment, bool(value))
        if self.tokens.pop() != ":":
            raise _Unknown
        no = self._reached(self._assignment, not value)
        return yes if value else no

    def _reached(self, read: Callable[[], int], live: bool) -> int:
        self.skipping += not live
        try:
            return read()
        finally:
            self.skipping -= not live

    def _binary(self, level: int) -> int:
        if level == len(_LEVELS):
            return self._power()
        value = self._binary(level + 1)
        while self.tokens and self.tokens[-1] in _LEVELS[level]:
            sign = self.tokens.pop()
            if sign in ("&&", "||"):
                live = bool(value) == (sign == "&&")
                right = self._reached(lambda: self._binary(level + 1), live)
                value = int(bool(right)) if live else int(sign == "||")
            else:
                value = self._apply(sign, value, self._binary(level + 1))
        return value

    def _power(self) -> int:
        value = self._unary()
        if self.tokens and self.tokens[-1] == "**":
            self.tokens.pop()
            self.depth += 1
            if self.depth > MAX_NESTING:
                raise _Unknown
            power = self._power()
            self.depth -= 1
            if not 0 <= power <= 64 or abs(value) > 1 << 32:
                raise _Unknown
            return _checked(value**power)
        return value

    def _unary(self) -> int:
        head = self.tokens.pop()
        if head in _SIGNS:
            self.depth += 1
            if self.depth > MAX_NESTING:
                raise _Unknown
            value = self._unary()
            self.depth -= 1
            return _SIGNS[head](value)
        if head in _STEPS:
            name = self.tokens.pop()
            return self._set(name, self._variable(name) + _STEPS[head])
        if head == "(":
            value = self.comma()
            if self.tokens.pop() != ")":
                raise _Unknown
            return value
        if head[0].isdigit():
            return _literal(head)
        if not _is_name(head) and head[0] != "$":
            raise _Unknown
        value = self._variable(head)
        if self.tokens and self.tokens[-1] in _STEPS:
            self._set(head, value + _STEPS[self.tokens.pop()])
        return value

    def _variable(self, name: str) -> int:
        if name in self.assigned:
            return self.assigned[name]
        if self.skipping:
            return 0
        text = self.lookup(name.lstrip("$"))
        # `$x` is put in as text, `x` is a number of its own.
        plain = _INTEGER if name[0] == "$" else _SIGNED
        if text is None or not plain.fullmatch(text):
            raise _Unknown
        return int(text)

    def _set(self, name: str, value: int) -> int:
        if not _is_name(name):
            raise _Unknown
        if not self.skipping:
            self.assigned[name] = _checked(value)
        return value

    def _apply(self, sign: str, left: int, right: int) -> int:
        if self.skipping:
            return 0
        if sign in ("/", "%"):
            if right == 0:
                raise _Unknown
            found = _divided(left, right)
            return _checked(found if sign == "/" else left - found * right)
        if sign in ("<<", ">>"):
            if not 0 <= right < 63:
                raise _Unknown
            return _checked(left << right if sign == "<<" else left >> right)
        return _checked(_APPLY[sign](left, right))


def _literal(token: str) -> int:
    base, mark, digits = token.partition("#")
    if not mark:
        return int(token, 0)
    try:
        return _checked(int(digits, int(base)))
    except ValueError:
        raise _Unknown from None  # a digit that the base does not have, or a base of more than letters and digits


def _is_name(token: str) -> bool:
    return token[0].isalpha() or token[0] == "_"


def _checked(value: int) -> int:
    if not -_BITS <= value < _BITS:
        raise _Unknown
    return value
