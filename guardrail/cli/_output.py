"""Files that a verb writes: there as a whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Generator
from typing import BinaryIO, cast

from guardrail.errors import ConfigError


@contextlib.contextmanager
def written(path: str) -> Generator[BinaryIO]:
    """A file to write to, which takes its place only when everything has been written; a device is written to directly.

    Raises:
        ConfigError: if the place cannot be written to.
        OSError: if writing fails later on; what was there before is still there then.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            stream, fresh = cast("BinaryIO", open(path, "wb")), ""  # noqa: SIM115 - closed below
        else:
            fd, fresh = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=f".{os.path.basename(path)}.")
            stream = cast("BinaryIO", os.fdopen(fd, "wb"))
    except OSError as error:
        raise ConfigError(f"cannot write `{path}`: {(error.strerror or str(error)).lower()}") from None
    try:
        with stream:
            yield stream
            stream.flush()
        if fresh:
            os.chmod(fresh, 0o600)
            os.replace(fresh, path)
    except BaseException:
        if fresh:
            with contextlib.suppress(OSError):
                os.unlink(fresh)
        raise
