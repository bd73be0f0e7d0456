"""A clock that is set back: nothing that was over comes to life again, and the trail says what happened."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from guardrail.audit import Trail, verify
from guardrail.audit._verify import read_records
from guardrail.audit.clock import MAX_BEHIND_US, Clock
from guardrail.config import Config, TrailConfig
from guardrail.review import open_desk
from tests.audit_support import denial, open_trail
from tests.test_review_desk import DIGEST, approved

HOUR_NS = 3600 * 10**9


def set_clock(monkeypatch: pytest.MonkeyPatch, ahead_ns: int) -> None:
    """Set the wall clock of this process; the steady one goes on, as it does on a host."""
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + ahead_ns)


def test_a_clock_that_is_set_back_goes_on_from_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the process runs, and from a time on that the trail knows of."""
    clock, later = Clock(), Clock(time.time_ns() // 1000 + 10 * MAX_BEHIND_US)
    before, floor = clock(), later()
    set_clock(monkeypatch, -HOUR_NS)
    assert clock() >= before
    assert later() >= floor > before + 9 * MAX_BEHIND_US


def test_a_trail_that_is_opened_before_its_last_record_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first record of the new start names both times; a start with the right clock writes none."""
    with monkeypatch.context() as later:
        set_clock(later, HOUR_NS)
        with open_trail(tmp_path / "t") as trail:
            trail.append(denial())
    with open_trail(tmp_path / "t") as trail:
        last_us = trail.last_us
    last, told = (record for _, record in read_records(tmp_path / "t"))
    assert last["t_us"] == last_us > time.time_ns() // 1000
    assert (told["kind"], told["event"], told["last_us"]) == ("clock", "set_back", last_us)
    assert told["now_us"] < last_us - MAX_BEHIND_US
    assert verify(tmp_path / "t").ok
    with monkeypatch.context() as later:
        set_clock(later, 2 * HOUR_NS)
        open_trail(tmp_path / "t").close()
    assert sum(1 for _ in read_records(tmp_path / "t")) == 2


def test_the_last_time_is_known_where_the_last_segment_has_no_record_yet(tmp_path: Path) -> None:
    """A crash between making a segment and writing to it hides no time."""
    with open_trail(tmp_path / "t") as trail:
        for number in range(30):
            trail.append(denial(number))
        size = trail.size
    (tmp_path / "t" / f"{size:020d}.seg").write_bytes(bytes(4096))
    with open_trail(tmp_path / "t") as trail:
        assert trail.last_us == list(read_records(tmp_path / "t"))[-1][1]["t_us"]
        assert trail.size == size


def test_a_grant_that_had_expired_is_not_revived_by_a_start_with_the_clock_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute's leave is over an hour later, and stays over when the guard is started in that minute again."""
    config = Config(trail=TrailConfig(directory=str(tmp_path / "t")))
    with Trail.open(tmp_path / "t") as trail:
        desk = open_desk(config, trail)
        grant = approved(desk)
        assert desk.valid(grant, DIGEST) is not None
    with monkeypatch.context() as later:
        set_clock(later, HOUR_NS)
        with Trail.open(tmp_path / "t") as trail:
            trail.append(denial())
    with Trail.open(tmp_path / "t") as trail:
        assert open_desk(config, trail).valid(grant, DIGEST) is None
