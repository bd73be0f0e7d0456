"""Texts that are run some day because of the file they are in: what each would do, as if it ran now.

Not concerned with which files those are: see `_startup`. That code runs which is not followed is said of commands
alone; a start-up file of a shell is full of it, and what it names is mentioned.
"""

from __future__ import annotations

import posixpath
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec

from guardrail.effects.domain._startup import MAX_COMMANDS, commands_in, is_shell
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import NOTHING
from guardrail.model import Effect, Origin

if TYPE_CHECKING:
    from guardrail.effects.domain._call import Call
    from guardrail.effects.shell._interpreter import Interpreter

_SILENT: Final = frozenset(("env", "mention", "exec"))
"""What is said about another shell than the one at hand, or was said of the text as a whole."""

_UNCLEAR: Final = frozenset(("inline", "dynamic", "unparsed"))


def later(call: Call, inner: Interpreter, path: str, text: str) -> None:
    """Say what a text does that is run by itself.

    Args:
        call: the command that writes it.
        inner: an interpreter that knows nothing of this call.
        path: the file it is written to.
        text: what is written.
    """
    outer = call.shell
    if outer.emit.muted:
        return
    inner.depth, inner.emit.steps, inner.emit.expansions = outer.depth, outer.emit.steps, outer.emit.expansions
    inner.wrote, inner.written_before = outer.wrote, outer.written_before
    for command in islice(commands_in(path, text), MAX_COMMANDS):
        inner.run_text(command, State((_folder(call, path),)), NOTHING)
    inner.finish()
    outer.emit.steps, outer.emit.expansions = inner.emit.steps, inner.emit.expansions
    origin = Origin(spec=call.name, start=call.span[0], end=call.span[1])
    vague = is_shell(path)
    for effect in inner.emit.effects:
        if effect.op not in _SILENT and not (vague and effect.attrs.get("code") in _UNCLEAR):
            # INVARIANT: this changes nothing about what the call itself finds, so it is no change the emitter notes.
            outer.emit.say(_some_day(effect, origin, path))


def _some_day(effect: Effect, origin: Origin, path: str) -> Effect:
    attrs = effect.attrs
    if "reason" in attrs:
        attrs = {**attrs, "reason": f"{attrs['reason']}, in {path.rpartition('/')[2]}, which runs by itself"}
    return msgspec.structs.replace(effect, modality="may", origin=origin, edit=None, attrs=attrs)


def _folder(call: Call, path: str) -> str:
    """Where such a text runs: hooks of a repository at its top, those of a home there, others at the root."""
    plain = posixpath.normpath(path)
    for mark in ("/.git/", "/.husky/", "/."):
        head, found, _ = plain.partition(mark)
        if found:
            return head or "/"
    home = call.shell.expand.lookup("HOME", call.state, {})[0]
    return home if plain.startswith(f"{home}/") else "/"
