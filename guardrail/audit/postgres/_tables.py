"""What is read from and written to the tables of the shared ledger, one method a question.

A write is a transaction of two messages. The first takes the frontier, the only lock there is: the number of a record
is known only while it is held. The second has the rows, the new frontier and the commit.

How a replica that stops in between is put out:
- The server ends a session that stands idle in its transaction (`idle_in_transaction_session_timeout`); the first
  message therefore ends with a full answer, after which that clock runs.
- It has no such clock between two parts of the second message, which a stopped process may have sent half of. Whoever
  waits longer than `lock_timeout` therefore ends the holder's session itself.
- Rows are not sent by COPY: a server in the middle of one listens to no clock at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from psycopg import sql

from guardrail.audit._tree import HASH_BYTES, Frontier
from guardrail.audit.postgres._server import LOCKED_OUT, Server, Unreachable
from guardrail.errors import TrailError

CHUNK: Final = 50_000
"""Most rows that are asked for at once."""

_LOCK: Final = "begin isolation level read committed read write; select size, roots from guardrail.frontier for update"

_OVER: Final = "; select not ended from guardrail.runs where run = %d"

_WRITE: Final = """
with rows as (
  insert into guardrail.ledger (seq, kind, leaf, run)
  select %b::bigint + place - 1, kind, leaf, nullif(%b::bigint, 0)
  from unnest(%b::text[], %b::bytea[]) with ordinality as t (kind, leaf, place)
)
update guardrail.frontier set size = %b, roots = %b
"""

_EVICT: Final = """
select pg_terminate_backend(a.pid)
from guardrail.frontier f
join pg_locks l on l.locktype = 'transactionid' and l.granted and l.transactionid = f.xmax
join pg_stat_activity a on a.pid = l.pid
where a.pid <> pg_backend_pid() and a.state_change < clock_timestamp() - %s * interval '1 second'
"""


class Row(NamedTuple):
    """One record to be written."""

    kind: str
    leaf: bytes


class Kept(NamedTuple):
    """A checkpoint as the table has it: the note is signed, the roots are believed only if they make its root."""

    size: int
    note: str
    roots: bytes


class Tables:
    """The ledger behind one connection.

    Args:
        server: the connection.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.run = 0
        """The run that writes here; 0 for what belongs to none."""
        self.over = False
        """Whether somebody had ended the run when the frontier was last taken."""

    # ── a turn ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def lock(self) -> Frontier:
        """Begin a turn: nobody else writes until `write`, `release`, or the end of the connection.

        Returns:
            The tree as it is.

        Raises:
            Unreachable: if somebody else held it for too long, or there is no answer.
            TrailError: if the frontier is no frontier.
        """
        with self.server.call() as connection:
            try:
                cursor = connection.execute((_LOCK + (_OVER % self.run if self.run else "")).encode(), prepare=False)
            except LOCKED_OUT:
                connection.rollback()
                connection.execute(_EVICT, (self.server.limits.hold,))
                raise Unreachable("another replica held the ledger for too long") from None
            cursor.nextset()
            tree = self._tree(cursor.fetchone())
            # INVARIANT: asked by a statement of its own after the frontier was taken: it sees who had it before.
            self.over = bool(self.run and cursor.nextset() and cursor.fetchone() != (True,))
            return tree

    def write(self, first: int, rows: Sequence[Row], after: Frontier) -> None:
        """Write the records of this turn, and end it.

        Args:
            first: number of the first record.
            rows: the records.
            after: the tree with them.

        Raises:
            Unreachable: if that is not known to have happened: ask `holds` in another turn.
            TrailError: if rows stand there already.
        """
        kinds, leaves = [row.kind for row in rows], [row.leaf for row in rows]
        with self.server.call() as connection, connection.pipeline():
            connection.execute(_WRITE, (first, self.run, kinds, leaves, after.size, b"".join(after.roots)))
            connection.execute("commit")

    def release(self) -> None:
        """End this turn without writing."""
        with self.server.call() as connection:
            connection.execute("rollback")

    def commit(self) -> None:
        """End this turn, without records."""
        with self.server.call() as connection:
            connection.execute("commit")

    def holds(self, first: int, digests: Sequence[bytes]) -> bool:
        """Whether these records, by their leaf hashes, stand from `first` on; asked in a turn.

        A leaf has its record's id, so its hash names the record.
        """
        with self.server.call() as connection:
            rows = connection.execute(
                "select hash from guardrail.ledger where seq >= %b and seq < %b order by seq",
                (first, first + len(digests)),
                binary=True,
            ).fetchall()
        return [bytes(row[0]) for row in rows] == list(digests)

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def frontier(self) -> Frontier:
        """The tree as it was last committed."""
        with self.server.call() as connection:
            return self._tree(connection.execute("select size, roots from guardrail.frontier").fetchone())

    def hashes(self, first: int, end: int) -> list[bytes]:
        """Leaf hashes of the records from `first` up to and without `end`, at most `CHUNK` of them.

        Raises:
            TrailError: if one is missing.
        """
        end = min(end, first + CHUNK)
        with self.server.call() as connection:
            rows = connection.execute(
                "select seq, hash from guardrail.ledger where seq >= %b and seq < %b order by seq",
                (first, end),
                binary=True,
            ).fetchall()
        found = [bytes(row[1]) for row in rows]
        if len(found) < end - first:
            found = [*self._pruned(first, int(rows[0][0]) if rows else end), *found]
        if len(found) != end - first:
            raise TrailError(
                f"the trail `{self.server.where}` is damaged: of the records {first} to {end - 1} only {len(found)} are"
                " there: run `guardrail audit verify` on it"
            )
        return found

    def _pruned(self, first: int, end: int) -> list[bytes]:
        """Leaf hashes of records that tiles stand for; that they are the right ones is seen by their root."""
        low = first // 256
        with self.server.call() as connection:
            rows = connection.execute(
                "select hashes from guardrail.tiles where level = 0 and tile >= %b and tile <= %b order by tile",
                (low, (end - 1) // 256),
                binary=True,
            ).fetchall()
        joined = b"".join(bytes(row[0]) for row in rows)[HASH_BYTES * (first - 256 * low) :][
            : HASH_BYTES * (end - first)
        ]
        return [joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)]

    def leaves(self, after: int, end: int, kinds: Sequence[str]) -> list[tuple[int, bytes]]:
        """Number and leaf of records of some kinds behind `after` and before `end`, at most `CHUNK` of them.

        Args:
            after: a number, or -1.
            end: a number.
            kinds: which; named in the text of the query, so that the index that is made for them is found.
        """
        named = sql.SQL(", ").join(sql.Literal(kind) for kind in sorted(kinds))
        query = sql.SQL(
            "select seq, leaf from guardrail.ledger where kind in ({}) and seq > %b and seq < %b order by seq limit %b"
        ).format(named)
        with self.server.call() as connection:
            rows = connection.execute(query, (after, end, CHUNK), binary=True).fetchall()
        return [(int(row[0]), bytes(row[1])) for row in rows]

    def of_run(self, run: int, first: int) -> list[tuple[int, bytes]]:
        """Number and leaf of a run's intents and results from `first` on, at most `CHUNK` of them."""
        with self.server.call() as connection:
            rows = connection.execute(
                "select seq, leaf from guardrail.ledger where run is not null and kind in ('intent', 'result')"
                " and run = %b and seq >= %b order by run, seq limit %b",
                (run, first, CHUNK),
                binary=True,
            ).fetchall()
        return [(int(row[0]), bytes(row[1])) for row in rows]

    def some(self, seqs: Sequence[int]) -> list[tuple[int, bytes]]:
        """Number and leaf of these records, as far as they are there."""
        with self.server.call() as connection:
            rows = connection.execute(
                "select seq, leaf from guardrail.ledger where seq = any(%b::bigint[]) order by seq",
                (list(seqs),),
                binary=True,
            ).fetchall()
        return [(int(row[0]), bytes(row[1])) for row in rows]

    def tiles(self, level: int) -> int:
        """How many tiles of a level there are, from the first on."""
        with self.server.call() as connection:
            row = connection.execute(
                "select coalesce(max(tile) + 1, 0) from guardrail.tiles where level = %s", (level,)
            ).fetchone()
        return int(row[0]) if row else 0

    # ── checkpoints ───────────────────────────────────────────────────────────────────────────────────────────────────

    def checkpoint(self, size: int | None = None) -> Kept | None:
        """The checkpoint over so many records, or the largest; None if there is none."""
        some = "" if size is None else "where size = %s"
        with self.server.call() as connection:
            row = connection.execute(
                f"select size, note, roots from guardrail.checkpoints {some} order by size desc limit 1",  # noqa: S608
                None if size is None else (size,),
            ).fetchone()
        return None if row is None else Kept(int(row[0]), str(row[1]), bytes(row[2]))

    def retired_keys(self) -> set[str]:
        """Verifier keys that sign nothing any more."""
        with self.server.call() as connection:
            rows = connection.execute("select key from guardrail.keys where event = 'retired'").fetchall()
        return {str(row[0]) for row in rows}

    def keep_checkpoint(self, tree: Frontier, note: str) -> None:
        """Add a checkpoint, unless another replica has signed the same tree already."""
        with self.server.call() as connection:
            connection.execute(
                "insert into guardrail.checkpoints (size, note, roots) values (%b, %b, %b) on conflict do nothing",
                (tree.size, note, b"".join(tree.roots)),
            )

    def _tree(self, row: tuple[Any, ...] | None) -> Frontier:
        if row is None:
            raise TrailError(f"the trail `{self.server.where}` has no frontier: restore it from a backup")
        try:
            return frontier_of(int(row[0]), bytes(row[1]))
        except ValueError as error:
            raise TrailError(f"the frontier of the trail `{self.server.where}` is damaged: {error}") from None


def frontier_of(size: int, roots: bytes) -> Frontier:
    """A tree from its size and its subtree roots in one piece.

    Raises:
        ValueError: if they do not fit each other.
    """
    return Frontier(size, [roots[at : at + HASH_BYTES] for at in range(0, len(roots), HASH_BYTES)])
