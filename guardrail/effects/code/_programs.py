"""Programs that run code which is among their words: runners of tests and modules, environments, makers of projects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from guardrail.effects.code._kinds import interpreter_of
from guardrail.effects.code._projects import LOADERS, TESTERS, project_code
from guardrail.effects.code._running import run_script
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import (
    Field,
)
from guardrail.patterns import lazy

RUNNERS: Final = frozenset(
    "pytest py.test coverage torchrun accelerate deepspeed uv poetry pipenv pdm hatch rye conda mamba micromamba "
    "mpirun mpiexec srun sbatch qsub nodemon streamlit papermill kernprof py-spy memray scalene nox tox".split()
)
"""Programs that are given scripts to run, and words for those."""

_ELSEWHERE: Final = frozenset("docker podman nerdctl kubectl oc lxc crictl".split())
_ENVIRONMENTS: Final = frozenset("uv poetry pipenv pdm hatch rye conda mamba micromamba tox nox".split())
PROJECTS: Final = TESTERS | LOADERS
_CODE_OPTION = lazy(r"-[a-zA-Z]*[ce]|--eval|--command|-r|-s|-")
_SCRIPT = re.compile(r"\.(?:py|sh|bash|js|mjs|cjs|ts|rb|pl|lua|R|jl|php)$")


def scripts(call: Call, words: Sequence[Field]) -> None:
    """Scripts that are handed to a program that runs them: whether the session wrote one is for the history to say."""
    for index, field in enumerate(words):
        resource = call.place(field)
        if field.text.endswith(".py") and resource.path is not None and call.shell.authored(resource.path):
            with call.perhaps():
                run_script(call, "python", field, words[index + 1 :])
        elif field.known and _SCRIPT.search(field.text) and resource.path is not None:
            authored = call.shell.emit.wrote(resource.path)
            if authored or call.shell.view.kind(resource.path) == "file":
                call.script(resource, authored=authored)


def run_nested(call: Call) -> None:
    """A program that is not known, with an interpreter and code or a script among its words: `uv run python -c …`."""
    head = call.name.partition(" ")[0]
    if head in PROJECTS:
        project_code(call, head, call.args)
    elif head in RUNNERS:
        scripts(call, call.args)
    if call.name in _ELSEWHERE:
        return
    environment = head in _ENVIRONMENTS
    for index, field in enumerate(call.args):
        starts = environment and field.text in PROJECTS
        if starts or (interpreter_of(field.text.rpartition("/")[2]) and _runs_code(call.args[index : index + 2])):
            with call.perhaps():
                call.shell.again(call, call.args[index:], external=True)
            return


def _runs_code(words: Sequence[Field]) -> bool:
    """An interpreter, with code or a script for it."""
    if len(words) < 2 or not words[0].known:
        return False
    text = words[1].text
    return _CODE_OPTION.fullmatch(text) is not None or _SCRIPT.search(text) is not None
