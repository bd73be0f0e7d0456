"""Code, names and bytes that are made at run time: followed where they are known, the end of the analysis where not."""

from __future__ import annotations

import base64
import binascii
import bz2
import codecs
import gzip
import importlib
import lzma
import urllib.parse
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from guardrail.effects.code.python._carried import can_act, carried
from guardrail.effects.code.python._concrete import concrete
from guardrail.effects.code.python._core import single
from guardrail.effects.code.python._defined import Instance, Klass, Scope
from guardrail.effects.code.python._handlers import HANDLERS, handles
from guardrail.effects.code.python._joined import join
from guardrail.effects.code.python._system import argument_of
from guardrail.effects.code.python._texts import MAX_SIZE, whole
from guardrail.effects.code.python._values import (
    ANY_NAME,
    NONE,
    Args,
    Attributes,
    Const,
    Dict,
    Either,
    Ref,
    Text,
    Thing,
    Unknown,
    Value,
    options,
)
from guardrail.effects.domain._values import merge

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine


# -- code


@handles("builtins.exec")
def run_code(machine: Machine, args: Args) -> Value:
    """Known text is analysed as a part of the code."""
    return _run(machine, args, expression=False)


@handles("builtins.eval")
def run_expression(machine: Machine, args: Args) -> Value:
    """`eval` of known text."""
    return _run(machine, args, expression=True)


def _run(machine: Machine, args: Args, *, expression: bool) -> Value:
    source = argument_of(args, 0)
    space = args.get(1, "globals")
    if isinstance(space, Const) and space.value is None:
        space = None
    names = args.get(2, "locals")
    local = names is None or names is space or (isinstance(names, Const) and names.value is None)
    local = local or (isinstance(names, Thing) and names.kind == "<names>")
    if args.vague is not None or not local:
        return machine.opaque("code is run with names that are not followed", "dynamic", *args.all())
    if space is None or (isinstance(space, Thing) and space.kind == "<names>"):
        return _in_scope(machine, source, None, expression=expression)
    if not isinstance(space, Dict) or space.rest is not None or not all(isinstance(key, str) for key in space.items):
        return machine.opaque("code is run with names that are not followed", "dynamic", *args.all())
    # It sees these names and no others, and leaves its own among them.
    inner = Scope()
    space.items.pop("__builtins__", None)
    inner.names = space.items
    machine.mutated()
    machine.scopes.append(inner)
    saved, machine.stars = machine.stars, []
    result = _in_scope(machine, source, inner, expression=expression)
    machine.stars = saved
    return result


def _in_scope(machine: Machine, source: Value, scope: Scope | None, *, expression: bool) -> Value:
    results: list[Value] = []
    for option in options(source):
        if isinstance(option, Thing) and option.kind == "<code>":
            kind = option.facts.get("mode")
            results.append(_source(machine, option.facts["source"], scope, expression=single(kind) == "eval"))
        else:
            results.append(_source(machine, option, scope, expression=expression))
    return results[0] if len(results) == 1 else Unknown(hidden=True)


def _source(machine: Machine, source: Value, scope: Scope | None, *, expression: bool) -> Value:
    plain = concrete(source)
    code = plain.value if plain is not None else None
    if isinstance(code, bytes):
        code = code.decode("utf-8", "replace")
    if not isinstance(code, str):
        return machine.opaque("code that is not known", "dynamic", source)
    machine.account(source)
    return machine.run_source(code.strip() if expression else code, scope, expression=expression)


@handles("builtins.compile")
def compile_code(machine: Machine, args: Args) -> Value:
    """Code that may be run later."""
    for value in args.pos[1:]:
        machine.account(value)
    machine.account(args.named.get("mode"))
    mode = args.get(2, "mode") or Text(("exec",))
    return Thing("<code>", {"source": argument_of(args, 0, "source"), "mode": mode})


@handles("builtins.breakpoint", "pdb.set_trace", "code.interact", "code.InteractiveConsole", "runpy.run_module")
def interactive(machine: Machine, _args: Args) -> Value:
    """Code is then read from the input."""
    return machine.opaque("code is read from the input", "inline")


