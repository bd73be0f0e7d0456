"""Where a trail begins on disk, after what came before was pruned."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from guardrail.audit._files import sync_directory
from guardrail.errors import TrailError

MINIMUM_FILE: Final = "minimum"
"""Holds the number of the first record that was not pruned."""


def read_minimum(directory: Path) -> int:
    """Number of the first record that was not pruned.

    Raises:
        TrailError: if the file that says so was changed.
        OSError: if it cannot be read.
    """
    try:
        text = (directory / MINIMUM_FILE).read_text("ascii")
        return int(text) if text == f"{int(text)}\n" else _bad_minimum(directory)
    except FileNotFoundError:
        return 0
    except ValueError:
        return _bad_minimum(directory)


def _bad_minimum(directory: Path) -> int:
    raise TrailError(f"`{directory / MINIMUM_FILE}` is not the number of a record: put it back")


def remove_below(directory: Path, minimum: int) -> None:
    """Remove the segments that were pruned, also those that a crash left.

    Raises:
        OSError: if that cannot be done.
    """
    gone = [path for path in directory.glob("*.seg") if path.stem.isdecimal() and int(path.stem) < minimum]
    for path in gone:
        path.unlink()
    if gone:
        sync_directory(directory)
