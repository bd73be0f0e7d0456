"""What a session wrote, and what was there before, so that an edit of a project's file is told from the file.

Not concerned with what follows from it. Originals are kept in memory: without one the whole file counts as written.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from guardrail.effects.domain._ordered import NO_PATHS, OrderedPaths
from guardrail.history._authorship import may_be_named, under

MAX_ORIGINAL_BYTES: Final = 256 * 1024
"""Largest file of which is remembered what it held before a session changed it, in bytes."""

MAX_ORIGINALS_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of such files that are remembered for all sessions together."""

_KEPT: Final = (".py",)
"""Endings of names of files in which what was changed is told from what was there."""

_NO_CODE: Final = tuple(
    ".log .txt .csv .tsv .json .jsonl .md .html .out .err .png .jpg .svg .pdf .gz .tgz .tar .zip .bak .orig".split()
)
"""Endings of names of files that nothing runs."""


class Written:
    """The files that a session wrote or brought, as they are known now.

    Args:
        paths: their real paths.
        ordered: the same paths.
        brought: those of them that may be a directory.
        patterns: names that are known in part.
        originals: what was there before, as far as it is kept.
        most: how many paths are remembered; with so many, any file may be the session's.
    """

    __slots__ = ("_brought", "_most", "_ordered", "_originals", "_paths", "_patterns")

    def __init__(
        self,
        paths: AbstractSet[str],
        ordered: OrderedPaths,
        brought: OrderedPaths,
        patterns: AbstractSet[str],
        originals: Callable[[str], bytes | None],
        most: int,
    ) -> None:
        self._paths = paths
        self._ordered = ordered
        self._brought = brought
        self._patterns = patterns
        self._originals = originals
        self._most = most

    def anything(self) -> bool:
        """Whether the session wrote any file, that may be one of code."""
        return bool(self._paths) or bool(self.patterns())

    def wrote(self, real: str) -> bool:
        """Whether the session wrote a path, or a directory it lies in."""
        if len(self._paths) >= self._most or may_be_named(real, self._patterns):
            return True
        return bool(self._paths) and under(real, self._paths)

    def files(self) -> OrderedPaths | None:
        """Every path that is known; None if there are too many."""
        return self._ordered if len(self._paths) < self._most else None

    def brought(self) -> OrderedPaths:
        """Those of them that may be a directory."""
        return self._brought

    def patterns(self) -> tuple[str, ...]:
        """Names that are known in part and may be those of code."""
        return tuple(pattern for pattern in self._patterns if not pattern.endswith(_NO_CODE))

    def before(self, real: str) -> str | None:
        """The text of a file before the session first wrote it."""
        data = self._originals(real)
        try:
            return data.decode("utf-8") if data is not None else None
        except UnicodeDecodeError:
            return None


class Originals:
    """What files held before a session first wrote them; the oldest are forgotten first."""

    def __init__(self) -> None:
        self._data: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._room = MAX_ORIGINALS_BYTES

    def of(self, session: str) -> Callable[[str], bytes | None]:
        """What is kept for one session, by path."""
        return lambda path: self._data.get((session, path))

    def keep(
        self,
        session: str,
        paths: Sequence[str],
        before: AbstractSet[str],
        read: Callable[[str, int], bytes | None],
    ) -> None:
        """Remember what files hold.

        Args:
            session: that is about to write them.
            paths: the files.
            before: what it wrote before: of that there is no original any more.
            read: gives a file as it is.
        """
        for path in paths:
            if not path.endswith(_KEPT) or (session, path) in self._data or under(path, before):
                continue
            data = read(path, MAX_ORIGINAL_BYTES)
            if data is not None:
                self._data[session, path] = data
                self._room -= len(data)
        while self._room < 0:
            self._room += len(self._data.popitem(last=False)[1])


NOTHING_WRITTEN: Final = Written(frozenset(), NO_PATHS, NO_PATHS, frozenset(), lambda _path: None, 1)
