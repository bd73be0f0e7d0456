"""The shared ledger under force: replicas and servers that are killed, and grants that many want at once.

    python scripts/shared_trail.py [--kills N] [--crashes N] [--restarts N] [--grants N] [--racers N]

Starts a PostgreSQL server of its own, in a directory that goes away, and prints what was tried and what held; exits 1
if anything did not. Needs the requirements of the tests, and PostgreSQL (`apt-get install postgresql`).
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from guardrail.audit import verify  # noqa: E402
from guardrail.audit._verify import read_records  # noqa: E402
from guardrail.review import KINDS as REVIEW  # noqa: E402
from guardrail.review import Escalation, ReviewDesk, Vote  # noqa: E402
from tests.audit_support import child  # noqa: E402
from tests.postgres_support import Cluster, cluster, heard, let_go, open_shared, start_replica  # noqa: E402

RACERS = 16
PROCESSES = 4

_RACE = """
import os, sys, threading
from guardrail.audit.postgres import PostgresTrail
from guardrail.review import KINDS, Refused, ReviewDesk
store, home, racers = sys.argv[1], sys.argv[2], int(sys.argv[3])
grants = sys.stdin.readline().split()
trail = PostgresTrail.open(store, directory=home, key=home + "/../trail.key", timeout_seconds=60)
desk = ReviewDesk(trail.ledger(KINDS), sole=False)
os.write(1, b"r" * 16)
sys.stdin.readline()
won = []
def work():
    for number, grant in enumerate(grants):
        digest = f"digest-{number}"
        try:
            if desk.reserve(grant, digest) is not None:
                won.append(grant)
        except Refused:
            pass
