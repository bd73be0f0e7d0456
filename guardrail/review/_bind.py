"""What an approval is bound to: the call, what it would do, and the very files that it resolved to when it was shown.

Each file is looked at through a descriptor that is held (O_PATH: it reads nothing, and needs no permission to), so that
what is compared is one inode and not whatever a name leads to by then.
Blind spots: content is known by size and times, and whoever may set the clock of the host can forge those; the tool
opens its files by name, after the last look.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self

from guardrail.canonical import canonical
from guardrail.model import Effect, Resource
from guardrail.printing import printable

MAX_FILES: Final = 2_048
"""Most files that one approval is bound to; of more, the directories they lie in stand for the rest."""

_RUN: Final = frozenset({"exec", "exec_opaque"})
"""Ops whose file is code: what it says decides what happens, asset or not."""


class Binding:
    """The files behind a call, held open. Close it, or use it as a context manager.

    Args:
        digest: `ToolCall.digest`.
        effects: what the call would do, with assets resolved.
    """

    def __init__(self, digest: str, effects: Sequence[Effect]) -> None:
        self._held: dict[str, int] = {}
        self.complete = True
        try:
            self._facts = tuple(self._look(path) for path in self._paths(effects))
        except BaseException:
            self.close()
            raise
        self._call = [digest, [_deed(effect) for effect in effects]]
        self._ways = _ways(effects)
        self.digest: Final = self._digest(self._facts)

    @property
    def files(self) -> int:
        """How many files and directories it is about."""
        return len(self._facts)

    def holds(self) -> bool:
        """Whether every name still leads to the file that is held, and that file is as it was."""
        return self._digest(tuple(self._again(path) for path, *_ in self._facts)) == self.digest

    def close(self) -> None:
        """Let go of the files: a descriptor keeps even a deleted one on the disk."""
        while self._held:
            os.close(self._held.popitem()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _digest(self, facts: tuple[tuple[Any, ...], ...]) -> str:
        named = [[printable(path), *rest] for path, *rest in facts]
        places = [[printable(path), *_place(path)] for path in self._ways]
        text = canonical({"v": 2, "call": self._call, "files": named, "places": places})
        return "sha256:" + hashlib.sha256(text).hexdigest()

    def _paths(self, effects: Iterable[Effect]) -> list[str]:
        found: dict[str, None] = {}
        for effect in effects:
            for side in (effect.resource, effect.target):
                if side is not None and (path := _path(side)) is not None and (side.asset or effect.op in _RUN):
                    found[path] = None
                    found.update(dict.fromkeys(self._below(path, MAX_FILES - len(found))))
        return sorted(found)[: MAX_FILES + 1]

    def _below(self, path: str, most: int) -> Iterator[str]:
        """What lies in a directory, in no order; symbolic links are not followed."""
        if not os.path.isdir(path) or os.path.islink(path):
            return
        for top, directories, names in os.walk(path):
            for name in (*directories, *names):
                if most <= 0:
                    self.complete = False
                    return
                most -= 1
                yield os.path.join(top, name)

    def _look(self, path: str) -> tuple[Any, ...]:
        try:
            fd = self._held[path] = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            return (path, "absent", error.errno)
        return (path, *_facts(os.fstat(fd)))

    def _again(self, path: str) -> tuple[Any, ...]:
        try:
            now = os.lstat(path)
        except OSError as error:
            return (path, "absent", error.errno)
        fd = self._held.get(path)
        # The name is asked for its inode, and the descriptor for everything else.
        same = fd is not None and (now.st_dev, now.st_ino) == _inode(os.fstat(fd))
        return (path, *_facts(os.fstat(fd) if same and fd is not None else now))


def _path(side: Resource) -> str | None:
    if side.pattern is not None or side.kind not in ("file", "dir", "any", "code"):
        return None
    path = side.real or side.path
    return path.rstrip("/") or "/" if path is not None and path.startswith("/") else None


def _facts(found: os.stat_result) -> tuple[int | str, ...]:
    # Access times change by looking. The time of the last change of the inode is in: nothing can set it back.
    return (
        stat.S_IFMT(found.st_mode) | stat.S_IMODE(found.st_mode),
        found.st_dev,
        str(found.st_ino),
        found.st_size,
        str(found.st_mtime_ns),
        str(found.st_ctime_ns),
    )


def _inode(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _deed(effect: Effect) -> list[Any]:
    """What one effect comes to: two calls of the same words do different things once a name or a variable changed."""
    sides = [[side.real or side.address, side.asset] for side in (effect.resource, effect.target) if side is not None]
    values = {name: effect.attrs[name] for name in ("key", "before", "after") if name in effect.attrs}
    return [effect.op, sides, effect.precision, values]


def _ways(effects: Iterable[Effect]) -> list[str]:
    """Where assets would go: paths that are no asset's themselves."""
    sides = [(effect.target, effect.resource.asset) for effect in effects]
    found = (_path(side) for side, asset in sides if side is not None and asset is not None and side.asset is None)
    return sorted({path for path in found if path is not None})


def _place(path: str) -> tuple[str, int, str]:
    """The directory that a path leads into, by its inode: another one may come to have its name."""
    place = path
    while True:
        try:
            found = os.stat(place, follow_symlinks=False)
        except OSError:
            found = None
        if found is not None and (stat.S_ISDIR(found.st_mode) or place == "/"):
            return printable(place), found.st_dev, str(found.st_ino)
        place = os.path.dirname(place)
