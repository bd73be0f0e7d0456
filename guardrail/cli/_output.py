"""Files that a verb writes: there as a whole, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Generator
from typing import BinaryIO, Final, cast

from guardrail.errors import ConfigError, GuardrailError

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Error numbers that mean there is no room."""


class OutputError(GuardrailError):
    """A file that was asked for cannot be written."""


def put(path: str, data: bytes) -> None:
    """Write a small file that others may be looking for and may read: they see nothing of it, or all.

    Raises:
        ConfigError: if the place cannot be written to.
        OutputError: if there is no room for it.
    """
    with written(path, mode=0o644) as stream:
        stream.write(data)


@contextlib.contextmanager
def written(path: str, *, mode: int = 0o600) -> Generator[BinaryIO]:
    """A file to write to, which takes its place only when everything has been written; a device is written to directly.

    Args:
        path: where it goes.
        mode: its permissions.

    Raises:
        ConfigError: if the place cannot be written to.
        OutputError: if there is no room for all of it; what was there before is still there then.
        OSError: if something else fails meanwhile, with the same effect.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            stream, fresh = cast("BinaryIO", open(path, "wb")), ""  # noqa: SIM115 - closed below
        else:
            fd, fresh = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=f".{os.path.basename(path)}.")
            stream = cast("BinaryIO", os.fdopen(fd, "wb"))
    except FileNotFoundError:
        raise ConfigError(f"cannot write `{path}`: create the directory `{os.path.dirname(path)}` first") from None
    except OSError as error:
        raise ConfigError(f"cannot write `{path}`: {(error.strerror or str(error)).lower()}") from None
    try:
        with stream:
            yield stream
            stream.flush()
        if fresh:
            os.chmod(fresh, mode)
            os.replace(fresh, path)
    except BaseException as error:
        if fresh:
            with contextlib.suppress(OSError):
                os.unlink(fresh)
        # Only writing can fail like this: whatever else was done meanwhile, such as reading a trail, cannot.
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise OutputError(
                f"cannot write `{path}`: {(error.strerror or str(error)).lower()}: free some space"
            ) from None
        raise
