"""What the options of a command name and its family's function said nothing of: no word goes without an effect.

Not concerned with options whose value is code; a function that knows those is the only one to say what they run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._apply import apply_role
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import STREAMS
from guardrail.effects.domain._values import Field, Stream, merge
from guardrail.model import Resource

_PASSED: Final = frozenset(("text", "run", "shell", "opaque", "config", "names", "names0", "url", "post", "from", "to"))
"""Roles that a function has asked for if it has them at all: they mean more than one effect on a path."""


def conserved(call: Call, parsed: Parsed, before: int, cwd: str | None, out: Stream) -> Stream:
    """Give each value of an option its effect, where the function of the command gave it none.

    Args:
        call: the command.
        parsed: its words, told apart.
        before: how many effects there were before its function ran.
        cwd: the directory it was started in.
        out: its output.

    Returns:
        Its output, with what else it reads.
    """
    asked = [(role, field) for _, role, field in parsed.values if role not in _PASSED and "@" not in role]
    if not asked:
        return out
    call.cwd, kept = cwd, call.cwd
    try:
        said = {*_places(call, before)}
        sources: tuple[Resource, ...] = ()
        for role, field in asked:
            if field.text in ("", "-") or field.text in STREAMS or _answered(call, field, said):
                continue
            if role in ("read", "uses"):
                read = call.read(field, reveals="some" if role == "read" else "none")
                sources = merge(sources, read if role == "read" else ())
            else:
                apply_role(call, role, field, (), recursive=False)
    finally:
        call.cwd = kept
    return out if not sources else msgspec.structs.replace(out, text=None, sources=merge(out.sources, sources))


def _places(call: Call, before: int) -> Iterator[str]:
    """Every address that an effect since then is about."""
    for effect in call.shell.emit.effects[before:]:
        for place in (effect.resource, effect.target):
            if place is not None:
                yield place.path or place.pattern or place.uri or ""


def _answered(call: Call, field: Field, said: set[str]) -> bool:
    """An effect is on what the word names, or on something below it."""
    place = call.place(field)
    name = (place.path or place.pattern or place.uri or "").rstrip("/")
    return name in said or any(address.startswith(f"{name}/") for address in said if name or address == "/")
