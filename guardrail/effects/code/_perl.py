"""Whether a Perl one-liner does nothing but compute and print.

Not concerned with what it means. It is read token by token, as Perl does it: what is a pattern and what a division
hangs on what stands before, and where that could be either, the program is not read. Texts and patterns may hold code,
and are looked into.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from guardrail.effects.code._tokens import Unread
from guardrail.patterns import lazy

_OPERATORS: Final = frozenset(
    "print printf say if unless else elsif for foreach while until and or not xor x eq ne lt gt le ge cmp split join "
    "push unshift map grep my our local return sprintf die warn".split()
)
"""Words that an operand follows, so that a slash behind them begins a pattern."""

_WORDS: Final = _OPERATORS | frozenset(
    "pop shift scalar length substr index rindex uc lc ucfirst lcfirst reverse sort keys values each exists defined "
    "delete chomp chop abs int sqrt hex oct ord chr wantarray END BEGIN STDIN STDOUT STDERR next last undef "
    "redo exit eof close time localtime gmtime log exp sin cos rand srand quotemeta splice ref sleep "
    "floor ceil fmod pow strftime sum sum0 min max first shuffle uniq any all none product minstr maxstr reduce "
    "Dumper looks_like_number encode_json decode_json".split()
)
_INFIX: Final = frozenset("if unless while until for foreach and or xor x eq ne lt gt le ge cmp".split())
_ALONE: Final = frozenset("time wantarray END BEGIN STDIN STDOUT STDERR next last redo else".split())
"""Words that take nothing, so that what follows may be an operator."""

_MODULES: Final = (
    r"(?:strict|warnings|utf8|feature|POSIX|List::Util|Scalar::Util|Data::Dumper|Time::HiRes|JSON::PP|integer)"
)
_USE: Final = lazy(rf"use\s+{_MODULES}(?:\s+(?:qw\([\w\s]*\)|'\w+'|\"\w+\"))?\s*;")
_JSON: Final = lazy(
    r"JSON::PP->new(?:->(?:pretty|canonical|utf8|indent|latin1|ascii|allow_nonref))*->(?:encode|decode)(?=\()"
)
_OPEN: Final = lazy(
    r"open\s*+\(?\s*+(?:my\s*+)?\$[a-z]\w*+\s*+,\s*+(['\"])<(?::encoding\([\w-]+\)|:utf8)?\1\s*+,\s*+"
    r"(['\"])(?P<path>[\w./+-][\w./ +-]*)\2(?=\s*(?:\)|;|or\b|\|\|))"
)
_LOOP: Final = lazy(r"\bfor(?:each)?\s+(?:my\s+)?\$[A-Za-z_]\w*\s*\Z")
_SPACE: Final = lazy(r"\s+")
_COMMENT: Final = lazy(r"#[^\n]*")
_KEY: Final = lazy(r"-?[A-Za-z_]\w*+(?=\s*+=>)")
_SUBSCRIPTS: Final = lazy(r"(?:->)?[\[{]")
_SUBSCRIPT_KEY: Final = lazy(r"\s*+-?[A-Za-z_]\w*+\s*+\}")
_SCALAR: Final = lazy(r"\$(?P<last>#)?(?P<name>[A-Za-z_]\w*|\d+)|\$[&.,/\\!@\";|+](?![A-Za-z_{])")
_ARRAY: Final = lazy(r"[@%](?P<name>[A-Za-z_]\w*)")
_RESERVED: Final = frozenset("INC SIG ISA EXPORT STDIN STDOUT STDERR DATA ARGVOUT BEGIN END main CORE".split())
_WORD: Final = lazy(r"[A-Za-z_]\w*")
_TIMES: Final = lazy(r"x\d+")
_NUMBER: Final = lazy(r"0[xb][0-9a-fA-F]+|(?:\d[\d_]*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?(?![\w])")
_TEXT: Final = lazy(r"'(?:[^'\\]|\\.)*'|\"(?P<in>(?:[^\"\\]|\\.)*)\"", re.DOTALL)
_QUOTE: Final = lazy(r"(?P<name>qw|qq|q|qr|m|s|tr|y)(?P<mark>[/|!{(,:#\[])")
_SIGN: Final = lazy(
    r"<=>|\*\*=?|=~|!~|==|!=|<=|>=|=>|&&=?|\|\|=?|//=?|\.\.\.?|\+\+|--|<<=?|>>=?|[-+*/%.&|^x]=(?!=)|[-+*/%.&|^<>=!~?:;,(){}\[\]]"
)
_READS: Final = lazy(r"<(?P<from>|STDIN|\$[a-z]\w*)>")
_MAGIC: Final = lazy(r"\(\?[?p]?\{|\(\*+\{|\\N\{")
_INSIDE: Final = lazy(
    r"\\.|\$\{[A-Za-z_]\w*\}(?![\[{]|->[\[{])|@[A-Za-z_]\w*\[\d+(?:\.\.(?:\d+|\$#[A-Za-z]\w*)|(?:,\d+)*)\]"
    r"|\$(?:[A-Za-z_]\w*|\d+|[&.,!@;](?![\[{\w]))(?P<first>\[(?:-?\d+|\$[a-z_]\w*)\]|\{(?:[A-Za-z_]\w*|\$\w+)\})?"
    r"(?P<more>(?:->)?[\[{])?|@[A-Za-z_]\w*(?P<slice>[\[{])?|(?P<odd>[$@])",
    re.DOTALL,
)
_CLOSES: Final = {"{": "}", "(": ")", "[": "]"}


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What a program that only computes and prints reads.

    Args:
        files: the files that it names.
        arguments: it reads the files that it is handed.
        environment: it looks at the environment.
    """

    files: tuple[str, ...] = ()
    arguments: bool = False
    environment: bool = False


