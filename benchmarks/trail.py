"""What the trail costs: appends beside SQLite in one run, at any length, and the verifier's rate for each core.

    python -m benchmarks.trail [--seconds N] [--records N] [--lengths 0,1000000,10000000] [--in DIR] [--json]

Appends: 1, 8 and 64 threads, each waiting for its record to be durable, in turns with SQLite (WAL, synchronous=FULL,
one connection behind a lock, one commit for each record: what a program without a ledger would do); and as many tasks
of one event loop, which is how the service appends.
Lengths: the same appends to trees that have so many leaves already; such a tree is made from its tiles' edge alone.
Verifying: deep and light, over records like the guard's own, by one process and by as many as there are cores.
Quote the ratios: machines and disks differ.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from guardrail.audit import Trail, verify
from guardrail.audit._segment import Segments
from guardrail.audit._tiles import Tiles, edge_roots, edge_widths
from guardrail.audit._tree import Frontier

WRITERS = (1, 8, 64)
SECONDS = 3.0
"""How long each kind of append is measured, in seconds."""

RECORDS = 1_000_000
"""How many records are verified."""

LENGTHS = (0, 1_000_000, 10_000_000)
"""Sizes of trees that are appended to."""

BATCHES = 2_000
"""How many batches are appended to each of those."""


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=SECONDS, help="for each kind of append")
    options.add_argument("--records", type=int, default=RECORDS, help="how many are verified; 0 leaves that out")
    options.add_argument("--lengths", default=",".join(map(str, LENGTHS)), help="sizes of trees")
    options.add_argument("--in", dest="root", default="/var/tmp", help="a directory on the disk to be measured")
    options.add_argument("--json", action="store_true", help="print JSON")
    args = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="guardrail-trail-", dir=args.root) as root:
        found = {
            "appends": appends(Path(root), args.seconds),
            "lengths": lengths(Path(root), [int(text) for text in args.lengths.split(",")]),
            "verify": verifying(Path(root), args.records) if args.records else [],
        }
    print(json.dumps(found, indent=1) if args.json else table(found))
    return 0


def record(number: int) -> dict[str, Any]:
    """A record as the guard writes one for a call that touches an asset, without the policy's document."""
    return {
        "kind": "intent" if number % 2 == 0 else "result",
        "decision_id": f"019a-{number:08d}",
        "call": {"id": f"call_{number}", "tool": "bash", "digest": "sha256:" + "5e" * 32},
        "session": "run-8d1f",
        "subject": {"id": "ops-agent", "model": "vendor/model", "principal": "alice@example.com"},
        "effects": [{"op": "read", "resource": "/srv/models/beta/w.safetensors", "precision": "exact", "asset": "m"}],
        "assets": ["model:beta"],
        "decision": {"outcome": "allow", "rules": [], "policy": "2026-11-29/" + "ab" * 16, "engine": "wasm"},
        **({"intent": number - 1, "result": "completed"} if number % 2 else {}),
    }


# ── appends ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def appends(root: Path, seconds: float) -> list[dict[str, Any]]:
    """One row for each number of writers, the two stores in turns."""
    rows = []
    for writers in WRITERS:
        folder = root / f"trail-{writers}"
        with Trail.open(folder, timeout_seconds=60) as trail:
            ours = _drive(lambda number, trail=trail: trail.append(record(number * 2)), writers, seconds)  # type: ignore[misc]
            tasks = asyncio.run(_drive_tasks(trail, writers, seconds))
        with contextlib.closing(_open_sqlite(root / f"{writers}.db")) as db:
            theirs = _drive(_sqlite(db), writers, seconds)
        times = {"times": ours["rate"] / theirs["rate"], "tasks_times": tasks["rate"] / theirs["rate"]}
        rows.append({"writers": writers, "trail": ours, "tasks": tasks, "sqlite": theirs, **times})
        shutil.rmtree(folder)
    return rows


