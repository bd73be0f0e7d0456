"""Configuration that is loaded, changed and written back: the new text is worked out where every step is known."""

from __future__ import annotations

import configparser
import io
import json
import tomllib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from guardrail.effects.code.python._carried import carried, content
from guardrail.effects.code.python._concrete import abstract, concrete
from guardrail.effects.code.python._core import single
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._system import argument_of
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
    anything,
    path_texts,
    text,
)

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine


def _yaml(name: str) -> Callable[..., Any]:
    def run(*given: Any, **named: Any) -> Any:
        import yaml

        return getattr(yaml, name)(*given, **named)

    return run


def _text_of(machine: Machine, source: Value) -> str | None:
    """The text that is loaded, if it is known."""
    if isinstance(source, Handle):
        found = machine.call_method(source, "read", Args())
        source = found
    if isinstance(source, Const) and isinstance(source.value, bytes):
        try:
            return source.value.decode("utf-8")
        except UnicodeDecodeError:
            return None
    return source.exact if isinstance(source, Text) and not source.path else None


def _load(machine: Machine, args: Args, work: Callable[[str], Any], *, quotes: bool = False) -> Value:
    source = argument_of(args, 0)
    for value in args.all():
        machine.account(value)
        machine.escape(value)
    sources = machine.contents_of(source)
    known = _text_of(machine, source)
    if quotes and known is None and not isinstance(source, Handle):
        machine.doubt(Unknown(sources))  # the line that is not understood is shown
    hooked = any(name.startswith(("object_", "parse_", "cls")) for name in args.named)
    if known is None or hooked:
        return Unknown(sources)
    try:
        return abstract(work(known), sources, machine.branch)
    except Exception:  # noqa: BLE001 - whatever the library says to odd text, the snippet would hear it too
        return Unknown(sources)


@handles("json.load", "json.loads", "orjson.loads", "ujson.loads", "simplejson.loads", "simplejson.load")
def load_json(machine: Machine, args: Args) -> Value:
    """JSON text as values."""
    return _load(machine, args, json.loads)


@handles("yaml.safe_load", "ruamel.yaml.safe_load")
def load_yaml(machine: Machine, args: Args) -> Value:
    """YAML text as values."""
    return _load(machine, args, _yaml("safe_load"), quotes=True)


@handles("tomllib.load", "tomllib.loads", "tomli.load", "tomli.loads", "toml.loads")
def load_toml(machine: Machine, args: Args) -> Value:
    """TOML text as values."""
    return _load(machine, args, tomllib.loads)


@handles("toml.load")
def load_toml_path(machine: Machine, args: Args) -> Value:
    """`toml.load` takes a path or what is open."""
    source = argument_of(args, 0)
    if isinstance(source, Text):
        source = machine.call_ref("builtins.open", Args([source]))
    return load_toml(machine, Args([source]))


def _dump(machine: Machine, args: Args, work: Callable[..., str], *, binary: bool = False) -> Value:
    value = argument_of(args, 0, "obj")
    machine.account(value)
    for extra in args.named.values():
        machine.account(extra)
        machine.escape(extra)
    plain = concrete(value)
    named = {name: concrete(item) for name, item in args.named.items()}
    sources = content(Args([value]))
    if plain is None or any(item is None for item in named.values()):
        return anything(sources)
    try:
        done = work(plain.value, **{name: item.value for name, item in named.items() if item is not None})
    except Exception:  # noqa: BLE001 - as above
        return anything(sources)
    return Const(done.encode(), sources) if binary else text(done, sources)


def _into(machine: Machine, args: Args, work: Callable[..., str], index: int, name: str) -> Value:
    """Dump into what is open, or give the text if nothing is."""
    target = args.get(index, name)
    rest = {key: value for key, value in args.named.items() if key not in (name, "stream", "fp")}
    found = _dump(machine, Args(args.pos[:1], rest), work)
    if target is None or (isinstance(target, Const) and target.value is None):
        return found
    if isinstance(target, Text):
        target = machine.call_ref("builtins.open", Args([target, text("w")]))
    machine.sink(target, carried(found), single(found))
    return NONE


@handles("json.dumps", "simplejson.dumps", "ujson.dumps")
def dump_json_text(machine: Machine, args: Args) -> Value:
    """Values as JSON text."""
    return _dump(machine, args, json.dumps)


@handles("orjson.dumps")
def dump_json_bytes(machine: Machine, args: Args) -> Value:
    """Values as JSON bytes."""
    return _dump(machine, Args(args.pos[:1]), _compact, binary=True)


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


@handles("json.dump", "simplejson.dump")
def dump_json(machine: Machine, args: Args) -> Value:
    """Values as JSON into a file."""
    return _into(machine, args, json.dumps, 1, "fp")


def _unknown(*_given: Any, **_named: Any) -> str:
    raise ValueError("what is written is not known")


