"""What a large inventory costs: loading it, deciding under it, and its memory; every asset is a file on disk.

    python -m benchmarks.inventory [--counts 10,10000,100000] [--rounds N] [--json]

Each size is measured in a process of its own, so that memory is that of one. Quote the ratios: machines differ.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

COUNTS = (10, 10_000, 100_000)
"""Assets of each inventory."""

ROUNDS = 1_000
"""Decisions, and look-ups, counted of each kind."""

WARMUP = 100
"""Decisions made before any is counted."""

SECONDS = 900
"""Longest measurement of one inventory, in seconds."""


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--counts", default=",".join(map(str, COUNTS)), help="sizes, separated by commas")
    options.add_argument("--rounds", type=int, default=ROUNDS, help="decisions counted of each kind")
    options.add_argument("--json", action="store_true", help="print JSON")
    options.add_argument("--in", dest="root", help=argparse.SUPPRESS)
    args = options.parse_args()
    counts = [int(text) for text in args.counts.split(",")]
    if args.root:
        print(json.dumps(_measure(Path(args.root), counts[0], args.rounds)))
        return 0
    rows = measure(counts, args.rounds)
    print(json.dumps(rows, indent=1) if args.json else table(rows))
    return 0


def measure(counts: list[int] | tuple[int, ...], rounds: int) -> list[dict[str, Any]]:
    """One row for each size."""
    rows: list[dict[str, Any]] = []
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="guardrail-inventory-", dir="/var/tmp") as root:
            write(Path(root), count)
            command = [sys.executable, "-m", "benchmarks.inventory", "--in", root]
            command += ["--counts", str(count), "--rounds", str(rounds)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=SECONDS)
        rows.append(json.loads(done.stdout))
    return rows


def write(root: Path, count: int) -> None:
    """An inventory in JSON lines, and the files in it, a hundred in each directory."""
    with open(root / "assets.jsonl", "w", encoding="utf-8") as lines:
        for number in range(count):
            path = root / f"models/{number // 10_000}/{number // 100 % 100}/m{number}.safetensors"
            if number % 100 == 0:
                path.parent.mkdir(parents=True)
            path.write_bytes(b"\0")
            line = {"id": f"model:m{number}", "class": "weights", "owner": "ml", "paths": [str(path)]}
            lines.write(json.dumps(line) + "\n")
    (root / "work").mkdir()
    (root / "work/data.txt").write_text("x\n")
    (root / "guardrail.toml").write_text('[assets]\nfiles = ["assets.jsonl"]\n[trail]\ndirectory = "trail"\n')


def _measure(root: Path, count: int, rounds: int) -> dict[str, Any]:
    from guardrail import Guard, ToolCall
    from guardrail import config as config_module
    from guardrail.model import Effect, Resource

    before = _memory()
    start = time.perf_counter()
    config = config_module.load(root / "guardrail.toml")
    read = time.perf_counter() - start
    with Guard.open(config) as guard:
        loaded = time.perf_counter() - start
        row: dict[str, Any] = {"assets": count, "read_s": read, "load_s": loaded, "memory_mb": _memory() - before}
        asset = guard.inventory.get(f"model:m{count // 2}")
        if len(guard.inventory) < count or asset is None:
            raise SystemExit(f"an inventory of {count} assets has {len(guard.inventory)}")
        path = asset.roots[0]

        def check(command: str) -> Callable[[], str]:
            call = ToolCall(tool="bash", args={"command": command}, cwd=str(root / "work"))
            return lambda: guard.check(call).outcome.value

        def look(effect: Effect) -> Callable[[], object]:
            return lambda: guard.inventory.resolve((effect,))

        if (found := check(f"sha256sum {path}")()) != "allow":
            raise SystemExit(f"reading an asset gave {found}")
        if (found := check(f"rm -rf {root}/models")()) != "deny":
            raise SystemExit(f"deleting all assets gave {found}")
        everything = Resource(kind="dir", path=f"{root}/models", recursive=True)
        some = Resource(kind="file", pattern=f"{os.path.dirname(path)}/m*5.safetensors")
        for name, what in (
            ("decide_us", check("cp data.txt copy.txt")),
            ("decide_asset_us", check(f"sha256sum {path}")),
            ("resolve_us", look(Effect(op="read", resource=Resource(kind="file", path=path)))),
            ("resolve_none_us", look(Effect(op="read", resource=Resource(kind="file", path=f"{root}/work/data.txt")))),
            ("resolve_glob_us", look(Effect(op="delete", resource=some))),
            ("resolve_all_us", look(Effect(op="delete", resource=everything))),
        ):
            row[name] = _median(what, rounds)
        return row


def _median(what: Callable[[], object], rounds: int) -> float:
    for _ in range(WARMUP):
        what()
    times: list[int] = []
    for _ in range(rounds):
        start = time.perf_counter_ns()
        what()
        times.append(time.perf_counter_ns() - start)
    return sorted(times)[rounds // 2] / 1000


def _memory() -> float:
    """Resident memory of this process, in megabytes."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def table(rows: list[dict[str, Any]]) -> str:
    """The rows for people."""
    names = ("decide_us", "decide_asset_us", "resolve_us", "resolve_none_us", "resolve_glob_us", "resolve_all_us")
    titles = ("decision", "on an asset", "look-up", "no asset", "glob", "all below")
    lines = [f"{'assets':>8} {'read s':>7} {'load s':>7} {'MB':>6} " + " ".join(f"{t + ' us':>14}" for t in titles)]
    for row in rows:
        head = f"{row['assets']:>8} {row['read_s']:>7.2f} {row['load_s']:>7.2f} {row['memory_mb']:>6.0f} "
        lines.append(head + " ".join(f"{row[name]:>14.1f}" for name in names))
    lines.append("p50; read: the files of assets, load: until the first decision can be made, MB: resident")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
