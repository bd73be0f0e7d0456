"""What the interpreter knows: abstract strings, fields, streams and the state of a shell.

A string is text in which TOP stands for any text at all and NUM for a run of digits. The two characters may occur in
a command; they are then read as unknown, which is wider and so still sound.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from guardrail.model import Resource
from guardrail.parse.ir import Statement
from guardrail.patterns import lazy

TOP: Final = "\ufffc"
"""Any text, also none, also with slashes and blanks."""

NUM: Final = "\ufffb"
"""A number: digits, perhaps a sign."""

SLIM: Final = "\ufff6"
"""Right behind TOP: that text is a part of one name, so it holds no slash, and it begins with no dash."""

DEEP: Final = "\ufff5"
"""Right behind TOP: that text is a path that was listed, so it has no `..`, and it begins with no dash."""

FIRM: Final = "\ufff4"
"""Right behind SLIM: that text is one plain word, such as the machine gives: it has nothing in it that a shell reads
otherwise, blanks, wildcards and brackets included. Right behind DEEP: it has no blanks and no wildcards.
"""

NAME: Final = TOP + SLIM
"""Some name, or part of one."""

TOKEN: Final = NAME + FIRM
"""Some plain word, or part of one."""

PATH: Final = TOP + DEEP
"""Some relative path that leads downward."""

REF: Final = PATH + FIRM
"""The name of a version, which may have slashes in it."""

MAX_TEXT: Final = 16 * 1024
"""Longest text of a variable, word or output that is followed, in characters; a longer one is TOP."""

MAX_ALTERNATIVES: Final = 8
"""Most values a variable, or directories a shell, may have at one point; beyond it the value is TOP."""

MAX_VARIANTS: Final = 4
"""Most arrays that one variable may be at one point; beyond it nothing is known of its elements."""

MAX_FLOW: Final = 8
"""Most steps of a flow that are named."""

MAX_SAID: Final = 16
"""Most texts that are followed in one stream whose own text is not known."""

MAX_SOURCES: Final = 64
"""Most resources followed in one stream of data."""

MOVING: Final = frozenset(
    "_ BASH_ARGC BASH_ARGV BASH_COMMAND BASH_LINENO BASH_REMATCH BASH_SOURCE BASH_SUBSHELL BASHPID COLUMNS DIRSTACK "
    "EPOCHREALTIME EPOCHSECONDS FUNCNAME HISTCMD LINENO LINES OLDPWD PIPESTATUS PWD RANDOM SECONDS SRANDOM".split()
)
"""Variables that the shell sets itself: what was assigned to one is not what it holds."""


_MARKED: Final = re.compile(f"[{TOP}{NUM}][{SLIM}{DEEP}]?{FIRM}?")


def starred(text: str) -> str:
    """A text as a part of an address: what is not known in it becomes `*`."""
    return _MARKED.sub("*", text)


def last_of(name: str) -> str:
    """The last name of what has no slash but in a path that was listed."""
    _, deep, rest = name.rpartition(DEEP)
    return NAME + rest.removeprefix(FIRM) if deep else name


def is_loose(text: str) -> bool:
    """Whether a text that is not quoted may be any number of words."""
    return TOP in text and TOP in text.replace(TOKEN, "").replace(REF, "")


_SHAPING: Final = lazy(rf"[$`{{\\~!<>&#][{TOP}{NUM}]|{{[^{{}}]*[{TOP}{NUM}]|[{TOP}{NUM}][{SLIM}{FIRM}]*[(<>{{=\[]")


def is_known(text: str) -> bool:
    """No part of a text is left open."""
    return text.isascii() or (TOP not in text and NUM not in text)


def is_shell_text(text: str) -> bool:
    """Whether a shell text means the same whatever stands for what is not known in it: numbers and plain words."""
    if is_known(text):
        return True
    return TOP not in text.replace(TOKEN, "") and _SHAPING.search(text) is None


class Field(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One word after expansion.

    Args:
        text: its text, quoting removed.
        glob: the same as a glob pattern, when it has active glob characters that match nothing yet.
        many: it may be any number of words, options included.
        outer: what is not known at its beginning is a variable that the call was given and did not set itself.
        named: every word it stands for is the name of a file as a lister gave it, and begins with no dash.
        counted: what is not known in it is such a variable, and by its default it is a number.
        void: of an assignment, the value may also be empty.
        sources: resources whose content is in it.
        span: where it stands in the text.
    """

    text: str
    glob: str | None = None
    many: bool = False
    outer: bool = False
    named: bool = False
    counted: bool = False
    void: bool = False
    sources: tuple[Resource, ...] = ()
    span: tuple[int, int] = (0, 0)

    @property
    def known(self) -> bool:
        """The text is exactly known."""
        text = self.text
        return self.glob is None and not self.many and (text.isascii() or (TOP not in text and NUM not in text))

    def tail(self, offset: int) -> Field:
        """The field without its first `offset` characters."""
        # A glob is rarely inside an option; what stays unknown is wider.
        text = self.text[offset:] if self.glob is None else TOP
        return msgspec.structs.replace(self, text=text, glob=None)


