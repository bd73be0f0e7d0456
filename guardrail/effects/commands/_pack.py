"""7z, rar, ar, cpio, pax, jar and images of file trees: what goes in is copied, what comes out is written.

Not concerned with tar and one-file compressors: those are in `_archive`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from guardrail.effects.catalogue._options import Parsed, parse_options
from guardrail.effects.catalogue._spec import specs
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._makes import below, starting
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import basename
from guardrail.effects.domain._values import NOTHING, SOMETHING, TOP, Field, Stream, merge
from guardrail.model import Resource
from guardrail.patterns import lazy

HERE: Final = Field(text=".")

_SEVEN_ADD: Final = frozenset(("a", "u"))
_AR_KEYS = lazy(r"-?[dmpqrstxabcDfiIlNoPsSTuUvVO]+")


def contents(call: Call, words: Iterable[Field], *, recursive: bool = True, gone: bool = False) -> tuple[Resource, ...]:
    """Files that go into an archive: they are read, and with `gone` removed; returns whose content goes in."""
    sources: tuple[Resource, ...] = ()
    for field in words:
        sources = merge(sources, call.read(field, recursive=recursive))
        if gone and field.text != "-":
            call.emit("delete", call.place(field, recursive=recursive, nofollow=True))
    return sources


def named_input(call: Call, separator: str = "\n", *, gone: bool = False) -> tuple[Resource, ...]:
    """Files whose names come on standard input: they are read; returns whose content that is."""
    names = call.listed(Field(text="-"), separator)
    if call.stdin.text is None and call.stdin.names:
        # Such as the output of `find`: what is below those is all that can be named.
        sources: tuple[Resource, ...] = ()
        for named in call.stdin.names:
            place = msgspec.structs.replace(named, recursive=True)
            call.emit("read", place, attrs={"reveals": "content"}, may=True)
            if gone:
                call.emit("delete", place, may=True)
            sources = merge(sources, (place,))
        return sources
    return contents(call, names, gone=gone)


def with_suffix(field: Field, suffix: str) -> Field:
    """The name an archive gets when none of its own has a dot in it."""
    name = basename(field.text)
    if name == TOP or "." in name or field.glob is not None:
        return field
    return msgspec.structs.replace(field, text=field.text + suffix)


# -- 7z and rar


def seven(call: Call, _parsed: Parsed) -> Stream:
    """`7z COMMAND [-switch…] ARCHIVE FILE…`."""
    switches = [f for f in call.args if f.text[:1] == "-" and f.text not in ("-", "--")]
    operands = [f for f in call.args if f not in switches and f.text != "--"]
    if not operands or any(f.text.lower().startswith(("--help", "-h", "-?")) for f in switches):
        return SOMETHING
    command = operands.pop(0)
    if not command.known or not operands:
        return SOMETHING if command.text in ("i", "b") else call.opaque("program", reason="no archive is named")
    given = {f.text.lower() for f in switches}
    for field in switches:
        if field.text.lower().startswith(("-i", "-ai", "-an")) or TOP in field.text[:3]:
            call.mention((field,))
    archive, *files = operands
    sources = _listed_too(call, files) if command.text.lower() in _SEVEN_ADD else ()
    if any(text.startswith("-si") for text in given):
        sources = merge(sources, call.stdin.sources)
    if command.text.lower() in (*_SEVEN_ADD, "d", "rn"):
        return _seven_add(call, archive, files, sources, given)
    if command.text.lower() in ("l", "t", "h"):
        contents_of = [archive, *(files if command.text.lower() == "h" else ())]
        for field in contents_of:
            call.read(field, reveals="digest", recursive=True)
        return SOMETHING
    if command.text.lower() not in ("e", "x"):
        return call.opaque("program", reason="this command of 7z is not known")
    sources = merge(sources, call.read(archive))
    if any(text.startswith("-so") for text in given):
        return Stream(sources=sources, flow=call.stdin.flow)
    folder = next((f.tail(2) for f in switches if f.text.startswith("-o") and len(f.text) > 2), HERE)
    below(call, folder, sources)
    return SOMETHING


def _seven_add(
    call: Call, archive: Field, files: Sequence[Field], sources: tuple[Resource, ...], given: set[str]
) -> Stream:
    if "-sdel" in given:
        for field in files:
            call.emit("delete", call.place(field, recursive=True, nofollow=True))
    if any(text.startswith("-so") for text in given):
        return Stream(sources=sources, flow=call.stdin.flow)
    kind = next((text[2:] for text in given if text.startswith("-t")), "7z")
    name = with_suffix(archive, {"gzip": ".gz", "bzip2": ".bz2"}.get(kind, f".{kind}"))
    parts = name if not any(text.startswith("-v") for text in given) else Field(text=f"{name.text}{TOP}")
    call.put("write", call.place(parts), sources)
    return SOMETHING


def _listed_too(call: Call, files: Sequence[Field]) -> tuple[Resource, ...]:
    sources: tuple[Resource, ...] = ()
    for field in files or (HERE,):
        if field.text.startswith("@") and len(field.text) > 1:
            sources = merge(sources, contents(call, call.listed(field.tail(1))))
            sources = merge(sources, contents(call, [field]))
        else:
            sources = merge(sources, contents(call, [field]))
    return sources


def rar(call: Call, _parsed: Parsed) -> Stream:
    """`rar` and `unrar`: COMMAND [-switch…] ARCHIVE FILE… [FOLDER/]."""
    switches = [f for f in call.args if f.text[:1] == "-" and f.text != "-"]
    operands = [f for f in call.args if f not in switches]
    if len(operands) < 2:
        return SOMETHING if not operands else call.opaque("program", reason="no archive is named")
    command, archive, *files = operands
    letter = command.text[:1].lower()
    if not command.known or letter not in "amufedxplvtckrs" or letter == "":
        return call.opaque("program", reason="this command of rar is not known")
    if letter in "amuf":
        sources = _listed_too(call, files)
        if letter == "m" or any(f.text in ("-df", "-dr", "-dw") for f in switches):
            for field in files:
                call.emit("delete", call.place(field, recursive=True, nofollow=True))
        call.put("write", call.place(with_suffix(archive, ".rar")), sources)
        return SOMETHING
    if letter in "dckrs":
        call.emit("write", call.place(with_suffix(archive, ".rar")))
        return SOMETHING
    sources = call.read(archive, reveals="content" if letter in "exp" else "digest")
    if letter == "p":
        return Stream(sources=sources)
    if letter in "ex":
        named = next((f.tail(3) for f in switches if f.text.startswith("-op")), None)
        last = files[-1] if files and named is None else None
        if last is not None and (last.text.endswith(("/", "..", ".")) or call.kind(call.place(last)) == "dir"):
            named = last
        elif last is not None and "/" in last.text:
            below(call, last, sources)  # it is a folder if it is there by then
        below(call, named or HERE, sources)
    return SOMETHING


# -- ar


def ar(call: Call, _parsed: Parsed) -> Stream:
    """`ar KEYS ARCHIVE MEMBER…`."""
    words = [f for f in call.args if not f.text.startswith("--")]
    for field in call.args:
        if field.text.startswith("--") and not field.text.startswith(("--output=", "--version", "--help")):
            return call.opaque("program", reason="an option of ar that is not known")
    if not words:
        return SOMETHING
    keys = words.pop(0)
    if not keys.known or not _AR_KEYS.fullmatch(keys.text):
        return call.opaque("program", reason="these keys of ar are not known")
    letters = set(keys.text.lstrip("-"))
    for letter in "abiN":
        if letter in letters and words:
            words.pop(0)
    if not words:
        return SOMETHING
    archive, *members = words
    if letters & set("rq"):
        call.put("write", call.place(archive), contents(call, members, recursive=False))
        return NOTHING
    sources = call.read(archive, reveals="content" if letters & set("xp") else "digest")
    if "p" in letters:
        return Stream(sources=sources)
    if "x" in letters:
        output = next((f.tail(9) for f in call.args if f.text.startswith("--output=")), HERE)
        below(call, output, sources)
    elif letters & set("dms"):
        call.emit("write", call.place(archive))
    return SOMETHING


def par2(call: Call, parsed: Parsed) -> Stream:
    """`par2 create NAME FILE…`: what could restore the files goes into NAME.par2 and NAME.vol*.par2."""
    sources = contents(call, parsed.operands[1:] or parsed.operands, recursive=parsed.has("-R"))
    for _, role, field in parsed.values:
        if role == "write":
            parsed.operands.insert(0, field)
    for field in parsed.operands[:1]:
        name = field.text.removesuffix(".par2") if field.glob is None else field.text
        call.put("write", call.place(starting(Field(text=name, glob=field.glob, many=field.many))), sources)
    return SOMETHING


# -- cpio, pax


def cpio(call: Call, parsed: Parsed) -> Stream:
    """`cpio`: `-o` packs the files named on its input, `-i` unpacks, `-p` copies them to a directory."""
    for _, role, field in parsed.values:
        if role == "run":
            call.opaque("inline", reason="an option of cpio runs a program", words=(field,))
        elif role == "read":
            call.read(field, reveals="some")
    named = parsed.value("--file") or parsed.value("-I") or parsed.value("-O")
    folder = parsed.value("--directory")
    separator = "\0" if parsed.has("--null") else "\n"
    if parsed.has("--pass-through"):
        target = parsed.operands[0] if parsed.operands else HERE
        sources = _named_below(call, folder, separator)
        _below_links(call, target, sources, link=parsed.has("--link"))
        return SOMETHING
    if parsed.has("--create"):
        sources = _named_below(call, folder, separator)
        if named is None:
            return Stream(sources=sources)
        call.put("append" if parsed.has("--append") else "write", call.place(named), sources)
        return SOMETHING
    if not parsed.has("--extract", "--list"):
        return call.opaque("program", reason="no mode of cpio is given")
    reveals = "digest" if parsed.has("--list") else "content"
    sources = call.read(named, reveals=reveals) if named is not None else call.stdin.sources
    if parsed.has("--list"):
        return SOMETHING
    if parsed.has("--to-stdout"):
        return Stream(sources=sources, flow=call.stdin.flow)
    below(call, folder if folder is not None and not parsed.has("--absolute-filenames") else HERE, sources)
    if not parsed.has("--no-absolute-filenames"):
        # Names with a leading slash are taken as they are.
        call.emit("write", Resource(kind="file", pattern="/**"), may=True, attrs={"unpacked": True})
    return SOMETHING


def _below_links(call: Call, target: Field, sources: tuple[Resource, ...], *, link: bool) -> None:
    if link:
        place = call.place(target, kind="dir", recursive=True)
        for source in sources:
            call.emit("link", source, place, may=True)
    below(call, target, sources)


def _named_below(call: Call, folder: Field | None, separator: str) -> tuple[Resource, ...]:
    sources = named_input(call, separator)
    return merge(sources, contents(call, [folder])) if folder is not None else sources


def pax(call: Call, parsed: Parsed) -> Stream:
    """`pax`: `-w` packs, `-r` unpacks, both copy to a directory, neither lists."""
    archive = parsed.value("-f")
    operands = list(parsed.operands)
    if parsed.has("-r") and parsed.has("-w"):
        if not operands:
            return call.opaque("program", reason="no directory is named")
        target = operands.pop()
        sources = contents(call, operands) if operands else named_input(call)
        _below_links(call, target, sources, link=parsed.has("-l"))
        return NOTHING
    if parsed.has("-w"):
        sources = contents(call, operands) if operands else named_input(call)
        if archive is None:
            return Stream(sources=sources)
        call.put("append" if parsed.has("-a") else "write", call.place(archive), sources)
        return NOTHING
    reveals = "content" if parsed.has("-r") else "digest"
    sources = call.read(archive, reveals=reveals) if archive is not None else call.stdin.sources
    if parsed.has("-r"):
        below(call, HERE, sources)
    return SOMETHING


# -- jar


def jar(call: Call, parsed: Parsed) -> Stream:
    """`jar`: as tar, but `-C` holds for one file, and a manifest may be among the words."""
    words = list(call.args)
    if words and words[0].known and words[0].text[:2] != "--":
        cluster = words.pop(0).text.lstrip("-")
        expanded: list[Field] = []
        for letter in cluster:
            expanded.append(Field(text=f"-{letter}"))
            if letter in "fme" and words:
                expanded.append(words.pop(0))
        parsed = parse_options(specs()["jar"], [*expanded, *words])
    if parsed.unknown:
        call.opaque("program", reason="options of jar that are not known")
    archive = parsed.value("--file")
    manifest = parsed.value("--manifest")
    sources: tuple[Resource, ...] = call.read(manifest) if manifest is not None else ()
    if parsed.has("--create", "--update"):
        folders = parsed.values_of("-C")
        inside = [_joined(a, b) for a, b in zip(folders[::2], folders[1::2], strict=False)]
        sources = merge(sources, contents(call, [*parsed.operands, *inside]))
        if archive is None:
            return Stream(sources=sources)
        call.put("write", call.place(archive), sources)
        return SOMETHING
    reveals = "content" if parsed.has("--extract") else "digest"
    sources = call.read(archive, reveals=reveals) if archive is not None else call.stdin.sources
    if parsed.has("--extract"):
        below(call, parsed.value("--dir") or HERE, sources)
    elif not parsed.has("--list", "--describe-module", "--validate", "--generate-index", "--help", "--version"):
        return call.opaque("program", reason="this mode of jar is not known")
    if parsed.has("--generate-index"):
        for field in parsed.values_of("--generate-index"):
            call.emit("write", call.place(field))
    return SOMETHING


def _joined(folder: Field, name: Field) -> Field:
    if not (folder.known and name.known):
        return Field(text=TOP, many=True, sources=merge(folder.sources, name.sources))
    return Field(text=name.text if name.text.startswith("/") else f"{folder.text.rstrip('/')}/{name.text}")


FAMILIES: Final[Mapping[str, Family]] = {
    "ar": ar,
    "cpio": cpio,
    "jar": jar,
    "par2": par2,
    "pax": pax,
    "rar": rar,
    "seven": seven,
}
"""What `code` of a spec may say, for this module."""
