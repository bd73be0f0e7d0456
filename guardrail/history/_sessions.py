"""Facts of each session and agent, noted when a call is released or denied, and kept in a store if there is one.

Rules see them as `context.history`. What is remembered is looked up in constant time, however long a session is and
however many of them an agent has had.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from guardrail.assets import is_beside_weights
from guardrail.errors import Fault
from guardrail.history._authorship import NOTHING_BEFORE, PLAIN, makes_links, mark_own, plain_of, writes_of
from guardrail.history._deeds import Watch, hosts_of
from guardrail.history._memory import MAX_AUTHORED, AgentMemory, SessionMemory
from guardrail.history._originals import NOTHING_WRITTEN, Originals, Written
from guardrail.history._recent import Recent
from guardrail.history._store import Fact, HistoryStore
from guardrail.model import Effect

MAX_UNSAVED_CALLS: Final = 32
"""Most calls without a new fact whose count is written together: a crash may lose that many from the count, no fact."""

LABELLING_CLASSES: Final = frozenset({"weights", "checkpoint", "adapter"})
"""Classes whose content is worth carrying away; reading a control config labels nobody."""

_NOTHING: Final[Mapping[str, tuple[str, ...]]] = {}


class SessionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What rules may know about a session.

    Args:
        labels: assets whose content the session has seen, in the order it saw them.
        calls: number of calls released.
        denied: number of calls denied.
    """

    labels: tuple[str, ...] = ()
    calls: int = 0
    denied: int = 0


