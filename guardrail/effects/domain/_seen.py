"""The live filesystem as one call finds it: a path is looked at once, however many parts of the analysis ask for it.

Not concerned with what the call itself changes: `_contents` is. Nothing is kept from one call to the next.
"""

from __future__ import annotations

from typing import Final, Literal

from guardrail.effects.domain._view import FileView, Listing

_NO_NAMES: Final = frozenset(("", ".", ".."))
"""Last parts of a path that are no name in the directory before them."""


class SeenFiles:
    """A view that remembers what it saw.

    Args:
        view: the live filesystem.
    """

    __slots__ = ("_globs", "_identities", "_kinds", "_listings", "_missing", "_reals", "_view")

    def __init__(self, view: FileView) -> None:
        self._view = view
        self._kinds: dict[str, Literal["file", "dir", "other"] | None] = {}
        self._missing: dict[str, bool] = {}
        self._identities: dict[str, str] = {}
        self._reals: dict[str, str] = {}
        self._globs: dict[str, tuple[str, ...] | None] = {}
        self._listings: dict[str, Listing | None] = {}

    def kind(self, path: str) -> Literal["file", "dir", "other"] | None:
        """As the view has it."""
        kinds = self._kinds
        if path in kinds:
            return kinds[path]
        found = kinds[path] = self._view.kind(path)
        return found

    def missing(self, path: str) -> bool:
        """As the view has it."""
        if path not in self._missing:
            self._missing[path] = self._kinds.get(path) is None and self._view.missing(path)
        return self._missing[path]

    def identity(self, path: str) -> str:
        """As the view has it."""
        found = self._identities.get(path)
        if found is None:
            found = self._identities[path] = self._identified(path)
        return found

    def _identified(self, path: str) -> str:
        if self.missing(path):
            return self.real(path)
        folder, _, name = path.rpartition("/")
        if folder in self._reals and name not in _NO_NAMES and self._view.single(path):
            return f"{self._reals[folder].rstrip('/')}/{name}"
        found = self._view.identity(path)
        if found == path and self._kinds.get(path) is not None:
            # No link was on the way to what is there, so none is on the way to the directory that it lies in.
            self._reals.setdefault(path, path)
            self._reals.setdefault(folder or "/", folder or "/")
        return found

    def real(self, path: str) -> str:
        """As the view has it; what is missing lies where the nearest directory above it that is there really is."""
        found = self._reals.get(path)
        if found is not None:
            return found
        here, below = path, ""
        while here not in self._reals:
            folder, _, name = here.rpartition("/")
            # `..` behind what is missing leads to wherever that will be, which may be behind a link.
            if name in _NO_NAMES or "/../" in here:
                self._reals[here] = self._view.real(here)
                break
            if not self.missing(here):
                self._reals[here] = self._really(here)
                break
            here, below = folder or "/", f"/{name}{below}"
        real = self._reals[here]
        if below:
            real = self._reals[path] = real.rstrip("/") + below
        return real

    def _really(self, path: str) -> str:
        """Where something lies that is there: its identity says so, unless it has several names."""
        found = self.identity(path)
        return found if found[:1] == "/" else self._view.real(path)

    def glob(self, pattern: str) -> tuple[str, ...] | None:
        """As the view has it."""
        globs = self._globs
        if pattern not in globs:
            globs[pattern] = self._view.glob(pattern)
        return globs[pattern]

    def listing(self, folder: str) -> Listing | None:
        """As the view has it."""
        listings = self._listings
        if folder not in listings:
            listings[folder] = self._view.listing(folder)
        return listings[folder]

    def enterable(self, path: str) -> bool:
        """As the view has it."""
        return self._view.enterable(path)

    def plain(self, path: str) -> bool:
        """As the view has it."""
        return self._view.plain(path)

    def inert(self, path: str) -> bool:
        """As the view has it."""
        return self._view.inert(path)

    def writable(self, path: str) -> bool:
        """As the view has it."""
        return self._view.writable(path)

    def single(self, path: str) -> bool:
        """As the view has it."""
        return self._view.single(path)

    def stale(self, path: str) -> bool:
        """As the view has it: what nothing was compiled of that lies in its directory is not."""
        compiled = path.rpartition("/")[0] + "/__pycache__"
        return not self.missing(compiled) and self._view.stale(path)

    def read(self, path: str, limit: int) -> bytes | None:
        """As the view has it."""
        return self._view.read(path, limit) if self.kind(path) == "file" else None
