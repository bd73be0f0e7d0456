"""What code of the project may import that the session wrote: its modules are looked into, whoever runs them.

Not concerned with the modules that a piece of code is seen to import: `_imports` walks those with what they are given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final

from guardrail.effects.code._scripts import written_files
from guardrail.effects.code.python._machine import Machine
from guardrail.effects.code.python._walk import TooMuch
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import escape, place
from guardrail.effects.domain._values import Field

MAX_BESIDE: Final = 64
"""Most modules of the session's that one run of the project's code is taken to import."""

MAX_ASIDE_BYTES: Final = 96 * 1024
"""Largest of them, in bytes; a larger one is not understood."""

MAX_SCANNED: Final = 200
"""Most files of a project that are searched for the name of a module."""

MAX_SCANNED_BYTES: Final = 64 * 1024
"""Largest of them, in bytes."""


_NAMING: Final = (
    "*.py", "*.toml", "*.cfg", "*.ini", ".pytest.ini", ".flaskenv", ".env", ".coveragerc", "mkdocs.y*ml",
    "*/*.py", "*/*/*.py",
)  # fmt: skip
"""Where the name of a module may stand."""


def follow(machine: Machine, walk: Callable[[], object]) -> None:
    """Walk code; at a bound an opaque effect says so."""
    try:
        walk()
    except (TooMuch, RecursionError, MemoryError) as bound:
        reason = str(bound) if isinstance(bound, TooMuch) else "nested too deep"
        machine.opaque(reason, "unparsed")


def hand_over(call: Call, machine: Machine) -> None:
    """What a process has is in reach of the code in it that is not looked into: words, input, directory, variables."""
    if not (machine.hidden or machine.programs or machine.foreign):
        return
    saved = call.cwd
    for cwd in machine.cwds:
        call.cwd = cwd
        call.mention_cwd()
    call.cwd = saved
    call.mention(machine.argv[1:])
    if machine.argv_value is not None:
        machine.mention(machine.argv_value)
    for value in machine.environment:
        machine.mention(value)
    call.mention_input()


def beside(call: Call, machine: Machine) -> None:
    """Code of the project that the session did not write runs: what the session wrote may run with it."""
    folders = [folder for folder in machine.search_folders() if folder is not None]
    may_import(call, folders, done=(*machine.own, machine.file or ""), words=[field.text for field in machine.argv])


def may_import(call: Call, folders: Sequence[str], *, done: Collection[str] = (), words: Sequence[str] = ()) -> None:
    """Every module of the session's below some folders that code of the project may import.

    Args:
        call: the command that runs the code.
        folders: where modules are looked for.
        done: files that were looked into.
        words: what the code is told, which may name a module.
    """
    files = written_files(call, ".py")
    if files is None:
        hold(call, folders[0] if folders else "/")
        return
    view = call.shell.view
    tops = [f"{folder.rstrip('/')}/" for folder in dict.fromkeys((*folders, *(view.identity(f) for f in folders)))]
    known = {view.identity(path) for path in done}
    found = [path for path in files if path.startswith(tuple(tops))]
    if known:
        found = [path for path in found if view.identity(path) not in known]
    found = [path for path in found if _importable(call, path, folders, words)]
    for path in found[:MAX_BESIDE]:
        check_module(call, module_name(call, path), path)
    for path in found[MAX_BESIDE:]:
        hold(call, path)


def check_module(call: Call, name: str, path: str) -> None:
    """A module of the session's in a process of the project: what it does by itself, and when it is called."""
    machine = Machine(call, [Field(text=path)], path)
    if is_large(call, path):
        hold(call, path)
        return
    aside(machine, lambda: _whole_module(machine, name, path), path)


def aside(machine: Machine, walk: Callable[[], object], path: str) -> None:
    """Walk a file that may run beside the rest: with what is left of the steps for such files."""
    call = machine.call
    given = machine.steps = min(machine.steps, call.shell.aside)
    with call.perhaps():
        follow(machine, walk)
        hand_over(call, machine)
    call.shell.aside -= given - max(machine.steps, 0)
    if machine.hidden:
        hold(call, path)


def is_large(call: Call, path: str) -> bool:
    """There is more text than can be looked at besides what the call is about."""
    data = call.content(place(path, None)) or b""
    call.shell.aside_bytes -= len(data)
    return call.shell.aside_bytes < 0 or len(data) > MAX_ASIDE_BYTES


def _whole_module(machine: Machine, name: str, path: str) -> None:
    scope = machine.load(name, path)
    if scope is not None:
        with machine.undecided():
            machine.give_out(scope)
    machine.finish()


def hold(call: Call, path: str) -> None:
    """A file of the session's runs that is not understood."""
    call.script(place(path, None), authored=True)


def module_name(call: Call, path: str) -> str:
    """The name by which a file is imported: with the packages it lies in."""
    folder, _, last = path.removesuffix(".py").rpartition("/")
    parts = [] if last == "__init__" else [last]
    while folder and call.shell.view.kind(f"{folder}/__init__.py") is not None:
        folder, _, above = folder.rpartition("/")
        parts.insert(0, above)
    return ".".join(parts) or last


# -- which of them are modules


def _importable(call: Call, path: str, folders: Sequence[str], words: Sequence[str]) -> bool:
    """A file may be imported by name if it is in a package, or if something names it; a script of its own is not."""
    folder, _, last = path.removesuffix(".py").rpartition("/")
    if call.shell.view.kind(f"{folder}/__init__.py") is not None or last == "__init__":
        return True
    if not last.isidentifier():
        return False
    named = rf"\b{re.escape(last)}\b"
    # Most texts are without it, and to find that out costs less than to make the pattern.
    if any(last in word and re.search(named, word) is not None for word in words):
        return True
    texts = _texts(call, (*folders, folder), path, last)
    return any(last in text and re.search(named, text) is not None for text in texts)


def _texts(call: Call, folders: Sequence[str], but: str, name: str) -> Iterator[str]:
    """Texts around a file in which its name would stand; one that is not known to be without it is the name."""
    view = call.shell.view
    count = 0
    for base in dict.fromkeys(folder.rstrip("/") for folder in folders):
        for pattern in _NAMING:
            found = view.glob(f"{escape(base)}/{pattern}") if base else None
            for path in found if found is not None else (name,):
                count += 1
                data = view.read(path, MAX_SCANNED_BYTES) if path != but else b""
                if data is None or count > MAX_SCANNED:
                    yield name
                    return
                yield data.decode("utf-8", "replace")
