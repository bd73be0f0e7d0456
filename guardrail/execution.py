"""Owned execution: the guard judges a call and starts the tool itself, so that without a guard nothing is done.

The order is `Guard.run`'s: the intent is in the trail before the process starts, its end after the last of its
processes is gone.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

import msgspec

from guardrail.confine import Confinement, Ended, Job, JobError, Stop, Stream, Unconfined, job_of, run_job
from guardrail.model import Decision, ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from guardrail.confine.kernel import KernelConfinement
    from guardrail.guard import Guard
    from guardrail.model import Effect

UNCONFINED: Final = Unconfined()
"""No confinement at all, whatever the configuration says."""

MAX_SEEN: Final = 8
"""Most assets that the record of a call names of what the kernel held."""


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was carried out.

    Args:
        decision: what released it.
        ended: what came of it.
    """

    decision: Decision
    ended: Ended


def execute(
    guard: Guard,
    call: ToolCall,
    sink: Callable[[Stream, bytes], None],
    *,
    stop: Stop | None = None,
    stdin: int | None = None,
    confinement: Confinement | None = None,
    told: Callable[[Decision], None] | None = None,
) -> Execution:
    """Judge a call and, if it is allowed, carry it out.

    Args:
        guard: judges, and records.
        call: tool `bash` with a `command`, a text or a list of words, and `env` if it is needed.
        sink: is given the output as it comes.
        stop: ends the tool when it is set.
        stdin: descriptor that the tool reads; by default there is nothing to read.
        confinement: narrows what it can reach; by default as `execute.confine` says.
        told: hears of the decision that releases the call, before the tool is started.

    Returns:
        The decision, and what came of it; a tool that fails has still run.

    Raises:
        InvalidCall: if the call cannot be carried out here; nothing was judged.
        Denied: if policy or a fault denied it.
        Escalated: if a person has to decide first.
        JobError: if the tool could not be started, or nobody knows how it ended.
        TrailError: if the guard keeps no trail.
    """
    # What cannot be carried out must not be released either.
    job_of(call, guard.config.execute, {})
    released: list[Decision] = []

    def note(decision: Decision) -> None:
        released.append(decision)
        if told is not None:
            told(decision)

    def start(judged: ToolCall) -> Ended:
        # INVARIANT: the process is made of the call that was judged, which nobody else holds.
        with _within(guard, judged, confinement) as held:
            job = held.confine(job_of(judged, guard.config.execute, os.environ), released[0].effects)
            ended = run_job(job, sink, stop=stop, stdin=stdin, confined=held.name)
            return msgspec.structs.replace(ended, seen=dict(held.seen()))

    ended = guard.run(call, start, released=note)
    return Execution(decision=released[0], ended=ended)


async def aexecute(
    guard: Guard,
    call: ToolCall,
    sink: Callable[[Stream, bytes], None],
    *,
    confinement: Confinement | None = None,
    told: Callable[[Decision], None] | None = None,
) -> Execution:
    """`execute`, without blocking the event loop; a task that is cancelled ends its tool, and waits for that.

    `sink` and `told` are called in a thread of their own.
    """
    import asyncio  # `guardrail run` never needs it

    stop = Stop()
    work = asyncio.ensure_future(
        asyncio.to_thread(execute, guard, call, sink, stop=stop, confinement=confinement, told=told)
    )
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        # The thread records what became of the tool: it is waited for, also by somebody who is not wanted any more.
        stop.set()
        with contextlib.suppress(Exception):
            await work
        raise
    finally:
        stop.close()


@contextlib.contextmanager
def _within(guard: Guard, call: ToolCall, given: Confinement | None) -> Generator[Confinement]:
    """The confinement of one call: what was given, or what the configuration says."""
    settings = guard.config.execute
    if given is not None or settings.confine == "off":
        yield given if given is not None else UNCONFINED
        return
    from guardrail.asking import word_of
    from guardrail.confine.bubblewrap import Bubblewrap
    from guardrail.confine.kernel import Bounds, KernelConfinement

    own = os.path.realpath(call.cwd or os.getcwd())
    bounds = Bounds(
        mode="strict" if settings.confine == "bwrap" else settings.confine,
        read=tuple(dict.fromkeys(os.path.realpath(path) for path in (*settings.confine_read, own))),
        write=tuple(dict.fromkeys(os.path.realpath(path) for path in (*settings.confine_write, own))),
        connect=settings.confine_connect,
    )
    if settings.confine == "bwrap":
        with Bubblewrap(guard.inventory, bounds) as wrapped:
            yield wrapped
        return
    word = word_of(guard, call) if settings.confine_escalate > 0 else None
    with KernelConfinement(
        guard.inventory,
        bounds,
        required=settings.confine_required,
        word=word,
        ask_seconds=settings.confine_escalate,
    ) as kernel:
        yield _Held(kernel)


class _Held:
    """The kernel's confinement, in the words of owned execution."""

    name = "kernel"

    def __init__(self, kernel: KernelConfinement) -> None:
        self._kernel = kernel

    def confine(self, job: Job, effects: Sequence[Effect]) -> Job:
        """The job with what stands for it in front."""
        from guardrail.confine.kernel import ConfineError

        try:
            return self._kernel.confine(job, effects)
        except ConfineError as error:
            raise JobError(str(error), code=_NOT_STARTED) from None

    def seen(self) -> dict[str, str | int]:
        """What was in force, and what the kernel held or saw."""
        from guardrail.confine.kernel import ConfineError

        try:
            account = self._kernel.account()
        except ConfineError as error:
            raise JobError(str(error), started=error.started) from None
        if account.refused is not None:
            raise JobError(account.refused, code=_NOT_STARTED)
        report, denied = account.report, [one for one in account.observed if one.outcome == "deny"]
        facts: dict[str, str | int] = {"kernel_mode": report.mode}
        if report.lacking:
            facts["kernel_lacks"] = " ".join(report.lacking)
        if account.events:
            facts["kernel_events"] = account.events
        if denied:
            facts["kernel_denied"] = " ".join(sorted({one.op for one in denied}))
        assets = sorted({one.asset for one in account.observed if one.asset is not None})
        if assets:
            # What a call touched of an asset and was not judged to: it was held, and people have to know.
            facts["kernel_assets"] = " ".join(assets[:MAX_SEEN])
        return facts


_NOT_STARTED: Final = 126
"""What a shell exits with for a program that cannot be run."""
