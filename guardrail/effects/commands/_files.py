"""cp, mv, install, ln, touch, dd: commands that make names and contents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._apply import apply_role, apply_spec
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._targets import destinations, operands_and_target
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._contents import as_edit
from guardrail.effects.domain._paths import STREAMS
from guardrail.effects.domain._values import MAX_TEXT, NOTHING, NUM, SOMETHING, TOP, Field, Stream, merge
from guardrail.model import Edit, Resource

_PLAIN_CP: Final = frozenset(
    "-R --archive --target-directory --no-target-directory --force --remove-destination --verbose --dereference -p "
    "--preserve --no-preserve -H -d --reflink --sparse --debug".split()
)
_PLAIN_MV: Final = frozenset("--target-directory --no-target-directory --force --verbose --debug".split())
_PLAIN_INSTALL: Final = frozenset(
    "-D --target-directory --no-target-directory --mode --owner --group --preserve-timestamps --compare -c "
    "--verbose".split()
)
"""Options that do not change what content arrives, nor whether it does."""

_DD_NUMBERS = frozenset("bs count skip seek conv status iflag oflag ibs obs cbs iseek oseek".split())


def cp(call: Call, parsed: Parsed) -> Stream:
    """`cp`: copies, or links with `-l` and `-s`."""
    sources, target, into = operands_and_target(call, parsed)
    if target is None:
        return NOTHING
    recursive = parsed.has("--recursive", "--archive", "-R")
    link = parsed.has("--link", "--symbolic-link")
    keeps = (recursive or parsed.has(*_KEEPING)) and not parsed.has("--dereference", "-L")
    whole, replacing = parsed.has("--parents"), parsed.has(*_REPLACING)
    for source in sources:
        origins = call.origins(source, recursive=recursive)
        for name in destinations(call, source, target, into, whole):
            # What stands there, if only a link, is taken away or put aside before anything is written.
            place = call.place(name, recursive=recursive, nofollow=replacing)
            if place.path in STREAMS:
                for origin in origins:
                    call.emit("read", origin, attrs={"reveals": "content"})
                if place.path == "/dev/stderr":
                    call.shell.divert(origins)
                continue
            attrs = {"symbolic": True} if link and parsed.has("--symbolic-link") else None
            edit = None if link else _copied(call, source, parsed, _PLAIN_CP)
            for origin in origins:
                with call.perhaps(_spares(call, parsed, place)):
                    call.emit("link" if link else "copy", origin, place, attrs=attrs, edit=edit)
                if keeps and not link and origin.path is not None and call.shell.contents.links(origin.path):
                    call.shell.emit.moves(place, origin, copied=not call.shell.contents.is_link(origin.path))
            if link and parsed.has("--remove-destination", "--force") and call.kind(place) is not None:
                call.emit("delete", call.place(name, nofollow=True))
            if not link:
                with call.perhaps(_spares(call, parsed, place)):
                    call.put("write", place, (), edit=edit)
    _backup(call, parsed, sources, target, into)
    return Stream(sources=_streamed(call, sources, target), flow=call.stdin.flow)


_REPLACING: Final = ("--remove-destination", "--backup", "-b", "--suffix")
_KEEPING: Final = ("--no-dereference", "-P", "-d")
_SPARING: Final = ("--no-clobber", "--update", "-u", "--interactive", "--attributes-only")


def _spares(call: Call, parsed: Parsed, place: Resource) -> bool:
    """Whether what stands there may stay as it is."""
    return parsed.has(*_SPARING) and (place.path is None or call.kind(place) is not None or bool(call.shell.emit.made))


def _copied(call: Call, source: Field, parsed: Parsed, plain: frozenset[str]) -> Edit | None:
    """What a file gets that the source is copied or moved to; None if that is not known, or it may stay as it is."""
    if parsed.unknown or parsed.injected or not parsed.flags <= plain or not source.known or source.text in STREAMS:
        return None
    if source.text == f"/dev/fd/{NUM}" or source.sources or source.text.endswith("/"):
        return None
    place = call.place(source)
    return as_edit(call.content(place)) if call.kind(place) != "dir" else None


def _streamed(call: Call, sources: Sequence[Field], target: Field) -> tuple[Resource, ...]:
    """Sources that went to standard output."""
    if target.text not in ("/dev/stdout", "/dev/stderr", "/dev/fd/1"):
        return ()
    return merge((), tuple(place for field in sources for place in (call.place(field), *field.sources)))


def _backup(call: Call, parsed: Parsed, sources: Sequence[Field], target: Field, into: bool) -> None:
    if not parsed.has("--backup", "-b", "--suffix"):
        return
    suffix = parsed.value("--suffix")
    for source in sources:
        for name in destinations(call, source, target, into):
            kept = Field(text=name.text + (suffix.text if suffix is not None else TOP), glob=None)
            call.emit("rename", call.place(name, nofollow=True), call.place(kept, nofollow=True), may=True)


def mv(call: Call, parsed: Parsed) -> Stream:
    """`mv`: a rename of the name itself, with all below it."""
    sources, target, into = operands_and_target(call, parsed)
    if target is None:
        return NOTHING
    for source in sources:
        origin = call.place(source, recursive=True, nofollow=not source.text.endswith("/"))
        for name in destinations(call, source, target, into):
            # A link that stands at the new name is replaced, not followed.
            place = call.place(name, nofollow=True)
            # A name that is moved is the file itself: what a link leads to is not known here.
            edit = _copied(call, source, parsed, _PLAIN_MV)
            over = call.kind(place) == "file"
            with call.perhaps(_spares(call, parsed, place)):
                call.emit("rename", origin, place, edit=edit)
                if over:
                    call.emit("write", place, edit=edit)
    _backup(call, parsed, sources, target, into)
    return NOTHING


def install(call: Call, parsed: Parsed) -> Stream:
    """`install`: a copy with mode and owner; directories with `-d`."""
    if parsed.has("--directory"):
        for field in parsed.operands:
            place = call.place(field, kind="dir")
            call.emit("create", place)
            if place.path is not None:
                call.shell.directories |= {place.path.rstrip("/")}
        return NOTHING
    for field in parsed.values_of("--strip-program"):
        apply_role(call, "run", field, (), recursive=False)
    sources, target, into = operands_and_target(call, parsed)
    if target is None:
        return NOTHING
    for source in sources:
        origins = call.origins(source)
        for name in destinations(call, source, target, into):
            place = call.place(name, nofollow=True)  # a link there is taken away first
            edit = _copied(call, source, parsed, _PLAIN_INSTALL)
            for origin in origins:
                call.emit("copy", origin, place, edit=edit)
            call.put("write", place, (), edit=edit)
            call.emit("set_security", place)
    _backup(call, parsed, sources, target, into)
    return NOTHING


def ln(call: Call, parsed: Parsed) -> Stream:
    """`ln`: a further name for a file, or a symbolic link to it."""
    symbolic = parsed.has("--symbolic")
    sources, target, into = operands_and_target(call, parsed)
    if target is not None and not sources:
        sources, target, into = [target], Field(text="."), True
    if target is None:
        return NOTHING
    if parsed.has("--no-dereference") and target.known and not target.text.endswith("/") and len(sources) == 1:
        into = into and parsed.value("--target-directory") is not None
    for source in sources:
        for name in destinations(call, source, target, into):
            place = call.place(name, nofollow=True)
            origin = _linked(call, source, name, symbolic and not parsed.has("--relative"))
            call.emit("link", origin, place, attrs={"symbolic": symbolic})
            if parsed.has("--force"):
                call.emit("delete", place, may=True)
    _backup(call, parsed, sources, target, into)
    return NOTHING


def _linked(call: Call, source: Field, name: Field, beside: bool) -> Resource:
    """What a symbolic link names is relative to where the link is."""
    if not beside or source.text.startswith(("/", TOP)) or source.glob is not None:
        return call.place(source, recursive=True)
    folder = name.text.rpartition("/")[0]
    text = f"{folder}/{source.text}" if "/" in name.text else source.text
    return call.place(Field(text=text), recursive=True)


def touch(call: Call, parsed: Parsed) -> Stream:
    """`touch`: makes missing files, sets the times of all."""
    explicit = parsed.has("--date", "-t", "--reference")
    for role, field in ((role, field) for _, role, field in parsed.values if role == "list"):
        call.emit("list", call.place(field), attrs={"role": role})
    for field in parsed.operands:
        place = call.place(field, nofollow=parsed.has("--no-dereference"))
        if place.path in STREAMS:
            call.shell.emit.reopened("set_times", place, spec=call.name, span=call.span)
            continue
        exists = call.kind(place) is not None
        if not exists and not parsed.has("--no-create"):
            call.emit("create", place)
        if exists or explicit or place.path is None:
            call.emit("set_times", place, attrs={"explicit": explicit})
    return NOTHING


def dd(call: Call, parsed: Parsed) -> Stream:
    """`dd`: `if=` is read, `of=` is written."""
    source, target = None, None
    for field in parsed.operands:
        name, equals, _ = field.text.partition("=")
        if name == "if" and equals:
            source = field.tail(3)
        elif name == "of" and equals:
            target = field.tail(3)
        elif name not in _DD_NUMBERS or field.many:
            call.opaque("program", reason="operand of dd is not known", words=(field,))
            if field.many or TOP in name:
                target = Field(text=TOP)
    sources = call.read(source) if source is not None else call.stdin.sources
    if target is None:
        return Stream(sources=sources, flow=call.stdin.flow)
    plain = all(field.text.partition("=")[0] in ("of", "bs", "status") for field in parsed.operands)
    text = call.stdin.text if plain and source is None else None
    edit = Edit(kind="whole", text=text) if text is not None else None
    call.put("write", call.place(target), sources, flow=call.stdin.flow if source is None else (), edit=edit)
    return NOTHING if target.text not in STREAMS else Stream(sources=sources)


def tee(call: Call, parsed: Parsed) -> Stream:
    """`tee`: its input goes to every file and on."""
    append, text = parsed.has("--append"), call.stdin.text
    edit = Edit(kind="append" if append else "whole", text=text) if text is not None and not parsed.unknown else None
    for field in parsed.operands:
        place = call.place(field)
        call.put("append" if append else "write", place, call.stdin.sources, flow=call.stdin.flow, edit=edit)
    return call.stdin


def cat(call: Call, parsed: Parsed) -> Stream:
    """`cat`: without files its input, unchanged."""
    if not parsed.operands and not parsed.flags:
        return call.stdin
    out = apply_spec(call, parsed)
    if parsed.flags <= {"-u"} and not parsed.unknown and all(field.known for field in parsed.operands):
        texts = [call.text_of(field) for field in parsed.operands]
        if None not in texts and sum(len(text or "") for text in texts) <= MAX_TEXT:
            return Stream(
                text="".join(text or "" for text in texts), sources=out.sources, names=out.names, flow=out.flow
            )
    return out


def truncate(call: Call, parsed: Parsed) -> Stream:
    """`truncate`: cuts or pads; `-r` looks at another file's size."""
    with call.perhaps(parsed.has("--no-create")):
        apply_spec(call, parsed)
    return SOMETHING