class History:
    """Every session's and agent's facts.

    Args:
        sessions: most sessions, and most agents, kept in memory; the longest unused is dropped first.
        store: where all of them are kept; None keeps those in memory only.
        reconnaissance: globs on what is read or listed by whoever looks for other hosts.
    """

    def __init__(
        self, sessions: int = 10_000, store: HistoryStore | None = None, reconnaissance: Sequence[str] = ()
    ) -> None:
        self._store = store
        self._version = -1
        self._closed = False
        self._sessions = Recent(sessions, self._load_session, self._save_session)
        self._agents = Recent(sessions, self._load_agent, self._save_agent)
        self._watch = Watch(reconnaissance)
        self._originals = Originals()
        self._lock = threading.Lock()

    def facts(self, session: str) -> SessionFacts:
        """What is known about a session so far."""
        with self._lock:
            known = self._find(session)
            if known is None:
                return SessionFacts()
            deeds = known.deeds
            return SessionFacts(labels=tuple(deeds.sets.get("label", ())), calls=deeds.calls, denied=deeds.denied)

    def document(self, session: str, agent: str, effects: Sequence[Effect], assets: Sequence[str]) -> dict[str, Any]:
        """What rules are told of a session and of its agent before a call, as `annotate` has found them.

        Args:
            session: whose call.
            agent: who asks.
            effects: what the call would do, resolved.
            assets: that the call is about.

        Returns:
            Plain values of a size that does not grow with either.
        """
        hosts = hosts_of(effects)
        with self._lock:
            known = self._sessions.find(session) or _NOBODY
            whole = self._agents.find(agent)
            facts = known.deeds.facts(assets, hosts, len(known.authored))
            of_agent = _NO_AGENT if whole is None else whole
            agent_facts = of_agent.deeds.facts(assets, hosts, of_agent.authored)
            agent_facts["sessions"] = of_agent.sessions
        if self._watch.looks_around(effects):
            facts["reconnaissance"] = facts.get("reconnaissance", 0) + 1
        facts.setdefault("labels", _NO_LABELS)
        facts["agent"] = agent_facts
        return facts

    def seen(self, session: str) -> Mapping[str, tuple[str, ...]]:
        """The assets whose content a session has been shown, each with the files it was shown of them.

        Not looked at, as in `document`, is whether another process has written since `annotate` did.
        """
        with self._lock:
            known = self._sessions.find(session)
            if known is None or not known.seen:
                return _NOTHING
            return {asset: tuple(paths) for asset, paths in known.seen.items()}

    def written(self, session: str) -> Written:
        """What a session wrote in the calls that were released."""
        with self._lock:
            known = self._find(session)
            if known is None:
                return NOTHING_WRITTEN
            patterns = frozenset(known.vague)
            return Written(
                known.authored, known.ordered, known.brought, patterns, self._originals.of(session), MAX_AUTHORED
            )

    def annotate(self, session: str, effects: Sequence[Effect]) -> tuple[Effect, ...]:
        """Mark the programs and scripts among `effects` that this session itself wrote or brought.

        Returns:
            The effects; an execution of such a file has `attrs.authored`.
        """
        with self._lock:
            known = self._find(session)
            before = NOTHING_BEFORE if known is None else known.wrote()
        return mark_own(effects, before)

    def released(
        self,
        session: str,
        effects: Sequence[Effect],
        class_of: Callable[[str], str | None],
        read: Callable[[str, int], bytes | None] | None = None,
        agent: str = "unknown",
        places: Sequence[str] = (),
    ) -> None:
        """Note a call that was allowed to run.

        Args:
            session: whose call.
            effects: what it would do, resolved.
            class_of: asset id -> its class.
            read: gives a file as it is before the call; without it no original is kept.
            agent: who asked.
            places: directories in which it may write anything, unseen: what lies there is the session's from then on.
        """
        with self._lock:
            known, whole = self._get(session, agent)
            self._meet(known, whole, agent)
            for deeds in (known.deeds, whole.deeds):
                deeds.calls += 1
                deeds.unsaved += 1
            before = len(known.authored)
            for effect in effects:
                asset = effect.resource.asset
                if asset and class_of(asset) in LABELLING_CLASSES:
                    self._note(known, whole, effect, asset)
            self._watch.note(effects, known.deeds, whole.deeds)
            if not known.linked and makes_links(effects):
                known.take(Fact("linked", ""))
            writes = writes_of(effects, linked=known.linked)
            if read is not None:
                self._originals.keep(session, writes.paths, known.authored, read)
            plain = plain_of(effects)
            for path in (*writes.paths, *places):
                if path not in known.authored or (path not in plain and path not in known.brought):
                    known.take(Fact("authored", path, PLAIN if path in plain and path not in places else ""))
            for folder in writes.folders:
                known.take(Fact("built", folder))
            for pattern in writes.patterns:
                known.take(Fact("vague", pattern))
            more = len(known.authored) - before
            whole.authored += more
            whole.unsaved_authored += more
            if known.news or known.deeds.news or whole.deeds.news or known.deeds.unsaved >= MAX_UNSAVED_CALLS:
                self._keep(session, known, agent, whole)

    def _meet(self, known: SessionMemory, whole: AgentMemory, agent: str) -> None:
        """An agent's first call in a session."""
        if agent in known.agents:
            return
        known.take(Fact("agent", agent))
        whole.sessions += 1
        whole.unsaved_sessions += 1

    def _note(self, known: SessionMemory, whole: AgentMemory, effect: Effect, asset: str) -> None:
        """What a session learns of an asset, and where it puts it."""
        if effect.op in ("read", "net_recv") and effect.precision != "opaque":
            shown = effect.attrs.get("reveals") if effect.resource.uri is None else "content"
            # A search through a whole tree may pass an asset without a word of it; what it does print is still traced.
            beside = effect.resource.real is not None and is_beside_weights(effect.resource.real)
            if not beside and (shown == "content" or (shown == "some" and not effect.resource.recursive)):
                known.take(Fact("label", asset))
                whole.deeds.take(Fact("label", asset))
            if shown in ("content", "some"):
                known.take(Fact("seen", asset, effect.resource.real or ""))

    def denied(
        self,
        session: str,
        agent: str = "unknown",
        refused: Sequence[Effect] = (),
        model_of: Callable[[str], str | None] = lambda _asset: None,
    ) -> None:
        """Note a call that was not allowed to run; once the store is closed, every call is one.

        Args:
            session: whose call.
            agent: who asked.
            refused: what it would have done, if it was denied; nothing, if it only waits for a person.
            model_of: asset id -> the model it belongs to.
        """
        with self._lock:
            if self._closed:
                return
            known, whole = self._get(session, agent)
            self._meet(known, whole, agent)
            for deeds in (known.deeds, whole.deeds):
                deeds.denied += 1
                deeds.unsaved_denied += 1
            if refused:
                self._watch.refuse(refused, model_of, known.deeds, whole.deeds)
            self._keep(session, known, agent, whole)

    def surprised(self, session: str, agent: str, assets: Sequence[str]) -> None:
        """Note that a program went for assets that its call was not judged to touch.

        Args:
            session: whose call.
            agent: who asked.
            assets: what it went for.
        """
        with self._lock:
            known, whole = self._get(session, agent)
            for asset in assets:
                known.take(Fact("unpredicted", asset))
                whole.deeds.take(Fact("unpredicted", asset))
            self._keep(session, known, agent, whole)

    def close(self) -> None:
        """Write what is left, and let go of the store."""
        if self._store is None:
            return
        with self._lock:
            # Facts are written as they are learnt: what may be lost here is a count.
            with contextlib.suppress(Fault):
                self._save_counts()
            self._closed = True
            self._store.close()

    def _save_counts(self) -> None:
        for name, known in self._sessions:
            self._save_session(name, known)
        for name, whole in self._agents:
            self._save_agent(name, whole)

    def _save_session(self, name: str, known: SessionMemory) -> None:
        if known.deeds.unsaved:
            self._keep(name, known)

    def _save_agent(self, name: str, whole: AgentMemory) -> None:
        if whole.deeds.unsaved or whole.unsaved_sessions:
            self._keep("", None, name, whole)

    def _load_session(self, name: str) -> SessionMemory | None:
        stored = None if self._store is None else self._store.load(name)
        return None if stored is None else SessionMemory(stored)

    def _load_agent(self, name: str) -> AgentMemory | None:
        stored = None if self._store is None else self._store.load_agent(name)
        return None if stored is None else AgentMemory(stored)

    def _keep(
        self, session: str, known: SessionMemory | None, agent: str = "", whole: AgentMemory | None = None
    ) -> None:
        """Write what is new of a session, of an agent, or of both at once."""
        news: list[Fact] = []
        calls = denied = 0
        if known is not None:
            news, calls, denied = known.take_news(), known.deeds.unsaved, known.deeds.unsaved_denied
            known.deeds.unsaved = known.deeds.unsaved_denied = 0
        of_agent = None if whole is None else whole.take_news()
        if self._store is None:
            return
        try:
            if known is None and of_agent is not None:
                self._store.add_agent(agent, of_agent)
            else:
                self._store.add(session, news, calls=calls, denied=denied, agent=agent, of_agent=of_agent)
        except BaseException:
            # INVARIANT: what is in memory is in the store; what could not be stored is asked for again.
            self._sessions.drop(session)
            self._agents.drop(agent)
            raise

    def _refresh(self) -> None:
        if self._store is not None and not self._store.sole and (version := self._store.version) != self._version:
            # Another process has written, perhaps of one of these.
            self._save_counts()
            self._sessions.clear()
            self._agents.clear()
            self._version = version

    def _find(self, session: str) -> SessionMemory | None:
        """A session that is known, here or in the store, with what other processes have written of it."""
        self._refresh()
        return self._sessions.find(session)

    def _get(self, session: str, agent: str) -> tuple[SessionMemory, AgentMemory]:
        """A session and its agent, with what other processes have written of them."""
        self._refresh()
        return self._sessions.get(session, SessionMemory), self._agents.get(agent, AgentMemory)


_NO_LABELS: Final[list[str]] = []
_NOBODY: Final = SessionMemory()
_NO_AGENT: Final = AgentMemory()
