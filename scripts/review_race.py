"""Race for grants, and kill processes between taking a use and saying what came of it; print what came of that.

    python scripts/review_race.py [--grants 200] [--racers 16] [--kills 20]

Every grant must be redeemed exactly once, and a use that a killed process had taken must never be taken again.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from guardrail.audit import Trail, verify  # noqa: E402 - the checkout comes first on the path
from guardrail.model import new_id  # noqa: E402
from guardrail.review import Escalation, Grant, Refused, ReviewDesk, TrailLedger, Vote  # noqa: E402

DIGEST = "sha256:" + "d" * 64


def main() -> int:
    """Race, kill, print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--grants", type=int, default=200)
    options.add_argument("--racers", type=int, default=16)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--victim", help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.victim:
        return victim(Path(args.victim))
    with tempfile.TemporaryDirectory(prefix="guardrail-race-") as scratch:
        won, attempts, seconds = race(Path(scratch) / "race", args.grants, args.racers)
        rate = attempts / seconds
        print(f"{args.grants} grants, {args.racers} racers each: {won} redemptions, {rate:,.0f} attempts/s")
        taken, again, unknown = kills(Path(scratch) / "kill", args.kills)
        print(f"{args.kills} kills: {taken} uses acknowledged, {unknown} on record as unknown, {again} reused")
        sound = verify(Path(scratch) / "race").ok and verify(Path(scratch) / "kill").ok
        print(f"both trails verify: {sound}")
    return 0 if won == args.grants and not again and sound else 1


def approved(desk: ReviewDesk) -> Grant:
    """A grant, as a person gives it."""
    now = desk.clock()
    held = Escalation(
        id=new_id(), digest=DIGEST, agent="agent", created_us=now, expires_us=now + 10**9, leave_seconds=900
    )
    case = desk.cast(desk.open(held).held.id, Vote(voter="dana", verdict="approve", at_us=0))
    return case.grants[0].grant


def race(directory: Path, grants: int, racers: int) -> tuple[int, int, float]:
    """Let threads race for each grant.

    Returns:
        How many redemptions there were, how many attempts, and how long it took, in seconds.
    """
    with Trail.open(directory) as trail:
        desk = ReviewDesk(TrailLedger(trail))
        given = [approved(desk) for _ in range(grants)]
        wins: list[str] = []
        start = threading.Barrier(racers + 1)

        def run() -> None:
            start.wait(timeout=60)
            for grant in given:
                try:
                    redemption = desk.reserve(grant, DIGEST)
                except Refused:
                    continue
                if redemption is not None:
                    wins.append(redemption.grant.id)

        threads = [threading.Thread(target=run) for _ in range(racers)]
        for thread in threads:
            thread.start()
        start.wait(timeout=60)
        began = time.perf_counter()
        for thread in threads:
            thread.join(timeout=600)
        took = time.perf_counter() - began
        replayed = ReviewDesk(TrailLedger(trail), sole=False)
        used = sum(len(issued.uses) for case in replayed.cases() for issued in case.grants)
    if sorted(wins) != sorted(grant.id for grant in given) or used != len(wins):
        print(f"wrong: {len(wins)} wins of {len(set(wins))} grants, {used} on record")
    return len(wins), grants * racers, took


def victim(directory: Path) -> int:
    """Take one use after the other and say so, until somebody ends it."""
    with Trail.open(directory) as trail:
        desk = ReviewDesk(TrailLedger(trail))
        while True:
            redemption = desk.reserve(approved(desk), DIGEST)
            if redemption is not None:
                sys.stdout.write(redemption.grant.id + "\n")
                sys.stdout.flush()


def kills(directory: Path, number: int) -> tuple[int, int, int]:
    """Kill processes that hold uses, at any moment, and see what the next one makes of it.

    Returns:
        How many uses were acknowledged, how many of them could be taken again, and how many are unknown.
    """
    taken: list[str] = []
    for at in range(number):
        with subprocess.Popen(
            [sys.executable, __file__, "--victim", str(directory)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        ) as process:
            if process.stdout is None:
                raise RuntimeError("the victim has no output")
            taken += [process.stdout.readline().strip() for _ in range(1 + at % 7)]
            process.send_signal(signal.SIGKILL)
            taken += [line.strip() for line in process.stdout if line.endswith("\n")]
            process.wait()
    again = unknown = 0
    with Trail.open(directory) as trail:
        desk = ReviewDesk(TrailLedger(trail))
        for grant in taken:
            try:
                again += desk.reserve(grant, DIGEST) is not None
            except Refused:
                pass
            found = desk.grant(grant)
            unknown += found is not None and found[1].uses[0].ending == "unknown"
    return len(taken), again, unknown


if __name__ == "__main__":
    sys.exit(main())
