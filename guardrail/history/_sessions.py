"""Facts of each session, noted when a call is released.

Kept in memory: a restart forgets them, which `docs/limits.md` says. Rules see them as `context.history`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from guardrail.model import Effect

MAX_AUTHORED: Final = 10_000
"""Most files remembered as written by one session; past it every script counts as written by the session."""

MAX_SEEN: Final = 64
"""Most files of one asset that are remembered as read by one session."""

MAX_DERIVED: Final = 10_000
"""Most files remembered as holding what was copied from an asset in one session."""

MAX_ORIGINAL_BYTES: Final = 256 * 1024
"""Largest file of which is remembered what it held before a session changed it, in bytes."""

MAX_ORIGINALS_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of such files that are remembered for all sessions together."""

_KEPT: Final = (".py",)
"""Endings of names of files in which what was changed is told from what was there."""

LABELLING_CLASSES: Final = frozenset({"weights", "checkpoint", "adapter"})
"""Classes whose content is worth carrying away; reading a control config labels nobody."""

_AUTHORING: Final = frozenset({"write", "append", "create", "truncate", "set_key", "net_recv"})
_ARRIVING: Final = frozenset({"copy", "rename", "link"})
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


class Written:
    """The files that a session wrote or brought, as they are known now.

    Args:
        paths: their real paths.
        originals: what was there before, as far as it is kept.
    """

    __slots__ = ("_originals", "_paths")

    def __init__(self, paths: set[str], originals: Callable[[str], bytes | None]) -> None:
        self._paths = paths
        self._originals = originals

    def wrote(self, real: str) -> bool:
        """Whether the session wrote a path, or a directory it lies in."""
        return bool(self._paths) and (len(self._paths) >= MAX_AUTHORED or _under(real, self._paths))

    def files(self) -> tuple[str, ...] | None:
        """Every path; None if there are too many."""
        return tuple(self._paths) if len(self._paths) < MAX_AUTHORED else None

    def before(self, real: str) -> str | None:
        """The text of a file before the session first wrote it."""
        data = self._originals(real)
        try:
            return data.decode("utf-8") if data is not None else None
        except UnicodeDecodeError:
            return None


class _Session:
    __slots__ = ("authored", "calls", "denied", "derived", "labels", "seen")

    def __init__(self) -> None:
        self.labels: dict[str, None] = {}
        self.authored: set[str] = set()
        self.derived: dict[str, str] = {}
        self.seen: dict[str, dict[str, None]] = {}
        self.calls = 0
        self.denied = 0


class History:
    """Every session's facts.

    Args:
        sessions: most sessions kept; the longest unused is dropped first.
    """

    def __init__(self, sessions: int = 10_000) -> None:
        self._limit = sessions
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._originals: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._room = MAX_ORIGINALS_BYTES
        self._lock = threading.Lock()

    def facts(self, session: str) -> SessionFacts:
        """What is known about a session so far."""
        with self._lock:
            known = self._sessions.get(session)
            if known is None:
                return SessionFacts()
            return SessionFacts(labels=tuple(known.labels), calls=known.calls, denied=known.denied)

    def seen(self, session: str) -> Mapping[str, tuple[str, ...]]:
        """The assets whose content a session has been shown, each with the files it was shown of them."""
        known = self._sessions.get(session)
        if known is None or not known.seen:
            return _NOTHING
        with self._lock:
            return {asset: tuple(paths) for asset, paths in known.seen.items()}

    def written(self, session: str) -> Written:
        """What a session wrote in the calls that were released."""
        known = self._sessions.get(session)
        return (
            _UNWRITTEN if known is None else Written(known.authored, lambda path: self._originals.get((session, path)))
        )

    def annotate(self, session: str, effects: Sequence[Effect]) -> tuple[Effect, ...]:
        """Mark the programs and scripts among `effects` that this session itself wrote or brought, and its copies.

        Returns:
            The effects; an execution of such a file has `attrs.authored`, and what is taken from a copy that the
            session made of an asset is taken from the asset.
        """
        with self._lock:
            known = self._sessions.get(session)
            authored = known.authored if known else frozenset[str]()
            full = len(authored) >= MAX_AUTHORED
            derived = dict(known.derived) if known and known.derived else None
        if derived is not None:
            effects = [_of_copy(effect, derived) for effect in effects]
        # A file written earlier in the same call counts as well: `cat > x.py <<E ...; python x.py`.
        fresh = set(_authored(effects))
        if not authored and not fresh:
            return tuple(effects)
        return tuple(
            msgspec.structs.replace(effect, attrs={**effect.attrs, "authored": True})
            if effect.op in ("exec", "exec_opaque")
            and effect.resource.real is not None
            # What was analysed was read as it is now, whoever wrote it before; only this call can still change it.
            and (
                _under(effect.resource.real, fresh)
                or ("analysed" not in effect.attrs and (full or _under(effect.resource.real, authored)))
            )
            else effect
            for effect in effects
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
            written = _authored(effects)
            for path in written if read is not None else ():
                if path.endswith(_KEPT) and not _under(path, known.authored):
                    self._keep(session, path, read(path, MAX_ORIGINAL_BYTES))  # type: ignore[misc]
            if len(known.authored) < MAX_AUTHORED:
                known.authored.update(written)

    def _keep(self, session: str, path: str, data: bytes | None) -> None:
        """Remember what a file holds; the oldest is forgotten first, and then the whole file counts as written."""
        if data is None or (session, path) in self._originals:
            return
        self._originals[session, path] = data
        self._room -= len(data)
        while self._room < 0:
            self._room += len(self._originals.popitem(last=False)[1])

    def _note(self, known: _Session, effect: Effect, asset: str) -> None:
        """What a session learns of an asset, and where it puts it."""
        if effect.op in ("read", "net_recv") and effect.precision != "opaque":
            shown = effect.attrs.get("reveals") if effect.resource.uri is None else "content"
            # A search through a whole tree may pass an asset without a word of it; what it does print is still traced.
            if shown == "content" or (shown == "some" and not effect.resource.recursive):
                known.labels.setdefault(asset)
            if shown in ("content", "some"):
                files = known.seen.setdefault(asset, {})
                if len(files) < MAX_SEEN:
                    files.setdefault(effect.resource.real or "")
        target = effect.target
        arrived = target is not None and target.asset is None and effect.op in _ARRIVING
        if target is not None and arrived and target.real is not None and len(known.derived) < MAX_DERIVED:
            known.derived.setdefault(target.real, asset)

    def denied(self, session: str) -> None:
        """Note a call that was not allowed to run."""
        with self._lock:
            self._get(session).denied += 1

    def _get(self, session: str) -> _Session:
        known = self._sessions.get(session)
        if known is None:
            known = self._sessions[session] = _Session()
            while len(self._sessions) > self._limit:
                self._sessions.popitem(last=False)
        else:
            self._sessions.move_to_end(session)
        return known


_UNWRITTEN: Final = Written(set(), lambda _path: None)


def _under(path: str, places: AbstractSet[str]) -> bool:
    """Whether a path, or a directory it lies in, is among places that were written or brought."""
    while path not in places:
        path = path.rpartition("/")[0]
        if not path:
            return False
    return True


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


def _authored(effects: Sequence[Effect]) -> list[str]:
    found: list[str] = []
    for effect in effects:
        # A directory that was made is empty; one that was moved, copied or unpacked brings what lies in it.
        made = effect.op == "create" and effect.resource.kind == "dir"
        written = effect.op in _AUTHORING and not made
        place = effect.target if effect.op in _ARRIVING else effect.resource if written else None
        if place is not None and place.real is not None:
            found.append(place.real)
    return found
