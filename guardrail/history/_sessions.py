"""Facts of each session, noted when a call is released.

Kept in memory: a restart forgets them, which `docs/limits.md` says. Rules see them as `context.history`.
"""

from __future__ import annotations

import fnmatch
import glob
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from guardrail.model import ANY_DEPTH, Effect, Resource

MAX_AUTHORED: Final = 10_000
"""Most files remembered as written by one session; past it every script counts as written by the session."""

MAX_VAGUE: Final = 64
"""Most patterns of names remembered as written by one session; past it their directories count as a whole."""

MAX_SEEN: Final = 64
"""Most files of one asset that are remembered as read by one session."""

MAX_DERIVED: Final = 10_000
"""Most files remembered as holding what was copied from an asset in one session."""

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


class _Session:
    __slots__ = ("authored", "calls", "denied", "derived", "labels", "linked", "seen", "vague")

    def __init__(self) -> None:
        self.labels: dict[str, None] = {}
        self.authored: set[str] = set()
        self.vague: set[str] = set()
        self.linked = False  # a name may be that of another file
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

    def annotate(self, session: str, effects: Sequence[Effect]) -> tuple[Effect, ...]:
        """Mark the programs and scripts among `effects` that this session itself wrote or brought, and its copies.

        Returns:
            The effects; an execution of such a file has `attrs.authored`, and what is taken from a copy that the
            session made of an asset is taken from the asset.
        """
        with self._lock:
            known = self._sessions.get(session)
            authored = known.authored if known else frozenset[str]()
            vague = known.vague if known else frozenset[str]()
            linked = known is not None and (known.linked or len(vague) >= MAX_VAGUE)
            full = len(authored) >= MAX_AUTHORED
            derived = dict(known.derived) if known and known.derived else None
        if derived is not None:
            effects = [_of_copy(effect, derived) for effect in effects]
        # A file written earlier in the same call counts as well: `cat > x.py <<E ...; python x.py`.
        linked = linked or _links(effects)
        fresh = set(_authored(effects, linked=linked))
        patterns = vague | set(() if linked else _vaguely(effects))
        if not authored and not fresh and not patterns:
            return tuple(effects)
        return tuple(
            msgspec.structs.replace(effect, attrs={**effect.attrs, "authored": True})
            if effect.op in ("exec", "exec_opaque")
            and effect.resource.real is not None
            and (
                full
                or _under(effect.resource.real, authored)
                or _under(effect.resource.real, fresh)
                or (patterns and _named(effect.resource.real, patterns))
            )
            else effect
            for effect in effects
        )

    def released(self, session: str, effects: Sequence[Effect], class_of: Callable[[str], str | None]) -> None:
        """Note a call that was allowed to run.

        Args:
            session: whose call.
            effects: what it would do, resolved.
            class_of: asset id -> its class.
        """
        with self._lock:
            known = self._get(session)
            known.calls += 1
            for effect in effects:
                asset = effect.resource.asset
                if asset and class_of(asset) in LABELLING_CLASSES:
                    self._note(known, effect, asset)
            known.linked = known.linked or len(known.vague) >= MAX_VAGUE or _links(effects)
            if len(known.authored) < MAX_AUTHORED:
                known.authored.update(_authored(effects, linked=known.linked))
            if not known.linked:
                known.vague.update(_vaguely(effects))

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


def _links(effects: Sequence[Effect]) -> bool:
    """A call makes links: what is written by one name may be there by another."""
    return any(effect.op in ("link", "mount") for effect in effects)


def _pattern_of(place: Resource) -> str | None:
    """How the name of a file looks that is known in part, such as `/w/build-*.log`; None if it may be anywhere."""
    pattern = place.pattern
    if pattern is None or place.real is None or ANY_DEPTH in pattern or "**" in pattern:
        return None
    parts = pattern.split("/")
    first = next((index for index, part in enumerate(parts) if any(char in part for char in "*?[")), None)
    return None if first is None else f"{glob.escape(place.real.rstrip('/'))}/{'/'.join(parts[first:])}"


def _vaguely(effects: Sequence[Effect]) -> list[str]:
    """Names that are written, as far as they are known."""
    places = (_place(effect) for effect in effects)
    found = (_pattern_of(place) for place in places if place is not None and place.pattern is not None)
    return [pattern for pattern in found if pattern is not None]


def _named(path: str, patterns: AbstractSet[str]) -> bool:
    """Whether a path, or a directory it lies in, may be one of those names."""
    return any(fnmatch.fnmatchcase(path, one) or fnmatch.fnmatchcase(path, f"{one}/*") for one in patterns)


def _authored(effects: Sequence[Effect], *, linked: bool) -> list[str]:
    found: list[str] = []
    for effect in effects:
        place = _place(effect)
        if place is not None and place.real is not None and (linked or _pattern_of(place) is None):
            found.append(place.real)
    return found


def _place(effect: Effect) -> Resource | None:
    """What an effect writes or brings."""
    # A directory that was made is empty; one that was moved, copied or unpacked brings what lies in it.
    made = effect.op == "create" and effect.resource.kind == "dir"
    written = effect.op in _AUTHORING and not made
    return effect.target if effect.op in _ARRIVING else effect.resource if written else None
