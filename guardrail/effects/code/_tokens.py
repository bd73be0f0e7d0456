"""One-liners of other languages as tokens: just enough to know what is text, what is a pattern and what is a name.

Not concerned with grammar. Whatever could be read in two ways is not read at all: `Unread`.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

import msgspec

from guardrail.patterns import lazy


class Unread(Exception):
    """A piece of code that could be read in two ways, or in a way that is not known here."""


class Token(NamedTuple):
    """A piece of code.

    Args:
        kind: what it is; a `key` is a name that stands for itself, such as `a` in `{a: 1}`.
        text: how it is written, for a text without its quotes.
    """

    kind: Literal["word", "number", "text", "pattern", "sign", "key"]
    text: str


class Syntax(msgspec.Struct, frozen=True, kw_only=True):
    """What tokens look like in one language.

    Args:
        word: a name.
        texts: a literal text, with what is in it as `in`.
        sign: an operator; what begins with none of these is not read.
        comment: a comment.
        odd: what must not stand where a token begins.
        code_in_text: what must not stand in a text, since code may follow it.
        patterns: `/` may begin a pattern.
        leading: words after which an operand follows, so that `/` begins a pattern.
        lines: a new line ends a statement.
        templates: texts in backticks hold code in `${…}`.
    """

    word: re.Pattern[str]
    texts: re.Pattern[str]
    sign: re.Pattern[str]
    comment: re.Pattern[str]
    odd: re.Pattern[str] | None = None
    code_in_text: re.Pattern[str] | None = None
    patterns: bool = False
    leading: frozenset[str] = frozenset()
    lines: bool = False
    templates: bool = False


_BLANK: Final = lazy(r"[ \t\r\n]+")
_NUMBER: Final = lazy(r"0[xX][0-9a-fA-F]+|0[bB][01]+|(?:\d[\d_]*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?[nL]?(?![\w$])")
_PATTERN: Final = lazy(r"/(?P<in>(?![*/])(?:[^/\\\[\n]|\\[^\n]|\[(?:[^\]\\\n]|\\[^\n])*\])+)/(?P<flags>[a-z]*)")
_HEADED: Final = frozenset(("if", "while", "for", "with", "switch", "catch", "elsif", "unless", "until"))
"""Words before a condition in parentheses, behind which a statement begins."""


def tokens(code: str, syntax: Syntax) -> list[Token]:
    """The tokens of a piece of code.

    Args:
        code: the code.
        syntax: its language.

    Raises:
        Unread: if it is not clear what they are.
    """
    return _Reader(code, syntax).read()


class _Reader:
    """Walks the code once."""

    def __init__(self, code: str, syntax: Syntax) -> None:
        self.code = code
        self.syntax = syntax
        self.at = 0
        self.out: list[Token] = []
        self.open: list[str] = []  # what stood before each bracket that is open
        self.headed = False  # the parenthesis that was closed last held a condition

    def read(self, *, inside: bool = False) -> list[Token]:
        """All tokens; inside a template, those up to the brace that ends the code."""
        depth = len(self.open)
        while self.at < len(self.code):
            if inside and self.code[self.at] == "}" and len(self.open) == depth:
                return self.out
            self._one()
        if inside or self.open:
            raise Unread("a bracket that is not closed")
        return self.out

    def _one(self) -> None:
        code, at, syntax = self.code, self.at, self.syntax
        if match := _BLANK.match(code, at):
            if syntax.lines and "\n" in match[0]:
                self.out.append(Token("sign", ";"))
            self.at = match.end()
        elif syntax.odd is not None and syntax.odd.match(code, at):
            raise Unread("a sign that is not known")
        elif match := syntax.comment.match(code, at):
            self.at = match.end()
        elif match := syntax.texts.match(code, at):
            self._text(match)
        elif syntax.templates and code[at] == "`":
            self._template()
        elif match := _NUMBER.match(code, at):
            self._put("number", match)
        elif match := syntax.word.match(code, at):
            self._put("word", match)
        elif code[at] == "/" and syntax.patterns:
            self._slash()
        elif match := syntax.sign.match(code, at):
            self._sign(match)
        else:
            raise Unread("a sign that is not known")

    def _put(self, kind: Literal["word", "number", "sign"], match: re.Match[str]) -> None:
        self.out.append(Token(kind, match[0]))
        self.at = match.end()

    def _text(self, match: re.Match[str]) -> None:
        if self.syntax.code_in_text is not None and self.syntax.code_in_text.search(match[0]):
            raise Unread("code in a text")
        if self.code[match.end() : match.end() + 1] == match[0][0]:
            raise Unread("a text with other quotes")
        self.out.append(Token("text", next(part for part in match.groups() if part is not None)))
        self.at = match.end()

    def _template(self) -> None:
        """A text in backticks, as a sum of its parts."""
        last = self.out[-1] if self.out else Token("sign", ";")
        value = last.kind != "sign" or last.text in (")", "]", "}")
        if value and not (last.kind == "word" and last.text in self.syntax.leading):
            raise Unread("a function that is called with a template")
        self.at += 1
        begin = self.at
        while True:
            char = self.code[self.at : self.at + 1]
            if not char:
                raise Unread("a text that is not closed")
            if char == "`":
                self.out.append(Token("text", self.code[begin : self.at]))
                self.at += 1
                return
            if self.code.startswith("${", self.at):
                self.out.append(Token("text", self.code[begin : self.at]))
                self.at += 2
                self.out += [Token("sign", "+"), Token("sign", "(")]
                self.read(inside=True)
                self.out += [Token("sign", ")"), Token("sign", "+")]
                self.headed = False
                self.at += 1
                begin = self.at
            else:
                self.at += 2 if char == "\\" else 1

    def _sign(self, match: re.Match[str]) -> None:
        text = match[0]
        if text in ("(", "[", "{"):
            before = self.out[-1].text if self.out and self.out[-1].kind == "word" else ""
            self.open.append(text + before)
        elif text in (")", "]", "}"):
            opened = self.open.pop() if self.open else ""
            if opened[:1] != {")": "(", "]": "[", "}": "{"}[text]:
                raise Unread("a bracket that was not opened")
            self.headed = text == ")" and opened[1:] in _HEADED
        self._put("sign", match)

    def _slash(self) -> None:
        """A pattern where an operand is due, a division where an operator is; nothing where both could be."""
        last = self.out[-1] if self.out else Token("sign", ";")
        before = self.code[self.at - 1 : self.at]
        after = self.code[self.at + 1 : self.at + 2]
        member = len(self.out) > 1 and self.out[-2].text in (".", "?.", "&.")
        if last.kind == "word" and member:
            self._divide()  # `x.in / 2`
        elif last.kind == "word" and last.text not in self.syntax.leading:
            if self.syntax.lines and before in " \t" and after not in " \t=":
                raise Unread("a slash behind a name")
            self._divide()
        elif last.kind in ("number", "text") or (last.text == ")" and not self.headed) or last.text == "]":
            self._divide()
        elif last.kind == "pattern" or last.text in ("}", ")", "++", "--", "."):
            raise Unread("a slash that may begin a pattern")
        elif match := _PATTERN.match(self.code, self.at):
            if self.syntax.code_in_text is not None and self.syntax.code_in_text.search(match["in"]):
                raise Unread("code in a pattern")
            if self.syntax.lines and "[" in match["in"] and "/" in re.sub(r"\\.", "", match["in"]):
                raise Unread("a slash in brackets")
            self.out.append(Token("pattern", match["in"]))
            self.at = match.end()
        else:
            raise Unread("a pattern that is not understood")

    def _divide(self) -> None:
        self.out.append(Token("sign", "/"))
        self.at += 2 if self.code.startswith("/=", self.at) else 1
