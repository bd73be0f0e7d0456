"""zip: what goes into an archive is read, and with some options removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._pack import HERE, contents, named_input, with_suffix
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import NOTHING, SOMETHING, TOP, Field, Stream, merge
from guardrail.model import Resource

_ZIP_VALUES: Final = frozenset("P b t tt n O s ds lf TT UN Z".split())
_ZIP_FLAGS: Final = frozenset(
    "r R j m d u f FS F FF T e q v h L l ll g k o D c z A J X y S w $ $$ @ db dc dd dg dv du sf la li lF sp sb sv su "
    "sU sc so SF nw ws MM DF AS AC RE FI df h2 VV UN i x 0 1 2 3 4 5 6 7 8 9 p ic a B V C I C2 C5".split()
)
_ZIP_LONGS: Final = {
    "recurse-paths": "r", "recurse-patterns": "R", "junk-paths": "j", "move": "m", "delete": "d", "update": "u",
    "freshen": "f", "filesync": "FS", "encrypt": "e", "quiet": "q", "verbose": "v", "test": "T", "password": "P",
    "temp-path": "b", "from-date": "t", "before-date": "tt", "suffixes": "n", "output-file": "O", "out": "O",
    "split-size": "s", "dot-size": "ds", "logfile-path": "lf", "unzip-command": "TT", "compression-method": "Z",
    "names-stdin": "@", "exclude": "x", "include": "i", "symlinks": "y", "no-extra": "X", "no-dir-entries": "D",
    "grow": "g", "difference-archive": "DF", "show-files": "sf", "help": "h", "version": "v", "fix": "F",
    "fixfix": "FF", "adjust-sfx": "A", "junk-sfx": "J", "latest-time": "o", "archive-comment": "z", "to-crlf": "l",
    "from-crlf": "ll", "entry-comments": "c", "display-bytes": "db", "display-counts": "dc", "display-dots": "dd",
    "copy-entries": "U", "fifo": "FI", "must-match": "MM", "regex": "RE",
}  # fmt: skip


def zip_(call: Call, _parsed: Parsed) -> Stream:
    """`zip ARCHIVE FILE…`: options of one or two letters, lists of patterns after `-x` and `-i`."""
    given, values, operands = _zip_words(call)
    if given is None:
        return call.opaque("program", reason="options of zip that are not known")
    for field in values.get("TT", ()):
        call.opaque("inline", reason="zip runs a program", words=(field,))
    if "lf" in values:
        call.put("write", call.place(values["lf"][-1]), ())
    if not operands:
        return Stream(sources=call.stdin.sources, flow=call.stdin.flow)
    archive = operands.pop(0)
    if archive.text != "-":
        archive = with_suffix(archive, ".zip")
    if "O" in values:
        sources = call.read(archive)
        archive = values["O"][-1]
    else:
        sources = ()
    if "sf" in given:
        return SOMETHING
    sources = merge(sources, _zipped(call, given, operands))
    if archive.text == "-":
        return Stream(sources=sources, flow=call.stdin.flow)
    call.put("write", call.place(archive), sources)
    return NOTHING


def _zipped(call: Call, given: set[str], operands: list[Field]) -> tuple[Resource, ...]:
    """Whose content goes into the archive: files, those that the input names, and comments."""
    sources = call.stdin.sources if {"z", "c"} & given else ()
    if "d" in given:
        return sources
    sources = merge(sources, contents(call, operands, recursive=bool({"r", "R"} & given), gone="m" in given))
    if "@" in given:
        sources = merge(sources, named_input(call, gone="m" in given))
    if "R" in given:
        sources = merge(sources, contents(call, [HERE], gone="m" in given))
    return sources


def _zip_words(call: Call) -> tuple[set[str] | None, dict[str, list[Field]], list[Field]]:
    given: set[str] = set()
    values: dict[str, list[Field]] = {}
    operands: list[Field] = []
    words = list(call.args)
    listing = False
    while words:
        field = words.pop(0)
        text = field.text
        if text == "--":
            operands.extend(words)
            break
        if text[:1] != "-" or text == "-" or field.many:
            if listing and text == "@":
                listing = False
            elif not listing:
                operands.append(field)
            continue
        names = _zip_options(text)
        if names is None:
            return None, values, operands
        given.update(names)
        last = names[-1]
        listing = last in ("x", "i")
        if last in _ZIP_VALUES and not _zip_has_value(text, last) and words:
            values.setdefault(last, []).append(words.pop(0))
        elif last in _ZIP_VALUES:
            values.setdefault(last, []).append(Field(text=text.partition("=")[2] or TOP))
    return given, values, operands


def _zip_has_value(text: str, last: str) -> bool:
    return "=" in text or (not text.startswith("--") and not text.endswith(last))


def _zip_options(text: str) -> list[str] | None:
    """The options in one word; None if one is not known."""
    if text.startswith("--"):
        name = _ZIP_LONGS.get(text[2:].partition("=")[0])
        return [name] if name is not None else None
    names: list[str] = []
    i = 1
    while i < len(text):
        pair, one = text[i : i + 2], text[i]
        name = pair if len(pair) == 2 and (pair in _ZIP_FLAGS or pair in _ZIP_VALUES) else one
        if name not in _ZIP_FLAGS and name not in _ZIP_VALUES:
            return None
        names.append(name)
        i += len(name)
        if name in _ZIP_VALUES:
            break
        if text[i : i + 1] == "-":  # a switch turned off
            i += 1
    return names or None


FAMILIES: Final[Mapping[str, Family]] = {"zip": zip_}
"""What `code` of a spec may say, for this module."""
