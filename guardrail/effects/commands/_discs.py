"""Images of file trees: squashfs and discs.

Not concerned with archives: those are in `_pack` and `_archive`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed, parse_options
from guardrail.effects.catalogue._spec import specs
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._pack import contents
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import NOTHING, Field, Stream


def mksquashfs(call: Call, parsed: Parsed) -> Stream:
    """`mksquashfs SOURCE… IMAGE [-option…]`: options stand after the image."""
    first = next((i for i, f in enumerate(call.args) if f.text[:1] == "-" and f.text != "-"), len(call.args))
    head, rest = call.args[:first], call.args[first:]
    if any(f.many for f in head) or len(head) < 2:
        return call.opaque("program", reason="which word is the image is not known")
    sources = contents(call, head[:-1])
    for _, role, field in parsed.values:
        if role == "read":
            call.read(field, reveals="some")
    if parsed.unknown:
        call.mention(rest)
    if head[-1].text == "-":
        return Stream(sources=sources)
    call.put("write", call.place(head[-1]), sources)
    return NOTHING


def mkisofs(call: Call, parsed: Parsed) -> Stream:
    """`genisoimage`, `mkisofs`: with graft points a word is NAME=PATH."""
    grafted: list[Field] = []
    for field in parsed.operands:
        _, equals, path = field.text.partition("=")
        grafted.append(field.tail(len(field.text) - len(path)) if equals and path else field)
        if equals and path and call.kind(call.place(field)) is not None:
            grafted.append(field)
    parsed.operands = grafted
    return apply_spec(call, parsed)


def xorriso(call: Call, _parsed: Parsed) -> Stream:
    """`xorriso -as mkisofs …` is mkisofs; its own commands are not looked into."""
    words = list(call.args)
    for index, field in enumerate(words[:-1]):
        if field.text == "-as" and words[index + 1].text in ("mkisofs", "genisoimage", "xorrisofs"):
            spec = specs()["mkisofs"]
            parsed = parse_options(spec, words[index + 2 :])
            if parsed.unknown or index:
                call.opaque("program", reason="options of xorriso that are not known")
            return mkisofs(call, parsed)
    return call.opaque("program", reason="commands of xorriso are not looked into")


FAMILIES: Final[Mapping[str, Family]] = {"mkisofs": mkisofs, "mksquashfs": mksquashfs, "xorriso": xorriso}
"""What `code` of a spec may say, for this module."""
