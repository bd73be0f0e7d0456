"""What guards with trails of their own have in common through a database: orders and their uses, how far each trail is,
and what waits for people at any of them.

The database is transport. An order counts by the signature that each guard verifies when it reads it; what was seen is
kept in `mandates.directory`, so that calls go on being judged by it while the database is away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.audit import AnyTrail, need_driver
from guardrail.central._status import Status
from guardrail.central._takeup import TakeUp
from guardrail.config import Config

if TYPE_CHECKING:
    from guardrail.central._central import Central
    from guardrail.central._elsewhere import Elsewhere

__all__ = ["Status", "TakeUp", "elsewhere_of", "open_central"]


def open_central(config: Config, trail: AnyTrail | None, announced: TakeUp) -> Central | None:
    """The guard's side of the centre.

    Args:
        config: its `[central]` names the database.
        trail: the guard's own; None for one that keeps none, and so releases nothing.
        announced: what was taken up before the guard was opened.

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

    return Central(config, trail, announced)


def elsewhere_of(config: Config) -> Elsewhere | None:
    """Where the escalations of other guards can be seen and answered.

    Args:
        config: its `[central]` names the database.

    Returns:
        It; None if this configuration does not ask for them.

    Raises:
        ConfigError: if the database is in an environment variable that is not set.
        TrailError: if there is no driver.
    """
    if not config.central.escalations:
        return None
    need_driver()
    from guardrail.central._elsewhere import Elsewhere  # loads a driver, which few need

    return Elsewhere(config)
