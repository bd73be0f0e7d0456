"""Analysing a whole piece of Python: code in an argument, from the input, or in a script file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# The handlers register themselves.
from guardrail.effects.code.python import (
    _archives,
    _configs,
    _dynamic,
    _files,
    _functions,
    _higher,
    _processes,
    _services,
)
from guardrail.effects.code.python._core import TooMuch
from guardrail.effects.code.python._machine import Machine
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import as_code
from guardrail.effects.domain._values import Field, Stream
from guardrail.model import Effect

MAX_CODE_BYTES: Final = 128 * 1024
"""Longest Python text that is analysed, in bytes."""

_HANDLERS_OF: Final = (_archives, _configs, _dynamic, _files, _functions, _higher, _processes, _services)

_DEFINITE: Final = frozenset(
    "create write append truncate delete rename copy link set_times set_security mount api_delete api_copy "
    "api_visibility net_send signal service schedule record_score".split()
)
"""Operations that count in a script even if the analysis of it ends somewhere else."""


def run_code(call: Call, code: str, argv: Sequence[Field]) -> Stream:
    """Code in an argument or from the input: where the analysis ends, an opaque effect says so.

    Args:
        call: the interpreter.
        code: the text.
        argv: `sys.argv`.

    Returns:
        What it prints.
    """
    machine = Machine(call, list(argv))
    saved = call.cwd
    call.emit("exec", as_code("python"))
    _analyse(machine, code)
    call.cwd = saved
    if machine.hidden:
        call.mention_cwd()
        call.mention_text(code)
        call.mention(argv[1:])
        call.mention_input()
        return Stream(sources=machine.output().sources or call.stdin.sources, flow=call.stdin.flow)
    return machine.output()


def _analyse(machine: Machine, code: str) -> None:
    try:
        if len(code) > MAX_CODE_BYTES:
            raise TooMuch("too long")  # noqa: TRY301 - one place handles every bound
        machine.run(code)
    except (TooMuch, RecursionError, MemoryError) as bound:
        reason = str(bound) if isinstance(bound, TooMuch) else "nested too deep"
        machine.opaque(reason, "unparsed")


def run_file(call: Call, code: str, argv: Sequence[Field], path: str) -> tuple[Stream, bool]:
    """A script that is a file: its effects as far as they are certain, and whether that is all of them.

    A script may be honest work that no analysis follows to its end. What is not certain in it is then left to the
    caller, who treats the script as a reader of what it is handed.
    """
    machine = Machine(call, list(argv), path)
    saved = call.cwd
    effects = call.shell.emit.effects
    start = len(effects)
    made, meant = set(call.shell.emit.made), set(call.shell.emit.meant)
    _analyse(machine, code)
    call.cwd = saved
    found = effects[start:]
    del effects[start:]
    call.shell.emit.meant = meant  # what is dropped below may have to be said again
    whole = not machine.ended and not any(_vague(effect) for effect in found)
    kept = found if whole else [effect for effect in found if _certain(effect)]
    effects.extend(kept)
    if not whole and not any(effect.op in _DEFINITE for effect in kept):
        call.shell.emit.made = made
    return machine.output(), whole


def _vague(effect: Effect) -> bool:
    places = (effect.resource, effect.target) if effect.target is not None else (effect.resource,)
    unknown = any(place.pattern is not None and ("**" in place.pattern or place.pattern[:1] != "/") for place in places)
    opaque = effect.op == "exec_opaque" and effect.attrs.get("code") != "program"
    return opaque or effect.op == "mention" or (unknown and effect.op != "read")


def _certain(effect: Effect) -> bool:
    if effect.op == "exec_opaque":
        return effect.attrs.get("code") == "script"
    return not _vague(effect)
