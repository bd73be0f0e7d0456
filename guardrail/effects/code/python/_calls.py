"""Calls of values and methods, what is handed to code that is not known, and decorators."""

from __future__ import annotations

import ast
from typing import Final

from guardrail.effects.code.python._core import MAX_INLINED, TooMuch
from guardrail.effects.code.python._handlers import HANDLERS, run_handler
from guardrail.effects.code.python._library import apply
from guardrail.effects.code.python._methods import method_of
from guardrail.effects.code.python._statements import Statements
from guardrail.effects.code.python._table import table
from guardrail.effects.code.python._texts import any_of
from guardrail.effects.code.python._values import (
    NONE,
    Args,
    Bound,
    Const,
    Dict,
    Either,
    Function,
    Handle,
    Instance,
    Klass,
    Native,
    Partial,
    Ref,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    carried,
    join,
)
from guardrail.effects.domain._values import TOP, merge
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

_COMPUTING: Final = frozenset(
    "add append extend update load_state_dict copy_ dot matmul mm bmm mul div sub eq ne equal allclose "
    "index_select gather where isin merge join concat fit predict transform fit_transform encode decode format "
    "replace split startswith endswith find count generate forward to apply map assign insert remove pop get "
    "setdefault union intersection difference compare digest feed put view reshape masked_fill astype fillna drop "
    "sort_values search match findall sub finditer fullmatch loads load parse validate items keys values rstrip "
    "strip lower upper head tail mean sum std max min argmax topk softmax log_softmax chat "
    "batch_decode tokenize".split()
)
"""Methods of unknown objects that compute with what they are given, or use it as a model uses its weights."""

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


def _members(value: Either | Seq | Dict) -> list[Value]:
    if isinstance(value, Either):
        return list(value.options)
    return list(value.items.values() if isinstance(value, Dict) else value.items)[:256]


def _looks_like_class(name: str) -> bool:
    return name.rpartition(".")[2][:1].isupper()


def _all_names(klass: Klass) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for parent in klass.parents:
        found.update(_all_names(parent))
    found.update(klass.names)
    return found


class Late(Exception):
    """A function that was handed on uses a name that gets its value only later."""


