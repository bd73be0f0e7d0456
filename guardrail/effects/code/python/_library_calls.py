"""Calls of functions of libraries, each by its full name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from guardrail.effects.code.python._carried import can_act, carried, store_of
from guardrail.effects.code.python._defined import Function
from guardrail.effects.code.python._handlers import HANDLERS, run_handler
from guardrail.effects.code.python._library import apply, use
from guardrail.effects.code.python._stores import write_by_name
from guardrail.effects.code.python._table import Entry, table
from guardrail.effects.code.python._values import (
    NONE,
    Args,
    Const,
    Handle,
    Ref,
    Text,
    Thing,
    Unknown,
    Value,
)
from guardrail.effects.code.python._verbs import by_verb
from guardrail.effects.domain._values import TOP, merge
from guardrail.model import Resource

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine
from guardrail.effects.code.python._escaping import surely_ends
from guardrail.effects.code.python._own_calls import OwnCalls

LEAVING: Final = frozenset("builtins.exit builtins.quit sys.exit os._exit os.abort".split())
"""Functions after which nothing more runs."""


_KEEPING: Final = frozenset(
    "math cmath re string textwrap unicodedata difflib datetime calendar enum numbers decimal fractions statistics "
    "itertools typing abc time zoneinfo locale gettext argparse getopt platform errno json html hashlib hmac secrets "
    "uuid base64 binascii colorsys keyword token dis traceback warnings ipaddress reprlib graphlib stat csv zlib "
    "sysconfig urllib fnmatch shlex quopri logging optparse email mimetypes __future__ tracemalloc resource pwd grp "
    "inspect tomllib getpass gc importlib pprint xml plistlib".split()
)
"""Modules whose functions change no list or dictionary that they are given, and give no function back."""

_ERRORS: Final = ("Error", "Exception", "Warning", "Exit", "Interrupt", "Iteration")

_QUOTING: Final = frozenset(
    "datetime time ipaddress ast argparse optparse getopt zoneinfo fractions locale configparser importlib codecs "
    "calendar platform string types enum".split()
)
"""Modules whose functions say in an error what they were given."""


def _from_elsewhere(args: Args) -> Args:
    """With `dir_fd`, a relative path is meant from a directory that is open."""
    named = {key: value for key, value in args.named.items() if not key.endswith("dir_fd")}
    folders = [value for key, value in args.named.items() if key.endswith("dir_fd")]
    if all(isinstance(value, Const) and value.value is None for value in folders):
        return Args(args.pos, named, args.vague)
    return Args([_unplaced(v) for v in args.pos], {key: _unplaced(v) for key, v in named.items()}, args.vague)


def _unplaced(value: Value) -> Value:
    whole = isinstance(value, Text) and all(text.startswith("/") for text in value.alternatives)
    return value if whole or not isinstance(value, Text) else Text((TOP,), value.sources)


class LibraryCalls(OwnCalls):
    """Calls functions of libraries."""

    def call_ref(self, name: str, args: Args) -> Value:
        """A function of a library, by its full name."""
        self.step()
        name = table().canonical(name)
        if name.startswith("os.") and any(key.endswith("dir_fd") for key in args.named):
            args = _from_elsewhere(args)
        handler = HANDLERS.get(name)
        if handler is not None:
            value = run_handler(handler, self, args)
            if name.endswith("load"):
                self._read_to_the_end(args)
            # What another thread or task raises does not end this one.
            return Unknown() if surely_ends(value) and name not in LEAVING else value
        tables = table()
        entry = tables.entries.get(name)
        if entry is not None:
            for value in args.all():
                if not isinstance(value, Text | Const | Handle | Unknown):
                    self.escape(value)
            return apply(self, entry, args)
        return self._call_unlisted(name, args)

    @staticmethod
    def _read_to_the_end(args: Args) -> None:
        """What is read of a file after that is not the whole."""
        for value in args.all():
            use(value)

    def _call_unlisted(self, name: str, args: Args) -> Value:
        self._read_to_the_end(args)
        kind = table().kind(name)
        tail = name.rpartition(".")[2]
        sources: tuple[Resource, ...] = ()
        returned, self.returned = self.returned, ()
        for value in args.all():
            sources = merge(sources, carried(value))
            self.escape(value)
        sources = merge(sources, self.returned)
        self.returned = merge(returned, self.returned)
        if kind == "pure":
            return self._compute(name, args, sources)
        if kind == "known":
            if tail[:1].isupper() and tail.endswith(_ERRORS):
                for value in args.all():
                    self.account(value)
                return Unknown(sources)
            return self.opaque(f"`{name[:60]}` is not modelled", "inline", *args.all())
        entry = table().entries.get(f"any.{tail}")
        if entry is not None:
            return self.apply_any(entry, args)
        if kind in ("remote", "unknown"):
            by_verb(self, tail, args)
        if kind == "remote":
            for value in args.all():
                self.mention(value)
            return Thing(".".join(name.split(".")[:-1]) or name)
        if kind == "data":
            write_by_name(cast("Machine", self), tail, None, args)
            self._put_out(args, sources)
            return Unknown(sources)
        self.program(name.partition(".")[0], args)
        return Thing("?" + name.partition(".")[0])

    def _put_out(self, args: Args, sources: tuple[Resource, ...]) -> None:
        """A function of a library may put what it works out into what is open, or into `out`."""
        for value in args.all():
            self.mention_names(value)
        self._into_open(args, sources)
        out = args.named.get("out")
        if out is not None and store_of(out) is not None:
            self.store(out, NONE, Unknown(sources))

    def _into_open(self, args: Args, sources: tuple[Resource, ...]) -> None:
        for value in args.all():
            if isinstance(value, Handle) and value.mode[:1] in "wax" and sources:
                self.sink(value, sources, None)

    def _compute(self, name: str, args: Args, sources: tuple[Resource, ...]) -> Value:
        """A function that has no effect of its own, but may change what it is given."""
        for value in args.all():
            self.account(value)
        if name.partition(".")[0] in _QUOTING:
            self.doubt(*args.pos)
        self._into_open(args, sources)
        if name.partition(".")[0] in _KEEPING:
            return Unknown(sources)
        for value in args.all():
            self.disturb(value, tuple(args.all()))
        return Unknown(sources, hidden=any(can_act(v) for v in args.all() if not isinstance(v, Function | Ref)))

    def apply_any(self, entry: Entry, args: Args, owner: Value | None = None) -> Value:
        """A function of which only the name is known: what is to be written may stand before where it goes."""
        first = args.get(0)
        writes = any(parameter.role == "write" for parameter in entry.parameters)
        if writes and first is not None and not isinstance(first, Text | Handle):
            name = entry.name.removeprefix("any.")
            if write_by_name(cast("Machine", self), name, owner, args, only=True):
                return Unknown(carried(owner))
        return apply(self, entry, args, owner)
