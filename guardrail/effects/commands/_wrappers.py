"""Commands that run another command: env, sudo, timeout, nohup and their like; which they are is in the specs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.code._makefiles import NAMES, dry_run, recipes
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._environment import given, set_variable
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import SOMETHING, Field, Stream, Value, merge
from guardrail.patterns import lazy

MAX_SHOWN: Final = 512
"""Longest data of one system call that a trace may show and still only tell of it, in bytes."""

_ASSIGNMENT = lazy(r"([A-Za-z_][A-Za-z0-9_%()]*)=(.*)", re.DOTALL)


def wrapper(call: Call, parsed: Parsed) -> Stream:
    """The rest of the words is a command; the spec's own operands come first."""
    skip = len(parsed.spec.entry.operands)
    _roles(call, parsed)
    if call.name in ("strace", "ltrace"):
        # What is traced is stopped, and may be given signals and answers that are not the system's.
        for field in parsed.values_of("-p"):
            for number in re.split(r"[\s,]+", field.text):
                call.emit("signal", at("process", number), attrs={"verb": call.name})
    rest = parsed.operands[skip:]
    if any(field.many for field in parsed.operands[:skip]):
        return call.opaque("dynamic", reason="where the command begins is not known")
    if not rest:
        return SOMETHING
    before = len(call.shell.emit.effects)
    out = call.shell.again(call, tuple(rest), external=True)
    return _traced(call, parsed, before, out) if call.name in ("strace", "ltrace") else out


def _traced(call: Call, parsed: Parsed, before: int, out: Stream) -> Stream:
    """A trace that shows long data, or all that is read or written, has the content of what was read in it."""
    sizes = [field.text for field in parsed.values_of("-s")]
    asked = [field.text for field in parsed.values_of("-e")]
    long = any(not size.isdecimal() or int(size) > MAX_SHOWN for size in sizes)
    if not long and not any(text.startswith(("read=", "write=", "reads=", "writes=")) for text in asked):
        return out
    seen = merge((), tuple(effect.resource for effect in call.shell.emit.effects[before:] if effect.op == "read"))
    files = parsed.values_of("-o")
    for field in files:
        call.put("write", call.place(field), seen, flow=("trace",))
    if not files:
        call.shell.divert(seen)
    return out


def time(call: Call, parsed: Parsed) -> Stream:
    """`time`: a word of the shell, so functions and `cd` are meant; with other options than `-p` a program."""
    _roles(call, parsed)
    rest = parsed.operands
    if not rest:
        return SOMETHING
    if _ASSIGNMENT.fullmatch(rest[0].text):
        return call.opaque("unparsed", reason="assignments after time", words=rest)
    return call.shell.again(call, tuple(rest), external=bool(parsed.values or parsed.flags - {"-p"}))


def make(call: Call, _parsed: Parsed) -> Stream:
    """`make`: runs what its file says, and the file is one that somebody wrote."""
    words = [field.text for field in call.args]
    printed = dry_run(call)
    if printed is not None:
        return Stream(sources=call.read(Field(text=printed.path or ""), reveals="content"))
    texts = recipes(call)
    out = call.opaque("program")
    if texts is not None:
        for text in texts:
            with call.perhaps():
                call.shell.again(call, (Field(text="sh"), Field(text="-c"), Field(text=text)), external=True)
        return out
    fed = any(text in ("-", "-f-", "/dev/stdin", "-f/dev/stdin", "--file=-", "--makefile=-") for text in words)
    if fed or any(text.startswith(("--eval", "--ev", "-E")) for text in words):
        call.opaque("inline", reason="rules that are not in a file")
    for name in NAMES:
        place = call.place(Field(text=name))
        if place.path is not None and (call.kind(place) == "file" or call.shell.emit.changed(place.path)):
            attrs = {"authored": True} if call.shell.emit.wrote(place.path) else None
            call.shell.emit.opaque("program", place, spec="make", span=call.span, attrs=attrs)
    return out


def _roles(call: Call, parsed: Parsed) -> None:
    for option, role, field in parsed.values:
        if call.name in ("strace", "ltrace") and field.text[:1] in "|!" and field.text:
            call.opaque("inline", reason=f"{option} of {call.name} runs a command", words=(field,))
            call.mention_text(field.text)
        elif role in ("write", "append"):
            call.put("write", call.place(field), ())
        elif call.name == "sshpass" and role == "read":
            call.put("write", at("net", "password"), call.read(field))
        elif role in ("opaque", "run", "shell"):
            call.opaque("inline", reason=f"{option} of {call.name} is not looked into", words=(field,))
            call.mention_text(field.text)


def env(call: Call, parsed: Parsed) -> Stream:
    """`env`, `sudo`, `doas`: assignments, then a command; `-C` and `-D` change the directory."""
    state = call.state.copy()
    cwd = call.cwd
    folder = parsed.value("--chdir")
    if folder is not None:
        cwd = call.place(folder, kind="dir").path
    _roles(call, parsed)
    rest = list(parsed.operands)
    while rest and (match := _ASSIGNMENT.fullmatch(rest[0].text)):
        value = Value(alternatives=(match[2],), sources=rest[0].sources)
        set_variable(call.shell, state, match[1], value)
        call.shell.handed += tuple(given(value))
        rest.pop(0)
    if rest and rest[0].text == "-":
        rest.pop(0)
    if parsed.has("--shell", "--login", "--edit") and call.name != "env":
        call.opaque("dynamic", reason="a shell of another user")
    if not rest:
        return Stream(sources=state.contents())
    return _again(call, state, rest, cwd)


def _again(call: Call, state: State, rest: list[Field], cwd: str | None) -> Stream:
    inner = call.shell.call(call.name, call.args, state, cwd, call.stdin, call.span)
    return call.shell.again(inner, tuple(rest), external=True, cwd=cwd)


def runner(call: Call, _parsed: Parsed) -> Stream:
    """Commands that run others in ways not looked into, from words, a file or another root directory."""
    if all(field.text in ("--version", "--help", "-V", "-h", "-l") for field in call.args) and call.args:
        return SOMETHING
    out = call.opaque("inline", reason=f"{call.name} runs commands that are not looked into")
    for field in call.args:
        call.mention_text(field.text)
    return out


def watch(call: Call, parsed: Parsed) -> Stream:
    """`watch`, `time` of words that are joined to a shell text."""
    if not all(field.known for field in parsed.operands):
        return call.opaque("dynamic", reason="the text is not known")
    text = " ".join(field.text for field in parsed.operands)
    return call.shell.run_text(text, call.state.copy(), call.stdin)[2]


FAMILIES: Final[Mapping[str, Family]] = {
    "env": env,
    "make": make,
    "runner": runner,
    "time": time,
    "watch": watch,
    "wrapper": wrapper,
}
"""What `code` of a spec may say, for this module."""
