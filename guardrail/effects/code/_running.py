"""A script that an interpreter runs: found, read, and analysed with the arguments that it gets."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from typing import Final

from guardrail.effects.catalogue._spec import specs
from guardrail.effects.code._filters import is_filter, is_given_filter
from guardrail.effects.code._kinds import interpreter_of
from guardrail.effects.code._node import module_file
from guardrail.effects.code._outputs import outputs
from guardrail.effects.code._own_files import named_files
from guardrail.effects.code._plain_calls import NAMED, starts
from guardrail.effects.code._script_filters import is_script_filter
from guardrail.effects.code._scripts import STANDARD_INPUT, is_stream, note_old, script_texts
from guardrail.effects.code._starting import analysed, changed_start, inline, started
from guardrail.effects.code.python._run import run_file, run_own
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import place, spellings
from guardrail.effects.domain._state import OWN_FILE, State
from guardrail.effects.domain._values import NOTHING, SOMETHING, TOP, Field, Stream, Value, merge
from guardrail.model import Resource
from guardrail.patterns import lazy

Run = Callable[[Call, str, Sequence[Field], str], tuple[Stream, bool]]


def run_script(call: Call, kind: str, path: Field, args: Sequence[Field]) -> Stream:
    """An interpreter that runs a script file."""
    path = module_file(call, path) if call.name in _MODULES else path
    resource = call.place(path)
    if not path.known:
        return call.opaque("dynamic", resource=resource, reason="the script is not known")
    if is_stream(resource.path) or (resource.path is not None and call.shell.view.kind(resource.path) == "other"):
        return _from_stream(call, kind, resource, args)
    if kind == "shell":
        texts = script_texts(call, resource)
        if texts:
            call.emit("read", resource, attrs={"reveals": "none"})
            started(call, "".join(option for text in texts for option in _asked(text)))
            return _each_text(call, texts, args, path.text)
    authored = call.shell.authored(resource.path or path.text)
    out = Stream(sources=call.stdin.sources, flow=call.stdin.flow)
    if kind == "python":
        if changed_start(call):
            return inline(call, "what python loads at its start was changed")
        texts = script_texts(call, resource)
        run = run_own if authored else run_file
        found, whole = _each_python(call, run, texts, [path, *args], resource.path or "")
        out = found if texts else out
        if whole:
            call.emit("read", resource, attrs={"reveals": "none"})
            return out
    elif kind == "other" and authored:
        known = _as_argument(call, resource, args)
        if known is not None:
            return known
    if kind == "other":
        starts(call, NAMED.get(call.name, ""))
    call.script(resource, authored=authored)
    operands(call, args)
    _as_command(call, path.text.rpartition("/")[2], args)
    outputs(call, path.text, args)
    return Stream(sources=merge(out.sources, call.stdin.sources), flow=call.stdin.flow)


def _as_command(call: Call, name: str, args: Sequence[Field]) -> None:
    """A script that is known by its name, such as a converter of models."""
    known = name if name in specs() else name.removesuffix(".py")
    if known not in specs() or specs().file_of(known) != "models.toml":
        return
    call.shell.emit.maybe += 1
    call.shell.plain(call.shell.call(known, tuple(args), call.state, call.cwd, call.stdin, call.span))
    call.shell.emit.maybe -= 1


_MODULES: Final = frozenset("node nodejs ts-node tsx bun".split())
"""Interpreters that are given a module, and look for its file."""
_WITH_TEXT: Final = frozenset("node nodejs ts-node tsx ruby perl lua luajit Rscript julia php".split())
"""Interpreters that take the text of a script after `-e` as well; PHP takes it after `-r`."""

_OF_PHP: Final = lazy(r"(?:#![^\n]*\n)?\s*<\?php\s(?:\s*declare\(\s*strict_types\s*=\s*1\s*\)\s*;)?")
"""What stands before the code in a file of PHP."""


def _as_argument(call: Call, resource: Resource, args: Sequence[Field]) -> Stream | None:
    """A script whose text would be understood as an argument of its interpreter; None if it would not."""
    texts = script_texts(call, resource)
    name = call.name.rstrip("0123456789.")
    if name not in _WITH_TEXT or len(texts) != 1 or "NODE_OPTIONS" in call.state.vars:
        return None
    if name in ("ts-node", "tsx") and _is_set_up(call):
        return None
    if name in ("node", "nodejs", "ts-node", "tsx") and resource.path is not None:
        out = is_script_filter(call, resource.path, texts[0], args)
        if out is not None:
            call.emit("read", resource, attrs={"reveals": "none"})
        return out
    text, option = texts[0], "-r" if name == "php" else "-e"
    if name == "php":
        head = _OF_PHP.match(text)
        if head is None or args:
            return None
        text = text[head.end() :]
    words = (Field(text=option, span=call.span), Field(text=text, span=call.span), *args)
    inner = call.shell.call(name, words, call.state, call.cwd, call.stdin, call.span)
    out = is_filter(inner)
    if out is not None:
        call.emit("read", resource, attrs={"reveals": "none"})
    return out


def _is_set_up(call: Call) -> bool:
    """The session wrote settings that may say which files the modules are, or what is loaded first."""
    if not (call.shell.emit.made or call.shell.written_before):
        return False
    own = named_files(call)
    for path in own.chosen(_is_setting) if own is not None else (".swcrc",):
        name = path.rpartition("/")[2]
        texts = script_texts(call, place(path, None)) if name != ".swcrc" else ()
        if not texts or any(_NAMING.search(text) for text in texts):
            return True
    return False


def _is_setting(path: str) -> bool:
    """What says how sources of TypeScript are translated."""
    name = path.rpartition("/")[2]
    return name == ".swcrc" or name.startswith("tsconfig")


_NAMING: Final = lazy(
    r"\\|\"(?:paths|baseUrl|extends|rootDirs|require|plugins|ts-node|transpiler|compiler|swc|references)\""
)
"""What in a `tsconfig.json` may name code or other files, or hide such a word."""


def _each_python(call: Call, run: Run, texts: Sequence[str], argv: Sequence[Field], path: str) -> tuple[Stream, bool]:
    """What each text that the script may have would do, and whether that is all of it."""
    sources: tuple[Resource, ...] = ()
    complete = bool(texts)
    outs: list[Stream] = []
    for index, text in enumerate(texts):
        since = len(call.shell.emit.effects)
        with call.perhaps(index > 0):
            out, whole = run(call, text, argv, path)
        if index:
            note_old(call, path, since)
        outs.append(out)
        complete = complete and whole
        sources = merge(sources, out.sources)
    return (outs[0] if len(outs) == 1 else Stream(sources=sources)), complete


def _each_text(call: Call, texts: Sequence[str], args: Sequence[Field], path: str) -> Stream:
    out = call.shell.run_text(texts[0], _in_file(started_by(call, texts[0], args), path), call.stdin)[2]
    if len(texts) == 1:
        return out
    sources = out.sources
    for text in texts[1:]:
        since = len(call.shell.emit.effects)
        with call.perhaps():
            child = _in_file(started_by(call, text, args), path)
            sources = merge(sources, call.shell.run_text(text, child, call.stdin)[2].sources)
        note_old(call, path, since)
    return Stream(sources=sources)


def _asked(text: str) -> Sequence[str]:
    """The options that a script names in its first line."""
    return _FIRST_OPTION.findall(text.partition("\n")[0]) if text.startswith("#!") else ()


_FIRST_OPTION: Final = lazy(r"\s(-[a-zA-Z]+|--login)")


def _in_file(child: State, path: str) -> State:
    """A shell that runs a file, which it knows the name of."""
    child.vars["0"] = Value(alternatives=(path,))
    child.vars["OPTIND"] = Value(alternatives=("1",))  # where `getopts` begins
    child.vars["BASH_SOURCE"] = Value(alternatives=(path,), items=(("0", path),))
    return child


def _from_stream(call: Call, kind: str, resource: Resource, args: Sequence[Field]) -> Stream:
    """A script that comes from a descriptor: from standard input it is known if that is."""
    name = posixpath.normpath(resource.path or "")
    if kind == "python" and name in STANDARD_INPUT and call.stdin.text is not None:
        code = call.stdin.text
        call.stdin = NOTHING
        return analysed(call, code, [Field(text=resource.path or "-"), *args])
    if kind == "shell" and name in STANDARD_INPUT and call.stdin.text is not None:
        return call.shell.run_text(call.stdin.text, started_by(call, call.stdin.text, args), SOMETHING)[2]
    if call.stdin.text is not None:
        call.mention_text(call.given_text() or "")
    return call.opaque("dynamic", resource=resource, reason="the script comes from a stream")


def operands(call: Call, args: Sequence[Field]) -> None:
    """What a script is handed it may read; so may it what comes in, and the directory it runs in."""
    attrs = {"reader": "script", "reveals": "content"}
    seen: set[str] = set()
    for field in args:
        for source in field.sources:
            call.emit("read", source, attrs=attrs, precision="opaque", may=True, flow=("argument",))
        for text in spellings(field.text):
            if text in seen or text.strip("-") == "":
                continue
            seen.add(text)
            glob = field.glob if text == field.text else text if any(c in text for c in "*?[") else None
            call.emit("read", place(text, call.cwd, glob=glob), attrs=attrs, precision="opaque", may=True)
    for source in call.stdin.sources:
        call.emit("read", source, attrs=attrs, precision="opaque", may=True, flow=call.stdin.flow)
    if call.cwd is not None:
        here = place(".", call.cwd, kind="dir") if TOP in call.cwd else place(call.cwd, "/", kind="dir")
        call.emit("read", here, attrs={**attrs, "cwd": True}, precision="opaque", may=True)


def _child(state: State, args: Sequence[Field] | None, cwd: str | None) -> State:
    """A shell started as a program: which variables and functions it inherits is not known."""
    child = State((cwd,))
    child.vars = {name: Value(sources=value.sources) for name, value in state.vars.items()}
    child.globs, child.held, child.opened = state.globs, state.held, state.opened
    child.functions = {name: (*bodies, None) for name, bodies in state.functions.items()}
    child.path = state.path
    child.vars.update(dict.fromkeys(OWN_FILE, Value(plural=True)))
    if args is not None:
        child.hand(args)
    return child


def started_by(call: Call, text: str, args: Sequence[Field] | None, options: str = "") -> State:
    """The shell that a command starts: one that is not called `bash` may know less, and do as POSIX says."""
    child = _child(call.state, args, call.cwd)
    name = call.name.rpartition("/")[2]
    if interpreter_of(name) != "shell":
        head = text.partition("\n")[0]
        name = "bash" if "bash" in head or not head.startswith("#!") else "sh"
    modes = {"posix"} if name not in ("bash", "rbash") else set[str]()
    if "x" in options:
        modes.add("xtrace")
    child.modes = frozenset(modes)
    return child


def args_tail(text: str, call: Call) -> Field:
    """The value glued to a two-character option."""
    return Field(text=text[2:], span=call.span)


def from_stdin(call: Call, reason: str) -> Stream:
    sources = call.stdin.sources
    if reason.startswith("python") and len(sources) == 1 and call.stdin.flow == ("redirect",):
        place_of = sources[0].path
        if place_of is not None and not call.shell.contents.own(sources):
            return run_script(call, "python", Field(text=place_of), _after_dash(call.args))
    code = call.stdin.text
    if code is not None:
        if reason.startswith("python"):
            call.stdin = NOTHING
            return analysed(call, code, [Field(text="-"), *_after_dash(call.args)])
        known = is_given_filter(call)
        if known is not None:
            return known
        call.mention_text(call.given_text() or "")
        return inline(call, reason)
    return call.opaque("dynamic", reason=reason)


def _after_dash(args: Sequence[Field]) -> Sequence[Field]:
    """What stands after the `-` that means standard input."""
    index = next((i for i, field in enumerate(args) if field.text in ("-", "/dev/stdin")), len(args))
    return args[index + 1 :]
