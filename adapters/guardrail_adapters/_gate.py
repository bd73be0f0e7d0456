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

from guardrail.review import AnswerKind
from guardrail_adapters._ask import Asking
from guardrail_adapters._calls import DEFAULT_DECISIONS, CallReader, Options
from guardrail_adapters._enforce import Enforcing
from guardrail_adapters._guard import GuardLike


class Gate:
    """Both hooks over one guard.

    Args:
        guard: what judges and runs.
        options: see `Options`.

    Raises:
        ValueError: if no answer would be allowed.
    """

    def __init__(self, guard: GuardLike, options: Options) -> None:
        allowed: tuple[AnswerKind, ...] = tuple(options.get("allowed_decisions", DEFAULT_DECISIONS))
        if not allowed:
            raise ValueError("`allowed_decisions` is empty, so no held call could ever be answered: name at least one")
        reader = CallReader.of(options)
        asking, enforcing = Asking(guard, reader, allowed), Enforcing(guard, reader)
        self.ask, self.aask = asking.ask, asking.aask
        self.enforce, self.aenforce = enforcing.enforce, enforcing.aenforce
