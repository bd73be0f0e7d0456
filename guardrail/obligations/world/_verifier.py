"""Looks at the world for one duty: quickly after a call, thoroughly when it is to be proven, and deletes if it may.

Not concerned with what follows from what is seen (`_machine`), nor with where it is kept (`_ledger`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import msgspec

from guardrail.assets import Asset
from guardrail.errors import AnalysisFault
from guardrail.model import Outcome
from guardrail.obligations._codec import MAX_LINE_CHARS, MAX_LINES, bounded, parts_of
from guardrail.obligations._duty import Duty
from guardrail.obligations._events import Erased, Finding, Looked, Pinned, Result, Terms
from guardrail.obligations.world._erase import Eraser, erase_copies
from guardrail.obligations.world._evaluation import (
    changed_scores,
    first_read,
    is_below,
    kept,
    look_at_scores,
    scores_of,
)
from guardrail.obligations.world._evidence import Pins, look, snapshot, status_at, with_digest
from guardrail.obligations.world._handles import Unanswered, is_alive
from guardrail.obligations.world._holders import Holders
from guardrail.obligations.world._lookback import Lookback
from guardrail.obligations.world._stores import UNSEEN, Addresses, Emptied, Store, is_address
from guardrail.obligations.world._sweep import Sweep
from guardrail.obligations.world._upkeep import Upkeep
from guardrail.obligations.world._world import World
from guardrail.printing import shortened

_LEFT: Final = frozenset(
    {"present", "moved", "hardlinked", "decoyed", "truncated", "partial", "copied_during", "missing"}
)
"""Findings that show that it was not done; of any other it cannot be said that it was."""


UNWITNESSED: Final = (
    "some files went while nothing held them, and may have other names: let `guardrail obligations verify` ask the "
    "filesystem, with the capability CAP_DAC_READ_SEARCH"
)
"""What is said where neither a descriptor nor a handle tells that the last name of a file is gone."""


class Verifier:
    """Looks at what duties are about, and holds their files.

    Args:
        world: what is known of the host.
        stores: who can be asked about addresses.
        lookback: where released calls took things; None where no trail is kept.
    """

    def __init__(self, world: World, stores: Sequence[Store], lookback: Lookback | None = None) -> None:
        self._lookback = lookback
        self._world = world
        self._stores = stores
        self._pins: dict[str, Pins] = {}
        self._upkeep = Upkeep()
        # INVARIANT: no descriptor is closed while somebody looks at it: its number may be another file's right after.
        self._lock = threading.RLock()

    # -- pins ---------------------------------------------------------------------------------------------------

    def files_of(self, asset_id: str) -> tuple[tuple[Pinned, ...], int]:
        """The files of an asset as they are now, and how many there are besides."""
        if self._asset(asset_id) is None:
            return (), 0
        try:
            digests = self._world.recognition.digests(asset_id)
        except AnalysisFault:
            digests = {}  # it is looked for by what is read now, and the certificate says what is not known
        return snapshot(self._world.inventory, asset_id, digests)

    def pin(self, duty: Duty) -> None:
        """Hold the files of a duty, as far as they are still where they were."""
        with self._lock:
            self.unpin(duty.terms.id)
            if duty.terms.effect == "delete" and duty.files:
                self._pins[duty.terms.id] = Pins(duty.files)

    def unpin(self, name: str) -> None:
        """Let the files of a duty go."""
        with self._lock:
            pins = self._pins.pop(name, None)
            if pins is not None:
                pins.close()

    def close(self) -> None:
        """Let every file go."""
        for name in list(self._pins):
            self.unpin(name)

    def copies_before(self, asset_id: str, kept_at: Sequence[str]) -> tuple[Finding, ...]:
        """What released calls made of an asset before its deletion was ordered, and is there still."""
        try:
            made = self._world.lineage.made_of(asset_id)
        except AnalysisFault:
            return ()  # it is found by its content, or not at all; the call is denied where lineage is needed
        there = [path for path in made if status_at(path) is not None and not self._world.is_allowed(path, kept_at)]
        says = "`{}` was made from it before the deletion was ordered"
        return tuple(Finding(kind="copied_before", says=says.format(path), path=path) for path in there)

    # -- looking ------------------------------------------------------------------------------------------------

    def quick(self, duty: Duty, now_us: int, *, deep: bool = False) -> Looked:
        """What the places show that are known; nothing is searched and nobody is asked.

        Args:
            duty: which.
            now_us: the time, in microseconds since 1970.
            deep: of what is to be kept or transferred, contents are read.
        """
        terms = duty.terms
        asset = self._asset_of(terms)
        if asset is None:
            says = f"`{terms.asset}` is not in the inventory"
            return Looked(result="present", at_us=now_us, evidence=(says,))
        if terms.effect == "evaluate":
            declared = [root for one in self._world.inventory if one.id != asset.id for root in one.roots]
            return bounded(look_at_scores(asset, terms, dict(duty.scores), now_us, declared))
        if terms.effect in ("retain", "transfer"):
            return bounded(self._upkeep.look(terms, duty.files, now_us, deep=deep))
        if terms.effect != "delete":
            return self._service(duty, now_us)
        if not _has_files(duty, asset):
            return self._released(duty, asset, now_us)
        with self._lock:
            seen = look(asset, duty.files, self._pins.get(terms.id, Pins()), now_us)
        if seen.result == "absent" and asset.uris:
            # Whoever has files to look at owes them; of the addresses the thorough look says what is known.
            seen = _with(seen, evidence=(*seen.evidence, f"{_named(asset)} {UNSEEN}"))
        return bounded(seen)

    def thorough(self, duty: Duty, now_us: int, uptime: tuple[str, int]) -> tuple[Looked, tuple[str, ...]]:
        """Search for what has to be gone: processes, mounts, watched directories and addresses.

        Args:
            duty: one that is about a deletion.
            now_us: the time, in microseconds since 1970.
            uptime: id of the boot, and the time since then in microseconds.

        Returns:
            What was seen, and the names of it that are left: of the files themselves, and of copies.
        """
        terms = duty.terms
        asset = self._asset_of(terms)
        pins = self._pins.get(terms.id, Pins())
        known = self.quick(duty, now_us)
        if asset is None:
            return known, ()
        if not _has_files(duty, asset) and self._asks(asset):
            known = Looked(result="absent", at_us=now_us, evidence=())  # the store knows better than what was released
        # While the pins are held no inode number can be given away, so this comparison is exact.
        holders = Holders(duty.files, pins)
        held = list(holders.findings()) if known.result == "absent" else []
        proven = 0
        if known.result == "absent":
            # INVARIANT: the guard itself must not keep alive what it is about to say is gone.
            self.unpin(terms.id)
            proven = _proven(duty.files, holders, held)
        linked = [one.path for one in known.findings if one.kind == "hardlinked"]
        before = [one.path for one in duty.violations if one.kind == "copied_before"]
        sweep = Sweep(self._world, asset, terms, duty.files, now_us, linked, before)
        found = [*known.findings, *held, *sweep.findings(), *sweep.unnamed(holders.unnamed), *self._taken(terms, sweep)]
        addresses = Addresses(asset.uris, self._stores)
        found += addresses.findings
        found += self._unknown(duty, asset)
        if known.result == "absent" and duty.files and not (duty.unlinked or known.unlinked):
            found.append(Finding(kind="unknown", says=UNWITNESSED))
        if holders.unreadable:
            sweep.unreadable.append(f"{holders.unreadable} processes could not be looked into")
        if sweep.blind:
            found.append(Finding(kind="unknown", says=f"not all could be looked at: {sweep.unreadable[0]}"))
        seen = Looked(
            result=_result(known, found),
            at_us=now_us,
            evidence=_evidence(known, found, sweep, addresses),
            findings=tuple(dict.fromkeys(found)),
            coverage=sweep.coverage(holders.processes, proven, uptime),
            unlinked=known.unlinked,
            final=True,
        )
        return bounded(seen), tuple(sweep.copies)

    def _unknown(self, duty: Duty, asset: Asset) -> Iterator[Finding]:
        """What keeps a deletion from being proven whatever was found: that it is not known what was to go."""
        terms = duty.terms
        if not duty.files and any(not is_address(place) for place in asset.roots):
            says = "none of its files was there when its deletion was ordered, so nobody can tell where they are"
            yield Finding(kind="unknown", says=says)
        try:
            if terms.registered and not self._world.recognition.knows(terms.asset):
                says = "what it was known by is gone from the registry: its content cannot be looked for any more"
                yield Finding(kind="unknown", says=says)
            digests = {file.sha256 for file in duty.files}
            registered = self._world.recognition.registered(terms.asset)
        except AnalysisFault as error:
            yield Finding(kind="unknown", says=str(error))
            return
        for path, sha256 in registered.items():
            if duty.files and sha256 not in digests and path not in {file.path for file in duty.files}:
                says = f"`{path}` was registered, and was not there any more when its deletion was ordered"
                yield Finding(kind="unknown", says=says, path=path)

    def _released(self, duty: Duty, asset: Asset, now_us: int) -> Looked:
        """What can be said of addresses without asking anybody: nothing, if somebody can be asked later."""
        if self._asks(asset):
            return Looked(result="unknown", at_us=now_us, evidence=duty.evidence or (f"{_named(asset)} was not asked",))
        if not duty.attempts.get(Outcome.ALLOW.value):
            says = f"no deletion at {_named(asset)} was released"
            return Looked(result="present", at_us=now_us, evidence=(says,))
        says = f"deletion at {_named(asset)} was released; whether it is gone there {UNSEEN}"
        return Looked(result="absent", at_us=now_us, evidence=(says,))

    def _taken(self, terms: Terms, sweep: Sweep) -> Iterator[Finding]:
        """What calls made of it, by lineage and by the trail, wherever that is."""
        try:
            for path in self._world.lineage.made_of(terms.asset):
                yield from sweep.made(path)
            if self._lookback is not None:
                allowed = partial(self._world.is_allowed, targets=terms.kept_at)
                yield from self._lookback.findings(terms, self._stores, allowed)
        except (AnalysisFault, OSError) as error:
            yield Finding(kind="unknown", says=f"what calls have made of it cannot be told: {error}")

    def _service(self, duty: Duty, now_us: int) -> Looked:
        terms = duty.terms
        changed, scores = self._since(duty)
        holds, why = self.is_owed(terms)
        done = duty.attempts.get(Outcome.ALLOW.value, 0) > 0
        if holds is False and changed and not done:
            # What decided whether it is owed was edited: it decides nothing any more.
            told = tuple(one.says for one in changed)
            return Looked(result="present", at_us=now_us, evidence=told, findings=changed, scores=scores)
        if holds is False:
            return Looked(result="absent", at_us=now_us, evidence=(f"not owed: {why}",), ruled_out=True, scores=scores)
        # What came of it is in the record of that call.
        says = f"`{terms.effect}` was {'released' if done else 'not released'} by the guard"
        if done:
            return Looked(result="absent", at_us=now_us, evidence=(says,), scores=scores)
        if holds is None:
            return Looked(result="unknown", at_us=now_us, evidence=(why,), scores=scores)
        missing = (Finding(kind="missing", says=f"{why}, and {says}"),) if why else ()
        return Looked(
            result="present",
            at_us=now_us,
            evidence=(f"{why}, and {says}" if why else says,),
            findings=(*missing, *changed),
            scores=scores,
        )

    def _since(self, duty: Duty) -> tuple[tuple[Finding, ...], tuple[tuple[str, str], ...]]:
        """What was changed of the scores that decide whether a duty is owed, and their digests as first read."""
        records = self._asset(duty.terms.records) if duty.terms.records else None
        scores = scores_of(records) if records is not None else ""
        if isinstance(scores, str):
            return (), duty.scores
        first = dict(duty.scores)
        return tuple(changed_scores(scores, first)), kept({**first_read(scores), **first})

    def is_owed(self, terms: Terms) -> tuple[bool | None, str]:
        """Whether the condition of a duty holds, and why; None if it cannot be told yet."""
        if not terms.records:
            return True, ""
        records = self._asset(terms.records)
        if records is None:
            return None, f"`{terms.records}` is not in the inventory"
        return is_below(records, terms)

    # -- deleting -----------------------------------------------------------------------------------------------

    def erase(self, duty: Duty, names: Sequence[str], now_us: int) -> Erased:
        """Delete what a duty is about.

        Args:
            duty: one on which somebody has given leave.
            names: further names and copies that were found.
            now_us: the time, in microseconds since 1970.
        """
        # One name is found as often as there are descriptors of it, one for each thread of ours.
        names = tuple(dict.fromkeys(names))
        asset = self._asset_of(duty.terms)
        pins = self._pins.get(duty.terms.id, Pins())
        if asset is None:
            return Erased(at_us=now_us, gone=0, left=(f"`{duty.terms.asset}` is not in the inventory",))
        files = tuple(file if file.sha256 else with_digest(file) for file in duty.files)
        # Before anything goes: a further name is the only one that is left as soon as the first is deleted.
        others = self._moved(duty, names)
        eraser = Eraser(files, pins)
        eraser.erase(file.path for file in files)
        wanted = duty.terms.derivatives or duty.word_derivatives
        ours, copies = _apart(names, {file.inode for file in files})
        eraser.erase(name for name in ours if wanted or name in others)
        gone, left = 0, list[str]()
        if wanted:
            gone, left = erase_copies(copies, (file.sha256 for file in files if file.sha256))
        else:
            left += [f"the copy `{name}` was left: the order does not say `derivatives`" for name in copies]
            left += [
                f"the name `{name}` was left: the order does not say `derivatives`"
                for name in ours
                if name not in others
            ]
        eraser.sweep_out(asset)
        in_stores = Emptied(duty.terms.addresses, self._stores)
        left += in_stores.left
        known = {file.inode for file in duty.files if file.sha256}
        # What one record has no room for is read once more when it is deleted, or is not known.
        told = next(parts_of(tuple(file for file in files if file.sha256 and file.inode not in known)), ())
        lines = tuple(shortened(line, MAX_LINE_CHARS) for line in (*eraser.left, *left))[:MAX_LINES]
        return Erased(at_us=now_us, gone=eraser.gone + gone + in_stores.gone, left=lines, files=told)

    def _moved(self, duty: Duty, names: Sequence[str]) -> frozenset[str]:
        """Names that are the only one of a file which was moved: they are the file, and no derivative."""
        only: set[str] = set()
        by_inode: dict[str, list[str]] = {}
        for name in names:
            status = status_at(name)
            if status is not None:
                by_inode.setdefault(f"{status.st_dev}:{status.st_ino}", []).append(name)
        for file in duty.files:
            found = by_inode.get(file.inode, [])
            status = status_at(found[0]) if len(found) == 1 else None
            if status is not None and status.st_nlink == 1:
                only.update(found)
        return frozenset(only)

    def _asset(self, asset_id: str) -> Asset | None:
        return self._world.inventory.get(asset_id)

    def _asset_of(self, terms: Terms) -> Asset | None:
        """The asset with every place that it has had since its deletion was ordered, whatever the inventory says now.

        INVARIANT: whoever edits the inventory can add a place to look at, and never take one away.
        """
        asset = self._asset(terms.asset)
        if asset is None or not terms.places:
            return asset
        roots = [place for place in terms.places if not is_address(place)]
        uris = [place for place in terms.places if is_address(place)]
        return msgspec.structs.replace(
            asset,
            roots=tuple(dict.fromkeys((*asset.roots, *roots))),
            uris=tuple(dict.fromkeys((*asset.uris, *uris))),
        )

    def knows(self, asset_id: str) -> bool:
        """Whether the inventory has an asset."""
        return self._asset(asset_id) is not None

    def places(self, asset_id: str) -> tuple[str, ...]:
        """The paths and addresses of an asset, as the inventory has them now."""
        asset = self._asset(asset_id)
        return () if asset is None else (*asset.roots, *asset.uris)

    def addresses(self, asset_id: str) -> tuple[str, ...]:
        """The addresses of an asset, as the inventory has them now."""
        return tuple(place for place in self.places(asset_id) if is_address(place))

    def is_registered(self, asset_id: str) -> bool:
        """Whether an asset is known by its content, as far as that can be told."""
        try:
            return self._world.recognition.knows(asset_id)
        except AnalysisFault:
            return True  # what cannot be read now was there, and has to be readable before anything is proven

    def _asks(self, asset: Asset) -> bool:
        return bool(asset.uris) and all(any(store.owns(uri) for store in self._stores) for uri in asset.uris)


def _has_files(duty: Duty, asset: Asset) -> bool:
    return bool(asset.roots or duty.files)


def _proven(files: Sequence[Pinned], holders: Holders, held: list[Finding]) -> int:
    """Of how many files the filesystem says that nothing is left; what it still has is added to what is held."""
    proven = 0
    for file in files:
        if file.inode in holders.found:
            continue
        try:
            alive = is_alive(file)
        except Unanswered:
            continue
        if not alive:
            proven += 1
        else:
            says = f"`{file.path}` has no name and is still held by what no process shows"
            held.append(Finding(kind="held", says=f"{says}: a descriptor in flight, a loop device or a mount", path=""))
    return proven


def _apart(names: Sequence[str], inodes: set[str]) -> tuple[list[str], list[str]]:
    """Further names of the files themselves, and copies."""
    ours: list[str] = []
    copies: list[str] = []
    for name in names:
        status = status_at(name)
        if status is not None:
            (ours if f"{status.st_dev}:{status.st_ino}" in inodes else copies).append(name)
    return ours, copies


def _result(known: Looked, found: Sequence[Finding]) -> Result:
    if known.result == "present" or any(one.kind in _LEFT for one in found):
        return "present"
    return "unknown" if found else "absent"


def _evidence(known: Looked, found: Sequence[Finding], sweep: Sweep, addresses: Addresses) -> tuple[str, ...]:
    told = list(known.evidence)
    told += [one.says for one in found if one.says not in told]
    told += [line for line in addresses.evidence if line not in told]
    if sweep.allowed:
        told.append(f"{len(sweep.allowed)} copies lie where the order lets them be, such as `{sweep.allowed[0]}`")
    told.append(
        f"swept {sweep.files} files in {len(sweep.places)} directories, compared {sweep.compared}, "
        f"{len(sweep.unreadable)} places not read"
    )
    return tuple(told)


def _with(seen: Looked, *, evidence: tuple[str, ...]) -> Looked:
    return msgspec.structs.replace(seen, evidence=("; ".join(evidence),))


def _named(asset: Asset) -> str:
    return ", ".join(f"`{uri}`" for uri in asset.uris) or "no address"
