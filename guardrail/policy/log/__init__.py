"""Decisions told to those who collect them, in OPA's own format: to a file, or to a log server.

Not concerned with evidence: the trail is the record, durable before a call runs; this is a copy that may lose some.
INVARIANT: nothing here can change, delay or stop a decision; what does not fit into the buffer is dropped and counted.
"""

from __future__ import annotations

from guardrail.policy.log._log import DecisionLog

__all__ = ["DecisionLog"]
