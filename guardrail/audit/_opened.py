"""What every open trail does alike: it belongs to one process, and is closed when that ends.

Not concerned with where the records go.
"""

from __future__ import annotations

import atexit
import os
import weakref
from abc import ABC, abstractmethod
from typing import Final, Self

from guardrail.audit._publish import Publisher, Sink
from guardrail.errors import TrailError

MAX_ORIGIN_CHARS: Final = 255
"""Longest name of a ledger, in characters."""

MAX_WAITING: Final = 100_000
"""Most records that may wait for the disk or the server before further ones are refused."""


def check_origin(origin: str) -> None:
    """Refuse what cannot name a ledger.

    Raises:
        TrailError: if it cannot.
    """
    if not origin or len(origin) > MAX_ORIGIN_CHARS or "+" in origin or any(map(str.isspace, origin)):
        raise TrailError(f"`{origin}` cannot name a trail: use up to {MAX_ORIGIN_CHARS} characters, no blanks, no `+`")


class Opened(ABC):
    """An open trail. Not usable in a forked child.

    Args:
        where: the ledger, as messages name it.
        lock: descriptor that keeps others out of its directory.
        publisher: where checkpoints go from here.
        last_us: time of the last record when it was opened, in microseconds since 1970; 0 if it had none.
    """

    _in_child: str
    """What a forked child has to do instead."""

    def __init__(self, where: str, lock: int, publisher: Publisher, last_us: int = 0) -> None:
        self.where = where
        """The ledger, as messages name it."""
        self.publisher = publisher
        """Where checkpoints go from here."""
        self.last_us = last_us
        """Time of the last record when it was opened, in microseconds since 1970: nothing lives before it."""
        self._lock = lock
        self._pid = os.getpid()
        self._closed = False
        opened.add(self)
        atexit.register(self._close_at_exit)

    @abstractmethod
    def close(self) -> None:
        """Write and sign what is waiting, and let go; closing twice does nothing."""

    @abstractmethod
    def _offer_last(self) -> None:
        """Publish the last checkpoint once more."""

    def tell(self, sink: Sink) -> None:
        """Hand every checkpoint to somebody else too, from the last one on.

        Args:
            sink: takes a checkpoint and its note; called in a thread of its own.
        """
        self.publisher.add(sink)
        self._offer_last()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _is_ours(self) -> bool:
        return os.getpid() == self._pid

    def _check_process(self) -> None:
        # Before any lock: a child is forked with the locks as they were, held by threads it does not have.
        if not self._is_ours:
            raise TrailError(f"the trail `{self.where}` belongs to process {self._pid}: {self._in_child}")

    def _let_go(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        opened.discard(self)

    def _close_at_exit(self) -> None:
        try:
            self.close()
        except TrailError:
            pass  # whoever waited for a record was told; there is nobody left to tell

    def _ends(self) -> None:
        """It is being closed in order: nothing is left to do when the process ends."""
        atexit.unregister(self._close_at_exit)

    def forget_in_child(self) -> None:
        """Drop the descriptors that a forked child inherited, so that it keeps nothing locked."""
        self._let_go()


opened: weakref.WeakSet[Opened] = weakref.WeakSet()
"""Every trail that this process has open."""


def _after_fork() -> None:
    for trail in list(opened):
        trail.forget_in_child()


os.register_at_fork(after_in_child=_after_fork)
