"""`from` and `to`: operands that may be here or somewhere else, and what happens between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from guardrail.effects.catalogue._spec import Entry
from guardrail.effects.commands._targets import destinations
from guardrail.effects.domain._addresses import REMOTE, URL, at, remote
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import local_path
from guardrail.effects.domain._values import Field, Stream, merge
from guardrail.model import Op, Resource


def elsewhere(field: Field, role: str, entry: Entry) -> Resource | None:
    """What a `from` or `to` names at an address; None if it is a local path."""
    scheme = role.partition("@")[2]
    text = field.text
    if scheme:
        return at(scheme, text)
    if local_path(text) is not None:
        return None
    if URL.fullmatch(text):
        return remote(text)
    if entry.remote and not text.startswith(("/", ".")) and REMOTE.fullmatch(text):
        if entry.remote == "ssh":
            host, _, path = text.partition(":")
            return remote(f"ssh://{host}/{path.lstrip(':/')}")
        return at(entry.remote, text)
    return None


def transfer(
    call: Call, entry: Entry, roles: Sequence[tuple[str, Field]], *, recursive: bool, given: Iterable[Resource]
) -> Stream:
    """What goes from every `from` to every `to`.

    Args:
        call: the command.
        entry: its spec.
        roles: its words with their roles.
        recursive: directories go with all that is in them.
        given: content that comes in by other words.

    Returns:
        What reaches standard output.
    """
    far: list[Resource] = []
    near: list[tuple[Field, tuple[Resource, ...]]] = []
    content = tuple(given)
    sources = merge((), content)
    for role, field in roles:
        if role.partition("@")[0] != "from":
            continue
        place = elsewhere(field, role, entry)
        if place is not None:
            far.append(place)
            call.emit("net_recv" if place.kind == "net" else "read", place, attrs={"reveals": "content"})
            sources = merge(sources, (place, *field.sources))
            _maybe_here(call, field, role)
            continue
        local = _local(field)
        read = call.read(local, recursive=recursive)
        near.append((local, read))
        sources = merge(sources, read)
    out = Stream(sources=())
    targets = [(role, field) for role, field in roles if role.partition("@")[0] == "to"]
    for role, field in targets:
        out = _arrive(call, entry, (role, field), near, far, sources, content, recursive=recursive) or out
    if entry.transfer == "move":
        _gone(call, near, far, recursive=recursive, renamed=all(elsewhere(f, r, entry) is None for r, f in targets))
    return out if targets else Stream(sources=sources, flow=call.stdin.flow)


def exchange(call: Call, place: Resource, sent: Sequence[Resource]) -> None:
    """A place elsewhere is asked for something.

    Args:
        call: the command.
        place: the address.
        sent: whose content goes there with the question.
    """
    for source in sent:
        call.emit("copy", source, place, flow=("net",))
    if sent:
        call.emit("net_send", place)
    call.emit("net_recv", place)


def take_in(call: Call, field: Field, place: Resource) -> None:
    """A file of this machine, or what is at an address, goes into something.

    Args:
        call: the command.
        field: the file or the address.
        place: what takes it in.
    """
    if URL.fullmatch(field.text):
        call.emit("net_recv", at("http", field.text))
        return
    for source in call.read(field):
        call.emit("copy", source, place)


def _local(field: Field) -> Field:
    path = local_path(field.text)
    return field if path is None else Field(text=path, sources=field.sources, span=field.span)


def _maybe_here(call: Call, field: Field, role: str) -> None:
    """A host may be this one, and a name may be a path, so what is named there may be an asset here."""
    if "@" in role:
        return
    path = field.text.partition("://")[2] or field.text.partition(":")[2]
    if path.startswith("/"):
        call.name_text(path)


def _arrive(
    call: Call,
    entry: Entry,
    target: tuple[str, Field],
    near: Sequence[tuple[Field, tuple[Resource, ...]]],
    far: Sequence[Resource],
    sources: tuple[Resource, ...],
    given: tuple[Resource, ...],
    *,
    recursive: bool,
) -> Stream | None:
    role, field = target
    place = elsewhere(field, role, entry)
    if place is None and field.text == "-":
        return Stream(sources=sources, flow=call.stdin.flow)
    if place is not None:
        for source in sources:
            op: Op = "api_copy" if source in far and place.kind == "object" else "copy"
            call.emit(op, source, place, flow=("net",))
        call.emit("net_send", place, attrs={"reach": True} if not sources else None)
        _maybe_here(call, field, role)
        return None
    local = _local(field)
    into = call.kind(call.place(local)) == "dir" or len(near) + len(far) > 1 or local.text.endswith("/")
    for word, read in near:
        for name in destinations(call, word, local, into):
            there = call.place(name, recursive=recursive)
            _near(call, entry, word, read, there)
    if far or given or not near:
        where = (
            call.place(local, recursive=True) if far and (into or recursive) else call.place(local, recursive=recursive)
        )
        for source in merge(tuple(far), given):
            call.emit("copy", source, where, flow=("net",))
        call.emit("write", where)
    return None


def _near(call: Call, entry: Entry, source: Field, read: tuple[Resource, ...], place: Resource) -> None:
    if entry.transfer == "move" and place.path is not None:
        call.emit("rename", call.place(source, recursive=True, nofollow=True), place)
        return
    for one in read:
        call.emit("link" if entry.transfer == "link" else "copy", one, place)
    if entry.transfer != "link":
        call.emit("write", place)


def _gone(
    call: Call,
    near: Sequence[tuple[Field, tuple[Resource, ...]]],
    far: Sequence[Resource],
    *,
    recursive: bool,
    renamed: bool,
) -> None:
    """What was moved is no longer where it was."""
    for source, _ in near if not renamed else ():
        call.emit("delete", call.place(source, recursive=recursive, nofollow=True))
    for place in far:
        call.emit("api_delete", place)
