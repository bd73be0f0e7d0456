"""Patterns on the live filesystem, and what the call itself puts there before a command looks.

Not concerned with patterns inside texts.
"""

from __future__ import annotations

import fnmatch
import re
import time
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from guardrail.effects.domain._emit import Bound, Emitter
from guardrail.effects.domain._paths import escape
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import TOP, Field, is_known
from guardrail.effects.domain._view import FileView
from guardrail.effects.shell._listings import undashed_made
from guardrail.patterns import lazy

MAX_GLOB_SECONDS: Final = 0.3
"""Most work that all globs of one call may be, in seconds of this thread's own time."""

MAX_PLAIN_SECONDS: Final = 0.5
"""Longest that looks at the names below directories may have taken for another to be begun in the same call."""

MAX_MADE: Final = 16
"""Most names that a call made of which each is compared with a pattern; of more, any may match."""

_WILD: Final = lazy(r"[*?\[]")
_SET: Final = lazy(r"\[(?=[^\]]*+\])[!^]?+\]?+(?:\[[:.=][^\]]*+\](?=[^\]]*+\])|[^\]])*+\]")


class Globs:
    """Expands the patterns of one call.

    Args:
        view: the live filesystem.
        emit: the effects so far, which tell what the call itself makes.
    """

    __slots__ = ("_looked", "_names", "_plain", "_spent", "emit", "view")

    def __init__(self, view: FileView, emit: Emitter) -> None:
        self.view = view
        self.emit = emit
        self._names: dict[str, tuple[str, ...]] = {}
        self._spent = 0.0
        self._plain: dict[str, bool] = {}
        self._looked = 0.0

    def plain(self, path: str) -> bool:
        """Whether the names below a directory are words as they are, asked once for each directory of a call."""
        known = self._plain.get(path)
        if known is not None:
            return known
        if self._looked > MAX_PLAIN_SECONDS:
            return False
        started = time.monotonic()
        found = self._plain[path] = self.view.plain(path)
        self._looked += time.monotonic() - started
        return found

    def fields(self, field: Field, state: State) -> Iterator[Field]:
        """The fields that a pattern stands for.

        Raises:
            Bound: if that takes too long, or names too many files.
        """
        if state.globs and "**" in (field.glob or "") and TOP not in field.text:
            if "globstar" in state.modes:
                yield Field(text=TOP, many=True, sources=field.sources, span=field.span)
                return
            field = msgspec.structs.replace(field, glob=re.sub(r"\*{2,}", "*", field.glob or ""))
        pattern = field.glob or ""
        cwd = state.cwds[0] if len(state.cwds) == 1 else None
        relative = not pattern.startswith("/")
        if not state.globs:
            # What a pattern matches was changed.
            yield Field(text=TOP, many=True, sources=field.sources, span=field.span)
            return
        if not is_known(field.text) or (relative and (cwd is None or not is_known(cwd))):
            yield field if "nullglob" not in state.modes else msgspec.structs.replace(field, many=True)
            return
        base = f"{escape((cwd or '').rstrip('/'))}/" if relative else ""
        names = self._names.get(base + pattern)
        if names is None:
            started = time.thread_time()
            names = self.view.glob(base + pattern)
            self._spent += time.thread_time() - started
            if names is not None:
                self._names[base + pattern] = names
        if self._spent > MAX_GLOB_SECONDS:
            raise Bound("globs take too long")
        if names is None:
            raise Bound("a glob names too many files")
        # Nothing of that name is there, so nothing is taken for an option but what this call itself makes.
        named = undashed_made(self.emit.made)
        if not names:
            yield msgspec.structs.replace(field, named=named, many=field.many or "nullglob" in state.modes)
            return
        self.emit.expand(len(names))
        cut = len((cwd or "").rstrip("/")) + 1 if relative else 0
        if self.emit.made and self.may_match(base + pattern):
            # What this call itself makes before this command may match as well.
            yield msgspec.structs.replace(field, many=True, named=named)
        for name in names:
            yield Field(text=name[cut:], sources=field.sources, span=field.span)

    def may_match(self, pattern: str, *, but: str | None = None, also: Iterable[str] = ()) -> bool:
        """Whether a name that this call made may match, or one above or below it, whatever links lead there.

        Args:
            pattern: an absolute one.
            but: a name, or a pattern, that does not count.
            also: further names that count.
        """
        made = (self.emit.made - {but}).union(also)
        if len(made) > MAX_MADE or "**" in pattern or self.emit.contents.linked:
            return True
        shape = self._resolved(pattern)
        return any("**" in one or "[/]" in one or _meets(shape, self._resolved(one)) for one in made)

    def _resolved(self, path: str) -> list[str]:
        """The names of a path or a pattern from the root on, without links where it is known which ones they are."""
        names = path.rstrip("/").split("/")
        sure = next((index for index, name in enumerate(names) if _WILD.search(name)), len(names))
        real = self.view.real("/".join(names[:sure]) or "/")
        return [*real.rstrip("/").split("/"), *names[sure:]]


def _meets(pattern: list[str], made: list[str]) -> bool:
    return all(map(_overlap, pattern, made))


def _overlap(shape: str, name: str) -> bool:
    """Whether a name, or one of those that a pattern stands for, may match a pattern."""
    if _WILD.search(name) is None:
        # A shell's sets of characters are not quite those of `fnmatch`.
        return shape == name or fnmatch.fnmatchcase(name, _SET.sub("?", shape))
    one, other = _WILD.split(shape, maxsplit=1)[0], _WILD.split(name, maxsplit=1)[0]
    return one.startswith(other) or other.startswith(one)
