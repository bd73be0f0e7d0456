"""Ask a real service without a pause while it is killed, restarted, reloaded, overloaded and robbed of its disk; count.

    python scripts/soak.py [--seconds 600] [--clients 4] [--faults kill,restart,reload,overload,full] [--every 10]

Clients ask over a Unix socket with deadlines, as an agent would: for calls that have to be allowed, with and without an
asset, and for a theft. Every few seconds one fault follows another:

    kill      SIGKILL, and a new service
    restart   SIGTERM, the end waited for, and a new service
    reload    SIGHUP
    overload  ten times as many clients for a while, more than may be judged or wait
    full      no file may have more than one byte (RLIMIT_FSIZE), as on a disk that is full; then a restart

At the end the trail is verified and compared with every answer. Prints what came of the calls in each phase, and exits
1 if an answer was wrong, if a fault came out as anything but a denial, if the record of a call that touches an asset or
was denied is not in the trail, or if the trail does not verify.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from guardrail.audit import verify
from guardrail.audit._verify import read_records
from guardrail.client import Client

START_SECONDS: Final = 60
"""Longest wait for a service to start or to end, in seconds."""

TIMEOUT_SECONDS: Final = 2.0
"""Deadline of one question, in seconds."""

PAUSE_SECONDS: Final = 0.005
"""How long a steady client thinks between two questions, in seconds."""

FAULTS: Final = ("kill", "restart", "reload", "overload", "full")

CONFIG: Final = """
[[asset]]
id = "model:beta"
class = "weights"
paths = ["models/beta"]
[trail]
directory = "trail"
timeout_seconds = 1.0
[service]
concurrency = 4
queue = 8
queue_ms = 100
each_rate = 1e6
each_burst = 1000000
each_concurrency = 4
"""


class Asked(NamedTuple):
    """One answer.

    Args:
        name: the call's id.
        phase: during which fault it was asked.
        wanted: what it has to be, where there is a decision.
        durable: whether its record has to outlive everything.
        outcome: what it was.
        why: for a denial without a decision: what for.
    """

    name: str
    phase: str
    wanted: str
    durable: bool
    outcome: str
    why: str


class Soak:
    """A service, those who ask it, and what they were told.

    Args:
        root: an empty directory.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.socket = root / "run/decide.sock"
        self.answers: list[Asked] = []
        self.phase = "start"
        self.starts_failed = 0
        self._numbers = itertools.count()
        (root / "models/beta").mkdir(parents=True)
        (root / "models/beta/w.safetensors").write_bytes(b"weights")
        (root / "guardrail.toml").write_text(CONFIG)
        self._service = self._start()

    def _start(self) -> subprocess.Popen[str]:
        """A new service; one that does not start is started again for a while, as a supervisor would."""
        end = time.monotonic() + START_SECONDS
        command = [sys.executable, "-m", "guardrail", "serve", "--config", str(self.root / "guardrail.toml")]
        while True:
            with (self.root / "log").open("ab") as log:
                service = subprocess.Popen(
                    [*command, "--socket", str(self.socket)], stdout=subprocess.PIPE, stderr=log, text=True
                )
            if _is_ready(service):
                return service
            service.wait(START_SECONDS)
            self.starts_failed += 1
            if time.monotonic() > end:
                raise SystemExit(f"soak: the service did not start: {(self.root / 'log').read_text()[-2000:]}")

    def end(self, number: int = signal.SIGTERM) -> None:
        """End the service."""
        self._service.send_signal(number)
        self._service.wait(START_SECONDS)

    def inject(self, fault: str, clients: int, seconds: float) -> None:
        """One fault, and what follows from it."""
        self.phase = fault
        if fault == "reload":
            self._service.send_signal(signal.SIGHUP)
            if not _is_ready(self._service):
                raise SystemExit(f"soak: the service did not begin anew: {(self.root / 'log').read_text()[-2000:]}")
        elif fault == "overload":
            with self.asking(clients * 10, pause=0.0):
                time.sleep(seconds / 2)
        else:
            if fault == "full":
                resource.prlimit(self._service.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
                time.sleep(seconds / 2)
            self.end(signal.SIGKILL if fault == "kill" else signal.SIGTERM)
            self._service = self._start()

    def await_decision(self) -> None:
        """Wait until somebody is told a decision again."""
        begun, end = len(self.answers), time.monotonic() + START_SECONDS
        while all(one.why for one in self.answers[begun:]):
            if time.monotonic() > end:
                raise SystemExit(f"soak: nobody is told a decision any more, {self.phase}")
            time.sleep(PAUSE_SECONDS)

    @contextlib.contextmanager
    def asking(self, count: int, pause: float = PAUSE_SECONDS) -> Iterator[None]:
        """Clients that ask, each in a thread."""
        over = threading.Event()
        threads = [
            threading.Thread(target=self._ask, args=(over, pause, f"agent-{number % 7}"), daemon=True)
            for number in range(count)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join(START_SECONDS)

    def _ask(self, over: threading.Event, pause: float, agent: str) -> None:
        weights = self.root / "models/beta/w.safetensors"
        kinds = (
            ("ls", "allow", False),
            (f"sha256sum {weights}", "allow", True),
            (f"cp {weights} /tmp/x", "deny", True),
        )
        with Client(str(self.socket), timeout_seconds=TIMEOUT_SECONDS) as client:
            while not over.is_set():
                number = next(self._numbers)
                command, wanted, durable = kinds[number % len(kinds)]
                phase, name = self.phase, f"call-{number}"
                call = {"tool": "bash", "args": {"command": command}, "cwd": str(self.root), "id": name}
                decision = client.decide(call | {"session": f"{agent} {number % 50}", "subject": {"id": agent}})
                self.answers.append(Asked(name, phase, wanted, durable, decision["outcome"], _why(decision)))
                over.wait(pause)


def _is_ready(service: subprocess.Popen[str]) -> bool:
    """Wait for a service's one line; whether it is there."""
    assert service.stdout is not None
    return service.stdout.readline().startswith("guardrail: ready")


def _why(decision: Mapping[str, Any]) -> str:
    """Why there is no decision; empty if there is one."""
    text = next((reason["message"] for reason in decision["reasons"] if reason["rule"] == "guardrail.fault"), "")
    for word, kind in (("answered 503", "503"), ("answered 429", "429"), ("did not answer in time", "deadline")):
        if word in text:
            return kind
    return "" if not text else "no answer" if "no answer" in text else "fault"


def main() -> int:
    """Soak, and say what came of it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--seconds", type=float, default=600, help="how long, and each fault at least once; default 600"
    )
    options.add_argument("--clients", type=int, default=4, help="how many ask steadily; default 4")
    options.add_argument("--faults", default=",".join(FAULTS), help=f"which, in this order; default {','.join(FAULTS)}")
    options.add_argument("--every", type=float, default=10, help="seconds between faults; default 10")
    args = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="guardrail-soak-") as scratch:
        soak, injected = Soak(Path(scratch)), Counter[str]()
        end = time.monotonic() + args.seconds
        faults = args.faults.split(",")
        with soak.asking(args.clients):
            for fault in itertools.cycle(faults):
                if time.monotonic() >= end and len(injected) == len(faults):
                    break
                soak.inject(fault, args.clients, args.every)
                injected[fault] += 1
                soak.phase = f"after {fault}"
                soak.await_decision()
                time.sleep(args.every / 2)
        soak.end()
        return _judged(soak, injected, args.seconds)


def _judged(soak: Soak, injected: Counter[str], seconds: float) -> int:
    report = verify(soak.root / "trail")
    kinds = {"intent": "allow", "decision": "deny"}
    recorded = {
        record["call"]["id"]: kinds[record["kind"]]
        for _, record in read_records(soak.root / "trail", 0)
        if record.get("kind") in kinds
    }
    decided = [one for one in soak.answers if not one.why]
    wrong = [one for one in decided if one.outcome != one.wanted or recorded.get(one.name, one.wanted) != one.wanted]
    faults_that_allow = [one for one in soak.answers if one.why and one.outcome != "deny"]
    missing = [one for one in decided if one.name not in recorded]
    lost = [one for one in missing if one.durable]
    print(f"soak: {seconds:.0f} s, {sum(injected.values())} faults: "
          + ", ".join(f"{count} {fault}" for fault, count in injected.items()))  # fmt: skip
    print(f"{'phase':<16}" + "".join(f"{name:>11}" for name in _COLUMNS))
    for phase in dict.fromkeys(one.phase for one in soak.answers):
        found = Counter(one.why or one.outcome for one in soak.answers if one.phase == phase)
        print(f"{phase:<16}" + "".join(f"{found[name]:>11}" for name in _COLUMNS))
    undecided = len(soak.answers) - len(decided)
    print(f"{len(soak.answers)} calls, {len(decided)} decided, {undecided} denied for want of a decision")
    print(f"wrong {len(wrong)}; allowed by a fault {len(faults_that_allow)}; durable and not in the trail {len(lost)}; "
          f"of calls that touch nothing {len(missing) - len(lost)} records were lost; "
          f"trail of {report.records} records {'verifies' if report.ok else 'DOES NOT VERIFY'}")  # fmt: skip
    if soak.starts_failed:
        print(f"starts that failed and were tried again: {soak.starts_failed}")
    return int(bool(wrong or faults_that_allow or lost or not report.ok))


_COLUMNS: Final = ("allow", "deny", "503", "429", "deadline", "no answer", "fault")

if __name__ == "__main__":
    sys.exit(main())
