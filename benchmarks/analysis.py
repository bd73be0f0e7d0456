"""Latency and memory of the analysis alone, `parse` and `effects`, over the benign corpus.

    python -m benchmarks.analysis [--rounds N] [--calls N] [--peer-python PATH]

Each command of the corpus is analysed N times in one warm process, with the real filesystem below it and with a view in
which nothing exists; the smallest time of a command is its time, so that other processes do not count. Nothing is kept
of a command from one time to the next, so that each costs what a new one does. What a process pays once is a row of its
own: the very first time of each command, in which specs are read and their examples run. The peer measures the same
commands in the same run. Memory is that of a process of its own, which does nothing else.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from guardrail import ToolCall
from guardrail.assets import LiveFiles
from guardrail.config import LimitConfig
from guardrail.effects import analyse
from guardrail.effects.domain._view import FileView
from guardrail.parse import parse
from tests.effects_support import NoFiles

CORPUS = Path(__file__).resolve().parent.parent / "tests/cases/benign"
PEER = Path(__file__).with_name("peer_nah.py")
LIMITS = LimitConfig()

CALLS = 1_000_000
"""Calls after which memory must be what it was after the first tenth."""

PLACES = ("W", "D", "M", "C", "CD", "E", "R", "G", "H", "P")
"""What a corpus line may name in braces: here each is a path below the scratch directory."""


COMMON = "build checks containers data editing git ml network packages search system".split()
"""The files of common commands by domain; the others are idioms, scripts, one-liners and near misses."""


def lines(root: Path, *, common: bool = False) -> list[str]:
    """The commands of the corpus, each once; only the common ones if so asked."""
    found: dict[str, None] = {}
    for path in sorted(CORPUS.glob("*.txt")):
        if common and path.stem not in COMMON:
            continue
        for raw in path.read_text(encoding="utf-8").splitlines():
            if raw.strip() and not raw.startswith("# ") and not path.stem.startswith("known"):
                text = raw.replace("⏎", "\n")
                for name in PLACES:
                    text = text.replace(f"{{{name}}}", f"{root}/{name}")
                found[text] = None
    return list(found)


def measure(rounds: int, peer_python: str | None) -> list[dict[str, Any]]:
    """Rows of the table."""
    with tempfile.TemporaryDirectory(prefix="guardrail-bench-") as scratch:
        root = Path(scratch)
        (root / "src").mkdir()
        (root / "src/app.py").write_text("print('x')\n")
        commands = lines(root)
        common = set(lines(root, common=True))
        calls = [ToolCall(tool="bash", args={"command": command}, cwd=scratch) for command in commands]
        first, best = _times(calls, LiveFiles(LIMITS.expansions), rounds)
        measured = {"real files": best, "no files": _times(calls, NoFiles(), rounds)[1], "first time": first}
        if peer_python:
            command = [peer_python, str(PEER), str(rounds), scratch]
            done = subprocess.run(
                command, input=json.dumps(commands), stdout=subprocess.PIPE, text=True, check=True, timeout=900
            )
            answer = json.loads(done.stdout)
            measured[f"peer: nah {answer['version']}"] = [min(times) for times in answer["times"]]
        rows = []
        for where, times in measured.items():
            some = [time for command, time in zip(commands, times, strict=True) if command in common]
            rows += [_row(f"{where}, common commands", some), _row(f"{where}, all with scripts", times)]
        for row in rows:
            row["ratio"] = row["p50_us"] / rows[0]["p50_us"]
    return rows


def _times(calls: Sequence[ToolCall], view: FileView, rounds: int) -> tuple[list[int], list[int]]:
    """How long each call took the first time, and how long the fastest of all later times."""
    turns: list[list[int]] = []
    for _ in range(rounds + 1):
        taken: list[int] = []
        for call in calls:
            start = time.perf_counter_ns()
            analyse(parse(call), cwd=call.cwd, view=view, limits=LIMITS)
            taken.append(time.perf_counter_ns() - start)
        turns.append(taken)
    return turns[0], [min(each) for each in zip(*turns[1:], strict=True)]


def _row(where: str, times: Sequence[int]) -> dict[str, Any]:
    ordered = sorted(times)

    def at(share: float) -> float:
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] / 1000

    return {
        "where": where,
        "commands": len(ordered),
        "p50_us": at(0.5),
        "p90_us": at(0.9),
        "p99_us": at(0.99),
        "max_us": ordered[-1] / 1000,
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows, for people."""
    out = [
        f"{'where':<34} {'lines':>8} {'p50 us':>9} {'p90 us':>9} {'p99 us':>9} {'max us':>9} {'ratio':>7}",
    ]
    out += [
        f"{row['where']:<34} {row['commands']:>8} {row['p50_us']:>9.1f} {row['p90_us']:>9.1f} "
        f"{row['p99_us']:>9.1f} {row['max_us']:>9.1f} {row['ratio']:>7.2f}"
        for row in rows
    ]
    out.append(f"ratio: p50 over `{rows[0]['where']}`; lines: those of tests/cases/benign")
    # An interpreter that was built without its optimisations takes a tenth longer, and nothing in it says so.
    out.append(
        f"interpreter: {platform.python_implementation()} {platform.python_version()}, {platform.python_compiler()}"
    )
    return "\n".join(out)


def memory(calls: int) -> dict[str, Any]:
    """Resident memory after a tenth of the calls and after all, of a process of its own."""
    command = [sys.executable, "-m", "benchmarks.analysis", "--memory-child", str(calls)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=3600)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _memory_child(calls: int) -> dict[str, Any]:
    made = [ToolCall(tool="bash", args={"command": text}, cwd="/w") for text in lines(Path("/w"))]
    view, samples, started = NoFiles(), [], time.perf_counter()
    marks = {max(calls * tenth // 10, 1) for tenth in (1, 5, 10)}
    for number in range(1, calls + 1):
        call = made[number % len(made)]
        analyse(parse(call), cwd=call.cwd, view=view, limits=LIMITS)
        if number in marks:
            gc.collect()
            samples.append({"calls": number, "rss_bytes": _resident()})
    return {"samples": samples, "seconds": time.perf_counter() - started}


def _resident() -> int:
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def told(answer: dict[str, Any]) -> str:
    """What memory did, for people."""
    samples = answer["samples"]
    first, last = samples[0], samples[-1]
    grown = last["rss_bytes"] - first["rss_bytes"]
    steps = ", ".join(f"{row['rss_bytes'] / 1e6:.1f} MB after {row['calls']}" for row in samples)
    return (
        f"memory: {steps} calls in {answer['seconds']:.0f} s; "
        f"growth over the last nine tenths {grown / 1e6:+.2f} MB ({grown / first['rss_bytes']:+.1%})"
    )


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=7, help="times that each command is analysed")
    options.add_argument("--calls", type=int, default=CALLS, help="calls of the memory run; 0 leaves it out")
    options.add_argument("--peer-python", help="interpreter of an environment with nah")
    options.add_argument("--memory-child", type=int, default=0, help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.memory_child:
        print(json.dumps(_memory_child(args.memory_child)))
        return 0
    print(table(measure(args.rounds, args.peer_python)))
    if args.calls:
        print(told(memory(args.calls)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
