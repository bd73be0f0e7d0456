"""The tokens of an awk program, and where its statements end.

Not concerned with what any of them does: that is `_awk_program`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from guardrail.effects.domain._values import TOP
from guardrail.patterns import lazy

Sort = Literal["text", "regex", "name", "number", "mark", "end"]


class Token(msgspec.Struct, frozen=True, gc=False):
    """One token of an awk program; of a text, its value."""

    sort: Sort
    text: str


_TOKEN = lazy(
    r'(?P<blank>[ \t\r]+|\\\n|#[^\n]*)|(?P<end>\n|;|\}|\{)|(?P<text>"(?:[^"\\\n]|\\.)*")'
    r"|(?P<name>[A-Za-z_]\w*(?:::\w+)?)"
    r"|(?P<number>\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)"
    r"|(?P<mark>\|&|>>|\|\||&&|[-+*/%^=!<>]=|\*\*=?|\+\+|--|[-+*/%^!<>|?:,$()~=\[\]@&])",
    re.DOTALL,
)
_REGEX = lazy(r"/(?:[^/\\\n\[]|\\.|\[\^?+\]?+(?:\[:\w+:\]|\\.|[^\]\\\n])*+\])*+/")
_BEFORE_REGEX: Final = frozenset("( , ! ~ && || ? : = == != < > <= >= += -= | |& >> + - * % ^ [".split())
_ESCAPES: Final = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "/": "/"}

KEYWORDS: Final = frozenset(("print", "printf", "return", "in", "else", "do", "getline", "case", "exit"))


def tokens(program: str) -> list[Token] | None:
    """The tokens of a program; None if it is not understood."""
    found: list[Token] = []
    position = 0
    while position < len(program):
        if program[position] == "/" and _may_be_regex(found):
            match = _REGEX.match(program, position)
            if match is None:
                return None
            found.append(Token("regex", match[0]))
            position = match.end()
            continue
        match = _TOKEN.match(program, position)
        if match is None:
            return None
        position = match.end()
        sort = match.lastgroup or "blank"
        if sort == "text":
            found.append(Token("text", unescaped(match[0][1:-1])))
        elif sort != "blank":
            found.append(Token(sort, match[0]))  # type: ignore[arg-type]  # the groups are the sorts
    return found


def _may_be_regex(found: Sequence[Token]) -> bool:
    if not found or found[-1].sort == "end":
        return True
    last = found[-1]
    return last.text in _BEFORE_REGEX if last.sort == "mark" else last.text in KEYWORDS and last.sort == "name"


def unescaped(text: str) -> str:
    """A text as awk reads it, where it is known."""

    def one(match: re.Match[str]) -> str:
        return _ESCAPES.get(match[1], TOP)

    return re.sub(r"\\(.|$)", one, text, flags=re.DOTALL)


def closing(words: Sequence[Token]) -> dict[int, int]:
    """Where each bracket that opens is closed; the end of the program for one that is not."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for index, token in enumerate(words):
        if token.sort != "mark":
            continue
        if token.text in ("(", "["):
            opened.append(index)
        elif token.text in (")", "]") and opened:
            found[opened.pop()] = index
    return found | dict.fromkeys(opened, len(words))


def ending(words: Sequence[Token], closes: Mapping[int, int]) -> list[int]:
    """For each token, where the simple statement ends that it stands in; brackets are passed over."""
    ends = [len(words)] * (len(words) + 1)
    for index in range(len(words) - 1, -1, -1):
        token = words[index]
        if token.sort == "mark" and token.text in ("(", "["):
            ends[index] = ends[min(closes[index] + 1, len(words))]
        elif _is_end(words, index):
            ends[index] = index
        else:
            ends[index] = ends[index + 1]
    return ends


def _is_end(words: Sequence[Token], index: int) -> bool:
    """A statement ends here; a line goes on after a comma or an operator."""
    token = words[index]
    if token.sort == "end":
        before = words[index - 1] if index else token
        return token.text != "\n" or before.sort != "mark" or before.text not in (",", "&&", "||", "|")
    # Another statement cannot begin within one; what is no awk program ends here as well.
    return token.text == ")" if token.sort == "mark" else token.sort == "name" and token.text in ("print", "printf")


def arguments(words: Sequence[Token], closes: Mapping[int, int]) -> set[int]:
    """The tokens in the brackets of what may set them, in whichever lines they stand."""
    found: set[int] = set()
    done = 0
    for index, token in enumerate(words):
        if token.sort != "name" or token.text not in _SETTERS:
            continue
        start = index + 1
        if token.text in ("function", "func"):
            start += 1  # its name
        end = closes.get(start, start)
        found.update(range(max(start, done), end))
        done = max(done, end)
    return found


_SETTERS: Final = frozenset(("sub", "gsub", "gensub", "function", "func", "for", "split", "patsplit", "match"))
