"""What was last seen of the common orders, as files among the mandates, and when: all there is while the way is cut.

Not concerned with what an order says: the book of mandates reads these files like any other, and verifies each.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

from guardrail.audit._files import replace
from guardrail.mandates._directory import REVOKED, SUFFIX

PREFIX: Final = "central-"
"""What names begin with that are ours: other files in the directory are left alone."""

CONTACT: Final = ".central"
"""File whose time says when the database was last heard."""

SUFFIXES: Final[Mapping[str, str]] = {"revocations": REVOKED, "mandates": SUFFIX}
"""Tables, and how the names of their files end."""


class Kept:
    """The files.

    Args:
        directory: of the mandates; made if it is not there.

    Raises:
        OSError: if that cannot be done.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._contact = directory / CONTACT
        # A place that takes no file is found now, and not when a revocation has to be kept.
        if not self._contact.exists():
            replace(self._contact, b"")
            os.utime(self._contact, (0, 0))
        # Another process, or a crash, may have left anything under our names: the first time all of it is written anew.
        self._written: dict[str, set[str]] = {table: set() for table in SUFFIXES}

    @property
    def contact_us(self) -> int:
        """When the database was last heard, in microseconds since 1970; 0 if never."""
        return last_heard_us(self._directory)

    def heard(self) -> None:
        """The database answered, and all of what it has is kept.

        Raises:
            OSError: if that cannot be noted.
        """
        if not self._contact.exists():
            replace(self._contact, b"")
        os.utime(self._contact)

    def follow(
        self, table: str, names: Collection[str], fetch: Callable[[Collection[str]], Mapping[str, bytes]]
    ) -> None:
        """Have exactly what a table has; of revocations nothing is ever taken away.

        Args:
            table: `mandates` or `revocations`.
            names: the digests that it has.
            fetch: gets what is missing.

        Raises:
            OSError: if a file cannot be written or removed.
        """
        try:
            self._write(table, [name for name in names if name not in self._written[table]], fetch)
        except OSError:
            # INVARIANT: an order that was perhaps taken back does not count. Removing needs no room on the disk.
            self._remove(keep=())
            raise
        if table == "mandates":
            self._remove(keep=names)

    def _write(
        self, table: str, names: Collection[str], fetch: Callable[[Collection[str]], Mapping[str, bytes]]
    ) -> None:
        if names:
            for envelope in fetch(names).values():
                # Worked out here: what the database calls it may be anything.
                name = hashlib.sha256(envelope).hexdigest()
                replace(self._path(table, name), envelope)
                self._written[table].add(name)

    def _remove(self, keep: Collection[str]) -> None:
        """Take away all mandates that were put there, but for some."""
        for path in self._directory.glob(f"{PREFIX}*{SUFFIX}"):
            name = path.name.removeprefix(PREFIX).removesuffix(SUFFIX)
            if name not in keep:
                path.unlink(missing_ok=True)
                self._written["mandates"].discard(name)

    def _path(self, table: str, name: str) -> Path:
        return self._directory / f"{PREFIX}{name}{SUFFIXES[table]}"


def last_heard_us(directory: Path) -> int:
    """When the database was last heard by whoever keeps this directory, in microseconds since 1970; 0 if never."""
    try:
        return (directory / CONTACT).stat().st_mtime_ns // 1000
    except OSError:
        return 0
