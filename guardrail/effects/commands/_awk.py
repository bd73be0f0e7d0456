"""awk: what its program text writes, reads and runs, worked out from its tokens.

Not concerned with values of fields: a name made of them is any text. Variables are followed where they are set once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import MAX_SAID, NOTHING, NUM, TOP, Field, Stream, merge
from guardrail.effects.keys._lines import awk_text
from guardrail.model import Edit, Resource

MAX_PROGRAM: Final = 16 * 1024
"""Longest awk program that is looked into, in characters."""

Sort = Literal["text", "regex", "name", "number", "mark", "end"]


class Token(msgspec.Struct, frozen=True, gc=False):
    """One token of an awk program; of a text, its value."""

    sort: Sort
    text: str


_TOKEN = re.compile(
    r'(?P<blank>[ \t\r]+|\\\n|#[^\n]*)|(?P<end>\n|;|\}|\{)|(?P<text>"(?:[^"\\\n]|\\.)*")'
    r"|(?P<name>[A-Za-z_]\w*(?:::\w+)?)"
    r"|(?P<number>\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)"
    r"|(?P<mark>\|&|>>|\|\||&&|[-+*/%^=!<>]=|\*\*=?|\+\+|--|[-+*/%^!<>|?:,$()~=\[\]@&])",
    re.DOTALL,
)
_REGEX = re.compile(r"/(?:[^/\\\n\[]|\\.|\[\^?\]?(?:\[:\w+:\]|\\.|[^\]\\\n])*\])*/")
_BEFORE_REGEX: Final = frozenset("( , ! ~ && || ? : = == != < > <= >= += -= | |& >> + - * % ^ [".split())
_ESCAPES: Final = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "/": "/"}
_SETTING: Final = frozenset(("=", "+=", "-=", "*=", "/=", "%=", "^=", "**=", "++", "--"))
_STARTS: Final = frozenset(("(", ",", "!", "&&", "||", "?", ":", "=", "=="))
_INPLACE: Final = frozenset(("inplace", "inplace.awk"))
_COUNTERS: Final = frozenset(("NR", "FNR", "NF", "RSTART", "RLENGTH"))
_COUNTS: Final = frozenset(("int", "length", "index", "match", "systime", "rand", "srand"))
_INTEGER: Final = re.compile(r"%[-+ 0]*\d*[di]")
_NUMBER: Final = re.compile(r"-?\d+")
_KEYWORDS: Final = frozenset(("print", "printf", "return", "in", "else", "do", "getline", "case", "exit"))


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
            found.append(Token("text", _unescaped(match[0][1:-1])))
        elif sort != "blank":
            found.append(Token(sort, match[0]))  # type: ignore[arg-type]  # the groups are the sorts
    return found


def _may_be_regex(found: Sequence[Token]) -> bool:
    if not found or found[-1].sort == "end":
        return True
    last = found[-1]
    return last.text in _BEFORE_REGEX if last.sort == "mark" else last.text in _KEYWORDS and last.sort == "name"


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        return _ESCAPES.get(match[1], TOP)

    return re.sub(r"\\(.)", one, text, flags=re.DOTALL)


class Program:
    """An awk program as it will run for one call.

    Args:
        call: the command.
        words: the program's tokens.
        given: variables that the command line sets.
        sources: whose content the program sees.
    """

    __slots__ = ("_following", "call", "given", "out", "sources", "words")

    def __init__(
        self, call: Call, words: Sequence[Token], given: Mapping[str, str], sources: tuple[Resource, ...]
    ) -> None:
        self.call = call
        self.words = words
        self.given = given
        self.sources = sources
        self.out = sources
        self._following: set[str] = set()  # variables whose values are being worked out

    def run(self) -> None:
        """Effects of every statement, in the order of the text: reads first, as their content may go anywhere."""
        for index, token in enumerate(self.words):
            if token.text == "getline" and token.sort == "name":
                self._getline(index)
        for index, token in enumerate(self.words):
            if token.sort == "name" and token.text in ("print", "printf"):
                self._print(index)
            elif token.sort == "name" and token.text == "system":
                self._command(self._joined(index + 1, self._close(index + 1)), writes=False)
            elif token.sort == "mark" and token.text == "@":
                self.call.opaque("inline", reason="an awk program that loads or calls what is not in it")
            elif token.sort == "name" and token.text == "ARGV" and self._is_set(index):
                self.call.opaque("dynamic", reason="an awk program that chooses its own files")
            elif token.sort == "name" and token.text in ("ENVIRON", "PROCINFO", "SYMTAB"):
                self.out = merge(self.out, self.call.state.contents())
                if token.text == "SYMTAB":
                    self.call.opaque("dynamic", reason="an awk program that sets variables by name")

    # -- words

    def _close(self, start: int) -> int:
        """Where the bracket ends that opens at `start`."""
        depth = 0
        for index in range(start, len(self.words)):
            text = self.words[index].text if self.words[index].sort == "mark" else ""
            depth += (text in ("(", "[")) - (text in (")", "]"))
            if depth <= 0:
                return index
        return len(self.words)

    def _end(self, start: int) -> int:
        """Where the simple statement ends."""
        index = start
        while index < len(self.words):
            token = self.words[index]
            if token.sort == "mark" and token.text in ("(", "["):
                index = self._close(index)
            elif token.sort == "end":
                # A line goes on after a comma or an operator.
                before = self.words[index - 1]
                if token.text != "\n" or before.sort != "mark" or before.text not in (",", "&&", "||", "|"):
                    return index
            elif token.sort == "mark" and token.text == ")":
                return index
            index += 1
        return index

    def _joined(self, start: int, end: int) -> str:
        """A concatenation as text; what is not literal is any text, and so is all of any other expression."""
        text = ""
        index = start
        while index < end:
            token = self.words[index]
            if token.sort == "text":
                text += token.text
            elif token.sort == "mark" and (token.text in ("(", ")") or self._counting(index)):
                pass
            elif token.sort in ("name", "number") and token.text not in _KEYWORDS:
                text += self._word(index)
                if self._indexed(index):
                    index = self._close(index + 1)
            elif token.sort == "mark" and token.text == "$":
                text += TOP
                index = self._close(index + 1)
            else:
                return TOP
            index += 1
        return re.sub(f"{TOP}+", TOP, text)

    def _counting(self, index: int) -> bool:
        """`++` and `--` beside a counter."""
        beside = (self.words[at] for at in (index - 1, index + 1) if 0 <= at < len(self.words))
        named = [token for token in beside if token.sort == "name"]
        return self.words[index].text in ("++", "--") and any(self._is_number(token.text) for token in named)

    def _word(self, index: int) -> str:
        """A number, a variable, an element or a call, as text."""
        token = self.words[index]
        if token.sort == "number":
            return NUM
        if not self._indexed(index):
            known = self._value(token.text)
            return known if known is not None else NUM if self._is_number(token.text) else TOP
        first = self.words[index + 2] if index + 2 < len(self.words) else Token("end", "")
        if token.text == "sprintf" and first.sort == "text" and self.words[index + 1].text == "(":
            told = _INTEGER.sub(NUM, first.text)
            return TOP if "%" in told else told
        return NUM if token.text in _COUNTS and self.words[index + 1].text == "(" else TOP

    def _is_number(self, name: str) -> bool:
        """Whether a variable surely holds a number, or nothing: it counts something."""
        counts = name in _COUNTERS
        if "CONVFMT" in self.given or any(token.text == "CONVFMT" for token in self.words):
            return False  # how a number is written is said by a text
        if name in self.given:
            if not _NUMBER.fullmatch(self.given[name]):
                return False
            counts = True
        for index, token in enumerate(self.words):
            if token.sort != "name" or token.text != name:
                continue
            after = self.words[index + 1] if index + 1 < len(self.words) else Token("end", "")
            before = self.words[index - 1] if index else Token("end", "")
            if before.text in ("++", "--") or (after.sort == "mark" and after.text in _SETTING - {"="}):
                counts = True
            elif after.sort == "mark" and after.text == "=":
                value = self.words[index + 2 : index + 4]
                if not value or value[0].sort != "number" or (len(value) > 1 and value[1].sort != "end"):
                    return False
                counts = True
            elif before.text == "getline" or after.text in ("in", "[", "("):
                return False
            elif before.text in ("(", ",") and before.sort == "mark" and self._in_call(index):
                return False  # sub, gsub, a function's parameter
        return counts

    def _indexed(self, index: int) -> bool:
        """An element of an array, or a call."""
        following = self.words[index + 1] if index + 1 < len(self.words) else Token("end", "")
        return following.sort == "mark" and following.text in ("[", "(")

    def _is_set(self, index: int) -> bool:
        after = index + 1
        if after < len(self.words) and self.words[after].text == "[":
            after = self._close(after) + 1
        return after < len(self.words) and self.words[after].text in _SETTING

    def _value(self, name: str) -> str | None:
        """What a variable holds, if it is set once and to a literal."""
        values = [self.given[name]] if name in self.given else []
        for index, token in enumerate(self.words):
            if token.sort != "name" or token.text != name:
                continue
            after = self.words[index + 1] if index + 1 < len(self.words) else Token("end", "")
            before = self.words[index - 1] if index else Token("end", "")
            if after.text == "=" and after.sort == "mark":
                text = self._assigned(name, index + 2)
                if text is None:
                    return None
                values.append(text)
            elif (after.text in _SETTING and after.sort == "mark") or before.text in ("++", "--", "getline"):
                return None
            elif before.text in ("(", ",") and before.sort == "mark" and self._in_call(index):
                return None  # sub, gsub, a function's parameter, `for (x in y)`
        return values[0] if len(set(values)) == 1 else None

    def _assigned(self, name: str, start: int) -> str | None:
        """What is assigned at a place, if only counters in it are not literal."""
        end = self._end(start)
        if end <= start or name in self._following:
            return None
        self._following.add(name)
        text = self._joined(start, end)
        self._following.discard(name)
        return None if TOP in text else text

    def _in_call(self, index: int) -> bool:
        """The word may be set by what it is an argument of."""
        for back in range(index, -1, -1):
            token = self.words[back]
            if token.sort == "end":
                return False
            if token.sort == "name" and token.text in ("sub", "gsub", "gensub", "function", "func", "for", "split"):
                return True
        return False

    # -- effects

    def _print(self, start: int) -> None:
        end = self._end(start + 1)
        index = start + 1
        while index < end:
            token = self.words[index]
            if token.sort == "mark" and token.text in ("(", "["):
                index = self._close(index)
            elif token.sort == "mark" and token.text in (">", ">>"):
                self._write(self._joined(index + 1, end), append=token.text == ">>")
                return
            elif token.sort == "mark" and token.text in ("|", "|&"):
                self._command(self._joined(index + 1, end), writes=True)
                return
            index += 1

    def _write(self, name: str, *, append: bool) -> None:
        if name.startswith("/inet"):
            self.call.put("write", at("tcp", "/".join(name.split("/")[4:])), self.out)
        elif name != "-":
            self.call.put("append" if append else "write", self.call.place(Field(text=name)), self.out)

    def _command(self, text: str, *, writes: bool) -> None:
        call = self.call
        if text.startswith("/inet"):
            call.put("write", at("tcp", "/".join(text.split("/")[4:])), self.out)
            return
        if TOP in text or not text:
            call.opaque("dynamic", reason="an awk program runs a command that is not known")
            return
        call.shell.emit.maybe += 1
        said = tuple(token.text for token in self.words if token.sort == "text" and TOP not in token.text)[:MAX_SAID]
        out = Stream(sources=self.out, connected=True, said=said)
        inner = out if writes else Stream(sources=call.stdin.sources)
        out = call.shell.run_text(text, call.state.copy(), inner)[2]
        self.out = merge(self.out, out.sources)
        call.shell.emit.maybe -= 1

    def _getline(self, index: int) -> None:
        before = self.words[index - 1] if index else None
        if before is not None and before.sort == "mark" and before.text in ("|", "|&"):
            self._command(self._joined(self._begin(index - 1), index - 1), writes=False)
            return
        after = index + 1
        if after < len(self.words) and (self.words[after].sort == "name" or self.words[after].text == "$"):
            after += 1 + (self.words[after].text == "$")
            if after < len(self.words) and self.words[after].text == "[":
                after = self._close(after) + 1
        if after >= len(self.words) or self.words[after].text != "<":
            return
        name = self._primary(after + 1)
        if name.startswith("/inet"):
            self.call.emit("net_recv", at("tcp", "/".join(name.split("/")[4:])))
        elif name != "-":
            self.out = merge(self.out, self.call.read(Field(text=name)))

    def _primary(self, start: int) -> str:
        if start >= len(self.words):
            return TOP
        first = self.words[start]
        end = self._close(start) + 1 if first.text == "(" and first.sort == "mark" else start + 1
        text = self._joined(start, end)
        following = self.words[end] if end < len(self.words) else Token("end", "")
        more = following.sort in ("text", "name", "number") or following.text in ("$", "[")
        return TOP if more else text

    def _begin(self, end: int) -> int:
        """Where the expression begins whose output is read."""
        index = end - 1
        depth = 0
        while index >= 0:
            token = self.words[index]
            if token.sort == "end" and depth == 0:
                break
            if token.sort == "mark":
                depth += token.text in (")", "]")
                depth -= token.text in ("(", "[")
                if depth < 0 or (depth == 0 and token.text in _STARTS):
                    break
            index -= 1
        return index + 1


def _texts(call: Call, parsed: Parsed, operands: list[Field]) -> list[str]:
    """The program's texts; what cannot be looked into is said to be opaque."""
    found: list[str] = []
    files = [*parsed.values_of("--file"), *parsed.values_of("--exec")]
    files.extend(field for field in parsed.values_of("--include") if field.text not in _INPLACE)
    for field in files:
        text = _script(call, field)
        if text is not None:
            found.append(text)
    if parsed.has("--load"):
        call.opaque("inline", reason="an extension of awk")
    words = list(parsed.values_of("--source"))
    if not words and not parsed.has("--file", "--exec") and operands:
        words.append(operands.pop(0))
    for field in words:
        if field.known:
            found.append(field.text)
        else:
            call.opaque("dynamic", reason="the awk program is not known")
    return found


