"""A trail that cannot be written: calls are denied in time, with the reason, and what was recorded is still there."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from guardrail import Guard, Outcome, ToolCall
from guardrail.audit import _segment as segment
from guardrail.audit import disclosure, verify
from guardrail.model import FAULT_RULE

TIMEOUT = 1.5
"""`trail.timeout_seconds` in these tests; the default is 2, and is looked at by one of them."""

SLACK = 300.0
"""How much longer than that a machine may stand still, in seconds; a disk that hangs here does so for longer."""


def configured(root: Path, more: str = "", timeout: float = TIMEOUT) -> Path:
    """A configuration with one asset."""
    (root / "w").write_bytes(b"weights")
    toml = root / "guardrail.toml"
    toml.write_text(
        f'[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["w"]\n'
        f'[limits]\ndecision_ms = 60000\n[trail]\ndirectory = "t"\ntimeout_seconds = {timeout}\n{more}'
    )
    return toml


def call(root: Path, command: str = "sha256sum {}") -> ToolCall:
    """A call that touches the asset."""
    return ToolCall(tool="bash", args={"command": command.format(root / "w")}, cwd="/")


def denied(guard: Guard, asked: ToolCall) -> tuple[str, float]:
    """Why a call is denied, and after how many seconds."""
    started = time.monotonic()
    decision = guard.check(asked)
    took = time.monotonic() - started
    assert decision.outcome is Outcome.DENY
    assert decision.reasons[0].rule == FAULT_RULE
    return decision.reasons[0].message, took


def test_the_default_is_two_seconds() -> None:
    """What the specification asks for, unless somebody says otherwise."""
    from guardrail.config import TrailConfig

    assert TrailConfig().timeout_seconds == 2.0


def test_a_disk_that_hangs_denies_in_time_and_is_used_again_when_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call waits its time, the next is denied at once, also one that touches no asset."""
    free = threading.Event()
    real = segment.os.fdatasync

    def hang(fd: int) -> None:
        assert free.wait(600)
        real(fd)

    with Guard.open(configured(tmp_path)) as guard:
        with monkeypatch.context() as patched:
            patched.setattr(segment.os, "fdatasync", hang)
            why, took = denied(guard, call(tmp_path))
            assert f"did not answer within {TIMEOUT:g} seconds" in why
            assert took < TIMEOUT + SLACK
            for asked in (call(tmp_path), ToolCall(tool="bash", args={"command": "ls /tmp"}, cwd="/")):
                # Of several, so that a machine that stands still once does not look like a wait.
                assert min(denied(guard, asked)[1] for _ in range(5)) < TIMEOUT
            free.set()
        until = time.monotonic() + 30
        while not guard.check(call(tmp_path)):
            assert time.monotonic() < until
    assert verify(tmp_path / "t").ok


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.ENOSPC], ids=["EIO", "EROFS", "ENOSPC"])
@pytest.mark.parametrize("what", ["pwrite", "fdatasync"])
def test_a_disk_that_fails_denies_until_the_guard_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, number: int
) -> None:
    """No call runs on a record that is not there; afterwards the trail holds what was acknowledged, and goes on."""
    toml = configured(tmp_path, timeout=60)  # it answers, however late

    def fail(*_: object) -> int:
        raise OSError(number, "it failed")

    guard = Guard.open(toml)
    assert guard.check(call(tmp_path))
    size = guard.trail.size if guard.trail is not None else 0
    where = segment.os if what == "fdatasync" else __import__("guardrail.audit._files", fromlist=["os"]).os
    with monkeypatch.context() as patched:
        patched.setattr(where, what, fail)
        why, took = denied(guard, call(tmp_path))
        assert "it failed" in why
        assert took < TIMEOUT + SLACK
    why, _ = denied(guard, call(tmp_path))
    assert "restart when that is mended" in why
    ran: list[ToolCall] = []
    with pytest.raises(Exception, match="not permitted"):
        guard.run(call(tmp_path), ran.append)
    assert ran == []
    with pytest.raises(Exception, match="restart when that is mended"):
        guard.close()
    with Guard.open(toml) as again:
        assert again.trail is not None
        assert again.trail.size >= size
        assert again.check(call(tmp_path))
    assert verify(tmp_path / "t").ok


@pytest.mark.parametrize("how", ["hangs", "is full"])
def test_a_disk_that_does_not_take_a_disclosure_denies_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Content that was asked to be kept is kept before a call runs."""
    free = threading.Event()

    def hang(*_: object) -> int:
        assert free.wait(600)
        raise OSError(errno.EIO, "too late")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    ways: dict[str, Callable[..., int]] = {"hangs": hang, "is full": full}
    with Guard.open(configured(tmp_path, 'disclose = ["args"]\n')) as guard:
        assert guard.check(call(tmp_path))
        with monkeypatch.context() as patched:
            patched.setattr(disclosure.os, "fdopen", ways[how])
            why, took = denied(guard, call(tmp_path))
            assert "disclosed" in why
            assert took < TIMEOUT + SLACK
            free.set()
    assert verify(tmp_path / "t").ok
