"""What an engine gives back: its answer, together with the rules that it was made under.

The two travel as one, so that a bundle that is replaced meanwhile never explains an answer that it did not give.
"""

from __future__ import annotations

import msgspec

from guardrail.errors import EngineFault
from guardrail.model import Mismatch
from guardrail.policy._rules import RuleBook


class Ruling(msgspec.Struct, frozen=True, gc=False):
    """One answer of an engine.

    Args:
        answer: JSON, for `guardrail.policy.conclude`.
        rules: the rules of the revision that answered.
        revision: that revision, with the digest of its module and data.
        mismatch: how two engines differed, if two were asked and did.
    """

    answer: bytes
    rules: RuleBook
    revision: str
    mismatch: Mismatch | None = None


class OtherRevision(EngineFault):
    """An OPA server went to another bundle than the one that this engine explains."""
