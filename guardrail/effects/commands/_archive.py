"""tar: what goes into an archive is copied, what comes out of it is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed, parse_options
from guardrail.effects.catalogue._spec import specs
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import basename
from guardrail.effects.domain._values import NOTHING, TOP, Field, Stream, merge
from guardrail.model import Resource

_MODES = ("--create", "--extract", "--list", "--append", "--update", "--concatenate", "--diff", "--delete")
_SUFFIXES = {"gzip": ".gz", "bzip2": ".bz2", "xz": ".xz", "zstd": ".zst", "lz4": ".lz4", "lzma": ".lzma", "lzip": ".lz"}
_NO_FOLDER: tuple[Field | None, ...] = (None,)
_OLD_VALUES = {"f": "-f", "b": "-b", "C": "-C", "X": "-X", "T": "-T", "I": "-I", "V": "-V", "g": "-g", "N": "-N"}


def tar(call: Call, parsed: Parsed) -> Stream:
    """`tar`: modes c, x, t, r, u."""
    if call.args and call.args[0].known and not call.args[0].text.startswith("-"):
        parsed = _old_style(call)
        if parsed.unknown:
            call.opaque("program", reason="options of tar that are not known")
            call.shell.emit.maybe += 1
            try:
                return _tar(call, parsed)
            finally:
                call.shell.emit.maybe -= 1
    return _tar(call, parsed)


def _old_style(call: Call) -> Parsed:
    """`tar cf A b`: the first word is a cluster without a dash, and its values follow in order."""
    cluster, rest = call.args[0].text, list(call.args[1:])
    words: list[Field] = []
    for letter in cluster:
        words.append(Field(text=f"-{letter}"))
        if letter in _OLD_VALUES and rest:
            words.append(rest.pop(0))
    return parse_options(specs()["tar"], [*words, *rest])


def _tar(call: Call, parsed: Parsed) -> Stream:
    modes = [mode for mode in _MODES if parsed.has(mode)]
    for _, role, field in parsed.values:
        if role in ("run", "opaque"):
            call.opaque("dynamic" if not field.known else "inline", reason="an option of tar runs a program")
            call.mention_text(field.text)
    for field in parsed.values_of("--files-from"):
        # A line that begins with a dash is an option.
        names = call.listed(field, "\0" if parsed.has("--null") else "\n")
        if any(name.text.startswith("-") for name in names):
            call.opaque("inline", reason="options of tar come from a list")
        parsed.operands.extend(names)
    if len(modes) != 1 or modes[0] in ("--delete", "--concatenate"):
        return call.opaque("program", reason="this mode of tar is not known")
    archive = parsed.value("--file")
    if archive is not None and archive.text == "-":
        archive = None
    if archive is not None and ":" in archive.text and not parsed.has("--force-local"):
        return call.opaque("program", reason="an archive on another host")
    if modes[0] in ("--create", "--append", "--update"):
        return _pack(call, parsed, archive, append=modes[0] != "--create")
    reveals = "content" if modes[0] == "--extract" else "digest"
    sources = call.read(archive, reveals=reveals) if archive is not None else call.stdin.sources
    if modes[0] in ("--list", "--diff"):
        return Stream(text=None)
    return _unpack(call, parsed, sources)


def _pack(call: Call, parsed: Parsed, archive: Field | None, *, append: bool) -> Stream:
    sources: tuple[Resource, ...] = ()
    # -C holds for the operands after it; both readings are taken where there are several.
    folders = [*parsed.values_of("--directory")]
    for field in parsed.operands:
        for folder in folders or _NO_FOLDER:
            inside = field if folder is None or field.text.startswith("/") else _inside(folder, field)
            place = call.place(inside, recursive=True)
            call.emit("read", place, attrs={"reveals": "content"})
            sources = merge(sources, (place, *field.sources))
            if parsed.has("--remove-files"):
                call.emit("delete", call.place(inside, recursive=True, nofollow=True))
        if len(folders) > 1 and not field.text.startswith("/"):
            place = call.place(field, recursive=True)
            call.emit("read", place, attrs={"reveals": "content"}, may=True)
            sources = merge(sources, (place,))
    snapshot = parsed.value("--listed-incremental")
    if snapshot is not None:
        call.put("write", call.place(snapshot), ())
    if archive is None:
        return Stream(sources=sources)
    call.put("append" if append else "write", call.place(archive), sources)
    return NOTHING


def _inside(folder: Field, field: Field) -> Field:
    text = f"{folder.text.rstrip('/')}/{field.text}" if field.text != "." else folder.text
    known = field.glob is None and folder.glob is None
    return Field(text=text if known else TOP, many=field.many, sources=field.sources)


def _unpack(call: Call, parsed: Parsed, sources: tuple[Resource, ...]) -> Stream:
    """Names inside the archive are not known, so all below the directory may be written."""
    if parsed.has("--to-stdout"):
        return Stream(sources=sources, flow=call.stdin.flow)
    folders = parsed.values_of("--directory") or [Field(text=".")]
    if parsed.has("--absolute-names"):
        folders = [Field(text=TOP)]
    for folder in folders:
        place = call.place(folder, kind="dir", recursive=True)
        for source in sources:
            call.emit("copy", source, place, flow=call.stdin.flow, may=True)
        call.emit("write", place, may=True, attrs={"unpacked": True})
        # What was unpacked may have any name, so nothing below is what it was.
        call.shell.emit.made.add(f"{place.path or ''}/*" if place.path else "**")
    return NOTHING


def compress(call: Call, parsed: Parsed) -> Stream:
    """`gzip`, `xz`, `zstd` and their like: FILE becomes FILE.gz, or back."""
    operands = parsed.operands
    if not operands or parsed.has("--stdout", "--list", "--test"):
        sources = call.stdin.sources if not operands else ()
        reveals = "digest" if parsed.has("--list", "--test") else "content"
        for field in operands:
            sources = merge(sources, call.read(field, reveals=reveals))
        return Stream(sources=sources, flow=call.stdin.flow) if reveals == "content" else NOTHING
    recursive = parsed.has("--recursive")
    for field in operands:
        read = call.read(field, recursive=recursive)
        stem = field.text.rpartition(".")[0]
        back = call.name.startswith("un") or call.name in ("gunzip", "bunzip2") or parsed.has("--decompress")
        suffix = TOP if parsed.has("--suffix") or field.glob is not None else _SUFFIXES.get(call.name, TOP)
        name = stem if back and stem else f"{field.text}{suffix}"
        target = Field(text=name if basename(field.text) != TOP else TOP)
        call.put("write", call.place(target, recursive=recursive), read)
        if not parsed.has("--keep") and "zst" not in call.name:
            call.emit("delete", call.place(field, recursive=recursive, nofollow=True))
    return NOTHING


FAMILIES: Final[Mapping[str, Family]] = {
    "compress": compress,
    "tar": tar,
}
"""What `code` of a spec may say, for this module."""