@handles("runpy.run_path")
def run_path(machine: Machine, args: Args) -> Value:
    """A script runs in this process."""
    for place in machine.places(argument_of(args, 0)):
        machine.ended = True
        # One whose name is not known may be one that this code has just written.
        machine.call.script(place, authored=place.path is None)
    return Unknown(hidden=True)


# -- names


@handles("builtins.getattr")
def get_attribute(machine: Machine, args: Args) -> Value:
    """`getattr(x, "name")`; with a name that is not known only of what cannot act."""
    owner, name = argument_of(args, 0), argument_of(args, 1)
    machine.account(name)
    if not isinstance(name, Text) or any(len(item) > 200 for item in name.alternatives) or name.exact is None:
        if (
            isinstance(name, Text)
            and len(name.alternatives) > 1
            and all(item.isidentifier() for item in name.alternatives)
        ):
            return Either(tuple(machine.attribute(owner, item) for item in name.alternatives))
        if isinstance(owner, Ref | Klass | Instance | Either) or (isinstance(owner, Unknown) and owner.hidden):
            return machine.opaque("an attribute whose name is not known", "dynamic", owner)
        return Unknown(carried(owner), hidden=True)
    found = machine.attribute(owner, name.exact)
    default = args.get(2)
    if default is None or (isinstance(owner, Instance) and name.exact in owner.names):
        return found
    return join(found, default)


@handles("builtins.setattr")
def set_attribute(machine: Machine, args: Args) -> Value:
    """`setattr(x, "name", value)`."""
    owner, name, value = argument_of(args, 0), single(args.get(1)), args.get(2) or NONE
    machine.account(args.get(1))
    for option in options(owner):
        if name is not None:
            machine.set_attribute(option, name, value)
        elif isinstance(option, Ref | Klass):
            machine.opaque("an attribute whose name is not known is set", "dynamic", value)
        elif isinstance(option, Instance):
            machine.mutated()
            option.names[ANY_NAME] = join(option.names.get(ANY_NAME), value)
        else:
            machine.escape(value)
    return NONE


@handles("builtins.delattr")
def delete_attribute(machine: Machine, args: Args) -> Value:
    """`delattr(x, "name")`."""
    name = single(args.get(1))
    machine.account(args.get(1))
    if name is None:
        return machine.opaque("an attribute whose name is not known is deleted", "dynamic", argument_of(args, 0))
    for option in options(argument_of(args, 0)):
        machine.delete_attribute(option, name)
    return NONE


@handles("importlib.import_module")
def import_name(machine: Machine, args: Args) -> Value:
    """A module by its name."""
    name = argument_of(args, 0, "name")
    exact = single(name)
    machine.account(name)
    machine.doubt(name)
    if exact is None:
        return machine.opaque("a module whose name is not known", "dynamic")
    return machine.import_module(exact)


@handles("importlib.reload")
def reload_module(_machine: Machine, args: Args) -> Value:
    """The same module again."""
    return args.get(0) or Unknown()


@handles("builtins.__import__")
def import_head(machine: Machine, args: Args) -> Value:
    """`__import__("os.path")` gives `os` unless names are asked for."""
    exact = single(args.get(0, "name"))
    if exact is not None and args.get(3, "fromlist") is None and "." in exact:
        machine.import_module(exact)
        return machine.import_module(exact.partition(".")[0])
    return import_name(machine, args)


@handles("sys._getframe", "gc.get_objects", "inspect.currentframe", "inspect.stack")
def insides(_machine: Machine, _args: Args) -> Value:
    """A way to every name."""
    return Unknown(hidden=True)


@handles("builtins.globals", "builtins.locals")
def names(_machine: Machine, _args: Args) -> Value:
    """The names of the module; those of a function cannot be changed so."""
    return Thing("<names>")


