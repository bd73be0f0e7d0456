"""Methods and attributes of built-in values, each told to the module that knows its kind."""

from __future__ import annotations

from guardrail.effects.code.python._container_methods import dict_method, seq_method
from guardrail.effects.code.python._expressions import Expressions
from guardrail.effects.code.python._handle_methods import handle_method
from guardrail.effects.code.python._path_methods import path_fact, path_method, unlisted_path
from guardrail.effects.code.python._text_methods import text_method
from guardrail.effects.code.python._values import (
    Args,
    Const,
    Dict,
    Handle,
    Seq,
    Text,
    Unknown,
    Value,
)


def method_of(core: Expressions, owner: Value, name: str, args: Args) -> Value | None:
    """The result of a method of a built-in value; None if it has none of that name."""
    if isinstance(owner, Text) and owner.path:
        found = path_method(core, owner, name, args)
        return found if found is not None else unlisted_path(core, owner, name, args)
    if isinstance(owner, Text) or (isinstance(owner, Const) and isinstance(owner.value, bytes | str)):
        for value in args.all():
            core.account(value)
        core.charge(owner, *args.all())
        if name in ("encode", "decode"):
            core.doubt(*args.all())
        found = text_method(owner, name, Args([core.settled(v) for v in args.pos], args.named, args.vague), core.branch)
        core.charge(found)
        return found
    if isinstance(owner, Seq):
        return seq_method(core, owner, name, args)
    if isinstance(owner, Dict):
        return dict_method(core, owner, name, args)
    if isinstance(owner, Handle):
        return handle_method(core, owner, name, args)
    return None


def fact_of(core: Expressions, owner: Value, name: str) -> Value | None:
    """An attribute of a built-in value that is no method."""
    if isinstance(owner, Text) and owner.path:
        return path_fact(core, owner, name)
    if isinstance(owner, Handle):
        if name == "buffer":
            return owner
        if name in ("name", "mode", "closed", "encoding"):
            return owner.name if name == "name" else Unknown()
    return None
