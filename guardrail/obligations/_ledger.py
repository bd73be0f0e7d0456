"""The ledger of duties.

A mandate's obligation is accepted before any call under it runs, and at that moment the asset's files are pinned: a pin
is a descriptor that holds no content open to reading but still knows its inode after a rename, a link or a decoy.
A deletion counts as done when every declared path is gone and every pinned inode has no name left; an exit code, an
empty directory or the agent's word is no evidence.

A duty outlives the process, and the window of its mandate: it ends by being met, or with the mandate's revocation.

Blind spot: copies made before the pin, open descriptors of other processes, and snapshots below the filesystem.
A restart pins what is still at its place; of the rest only names are looked at, and the evidence says so.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final, Literal

import msgspec

from guardrail.assets import Asset, Inventory
from guardrail.mandates import Duty, Mandate, MandateLedger, Obligation
from guardrail.model import Effect, Outcome

MAX_PINS: Final = 64
"""Most inodes of one asset that are pinned, hence most descriptors one obligation holds open: its largest files."""

State = Literal["open", "met", "unmet", "withdrawn"]


class ObligationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One duty and how it stands.

    Args:
        id: `mandate/obligation`.
        mandate: id of the mandate that opened it.
        subject: pattern of agents that owe it.
        effect: what is owed, such as `delete`.
        asset: on which asset.
        state: `open`, `met`, `unmet`, or `withdrawn` with its mandate.
        attempts: calls judged so far that would have done it, by outcome.
        evidence: what was looked at and what it showed.
    """

    id: str
    mandate: str
    subject: str
    effect: str
    asset: str
    state: State
    attempts: dict[str, int] = {}
    evidence: tuple[str, ...] = ()


class _Duty:
    __slots__ = ("attempts", "evidence", "pins", "pins_complete", "state", "status", "tried", "watched")

    def __init__(self, status: ObligationStatus) -> None:
        self.status = status
        self.state: State = "open"
        self.attempts: dict[str, int] = {}
        self.evidence: tuple[str, ...] = ()
        self.pins: list[tuple[str, int]] = []
        self.pins_complete = True
        self.watched = False  # a call that would have done it was released, and it is not known to be done
        self.tried = False  # since the files were looked at