@handles("<names>.get", "<names>.__getitem__")
def get_name(machine: Machine, args: Args) -> Value:
    """`globals().get(name)`."""
    found = machine.item(argument_of(args, 0), argument_of(args, 1))
    return join(found, args.get(2)) if args.get(2) is not None else found


@handles("<names>.update", "<names>.__setitem__", "<names>.setdefault")
def set_names(machine: Machine, args: Args) -> Value:
    """`globals().update(name=value)`."""
    pairs: list[tuple[Value, Value]] = [(Text((name,)), value) for name, value in args.named.items()]
    if len(args.pos) == 3:
        pairs.append((args.pos[1], args.pos[2]))
    elif len(args.pos) == 2 and isinstance(args.pos[1], Dict) and args.pos[1].rest is None:
        pairs += [(Text((str(key),)), value) for key, value in args.pos[1].items.items()]
    elif len(args.pos) > 1:
        return machine.opaque("names that are not known are set", "dynamic", *args.all())
    if args.vague is not None:
        return machine.opaque("names that are not known are set", "dynamic", *args.all())
    for key, value in pairs:
        machine.store(args.pos[0], key, value)
    return pairs[0][1] if pairs else NONE


@handles("<names>.copy", "<names>.items", "<names>.values", "<names>.keys")
def all_names(machine: Machine, _args: Args) -> Value:
    """All names as they are now."""
    found = {name: value for name, value in machine.scope.globals.names.items() if not name.startswith("<")}
    return Dict(dict(found), Unknown(hidden=True), machine.branch)


@handles("<names>.pop", "<names>.clear", "<names>.popitem")
def drop_names(machine: Machine, args: Args) -> Value:
    """Names are taken away, and others stand behind them."""
    return machine.opaque("names are deleted", "dynamic", *args.all())


@handles("builtins.vars")
def variables(_machine: Machine, args: Args) -> Value:
    """`vars(x)`."""
    owner = args.get(0)
    if owner is None or isinstance(owner, Ref | Klass):
        return Unknown(hidden=True)
    if isinstance(owner, Instance):
        return Attributes(owner)
    return Unknown(carried(owner), hidden=can_act(owner))


@handles("builtins.type")
def type_of(machine: Machine, args: Args) -> Value:
    """`type(x)`; with three arguments it makes a class."""
    if len(args.pos) > 1 or args.vague is not None:
        for value in args.all():
            machine.escape(value)
        return machine.opaque("a class that is made at run time", "inline")
    found = [
        option.klass if isinstance(option, Instance) else Thing("<class>") for option in options(argument_of(args, 0))
    ]
    return found[0] if len(found) == 1 else Either(tuple(found))


# -- objects that are code when they are read back


@handles("yaml.load")
def load_yaml(machine: Machine, args: Args) -> Value:
    """Safe with a safe loader only."""
    loader = args.get(1, "Loader")
    if isinstance(loader, Ref) and "Safe" in loader.name:
        return HANDLERS["yaml.safe_load"](machine, Args(args.pos[:1] or list(args.named.values())[:1]))
    if isinstance(loader, Ref) and loader.name.endswith(("FullLoader", "BaseLoader")):
        return HANDLERS["yaml.safe_load"](machine, Args(args.pos[:1] or list(args.named.values())[:1]))
    return HANDLERS["yaml.unsafe_load"](machine, args)


@handles("yaml.full_load", "yaml.full_load_all")
def load_full_yaml(machine: Machine, args: Args) -> Value:
    """The loader that makes no objects but plain ones."""
    return HANDLERS["yaml.safe_load"](machine, args)


@handles("yaml.load_all")
def load_all_yaml(machine: Machine, args: Args) -> Value:
    """As `yaml.load`, with several documents."""
    value = load_yaml(machine, args)
    return Unknown(carried(value), hidden=isinstance(value, Unknown) and value.hidden)


# -- encodings


