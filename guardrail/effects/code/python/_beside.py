"""What code of the project may import that the session wrote: its modules are looked into, whoever runs them.

Not concerned with the modules that a piece of code is seen to import: `_imports` walks those with what they are given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Final

from guardrail.effects.code._own_files import FEW_NAMES, OwnFiles, module_folder, own_files, python_folder
from guardrail.effects.code.python._machine import Machine
from guardrail.effects.code.python._walk import TooMuch
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import escape, place
from guardrail.effects.domain._values import Field
from guardrail.effects.domain._view import FileView

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
    own = own_files(call)
    if own is None:
        hold(call, folders[0] if folders else "/")
        return
    view = call.shell.view
    known = {view.identity(path) for path in done}
    texts = _Texts(view, folders)
    found: list[str] = []
    for path in _modules(own, view, folders, words, texts, MAX_BESIDE + len(known) + 1):
        if (known and view.identity(path) in known) or not _importable(call, path, words, texts):
            continue
        found.append(path)
        if len(found) > MAX_BESIDE:
            break
    for path in found[:MAX_BESIDE]:
        check_module(call, module_name(call, path), path)
    for path in found[MAX_BESIDE:]:
        # It stands for all that come after it: none of them is looked into.
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


_WORD: Final = re.compile(r"\w+")


class _Texts:
    """Texts in which the name of a module would stand, each read once for a command.

    Args:
        view: the live filesystem.
        folders: where modules are looked for.
    """

    def __init__(self, view: FileView, folders: Sequence[str]) -> None:
        self._view = view
        self._folders = folders
        self._around: dict[str, tuple[str, ...] | None] = {}
        self._words: dict[str, frozenset[str] | None] = {}

    def around(self, folder: str) -> tuple[str, ...] | None:
        """Those that are searched for the modules of a folder; None if there are more than that."""
        if folder not in self._around:
            self._around[folder] = self._listed(folder)
        return self._around[folder]

    def _listed(self, folder: str) -> tuple[str, ...] | None:
        listed: list[str] = []
        for base in dict.fromkeys(each.rstrip("/") for each in (*self._folders, folder)):
            for pattern in _NAMING:
                found = self._view.glob(f"{escape(base)}/{pattern}") if base else None
                if found is None or len(listed) + len(found) > MAX_SCANNED:
                    return None
                listed += found
        return tuple(listed)

    def words(self, path: str) -> frozenset[str] | None:
        """The words of a text; None if it is not read."""
        if path not in self._words:
            data = self._view.read(path, MAX_SCANNED_BYTES)
            text = data.decode("utf-8", "replace") if data is not None else None
            self._words[path] = frozenset(_WORD.findall(text)) if text is not None else None
        return self._words[path]


def _modules(
    own: OwnFiles, view: FileView, folders: Sequence[str], words: Sequence[str], texts: _Texts, most: int
) -> list[str]:
    """The sources of the session's below some folders that may be imported, with some that may not be, in order.

    Of a folder in which all may be, only as many as are asked for.
    """
    tops = [folder.rstrip("/") for folder in dict.fromkeys((*folders, *map(view.identity, folders)))]
    found: set[str] = set()
    for folder in {each for top in tops for each in (top, *own.keys(python_folder, f"{top}/"))}:
        modules = own.at(module_folder, folder)
        if view.kind(f"{folder}/__init__.py") is not None:
            found.update(own.at(python_folder, folder)[:most])
        elif len(modules) <= FEW_NAMES:
            found.update(modules)
        else:
            found.update(_named(modules, folder, words, texts, most))
    return sorted(found)


def _named(modules: Sequence[str], folder: str, words: Sequence[str], texts: _Texts, most: int) -> Sequence[str]:
    """Those of many modules of a folder whose names stand somewhere: all if there is a text that is not read."""
    around = texts.around(folder)
    known = [texts.words(path) for path in around or ()]
    if around is None or None in known:
        return modules[:most]
    told = {name for word in words for name in _WORD.findall(word)}
    named = told.union(*(each or () for each in known), ("__init__",))
    # A name may have characters in it that are of no word.
    odd = [path for path in modules if not path.isascii()]
    return [*{f"{folder}/{name}.py" for name in named}.intersection(modules), *odd]


def _importable(call: Call, path: str, words: Sequence[str], texts: _Texts) -> bool:
    """A file may be imported by name if it is in a package, or if something names it; a script of its own is not."""
    folder, _, last = path.removesuffix(".py").rpartition("/")
    if call.shell.view.kind(f"{folder}/__init__.py") is not None or last == "__init__":
        return True
    if not last.isidentifier():
        return False
    # Most texts are without it, and to find that out costs less than to make the pattern.
    if any(last in word and re.search(rf"\b{re.escape(last)}\b", word) is not None for word in words):
        return True
    around = texts.around(folder)
    if around is None or _WORD.fullmatch(last) is None:
        return True
    for other in around:
        named = texts.words(other) if other != path else _NO_WORDS
        if named is None or last in named:
            return True
    return False


_NO_WORDS: Final[frozenset[str]] = frozenset()
