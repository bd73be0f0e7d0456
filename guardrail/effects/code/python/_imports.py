"""Modules: what an import runs, where it is looked for, and the text of those that the session wrote.

Not concerned with what code of the project imports in its turn: `_beside` is.
A module that the session wrote is walked like the code that imports it. One that it did not write is a program of the
project: that it runs is said, and what is handed to it.
"""

from __future__ import annotations

import abc
import ast
import functools
import sys
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from typing import Final

from guardrail.effects.code._own_files import OwnFiles, own_files
from guardrail.effects.code._scripts import script_texts
from guardrail.effects.code.python._calls import Calling
from guardrail.effects.code.python._changes import FOREIGN, changed_part, names_bound
from guardrail.effects.code.python._core import single
from guardrail.effects.code.python._defined import Scope
from guardrail.effects.code.python._escaping import Late
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._table import table
from guardrail.effects.code.python._values import Dict, Ref, Seq, Unknown, Value, text
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import as_code
from guardrail.effects.domain._paths import escape, place
from guardrail.effects.domain._values import TOP, Field

MAX_CODE_BYTES: Final = 128 * 1024
"""Longest Python text that is analysed, in bytes."""

_INNER: Final = frozenset("__builtins__ __loader__ __spec__ __dict__ __import__ __class__".split())
_ENDS = ("/__init__.py", ".py")


def _names_of(path: str) -> set[str]:
    """The name of a file without its ending, and that of its folder."""
    folder, _, name = path.rpartition("/")
    return {name.partition(".")[0], folder.rpartition("/")[2]}


def _modules_of(path: str) -> set[str]:
    """The name of a source of Python, and that of its folder."""
    return set(path.removesuffix(".py").split("/")[-2:]) if path.endswith(".py") else set()