def _script(call: Call, field: Field) -> str | None:
    place = call.place(field)
    if field.text in ("-", "/dev/stdin"):
        if call.stdin.text is None:
            call.opaque("dynamic", reason="the awk program comes from its input")
        return call.stdin.text
    if place.path is None or not field.known:
        call.opaque("dynamic", resource=place, reason="the awk program is not known")
        return None
    data = call.content(place)
    authored = data is None and call.shell.emit.changed(place.path)
    call.shell.emit.opaque(
        "script", place, spec=call.name, span=call.span, attrs={"authored": True} if authored else None
    )
    if authored:
        call.mention(call.args)
        call.mention_input()
    return data.decode("utf-8", "surrogateescape") if data is not None else None


def awk(call: Call, parsed: Parsed) -> Stream:
    """`awk`: a filter, and what its program writes, reads and runs."""
    if parsed.has("--version", "--help"):
        return Stream()
    operands = list(parsed.operands)
    texts = _texts(call, parsed, operands)
    for _, role, field in parsed.values:
        if role == "write":
            call.put("write", call.place(field), ())
    given: dict[str, str] = {}
    sources: tuple[Resource, ...] = ()
    files: list[Field] = []
    for field in [*parsed.values_of("--assign"), *operands]:
        name, equals, value = field.text.partition("=")
        if equals and re.fullmatch(r"[A-Za-z_][\w:]*", name):
            given[name] = TOP if name in given or not field.known else value
        else:
            files.append(field)
            sources = merge(sources, call.read(field, reveals="some"))
    for field in call.args:
        sources = merge(sources, field.sources)
    if not files:
        sources = merge(sources, call.stdin.sources)
    out = sources
    for text in texts:
        out = merge(out, _run(call, text, given, sources))
    plain = texts[0] if len(texts) == 1 and not parsed.unknown and not parsed.values_of("--assign") else None
    if any(field.text in _INPLACE for field in parsed.values_of("--include")):
        _in_place(call, files, plain)
        return NOTHING
    before = call.stdin.text if not files else call.text_of(files[0]) if len(files) == 1 else None
    told = awk_text(plain, before) if plain is not None and parsed.flags <= {"--field-separator"} else None
    return Stream(text=told, sources=out, flow=call.stdin.flow)


def _in_place(call: Call, files: Sequence[Field], program: str | None) -> None:
    """`gawk -i inplace PROGRAM FILE…`: what it prints for a file replaces it."""
    for field in files:
        place = call.place(field)
        data = call.content(place) if field.known and program is not None else None
        text = data.decode("utf-8", "replace") if data is not None else None
        after = awk_text(program, text) if program is not None and text is not None and text.isascii() else None
        call.emit("write", place, edit=Edit(kind="whole", text=after) if after is not None else None)


def _run(call: Call, text: str, given: Mapping[str, str], sources: tuple[Resource, ...]) -> tuple[Resource, ...]:
    words = tokens(text) if len(text) <= MAX_PROGRAM else None
    if words is None:
        call.opaque("inline", reason="an awk program that is not understood")
        call.mention_text(text)
        return ()
    program = Program(call, words, given, sources)
    program.run()
    return program.out


FAMILIES: Final[Mapping[str, Family]] = {"awk": awk}
"""What `code` of a spec may say, for this module."""
