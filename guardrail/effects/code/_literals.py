"""Tokens of a one-liner that are gone through call by call, and what is found in them.

Not concerned with any one language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from guardrail.effects.code._tokens import Token
from guardrail.patterns import lazy

PATH: Final = lazy(r"(?!-)[\w./~@+ -]+", re.ASCII)
"""Names of files that a call may give."""

VALUE: Final = (Token("number", "0"),)
"""What is put in the place of a call."""


class Calls(msgspec.Struct, frozen=True, kw_only=True):
    """What a piece of code does to files that it names.

    Args:
        rest: the tokens, with a plain value in place of each call.
        asks: addresses that are asked for what is there.
        reads: names of files that are read.
        writes: names of files that are written.
        appends: names of files that are added to.
        makes: directories that are made, with all above them.
        shows: directories whose files are given to whoever asks.
        packages: packages that are loaded, of those that are known.
        serves: what it computes is given to whoever asks.
        loads: names of files that may say what runs.
        imports: modules of the project that are loaded.
        runs: commands that are run, each as its words.
        lists: a file is looked at whose name is not known.
        reads_any: a file is read whose name is not known.
        environment: variables of the environment are looked at, or set.
        complains: what it computes may be in a message on standard error.
    """

    rest: tuple[Token, ...]
    asks: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    appends: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    serves: bool = False
    loads: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    runs: tuple[tuple[str, ...], ...] = ()
    lists: bool = False
    reads_any: bool = False
    environment: bool = False
    complains: bool = False


class Walk:
    """Goes through the tokens and keeps what is left."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.rest: list[Token] = []
        self.found: dict[str, list[str]] = {
            "asks": [], "reads": [], "writes": [], "appends": [], "makes": [], "loads": [], "imports": [],
            "shows": [], "packages": [],
        }  # fmt: skip
        self.runs: list[tuple[str, ...]] = []
        self.bound: set[str] = set()  # names that an `import` gave a meaning to, anywhere in the code
        self.ports: set[str] = set()  # names of numbers, or of what the environment says is one
        self.lists = self.reads_any = self.environment = self.serves = False

    def texts(self, *want: str | None) -> list[str] | None:
        """The literal texts among the next tokens, if these are as wanted; None stands for a text."""
        found: list[str] = []
        if len(self.tokens) < self.at + len(want):
            return None
        for token, text in zip(self.tokens[self.at :], want, strict=False):
            if text is None and token.kind == "text":
                found.append(token.text)
            elif text is None or token.kind == "text" or token.text != text:
                return None
        return found

    def take(self, count: int, instead: Sequence[Token] = ()) -> None:
        """Go on behind so many tokens, and leave others in their place."""
        self.at += count
        self.rest += instead

    def behind(self, *links: str) -> bool:
        """What comes is a member of something."""
        return bool(self.rest) and self.rest[-1].kind == "sign" and self.rest[-1].text in links


def arguments(walk: Walk) -> list[Sequence[Token]] | None:
    """What a call that begins here is given, at its commas; None if that is not clear."""
    tokens = walk.tokens
    if walk.at + 1 >= len(tokens) or tokens[walk.at + 1] != Token("sign", "("):
        return None
    depth, begin = 0, walk.at + 2
    found: list[Sequence[Token]] = []
    for at in range(begin, len(tokens)):
        token = tokens[at]
        if token.kind != "sign":
            continue
        if depth == 0 and token.text in (",", ")"):
            found.append(tokens[begin:at])
            begin = at + 1
            if token.text == ")":
                return found
        depth += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
    return None
