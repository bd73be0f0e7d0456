"""A maintenance agent in plain Python: it may look at a model, not copy it, and has to ask before it runs unknown code.

Run it with `python -m examples.plain_python.example`; it ends with an error if anything is not as it says.
"""

from __future__ import annotations

from examples.place import place
from guardrail import Guard
from guardrail.review import Vote
from guardrail_adapters.python import Denied, Escalated, Host, guarded

UNKNOWN = """python3 -c 'import os; exec(os.getenv("JOB", "print(6 * 7)"))'"""


def main() -> None:
    """Look, copy, ask."""
    with place() as folder, Guard.open(folder / "guardrail.toml") as guard:
        act(guard, str(folder))


def act(guard: Guard, folder: str) -> None:
    """What the agent does."""
    host = Host(guard, subject="ops-agent", cwd=folder)
    listing = host.subprocess.check_output(["ls", "weights"], text=True)
    print(f"allowed: ls shows {listing.strip()}")

    @guarded(guard, tool="copy_file", subject="ops-agent", cwd=folder)
    def copy_file(source: str, destination: str) -> None:
        raise SystemExit(f"the copy of {source} to {destination} ran although nobody ordered it")

    try:
        copy_file("weights/w.safetensors", "mine")
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
