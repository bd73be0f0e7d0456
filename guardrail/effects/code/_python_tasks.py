"""Tasks that are written as Python and only start commands: a `noxfile.py`, and a `tasks.py` of invoke.

Not concerned with what the commands do. A file with anything in it but constants and such tasks has no answer here; so
nothing in it can give another meaning to a name that is used.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from guardrail.effects.code._own_files import own_files
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import Field
from guardrail.patterns import lazy

MAX_TASKS_TEXT: Final = 64 * 1024
"""Largest file of tasks that is read, in characters."""

MAX_DEPTH: Final = 8
"""Deepest nesting of branches in a task."""

Words = Sequence[Field]


class _Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A program that runs tasks, and what stands in a file for it."""

    module: str
    names: frozenset[str]  # what may be imported from it
    decorators: frozenset[str]
    settings: frozenset[str]  # options of a task
    quiet: frozenset[str]  # what a task calls that runs nothing
    running: frozenset[str]  # options of a command that change nothing about what runs


_NOX: Final = _Tool(
    module="nox",
    names=frozenset(("session", "Session", "parametrize", "options")),
    decorators=frozenset(("session", "parametrize")),
    settings=frozenset("python py name reuse_venv tags venv_backend default requires ids".split()),
    quiet=frozenset("log warn skip error notify debug".split()),
    running=frozenset("external silent success_codes".split()),
)
_INVOKE: Final = _Tool(
    module="invoke",
    names=frozenset(("task", "Context", "context")),
    decorators=frozenset(("task",)),
    settings=frozenset("pre post help name aliases default optional iterable positional incrementable".split()),
    quiet=frozenset(),
    running=frozenset("pty echo warn hide timeout".split()),
)
_SETTING: Final = lazy(r"[\w .,:;!?@<>=()'+*-]*")
"""A constant in a setting that names no file."""

_INSTALLING: Final[Mapping[str, tuple[str, ...]]] = {
    "install": ("pip", "install"),
    "conda_install": ("conda", "install"),
    "run": (),
    "run_always": (),
    "run_install": (),
}
"""What a session of nox is told, and the words that stand before what it is told."""


def _is_of_nox(path: str) -> bool:
    """Lies in an environment that nox made."""
    return "/.nox/" in path


def nox_tasks(call: Call, text: str) -> list[Words] | None:
    """The commands of a `noxfile.py`; None if anything else is in it."""
    given = [field.text for field in call.args]
    more = given[given.index("--") + 1 :] if "--" in given else []
    own = own_files(call)
    if own is None or own.chosen(_is_of_nox):
        return None  # its programs are found there first
    found: list[Words] = []
    for commands in _read(text, _NOX, more):
        if commands is None:
            return None
        found += [tuple(Field(text=word) for word in words) for words in commands]
    return found


def invoke_tasks(call: Call, text: str) -> list[Words] | None:
    """The commands of a `tasks.py` of invoke; None if anything else is in it, or something says how they are run."""
    for name in ("invoke.yaml", "invoke.yml", "invoke.json", "invoke.py", ".invoke.yaml"):
        path = call.place(Field(text=name)).path
        if path is None or call.shell.authored(path):
            return None
    found: list[Words] = []
    for commands in _read(text, _INVOKE, ()):
        if commands is None:
            return None
        found += [tuple(Field(text=word) for word in ("bash", "-c", *words)) for words in commands]
    return found


def has_only_tasks(name: str, text: str) -> bool:
    """Whether a file has nothing in it but tasks that start commands, for the program that reads it.

    Args:
        name: `noxfile.py` or `tasks.py`.
        text: what is in it.
    """
    tool = {"noxfile.py": _NOX, "tasks.py": _INVOKE}.get(name)
    return tool is not None and None not in list(_read(text, tool, ()))


def _read(text: str, tool: _Tool, more: Sequence[str]) -> Iterator[list[list[str]] | None]:
    """The commands of each task, as words; None for what is not understood."""
    try:
        body = ast.parse(text).body if len(text) <= MAX_TASKS_TEXT else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        body = None
    if body is None:
        yield None
        return
    constants: dict[str, list[str]] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef):
            yield _Task(tool, node, constants, more).commands() if _is_task(node, tool) else None
        elif not _is_plain(node, tool, constants):
            yield None


def _is_plain(node: ast.stmt, tool: _Tool, constants: dict[str, list[str]]) -> bool:
    """An import of the tool's names, a text, or a constant, which is noted."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Import):
        return all(one.name == tool.module and one.asname is None for one in node.names)
    if isinstance(node, ast.ImportFrom):
        known = tool.names if node.module == tool.module else {"annotations"} if node.module == "__future__" else ()
        return not node.level and all(one.name in known and one.asname is None for one in node.names)
    if not isinstance(node, ast.Assign) or len(node.targets) != 1:
        return False
    target, value = node.targets[0], _texts(node.value, constants)
    if isinstance(target, ast.Attribute):
        option = _chain(target).startswith(("nox.options.", "options.", "nox.needs_version"))
        return tool is _NOX and option and _is_setting(node.value, constants)
    taken = {tool.module, *tool.names, *constants, "print"}
    if not isinstance(target, ast.Name) or target.id in taken or value is None:
        return False
    constants[target.id] = value
    return True


def _texts(node: ast.expr, constants: Mapping[str, list[str]]) -> list[str] | None:
    """A text, or several in a list; None for anything else."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    if isinstance(node, ast.Starred):
        return _texts(node.value, constants)
    if isinstance(node, ast.List | ast.Tuple):
        parts = [_texts(one, constants) for one in node.elts]
        return None if None in parts else [text for part in parts for text in part or ()]
    return None


