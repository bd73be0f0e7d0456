"""Hook round trips as processes, interleaved with bare interpreters: what a harness waits for before each tool call.

    python -m benchmarks.hooks [--rounds N] [--json]

Prints p50, p99 and minimum in milliseconds of `python -c pass`, of `python -I -S -c pass`, of the hook's process asking
a resident guard, and of the guard's own share, asked over a connection of this process.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS = 200
"""Processes of each kind."""

CONFIG = '[trail]\ndirectory = "trail"\n[[asset]]\nid = "model:a"\nclass = "weights"\npaths = ["models"]\n'


def event(command: str, number: int, cwd: Path) -> bytes:
    """An event of Claude Code."""
    return json.dumps(
        {
            "session_id": "bench", "transcript_path": "/t.jsonl", "cwd": str(cwd), "hook_event_name": "PreToolUse",
            "tool_name": "Bash", "tool_input": {"command": command}, "tool_use_id": f"toolu_{number}",
        }
    ).encode()  # fmt: skip


def timed(run: Callable[[], object]) -> float:
    """Milliseconds that something takes."""
    begun = time.perf_counter()
    run()
    return (time.perf_counter() - begun) * 1000


def process(words: list[str], given: bytes, environment: dict[str, str], code: int) -> None:
    """One process, which has to end as expected: a hook that fails is quick."""
    done = subprocess.run(words, input=given, env=environment, capture_output=True, timeout=60, check=False)
    if done.returncode != code:
        raise SystemExit(f"`{' '.join(words[:4])} …` ended with {done.returncode}: {done.stderr.decode()}")


def figures(values: list[float]) -> dict[str, float]:
    """p50, p99 and minimum."""
    cuts = statistics.quantiles(values, n=100)
    return {"p50": round(cuts[49], 2), "p99": round(cuts[98], 2), "min": round(min(values), 2)}


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """All figures, in milliseconds."""
    from guardrail import config as config_module
    from guardrail.hooks import client
    from guardrail.hooks._resident import socket_of

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "models").mkdir()
        (place / "models/a").write_text("weights")
        (place / "guardrail.toml").write_text(CONFIG)
        config = config_module.load(str(place / "guardrail.toml"))
        environment = {
            **os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONPYCACHEPREFIX": f"{folder}/cache",
            "PYTHONDONTWRITEBYTECODE": "",
        }  # fmt: skip
        options = ["claude-code", "--socket", socket_of(config), "--config", config.source, "--deadline", "60"]
        # The first one starts the guard, so it is not isolated from where this checkout is found.
        process([sys.executable, "-S", str(client.__file__), *options], event("ls", 0, place), environment, 0)
        hook = [sys.executable, "-I", "-S", str(client.__file__), *options, "--no-start"]
        parsed = client.read_options([*options, "--no-start"])
        kinds: dict[str, Callable[[int], object]] = {
            "python -c pass": lambda _: process([sys.executable, "-c", "pass"], b"", environment, 0),
            "python -I -S -c pass": lambda _: process([sys.executable, "-I", "-S", "-c", "pass"], b"", environment, 0),
            "hook, allowed": lambda n: process(hook, event("ls -l", n, place), environment, 0),
            "hook, denied": lambda n: process(hook, event("cp models/a /tmp/x", n, place), environment, 2),
            "guard alone, allowed": lambda n: client.ask(parsed, event("ls -l", n, place), time.monotonic() + 60),
        }
        try:
            values: dict[str, list[float]] = {name: [] for name in kinds}
            for number in range(rounds):
                for name, run in kinds.items():
                    values[name].append(timed(lambda run=run, number=number: run(number)))  # type: ignore[misc]
        finally:
            os.kill(int((place / "trail/lock").read_text().split()[1]), signal.SIGTERM)
            deadline = time.monotonic() + 30
            while Path(socket_of(config)).exists() and time.monotonic() < deadline:
                time.sleep(0.05)
    return {name: figures(found) for name, found in values.items()}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"processes of each kind; default {ROUNDS}")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    found = measure(max(args.rounds, 2))
    if args.json:
        print(json.dumps(found))
        return 0
    print(f"{'milliseconds':<24}{'p50':>9}{'p99':>9}{'min':>9}")
    for name, values in found.items():
        print(f"{name:<24}{values['p50']:>9.2f}{values['p99']:>9.2f}{values['min']:>9.2f}")
    bare = found["python -c pass"]["p50"]
    print(f"a hook takes {found['hook, allowed']['p50'] / bare:.2f} times as long as `python -c pass`")
    return 0


if __name__ == "__main__":
    sys.exit(main())
