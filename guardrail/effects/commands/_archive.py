"""tar: what goes into an archive is copied, what comes out of it is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from guardrail.effects.catalogue._options import Parsed, parse_options
from guardrail.effects.catalogue._spec import specs
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._ignored import left_out
from guardrail.effects.commands._makes import below, is_listed, named_by
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import basename, escape
from guardrail.effects.domain._values import NOTHING, TOP, Field, Stream, merge
from guardrail.model import Resource
from guardrail.patterns import lazy

_MODES = ("--create", "--extract", "--list", "--append", "--update", "--concatenate", "--diff", "--delete")
_SUFFIXES: Final = {
    "gzip": ".gz", "pigz": ".gz", "bzip2": ".bz2", "pbzip2": ".bz2", "lbzip2": ".bz2", "xz": ".xz", "pixz": ".xz",
    "zstd": ".zst", "zstdmt": ".zst", "pzstd": ".zst", "lz4": ".lz4", "lzma": ".lzma", "lzip": ".lz", "plzip": ".lz",
    "lzop": ".lzo", "brotli": ".br", "compress": ".Z", "lrzip": ".lrz",
}  # fmt: skip
_KEEPING: Final = frozenset("zstd zstdmt pzstd unzstd lz4 unlz4 brotli unbrotli lrzip lrunzip lzop".split())
"""Compressors that leave the file where it is."""

_FORMATS: Final = {
    "gzip": ".gz", "xz": ".xz", "lzma": ".lzma", "alone": ".lzma", "lzip": ".lz", "lz4": ".lz4", "zstd": ".zst",
}  # fmt: skip
"""Suffix that a form of compression gives, if an option chooses it."""

_BACKWARDS: Final = frozenset("gunzip bunzip2 lunzip lrunzip plunzip lbunzip2".split())
_PAIRED: Final = frozenset(("lz4", "unlz4", "pixz"))
"""Compressors whose second operand is the file that is made."""

_OLD_VALUES = {"f": "-f", "b": "-b", "C": "-C", "X": "-X", "T": "-T", "I": "-I", "V": "-V", "g": "-g", "N": "-N"}


def tar(call: Call, parsed: Parsed) -> Stream:
    """`tar`: modes c, x, t, r, u."""
    if call.args and call.args[0].known and not call.args[0].text.startswith("-"):
        parsed = _old_style(call)
        if parsed.unknown:
            call.opaque("program", reason="options of tar that are not known")
            with call.perhaps():
                return _tar(call, parsed)
    return _tar(call, parsed)


def _old_style(call: Call) -> Parsed:
    """`tar cf A b`: the first word is a cluster without a dash, and its values follow in order."""
    cluster, rest = call.args[0].text, list(call.args[1:])
    words: list[Field] = []
    for letter in cluster:
        words.append(Field(text=f"-{letter}"))
        if letter in _OLD_VALUES and rest:
            words.append(rest.pop(0))
    return parse_options(specs()[call.name], [*words, *rest])


def _tar(call: Call, parsed: Parsed) -> Stream:
    modes = [mode for mode in _MODES if parsed.has(mode)]
    for _, role, field in parsed.values:
        if role in ("run", "opaque") and not _is_compressor(call, field):
            call.opaque("dynamic" if not field.known else "inline", reason="an option of tar runs a program")
            call.mention_text(field.text)
    if len(modes) != 1:
        return call.opaque("program", reason="this mode of tar is not known")
    members = list(_members(call, parsed))
    archive = parsed.value("--file")
    if archive is not None and archive.text == "-":
        archive = None
    if archive is not None and ":" in archive.text and not parsed.has("--force-local"):
        return call.opaque("program", reason="an archive on another host")
    if modes[0] in ("--create", "--append", "--update"):
        return _pack(call, parsed, members, archive, append=modes[0] != "--create")
    if modes[0] in ("--delete", "--concatenate"):
        return _changed(call, parsed, archive, joins=modes[0] == "--concatenate")
    reveals = "content" if modes[0] == "--extract" else "digest"
    sources = call.read(archive, reveals=reveals) if archive is not None else call.stdin.sources
    if modes[0] == "--diff":
        for folder in _folders(call, parsed, members):
            place = call.place(folder, kind="dir", recursive=True)
            call.emit("read", place, attrs={"reveals": "digest"}, may=True)
    if modes[0] in ("--list", "--diff"):
        return Stream(text=None)
    return _unpack(call, parsed, members, sources)


_QUICK: Final = lazy(r"-[0-9]{1,2}|-[cdkqvf]+|-T\d+|-p\d*|--(?:fast|best|ultra|rsyncable|long(?:=\d+)?|threads=\d+)")


def _is_compressor(call: Call, field: Field) -> bool:
    """A program that tar is told to pack with and that does nothing else."""
    words = field.text.split() if field.known else []
    known = bool(words) and (words[0] in _SUFFIXES or words[0] in _UNPACKING)
    return known and call.state.path == () and all(_QUICK.fullmatch(word) for word in words[1:])


_UNPACKING: Final = _BACKWARDS | frozenset("unzstd unlz4 unxz unpigz unlzma uncompress zstdcat xzcat".split())


def _members(call: Call, parsed: Parsed) -> Iterator[tuple[Field, Field | None]]:
    """Each name that is given, here or in a list, with the directory it is meant in, that of the `-C` before it."""
    operands, count = list(parsed.operands), 0
    folder: Field | None = None
    for after, option, field in parsed.placed("--directory", "--files-from"):
        for name in operands[count:after]:
            yield name, folder
        count = max(count, after)
        if option == "--directory":
            folder = _inside(folder, field)
            continue
        if field.text != "-":
            call.read(field, reveals="some")
        # A line that begins with a dash is an option.
        names = call.listed(field, "\0" if parsed.has("--null") else "\n")
        if any(name.text.startswith("-") for name in names):
            call.opaque("inline", reason="options of tar come from a list")
        for name in names:
            yield name, folder
    for name in operands[count:]:
        yield name, folder


def _folders(call: Call, parsed: Parsed, members: Sequence[tuple[Field, Field | None]]) -> list[Field]:
    """The directories that members are unpacked into."""
    here = Field(text=".")
    last: Field | None = None
    for field in parsed.values_of("--directory"):
        last = _inside(last, field)
    named = [folder or here for _, folder in members]
    if not named or call.name == "bsdtar" or parsed.injected:
        named.append(last or here)
    return list(dict.fromkeys(named))


def _changed(call: Call, parsed: Parsed, archive: Field | None, *, joins: bool) -> Stream:
    """Members go from an archive, or those of other archives are put at its end."""
    sources: tuple[Resource, ...] = ()
    for field in parsed.operands if joins else ():
        sources = merge(sources, call.read(field))
    if archive is None:
        return Stream(sources=merge(sources, call.stdin.sources), flow=call.stdin.flow)
    call.put("append" if joins else "write", call.place(archive), sources)
    return NOTHING


def _pack(
    call: Call,
    parsed: Parsed,
    members: Sequence[tuple[Field, Field | None]],
    archive: Field | None,
    *,
    append: bool,
) -> Stream:
    sources: tuple[Resource, ...] = ()
    spared: dict[Resource, dict[str, Any]] = {}
    for field, folder in members:
        inside = _inside(folder, field)
        place = call.place(inside, recursive=True)
        spared[place] = _spared(call, parsed, field, inside)
        call.emit("read", place, attrs={"reveals": "content", **spared[place]})
        sources = merge(sources, (place, *field.sources))
        if parsed.has("--remove-files"):
            call.emit("delete", call.place(inside, recursive=True, nofollow=True))
    snapshot = parsed.value("--listed-incremental")
    if snapshot is not None:
        call.put("write", call.place(snapshot), ())
    if archive is None:
        return Stream(sources=sources)
    since = len(call.shell.emit.effects)
    call.put("append" if append else "write", call.place(archive), sources)
    for index in range(since, len(call.shell.emit.effects)):
        effect = call.shell.emit.effects[index]
        if effect.op == "copy" and (facts := spared.get(effect.resource)):
            call.shell.emit.effects[index] = msgspec.structs.replace(effect, attrs={**effect.attrs, **facts})
    return NOTHING


_TAKING_IN: Final = (
    "--dereference", "--anchored", "--no-anchored", "--no-wildcards", "--files-from", "--absolute-names", "--null",
    "--remove-files", "--listed-incremental",
)  # fmt: skip
"""Options with which what is left out is read in another way, or what is taken is not below the directory alone."""


def _spared(call: Call, parsed: Parsed, field: Field, inside: Field) -> dict[str, Any]:
    """What `--exclude` says, where it stands before all names: what stands behind a name does not count for it."""
    if call.name not in ("tar", "gtar") or parsed.has(*_TAKING_IN) or parsed.injected or parsed.unknown:
        return {}
    if "TAR_OPTIONS" in call.state.vars or "TAR_OPTIONS" in call.shell.expand.environment:
        return {}
    words = [value.text for after, _, value in parsed.placed("--exclude") if after == 0 and value.known]
    if field.text.rstrip("/") == ".":
        # Names begin with `./` then, and so may what leaves them out.
        words = [word[1:] if word[:2] == "./" else word for word in words if word[:1] != "/"]
        return left_out(call, inside, (word for word in words if word[-1:] != "/"), anchors=True)
    return left_out(call, inside, (word for word in words if word[-1:] != "/"), anchors=False)


def _inside(folder: Field | None, field: Field) -> Field:
    """A name in a directory, or another directory after it."""
    if folder is None or field.text.startswith("/"):
        return field
    text = f"{folder.text.rstrip('/')}/{field.text}" if field.text != "." else folder.text
    known = field.glob is None and folder.glob is None
    return Field(text=text if known else TOP, many=field.many, sources=field.sources)


def _unpack(
    call: Call, parsed: Parsed, members: Sequence[tuple[Field, Field | None]], sources: tuple[Resource, ...]
) -> Stream:
    """Names inside the archive are not known, so all below the directory may be written."""
    if parsed.has("--to-stdout"):
        return Stream(sources=sources, flow=call.stdin.flow)
    folders = _folders(call, parsed, members)
    if parsed.has("--absolute-names"):
        folders = [Field(text=TOP)]
    for word in call.args:
        if word.text.startswith("--one-top-level="):
            folders.append(word.tail(len("--one-top-level=")))
    for folder in folders:
        below(call, folder, sources)
    return NOTHING


def compress(call: Call, parsed: Parsed) -> Stream:
    """`gzip`, `xz`, `zstd` and their like: FILE becomes FILE.gz, or back."""
    operands = list(parsed.operands)
    for option, role, field in parsed.values:
        if role == "run":
            call.opaque("inline", reason=f"{option} of {call.name} runs a program", words=(field,))
        elif role == "read":
            operands.extend(_listed_names(call, option, field))
    reveals = "digest" if parsed.has("--list", "--test") else "content"
    named = next((field for _, role, field in reversed(parsed.values) if role == "write"), None)
    if named is None and call.name in _PAIRED and len(operands) == 2 and not parsed.has("-m", "--list", "--test"):
        named = operands.pop()
    recursive = parsed.has("--recursive")
    if named is None and operands and not parsed.has("--stdout") and reveals == "content":
        # Of one file alone lz4 writes to standard output, if that is no terminal.
        doubtful = call.name in ("lz4", "unlz4") and len(operands) == 1 and not parsed.has("-m", "--recursive")
        with call.perhaps(doubtful):
            for field in operands:
                _replaced(call, parsed, field, recursive=recursive)
        if doubtful:
            return Stream(sources=merge(call.stdin.sources, call.origins(operands[0])), flow=call.stdin.flow)
        return NOTHING if all(field.text != "-" for field in operands) else Stream(sources=call.stdin.sources)
    sources = call.stdin.sources if not operands else ()
    for field in operands:
        sources = merge(sources, call.read(field, reveals=reveals, recursive=recursive))
        if named is not None and parsed.has("--rm"):
            call.emit("delete", call.place(field, recursive=recursive, nofollow=True))
    if reveals == "digest":
        return NOTHING
    if named is None or named.text == "-":
        return Stream(sources=sources, flow=call.stdin.flow)
    call.put("write", call.place(named), sources, flow=() if operands else call.stdin.flow)
    return NOTHING


def _listed_names(call: Call, option: str, field: Field) -> list[Field]:
    call.read(field, reveals="some")
    if option in ("--files", "--files0", "--filelist"):
        return call.listed(field, "\0" if option == "--files0" else "\n")
    return []


def _replaced(call: Call, parsed: Parsed, field: Field, *, recursive: bool) -> None:
    """One file becomes another beside it, or in the directory that an option names."""
    if field.text == "-":
        return
    read = call.read(field, recursive=recursive)
    stem = field.text.rpartition(".")[0]
    back = call.name.startswith("un") or call.name in _BACKWARDS or parsed.has("--decompress")
    suffix = _suffix(call, parsed)
    # Of a name that was listed the ending is known, if it has one.
    ended = not back or (stem != "" and is_listed(stem) and "/" not in field.text[len(stem) :])
    listed = is_listed(field.text) and (not field.many or field.named) and ended
    known = (basename(field.text) != TOP or listed) and field.glob is None
    name = (stem if back and stem else f"{field.text}{suffix}") if known else TOP
    folder = parsed.value("--output-dir") or parsed.value("--output-dir-flat")
    walked = recursive and call.kind(call.place(field)) != "file"
    if walked and (folder is not None or parsed.has("--output-dir-mirror")):
        below(call, folder or parsed.value("--output-dir-mirror") or Field(text=TOP), read)
        return
    if folder is not None or (folder := parsed.value("--output-dir-mirror")) is not None:
        inside = name.lstrip("/") if parsed.has("--output-dir-mirror") else name.rpartition("/")[2]
        target = Field(text=f"{folder.text.rstrip('/')}/{inside if known else TOP}")
    elif walked:
        _replaced_below(call, parsed, field, "" if back else suffix, read)
        return
    elif field.glob is not None and not back and suffix != TOP:
        target = Field(text=TOP, glob=f"{field.glob}{suffix}")
    elif field.glob is not None:
        target = Field(text=TOP, glob=f"{field.glob.rpartition('/')[0]}/*" if "/" in field.glob else "*")
    else:
        target = Field(text=name)
    call.put("write", call.place(target, recursive=recursive), read)
    if _spends(call, parsed):
        if call.name == "lzop":
            call.emit("set_security", call.place(field))
        call.emit("delete", call.place(field, recursive=recursive, nofollow=True))


def _replaced_below(call: Call, parsed: Parsed, field: Field, suffix: str, read: Sequence[Resource]) -> None:
    """Each file below a directory becomes another one beside it."""
    folder = (field.glob or escape(field.text)).rstrip("/")
    name = f"{folder}/**{'' if suffix == TOP else suffix}"
    call.put("write", call.place(Field(text=TOP, glob=name)), read)
    if _spends(call, parsed):
        call.emit("delete", call.place(field, recursive=True, nofollow=True), may=True)


def _suffix(call: Call, parsed: Parsed) -> str:
    """What a name gets; TOP if it is not known."""
    if (given := parsed.value("--suffix")) is not None:
        return given.text if given.known and not parsed.has("--decompress") else TOP
    form = parsed.value("--format")
    if form is not None:
        return _FORMATS.get(form.text, TOP)
    return _SUFFIXES.get(call.name, TOP)


def _spends(call: Call, parsed: Parsed) -> bool:
    """Whether the file goes."""
    return parsed.has("--rm") or not (parsed.has("--keep") or call.name in _KEEPING)


def gzexe(call: Call, parsed: Parsed) -> Stream:
    """`gzexe`: a program becomes a packed one of the same name; the old one stays beside it as `NAME~`."""
    for field in parsed.operands:
        read = call.read(field)
        kept = call.place(named_by("{}~", field))
        call.put("write", kept, read)
        call.put("write", call.place(field), read)
    return NOTHING


FAMILIES: Final[Mapping[str, Family]] = {
    "compress": compress,
    "gzexe": gzexe,
    "tar": tar,
}
"""What `code` of a spec may say, for this module."""
