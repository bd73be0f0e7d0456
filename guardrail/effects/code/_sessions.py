"""Interpreters and debuggers that are told little in their words: a built-in server, a console of a project, gdb.

Not concerned with code: a word that may be some makes these functions answer None, so that the whole is opaque.
"""

from __future__ import annotations

from typing import Final

from guardrail.effects.code._scripts import note_start
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import as_code
from guardrail.effects.domain._values import NOTHING, NUM, SOMETHING, Field, Stream
from guardrail.model import Resource
from guardrail.patterns import lazy

_GDB_PLAIN: Final = lazy(
    r"r|run|start|c|continue|n|next|s|step|finish|q|quit|bt(?: full)?|backtrace(?: full)?|where|list(?: [\w:.]+)?|kill"
    r"|info (?:registers|threads|locals|args|frame|sharedlibrary|signals|files|functions|line|source|proc mappings)"
    r"|thread apply all (?:bt|backtrace|where)(?: full)?|(?:b|break|tbreak) [\w:./+-]+|disassemble|x/\d*[xids]+ \$\w+"
    r"|set (?:pagination|confirm|width|height|print \w+|print pretty) (?:on|off|\d+)|handle SIG\w+(?: \w+)*"
)
"""Commands of gdb that look, or let the program go on; `print` and conditions can call functions of the program."""

_NUMBER: Final = lazy(rf"\d+|{NUM}")
_GDB_FLAGS: Final = lazy(r"-{1,2}(?:batch|batch-silent|q|quiet|silent|nx|nh|nw|return-child-result)")


def told(call: Call) -> Stream | None:
    """What an interpreter does that is started so; None if it may be given code.

    Args:
        call: the interpreter, with at least one argument.
    """
    if not all((field.known or field.text == NUM) and not field.sources for field in call.args):
        return None
    if call.name == "php":
        return _php_server(call)
    if call.name == "iex":
        return _project_console(call)
    return _gdb(call) if call.name == "gdb" else None


def _php_server(call: Call) -> Stream | None:
    """`php -S ADDRESS -t DIR`: the scripts of a directory are run for whoever asks, and its other files handed out."""
    words = [field.text for field in call.args]
    folder = "."
    while words:
        word = words.pop(0)
        if word not in ("-S", "-t") or not words:
            return None
        value = words.pop(0)
        folder = value if word == "-t" else folder
    if not any(field.text == "-S" for field in call.args):
        return None
    offered = call.place(Field(text=folder), kind="dir", recursive=True)
    # Whoever asks for a script runs it: one that the session put there is the session's.
    call.shell.emit.opaque("program", offered, spec=call.name, span=call.span)
    call.mention_cwd()
    call.emit("copy", offered, Resource(kind="net", uri="http://*"), may=True, flow=("serve",))
    return SOMETHING


def _project_console(call: Call) -> Stream | None:
    """`iex -S mix TASK`: the task, and then a console that nothing is typed into."""
    words = [field.text for field in call.args]
    if words[:2] != ["-S", "mix"] or call.stdin.connected or any(word[:1] == "-" for word in words[2:]):
        return None
    return call.shell.again(call, (Field(text="mix"), *call.args[2:]), external=True)


def _gdb(call: Call) -> Stream | None:
    """`gdb -batch -ex run -ex bt --args PROGRAM …` of commands that are known: the program runs."""
    rest = list(call.args)
    program: list[Field] = []
    runs = batch = attached = False
    while rest:
        field = rest.pop(0)
        if field.text in ("-ex", "--ex", "-eval-command", "--eval-command") and rest:
            command = rest.pop(0).text.strip()
            if not _GDB_PLAIN.fullmatch(command):
                return None
            runs = runs or command in ("r", "run", "start", "k", "kill")
        elif field.text in ("--args", "-args"):
            program, rest = rest, []
        elif field.text in ("-p", "--pid", "-pid") and rest and _NUMBER.fullmatch(rest[0].text):
            rest.pop(0)
            attached = True
        elif _GDB_FLAGS.fullmatch(field.text):
            batch = batch or "batch" in field.text
        elif field.text[:1] == "-":
            return None
        else:
            program.append(field)
    if not batch or not (program or attached) or call.stdin.connected or (attached and runs):
        return None
    _settings(call)
    if runs:
        return call.shell.again(call, tuple(program), external=True)
    for field in program:
        call.read(field, reveals="some")
    if attached:
        call.shell.emit.opaque("program", as_code("gdb"), spec=call.name, span=call.span)
    return NOTHING


def _settings(call: Call) -> None:
    """The files that gdb runs first."""
    for start in (".gdbinit", f"{call.shell.expand.lookup('HOME', call.state, {})[0]}/.gdbinit"):
        place = call.place(Field(text=start))
        note_start(call, place)
