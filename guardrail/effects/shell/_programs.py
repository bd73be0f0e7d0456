"""Which file a name means where PATH or files of the session's may decide that, and what a file does that is run.

Not concerned with commands that are what their names say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from guardrail.effects.code._handed import name_sources
from guardrail.effects.code._interpreters import run_interpreter
from guardrail.effects.code._kinds import interpreter_of
from guardrail.effects.code._running import run_script
from guardrail.effects.code._scripts import script_texts
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import as_code
from guardrail.effects.domain._paths import escape
from guardrail.effects.domain._values import Field, Stream, is_known
from guardrail.model import Resource

TRUSTED: Final = frozenset(("/bin", "/usr/bin", "/usr/local/bin", "/sbin", "/usr/sbin", "/usr/local/sbin"))
"""Directories whose programs are taken to be what their names say."""


def tampered(call: Call) -> bool:
    """This call itself put something where trusted programs live."""
    # An address of which nothing is known is left to policy: it could be an asset, which is stricter.
    placed = call.shell.emit.placed
    libraries = call.shell.libraries
    if placed and not (TRUSTED.isdisjoint(placed) and libraries.isdisjoint(placed)):
        return True
    return "" in libraries and _loads_here(call)


def _loads_here(call: Call) -> bool:
    """A library in the working directory may be loaded in place of the system's."""
    if call.cwd is None or not is_known(call.cwd):
        return True
    if any(".so" in path.rpartition("/")[2] or "*" in path for path in call.shell.emit.made):
        return True
    return call.shell.view.glob(f"{escape(call.cwd.rstrip('/'))}/lib*.so*") != ()


def search(call: Call, name: str) -> Stream | None:
    """Look the name up where PATH now looks first; None if it is the trusted command."""
    if call.state.path is None:
        return call.opaque("dynamic", reason="what command names mean was changed")
    if call.state.path:
        found = _found_first(call, name, call.state.path)
        if found is not None:
            return found
    if tampered(call):
        return call.opaque("dynamic", reason="a program was put where commands live")
    return None


def _found_first(call: Call, name: str, folders: Sequence[str]) -> Stream | None:
    """Look the name up in directories that were put before those of the system."""
    for folder in folders:
        path = f"{folder}/{name}"
        if folder in call.shell.environments:
            # What its name says, as outside of the environment; a file that was written there is one to be asked about.
            emit = call.shell.emit
            own = emit.placed_in(folder) or not emit.changed(f"{folder}/activate")
            changed = own and call.shell.contents.changed(path)
            if call.shell.view.kind(path) is not None or changed:
                attrs = {"authored": True} if changed else None
                where = Resource(kind="file", path=path)
                emit.opaque("program", where, spec=name, span=call.span, attrs=attrs)
            continue
        if call.shell.view.kind(path) is not None or call.shell.emit.changed(path):
            return run_file(call, Field(text=path))
    if not call.shell.environments.issuperset(folders):
        # Nothing of that name is there now; by the time it runs something may be.
        call.shell.emit.opaque("program", as_code(name), spec=name, span=call.span)
        call.mention_cwd()
        call.mention(call.args)
    return None


def _script_kind(data: bytes) -> str | None:
    """What a file's text is for: `shell` also without a `#!`, as the shell does it; None for what is not known."""
    if b"\0" in data:
        return None
    if not data.startswith(b"#!"):
        return "shell"
    words = data.partition(b"\n")[0][2:].decode("utf-8", "replace").split()
    names = [word.rpartition("/")[2] for word in words]
    if names and names[0] == "env":
        names = [name for name in names[1:] if name[:1] != "-" and "=" not in name]
    return interpreter_of(names[0]) if names else None


def run_file(call: Call, path: Field) -> Stream:
    """A program given by its path: a small shell script is analysed, another script or a binary is opaque."""
    resource = call.place(path)
    known = resource.path is not None and call.shell.contents.knows(resource.path)
    changed = resource.path is not None and not known and call.shell.emit.wrote(resource.path)
    attrs = {"authored": True} if changed else None
    if resource.path is None:
        return call.opaque("dynamic", resource=resource, reason="a program whose path is not known")
    if resource.path.startswith(("/etc/init.d/", "/etc/rc.d/")):
        verb = " ".join(field.text for field in call.args)[:100]
        unit = at("systemd", resource.path.rpartition("/")[2])
        call.emit("list" if verb == "status" else "service", unit, attrs={"verb": verb})
    data = call.content(resource)
    kind = _script_kind(data) if data is not None else None
    if kind is None or attrs is not None:
        spec = call.name if "/" in call.name else path.text  # by its path, whether the call says so or PATH does
        call.shell.emit.opaque("program", resource, spec=spec, span=call.span, attrs=attrs)
        call.mention_cwd()
        call.mention(call.args)
        call.mention_input()
        _as_named(call, resource)
        name_sources(call, resource.path.rpartition("/")[2])
        return Stream(sources=call.stdin.sources, flow=call.stdin.flow)
    named = _FIRST_LINE.match(data) if kind == "other" and data is not None else None
    if named is not None and len(script_texts(call, resource)) == 1:
        return call.shell.again(call, (Field(text=named[1].decode("ascii")), path, *call.args), external=True)
    return run_script(call, kind, path, call.args)


_FIRST_LINE: Final = re.compile(rb"#!/usr/(?:local/)?bin/(?:env )?(node|ruby|perl|php|Rscript|lua|julia|tsx|ts-node)\n")
"""The first line of a script that is run by an interpreter without options."""


def _as_named(call: Call, program: Resource) -> None:
    """A program with the name of an interpreter most likely is one: what it would do is told as well."""
    name = (program.path or "").rpartition("/")[2]
    kind = interpreter_of(name)
    if kind in ("shell", "python") and call.args:
        with call.perhaps():
            run_interpreter(call.shell.call(name, call.args, call.state, call.cwd, call.stdin, call.span), kind)
