"""Guards with a centre under force: how fast orders are everywhere, and whether a use is ever given twice or lost.

    python scripts/centre.py [--guards N] [--orders N] [--uses N] [--cuts N]

Starts a PostgreSQL server of its own, in a directory that goes away, and guards in this process, each with a way of its
own to the server that is cut at random while they ask. Prints what was tried and what held; exits 1 if anything did
not. Needs the requirements of the tests, and PostgreSQL (`apt-get install postgresql`).
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from guardrail import Guard  # noqa: E402
from guardrail.audit import verify  # noqa: E402
from guardrail.audit.postgres import migrate_store  # noqa: E402
from guardrail.central import _people  # noqa: E402
from guardrail.config import load  # noqa: E402
from tests.central_support import DELETE, Fleet, until  # noqa: E402
from tests.postgres_support import Cluster, Wire, cluster  # noqa: E402

FAILURES: list[str] = []


def say(what: str, *, holds: bool = True) -> None:
    """Print what was found, and remember if it is not as it should be."""
    print(f"{'' if holds else 'FAILED: '}{what}", flush=True)
    if not holds:
        FAILURES.append(what)


def reaching(fleet: Fleet, guards: list[Guard], orders: int) -> None:
    """From the publishing of an order, and of its revocation, until it counts at every guard."""
    for what, publish, counts in (("order", fleet.order, True), ("revocation", fleet.revoke, False)):
        taken: list[float] = []
        for number in range(orders):
            name = f"reach-{number}"
            publish(name)
            begun = time.monotonic()
            there = all(until(_counting(guard, name, counts=counts)) for guard in guards)
            taken.append((time.monotonic() - begun) * 1000)
            if not there:
                say(f"{what} {number} did not reach every guard", holds=False)
        say(
            f"{what} published until it counts at {len(guards)} guards:"
            f" p50 {statistics.median(taken):.0f} ms, most {max(taken):.0f} ms, {orders} times"
        )


def _counting(guard: Guard, name: str, *, counts: bool) -> Callable[[], bool]:
    def there() -> bool:
        mandate = next((one for one in guard.mandates.mandates if one.id == name), None)
        return mandate is not None and (guard.mandates.ended(mandate) is None) is counts

    return there


def racing(fleet: Fleet, guards: list[Guard], wires: list[Wire], uses: int, cuts: int) -> None:
    """Every guard asks as often as it can, until all uses are gone; ways are cut and mended meanwhile."""
    fleet.order("race", {**DELETE, "uses": uses})
    if not all(until(_counting(guard, "race", counts=True)) for guard in guards):
        say("the order did not reach every guard", holds=False)
    taken: list[int] = []
    denied = [0]
    over = threading.Event()

    def ask(guard: Guard, lane: int) -> None:
        while not over.is_set():
            found = [use.use for use in guard.check(fleet.deletion(lane)).mandates if use.mandate == "race"]
            taken.extend(number for number in found if number is not None)
            denied[0] += not found
            if not found and fleet.used("race") >= uses:
                over.set()

    threads = [threading.Thread(target=ask, args=(guard, lane)) for guard in guards for lane in range(2)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    done = 0
    while done < cuts and not over.wait(0.3):
        wire = random.choice(wires)
        wire.cut()
        over.wait(0.4)
        wire.mend()
        done += 1
    for thread in threads:
        thread.join(300)
    seconds = time.monotonic() - begun
    say(f"{len(taken)} of {uses} uses given in {seconds:.1f} s, {done} cuts, {denied[0]} calls denied")
    say(f"uses given twice: {len(taken) - len(set(taken))}", holds=len(taken) == len(set(taken)))
    say(f"uses above the limit: {sum(number > uses for number in taken)}", holds=max(taken, default=0) <= uses)
    lost = uses - len(taken)
    say(f"uses lost, counted and not answered: {lost}", holds=0 <= lost <= 2 * done * len(threads))


def closing(fleet: Fleet, guards: list[Guard], wires: list[Wire]) -> None:
    """Every trail is whole, and the centre has all of it."""
    for wire in wires:
        wire.mend()
    for guard in guards:
        until(lambda one=guard: one.central is not None and not one.central.status.cut)
        guard.close()
    seen = {origin.origin: origin for origin in _people.origins(load(fleet.people))}
    for guard in guards:
        report = verify(guard.config.path(guard.config.trail.directory), deep=True)
        origin = seen[guard.config.trail.origin]
        whole = report.ok and (origin.size, origin.wrong) == (report.records, "")
        say(f"{origin.origin}: {report.records} records, {origin.size} of them under the checkpoint there", holds=whole)


def run(server: Cluster, root: Path, args: argparse.Namespace) -> None:
    """All of it, with one set of guards."""
    store = server.database("centre")
    migrate_store(store)
    fleet = Fleet(root, store)
    wires: list[Wire] = []
    for number in range(args.guards):
        (root / f"wire-{number}").mkdir()
        wires.append(Wire(server, root / f"wire-{number}"))
    guards = [fleet.guard(f"guard-{number}", wire.url(store)) for number, wire in enumerate(wires)]
    reaching(fleet, guards, args.orders)
    racing(fleet, guards, wires, args.uses, args.cuts)
    closing(fleet, guards, wires)


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--guards", type=int, default=3)
    parser.add_argument("--orders", type=int, default=20, help="orders, and then revocations, that are published")
    parser.add_argument("--uses", type=int, default=500, help="uses that all guards race for")
    parser.add_argument("--cuts", type=int, default=20, help="how often a way is cut meanwhile")
    args = parser.parse_args()
    with cluster() as server, tempfile.TemporaryDirectory() as root:
        run(server, Path(root), args)
    return 1 if FAILURES else 0


if __name__ == "__main__":
    sys.exit(main())
