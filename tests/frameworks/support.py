"""What the tests of all frameworks share: three commands, and what the trail has."""

from __future__ import annotations

from typing import Any

from guardrail import Guard
from guardrail.audit import trail_directory
from guardrail.audit.reading import read_leaves

LOOK = "ls weights"
"""Nobody minds it."""

COPY = "cp -r weights mine"
"""Nobody ordered it."""

UNKNOWN = """python3 -c 'import os; exec(os.getenv("JOB", "1"))'"""
"""A person has to see it."""


def kinds(guard: Guard) -> list[str]:
    """The kinds of the trail's records on calls and on what people said, in order."""
    wanted = ("decision", "intent", "result", "vote", "grant", "escalation")
    return [record["kind"] for record in records(guard) if record["kind"] in wanted]


def records(guard: Guard) -> list[dict[str, Any]]:
    """The trail's records."""
    assert guard.trail is not None
    guard.trail.checkpoint()
    return [record for leaf in read_leaves(trail_directory(guard.config)) if (record := leaf.record())]


class Watched:
    """A guard that notes when it is told that an agent begins and when it is through."""

    def __init__(self, guard: Guard) -> None:
        self.told: list[tuple[str, str, str]] = []
        self._guard = guard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._guard, name)

    def begin(self, subject: Any, *, session: str) -> Any:
        self.told.append(("begin", subject.id, session))
        return self._guard.begin(subject, session=session)

    def end(self, subject: Any, *, session: str) -> Any:
        self.told.append(("end", subject.id, session))
        return self._guard.end(subject, session=session)
