"""What was announced and is kept: verified, never older than what was seen, and there when the centre is not.

INVARIANT: what was taken up lies in `mandates.directory`, as it was signed. A guard that is to have an inventory, or an
announced bundle, and has none does not open: without its assets it would guard nothing, and look as if it did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from guardrail.audit._files import replace
from guardrail.central._announced import (
    KINDS,
    MAX_BYTES,
    AnyAnnounced,
    BundleAnnounced,
    InventoryAnnounced,
    Kind,
    open_announced,
    with_assets,
)
from guardrail.config import Config, secret
from guardrail.errors import ConfigError, TrailError
from guardrail.mandates import public_keys

if TYPE_CHECKING:
    from guardrail.central._database import Database

FILES: Final[Mapping[Kind, str]] = {"inventory": ".central-inventory.json", "bundle": ".central-bundle.json"}
"""Where what was taken up lies, in `mandates.directory`."""


class Taken(NamedTuple):
    """What was taken up of a kind.

    Args:
        announced: what it says.
        digest: SHA-256 of the envelope, in hexadecimal.
    """

    announced: AnyAnnounced
    digest: str


class TakeUp:
    """Takes up what people announce.

    Args:
        config: as it was read; its `[central]` says whose announcements count.
        keep: write down what is taken up.

    Raises:
        ConfigError: if what was kept is not what somebody announced who may.
    """

    def __init__(self, config: Config, *, keep: bool = True) -> None:
        self._config = config
        self._keep = keep
        self._may: dict[Kind, tuple[str, ...]] = {
            "inventory": config.central.inventory_by,
            "bundle": config.central.bundle_by,
        }
        self._people = public_keys(config) if self.kinds else {}
        self._directory = config.path(config.mandates.directory)
        self._looked: dict[Kind, frozenset[str]] = {}
        self._why: dict[Kind, str] = {}
        self._taken: dict[Kind, Taken] = {}
        self.told: Callable[[AnyAnnounced], None] | None = None
        """Called when something newer was taken up, from the thread that looks."""
        for kind in self.kinds:
            self._read(kind)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What this guard takes up."""
        return tuple(kind for kind in KINDS if self._may[kind])

    @property
    def refused(self) -> str:
        """Why what is announced now is not taken up; empty if it is."""
        return "; ".join(f"{kind}: {why}" for kind, why in self._why.items() if why)

    @property
    def inventory(self) -> InventoryAnnounced | None:
        """The inventory that was taken up last."""
        found = self._taken.get("inventory")
        return found.announced if found is not None and isinstance(found.announced, InventoryAnnounced) else None

    @property
    def bundle(self) -> BundleAnnounced | None:
        """The bundle that is to be served."""
        found = self._taken.get("bundle")
        return found.announced if found is not None and isinstance(found.announced, BundleAnnounced) else None

    def begin(self) -> Config:
        """Ask the centre what is announced, as long as that may take, and go on with what was taken up before.

        Returns:
            The configuration with the assets that are announced.

        Raises:
            ConfigError: if there is nothing to begin with.
        """
        cut = ""
        if self.kinds and (self._keep or len(self._taken) < len(self.kinds)):
            cut = self._ask()
        for kind in self.kinds:
            if kind not in self._taken:
                why = cut or self._why.get(kind) or "the centre has none"
                raise ConfigError(f"no {kind} was ever announced to this guard, and it is to have one: {why}")
        return self.merged()

    def merged(self) -> Config:
        """The configuration with the assets of the inventory that was taken up last.

        Raises:
            ConfigError: if it does not fit this configuration.
        """
        return self._config if self.inventory is None else with_assets(self._config, self.inventory)

    def _ask(self) -> str:
        """Look at the centre once; why that cannot be done, if it cannot."""
        from guardrail.audit import need_driver

        try:
            need_driver()
            from guardrail.central._database import Database  # loads a driver, which few need

            store = secret(self._config.central.store, "central.store")
            with Database(store, self._config.central.timeout_seconds) as database:
                self.look(database)
        except TrailError as error:
            return f"the centre cannot be asked: {error}"
        except OSError as error:
            return f"it cannot be kept: {(error.strerror or str(error)).lower()}"
        return ""

    def look(self, database: Database) -> None:
        """Take up what is announced, if it is newer and may be.

        Raises:
            TrailError: if the centre does not answer.
            OSError: if it cannot be kept; it is tried again.
        """
        for kind in self.kinds:
            names = database.announced(kind)
            if names == self._looked.get(kind):
                continue
            envelopes = database.announcements(kind, names)
            self._why[kind] = self._choose(kind, envelopes)
            self._looked[kind] = names

    def accepts(self, digest: str, revision: str) -> str:
        """Why a bundle is not the one that is to be served; empty if it is.

        Args:
            digest: of what it consists of.
            revision: what it calls itself.
        """
        wanted = self.bundle
        if "bundle" not in self.kinds or (wanted is not None and wanted.digest == digest):
            return ""
        name = "none" if wanted is None else f"`{wanted.revision}` (announcement {wanted.version})"
        return f"the bundle `{revision}` is not the one that is announced at the centre, which is {name}"

    def _choose(self, kind: Kind, envelopes: Mapping[str, bytes]) -> str:
        """Take up the newest of them that may be; why one that is newer was not."""
        found: list[tuple[Taken, bytes]] = []
        wrong: list[str] = []
        for envelope in envelopes.values():
            try:
                opened = open_announced(kind, envelope, self._people, self._may[kind])
            except ConfigError as error:
                wrong.append(str(error))
            else:
                found.append((Taken(opened, hashlib.sha256(envelope).hexdigest()), envelope))
        found.sort(key=lambda pair: pair[0].announced.version, reverse=True)
        if not found:
            return "; ".join(wrong)
        return self._take(kind, *found[0], twice=len(found) > 1 and _alike(found[0][0], found[1][0]))

    def _take(self, kind: Kind, newest: Taken, envelope: bytes, *, twice: bool) -> str:
        version, before = newest.announced.version, self._taken.get(kind)
        if before is not None and newest.digest == before.digest:
            return ""
        if twice or (before is not None and version == before.announced.version):
            return f"there are two of version {version}, and nobody knows which is meant"
        if before is not None and version < before.announced.version:
            return f"it has version {version}, and {before.announced.version} was seen: the centre was put back"
        try:
            if isinstance(newest.announced, InventoryAnnounced):
                with_assets(self._config, newest.announced)
        except ConfigError as error:
            return str(error)
        if self._keep:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            replace(self._path(kind), envelope)
        self._taken[kind] = newest
        if self.told is not None:
            self.told(newest.announced)
        return ""

    def _read(self, kind: Kind) -> None:
        path = self._path(kind)
        try:
            with path.open("rb") as stream:
                envelope = stream.read(MAX_BYTES[kind] + 1)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConfigError(f"cannot read `{path}`: {(error.strerror or str(error)).lower()}") from None
        try:
            announced = open_announced(kind, envelope, self._people, self._may[kind])
        except ConfigError as error:
            # INVARIANT: it says what must not be undercut. Whoever removes it begins anew, and knows it.
            raise ConfigError(
                f"`{path}` is not what was announced to this guard: {error}: remove it to take what the centre has"
            ) from None
        self._taken[kind] = Taken(announced, hashlib.sha256(envelope).hexdigest())

    def _path(self, kind: Kind) -> Path:
        return self._directory / FILES[kind]


def _alike(one: Taken, other: Taken) -> bool:
    return one.announced.version == other.announced.version