@handles("yaml.safe_dump")
def dump_yaml(machine: Machine, args: Args) -> Value:
    """Values as YAML, as text or into a file."""
    return _into(machine, args, _unknown if machine.yaml_changed else _yaml("safe_dump"), 1, "stream")


@handles("yaml.dump")
def dump_yaml_any(machine: Machine, args: Args) -> Value:
    """`yaml.dump` writes plain values as `safe_dump` does, unless a dumper of the code's own says how."""
    dumper = args.get(2, "Dumper")
    plain = dumper is None or (isinstance(dumper, Ref) and dumper.name in _DUMPERS)
    named = {key: value for key, value in args.named.items() if key != "Dumper"}
    machine.escape(dumper if dumper is not None else NONE)
    known = plain and not machine.yaml_changed
    return _into(machine, Args(args.pos[:2], named), _yaml("safe_dump") if known else _unknown, 1, "stream")


_DUMPERS = frozenset(f"yaml.{name}" for name in ("Dumper", "SafeDumper", "CDumper", "CSafeDumper"))


@handles(
    *(f"{owner}.{name}" for owner in ("yaml", *_DUMPERS) for name in ("add_representer", "add_multi_representer")),
    *(f"{owner}.{name}" for owner in ("yaml", *_DUMPERS) for name in ("add_implicit_resolver", "add_path_resolver")),
)
def change_yaml(machine: Machine, args: Args) -> Value:
    """How values are written is changed."""
    machine.yaml_changed = True
    for value in args.all():
        machine.account(value)
        machine.escape(value)
    return NONE


@handles("toml.dump", "tomli_w.dump", "toml.dumps", "tomli_w.dumps")
def dump_toml(machine: Machine, args: Args) -> Value:
    """Values as TOML: what the text will be is not known."""
    value = argument_of(args, 0)
    machine.account(value)
    target = args.get(1)
    if target is None:
        return anything(carried(value))
    machine.sink(target, carried(value), None)
    return NONE


@handles("configparser.ConfigParser", "configparser.RawConfigParser", "configparser.SafeConfigParser")
def config_parser(machine: Machine, args: Args) -> Value:
    """Settings in sections; in another form than usual if it is told so."""
    for value in args.all():
        machine.account(value)
        machine.escape(value)
    plain = not args.pos and args.vague is None and set(args.named) <= {"interpolation"}
    return Thing("configparser", {"<text>": text("") if plain else Unknown()})


@handles("configparser.read", "configparser.read_file", "configparser.read_dict")
def config_read(machine: Machine, args: Args) -> Value:
    """A file's settings."""
    owner, source = args.pos[0], argument_of(args, 1)
    items, rest = machine.items_of(source) if not isinstance(source, Text | Handle) else ([source], None)
    for item in [*items, *([rest] if rest is not None else [])]:
        handle = item if isinstance(item, Handle) else machine.call_ref("builtins.open", Args([item]))
        _remember(machine, owner, handle)
    return NONE


@handles("configparser.read_string")
def config_text(machine: Machine, args: Args) -> Value:
    """Settings from text."""
    _remember(machine, args.pos[0], argument_of(args, 1))
    return NONE


def _is_ini(known: str) -> bool:
    try:
        configparser.RawConfigParser().read_string(known)
    except configparser.Error:
        return False
    return True


def _remember(machine: Machine, owner: Value, source: Value) -> None:
    if isinstance(owner, Thing):
        owner.held = tuple(dict.fromkeys((*owner.held, *machine.contents_of(source))))
        known = _text_of(machine, source)
        if known is None or not _is_ini(known):
            machine.doubt(Unknown(owner.held))  # the line that is not understood is shown
        first = single(owner.facts.get("<text>")) == ""
        owner.facts["<text>"] = text(known) if known is not None and first and not machine.branch else Unknown()


@handles("configparser.set")
def config_set(machine: Machine, args: Args) -> Value:
    """One setting is changed."""
    owner = args.pos[0]
    words = [single(value) for value in args.pos[1:]]
    for value in args.all():
        machine.account(value)
    known = single(owner.facts.get("<text>")) if isinstance(owner, Thing) else None
    if not isinstance(owner, Thing):
        return NONE
    if known is None or len(words) != 3 or None in words or machine.branch:
        owner.facts["<text>"] = Unknown()
        return NONE
    try:
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(known)
        parser.set(words[0] or "", words[1] or "", words[2])
        out = io.StringIO()
        parser.write(out)
        owner.facts["<text>"] = text(out.getvalue())
    except configparser.Error:
        owner.facts["<text>"] = Unknown()
    return NONE


@handles("configparser.write")
def config_write(machine: Machine, args: Args) -> Value:
    """The settings are written."""
    owner = args.pos[0]
    known = single(owner.facts.get("<text>")) if isinstance(owner, Thing) and len([*args.all()]) == 2 else None
    machine.sink(argument_of(args, 1), owner.held if isinstance(owner, Thing) else (), known or None)
    return NONE


__all__ = ["path_texts"]
