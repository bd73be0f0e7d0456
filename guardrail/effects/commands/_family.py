"""The signature that every transfer function has."""

from __future__ import annotations

from collections.abc import Callable

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import Stream

Family = Callable[[Call, Parsed], Stream]
"""A command about to run and its words, told apart -> its output; what it does goes to `call.emit`."""
