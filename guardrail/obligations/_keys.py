"""The key that certificates are signed with: that of the trail which they are recorded in."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from guardrail.errors import ConfigError, Fault
from guardrail.mandates import load_key

if TYPE_CHECKING:
    from guardrail.obligations._certificate import TrailKey
    from guardrail.obligations._duty import Duty
    from guardrail.obligations._events import Discharged


def trail_key(key: Path, origin: str) -> TrailKey:
    """The key of a trail.

    Args:
        key: its file.
        origin: the name of the trail, under which its key signs.

    Raises:
        Fault: if it cannot be used.
    """
    from guardrail.obligations._certificate import TrailKey

    try:
        return TrailKey(load_key(key), origin)
    except (OSError, ConfigError) as error:
        raise Fault(f"no certificate can be signed: {error}") from None


def certifier(key: Path, origin: str) -> Callable[[Duty, bool], Discharged]:
    """What makes the certificates of a trail; the key is read when the first one is wanted.

    Args:
        key: the file with the key of the trail.
        origin: its name.
    """

    def make(duty: Duty, known: bool) -> Discharged:
        from guardrail import __version__
        from guardrail.obligations._certificate import certify

        made = trail_key(key, origin)
        return certify(duty, made, version=__version__, known=known, now_us=time.time_ns() // 1000)

    return make
