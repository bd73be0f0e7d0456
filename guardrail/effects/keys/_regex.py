"""Regular expressions of sed, perl and vim as Python's, for the part in which they cannot differ.

Not concerned with speed or with completeness: whatever two programs might read differently raises `Unclear`, and what
would be computed with it is then not known.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from guardrail.patterns import lazy

MAX_REGEX: Final = 512
"""Longest regular expression that is translated, in characters."""

MAX_LINE: Final = 4096
"""Longest line that is matched, in characters."""

MAX_WORK: Final = 4_000_000
"""Most steps that one expression may need on one line: the ways in which its repetitions can share the line."""

MAX_SECONDS: Final = 0.1
"""Longest time that one expression may take on all lines, in seconds."""

Dialect = Literal["basic", "extended", "perl"]

_CLASSES: Final = {
    "alpha": "A-Za-z",
    "digit": "0-9",
    "alnum": "A-Za-z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": " \\t\\n\\r\\f\\v",
    "blank": " \\t",
    "xdigit": "0-9A-Fa-f",
    "word": "A-Za-z0-9_",
}
_SHORT: Final = {"w": r"\w", "W": r"\W", "s": r"\s", "S": r"\S", "b": r"\b", "B": r"\B", "n": r"\n", "t": r"\t"}
_PERL_SHORT: Final = {**_SHORT, "d": r"\d", "D": r"\D"}
_GNU_SHORT: Final = {**_SHORT, "<": r"\b(?=\w)", ">": r"\b(?<=\w)"}
_COUNT = lazy(r"\d{1,3}(?:,\d{0,3})?")


class Unclear(Exception):
    """What the tool would do here is not modelled."""


class Regex(msgspec.Struct, frozen=True, kw_only=True):
    """A translated expression.

    Args:
        pattern: as Python has it.
        groups: number of groups; they can be referred to.
        simple: no alternatives and no repeated groups, so that what a group holds does not depend on the program.
        bytewise: what it matches may depend on how many bytes a character has.
        anchor: it only says where, such as `^`.
        longest: the program takes the longest match, where Python takes the first.
        repeats: number of repetitions without an end.
        ways: in how many ways its other choices can be made: optional parts, counted repetitions, alternatives.
        fixed: it matches only where the line begins.
        spent: seconds that it has taken so far.
    """

    pattern: re.Pattern[str]
    groups: int
    simple: bool
    bytewise: bool
    anchor: bool
    longest: bool
    repeats: int
    ways: int
    fixed: bool
    spent: list[float]

    def search(self, text: str, start: int = 0) -> re.Match[str] | None:
        """The match that the program would find.

        Raises:
            Unclear: if it may find another one.
        """
        if len(text) > MAX_LINE or (self.bytewise and not text.isascii()):
            raise Unclear("a long line, or characters beyond ASCII")
        if self._work(len(text), 1 if self.fixed else len(text)) > MAX_WORK or self.spent[0] > MAX_SECONDS:
            raise Unclear("too much work")
        began = time.monotonic()
        try:
            return self._find(text, start)
        finally:
            self.spent[0] += time.monotonic() - began

    def _work(self, length: int, starts: int) -> int:
        """Most steps that it takes to try that many beginnings, if nothing stops it early."""
        return math.comb(length + self.repeats, self.repeats) * self.ways * max(starts, 1)

    def _find(self, text: str, start: int) -> re.Match[str] | None:
        match = self.pattern.search(text, start)
        if match is not None and self.longest and (self.repeats or self.ways > 1):
            if self._work(len(text) - match.start(), len(text) - match.end()) > MAX_WORK:
                raise Unclear("too much work")
            # POSIX wants the longest of all matches that begin there.
            for end in range(match.end() + 1, len(text) + 1):
                if self.pattern.fullmatch(text, match.start(), end):
                    raise Unclear("a longer match")
        return match


def translate(text: str, dialect: Dialect, *, ignore_case: bool = False) -> Regex:
    """Translate an expression.

    Args:
        text: the expression.
        dialect: how it is written: `basic` and `extended` as GNU sed reads them, `perl`.
        ignore_case: letters match in either case.

    Raises:
        Unclear: if it uses anything that programs may read differently.
    """
    if not text or len(text) > MAX_REGEX:
        raise Unclear("no expression, or a long one")
    reader = _Reader(text, dialect)
    source = reader.read()
    flags = re.DOTALL | re.ASCII | (re.IGNORECASE if ignore_case else 0)
    if dialect == "perl":
        flags &= ~re.DOTALL
    try:
        pattern = re.compile(source, flags)
    except (re.error, OverflowError) as error:
        raise Unclear("not an expression") from error
    return Regex(
        pattern=pattern,
        groups=pattern.groups,
        simple=reader.simple,
        bytewise=reader.bytewise or ignore_case,
        anchor=text in ("^", "$"),
        longest=dialect != "perl",
        repeats=reader.repeats,
        ways=reader.all_ways(),
        fixed=source.startswith((r"\A", "^")) and "|" not in reader.out,
        spent=[0.0],
    )


class _Reader:
    """Walks one expression; what it gives is Python's."""

    def __init__(self, text: str, dialect: Dialect) -> None:
        self.text = text
        self.dialect: Dialect = dialect
        self.basic = dialect == "basic"
        self.at = 0
        self.out: list[str] = []
        self.open: list[int] = []
        self.quantifiable = False
        self.group_end = False
        self.simple = True
        self.bytewise = False
        self.repeats = 0
        self.ways = 1
        self.bars = [0]
        self.plain_group = True

    def read(self) -> str:
        while self.at < len(self.text):
            self._one()
        if self.open:
            raise Unclear("a group that is not closed")
        return "".join(self.out)

    def all_ways(self) -> int:
        """In how many ways the choices that have an end can be made."""
        return self.ways * (1 + self.bars[0])

    def _one(self) -> None:
        char = self.text[self.at]
        self.at += 1
        if char == "\\":
            self._escaped()
        elif char == "[":
            self._bracket()
        elif char == ".":
            self._atom(".")
            # `.*` takes whole runs, and then bytes and characters are the same.
            self.bytewise = self.bytewise or self.text[self.at : self.at + 1] != "*"
        elif char == "^":
            self._caret()
        elif char == "$":
            self._dollar()
        elif char == "*" or (char in "+?" and not self.basic):
            self._quantifier(char)
        elif char == "{" and not self.basic:
            self._counted("}")
        elif char in "()|" and not self.basic:
            self._structure(char)
        else:
            if ord(char) > 127:
                self.bytewise = self.bytewise or self.text[self.at : self.at + 1] in ("*", "+", "?", "\\", "{")
            self._atom(re.escape(char))

    def _atom(self, text: str) -> None:
        self.out.append(text)
        self.quantifiable, self.group_end = True, False

    def _escaped(self) -> None:
        if self.at >= len(self.text):
            raise Unclear("a backslash at the end")
        char = self.text[self.at]
        self.at += 1
        if self.basic and char in "(){}|+?":
            if char == "{":
                self._counted("\\}")
            elif char == "}":
                raise Unclear("a bracket that was not opened")
            elif char in "+?":
                self._quantifier(char)
            else:
                self._structure(char)
            return
        short = (_PERL_SHORT if self.dialect == "perl" else _GNU_SHORT).get(char)
        if short is not None:
            self.bytewise = self.bytewise or char not in "nt"
            self.out.append(short)
            self.quantifiable, self.group_end = char in "wWsSdDnt", False
        elif char.isalnum() or char in "<>`'\n" or ord(char) > 127:
            raise Unclear(f"`\\{char}`")
        else:
            self._atom(re.escape(char))

    def _caret(self) -> None:
        first = not self.out or self.out[-1] in ("(", "|")
        self._anchor("^", r"\A", placed=first)

    def _dollar(self) -> None:
        rest = self.text[self.at :]
        last = not rest or rest.startswith(("\\)", "\\|") if self.basic else (")", "|"))
        self._anchor("$", r"\Z", placed=last)

    def _anchor(self, char: str, meant: str, *, placed: bool) -> None:
        """A sign for an end of the text, which is itself elsewhere in a basic expression."""
        if self.basic and not placed:
            self._atom(rf"\{char}")
            return
        if not placed:
            raise Unclear(f"`{char}` inside an expression")
        self.out.append(meant if self.dialect != "perl" else char)
        self.quantifiable = self.group_end = False

    def _quantifier(self, char: str) -> None:
        if not self.quantifiable:
            if self.basic and char == "*" and (not self.out or self.out[-1] in ("(", "|", r"\A")):
                self._atom(r"\*")
                return
            raise Unclear("a repetition of nothing")
        self._repeat(char)

    def _counted(self, close: str) -> None:
        match = _COUNT.match(self.text, self.at)
        if match is None or not self.text.startswith(close, match.end()) or not self.quantifiable:
            raise Unclear("a repetition that is not understood")
        self.at = match.end() + len(close)
        least, _, most = match[0].partition(",")
        if most:
            self.ways *= max(int(most) - int(least), 0) + 1
        self._repeat("{" + match[0] + "}")

    def _repeat(self, text: str) -> None:
        self.out.append(text)
        self.repeats += text in ("*", "+") or text.endswith(",}")
        self.ways *= 2 if text == "?" else 1
        if self.group_end:
            if not self.plain_group:
                raise Unclear("a repetition in a repetition")
            self.simple = False
        self.quantifiable = self.group_end = False
        if self.text[self.at : self.at + 1] in ("+", "?", "*") and (
            self.dialect != "perl" or self.text[self.at] != "?"
        ):
            if not self.basic or self.text[self.at] == "*":
                raise Unclear("a repetition of a repetition")
        elif self.dialect == "perl" and self.text[self.at : self.at + 1] == "?":
            self.at += 1
            self.out.append("?")

    def _structure(self, char: str) -> None:
        if char == "|":
            self.simple = False
            self.bars[-1] += 1
            self.out.append("|")
            self.quantifiable = self.group_end = False
        elif char == "(":
            if not self.basic and self.text[self.at : self.at + 1] == "?":
                if not self.text.startswith("?:", self.at) or self.dialect != "perl":
                    raise Unclear("a group with an option")
                self.at += 2
                self.out.append("(?:")
            else:
                self.out.append("(")
            self.open.append(len(self.out))
            self.bars.append(0)
            self.quantifiable = self.group_end = False
        else:
            began = self.open.pop() if self.open else len(self.out)
            if began == len(self.out):
                raise Unclear("a group that is empty or was not opened")
            self.ways *= 1 + self.bars.pop()
            self.plain_group = not any(part[:1] in ("*", "+", "?", "{", "|", "(") for part in self.out[began:])
            self.out.append(")")
            self.quantifiable = self.group_end = True

    def _bracket(self) -> None:
        end = self.at
        negate = self.text[end : end + 1] == "^"
        end += negate
        first = end
        out: list[str] = []
        while True:
            if end >= len(self.text):
                raise Unclear("a bracket that is not closed")
            char = self.text[end]
            if char == "]" and end > first:
                break
            if self.text.startswith("[:", end):
                close = self.text.find(":]", end)
                name = self.text[end + 2 : close] if close > 0 else ""
                if name not in _CLASSES:
                    raise Unclear("a class that is not known")
                out.append(_CLASSES[name])
                end = close + 2
                continue
            if char == "[" and self.text[end + 1 : end + 2] in (".", "="):
                raise Unclear("a collating element")
            end += 1
            if char == "\\":
                end = self._bracket_escape(end, out)
            elif char == "-":
                out.append("-" if len(out) > 0 and self.text[end : end + 1] not in ("]", "") else "\\-")
            else:
                out.append(re.escape(char))
        self.at = end + 1
        self.bytewise = self.bytewise or self.text[self.at : self.at + 1] != "*" or not "".join(out).isascii()
        self._atom(f"[{'^' if negate else ''}{''.join(out)}]")

    def _bracket_escape(self, end: int, out: list[str]) -> int:
        char = self.text[end : end + 1]
        if self.dialect == "perl":
            if char in ("w", "s", "d", "n", "t"):
                out.append("\\" + char)
            elif char.isalnum() or not char:
                raise Unclear("an escape in a bracket")
            else:
                out.append(re.escape(char))
            return end + 1
        # In POSIX a backslash in a bracket is one; GNU sed still reads some pairs first.
        if char == "n":
            out.append("\\n")
            return end + 1
        if char.isalnum() or char in ("]", "\\", ""):
            raise Unclear("a backslash in a bracket")
        out.append("\\\\")
        return end


