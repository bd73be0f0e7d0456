"""`read`, `mapfile` and `getopts`, and what they leave of an input that is known for the commands after them.

Not concerned with loops: `_loops` walks the lines of a `while read`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from guardrail.effects.catalogue._options import Parsed, parse_options
from guardrail.effects.catalogue._spec import specs
from guardrail.effects.domain._environment import set_variable
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import MAX_TEXT, NOTHING, TOP, Field, Stream, Value, is_known, merge
from guardrail.effects.shell._expansion import MAX_ITEMS, array
from guardrail.effects.shell._letters import next_letter
from guardrail.model import Resource
from guardrail.parse.ir import (
    AndOr,
    Arithmetic,
    Block,
    Case,
    Command,
    Computed,
    Expansion,
    For,
    Function,
    Group,
    If,
    Loop,
    Negated,
    Part,
    Pipeline,
    Process,
    Redirect,
    Redirected,
    Simple,
    Statement,
    Test,
    Text,
    Word,
)
from guardrail.patterns import lazy

if TYPE_CHECKING:
    from guardrail.effects.domain._call import Call

_NAME: Final = lazy(r"[A-Za-z_][A-Za-z0-9_]*")
_FOLLOWED: Final = frozenset(("-r", "-s", "-e", "-p", "-t", "-a"))
_PLAIN_READ: Final = frozenset(("-r", "-d"))
_NON_READERS: Final = frozenset(
    "echo printf true false : test [ cd pwd export local declare typeset readonly unset set shift return break "
    "continue exit cp mv rm mkdir rmdir touch ln chmod chown chgrp stat ls basename dirname realpath readlink sleep "
    "date seq umask kill wait trap let hash type shopt truncate install id uname hostname whoami which du df "
    "sha256sum md5sum shred mktemp".split()
)
"""Commands that leave their input alone, the digests as long as they name a file."""


_DRAINERS: Final = frozenset(
    "aws base64 cat convert curl cut docker gh git grep gzip gunzip jq kubectl magick nl pandoc paste psql rev rsync "
    "scp sort ssh tac tar tee tr uniq wc wget zip".split()
)
"""Commands that read all of their input if they read any of it."""


class Draining:
    """Names of functions, for which commands that read all or nothing count as such that leave their input alone."""

    def __init__(self, functions: Container[str]) -> None:
        self.functions = functions

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.functions


def read(call: Call) -> Stream:
    """`read`, `mapfile`, `getopts`: the variables named get what is read."""
    frozen = [name for name, letters in call.state.traits.items() if "r" in letters]
    if any(field.text in frozen for field in call.args):
        # It stops at a variable that cannot be assigned to.
        before = call.state.copy()
        out = _read(call)
        call.state.assume(call.state.join(before))
        return out
    return _read(call)


def _read(call: Call) -> Stream:
    if call.name == "getopts":
        return _option(call)
    parsed = parse_options(specs()["read" if call.name == "read" else "mapfile"], call.args)
    outputs = [_callback(call, field) for _, role, field in parsed.values if role == "shell"]
    out = Stream(sources=merge(outputs[0].sources, call.stdin.sources)) if outputs else NOTHING
    if _known(call, parsed):
        return out
    names = [*parsed.operands, *(field for _, _, field in parsed.values if _NAME.fullmatch(field.text))]
    if parsed.unknown or not all(field.known and _NAME.fullmatch(field.text) for field in parsed.operands):
        call.state.forget()
        return call.opaque("dynamic", reason="the variable that is read is not known")
    sources = merge(call.stdin.sources, call.state.opened)
    plural = call.name != "read" or parsed.has("-a")
    value = Value(sources=sources, plural=plural)
    for field in names or [Field(text="REPLY")]:
        set_variable(call.shell, call.state, field.text, value)
    for name in ("REPLY", "MAPFILE"):
        call.state.put(name, value)
    return out


def _option(call: Call) -> Stream:
    """`getopts OPTIONS NAME`: the next option of the positional parameters, or of the words that follow."""
    words = call.args
    if len(words) < 2 or not words[1].known or not _NAME.fullmatch(words[1].text) or any(f.many for f in words[:2]):
        call.state.forget()
        return call.opaque("dynamic", reason="the variable that is read is not known")
    sources = merge(call.state.handed, tuple(source for field in words for source in field.sources))
    found = next_letter(call.state, words[0].text) if len(words) == len(("OPTIONS", "NAME")) else None
    if found is None:
        for name in (words[1].text, "OPTARG"):
            set_variable(call.shell, call.state, name, Value(sources=sources))
        call.state.vars.pop("OPTIND", None)  # it is a number
        return NOTHING
    value = Value(sources=sources) if found.value is None else Value(alternatives=(found.value,), sources=sources)
    set_variable(call.shell, call.state, "OPTARG", value)
    set_variable(call.shell, call.state, words[1].text, Value(alternatives=(found.name,), sources=sources))
    set_variable(call.shell, call.state, "OPTIND", Value(alternatives=(str(found.index),)))
    return NOTHING


def _callback(call: Call, field: Field) -> Stream:
    """`mapfile -C TEXT`: run every so many lines, with an index and the line added, in this very shell."""
    if not field.known:
        call.shell.dynamic("the callback of mapfile is not known", call.span)
        return NOTHING
    line = Stream(sources=call.stdin.sources, connected=True)
    with call.perhaps():
        ok, bad, out = call.shell.run_here(f"{field.text} 0 line", call.state.copy(), line)
    call.state.assume(call.state.join(ok).join(bad))
    return out


def _known(call: Call, parsed: Parsed) -> bool:
    """Assign from an input that is known; False if it has to be anything."""
    text = call.stdin.text
    names = [field.text for field in parsed.operands]
    if text is None and call.stdin.listed and len(names) == 1 and _listed(call, parsed, names[0]):
        return True
    if text is None or parsed.unknown or not all(map(_NAME.fullmatch, names)) or _named(parsed.operands):
        return False
    if call.name != "read":
        return _mapped(call, parsed, names, text)
    if not parsed.flags <= _FOLLOWED or (parsed.has("-a") and names):
        return False
    line = text.partition("\n")[0]
    separators = separators_of(call.state)
    if separators is None or "\0" in line or ("\\" in line and not parsed.has("-r")):
        return False
    array_name = parsed.value("-a")
    if array_name is not None:
        words = split_fields(line, separators, MAX_ITEMS)
        if words is None or not _NAME.fullmatch(array_name.text):
            return False
        items = tuple((str(index), word) for index, word in enumerate(words))
        set_variable(call.shell, call.state, array_name.text, array(items, call.stdin.sources))
        return True
    values: Sequence[str] | None = [line] if not names else split_fields(line, separators, len(names))
    if values is None:
        return False
    for index, name in enumerate(names or ["REPLY"]):
        value = Value(alternatives=(values[index] if index < len(values) else "",), sources=call.stdin.sources)
        set_variable(call.shell, call.state, name, call.state.scalar(name, value))
    return True


def _listed(call: Call, parsed: Parsed, name: str) -> bool:
    """Assign from an input of which it is known what each line is."""
    listed = call.stdin.listed
    if parsed.unknown or not _NAME.fullmatch(name):
        return False
    if call.name == "read" and parsed.flags <= _PLAIN_READ:
        if call.shell.traps or call.state.traits:
            listed = (*listed, "")
        else:
            # Where there is no further line the variable is empty.
            call.failed = call.state.copy()
            call.failed.put(name, call.failed.scalar(name, Value(alternatives=("",), sources=call.stdin.sources)))
        value = Value(alternatives=listed, sources=call.stdin.sources)
        set_variable(call.shell, call.state, name, call.state.scalar(name, value))
        return True
    if call.name != "read" and parsed.flags == {"-t"}:
        value = Value(sources=call.stdin.sources, plural=True, each=listed)
        set_variable(call.shell, call.state, name, value)
        return True
    return False


def _named(fields: Sequence[Field]) -> bool:
    return not all(field.known for field in fields)


def _mapped(call: Call, parsed: Parsed, names: Sequence[str], text: str) -> bool:
    """`mapfile -t NAME` of known lines."""
    if parsed.flags - {"-t"} or len(names) > 1 or text.count("\n") > MAX_ITEMS or "\0" in text:
        return False
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    kept = [line.rstrip("\n") if parsed.has("-t") else line for line in lines]
    items = tuple((str(index), line) for index, line in enumerate(kept))
    set_variable(call.shell, call.state, names[0] if names else "MAPFILE", array(items, call.stdin.sources))
    return True


def separators_of(state: State) -> str | None:
    """What `read` splits at; None if it is not known."""
    value = state.vars.get("IFS")
    if value is None:
        return " \t\n" if state.ifs else None
    text = value.alternatives[0] if len(value.alternatives) == 1 else TOP
    return text if is_known(text) else None


def split_fields(line: str, separators: str, most: int) -> list[str] | None:
    """At most `most` fields of a line; None where the rules for separators that are no blanks get intricate."""
    if separators == "":
        return [line]
    if all(char in " \t\n" for char in separators):
        line = line.strip(separators)
        found: list[str] = []
        while line and len(found) < most - 1:
            match = re.match(rf"([^{re.escape(separators)}]*)[{re.escape(separators)}]*", line)
            if match is None:
                return None
            found.append(match[1])
            line = line[match.end() :]
        return [*found, line] if line else found
    if len(separators) != 1 or line.endswith(separators):
        return None
    return line.split(separators, most - 1) if line else []


def file_text(call: Call, fields: Sequence[Field]) -> str | None:
    """What some files hold one after the other, if it can be read now and this call did not change them."""
    found: list[str] = []
    for field in fields:
        path = call.place(field).path if field.known else None
        if path is None or path.startswith(("/dev/", "/proc/")) or not call.shell.contents.sure(path):
            return None
        data = call.shell.contents.read(path, MAX_TEXT)
        if data is None:
            return None
        found.append(data.decode("utf-8", "surrogateescape"))
    text = "".join(found)
    return text if len(text) <= MAX_TEXT else None


# -- what is left of an input


def consumed(statement: Statement, stdin: Stream, functions: Container[str]) -> Stream:
    """The input for what stands after a statement: what it read is gone, and how much that was may not be known."""
    if stdin.text is None or not reads(statement, functions):
        return stdin
    if (
        isinstance(statement, Simple)
        and _reads_a_line(statement)
        and not _nested_reads(statement, functions)
        and "read" not in functions
    ):
        return Stream(
            text=stdin.text.partition("\n")[2],
            sources=stdin.sources,
            names=stdin.names,
            flow=stdin.flow,
            connected=True,
        )
    return unread(stdin)


def unread(stdin: Stream) -> Stream:
    """An input of which some part is gone."""
    if stdin.text is None:
        return stdin
    return Stream(sources=stdin.sources, names=stdin.names, flow=stdin.flow, connected=True)


def _reads_a_line(statement: Simple) -> bool:
    words = [word.plain for word in statement.words]
    options = [word for word in words if word is None or word[:1] == "-"]
    return words[:1] == ["read"] and all(option == "-r" for option in options)


def reads(statement: Statement, functions: Container[str]) -> bool:
    """Whether a statement may take something from its standard input, where functions of these names may be defined."""
    if isinstance(statement, Simple):
        if _nested_reads(statement, functions):
            return True
        if _has_own(statement.redirects) or not statement.words:
            return False
        plain = [word.plain for word in statement.words]
        name = plain[0] if plain[0] is not None or statement.words[0].parts != _BRACKET else "["
        left = name in _NON_READERS or (isinstance(functions, Draining) and _drains(plain))
        left = left and str(name) not in functions
        return not left or (str(name).endswith("sum") and len(plain) < 2)
    look = _LOOKS.get(type(statement))
    return look is None or look(statement, functions)


_BRACKET: Final = (Text(text="["),)
"""A bracket, which could begin a pattern."""


def _drains(words: Sequence[str | None]) -> bool:
    stops = words[0] == "grep" and any(_SOME.match(word or "") for word in words)
    return words[0] in _DRAINERS and not stops


_SOME: Final = lazy(r"-[a-zA-Z]*[mqlL]|--(?:max|quiet|silent|files)")
"""Options with which `grep` stops somewhere, and may leave its input there."""


def _redirected_reads(statement: Redirected, functions: Container[str]) -> bool:
    targets = [redirect.target for redirect in statement.redirects if redirect.target is not None]
    own = _has_own(statement.redirects)
    return _words_read(targets, functions) or (not own and reads(statement.body, functions))


_LOOKS: Final[Mapping[type, Callable[[Any, Container[str]], bool]]] = {
    Function: lambda _one, _functions: False,
    Test: lambda one, functions: _words_read(one.words, functions),
    Arithmetic: lambda one, functions: _parts_read(one.parts, functions),
    Group: lambda one, functions: reads_any(one.body, functions),
    Negated: lambda one, functions: reads(one.body, functions),
    Redirected: _redirected_reads,
    Pipeline: lambda one, functions: reads(one.stages[0], functions),
    AndOr: lambda one, functions: reads_any((one.first, *(right for _, right in one.rest)), functions),
    If: lambda one, functions: reads_any(
        (*(part for pair in one.branches for block in pair for part in block), *(one.otherwise or ())), functions
    ),
    For: lambda one, functions: one.select or _words_read(one.words or (), functions) or reads_any(one.body, functions),
    Loop: lambda one, functions: _parts_read(one.parts, functions) or reads_any((*one.condition, *one.body), functions),
    Case: lambda one, functions: (
        _words_read((one.word, *(word for item in one.items for word in item[0])), functions)
        or any(reads_any(body, functions) for _, body, _ in one.items)
    ),
}
"""Whether a compound statement may take something from its standard input; any other may."""


def reads_any(block: Block, functions: Container[str]) -> bool:
    """Whether any statement of a block may take something from its standard input."""
    return any(reads(statement, functions) for statement in block)


def _has_own(redirects: Sequence[Redirect]) -> bool:
    return any(redirect.op in ("<", "<<", "<<<") and redirect.fd in (None, 0) for redirect in redirects)


def _nested_reads(statement: Simple, functions: Container[str]) -> bool:
    """A substitution in a word, an assignment or a redirection reads what the command would."""
    words = [*statement.words, *(redirect.target for redirect in statement.redirects if redirect.target is not None)]
    for one in statement.assigns:
        words += [one.value, *(word for _, word in one.array or ())]
    return _words_read(words, functions) or any(_parts_read(one.parts, functions) for one in statement.assigns)


def _words_read(words: Iterable[Word], functions: Container[str]) -> bool:
    return any(word.plain is None and _parts_read(word.parts, functions) for word in words)


def _parts_read(parts: Iterable[Part], functions: Container[str]) -> bool:
    for part in parts:
        if isinstance(part, Command | Process):
            if reads_any(part.script.body, functions):
                return True
        elif isinstance(part, Expansion):
            words = [word for word in (part.arg, part.other) if word is not None]
            if _words_read(words, functions) or _parts_read(part.parts, functions):
                return True
        elif isinstance(part, Computed) and (
            any(reads_any(script.body, functions) for script in part.scripts) or _parts_read(part.parts, functions)
        ):
            return True
    return False


def line_reader(block: Block, functions: Container[str]) -> Simple | None:
    """The `read` that is the whole condition of a loop; None for any other condition."""
    if len(block) != 1 or "read" in functions:
        return None
    statement = block[0]
    if isinstance(statement, AndOr) and all(
        _looks(right) and not reads(right, functions) for _, right in statement.rest
    ):
        statement = statement.first  # `read -r l || [ -n "$l" ]`
    if not isinstance(statement, Simple) or not _reads_a_line(statement) or statement.redirects:
        return None
    return None if _nested_reads(statement, functions) else statement


def _looks(statement: Statement) -> bool:
    return isinstance(statement, Test) or (
        isinstance(statement, Simple) and bool(statement.words) and statement.words[0].plain in ("[", "test", "true")
    )


def lines_of(stdin: Stream) -> tuple[list[str] | None, tuple[Resource, ...]]:
    """The lines of an input, None if they are not known."""
    if stdin.text is None or "\0" in stdin.text:
        return None, stdin.sources
    return re.findall(r"[^\n]*\n|[^\n]+", stdin.text), stdin.sources
