"""Objects that are written out and read back: what is read back may be code, so the file is a script that runs.

Not concerned with who made the file: that is for the history to say. What this code itself wrote there, and what holds
no more than numbers and texts, is no script.
"""

from __future__ import annotations

import pickletools
from typing import TYPE_CHECKING, Final

from guardrail.effects.code.python._carried import carried
from guardrail.effects.code.python._core import single
from guardrail.effects.code.python._defined import Function, Instance, Klass
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._library import apply
from guardrail.effects.code.python._stores import open_store
from guardrail.effects.code.python._system import argument_of
from guardrail.effects.code.python._table import table
from guardrail.effects.code.python._values import (
    Args,
    Bound,
    Const,
    Dict,
    Either,
    Handle,
    Native,
    Partial,
    Ref,
    Seq,
    Text,
    Unknown,
    Value,
    options,
)
from guardrail.effects.domain._emit import MUTATING
from guardrail.model import Resource

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine

_CALLING: Final = frozenset(
    "GLOBAL STACK_GLOBAL REDUCE INST OBJ NEWOBJ NEWOBJ_EX BUILD PERSID BINPERSID EXT1 EXT2 EXT4".split()
)
"""Instructions of a pickle that name something or call it."""

MAX_DEPTH: Final = 6
"""Deepest nesting of values that is looked into."""


@handles(
    "pickle.load", "cPickle.load", "dill.load", "cloudpickle.load", "joblib.load", "pandas.read_pickle",
    "skops.io.load", "pickle.Unpickler", "dill.Unpickler",
)  # fmt: skip
def load_objects(machine: Machine, args: Args) -> Value:
    """`pickle.load(file)` and its kin, of something open or of a path."""
    value = args.get(0) or next(iter(args.named.values()), Unknown())
    for extra in args.all():
        machine.account(extra)
    return read_back(machine, value)


@handles("torch.load")
def load_tensors(machine: Machine, args: Args) -> Value:
    """`torch.load(f)`; with `weights_only` there is no code in it."""
    only = args.get(99, "weights_only")
    if isinstance(only, Const) and only.value is True:
        return apply(machine, table().entries["torch.load"], args)
    return load_objects(machine, args)


@handles("numpy.load")
def load_arrays(machine: Machine, args: Args) -> Value:
    """`numpy.load(file)`: objects only where they are asked for."""
    mapped = args.get(1, "mmap_mode")
    if mapped is not None and not (isinstance(mapped, Const) and mapped.value is None):
        machine.account(mapped)
        return open_store(machine, args.get(0, "file") or Unknown(), single(mapped))
    asked = args.get(2, "allow_pickle")
    if asked is None or (isinstance(asked, Const) and asked.value is False):
        return apply(machine, table().entries["numpy.load"], args)
    return load_objects(machine, args)


@handles("pickle.loads", "cPickle.loads", "dill.loads", "cloudpickle.loads", "marshal.loads", "marshal.load",
         "jsonpickle.decode", "yaml.unsafe_load", "yaml.unsafe_load_all")  # fmt: skip
def load_text(machine: Machine, args: Args) -> Value:
    """Objects from what is at hand: code, if that is not the content of files."""
    value = argument_of(args, 0)
    sources = machine.contents_of(value)
    if not sources or any(source.path is None for source in sources):
        return machine.opaque("objects are read that may be code", "inline", value)
    for source in sources:
        _runs(machine, source)
    return Unknown(sources)


@handles("shelve.open")
def open_shelf(machine: Machine, args: Args) -> Value:
    """Files with endings of their own are made, or objects read back from them."""
    return machine.opaque("objects are read that may be code", "inline", *args.all())


def read_back(machine: Machine, value: Value) -> Value:
    """Objects from a file."""
    places: list[Resource] = []
    for option in options(value):
        if isinstance(option, Handle) and option.kind == "file":
            places += option.places
        elif isinstance(option, Text) or not machine.contents_of(option):
            found = machine.places(option)
            if not found or (isinstance(option, Unknown) and option.hidden):
                return machine.opaque("objects are read that may be code", "inline", value)
            machine.read(found)
            places += found
        else:
            places += machine.contents_of(option)
    for place in places:
        _runs(machine, place)
    return Unknown(tuple(dict.fromkeys((*places, *carried(value)))))


def _runs(machine: Machine, place: Resource) -> None:
    """A file of objects is read back: as a script runs, unless it is known to hold plain data."""
    shell = machine.call.shell
    if place.kind == "net" or (place.path is None and (shell.written_before or shell.emit.made)):
        machine.opaque("objects are read that may be code", "inline")
        return
    if place.path is None:
        machine.call.script(place)
        return
    if _is_own(machine, place.path) or _is_plain(machine.call.content(place)):
        return
    machine.ended = True
    machine.call.script(place, authored=shell.emit.changed(place.path))


def _is_plain(data: bytes | None) -> bool:
    """A pickle with nothing in it but numbers, texts and containers."""
    if not data:
        return False
    try:
        return not any(code.name in _CALLING for code, _, _ in pickletools.genops(data))
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not known to be plain
        return False


# -- writing


def _writer(name: str) -> None:
    entry = table().entries.get(name) or table().entries["pickle.dump"]

    def dump(machine: Machine, args: Args) -> Value:
        target = argument_of(args, 1)
        empty = not isinstance(target, Handle) or target.text == ""
        for value in args.all():
            if not isinstance(value, Text | Const | Handle | Unknown):
                machine.escape(value)
        found = apply(machine, entry, args)
        places = target.places if isinstance(target, Handle) else machine.places(target)
        if len(places) == 1 and places[0].path and empty and not machine.branch and not _acts(argument_of(args, 0)):
            machine.dumped[places[0].path] = len(machine.call.shell.emit.effects)
        return found

    handles(name)(dump)


for _name in ("pickle.dump", "cPickle.dump", "dill.dump", "cloudpickle.dump", "joblib.dump", "torch.save"):
    _writer(_name)


def _is_own(machine: Machine, path: str) -> bool:
    """This code wrote plain objects there, and nothing since then can have changed them."""
    since = machine.dumped.get(path)
    if since is None or machine.branch:
        return False
    for effect in machine.call.shell.emit.effects[since:]:
        if effect.op in ("exec", "exec_opaque", "remote_exec"):
            return False
        for place in (effect.resource, effect.target) if effect.op in MUTATING else ():
            if place is not None and (place.path in (None, path) or place.recursive or effect.op in ("link", "mount")):
                return False
    return True


def _acts(value: Value, depth: int = 0) -> bool:
    """Reading it back may call what the code defines."""
    if isinstance(value, Instance | Klass | Function | Bound | Partial | Native | Ref) or depth > MAX_DEPTH:
        return True
    if isinstance(value, Unknown):
        return value.hidden
    parts: list[Value] = []
    if isinstance(value, Either):
        parts = list(value.options)
    elif isinstance(value, Seq):
        parts = [*value.items, *([value.rest] if value.rest is not None else [])]
    elif isinstance(value, Dict):
        parts = [*value.items.values(), *([value.rest] if value.rest is not None else [])]
    return any(_acts(part, depth + 1) for part in parts)
