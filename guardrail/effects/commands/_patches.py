"""patch and `git apply`: what a diff changes is worked out where it fits exactly.

Not concerned with the search for another place (fuzz, offsets): then what is written is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._makes import named_by
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._contents import as_edit
from guardrail.effects.domain._values import NOTHING, SOMETHING, TOP, Field, Stream, merge
from guardrail.effects.keys._patch import FilePatch, Malformed, apply_patch
from guardrail.model import Edit, Resource

_PLAIN: Final = frozenset(
    "--strip --input --silent --forward --force --batch --unified --directory --remove-empty-files --verbose".split()
)
"""Options of patch with which a diff that fits is applied as it stands."""


def patch(call: Call, parsed: Parsed) -> Stream:
    """`patch [FILE [DIFF]]`: the diff on standard input, or in `-i`."""
    operands = list(parsed.operands)
    directory = parsed.value("--directory")
    if directory is not None:
        call.cwd = call.place(directory, kind="dir").path if directory.known else None
    given = parsed.value("--input") or (operands[1] if len(operands) > 1 else None)
    sources = call.read(given) if given is not None else call.stdin.sources
    text = call.text_of(given) if given is not None else call.stdin.text
    if parsed.has("--dry-run", "--help", "--version"):
        for field in operands[:1]:
            call.read(field)
        return Stream(sources=sources)
    output = parsed.value("--output")
    files = _files(text)
    computed = not parsed.unknown and not parsed.injected and parsed.flags <= _PLAIN
    _left(call, parsed, operands, files, sources)
    if output is not None:
        return _put_out(call, operands, files, output, sources)
    if operands:
        one = files[0] if files is not None and len(files) == 1 and computed else None
        _write(call, operands[0], one, sources)
    elif files is None:
        _anything(call, sources, "a patch that is not known")
    else:
        strip = parsed.value("--strip")
        for file in files:
            _change(call, file, _strip(file, strip), computed=computed, sources=sources)
    return NOTHING


def _put_out(
    call: Call,
    operands: Sequence[Field],
    files: Sequence[FilePatch] | None,
    output: Field,
    sources: tuple[Resource, ...],
) -> Stream:
    """What comes of `-o`: the patched files together, and none of them is changed."""
    if not operands and files is None:
        _anything(call, sources, "a patch that is not known")
    for field in operands[:1] or [Field(text=name) for file in files or () for name in file.names]:
        sources = merge(sources, call.read(field))
    if output.text == "-":
        return Stream(sources=sources)
    call.put("write", call.place(output), sources)
    return NOTHING


def _left(
    call: Call,
    parsed: Parsed,
    operands: Sequence[Field],
    files: Sequence[FilePatch] | None,
    sources: tuple[Resource, ...],
) -> None:
    """What does not fit is left in `.rej`, and the file as it was in `.orig`: if so asked, or where it hardly fits."""
    rejected = parsed.value("--reject-file")
    prefix, base = parsed.value("--prefix"), parsed.value("--basename-prefix")
    suffix = parsed.value("--suffix")
    ending = suffix.text if suffix is not None else "" if prefix is not None or base is not None else ".orig"
    numbered = parsed.has("--version-control") and suffix is None and prefix is None and base is None
    output = parsed.value("--output")
    fields = [output] if output is not None and output.text != "-" else list(operands[:1])
    for file in files or () if not fields and output is None else ():
        fields += [Field(text=name) for name in _strip(file, parsed.value("--strip")) or ()]
    with call.perhaps():
        for field in fields:
            if rejected is None:
                call.put("write", call.place(named_by("{}.rej", field)), sources)
            head, slash, name = field.text.rpartition("/")
            before = f"{prefix.text if prefix is not None else ''}{head}{slash}{base.text if base is not None else ''}"
            place = call.place(field)
            for end in (ending, ".~*~") if numbered else (ending,):
                kept = Field(text=f"{before}{name}") if field.known else Field(text=TOP)
                call.put("write", call.place(named_by("{}" + end, kept)), (place,))
        if rejected is not None and rejected.text != "-":
            call.put("write", call.place(rejected), sources)


def git_apply(call: Call, args: Sequence[Field]) -> Stream:
    """`git apply DIFF…`."""
    words = list(args)
    options = [field.text for field in words if field.text.startswith("-") and field.text != "-"]
    operands = [field for field in words if not field.text.startswith("-") or field.text == "-"]
    if any(text.split("=")[0] in ("--stat", "--numstat", "--summary", "--check") for text in options):
        sources: tuple[Resource, ...] = ()
        for field in operands:
            sources = merge(sources, call.read(field))
        return Stream(sources=sources) if operands else SOMETHING
    strip = next((text[2:] for text in options if text[:2] == "-p" and text[2:].isdecimal()), "1")
    plain = all(text in _GIT_PLAIN or text == f"-p{strip}" for text in options)
    texts = [(call.read(field), call.text_of(field)) for field in operands if field.text != "-"]
    if not texts:
        texts = [(call.stdin.sources, call.stdin.text)]
    for sources, text in texts:
        files = _files(text)
        if files is None or not plain:
            _anything(call, sources, "a patch that is not known, or an option that moves it")
            continue
        for file in files:
            _change(call, file, _strip(file, Field(text=strip)), computed=True, sources=sources)
    return NOTHING


_GIT_PLAIN: Final = frozenset("-v --verbose --quiet --whitespace=nowarn --whitespace=fix --apply --allow-empty".split())


def _files(text: str | None) -> tuple[FilePatch, ...] | None:
    try:
        return apply_patch(text) if text is not None and not text.startswith("*** Begin Patch") else None
    except Malformed:
        return None


def _strip(file: FilePatch, strip: Field | None) -> list[str] | None:
    """The names that a patch may mean, without so many directories; None if that is not known."""
    names: list[str] = []
    for name in file.names:
        parts = name.split("/")
        if strip is None:
            names.append(parts[-1])
        elif not strip.known or not strip.text.isdecimal():
            return None
        elif int(strip.text) < len(parts):
            names.append("/".join(parts[int(strip.text) :]))
    return list(dict.fromkeys(names))


def _anything(call: Call, sources: tuple[Resource, ...], reason: str) -> None:
    call.shell.emit.opaque("inline", Resource(kind="code", uri=f"code:{call.name}"), spec=call.name, reason=reason)
    call.mention_cwd()
    call.mention(call.args)
    for source in sources:
        call.emit("mention", source, precision="opaque", may=True)


def _change(
    call: Call, file: FilePatch, names: list[str] | None, *, computed: bool, sources: tuple[Resource, ...]
) -> None:
    if not names:
        _anything(call, sources, "a patch whose files are not known")
        return
    fields = [Field(text=name) for name in names]
    if file.op == "move" and file.new_path is not None and len(fields) == 2:
        before = call.content(call.place(fields[0]))
        after = file.apply(before) if before is not None and computed else None
        call.emit("rename", call.place(fields[0], nofollow=True), call.place(fields[1]), edit=as_edit(after))
        return
    if file.op == "delete":
        for field in fields:
            call.emit("delete", call.place(field, nofollow=True))
        return
    # Of two names patch takes the one that fits better.
    with call.perhaps(len(fields) > 1):
        for field in fields:
            _write(call, field, file if computed and len(fields) == 1 else None, sources)


def _write(call: Call, field: Field, file: FilePatch | None, sources: tuple[Resource, ...]) -> None:
    """One file that is patched."""
    place = call.place(field)
    edit: Edit | None = None
    if file is not None and field.known and file.op in ("add", "update"):
        before = call.content(place)
        missing = place.path is not None and call.shell.contents.missing(place.path)
        if before is not None or (missing and file.op == "add"):
            edit = as_edit(file.apply(before))
    call.put("write", place, sources, edit=edit)


FAMILIES: Final[Mapping[str, Family]] = {"patch": patch}
"""What `code` of a spec may say, for this module."""