class Obligations:
    """Every duty that mandates have opened.

    Args:
        inventory: where the assets are.
        kept: what is owed since before; without it duties are those of this process.

    Raises:
        Fault: if what is kept cannot be read.
    """

    def __init__(self, inventory: Inventory, kept: MandateLedger | None = None) -> None:
        self._inventory = inventory
        self._kept = kept
        self._duties: dict[str, _Duty] = {}
        self._recorded: set[tuple[str, tuple[Obligation, ...]]] = set()
        self._lock = threading.Lock()
        for owed in kept.owed() if kept is not None else ():
            duty = _Duty(_status(owed))
            self._pin(duty)
            self._duties[owed.id] = duty

    def accept(self, mandates: Sequence[Mandate]) -> tuple[ObligationStatus, ...]:
        """Open the duties of mandates that are not on record yet.

        Returns:
            Duties that must be in the trail before a call under them runs; they are returned again, to everybody who
            asks, until `recorded` says that they are.
        """
        if not mandates:
            return ()
        missing = [mandate for mandate in mandates if mandate.obligations and _key(mandate) not in self._recorded]
        if not missing:
            return ()
        with self._lock:
            return tuple(self._duty(mandate, owed).status for mandate in missing for owed in mandate.obligations)

    def recorded(self, mandates: Sequence[Mandate]) -> None:
        """The duties of these mandates are durable in the trail."""
        if mandates:
            self._recorded.update(_key(mandate) for mandate in mandates if mandate.obligations)

    def _duty(self, mandate: Mandate, owed: Obligation) -> _Duty:
        key = f"{mandate.id}/{owed.id}"
        duty = self._duties.get(key)
        if duty is None or (duty.status.effect, duty.status.asset) != (owed.effect, owed.asset):
            if duty is not None:
                _unpin(duty)
            entry = Duty(key, owed.effect, owed.asset, mandate.id, mandate.subject)
            duty = _Duty(_status(entry))
            known = self._kept.owe(entry) if self._kept is not None else "open"
            if known == "met" and owed.effect != "delete":
                duty.state, duty.evidence = "met", ("it was found met before",)
            elif known == "met" and self._absent(owed.asset):
                duty.state, duty.evidence = "met", ("it was found met before, and is still absent",)
            else:
                self._pin(duty)
            # A new table, so that those who read it without the lock never see it change.
            self._duties = {**self._duties, key: duty}
        return duty

    def _absent(self, asset_id: str) -> bool:
        asset = self._inventory.get(asset_id)
        # Of an address it cannot be told, so what was met before stays so.
        return asset is not None and not any(map(os.path.lexists, asset.roots))

    @property
    def open(self) -> bool:
        """Whether any duty is not met yet."""
        return bool(self._duties) and any(duty.state in _OWED for duty in self._duties.values())

    def owed(self, mandates: Sequence[Mandate]) -> tuple[str, ...]:
        """Ids of the duties still open under these mandates."""
        if not self._duties:
            return ()
        ids = {mandate.id for mandate in mandates}
        return tuple(key for key, duty in self._duties.items() if duty.state in _OWED and duty.status.mandate in ids)

    def due(self, mandates: Sequence[Mandate]) -> dict[str, tuple[str, ...]]:
        """The assets that must be deleted and are not known to be, by the mandate that says so."""
        found: dict[str, tuple[str, ...]] = {}
        for key in self.owed(mandates):
            status = self._duties[key].status
            if status.effect == "delete":
                found[status.mandate] = (*found.get(status.mandate, ()), status.asset)
        return found

    def deletions(self, mandates: Sequence[Mandate]) -> tuple[str, ...]:
        """Ids of the duties to delete something that are still open under these mandates."""
        return tuple(key for key in self.owed(mandates) if self._duties[key].status.effect == "delete")

    def condemned(self, revoked: AbstractSet[str]) -> tuple[str, ...]:
        """The assets that must be deleted, whoever owes it, and also when the window of the order is over.

        Args:
            revoked: ids of mandates that were revoked: what they wanted is owed no more.
        """
        found = (duty.status for duty in self._duties.values() if duty.state in _OWED)
        return tuple(dict.fromkeys(one.asset for one in found if one.effect == "delete" and one.mandate not in revoked))

    def judged(self, effects: Sequence[Effect], mandates: Sequence[Mandate], outcome: Outcome) -> None:
        """Count a call that would have done what is owed, whatever was decided about it."""
        for key in self.owed(mandates):
            duty = self._duties[key]
            ops = _DOING.get(duty.status.effect, frozenset((duty.status.effect,)))
            if any(
                e.op in ops and e.resource.asset == duty.status.asset and e.attrs.get("verb") not in _STARTING
                for e in effects
            ):
                duty.attempts[outcome.value] = duty.attempts.get(outcome.value, 0) + 1
                if outcome is Outcome.ALLOW:
                    duty.watched = duty.tried = True

    def look(self) -> tuple[ObligationStatus, ...]:
        """Look at the duties that a released call may have done, or done in part, since they were looked at.

        Returns:
            Those that stand otherwise than before.
        """
        if not self._duties or not any(duty.watched for duty in self._duties.values()):
            return ()
        changed: list[ObligationStatus] = []
        with self._lock:
            for duty in self._duties.values():
                if not duty.watched or duty.state not in _OWED:
                    continue
                asset = self._inventory.get(duty.status.asset)
                # While something is left it is looked at once for each try, afterwards only for its being gone.
                if not duty.tried and asset is not None and any(map(os.path.lexists, asset.roots)):
                    continue
                before = duty.state, duty.evidence
                self._verify(duty)
                duty.tried = False
                if duty.state == "met":
                    duty.watched = False
                    if self._kept is not None:
                        self._kept.settle(_entry(duty))
                if (duty.state, duty.evidence) != before:
                    changed.append(self._snapshot(duty))
        return tuple(changed)

    def settle(self, revoked: AbstractSet[str] = frozenset()) -> tuple[ObligationStatus, ...]:
        """Look at the world and say of each duty whether it is done.

        Args:
            revoked: ids of mandates that were revoked: what they wanted is owed no more.

        Returns:
            Every duty with its evidence. One found met is closed and its pins are let go, so that the guard itself
            never keeps a deleted model's blocks alive.
        """
        with self._lock:
            for duty in self._duties.values():
                if duty.state not in _OWED:
                    continue
                if duty.status.mandate in revoked:
                    duty.state, duty.evidence = "withdrawn", ("its mandate was revoked",)
                    _unpin(duty)
                else:
                    self._verify(duty)
                if self._kept is not None and duty.state in ("met", "withdrawn"):
                    self._kept.settle(_entry(duty))
            return tuple(self._snapshot(duty) for duty in self._duties.values())

    def close(self) -> None:
        """Let every pin go."""
        with self._lock:
            for duty in self._duties.values():
                _unpin(duty)

    # -- one duty -----------------------------------------------------------------------------------------------

    def _snapshot(self, duty: _Duty) -> ObligationStatus:
        return msgspec.structs.replace(
            duty.status, state=duty.state, attempts=dict(duty.attempts), evidence=duty.evidence
        )

    def _pin(self, duty: _Duty) -> None:
        asset = self._inventory.get(duty.status.asset)
        if asset is None or duty.status.effect != "delete":
            return
        for path in sorted(self._inventory.files_of(asset.id), key=_size, reverse=True):
            if len(duty.pins) >= MAX_PINS:
                duty.pins_complete = False
                return
            try:
                duty.pins.append((path, os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)))
            except OSError:
                duty.pins_complete = False

    def _verify(self, duty: _Duty) -> None:
        status = duty.status
        asset = self._inventory.get(status.asset)
        if asset is None:
            duty.state, duty.evidence = "unmet", (f"`{status.asset}` is not in the inventory",)
            return
        if status.effect != "delete":
            done = duty.attempts.get(Outcome.ALLOW.value, 0) > 0
            duty.state = "met" if done else "unmet"
            # What came of it is in the record of that call.
            duty.evidence = (f"`{status.effect}` was {'released' if done else 'not released'} by the guard",)
            return
        left = [f"`{root}` is still there" for root in asset.roots if os.path.lexists(root)]
        named = [line for path, pin in duty.pins for line in _still_named(path, pin)]
        if named and len(named) < len(duty.pins):
            left.append(f"only in part deleted: {len(duty.pins) - len(named)} of {len(duty.pins)} files are gone")
        if asset.uris and not duty.pins and not duty.attempts.get(Outcome.ALLOW.value):
            left.append(f"no deletion at {_addresses(asset)} was released")
        if left or named:
            duty.state, duty.evidence = "unmet", (*left, *named)
            return
        if not asset.roots:
            text = f"deletion at {_addresses(asset)} was released; whether it is gone there cannot be seen from here"
            duty.state, duty.evidence = "met", (text,)
            return
        looked = f"{len(asset.roots)} paths absent, {len(duty.pins)} pinned inodes without a name"
        if not duty.pins:
            looked = f"{len(asset.roots)} paths absent; no inode was pinned, so only names were looked at"
        elif not duty.pins_complete:
            looked += "; not every file could be pinned"
        if asset.uris:
            looked += f"; {_addresses(asset)} cannot be seen from here"
        duty.state, duty.evidence = "met", (looked,)
        _unpin(duty)


