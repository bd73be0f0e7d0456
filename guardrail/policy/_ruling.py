"""What an engine gives back: its answer, together with the rules that it was made under.

The two travel as one, so that a bundle that is replaced meanwhile never explains an answer that it did not give.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from guardrail.errors import EngineFault
from guardrail.policy._rules import RuleBook


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """Two engines that were asked the same and answered otherwise.

    Args:
        wasm: the outcome of the module in this process.
        opa: the outcome of the OPA server.
        only_wasm: ids of rules that only the module's answer has, or has otherwise.
        only_opa: the same of the server's answer.
        used: whose answer counts: the stricter one, and that of `wasm` where both are as strict.
    """

    wasm: str
    opa: str
    only_wasm: tuple[str, ...]
    only_opa: tuple[str, ...]
    used: Literal["wasm", "opa"]


class Ruling(msgspec.Struct, frozen=True):
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
