"""Beginning with a shared ledger: its tables, its key, and what was seen of it before, in this order.

Whatever does not fit the one before is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from guardrail.audit._note import Signer, SigningKey, new_private_key, read_keys, write_keys
from guardrail.audit.postgres._known import Known
from guardrail.audit.postgres._runs import LEASE_SECONDS, Runs, replica_name
from guardrail.audit.postgres._schema import TURN, Identity, begin, identity, migrate, pending
from guardrail.audit.postgres._server import Limits, Server, Unreachable, place, told
from guardrail.audit.postgres._tables import Tables
from guardrail.errors import TrailError

OPEN_SECONDS: Final = 60.0
"""Longest time for making the tables, or for catching up with the ledger at the start, in seconds."""

EXAMINE_SECONDS: Final = 5.0
"""Longest time for a look at a ledger in passing, in seconds."""


def migrate_store(store: str) -> list[str]:
    """Make the tables of a shared ledger, or bring them up to this release.

    Args:
        store: connection string of a role that may create a schema.

    Returns:
        Names of the steps that were applied.

    Raises:
        TrailError: if the server cannot be used, the role may not, or the tables are of a later release.
    """
    try:
        server = Server(store, Limits(OPEN_SECONDS, OPEN_SECONDS))
        try:
            server.prepare()
            with told(server.where):
                return migrate(server.connection, server.where)
        finally:
            server.close()
    except Unreachable as error:
        raise TrailError(f"the server of the trail `{place(store)}` cannot be used: {error}") from None


def examine(store: str, *, key: Path, origin: str) -> str:
    """Look whether a replica could go on with a shared ledger; nothing is changed.

    Args:
        store: connection string.
        key: private key of the ledger.
        origin: name of the ledger.

    Returns:
        What is there, in a few words.

    Raises:
        TrailError: if a replica would be refused, with the reason.
    """
    try:
        server = Server(store, Limits.within(EXAMINE_SECONDS))
        try:
            with server.deadline(EXAMINE_SECONDS):
                server.prepare()
                with told(server.where):
                    missing = pending(server.connection, server.where)
                    whose = None if missing else identity(server.connection)
                if missing:
                    return f"{server.where}, where {missing} of its steps are to be applied at the first start"
                if whose is not None:
                    _fitting(server.where, key, origin, whose)
                return f"{server.where}, {Tables(server).frontier().size} records, shared, signed with `{key}`"
        finally:
            server.close()
    except Unreachable as error:
        raise TrailError(f"the server of the trail `{place(store)}` cannot be used: {error}") from None


def catch_up(
    store: str, directory: Path, key: Path, origin: str, elsewhere: str, lease_seconds: float = LEASE_SECONDS
) -> Known:
    """Server, tables, key, and what was seen before, in this order; whatever does not fit the one before is refused."""
    # What is done at the start takes no lock that a writer waits for, and may wait for a disk with one in hand.
    server = Server(store, Limits(OPEN_SECONDS, OPEN_SECONDS))
    try:
        with server.deadline(OPEN_SECONDS):
            server.prepare()
            with told(server.where):
                migrate(server.connection, server.where)
            signer, vkeys = _signer(server, key, origin)
            known = Known(directory, signer, server.where, vkeys)
            tables = Tables(server)
            known.begin(tables, elsewhere)
            if known.signed < known.tree.size:
                known.sign(tables, known.tree)
            # The directory has one process, so whoever wrote from here before writes no more.
            known.replica, runs = replica_name(directory), Runs(tables)
            runs.leave(known.replica)
            known.run = runs.begin(known.replica, known.vkeys, lease_seconds)
    finally:
        server.close()
    return known


def _signer(server: Server, key: Path, origin: str) -> tuple[Signer, Sequence[str]]:
    """The key of the ledger, made and written down by whoever begins it; and all keys that it ever had."""
    with told(server.where), server.connection.transaction():
        whose = identity(server.connection)
        if whose is None:
            server.connection.execute("select pg_advisory_xact_lock(%s)", (TURN,))
            whose = identity(server.connection)
        if whose is None and not key.exists():
            write_keys(key, [new_private_key()])
        signer = _fitting(server.where, key, origin, whose)
        if whose is None:
            whose = Identity(origin, (signer.keys[0].vkey,))
            begin(server.connection, whose)
    return signer, whose.vkeys


def _fitting(where: str, key: Path, origin: str, whose: Identity | None) -> Signer:
    """The signer, if it is that of the ledger."""
    if not key.exists():
        raise TrailError(
            f"the trail `{where}` has a key, and there is none at `{key}`:"
            " give this replica the `trail.key` of the others"
        )
    signer = Signer(origin, [SigningKey(origin, one) for one in read_keys(key)])
    ours = {one.vkey for one in signer.keys}
    if whose is not None and whose.origin == origin and not ours.isdisjoint(whose.retired) and len(ours) == 1:
        raise TrailError(
            f"the key `{key}` of the trail `{where}` was retired: give this replica the `trail.key` of the others"
        )
    if whose is not None and (whose.origin != origin or ours.isdisjoint(whose.in_force)):
        what = "another key" if whose.origin == origin else f"the name `{whose.origin}`"
        raise TrailError(
            f"the trail `{where}` has {what}: put its `trail.key` and its `trail.origin` there,"
            " or begin a new trail in another database"
        )
    return signer