def shred(call: Call, parsed: Parsed) -> Stream:
    """`shred`: writes over a file, and with `-u` takes it away; of a link the file that it leads to is written."""
    removes = parsed.has("-u", "--remove")
    sources: tuple[Resource, ...] = ()
    for field in parsed.values_of("--random-source"):
        # What is written over a file is the bytes of that source as they are.
        sources = merge(sources, call.read(field, reveals="none" if removes else "content"))
    for field in parsed.operands:
        if field.text == "-":
            continue
        call.put("write", call.place(field), () if removes else sources, attrs={"destroys": True} if removes else None)
        if removes:
            call.emit("delete", call.place(field, nofollow=True))
    return NOTHING


def trash(call: Call, parsed: Parsed) -> Stream:
    """`trash`: what is thrown into a bin is all there, under another name."""
    if parsed.has("--empty", "--restore"):
        return call.opaque("program", reason="what lies in the bin is not known")
    given = (*parsed.values_of("--trash-dir"), *parsed.values_of("--graveyard"))
    folders = given or (Field(text=f"{call.shell.expand.lookup('HOME', call.state, {})[0]}/.local/share/Trash"),)
    for source in parsed.operands:
        name = source.text.rstrip("/").rpartition("/")[2]
        for folder in folders:
            there = Field(text=f"{folder.text.rstrip('/')}/files/{name}")
            call.emit("rename", call.place(source, recursive=True, nofollow=True), call.place(there, nofollow=True))
    return NOTHING


FAMILIES: Final[Mapping[str, Family]] = {
    "cat": cat,
    "cp": cp,
    "dd": dd,
    "install": install,
    "ln": ln,
    "mv": mv,
    "shred": shred,
    "tee": tee,
    "touch": touch,
    "trash": trash,
    "truncate": truncate,
}
"""What `code` of a spec may say, for this module."""
