"""The contents that one call makes, and what of it only may happen.

Not concerned with which effect changes what: `_contents` is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from guardrail.effects.domain._view import FileView

MAX_KEPT_BYTES: Final = 1024 * 1024
"""Most content that is kept for one call, in bytes; a file beyond it is unknown."""


MAX_LOOKS: Final = 256
"""Most files of the live filesystem that are read for one call; a further one is unknown."""


MAX_SEEN_BYTES: Final = 4 * 1024 * 1024
"""Most content of the live filesystem that is read for one call, in bytes; after it every further file is unknown."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What one file holds.

    Args:
        data: its content; None if that is not known, or there is no such file.
        gone: there is no such file.
        sure: the file is there; if not, it may also be missing.
    """

    data: bytes | None = None
    gone: bool = False
    sure: bool = True


UNKNOWN: Final = Entry()


GONE: Final = Entry(gone=True)


def joined(left: Entry, right: Entry) -> Entry:
    """What holds when either may."""
    if left == right:
        return left
    if left.gone or right.gone:
        other = right if left.gone else left
        return Entry(data=other.data, sure=False)
    if left.data is not None and left.data == right.data:
        return Entry(data=left.data, sure=left.sure and right.sure)
    return UNKNOWN


def folders(path: str) -> list[str]:
    """Every directory above a path, the nearest first."""
    found: list[str] = []
    end = path.rfind("/")
    while end > 0:
        found.append(path[:end])
        end = path.rfind("/", 0, end)
    return found


class Made:
    """The small files whose content one call makes, on top of the live filesystem.

    Args:
        view: the live filesystem.
    """

    __slots__ = (
        "_above",
        "_files",
        "_fresh",
        "_kin",
        "_linked",
        "_log",
        "_looks",
        "_made",
        "_marks",
        "_open",
        "_room",
        "_sealed",
        "_seen",
        "_sight",
        "_stages",
        "_unfiled",
        "_vague",
        "_view",
    )

    def __init__(self, view: FileView) -> None:
        self._view = view
        self._made: dict[str, Entry] = {}
        # What is asked of all names that were made, without a walk over them.
        self._above: set[str] = set()  # every directory above one of them
        self._files: dict[str, set[str]] = {}  # identity -> the names that mean that file
        self._unfiled: list[str] = []  # names whose identity nobody asked for yet
        self._vague: list[str] = []
        self._sealed: set[str] = set()
        self._linked = False  # the call makes links or mounts, so that names may mean other files than they do now
        self._kin: dict[str, str] = {}  # last names that links make mean the same file -> one of them
        self._open: dict[str, int] = {}  # files that commands may write to beside those that name them
        self._room = MAX_KEPT_BYTES
        self._looks = MAX_LOOKS
        self._sight = MAX_SEEN_BYTES
        self._log: list[tuple[str, Entry | None]] = []
        self._marks = 0
        self._stages: list[int] = []
        self._fresh: dict[str, int] = {}
        self._seen: dict[str, int] = {}

    def _set(self, path: str, entry: Entry) -> None:
        if path in self._open:
            # What is open is written to at any time, and two writers leave a mixture.
            entry = UNKNOWN
            self._open[path] += 1
        if self._marks:
            self._log.append((path, self._made.get(path)))
        if self._stages:
            if self._elsewhere_in_pipeline(path, self._fresh) or self._elsewhere_in_pipeline(path, self._seen):
                entry = UNKNOWN  # another stage of the pipeline changes or reads it, in no order that is known
            self._fresh[path] = self._stages[-1]
        if path not in self._made:
            self._noted(path)
        self._made[path] = entry

    def _noted(self, path: str) -> None:
        """A name is made for the first time."""
        self._unfiled.append(path)
        for folder in folders(path):
            if folder in self._above:
                break
            self._above.add(folder)

    def _meant(self) -> Mapping[str, set[str]]:
        """The files that were made, each with the names that mean it."""
        if self._unfiled:
            for path in self._unfiled:
                self._files.setdefault(self._view.identity(path), set()).add(path)
            self._unfiled.clear()
        return self._files

    def _elsewhere_in_pipeline(self, path: str, stages: Mapping[str, int]) -> bool:
        return path in stages and stages[path] not in self._stages

    # -- what only may happen

    def mark(self) -> int:
        """Remember this point; each mark MUST be given back to `weaken`, `lose` or `keep`, the last one first."""
        self._marks += 1
        return len(self._log)

    def weaken(self, mark: int, *, anywhere: bool = False) -> None:
        """What happened since a mark may also not have happened.

        Args:
            mark: the point.
            anywhere: it may also have ended at any point in between.
        """
        if len(self._log) == mark:
            self.keep(mark)
            return
        between = self._log[mark:] if anywhere else ()
        for path, before in self._since(mark).items():
            old = before if before is not None else self._live(path)
            self._made[path] = joined(old, self._made[path])
        for path, held in between:
            if held is not None:
                self._made[path] = joined(self._made[path], held)

    def lose(self, mark: int, *, lasting: bool = False) -> None:
        """What happened since a mark happens again, or some time: the files it changed are unknown.

        Args:
            mark: the point.
            lasting: it goes on beside all that follows, so that they stay unknown.
        """
        for path in self._since(mark):
            self._made[path] = UNKNOWN
            if lasting:
                self._sealed.add(path)

    def keep(self, _mark: int) -> None:
        """What happened since a mark is certain."""
        self._marks -= 1
        # An outer mark needs the log still; without one nobody does.
        if not self._marks:
            self._log.clear()

    def _since(self, mark: int) -> dict[str, Entry | None]:
        first: dict[str, Entry | None] = {}
        for path, before in self._log[mark:]:
            first.setdefault(path, before)
        self.keep(mark)
        return first

    def enter_stage(self, stage: int) -> None:
        """A stage of a pipeline begins; the stages of one pipeline run at the same time."""
        self._stages.append(stage)

    def leave_stage(self) -> None:
        """A stage of a pipeline has been walked; after the outermost pipeline everything is in order again."""
        self._stages.pop()

    def end_pipeline(self, stages: range) -> None:
        """All stages of a pipeline are done."""
        if not self._fresh and not self._seen:
            return
        outer = self._stages[-1] if self._stages else None
        for kept in (self._fresh, self._seen):
            for path, stage in tuple(kept.items()):
                if outer is None:
                    del kept[path]
                elif stage in stages:
                    kept[path] = outer

    # -- the live filesystem

    def _live(self, name: str) -> Entry:
        if self._view.kind(name) is None:
            return GONE
        data = self._look(name, MAX_KEPT_BYTES)
        return Entry(data=data) if data is not None else UNKNOWN

    def _look(self, path: str, limit: int) -> bytes | None:
        self._looks -= 1
        if self._looks < 0 or self._sight <= 0:
            return None
        data = self._view.read(path, limit)
        self._sight -= len(data) if data is not None else 0
        return data
