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


MAX_FLOW: Final = 8
"""Most steps of a flow that are named."""

MAX_SAID: Final = 16
"""Most texts that are followed in one stream whose own text is not known."""

MAX_SOURCES: Final = 64
"""Most resources followed in one stream of data."""


_MARKED: Final = re.compile(f"[{TOP}{NUM}][{SLIM}{DEEP}]?{FIRM}?")


def starred(text: str) -> str:
    """A text as a part of an address: what is not known in it becomes `*`."""
    return text if text.isascii() else _MARKED.sub("*", text)


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
        inert: each name in it is one plain word in the text of a shell as well.
    """

    text: str | None = None
    sources: tuple[Resource, ...] = ()
    names: tuple[Resource, ...] = ()
    listed: tuple[str, ...] = ()
    table: str = ""
    flow: tuple[str, ...] = ()
    connected: bool = False
    said: tuple[str, ...] = ()
    inert: bool = False

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
            inert=self.inert,
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


GIVEN_NAMES: Final = frozenset("USER LOGNAME HOSTNAME HOSTTYPE MACHTYPE OSTYPE".split())
"""Variables of the environment that hold names of a user or a machine, as long as nobody sets them."""


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
