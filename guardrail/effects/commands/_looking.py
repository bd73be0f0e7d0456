"""Families that are mostly data: groups of subcommands, tools that look, and build tools, which run what files say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.code._interpreters import run_nested
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._addresses import URL, at, remote
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import SOMETHING, Stream, merge

_ASKING: Final = frozenset(("help", "version", "-v", "-V", "-h", "--help", "--version"))


def group(call: Call, parsed: Parsed) -> Stream:
    """A command of subcommands without one that is known: without any it only tells how it is used."""
    if not parsed.unknown and not parsed.injected and all(field.text in _ASKING for field in parsed.operands):
        return SOMETHING
    out = call.opaque("program", reason=f"this subcommand of {call.name} is not known")
    for index, field in enumerate(call.args[:-1]):
        if field.known and field.text in ("-c", "-e", "--eval", "--command") and not parsed.spec.options:
            call.mention_text(call.args[index + 1].text)
    run_nested(call)
    return out


def builder(call: Call, parsed: Parsed) -> Stream:
    """A tool that does what its spec says, and beyond that what files and plugins tell it."""
    sources = apply_spec(call, parsed)
    if parsed.flags and parsed.flags <= {"--help", "--version"}:
        return sources
    out = call.opaque("program")
    run_nested(call)
    return Stream(sources=merge(sources.sources, out.sources), flow=out.flow)


def lookup(call: Call, parsed: Parsed) -> Stream:
    """A name or host is asked about: what is in the question leaves with it."""
    sources = tuple(source for field in call.args for source in field.sources)
    apply_spec(call, parsed)
    for field in parsed.operands:
        text = field.text.lstrip("@+")
        if field.text.startswith("+") or not text:
            continue
        place = remote(text) if URL.fullmatch(text) else at("dns", text)
        for source in sources:
            call.emit("copy", source, place, flow=("argument",))
        if sources:
            call.emit("net_send", place)
        call.emit("net_recv", place)
    return SOMETHING


def served(call: Call, parsed: Parsed) -> Stream:
    """A server hands out a directory, by default the one it runs in."""
    apply_spec(call, parsed)
    folders = [field for _, role, field in parsed.values if role == "list"] or list(parsed.operands)
    for field in folders:
        _handed_out(call, call.place(field, kind="dir", recursive=True).path)
    if not folders:
        _handed_out(call, call.cwd)
    return SOMETHING


def _handed_out(call: Call, path: str | None) -> None:
    from guardrail.effects.domain._paths import place

    where = place(path, None, kind="dir", recursive=True) if path is not None else place("**", "/", glob="**")
    call.emit("read", where, attrs={"reveals": "content"})
    call.emit("copy", where, at("net", "served"), flow=("served",), may=True)
    call.emit("net_send", at("net", "served"), may=True)


FAMILIES: Final[Mapping[str, Family]] = {
    "builder": builder,
    "group": group,
    "lookup": lookup,
    "served": served,
}
"""What `code` of a spec may say, for this module."""
