"""What passes between the flow and the kernel line: what will hold a call, and what was seen of it.

Records without I/O. Not concerned with how a call is held: `guardrail.confine` is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from guardrail.model import Effect, Op, Reason, Resource


class Enforcement(msgspec.Struct, frozen=True, kw_only=True):
    """What will hold a call while it runs; only who carries it out can say so, and only of itself.

    INVARIANT: a call is never started with less than was said here: policy has let it run for that.

    Args:
        mode: how much the kernel will hold of it.
        required: whether it is not started where this kernel lacks something of that.
        lacking: what is not held: what this kernel does not have, where a call may run without it; and `copies`, where
            there are copies of assets that the kernel is not told of.
        connect: TCP ports that it may connect to.
        write: real paths that it may change, each with all beneath it.
        serving: assets that it may read, as a program that the operator fixed: it writes nothing, and sends over its
            own sockets alone. Empty for every other call.
    """

    mode: Literal["floor", "default", "strict"]
    required: bool
    lacking: tuple[str, ...] = ()
    connect: tuple[int, ...] = ()
    write: tuple[str, ...] = ()
    serving: tuple[str, ...] = ()


HOLDS_RULE: Final = "kernel.holds"
"""Says of a call that it is let run because of its enforcement, unseen: whatever it can write may be its work."""

SERVES_RULE: Final = "kernel.serves"
"""Says of an effect that it takes an asset no further than a reader does: the kernel keeps the rest of it from a
program that the operator fixed."""


def come_to(effects: Sequence[Effect], reasons: Sequence[Reason]) -> tuple[Effect, ...]:
    """What a released call comes to: what policy found to be served is read, and no copy is made of it.

    Args:
        effects: what the call was judged to do.
        reasons: what rules said of them.
    """
    served = {reason.effect for reason in reasons if reason.rule == SERVES_RULE}
    return tuple(
        Effect(op="read", resource=effect.resource, modality="may", precision=effect.precision, origin=effect.origin)
        if number in served
        else effect
        for number, effect in enumerate(effects)
    )


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """An effect that the kernel saw, in the words of the text line.

    Args:
        op: what would have been done, or was; `fault` if judging it failed, which denies it.
        resources: to what; a rename and a link have two.
        outcome: `deny`, or `observe` for what was let happen.
        why: `asset`, `ancestor` of one, `granted` to the call, `outside` of the write roots, `address`, `socket`,
            `supervisor`, `times`, `approved` by a person, or `fault`.
        syscall: the call that tried it.
        path: as the tool wrote it.
        pid: the thread.
        at: when, in seconds since 1970.
        detail: for times what was set, and what was.
        predicted: whether the tool's call was judged to do it.
    """

    op: Op | Literal["fault"]
    resources: tuple[Resource, ...]
    outcome: Literal["deny", "observe"]
    why: str
    syscall: str
    path: str
    pid: int
    at: float
    detail: dict[str, Any] = {}
    predicted: bool = False
    source: Literal["kernel"] = "kernel"

    @property
    def asset(self) -> str | None:
        """The asset that it bears on."""
        return next((resource.asset for resource in self.resources if resource.asset), None)

    @property
    def is_surprise(self) -> bool:
        """Whether the tool went for an asset that its call was not judged to touch so, and no person gave leave."""
        return self.asset is not None and not self.predicted and self.why != "approved"