Expand = Callable[[re.Match[str]], str]


def replacement(text: str, regex: Regex, *, whole: str = "&", mark: str = "\\") -> Expand:
    """What is put for a match.

    Args:
        text: the replacement as written.
        regex: what it is for.
        whole: the character that stands for the whole match.
        mark: what stands before the number of a group.

    Raises:
        Unclear: if it says more than text and groups.
    """
    pieces: list[str | int] = []
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        following = text[at : at + 1]
        if char == mark and following.isdigit() and following != "0":
            if int(following) > regex.groups or not regex.simple:
                raise Unclear("a group whose content is not certain")
            pieces.append(int(following))
            at += 1
        elif char == "\\":
            if not following or (following.isalnum() and following not in "nt"):
                raise Unclear("an escape in a replacement")
            pieces.append({"n": "\n", "t": "\t"}.get(following, following))
            at += 1
        elif char == whole:
            pieces.append(0)
        elif char in "$@" and mark == "$":
            raise Unclear("a variable in a replacement")
        else:
            pieces.append(char)

    def expand(match: re.Match[str]) -> str:
        return "".join(piece if isinstance(piece, str) else match[piece] or "" for piece in pieces)

    return expand


def substitute(text: str, regex: Regex, expand: Expand, *, every: bool, nth: int = 1) -> tuple[str, bool]:
    """Replace matches in one line.

    Args:
        text: the line.
        regex: what to look for.
        expand: what to put.
        every: all from the `nth` on, and not only that one.
        nth: the first that is replaced.

    Returns:
        The line, and whether anything was replaced.

    Raises:
        Unclear: if programs may differ on it.
    """
    out: list[str] = []
    position = count = 0
    done = False
    while position <= len(text):
        match = regex.search(text, position)
        if match is None:
            break
        if match.end() == match.start() and not (regex.anchor or (not every and nth == 1)):
            raise Unclear("an empty match")
        count += 1
        out.append(text[position : match.start()])
        taken = count == nth or (every and count > nth)
        out.append(expand(match) if taken else match[0])
        done = done or taken
        position = match.end()
        if (taken and not every) or match.end() == match.start():
            break
    out.append(text[position:])
    return "".join(out), done
