"""What a shared ledger has beside its records: tiles, cosigned checkpoints, and what records disclosed."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

from guardrail.audit._note import Checkpoint
from guardrail.audit._tiles import TILE_WIDTH, fold_level
from guardrail.audit.postgres._reading import Reader, cut
from guardrail.audit.postgres._server import Limits, Server, Unreachable, place
from guardrail.audit.postgres._tables import Tables

TILES_AT_ONCE: Final = 1024
"""Most tiles of one level that are made at one time: those of 262,144 records."""

TILING: Final = 0x6775_6172_6474
"""Number of the advisory lock under which tiles are made, so that only one replica does it."""

_ADD: Final = """
insert into guardrail.tiles (level, tile, hashes)
select 0, seq / 256, string_agg(hash, ''::bytea order by seq) from guardrail.ledger
where seq >= 256 * %b::bigint and seq < 256 * %b::bigint
group by seq / 256 having count(*) = 256 on conflict do nothing
"""


def make_tiles(tables: Tables, upto: int | None = None) -> int:
    """Make the full tiles that are missing, at most `TILES_AT_ONCE`, unless somebody else is at it.

    Args:
        tables: the ledger.
        upto: make all of the first level below this record.

    Returns:
        How many records the first level covers.
    """
    size = tables.frontier().size if upto is None else upto
    with tables.server.call() as connection, connection.transaction():
        row = connection.execute("select pg_try_advisory_xact_lock(%s)", (TILING,)).fetchone()
        free = bool(row and row[0])
    if not free:
        return 0
    done = tables.tiles(0)
    end = min(size // TILE_WIDTH, done + TILES_AT_ONCE)
    while done < end:
        step = min(end, done + TILE_WIDTH)
        with tables.server.call() as connection:
            connection.execute(_ADD, (done, step))
        if tables.tiles(0) == done:
            break  # records are missing: the verifier says which
        done = tables.tiles(0)
    level = 1
    while _make_level(tables, level):
        level += 1
    return TILE_WIDTH * done


def _make_level(tables: Tables, level: int) -> bool:
    done, below = tables.tiles(level), tables.tiles(level - 1)
    for index in range(done, below // TILE_WIDTH):
        with tables.server.call() as connection:
            rows = connection.execute(
                "select hashes from guardrail.tiles where level = %b and tile >= %b and tile < %b order by tile",
                (level - 1, index * TILE_WIDTH, (index + 1) * TILE_WIDTH),
                binary=True,
            ).fetchall()
            hashes = b"".join(fold_level(list(cut(bytes(row[0])))) for row in rows)
            connection.execute(
                "insert into guardrail.tiles (level, tile, hashes) values (%b, %b, %b) on conflict do nothing",
                (level, index, hashes),
            )
    return below >= TILE_WIDTH


def keep_cosigned(store: str, limits: Limits, checkpoint: Checkpoint, note: str) -> None:
    """Keep a checkpoint with the cosignature that it got.

    Raises:
        TrailError: if it cannot be kept.
    """
    with connected(store, limits) as server, server.call() as connection:
        connection.execute("insert into guardrail.cosigned (size, note) values (%b, %b)", (checkpoint.size, note))


class Disclosed:
    """What records disclosed, in a table.

    Args:
        store: connection string.
        timeout_seconds: longest wait for the server, in seconds.
    """

    def __init__(self, store: str, timeout_seconds: float) -> None:
        self._store = store
        self._limits = Limits.within(timeout_seconds)
        self._server: Server | None = None

    def name(self, record_id: str) -> str:  # noqa: ARG002 - as of files
        """The ledger, as messages name it."""
        return place(self._store)

    def put(self, record_id: str, texts: Mapping[str, str]) -> None:
        """Keep what a record is to disclose; called by one thread.

        Raises:
            TrailError: if it is not known to be kept.
        """
        try:
            self._put(record_id, texts)
        except Unreachable:
            # The connection may have been lost while nobody used it; the second attempt has a new one.
            self._drop()
            try:
                self._put(record_id, texts)
            except Unreachable:
                self._drop()
                raise

    def _put(self, record_id: str, texts: Mapping[str, str]) -> None:
        if self._server is None:
            self._server = Server(self._store, self._limits)
            self._server.prepare()
        with self._server.deadline(self._limits.timeout), self._server.call() as connection:
            connection.execute(
                "insert into guardrail.disclosures (record, pointer, text)"
                " select %b, pointer, text from unnest(%b::text[], %b::text[]) as t (pointer, text)"
                " on conflict do nothing",
                (record_id, list(texts), list(texts.values())),
            )

    def _drop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            with suppress(OSError):
                server.close()

    def held(self, record_id: str) -> Mapping[str, str]:
        """What is left of what a record disclosed, by pointer."""
        with Reader.open(self._store) as reader:
            return reader.disclosed(record_id)

    def take_away(self, record_id: str, pointer: str) -> bool:
        """Delete one disclosure for good; whether it was there."""
        with connected(self._store, self._limits) as server, server.call() as connection:
            cursor = connection.execute(
                "delete from guardrail.disclosures where record = %b and pointer = %b", (record_id, pointer)
            )
            return cursor.rowcount == 1


@contextmanager
def connected(store: str, limits: Limits) -> Generator[Server]:
    """A server for one thing that is to be done.

    Raises:
        Unreachable: if it cannot be used.
    """
    server = Server(store, limits)
    try:
        with server.deadline(limits.timeout):
            server.prepare()
            yield server
    finally:
        server.close()
