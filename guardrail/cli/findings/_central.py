"""Findings about the centre: whether a guard here would follow it, and what it would begin with if it could not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from guardrail.cli.findings._finding import Finding

if TYPE_CHECKING:
    from guardrail.config import Config


def central_findings(config: Config) -> Iterator[Finding]:
    """Whether what others order would be heard.

    Args:
        config: as it was loaded.
    """
    if not config.central.store:
        return
    from guardrail.audit import need_driver
    from guardrail.errors import ConfigError, TrailError

    try:
        need_driver()
    except TrailError as error:
        yield Finding(name="central", state="problem", detail=str(error))
        return
    from guardrail.central import TakeUp
    from guardrail.central._kept import last_heard_us
    from guardrail.central._people import examine
    from guardrail.central._status import moment

    try:
        yield Finding(name="central", state="ok", detail=examine(config))
    except ConfigError as error:
        yield Finding(name="central", state="problem", detail=str(error))
    except TrailError as error:
        heard = last_heard_us(config.path(config.mandates.directory))
        known = f"what was seen at {moment(heard)}" if heard else "no order at all"
        detail = f"cannot be reached: {error}: a guard here would begin with {known}, and count no use"
        yield Finding(name="central", state="note", detail=detail)
    try:
        TakeUp(config, keep=False).begin()
    except ConfigError as error:
        yield Finding(name="central", state="problem", detail=str(error))