def _decoder(work: Callable[..., Any]) -> Callable[[Machine, Args], Value]:
    """A pure function on known bytes or text."""

    def run(machine: Machine, args: Args) -> Value:
        sources: tuple[Any, ...] = ()
        for value in args.all():
            sources = merge(sources, machine.contents_of(value))
            machine.account(value)
        machine.charge(*args.all())
        plain = [concrete(value) for value in args.pos]
        given = [item.value for item in plain if item is not None]
        named = {key: concrete(value) for key, value in args.named.items()}
        keywords = {key: item.value for key, item in named.items() if item is not None}
        if args.vague is None and len(given) == len(plain) and len(named) == len(keywords):
            try:
                return whole(work(*given, **keywords), sources, machine.branch)
            except Exception:  # noqa: BLE001 - whatever Python says to odd input, the snippet would hear it too
                return Unknown(sources)
        return Unknown(sources)

    return run


def _inflate(data: bytes, wbits: int = zlib.MAX_WBITS, **_more: Any) -> bytes:
    return zlib.decompressobj(wbits).decompress(data, MAX_SIZE + 1)


def _gunzip(data: bytes) -> bytes:
    return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, MAX_SIZE + 1)


def _gzip(data: bytes, level: int = 9) -> bytes:
    return gzip.compress(data, level, mtime=0)


def _bunzip(data: bytes) -> bytes:
    return bz2.BZ2Decompressor().decompress(data, MAX_SIZE + 1)


def _unxz(data: bytes, **_more: Any) -> bytes:
    return lzma.LZMADecompressor(memlimit=64 * 1024 * 1024).decompress(data, MAX_SIZE + 1)


def _small(work: Callable[..., Any]) -> Callable[..., Any]:
    def run(data: Any, *rest: Any, **more: Any) -> Any:
        if hasattr(data, "__len__") and len(data) > MAX_SIZE:
            raise ValueError("too long")
        return work(data, *rest, **more)

    return run


_SAFE_CODECS: Final = frozenset(
    "rot13 rot_13 rot-13 hex hex_codec base64 base64_codec utf-8 utf8 utf_8 ascii latin-1 latin1 unicode_escape "
    "unicode-escape raw_unicode_escape utf-16 utf-32 uu quopri".split()
)


def _codec(work: Callable[..., Any]) -> Callable[..., Any]:
    def run(data: Any, encoding: str = "utf-8", errors: str = "strict") -> Any:
        if encoding.lower() not in _SAFE_CODECS or len(data) > MAX_SIZE:
            raise ValueError("not a small text")
        return work(data, encoding, errors)

    return run


for _name in (
    "b64decode b64encode urlsafe_b64decode urlsafe_b64encode standard_b64decode standard_b64encode b32decode "
    "b32encode b16decode b16encode b85decode b85encode a85decode a85encode decodebytes encodebytes"
).split():
    handles(f"base64.{_name}")(_decoder(_small(getattr(base64, _name))))
for _name in "unhexlify hexlify a2b_hex b2a_hex a2b_base64 b2a_base64".split():
    handles(f"binascii.{_name}")(_decoder(_small(getattr(binascii, _name))))
handles("builtins.bytes.fromhex", "builtins.bytearray.fromhex")(_decoder(_small(bytes.fromhex)))
handles("zlib.decompress")(_decoder(_inflate))
handles("gzip.decompress")(_decoder(_gunzip))
handles("bz2.decompress")(_decoder(_bunzip))
handles("lzma.decompress")(_decoder(_unxz))
handles("zlib.compress")(_decoder(_small(zlib.compress)))
handles("gzip.compress")(_decoder(_small(_gzip)))
handles("codecs.decode")(_decoder(_codec(codecs.decode)))
handles("codecs.encode")(_decoder(_codec(codecs.encode)))
for _name in "quote unquote quote_plus unquote_plus".split():
    handles(f"urllib.parse.{_name}")(_decoder(_small(getattr(urllib.parse, _name))))
handles("builtins.str.maketrans", "builtins.bytes.maketrans")(_decoder(str.maketrans))
handles("html.unescape")(_decoder(_small(importlib.import_module("html").unescape)))
