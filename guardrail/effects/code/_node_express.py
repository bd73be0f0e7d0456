"""Express in code of Node: routes that answer with what the program computes, and directories that it shows.

Not concerned with views, downloads and files that are sent by name: a program that names any of those is not followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from guardrail.effects.code._literals import PATH, VALUE, Walk
from guardrail.effects.code._own_files import own_files, parts_of
from guardrail.effects.code._scripts import script_texts
from guardrail.effects.code._tokens import Token
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import place
from guardrail.effects.domain._values import Field
from guardrail.patterns import lazy

PACKAGE: Final = "express"

TAKEN: Final = frozenset("Router json urlencoded Request Response NextFunction Application".split())
"""What may be taken out of the package by its name."""

_MADE: Final = frozenset("json urlencoded text raw Router".split())
"""Its members that make what requests go through."""

_REACHING: Final = frozenset(
    "sendFile sendfile download attachment render engine engines view views router _router handle mountpath settings "
    "locals socket connection client".split()
)
_LISTING: Final = frozenset("entries fromEntries assign values".split())
"""Names by which an application, or an answer, comes to files, or to other functions of its own."""


def is_odd(tokens: Sequence[Token]) -> bool:
    """A program that uses the package goes beyond routes.

    Args:
        tokens: the program.
    """
    for at, token in enumerate(tokens):
        if token.kind in ("word", "text") and token.text in _REACHING:
            return True
        if token.text in _LISTING and [one.text for one in tokens[at - 2 : at]] == ["Object", "."]:
            return True
        if token.kind == "sign" and token.text in ("]", "?.") and _follows(tokens, at):
            return True
    return False


def _follows(tokens: Sequence[Token], at: int) -> bool:
    """A call of what a subscript gives."""
    after = [one.text for one in tokens[at + 1 : at + 3] if one.kind == "sign"]
    return after[:1] == ["("] or after == ["?.", "("]


def made(walk: Walk) -> bool:
    """`express()`, `express.json()` and `express.static("public")`."""
    if walk.texts(PACKAGE, "(", ")") is not None:
        walk.serves = True
        walk.take(1, (Token("word", "createServer"),))
        return True
    shown = walk.texts(PACKAGE, ".", "static", "(", None, ")")
    if shown is not None and PATH.fullmatch(shown[0]):
        walk.found["shows"].append(shown[0])
        walk.take(6, VALUE)
        return True
    member = walk.tokens[walk.at + 2].text if len(walk.tokens) > walk.at + 2 else ""
    if member not in _MADE or walk.texts(PACKAGE, ".", member, "(") is None:
        return False
    walk.take(3, (Token("word", "createServer"),))
    return True


_NAMED: Final = lazy(r'"name"\s*+:\s*+"express"|"express"\s*+:\s*+(?!"(?:[\^~]|>=)?\d[\w.-]*"|"(?:latest|\*)")')
"""A package of that name, or that name for something that is not published."""


def is_own(call: Call, folder: str) -> bool:
    """The package may be what the session wrote.

    Args:
        call: the interpreter.
        folder: where the program lies.
    """
    view = call.shell.view
    above = folder
    while above:
        where = f"{above}/node_modules/{PACKAGE}"
        if view.kind(where) is not None and not view.real(where).endswith(f"/node_modules/{PACKAGE}"):
            return True
        above = above.rpartition("/")[0]
    if not (call.shell.emit.made or call.shell.written_before):
        return False
    own = own_files(call)
    if own is None or any("/node_modules/" in path for path in own.at(parts_of, "node_modules")):
        return True
    settings = own.chosen(_is_manifest)
    if any(_NAMED.search(text) for path in settings for text in script_texts(call, place(path, None))):
        return True
    nearest = call.place(Field(text="package.json")).path
    return any(path != nearest for path in settings)


def _is_manifest(path: str) -> bool:
    return path.endswith("/package.json")
