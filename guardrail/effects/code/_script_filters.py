"""Scripts of Node that provably only compute, print and do what their calls say, with the modules that they import.

Not concerned with code in an argument: that is `_filters`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Final

from guardrail.effects.code._lent import lent_texts
from guardrail.effects.code._literals import Calls
from guardrail.effects.code._node import module_file
from guardrail.effects.code._node_express import is_own
from guardrail.effects.code._one_liners import starts_otherwise
from guardrail.effects.code._plain_calls import NAMED, plain_calls, with_files
from guardrail.effects.code._scripts import script_texts
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import NUM, TOP, Field, Stream
from guardrail.model import Resource
from guardrail.patterns import lazy

MAX_MODULES: Final = 16
"""Most modules of the session's that one script may import."""


def is_script_filter(call: Call, path: str, text: str, args: Sequence[Field] = ()) -> Stream | None:
    """The output of a script of Node that only computes and prints, and so do the session's modules that it imports."""
    if NAMED.get(call.name) != "node" or call.name in ("deno", "bun") or starts_otherwise(call):
        return None
    argv = None if any(field.many for field in args) else [field.text if field.known else None for field in args]
    found = with_modules(call, text, path.rpartition("/")[0], argv)
    return with_files(call, "node", found) if found and not is_bound(call, found) else None


def is_bound(call: Call, found: Sequence[Calls]) -> bool:
    """A server may be bound to a path, which a variable says: a socket is then put there."""
    port = call.state.vars.get("PORT")
    named = port is not None and not all(text.isdecimal() or text == NUM for text in port.alternatives)
    return named and any(calls.serves for calls in found)


def with_modules(
    call: Call, code: str, folder: str | None, argv: Sequence[str | None] | None = None
) -> list[Calls] | None:
    """What a program and the modules that it imports do; None unless all that the session wrote of them is plain.

    What the project holds besides is run like a program of its own, and what it is handed is named.
    """
    found: list[Calls] = []
    waiting: list[tuple[str, str | None, bool]] = [(code, folder, True)]
    seen: set[str] = set()
    lent: list[Resource] = []
    typed = call.name in ("ts-node", "tsx")
    while waiting:
        text, here, own = waiting.pop()
        within = call.shell.view.real(here) if argv is not None and here is not None and TOP not in here else None
        calls = plain_calls(text, "node", argv, within, typed=typed) if own else None
        if own and (calls is None or (calls.imports and here is None)):
            return None
        if calls is not None and calls.packages and is_own(call, within or ""):
            return None
        found += [calls] if calls is not None else []
        names = calls.imports if calls is not None else _LOADED.findall(text)
        for name in _as_typed(call, here or "", names) if typed else names:
            place = call.place(module_file(call, Field(text=_beside(call, here or "", name))))
            path = posixpath.normpath(place.path or "")
            if path in seen:
                continue
            seen.add(path)
            # In a file of the project not each such text is a module.
            if not own and call.kind(place) in (None, "dir") and not call.shell.emit.changed(path):
                continue
            texts = script_texts(call, place) if place.path is not None else ()
            if not texts or len(seen) > MAX_MODULES:
                return None
            authored = call.shell.authored(path)
            lent += [] if authored else [place]
            waiting += [(each, path.rpartition("/")[0], authored) for each in texts]
    return found if not lent or _lends(call, found, lent) else None


def _as_typed(call: Call, folder: str, names: Sequence[str]) -> list[str]:
    """Names of modules as they stand; of TypeScript, a source is found by the name of what it becomes."""
    found: list[str] = []
    for name in names:
        stem, dot, ending = name.rpartition(".")
        sources = [f"{stem}.{other}" for other in _SOURCES.get(ending, ())] if dot else []
        there = [one for one in sources if _is_there(call, _beside(call, folder, one))]
        found += there if there and not _is_there(call, _beside(call, folder, name)) else [name, *there]
    return found


_SOURCES: Final = {"js": ("ts", "tsx"), "jsx": ("tsx",), "mjs": ("mts",), "cjs": ("cts",)}
"""What a module of JavaScript may be made of."""


def _is_there(call: Call, path: str) -> bool:
    place = call.place(Field(text=path))
    return call.kind(place) is not None or (place.path is not None and call.shell.emit.changed(place.path))


def _beside(call: Call, folder: str, name: str) -> str:
    """The path of a module: Node looks for it from where the file really is, so that `..` leads out by name."""
    made = call.shell.view.kind(folder) is None and not call.shell.emit.contents.linked
    return posixpath.normpath(f"{folder}/{name}") if made else f"{folder}/{name}"


_LOADED: Final = lazy(r"[\"'`](\.{1,2}(?:/[^\"'`\n]*)?)[\"'`]")
"""Modules beside it that a file of the project may load: whatever stands in quotes and begins like one."""


def _lends(call: Call, found: Sequence[Calls], lent: Sequence[Resource]) -> bool:
    """Name what code of the project is handed; False if that is not known."""
    handed: list[str] = []
    for calls in found:
        texts = lent_texts(calls)
        if texts is None:
            return False
        handed += texts
    for place in lent:
        call.script(place)
    for text in dict.fromkeys(handed):
        if text.strip("/ \t\n"):
            call.name_text(text)
            call.mention((Field(text=text),))
            call.mention_text(text)
    return True
