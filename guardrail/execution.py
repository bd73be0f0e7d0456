"""Owned execution: the guard judges a call and starts the tool itself, so that without a guard nothing is done.

The order is `Guard.run`'s: the intent is in the trail before the process starts, its end after the last of its
processes is gone.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import os
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from guardrail.confine import Confinement, Ended, Job, Stop, Stream, Unconfined, job_of, run_job
from guardrail.model import Decision, ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from guardrail.config import ExecuteConfig, ServingConfig
    from guardrail.confine.kernel import Bounds, KernelConfinement, Mode, Serving
    from guardrail.enforcement import Enforcement
    from guardrail.guard import Guard

    Held = Mode | Literal["bwrap"]

COPIES: Final = "copies"
"""Lacking where something was made from assets: the text line follows it, and the kernel does not."""

UNCONFINED: Final = Unconfined()
"""No confinement at all, whatever the configuration says."""


_STRICTNESS: Final = ("off", "floor", "default", "strict")


def at_least(configured: str, wanted: str) -> bool:
    """Whether a mode that somebody asks for holds no less than the one that is configured.

    `bwrap` is held by other means than the rest, so it stands for nothing but itself.
    """
    if wanted == configured:
        return True
    both = wanted in _STRICTNESS and configured in _STRICTNESS
    return both and _STRICTNESS.index(wanted) >= _STRICTNESS.index(configured)


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
    mode: Held | None = None,
    told: Callable[[Decision], None] | None = None,
) -> Execution:
    """Judge a call and, if it is allowed, carry it out.

    Args:
        guard: judges, and records.
        call: tool `bash` with a `command`, a text or a list of words, and `env` if it is needed.
        sink: is given the output as it comes.
        stop: ends the tool when it is set.
        stdin: descriptor that the tool reads; by default there is nothing to read.
        confinement: narrows what it can reach; by default one of `mode`.
        mode: how much is held; by default as `execute.confine` says.
        told: hears of the decision that releases the call, before the tool is started.

    Returns:
        The decision, and what came of it; a tool that fails has still run.

    Raises:
        InvalidCall: if the call cannot be carried out here; nothing was judged.
        Denied: if policy or a fault denied it.
        Escalated: if a person has to decide first.
        JobError: if the tool could not be started or confined, or nobody knows how it ended.
        TrailError: if the guard keeps no trail.
    """
    # What cannot be carried out must not be released either.
    # INVARIANT: what policy is told will hold the call is worked out from the words that are judged and then started.
    call = msgspec.structs.replace(call, args=copy.deepcopy(call.args))
    asked = job_of(call, guard.config.execute, {})
    released: list[Decision] = []

    def note(decision: Decision) -> None:
        released.append(decision)
        if told is not None:
            told(decision)

    of_mode = confining(guard, call.cwd, mode, call=call)
    with of_mode if confinement is None else contextlib.nullcontext(confinement) as held:

        def start(judged: ToolCall) -> Ended:
            # INVARIANT: the process is made of the call that was judged, which nobody else holds, and it is confined
            # by what policy was told of.
            job = held.confine(job_of(judged, guard.config.execute, os.environ), released[0].effects)
            ended = run_job(job, sink, stop=stop, stdin=stdin, confined=held.name)
            seen = held.seen()
            why = "processes" if seen.crowded else ended.why
            return msgspec.structs.replace(ended, seen=seen.facts, observed=seen.observed, why=why)

        ended = guard.run(call, start, released=note, enforcement=_told(guard, held, asked))
    return Execution(decision=released[0], ended=ended)


async def aexecute(
    guard: Guard,
    call: ToolCall,
    sink: Callable[[Stream, bytes], None],
    *,
    mode: Held | None = None,
    told: Callable[[Decision], None] | None = None,
) -> Execution:
    """`execute`, without blocking the event loop; a task that is cancelled ends its tool, and waits for that.

    `sink` and `told` are called in a thread of their own.
    """
    import asyncio  # `guardrail run` never needs it

    stop = Stop()

    def carry_out() -> Execution:
        try:
            return execute(guard, call, sink, stop=stop, mode=mode, told=told)
        finally:
            stop.close()

    # Not a task: whoever cancels every task of a loop must not take the thread for over while its tool still runs.
    work = asyncio.get_running_loop().run_in_executor(None, contextvars.copy_context().run, carry_out)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        # The thread records what became of the tool: it is waited for, also by somebody who is not wanted any more.
        stop.set()
        while not work.done():
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await asyncio.shield(work)
        raise


@contextlib.contextmanager
def confining(
    guard: Guard, cwd: str | None, mode: Held | None = None, *, call: ToolCall | None = None
) -> Generator[Confinement]:
    """The confinement of what is started in a directory, until that is over.

    Args:
        guard: whose assets and bounds.
        cwd: the directory, which may be read and changed; by default that of this process.
        mode: how much is held; by default as `execute.confine` says.
        call: the one call that it is for, of which people may be asked while it runs; without it nobody is.

    Yields:
        What narrows each job to what its call was judged to do.
    """
    settings = guard.config.execute
    mode = settings.confine if mode is None else mode
    if mode == "off":
        yield UNCONFINED
        return
    if mode == "bwrap":
        from guardrail.confine.bubblewrap import Bubblewrap

        with Bubblewrap(guard.inventory, _bounds(settings, cwd, "strict")) as wrapped:
            yield wrapped
        return
    with kernel_confinement(guard, cwd, mode, call=call) as kernel:
        yield kernel


def kernel_confinement(
    guard: Guard, cwd: str | None, mode: Mode, *, call: ToolCall | None = None, trial: bool = False
) -> KernelConfinement:
    """What the kernel holds of what is started in a directory; to be closed.

    Args:
        guard: whose assets and bounds.
        cwd: the directory, which may be read and changed; by default that of this process.
        mode: how much is held.
        call: the one call that it is for, of which people may be asked while it runs; without it nobody is.
        trial: whether tools work on a copy of what they may change.
    """
    from guardrail.asking import word_of
    from guardrail.confine.kernel import KernelConfinement

    settings = guard.config.execute
    return KernelConfinement(
        guard.inventory,
        _bounds(settings, cwd, mode),
        serving=tuple(_serving(one, settings.confine_read) for one in settings.serving),
        required=settings.confine_required,
        word=None if call is None else word_of(guard, call),
        ask_seconds=settings.confine_escalate,
        trial=trial,
    )


def _bounds(settings: ExecuteConfig, cwd: str | None, mode: Mode) -> Bounds:
    from guardrail.confine.kernel import Bounds

    own = os.path.realpath(cwd or os.getcwd())
    return Bounds(
        mode=mode,
        read=tuple(dict.fromkeys(os.path.realpath(path) for path in (*settings.confine_read, own))),
        write=tuple(dict.fromkeys(os.path.realpath(path) for path in (*settings.confine_write, own))),
        connect=settings.confine_connect,
        processes=settings.processes,
    )


def _told(guard: Guard, held: Confinement, job: Job) -> Enforcement | None:
    """What policy is told: the kernel knows assets where they were declared, and not what was made from them since."""
    enforcement = held.enforcement(job)
    if enforcement is None or not guard.lineage.any:
        return enforcement
    return msgspec.structs.replace(enforcement, lacking=(*enforcement.lacking, COPIES))


def _serving(given: ServingConfig, read: tuple[str, ...]) -> Serving:
    from guardrail.confine.kernel import Serving

    return Serving(
        # The program comes first, in whichever order they stand.
        files={given.program: given.files[given.program], **given.files},
        arguments=given.arguments,
        assets=given.assets,
        environment=given.environment,
        bind=given.bind,
        sockets=given.sockets,
        read=(*read, *given.read),
    )