def _chain(node: ast.expr) -> str:
    """`nox.options.sessions`, as it stands; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    head = _chain(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{head}.{node.attr}" if head and isinstance(node, ast.Attribute) else ""


def _is_setting(node: ast.expr | None, names: Mapping[str, list[str]], depth: int = 0) -> bool:
    """Nothing but constants that name no file, and names."""
    if depth > MAX_DEPTH:
        return False
    if isinstance(node, ast.Constant):
        return not isinstance(node.value, str) or _SETTING.fullmatch(node.value) is not None
    if isinstance(node, ast.Name):
        return all(_SETTING.fullmatch(text) for text in names.get(node.id, ()))
    if isinstance(node, ast.List | ast.Tuple):
        return all(_is_setting(one, names, depth + 1) for one in node.elts)
    if isinstance(node, ast.Dict):
        return all(_is_setting(one, names, depth + 1) for one in (*node.keys, *node.values))
    return False


def _is_task(node: ast.FunctionDef, tool: _Tool) -> bool:
    """A function that is one for the tool, and whose head runs nothing else."""
    spec = node.args
    if (
        node.name in (tool.module, *tool.names, "print")
        or spec.vararg
        or spec.kwarg
        or not (spec.posonlyargs + spec.args)
    ):
        return False
    defaults = [one for one in (*spec.defaults, *spec.kw_defaults) if one is not None]
    annotations = [one.annotation for one in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)]
    said = [one for one in (*annotations, node.returns) if one is not None]
    quiet = all(_is_setting(one, {}) for one in defaults) and all(_is_name(one) for one in said)
    return quiet and bool(node.decorator_list) and all(_is_decorator(one, tool) for one in node.decorator_list)


def _is_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or bool(_chain(node))


def _is_decorator(node: ast.expr, tool: _Tool) -> bool:
    called = node.func if isinstance(node, ast.Call) else node
    if _chain(called).removeprefix(f"{tool.module}.") not in tool.decorators:
        return False
    if not isinstance(node, ast.Call):
        return True
    named = all(one.arg in tool.settings and _is_setting(one.value, {}) for one in node.keywords)
    return named and all(_is_setting(one, {}) for one in node.args)


class _Task:
    """One task, and the commands that it may start."""

    def __init__(
        self, tool: _Tool, node: ast.FunctionDef, constants: Mapping[str, list[str]], more: Sequence[str]
    ) -> None:
        self.tool = tool
        self.body = node.body
        parameters = [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        self.own = parameters[0]
        self.names = {name: value for name, value in constants.items() if name not in parameters}
        self.more = list(more)
        self.found: list[list[str]] = []

    def commands(self) -> list[list[str]] | None:
        """Each of them as words; None if the task does anything else."""
        return self.found if self._all(self.body, 0) else None

    def _all(self, body: Sequence[ast.stmt], depth: int) -> bool:
        return depth <= MAX_DEPTH and all(self._one(node, depth) for node in body)

    def _one(self, node: ast.stmt, depth: int) -> bool:
        if isinstance(node, ast.Pass) or (isinstance(node, ast.Return) and node.value is None):
            return True
        if isinstance(node, ast.If):
            return _asks(node.test) and self._all(node.body, depth + 1) and self._all(node.orelse, depth + 1)
        if isinstance(node, ast.Assign):
            return self._assigned(node, depth)
        if not isinstance(node, ast.Expr):
            return False
        if isinstance(node.value, ast.Constant):
            return True
        return isinstance(node.value, ast.Call) and self._called(node.value)

    def _assigned(self, node: ast.Assign, depth: int) -> bool:
        """A name for what is handed on, or is usual: once, and not in a branch."""
        target = node.targets[0]
        if len(node.targets) != 1 or not isinstance(target, ast.Name) or depth or target.id in (self.own, *self.names):
            return False
        value = self._handed(node.value)
        if value is None or target.id in self.tool.names:
            return False
        self.names[target.id] = value
        return True

    def _handed(self, node: ast.expr) -> list[str] | None:
        """Texts; of `session.posargs or […]` those that count."""
        if _chain(node) == f"{self.own}.posargs" and self.tool is _NOX:
            return self.more
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or) and len(node.values) == 2:
            first = self._handed(node.values[0])
            return None if first is None else first or _texts(node.values[1], self.names)
        if isinstance(node, ast.Starred):
            return self._handed(node.value)
        return _texts(node, self.names)

    def _called(self, node: ast.Call) -> bool:
        head, _, verb = _chain(node.func).rpartition(".")
        if head == "" and verb == "print":
            return not node.keywords and all(isinstance(one, ast.Constant) for one in node.args)
        if head != self.own:
            return False
        if verb in self.tool.quiet:
            return not node.keywords and all(isinstance(one, ast.Constant) for one in node.args)
        if not all(one.arg in self.tool.running and _is_setting(one.value, {}) for one in node.keywords):
            return False
        parts = [self._handed(one) for one in node.args]
        if None in parts or not parts:
            return False
        words = [text for part in parts for text in part or ()]
        if self.tool is _INVOKE:
            # One text, as it stands: a name in a text for the shell is not filled in.
            self.found.append(words)
            return verb == "run" and len(words) == 1
        before = _INSTALLING.get(verb)
        self.found += [[*(before or ()), *words]] if words else []
        return before is not None


def _asks(node: ast.expr) -> bool:
    """A condition that only looks at names and constants."""
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not) and _asks(node.operand)
    if isinstance(node, ast.BoolOp):
        return all(map(_asks, node.values))
    if isinstance(node, ast.Compare):
        return all(map(_asks, (node.left, *node.comparators)))
    return isinstance(node, ast.Constant) or bool(_chain(node))
