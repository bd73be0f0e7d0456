"""What a session, or an agent over all its sessions, did: facts that rules see, each looked up in constant time.

Not concerned with where they are kept.
INVARIANT: facts are only ever added, and every kind of them has a bound; past it `*` stands for all that is not
remembered, so that nobody gets out of sight by doing more.
"""

from __future__ import annotations

import fnmatch
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from guardrail.history._hosts import host_of
from guardrail.history._store import Fact
from guardrail.masking import masked
from guardrail.model import Effect, Resource

MAX_LABELS: Final = 64
"""Most assets that one session or agent is remembered to have seen; past it, it has seen all."""

MAX_ASSETS: Final = 256
"""Most assets that are remembered for each thing done to them."""

MAX_JOBS: Final = 256
"""Most jobs that are remembered as put off, and as called off."""

MAX_HOSTS: Final = 1024
"""Most hosts that are remembered as contacted; a further one is always new."""

MAX_REFUSALS: Final = 99
"""Most refusals of one operation on one asset that are counted."""

MAX_LISTED: Final = 64
"""Most names of one kind that rules are given; those that a call is about are always among them."""

MAX_VALUE_CHARS: Final = 512
"""Longest name of a job that is remembered, in characters; of a longer one the beginning."""

EVERYTHING: Final = "*"
"""Stands in a list for all that is not remembered."""

_READING: Final = frozenset({"read", "net_recv"})
_TAKING: Final = frozenset({"copy", "link", "rename", "net_send", "api_copy"})
_ENDING: Final = frozenset({"delete", "truncate", "api_delete"})
_LOOKING: Final = frozenset("read list net_recv env exec exec_opaque remote_exec mention".split())
_CALLED_OFF: Final = frozenset({"remove", "cancel", "delete", "disable", "stop", "unqueue"})

_BOUNDS: Final = {
    "label": MAX_LABELS,
    "read": MAX_ASSETS,
    "copied": MAX_ASSETS,
    "deleted": MAX_ASSETS,
    "queued": MAX_JOBS,
    "unqueued": MAX_JOBS,
    "reconnaissance": MAX_LISTED,
    "refused_model": MAX_ASSETS,
    "unpredicted": MAX_ASSETS,
}
_NAMES: Final = {"label": "labels", "refused_model": "refused_models"}


class Deeds:
    """The facts of one session or agent.

    What is new since the last `take_news` is in `news`.
    """

    __slots__ = ("calls", "contact", "denied", "news", "refused", "sets", "unsaved", "unsaved_denied")

    def __init__(self) -> None:
        self.sets: dict[str, dict[str, None]] = {}
        self.contact: dict[str, str] = {}
        self.refused: dict[str, dict[str, int]] = {}
        self.calls = 0
        self.denied = 0
        self.unsaved = 0
        self.unsaved_denied = 0
        self.news: list[Fact] = []

    def take(self, fact: Fact) -> bool:
        """Note a fact, unless it is known or there are too many of its kind.

        Returns:
            Whether it is of a kind that is kept here.
        """
        kind, value, more = fact
        if kind in _BOUNDS:
            self._take(kind, value)
        elif kind == "contact":
            if value not in self.contact and len(self.contact) < MAX_HOSTS:
                self.contact[value] = more
                self.news.append(fact)
        elif kind == "refused":
            op, _, count = more.rpartition(" ")
            name = value if value in self.refused or len(self.refused) < MAX_ASSETS else EVERYTHING
            number, counts = min(int(count), MAX_REFUSALS), self.refused.setdefault(name, {})
            if number > counts.get(op, 0):
                counts[op] = number
                self.news.append(Fact(kind, name, f"{op} {number}"))
        else:
            return False
        return True

    def load(self, fact: Fact) -> bool:
        """Take back a fact that was kept, in whichever order they come.

        Returns:
            Whether it is of a kind that is kept here.
        """
        if fact.kind in _BOUNDS:
            self.sets.setdefault(fact.kind, {})[fact.value] = None
            return True
        return self.take(fact)

    def _take(self, kind: str, value: str) -> None:
        known = self.sets.setdefault(kind, {})
        if value in known or EVERYTHING in known:
            return
        name = value if len(known) < _BOUNDS[kind] else EVERYTHING
        known[name] = None
        self.news.append(Fact(kind, name))

    def holds(self, kind: str, value: str) -> bool:
        """Whether a fact is among those that are known, or may be."""
        known = self.sets.get(kind)
        return known is not None and (value in known or EVERYTHING in known)

    def facts(self, assets: Sequence[str], hosts: Sequence[str], authored: int) -> dict[str, Any]:
        """What rules are told: counts of calls, and of all else only what there is.

        Args:
            assets: that a call is about.
            hosts: that it would contact.
            authored: number of files written.
        """
        told: dict[str, Any] = {"calls": self.calls, "denied": self.denied}
        for kind, known in self.sets.items():
            if kind != "reconnaissance":
                told[_NAMES.get(kind, kind)] = _listed(known, assets)
            else:
                told[kind] = len(known)
        if self.refused:
            told["refused"] = {asset: self.refused[asset] for asset in (*assets, EVERYTHING) if asset in self.refused}
        if hosts:
            told["contact"] = {host: self.contact.get(host, "new") for host in hosts}
        if self.contact:
            told["hosts"] = len(self.contact)
        if authored:
            told["authored"] = authored
        return told


