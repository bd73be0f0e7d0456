"""Texts of scripts: what one may hold by the time it runs, and whether the session wrote it.

Not concerned with what a text would do.
"""

from __future__ import annotations

import posixpath
from typing import Final

import msgspec

from guardrail.effects.domain._assured import is_replaced
from guardrail.effects.domain._call import Call
from guardrail.model import Resource

STANDARD_INPUT: Final = frozenset(("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"))
"""Names of standard input."""


def is_stream(path: str | None) -> bool:
    """A name under /dev or /proc: what stands there for the guard is not what stands there for the call."""
    if path is None:
        return False
    plain = posixpath.normpath(path)
    return plain.startswith(("/dev/", "/proc/", "//dev/", "//proc/"))


def script_texts(call: Call, resource: Resource) -> tuple[str, ...]:
    """What a script may hold when it runs: what this call put there, and what was there if that may have failed."""
    data = call.content(resource)
    if data is None or b"\0" in data or resource.path is None:
        return ()
    if not call.shell.contents.knows(resource.path):
        note_script(call, resource)
        return (data.decode("utf-8", "surrogateescape"),)
    old = None
    if not is_replaced(call.shell, resource.path):
        old = call.shell.view.read(resource.path, call.shell.limits.script_bytes)
    both = (data,) if old is None or b"\0" in old else (data, old)
    return tuple(dict.fromkeys(text.decode("utf-8", "surrogateescape") for text in both))


def note_old(call: Call, path: str, since: int) -> None:
    """Say of what is not looked into that it is in a text which this call replaces, unless that fails.

    Args:
        call: the command that runs the file.
        path: the file.
        since: how many effects there were before those of the old text.
    """
    effects = call.shell.emit.effects
    for index in range(since, len(effects)):
        effect = effects[index]
        if effect.op == "exec_opaque":
            told = f"{effect.attrs.get('reason') or 'code'}, in what `{path}` holds now: writing over it may fail"
            effects[index] = msgspec.structs.replace(effect, attrs={**effect.attrs, "reason": told})


def note_script(call: Call, resource: Resource) -> None:
    """After changes in the same call a script may be one of the changed files under another name.

    The live filesystem knows: `history` compares real paths, and only a script that was written is held.
    """
    if call.shell.emit.made:
        attrs = {"analysed": True}
        call.shell.emit.opaque("script", resource, spec=call.name, span=call.span, attrs=attrs)


def note_run(call: Call, path: Resource) -> None:
    """Say that a script runs which is not looked into.

    Args:
        call: the command that runs it.
        path: the script.
    """
    authored = path.path is not None and call.shell.emit.wrote(path.path)
    call.script(path, authored=authored)


def note_start(call: Call, place: Resource) -> None:
    """A file that a program runs first, if it is there: whether the session wrote it is for the history to say.

    Args:
        call: the program.
        place: the file.
    """
    changed = place.path is not None and call.shell.emit.changed(place.path)
    if changed or call.kind(place) == "file":
        call.script(place, authored=changed)
