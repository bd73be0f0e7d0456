"""The first calls of a process may come from several threads at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

FIRST_CALLS = """
import sys, threading
from guardrail import ToolCall
from guardrail.assets import LiveFiles
from guardrail.config import LimitConfig
from guardrail.effects import analyse
from guardrail.parse import parse

sys.setswitchinterval(1e-6)
start, done = threading.Barrier(4), []


def first():
    start.wait()
    call = ToolCall(tool="bash", args={"command": "cp a b; tar cf x y; git add z; kubectl get pods"}, cwd="/tmp")
    done.append(analyse(parse(call), cwd="/tmp", view=LiveFiles(), limits=LimitConfig()))


threads = [threading.Thread(target=first) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(done) == 4 and all(effects == done[0] for effects in done)
"""


def test_the_first_calls_of_a_process_may_come_at_once() -> None:
    """Types and tables that are worked out late are worked out once: this crashed the process."""
    for _ in range(5):
        command = [sys.executable, "-X", "faulthandler", "-c", FIRST_CALLS]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
