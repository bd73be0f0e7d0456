"""Verifying a trail: records a second in segment files and in PostgreSQL, of the same records, in one run.

    python -m benchmarks.shared_verify [--records N] [--jobs N] [--json]

A server of its own is started, which needs PostgreSQL and the requirements of the tests. `cpu s` is what the verifier
itself uses, with its other processes, and not what the server uses. Machines differ: compare the rows of one run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from guardrail.audit import Trail, verify
from guardrail.audit.postgres import PostgresTrail
from tests.postgres_support import cluster

BATCH = 2000
"""Records that are written in one turn; half are intents, half their results."""

TIMEOUT_SECONDS = 60.0


def main() -> int:
    """Write, verify, and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--records", type=int, default=300_000, help="how many in each store")
    options.add_argument("--jobs", type=int, default=2, help="most processes")
    options.add_argument("--json", action="store_true", help="print JSON")
    args = options.parse_args()
    rows: list[dict[str, Any]] = []
    with cluster() as server, tempfile.TemporaryDirectory(prefix="guardrail-bench-") as scratch:
        store, directory = server.database(), Path(scratch) / "files"
        _write(store, directory, args.records)
        for name, place in (("segment files", directory), ("PostgreSQL", store)):
            for deep in (True, False):
                rows += (_row(name, place, deep=deep, jobs=jobs) for jobs in sorted({1, args.jobs}))
    print(json.dumps(rows, indent=1) if args.json else "\n".join(map(_line, rows)))
    return 0


def _write(store: str, directory: Path, records: int) -> None:
    home = directory.with_name("replica")
    with (
        PostgresTrail.open(store, directory=home, timeout_seconds=TIMEOUT_SECONDS) as shared,
        Trail.open(directory, timeout_seconds=TIMEOUT_SECONDS) as files,
        contextlib.closing(shared.ledger(())) as ledger,
    ):
        for first in range(0, records, BATCH):
            batch = [_record(seq) for seq in range(first, min(first + BATCH, records))]
            with ledger.turn() as turn:
                turn.append(batch)
            for record in batch:
                files.append(record, durable=False)
            files.checkpoint()


def _record(seq: int) -> dict[str, Any]:
    if seq % 2:
        return {"kind": "result", "intent": seq - 1, "result": "completed", "call": "call_9Yt3"}
    effect = {"op": "read", "resource": "/srv/models/beta/one.safetensors", "precision": "exact", "asset": "model:beta"}
    return {
        "kind": "intent",
        "call": {"id": "call_9Yt3", "tool": "bash", "digest": "d" * 64},
        "subject": {"id": "ops-agent", "model": "vendor/model"},
        "effects": [effect],
        "assets": ["model:beta"],
        "decision": {"outcome": "allow", "rules": [], "policy": f"sha256:{'0' * 64}", "elapsed_us": 123},
    }


def _row(name: str, place: Path | str, *, deep: bool, jobs: int) -> dict[str, Any]:
    before, started = _cpu(), time.perf_counter()
    report = verify(place, deep=deep, jobs=jobs)
    seconds, cpu = time.perf_counter() - started, _cpu() - before
    if not report:
        raise SystemExit(f"{name}: {report.problems[0]}")
    return {
        "store": name,
        "deep": deep,
        "jobs": jobs,
        "records": report.records,
        "per_second": round(report.records / seconds),
        "per_cpu_second": round(report.records / cpu),
    }


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _line(row: dict[str, Any]) -> str:
    kind = "deep" if row["deep"] else "light"
    return (
        f"{row['store']:<14} {kind:<5} {row['jobs']} jobs  {row['records']:>9,} records"
        f"  {row['per_second']:>8,}/s  {row['per_cpu_second']:>8,} a cpu s"
    )


if __name__ == "__main__":
    raise SystemExit(main())
