"""`. DIR/bin/activate`: what the script of a virtual environment changes is known without walking it.

Not concerned with any other script that is sourced; and one that somebody added a line to is any other script.
"""

from __future__ import annotations

import posixpath
import re
from typing import Final

from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import MUTATING
from guardrail.effects.domain._environment import set_variable
from guardrail.effects.domain._values import TOP, Value
from guardrail.model import Resource
from guardrail.patterns import lazy

_PLACE: Final = lazy(r"(/.*[^/])/bin/activate")
_PROGRAM: Final = lazy(r"(/.*[^/])/bin/[\w.+-]+")
_MAKERS: Final = frozenset(("python", "python3", "virtualenv", "uv venv", "uv"))
_NAMES: Final = r"(?:_OLD_VIRTUAL_\w+|VIRTUAL_ENV(?:_PROMPT)?|PS1|PATH|PYTHONHOME|PKG_CONFIG_PATH|SCRIPT_PATH)"
_VALUE: Final = r"\$\{?+[A-Za-z_0-9]\w*+(?::?[-+]\w*+)?+\}?+"
_INSIDE: Final = rf"""[^`$\\;&|<>()"']|{_VALUE}|"(?:[^`$\\"]|{_VALUE})*"|'[^']*'"""
_PLAIN: Final = rf"(?:{_INSIDE})*"
_TEST: Final = rf"(?:! ?)?\[ {_PLAIN} \]"
_QUIET: Final = r"(?: ?> ?/dev/null 2>&1| 2> ?/dev/null)?(?: \|\| true)?"
_CYGWIN: Final = re.escape(
    'if ([ "$OSTYPE" = "cygwin" ] || [ "$OSTYPE" = "msys" ]) && $(command -v cygpath &> /dev/null) ; then'
)
_LINE: Final = lazy(
    "|".join(
        (
            r"#.*",
            r"\}|fi|else|true|;;|esac|\*\)|case \"\$\(uname\)\" in|CYGWIN\*\|MSYS\*(?:\|MINGW\*)?\)",
            r"deactivate(?: nondestructive)?|(?:deactivate|pydoc) ?\(\) ?\{",
            rf"(?:el)?if {_TEST}(?: (?:\|\||&&) {_TEST})* ?; ?then",
            rf"(?:export|unset|unset -f)(?: (?:{_NAMES}|deactivate|pydoc))+{_QUIET}",
            rf"hash -r{_QUIET}",
            rf"(?:export )?(?!PATH=|VIRTUAL_ENV=){_NAMES}={_PLAIN}",
            r"VIRTUAL_ENV_PROMPT=\$\(basename \"\$VIRTUAL_ENV\"\)|(?:export )?VIRTUAL_ENV=\"\$VIRTUAL_ENV\"",
            r"(?:export )?VIRTUAL_ENV=\$\(cygpath (?:-u )?(?:\"\$VIRTUAL_ENV\"|['\"]?[\w./@+:-]+['\"]?)\)",
            r"PATH=\"(?:\$_OLD_VIRTUAL_PATH|\$\{_OLD_VIRTUAL_PATH:-\})\"",
            r"PATH=\"\$VIRTUAL_ENV/(?:bin|\"bin\"):\$PATH\"",
            r"python -m pydoc \"\$@\"|exit 33|echo \"You must source this script: \\\$ source \$0\" >&2",
            _CYGWIN,
        )
    )
)
"""A line of the script that the makers of virtual environments write."""


def activated(call: Call, resource: Resource) -> bool:
    """Apply what an activation script does to the shell; False if it is not certain that it is one.

    Args:
        call: `source` or `.`.
        resource: the script.
    """
    path = resource.path or ""
    match = _PLACE.fullmatch(path)
    if match is None or TOP in path:
        return False
    home = match[1]
    if call.shell.emit.wrote(path):
        if not _made_here(call, home):
            return False
    elif call.shell.view.kind(path) is not None and not _is_stock(call, path, home):
        return False
    call.emit("read", resource, attrs={"reveals": "some"})
    state = call.state
    folder = f"{home}/bin"
    set_variable(call.shell, state, "VIRTUAL_ENV", Value(alternatives=(home,)))
    for name in ("PS1", "VIRTUAL_ENV_PROMPT"):
        state.vars[name] = Value()
    if state.path is not None:
        set_variable(call.shell, state, "PATH", Value(alternatives=(":".join((folder, *state.path, "\0")),)))
        call.shell.environments |= {folder}
    return True


def of_environment(call: Call, path: Resource) -> bool:
    """Whether a program lies in a virtual environment, and so does what its name says.

    What lies there now is told as a program that runs, so that the history can say whether the session put it there.
    """
    match = _PROGRAM.fullmatch(posixpath.normpath(path.path or ""))
    if match is None:
        return False
    name, home = match[0], match[1]
    if call.shell.emit.wrote(name):
        return _made_here(call, home)
    if call.shell.view.kind(f"{home}/pyvenv.cfg") != "file" or call.shell.emit.wrote(f"{home}/pyvenv.cfg"):
        return False
    where = Resource(kind="file", path=name)
    call.shell.emit.opaque("program", where, spec=call.name, span=call.span)
    return True


def _made_here(call: Call, home: str) -> bool:
    """All that changed there in this call is what a maker of environments put there."""
    prefix = f"{home}/"
    makes = False
    for effect in call.shell.emit.effects:
        # Where something is removed nothing is put: what was there before, or a part of what was made, is gone.
        if effect.op not in MUTATING or effect.op == "delete":
            continue
        for place in (effect.resource, effect.target):
            if place is None or (place.path is None and place.pattern is None):
                continue
            name = place.path or ""
            if name.rstrip("/") == home and effect.origin is not None and effect.origin.spec in _MAKERS:
                makes = True
            elif place.path is None or name.startswith(prefix) or name.rstrip("/") == home:
                return False
    return makes


def _is_stock(call: Call, path: str, home: str) -> bool:
    """The script there is one that a maker of environments wrote, and it stands for this very directory."""
    if call.shell.view.kind(f"{home}/pyvenv.cfg") != "file":
        return False
    data = call.shell.view.read(path, call.shell.limits.script_bytes)
    if data is None:
        return False
    places: list[str] = []
    for raw in data.decode("utf-8", "surrogateescape").split("\n"):
        line = raw.strip()
        named = re.fullmatch(r"""(?:export )?VIRTUAL_ENV=(['"]?)([\w./@+:-]+)\1""", line)
        if named is not None:
            places.append(named[2])
        elif line and not _LINE.fullmatch(line):
            return False
    real = call.shell.view.identity(home)
    return bool(places) and all(call.shell.view.identity(one) == real for one in places)
