"""Signals, priorities and limits of processes that run already."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._wrappers import wrapper
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import SOMETHING, Field, Stream
from guardrail.patterns import lazy

_SIGNAL: Final = lazy(r"-(?:SIG)?(?:[A-Z][A-Z0-9+-]+|RTM(?:IN|AX)[-+]?\d*|\d{1,2})", re.IGNORECASE)
_NAMES: Final = lazy(r"(?:SIG)?[A-Z]+[0-9]?|\d{1,2}")
_QUIET: Final = Stream(text="")


def _signal(call: Call, name: str, attrs: dict[str, Any] | None) -> None:
    # Signal 0 only asks whether the process is there.
    asked = attrs is not None and attrs["signal"] == "0"
    call.emit("list" if asked else "signal", at("process", name), attrs=attrs)


def kill(call: Call, _parsed: Parsed) -> Stream:
    """`kill`: a signal to processes by number, or to the shell's jobs."""
    words = list(call.args)
    if (
        words
        and words[0].text in ("-l", "-L", "--list", "--table")
        and all(_NAMES.fullmatch(w.text) for w in words[1:])
    ):
        return SOMETHING
    signal, rest = _kill_signal(words)
    attrs = {"signal": signal} if signal else None
    for field in rest:
        _signal(call, field.text, attrs)
    if not rest:
        _signal(call, "*", attrs)
    return _QUIET


def _kill_signal(words: Sequence[Field]) -> tuple[str, list[Field]]:
    """The signal, and the words that are processes."""
    signal = ""
    rest: list[Field] = []
    i = 0
    while i < len(words):
        text = words[i].text
        i += 1
        if text in ("-s", "-n", "--signal", "-q", "--queue", "--timeout") and i < len(words):
            signal = words[i].text if text in ("-s", "-n", "--signal") else signal
            i += 2 if text == "--timeout" else 1
        elif text == "--":
            rest.extend(words[i:])
            break
        elif not signal and not rest and (_SIGNAL.fullmatch(text) or text.startswith("-s")):
            signal = text.removeprefix("-s").lstrip("-")
        elif text in ("-a", "--all", "-p", "--pid", "-v", "--verbose", "-r", "--require-handler"):
            continue
        else:
            rest.append(words[i - 1])
    return signal, rest


def named(call: Call, parsed: Parsed) -> Stream:
    """`pkill`, `killall`: a signal to processes by their names; the signal may stand where an option does."""
    if parsed.has("--list", "--help", "--version"):
        return SOMETHING
    signal = next((field.text for option, _, field in parsed.values if option == "--signal"), "")
    shape = parsed.spec.dashed
    for field in call.args:
        if shape is not None and shape.fullmatch(field.text):
            signal = field.text.lstrip("-")
    attrs = {"signal": signal} if signal else None
    apply_spec(call, parsed)
    names = [field for field in parsed.operands if field.text != ""]
    for field in names:
        _signal(call, field.text, attrs)
    if not names:
        owners = [
            f"user {field.text}" for option, role, field in parsed.values if role == "text" and option == "--user"
        ]
        for owner in owners or ["*"]:
            _signal(call, owner, attrs)
    return _QUIET


def priority(call: Call, parsed: Parsed) -> Stream:
    """`ionice`, `chrt`, `taskset`, `prlimit`, `cpulimit`: of a process that runs, or of a command they start."""
    values = [field for _, role, field in parsed.values if role == "signal@process"]
    if not parsed.has("--pid"):
        return wrapper(call, parsed)
    pids = values or list(parsed.operands[-1:])
    looking = len(parsed.operands) + len(values) < 2 and not any(role == "text" for _, role, _ in parsed.values)
    for field in pids:
        if not looking:
            call.emit("signal", at("process", field.text), attrs={"verb": call.name})
    return SOMETHING


def dumped(call: Call, parsed: Parsed) -> Stream:
    """`gcore`: the memory of a process, stopped for a moment, goes into a file."""
    prefix = parsed.value("-o") or Field(text="core")
    for field in parsed.operands:
        process = at("process", field.text)
        _signal(call, field.text, {"signal": "STOP"})
        call.put("write", call.place(Field(text=f"{prefix.text}.{field.text}")), (process,))
    return SOMETHING


FAMILIES: Final[Mapping[str, Family]] = {"dumped": dumped, "kill": kill, "named": named, "priority": priority}
"""What `code` of a spec may say, for this module."""
