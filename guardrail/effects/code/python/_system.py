"""`os.environ`, `sys.argv`, `sys.modules` and the standard streams: things of the process that are no functions."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from guardrail.effects.code.python._carried import carried
from guardrail.effects.code.python._core import single
from guardrail.effects.code.python._table import table
from guardrail.effects.code.python._values import (
    NAME,
    Args,
    Handle,
    Ref,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    anything,
    path_texts,
    text,
)
from guardrail.effects.domain._environment import set_variable
from guardrail.effects.domain._values import TOP
from guardrail.effects.domain._values import Value as Variable

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine

_STREAMS = {
    "sys.stdout": "stdout", "sys.stderr": "stderr", "sys.stdin": "stdin", "sys.__stdout__": "stdout",
    "sys.__stderr__": "stderr", "sys.__stdin__": "stdin",
}  # fmt: skip


def system_value(machine: Machine, name: str) -> Value | None:
    """Something of the process by its full name; None if it is no value of its own."""
    stream = _STREAMS.get(name)
    if stream is not None:
        kept = machine.streams.get(stream)
        if kept is None:
            kept = machine.streams[stream] = Handle(stream, mode="r" if stream == "stdin" else "w")
        return kept
    if name in ("sys.argv", "sys.orig_argv"):
        return argv(machine)
    if name == "sys.executable":
        return text("/usr/bin/python3")
    if name in ("sys.version", "sys.prefix", "sys.base_prefix", "sys.exec_prefix", "sys.version_info", "sys.flags"):
        return Unknown()
    if name == "tempfile.tempdir":
        return temporary(machine)
    return None


def argv(machine: Machine) -> Value:
    """`sys.argv`."""
    if machine.argv_value is not None:
        return machine.argv_value
    items: list[Value] = []
    rest: Value | None = None
    for field in machine.argv:
        word: Value = Text((_word(field.text, field.glob),), field.sources)
        if field.many or rest is not None:
            rest = anything(field.sources)
        else:
            items.append(word)
    machine.argv_value = Seq(items, "list", rest)
    return machine.argv_value


def _word(word: str, glob: str | None) -> str:
    if glob is None:
        return word
    return "".join(NAME if char in "*?" else char for char in glob) if "[" not in glob else TOP


def temporary(machine: Machine) -> Text:
    """The directory for temporary files."""
    known = machine.state.vars.get("TMPDIR")
    if known is not None and len(known.alternatives) == 1 and TOP not in known.alternatives[0]:
        return text(known.alternatives[0] or "/tmp")  # noqa: S108 - what Python uses
    return text(machine.call.shell.expand.environment.get("TMPDIR", "/tmp"))  # noqa: S108


def variable(machine: Machine, name: str | None, default: Value | None = None) -> Value:
    """A variable of the environment."""
    if name is None:
        return anything(machine.state.contents())
    found, sources = machine.call.shell.expand.lookup(name, machine.state, {})
    if found == TOP and default is not None and not isinstance(default, Text):
        return Text((TOP,), sources)
    if found == TOP and isinstance(default, Text) and name not in machine.state.vars:
        # It may be set where the call runs, so the default is one of two.
        return Text((TOP,), (*sources, *default.sources))
    return Text((found,), sources)


def system_item(machine: Machine, owner: Ref, key: Value) -> Value:
    """`owner[key]` for something of a library."""
    name = owner.name
    machine.account(key)
    if name in ("os.environ", "os.environb"):
        machine.doubt(key)
        return variable(machine, single(key))
    if name == "sys.modules":
        wanted = single(key)
        if wanted is None:
            return machine.opaque("a module whose name is not known", "dynamic")
        return machine.import_module(wanted)
    if table().kind(name) == "unknown":
        machine.mention(key)  # such as the arguments of a command: `local["rm"]["-rf", path]`
        return Thing(f"?{name}")
    if table().kind(name) == "known" and name.partition(".")[0] not in ("typing", "collections", "builtins", "string"):
        # A library that starts programs may take one by its name: `local["rm"]`.
        starts = name.partition(".")[0] not in sys.stdlib_module_names
        if starts:
            machine.mention(key)
        return Unknown(hidden=starts or name.startswith(("sys.", "os.", "builtins", "ctypes")))
    return Unknown()


def store_item(machine: Machine, owner: Ref, key: Value, value: Value) -> None:
    """`owner[key] = value` for something of a library."""
    name = single(key)
    machine.account(key)
    if owner.name in ("os.environ", "os.environb"):
        set_environment(machine, name, value)
        return
    machine.account(value)
    machine.yaml_changed = machine.yaml_changed or owner.name.partition(".")[0] == "yaml"
    if table().kind(owner.name) == "unknown":
        machine.mention(key)
        machine.mention(value)  # what the library then does with it is not known
    if table().kind(owner.name) == "known":
        machine.opaque(f"`{owner.name[:40]}` is changed", "inline", value)


def set_environment(machine: Machine, name: str | None, value: Value) -> None:
    """A variable is set for this process and those that it starts."""
    if name is None:
        set_any(machine, value)
        return
    machine.account(value)
    machine.environment.append(value)
    texts = tuple(item.replace(NAME, TOP) for item in path_texts(value))
    new = Variable(alternatives=texts or (TOP,), sources=carried(value))
    if machine.branch:
        new = Variable(alternatives=(TOP,), sources=new.sources)
    set_variable(machine.call.shell, machine.state, name, new)


def set_any(machine: Machine, value: Value) -> None:
    """A variable whose name is not known is set: from now on nothing is known of any, nor of what PATH says."""
    machine.account(value)
    machine.environment.append(value)
    cwds = machine.state.cwds
    machine.state.forget()
    machine.state.cwds = cwds
    for name in machine.call.shell.expand.environment:
        machine.state.vars[name] = Variable(alternatives=(TOP,), sources=carried(value))


def argument_of(args: Args, index: int, name: str = "") -> Value:
    """An argument, or a value of which nothing is known."""
    found = args.get(index, name)
    return found if found is not None else Unknown()
