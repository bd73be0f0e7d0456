"""Where a trail lies, and that only one process writes to it."""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path
from typing import Final

from guardrail.audit._files import FULL, write_all
from guardrail.config import Config
from guardrail.errors import TrailError

LOCK_FILE: Final = "lock"
_HOLDER_BYTES: Final = 256


def trail_directory(config: Config) -> Path:
    """Where the trail of a configuration lies.

    Returns:
        `trail.directory`, or a directory of this configuration's own under `$XDG_STATE_HOME/guardrail`.
    """
    if config.trail.directory:
        return config.path(config.trail.directory)
    name = hashlib.sha256(os.fsencode(config.source or config.base or os.getcwd())).hexdigest()[:16]
    return state_directory() / f"trail-{name}"


def state_directory() -> Path:
    """Where what belongs to this user lies: `$XDG_STATE_HOME/guardrail`."""
    state = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    return base / "guardrail"


def beside_trail(config: Config, ending: str) -> Path:
    """A file of the guard's own state: it has the trail's name with another ending.

    Args:
        config: whose state.
        ending: such as `reviews.db`.
    """
    directory = trail_directory(config)
    return directory.with_name(f"{directory.name}.{ending}")


def is_store(place: Path | str) -> bool:
    """Whether this names a database, and not a directory."""
    return isinstance(place, str) and place.startswith(("postgresql://", "postgres://", "service="))


class TrailInUse(TrailError):
    """Somebody else writes this trail."""


def take_lock(directory: Path, *, ours: bool = False) -> int:
    """Become the only writer of a trail; two of them would fork the log.

    Args:
        directory: the trail.
        ours: this process has it open already, for the message.

    Returns:
        The descriptor that holds the lock: it lasts until that is closed, or the process ends, whatever ends it.

    Raises:
        TrailInUse: if somebody else is the writer.
        OSError: if the lock cannot be made.
    """
    fd = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(fd, directory, ours=ours)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _lock(fd: int, directory: Path, *, ours: bool) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, _HOLDER_BYTES, 0).decode("utf-8", "replace").strip() or "another process"
        if ours:
            raise TrailInUse(
                f"the trail `{directory}` is in use: it is already open in this process: share one Guard"
            ) from None
        raise TrailInUse(
            f"the trail `{directory}` is in use by {holder}: stop it, or give this one a `trail.directory` of its own"
        ) from None
    try:
        os.ftruncate(fd, 0)
        write_all(fd, f"process {os.getpid()}\n".encode(), 0)
    except OSError as error:
        if error.errno not in FULL:  # the name is a courtesy: it must not keep a full disk from recording denials
            raise


def cannot(what: str, directory: Path, error: OSError) -> str:
    """One sentence on why something cannot be done with a trail, and how to mend it."""
    hint = "free some space" if error.errno in FULL else "make the directory writable and the disk sound"
    return f"cannot {what} the trail `{directory}`: {(error.strerror or str(error)).lower()}: {hint}"