def is_laden(fields: Sequence[Field]) -> bool:
    """Whether any of the words has content of a resource in it."""
    for field in fields:  # no generator: this is asked of every command  # noqa: SIM110
        if field.sources:
            return True
    return False


class Value(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a variable may hold.

    Args:
        alternatives: one of these texts; of an array, its element 0.
        sources: whose content is in it.
        items: keys and texts of an array, all of them; None if it is no array, or not known.
        keyed: the keys are, or may be, texts (`declare -A`).
        declared: they certainly are, so that a subscript is no arithmetic.
        plural: it may be an array with further elements.
        variants: of an array of which `items` are not known, the keys and texts are one of these; () if not known.
        each: of one of which not even the length is known, each element is one of these; () if not known.
    """

    alternatives: tuple[str, ...] = (TOP,)
    sources: tuple[Resource, ...] = ()
    items: tuple[tuple[str, str], ...] | None = None
    keyed: bool = False
    declared: bool = False
    plural: bool = False
    variants: tuple[tuple[tuple[str, str], ...], ...] = ()
    each: tuple[str, ...] = ()


UNKNOWN: Final = Value()
"""A value of which nothing is known."""


class Stream(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Data between commands.

    Args:
        text: exactly what it is, if known.
        sources: resources whose content may be in it.
        names: resources whose names may be in it, such as the output of `find`.
        listed: each line of it, and each word, is one of these, in which NAME and PATH may stand; () if not known.
        table: what is known of the columns of its lines; empty if nothing is.
        flow: how it got here.
        connected: it comes from a pipe, a file or a here document, and not from the call's own standard input.
        said: texts of the call's own that may be in it, or that it was made of, where `text` is not known.
    """

    text: str | None = None
    sources: tuple[Resource, ...] = ()
    names: tuple[Resource, ...] = ()
    listed: tuple[str, ...] = ()
    table: str = ""
    flow: tuple[str, ...] = ()
    connected: bool = False
    said: tuple[str, ...] = ()

    def through(self, step: str) -> Stream:
        """The same data after one more step."""
        return Stream(
            text=self.text,
            sources=self.sources,
            names=self.names,
            listed=self.listed,
            table=self.table,
            flow=(*self.flow, step)[:MAX_FLOW],
            connected=True,
            said=self.said,
        )


def texts_of(stream: Stream) -> tuple[str, ...]:
    """The call's own texts in a stream; what comes out of files is followed by its sources instead."""
    return stream.said if not stream.text or stream.sources else (*stream.said, stream.text)[:MAX_SAID]


def words_listed(stream: Stream) -> list[Field] | None:
    """The words that an output becomes, any number of each; None if they are not known."""
    if stream.text is not None or not stream.listed:
        return None
    return [Field(text=text, many=True, named=True, sources=stream.sources) for text in stream.listed if text]


NOTHING: Final = Stream(text="")
"""No output."""

SOMETHING: Final = Stream()
"""Output that is not known and holds no resource's content."""


OWN_FILE: Final = frozenset(("0", "BASH_SOURCE"))
"""What a shell that runs a file calls it; no other program is given that."""

GIVEN_NAMES: Final = frozenset("USER LOGNAME HOSTNAME HOSTTYPE MACHTYPE OSTYPE".split())
"""Variables of the environment that hold names of a user or a machine, as long as nobody sets them."""


class State:
    """Variables, functions, directory and settings of one shell at one point."""

    __slots__ = (
        "args", "cwds", "functions", "globs", "handed", "held", "ifs", "modes", "opened", "path", "sinks", "traits",
        "vars",
    )  # fmt: skip

    def __init__(self, cwds: tuple[str | None, ...]) -> None:
        self.vars: dict[str, Value] = {}
        self.functions: dict[str, tuple[Statement | None, ...]] = {}
        self.cwds = cwds
        self.args: tuple[str, ...] | None = None
        self.path: tuple[str, ...] | None = ()  # directories put before the assumed PATH; None is any
        self.ifs = True  # IFS is blank, tab, newline
        self.globs = True  # globbing works as by default
        self.sinks: tuple[Resource, ...] = ()  # where `exec >f` sent the output of everything after it
        self.opened: tuple[Resource, ...] = ()  # what `exec 3<f` opened
        self.held: tuple[Resource, ...] = ()  # what `exec 3>f` opened, also where standard output goes elsewhere
        self.handed: tuple[Resource, ...] = ()  # whose content may be in the positional parameters
        self.traits: dict[str, str] = {}  # variables -> letters that `put` knows; never changed in place
        self.modes: frozenset[str] = frozenset()  # options of the shell that may be set, of those that matter

    def copy(self) -> State:
        """An independent copy, as for a subshell."""
        other = State.__new__(State)  # `assume` sets everything
        other.assume(self)
        return other

    def assume(self, other: State) -> None:
        """Take over everything from another state."""
        self.vars = dict(other.vars)
        self.functions = dict(other.functions)
        self.cwds, self.args = other.cwds, other.args
        self.path, self.ifs, self.globs = other.path, other.ifs, other.globs
        self.sinks, self.opened = other.sinks, other.opened
        self.held, self.handed = other.held, other.handed
        self.traits, self.modes = other.traits, other.modes

    def forget(self) -> None:
        """Unknown code ran in this shell: nothing about it is known any more, not even what a command name means.

        What is assigned afterwards is believed again; whoever lets such code run says so in an effect.
        """
        self.vars = {name: Value(sources=value.sources, plural=True) for name, value in self.vars.items()}
        for name in GIVEN_NAMES:
            self.vars.setdefault(name, UNKNOWN)
        self.functions = {}
        self.cwds, self.args = (None,), None
        self.path, self.ifs, self.globs = None, False, False

    def same(self, other: State) -> bool:
        """Nothing differs."""
        return (
            self.vars == other.vars
            and self.cwds == other.cwds
            and self.functions == other.functions
            and (self.args, self.path, self.ifs, self.globs) == (other.args, other.path, other.ifs, other.globs)
            and (self.sinks, self.opened) == (other.sinks, other.opened)
            and (self.held, self.handed) == (other.held, other.handed)
            and (self.traits, self.modes) == (other.traits, other.modes)
        )

    def put(self, name: str, value: Value) -> None:
        """A variable is given a value, and takes it as it was declared to."""
        if name in MOVING:
            value = Value(sources=value.sources, plural=True)
        elif self.traits and (letters := self.traits.get(name)):
            value = _taken(self.vars.get(name, UNKNOWN), value, letters)
        if "noting" in self.modes:
            self.mark(name, "w")
        self.vars[name] = value

    def mark(self, name: str, letters: str) -> None:
        """A variable may be declared so from here on.

        Args:
            name: the variable.
            letters: `r` if it cannot be assigned to, `R` if so when it was declared again, `l` and `u` for the case of
                its letters, `i` for a number, `v` if it may change at any time, `w` if it was given a value at all.
        """
        old = self.traits.get(name, "")
        new = "".join(sorted({*old, *letters}))
        if new != old:
            self.traits = {**self.traits, name: new}

    def scalar(self, name: str, value: Value) -> Value:
        """What a variable holds when a text is assigned to it: of an array, that is the element 0."""
        old = self.vars.get(name)
        if old is None or (not old.items and not old.plural):
            return value
        if old.items is None or old.keyed or len(value.alternatives) != 1:
            return Value(alternatives=value.alternatives, sources=merge(old.sources, value.sources), plural=True)
        rest = tuple(item for item in old.items if item[0] != "0")
        items = (("0", value.alternatives[0]), *rest)
        return Value(alternatives=value.alternatives, sources=merge(old.sources, value.sources), items=items)

    def contents(self) -> tuple[Resource, ...]:
        """Whose content may be in any variable: what `set`, `env` or a program that is started can see."""
        found = self.handed
        for value in self.vars.values():
            if value.sources:
                found = merge(found, value.sources)
        return found

    def hand(self, fields: Sequence[Field]) -> None:
        """The words become the positional parameters."""
        single = all(
            field.known or (field.glob is None and not field.many and _is_name(field.text)) for field in fields
        )
        self.args = tuple(field.text for field in fields) if single and "shuffling" not in self.modes else None
        self.handed = merge((), tuple(source for field in fields for source in field.sources))

    def join(self, other: State) -> State:
        """What holds when either may be the case."""
        if self is other or self.same(other):
            return self
        joined = State(join_cwds(self.cwds, other.cwds))
        for name in {*self.vars, *other.vars}:
            joined.vars[name] = join_values(self.vars.get(name, UNKNOWN), other.vars.get(name, UNKNOWN))
        for name in {*self.functions, *other.functions}:
            both = (*self.functions.get(name, (None,)), *other.functions.get(name, (None,)))
            joined.functions[name] = tuple({id(body): body for body in both}.values())
        joined.args = self.args if self.args == other.args else None
        joined.path = self.path if self.path == other.path else None
        joined.ifs = self.ifs and other.ifs
        joined.globs = self.globs and other.globs
        joined.sinks = merge(self.sinks, other.sinks)
        joined.opened = merge(self.opened, other.opened)
        joined.held = merge(self.held, other.held)
        joined.handed = merge(self.handed, other.handed)
        joined.traits = self.traits
        for name, letters in other.traits.items():
            joined.mark(name, letters)
        joined.modes = self.modes | other.modes
        return joined


def _is_name(text: str) -> bool:
    return SLIM in text or DEEP in text


def _taken(old: Value, value: Value, letters: str) -> Value:
    """What a variable may hold that was declared in some way, perhaps, when a value is assigned to it."""
    if "v" in letters:
        return Value(sources=merge(old.sources, value.sources), plural=True)
    if "l" in letters or "u" in letters:
        cases = [case for letter, case in (("l", str.lower), ("u", str.upper)) if letter in letters]
        texts = tuple(
            dict.fromkeys((*value.alternatives, *(case(text) for case in cases for text in value.alternatives)))
        )
        plain = value.items is None and len(texts) <= MAX_ALTERNATIVES
        plain = plain and all(text.isascii() or TOP in text for text in texts)
        value = Value(alternatives=texts if plain else (TOP,), sources=value.sources, plural=value.plural or not plain)
    return join_values(old, value) if "r" in letters else value


def join_values(left: Value, right: Value) -> Value:
    """One value or the other."""
    if left == right:
        return left
    sources = merge(left.sources, right.sources)
    if left.items is not None or right.items is not None or left.plural or right.plural:
        if left.items == right.items and left.alternatives == right.alternatives and left.plural == right.plural:
            return Value(
                alternatives=left.alternatives,
                sources=sources,
                items=left.items,
                keyed=left.keyed,
                declared=left.declared and right.declared,
                plural=left.plural,
                variants=_either(left, right) if left.items is None else (),
            )
        return Value(
            sources=sources,
            keyed=left.keyed or right.keyed,
            declared=left.declared and right.declared,
            plural=True,
            variants=_either(left, right),
            each=_each(left, right),
        )
    alternatives = tuple(dict.fromkeys((*left.alternatives, *right.alternatives)))
    if TOP in alternatives or len(alternatives) > MAX_ALTERNATIVES:
        alternatives = (TOP,)
    return Value(alternatives=alternatives, sources=sources)


def _either(left: Value, right: Value) -> tuple[tuple[tuple[str, str], ...], ...]:
    """What the elements of one array or another may be; `()` if that is not known."""
    both: dict[tuple[tuple[str, str], ...], None] = {}
    for value in (left, right):
        known = value.variants or (() if value.items is None or value.plural else (value.items,))
        if not known or value.keyed:
            return ()
        both.update(dict.fromkeys(known))
    return tuple(both) if len(both) <= MAX_VARIANTS else ()


def _each(left: Value, right: Value) -> tuple[str, ...]:
    """What each element of one array or another is, where that is known of one that is as long as it will."""
    if not (left.each or right.each) or left.keyed or right.keyed:
        return ()
    both: dict[str, None] = {}
    for value in (left, right):
        if not value.each and (value.items is None or value.plural):
            return ()
        both.update(dict.fromkeys(value.each or (text for _, text in value.items or ())))
    return tuple(both) if len(both) <= MAX_ALTERNATIVES else ()


def join_cwds(left: tuple[str | None, ...], right: tuple[str | None, ...]) -> tuple[str | None, ...]:
    """One directory or the other; None is any."""
    both = tuple(dict.fromkeys((*left, *right)))
    return (None,) if None in both or len(both) > MAX_ALTERNATIVES else both


def merge(left: tuple[Resource, ...], right: tuple[Resource, ...]) -> tuple[Resource, ...]:
    """Both, each once; beyond the bound, one that can be anything."""
    if not right or left == right:
        return left
    if not left:
        return right
    both = list(left)
    both.extend(item for item in right if item not in both)
    return tuple(both) if len(both) <= MAX_SOURCES else (ANYTHING,)


ANYTHING: Final = Resource(kind="any", pattern="**")
"""A resource of which nothing is known."""
