"""What people do at the centre: publish orders and revocations, take orders away, see how far each trail is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from guardrail.audit import trail_directory
from guardrail.audit._note import VKEY_FILE
from guardrail.audit._verify_note import read_key, read_note
from guardrail.central._announced import KINDS, MAX_BYTES, BundleAnnounced, Kind, open_announced
from guardrail.central._database import Database, Row
from guardrail.central._takeup import Taken
from guardrail.config import Config, secret
from guardrail.errors import ConfigError
from guardrail.mandates import Mandate, public_keys
from guardrail.mandates._directory import REVOKED, SUFFIX
from guardrail.mandates._mandate import MAX_MANDATE_BYTES
from guardrail.mandates._revocation import MAX_REVOCATION_BYTES, open_revocation
from guardrail.mandates._signing import PAYLOAD_TYPE, open_envelope, unseal

_ANNOUNCED: Final[Mapping[str, Kind]] = {".inventory.json": "inventory", ".bundle.json": "bundle"}
"""Endings of files with announcements."""

_TABLES: Final[Mapping[str, tuple[str, int]]] = {
    SUFFIX: ("mandates", MAX_MANDATE_BYTES),
    REVOKED: ("revocations", MAX_REVOCATION_BYTES),
}


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file.

    Args:
        file: its name.
        mandate: id of the mandate that it is about, or what is announced; empty if it was refused.
        fresh: whether it was not there before.
        why: why it was refused; empty if it was not.
    """

    file: str
    mandate: str = ""
    fresh: bool = False
    why: str = ""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What the centre has seen of one trail.

    Args:
        origin: its name.
        size: records under its newest checkpoint.
        seconds: how long ago that was recorded, in seconds.
        facts: what its guard says of itself; nobody has signed this.
        wrong: what is wrong with the checkpoint; empty if the key that the trail began with has signed it.
    """

    origin: str
    size: int
    seconds: float
    facts: Mapping[str, Any]
    wrong: str = ""


def open_database(config: Config) -> Database:
    """The centre of a configuration.

    Raises:
        ConfigError: if it has none.
        TrailError: if it cannot be used.
    """
    if not config.central.store:
        raise ConfigError("this configuration has no centre: set `central.store`")
    return Database(secret(config.central.store, "central.store"), config.central.timeout_seconds)


def publish(config: Config, files: Sequence[str]) -> list[Published]:
    """Put signed files where every guard reads them; only what would count is put there.

    Args:
        config: names the centre, and the people whose signatures count.
        files: `*.mandate.json`, `*.revocation.json`, `*.inventory.json` and `*.bundle.json`.

    Raises:
        ConfigError: if there is no centre.
        TrailError: if it cannot be used, or is full.
    """
    with open_database(config) as database:
        there = _ids(database)
        return [_publish(config, database, Path(file), there) for file in files]


def _publish(config: Config, database: Database, file: Path, there: dict[str, str]) -> Published:
    for end, kind in _ANNOUNCED.items():
        if file.name.endswith(end):
            return _announce(config, database, file, kind)
    ending = next((one for one in _TABLES if file.name.endswith(one)), None)
    if ending is None:
        endings = ", ".join(f"`{one}`" for one in (*_TABLES, *_ANNOUNCED))
        return Published(file=str(file), why=f"its name must end in one of {endings}")
    table, most = _TABLES[ending]
    try:
        with file.open("rb") as stream:
            envelope = stream.read(most + 1)
        mandate = _verified(config, table, envelope)
    except OSError as error:
        return Published(file=str(file), why=f"cannot be read: {(error.strerror or str(error)).lower()}")
    except ConfigError as error:
        return Published(file=str(file), why=str(error))
    digest = hashlib.sha256(envelope).hexdigest()
    if table == "mandates" and mandate in there.values() and digest not in there:
        return Published(
            file=str(file), why=f"another mandate `{mandate}` is there, and neither would count: withdraw it"
        )
    fresh = database.publish(table, envelope)
    if table == "mandates":
        there[digest] = mandate
    return Published(file=str(file), mandate=mandate, fresh=fresh)


def _announce(config: Config, database: Database, file: Path, kind: Kind) -> Published:
    people, may = public_keys(config), config.central.inventory_by if kind == "inventory" else config.central.bundle_by
    try:
        with file.open("rb") as stream:
            envelope = stream.read(MAX_BYTES[kind] + 1)
        announced = open_announced(kind, envelope, people, may)
    except OSError as error:
        return Published(file=str(file), why=f"cannot be read: {(error.strerror or str(error)).lower()}")
    except ConfigError as error:
        return Published(file=str(file), why=str(error))
    name = f"{kind} {announced.version}"
    for seen in _announced(config, database, kind):
        if seen.digest == hashlib.sha256(envelope).hexdigest():
            return Published(file=str(file), mandate=name)
        if seen.announced.version >= announced.version:
            why = f"the centre has version {seen.announced.version}: guards take up higher ones only"
            return Published(file=str(file), why=why)
    database.announce(kind, envelope)
    return Published(file=str(file), mandate=name, fresh=True)


def _announced(config: Config, database: Database, kind: Kind) -> list[Taken]:
    """What is announced of a kind by somebody who may, the newest first."""
    people, may = public_keys(config), config.central.inventory_by if kind == "inventory" else config.central.bundle_by
    found: list[Taken] = []
    for digest, envelope in database.announcements(kind, database.announced(kind)).items():
        with suppress(ConfigError):  # no guard heeds it
            found.append(Taken(open_announced(kind, envelope, people, may), digest))
    return sorted(found, key=lambda taken: -taken.announced.version)


def announced(config: Config) -> list[str]:
    """What is announced to all guards, in words.

    Args:
        config: names the centre, and whose announcements count.

    Raises:
        ConfigError: if there is no centre.
        TrailError: if it cannot be used.
    """
    lines: list[str] = []
    with open_database(config) as database:
        for kind in KINDS:
            for taken in _announced(config, database, kind)[:1]:
                one = taken.announced
                what = f", `{one.revision}`" if isinstance(one, BundleAnnounced) else f", {len(one.assets)} assets"
                lines.append(f"{kind} {one.version} is announced by {one.issuer}{what}")
    return lines


def _ids(database: Database) -> dict[str, str]:
    """Which mandates there are, by digest, whoever has signed them."""
    found: dict[str, str] = {}
    for digest, envelope in database.envelopes("mandates", database.names("mandates")).items():
        with suppress(ConfigError):  # it is none, and no guard heeds it
            sealed = unseal(envelope, PAYLOAD_TYPE, most=MAX_MANDATE_BYTES, what="mandate")
            found[digest] = Mandate.from_json(sealed.payload).id
    return found


def _verified(config: Config, table: str, envelope: bytes) -> str:
    """Id of the mandate that an envelope is about, if guards of this configuration would heed it.

    Raises:
        ConfigError: if they would not.
    """
    people = public_keys(config)
    if table == "mandates":
        return open_envelope(envelope, people).id
    return open_revocation(envelope, people, config.mandates.revokers).revocation.mandate


def withdraw(config: Config, mandate: str) -> int:
    """Take a mandate away from the centre; without a revocation it may be published again.

    Args:
        config: names the centre.
        mandate: its id.

    Returns:
        How many envelopes of that id were there.

    Raises:
        ConfigError: if there is no centre.
        TrailError: if it cannot be used, or this role may not.
    """
    with open_database(config) as database:
        found = [digest for digest, name in _ids(database).items() if name == mandate]
        return database.withdraw(found) if found else 0


def forget(config: Config, origin: str) -> bool:
    """Have the centre forget a trail, so that another one of that name, or one with another key, is recorded anew.

    Args:
        config: names the centre.
        origin: name of the trail.

    Returns:
        Whether it had seen one.

    Raises:
        ConfigError: if there is no centre.
        TrailError: if it cannot be used, or this role may not.
    """
    with open_database(config) as database:
        return database.forget(origin)


def origins(config: Config) -> list[Origin]:
    """What the centre has seen of each trail, with its signature verified here.

    Args:
        config: names the centre.

    Raises:
        ConfigError: if there is no centre.
        TrailError: if it cannot be used.
    """
    with open_database(config) as database:
        return [
            Origin(origin=row.origin, size=row.size, seconds=row.seconds, facts=row.facts, wrong=_wrong(row))
            for row in database.origins()
        ]


def examine(config: Config) -> str:
    """Look whether a guard could follow the centre; nothing is changed.

    Args:
        config: names the centre.

    Returns:
        What is there, in a few words.

    Raises:
        ConfigError: if there is none, or it would refuse the trail of this configuration.
        TrailError: if it cannot be used.
    """
    with open_database(config) as database:
        counts = {table: len(database.names(table)) for table in ("mandates", "revocations")}
        rows = database.origins()
    own = trail_directory(config) / VKEY_FILE
    seen = next((row for row in rows if row.origin == config.trail.origin), None)
    ours = own.read_text("utf-8").split() if own.exists() and not config.trail.store else []
    if seen is not None and ours and seen.vkey not in ours:
        raise ConfigError(
            f"the centre has seen another trail named `{seen.origin}`: give this one a `trail.origin` of its own,"
            " or let the centre forget that one (`guardrail central forget`)"
        )
    return f"{database.where}: {counts['mandates']} mandates, {counts['revocations']} revocations, {len(rows)} trails"


def _wrong(row: Row) -> str:
    try:
        key, note = read_key(row.vkey), read_note(row.note.encode())
    except ValueError as error:
        return f"the note or its key {error}"
    if (note.origin, note.size, note.root) != (row.origin, row.size, row.root) or key.name != row.origin:
        return "the note is about another trail or another state of it"
    ours = [line for line in note.lines if (line.name, line.key_id) == (key.name, key.key_id)]
    if not ours or not all(key.check(line.signature, note.text) for line in ours):
        return "the key that the trail began with has not signed it"
    return ""
