"""Decision latency in process with both engines and through the sidecar, beside a peer, all in one run.

    python -m benchmarks.run [--rounds N] [--calls N] [--peer-python PATH] [--json]

Prints p50 and p99 in microseconds and the ratio to our own in-process p50, then what the analysis alone costs, whether
its memory grows (`benchmarks.analysis`), and what a large inventory costs (`benchmarks.inventory`). Machines differ:
quote the ratios.
Nothing here passes or fails: performance lives in benchmarks, never in timed tests.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import analysis, inventory
from guardrail import Config, Decision, Guard, Subject, ToolCall
from guardrail import config as config_module
from tests.ports import free_port

WARMUP = 200
"""Decisions made before any is counted."""

SESSION_CALLS = 10_000
"""Calls of one session, each recorded, before its late decisions are measured."""

SESSION_FILES = 9_900
"""Files that those calls write: nearly as many as are remembered of one session."""

SESSION_FOLDERS = 100
"""Directories that those files lie in."""

SESSION_PROGRAMS = ("python x.py", "pytest -q", "npm test", "make -j4 all", "cargo test")
"""Programs that may load what such a session wrote."""

PROGRAM_SHARE = 10
"""Of how many decisions one is of each of these programs."""

AGENT_SESSIONS = 10_000
"""Sessions of one agent, of one recorded call each, before its late decisions are measured."""

USUAL_TURNS = 3
"""Times that each common command of the corpus is judged, after a first one that loads what is loaded once."""

ANALYSIS_ROUNDS = 7
"""Times that each command of the corpus is analysed."""

PEER = Path(__file__).with_name("peer_agt.py")


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=2000, help="decisions counted of each kind")
    options.add_argument("--calls", type=int, default=analysis.CALLS, help="calls of the memory run; 0 leaves it out")
    options.add_argument("--peer-python", help="interpreter of an environment with the peers of requirements/bench.in")
    options.add_argument("--opa", default=os.environ.get("GUARDRAIL_OPA") or shutil.which("opa"), help="the OPA binary")
    options.add_argument("--json", action="store_true", help="print JSON")
    args = options.parse_args()
    rows: list[dict[str, Any]] = []
    # Not below /tmp: a command of the corpus writes there by a pattern, so that all that lies there would be looked at.
    with tempfile.TemporaryDirectory(prefix="guardrail-bench-", dir="/var/tmp") as scratch:
        root = Path(scratch)
        toml = world(root)
        rows += _in_process("in process, wasm", config_module.load(toml), root, args.rounds)
        if args.opa:
            with opa_server(args.opa) as url:
                toml_opa = root / "opa.toml"
                text = toml.read_text().replace("trail-wasm", "trail-opa")
                toml_opa.write_text(f'{text}\n[policy]\nengine = "opa"\nurl = "{url}"\n')
                rows += _in_process("in process, OPA server", config_module.load(toml_opa), root, args.rounds)
        else:
            print("OPA server: left out, no `opa` found: make tools", file=sys.stderr)
        rows += _sidecar(toml, root, args.rounds)
        rows += _usual(root)
        rows += _growth(root, args.rounds)
    if args.peer_python:
        peer = [args.peer_python, str(PEER), str(args.rounds)]
        rows += json.loads(subprocess.run(peer, check=True, stdout=subprocess.PIPE, text=True, timeout=300).stdout)
    else:
        print("peer: left out, no --peer-python given: make bench sets one up", file=sys.stderr)
    alone = analysis.measure(ANALYSIS_ROUNDS, args.peer_python)
    grown = analysis.memory(args.calls) if args.calls else None
    many = inventory.measure(inventory.COUNTS, args.rounds)
    if args.json:
        print(json.dumps({"decisions": rows, "analysis": alone, "memory": grown, "inventory": many}, indent=1))
        return 0
    print(_table(rows))
    print()
    print(analysis.table(alone))
    if grown is not None:
        print(analysis.told(grown))
    print()
    print(inventory.table(many))
    return 0


def world(root: Path) -> Path:
    models = root / "models"
    models.mkdir()
    (models / "a.safetensors").write_bytes(b"\0" * 4096)
    (root / "data.txt").write_text("x\n")
    toml = root / "guardrail.toml"
    toml.write_text(
        f'[[asset]]\nid = "model:a"\nclass = "weights"\npaths = ["{models}"]\n'
        f'[trail]\ndirectory = "{root}/trail-wasm"\n'
    )
    return toml


def calls(root: Path) -> dict[str, tuple[ToolCall, str]]:
    """The three kinds of call, and the outcome each must have, so that no fault is timed as a decision."""

    def shell(command: str) -> ToolCall:
        return ToolCall(tool="bash", args={"command": command}, cwd=str(root))

    return {
        "exact, no asset": (shell("cp data.txt copy.txt"), "allow"),
        "asset, durable intent": (shell("sha256sum models/a.safetensors"), "allow"),
        "opaque, no asset": (shell("make -j4 all"), "allow"),
    }


def _in_process(label: str, config: Config, root: Path, rounds: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    with Guard.open(config) as guard:
        for kind, (call, want) in calls(root).items():
            rows.append(_measure(label, kind, lambda call=call: guard.check(call), rounds, want))
    return rows


def _usual(root: Path) -> list[dict[str, Any]]:
    """Common commands of the benign corpus one after the other, again and again, in one session with its trail.

    None is the one before it, as in the other rows, so that nothing of it is still in the processor's caches.
    """
    toml = root / "usual.toml"
    toml.write_text((root / "guardrail.toml").read_text().replace("trail-wasm", "trail-usual"))
    here = root / "usual"
    (here / "src").mkdir(parents=True)
    (here / "src/app.py").write_text("print('x')\n")
    texts = analysis.lines(here, common=True)
    times: list[int] = []
    with Guard.open(toml) as guard:
        for turn in range(USUAL_TURNS + 1):
            for text in texts:
                call = ToolCall(tool="bash", args={"command": text}, cwd=str(here))
                start = time.perf_counter_ns()
                decision = guard.check(call)
                taken = time.perf_counter_ns() - start
                if turn and decision and not decision.assets:
                    times.append(taken)
    return [_row(f"usual: {len(times) // USUAL_TURNS} common commands", "any effects, no asset", times)]


def _growth(root: Path, rounds: int) -> list[dict[str, Any]]:
    """Whether a decision costs more late in a long session with its trail; `benchmarks.inventory` has the inventory.

    The files that the session writes are there, as data of a project, where programs run that are not looked into.
    """
    rows: list[dict[str, Any]] = []
    here = root / "growth"
    here.mkdir()
    (here / "x.py").write_text("print('x')\n")
    (here / "data.json").write_text("{}\n")
    toml = root / "growth.toml"
    toml.write_text((root / "guardrail.toml").read_text().replace("trail-wasm", "trail-growth"))

    def shell(command: str) -> ToolCall:
        return ToolCall(tool="bash", args={"command": command}, cwd=str(here))

    def late(label: str) -> None:
        rows.append(_measure(label, "exact, no asset", lambda: guard.check(shell("cp data.json copy.json")), rounds))
        for program in SESSION_PROGRAMS:
            call = shell(program)
            rows.append(_measure(label, program, lambda call=call: guard.check(call), max(rounds // PROGRAM_SHARE, 1)))

    with Guard.open(toml) as guard:
        late("growth: a new session")
        for number in range(SESSION_CALLS):
            name = number % SESSION_FILES
            made = here / f"made/{name % SESSION_FOLDERS}/{name}.json"
            guard.check(shell(f"mkdir -p {made.parent}; cp data.json {made}"))
            made.parent.mkdir(parents=True, exist_ok=True)
            made.write_text("{}\n")
        late(f"growth: {SESSION_CALLS} calls, {SESSION_FILES} files")
    return rows + _agent_growth(root, rounds)


def _agent_growth(root: Path, rounds: int) -> list[dict[str, Any]]:
    """Whether a decision costs more for an agent with many sessions, each of which contacted and wrote something."""
    rows: list[dict[str, Any]] = []
    toml = root / "agents.toml"
    toml.write_text((root / "guardrail.toml").read_text().replace("trail-wasm", "trail-agents"))
    subject = Subject(id="fleet-agent", model="acme/alpha")
    kinds = {kind: call for kind, (call, _) in calls(root).items() if kind != "opaque, no asset"}
    with Guard.open(toml) as guard:
        for label in ("growth: a new agent", f"growth: agent, {AGENT_SESSIONS} sessions"):
            for kind, call in kinds.items():
                mine = msgspec.structs.replace(call, subject=subject, session="measured")
                rows.append(_measure(label, kind, lambda mine=mine: guard.check(mine), rounds))
            if label == "growth: a new agent":
                for number in range(AGENT_SESSIONS):
                    made = {"command": f"cp data.txt made-{number}.txt; scp data.txt host-{number}:/x"}
                    session = f"session-{number}"
                    guard.check(ToolCall(tool="bash", args=made, cwd=str(root), session=session, subject=subject))
    return rows


def _sidecar(toml: Path, root: Path, rounds: int) -> list[dict[str, Any]]:
    import orjson

    from guardrail.client import Client

    folder = root / "run"
    folder.mkdir(mode=0o700)
    path = folder / "guardrail.sock"
    # One client asks faster than one client may: what is measured are decisions, not how soon they are refused.
    freely = "each_rate = 1e6\neach_burst = 1000000\n"
    text = toml.read_text().replace("trail-wasm", "trail-sidecar") + f"[service]\n{freely}"
    sidecar_toml = root / "sidecar.toml"
    sidecar_toml.write_text(text)
    command = [sys.executable, "-m", "guardrail", "serve", "--config", str(sidecar_toml), "--socket", str(path)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rows: list[dict[str, Any]] = []
    try:
        wait_for(lambda: _connects(path))
        with Client(str(path)) as client:
            for kind, (call, want) in calls(root).items():
                body = orjson.dumps(msgspec.to_builtins(call))
                rows.append(_measure("sidecar, Unix socket", kind, lambda body=body: client.decide(body), rounds, want))
    finally:
        server.terminate()
        server.wait(timeout=20)
    return rows


Answer = Decision | dict[str, Any]
"""A decision, of the guard in this process or of a service."""


def _measure(label: str, kind: str, decide: Callable[[], Answer], rounds: int, want: str = "allow") -> dict[str, Any]:
    """How long decisions take; each has to be the one that is wanted, so that no fault or refusal is timed as one."""
    times: list[int] = []
    for _ in range(WARMUP + rounds):
        start = time.perf_counter_ns()
        answer = decide()
        times.append(time.perf_counter_ns() - start)
        outcome = answer["outcome"] if isinstance(answer, dict) else answer.outcome.value
        if outcome != want:
            raise SystemExit(f"{label}: {kind} gave {outcome}, wanted {want}: {answer}")
    return _row(label, kind, times[WARMUP:])


def _row(label: str, kind: str, times: list[int]) -> dict[str, Any]:
    times.sort()
    p50, p99 = times[len(times) // 2] / 1000, times[len(times) * 99 // 100] / 1000
    return {"where": label, "call": kind, "p50_us": p50, "p99_us": p99}


@contextlib.contextmanager
def opa_server(binary: str) -> Iterator[str]:
    policies = Path(__file__).resolve().parent.parent / "policies"
    port = free_port()
    command = [binary, "run", "--server", "--skip-version-check", "--addr", f"127.0.0.1:{port}"]
    command += ["--bundle", str(policies), "--ignore", "build,*_test.rego"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=policies.parent)
    try:
        wait_for(lambda: _connects(("127.0.0.1", port)))
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=20)


def _connects(address: Path | tuple[str, int]) -> bool:
    family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
    with socket.socket(family) as probe:
        try:
            probe.connect(address if isinstance(address, tuple) else str(address))
        except OSError:
            return False
    return True


def wait_for(ready: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise SystemExit("a server did not start in time")
        time.sleep(0.05)


def _table(rows: list[dict[str, Any]]) -> str:
    base = next(row["p50_us"] for row in rows)
    lines = [f"{'where':<34} {'call':<24} {'p50 us':>9} {'p99 us':>9} {'ratio':>7}"]
    lines += [
        f"{row['where']:<34} {row['call']:<24} {row['p50_us']:>9.1f} {row['p99_us']:>9.1f} {row['p50_us'] / base:>7.2f}"
        for row in rows
    ]
    lines.append(f"ratio: p50 over `{rows[0]['where']}: {rows[0]['call']}`")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
