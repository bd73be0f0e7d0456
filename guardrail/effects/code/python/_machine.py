"""One Python process: attributes, calls, imports and decorators on top of the walk over its code."""

from __future__ import annotations

import ast
import sys
import threading
import warnings
from typing import Final

from guardrail.effects.code.python._calls import Calling, Late
from guardrail.effects.code.python._core import single
from guardrail.effects.code.python._table import table
from guardrail.effects.code.python._texts import any_of
from guardrail.effects.code.python._values import (
    ANY_NAME,
    BASE,
    NONE,
    Args,
    Attributes,
    Bound,
    ClassMethod,
    Const,
    Either,
    Function,
    Handle,
    Instance,
    Klass,
    Native,
    Partial,
    Property,
    Ref,
    Scope,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    anything,
    can_act,
    carried,
    join,
    text,
)
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import as_code
from guardrail.effects.domain._paths import place
from guardrail.effects.domain._values import TOP, Field
from guardrail.model import Resource

_PARSING: Final = threading.Lock()

MAX_ENDINGS: Final = 3
"""How often what runs later is looked at when the code has ended, as long as something changes."""

MAX_SOURCE_DEPTH: Final = 4
"""Deepest nesting of `exec` and `eval` of known text."""

_CONSTANTS: Final[dict[str, Value]] = {
    "os.sep": text("/"), "os.path.sep": text("/"), "os.linesep": text("\n"), "os.curdir": text("."),
    "os.pardir": text(".."), "os.name": text("posix"), "os.devnull": text("/dev/null"), "os.path.pardir": text(".."),
    "sys.platform": text("linux"), "string.ascii_letters": text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    "string.ascii_lowercase": text("abcdefghijklmnopqrstuvwxyz"), "string.digits": text("0123456789"),
    "string.ascii_uppercase": text("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), "os.O_RDONLY": Const(0), "os.O_WRONLY": Const(1),
    "os.O_RDWR": Const(2), "os.O_CREAT": Const(64), "os.O_EXCL": Const(128), "os.O_TRUNC": Const(512),
    "os.O_APPEND": Const(1024), "os.O_CLOEXEC": Const(0o2000000), "os.O_NOFOLLOW": Const(0o400000),
    "os.O_DIRECTORY": Const(0o200000), "os.O_SYNC": Const(0o4010000), "os.O_NONBLOCK": Const(0o4000),
    "os.O_TMPFILE": Const(0o20200000),
    "signal.SIGKILL": Const(9), "signal.SIGTERM": Const(15), "signal.SIGINT": Const(2), "signal.SIGHUP": Const(1),
    "signal.SIGSTOP": Const(19), "subprocess.PIPE": Const(-1), "subprocess.STDOUT": Const(-2),
    "subprocess.DEVNULL": Const(-3), "builtins.True": Const(True), "builtins.False": Const(False),
    "builtins.None": NONE, "sys.maxsize": Const(9223372036854775807), "sys.byteorder": text("little"),
}  # fmt: skip
_SETTABLE: Final = frozenset(
    "sys.dont_write_bytecode sys.ps1 sys.ps2 sys.tracebacklimit json.encoder.FLOAT_REPR logging.raiseExceptions "
    "warnings.filters socket.timeout urllib.request.socket.timeout csv.field_size_limit".split()
)


_LEAKED: Final = frozenset(
    "os sys subprocess shutil builtins importlib ctypes pathlib tempfile pickle posix pty runpy multiprocessing".split()
)


class Machine(Calling):
    """Runs one piece of code and all it calls."""

    def __init__(self, call: Call, argv: list[Field], file: str | None = None) -> None:
        super().__init__(call, argv, file)
        self.yields = []
        self.passing = []
        self.breaks, self.continues, self.returns = [], [], []
        self.handles: list[Handle] = []
        self.sources_depth = 0
        self.late = []
        self.escaping = 0
        self.thrown = []
        self.read_by = {}
        self.returned = ()
        self.modules: dict[str, Value] = {}
        self.loading: list[str] = []
        self.pure_folder: bool | None = None
        self.streams: dict[str, Handle] = {}
        self.trees: list[ast.AST] = []
        self.surveyed = 0  # trees whose names are in `bound`
        self.bound: set[str] = set()
        self.logs: list[Resource] = []
        self.log_streams: list[Value] = []

    # -- code

    def run(self, source: str) -> None:
        """Analyse the main module."""
        self.run_source(source)
        self._finish()
        for tree in tuple(self.trees):
            self.account_for(tree)
        for handle in self.handles:
            self.settle(handle)

    def _finish(self) -> None:
        """What runs later may find any value that a name had since it was last looked at."""
        self.finishing = True
        for value in self.late:
            self.escape(value)
        for _ in range(MAX_ENDINGS):
            left = [later for later in self.later if self.changed(later)]
            if not left:
                return
            self.restore(self.anything_since(min(later.position for later in left), self.snapshot()))
            for later in left:
                self.again(later)

    def run_source(self, source: str, scope: Scope | None = None, *, expression: bool = False) -> Value:
        """Analyse code in a scope of this process."""
        if self.sources_depth >= MAX_SOURCE_DEPTH:
            return self.opaque("code in code in code", "unparsed", text(source))
        try:
            tree = parsed(source, expression=expression)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            self.texts.append(source)
            return self.opaque("the code does not parse", "unparsed", text(source))
        self.texts.append(source)
        self.trees.append(tree)
        self.sources_depth += 1
        saved = self.scope
        if scope is not None:
            self.scope = scope
        try:
            if isinstance(tree, ast.Expression):
                value = self.eval(tree.body)
            elif isinstance(tree, ast.Module):
                self.block(tree.body)
                value = NONE
            else:
                value = NONE
        finally:
            self.scope = saved
            self.sources_depth -= 1
        return value

    def undefined(self, name: str) -> Value:
        """A name that is bound somewhere may be anything; one that is not says that the code was not understood."""
        while self.surveyed < len(self.trees):
            self.bound |= _bound_names(self.trees[self.surveyed])
            self.surveyed += 1
        if name not in self.bound:
            self.opaque("a name that is not defined", "inline")
        elif self.escaping and not self.finishing:
            raise Late
        return Unknown(hidden=True)

    def account_for(self, tree: ast.AST) -> None:
        """INVARIANT: every text in the code that names something and took no role is mentioned."""
        left: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant):
                value: object = node.value
                if isinstance(value, bytes):
                    value = value.decode("utf-8", "surrogateescape")
                if isinstance(value, str) and 1 < len(value) <= 4096 and value not in self.accounted:
                    left.add(value)
        if not left:
            return
        # Code that is run as text is not spoken for by its being known: its own texts are looked at in turn.
        spoken = "\0".join(done for done in self.accounted if len(done) > 1 and done not in self.texts)
        for word in sorted(left):
            if "\0" in word or word not in spoken:
                self.mention_text(word)

    # -- attributes

    def attribute(self, owner: Value, name: str) -> Value:
        """`owner.name`."""
        if isinstance(owner, Either):
            return any_of([self.attribute(option, name) for option in owner.options])
        if isinstance(owner, Ref):
            return self._ref_attribute(owner, name)
        if self.hides(name):
            if name == "__class__":
                return owner.klass if isinstance(owner, Instance) else Thing("<class>")
            if name == "__dict__" and isinstance(owner, Instance):
                return Attributes(owner)
            if name == "__dict__" and isinstance(owner, Thing | Unknown):
                return Unknown(carried(owner), hidden=can_act(owner))
            return self.opaque(f"`{name[:40]}` leads to the inside of Python", "inline")
        if isinstance(owner, Instance):
            return self._instance_attribute(owner, name)
        if isinstance(owner, Klass):
            found = owner.find(name)
            return self._of_class(found, None, owner) if found is not None else Unknown(hidden=owner.framed)
        if isinstance(owner, Unknown) and owner.hidden:
            return owner
        if isinstance(owner, Thing) and name in owner.facts:
            return owner.facts[name]
        if isinstance(owner, Thing) and owner.kind == "<super>":
            return self._super_attribute(owner, name)
        return self._plain_attribute(owner, name)

    def _plain_attribute(self, owner: Value, name: str) -> Value:
        from guardrail.effects.code.python._methods import fact_of

        known = fact_of(self, owner, name)
        if known is not None:
            return known
        if isinstance(owner, Unknown) and f"any.{name}" not in table().entries:
            return Unknown(self.without(name, owner))
        if isinstance(owner, Thing) and name in ("weight", "data", "bias") and owner.held:
            return Unknown(owner.held)
        return Bound(owner, name)

    def _ref_attribute(self, owner: Ref, name: str) -> Value:
        if self.hides(name):
            return self.opaque(f"`{name[:40]}` leads to the inside of Python", "inline")
        if name in _LEAKED and owner.name != name:
            return Ref(name)  # a module that another one imports for itself
        module = self.modules.get(owner.name)
        if isinstance(module, Instance):
            return module.names.get(name) or Unknown(hidden=True)
        if owner.name == "__main__":
            return self.globals.names.get(name) or Unknown(hidden=True)
        full = table().canonical(f"{owner.name}.{name}")
        constant = _CONSTANTS.get(full)
        if constant is not None:
            return constant
        from guardrail.effects.code.python._system import system_value

        found = system_value(self, full)
        return found if found is not None else Ref(full)

    def _instance_attribute(self, owner: Instance, name: str) -> Value:
        hook = owner.klass.find("__getattribute__")
        if isinstance(hook, Function) and not any(frame.body is hook.body for frame in self.inlined):
            return self.call_value(hook.bound(owner), Args([text(name)]))
        inherited = owner.klass.find(name)
        if isinstance(inherited, Property):
            return self._of_class(inherited, owner, owner.klass)
        found = owner.names.get(name)
        other = owner.names.get(ANY_NAME)
        if found is not None:
            return found if other is None else join(found, other)
        if isinstance(inherited, Function) and other is None:
            return Bound(owner, name)
        if inherited is not None:
            value = self._of_class(inherited, owner, owner.klass)
            return value if other is None else join(value, other)
        if other is not None:
            return other
        if owner.klass.find("__getattr__") is not None:
            return self.call_value(Bound(owner, "__getattr__"), Args([text(name)]))
        if owner.klass.framed or BASE in owner.names:
            return Bound(owner, name)
        return Unknown(hidden=any(can_act(value) for value in owner.names.values() if not isinstance(value, Instance)))

    def _of_class(self, found: Value, this: Instance | None, klass: Klass) -> Value:
        """What a class has under a name, as its object or the class itself gives it."""
        if isinstance(found, Function):
            return found.bound(this) if this is not None else found
        if isinstance(found, ClassMethod):
            return Partial(found.function, Args([klass]))
        if isinstance(found, Property):
            return found.run(Args([this])) if this is not None else found
        if isinstance(found, Native):
            return Native(lambda args: found.run(Args([this, *args.pos], args.named, args.vague))) if this else found
        if isinstance(found, Instance) and found.klass.find("__get__") is not None:
            return self.call_value(Bound(found, "__get__"), Args([this if this is not None else NONE, klass]))
        return found

    def _super_attribute(self, owner: Thing, name: str) -> Value:
        this, home = owner.facts["self"], owner.facts.get("home")
        klass = this.klass if isinstance(this, Instance) else this if isinstance(this, Klass) else None
        if klass is not None:
            found = klass.find(name, home if isinstance(home, Klass) else klass)
            if found is not None:
                return self._of_class(found, this if isinstance(this, Instance) else None, klass)
            base = this.names.get(BASE) if isinstance(this, Instance) else None
            if base is not None and name != "__init__":
                return Native(lambda args: self.call_method(base, name, args))
            if base is None and not klass.framed:
                return Native(lambda _args: Unknown())
        if name == "__init__" and klass is not None and isinstance(this, Instance):
            return Native(lambda args: self._made(this, klass, args))
        return Native(self._handed)

    def _made(self, this: Instance, klass: Klass, args: Args) -> Value:
        self._handed(args)
        self.make_base(this, klass, args)
        return NONE

    def _handed(self, args: Args) -> Value:
        """What a class of a library is given."""
        for value in args.all():
            self.escape(value)
        return Unknown()

    # -- imports

    def import_module(self, name: str) -> Value:
        """A module by its name: known, in a file beside the code, or not known."""
        if name in self.modules:
            return Ref(name)
        canonical = table().canonical(name)
        self._shadows(name)
        if name.startswith("."):
            self.opaque("a module beside the code", "script")
            return Unknown(hidden=True)
        head = name.partition(".")[0]
        if head in sys.stdlib_module_names or table().kind(canonical) != "unknown":
            return Ref(canonical)
        if head not in self.programs:
            self._local_module(name)
        return Ref(canonical)

    def _folders(self) -> list[str | None]:
        """Where modules are looked for before those that are installed."""
        found: list[str | None] = []
        if self.file is not None:
            found.append(self.file.rpartition("/")[0] or "/")
        else:
            found.append(self.call.cwd)
        path = self.state.vars.get("PYTHONPATH")
        if path is not None:
            for alternative in path.alternatives:
                found += [part if TOP not in part else None for part in alternative.split(":") if part]
        for value in self.folders:
            exact = single(value)
            found.append(place(exact, self.call.cwd).path if exact is not None else None)
        return found

    def _local_module(self, name: str) -> None:
        """A module that is a file of the project: a script that runs now."""
        for folder in self._folders():
            if folder is None:
                continue
            head = name.partition(".")[0]
            for path in (f"{folder.rstrip('/')}/{head}.py", f"{folder.rstrip('/')}/{head}/__init__.py"):
                self._found(path)

    def _found(self, path: str) -> None:
        shell = self.call.shell
        made = any(
            entry.rpartition("/")[2] in (path.rpartition("/")[2], path.split("/")[-2]) for entry in shell.emit.made
        )
        authored = made and shell.emit.changed(path)
        if authored or shell.view.kind(path) is not None:
            resource = place(path, None)
            attrs = {"authored": True} if authored else None
            self.ended = True
            shell.emit.opaque("script", resource, spec=self.call.name, span=self.call.span, attrs=attrs)

    def _shadows(self, name: str) -> None:
        """A file in a folder that is searched first takes the place of a module of the standard library."""
        if self.pure_folder is not None or name in sys.builtin_module_names:
            return
        self.pure_folder = True
        for folder in self._folders():
            if folder is None or any(c in folder for c in "*?["):
                continue
            for pattern in ("*.py", "*.so", "*/__init__.py"):
                for path in self.call.shell.view.glob(f"{folder.rstrip('/')}/{pattern}") or ():
                    parts = path.split("/")
                    stem = parts[-2] if parts[-1] == "__init__.py" else parts[-1].partition(".")[0]
                    if stem in sys.stdlib_module_names and stem not in sys.builtin_module_names:
                        self._found(path)
            for made in self.call.shell.emit.made:
                stem = made.rpartition("/")[2].partition(".")[0]
                if stem in sys.stdlib_module_names and made.rpartition("/")[0] == folder.rstrip("/"):
                    self._found(made)

    def import_star(self, module: Value) -> None:
        """`from module import *`: a name that is not defined otherwise is the module's."""
        if isinstance(module, Ref):
            self.stars.append(module.name)
            for name in [name for name in self.scope.names if name[:1] not in "_<"]:
                self.assign_name(name, join(self.scope.names[name], self.attribute(module, name)))
            if table().kind(module.name) == "unknown":
                self.call.shell.emit.opaque("program", as_code(f"python:{module.name}"), spec=self.call.name)
                self.ended = True
        else:
            self.opaque("names of a module that is not known", "inline")

    # -- modules that are objects of the process

    def ref_item(self, owner: Ref, key: Value) -> Value:
        """`os.environ["X"]`, `sys.modules["os"]`, and types with parameters."""
        from guardrail.effects.code.python._system import system_item

        return system_item(self, owner, key)

    def ref_items(self, value: Ref) -> Value:
        """What iterating over something of a library gives."""
        self.account(value)
        return anything()

    def store_ref(self, owner: Ref, key: Value, value: Value) -> None:
        """`os.environ[key] = value`, or a setting of a library."""
        from guardrail.effects.code.python._system import store_item

        store_item(self, owner, key, value)

    def patch_ref(self, owner: Ref, name: str, value: Value) -> None:
        """An attribute of a module is changed: harmless only for a plain setting."""
        full = table().canonical(f"{owner.name}.{name}")
        if owner.name == "__main__":
            self.set_name(self.globals, name, value)
            return
        plain = isinstance(value, Text | Const | Unknown | Seq) and not (isinstance(value, Unknown) and value.hidden)
        self.account(value)
        if full in _SETTABLE or (plain and table().kind(full) != "known"):
            return
        if full == "sys.argv" and isinstance(value, Seq):
            self.argv_value = value
            return
        self.opaque(f"`{full[:60]}` is replaced", "inline", value)

    argv_value: Seq | None = None


def _bound_names(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
    return found


def parsed(source: str, *, expression: bool = False) -> ast.AST:
    """The tree of some code, without a word about its escapes.

    Raises:
        SyntaxError: as `ast.parse` does; so with the other errors.
    """
    mode = "eval" if expression else "exec"
    if "\\" not in source and " is " not in source:
        return ast.parse(source, mode=mode)
    with _PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source, mode=mode)