lanes = [threading.Thread(target=work) for _ in range(racers)]
[lane.start() for lane in lanes]
[lane.join() for lane in lanes]
trail.close()
print(*won)
"""


def kills(
    server: Cluster, home: Path, times: int, *, seed: int = 0, crash: str = "", replicas: int = 2
) -> dict[str, Any]:
    """Some replicas write; again and again one of them, or the server, is killed at a random moment.

    Args:
        server: a running server; with `crash` it is killed and started.
        home: an empty directory.
        times: how often.
        seed: of the moments.
        crash: `kill` the server, or `restart` it at once without a word to anybody, and not a replica.
        replicas: how many processes write, each in four threads.

    Returns:
        Figures; `lost`, `twice` and `problems` must be 0.
    """
    chance = random.Random(seed)
    store = server.database()
    open_shared(store, home / "first").close()
    known: dict[int, tuple[str, int]] = {}
    for number in range(times):
        if number and not number % 10:
            print(f"  {number} of {times}", file=sys.stderr, flush=True)
        running = {f"r{one}": start_replica(store, home / f"r{one}", 4, 40) for one in range(replicas)}
        let_go(*running.values())
        early = _listen(running["r0"], chance.randint(1, 120))
        if crash == "restart":
            server.restart()
        elif crash:
            server.kill()
            server.start()
        else:
            running["r0"].send_signal(signal.SIGKILL)
        known.update({seq: ("r0", what) for seq, what in early.items()})
        for name, replica in running.items():
            known.update({seq: (name, what) for seq, what in heard(replica).items()})
    found = {
        seq: (Path(str(record["home"])).name, record["lane"] * 40 + record["number"])
        for seq, record in read_records(store)
        if "lane" in record
    }
    often = Counter(found.values())
    report = verify(store)
    return {
        "what": f"server: {crash}" if crash else "replica: kill",
        "times": times,
        "processes": replicas,
        "acknowledged": len(known),
        "lost": sum(found.get(seq) != what for seq, what in known.items()),
        "twice": sum(count > times for count in often.values()),
        "unacknowledged": len(found) - len(known),
        "records": report.records,
        "problems": len(report.problems),
    }


def _listen(process: subprocess.Popen[bytes], times: int) -> dict[int, int]:
    assert process.stdout is not None
    pairs: dict[int, int] = {}
    for _ in range(times):
        data = os.read(process.stdout.fileno(), 16)
        if len(data) == 16:
            seq, what = struct.unpack(">QQ", data)
            pairs[seq] = what
    return pairs


def grants(server: Cluster, home: Path, number: int, racers: int = RACERS) -> dict[str, Any]:
    """Every grant is wanted by every racer, in four processes at once.

    Returns:
        Figures; `redemptions` must be the number of grants, each won once.
    """
    store = server.database()
    with open_shared(store, home / "issuer") as trail:
        desk = ReviewDesk(trail.ledger(REVIEW), sole=False)
        issued = [_issue(desk, one) for one in range(number)]
    racing = [
        child(_RACE, store, home / f"racer{one}", racers // PROCESSES, stdin=subprocess.PIPE)
        for one in range(PROCESSES)
    ]
    for process in racing:
        assert process.stdin is not None
        process.stdin.write(" ".join(issued).encode() + b"\n")
        process.stdin.flush()
    let_go(*racing, word=b"go\n")
    started = time.monotonic()
    won: list[str] = []
    for process in racing:
        out, err = process.communicate(timeout=600)
        if process.returncode:
            raise SystemExit(err.decode())
        won += out.decode().split()
    seconds = time.monotonic() - started
    redemptions = [record for _, record in read_records(store) if record["kind"] == "redemption"]
    report = verify(store)
    return {
        "what": f"{number} grants, {racers} racers, {PROCESSES} processes",
        "attempts": number * racers,
        "redemptions": len(won),
        "different": len(set(won)),
        "recorded": len(redemptions),
        "problems": len(report.problems),
        "per_attempt_ms": round(1000 * seconds / (number * racers), 2),
    }


def _issue(desk: ReviewDesk, one: int) -> str:
    now = time.time_ns() // 1000
    held = Escalation(
        id=f"escalation-{one}", digest=f"digest-{one}", agent="agent", created_us=now,
        expires_us=now + 3_600_000_000, leave_seconds=3600,
    )  # fmt: skip
    desk.open(held)
    desk.cast(held.id, Vote(voter="dana@example.com", verdict="approve", at_us=now))
    grant = desk.issue(held.id, held.digest)
    if grant is None:
        raise SystemExit("no grant was issued")
    return grant.id


def main() -> int:
    """Try, print, and say whether all of it held."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=60, help="how often a replica is killed")
    options.add_argument("--crashes", type=int, default=10, help="how often the server is killed")
    options.add_argument("--restarts", type=int, default=10, help="how often the server is restarted at once")
    options.add_argument("--grants", type=int, default=200, help="how many grants are raced for")
    options.add_argument("--racers", type=int, default=RACERS, help="how many want each of them")
    args = options.parse_args()
    # Otherwise the server would be left behind by whoever ends this run.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    good = True
    with cluster() as server, tempfile.TemporaryDirectory() as scratch:
        for name, times, crash, processes in (
            ("kills", args.kills, "", 2),
            ("crashes", args.crashes, "kill", PROCESSES),
            ("restarts", args.restarts, "restart", PROCESSES),
        ):
            (Path(scratch) / name).mkdir()
            print(f"{name}: {times} times", file=sys.stderr, flush=True)
            found = kills(server, Path(scratch) / name, times, crash=crash, replicas=processes)
            good = good and not found["lost"] and not found["twice"] and not found["problems"]
            print(found, flush=True)
        (Path(scratch) / "grants").mkdir()
        print(f"grants: {args.grants}", file=sys.stderr, flush=True)
        found = grants(server, Path(scratch) / "grants", args.grants, args.racers)
        good = good and found["redemptions"] == found["different"] == found["recorded"] == args.grants
        good = good and not found["problems"]
        print(found)
    print("all of it held" if good else "SOMETHING DID NOT HOLD")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