def _open_sqlite(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def _sqlite(db: sqlite3.Connection) -> Callable[[int], object]:
    db.executescript("pragma journal_mode = wal; pragma synchronous = full; create table log (seq integer, leaf blob)")
    lock = threading.Lock()

    def append(number: int) -> None:
        leaf = json.dumps(record(number * 2), sort_keys=True, separators=(",", ":")).encode()
        with lock:
            db.execute("insert into log values (?, ?)", (number, leaf))

    return append


def _drive(append: Callable[[int], object], writers: int, seconds: float) -> dict[str, float]:
    """Appends by so many threads: how many a second, and how long one took, in milliseconds."""
    times: list[list[float]] = [[] for _ in range(writers)]
    end = time.perf_counter() + seconds

    def work(lane: int) -> None:
        number, mine = lane, times[lane]
        while (started := time.perf_counter()) < end or not mine:  # on a busy machine it may be over before it began
            append(number)
            mine.append(time.perf_counter() - started)
            number += writers

    threads = [threading.Thread(target=work, args=(lane,)) for lane in range(writers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _figures(times, time.perf_counter() - began)


async def _drive_tasks(trail: Trail, writers: int, seconds: float) -> dict[str, float]:
    """The same by so many tasks of one event loop."""
    times: list[list[float]] = [[] for _ in range(writers)]
    began = time.perf_counter()

    async def work(lane: int) -> None:
        number = lane
        while (started := time.perf_counter()) < began + seconds or not times[lane]:
            await trail.aappend(record(number * 2))
            times[lane].append(time.perf_counter() - started)
            number += writers

    await asyncio.gather(*map(work, range(writers)))
    return _figures(times, time.perf_counter() - began)


def _figures(times: list[list[float]], took: float) -> dict[str, float]:
    known = sorted(one for lane in times for one in lane)
    at = lambda share: known[min(len(known) - 1, int(len(known) * share))] * 1e3  # noqa: E731 - a table of three
    return {"rate": len(known) / took, "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": known[-1] * 1e3}


# ── length ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def lengths(root: Path, sizes: list[int], batches: int = BATCHES) -> list[dict[str, Any]]:
    """What one synced batch of one record costs the writer, in microseconds, on trees of these sizes."""
    rows = []
    for size in sizes:
        folder = root / f"length-{size}"
        folder.mkdir()
        edge = [[hashlib.sha256(b"%d" % at).digest() for at in range(width)] for width in edge_widths(size)]
        tiles = Tiles(folder, size, edge)
        store = Segments(folder, 64 << 20, tree=Frontier(size, edge_roots(tiles.edge)), tiles=tiles)
        leaf = json.dumps(record(0), sort_keys=True).encode()
        hashing: list[float] = []
        began = time.perf_counter()
        for _ in range(batches):
            store.write([leaf])
        took = time.perf_counter() - began
        for _ in range(batches):
            started = time.perf_counter()
            digest = hashlib.sha256(leaf).digest()
            store.tree.add(digest)
            tiles.add(digest)
            hashing.append(time.perf_counter() - started)
        store.close()
        rows.append({"leaves": size, "batch_us": took / batches * 1e6, "tree_us": sum(hashing) / batches * 1e6})
        shutil.rmtree(folder)
    return rows


# ── verifying ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def verifying(root: Path, records: int) -> list[dict[str, Any]]:
    """Records a second: deep and light, by one process and by one for each core."""
    folder = root / "verify"
    with Trail.open(folder, timeout_seconds=60) as trail:
        for number in range(records):
            trail.append(record(number), durable=False)
            if not number % 50_000:
                trail.checkpoint()
    cores = len(os.sched_getaffinity(0))
    rows = []
    for deep, jobs in dict.fromkeys(((True, 1), (False, 1), (True, cores), (False, cores))):
        cpu = time.process_time()
        report = verify(folder, deep=deep, jobs=jobs)
        if not report:
            raise SystemExit(f"the trail does not verify: {report.problems[0]}")
        rows.append(
            {
                "deep": deep,
                "jobs": jobs,
                "records": report.records,
                "bytes": report.size // report.records,
                "rate": report.records / report.seconds,
                "rate_cpu": report.records / (time.process_time() - cpu) if jobs == 1 else None,
            }
        )
    return rows


# ── showing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def table(found: dict[str, Any]) -> str:
    """The rows for a person."""
    lines = ["durable appends        records/s    p50 ms   p99 ms   max ms"]
    for row in found["appends"]:
        for name in ("trail", "tasks", "sqlite"):
            times = {"trail": f"   {row['times']:.1f} times", "tasks": f"   {row['tasks_times']:.1f} times"}.get(
                name, ""
            )
            one = row[name]
            figures = f"{one['rate']:>10,.0f} {one['p50_ms']:>9.2f} {one['p99_ms']:>8.2f} {one['max_ms']:>8.1f}"
            who = "tasks  " if name == "tasks" else "writers"
            lines.append(f"{row['writers']:>3} {who}  {'sqlite' if name == 'sqlite' else 'trail':<8} {figures}{times}")
    lines += ["", "leaves already    one batch us   of that the tree us"]
    lines += [f"{row['leaves']:>14,} {row['batch_us']:>15.1f} {row['tree_us']:>21.2f}" for row in found["lengths"]]
    if found["verify"]:
        lines += ["", "verifying          processes     records/s   by CPU time"]
    for row in found["verify"]:
        kind = "deep" if row["deep"] else "light"
        cpu = f"{row['rate_cpu']:,.0f}" if row["rate_cpu"] else "-"
        figures = f"{row['jobs']:>6} {row['rate']:>13,.0f} {cpu:>13}"
        lines.append(f"{kind:<8} {row['bytes']} bytes each {figures}   of {row['records']:,}")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
