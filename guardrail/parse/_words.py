"""The inside of a shell word: quoting, expansions and substitutions.

Not concerned with where words begin and end in a command: `_simple` and `_statements` know that from the syntax tree,
and this module checks it, because every byte handed to it must be consumed. The text is UTF-8 seen as Latin-1, so
offsets are bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal

from guardrail.parse._arithmetic import arithmetic_names
from guardrail.parse._braced import Subscript, braced
from guardrail.parse._misparse import Misparse
from guardrail.parse.ir import Command, Computed, Param, Part, Process, Script, Text, Word
from guardrail.patterns import lazy

Nested = Callable[[int, str], tuple[Script, int]]
"""(offset of `$(`, `<(` or `>(`, node type) -> the commands inside and the offset after the closing parenthesis."""

Reparse = Callable[[str], Script]
"""Text of a backtick substitution (Latin-1 view) -> its commands."""

_PLAIN = re.compile(r"[A-Za-z0-9_./:=@%+,^\-]+")
_UNQUOTED = re.compile(r"[^ \t\n\\'\"$`;|&<>()]+")
_IN_DOUBLE: Final = {'"': lazy(r'[^"\\$`]+'), "": lazy(r"[^\\$`]+")}
_NAME = lazy(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]|[@*#?$!\-]")
_CONTINUED = lazy(r"(?:\\\n)+[A-Za-z0-9_]")
_BRACED = lazy(r"\$\{([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!\-])\}")
_ASSIGNING = lazy(r"\$\{([A-Za-z_][A-Za-z0-9_]*):?=")
# Single quotes and backslashes mean different things with and without outer double quotes; these end alike in both.
_INSIDE_BRACES = lazy(r"(?:[^'\"\\`{}$<>]|'[^'\"\\`{}$<>]*'|\\[A-Za-z0-9#%/.*?\[\]()|: ])+")
_MENTIONED = lazy(r"\$\{?[#!]?([A-Za-z_][A-Za-z0-9_]*)")
_ARITHMETIC = lazy(r"(?:[A-Za-z0-9_ \t+\-*/%<>=!&|^~?:,]|(?<=[0-9])#)+")
_WORD = lazy(r"[\w$#\[]")
_SUBSCRIPT = lazy(r"(?:[A-Za-z0-9_+*/%., -]|\$(?=[A-Za-z_]))+")
_BASE = lazy(r"(?<![\w$#{])[0-9]{1,2}#\Z")
_ESCAPE = lazy(r"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|[0-7]{1,3}|c.|.)", re.DOTALL)
_CONTROL: Final = {
    "n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "v": "\v",
}  # fmt: skip

Mode = Literal["word", "double", "heredoc"]


def text_of(latin: str) -> str:
    """The characters of a Latin-1 view; bytes that are not UTF-8 become lone surrogates, as in file names."""
    return latin if latin.isascii() else latin.encode("latin-1").decode("utf-8", "surrogateescape")


class Lexer:
    """Reads words out of one shell text.

    Args:
        source: UTF-8 text seen as Latin-1.
        nested: finds the commands of a substitution in the syntax tree.
        reparse: parses the text of a backtick substitution.
    """

    __slots__ = ("literal_quotes", "nested", "reparse", "source")

    def __init__(self, source: str, nested: Nested, reparse: Reparse) -> None:
        self.source = source
        self.nested = nested
        self.reparse = reparse
        self.literal_quotes = False  # as in a here document

    def word(self, start: int, end: int, *, assignment: bool = False) -> Word:
        """The word at [start, end).

        Raises:
            Misparse: if those bytes are not exactly one shell word.
        """
        raw = self.source[start:end]
        if _PLAIN.fullmatch(raw):
            return Word(parts=(Text(text=raw),), start=start, end=end, plain=raw, assignment=assignment)
        parts, stop = self.scan(start, end)
        if stop != end or (not parts and raw not in ('""', "''")):
            raise Misparse("bytes in a word that do not belong to it")
        if raw.startswith("#"):
            raise Misparse("comment taken for a word")
        return Word(parts=parts, start=start, end=end, plain=_plain(parts), assignment=assignment)

    def words(self, start: int, end: int) -> list[Word]:
        """The words in [start, end), which the parser may have taken for one.

        Raises:
            Misparse: if those bytes are not exactly words with blanks between them.
        """
        if _PLAIN.fullmatch(self.source, start, end) or "`" not in self.source[start:end]:
            return [self.word(start, end)]
        found: list[Word] = []
        while start < end:
            _, stop = self.scan(start, end)
            if stop == start:
                raise Misparse("bytes in a word that do not belong to it")
            found.append(self.word(start, stop))
            start = stop
            while start < end and self.source[start] in " \t":
                start += 1
        return found

    def scan(self, i: int, end: int) -> tuple[tuple[Part, ...], int]:
        """Parts of the word that starts at `i`, and the offset where it stops."""
        parts: list[Part] = []
        source = self.source
        while i < end:
            char = source[i]
            if match := _UNQUOTED.match(source, i, end):
                _add(parts, text_of(match[0]))
                i = match.end()
            elif char == "\\":
                i = self._backslash(i, end, parts)
            elif char == "'":
                close = self._find("'", i + 1, end)
                parts.append(Text(text=text_of(source[i + 1 : close]), quoted=True))
                i = close + 1
            elif char == '"':
                i = self.double(i + 1, end, parts)
            elif char == "$" and source.startswith("$'", i):
                i = self._ansi(i + 2, end, parts)
            elif char == "$" and source.startswith('$"', i):
                i = self.double(i + 2, end, parts)
            elif char in "$`":
                i = self.dollar(i, end, parts, False)
            elif char in "<>" and source.startswith("(", i + 1):
                script, i = self.nested(i, "process_substitution")
                parts.append(Process(script=script, write=char == ">"))
            else:
                break
        return tuple(parts), i

    def heredoc(self, start: int, end: int, *, literal: bool) -> Word:
        """The text of a here document as one quoted word."""
        parts: list[Part] = []
        if literal:
            parts.append(Text(text=text_of(self.source[start:end]), quoted=True))
        else:
            self.literal_quotes = True
            try:
                self._inside(start, end, parts, "")
            finally:
                self.literal_quotes = False
        return Word(parts=tuple(parts), start=start, end=end, plain=_plain(tuple(parts)))

    def loose(self, start: int, end: int) -> tuple[Word, ...]:
        """Words of `[[ … ]]`, where operators are just more words."""
        words: list[Word] = []
        i = start
        while i < end:
            char = self.source[i]
            if char in " \t\n" or (char in ";|&<>()" and not self.source.startswith(("<(", ">("), i)):
                i += 1
            else:
                parts, stop = self.scan(i, end)
                if stop == i:
                    raise Misparse("bytes in a test that are no word")
                words.append(Word(parts=parts, start=i, end=stop, plain=_plain(parts)))
                i = stop
        return tuple(words)

    def _find(self, what: str, i: int, end: int) -> int:
        close = self.source.find(what, i, end)
        if close < 0:
            raise Misparse("quote without an end")
        return close

    def _backslash(self, i: int, end: int, parts: list[Part]) -> int:
        if i + 1 >= end:
            raise Misparse("backslash at the end of a word")
        char = self.source[i + 1]
        if char != "\n":
            stop = i + 2
            while stop < end and self.source[stop] >= "\x80" and char >= "\x80":
                stop += 1  # the rest of one character in UTF-8
            parts.append(Text(text=text_of(self.source[i + 1 : stop]), quoted=True))
            return stop
        return i + 2

    def double(self, i: int, end: int, parts: list[Part]) -> int:
        """Double-quoted text, from after the quote."""
        before = len(parts)
        i = self._inside(i, end, parts, '"')
        if len(parts) == before:
            parts.append(Text(text="", quoted=True))
        return i

    def _inside(self, i: int, end: int, parts: list[Part], close: str) -> int:
        """Double-quoted text up to `close`, or to `end` when `close` is empty."""
        source = self.source
        run = _IN_DOUBLE[close]
        while i < end:
            char = source[i]
            if match := run.match(source, i, end):
                parts.append(Text(text=text_of(match[0]), quoted=True))
                i = match.end()
            elif char == close:
                return i + 1
            elif char == "\\":
                following = source[i + 1 : i + 2]
                special = following != "" and following in ('$`"\\\n' if close else "$`\\\n")
                if following != "\n":
                    parts.append(Text(text=following if special else "\\", quoted=True))
                i += 2 if special else 1
            else:
                i = self.dollar(i, end, parts, True)
        if close:
            raise Misparse("quote without an end")
        return i

    def _ansi(self, i: int, end: int, parts: list[Part]) -> int:
        stop = i
        while stop < end and self.source[stop] != "'":
            stop += 2 if self.source[stop] == "\\" else 1
        if stop >= end:
            raise Misparse("quote without an end")
        raw = self.source[i:stop]
        if re.search(r"\\(?:c|x\{|0{1,3}(?![0-7])|x00?(?![0-9a-fA-F])|u0{1,4}(?![0-9a-fA-F])|U0)", raw):
            raise Misparse("control or NUL escape in a word")  # bash versions differ, or the word ends at the NUL
        data = _ESCAPE.sub(_unescape, raw)
        parts.append(Text(text=text_of(data), quoted=True))
        return stop + 1

    def dollar(self, i: int, end: int, parts: list[Part], quoted: bool) -> int:
        """An expansion or a substitution."""
        source = self.source
        if source[i] == "`":
            return self._backtick(i, end, parts, quoted)
        if source.startswith("$((", i):
            return self._arithmetic(i, end, parts, quoted)
        if source.startswith("$(", i):
            script, stop = self.nested(i, "command_substitution")
            parts.append(Command(script=script, quoted=quoted))
            return stop
        if source.startswith("$[", i):
            raise Misparse("old arithmetic")
        if match := _BRACED.match(source, i, end):
            parts.append(Param(name=match[1], quoted=quoted))
            return match.end()
        if source.startswith("${", i):
            return self._expansion(i, end, parts, quoted)
        if match := _NAME.match(source, i + 1, end):
            if _CONTINUED.match(source, match.end(), end) and match[0][0] not in "0123456789@*#?$!-":
                raise Misparse("a name that goes on in the next line")
            bare = not quoted and (match[0][0].isalpha() or match[0][0] == "_")
            parts.append(Param(name=match[0], quoted=quoted, bare=bare))
            return match.end()
        if source.startswith("\\\n", i + 1):
            raise Misparse("an expansion that goes on in the next line")
        parts.append(Text(text="$", quoted=quoted))
        return i + 1

    def _backtick(self, i: int, end: int, parts: list[Part], quoted: bool) -> int:
        stop = i + 1
        while stop < end and self.source[stop] != "`":
            stop += 2 if self.source[stop] == "\\" else 1
        if stop >= end:
            raise Misparse("backtick without an end")
        inner = re.sub(r'\\([$`\\"])' if quoted else r"\\([$`\\])", r"\1", self.source[i + 1 : stop])
        parts.append(Command(script=self.reparse(inner), quoted=quoted))
        return stop + 1

    def _expansion(self, i: int, end: int, parts: list[Part], quoted: bool) -> int:
        """`${…}` with an operator: worked out where literal, otherwise unknown with what it runs and sets."""
        found = braced(self, i, end, quoted, arithmetic_names)
        if found is not None:
            parts.append(found[0])
            return found[1]
        scripts: list[Script] = []
        assigns: list[str] = []
        stop = self._braces(i, end, scripts, assigns)
        subscript = re.match(r"\$\{[!#]?[A-Za-z_][A-Za-z0-9_]*\[([^\]]*)\]", self.source[i:stop])
        if subscript and not re.fullmatch(r"[0-9]+|@|\*", subscript[1]):
            raise Misparse("computed subscript")
        if re.match(r"\$\{!|\$\{[^}]*@[A-Za-z]\}", self.source[i:stop]):
            raise Misparse("indirection or transformation, which may run code")
        if re.search(r"\$\{[A-Za-z_0-9@*]+:[^-=+?]", self.source[i:stop]) and not re.fullmatch(
            r"\$\{[A-Za-z_0-9@*]+:[ ]?-?[0-9]+(?::-?[0-9]+)?\}", self.source[i:stop]
        ):
            raise Misparse("computed substring")
        names = tuple(dict.fromkeys(_MENTIONED.findall(self.source[i:stop])))
        parts.append(Computed(quoted=quoted, names=names, scripts=tuple(scripts), assigns=tuple(assigns)))
        return stop

    def _braces(self, i: int, end: int, scripts: list[Script], assigns: list[str]) -> int:
        source = self.source
        if match := _ASSIGNING.match(source, i, end):
            assigns.append(match[1])
        i += 2
        while i < end:
            char = source[i]
            if match := _INSIDE_BRACES.match(source, i, end):
                i = match.end()
            elif char == '"':
                inside: list[Part] = []
                i = self._inside(i + 1, end, inside, '"')
                scripts.extend(part.script for part in inside if isinstance(part, Command))
                for part in inside:
                    if isinstance(part, Computed):
                        scripts.extend(part.scripts)
                        assigns.extend(part.assigns)
            elif char == "}":
                return i + 1
            elif source.startswith("${", i):
                i = self._braces(i, end, scripts, assigns)
            elif source.startswith("$((", i):
                i = self._sum(i, end, assigns)
            elif source.startswith("$(", i):
                script, i = self.nested(i, "command_substitution")
                scripts.append(script)
            elif char == "$":
                i += 1
            else:
                raise Misparse("expansion that is not modelled")
        raise Misparse("expansion without an end")

    def _sum(self, i: int, end: int, assigns: list[str]) -> int:
        computed, stop = self.arithmetic(i + 3, end)
        if computed.parts:
            raise Misparse("expansion that is not modelled")
        assigns.extend(computed.assigns)
        return stop

    def _arithmetic(self, i: int, end: int, parts: list[Part], quoted: bool) -> int:
        """`$(( … ))` of names, numbers and operators, and of expansions and substitutions."""
        found, stop = self.arithmetic(i + 3, end, quoted=quoted)
        parts.append(found)
        return stop

    def arithmetic(self, i: int, end: int, *, quoted: bool = False, clauses: bool = False) -> tuple[Computed, int]:
        """An expression that begins at an offset, and where the two parentheses at its end have been passed.

        Args:
            i: offset behind the two parentheses at its beginning.
            end: where the text ends.
            quoted: it stands in double quotes.
            clauses: it is several expressions with semicolons between them.
        """
        depth, stop = 2, i
        parts: list[Part] = []
        text: list[str] = []
        begun = i
        while stop < end and depth:
            match = _ARITHMETIC.match(self.source, stop, end) or _BRACED.match(self.source, stop, end)
            if match is not None:
                stop = match.end()
            elif self.source.startswith(("$(", "${"), stop):
                text += [self.source[begun:stop], f"__part{len(parts)}__"]
                stop = begun = self._operand(stop, end, parts)
            else:
                depth = depth if clauses and self.source[stop] in ";\n" else self._parenthesis(stop, depth)
                stop += 1 if depth else 2
        if depth:
            raise Misparse("arithmetic without an end")
        if parts and "__part" in self.source[i:stop]:
            raise Misparse("arithmetic that is not modelled")
        whole = "".join((*text, self.source[begun : stop - 2]))
        names, assigns = arithmetic_names(whole)
        holes = {f"__part{index}__" for index in range(len(parts))}
        if holes & set(assigns):
            raise Misparse("arithmetic that is not modelled")
        names = tuple(name for name in names if name not in holes)
        found = Computed(quoted=quoted, number=True, text=whole, names=names, assigns=assigns, parts=tuple(parts))
        return found, stop

    def subscript(self, i: int, end: int) -> tuple[Subscript, int] | None:
        """A subscript that holds expansions, and the offset of the bracket behind it; None if it is of another kind."""
        parts: list[Part] = []
        text: list[str] = []
        stop = i
        if self.source.startswith('"$', i) and not self.literal_quotes:
            stop = self.dollar(i + 1, end, parts, True) + 1
            text.append("__part0__")
            if not self.source.startswith('"]', stop - 1):
                return None
        while stop < end and not self.source.startswith("]", stop):
            match = _SUBSCRIPT.match(self.source, stop, end)
            if match is None and not self.source.startswith(("$(", "${"), stop):
                return None
            text.append(match[0] if match is not None else f"__part{len(parts)}__")
            stop = match.end() if match is not None else self._operand(stop, end, parts, begun=i)
        if not parts or stop >= end or "__part" in self.source[i:stop]:
            return None
        whole = "".join(text)
        names = tuple(name for name in arithmetic_names(whole)[0] if not name.startswith("__part"))
        return Subscript(whole, tuple(parts), names), stop

    def _parenthesis(self, i: int, depth: int) -> int:
        """How deep in parentheses an expression is behind the character at an offset; 0 where it ends."""
        char = self.source[i]
        if char == "(":
            return depth + 1
        if char == ")" and depth == 2 and self.source.startswith("))", i):
            return 0
        if char == ")" and depth > 2:
            return depth - 1
        if char != "$" or self.source.startswith("$[", i):
            raise Misparse("arithmetic that is not modelled")
        return depth

    def _operand(self, i: int, end: int, parts: list[Part], *, begun: int = -1) -> int:
        """An expansion or a substitution in arithmetic, which stands for one number; at `begun` nothing precedes it."""
        stop = self.dollar(i, end, parts, True)
        sets = isinstance(parts[-1], Computed) and parts[-1].assigns
        based = _BASE.search(self.source[max(i - 4, 0) : i]) is not None  # `10#$(date +%m)`
        if sets or (i != begun and not based and _WORD.match(self.source[i - 1])) or _WORD.match(self.source, stop):
            raise Misparse("arithmetic that is not modelled")
        return stop


def _unescape(match: re.Match[str]) -> str:
    body = match[1]
    if body[0] == "x" and len(body) > 1:
        return chr(int(body[1:], 16))
    if body[0] in "uU" and len(body) > 1:
        number = int(body[1:], 16)
        return chr(number).encode("utf-8", "surrogatepass").decode("latin-1") if number < 0x110000 else "?"
    if body[0] in "01234567":
        return chr(int(body, 8) & 255)
    return _CONTROL.get(body, body if body in "\\'\"?" else "\\" + body)


def _add(parts: list[Part], text: str) -> None:
    """Characters that are not quoted; where a line goes on in the next one, they are one text with those before."""
    last = parts[-1] if parts else None
    if isinstance(last, Text) and not last.quoted:
        parts[-1] = Text(text=last.text + text)
    else:
        parts.append(Text(text=text))


def _plain(parts: tuple[Part, ...]) -> str | None:
    """The value of a word in which nothing is expanded."""
    pieces: list[str] = []
    for part in parts:
        if not isinstance(part, Text) or (not part.quoted and any(c in part.text for c in "*?[{~")):
            return None
        pieces.append(part.text)
    return "".join(pieces)
