"""Which file a word of `node` means: that of its name, one with an ending, or the one that a directory's package names.

Not concerned with modules that code loads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import Field

_ENDINGS: Final = (".js", ".cjs", ".mjs", ".json", ".node", ".ts", ".tsx", ".mts", ".cts", ".jsx")


def module_file(call: Call, field: Field) -> Field:
    """The file that is run; the word itself if none is found."""
    if not field.known or not field.text or field.text[:1] == "-":
        return field
    for text in _candidates(call, field.text):
        if _is_file(call, text):
            return Field(text=text, span=field.span)
    return field


def _candidates(call: Call, text: str) -> Iterator[str]:
    folder = text.rstrip("/") or "/"
    plain = folder.rpartition("/")[2] not in (".", "..", "")
    if plain and folder == text:
        yield text
        yield from (f"{text}{ending}" for ending in _ENDINGS)
    main = _main(call, folder)
    if main:
        yield f"{folder}/{main}"
        yield from (f"{folder}/{main}{ending}" for ending in _ENDINGS)
        yield from (f"{folder}/{main}/index{ending}" for ending in _ENDINGS)
    yield from (f"{folder}/index{ending}" for ending in _ENDINGS)


def _is_file(call: Call, text: str) -> bool:
    place = call.place(Field(text=text))
    if place.path is None or call.kind(place) == "dir":
        return False
    return call.kind(place) is not None or call.shell.emit.changed(place.path)


def _main(call: Call, folder: str) -> str:
    """What `package.json` says of where a package begins."""
    data = call.content(call.place(Field(text=f"{folder}/package.json")))
    try:
        main = _DECODER.decode(data).main if data is not None else ""
    except (msgspec.MsgspecError, RecursionError):
        return ""
    return main.removeprefix("./") if isinstance(main, str) else ""


class _PackageFile(msgspec.Struct, frozen=True):
    main: Any = ""


# INVARIANT: made while the module is imported, as msgspec works a type out only once.
_DECODER: Final = msgspec.json.Decoder(_PackageFile)
