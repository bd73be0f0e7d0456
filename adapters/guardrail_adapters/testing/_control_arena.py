"""The monitor of ControlArena in the table: it scores steps that a protocol carries out, so no case is about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from guardrail_adapters.testing._cases import CASES
from guardrail_adapters.testing._setting import Setting
from guardrail_adapters.testing._stage import Unable

if TYPE_CHECKING:
    from guardrail_adapters.testing._protocol import Conversation

_WHY: Final = "advised: it scores a step, and the protocol around it carries it out, asks and records"


class MonitorAdapter(msgspec.Struct, frozen=True, kw_only=True):
    """It releases nothing and asks nobody; `tests/control_arena` has what it owes instead."""

    name: str = "ControlArena: monitor"

    @property
    def cannot(self) -> Mapping[str, str]:
        """All cases."""
        return {case.name: _WHY for case in CASES}

    def missing(self) -> str:
        """Nothing: it is not begun."""
        return ""

    def open(self, setting: Setting) -> Conversation:  # noqa: ARG002 - as the protocol has it
        """There is no conversation to begin."""
        raise Unable(_WHY)
