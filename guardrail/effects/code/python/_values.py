"""Abstract values of Python: what an expression may be, and whose content is in it.

Not concerned with what calls do. Containers, instances and handles are mutable and shared, as in Python itself;
a change made where it may not happen is joined with what was there.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from guardrail.effects.domain._paths import escape
from guardrail.effects.domain._values import MAX_TEXT, NUM, TOP, Field
from guardrail.model import Resource

if TYPE_CHECKING:
    from guardrail.effects.code.python._defined import Instance, Scope

NAME: Final = "\ufff9"
"""One name in a directory: any text without a slash that is neither `.` nor `..`."""

CWD_MARK: Final = "<cwd>"
"""Where the current directory stands among the names of the main module."""

DEEP: Final = "\ufff8"
"""Any path below what stands before it, that directory included, without `..`: what walking a tree gives."""

MARKS: Final = (TOP, NUM, NAME, DEEP)
"""Characters that stand for text which is not known."""

MAX_OPTIONS: Final = 8
"""Most values that are told apart at one point; beyond it nothing is known but whose content it is."""

BASE: Final = "<base>"
"""Where an instance keeps the part that a class of a library made."""

ANY_NAME: Final = "<any>"
"""Where an instance keeps what was given to an attribute whose name is not known."""

MAX_ITEMS: Final = 512
"""Most items of a container that are told apart."""

Sources = tuple[Resource, ...]


class Value:
    """Anything. `sources` are the resources whose content it holds."""

    __slots__ = ("sources",)

    def __init__(self, sources: Sources = ()) -> None:
        self.sources = sources


class Unknown(Value):
    """A value of which nothing is known.

    Args:
        hidden: it may be a function or a module, so calling it may do anything.
        numeric: it prints as digits.
    """

    __slots__ = ("hidden", "numeric", "parent")

    def __init__(self, sources: Sources = (), *, hidden: bool = False, numeric: bool = False) -> None:
        super().__init__(sources)
        self.hidden = hidden
        self.numeric = numeric
        self.parent: Value | None = None  # what it was taken out of


class Const(Value):
    """An exact value that is no text: a number, bytes, None, a boolean."""

    __slots__ = ("value",)

    def __init__(self, value: Any, sources: Sources = ()) -> None:
        super().__init__(sources)
        self.value = value


class Text(Value):
    """Text: one of `alternatives`, with marks for the parts that are not known. `path`: it is a `pathlib` object."""

    __slots__ = ("alternatives", "path")

    def __init__(self, alternatives: Sequence[str], sources: Sources = (), *, path: bool = False) -> None:
        super().__init__(sources)
        texts = tuple(dict.fromkeys(alternatives))
        if len(texts) > MAX_OPTIONS or any(len(text) > MAX_TEXT * 4 for text in texts):
            texts = (TOP,)
        self.alternatives = texts
        self.path = path

    @property
    def exact(self) -> str | None:
        """The text, if it is exactly known."""
        return self.alternatives[0] if len(self.alternatives) == 1 and is_exact(self.alternatives[0]) else None


class Later:
    """Something that Python does later than where it stands, and how to look at it again.

    Args:
        run: do it with what the names are by then.
        nodes: the code of it, with the scope that its names are looked up in.
        values: what else it uses, functions among them.
        position: how much had been assigned when it was last done.
        once: it is an iterator and not a view.
    """

    __slots__ = ("nodes", "once", "position", "returned", "run", "spent", "values")

    def __init__(
        self,
        run: Callable[[], Value],
        position: int,
        nodes: Sequence[tuple[ast.AST, Scope]] = (),
        values: Sequence[Value] = (),
        *,
        once: bool = True,
    ) -> None:
        self.run = run
        self.once = once
        self.returned: Sources = ()
        self.position = position
        self.nodes = nodes
        self.values = values
        self.spent = False


class Seq(Value):
    """A list, tuple or set.

    Args:
        items: what is in it, in order.
        kind: `list`, `tuple` or `set`.
        rest: any further items, if there may be some.
        born: how many undecided branches deep it was made.

    `later` is there for an iterator: it gives its items once, and works them out when it is asked.
    """

    __slots__ = ("born", "items", "kind", "later", "rest", "scrambled")

    def __init__(self, items: list[Value], kind: str = "list", rest: Value | None = None, born: int = 0) -> None:
        super().__init__()
        self.items = items
        self.kind = kind
        self.rest = rest
        self.born = born
        self.scrambled = False
        self.later: Later | None = None

    @property
    def known(self) -> bool:
        """These items, in this order, and no others."""
        return self.rest is None and not self.scrambled


class Dict(Value):
    """A dictionary with constant keys; `rest` is any value under a key that is not known."""

    __slots__ = ("born", "items", "rest")

    def __init__(self, items: dict[Any, Value], rest: Value | None = None, born: int = 0) -> None:
        super().__init__()
        self.items = items
        self.rest = rest
        self.born = born


class Attributes(Dict):
    """`vars(x)`: the attributes of an object, which change with it."""

    __slots__ = ("owner",)

    def __init__(self, owner: Instance) -> None:
        self.owner = owner
        super().__init__(owner.names, owner.names.get(ANY_NAME), owner.born)

    @property
    def rest(self) -> Value | None:
        """What an attribute may be whose name is not known."""
        return self.owner.names.get(ANY_NAME)

    @rest.setter
    def rest(self, value: Value | None) -> None:
        if value is not None:
            self.owner.names[ANY_NAME] = value


class Ref(Value):
    """A module, class, function or other attribute of one, by its full name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class Bound(Value):
    """A method that was taken from its object."""

    __slots__ = ("name", "owner")

    def __init__(self, owner: Value, name: str) -> None:
        super().__init__()
        self.owner = owner
        self.name = name