def read_program(code: str, *, loops: bool, strict: bool) -> Program:
    """Read a Perl program.

    Args:
        code: its text.
        loops: it is run on each line of the files that it is handed.
        strict: texts are no names of variables in it.

    Raises:
        Unread: if it does more than compute and print, or that is not certain.
    """
    if re.search(r"(?m)^=[A-Za-z]", code):
        raise Unread("documentation")
    reader = _Reader(code)
    reader.read()
    arguments = loops or reader.arguments
    strict = strict or re.match(r"\s*use\s+strict\s*;", code) is not None
    # Without `strict`, a text may be the name of the array of files, and a file may be a command.
    if arguments and (reader.changes_arguments or (reader.derefs and not strict)):
        raise Unread("files that are chosen by the program")
    return Program(files=tuple(reader.files), arguments=arguments, environment="ENV" in code)


class _Reader:
    """Walks a program; `operand` says that a value is due, `either` that it is not certain."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.at = 0
        self.operand = True
        self.either = False
        self.open: list[tuple[str, bool]] = []  # the bracket, and whether it is a subscript
        self.subscripted = False  # a subscript has just been closed
        self.variable = False  # a variable has just been read
        self.taking = False  # the last word takes a list, so that `%` begins the name of one
        self.files: list[str] = []
        self.arguments = False
        self.changes_arguments = False
        self.derefs = False

    def read(self) -> None:
        while self.at < len(self.code):
            self._one()
        # `-e '}{ … '` closes the loop that `-n` opens.
        if any(bracket != "{" for bracket, _ in self.open):
            raise Unread("a bracket that is not closed")

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.code, self.at)
        if match is not None:
            self.at = match.end()
        return match

    def _value(self, *, variable: bool = False, subscripted: bool = False, either: bool = False) -> None:
        self.operand, self.either, self.variable, self.subscripted = False, either, variable, subscripted
        self.taking = False

    def _due(self) -> None:
        self.operand, self.either, self.variable, self.subscripted = True, False, False, False
        self.taking = False

    def _one(self) -> None:
        if self._match(_SPACE) or self._match(_COMMENT):
            return
        char = self.code[self.at]
        if (self.variable or self.subscripted) and self._match(_SUBSCRIPTS):
            self._subscript()
        elif char == "$":
            self._scalar()
        elif char in "'\"":
            self._text()
        elif char.isalpha() or char == "_":
            self._word()
        elif self._match(_NUMBER):
            self._value()
        elif char in "@%</" and (self.operand or self.either):
            {"@": self._array, "%": self._array, "<": self._line, "/": self._slash}[char]()
        elif match := self._match(_SIGN):
            self._sign(match[0])
        else:
            raise Unread("a sign that is not known")

    # -- variables

    def _scalar(self) -> None:
        if not self.operand and not self.either:
            raise Unread("two values")
        match = self._match(_SCALAR)
        if match is None or self.code.startswith("::", self.at):
            raise Unread("a variable that is not known")
        self._named(match["name"] or "", list_=self.code[self.at :].lstrip()[:1] == "[" or bool(match["last"]))
        self._value(variable=not match["last"])

    def _array(self) -> None:
        match = self._match(_ARRAY)
        if match is None or (self.either and not self.taking) or self.code.startswith("::", self.at):
            raise Unread("a list that is not known")
        self._named(match["name"], list_=True)
        self._value(variable=True)

    def _named(self, name: str, *, list_: bool) -> None:
        if name in _RESERVED or self.code.startswith("'", self.at):
            raise Unread("a variable with a meaning of its own")
        self.changes_arguments = self.changes_arguments or (name == "ARGV" and list_)

    def _subscript(self) -> None:
        bracket = self.code[self.at - 1]
        # A second subscript follows a reference.
        self.derefs = self.derefs or self.subscripted or self.code.startswith("->", self.at - 3)
        if bracket == "{" and self._match(_SUBSCRIPT_KEY):
            self._value(subscripted=True)
            return
        self.open.append((bracket, True))
        self._due()

    # -- texts and patterns

    def _text(self) -> None:
        if not self.operand and not self.either:
            raise Unread("two values")
        match = self._match(_TEXT)
        if match is None:
            raise Unread("a text that is not closed")
        if match["in"] is not None:
            self._look_into(match["in"])
        self._value()

    def _look_into(self, text: str) -> None:
        """A text may hold variables with plain subscripts."""
        for match in _INSIDE.finditer(text):
            if match["odd"] or match["more"] or match["slice"]:
                raise Unread("code in a text")

    def _look_into_pattern(self, text: str) -> None:
        if _MAGIC.search(text):
            raise Unread("code in a pattern")
        # A dollar before the end or a bracket says where.
        self._look_into(re.sub(r"(?<!\\)\$(?=$|[)|\n])", "", text))

    def _line(self) -> None:
        match = self._match(_READS)
        if match is None or self.either:
            raise Unread("a file that is not known")
        # A handle may be named by a text, and that of the arguments too.
        self.arguments = self.arguments or match["from"] != "STDIN"
        self._value()

    def _slash(self) -> None:
        if self.either:
            raise Unread("a slash that may begin a pattern")
        self.at += 1
        self._look_into_pattern(self._until("/"))
        self._flags("gimsxoruncpdal")
        self._value()

    def _until(self, close: str) -> str:
        """The text up to an end; a bracket of the same kind inside is not read."""
        begin = self.at
        opening = {end: start for start, end in _CLOSES.items()}.get(close)
        while self.at < len(self.code):
            char = self.code[self.at]
            if char == close:
                self.at += 1
                return self.code[begin : self.at - 1]
            if char == opening:
                raise Unread("brackets in brackets")
            self.at += 2 if char == "\\" else 1
        raise Unread("a text that is not closed")

    def _flags(self, known: str) -> str:
        match = re.compile(r"[a-z]*").match(self.code, self.at)
        flags = match[0] if match is not None else ""
        if set(flags) - set(known):
            raise Unread("flags that are not known")
        self.at += len(flags)
        return flags

    def _quote(self, match: re.Match[str]) -> None:
        if not self.operand or self.either:
            raise Unread("two values")
        self.at = match.end()
        name, mark = match["name"], match["mark"]
        close = _CLOSES.get(mark, mark)
        first = self._until(close)
        if name in ("s", "tr", "y"):
            self._exchange(name, first, mark)
        elif name in ("qq", "m", "qr"):
            self._look_into(first) if name == "qq" else self._look_into_pattern(first)
            if name != "qq":
                self._flags("gimsxoncpdalu")
        self._value()

    def _exchange(self, name: str, first: str, mark: str) -> None:
        if mark in _CLOSES:
            self._match(_SPACE)
            if self.code[self.at : self.at + 1] != mark:
                raise Unread("two kinds of brackets")
            self.at += 1
        second = self._until(_CLOSES.get(mark, mark))
        if name != "s":
            self._flags("cdsr")
            return
        flags = self._flags("gimsxoeruncpdal")
        self._look_into_pattern(first)
        if "e" not in flags:
            self._look_into(second)
        elif flags.count("e") > 1 or "\\" in second:
            raise Unread("code that is made")
        else:
            inner = _Reader(second)
            inner.read()
            if inner.open or inner.files:
                raise Unread("code that is not whole")
            self.arguments = self.arguments or inner.arguments
            self.derefs = self.derefs or inner.derefs
            self.changes_arguments = self.changes_arguments or inner.changes_arguments

    # -- words and signs

    def _word(self) -> None:
        if self._match(_KEY):
            self._value()
            return
        if self.operand and not self.either and (self._match(_USE) or self._special()):
            return
        quote = _QUOTE.match(self.code, self.at)
        if quote is not None and (self.operand or self.either):
            self._quote(quote)
            return
        if not self.operand and self._match(_TIMES):
            self._value()
            return
        match = self._match(_WORD)
        name = match[0] if match is not None else ""
        if name not in _WORDS or self.code.startswith(("::", "'"), self.at):
            raise Unread("a word that is not known")
        if re.match(r"\s*(?:=>|->)", self.code[self.at :]):
            raise Unread("a class, or a name for itself")
        if not self.operand and not self.either and name not in _INFIX:
            raise Unread("two values")
        if name in _OPERATORS:
            self._due()
        else:
            self._value(either=True)
            self.taking = name not in _ALONE

    def _special(self) -> bool:
        if match := self._match(_OPEN):
            # The bracket of a call that is left open here is closed as any other.
            self.open += [("(", False)] * match[0].count("(", 0, match[0].index("$"))
            self.files.append(match["path"])
            self._value()
            return True
        if self._match(_JSON):
            self._value(either=True)
            return True
        return False

    def _sign(self, text: str) -> None:
        if text in ("(", "[", "{"):
            if text == "(" and self.variable and _LOOP.search(self.code[max(self.at - 80, 0) : self.at - 1]):
                self._due()
            slice_ = text == "[" and self.code[: self.at - 1].rstrip().endswith(")")
            if not self.operand and not self.either and text != "{" and not slice_:
                raise Unread("a call that is not known")
            self.open.append((text, False))
            self._due()
        elif text in (")", "]", "}"):
            self._close(text)
        elif text in ("++", "--"):
            pass
        elif (self.operand or self.either) and text in ("&", "*", "&&", "**", "<<", "%", "<<=", "->", "?"):
            if not self.either or text not in ("&&", "?"):
                raise Unread("a name of a function or a file")
            self._due()
        elif text == "-" and (self.operand or self.either) and self.code[self.at : self.at + 1].isalpha():
            raise Unread("a question about a file")
        elif text == "-" and self.code.startswith(">", self.at):
            raise Unread("a reference")
        else:
            self._due()

    def _close(self, text: str) -> None:
        bracket, subscript = self.open.pop() if self.open else ("{", False)
        if _CLOSES[bracket] != text:
            raise Unread("a bracket that was not opened")
        self._value(subscripted=subscript, either=text == "}" and not subscript)


def perl_files(codes: Sequence[str], *, loops: bool, strict: bool) -> Program | None:
    """What a program given in parts reads; None if it may do more."""
    try:
        return read_program("\n".join(codes), loops=loops, strict=strict)
    except (Unread, RecursionError):
        return None
