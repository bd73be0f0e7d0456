"""`guardrail run --trial`: what a command would change is shown, and committed or dropped."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, Literal

from guardrail.cli._words import counted
from guardrail.printing import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardrail.confine.kernel import Change, Tried

CHOICES: Final = ("ask", "commit", "drop")
"""What becomes of a trial: as the terminal says, what policy allows where the command succeeded, or nothing."""

MAX_SHOWN: Final = 40
"""Most changes that are shown to people; `--json` has all of them."""

Fate = Literal["commit", "drop"]


def show(tried: Tried) -> None:
    """What it would change, on standard error."""
    from guardrail.printing import visible

    print(f"guardrail: on trial: {counted(len(tried.changes), 'change')}", file=sys.stderr)
    for change in tried.changes[:MAX_SHOWN]:
        print(visible(f"  {change.op:6} {change.at}{_more(change)}"), file=sys.stderr)
    if len(tried.changes) > MAX_SHOWN:
        print(f"  and {counted(len(tried.changes) - MAX_SHOWN, 'further one')}", file=sys.stderr)
    if tried.problem is not None:
        print(visible(f"guardrail: this trial can only be dropped: {tried.problem}"), file=sys.stderr)


def fate(asked: str, tried: Tried, exit_code: int) -> Fate:
    """What becomes of it. Nothing is committed that nobody asked for, or of a command that failed.

    Args:
        asked: one of `CHOICES`.
        tried: what it would change.
        exit_code: of the command.
    """
    if not tried.changes or tried.problem is not None or asked == "drop":
        return "drop"
    if asked == "commit":
        return "commit" if exit_code == 0 else "drop"
    return "commit" if _said_yes() else "drop"


def told(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Changes for machines: with their real paths, and without where content is kept for now."""
    from msgspec import to_builtins

    hidden = {"staged", "root", "path", "was"}
    return [
        {"op": one.op, "path": printable(one.at)}
        | {name: value for name, value in to_builtins(one).items() if value and name not in {"op", *hidden}}
        for one in changes
    ]


def _said_yes() -> bool:
    """Ask whoever sits at the terminal; where there is none, or nobody answers, it is a no."""
    try:
        with open("/dev/tty", "r+b", buffering=0) as terminal:
            terminal.write(b"guardrail: commit these changes? [y/N] ")
            return terminal.readline(16).strip().lower() in {b"y", b"yes"}
    except OSError:
        return False


def _more(change: Change) -> str:
    match change.op:
        case "write":
            return f" ({counted(change.size, 'byte')})"
        case "link":
            return f" -> {change.target}"
        case "mkdir" | "chmod":
            return f" ({change.mode:o})"
        case "cannot":
            return f" ({change.why})"
        case _:
            return ""
