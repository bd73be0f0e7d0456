"""Buckets and repositories of hubs that are mounted as directories: what lies there has a name here from then on.

Not concerned with shares of other hosts (`_mounts`), nor with remotes of rclone, whose names say nothing of the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._addresses import URL, at, remote
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import SOMETHING, TOP, Field, Stream
from guardrail.model import Resource

_SCHEMES: Final[Mapping[str, str]] = {
    "s3fs": "s3", "goofys": "s3", "geesefs": "s3", "mount-s3": "s3", "riofs": "s3", "yas3fs": "s3", "s3backer": "s3",
    "mount.s3ql": "s3", "gcsfuse": "gs", "blobfuse": "az", "blobfuse2": "az", "ossfs": "oss", "ossfs2": "oss",
    "obsfs": "obs", "cosfs": "cos", "hf-mount": "hf", "hf-mount-fuse": "hf", "hf-mount-nfs": "hf",
}  # fmt: skip
"""Programs, and types of file systems, by the store that they mount."""

_VERBS: Final = frozenset(("mount", "start", "repo", "bucket"))
_STOPPING: Final = frozenset(("stop", "status", "unmount", "list"))
_INSIDE: Final = ("--prefix", "--only-dir")
_CONTAINER: Final = ("--container-name",)


def bucket_of(program: str, text: str, inside: str = "") -> Resource | None:
    """What a program of this name mounts.

    Args:
        program: its name, or a type of file system.
        text: how the bucket is written: `NAME`, `NAME:/PATH`, or an address.
        inside: the part of it that is mounted.

    Returns:
        Its address; None if it is no such program.
    """
    scheme = _SCHEMES.get(program.removeprefix("fuse."))
    if scheme is None:
        return None
    name, _, path = (text.removeprefix("fuse:"), "", "") if "://" in text else text.partition(":")
    if URL.fullmatch(name):
        name = name.partition("://")[2]
    parts = [part.strip("/") for part in (name, path, inside)]
    if scheme == "az":
        parts.insert(0, "*")  # the account stands in a file of settings
    return remote(f"{scheme}://{'/'.join(part for part in parts if part) or TOP}")


def bucket(call: Call, parsed: Parsed) -> Stream:
    """`s3fs BUCKET DIR`: all that is in the bucket, or in a part of it, lies in the directory as well."""
    words = list(parsed.operands)
    program = call.name.partition(" ")[0]
    if parsed.has("--help", "--version") or not words or words[0].text in _STOPPING:
        return SOMETHING
    while len(words) > 1 and words[0].text in _VERBS:
        words.pop(0)
    point, named = words[-1], words[-2].text if len(words) > 1 else ""
    inside = ""
    for option, role, field in parsed.values:
        if role in ("read", "mention"):
            call.mention((field,))
        elif role == "write":
            call.put("write", call.place(field), ())
        elif option in _CONTAINER:
            named = field.text
        elif option in _INSIDE:
            inside = field.text
        elif option in ("-o", "--options"):
            named = next((part[7:] for part in field.text.split(",") if part.startswith("bucket=")), named)
    mounts(call, bucket_of(program, named, inside) or at(program, TOP), point)
    return SOMETHING


def mounts(call: Call, store: Resource, point: Field) -> None:
    """What is at an address has names in a directory from here on, and what was in there is hidden."""
    where = call.place(point, kind="dir", recursive=True)
    call.emit("mount", store, where)
    call.emit("mount", where)
    if where.path is not None:
        call.shell.directories |= {where.path.rstrip("/")}


FAMILIES: Final[Mapping[str, Family]] = {"bucket": bucket}
"""What `code` of a spec may say, for this module."""
