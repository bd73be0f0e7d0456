"""What an auditor waits for: verify, index, search, prove, export and report of one trail, with time and memory.

    python -m benchmarks.evidence --records 1000000
    python -m benchmarks.evidence --records 100000 --keep DIR     # and again on the same trail

Each command is a process of its own, as a person would start it; memory is the most that it ever held.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from guardrail.audit import Trail
from tests.trail_support import many

PARTS = ("audit prove", "audit show --id, index")
"""Commands that do not read the whole trail, so that a rate says nothing of them."""


class Run(NamedTuple):
    """One command."""

    name: str
    seconds: float
    cpu: float
    megabytes: float
    out: int


def build(directory: Path, records: int) -> float:
    """Write a trail of a busy fleet; how long it took, in seconds."""
    started = time.monotonic()
    with Trail.open(directory, timeout_seconds=60) as trail:
        for number, record in enumerate(many(records)):
            trail.append(record, durable=number % 512 == 0)
    return time.monotonic() - started


def run(name: str, out: Path | None, *words: str) -> Run:
    """Run one command and measure it.

    Raises:
        SystemExit: if it fails.
    """
    started = time.monotonic()
    child = subprocess.Popen([sys.executable, "-m", "guardrail", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"`guardrail {' '.join(words)}` ended with {child.returncode}")
    size = out.stat().st_size if out is not None and out.exists() else 0
    return Run(name, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, size)


def measure(directory: Path, scratch: Path, records: int) -> Iterator[Run]:
    """Everything that is measured, in order; the index is made in between."""
    at, out = str(directory), scratch / "out"
    yield run("audit verify --light", None, "audit", "verify", at, "--light")
    yield run("audit verify", None, "audit", "verify", at)
    yield run("audit show --id, no index", None, "audit", "show", at, "--id", f"d-{records // 2}", "--no-index")
    yield run("audit prove", out, "audit", "prove", str(records // 2), at, "-o", str(out))
    yield run("audit index", None, "audit", "index", at)
    yield run("audit show --id, index", None, "audit", "show", at, "--id", f"d-{records // 2}")
    for form in ("jsonl", "ocsf", "csv", "parquet"):
        words = ("audit", "export", at, "--format", form, "-o", str(out))
        yield run(f"audit export {form}", out, *words)
    yield run("report --light", out, "report", at, "-o", str(out), "--light", "--no-index")
    yield run("report", out, "report", at, "-o", str(out), "--no-index")


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=100_000, help="how many records the trail has")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="make the trail here, or use the one that is here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        directory = args.keep or Path(scratch) / "trail"
        if not directory.is_dir():
            print(f"{args.records:,} records written in {build(directory, args.records):.1f} s")
        size = sum(path.stat().st_size for path in directory.glob("*.seg"))
        print(f"trail of {args.records:,} records, {size / 1e6:,.0f} MB\n")
        print(f"{'command':28}{'seconds':>9}{'cpu s':>9}{'records/cpu s':>15}{'MB held':>9}{'MB out':>9}", flush=True)
        for one in measure(directory, Path(scratch), args.records):
            out = f"{one.out / 1e6:9.1f}" if one.out else f"{'-':>9}"
            rate = f"{'-':>15}" if one.name in PARTS else f"{args.records / one.cpu:15,.0f}"
            print(f"{one.name:28}{one.seconds:9.2f}{one.cpu:9.2f}{rate}{one.megabytes:9.0f}{out}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
