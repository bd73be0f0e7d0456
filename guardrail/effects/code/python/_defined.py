"""Abstract values of what the code defines itself: functions, classes and their objects, with the scopes of names.

Not concerned with calling them: that is `_own_calls`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from guardrail.effects.code.python._values import Args, Native, Value


class Property(Native):
    """A property of a class: reading, setting and deleting it calls functions."""

    __slots__ = ("getter", "remover", "setter")

    def __init__(
        self, run: Callable[[Args], Value], getter: Value, setter: Value | None = None, remover: Value | None = None
    ) -> None:
        super().__init__(run)
        self.getter = getter
        self.setter = setter
        self.remover = remover


class ClassMethod(Native):
    """A method that is given the class it is called on."""

    __slots__ = ("function",)

    def __init__(self, run: Callable[[Args], Value], function: Value) -> None:
        super().__init__(run)
        self.function = function


class Frame:
    """A function of the code that is being walked; `wide` if its arguments stand for those of all deeper calls."""

    __slots__ = ("again", "args", "body", "branch", "owner", "result", "scope", "wide")

    def __init__(self, function: Function, args: Args, branch: int, *, wide: bool = False) -> None:
        self.body = function.body
        self.scope = function.scope
        self.owner = function.owner
        self.args = args
        self.branch = branch
        self.wide = wide
        self.result: Value | None = None
        self.again = False


class Scope:
    """Names of a module, a function call or a class body; in a function a name is local wherever it is assigned."""

    __slots__ = ("globals", "local", "names", "outer", "shared")

    def __init__(self, outer: Scope | None = None, module: Scope | None = None) -> None:
        self.names: dict[str, Value] = {}
        self.outer = outer
        self.globals: Scope = module if module is not None else self
        self.shared: dict[str, Scope] = {}
        self.local = False


class Function(Value):
    """A function defined in the code.

    `waits` if calling it runs nothing yet: a generator, which `gives`, or one that is awaited. `home`: the class that
    it is defined in.
    """

    __slots__ = ("body", "defaults", "gives", "home", "name", "owner", "parameters", "scope", "waits")

    def __init__(
        self,
        name: str,
        parameters: ast.arguments,
        body: Sequence[ast.stmt] | ast.expr,
        scope: Scope,
        defaults: dict[str, Value],
    ) -> None:
        super().__init__()
        self.name = name
        self.parameters = parameters
        self.body = body
        self.scope = scope
        self.defaults = defaults
        self.owner: Value | None = None
        self.waits = False
        self.gives = False
        self.home: Klass | None = None

    def bound(self, owner: Value) -> Function:
        """The same function as a method of an object."""
        made = Function(self.name, self.parameters, self.body, self.scope, self.defaults)
        made.owner, made.waits, made.gives, made.home = owner, self.waits, self.gives, self.home
        return made


class Klass(Value):
    """A class defined in the code; `framed` if a base class that is not known may call its methods."""

    __slots__ = ("bases", "fields", "framed", "line", "name", "names", "parents")

    def __init__(self, name: str, names: dict[str, Value], parents: tuple[Klass, ...], *, framed: bool) -> None:
        super().__init__()
        self.name = name
        self.names = names
        self.parents = parents
        self.framed = framed
        self.fields: list[str] = []
        self.line: list[Klass] = []
        self.bases: list[str] = []

    def find(self, name: str, after: Klass | None = None) -> Value | None:
        """A name of the class or of its parents, in the order of Python; with `after`, of those that follow it."""
        if after is None and name in self.names:
            return self.names[name]
        if not self.parents:
            return None
        order = self.order()
        if after is not None:
            order = order[order.index(after) + 1 :] if after in order else order[1:]
        return next((klass.names[name] for klass in order if name in klass.names), None)

    def order(self) -> list[Klass]:
        """The class and its parents as Python looks through them: each after its children, in the order given."""
        if self.line:
            return self.line
        queues = [parent.order()[:] for parent in self.parents]
        if len(queues) > 1:
            queues.append(list(self.parents))
        found: list[Klass] = [self]
        if len(queues) == 1:
            found += queues.pop()
        while queues := [queue for queue in queues if queue]:
            heads = [queue[0] for queue in queues]
            good = next((one for one in heads if not any(one in queue[1:] for queue in queues)), heads[0])
            found.append(good)
            queues = [[one for one in queue if one is not good] for queue in queues]
        self.line = found
        return found


class Instance(Value):
    """An object of a class defined in the code."""

    __slots__ = ("born", "klass", "names")

    def __init__(self, klass: Klass, born: int = 0) -> None:
        super().__init__()
        self.klass = klass
        self.names: dict[str, Value] = {}
        self.born = born
