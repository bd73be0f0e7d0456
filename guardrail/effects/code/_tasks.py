"""Tasks that files of a project name as shell text, such as the scripts of a `package.json`: what they say is run.

Not concerned with tools whose files are programs of their own (`_drivers`), nor with makefiles (`_makefiles`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import Field
from guardrail.effects.keys._formats import is_list, is_table

MAX_TASKS: Final = 16
"""Most tasks that one command runs which are looked into; one more is a question."""

MANAGERS: Final = ("npm", "pnpm", "yarn", "bun")
"""Package managers of JavaScript."""

_INSTALLS: Final = frozenset(("install", "i", "ci", "add", "rebuild", "update", "up"))
_INSTALLED: Final = ("preinstall", "install", "postinstall", "prepublish", "prepare")
_PACKED: Final = ("prepublishOnly", "prepare", "prepack", "postpack")
_RUNS: Final = frozenset(("run", "run-script", "rum", "urn"))
_PLAIN_RUNS: Final = frozenset(("test", "t", "start", "stop", "restart", "publish", "pack", "version"))
_COMPOSED: Final = tuple(
    f"{when}-{what}-cmd" for when in ("pre", "post") for what in ("install", "update", "autoload-dump", "status")
)

_COMPOSING: Final = frozenset(("install", "update", "require", "dump-autoload"))

TASKS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    **dict.fromkeys(MANAGERS, (("package.json", "scripts"),)),
    "deno": (("deno.json", "tasks"), ("deno.jsonc", "tasks"), ("package.json", "scripts")),
    "composer": (("composer.json", "scripts"),),
    "poe": (("pyproject.toml", "tool.poe.tasks"), ("poe_tasks.toml", "tool.poe.tasks")),
    "pdm": (("pyproject.toml", "tool.pdm.scripts"),),
    "rye": (("pyproject.toml", "tool.rye.scripts"),),
    "pixi": (("pixi.toml", "tasks"), ("pyproject.toml", "tool.pixi.tasks")),
    "hatch": (("pyproject.toml", "tool.hatch.envs.*.scripts"), ("hatch.toml", "envs.*.scripts")),
}
"""Program -> files with tasks, and where in them those are; `*` is every key."""


def run_tasks(call: Call, program: str, folder: str) -> None:
    """Run, perhaps, the tasks that a command names, as the files of a directory have them.

    Args:
        call: the command.
        program: its name.
        folder: where the files are, empty or with a slash at its end.
    """
    names = _names(program, [field.text for field in call.args if not field.text.startswith("-")])
    for file, where in TASKS.get(program, ()) if names else ():
        place = call.place(Field(text=f"{folder}{file}"))
        if place.path is None:
            continue
        data = call.content(place)
        tasks = _tables(data, file, where) if data is not None else None
        if tasks is None:
            there = call.shell.view.kind(place.path) is not None
            if call.shell.emit.wrote(place.path) or (there and call.shell.authored(place.path)):
                call.script(place, authored=True)
            continue
        for text in _texts(names, tasks):
            if text is None:
                call.script(place, authored=call.shell.authored(place.path))
            else:
                _run(call, text, folder)


def _run(call: Call, text: str, folder: str) -> None:
    with call.perhaps():
        state = call.state.copy()
        if folder:
            state.cwds = (call.place(Field(text=folder)).path,)
        call.shell.run_text(text, state)


def _names(program: str, words: Sequence[str]) -> list[str]:
    """Tasks that run for these words."""
    first, second = (*words[:2], "", "")[:2]
    if program in MANAGERS:
        return _scripts(program, words)
    if program == "poe":
        return [first] if first else []
    if program == "composer":
        run = second if first in ("run", "run-script", "exec") else first
        return [
            *(_COMPOSED if first in _COMPOSING else ()),
            *([run] if run else ()),
        ]
    if first not in ("task", "run") if program == "deno" else first not in ("task", "run", "test", "fmt"):
        return []  # `deno test` and `deno fmt` are no tasks
    name = second or first
    return [name.rpartition(":")[2] if program == "hatch" else name]


def _scripts(manager: str, words: Sequence[str]) -> list[str]:
    """Scripts of a `package.json`."""
    first = words[0] if words else ""
    if manager == "bun" and first in ("test", "build"):
        return []  # what bun does by itself, whatever scripts are called so
    if first in _INSTALLS or (manager == "yarn" and not words):
        return list(_INSTALLED)
    if first in _RUNS and len(words) > 1:
        chosen = words[1]
    elif first in _PLAIN_RUNS or (manager in ("yarn", "pnpm", "bun") and first):
        chosen = "test" if first == "t" else first
    else:
        return []
    return [f"pre{chosen}", chosen, f"post{chosen}", *(_PACKED if chosen in ("pack", "publish") else ())]


def _tables(data: bytes, file: str, where: str) -> dict[str, Any] | None:
    """The tasks of a file; None if it cannot be read."""
    try:
        found: Any = msgspec.json.decode(data) if file.endswith("json") else tomllib.loads(data.decode())
    except (msgspec.MsgspecError, tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError):
        return None
    tables: list[Any] = [found]
    for key in where.split("."):
        below = [table for table in tables if is_table(table)]
        tables = [inner for table in below for inner in (table.values() if key == "*" else [table.get(key)])]
    return {name: value for table in tables if is_table(table) for name, value in table.items()}


def _texts(names: Sequence[str], tasks: Mapping[str, Any]) -> Iterator[str | None]:
    """The shell texts of tasks, and of those that they start; None for one of another form, or one too many."""
    waiting, seen = list(names), set[str]()
    for name in waiting:
        if name in seen or name not in tasks:
            continue
        seen.add(name)
        if len(seen) > MAX_TASKS:
            yield None
            return
        for text in _of_task(tasks[name]):
            other = (text or "").split(maxsplit=1)[:1]
            if text is not None and other and other[0].lstrip("@") in tasks and other[0] != name:
                waiting.append(other[0].lstrip("@"))
            else:
                yield None if text is not None and (text[:1] == "@" or "::" in text) else text


def _of_task(task: Any) -> Iterator[str | None]:
    if isinstance(task, str):
        yield task
    elif is_list(task):
        for part in task:
            yield from _of_task(part)
    elif is_table(task) and isinstance(text := task.get("cmd", task.get("shell", task.get("command"))), str):
        yield text
        yield from (*_listed(task, "dependencies"), *_listed(task, "depends-on"), *_listed(task, "deps"))
    else:
        yield None


def _listed(task: Mapping[str, Any], key: str) -> Iterator[str]:
    named = task.get(key)
    yield from (name for name in (named if is_list(named) else ()) if isinstance(name, str))
