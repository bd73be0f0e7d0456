"""Operations of one call -> its effects, by specs that do what they say; the one entry of this package."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from guardrail.config import LimitConfig
from guardrail.effects._examples import prove
from guardrail.effects._served import served
from guardrail.effects._shells import ShellMemory
from guardrail.effects._work import NO_VARIABLES, work_out
from guardrail.effects.catalogue._spec import specs
from guardrail.effects.domain._view import FileView, Wrote
from guardrail.errors import AnalysisFault
from guardrail.model import Effect
from guardrail.parse import Operation, parse_shell


def prepare() -> None:
    """Read what every call needs, so that the first one is as fast as the others."""
    specs()
    parse_shell("true")


def analyse(
    operations: Sequence[Operation],
    *,
    cwd: str | None,
    view: FileView,
    limits: LimitConfig,
    variables: Mapping[str, str] = NO_VARIABLES,
    watched: Collection[str] = (),
    memory: ShellMemory | None = None,
    wrote: Wrote | None = None,
) -> tuple[Effect, ...]:
    """Work out what operations would do.

    Args:
        operations: what the call asks for.
        cwd: its absolute working directory; None if unknown, and then no relative path is known.
        view: the live filesystem.
        limits: bounds; at a bound one `exec_opaque` effect with code `unparsed` is added.
        variables: environment variables known to hold; all others are unknown.
        watched: variables whose setting is an effect of its own: those that stand for keys of control files.
        memory: what is known of a shell that outlives the call, and is told what the call leaves; None if nothing is.
        wrote: what the session wrote before; None if that is nothing.

    Returns:
        The effects, in order. Nothing at all means that the call provably touches nothing. Never raises for odd input.

    Raises:
        AnalysisFault: if a spec that was used does not do what its own examples say; `guardrail doctor` lists them all.
    """
    known = specs()
    condemned = len(known.condemned)
    effects = work_out(
        operations,
        cwd=cwd,
        view=view,
        limits=limits,
        variables=variables,
        watched=watched,
        memory=memory,
        wrote=wrote,
    )
    # INVARIANT: no answer rests on a spec whose examples have not been run, by this thread or another.
    if known.unproven:
        prove()
    if len(known.condemned) > condemned:
        raise AnalysisFault(list(known.condemned.values())[-1])
    return served(effects)
