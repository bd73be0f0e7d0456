"""What an awk program writes, reads and runs, worked out from its tokens.

Not concerned with values of fields: a name made of them is any text. Variables are followed where they are set once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from guardrail.effects.commands._awk_tokens import KEYWORDS, Token, arguments, closing, ending
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import MAX_SAID, NUM, TOP, Field, Stream, merge
from guardrail.model import Resource
from guardrail.patterns import lazy

MAX_PROGRAM: Final = 16 * 1024
"""Longest awk program that is looked into, and longest text that is followed through its variables, in characters."""


MAX_DEPTH: Final = 32
"""Most variables of which each is made of the next."""


_SETTING: Final = frozenset(("=", "+=", "-=", "*=", "/=", "%=", "^=", "**=", "++", "--"))
_STARTS: Final = frozenset(("(", ",", "!", "&&", "||", "?", ":", "=", "=="))

_COUNTERS: Final = frozenset(("NR", "FNR", "NF", "RSTART", "RLENGTH"))
_COUNTS: Final = frozenset(("int", "length", "index", "match", "systime", "rand", "srand"))
_INTEGER: Final = lazy(r"%[-+ 0]*+\d*+[di]")
_NUMBER: Final = lazy(r"-?\d+")


class Program:
    """An awk program as it will run for one call.

    Args:
        call: the command.
        words: the program's tokens.
        given: variables that the command line sets.
        sources: whose content the program sees.
    """

    __slots__ = (
        "_closes", "_depth", "_ends", "_formatted", "_numbers", "_setting", "_starts", "_unclear", "_uncounted",
        "_values", "call", "given", "out", "sources", "words",
    )  # fmt: skip

    def __init__(
        self, call: Call, words: Sequence[Token], given: Mapping[str, str], sources: tuple[Resource, ...]
    ) -> None:
        self.call = call
        self.words = words
        self.given = given
        self.sources = sources
        self.out = sources
        self._closes = closing(words)
        self._ends = ending(words, self._closes)
        self._setting = arguments(words, self._closes)
        self._starts: dict[str, list[int]] = {}  # where what is assigned to a variable begins
        self._unclear: set[str] = set()  # variables that are set to what is not followed
        self._numbers: set[str] = set()  # variables that are counted with
        self._uncounted: set[str] = set()  # variables that may hold something else than a number
        self._values: dict[str, str | None] = {}
        self._depth = 0
        # How a number is written may be said by a text.
        self._formatted = "CONVFMT" in given or any(token.text == "CONVFMT" for token in words)
        self._find_settings()

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
            elif token.sort == "name" and token.text == "ARGV" and not self._is_looked_at(index):
                self.call.opaque("dynamic", reason="an awk program that chooses its own files")
            elif token.sort == "name" and token.text in ("ENVIRON", "PROCINFO", "SYMTAB"):
                self.out = merge(self.out, self.call.state.contents())
                if token.text == "SYMTAB":
                    self.call.opaque("dynamic", reason="an awk program that sets variables by name")
                elif token.text == "ENVIRON" and not self._is_looked_at(index):
                    self.call.opaque("dynamic", reason="an awk program that changes the environment of what it runs")

    # -- words

    def _close(self, start: int) -> int:
        """Where the bracket ends that opens at `start`; there itself, if none does."""
        return self._closes.get(start, start)

    def _end(self, start: int) -> int:
        """Where the simple statement ends."""
        return self._ends[start] if start < len(self._ends) else len(self.words)

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
            elif token.sort in ("name", "number") and token.text not in KEYWORDS:
                text += self._word(index)
                if self._indexed(index):
                    index = self._close(index + 1)
            elif token.sort == "mark" and token.text == "$":
                text += TOP
                index = self._close(index + 1)
            else:
                return TOP
            if len(text) > MAX_PROGRAM:
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
        if self._formatted or name in self._uncounted or not _NUMBER.fullmatch(self.given.get(name, "0")):
            return False
        return name in _COUNTERS or name in self._numbers or name in self.given

    def _indexed(self, index: int) -> bool:
        """An element of an array, or a call."""
        following = self.words[index + 1] if index + 1 < len(self.words) else Token("end", "")
        return following.sort == "mark" and following.text in ("[", "(")

    def _text_at(self, index: int) -> str:
        """The mark, or the name, that stands there; empty if nothing does."""
        found = 0 <= index < len(self.words) and self.words[index].sort != "text"
        return self.words[index].text if found else ""

    def _is_looked_at(self, index: int) -> bool:
        """The array, or an element of it, is only asked what it holds."""
        before, after = self._text_at(index - 1), index + 1
        if self._text_at(after) != "[":
            return before == "in" or (before == "(" and self._text_at(index - 2) == "length")
        behind = self._text_at(self._close(after) + 1)
        changed = behind in _SETTING or before in ("++", "--", "getline")
        return not changed and not self._in_call(index)

    def _value(self, name: str) -> str | None:
        """What a variable holds, if it is set once and in what it is set to only counters are not literal."""
        if name not in self._values:
            self._values[name] = None  # while it is worked out: nothing is known of what is made of itself
            self._values[name] = self._worked_out(name)
        return self._values[name]

    def _worked_out(self, name: str) -> str | None:
        if name in self._unclear or self._depth >= MAX_DEPTH:
            return None
        starts = self._starts.get(name, ())
        self._depth += 1
        assigned = {self._joined(start, self._end(start)) if start < self._end(start) else TOP for start in starts}
        self._depth -= 1
        if any(TOP in text for text in assigned):
            return None
        held = assigned | ({self.given[name]} if name in self.given else set[str]())
        return next(iter(held)) if len(held) == 1 else None

    def _find_settings(self) -> None:
        """Where each variable is set, and which of them count something."""
        for index, token in enumerate(self.words):
            if token.sort != "name":
                continue
            name, before, after = token.text, self._text_at(index - 1), self._text_at(index + 1)
            if after == "=":
                self._starts.setdefault(name, []).append(index + 2)
                (self._numbers if self._is_number_at(index + 2) else self._uncounted).add(name)
            elif before in ("++", "--") or after in _SETTING:
                self._unclear.add(name)
                self._numbers.add(name)
            elif before == "getline" or self._in_call(index):
                self._unclear.add(name)
                self._uncounted.add(name)
            elif after in ("in", "[", "("):
                self._uncounted.add(name)

    def _is_number_at(self, index: int) -> bool:
        """A number stands there and ends the statement."""
        value = self.words[index : index + 2]
        return bool(value) and value[0].sort == "number" and (len(value) == 1 or value[1].sort == "end")

    def _in_call(self, index: int) -> bool:
        """The word may be set by what it is an argument of: `sub`, a function's own parameter, `for (x in y)`."""
        if index not in self._setting:
            return False
        index -= 1
        while self._text_at(index) == "\n":
            index -= 1  # a line goes on behind a comma
        return self._text_at(index) in ("(", ",")

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
        with call.perhaps():
            said = tuple(token.text for token in self.words if token.sort == "text" and TOP not in token.text)[
                :MAX_SAID
            ]
            out = Stream(sources=self.out, connected=True, said=said)
            inner = out if writes else Stream(sources=call.stdin.sources)
            out = call.shell.run_text(text, call.state.copy(), inner)[2]
            self.out = merge(self.out, out.sources)

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
            if token.sort == "name" and token.text == "getline":
                break  # the output of what is read there
            if token.sort == "end" and depth == 0:
                break
            if token.sort == "mark":
                depth += token.text in (")", "]")
                depth -= token.text in ("(", "[")
                if depth < 0 or (depth == 0 and token.text in _STARTS):
                    break
            index -= 1
        return index + 1