class Calling(Statements):
    """Calls functions, methods and classes."""

    late: list[Value]
    escaping: int
    finishing: bool
    sources_depth: int

    # -- calls

    def call_value(self, function: Value, args: Args) -> Value:
        """`function(*args)`."""
        if isinstance(function, Either):
            return self._call_either(function, args)
        if isinstance(function, Ref):
            return self.call_ref(function.name, args)
        if isinstance(function, Function):
            return self.call_function(function, args)
        if isinstance(function, Klass):
            return self.instantiate(function, args)
        if isinstance(function, Bound):
            return self.call_method(function.owner, function.name, args)
        if isinstance(function, Partial):
            both = Args([*function.args.pos, *args.pos], {**function.args.named, **args.named}, args.vague)
            return self.call_value(function.function, both)
        if isinstance(function, Native):
            return function.run(args)
        if isinstance(function, Instance):
            return self.call_method(function, "__call__", args)
        return self._call_unknown(function, args)

    def _call_either(self, function: Either, args: Args) -> Value:
        found: Value | None = None
        before = self.snapshot()
        end = before
        for option in function.options:
            self.restore(before)
            with self.undecided():
                found = join(found, self.call_value(option, args))
            end = self.both(end, self.snapshot())
        self.restore(end)
        return found if found is not None else Unknown()

    def _call_unknown(self, function: Value, args: Args) -> Value:
        if isinstance(function, Unknown) and function.hidden:
            for value in args.all():
                self.escape(value)
            return self.opaque("a function that is not known is called", "dynamic", *args.all())
        if isinstance(function, Thing) and function.kind.startswith("?"):
            return self.program(function.kind[1:], args)
        if isinstance(function, Thing):
            for value in args.all():
                self.account(value)
                self.escape(value)
            return Unknown(function.sources)
        for value in args.all():
            self.mention(value)
            self.escape(value)
        return Unknown(function.sources)

    def call_function(self, function: Function, args: Args) -> Value:
        """A function of the code, walked with its arguments."""
        depth = sum(1 for body in self.inlined if body is function.body)
        if depth >= 2 or len(self.inlined) >= MAX_INLINED:
            if len(self.inlined) >= MAX_INLINED and depth < 2:
                raise TooMuch("functions call each other too deep")
            return Unknown(tuple(s for value in args.all() for s in carried(value)))
        if depth == 1:
            # It calls itself: the arguments of all deeper calls at once.
            args = Args([], {}, Text((TOP,), tuple(s for value in args.all() for s in carried(value))))
            with self.undecided():
                return self.run_body(function, args)
        return self.run_body(function, args)

    def instantiate(self, klass: Klass, args: Args) -> Value:
        """An object of a class of the code."""
        made = Instance(klass, self.branch)
        for name, value in _all_names(klass).items():
            if isinstance(value, Function) and name.startswith("__") and name not in ("__init__", "__new__"):
                self._try_method(made, value)
        init = klass.find("__init__")
        if isinstance(init, Function):
            self.call_method(made, "__init__", args)
            post = None
        else:
            post = klass.find("__post_init__")
            annotated = [name for name in klass.names if not name.startswith("__")]
            for value in args.all():
                made.names[f"<{len(made.names)}>"] = value
            for name, value in args.named.items():
                made.names[name] = value
            if args.pos:
                for name in annotated:
                    made.names.setdefault(name, any_of([*args.pos, klass.names[name]]))
        if isinstance(post, Function):
            self.call_method(made, "__post_init__", args)
        return made

    def _try_method(self, owner: Instance, method: Function) -> None:
        """A method that Python itself may call: with any arguments."""
        if id(method.body) in self.escaped:
            return
        self.escaped.add(id(method.body))
        bound = Function(method.name, method.parameters, method.body, method.scope, method.defaults)
        bound.owner = owner
        self._with_anything(bound, bound)

    def call_method(self, owner: Value, name: str, args: Args) -> Value:
        """`owner.name(*args)`."""
        if isinstance(owner, Either):
            return self._method_of_either(owner, name, args)
        if isinstance(owner, Ref):
            return self.call_value(self.attribute(owner, name), args)
        if isinstance(owner, Instance):
            return self._instance_method(owner, name, args)
        if isinstance(owner, Klass):
            return self.call_value(self.attribute(owner, name), args)
        if isinstance(owner, Thing) and owner.kind == "<super>":
            return self.call_value(self.attribute(owner, name), args)
        if isinstance(owner, Unknown) and owner.hidden:
            return self._call_unknown(owner, args)
        if self.hides(name):
            return self.opaque(f"`{name[:40]}` leads to the inside of Python", "inline", *args.all())
        if isinstance(owner, Thing) and name in owner.facts:
            return self.call_value(owner.facts[name], args)
        return self._builtin_method(owner, name, args)

    def _method_of_either(self, owner: Either, name: str, args: Args) -> Value:
        found: Value | None = None
        with self.undecided():
            for option in owner.options:
                if not (isinstance(option, Const) and option.value is None):
                    found = join(found, self.call_method(option, name, args))
        return found if found is not None else NONE

    def _instance_method(self, owner: Instance, name: str, args: Args) -> Value:
        own = owner.names.get(name)
        if own is not None:
            return self.call_value(own, args)
        method = owner.klass.find(name)
        if isinstance(method, Function):
            bound = Function(method.name, method.parameters, method.body, method.scope, method.defaults)
            bound.owner = owner
            return self.call_function(bound, args)
        if method is not None:
            return self.call_value(method, args)
        if owner.klass.framed:
            entry = table().entries.get(f"any.{name}")
            if entry is not None:
                return apply(self, entry, args, owner)
            for value in args.all():
                self.mention(value)
                self.escape(value)
        return Unknown(carried(owner))

    def _builtin_method(self, owner: Value, name: str, args: Args) -> Value:
        found = method_of(self, owner, name, args)
        if found is not None:
            return found
        tables = table()
        if isinstance(owner, Thing):
            handler = HANDLERS.get(f"{owner.kind}.{name}")
            if handler is not None:
                return run_handler(handler, self, Args([owner, *args.pos], args.named, args.vague))
            if table().kind(owner.kind) == "remote" and f"{owner.kind}.{name}" not in tables.entries:
                return self._remote_method(owner, name, args)
            entry = tables.entries.get(f"{owner.kind}.{name}")
            if entry is not None:
                return apply(self, entry, args, owner)
        if isinstance(owner, Text | Const | Seq | Dict):
            return self._other_method(owner, name, args)
        handler = HANDLERS.get(f"any.{name}")
        if handler is not None:
            return run_handler(handler, self, Args([owner, *args.pos], args.named, args.vague))
        entry = tables.entries.get(f"any.{name}")
        if entry is not None:
            return apply(self, entry, args, owner)
        return self._other_method(owner, name, args)

    def _remote_method(self, owner: Thing, name: str, args: Args) -> Value:
        """A method of a library that reaches elsewhere, of which no table knows: it may send what it is given."""
        handler = HANDLERS.get(f"any.{name}")
        if handler is not None:
            return run_handler(handler, self, Args([owner, *args.pos], args.named, args.vague))
        entry = table().entries.get(f"any.{name}")
        if entry is not None:
            return apply(self, entry, args, owner)
        for value in args.all():
            self.mention(value)
            self.escape(value)
        return Thing(owner.kind, dict(owner.facts))

    def _other_method(self, owner: Value, name: str, args: Args) -> Value:
        """A method of which no table knows."""
        if isinstance(owner, Thing) and "<text>" in owner.facts:
            owner.facts["<text>"] = Unknown()
        sources = owner.sources
        for value in args.all():
            sources = (*sources, *(s for s in carried(value) if s not in sources))
            if isinstance(owner, Text | Const | Seq | Dict):
                self.account(value)
            self.escape(value)
        if isinstance(owner, Thing) and owner.kind.startswith("?"):
            return self.program(owner.kind[1:], args)
        if name in ("hexdigest", "digest"):
            return Unknown()
        if not isinstance(owner, Text | Const | Seq | Dict):
            self._hand_over(owner, name, args)
        if isinstance(owner, Thing) and owner.kind == "model":
            return Unknown()
        return Unknown(self.without(name, Unknown(sources)))

    def _hand_over(self, owner: Value, name: str, args: Args) -> None:
        """Content is given to a method of something that is not known."""
        if name in ("write", "writelines"):
            self.sink(owner, tuple(s for value in args.all() for s in carried(value)), None)
        elif name not in _COMPUTING and not (isinstance(owner, Thing) and owner.kind in ("model", "weights")):
            for value in args.all():
                for source in carried(value):
                    self.call.emit("mention", source, flow=("argument",), precision="opaque", may=True)

    def call_ref(self, name: str, args: Args) -> Value:
        """A function of a library, by its full name."""
        self.step()
        name = table().canonical(name)
        handler = HANDLERS.get(name)
        if handler is not None:
            return run_handler(handler, self, args)
        tables = table()
        entry = tables.entries.get(name)
        if entry is not None:
            for value in args.all():
                if not isinstance(value, Text | Const | Handle | Unknown):
                    self.escape(value)
            return apply(self, entry, args)
        return self._call_unlisted(name, args)

    def _call_unlisted(self, name: str, args: Args) -> Value:
        kind = table().kind(name)
        tail = name.rpartition(".")[2]
        sources: tuple[Resource, ...] = ()
        for value in args.all():
            sources = merge(sources, carried(value))
            self.escape(value)
        if kind == "pure":
            for value in args.all():
                self.account(value)
            return Unknown(sources)
        if kind == "known":
            if tail[:1].isupper() and tail.endswith(
                ("Error", "Exception", "Warning", "Exit", "Interrupt", "Iteration")
            ):
                for value in args.all():
                    self.account(value)
                return Unknown()
            return self.opaque(f"`{name[:60]}` is not modelled", "inline", *args.all())
        entry = table().entries.get(f"any.{tail}")
        if entry is not None:
            return apply(self, entry, args)
        if kind == "remote":
            for value in args.all():
                self.mention(value)
            return Thing(".".join(name.split(".")[:-1]) or name)
        if kind == "data":
            for value in args.all():
                self.mention_names(value)
            return Unknown(sources)
        self.program(name.partition(".")[0], args)
        return Thing("?" + name.partition(".")[0])

    # -- what is handed to code that is not known

    def escape(self, value: Value) -> None:
        """A function, or an object with methods, may be called by whoever gets it."""
        if isinstance(value, Either | Seq | Dict):
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
        if id(value.body) in self.escaped or any(body is value.body for body in self.inlined):
            return
        self.escaped.add(id(value.body))
        self._with_anything(value, value)

    def _with_anything(self, function: Function, queued: Value) -> None:
        """Call a function with any arguments: now, or at the end if it uses names that get a value only later."""
        depths = len(self.returns), len(self.yields), self.sources_depth
        self.escaping += 1
        try:
            with self.undecided():
                self.mention_names(self.call_function(function, Args(vague=Unknown())))
        except Late:
            del self.returns[depths[0] :]
            del self.yields[depths[1] :]
            self.sources_depth = depths[2]
            self.escaped.discard(id(function.body))
            self.escaped.discard(id(queued))
            self.late.append(queued)
        finally:
            self.escaping -= 1

    def _escape_class(self, value: Klass | Instance) -> None:
        klass = value if isinstance(value, Klass) else value.klass
        if id(value) in self.escaped:
            return
        self.escaped.add(id(value))
        owner = value if isinstance(value, Instance) else Instance(klass, self.branch)
        for name, method in _all_names(klass).items():
            if isinstance(method, Function) and not (isinstance(value, Instance) and name == "__init__"):
                self._try_method(owner, method)
        for item in (*klass.names.values(), *owner.names.values()):
            self.mention_names(item)

    def _escape_partial(self, value: Partial) -> None:
        if id(value) in self.escaped:
            return
        self.escaped.add(id(value))
        with self.undecided():
            self.call_value(value, Args(vague=Unknown()))

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
                return Partial(made, Args([Unknown()]))
            return made
        if name == "contextlib.contextmanager":
            return Native(lambda args: self._manager(made, args))
        if isinstance(value, Bound) and value.name in ("setter", "getter", "deleter"):
            return made
        if isinstance(decorator, ast.Call):
            method = isinstance(decorator.func, ast.Attribute) and not isinstance(value, Ref)
            value = self.eval(decorator) if method else self.call_value(value, self._arguments(decorator))
        if isinstance(value, Function | Partial | Native | Klass):
            return self.call_value(value, Args([made]))
        if table().kind(name) == "known" and name:
            self.opaque(f"the decorator `{name[:40]}` is not followed", "inline")
        self.escape(made)
        return Either((made, Unknown()))

    def _property(self, made: Function) -> Native:
        def get(args: Args) -> Value:
            return self.call_function(made, args)

        return Native(get)

    def _manager(self, made: Value, args: Args) -> Value:
        given = self.call_value(made, args)
        items, rest = self.items_of(given)
        return Thing("<manager>", {"entered": any_of([*items, *([rest] if rest is not None else [])])})

    def plain_base(self, name: str) -> bool:
        """A base class that calls no method of its children by itself."""
        return name in _PLAIN_BASES or name.endswith(("Error", "Exception", "Warning"))