_OWED: Final = frozenset({"open", "unmet"})
_STARTING: Final = frozenset("start restart reload enable unmask status show".split())
"""What is said to a service that is not to be ended."""

_DOING: Final = {"delete": frozenset({"delete", "api_delete"})}


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0


def _addresses(asset: Asset) -> str:
    return ", ".join(f"`{uri}`" for uri in asset.uris) or "no address"


def _status(owed: Duty) -> ObligationStatus:
    return ObligationStatus(
        id=owed.id, mandate=owed.mandate, subject=owed.subject, effect=owed.effect, asset=owed.asset, state="open"
    )


def _entry(duty: _Duty) -> Duty:
    status = duty.status
    return Duty(status.id, status.effect, status.asset, status.mandate, status.subject, duty.state)


def _key(mandate: Mandate) -> tuple[str, tuple[Obligation, ...]]:
    """A mandate that is replaced under its id may oblige to something else."""
    return mandate.id, mandate.obligations


def _still_named(path: str, pin: int) -> list[str]:
    try:
        links = os.fstat(pin).st_nlink
        where = os.readlink(f"/proc/self/fd/{pin}")
    except OSError as error:
        return [f"`{path}` cannot be looked at: {error.strerror}"]
    if links == 0:
        return []
    if where == path:
        return [f"`{path}` is still there"]
    if where.endswith(" (deleted)"):
        return [f"`{path}` was unlinked but the file has {links} other names"]
    return [f"`{path}` was not deleted but moved to `{where}`"]


def _unpin(duty: _Duty) -> None:
    for _, pin in duty.pins:
        try:
            os.close(pin)
        except OSError:  # closed by somebody else: nothing is left to let go
            continue
    duty.pins.clear()
