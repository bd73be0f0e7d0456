"""patch and `git apply`: what a diff changes is worked out where it fits exactly.

Not concerned with the search for another place (fuzz, offsets): then what is written is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._contents import as_edit
from guardrail.effects.domain._values import NOTHING, SOMETHING, Field, Stream, merge
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
    if parsed.has("--dry-run"):
        for field in operands[:1]:
            call.read(field)
        return Stream(sources=sources)
    output = parsed.value("--output")
    named = output or (operands[0] if operands else None)
    files = _files(text)
    computed = not parsed.unknown and not parsed.injected and parsed.flags <= _PLAIN
    if named is not None:
        one = files[0] if files is not None and len(files) == 1 and computed and output is None else None
        _write(call, named, one, sources)
    elif files is None:
        _anything(call, sources, "a patch that is not known")
    else:
        strip = parsed.value("--strip")
        for file in files:
            _change(call, file, _strip(file, strip), computed=computed, sources=sources)
    return NOTHING


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
    strip = next((text[2:] for text in options if text[:2] == "-p" and text[2:].isdigit()), "1")
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
        elif not strip.known or not strip.text.isdigit():
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
    for field in fields:
        _write(call, field, file if computed and len(fields) == 1 else None, sources)


def _write(call: Call, field: Field, file: FilePatch | None, sources: tuple[Resource, ...]) -> None:
    """One file that is patched; what does not fit leaves `.orig` and `.rej` beside it."""
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
