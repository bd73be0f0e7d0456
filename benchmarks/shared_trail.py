"""Appends to the trail: records a second and how long each waits, on segment files and in PostgreSQL, in one run.

    python -m benchmarks.shared_trail [--records N] [--store URL] [--json]

Segment files take one process; PostgreSQL takes several, which write one ledger together. Without `--store` a server
of its own is started for the run, which needs PostgreSQL and the requirements of the tests; a database that is named
has to be empty, and is left with the tables. Every row is of a ledger that then verified, every byte and every record.
Machines differ: compare the rows of one run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import tempfile
import time
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg

from guardrail.audit import Trail, verify
from guardrail.audit.postgres import PostgresTrail

WRITERS = (1, 8, 64)
"""Tasks that append at once in each process."""

PROCESSES = (1, 2, 4)
"""Replicas that write one ledger."""

PAD_BYTES = 1200
"""Filling of each record, so that a leaf has about the 1.5 kB of a real one."""

TIMEOUT_SECONDS = 60.0


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--records", type=int, default=8000, help="appended in each row, an eighth of it for 1 writer")
    options.add_argument("--store", help="a database that may be written to; its own by default")
    options.add_argument("--json", action="store_true", help="print JSON")
    args = options.parse_args()
    rows: list[dict[str, Any]] = []
    with _store(args.store) as store, tempfile.TemporaryDirectory(prefix="guardrail-bench-") as scratch:
        for writers in WRITERS:
            records = args.records // 8 if writers == 1 else args.records
            rows.append(_segments(Path(scratch) / f"segments-{writers}", writers, records))
            rows += (
                _postgres(store, Path(scratch) / f"pg-{writers}-{one}", one, writers, records) for one in PROCESSES
            )
            if not args.json:
                print("\n".join(map(_line, rows[-1 - len(PROCESSES) :])), flush=True)
    if args.json:
        print(json.dumps(rows, indent=1))
    return 0


@contextlib.contextmanager
def _store(given: str | None) -> Iterator[str]:
    if given:
        yield given
        return
    from tests.postgres_support import cluster

    with cluster() as server:
        yield server.database()


def _segments(directory: Path, writers: int, records: int) -> dict[str, Any]:
    with Trail.open(directory, timeout_seconds=TIMEOUT_SECONDS) as trail:
        started = time.perf_counter()
        waits = asyncio.run(_load(trail, writers, records))
        seconds = time.perf_counter() - started
    return _row("segment files", 1, writers, waits, seconds, str(directory))


def _postgres(store: str, home: Path, processes: int, writers: int, records: int) -> dict[str, Any]:
    home.mkdir(parents=True)
    with psycopg.connect(store, autocommit=True) as connection:
        connection.execute("drop schema if exists guardrail cascade")
    _open(store, home, "first").close()
    context = multiprocessing.get_context("spawn")
    gate, told = context.Barrier(processes + 1), context.Queue()
    replicas = [
        context.Process(target=_replica, args=(store, home, one, writers, records // processes, gate, told))
        for one in range(processes)
    ]
    for replica in replicas:
        replica.start()
    gate.wait(TIMEOUT_SECONDS)
    started = time.perf_counter()
    waits = array("d")
    for _ in replicas:
        waits.frombytes(told.get(timeout=10 * TIMEOUT_SECONDS))
    seconds = time.perf_counter() - started
    for replica in replicas:
        replica.join(TIMEOUT_SECONDS)
    return _row("PostgreSQL", processes, writers, waits, seconds, store)


def _replica(store: str, home: Path, one: int, writers: int, records: int, gate: Any, told: Any) -> None:
    with _open(store, home, str(one)) as trail:
        trail.append(_record(0))
        gate.wait(TIMEOUT_SECONDS)
        told.put(array("d", asyncio.run(_load(trail, writers, records))).tobytes())


def _open(store: str, home: Path, name: str) -> PostgresTrail:
    return PostgresTrail.open(store, directory=home / name, key=home / "trail.key", timeout_seconds=TIMEOUT_SECONDS)


def _record(number: int) -> dict[str, Any]:
    return {"kind": "intent", "number": number, "pad": "x" * PAD_BYTES, "decision": {"outcome": "allow"}}


async def _load(trail: Any, writers: int, records: int) -> list[float]:
    """Append that many records in all, and say how long each took, in seconds."""
    waits: list[float] = []

    async def write(lane: int) -> None:
        for number in range(lane, records, writers):
            started = time.perf_counter()
            await trail.aappend(_record(number))
            waits.append(time.perf_counter() - started)

    await asyncio.gather(*(write(lane) for lane in range(writers)))
    return waits


def _row(
    store: str, processes: int, writers: int, waits: Sequence[float], seconds: float, place: str
) -> dict[str, Any]:
    ordered = sorted(waits)
    report = verify(place)
    if not report:
        raise SystemExit(f"{place}: {report.problems[0]}")
    return {
        "store": store,
        "processes": processes,
        "writers": writers,
        "records": len(ordered),
        "per_second": round(len(ordered) / seconds),
        "p50_ms": round(ordered[len(ordered) // 2] * 1000, 2),
        "p99_ms": round(ordered[len(ordered) * 99 // 100] * 1000, 2),
        "max_ms": round(ordered[-1] * 1000, 2),
        "verified_per_second": round(report.records / report.seconds),
    }


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['store']:<14} {row['processes']} x {row['writers']:>2} writers  {row['per_second']:>7,}/s"
        f"   p50 {row['p50_ms']:>6.2f}   p99 {row['p99_ms']:>7.2f}   max {row['max_ms']:>7.2f} ms"
        f"   verified at {row['verified_per_second']:>8,}/s"
    )


if __name__ == "__main__":
    raise SystemExit(main())
