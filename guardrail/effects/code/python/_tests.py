"""Files of tests that the session wrote: what a test runner would call in them, and with what.

Not concerned with which files a run collects: `_projects` is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from guardrail.effects.code.python._beside import aside, hold, is_large, module_name
from guardrail.effects.code.python._changes import FOREIGN
from guardrail.effects.code.python._defined import Function, Instance, Klass, Scope
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._machine import Machine
from guardrail.effects.code.python._path_methods import paths
from guardrail.effects.code.python._system import argument_of, set_environment, temporary
from guardrail.effects.code.python._texts import any_of, one_of
from guardrail.effects.code.python._values import NAME, NONE, Args, Ref, Seq, Text, Thing, Unknown, Value
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import Field

_CALLED: Final = ("test", "setup", "teardown", "pytest_")
"""How functions and methods begin that a test runner calls by their names."""

_PLAIN: Final = frozenset(
    "capsys capfd capsysbinary capfdbinary caplog recwarn record_property record_xml_attribute doctest_namespace "
    "benchmark subtests faker".split()
)
"""Fixtures that show what was printed or logged, or make up data."""


def run_tests(call: Call, path: str, before: Sequence[str], roots: Sequence[str], *, every: bool) -> None:
    """The tests of one file.

    Args:
        call: the test runner.
        path: the file.
        before: files with fixtures that the session wrote, the outermost first.
        roots: folders in which modules are looked for.
        every: a setting says which names are tests, so that any function may be one.
    """
    machine = Machine(call, [Field(text=call.name), *call.args], path)
    machine.roots.extend(roots)
    if is_large(call, path):
        hold(call, path)
        return
    aside(machine, lambda: _File(machine, every=every).run((*before, path)), path)


class _File:
    """Calls what is in a file of tests."""

    def __init__(self, machine: Machine, *, every: bool) -> None:
        self.machine = machine
        self.every = every
        self.fixtures: dict[str, tuple[Function, Instance | None]] = {}
        self.given: dict[str, Value] = {}
        self.open: set[str] = set()

    def run(self, files: Sequence[str]) -> None:
        """Load the files, and call the tests of the last one and the hooks and fixtures of all."""
        scopes: list[tuple[Scope, ast.AST]] = []
        self.machine.withheld = True
        for path in files:
            count = len(self.machine.trees)
            scope = self.machine.load(module_name(self.machine.call, path), path)
            if scope is not None and len(self.machine.trees) > count:
                scopes.append((scope, self.machine.trees[count]))
        self.machine.withheld = False
        with self.machine.undecided():
            for scope, tree in scopes:
                self._fixtures_of(scope, tree)
            for scope, tree in scopes:
                self._helpers_of(scope, tree)
            for name in tuple(self.fixtures):
                self.value(name)
            for scope, tree in scopes:
                self._tests_of(scope, tree)
        self.machine.finish()

    def _fixtures_of(self, scope: Scope, tree: ast.AST) -> None:
        for node in _functions(tree):
            made = scope.names.get(node.name)
            name = _fixture_name(node)
            if name is not None and isinstance(made, Function):
                self.fixtures[name] = (made, None)

    def _helpers_of(self, scope: Scope, tree: ast.AST) -> None:
        """Where only a part of a file is new, the rest may call what is no test."""
        if FOREIGN not in scope.names:
            return
        tests = {node.name for node in _functions(tree) if _fixture_name(node) or self._is_called(node.name)}
        for name, value in tuple(scope.names.items()):
            if name not in tests and not name.startswith("<") and not (isinstance(value, Klass) and _is_test(name)):
                self.machine.mention_names(value)
                if not isinstance(value, Ref):
                    self.machine.escape(value)

    def value(self, name: str) -> Value:
        """What a test gets for a parameter."""
        if name in self.given:
            return self.given[name]
        if name not in self.fixtures or name in self.open:
            return _built_in(self.machine, name)
        self.open.add(name)
        function, owner = self.fixtures[name]
        made = self._call(function, owner, {})
        items, rest = self.machine.items_of(made) if _yields(function) else ([made], None)
        self.given[name] = one_of(items, rest)
        self.open.discard(name)
        return self.given[name]

    def _call(self, function: Function, owner: Instance | None, known: Mapping[str, Value]) -> Value:
        parameters = function.parameters
        names = [each.arg for each in (*parameters.posonlyargs, *parameters.args, *parameters.kwonlyargs)]
        named = {name: known[name] if name in known else self.value(name) for name in names if not _is_self(name)}
        bound = Function(function.name, parameters, function.body, function.scope, function.defaults)
        bound.owner = owner if owner is not None else None
        return self.machine.call_function(bound, Args([], {**function.defaults, **named}))

    def _tests_of(self, scope: Scope, tree: ast.AST) -> None:
        for node in tree.body if isinstance(tree, ast.Module) else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                made = scope.names.get(node.name)
                if isinstance(made, Function) and _fixture_name(node) is None and self._is_called(node.name):
                    self._call(made, None, self._parameters(node, scope))
            elif isinstance(node, ast.ClassDef):
                self._class(scope.names.get(node.name), node, scope)

    def _class(self, klass: Value | None, node: ast.ClassDef, scope: Scope) -> None:
        if not isinstance(klass, Klass) or klass.framed:
            return  # a class with a base that is not known was called when it was defined
        if not (self.every or node.name.startswith("Test")):
            return
        owner = Instance(klass, self.machine.branch)
        methods = [(each, klass.find(each.name)) for each in _functions(node)]
        for each, method in methods:
            name = _fixture_name(each)
            if name is not None and isinstance(method, Function):
                self.fixtures[name] = (method, owner)
        for each, method in sorted(methods, key=lambda pair: not pair[0].name.startswith(("setup", "_"))):
            if isinstance(method, Function) and _fixture_name(each) is None and self._is_called(each.name):
                self._call(method, owner, self._parameters(each, scope))
        for name, (_, whose) in tuple(self.fixtures.items()):
            if whose is owner:
                self.value(name)

    def _is_called(self, name: str) -> bool:
        return self.every or name.lower().startswith(_CALLED)

    def _parameters(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> dict[str, Value]:
        """What `parametrize` gives."""
        found: dict[str, Value] = {}
        for decorator in node.decorator_list:
            if not isinstance(decorator, ast.Call) or _dotted(decorator.func).rpartition(".")[2] != "parametrize":
                continue
            if len(decorator.args) < 2:
                continue
            names, saved = _names_in(decorator.args[0]), self.machine.scope
            self.machine.scope = scope
            items, rest = self.machine.items_of(self.machine.eval(decorator.args[1]))
            self.machine.scope = saved
            values = [*items, *([rest] if rest is not None else [])]
            for index, name in enumerate(names):
                found[name] = any_of([_part(value, index, len(names)) for value in values] or [Unknown()])
        return found


def _is_test(name: str) -> bool:
    return name.startswith("Test")


def _part(value: Value, index: int, count: int) -> Value:
    if count == 1:
        return value if not isinstance(value, Thing) else Unknown()
    items = value.items if isinstance(value, Seq) and value.rest is None else []
    return items[index] if len(items) == count else Unknown()


def _names_in(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [name.strip() for name in node.value.split(",") if name.strip()]
    if isinstance(node, ast.List | ast.Tuple):
        return [str(each.value) for each in node.elts if isinstance(each, ast.Constant)]
    return []


def _is_self(name: str) -> bool:
    return name in ("self", "cls")


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in getattr(tree, "body", ()):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _fixture_name(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
    """The name under which a function is a fixture; None if it is none."""
    for decorator in node.decorator_list:
        called = decorator if isinstance(decorator, ast.Call) else None
        if _dotted(called.func if called is not None else decorator).rpartition(".")[2] == "fixture":
            for keyword in called.keywords if called is not None else ():
                if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                    return str(keyword.value.value)
            return node.name
    return None


def _yields(function: Function) -> bool:
    body = function.body if isinstance(function.body, list) else []
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for statement in body for node in ast.walk(statement))


# -- fixtures that come with the test runner


def _built_in(machine: Machine, name: str) -> Value:
    if name in ("tmp_path", "tmpdir", "temp_dir"):
        return _fresh(machine)
    if name in ("tmp_path_factory", "tmpdir_factory"):
        return Thing("<tmp_path_factory>")
    if name in ("monkeypatch", "mp"):
        return Thing("<monkeypatch>")
    if name in _PLAIN:
        return Unknown()
    return Thing("?fixture")


def _fresh(machine: Machine) -> Text:
    """A new directory for one test."""
    base = next((field.text[11:] for field in machine.argv if field.text.startswith("--basetemp=")), None)
    if base is None:
        base = f"{temporary(machine).alternatives[0]}/pytest-of-{NAME}/pytest-{NAME}"
    return paths((f"{base}/{NAME}",))


@handles("<tmp_path_factory>.mktemp", "<tmp_path_factory>.getbasetemp")
def make_fresh(machine: Machine, args: Args) -> Value:
    """`tmp_path_factory.mktemp("x")`."""
    for value in args.pos[1:]:
        machine.account(value)
    return _fresh(machine)


@handles("<monkeypatch>.chdir")
def patch_directory(machine: Machine, args: Args) -> Value:
    """`monkeypatch.chdir(path)`."""
    return machine.call_ref("os.chdir", args.after(1))


@handles("<monkeypatch>.setenv", "<monkeypatch>.delenv")
def patch_variable(machine: Machine, args: Args) -> Value:
    """`monkeypatch.setenv(name, value)`."""
    name = argument_of(args, 1, "name")
    machine.account(name)
    set_environment(machine, name.exact if isinstance(name, Text) else None, args.get(2, "value") or NONE)
    return NONE


@handles("<monkeypatch>.syspath_prepend")
def patch_search(machine: Machine, args: Args) -> Value:
    """`monkeypatch.syspath_prepend(path)`."""
    return machine.call_ref("sys.path.append", args.after(1))


@handles("<monkeypatch>.setattr", "<monkeypatch>.delattr")
def patch_attribute(machine: Machine, args: Args) -> Value:
    """`monkeypatch.setattr(target, name, value)`, or with the name as one text."""
    target, name, value = argument_of(args, 1, "target"), args.get(2, "name"), args.get(3, "value")
    if isinstance(target, Text) and value is None:
        module, _, last = (target.exact or "").rpartition(".")
        machine.account(target)
        target, name, value = Ref(module) if module else Unknown(hidden=True), Text((last,)), name
    machine.account(name)
    exact = name.exact if isinstance(name, Text) else None
    if exact is None:
        return machine.opaque("an attribute whose name is not known is set", "dynamic", value or NONE)
    machine.set_attribute(target, exact, value if value is not None else NONE)
    return NONE


@handles("<monkeypatch>.setitem", "<monkeypatch>.delitem")
def patch_item(machine: Machine, args: Args) -> Value:
    """`monkeypatch.setitem(mapping, name, value)`."""
    machine.store(argument_of(args, 1), argument_of(args, 2), args.get(3, "value") or NONE)
    return NONE


@handles("<monkeypatch>.undo", "<monkeypatch>.context")
def patch_scope(_machine: Machine, args: Args) -> Value:
    """What was replaced may come back."""
    return argument_of(args, 0)
