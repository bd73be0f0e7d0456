"""Another key for a trail, so that whoever trusts the first one can follow.

1. The new key is put beside the old one, and a `key` record, covered by a checkpoint of the old key, names it.
2. From then on both sign, so that whoever knows either can check.
3. A second `key` record retires the old key; its private half is taken out of the file.

Each step can be repeated after a crash. The guard has to be stopped meanwhile: a trail has one writer.
Blind spot: a disk may keep what the old file held; destroy the medium, or encrypt it, where that matters.
"""

from __future__ import annotations

from pathlib import Path

from guardrail.audit._files import replace
from guardrail.audit._note import KEY_FILE, VKEY_FILE, SigningKey, new_private_key, read_keys, write_keys
from guardrail.audit._trail import Trail
from guardrail.errors import TrailError


def begin(trail: Trail, origin: str) -> tuple[str, str]:
    """Add a key; both sign once the trail is opened again.

    Args:
        trail: the trail, open.
        origin: its name.

    Returns:
        Verifier keys of the old and the new one.

    Raises:
        TrailError: if a record cannot be written.
        OSError: if a file cannot be written.
    """
    path = trail.directory / KEY_FILE
    keys = read_keys(path)
    if len(keys) == 1:
        keys.append(new_private_key())
        write_keys(path, keys)
    old, new = (SigningKey(origin, key).vkey for key in keys)
    trail.append({"kind": "key", "event": "added", "key": old, "next": new})
    trail.checkpoint()
    _list_key(trail.directory, new)
    return old, new


def finish(trail: Trail, origin: str) -> tuple[str, str]:
    """Retire the old key: from the next opening on the new one signs alone.

    Args:
        trail: the trail, open.
        origin: its name.

    Returns:
        Verifier keys of the old and the new one.

    Raises:
        TrailError: if no rotation was begun, or a record cannot be written.
        OSError: if a file cannot be written.
    """
    path = trail.directory / KEY_FILE
    keys = read_keys(path)
    if len(keys) == 1:
        raise TrailError("no other key was added: begin with `guardrail audit rotate-key`")
    old, new = (SigningKey(origin, key).vkey for key in keys)
    trail.append({"kind": "key", "event": "retired", "key": old, "next": new})
    trail.checkpoint()
    _list_key(trail.directory, new)
    write_keys(path, keys[1:])
    return old, new


def _list_key(directory: Path, vkey: str) -> None:
    path = directory / VKEY_FILE
    listed = path.read_bytes()
    if vkey.encode() not in listed.split(b"\n"):
        replace(path, listed + vkey.encode() + b"\n", 0o644)
