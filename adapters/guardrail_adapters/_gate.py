"""Who passes: the two hooks that every way of attaching the guard shares.

Not concerned with where they are attached (`langgraph`, `langchain`).

1. `Asking.ask` runs before the first tool of a turn and pauses for a person if one is needed.
2. `Enforcing.enforce` runs around each tool, innermost. What was denied, rejected or not answered becomes a neutral
   ToolMessage; the rest goes through `Guard.run`, so that neither a sibling call nor time can have changed what was
   allowed.

Nothing leaves a graph through here but `GraphInterrupt`, an answer that langgraph itself refuses, and the tool's own
errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from guardrail import ConfigError
from guardrail.review import AnswerKind
from guardrail_adapters._ask import Asking
from guardrail_adapters._calls import DEFAULT_DECISIONS, CallReader, Options
from guardrail_adapters._duties import Duties
from guardrail_adapters._enforce import Enforcing
from guardrail_adapters._guard import GuardLike, require


def _allowed(given: Sequence[AnswerKind]) -> tuple[AnswerKind, ...]:
    allowed, known = tuple(given), get_args(AnswerKind)
    if not allowed:
        raise ConfigError("`allowed_decisions` is empty, so no held call could ever be answered: name at least one")
    # A single name would be read as its letters.
    unknown = [given] if isinstance(given, str) else [kind for kind in allowed if kind not in known]
    if unknown:
        names = ", ".join(f"`{kind}`" for kind in known)
        raise ConfigError(f"`allowed_decisions` must be a list of {names}, and `{unknown[0]}` is not")
    return allowed


class Gate:
    """Both hooks over one guard.

    Args:
        guard: what judges and runs.
        options: see `Options`.

    Raises:
        ConfigError: if `guard` is no guard, or `allowed_decisions` is empty or names an answer that there is not.
    """

    def __init__(self, guard: GuardLike, options: Options) -> None:
        require(guard, "check", "acheck", "run", "arun", "reviews")
        allowed = _allowed(options.get("allowed_decisions", DEFAULT_DECISIONS))
        reader = CallReader.of(options)
        asking, enforcing = Asking(guard, reader, allowed), Enforcing(guard, reader)
        self.ask, self.aask = asking.ask, asking.aask
        self.enforce, self.aenforce = enforcing.enforce, enforcing.aenforce
        self.duties = Duties(guard, options)
