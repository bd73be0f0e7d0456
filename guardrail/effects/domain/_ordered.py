"""Paths in order, as they come to be known, from which those are taken that matter without going through all of them.

Not concerned with what is there: a rule or a key is asked of the name alone, once for each path.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from typing import Final

Rule = Callable[[str], bool]
"""Whether a path is wanted; a function of a module, by which what it chose is found again."""

Keys = Callable[[str], Iterable[str]]
"""Under which words a path is to be found; as for `Rule`."""


def every(path: str) -> bool:  # noqa: ARG001 - as every rule has it
    """All paths are wanted."""
    return True


class _Chosen:
    """What a rule chose of the paths that it was asked of so far."""

    __slots__ = ("asked", "paths")

    def __init__(self) -> None:
        self.asked = 0
        self.paths: list[str] = []


class _Grouped:
    """The paths that it was asked of so far, by their keys."""

    __slots__ = ("asked", "groups", "keys")

    def __init__(self) -> None:
        self.asked = 0
        self.keys: list[str] = []
        self.groups: dict[str, list[str]] = {}


class OrderedPaths:
    """Paths that are added one after the other, and asked for by several threads.

    INVARIANT: what a rule or a key says of a path depends on the path alone and never changes, so that it is asked once
    for each path, and a question costs what was added since the last one and what it is answered with.

    Args:
        paths: the first of them, each once.
    """

    __slots__ = ("_all", "_chosen", "_grouped", "_lock")

    def __init__(self, paths: Iterable[str] = ()) -> None:
        self._all = [*paths]
        self._chosen: dict[Rule, _Chosen] = {}
        self._grouped: dict[Keys, _Grouped] = {}
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._all)

    def __contains__(self, path: str) -> bool:
        with self._lock:
            paths = self._of(every)
            index = bisect_left(paths, path)
            return index < len(paths) and paths[index] == path

    def add(self, path: str) -> None:
        """One more, that was not there."""
        self._all.append(path)

    def chosen(self, rule: Rule) -> list[str]:
        """Those that a rule chooses."""
        with self._lock:
            return self._of(rule)[:]

    def beginning(self, start: str, rule: Rule = every) -> list[str]:
        """Those of them that begin with a text.

        Args:
            start: the text.
            rule: chooses them.
        """
        with self._lock:
            return _range(self._of(rule), start)

    def any_beginning(self, start: str) -> bool:
        """Whether any path begins with a text."""
        with self._lock:
            paths = self._of(every)
            index = bisect_left(paths, start)
            return index < len(paths) and paths[index].startswith(start)

    def at(self, keys: Keys, key: str) -> list[str]:
        """Those that are found under a key."""
        with self._lock:
            return self._by(keys).groups.get(key, _NONE)[:]

    def has(self, keys: Keys, key: str) -> bool:
        """Whether any is found under a key."""
        with self._lock:
            return key in self._by(keys).groups

    def keys(self, keys: Keys, start: str) -> list[str]:
        """The keys that begin with a text."""
        with self._lock:
            return _range(self._by(keys).keys, start)

    def _of(self, rule: Rule) -> list[str]:
        chosen = self._chosen.setdefault(rule, _Chosen())
        if chosen.asked < len(self._all):
            fresh = self._all[chosen.asked :]
            chosen.asked += len(fresh)
            for path in filter(rule, fresh):
                insort(chosen.paths, path)
        return chosen.paths

    def _by(self, keys: Keys) -> _Grouped:
        grouped = self._grouped.setdefault(keys, _Grouped())
        if grouped.asked < len(self._all):
            fresh = self._all[grouped.asked :]
            grouped.asked += len(fresh)
            for path in fresh:
                for key in {*keys(path)}:
                    if key not in grouped.groups:
                        grouped.groups[key] = []
                        insort(grouped.keys, key)
                    insort(grouped.groups[key], path)
        return grouped


def _range(texts: list[str], start: str) -> list[str]:
    """Those of some texts in order that begin with one."""
    if not start:
        return texts[:]
    behind = start[:-1] + chr(ord(start[-1]) + 1)
    return texts[bisect_left(texts, start) : bisect_left(texts, behind)]


_NONE: Final[list[str]] = []
NO_PATHS: Final = OrderedPaths()
"""None at all."""

__all__ = ["NO_PATHS", "Keys", "OrderedPaths", "Rule", "every"]
