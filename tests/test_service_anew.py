"""`guardrail serve` under load while it begins anew, ends and is killed: no decision is lost, and none is wrong."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from guardrail.audit import verify
from guardrail.client import Client
from tests.test_service_process import START_SECONDS, Place, _ready_line, place, records, serving

__all__ = ["place"]


class Askers:
    """Threads that ask without a pause until they are told to stop; every answer is kept with what it should be.

    Args:
        place: where the service is.
        count: how many threads.
    """

    def __init__(self, place: Place, count: int) -> None:
        self._place = place
        self._over = threading.Event()
        self.answers: list[tuple[str, str, dict[str, Any]]] = []
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(count)]

    def _ask(self, number: int) -> None:
        asked = 0
        with Client(str(self._place.socket), timeout_seconds=START_SECONDS) as client:
            while not self._over.is_set():
                asked += 1
                call, wanted = (self._place.theft, "deny") if asked % 5 == 0 else (self._place.call("ls"), "allow")
                name = f"{number}-{asked}"
                self.answers.append((name, wanted, client.decide(call | {"id": name})))

    def until(self, more: int) -> None:
        """Wait for so many further answers."""
        wanted, end = len(self.answers) + more, time.monotonic() + START_SECONDS
        while len(self.answers) < wanted and time.monotonic() < end:
            self._over.wait(0.01)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(START_SECONDS)


def is_fault(decision: Mapping[str, Any]) -> bool:
    """A denial for want of an answer."""
    return any(reason["rule"] == "guardrail.fault" for reason in decision["reasons"])


def test_no_decision_is_lost_or_wrong_while_the_service_begins_anew_and_ends(place: Place) -> None:
    """Under load: reloads lose nothing; a bad configuration changes nothing; what the end cuts off is a denial."""
    place.write(service="each_rate = 1e6")
    with serving(place, "--socket", str(place.socket)) as running, Askers(place, 4) as askers:
        askers.until(20)
        for _ in range(2):
            running.process.send_signal(signal.SIGHUP)
            assert _ready_line(running.process).startswith("guardrail: ready on unix:")
            askers.until(20)
        place.write(service="token = 3")
        running.process.send_signal(signal.SIGHUP)
        askers.until(20)
        before = len(askers.answers)
        code, out, err = running.stop()
        askers.until(4)
    assert (code, out) == (0, "")
    assert err.count("guardrail.reload.refused") == 1
    wrong = [name for name, wanted, got in askers.answers if got["outcome"] != wanted and not is_fault(got)]
    lost = [got["reasons"] for _, _, got in askers.answers[:before] if is_fault(got)]
    assert (wrong, lost) == ([], [])
    answered = {name for name, _, got in askers.answers if not is_fault(got)}
    assert is_fault(askers.answers[-1][2])
    report = verify(place.trail)
    assert report.ok, report
    recorded = {r["call"]["id"]: r["kind"] for r in records(place.trail) if r["kind"] in ("intent", "decision")}
    assert answered <= set(recorded)
    kinds = {(wanted, recorded[name]) for name, wanted, _ in askers.answers if name in recorded}
    assert kinds == {("deny", "decision"), ("allow", "intent")}


def test_the_soak_finds_nothing_wrong_in_a_short_run() -> None:
    """`make soak` in small: killed and robbed of its disk, the service is right or says nothing."""
    words = ["--seconds", "0", "--every", "0.2", "--clients", "2", "--faults", "kill,full"]
    done = subprocess.run(
        [sys.executable, "scripts/soak.py", *words],
        cwd=Path(__file__).resolve().parent.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wrong 0; allowed by a fault 0; durable and not in the trail 0" in done.stdout
    assert re.search(r", [1-9]\d* decided", done.stdout), done.stdout
