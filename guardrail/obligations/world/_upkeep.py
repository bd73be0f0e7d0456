"""Whether what was to be kept is there, unchanged, and what was to be brought somewhere lies there.

What counts is the content: a file that was restored from a backup was kept, and one of the same name and size that
holds something else was not. Nothing is believed of names or dates where the content is known.

Blind spots: where the content was never read (larger than is read when a duty is taken up, and not registered) a file
counts as kept while its inode, size and date are the same, and as brought nowhere. Destinations are directories of this
host.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from typing import Final

from guardrail.obligations._events import Finding, Looked, Pinned, Result, Terms
from guardrail.obligations.world._evidence import digest_of, examine, is_file, status_at
from guardrail.obligations.world._handles import Unanswered, reopened

MAX_KNOWN: Final = 20_000
"""Most digests that are remembered of files that have not changed since they were read."""

_State = tuple[int, int, int, int, int]


class Upkeep:
    """Looks at files that are to be there, and remembers the digests of those that have not changed."""

    def __init__(self) -> None:
        self._known: dict[_State, str] = {}

    def look(self, terms: Terms, files: Sequence[Pinned], now_us: int, *, deep: bool) -> Looked:
        """What is to be seen of a duty to keep or to transfer something.

        Args:
            terms: what is owed.
            files: as they were when it was taken up.
            now_us: the time, in microseconds since 1970.
            deep: contents are read; otherwise only names and sizes are looked at, which proves nothing.
        """
        if not files:
            says = f"no file of `{terms.asset}` was there when this was taken up"
            return Looked(result="unknown", at_us=now_us, evidence=(says,))
        found = list(self._kept(files, deep) if terms.keeps_source else _left(files, terms.to))
        if terms.effect == "transfer":
            found += self._not_arrived(files, terms) if deep else ()
        if found:
            told = tuple(one.says for one in found)
            only_unknown = all(one.kind == "unknown" for one in found)
            result: Result = "unknown" if only_unknown else "present"
            return Looked(result=result, at_us=now_us, evidence=told, findings=tuple(found))
        if not deep or (terms.effect == "retain" and now_us < terms.due_us):
            return Looked(result="unknown", at_us=now_us, evidence=(f"{len(files)} files are there so far",))
        where = f", and at `{terms.to}`" if terms.effect == "transfer" else ""
        source = "are there, with the same content" if terms.keeps_source else "are gone from where they were"
        return Looked(result="absent", at_us=now_us, evidence=(f"{len(files)} files {source}{where}",))

    def _kept(self, files: Sequence[Pinned], deep: bool) -> Iterator[Finding]:
        for file in files:
            status = status_at(file.path)
            if status is None or not stat.S_ISREG(status.st_mode):
                says = f"`{file.path}` was to be kept, and is gone{_where(file)}"
                yield Finding(kind="lost", says=says, path=file.path)
            elif status.st_size != file.size:
                says = f"`{file.path}` was to be kept, and has {status.st_size} bytes instead of {file.size}"
                yield Finding(kind="altered", says=says, path=file.path)
            elif deep:
                yield from self._altered(file, status)

    def _altered(self, file: Pinned, status: os.stat_result) -> Iterator[Finding]:
        if not file.sha256:
            if not is_file(file, file.path, status) or status.st_mtime_ns // 1000 != file.mtime_us:
                says = f"`{file.path}` was to be kept, and is another file or was changed; its content was never read"
                yield Finding(kind="altered", says=says, path=file.path)
            return
        try:
            same = self._digest(file.path) == file.sha256
        except OSError as error:
            yield Finding(kind="unknown", says=f"`{file.path}` cannot be read: {error.strerror}", path=file.path)
            return
        if not same:
            says = f"`{file.path}` was to be kept, and holds something else"
            yield Finding(kind="altered", says=says, path=file.path)

    def _not_arrived(self, files: Sequence[Pinned], terms: Terms) -> Iterator[Finding]:
        """What does not lie at the destination with the content that it had."""
        sizes = {file.size for file in files}
        there: set[str] = set()
        own = {file.inode for file in files} if terms.keeps_source else set[str]()
        for path in _below(terms.to):
            status = status_at(path)
            if status is None or not stat.S_ISREG(status.st_mode) or status.st_size not in sizes:
                continue
            if f"{status.st_dev}:{status.st_ino}" in own:
                continue  # another name of the source is no second copy: what changes the one changes the other
            try:
                there.add(self._digest(path))
            except OSError as error:
                yield Finding(kind="unknown", says=f"`{path}` cannot be read: {error.strerror}", path=path)
        unread = [file for file in files if not file.sha256]
        if unread:
            says = (
                f"the content of {len(unread)} files was never read, so whether they are at `{terms.to}` is not known"
            )
            yield Finding(kind="unknown", says=f"{says}: register the asset before the order")
        missing = [file for file in files if file.sha256 and file.sha256 not in there]
        known = len(files) - len(unread)
        for file in missing:
            says = f"`{file.path}` is not at `{terms.to}` with the content that it had"
            yield Finding(kind="partial" if len(missing) < known else "missing", says=says, path=file.path)

    def _digest(self, path: str) -> str:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as stream:
            one = os.fstat(fd)
            state = (one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns)
            if state not in self._known:
                if len(self._known) >= MAX_KNOWN:
                    self._known.clear()
                self._known[state] = digest_of(stream)
            return self._known[state]


def _left(files: Sequence[Pinned], to: str) -> Iterator[Finding]:
    """What is left of files that were to be brought away, other than at their destination."""
    for file in files:
        try:
            fd = reopened(file)
        except Unanswered:
            fd = None
        try:
            for one in examine(file, fd):
                if not (one.kind == "moved" and _is_in(one.path, to)):
                    yield one
        finally:
            if fd is not None:
                os.close(fd)


def _where(file: Pinned) -> str:
    """Where a file that is not in its place went, if the filesystem tells."""
    try:
        fd = reopened(file)
    except Unanswered:
        return ""
    if fd is None:
        return ""
    try:
        return f": it is now `{os.readlink(f'/proc/self/fd/{fd}')}`" if os.fstat(fd).st_nlink else ""
    except OSError:
        return ""
    finally:
        os.close(fd)


def _below(folder: str) -> Iterator[str]:
    for here, _, names in os.walk(folder):
        for name in sorted(names):
            yield f"{here}/{name}"


def _is_in(path: str, folder: str) -> bool:
    return path.startswith(f"{folder.rstrip('/')}/")
