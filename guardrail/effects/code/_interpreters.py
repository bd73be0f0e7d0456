"""Programs that run code: shells are entered, other languages are opaque, but for Python that provably only prints."""

from __future__ import annotations

from guardrail.effects.code._others import other
from guardrail.effects.code._pythons import python
from guardrail.effects.code._shells import parsed_only, shell
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import (
    Stream,
)


def run_interpreter(call: Call, kind: str) -> Stream:
    """An interpreter with its arguments."""
    if kind == "shell":
        return parsed_only(call) or shell(call)
    if kind == "python":
        return python(call)
    return other(call)
