"""What is handed to code that is not known, which may call it; and decorators.

Not concerned with calls whose function is known: `_calls` has those.
"""

from __future__ import annotations

import abc
import ast
from collections.abc import Callable, Sequence
from typing import Final

from guardrail.effects.code.python._carried import carried
from guardrail.effects.code.python._defined import ClassMethod, Function, Instance, Klass, Property, Scope
from guardrail.effects.code.python._handlers import HANDLERS
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._statements import Statements
from guardrail.effects.code.python._table import table
from guardrail.effects.code.python._texts import one_of
from guardrail.effects.code.python._values import (
    CWD_MARK,
    NONE,
    Args,
    Bound,
    Const,
    Dict,
    Either,
    Handle,
    Later,
    Native,
    Partial,
    Ref,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    options,
)
from guardrail.effects.code.python._walk import MAX_CHANGES, MAX_KEPT, TooMuch
from guardrail.effects.domain._values import merge
from guardrail.model import Resource

_PLAIN_BASES: Final = frozenset(
    "builtins.object builtins.dict builtins.list builtins.str builtins.int builtins.float builtins.tuple "
    "builtins.set abc.ABC typing.NamedTuple typing.Generic typing.Protocol typing.TypedDict enum.Enum "
    "enum.IntEnum enum.StrEnum enum.Flag collections.OrderedDict collections.UserDict threading.local".split()
)

_PLAIN_DECORATORS: Final = frozenset(
    "builtins.staticmethod builtins.property functools.cache functools.lru_cache functools.wraps "
    "functools.total_ordering dataclasses.dataclass typing.overload typing.final abc.abstractmethod torch.no_grad "
    "torch.inference_mode functools.cached_property functools.singledispatch contextlib.asynccontextmanager "
    "numba.jit numba.njit builtins.classmethod asyncio.coroutine types.coroutine typing.runtime_checkable "
    "torch.jit.script unittest.skip pytest.mark.parametrize pytest.fixture".split()
)

_HARMLESS_REFS: Final = frozenset(
    f"builtins.{name}"
    for name in "str int float bool bytes len list dict tuple set print repr sorted sum min max abs round any all "
    " ord chr hex bin oct type isinstance object Exception ValueError KeyError zip enumerate range map "
    "filter id iter next callable format hash".split()
)  # fmt: skip

_HARMLESS_MODULES: Final = (
    "builtins.", "os.path.", "os.environ", "os.get", "json.", "itertools.", "functools.", "shlex.", "base64.",
    "binascii.", "zlib.", "urllib.parse.", "pathlib.", "uuid.", "time.", "datetime.", "textwrap.", "copy.",
    "random.", "collections.",
    "html.", "codecs.decode", "codecs.encode", "logging.", "yaml.safe", "tomllib.", "contextlib.", "concurrent.",
    "argparse.", "io.", "configparser.", "platform.", "socket.gethostname", "torch.", "numpy.",
    "pandas.", "transformers.",
)  # fmt: skip

_ACTING: Final = frozenset(
    "builtins.open builtins.exec builtins.eval builtins.compile builtins.__import__ builtins.getattr "
    "builtins.setattr builtins.vars builtins.globals builtins.locals builtins.breakpoint io.FileIO os.system "
    "os.popen os.open subprocess.run subprocess.call subprocess.Popen subprocess.check_call "
    "subprocess.check_output subprocess.getoutput subprocess.getstatusoutput pty.spawn os.chdir os.write "
    "os.sendfile".split()
)

_ACCESSORS: Final = frozenset(("setter", "getter", "deleter"))

_LOOKS: Final = frozenset(
    "len int str float bool isinstance sorted sum min max any all range enumerate zip abs".split()
)


def _members(value: Either | Seq | Dict) -> list[Value]:
    if isinstance(value, Either):
        return list(value.options)
    return list(value.items.values() if isinstance(value, Dict) else value.items)[:256]


def _looks_like_class(name: str) -> bool:
    return name.rpartition(".")[2][:1].isupper()


def all_names(klass: Klass) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for one in reversed(klass.order()):
        found.update(one.names)
    return found


def nodes_of(function: Function) -> list[tuple[ast.AST, Scope]]:
    body = [function.body] if isinstance(function.body, ast.expr) else function.body
    return [(part, function.scope) for part in body]


