"""A change of somebody else's code that can be taken back: by hand, or at the end of a block."""

from __future__ import annotations

import abc
from types import TracebackType
from typing import Self


class Undoable(abc.ABC):
    """The handle of a change: `undo` it, or use it as a context manager."""

    @abc.abstractmethod
    def undo(self) -> None:
        """Take it back; further calls do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.undo()
