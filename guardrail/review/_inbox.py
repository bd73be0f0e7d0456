"""A directory beside the trail into which people put signed votes while a guard holds the trail.

It needs no trust: whoever writes into it can only bring what somebody signed, and what comes to nothing is put aside
with the reason.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from guardrail.audit._files import replace
from guardrail.errors import TrailError
from guardrail.model import new_id
from guardrail.review._clerk import Clerk
from guardrail.review._commands import Refused
from guardrail.review._statements import MAX_STATEMENT_BYTES

SUFFIX: Final = ".vote.json"
ASIDE: Final = ".refused"

MAX_TAKEN: Final = 64
"""Most votes that are taken in at one time; the rest waits for the next."""


class Inbox:
    """The directory.

    Args:
        directory: made, for its owner only, when something is put in or `make` is called.
    """

    def __init__(self, directory: Path) -> None:
        self.directory: Final = directory

    def make(self) -> None:
        """Create it.

        Raises:
            OSError: if that cannot be done.
        """
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, envelope: bytes) -> Path:
        """Leave an envelope for the guard; it is there as a whole or not at all, and read in the order of arrival.

        Raises:
            OSError: if it cannot be written.
        """
        self.make()
        path = self.directory / f"{new_id()}{SUFFIX}"
        replace(path, envelope)
        return path

    def answer(self, path: Path) -> str | None:
        """What became of an envelope: None while it waits, empty if it was taken in, or why it was not."""
        aside = path.with_name(path.name + ASIDE)
        if aside.exists():
            why = aside.read_text(encoding="utf-8")
            aside.unlink(missing_ok=True)
            return why
        return None if path.exists() else ""

    def take_in(self, clerk: Clerk) -> int:
        """Take in what lies there.

        Returns:
            How many statements were recorded.

        Raises:
            TrailError: if one of them cannot be recorded; it stays.
        """
        try:
            with os.scandir(self.directory) as entries:
                # What is no file was not put here by `put`, and must not keep out what was.
                files = (
                    one.name for one in entries if one.name.endswith(SUFFIX) and one.is_file(follow_symlinks=False)
                )
                names = sorted(files)[:MAX_TAKEN]
        except OSError:
            return 0
        return sum(self._take(clerk, self.directory / name) for name in names)

    def _take(self, clerk: Clerk, path: Path) -> bool:
        try:
            # No link is followed and no pipe waited for: others may have put them there.
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(fd, "rb") as stream:
                envelope = stream.read(MAX_STATEMENT_BYTES + 1)
            clerk.take(envelope)
        except TrailError:
            raise
        except (Refused, OSError) as error:
            self._put_aside(path, str(error))
            return False
        # A crash before this leaves it there, and the next time it is refused: its author has voted already.
        path.unlink(missing_ok=True)
        return True

    def _put_aside(self, path: Path, why: str) -> None:
        try:
            replace(path.with_name(path.name + ASIDE), why.encode())
            path.unlink(missing_ok=True)
        except OSError:
            pass  # it is looked at again, and refused again
