"""Requests to services over a bus, the journal as a place that content goes to, and a calculator that runs commands.

Not concerned with the commands that have units as operands: those are data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._wrappers import wrapper
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import NOTHING, SOMETHING, Stream, merge
from guardrail.model import Op, Resource

_MANAGER: Final = re.compile(
    r"(?P<verb>Start|Stop|Restart|Reload|ReloadOrRestart|TryRestart|Kill|Freeze|Thaw|Mask|Unmask|Disable|Enable|Revert"
    r"|Reset|Clean|PowerOff|Reboot|Halt|KExec|Suspend|Hibernate|Exit|SetTime\w*|SetNTP|Terminate\w*|Lock\w*|SetUserLinger"
    r"|Inhibit)(?:Unit\w*|Failed\w*|Session|User)?"
)
"""Methods of managers of services, sessions, power and time that change something."""

_LOOKING: Final = re.compile(r"(?:List|Get|Can|Dump|Introspect|Ping|Peer|Load|Lookup|Subscribe|Notify|NameHasOwner)\w*")
_POWER: Final = frozenset(("PowerOff", "Reboot", "Halt", "KExec", "Suspend", "Hibernate", "Exit", "Inhibit"))
_BUS: Final = re.compile(r"org\.freedesktop\.(?:systemd1|login1|timedate1|hostname1|machine1)(?:\.|$)")
_RUNS: Final = re.compile(r"(?:^|[\s\]])!(?![<>=])(?P<command>[^\n]+)")
"""An exclamation mark of `dc` that is no comparison hands the rest of its line to the shell."""


def bus(call: Call, _parsed: Parsed) -> Stream:
    """`busctl call`, `dbus-send`, `gdbus`, `qdbus`: a method of a service is asked for."""
    words = [field.text for field in call.args]
    ours = any(_BUS.search(word) for word in words)
    method = next((found for word in words if (found := _MANAGER.fullmatch(word.rpartition(".")[2])) is not None), None)
    if ours and method is not None:
        _asked(call, method["verb"], words)
        return SOMETHING
    if ours and any(_LOOKING.fullmatch(word.rpartition(".")[2]) for word in words if "/" not in word):
        return SOMETHING
    return call.opaque("program", reason="what a service is asked to do is not known")


def _asked(call: Call, verb: str, words: list[str]) -> None:
    facts = {"verb": verb}
    if verb in _POWER:
        call.emit("service", at("power", verb.lower()), attrs=facts)
    elif verb.startswith("Set"):
        scheme, op = ("account", "set_security") if "Linger" in verb else ("clock", "set_times")
        call.emit(_op(op), at(scheme, verb), attrs=facts)
    else:
        units = [word.rpartition(":")[2].strip("'\"[],") for word in words]
        named = [u for u in units if re.search(r"\.(?:service|timer|socket|target|path|mount|slice|scope)$", u)]
        for unit in named or ["*"]:
            call.emit("schedule" if unit.endswith(".timer") else "service", at("systemd", unit), attrs=facts)


def _op(name: str) -> Op:
    return "set_security" if name == "set_security" else "set_times"


def inhibit(call: Call, parsed: Parsed) -> Stream:
    """`systemd-inhibit COMMAND`: as long as the command runs nobody can shut down, sleep or the like."""
    if parsed.has("--list"):
        return SOMETHING
    call.emit("service", at("power", "inhibit"), attrs={"verb": "inhibit"})
    return wrapper(call, parsed)


def journaled(call: Call, parsed: Parsed) -> Stream:
    """`systemd-cat`: what comes in, or what the command prints, goes to the journal."""
    sources = wrapper(call, parsed).sources if parsed.operands else call.stdin.sources
    for source in sources:
        call.emit("copy", source, at("journal", "*"), flow=call.stdin.flow)
    return NOTHING


def calculator(call: Call, parsed: Parsed) -> Stream:
    """`dc`: computes, and runs shell text behind a `!`."""
    texts = [field for option, _, field in parsed.values if option == "--expression"]
    files = [*parsed.values_of("--file"), *parsed.operands]
    sources: tuple[Resource, ...] = ()
    for field in files:
        sources = merge(sources, call.read(field))
    programs: list[str | None] = [field.text if field.known else None for field in texts]
    programs += [call.text_of(field) for field in files if call.place(field).path is not None]
    if not programs or any(field.text == "-" for field in files):
        programs.append(call.stdin.text if call.stdin.connected else "")
    for program in programs:
        _calculated(call, program)
    return Stream(sources=sources)


def _calculated(call: Call, program: str | None) -> None:
    if program is None:
        call.opaque("program", reason="what dc computes is not known")
        return
    for match in _RUNS.finditer(program):
        call.shell.emit.maybe += 1
        call.shell.run_text(match["command"], call.state.copy())
        call.shell.emit.maybe -= 1


FAMILIES: Final[Mapping[str, Family]] = {
    "bus": bus,
    "calculator": calculator,
    "inhibit": inhibit,
    "journaled": journaled,
}
"""What `code` of a spec may say, for this module."""
