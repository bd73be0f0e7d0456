"""Another key for a trail, so that whoever trusts the first one can follow.

1. The new key is put beside the old one, and a `key` record, covered by a checkpoint of the old key, names it.
2. From then on both sign, so that whoever knows either can check.
3. A second `key` record retires the old key; its private half is taken out of the file.

Each step can be repeated after a crash. The guard has to be stopped meanwhile: a trail in files has one writer. The
replicas of a shared trail go on; each is given the new file and started again between the two steps.
Blind spot: a disk may keep what the old file held; destroy the medium, or encrypt it, where that matters.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from guardrail.audit._files import replace
from guardrail.audit._note import KEY_FILE, VKEY_FILE, SigningKey, new_private_key, read_keys, write_keys
from guardrail.audit._trail import Trail
from guardrail.errors import TrailError

if TYPE_CHECKING:
    from guardrail.audit.postgres import PostgresTrail


def begin(trail: Trail | PostgresTrail, origin: str, key: Path | None = None) -> tuple[str, str]:
    """Add a key; both sign once the trail is opened again.

    Args:
        trail: the trail, open.
        origin: its name.
        key: private key of a shared trail; the others have theirs in their directory.

    Returns:
        Verifier keys of the old and the new one.

    Raises:
        TrailError: if a record cannot be written.
        OSError: if a file cannot be written.
    """
    if not isinstance(trail, Trail):
        from guardrail.audit.postgres import add_key

        return add_key(trail, _given(key), origin)
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


def finish(trail: Trail | PostgresTrail, origin: str, key: Path | None = None) -> tuple[str, str]:
    """Retire the old key: from the next opening on the new one signs alone.

    Args:
        trail: the trail, open.
        origin: its name.
        key: private key of a shared trail.

    Returns:
        Verifier keys of the old and the new one.

    Raises:
        TrailError: if no rotation was begun, a replica of a shared trail has not followed, or a record cannot be
            written.
        OSError: if a file cannot be written.
    """
    if not isinstance(trail, Trail):
        from guardrail.audit.postgres import retire_key

        return retire_key(trail, _given(key), origin)
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


def _given(key: Path | None) -> Path:
    if key is None:
        raise TrailError("a shared trail has its key in a file of its own: name it")
    return key


def _list_key(directory: Path, vkey: str) -> None:
    path = directory / VKEY_FILE
    listed = path.read_bytes()
    if vkey.encode() not in listed.split(b"\n"):
        replace(path, listed + vkey.encode() + b"\n", 0o644)
