"""Work for later: crontab, at, systemd-run. What is scheduled is analysed as if it ran now."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._given import given_text
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import NOTHING, SOMETHING, Field, Stream
from guardrail.patterns import lazy

_LINE: Final = lazy(r"\s*(?:@\w+|(?:[-\d*,/A-Za-z~]+\s+){5})\s*(?P<command>.+)")
_VARIABLE: Final = lazy(r"\s*[A-Za-z_]\w*\s*=.*")


def crontab(call: Call, parsed: Parsed) -> Stream:
    """`crontab`: the table is shown, removed, edited, or replaced by a file."""
    if parsed.has("--list", "--help", "--version", "-T"):
        return SOMETHING
    user = parsed.value("--user")
    table = at("cron", user.text if user is not None else "self")
    if parsed.has("--remove"):
        call.emit("schedule", table, attrs={"verb": "remove"})
        return NOTHING
    if parsed.has("--edit"):
        call.emit("schedule", table, attrs={"verb": "edit"})
        return call.opaque("dynamic", reason="what an editor puts into the table is not known")
    call.emit("schedule", table, attrs={"verb": "replace"})
    files = parsed.operands or [Field(text="-")]
    for field in files:
        for source in call.read(field):
            call.emit("copy", source, table, flow=call.stdin.flow)
        _table(call, given_text(call, field))
    return SOMETHING


def _table(call: Call, text: str | None) -> None:
    """Every line's command runs some day, in the home directory of the table's owner."""
    if text is None:
        call.opaque("dynamic", reason="the table is not known")
        return
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#") or _VARIABLE.fullmatch(line):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            call.opaque("unparsed", reason="a line of a table that is not understood")
            call.mention_text(line)
            continue
        command, percent, given = re.sub(r"\\%", "\0", match["command"]).partition("%")
        fed = Stream(text=given.replace("%", "\n").replace("\0", "%"), connected=True) if percent else NOTHING
        _later(call, command.replace("\0", "%"), fed, home=True)


def _later(call: Call, text: str, stdin: Stream, *, home: bool) -> None:
    # Another shell runs it, with an environment of its own.
    state = State((None,) if home else (call.cwd,))
    with call.perhaps():
        call.shell.run_text(text, state, stdin)


def at_job(call: Call, parsed: Parsed) -> Stream:
    """`at`, `batch`: what comes in, or is in a file, runs later in this directory."""
    if parsed.has("-l", "-V", "-c", "--help"):
        return SOMETHING
    if parsed.has("-d"):
        for field in parsed.operands:
            call.emit("schedule", at("at", field.text), attrs={"verb": "remove"})
        return NOTHING
    when = " ".join(field.text for field in parsed.operands)
    call.emit("schedule", at("at", when), attrs={"verb": "add"})
    file = parsed.value("-f") or Field(text="-")
    call.read(file)
    text = given_text(call, file)
    if text is None:
        call.opaque("dynamic", reason="what runs later is not known")
        return SOMETHING
    _later(call, text, NOTHING, home=False)
    return SOMETHING


def systemd_run(call: Call, parsed: Parsed) -> Stream:
    """`systemd-run`: a command as a service, now or when a timer says."""
    operands = parsed.operands
    timed = [name for name in sorted(parsed.flags) if name.startswith("--on-")]
    unit = parsed.value("--unit")
    name = unit.text if unit is not None else "run"
    if timed:
        call.emit("schedule", at("systemd", f"{name}.timer"), attrs={"verb": timed[0]})
    elif operands and not parsed.has("--scope"):
        call.emit("service", at("systemd", name), attrs={"verb": "start"})
    _properties(call, parsed)
    if not operands:
        return call.opaque("dynamic", reason="a shell as a service") if parsed.has("--shell") else SOMETHING
    folder = parsed.value("--working-directory")
    cwd = call.place(folder, kind="dir").path if folder is not None else call.cwd
    if folder is None and not parsed.has("--scope", "--same-dir", "--shell"):
        cwd = None
    out = call.shell.again(call, tuple(operands), external=True, cwd=cwd)
    for field in parsed.values_of("--property"):
        if (kept := _KEPT.fullmatch(field.text)) is not None:
            call.put("append" if kept[1] == "append" else "write", call.place(field.tail(kept.start(2))), out.sources)
    return out


_KEPT: Final = lazy(r"Standard(?:Output|Error)=(file|append|truncate):(.+)")


def _properties(call: Call, parsed: Parsed) -> None:
    """What a service is given besides its command: variables, and properties that name files or commands."""
    call.shell.handed += tuple(field.text for field in parsed.values_of("--setenv") if field.known)
    for field in parsed.values_of("--property"):
        call.mention_text(field.text)
        name, _, text = field.text.partition("=")
        if name.startswith("Exec"):
            with call.perhaps():
                call.shell.run_text(text.lstrip("-+!@:|"), call.state.copy())


def removed(call: Call, parsed: Parsed) -> Stream:
    """`atrm`: jobs that will not run."""
    for field in parsed.operands:
        call.emit("schedule", at("at", field.text), attrs={"verb": "remove"})
    return NOTHING


FAMILIES: Final[Mapping[str, Family]] = {
    "at_job": at_job,
    "crontab": crontab,
    "removed": removed,
    "systemd_run": systemd_run,
}
"""What `code` of a spec may say, for this module."""
