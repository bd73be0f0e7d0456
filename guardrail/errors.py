"""Every error a caller of Guardrail may catch.

    GuardrailError
    ├── ConfigError        guardrail.toml, a mandate or a bundle is not usable; nothing was started
    ├── InvalidCall        what was sent is not a ToolCall
    ├── Fault              judging failed; inside `Guard` it becomes a denial, it never reaches a caller of `check`
    │   ├── AnalysisFault  parse, effects or assets
    │   └── EngineFault    the policy engine gave no usable answer
    ├── TokenError         a decision token that does not hold, or that cannot be signed
    ├── TrailError         the audit trail cannot take a record, or is damaged
    │   └── TrailInUse     (guardrail.audit) somebody else writes it
    ├── ReviewError        (guardrail.review) the store of escalations and grants cannot be used
    └── Blocked            the call was judged and did not run; carries the Decision
        ├── Denied
        └── Escalated

Messages are one sentence, lower case, with input in backticks, and say how to mend what is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guardrail.model import Decision


class GuardrailError(Exception):
    """Base of every error that Guardrail raises on purpose."""


class ConfigError(GuardrailError):
    """A configuration, mandate, key or policy bundle cannot be used as it is."""


class InvalidCall(GuardrailError):
    """The bytes or mapping given are not a ToolCall."""


class Fault(GuardrailError):
    """Judging a call failed; the answer to that is a denial, made at one place in `guardrail.guard`."""


class AnalysisFault(Fault):
    """What the call would do could not be worked out."""


class EngineFault(Fault):
    """The policy engine trapped, timed out or answered something that is not a decision."""


class TokenError(GuardrailError):
    """A decision token does not hold for what is about to be done, or cannot be signed."""


class TrailError(GuardrailError):
    """The audit trail cannot take a record, or what it holds is not what was written."""


class Blocked(GuardrailError):
    """A call that did not run, with the decision that stopped it.

    Args:
        decision: what was decided; `str(error)` is the neutral text that an agent may read.
    """

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision.neutral)
        self.decision = decision


class Denied(Blocked):
    """Policy, or a fault in judging, denied the call."""


class Escalated(Blocked):
    """The call waits for a person; run it again with the grant that the person gave."""
