"""The records of the kernel line: what was in force, what was seen, and how a tool ended."""

from __future__ import annotations

from typing import Any, Literal, cast

import msgspec

from guardrail.confine._job import CANNOT, JobError
from guardrail.enforcement import Observed
from guardrail.model import Kind, Op, Resource

Mode = Literal["off", "floor", "default", "strict"]
"""How much is held: nothing; Landlock and the filter; with a supervisor of changes; with one of every open."""


class ConfineError(JobError):
    """A tool cannot be confined as it has to be, so it was not started, or nobody knows how it ended.

    Args:
        message: one sentence.
        started: whether it ran at all.
    """

    def __init__(self, message: str, *, started: bool = False) -> None:
        super().__init__(message, code=1 if started else CANNOT, started=started)
        self.started = started


class EnforcementReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel really holds here. Nothing claims more.

    Args:
        asked: the mode that was asked for.
        mode: the mode that is in force.
        kernel: its release.
        machine: the processor, as uname(2) has it.
        landlock_abi: version of Landlock, 0 without it.
        listener: `ok`, or why there can be no supervisor.
        lacking: what this kernel does not have of what `asked` needs, such as `landlock:net`.
        aliases: other names of assets that exist or may exist; they turn `default` into `strict`.
        unheld: what nobody holds, or tells of, in the mode that is in force: in `floor` that is `times`, `security` and
            `events`, and the ids of assets that lie where the tool may write.
    """

    asked: Mode
    mode: Mode
    kernel: str = ""
    machine: str = ""
    landlock_abi: int = 0
    listener: str = ""
    lacking: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    unheld: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether everything that was asked for is in force."""
        order = ("off", "floor", "default", "strict")
        return not self.lacking and order.index(self.mode) >= order.index(self.asked)


def observed(event: dict[str, Any]) -> Observed:
    """An event as the executor sent it."""
    kind: Kind = "net" if event["op"] in {"net_send", "net_recv"} else "file"
    resources = tuple(
        Resource(kind=kind, path=real, real=real, dev=dev, ino=ino, asset=event["asset"])
        for real, dev, ino in event["objects"]
    ) or (Resource(kind=kind, uri=event["path"] or event["syscall"], asset=event["asset"]),)
    return Observed(
        op=cast("Op", event["op"]),
        resources=resources,
        outcome=event["outcome"],
        why=event["why"],
        syscall=event["syscall"],
        path=event["path"],
        pid=event["pid"],
        at=event["t"],
        detail=event["detail"],
    )


class KernelEnded(msgspec.Struct, frozen=True, kw_only=True):
    """How a confined tool ended.

    Args:
        exit_code: its exit code, or 128 and the number of the signal that ended it.
        why: whether it ended by itself, was stopped, or had more processes than it may.
        strays: processes that it left behind and that were ended.
        survivors: processes that it left behind and that could not be ended.
        traps: calls that the supervisor answered.
        events: denials and observations, repeated ones included.
        untold: how many of those are not in `observed`, as repetitions or beyond the limit.
        observed: the different ones.
    """

    exit_code: int
    why: Literal["exited", "stopped", "processes"]
    strays: int
    survivors: int
    traps: int
    events: int
    untold: int
    observed: tuple[Observed, ...]