class Partial(Value):
    """`functools.partial` and the like: a function with some of its arguments."""

    __slots__ = ("args", "function")

    def __init__(self, function: Value, args: Args) -> None:
        super().__init__()
        self.function = function
        self.args = args


class Native(Value):
    """A function that the analyser itself gives, such as a decorator."""

    __slots__ = ("run",)

    def __init__(self, run: Callable[[Args], Value]) -> None:
        super().__init__()
        self.run = run


class Thing(Value):
    """An object of a library: a client, a model, an archive.

    Args:
        kind: its type, as the tables name it.
        facts: what is known of it.
        held: resources whose content is inside it without being its printed value, such as a model's weights.
    """

    __slots__ = ("facts", "held", "kind")

    def __init__(
        self, kind: str, facts: dict[str, Value] | None = None, sources: Sources = (), held: Sources = ()
    ) -> None:
        super().__init__(sources)
        self.kind = kind
        self.facts: dict[str, Value] = facts or {}
        self.held = held


class Handle(Value):
    """Something open that is read from or written to.

    Args:
        kind: `file`, `stdin`, `stdout`, `stderr`, `memory`.
        places: the files that are open.
        mode: as `open` takes it.
        born: how many undecided branches deep it was opened.
    """

    __slots__ = ("binary", "born", "effect", "inside", "kind", "mode", "name", "places", "text", "used")

    def __init__(self, kind: str, places: Sources = (), mode: str = "r", born: int = 0) -> None:
        super().__init__()
        self.kind = kind
        self.places = places
        self.mode = mode
        self.binary = "b" in mode
        self.born = born
        self.inside: Sources = ()
        self.text: str | None = ""
        self.effect: int | None = None
        self.used = False
        self.name: Value = Unknown()


class Either(Value):
    """One of several values."""

    __slots__ = ("options",)

    def __init__(self, options: tuple[Value, ...]) -> None:
        super().__init__()
        self.options = options


class Args:
    """Arguments of a call; `vague` if there may be more of them, whose values are not known."""

    __slots__ = ("named", "pos", "vague")

    def __init__(
        self, pos: Iterable[Value] = (), named: dict[str, Value] | None = None, vague: Value | None = None
    ) -> None:
        self.pos = list(pos)
        self.named = named or {}
        self.vague = vague

    def get(self, index: int, name: str = "") -> Value | None:
        """An argument by its position or its name; None if it is not given."""
        if 0 <= index < len(self.pos):
            return self.pos[index]
        if name and name in self.named:
            return self.named[name]
        return self.vague

    def all(self) -> Iterator[Value]:
        """Every argument."""
        yield from self.pos
        yield from self.named.values()
        if self.vague is not None:
            yield self.vague

    def after(self, count: int) -> Args:
        """The arguments without the first ones."""
        return Args(self.pos[count:], self.named, self.vague)


NONE: Final = Const(None)
"""Python's None."""


def is_exact(text: str) -> bool:
    """No part of the text is unknown."""
    return TOP not in text and NUM not in text and NAME not in text and DEEP not in text


def text(value: str, sources: Sources = ()) -> Text:
    """One text."""
    return Text((value,), sources)


def anything(sources: Sources = ()) -> Text:
    """Text of which nothing is known."""
    return Text((TOP,), sources)


def options(value: Value) -> tuple[Value, ...]:
    """The values that a value may be."""
    return value.options if isinstance(value, Either) else (value,)


def path_texts(value: Value) -> tuple[str, ...]:
    """Which paths a value may be; TOP if it may be any."""
    if isinstance(value, Text):
        return value.alternatives
    if isinstance(value, Const) and isinstance(value.value, bytes):
        return (value.value.decode("utf-8", "surrogateescape"),)
    if isinstance(value, Either):
        found = tuple(dict.fromkeys(text for option in value.options for text in path_texts(option)))
        return found if len(found) <= MAX_OPTIONS else (TOP,)
    if isinstance(value, Handle):
        return tuple(place.path or TOP for place in value.places) or (TOP,)
    return (TOP,)


def as_field(word: str, sources: Sources = ()) -> Field:
    """A text as a word of a command."""
    if DEEP in word:
        return Field(text=word.replace(DEEP, TOP).replace(NAME, TOP), sources=sources)
    if NAME in word:
        return Field(text=word.replace(NAME, TOP), glob=escape(word).replace(NAME, "*"), sources=sources)
    return Field(text=word, sources=sources)
