"""What of a word is certain: that it is there, that it is the caller's own, what a substitution leaves as it was."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from guardrail.effects.domain._environment import LIBRARIES
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import GIVEN_NAMES, NUM, TOKEN, TOP
from guardrail.effects.domain._view import FileView
from guardrail.effects.shell._expansion import Found
from guardrail.effects.shell._pieces import Piece
from guardrail.effects.shell._streams import succeeds
from guardrail.effects.shell._told import surely_tells
from guardrail.model import Resource
from guardrail.parse.ir import AndOr, Command, Expansion, Param, Part, Script, Simple, Text, Word
from guardrail.patterns import lazy

_VARIABLE: Final = lazy(r"[A-Za-z_]")
TEXTUAL: Final = frozenset(("echo", "export", "printf"))
"""Commands whose words are only text, or values of variables."""


def one_of_many(text: str, sources: tuple[Resource, ...]) -> Piece:
    """Any number of words, each of which is such a name."""
    piece = Piece()
    piece.many, piece.named, piece.sources = True, True, sources
    piece.literal(text)
    return piece


SETTING: Final = frozenset(("env", "sudo", "doas"))
"""Commands whose words may be assignments."""


def sets_path(word: Word) -> bool:
    """A word that says where programs or libraries are looked for."""
    first = word.parts[0] if word.parts else None
    return isinstance(first, Text) and first.text.startswith(("PATH=", f"{LIBRARIES}="))


UNSURE: Final = lazy(f"[{TOP}{NUM}]")


def may_be_nothing(part: Part, text: str) -> bool:
    """A substitution of which something is known, if its commands print anything, or an element that may not exist."""
    if isinstance(part, Expansion):
        return part.index is not None and text == TOKEN
    if isinstance(part, Param):
        return part.name in GIVEN_NAMES and text == TOKEN  # in a container nobody may have set it
    if not isinstance(part, Command) or text == TOP:
        return False
    if UNSURE.search(text) is None:
        return depends(part.script)
    return not surely_tells(part.script, text.rpartition("=")[2])


def depends(script: Script) -> bool:
    """One command whose output is there if another one succeeds: `cd DIR && pwd`."""
    statement = script.body[0] if len(script.body) == 1 else None
    if not isinstance(statement, AndOr) or succeeds(statement.first):
        return False
    return [(op, type(last)) for op, last in statement.rest] == [("&&", Simple)]


def vanishes(parts: Sequence[Part], index: int, text: str) -> bool:
    """An expansion that is a whole directory of a path: without it what follows is another path."""
    if index + 1 == len(parts) or not may_be_nothing(parts[index], text):
        return False
    before, after = parts[index - 1] if index else None, parts[index + 1]
    if isinstance(before, Text) and before.text and before.text[-1] not in "/=:":
        return False
    return not isinstance(after, Text) or after.text[:1] == "/"


def certain(parts: Sequence[Part], index: int, found: Found) -> Found:
    """What an expansion gives, where a path is not another one without it."""
    if found.texts is None or len(found.texts) != 1 or not vanishes(parts, index, found.texts[0]):
        return found
    return msgspec.structs.replace(found, texts=(TOP,))


def is_outer(part: Part, state: State) -> bool:
    """A variable that the call was given, and which it did not set itself."""
    return isinstance(part, Param) and part.name not in state.vars and _VARIABLE.match(part.name) is not None


def is_given(part: Expansion, state: State) -> bool:
    """`${x:-word}` of such a variable, where the word is no path and no option."""
    plain = part.arg.plain if part.arg is not None and part.op in (":-", "-") and part.index is None else None
    given = part.name not in state.vars and _VARIABLE.match(part.name) is not None
    return given and plain is not None and _DEFAULT.fullmatch(plain) is not None


_DEFAULT: Final = lazy(r"\w[\w.:,+-]*|\.|", re.ASCII)


def names_in(parts: Sequence[Part]) -> Iterator[str]:
    """Variables whose text is looked at by some parts of a word."""
    for part in parts:
        if isinstance(part, Param):
            yield part.name
        elif isinstance(part, Expansion):
            yield part.name
            for word in (part.arg, part.other):
                if word is not None and word.plain is None:
                    yield from names_in(word.parts)


def settle(state: State, ends: Sequence[State]) -> None:
    """What the words assign, whichever of the values their variables have."""
    end = ends[0]
    for other in ends[1:]:
        end = end.join(other)
    state.assume(end)


def is_edit(head: str | None, parts: Sequence[Part], state: State, view: FileView) -> bool:
    """To `sed`, `s/x/$(date +%F)/` is a substitution, and no path, where no directory is called so."""
    first, last = parts[0], parts[-1]
    if head != "sed" or not isinstance(first, Text) or not isinstance(last, Text):
        return False
    slashed = first.text.startswith("s/") and last.text in ("/", "/g")
    return slashed and all(cwd is not None and view.kind(f"{cwd}/s") is None for cwd in state.cwds)
