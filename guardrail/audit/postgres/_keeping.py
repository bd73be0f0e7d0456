"""What people do to a shared ledger: take away what an order is about, and replace its key. Replicas go on meanwhile.

Pruning a ledger in tables:
1. Everything before the place is older than the order says; the place is where a tile begins.
2. The tiles that stand for what goes are there.
3. The order, and the first record that stays, are a record of the ledger, covered by a checkpoint.
4. Only then do rows go, some at a time, so that nobody waits long; what a crash leaves goes with the next prune.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guardrail.audit._note import SigningKey, new_private_key, read_keys, write_keys
from guardrail.audit._tiles import TILE_WIDTH
from guardrail.audit.postgres._beside import connected, make_tiles
from guardrail.audit.postgres._runs import Runs
from guardrail.audit.postgres._server import Limits
from guardrail.audit.postgres._tables import Tables
from guardrail.audit.postgres._verify import read_rows
from guardrail.errors import TrailError

if TYPE_CHECKING:
    from guardrail.audit.postgres._trail import PostgresTrail

KEEPING_SECONDS: Final = 60.0
"""Longest time for one step of taking records away, in seconds."""

ROWS_AT_ONCE: Final = 10_000
"""Most records that are taken away in one transaction."""

Record = Mapping[str, Any]
"""What a leaf says."""

_NO_RIGHT: Final = "this role may not take records away: use the role that keeps the ledger, as in docs/postgres.md"


def prune_rows(
    trail: PostgresTrail, before_us: int, said_so: Mapping[str, Any], check: Callable[[Iterable[Record]], None]
) -> int:
    """Take away what is older than a time, by an order that was checked.

    Args:
        trail: the ledger, open as a role that may delete records.
        before_us: what is younger stays, in microseconds since the epoch.
        said_so: the record of the order, without what it does.
        check: raises if the records about retention forbid it; asked in the turn in which the order is written.

    Returns:
        Number of the first record that is left.

    Raises:
        TrailError: if there is nothing to take away, or it cannot be done.
    """
    with connected(trail.place, Limits(KEEPING_SECONDS, KEEPING_SECONDS)) as server:
        tables = Tables(server)
        _may_delete(tables)
        before = _minimum(trail.place)
        _remove(tables, before)
        minimum = _place(trail.place, before_us)
        if minimum <= before:
            raise TrailError("no whole tile holds only records from before that time: nothing was taken away")
        while (covered := make_tiles(tables, minimum)) < minimum:
            if not covered:
                raise TrailError("another replica makes tiles right now: try again")
        with closing(trail.ledger(("retention",))) as ledger, ledger.turn() as turn:
            check(record for _, record in turn.news(-1))
            keys = _keys_below(turn.tables, minimum)
            turn.append([{**said_so, "minimum": minimum, "records": minimum - before, "keys": keys}])
        trail.checkpoint()
        _remove(tables, minimum)
    return minimum


def _may_delete(tables: Tables) -> None:
    with tables.server.call() as connection:
        row = connection.execute("select has_table_privilege('guardrail.ledger', 'DELETE')").fetchone()
    if not (row and row[0]):
        raise TrailError(_NO_RIGHT)


def _minimum(store: str) -> int:
    found = 0
    for _, record in read_rows(store, ("retention",), strict=True):
        if record.get("event") == "prune":
            found = int(record["minimum"])
    return found


def _keys_below(tables: Tables, minimum: int) -> list[int]:
    """The records about keys that are kept for themselves, by number."""
    with tables.server.call() as connection:
        rows = connection.execute(
            "select seq from guardrail.keys where seq < %b and leaf is not null order by seq", (minimum,)
        ).fetchall()
    return [int(row[0]) for row in rows]


def _place(store: str, before_us: int) -> int:
    """Where the tile begins that holds the first record which is too young; a record without a time is."""
    seq = -1
    for seq, record in read_rows(store, strict=True):  # noqa: B007 - the first that stays, or the last there is
        if not isinstance(at := record.get("t_us"), int) or at > before_us:
            break
    return max(0, seq) // TILE_WIDTH * TILE_WIDTH


def _remove(tables: Tables, minimum: int) -> None:
    while True:
        with tables.server.call() as connection, connection.transaction():
            connection.execute("select set_config('guardrail.prune', 'ledger', true)")
            cursor = connection.execute(
                "delete from guardrail.ledger where seq in"
                " (select seq from guardrail.ledger where seq < %b order by seq limit %b)",
                (minimum, ROWS_AT_ONCE),
            )
        if cursor.rowcount < ROWS_AT_ONCE:
            return


# ── another key ───────────────────────────────────────────────────────────────────────────────────────────────────────


def add_key(trail: PostgresTrail, path: Path, origin: str) -> tuple[str, str]:
    """Put a key beside the one in the file, and say so in the ledger; as `rotation.begin`."""
    keys = read_keys(path)
    if len(keys) == 1:
        keys.append(new_private_key())
        write_keys(path, keys)
    old, new = (SigningKey(origin, key).vkey for key in keys)
    _say(trail, "added", old, new)
    return old, new


def retire_key(trail: PostgresTrail, path: Path, origin: str) -> tuple[str, str]:
    """Retire the older key in the file, if every replica signs with the newer one; as `rotation.finish`."""
    keys = read_keys(path)
    if len(keys) == 1:
        raise TrailError("no other key was added: begin with `guardrail audit rotate-key`")
    old, new = (SigningKey(origin, key).vkey for key in keys)

    def all_follow(tables: Tables) -> None:
        for replica, has in Runs(tables).live():
            if new not in has and replica != trail.replica:
                raise TrailError(
                    f"the replica `{replica}` does not sign with the new key yet: give each replica the new"
                    " `trail.key`, and start it again"
                )

    _say(trail, "retired", old, new, all_follow)
    write_keys(path, keys[1:])
    return old, new


def _say(
    trail: PostgresTrail, event: str, old: str, new: str, check: Callable[[Tables], None] = lambda _: None
) -> None:
    """One record and one row, in one turn, if nothing is against it; a step that a crash cut off is repeated."""
    with closing(trail.ledger(())) as ledger, ledger.turn() as turn:
        check(turn.tables)
        (seq,) = turn.append([{"kind": "key", "event": event, "key": old, "next": new}])
        with turn.tables.server.call() as connection:
            connection.execute(
                "insert into guardrail.keys (seq, event, key, next, leaf) values (%b, %b, %b, %b, %b)",
                (seq, event, old, new, turn.rows[-1].leaf),
            )
    trail.checkpoint()
