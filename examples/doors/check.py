"""A harness's hook, a command that the guard starts itself, and a tool that asks for a token: one guard, one trail.

    python -m examples.doors.check

Each step says what it shows, and the program ends with 1 if one of them does not hold.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from guardrail import Guard, TokenError, TokenVerifier, ToolCall
from guardrail.audit import trail_key
from guardrail.execution import execute
from guardrail.tokens import TokenSigner

CONFIG = """
[trail]
directory = "trail"
timeout_seconds = 60

[limits]
decision_ms = 60000

[[asset]]
id = "model:beta"
class = "weights"
paths = ["models/beta"]
"""


def step(what: str, holds: bool) -> bool:
    """Print one line."""
    print(f"{'ok  ' if holds else 'FAIL'} {what}")
    return holds


def run(world: Path, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """The command line, as a harness or a person would start it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(
        [sys.executable, "-m", "guardrail", *words],
        cwd=world, env=environment, input=given, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def owned(world: Path) -> bool:
    """The guard starts the tool: what is not allowed is not started."""
    listed = run(world, "run", "--", "ls", "models/beta")
    copied = run(world, "run", "--", "cp", "models/beta/w.safetensors", "copy")
    return all(
        (
            step("an allowed command runs, with its own output and exit code", listed.stdout == "w.safetensors\n"),
            step("a copy of the weights is not started", copied.returncode == 3 and not (world / "copy").exists()),
        )
    )


def hooked(world: Path) -> bool:
    """A harness asks before each call, and installs the hook itself."""
    event = {
        "session_id": "s1", "cwd": str(world), "hook_event_name": "PreToolUse", "tool_name": "Bash",
        "tool_input": {"command": "cd models/beta && cp w* /tmp/x"}, "tool_use_id": "toolu_1",
    }  # fmt: skip
    # No guard is started for this one event, so it is a denial for want of an answer: closed, not open.
    unanswered = run(world, "hook", "claude-code", "--no-start", given=json.dumps(event))
    shown = run(world, "hook", "install", "claude-code", "--project", ".", "--dry-run")
    return all(
        (
            step("a hook without a guard stops the call", unanswered.returncode == 2 and not unanswered.stdout),
            step("installing shows what it would write, and what still fails open", '"onFailure"' in shown.stdout),
            step("and a dry run writes nothing", not (world / ".claude").exists()),
        )
    )


def signed(world: Path) -> bool:
    """A tool elsewhere carries out what comes with a token, once, and nothing else."""
    with Guard.open(str(world / "guardrail.toml")) as guard:
        call = ToolCall(tool="bash", args={"command": "ls models"}, cwd=str(world), session="s1")
        other = ToolCall(tool="bash", args={"command": "rm -r models"}, cwd=str(world), session="s1")
        decision = guard.check(call)
        token = TokenSigner.open(trail_key(guard.config), guard.config.trail.origin).sign(call, decision)
        verifier = TokenVerifier([(world / "trail/trail.vkey").read_text()])

        def holds(for_call: ToolCall) -> bool:
            try:
                verifier.verify(token, for_call)
            except TokenError:
                return False
            return True

        answers = [holds(other), holds(call), holds(call)]
        lines: list[bytes] = []
        done = execute(guard, call, lambda _, chunk: lines.append(chunk))
    return all(
        (
            step("a token holds for its own call, once, and for no other", answers == [False, True, False]),
            step(
                "from Python the guard carries it out too", b"".join(lines) == b"beta\n" and done.ended.exit_code == 0
            ),
        )
    )


def main() -> int:
    """All steps, in a directory of their own."""
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder)
        (world / "models/beta").mkdir(parents=True)
        (world / "models/beta/w.safetensors").write_bytes(b"weights")
        (world / "guardrail.toml").write_text(CONFIG)
        held = [owned(world), hooked(world), signed(world)]
        verified = run(world, "audit", "verify", "trail")
        held.append(step("the trail of all of it verifies", verified.returncode == 0))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
