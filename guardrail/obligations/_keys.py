"""The key that certificates are signed with: that of the trail which they are recorded in."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from guardrail.errors import ConfigError, Fault
from guardrail.mandates import load_key

if TYPE_CHECKING:
    from guardrail.obligations._certificate import TrailKey
    from guardrail.obligations._duty import Duty
    from guardrail.obligations._events import Discharged

KEY_FILE: Final = "trail.key"
VKEY_FILE: Final = "trail.vkey"


def trail_key(directory: Path) -> TrailKey:
    """The key of a trail.

    Args:
        directory: the trail.

    Raises:
        Fault: if it cannot be used.
    """
    from guardrail.obligations._certificate import TrailKey

    try:
        name = (directory / VKEY_FILE).read_text("utf-8").partition("+")[0]
        # The file may hold two keys while one takes the other's place; the first is the one that is known by now.
        return TrailKey(load_key(directory / KEY_FILE), name)
    except (OSError, ConfigError) as error:
        raise Fault(f"no certificate can be signed: {error}") from None


def certifier(directory: Path) -> Callable[[Duty, bool], Discharged]:
    """What makes the certificates of a trail; the key is read when the first one is wanted.

    Args:
        directory: the trail.
    """

    def make(duty: Duty, known: bool) -> Discharged:
        from guardrail import __version__
        from guardrail.obligations._certificate import certify

        return certify(duty, trail_key(directory), version=__version__, known=known, now_us=time.time_ns() // 1000)

    return make
