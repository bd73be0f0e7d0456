"""What is remembered of one session, and of one agent in all its sessions, with what is not written down yet.

Not concerned with when it is written, or where: `_sessions` is.
"""

from __future__ import annotations

from typing import Final

from guardrail.effects.domain._ordered import OrderedPaths
from guardrail.history._authorship import PLAIN, Before
from guardrail.history._deeds import MAX_ASSETS, Deeds
from guardrail.history._store import AgentNews, Fact, Stored, StoredAgent

MAX_AUTHORED: Final = 10_000
"""Most files remembered as written by one session; past it every script counts as written by the session."""

MAX_VAGUE: Final = 64
"""Most patterns of names remembered as written by one session; past it their directories count as a whole."""

MAX_SEEN: Final = 64
"""Most files of one asset that are remembered as read by one session."""

MAX_AGENTS: Final = 64
"""Most agents that are remembered to have acted in one session; a further one counts it as new again and again."""


class SessionMemory:
    """What one session did."""

    __slots__ = ("agents", "authored", "brought", "built", "deeds", "linked", "news", "ordered", "seen", "vague")

    def __init__(self, stored: Stored | None = None) -> None:
        self.deeds = Deeds()
        self.authored: set[str] = set()
        self.ordered = OrderedPaths()  # the same, for those who ask for some of them
        self.brought = OrderedPaths()  # those of them that may be a directory
        self.vague: set[str] = set()
        self.built: set[str] = set()  # directories in which a tool built programs of files that the session wrote
        self.linked = False  # a name may be that of another file
        self.seen: dict[str, dict[str, None]] = {}
        self.agents: set[str] = set()
        self.news: list[Fact] = []
        if stored is not None:
            self.deeds.calls, self.deeds.denied = stored.calls, stored.denied
            for fact in stored.facts:
                if not self.deeds.load(fact):
                    self._is_new(fact)
            self.take_news()

    def take(self, fact: Fact) -> None:
        """Note a fact, unless it is known or there are too many of its kind."""
        if not self.deeds.take(fact) and self._is_new(fact):
            self.news.append(fact)

    def _is_new(self, fact: Fact) -> bool:
        kind, value, more = fact
        if kind == "authored":
            new = _add(self.authored, value, MAX_AUTHORED)
            if new:
                self.ordered.add(value)
            # What was written as a file may be taken away, and a directory brought to its place.
            if more != PLAIN and value in self.authored and value not in self.brought:
                self.brought.add(value)
                new = True
            return new
        if kind == "vague":
            new = value not in self.vague
            self.vague.add(value)
            self.linked = self.linked or len(self.vague) >= MAX_VAGUE
            return new
        if kind == "built":
            new = value not in self.built and "" not in self.built
            self.built.add(value if len(self.built) < MAX_VAGUE else "")
            return new
        if kind == "linked":
            new, self.linked = not self.linked, True
            return new
        if kind == "agent":
            return _add(self.agents, value, MAX_AGENTS)
        if kind == "seen":
            if value not in self.seen and len(self.seen) >= MAX_ASSETS:
                return False  # it has all labels by now, so that whatever it sends away is held
            files = self.seen.setdefault(value, {})
            new = more not in files and len(files) < MAX_SEEN
            if new:
                files[more] = None
            return new
        return False

    def wrote(self) -> Before:
        """What it wrote or brought, for a look that other calls of the session do not disturb."""
        return Before(
            paths=self.authored,
            ordered=self.ordered,
            patterns=frozenset(self.vague),
            folders=frozenset(self.built),
            linked=self.linked,
            everything=len(self.authored) >= MAX_AUTHORED,
        )

    def take_news(self) -> list[Fact]:
        """What was learnt since this was asked last."""
        news = self.news + self.deeds.news
        self.news, self.deeds.news = [], []
        return news


class AgentMemory:
    """What one agent did in all its sessions."""

    __slots__ = ("authored", "deeds", "sessions", "unsaved_authored", "unsaved_sessions")

    def __init__(self, stored: StoredAgent | None = None) -> None:
        self.deeds = Deeds()
        self.sessions = self.authored = self.unsaved_sessions = self.unsaved_authored = 0
        if stored is not None:
            self.deeds.calls, self.deeds.denied = stored.calls, stored.denied
            self.sessions, self.authored = stored.sessions, stored.authored
            for fact in stored.facts:
                self.deeds.load(fact)
            self.deeds.news = []

    def take_news(self) -> AgentNews:
        """What was learnt since this was asked last."""
        deeds = self.deeds
        news = AgentNews(
            facts=deeds.news,
            calls=deeds.unsaved,
            denied=deeds.unsaved_denied,
            sessions=self.unsaved_sessions,
            authored=self.unsaved_authored,
        )
        deeds.news = []
        deeds.unsaved = deeds.unsaved_denied = self.unsaved_sessions = self.unsaved_authored = 0
        return news


def _add(known: set[str], value: str, most: int) -> bool:
    if value in known or len(known) >= most:
        return False
    known.add(value)
    return True
