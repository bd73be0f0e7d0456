"""Programs that check texts: they read files, some of which they find by patterns of their own, and may mend them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._addresses import URL, remote
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import TOP, Field, Stream


def tree_reader(call: Call, parsed: Parsed) -> Stream:
    """A program that takes quoted patterns such as `docs/**/*.md`, and reads what lies below where one begins."""
    if any(role == "opaque" for _, role, _ in parsed.values):
        call.mention(parsed.operands)  # what is loaded may do anything with them
    for index, field in enumerate(parsed.operands):
        start = min((at for at in map(field.text.find, "*?[{!") if at >= 0), default=-1)
        if field.known and start >= 0:
            base = field.text[:start].rpartition("/")[0] or ("/" if field.text.startswith("/") else ".")
            call.read(Field(text=base, span=field.span), reveals="some", recursive=True)
            if parsed.has("--fix"):
                call.emit("write", call.place(Field(text=base), kind="dir", recursive=True))
            parsed.operands[index] = msgspec.structs.replace(field, text="", glob=None)
    parsed.operands = [field for field in parsed.operands if field.text]
    return apply_spec(call, parsed)


def spelling(call: Call, parsed: Parsed) -> Stream:
    """`aspell check FILE`: what is answered to its questions goes into the file; `list` and `-a` only read."""
    operands = list(parsed.operands)
    word = operands.pop(0) if operands and not parsed.has("-a", "-c") else Field(text="check" if operands else "list")
    for _, _, field in parsed.values:
        if "/" in field.text:
            call.mention((field,))
    if word.text in ("check", "list", "pipe", "-"):
        sources = call.stdin.sources
        for field in operands if word.text == "check" else ():
            sources = (*sources, *call.read(field, reveals="some"))
            if call.stdin.connected:
                call.put("write", call.place(field), call.stdin.sources)
        return Stream(sources=sources, flow=call.stdin.flow)
    if word.text in ("dicts", "modes", "filters", "soundslike", "munch", "config", "version", "usage", "help"):
        return Stream(sources=call.stdin.sources, flow=call.stdin.flow)
    return call.opaque("program", reason=f"aspell {word.text[:40]} is not known")


def schema(call: Call, parsed: Parsed) -> Stream:
    """`check-jsonschema --schemafile FILE-OR-URL`: what stands in an address leaves with the question."""
    for field in parsed.values_of("--schemafile"):
        if field.text[:1] == TOP:
            call.mention((field,))
        if not URL.match(field.text):
            call.read(field, reveals="none")
            continue
        place = remote(field.text)
        for source in field.sources:
            call.emit("copy", source, place, flow=("argument",))
        if field.sources:
            call.emit("net_send", place)
        call.emit("net_recv", place)
    return apply_spec(call, parsed)


FAMILIES: Final[Mapping[str, Family]] = {"schema": schema, "spelling": spelling, "tree_reader": tree_reader}
"""What `code` of a spec may say, for this module."""
