"""Operations of one call -> its effects.

Not concerned with whether the catalogue that it reads is right: `_analyse` sees to that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from guardrail.config import LimitConfig
from guardrail.effects._operations import Operations
from guardrail.effects._shells import ShellMemory
from guardrail.effects.domain._emit import Bound, as_code
from guardrail.effects.domain._seen import SeenFiles
from guardrail.effects.domain._view import FileView, Wrote
from guardrail.effects.shell._interpreter import Interpreter
from guardrail.model import Effect, Origin, Resource
from guardrail.parse import Operation

FEW_EFFECTS: Final = 8
"""Number of effects up to which to compare each with each costs less than to hash them."""

NO_VARIABLES: Final[Mapping[str, str]] = {}


def work_out(
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
    """The effects of operations; `_analyse.analyse` says what its arguments are."""
    shell = Interpreter(SeenFiles(view), limits, variables, cwd)
    if watched:
        shell.watched = frozenset(watched)
    if wrote is not None:
        shell.wrote, shell.written_before = wrote, wrote.anything()
    try:
        Operations(shell, cwd, memory).run(operations)
        if shell.traps:
            shell.finish()
    except (Bound, RecursionError) as bound:
        if memory is not None:
            memory.lose()
        _over(shell, str(bound) if isinstance(bound, Bound) else "nested too deep", cwd)
    shell.end()
    return _distinct(shell.emit.effects)


def _distinct(effects: Sequence[Effect]) -> tuple[Effect, ...]:
    """Each effect once: a command that may run in several directories does the same to an absolute path in each."""
    if len(effects) < 2:
        return tuple(effects)
    if len(effects) <= FEW_EFFECTS:
        few: list[Effect] = []
        for effect in effects:
            if effect not in few:
                few.append(effect)
        return tuple(few)
    seen: dict[object, list[Effect]] = {}
    kept: list[Effect] = []
    for effect in effects:
        same = seen.setdefault((effect.op, effect.resource, effect.target, effect.origin), [])
        if effect not in same:
            same.append(effect)
            kept.append(effect)
    return tuple(kept)


def _over(shell: Interpreter, reason: str, cwd: str | None) -> None:
    """The rest is not analysed: it may be anything, anywhere."""
    attrs = {"code": "unparsed", "reason": reason, "bound": True}
    shell.emit.effects.append(
        Effect(
            op="exec_opaque",
            resource=as_code("shell"),
            attrs=attrs,
            precision="opaque",
            origin=Origin(spec="limits"),
        )
    )
    here = Resource(kind="dir", path=cwd) if cwd is not None else Resource(kind="any", pattern="**")
    shell.emit.effects.append(
        Effect(op="mention", resource=here, modality="may", precision="opaque", origin=Origin(spec="limits"))
    )
