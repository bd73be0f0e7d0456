"""Sources and target of a command that makes names: which word is which, and the names that come of it."""

from __future__ import annotations

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import below, last_name
from guardrail.effects.domain._values import TOP, Field


def operands_and_target(call: Call, parsed: Parsed) -> tuple[list[Field], Field | None, bool]:
    """Sources, target, and whether the target is a directory that the sources go into."""
    operands = list(parsed.operands)
    directory = parsed.value("--target-directory")
    if directory is not None:
        return operands, directory, True
    if not operands:
        return [], None, False
    if len(operands) == 1:
        # One word: an error, unless it stands for several.
        return (operands, Field(text=TOP), True) if operands[0].many else ([], operands[0], False)
    target = operands.pop()
    into = target.text.endswith("/") or len(operands) > 1 or call.kind(call.place(target)) == "dir"
    if parsed.has("--no-target-directory"):
        into = False
    return operands, target, into or target.text in (".", "..")


def destinations(call: Call, source: Field, target: Field, into: bool, whole: bool = False) -> list[Field]:
    """The names a source may get."""
    if whole:
        return [below(target, source.text.lstrip("/") if source.glob is None else TOP)]
    last = source.text.rstrip("/").rpartition("/")[2]
    inside = target if last == "." else below(target, last_name(source))
    if into:
        return [inside]
    if not target.known or (call.shell.emit.made and call.place(target).path not in call.shell.emit.made):
        # It may be a directory by then, so both names are possible.
        resource = call.place(target)
        if not target.known and call.is_within_name(target):
            return [target]  # nothing that begins so is a directory
        if not target.known or (resource.path is not None and call.shell.emit.changed(resource.path)):
            return [target, inside]
    return [target]
