"""Files as this call has changed them so far: what a later command of the same call would find.

Not concerned with what the live filesystem holds by the time the call runs; it is asked for what the call left alone.
"""

from __future__ import annotations

import posixpath
from typing import Final

from guardrail.effects.domain._view import FileView

MAX_KEPT_BYTES: Final = 1024 * 1024
"""Most content that is kept for one call, in bytes; a file beyond it is unknown."""


class Contents:
    """The small files whose content one call makes, on top of the live filesystem.

    Args:
        view: the live filesystem.
    """

    __slots__ = ("_made", "_room", "_view")

    def __init__(self, view: FileView) -> None:
        self._view = view
        self._made: dict[str, bytes | None] = {}
        self._room = MAX_KEPT_BYTES

    def put(self, path: str, data: bytes | None) -> None:
        """A file now has this content; None if what it holds is not known."""
        if data is not None:
            self._room -= len(data)
        self._made[posixpath.normpath(path)] = data if self._room >= 0 else None

    def made(self, path: str) -> bytes | None:
        """Content that this call itself gave the file; None if it did not, or it is not known."""
        return self._made.get(posixpath.normpath(path))

    def knows(self, path: str) -> bool:
        """Whether this call wrote the file with content that is known."""
        return self.made(path) is not None

    def read(self, path: str, limit: int, *, changed: bool) -> bytes | None:
        """What a command would read there.

        Args:
            path: absolute path.
            limit: largest file, in bytes.
            changed: the call may have changed the file, as `Emitter.changed` says.

        Returns:
            Its content; None if there is no such file, it is too large, or what it holds is not known.
        """
        name = posixpath.normpath(path)
        if name in self._made:
            data = self._made[name]
            return data if data is not None and len(data) <= limit else None
        return None if changed else self._view.read(path, limit)