class Importing(Calling):
    """Imports modules.

    Args:
        call: the command that runs the code.
        argv: `sys.argv`.
        file: the script, if the code is in one.
    """

    def __init__(self, call: Call, argv: list[Field], file: str | None = None) -> None:
        super().__init__(call, argv, file)
        self.modules: dict[str, Scope] = {}
        self.own: dict[str, str] = {}  # path of a module that the session wrote -> its name
        self.foreign = False  # code of the project that the session did not write runs
        self.roots: list[str] = []  # more folders in which modules are looked for
        self.local: set[str] = set()  # names that were found in files beside the code
        self.looked: set[str] = set()
        self.homes: dict[int, tuple[str, str]] = {}  # scope of a module -> its package, and the folder of that
        self.pure_folder: bool | None = None
        self.trees: list[ast.AST] = []
        self.bound: set[str] = set()
        self.pinned = {**pinned(call), **call.shell.pinned}
        self.withheld = False  # whoever walks the modules says what is called in them

    @abc.abstractmethod
    def attribute(self, owner: Value, name: str) -> Value:
        """`owner.name`."""

    # -- names

    def import_module(self, name: str) -> Value:
        """A module by its name: known, in a file beside the code, or not known."""
        if name.startswith("."):
            return self._relative(name)
        if name in self.modules:
            return Ref(name)
        canonical = table().canonical(name)
        self._shadows(name)
        head = name.partition(".")[0]
        if head in sys.stdlib_module_names or table().kind(canonical) != "unknown":
            return Ref(canonical)
        self._local(name, self.search_folders())
        return Ref(name if name in self.modules else canonical)

    def imported(self, name: str, module: Value, member: str) -> Value:
        """`from name import member`: something in the module, or a module below it."""
        full = f"{module.name}.{member}" if isinstance(module, Ref) else ""
        scope = self.modules.get(module.name) if isinstance(module, Ref) else None
        if full and self._is_own_name(member) and not (scope is not None and member in scope.names):
            folders = self.search_folders() if not name.startswith(".") else [self._home()[1]]
            self._local(full, folders)
            if full in self.modules:
                return Ref(full)
        if full and scope is None and member.startswith("__") and member not in _INNER:
            return Ref(full)  # a fact about the module
        return self.attribute(module, member)

    def _relative(self, name: str) -> Value:
        """A module by its place beside the one that imports it."""
        package, top = self._home()
        dots = len(name) - len(name.lstrip("."))
        parts = package.split(".")
        if not package or dots > len(parts):
            return self.opaque("a module beside the code", "inline")
        full = ".".join([*parts[: len(parts) - dots + 1], *([name[dots:]] if name[dots:] else [])])
        self._local(full, [top])
        return Ref(full)

    def _home(self) -> tuple[str, str]:
        """The package of the code that runs now, and the folder that it is looked for in."""
        known = self.homes.get(id(self.scope.globals))
        if known is None:
            known = _package_of(self.call, self.file) if self.file is not None else ("", "")
            self.homes[id(self.scope.globals)] = known
        package, folder = known
        top = folder
        for _ in package.split("."):
            top = top.rpartition("/")[0]
        return package, top

    # -- files

    def search_folders(self) -> list[str | None]:
        """Where modules are looked for before those that are installed; None is a folder that is not known."""
        found: list[str | None] = [*self.roots]
        if self.file is not None:
            found.append(self.file.rpartition("/")[0] or "/")
        found.append(self.call.cwd)
        path = self.state.vars.get("PYTHONPATH")
        if path is not None:
            for alternative in path.alternatives:
                found += [part if TOP not in part else None for part in alternative.split(":") if part]
        for value in self.folders:
            exact = single(value)
            found.append(place(exact, self.call.cwd).path if exact is not None else None)
        return list(dict.fromkeys(place(folder, self.call.cwd).path if folder else None for folder in found))

    def _local(self, name: str, folders: Sequence[str | None]) -> None:
        """A module that is a file of the project, with the packages above it."""
        if name in self.looked:
            return
        self.looked.add(name)
        for folder in folders:
            if folder is None:
                self._anywhere(name)
            elif self._in_folder(name, folder.rstrip("/")):
                return

    def _in_folder(self, name: str, folder: str) -> bool:
        """Look for a module in one folder; whether its first name is there."""
        parts = name.split(".")
        there = False
        for count in range(1, len(parts) + 1):
            module, base = ".".join(parts[:count]), "/".join((folder, *parts[:count]))
            hits = [base + end for end in _ENDS if self._is_there(base + end)]
            if not hits and self.call.shell.view.kind(base) != "dir":
                break
            there = True
            self.local.add(module)
            for path in hits[:1]:
                self._module(module, path)
        return there

    def _is_there(self, path: str) -> bool:
        return self.call.shell.view.kind(path) is not None or self._made(path)

    def _made(self, path: str) -> bool:
        """This call put a file there, or where it may be the same."""
        emit = self.call.shell.emit
        names = (path.rpartition("/")[2], path.split("/")[-2])
        return any(entry.rpartition("/")[2] in names for entry in emit.made) and emit.changed(path)

    def _is_own_name(self, name: str) -> bool:
        """Something that the session wrote has a name, but for its ending, or lies in a folder of that name."""
        return self._wrote is not None and self._wrote.has(_names_of, name)

    @functools.cached_property
    def _wrote(self) -> OwnFiles | None:
        """What the session wrote, as the process begins."""
        return own_files(self.call)

    def _authored(self, path: str) -> bool:
        shell = self.call.shell
        if (own := self._wrote) and not any(own.has(_names_of, part) for part in path.removesuffix(".py").split("/")):
            return False
        return self._made(path) or shell.wrote.wrote(path) or shell.wrote.wrote(shell.view.identity(path))

    def _anywhere(self, name: str) -> None:
        """Of a folder that is not known nothing is certain but that it may be one the session wrote to."""
        own = self._wrote
        if own is None:
            self.opaque("a module of a folder that is not known", "dynamic")
            return
        for path in own.at(_modules_of, name.partition(".")[0]):
            self._held(path)

    def _module(self, name: str, path: str) -> None:
        if not self._authored(path):
            self.foreign = True
            self._found(path)
        elif name not in self.modules:
            self.own[path] = name
            self.load(name, path)

    def _found(self, path: str) -> None:
        """A script of the project runs."""
        shell = self.call.shell
        if self._authored(path):
            self._held(path)
        elif shell.view.kind(path) is not None:
            self.ended = True
            self.call.script(place(path, None))

    def _held(self, path: str) -> None:
        """A file of the session's runs that is not followed."""
        self.ended = True
        self.call.script(place(path, None), authored=True)

    def _shadows(self, name: str) -> None:
        """A file in a folder that is searched first takes the place of a module that is known by its name."""
        if self.pure_folder is not None or name in sys.builtin_module_names:
            return
        self.pure_folder = True
        emit = self.call.shell.emit
        for folder in self.search_folders():
            if folder is None:
                continue
            for pattern in ("*.py", "*.so", "*/__init__.py"):
                for path in self.call.shell.view.glob(f"{escape(folder.rstrip('/'))}/{pattern}") or ():
                    parts = path.split("/")
                    stem = parts[-2] if parts[-1] == "__init__.py" else parts[-1].partition(".")[0]
                    if is_known(stem) and path != self.file:
                        self._found(path)
            for made in emit.made:
                above, _, last = made.rpartition("/")
                if last == "__init__.py":
                    above, _, last = above.rpartition("/")
                loaded = "." not in last or "*" in last or last.endswith(_LOADED)
                if loaded and above == folder.rstrip("/") and is_known(last.partition(".")[0]) and made != self.file:
                    self._found(made)

    # -- modules that the session wrote

    def load(self, name: str, path: str) -> Scope | None:
        """Walk a module that the session wrote; None if its text is not known."""
        resource = place(path, None)
        before = self.before(path)
        texts = [text for text in self.pinned.get(path) or script_texts(self.call, resource) if text != before]
        if not texts and before is None:
            self._held(path)
            self.hidden = True
            return None
        self.call.emit("read", resource, attrs={"reveals": "none"})
        scope = self.modules[name] = Scope()
        scope.names["__name__"], scope.names["__file__"] = text(name), text(path)
        package = name if path.endswith("/__init__.py") else name.rpartition(".")[0]
        self.homes[id(scope)] = (package, path.rpartition("/")[0])
        self.scopes.append(scope)
        try:
            with self._apart():
                self._texts_of(scope, texts, before)
        except Late:
            del self.modules[name]
            raise
        for asked in ("__getattr__", "__dir__"):
            if asked in scope.names:
                self.escape(scope.names[asked])
        return scope

    def _texts_of(self, scope: Scope, texts: Sequence[str], before: str | None) -> None:
        for index, source in enumerate(texts):
            if not index:
                self.run_changed(source, scope, before)
                continue
            kept = dict(scope.names)
            with self.undecided():
                self.run_changed(source, scope, before)
            for key, value in kept.items():
                scope.names[key] = join(value, scope.names.get(key))

    # -- what the session changed in a file

    def before(self, path: str) -> str | None:
        """What a file held before the session first wrote it."""
        shell = self.call.shell
        real = shell.view.identity(path)
        if shell.wrote.wrote(real):
            return shell.wrote.before(real)
        data = shell.view.read(path, shell.limits.script_bytes)
        try:
            return data.decode("utf-8") if data is not None else None
        except UnicodeDecodeError:
            return None

    def run_changed(self, source: str, scope: Scope, before: str | None) -> None:
        """Walk what is new in a module; the rest is code of the project, which may call all of that."""
        part = changed_part(source, before) if before is not None and len(source) <= MAX_CODE_BYTES else None
        if part is None:
            self.run_source(source, scope)
            return
        self.foreign = True
        scope.names[FOREIGN] = Ref("project")
        self.texts.append(source)
        self.bound |= part.bound
        self.trees.append(ast.Module(part.new, []))
        saved, self.scope = self.scope, scope
        try:
            for node, known in part.statements:
                self._statement(node, known=known)
        finally:
            self.scope = saved
        if not self.withheld:
            with self.undecided():
                self.give_out(scope, {name for node in part.new for name in names_bound(node)}, part.rebound)

    def _statement(self, node: ast.stmt, *, known: bool) -> None:
        """A statement of a module; of one that was there before only the names count, and what it imports."""
        if not known:
            self.block([node])
            return
        for part in ast.walk(node):
            if isinstance(part, ast.Import | ast.ImportFrom):
                self.block([part])
        if isinstance(node, ast.Import | ast.ImportFrom):
            return
        programs, reasons = set(self.programs), set(self.reasons)
        with self.muted():
            self.block([node])
        self.programs, self.reasons = programs, reasons

    @contextmanager
    def _apart(self) -> Generator[None, None, None]:
        """A module begins with no loop and no function around it."""
        saved = self.breaks, self.continues, self.returns, self.yields, self.passing
        self.breaks, self.continues, self.returns, self.yields, self.passing = [], [], [], [], []
        try:
            yield
        finally:
            self.breaks, self.continues, self.returns, self.yields, self.passing = saved

    def member(self, module: str, name: str) -> Value | None:
        """A name of a module that the session wrote; None if that is no such module."""
        scope = self.modules.get(module)
        if scope is None:
            return None
        found = scope.names.get(name)
        if found is None and f"{module}.{name}" in (*self.modules, *self.local):
            return Ref(f"{module}.{name}")
        return found if found is not None else Unknown(hidden=True)

    def set_member(self, module: str, name: str, value: Value) -> bool:
        """A name of a module that the session wrote gets a value; False if that is no such module."""
        scope = self.modules.get(module)
        if scope is None:
            return False
        self.set_name(scope, name, join(scope.names.get(name), value) if self.branch else value)
        return True

    def import_star(self, module: Value) -> None:
        """`from module import *`: a name that is not defined otherwise is the module's."""
        if not isinstance(module, Ref):
            self.opaque("names of a module that is not known", "inline")
            return
        scope = self.modules.get(module.name)
        if scope is not None:
            for name, value in scope.names.items():
                if not name.startswith(("__", "<")):
                    self.assign_name(name, value)
            return
        self.stars.append(module.name)
        for name in [name for name in self.scope.names if name[:1] not in "_<"]:
            self.assign_name(name, join(self.scope.names[name], self.attribute(module, name)))
        if table().kind(module.name) == "unknown":
            self.call.shell.emit.opaque("program", as_code(f"python:{module.name}"), spec=self.call.name)
            self.ended = True

    def give_out(self, scope: Scope, names: Collection[str] | None = None, rebound: Collection[str] = ()) -> None:
        """Whoever imports a module gets all that it defines; what it imports by its own name is there for anybody.

        Args:
            scope: the module.
            names: those that the session gave a value to; all if not given.
            rebound: those that meant something else before.
        """
        mine = [name for name in scope.names if (names is None or name in names) and not name.startswith(("__", "<"))]
        for name in mine:
            value = scope.names[name]
            own = isinstance(value, Ref) and value.name.rpartition(".")[2] == name
            if not own or name in rebound:
                self.escape(value)
        for name, value in tuple(scope.names.items()):
            if name in mine or isinstance(value, Dict | Seq):
                self.mention_names(value)


def pinned(call: Call) -> dict[str, tuple[str, ...]]:
    """What the modules hold that this call wrote: as a process finds them when it starts, whatever runs in it."""
    made = [path for path in call.shell.emit.made if path.endswith(".py") and "*" not in path]
    return {path: script_texts(call, place(path, None)) for path in made if call.shell.contents.knows(path)}


_LOADED: Final = (".py", ".pyc", ".so")
"""How the names of files end that Python loads as modules."""


def is_known(stem: str) -> bool:
    """A module of the standard library, or a library that is known by its name."""
    if stem in sys.builtin_module_names:
        return False
    return stem in sys.stdlib_module_names or table().kind(stem) != "unknown"


def _package_of(call: Call, file: str) -> tuple[str, str]:
    """The package that a file lies in, and its folder; by the files that make it one."""
    folder = file.rpartition("/")[0]
    parts: list[str] = []
    at = folder
    while at and (not parts or call.shell.view.kind(f"{at}/__init__.py") is not None):
        parts.insert(0, at.rpartition("/")[2])
        at = at.rpartition("/")[0]
    return ".".join(parts), folder
