"""An opening that fails undoes what it had done: no descriptor, no lock and no half-made file is left of it."""

from __future__ import annotations

import gc
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from guardrail.audit import Trail, verify
from guardrail.errors import TrailError
from tests.audit_support import denial, open_trail

Break = Callable[[Path], Any]
"""Breaks a trail of 30 records, or what it lies on; what it returns is a context that mends the latter."""


def _hold(directory: Path) -> Any:
    """Somebody else has the lock."""
    return open_trail(directory)


def _cut_checkpoints(directory: Path) -> Any:
    """The end of the checkpoints is none (`CheckpointFile`, after it was opened)."""
    path = directory / "checkpoints"
    path.write_bytes(path.read_bytes() + b"no checkpoint at all, and longer than one is\n" * 20)
    return nullcontext()


def _cut_records(directory: Path) -> Any:
    """Records that were signed are missing (`recover`, with checkpoints and key open)."""
    max(directory.glob("*.seg")).unlink()
    return nullcontext()


@contextmanager
def _full(directory: Path) -> Iterator[None]:
    """No file may grow, so that the first segment of a new trail cannot be made."""
    for path in directory.glob("*.seg"):
        path.unlink()
    for name in ("checkpoints", "frontier"):
        (directory / name).unlink(missing_ok=True)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def descriptors() -> set[str]:
    """What this process has open."""
    gc.collect()
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        except OSError:  # the listing's own
            continue
    return found


@pytest.mark.parametrize("broken", [_hold, _cut_checkpoints, _cut_records, _full])
def test_an_opening_that_fails_leaves_nothing_open_and_nothing_half_made(tmp_path: Path, broken: Break) -> None:
    """At each of the places that undo and raise again: the descriptors are those of before, and so are the files."""
    directory = tmp_path / "t"
    with open_trail(directory) as trail:
        for number in range(30):
            trail.append(denial(number))
    with broken(directory):
        before, files = descriptors(), {path.name: path.stat().st_size for path in directory.glob("*.seg")}
        with pytest.raises(TrailError):
            open_trail(directory)
        assert descriptors() == before
        assert {path.name: path.stat().st_size for path in directory.glob("*.seg")} == files


def test_a_trail_that_could_not_be_made_for_want_of_room_is_made_when_there_is_some(tmp_path: Path) -> None:
    """What the failed attempt left lets the next one begin."""
    (tmp_path / "t").mkdir()
    with _full(tmp_path / "t"), pytest.raises(TrailError, match="free some space"):
        Trail.open(tmp_path / "t")
    with Trail.open(tmp_path / "t") as trail:
        trail.append(denial())
    assert verify(tmp_path / "t").ok
