"""Python of the session's that a program of which little is known is handed: its file, or the name of its module.

Not concerned with programs that are known to run scripts, which are asked for them where they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from guardrail.effects.code._handed import CHECKING, MAX_HANDED, MAX_WORDS
from guardrail.effects.code._kinds import interpreter_of
from guardrail.effects.code._programs import PROJECTS, RUNNERS
from guardrail.effects.code._running import run_script
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import Field
from guardrail.patterns import lazy

_MODULE: Final = lazy(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)

_LOADING: Final = frozenset(
    "modal serve bentoml mcp fastmcp vllm lm_eval lm-eval dagster prefect kedro metaflow".split()
)
"""Programs that are understood in other ways, and load Python that they are told of."""

_ELSEWHERE: Final = frozenset("docker podman nerdctl kubectl oc lxc crictl ssh".split())


def note_python(call: Call, before: int) -> None:
    """Run, perhaps, the Python of the session's that a program is handed: it may load it.

    Args:
        call: the command.
        before: how many effects there were when it began.
    """
    tool = call.name.partition(" ")[0].rpartition("/")[2]
    known = tool in RUNNERS or tool in PROJECTS or interpreter_of(tool) is not None
    if known or tool in CHECKING or tool in _ELSEWHERE or not call.args:
        return
    shell = call.shell
    effects = shell.emit.effects[before:]
    # What starts another program has said nothing of itself.
    own = (effect for effect in effects if effect.origin is not None and effect.origin.spec == call.name)
    if tool not in _LOADING and not any(effect.op == "exec_opaque" for effect in own):
        return
    found: dict[str, None] = {}
    for index, field in enumerate(call.args[:MAX_WORDS]):
        for path in _files(call, field.text.rpartition("=")[2]):
            # What a program might have made by then is no module of the session's.
            there = shell.view.kind(path) == "file" or path in shell.emit.made
            if path in found or not there or not shell.authored(path):
                continue
            if len(found) == MAX_HANDED:
                call.opaque(
                    "program", reason="more modules of the session's than are looked at", attrs={"authored": True}
                )
                return
            found[path] = None
            with call.perhaps():
                run_script(call, "python", Field(text=path, span=field.span), call.args[index + 1 :])


def _files(call: Call, text: str) -> Iterator[str]:
    """The files that a word may mean: `a/b.py`, `a/b.py:x`, `a.b`, `a.b:x`."""
    name = text.partition(":")[0]
    if name.endswith(".py"):
        names: tuple[str, ...] = (name,)
    elif _MODULE.fullmatch(name) is not None:
        file = name.replace(".", "/")
        names = (f"{file}.py", f"src/{file}.py")
    else:
        return
    for each in names:
        path = call.place(Field(text=each)).path
        if path is not None:
            yield path
