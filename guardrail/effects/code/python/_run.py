"""Analysing a whole piece of Python: code in an argument, from the input, or in a script file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# The handlers register themselves.
from guardrail.effects.code.python import (
    _archives,
    _arguments,
    _buckets,
    _configs,
    _containers,
    _databases,
    _dynamic,
    _files,
    _filesystems,
    _functions,
    _higher,
    _listing_functions,
    _logs,
    _models,
    _output,
    _path_functions,
    _pickles,
    _processes,
    _served,
    _services,
    _stores,
    _web,
)
from guardrail.effects.code.python._beside import beside, check_module, follow, hand_over
from guardrail.effects.code.python._machine import Machine
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import as_code
from guardrail.effects.domain._values import Field, Stream
from guardrail.model import Effect

_HANDLERS_OF: Final = (
    _archives, _arguments, _buckets, _configs, _containers, _databases, _dynamic, _files, _filesystems, _functions,
    _higher, _listing_functions, _logs, _models, _output, _path_functions, _pickles, _processes, _served, _services,
    _stores, _web,
)  # fmt: skip

MAX_FIRST_STEPS: Final = 8_000
"""Most steps for the whole of a script of which the session changed a part; beyond them only that part is walked."""

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
    return _followed(call, Machine(call, list(argv)), code)


def run_own(call: Call, code: str, argv: Sequence[Field], path: str) -> tuple[Stream, bool]:
    """A script that the session wrote: what it does is what the same code in an argument would do.

    Args:
        call: the interpreter.
        code: what the script holds when it runs.
        argv: `sys.argv`.
        path: where the script is.

    Returns:
        What it prints, and whether all of the text was understood.
    """
    machine = Machine(call, list(argv), path)
    before = machine.before(path)
    if before is None:
        out = _followed(call, machine, code)
        return out, not machine.hidden
    emit = call.shell.emit
    start, made, meant, mark = len(emit.effects), set(emit.made), set(emit.meant), emit.contents.mark()
    machine.steps = MAX_FIRST_STEPS
    out = _followed(call, machine, code)
    if not machine.hidden:
        emit.contents.keep(mark)
        return out, True
    # What is not understood may be what was there before: then the session ran a program of the project.
    emit.contents.lose(mark)
    del emit.effects[start:]
    emit.made, emit.meant = made, meant
    machine = Machine(call, list(argv), path)
    out = _followed(call, machine, code, before)
    return out, not machine.hidden


def _followed(call: Call, machine: Machine, code: str, before: str | None = None) -> Stream:
    saved = call.cwd
    call.emit("exec", as_code("python"))
    follow(machine, lambda: machine.run(code, before))
    if machine.foreign or machine.programs:
        beside(call, machine)
    if machine.hidden:
        call.mention_text(code)
    hand_over(call, machine)
    call.cwd = saved
    if machine.hidden:
        return Stream(sources=machine.output().sources or call.stdin.sources, flow=call.stdin.flow)
    return machine.output()


def run_file(call: Call, code: str, argv: Sequence[Field], path: str) -> tuple[Stream, bool]:
    """A script that the session did not write: its effects as far as they are certain, and whether that is all of them.

    A script may be honest work that no analysis follows to its end. What is not certain in it is then left to the
    caller, who treats the script as a reader of what it is handed. What the session wrote of it is another matter.
    """
    emit = call.shell.emit
    start = len(emit.effects)
    made, meant = set(emit.made), set(emit.meant)
    saved = call.cwd
    machine = Machine(call, list(argv), path)
    machine.trusted = True
    follow(machine, lambda: machine.run(code))
    call.cwd = saved
    found = emit.effects[start:]
    whole = not machine.ended and not any(_vague(effect) for effect in found)
    if not whole and (machine.hidden or not machine.own):
        del emit.effects[start:]
        emit.meant = meant  # what is dropped below may have to be said again
        kept = [effect for effect in found if _certain(effect)]
        emit.effects.extend(kept)
        if not any(effect.op in _DEFINITE for effect in kept):
            emit.made = made
        for module, name in machine.own.items():
            check_module(call, name, module)
    if machine.foreign or machine.ended:
        beside(call, machine)
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