def _listed(known: Mapping[str, None], assets: Sequence[str]) -> list[str]:
    if len(known) <= MAX_LISTED + 1:  # `*` is one more
        return list(known)
    names = itertools.islice(known, MAX_LISTED)
    wanted = (*assets, EVERYTHING)
    return list(dict.fromkeys((*names, *(name for name in wanted if name in known))))


class Watch:
    """Tells which effects are worth remembering of an agent.

    Args:
        reconnaissance: globs on what is read or listed by whoever looks for other hosts.
    """

    def __init__(self, reconnaissance: Iterable[str]) -> None:
        parts = [fnmatch.translate(pattern) for pattern in reconnaissance]
        self._looks = re.compile("|".join(parts)) if parts else None

    def looks_around(self, effects: Sequence[Effect]) -> bool:
        """Whether a call looks for other hosts."""
        for effect in effects:  # noqa: SIM110 - a generator costs as much again, and this runs in every decision
            if self._reconnaissance(effect) is not None:
                return True
        return False

    def note(self, effects: Sequence[Effect], session: Deeds, agent: Deeds) -> None:
        """Remember a call that was released."""
        for effect in effects:
            looked = self._reconnaissance(effect)
            if looked is not None:
                _both(session, agent, Fact("reconnaissance", masked(looked)))
            target = effect.target
            if effect.resource.uri is not None or (target is not None and target.uri is not None):
                for host in hosts_of((effect,)):
                    found = session.sets.get("reconnaissance")
                    _both(session, agent, Fact("contact", host, "found" if found else "known"))
            _note_asset(effect, session, agent)
            if effect.op == "schedule":
                _note_job(effect, session, agent)

    def refuse(
        self, effects: Sequence[Effect], model_of: Callable[[str], str | None], session: Deeds, agent: Deeds
    ) -> None:
        """Remember a call that was denied: about which assets, and models."""
        tried = dict.fromkeys(
            (asset, effect.op) for effect in effects if effect.op not in _LOOKING for asset in _assets_of(effect)
        )
        for asset, op in tried:
            for deeds in (session, agent):
                deeds.take(Fact("refused", asset, f"{op} {deeds.refused.get(asset, {}).get(op, 0) + 1}"))
            model = model_of(asset)
            # Who was not allowed to delete a model has not stood up for it.
            if model is not None and op not in _ENDING:
                _both(session, agent, Fact("refused_model", model))

    def _reconnaissance(self, effect: Effect) -> str | None:
        if self._looks is None or effect.op not in ("read", "list"):
            return None
        place = effect.resource.real or effect.resource.uri
        return place[:MAX_VALUE_CHARS] if place is not None and self._looks.match(place) is not None else None


def hosts_of(effects: Sequence[Effect]) -> tuple[str, ...]:
    """The hosts that a call would contact, each once, in order."""
    found: dict[str, None] = {}
    for effect in effects:
        # Most effects are on files of this machine.
        for side in (effect.resource, effect.target):
            if side is not None and side.uri is not None and (host := host_of(side)) is not None:
                found[host] = None
    return tuple(found)


def _both(session: Deeds, agent: Deeds, fact: Fact) -> None:
    session.take(fact)
    agent.take(fact)


def _assets_of(effect: Effect) -> tuple[str, ...]:
    sides: tuple[Resource | None, ...] = (effect.resource, effect.target)
    return tuple(side.asset for side in sides if side is not None and side.asset is not None)


def _note_asset(effect: Effect, session: Deeds, agent: Deeds) -> None:
    asset = effect.resource.asset
    if asset is None:
        return
    for ops, kind in ((_READING, "read"), (_TAKING, "copied"), (_ENDING, "deleted")):
        if effect.op in ops:
            _both(session, agent, Fact(kind, asset))


def _note_job(effect: Effect, session: Deeds, agent: Deeds) -> None:
    """Work that is put off, or called off; taking what was to be deleted off its list is calling off."""
    asset, verb = effect.resource.asset, effect.attrs.get("verb")
    undone = asset is not None and (session.holds("deleted", asset) or agent.holds("deleted", asset))
    name = (asset or effect.resource.address)[:MAX_VALUE_CHARS]
    _both(session, agent, Fact("unqueued" if undone or verb in _CALLED_OFF else "queued", name))
