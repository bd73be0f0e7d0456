"""What a sed script makes of a text, for scripts of substitutions, deletions and inserted lines.

Not concerned with scripts that do more (`n`, `N`, hold space, branches, files): they raise `Unclear`.
Facts are those of GNU sed 4.9.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from guardrail.effects.keys._regex import Dialect, Expand, Regex, Unclear, replacement, substitute, translate
from guardrail.patterns import lazy

MAX_LINES: Final = 20_000
"""Most lines of a text that a script is applied to."""

MAX_COMMANDS: Final = 64
"""Most commands of one script."""

_NUMBER = lazy(r"\d{1,7}")
_FLAGS = lazy(r"[gpiI0-9]*")
_BLANKS = lazy(r"[ \t]*")
_ENDS: Final = " \t\n;}"
_SPECIAL: Final = r".*[]^$+?(){}|\&"


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """One end of a range of lines: a number, the last, an expression, or so many further on."""

    number: int | None = None
    last: bool = False
    regex: Regex | None = None
    step: int | None = None
    plus: bool = False


class Command(msgspec.Struct, kw_only=True):
    """One command; `active` and `until` are the state of its range while a text is walked."""

    name: str
    first: Address | None = None
    second: Address | None = None
    negate: bool = False
    regex: Regex | None = None
    expand: Expand | None = None
    every: bool = False
    nth: int = 1
    shows: bool = False
    text: str = ""
    table: dict[int, int] = {}
    body: list[Command] = []
    active: bool = False
    until: int = 0


def run(script: Sequence[str], text: str, *, extended: bool, quiet: bool, in_place: bool) -> str:
    """Apply a script to one text.

    Args:
        script: the scripts given, each as with `-e`.
        text: the file.
        extended: expressions are written as with `-E`.
        quiet: nothing is printed unless the script says so.
        in_place: the result takes the place of the file.

    Returns:
        What sed prints, or writes back.

    Raises:
        Unclear: if that is not certain.
    """
    commands = _Parser("\n".join(script), "extended" if extended else "basic").parse()
    _check_ranges(commands, every_line=True)
    lines = text.split("\n")
    ended = lines[-1] == ""
    if ended:
        lines.pop()
    if len(lines) > MAX_LINES:
        raise Unclear("too many lines")
    runner = _Runner(len(lines), quiet=quiet, in_place=in_place, ended=ended)
    for number, line in enumerate(lines, 1):
        if not runner.cycle(commands, number, line):
            break
    return "".join(runner.out)


def _check_ranges(commands: Sequence[Command], *, every_line: bool) -> bool:
    """A range that does not see every line may begin and end elsewhere; returns whether all commands see each line."""
    for command in commands:
        if command.second is not None and not every_line:
            raise Unclear("a range after a command that ends the cycle, or in a block")
        if command.name == "{":
            _check_ranges(command.body, every_line=False)
            every_line = every_line and not any(inner.name in "dc{" for inner in command.body)
        every_line = every_line and command.name not in "dc"
    return every_line


def parses(script: Sequence[str], *, extended: bool) -> bool:
    """Whether a script holds nothing but commands that only edit, as far as it is understood."""
    try:
        _Parser("\n".join(script), "extended" if extended else "basic").parse()
    except (Unclear, RecursionError):
        return False
    return True


class _Runner:
    """One text, line by line."""

    def __init__(self, total: int, *, quiet: bool, in_place: bool, ended: bool) -> None:
        self.total, self.quiet, self.in_place, self.ended = total, quiet, in_place, ended
        self.out: list[str] = []
        self.open = False  # the last line that was printed has no newline yet
        self.late: list[str] = []

    def say(self, line: str, *, newline: bool = True) -> None:
        if self.open:
            self.out.append("\n")
        self.out.append(line + "\n" if newline else line)
        self.open = not newline

    def cycle(self, commands: Sequence[Command], number: int, line: str) -> bool:
        """One line; False after `q`."""
        self.late = []
        whole = self.ended or number < self.total
        kept, goes_on = self._apply(commands, number, [line], whole)
        if kept is not None and not self.quiet:
            self.say(kept, newline=whole)
        for text in self.late:
            self.say(text)
        return goes_on

    def _apply(self, commands: Sequence[Command], number: int, cell: list[str], whole: bool) -> tuple[str | None, bool]:
        for command in commands:
            if self._selected(command, number, cell[0]) == command.negate:
                continue
            name = command.name
            if name == "{":
                kept, goes_on = self._apply(command.body, number, cell, whole)
                if kept is None or not goes_on:
                    return kept, goes_on
            elif name in "dc":
                if name == "c" and not (command.active and command.second is not None and not command.negate):
                    self.say(command.text)
                return None, True
            elif name == "q":
                if self.in_place or not whole:
                    raise Unclear("`q` in place, or on a last line without its newline")
                return cell[0], False
            else:
                self._edit(command, cell, whole)
        return cell[0], True

    def _edit(self, command: Command, cell: list[str], whole: bool) -> None:
        if command.name == "s" and command.regex is not None and command.expand is not None:
            cell[0], done = substitute(cell[0], command.regex, command.expand, every=command.every, nth=command.nth)
            if done and command.shows:
                self.say(cell[0], newline=whole)
        elif command.name == "y":
            cell[0] = cell[0].translate(command.table)
        elif command.name == "p":
            self.say(cell[0], newline=whole)
        elif command.name == "i":
            self.say(command.text)
        else:
            self.late.append(command.text)

    def _selected(self, command: Command, number: int, line: str) -> bool:
        first, second = command.first, command.second
        if first is None:
            return True
        if second is None:
            return self._at(first, number, line)
        if command.active:
            return self._goes_on(command, second, number, line)
        zero = first.number == 0
        if zero and number == 1:
            command.active = True
            return self._goes_on(command, second, number, line)
        if zero or not self._at(first, number, line):
            return False
        if second.plus and second.number is not None:
            command.until = number + second.number
            command.active = command.until > number
        elif second.number is not None:
            command.until = second.number
            command.active = second.number > number
        else:
            command.active = not (second.last and number == self.total)
        return True

    def _goes_on(self, command: Command, second: Address, number: int, line: str) -> bool:
        if second.regex is not None:
            command.active = second.regex.search(line) is None
        elif second.last:
            command.active = number < self.total
        else:
            command.active = number < command.until
            return number <= command.until
        return True

    def _at(self, address: Address, number: int, line: str) -> bool:
        if address.regex is not None:
            return address.regex.search(line) is not None
        if address.last:
            return number == self.total
        if address.step:
            return number >= (address.number or 0) and (number - (address.number or 0)) % address.step == 0
        return number == address.number


class _Parser:
    """Reads a script."""

    def __init__(self, text: str, dialect: Dialect) -> None:
        self.text = text
        self.dialect: Dialect = dialect
        self.at = 0
        self.count = 0

    def parse(self) -> list[Command]:
        commands = self._block(top=True)
        if self.at < len(self.text):
            raise Unclear("a brace that was not opened")
        return commands

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return match[0] if match else ""

    def _block(self, *, top: bool) -> list[Command]:
        commands: list[Command] = []
        while True:
            while self._peek() and self._peek() in " \t\n;":
                self.at += 1
            if not self._peek():
                if not top:
                    raise Unclear("a brace that is not closed")
                return commands
            if self._peek() == "}":
                if top:
                    raise Unclear("a brace that was not opened")
                self.at += 1
                return commands
            if self._peek() == "#":
                self._comment()
                continue
            commands.append(self._command())

    def _comment(self) -> None:
        if self.at == 0 and self.text.startswith("#n"):
            raise Unclear("`#n`")
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end

    def _command(self) -> Command:
        self.count += 1
        if self.count > MAX_COMMANDS:
            raise Unclear("too many commands")
        first = self._address()
        second = None
        self._skip(_BLANKS)
        if first is not None and self._peek() == ",":
            self.at += 1
            self._skip(_BLANKS)
            second = self._address(second=True)
            if second is None:
                raise Unclear("half a range")
        if first is not None and first.number == 0 and first.step is None and (second is None or second.regex is None):
            raise Unclear("line 0")
        self._skip(_BLANKS)
        negate = self._peek() == "!"
        if negate:
            self.at += 1
            self._skip(_BLANKS)
        name = self._peek()
        self.at += 1
        command = Command(name=name, first=first, second=second, negate=negate)
        reader = _READERS.get(name)
        if reader is None:
            raise Unclear(f"command `{name}`")
        reader(self, command)
        return command

    def _address(self, *, second: bool = False) -> Address | None:
        char = self._peek()
        if char.isdigit():
            number = int(self._skip(_NUMBER))
            if self._peek() == "~" and not second:
                self.at += 1
                return Address(number=number, step=int(self._skip(_NUMBER) or "0"))
            return Address(number=number)
        if char == "$":
            self.at += 1
            return Address(last=True)
        if char == "+" and second:
            self.at += 1
            return Address(number=int(self._skip(_NUMBER) or "0"), plus=True)
        if char in ("/", "\\") and char:
            self.at += 1 if char == "/" else 2
            delimiter = "/" if char == "/" else self.text[self.at - 1 : self.at]
            source = self._until(delimiter)
            ignore = self._peek() == "I"
            self.at += ignore
            return Address(regex=translate(source, self.dialect, ignore_case=ignore))
        return None

    def _until(self, delimiter: str, *, regex: bool = True) -> str:
        """Text up to the delimiter; an escaped delimiter is one without its meaning."""
        if not delimiter or delimiter in "\n\\":
            raise Unclear("a delimiter")
        out: list[str] = []
        while True:
            char = self._peek()
            if not char or (char == "\n" and regex):
                raise Unclear("a part that is not closed")
            self.at += 1
            if char == delimiter:
                return "".join(out)
            if char == "\\":
                following = self._peek()
                self.at += 1
                if following == delimiter:
                    if delimiter in _SPECIAL or delimiter.isalnum():
                        raise Unclear("an escaped delimiter that means something")
                    out.append(delimiter)
                    continue
                char += following
            out.append(char)

    def _end(self) -> None:
        self._skip(_BLANKS)
        if self._peek() and self._peek() not in _ENDS and self._peek() != "#":
            raise Unclear("more after a command")

    def substitution(self, command: Command) -> None:
        delimiter = self._peek()
        self.at += 1
        source = self._until(delimiter)
        text = self._until(delimiter, regex=False)
        flags = self._skip(_FLAGS)
        self._end()
        numbers = re.findall(r"\d+", flags)
        if len(numbers) > 1 or numbers == ["0"] or flags.count("g") > 1 or flags.count("p") > 1:
            raise Unclear("flags")
        command.regex = translate(source, self.dialect, ignore_case="i" in flags.lower())
        command.expand = replacement(text, command.regex)
        command.every, command.shows = "g" in flags, "p" in flags
        command.nth = int(numbers[0]) if numbers else 1

    def transliteration(self, command: Command) -> None:
        delimiter = self._peek()
        self.at += 1
        left, right = self._until(delimiter), self._until(delimiter)
        self._end()
        if "\\" in left + right or len(left) != len(right) or not (left + right).isascii():
            raise Unclear("a table of characters")
        # The first of two entries for one character counts.
        command.table = {ord(a): ord(b) for a, b in reversed(list(zip(left, right, strict=True)))}

    def inserted(self, command: Command) -> None:
        if command.negate and command.name == "c":
            raise Unclear("`c` on all other lines")
        self._skip(_BLANKS)
        if self.text.startswith("\\\n", self.at):
            self.at += 2
        elif self._peek() == "\\":
            self.at += 1
            if self._peek() not in (" ", "\t"):
                raise Unclear("text after a backslash")
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        command.text = self.text[self.at : end]
        self.at = end
        if "\\" in command.text or not command.text:
            raise Unclear("text with escapes")

    def plain(self, command: Command) -> None:
        if command.name == "q" and command.second is not None:
            raise Unclear("`q` with a range")
        self._end()

    def block(self, command: Command) -> None:
        command.body = self._block(top=False)
        self._end()


_READERS: Final[dict[str, Callable[[_Parser, Command], None]]] = {
    "s": _Parser.substitution,
    "y": _Parser.transliteration,
    "a": _Parser.inserted,
    "i": _Parser.inserted,
    "c": _Parser.inserted,
    "d": _Parser.plain,
    "p": _Parser.plain,
    "q": _Parser.plain,
    "{": _Parser.block,
}
