"""Images of containers that move between registries, engines and files of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._containers import content, go_values
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import SOMETHING, Field, Stream

_LOCAL_TRANSPORTS: Final = ("dir", "oci", "oci-archive", "docker-archive", "tarball", "file", "ocidir", "sif")
_ENGINES: Final = ("containers-storage", "docker-daemon", "ostree")


def located(field: Field) -> Field:
    """`docker://ref`, `dir:/path`, `oci:/path:tag` as a path or an address of ours."""
    transport, colon, rest = field.text.partition(":")
    if not colon:
        return field
    if transport in _LOCAL_TRANSPORTS and not rest.startswith("//"):
        path = rest if transport == "dir" else rest.partition(":")[0]
        return Field(text=path or ".", sources=field.sources, span=field.span)
    if transport in ("docker", "oci", "oras", "library", "shub") and rest.startswith("//"):
        return Field(text=f"oci://{rest[2:]}", sources=field.sources, span=field.span)
    if transport in _ENGINES:
        return Field(text=f"docker://{rest}", sources=field.sources, span=field.span)
    return field


def images(call: Call, parsed: Parsed) -> Stream:
    """`skopeo copy` and its like: images between registries, engines and files here."""
    go_values(parsed)
    parsed.operands = [located(field) for field in parsed.operands]
    kind = parsed.value("--src")
    if kind is not None and parsed.operands:
        source = parsed.operands[0]
        if kind.text == "docker":
            parsed.operands[0] = Field(text=f"oci://{source.text}", sources=source.sources, span=source.span)
        elif kind.text == "yaml":
            call.mention_text(content(call, source) or "")
            call.opaque("program", reason="which images are copied stands in a file", words=(source,))
    return apply_spec(call, parsed)


def images_named(call: Call, parsed: Parsed) -> Stream:
    """`podman pull docker://…`: images of registries, by their names."""
    go_values(parsed)
    registry = ("docker://", "oci://", "oras://")
    parsed.operands = [f.tail(f.text.index("//") + 2) if f.text.startswith(registry) else f for f in parsed.operands]
    return apply_spec(call, parsed)


def image_build(call: Call, parsed: Parsed) -> Stream:
    """`apptainer build TARGET SOURCE`, `pull [TARGET] SOURCE`, `push SOURCE TARGET`."""
    operands = [located(field) for field in parsed.operands]
    if call.name.endswith("push"):
        parsed.operands = operands
    elif len(operands) > 1:
        parsed.operands = [operands[1], operands[0]]
    else:
        parsed.operands = [*operands, Field(text="image.sif")]
    return apply_spec(call, parsed)


def image_tag(call: Call, parsed: Parsed) -> Stream:
    """`docker tag IMAGE NAME…`: what has another name is pushed, and saved, by that."""
    go_values(parsed)
    image, *names = [at("docker", field.text) for field in parsed.operands] or [at("docker", "*")]
    call.emit("read", image)
    for name in names:
        call.emit("copy", image, name)
        call.emit("write", name)
    return SOMETHING


def buildah_copy(call: Call, parsed: Parsed) -> Stream:
    """`buildah copy CONTAINER SOURCE… [TARGET]`: with two or more names the last one is the container's."""
    if not parsed.operands:
        return SOMETHING
    where = at("docker", parsed.operands[0].text)
    sources = parsed.operands[1:2] if len(parsed.operands) < 4 else parsed.operands[1:-1]
    for field in sources:
        for source in call.read(field, recursive=True):
            call.emit("copy", source, where)
    call.emit("write", where)
    return SOMETHING


FAMILIES: Final[Mapping[str, Family]] = {
    "buildah_copy": buildah_copy,
    "image_build": image_build,
    "image_tag": image_tag,
    "images": images,
    "images_named": images_named,
}
"""What `code` of a spec may say, for this module."""
