"""What guards with trails of their own have in common through a database: orders, their uses, how far each trail is.

The database is transport. An order counts by the signature that each guard verifies when it reads it; what was seen is
kept in `mandates.directory`, so that calls go on being judged by it while the database is away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.audit import AnyTrail, need_driver
from guardrail.central._status import Status
from guardrail.config import Config

if TYPE_CHECKING:
    from guardrail.central._central import Central

__all__ = ["Status", "open_central"]


def open_central(config: Config, trail: AnyTrail | None) -> Central | None:
    """The guard's side of the centre.

    Args:
        config: its `[central]` names the database.
        trail: the guard's own; None for one that keeps none, and so releases nothing.

    Returns:
        It, not following yet; None where there is no centre, or nothing is released.

    Raises:
        ConfigError: if the database is in an environment variable that is not set, or `mandates.directory` cannot be
            written.
        TrailError: if there is no driver.
    """
    if not config.central.store or trail is None:
        return None
    need_driver()
    from guardrail.central._central import Central  # loads a driver, which few need

    return Central(config, trail)
