"""Families that are mostly data: groups of subcommands, tools that look, and build tools, which run what files say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.code._programs import run_nested
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._places import exchange
from guardrail.effects.domain._addresses import URL, at, remote
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import local_path, place
from guardrail.effects.domain._values import SOMETHING, Field, Stream, merge
from guardrail.model import Resource
from guardrail.patterns import lazy

_ASKING: Final = frozenset(("help", "version", "-v", "-V", "-h", "--help", "--version"))


def group(call: Call, parsed: Parsed) -> Stream:
    """A command of subcommands without one that is known: without any it only tells how it is used."""
    bare = not parsed.unknown and not parsed.injected and all(field.text in _ASKING for field in parsed.operands)
    if bare and not parsed.operands and call.stdin.connected:
        return call.opaque("inline", reason=f"{call.name} may take commands from its input")
    if bare:
        return SOMETHING
    run_nested(call)  # what it loads is what is there before it does anything
    return call.opaque("program", reason=f"this subcommand of {call.name} is not known")


def builder(call: Call, parsed: Parsed) -> Stream:
    """A tool that does what its spec says, and beyond that what files and plugins tell it."""
    if call.args and call.args[0].text in _ASKING and all(field.text in _ASKING for field in call.args):
        return SOMETHING
    if parsed.flags & (parsed.spec.look - {"--help", "--version"}) and not parsed.unknown:
        return apply_spec(call, parsed)
    sources = apply_spec(call, parsed)
    run_nested(call)  # what it loads is what is there before it does anything
    out = call.opaque("program")
    return Stream(sources=merge(sources.sources, out.sources), flow=out.flow)


def fetched(call: Call, parsed: Parsed) -> Stream:
    """`npx`, `uvx`: a package's program is fetched and run; a name that is known may be the known one."""
    out = call.opaque("program")
    for option, role, field in parsed.values:
        if role == "shell":
            with call.perhaps():
                call.shell.run_text(field.text, call.state.copy(), call.stdin)
        elif option == "--package":
            call.mention((field,))
    rest = parsed.operands
    if rest and rest[0].known:
        name = rest[0].text.partition("@")[0] if rest[0].text[:1] != "@" else _AGENTS.sub("", rest[0].text)
        with call.perhaps():
            call.shell.again(call, (Field(text=name, span=rest[0].span), *rest[1:]), external=True)
    return out


_AGENTS: Final = lazy(r"^@(?:anthropic-ai|openai|google|github|qwen-code)/|(?<=\w)@.*")
"""Around the name of a program: those who make agents, and the version."""


def lookup(call: Call, parsed: Parsed) -> Stream:
    """A name or host is asked about: what is in the question leaves with it, or in a file that options name."""
    sources = tuple(source for field in call.args for source in field.sources)
    for _, role, field in parsed.values:
        if role == "read":
            sources = merge(sources, call.read(field))
            # Names that are none are complained of, or shown with what became of them.
            call.printed = merge(call.printed, sources)
            call.shell.divert(sources)
        elif role == "list":
            call.emit("list", call.place(field))
    if parsed.spec.entry.stdin == "read" and not parsed.operands and not parsed.values:
        sources = merge(sources, call.stdin.sources)
    places = [_asked(field) for field in parsed.operands if field.text.lstrip("@") and field.text[:1] != "+"]
    if not places and parsed.spec.entry.emits:
        return apply_spec(call, parsed)
    for host in places or ([at("dns", "batch")] if sources else []):
        for source in sources:
            call.emit("copy", source, host, flow=("argument",))
        if sources:
            call.emit("net_send", host)
        call.emit("net_recv", host)
    return SOMETHING


def _asked(field: Field) -> Resource:
    text = field.text.lstrip("@")
    return remote(text) if URL.fullmatch(text) else at("dns", text)


def machine(call: Call, parsed: Parsed) -> Stream:
    """A command that shows what the machine is like: a word that is a path names what it reads or writes besides."""
    out = call.stdin.sources
    if call.name == "pidstat" and (told := [i for i, field in enumerate(call.args) if field.text == "-e"]):
        return call.shell.again(call, call.args[told[0] + 1 :], external=True)
    for field in parsed.operands if call.name not in ("findmnt", "mountpoint", "whereis") else ():
        if "/" in field.text or field.glob is not None or call.kind(call.place(field)) == "file":
            call.mention((field,))
            out = merge(out, (call.place(Field(text=field.text.rpartition("=")[2], glob=field.glob)),))
    return Stream(sources=out)


def manual(call: Call, parsed: Parsed) -> Stream:
    """`man`: a page by its name, or a file, which is a word with a slash in it."""
    out = apply_spec(call, parsed)
    for field in parsed.operands:
        if "/" in field.text:
            out = Stream(sources=merge(out.sources, call.read(field)))
    return out


def browse(call: Call, parsed: Parsed) -> Stream:
    """`lynx`, `w3m`: a page of the net, or a file of this machine, goes to the screen or to standard output."""
    apply_spec(call, parsed)
    out: tuple[Resource, ...] = ()
    sent = call.stdin.sources
    for field in parsed.values_of("-post"):
        sent = merge(sent, call.read(field))
    if not parsed.has("-post", "-post_data"):
        sent = ()
        out = call.stdin.sources
    for field in parsed.operands:
        if not URL.fullmatch(field.text) and (field.text[:1] in "/.~" or "/" not in field.text):
            out = merge(out, call.read(field))
        if (path := local_path(field.text)) is not None:
            out = merge(out, call.read(Field(text=path)))
        elif field.text[:1] not in "/.~":
            host = remote(field.text) if URL.fullmatch(field.text) else at("http", f"//{field.text}")
            exchange(call, host, (*sent, *field.sources))
    return Stream(sources=out, flow=call.stdin.flow)


def served(call: Call, parsed: Parsed) -> Stream:
    """A server hands out a directory, by default the one it runs in."""
    apply_spec(call, parsed)
    folders = [field for _, role, field in parsed.values if role == "list"] or list(parsed.operands)
    for field in folders:
        _handed_out(call, call.place(field, kind="dir", recursive=True).path)
    if not folders:
        _handed_out(call, call.cwd)
    return SOMETHING


def tls_server(call: Call, parsed: Parsed) -> Stream:
    """`openssl s_server`: what comes in goes to whoever connects, and with some options the directory it runs in."""
    apply_spec(call, parsed)
    if parsed.has("-WWW"):
        _handed_out(call, call.cwd)
    if call.stdin.sources:
        call.put("write", at("net", "served"), call.stdin.sources)
    return SOMETHING


def _handed_out(call: Call, path: str | None) -> None:
    where = place(path, None, kind="dir", recursive=True) if path is not None else place("**", "/", glob="**")
    call.emit("read", where, attrs={"reveals": "content"})
    call.emit("copy", where, at("net", "served"), flow=("served",), may=True)
    call.emit("net_send", at("net", "served"), may=True)


FAMILIES: Final[Mapping[str, Family]] = {
    "browse": browse,
    "builder": builder,
    "fetched": fetched,
    "group": group,
    "lookup": lookup,
    "machine": machine,
    "manual": manual,
    "served": served,
    "tls_server": tls_server,
}
"""What `code` of a spec may say, for this module."""
