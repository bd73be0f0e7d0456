"""What the guard asks of a trail, whatever keeps it, and which one a configuration means."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from guardrail.audit._note import KEY_FILE
from guardrail.audit._place import trail_directory
from guardrail.audit._publish import Sink
from guardrail.audit._record import Later
from guardrail.audit._trail import Trail
from guardrail.audit._unfinished import Answers
from guardrail.config import Config, secret
from guardrail.errors import TrailError


class AnyTrail(Protocol):
    """An append-only, signed ledger: `Trail` on segment files, or `PostgresTrail`, which replicas write together."""

    @property
    def place(self) -> Path | str:
        """Where it is read again: a directory, or a connection string."""
        ...

    @property
    def where(self) -> str:
        """The ledger, as messages name it."""
        ...

    last_us: int
    """When the last record was written, as it was opened, in microseconds since 1970: nothing lives before it."""

    @property
    def size(self) -> int:
        """Number of durable records that this process knows of."""
        ...

    @property
    def root(self) -> bytes:
        """Root of the Merkle tree over them, 32 bytes."""
        ...

    def append(self, record: Mapping[str, Any] | Later, *, durable: bool = True) -> int:
        """Write one record; its number, or `TrailError` if it is not known to be written."""
        ...

    async def aappend(self, record: Mapping[str, Any] | Later, *, durable: bool = True) -> int:
        """Write one record without blocking the event loop."""
        ...

    def checkpoint(self) -> None:
        """Sign everything that was appended before, or raise `TrailError`; it passes through the whole store."""
        ...

    def settle(self, answers: Answers) -> int:
        """Answer the intents that nobody else will answer; how many there were."""
        ...

    def tell(self, sink: Sink) -> None:
        """Hand every checkpoint to somebody else too, from the last one on."""
        ...

    def close(self) -> None:
        """Write and sign what is waiting, and let go."""
        ...


def open_trail(config: Config) -> AnyTrail:
    """Open the trail of a configuration for writing.

    Args:
        config: its `[trail]` names the store.

    Raises:
        ConfigError: if the store is in an environment variable that is not set.
        TrailError: if it cannot be used, or what it holds is not what was written.
    """
    directory, settings = trail_directory(config), config.trail
    second = config.path(settings.checkpoint_file) if settings.checkpoint_file else None
    if not settings.store:
        return Trail.open(
            directory,
            origin=settings.origin,
            segment_bytes=settings.segment_bytes,
            checkpoint_seconds=settings.checkpoint_seconds,
            timeout_seconds=settings.timeout_seconds,
            checkpoint_file=second,
            witnesses=[(witness.url, witness.key) for witness in settings.witnesses],
        )
    need_driver()
    from guardrail.audit.postgres import PostgresTrail

    return PostgresTrail.open(
        trail_place(config),
        directory=directory,
        key=trail_key(config),
        origin=settings.origin,
        checkpoint_seconds=settings.checkpoint_seconds,
        timeout_seconds=settings.timeout_seconds,
        checkpoint_file=second,
        witnesses=[(witness.url, witness.key) for witness in settings.witnesses],
    )


def trail_place(config: Config) -> str:
    """What `verify` and the command line are given for the trail of a configuration: a directory, or a database.

    Raises:
        ConfigError: if the store is in an environment variable that is not set.
    """
    return secret(config.trail.store, "trail.store") or str(trail_directory(config))


def trail_key(config: Config) -> Path:
    """The file with the private key of the trail of a configuration."""
    return config.path(config.trail.key) if config.trail.key else trail_directory(config) / KEY_FILE


def trail_records(config: Config, first: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """What the trail of a configuration says, with the number of each record.

    Args:
        config: whose trail.
        first: number of the first record.
    """
    from guardrail.audit._verify import read_records  # for a process that only judges calls it would be a burden

    return read_records(trail_place(config), first)


def need_driver() -> None:
    """Make sure that there is a driver for PostgreSQL.

    Raises:
        TrailError: if it is not installed.
    """
    if importlib.util.find_spec("psycopg") is None:
        raise TrailError("a trail in PostgreSQL needs `psycopg`: pip install 'guardrail-runtime[postgres]'")
