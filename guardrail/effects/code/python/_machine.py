"""One Python process: attributes, calls, imports and decorators on top of the walk over its code."""

from __future__ import annotations

import ast
from typing import Final

from guardrail.effects.code.python._carried import base_of, can_act, carried, part_of
from guardrail.effects.code.python._changes import constants, names_bound, parsed
from guardrail.effects.code.python._defined import ClassMethod, Function, Instance, Klass, Property, Scope
from guardrail.effects.code.python._escaping import Late
from guardrail.effects.code.python._imports import MAX_CODE_BYTES, Importing
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._table import table
from guardrail.effects.code.python._texts import any_of
from guardrail.effects.code.python._values import (
    ANY_NAME,
    BASE,
    NONE,
    Args,
    Attributes,
    Bound,
    Const,
    Either,
    Handle,
    Native,
    Partial,
    Ref,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    anything,
    text,
)
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import Field
from guardrail.model import Resource

_CONNECTED: Final = frozenset(("wfile", "rfile"))

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


class Machine(Importing):
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
        self.read_by = {}
        self.returned = ()
        self.streams: dict[str, Handle] = {}
        self.surveyed = 0  # trees whose names are in `bound`
        self.logs: list[Resource] = []
        self.log_streams: list[Value] = []
        self.yaml_changed = False
        self.dumped: dict[str, int] = {}  # file of plain objects -> how many effects there were when it was written

    # -- code

    def run(self, source: str, before: str | None = None) -> None:
        """Analyse the main module, or what is new in it."""
        self.run_changed(source, self.globals, before)
        self.finish()

    def finish(self) -> None:
        """What was put off until every name has its value, and what is still to be said."""
        self._run_late()
        for tree in tuple(self.trees):
            self.account_for(tree)
        for handle in self.handles:
            self.settle(handle)

    def _run_late(self) -> None:
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
        if len(source) > MAX_CODE_BYTES:
            return self.opaque("too long", "unparsed")
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
            self.bound |= names_bound(self.trees[self.surveyed])
            self.surveyed += 1
        if name not in self.bound:
            self.opaque("a name that is not defined", "inline")
        elif self.escaping and not self.finishing:
            raise Late
        return Unknown(hidden=True)

    def account_for(self, tree: ast.AST) -> None:
        """INVARIANT: every text in the code that names something and took no role is mentioned."""
        left: set[str] = set()
        for value in constants(tree):
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
            return part_of(owner, self.without(name, owner))
        base = base_of(owner)
        if isinstance(base, Thing) and name in ("weight", "data", "bias") and base.held:
            return Unknown(base.held)
        return Bound(owner, name)

    def _ref_attribute(self, owner: Ref, name: str) -> Value:
        if self.hides(name):
            return self.opaque(f"`{name[:40]}` leads to the inside of Python", "inline")
        if name in _LEAKED and owner.name != name:
            return Ref(name)  # a module that another one imports for itself
        member = self.member(owner.name, name)
        if member is not None:
            return member
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
            # As `http.server` and `socketserver` call what a handler answers through.
            return Thing("socket") if name in _CONNECTED else Bound(owner, name)
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
            return Native(lambda args: self._base_made(this, klass, args))
        return Native(self._handed)

    def _base_made(self, this: Instance, klass: Klass, args: Args) -> Value:
        self._handed(args)
        self.make_base(this, klass, args)
        return NONE

    def _handed(self, args: Args) -> Value:
        """What a class of a library is given."""
        for value in args.all():
            self.escape(value)
        return Unknown()

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
        if self.set_member(owner.name, name, value):
            return
        self.yaml_changed = self.yaml_changed or owner.name.partition(".")[0] == "yaml"
        full = table().canonical(f"{owner.name}.{name}")
        if owner.name == "__main__":
            self.set_name(self.globals, name, value)
            return
        plain = isinstance(value, Text | Const | Unknown | Seq) and not (isinstance(value, Unknown) and value.hidden)
        if table().kind(full) == "remote" and carried(value):
            self.mention(Unknown(carried(value)))
        if table().kind(full) == "unknown":
            self.mention(value)  # what the library then does with it is not known
            self.escape(value)
            return
        self.account(value)
        if full in _SETTABLE or (plain and table().kind(full) != "known"):
            return
        if full == "sys.argv" and isinstance(value, Seq):
            self.argv_value = value
            return
        self.opaque(f"`{full[:60]}` is replaced", "inline", value)

    argv_value: Seq | None = None
