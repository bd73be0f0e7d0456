"""A maintenance agent in plain Python: it may look at a model, not copy it, and has to ask before it runs unknown code.

Run it with `python -m examples.plain_python.example`; it ends with an error if anything is not as it says.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from guardrail import Guard
from guardrail.config import parse
from guardrail.review import Vote
from guardrail_adapters.python import Denied, Escalated, Host, guarded

CONFIG = """
[[asset]]
id = "model:beta"
class = "weights"
paths = ["models/beta"]
[trail]
directory = "trail"
[limits]
decision_ms = 60000
"""

UNKNOWN = """python3 -c 'import os; exec(os.getenv("JOB", "print(6 * 7)"))'"""


def main() -> None:
    """Look, copy, ask."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "models/beta").mkdir(parents=True)
        (Path(folder) / "models/beta/w.safetensors").write_bytes(b"W")
        with Guard.open(parse(CONFIG, base=folder)) as guard:
            act(guard, folder)


def act(guard: Guard, folder: str) -> None:
    """What the agent does."""
    host = Host(guard, subject="ops-agent", cwd=folder)
    listing = host.subprocess.check_output(["ls", "models/beta"], text=True)
    print(f"allowed: ls shows {listing.strip()}")

    @guarded(guard, tool="copy_file", subject="ops-agent", cwd=folder)
    def copy_file(source: str, destination: str) -> None:
        raise SystemExit(f"the copy of {source} to {destination} ran although nobody ordered it")

    try:
        copy_file("models/beta/w.safetensors", "mine")
        raise SystemExit("the copy was not denied")
    except Denied as error:
        print(f"denied: {error}")

    try:
        host.subprocess.check_output(UNKNOWN, shell=True, text=True)
        raise SystemExit("unknown code ran without being looked at")
    except Escalated as error:
        print(f"held: {error}")
        asked = str(error.decision.escalation)
    # A person says yes; in earnest that is `guardrail escalations approve`, with their key.
    guard.desk.cast(asked, Vote(voter="dana", verdict="approve", at_us=0))
    answer = host.subprocess.check_output(UNKNOWN, shell=True, text=True)
    if answer.strip() != "42":
        raise SystemExit(f"the approved call answered {answer!r}")
    print("approved: it ran once, and only this call")


if __name__ == "__main__":
    main()
