"""Facts of each session, noted when a call is released, and kept in a store if there is one.

Rules see them as `context.history`. What is remembered is looked up in constant time, however long a session is.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from guardrail.assets import is_beside_weights
from guardrail.errors import Fault
from guardrail.history._authorship import ARRIVING, is_built, makes_links, may_be_named, reached, writes_of
from guardrail.history._originals import NOTHING_WRITTEN, Originals, Written
from guardrail.history._store import Fact, HistoryStore, Stored
from guardrail.model import Effect, Resource

MAX_AUTHORED: Final = 10_000
"""Most files remembered as written by one session; past it every script counts as written by the session."""

MAX_VAGUE: Final = 64
"""Most patterns of names remembered as written by one session; past it their directories count as a whole."""

MAX_SEEN: Final = 64
"""Most files of one asset that are remembered as read by one session."""

MAX_DERIVED: Final = 10_000
"""Most files remembered as holding what was copied from an asset in one session."""

MAX_UNSAVED_CALLS: Final = 32
"""Most calls without a new fact whose count is written together: a crash may lose that many from the count, no fact."""

LABELLING_CLASSES: Final = frozenset({"weights", "checkpoint", "adapter"})
"""Classes whose content is worth carrying away; reading a control config labels nobody."""

_TAKING: Final = frozenset({"read", "copy", "link", "rename", "net_send", "api_copy"})
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


class _Session:
    __slots__ = (
        "authored",
        "built",
        "calls",
        "denied",
        "derived",
        "labels",
        "linked",
        "news",
        "seen",
        "unsaved",
        "vague",
    )

    def __init__(self, stored: Stored | None = None) -> None:
        self.labels: dict[str, None] = {}
        self.authored: set[str] = set()
        self.vague: set[str] = set()
        self.built: set[str] = set()  # directories in which a tool built programs of files that the session wrote
        self.linked = False  # a name may be that of another file
        self.derived: dict[str, str] = {}
        self.seen: dict[str, dict[str, None]] = {}
        self.calls = stored.calls if stored is not None else 0
        self.denied = stored.denied if stored is not None else 0
        self.news: list[Fact] = []
        self.unsaved = 0
        for fact in stored.facts if stored is not None else ():
            self.take(fact)
        self.news.clear()

    def take(self, fact: Fact) -> None:
        """Note a fact, unless it is known or there are too many of its kind."""
        kind, value, more = fact
        if kind == "label":
            known = value in self.labels
            self.labels[value] = None
        elif kind == "authored":
            known = value in self.authored or len(self.authored) >= MAX_AUTHORED
            if not known:
                self.authored.add(value)
        elif kind == "vague":
            known = value in self.vague
            self.vague.add(value)
            self.linked = self.linked or len(self.vague) >= MAX_VAGUE
        elif kind == "built":
            known = value in self.built or "" in self.built
            self.built.add(value if len(self.built) < MAX_VAGUE else "")
        elif kind == "linked":
            known = self.linked
            self.linked = True
        elif kind == "derived":
            known = value in self.derived or len(self.derived) >= MAX_DERIVED
            if not known:
                self.derived[value] = more
        else:
            files = self.seen.setdefault(value, {})
            known = more in files or len(files) >= MAX_SEEN
            if not known:
                files[more] = None
        if not known:
            self.news.append(fact)


class History:
    """Every session's facts.

    Args:
        sessions: most sessions kept in memory; the longest unused is dropped first.
        store: where all of them are kept; None keeps those in memory only.
    """

    def __init__(self, sessions: int = 10_000, store: HistoryStore | None = None) -> None:
        self._limit = sessions
        self._store = store
        self._version = -1
        self._closed = False
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._originals = Originals()
        self._lock = threading.Lock()

    def facts(self, session: str) -> SessionFacts:
        """What is known about a session so far."""
        with self._lock:
            known = self._find(session)
            if known is None:
                return SessionFacts()
            return SessionFacts(labels=tuple(known.labels), calls=known.calls, denied=known.denied)

    def seen(self, session: str) -> Mapping[str, tuple[str, ...]]:
        """The assets whose content a session has been shown, each with the files it was shown of them."""
        with self._lock:
            known = self._find(session)
            if known is None or not known.seen:
                return _NOTHING
            return {asset: tuple(paths) for asset, paths in known.seen.items()}

    def written(self, session: str) -> Written:
        """What a session wrote in the calls that were released."""
        with self._lock:
            known = self._find(session)
            if known is None:
                return NOTHING_WRITTEN
            return Written(known.authored, known.vague, self._originals.of(session), MAX_AUTHORED)

    def annotate(self, session: str, effects: Sequence[Effect]) -> tuple[Effect, ...]:
        """Mark the programs and scripts among `effects` that this session itself wrote or brought, and its copies.

        Returns:
            The effects; an execution of such a file has `attrs.authored`, and what is taken from a copy that the
            session made of an asset is taken from the asset.
        """
        with self._lock:
            known = self._find(session)
            authored = known.authored if known else frozenset[str]()
            vague = known.vague if known else frozenset[str]()
            built = frozenset(known.built) if known and known.built else frozenset[str]()
            linked = known is not None and known.linked
            full = len(authored) >= MAX_AUTHORED
            derived = dict(known.derived) if known and known.derived else None
        if derived is not None:
            effects = [_of_copy(effect, derived) for effect in effects]
        # A file written earlier in the same call counts as well: `cat > x.py <<E ...; python x.py`.
        writes = writes_of(effects, authored, vague, linked=linked or makes_links(effects))
        fresh, patterns = set(writes.paths), set(writes.patterns)
        folders = built | writes.folders
        if not authored and not fresh and not vague and not patterns and not writes.own and not folders:
            return tuple(effects)

        def before(program: Resource) -> bool:
            return full or reached(program, authored) or may_be_named(program.real or "", vague)

        def is_own(index: int, effect: Effect) -> bool:
            if effect.op not in ("exec", "exec_opaque"):
                return False
            program = effect.resource
            if index in writes.own or is_built(effect, folders):
                return True
            return program.real is not None and (
                reached(program, fresh)
                or may_be_named(program.real, patterns)
                # What was analysed was read as it is now, whoever wrote it before; only this call can change it.
                or ("analysed" not in effect.attrs and before(program))
            )

        return tuple(
            msgspec.structs.replace(effect, attrs={**effect.attrs, "authored": True})
            if is_own(index, effect)
            else effect
            for index, effect in enumerate(effects)
        )

    def released(
        self,
        session: str,
        effects: Sequence[Effect],
        class_of: Callable[[str], str | None],
        read: Callable[[str, int], bytes | None] | None = None,
    ) -> None:
        """Note a call that was allowed to run.

        Args:
            session: whose call.
            effects: what it would do, resolved.
            class_of: asset id -> its class.
            read: gives a file as it is before the call; without it no original is kept.
        """
        with self._lock:
            known = self._get(session)
            known.calls += 1
            for effect in effects:
                asset = effect.resource.asset
                if asset and class_of(asset) in LABELLING_CLASSES:
                    self._note(known, effect, asset)
            if makes_links(effects):
                known.take(Fact("linked", ""))
            writes = writes_of(effects, known.authored, known.vague, linked=known.linked)
            if read is not None:
                self._originals.keep(session, writes.paths, known.authored, read)
            for path in writes.paths:
                known.take(Fact("authored", path))
            for folder in writes.folders:
                known.take(Fact("built", folder))
            for pattern in writes.patterns:
                known.take(Fact("vague", pattern))
            known.unsaved += 1
            if known.news or known.unsaved >= MAX_UNSAVED_CALLS:
                self._keep(session, known)

    def _note(self, known: _Session, effect: Effect, asset: str) -> None:
        """What a session learns of an asset, and where it puts it."""
        if effect.op in ("read", "net_recv") and effect.precision != "opaque":
            shown = effect.attrs.get("reveals") if effect.resource.uri is None else "content"
            # A search through a whole tree may pass an asset without a word of it; what it does print is still traced.
            beside = effect.resource.real is not None and is_beside_weights(effect.resource.real)
            if not beside and (shown == "content" or (shown == "some" and not effect.resource.recursive)):
                known.take(Fact("label", asset))
            if shown in ("content", "some"):
                known.take(Fact("seen", asset, effect.resource.real or ""))
        target = effect.target
        arrived = target is not None and target.asset is None and effect.op in ARRIVING
        if target is not None and arrived and target.real is not None:
            known.take(Fact("derived", target.real, asset))

    def denied(self, session: str) -> None:
        """Note a call that was not allowed to run; once the store is closed, every call is one."""
        with self._lock:
            if self._closed:
                return
            known = self._get(session)
            known.denied += 1
            self._keep(session, known, denied=1)

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
        for name, known in list(self._sessions.items()):
            if known.unsaved:
                self._keep(name, known)

    def _keep(self, session: str, known: _Session, *, denied: int = 0) -> None:
        news, known.news = known.news, []
        calls, known.unsaved = known.unsaved, 0
        if self._store is not None:
            try:
                self._store.add(session, news, calls=calls, denied=denied)
            except BaseException:
                # INVARIANT: what is in memory is in the store; what could not be stored is asked for again.
                del self._sessions[session]
                raise

    def _find(self, session: str) -> _Session | None:
        """A session that is known, here or in the store."""
        if self._store is not None and (version := self._store.version) != self._version:
            # Another process has written, perhaps of one of these.
            self._save_counts()
            self._sessions.clear()
            self._version = version
        known = self._sessions.get(session)
        if known is None and self._store is not None and (stored := self._store.load(session)) is not None:
            known = self._put(session, _Session(stored))
        return known

    def _get(self, session: str) -> _Session:
        known = self._find(session)
        if known is None:
            return self._put(session, _Session())
        self._sessions.move_to_end(session)
        return known

    def _put(self, session: str, made: _Session) -> _Session:
        self._sessions[session] = made
        while len(self._sessions) > self._limit:
            name, oldest = next(iter(self._sessions.items()))
            if oldest.unsaved:
                self._keep(name, oldest)
            self._sessions.pop(name, None)
        return made


def _of_copy(effect: Effect, derived: Mapping[str, str]) -> Effect:
    """The effect, on the asset that the file was copied from."""
    path = effect.resource.real
    if path is None or effect.resource.asset is not None or effect.op not in _TAKING:
        return effect
    while path not in derived:
        path = path.rpartition("/")[0]
        if not path:
            return effect
    return msgspec.structs.replace(effect, resource=msgspec.structs.replace(effect.resource, asset=derived[path]))
