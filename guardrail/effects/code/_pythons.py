"""Python that is started: its options, its text, its script or its module."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from typing import Final

from guardrail.effects.code._drivers import note_own
from guardrail.effects.code._modules import SERVING, module_of
from guardrail.effects.code._outputs import outputs
from guardrail.effects.code._programs import PROJECTS, scripts
from guardrail.effects.code._projects import note_shadows, note_start, project_code
from guardrail.effects.code._running import args_tail, from_stdin, operands, run_script
from guardrail.effects.code._starting import analysed, changed_start, inline
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import as_code
from guardrail.effects.domain._paths import place
from guardrail.effects.domain._values import (
    NOTHING,
    SOMETHING,
    Field,
    Stream,
)
from guardrail.patterns import lazy

_PYTHON_INTERACTIVE = lazy(r"-[bBdEhIOPqsSuvx]*i[a-zA-Z]*")
_CODE_MODULES: Final = frozenset("code asyncio IPython idlelib pdb xonsh ptpython bpython".split())
_WRAPPING_MODULES: Final = frozenset("cProfile profile trace runpy coverage kernprof scalene memory_profiler".split())
_PYTHON_FLAGS = lazy(r"-[bBdEhiIOPqsSuvVx]+")


def python(call: Call) -> Stream:
    note_start(call)
    args = list(call.args)
    while args:
        text = args[0].text
        if args[0].many or not text.startswith("-") or text == "-":
            break
        args.pop(0)
        if _PYTHON_INTERACTIVE.fullmatch(text):
            return inline(call, "python goes on with its input")
        if text in ("--version", "-V", "-VV", "--help", "-h"):
            return NOTHING
        if text in ("-W", "-X") and args:
            _warned(call, text + args.pop(0).text)
        elif text == "-c" or (text.startswith("-") and _PYTHON_FLAGS.fullmatch(text[:-1] or "-B") and text[-1] == "c"):
            return _python_code(call, args)
        elif text.startswith("-c"):
            return _python_code(call, [args_tail(text, call), *args])
        elif text == "-m" or (_PYTHON_FLAGS.fullmatch(text[:-1] or "-B") and text[-1] == "m"):
            return _python_module(call, args)
        elif text.startswith("-m"):
            return _python_module(call, [args_tail(text, call), *args])
        elif not _PYTHON_FLAGS.fullmatch(text) and not _warned(call, text):
            return inline(call, "option of python is not known")
    if args and args[0].text not in ("-", "/dev/stdin"):
        folder = args[0].known and call.kind(call.place(args[0])) == "dir"
        script = Field(text=f"{args[0].text.rstrip('/')}/__main__.py", span=args[0].span) if folder else args[0]
        return run_script(call, "python", script, args[1:])
    return from_stdin(call, "python takes its code from its input")


def _warned(call: Call, text: str) -> bool:
    """`-WACTION:MESSAGE:CATEGORY`: the module that a category is in is loaded before anything else; or `-X…`."""
    module = text.split(":")[2].rpartition(".")[0] if text[:2] == "-W" and text.count(":") > 1 else ""
    if _MODULE.fullmatch(module):
        analysed(call, f"import {module}", [Field(text="-c")])
    return text[:2] in ("-W", "-X")


_MODULE: Final = lazy(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)


def _python_code(call: Call, args: Sequence[Field]) -> Stream:
    if not args or not args[0].known:
        return call.opaque("dynamic", reason="the code given to python is not known")
    return analysed(call, args[0].text, [Field(text="-c"), *args[1:]])


def _python_module(call: Call, args: Sequence[Field]) -> Stream:
    if not args or not args[0].known:
        return call.opaque("dynamic", reason="the module given to python is not known")
    name = args[0].text
    debugged = _debugged(call, args[1:]) if name == "pdb" else None
    if name.partition(".")[0] in _CODE_MODULES and debugged is None:
        return inline(call, f"python -m {name[:40]} runs code")
    if changed_start(call):
        return inline(call, "what python loads at its start was changed")
    note_shadows(call)
    known = module_of(name)
    local = place(name.partition(".")[0] + ".py", call.cwd).path
    shadowed = local is not None and (call.shell.view.kind(local) == "file" or _made(call, local))
    if known is not None and not shadowed and not any(field.many for field in args):
        return known(call, args[1:])
    if debugged is not None and not shadowed:
        return run_script(call, "python", debugged[0], debugged[1:])
    note_own(call, name)
    if name.partition(".")[0] not in PROJECTS:
        scripts(call, args[1:])
    project_code(call, name, args[1:])
    if SERVING.fullmatch(name) and not shadowed:
        call.shell.emit.opaque("program", as_code(f"python -m {name}"), spec=call.name, span=call.span)
        operands(call, args[1:])
        outputs(call, name, args[1:])
        return SOMETHING
    if name in _WRAPPING_MODULES:
        return _wrapped(call, args[1:])
    for end in (".py", "/__main__.py"):
        file = place(name.replace(".", "/") + end, call.cwd).path
        if file is not None and (call.shell.view.kind(file) == "file" or _made(call, file)):
            return run_script(call, "python", Field(text=file), args[1:])
    return call.opaque("program", resource=as_code(f"python -m {name}"), words=args[1:])


def _debugged(call: Call, args: Sequence[Field]) -> Sequence[Field] | None:
    """The script and its arguments of `python -m pdb -c continue script.py`; None if the debugger may do more."""
    rest = list(args)
    said = (call.stdin.text or "").split("\n") if call.stdin.connected else []
    while len(rest) > 1 and rest[0].text in ("-c", "--command"):
        rest.pop(0)
        said.append(rest.pop(0).text)
    given = not call.stdin.connected or call.stdin.text is not None
    if not given or not rest or rest[0].text[:1] == "-" or not rest[0].known or not all(map(_STEPPING.fullmatch, said)):
        return None
    home = call.shell.expand.lookup("HOME", call.state, {})[0]
    for file in (".pdbrc", f"{home}/.pdbrc"):
        place = call.place(Field(text=file))
        if place.path is None or call.kind(place) is not None or call.shell.emit.changed(place.path):
            return None  # commands as well
    return rest


_STEPPING: Final = lazy(
    r"(?:c|cont|continue|n|next|s|step|r|return|q|quit|exit|w|where|bt|l|list|ll|longlist|u|up|d|down|a|args"
    r"|(?:b|break|tbreak|until|unt)(?: (?:[\w./-]+:)?\w+)?|p \w+|)",
    re.ASCII,
)
"""Commands of the debugger that go on, or show something, and run no code but that of the script."""


def _made(call: Call, path: str) -> bool:
    """This call put something at that very place, or at places of which it may be one."""
    return any(fnmatch.fnmatchcase(path, made) for made in call.shell.emit.made)


def _wrapped(call: Call, args: Sequence[Field]) -> Stream:
    """`python -m cProfile -o out script.py …`: an option with a value is taken for a file that is written."""
    rest = list(args)
    while rest and rest[0].text.startswith("-") and not rest[0].many:
        option = rest.pop(0).text
        if option in ("-m", "-c"):
            return call.opaque("inline", reason="a module that runs another", words=args)
        if option in ("-o", "-f", "-C", "--outfile", "--file", "--coverdir") and rest:
            call.put("write", call.place(rest.pop(0)), ())
        elif option in ("-s", "--sort") and rest:
            rest.pop(0)
    if rest and rest[0].text == "run":
        rest.pop(0)
    if not rest or not rest[0].known or rest[0].text.startswith("-"):
        return call.opaque("program", words=args)
    return run_script(call, "python", rest[0], rest[1:])
