"""awk: which programs a command runs, on which files and with which variables.

Not concerned with what a program does: that is `_awk_program`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.code._scripts import script_texts
from guardrail.effects.commands._awk_program import MAX_PROGRAM, Program
from guardrail.effects.commands._awk_tokens import tokens, unescaped
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import NOTHING, TOP, Field, Stream, merge
from guardrail.effects.keys._lines import awk_text
from guardrail.model import Edit, Resource

_INPLACE: Final = frozenset(("inplace", "inplace.awk"))


def _texts(call: Call, parsed: Parsed, operands: list[Field]) -> list[str]:
    """The program's texts; what cannot be looked into is said to be opaque."""
    found: list[str] = []
    files = [*parsed.values_of("--file"), *parsed.values_of("--exec")]
    files.extend(field for field in parsed.values_of("--include") if field.text not in _INPLACE)
    for field in files:
        found += _script(call, field)
    if parsed.has("--load"):
        call.opaque("inline", reason="an extension of awk")
    words = list(parsed.values_of("--source"))
    if not words and not parsed.has("--file", "--exec") and operands:
        words.append(operands.pop(0))
    for field in words:
        if field.known:
            found.append(field.text)
        else:
            call.opaque("dynamic", reason="the awk program is not known")
    return found


def _script(call: Call, field: Field) -> Sequence[str]:
    """The texts that a file with a program may hold: they are looked into like one that stands among the words."""
    place = call.place(field)
    if field.text in ("-", "/dev/stdin"):
        if call.stdin.text is None:
            call.opaque("dynamic", reason="the awk program comes from its input")
        return () if call.stdin.text is None else (call.stdin.text,)
    if place.path is None or not field.known:
        call.opaque("dynamic", resource=place, reason="the awk program is not known")
        return ()
    if "/" not in field.text:
        if "AWKPATH" in call.state.vars:
            call.opaque("dynamic", resource=place, reason="the awk program is looked for along AWKPATH")
            return ()
        other = f"{place.path}.awk"
        if not _is_there(call, place.path) and _is_there(call, other):
            place = msgspec.structs.replace(place, path=other)
    path = place.path or ""
    texts = script_texts(call, place)
    if texts:
        call.emit("read", place, attrs={"reveals": "none"})
        return texts
    authored = call.shell.emit.changed(path)
    call.shell.emit.opaque(
        "script", place, spec=call.name, span=call.span, attrs={"authored": True} if authored else None
    )
    if authored:
        call.mention(call.args)
        call.mention_input()
    return ()


def _is_there(call: Call, path: str) -> bool:
    return call.shell.view.kind(path) is not None or call.shell.emit.changed(path)


def awk(call: Call, parsed: Parsed) -> Stream:
    """`awk`: a filter, and what its program writes, reads and runs."""
    if parsed.has("--version", "--help"):
        return Stream()
    operands = list(parsed.operands)
    texts = _texts(call, parsed, operands)
    for _, role, field in parsed.values:
        if role == "write":
            call.put("write", call.place(field), ())
    given: dict[str, str] = {}
    sources: tuple[Resource, ...] = ()
    files: list[Field] = []
    for field in [*parsed.values_of("--assign"), *operands]:
        name, equals, value = field.text.partition("=")
        if equals and re.fullmatch(r"[A-Za-z_][\w:]*", name):
            given[name] = TOP if name in given or not field.known else unescaped(value)
        else:
            files.append(field)
            sources = merge(sources, call.read(field, reveals="some"))
    for field in call.args:
        sources = merge(sources, field.sources)
    if not files:
        sources = merge(sources, call.stdin.sources)
    out = sources
    for text in texts:
        out = merge(out, _run(call, text, given, sources))
    plain = texts[0] if len(texts) == 1 and not parsed.unknown and not parsed.values_of("--assign") else None
    if any(field.text in _INPLACE for field in parsed.values_of("--include")):
        _in_place(call, files, plain)
        return NOTHING
    before = call.stdin.text if not files else call.text_of(files[0]) if len(files) == 1 else None
    told = awk_text(plain, before) if plain is not None and parsed.flags <= {"--field-separator"} else None
    return Stream(text=told, sources=out, flow=call.stdin.flow)


def _in_place(call: Call, files: Sequence[Field], program: str | None) -> None:
    """`gawk -i inplace PROGRAM FILE…`: what it prints for a file replaces it."""
    for field in files:
        place = call.place(field)
        data = call.content(place) if field.known and program is not None else None
        text = data.decode("utf-8", "replace") if data is not None else None
        after = awk_text(program, text) if program is not None and text is not None and text.isascii() else None
        call.emit("write", place, edit=Edit(kind="whole", text=after) if after is not None else None)


def _run(call: Call, text: str, given: Mapping[str, str], sources: tuple[Resource, ...]) -> tuple[Resource, ...]:
    words = tokens(text) if len(text) <= MAX_PROGRAM else None
    if words is None:
        call.opaque("inline", reason="an awk program that is not understood")
        call.mention_text(text)
        return ()
    program = Program(call, words, given, sources)
    program.run()
    return program.out


FAMILIES: Final[Mapping[str, Family]] = {"awk": awk}
"""What `code` of a spec may say, for this module."""