def _used_by(value: Value) -> list[Value | None]:
    """The values that may be called where a value is used."""
    if isinstance(value, Function):
        return [value.owner, *value.defaults.values()]
    if isinstance(value, Partial):
        return [value.function, *value.args.all()]
    if isinstance(value, Property):
        return [value.getter, value.setter, value.remover]
    if isinstance(value, ClassMethod):
        return [value.function]
    if isinstance(value, Bound):
        return [value.owner]
    if isinstance(value, Klass):
        return [*all_names(value).values()]
    if isinstance(value, Instance):
        return [value.klass, *value.names.values()]
    if isinstance(value, Seq | Dict):
        return [*_members(value), value.rest]
    return list(value.options) if isinstance(value, Either) else []


def does_something(node: ast.AST) -> bool:
    """It does more than look at names and values."""
    if isinstance(node, ast.Call):
        return not (isinstance(node.func, ast.Name) and node.func.id in _LOOKS)
    return isinstance(node, ast.Delete | ast.Import | ast.ImportFrom | ast.With | ast.Await)


def surely_ends(value: Value) -> bool:
    return isinstance(value, Thing) and value.kind == "<exit>"


class Late(Exception):
    """A function that was handed on uses a name that gets its value only later."""


class Escaping(Statements):
    """Values that whoever gets them may call."""

    returned: tuple[Resource, ...]
    read_by: dict[int, tuple[frozenset[str], bool]]
    late: list[Value]
    escaping: int
    sources_depth: int

    @abc.abstractmethod
    def call_function(self, function: Function, args: Args) -> Value:
        """The result of calling a function of the code."""

    # -- what is handed to code that is not known

    def escape(self, value: Value) -> None:
        """A function, or an object with methods, may be called by whoever gets it."""
        if isinstance(value, Text | Const | Unknown):
            return
        self.step()
        if isinstance(value, Either | Seq | Dict):
            if isinstance(value, Seq) and value.later is not None:
                self.items_of(value)
            for item in _members(value):
                if not isinstance(item, Text | Const):
                    self.escape(item)
        else:
            self._escape_one(value)

    def _escape_one(self, value: Value) -> None:
        if isinstance(value, Thing) and value.kind == "<code>":
            with self.undecided():
                self.call_ref("builtins.exec", Args([value]))
        elif isinstance(value, Handle):
            value.text = None  # what is written into it is not known any more
        elif isinstance(value, Function):
            self._escape_function(value)
        elif isinstance(value, Klass | Instance):
            self._escape_class(value)
        elif isinstance(value, Partial):
            self._escape_partial(value)
        elif isinstance(value, Ref):
            self._escape_ref(value)
        elif isinstance(value, Bound) and self._acts(value):
            self.opaque(f"the method `{value.name[:40]}` is handed on", "dynamic")

    def _acts(self, value: Bound) -> bool:
        entry = table().entries.get(f"any.{value.name}")
        owner = value.owner
        own = isinstance(owner, Instance) and owner.klass.find(value.name) is not None
        return (entry is not None and entry.acts) or isinstance(owner, Handle) or own

    def _escape_function(self, value: Function) -> None:
        if any(frame.body is value.body and frame.scope is value.scope for frame in self.inlined):
            return
        key = (id(value.body), id(value.scope), id(value.owner), *map(id, value.defaults.values()))
        self._once_for(key, value, lambda: self._with_anything(key, value), nodes_of(value))

    def _once_for(
        self, key: tuple[int, ...], value: Value, run: Callable[[], Value], nodes: Sequence[tuple[ast.AST, Scope]]
    ) -> None:
        """Do something once for a value; again if something changed that it uses; and at the end."""
        known = self.escaped.get(key)
        if known is not None:
            if self.changed(known[0]):
                self.again(known[0])
            self.returned = merge(self.returned, known[0].returned)
            return
        if len(self.escaped) >= MAX_KEPT:
            raise TooMuch("too many functions are handed on")
        later = Later(run, len(self.history), nodes, (value,))
        self.escaped[key] = later, value
        before, self.returned = self.returned, ()
        run()
        later.returned, self.returned = self.returned, merge(before, self.returned)
        later.position = len(self.history)
        if key in self.escaped:
            self.keep(later)

    def _with_anything(self, key: tuple[int, ...], function: Function) -> Value:
        """Call a function with any arguments: now, or at the end if it uses names that get a value only later."""
        depths = len(self.returns), len(self.yields), self.sources_depth
        self.escaping += 1
        try:
            with self.undecided(), self.tentative():
                given = self.call_function(function, Args(vague=Unknown()))
                self.mention_names(given)
                self._given_back(given)
        except Late:
            del self.returns[depths[0] :]
            del self.yields[depths[1] :]
            self.sources_depth = depths[2]
            self.escaped.pop(key, None)
            self.late.append(function)
        finally:
            self.escaping -= 1
        return NONE

    def _escape_class(self, value: Klass | Instance) -> None:
        klass = value if isinstance(value, Klass) else value.klass
        owner = value if isinstance(value, Instance) else Instance(klass, self.branch)
        self._once_for((id(value),), value, lambda: self._every_method(value, owner, klass), ())

    def _every_method(self, value: Klass | Instance, owner: Instance, klass: Klass) -> Value:
        for name, method in all_names(klass).items():
            if isinstance(method, Function) and not (isinstance(value, Instance) and name == "__init__"):
                self.try_method(owner, method)
            elif isinstance(method, Property):
                for part in (method.getter, method.setter, method.remover):
                    if isinstance(part, Function):
                        self.try_method(owner, part)
            elif isinstance(method, ClassMethod) and isinstance(method.function, Function):
                self._escape_function(method.function.bound(klass))
            elif isinstance(method, Partial | Ref):
                self.escape(method)
        for item in (*klass.names.values(), *owner.names.values()):
            self.mention_names(item)
        for item in list(owner.names.values()):
            if isinstance(item, Function | Ref | Partial):
                self.escape(item)
        return NONE

    def try_method(self, owner: Instance, method: Function) -> None:
        """A method that Python itself may call: with any arguments."""
        self._escape_function(method.bound(owner))

    def _escape_partial(self, value: Partial) -> None:
        self._once_for((id(value),), value, lambda: self._called(value), ())

    def _called(self, value: Value) -> Value:
        with self.undecided(), self.tentative():
            self._given_back(self.call_value(value, Args(vague=Unknown())))
        return NONE

    def _given_back(self, value: Value) -> None:
        """Whoever may call a function may also call the function that it gives."""
        self.returned = merge(self.returned, carried(value))
        for option in options(value):
            if isinstance(option, Function | Partial | Ref):
                self.escape(option)

    def beside(self, function: Value, args: Args) -> Value:
        """A function runs at some time from now on."""
        later = Later(lambda: self.call_value(function, args), len(self.history), (), (function, *args.all()))
        with self.tentative():
            value = self.call_value(function, args)
        later.position = len(self.history)
        self.keep(later)
        return Unknown() if surely_ends(value) else value

    def every_call(self, function: Value, args: Args) -> Value:
        """What a function gives that is called again and again."""
        found: Value | None = None

        def once() -> bool:
            nonlocal found
            found = join(found, self.call_value(function, args))
            return True

        self._repeat(once, ())
        return found if found is not None else Unknown()

    def reads(self, later: Later) -> tuple[set[str], bool]:
        """The names that some code reads, with those of the functions that it names; and whether it may do more."""
        names: set[str] = set()
        acts = bool(later.values)
        seen: set[int] = set()
        queue: list[tuple[ast.AST, Scope]] = list(later.nodes)
        values: list[Value | None] = list(later.values)
        while queue or values:
            self.step()
            if values:
                value = values.pop()
                if value is not None and id(value) not in seen and len(seen) < MAX_CHANGES:
                    seen.add(id(value))
                    queue += nodes_of(value) if isinstance(value, Function) else []
                    values += _used_by(value)
                continue
            node, scope = queue.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            read, calls = self._read_by(node)
            acts = acts or calls
            for name in read - names:
                names.add(name)
                values.append(self._stands(scope, name))
        return names, acts

    def _read_by(self, node: ast.AST) -> tuple[frozenset[str], bool]:
        known = self.read_by.get(id(node))
        if known is None:
            parts = list(ast.walk(node))
            bound = {p.id for p in parts if isinstance(p, ast.Name) and not isinstance(p.ctx, ast.Load)}
            bound = bound if isinstance(node, ast.GeneratorExp) else set[str]()
            names = {p.id for p in parts if isinstance(p, ast.Name) and isinstance(p.ctx, ast.Load)}
            known = frozenset(names - bound | {CWD_MARK}), any(does_something(part) for part in parts)
            self.read_by[id(node)] = known
        return known

    @staticmethod
    def _stands(scope: Scope, name: str) -> Value | None:
        place: Scope | None = scope.shared.get(name, scope)
        while place is not None:
            if name in place.names:
                return place.names[name]
            place = place.outer
        return scope.globals.names.get(name)

    def _escape_ref(self, value: Ref) -> None:
        name = table().canonical(value.name)
        entry = table().entries.get(name)
        if name in _HARMLESS_REFS or (entry is not None and not entry.acts):
            return
        kind = table().kind(name)
        if (
            (name in HANDLERS or name in ("os.environ", "sys.argv"))
            and name.startswith((*_HARMLESS_MODULES, "sys.argv"))
            and name not in _ACTING
        ):
            return
        acts = entry is not None or name in HANDLERS
        if acts or (kind == "known" and not _looks_like_class(name)):
            self.opaque(f"`{name[:60]}` is handed on", "dynamic")

    # -- decorators and classes

    def decorate(self, decorator: ast.expr, made: Value) -> Value:
        """What a decorator makes of a function or class."""
        value = self.eval(decorator.func if isinstance(decorator, ast.Call) else decorator)
        name = table().canonical(value.name) if isinstance(value, Ref) else ""
        if name in _PLAIN_DECORATORS or name.startswith("pytest.mark."):
            if isinstance(decorator, ast.Call):
                for argument in decorator.args:
                    self.eval(argument)
            if name in ("builtins.property", "functools.cached_property") and isinstance(made, Function):
                return self._property(made)
            if name == "builtins.staticmethod" and isinstance(made, Function):
                return Partial(made, Args())
            if name == "builtins.classmethod" and isinstance(made, Function):
                return self.class_method(made)
            return made
        if name == "contextlib.contextmanager":
            return Native(lambda args: self._manager(made, args))
        if isinstance(value, Bound) and value.name in _ACCESSORS:
            return self.accessor(value.owner, value.name, made)
        if isinstance(decorator, ast.Call):
            method = isinstance(decorator.func, ast.Attribute) and not isinstance(value, Ref)
            value = self.eval(decorator) if method else self.call_value(value, self._arguments(decorator))
        if isinstance(value, Function | Partial | Native | Klass):
            return self.call_value(value, Args([made]))
        if table().kind(name) == "known" and name:
            self.opaque(f"the decorator `{name[:40]}` is not followed", "inline")
        self.escape(made)
        return Either((made, Unknown()))

    def _property(self, made: Value, setter: Value | None = None, remover: Value | None = None) -> Property:
        return Property(lambda args: self.call_value(made, args), made, setter, remover)

    def accessor(self, owner: Value, name: str, made: Value) -> Value:
        """`@p.setter` and its like."""
        if not isinstance(owner, Property):
            self.escape(made)
            return made
        parts = {"getter": owner.getter, "setter": owner.setter, "deleter": owner.remover, name: made}
        return self._property(parts["getter"] or NONE, parts["setter"], parts["deleter"])

    def property_of(self, args: Args) -> Value:
        """`property(get, set, delete)`."""
        parts = [args.get(0, "fget"), args.get(1, "fset"), args.get(2, "fdel")]
        found = [None if part is None or isinstance(part, Const) else part for part in parts]
        return self._property(found[0] or NONE, found[1], found[2])

    def class_method(self, made: Value) -> ClassMethod:
        """`classmethod(f)`."""
        return ClassMethod(lambda args: self.call_value(made, args), made)

    def _manager(self, made: Value, args: Args) -> Value:
        given = self.call_value(made, args)
        items, rest = self.items_of(given)
        return Thing("<manager>", {"entered": one_of(items, rest)})

    def plain_base(self, name: str) -> bool:
        """A base class that calls no method of its children by itself."""
        return name in _PLAIN_BASES or name.endswith(("Error", "Exception", "Warning"))
