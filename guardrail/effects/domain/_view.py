"""All that analysis may ask of the live filesystem."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

from guardrail.effects.domain._ordered import NO_PATHS, OrderedPaths


class Listing(NamedTuple):
    """The names in a directory that no dot begins, as paths.

    Args:
        files: whatever is no directory, sorted.
        folders: directories, sorted.
        linked: any of them may be a link; otherwise they are without links as far as the directory is.
    """

    files: tuple[str, ...]
    folders: tuple[str, ...]
    linked: bool = True


class FileView(Protocol):
    """Names, kinds and small contents; the answers are stale at once, so nothing may rest on them alone."""

    def glob(self, pattern: str) -> tuple[str, ...] | None:
        """Existing paths that an absolute shell pattern names, sorted; `()` if none, None if too many."""
        ...

    def listing(self, folder: str) -> Listing | None:
        """Files and directories in a directory, but for those that a dot begins, sorted; None if there are too many."""
        ...

    def kind(self, path: str) -> Literal["file", "dir", "other"] | None:
        """What is at a path, links followed; None if nothing is, or it cannot be looked at."""
        ...

    def missing(self, path: str) -> bool:
        """Whether nothing has that name, not even a link that leads nowhere, and that is certain."""
        ...

    def identity(self, path: str) -> str:
        """One text for all names of the same file: links resolved, hard links too; of a missing file its place."""
        ...

    def real(self, path: str) -> str:
        """The path without links; of a missing file, where it would be."""
        ...

    def single(self, path: str) -> bool:
        """Whether a regular file is there, by no link at the end of the path, which has no other name."""
        ...

    def enterable(self, path: str) -> bool:
        """Whether a path is a directory that every user may go to."""
        ...

    def plain(self, path: str) -> bool:
        """Whether every name below a directory is free of blanks, quotes, wildcards and a dash at its beginning.

        False too if there are more names than can be looked at.
        """
        ...

    def inert(self, path: str) -> bool:
        """Whether every name below a directory is `plain`, and would be one word in the text of a shell as well."""
        ...

    def writable(self, path: str) -> bool:
        """Whether a regular file is there which a shell that has the guard's rights can open to write over it."""
        ...

    def stale(self, path: str) -> bool:
        """Whether Python would take for a source what it was compiled to, which may be of another text."""
        ...

    def read(self, path: str, limit: int) -> bytes | None:
        """Content of a regular file of at most `limit` bytes, else None."""
        ...


class Wrote(Protocol):
    """What the session wrote in calls before this one."""

    def anything(self) -> bool:
        """Whether any file was, that may be one of code."""
        ...

    def wrote(self, real: str) -> bool:
        """Whether a path with no links in it was written or brought, or lies in what was."""
        ...

    def files(self) -> OrderedPaths | None:
        """Every path that was written or brought and is known; None if there are too many to tell."""
        ...

    def brought(self) -> OrderedPaths:
        """Those of them that may be a directory: all but what was only ever written as a file."""
        ...

    def patterns(self) -> tuple[str, ...]:
        """The names of files that were written which are known in part, as globs."""
        ...

    def before(self, real: str) -> str | None:
        """What a file held before the session first wrote it; None if it was not there, or that is not known."""
        ...


class Nothing:
    """A session that wrote nothing."""

    def anything(self) -> bool:
        """No file was."""
        return False

    def wrote(self, real: str) -> bool:  # noqa: ARG002 - as the protocol has it
        """No path was."""
        return False

    def files(self) -> OrderedPaths | None:
        """None of them."""
        return NO_PATHS

    def brought(self) -> OrderedPaths:
        """None of them."""
        return NO_PATHS

    def patterns(self) -> tuple[str, ...]:
        """None of them."""
        return ()

    def before(self, real: str) -> str | None:  # noqa: ARG002 - as the protocol has it
        """Nothing was written over."""
        return None
