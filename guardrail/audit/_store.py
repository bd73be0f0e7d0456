"""What the guard asks of a trail, whatever keeps it, and which one a configuration means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from guardrail.audit._place import trail_directory
from guardrail.audit._trail import Trail
from guardrail.config import Config


class AnyTrail(Protocol):
    """An append-only, signed ledger: `Trail` on segment files, or `PostgresTrail`, which replicas write together."""

    @property
    def size(self) -> int:
        """Number of durable records that this process knows of."""
        ...

    @property
    def root(self) -> bytes:
        """Root of the Merkle tree over them, 32 bytes."""
        ...

    def append(self, record: Mapping[str, Any], *, durable: bool = True) -> int:
        """Write one record; its number, or `TrailError` if it is not known to be written."""
        ...

    async def aappend(self, record: Mapping[str, Any], *, durable: bool = True) -> int:
        """Write one record without blocking the event loop."""
        ...

    def checkpoint(self) -> None:
        """Sign everything that was appended before, or raise `TrailError`; it passes through the whole store."""
        ...

    def close(self) -> None:
        """Write and sign what is waiting, and let go."""
        ...


def open_trail(config: Config) -> AnyTrail:
    """Open the trail of a configuration for writing.

    Args:
        config: its `[trail]` names the store.

    Raises:
        TrailError: if it cannot be used, or what it holds is not what was written.
    """
    return Trail.open(
        trail_directory(config),
        origin=config.trail.origin,
        segment_bytes=config.trail.segment_bytes,
        checkpoint_seconds=config.trail.checkpoint_seconds,
        timeout_seconds=config.trail.timeout_seconds,
    )
