"""Both engines at once: the module here and an OPA server are asked the same, and the stricter answer counts.

Not concerned with which of them is right: a mismatch is handed on, to be recorded.
INVARIANT: a fault of either is a fault of both, so nothing is released on the word of one of them.
"""

from __future__ import annotations

import asyncio
from typing import Final

from guardrail.model import Mismatch, Outcome
from guardrail.policy._conclude import Answer, Hit, read_answer
from guardrail.policy._opa import OpaEngine
from guardrail.policy._rules import RuleBook
from guardrail.policy._ruling import Ruling
from guardrail.policy._wasm import WasmEngine

MAX_NAMED: Final = 16
"""Most rules that a mismatch names for each engine."""


class ShadowEngine:
    """Asks both.

    Args:
        wasm: the module in this process.
        opa: the server, with the same bundle.
    """

    def __init__(self, wasm: WasmEngine, opa: OpaEngine) -> None:
        self.name: Final = "shadow"
        self.revision: Final = wasm.revision
        self.rules: Final[RuleBook] = wasm.rules
        self._wasm = wasm
        self._opa = opa

    def decide(self, document: bytes, *, deadline: float) -> Ruling:
        """Ask both at the same time; see `PolicyEngine.decide`.

        Raises:
            EngineFault: if either has no usable answer in time.
        """
        pending = self._opa.submit(document, deadline)
        try:
            first = self._wasm.decide(document, deadline=deadline)
        except BaseException:
            pending.cancel()
            raise
        return compared(first, self._opa.wait(pending, deadline))

    async def adecide(self, document: bytes, *, deadline: float) -> Ruling:
        """The same from a coroutine; see `PolicyEngine.adecide`.

        Raises:
            EngineFault: as `decide`.
        """
        pending = self._opa.submit(document, deadline)
        try:
            first = await self._wasm.adecide(document, deadline=deadline)
        except BaseException:
            pending.cancel()
            raise
        return compared(first, await asyncio.wrap_future(pending))

    def close(self) -> None:
        """Close both."""
        self._wasm.close()
        self._opa.close()


def compared(wasm: Ruling, opa: Ruling) -> Ruling:
    """The stricter of two answers, with how they differ.

    Raises:
        EngineFault: if either is not a decision.
    """
    if wasm.answer == opa.answer:
        return wasm
    first, second = read_answer(wasm.answer), read_answer(opa.answer)
    ours, theirs = _hits(first), _hits(second)
    if (first.outcome, first.revision, ours) == (second.outcome, second.revision, theirs):
        return wasm
    stricter = Outcome(second.outcome) > Outcome(first.outcome)
    mismatch = Mismatch(
        wasm=first.outcome,
        opa=second.outcome,
        only_wasm=_named(ours - theirs),
        only_opa=_named(theirs - ours),
        used="opa" if stricter else "wasm",
    )
    used = opa if stricter else wasm
    return Ruling(used.answer, used.rules, used.revision, mismatch)


def _hits(answer: Answer) -> frozenset[Hit]:
    """Hits come in any order."""
    return frozenset(answer.hits)


def _named(hits: frozenset[Hit]) -> tuple[str, ...]:
    return tuple(sorted({hit.id for hit in hits})[:MAX_NAMED])
