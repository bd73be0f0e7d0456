"""Programs that run code: shells are entered, other languages are opaque, but for Python that provably only prints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from guardrail.effects._call import Call
from guardrail.effects._emit import as_code
from guardrail.effects._paths import place, spellings
from guardrail.effects._pure import is_pure
from guardrail.effects._values import NOTHING, SOMETHING, TOP, UNKNOWN, Field, State, Stream

_SHELLS: Final = frozenset(("bash", "sh", "dash", "ash", "rbash"))
_PYTHON = re.compile(r"(?:python|pypy)[0-9.]*")
_OTHERS: Final = frozenset(
    "node nodejs perl ruby php lua luajit Rscript R julia deno bun tclsh wish expect osascript pwsh powershell irb "
    "zsh ksh ksh93 mksh fish csh tcsh elvish xonsh nu guile racket sbcl clisp ghci scala groovy kotlin swift ocaml "
    "erl elixir iex gdb lldb ipython ipython3 bpython ts-node tsx".split()
)
_SHELL_FLAGS = re.compile(r"[-+][abefhkmnptuvxBCEHPTilrs]*c?[abefhkmnptuvxBCEHPTilrs]*")
_SHELL_LONGS: Final = frozenset(
    "--norc --noprofile --login --posix --verbose --noediting --restricted --debugger".split()
)
_PYTHON_FLAGS = re.compile(r"-[bBdEhiIOPqsSuvVx]+")


def interpreter_of(name: str) -> str | None:
    """The kind of code a program runs: `shell`, `python`, `other`, or None."""
    if name in _SHELLS:
        return "shell"
    if _PYTHON.fullmatch(name):
        return "python"
    return "other" if name in _OTHERS or re.fullmatch(r"(?:perl|ruby|lua|php|node)[0-9.]+", name) else None


def run_interpreter(call: Call, kind: str) -> Stream:
    """An interpreter with its arguments."""
    if kind == "shell":
        return _shell(call)
    if kind == "python":
        return _python(call)
    return _other(call)


def run_script(call: Call, kind: str, path: Field, args: Sequence[Field]) -> Stream:
    """An interpreter that runs a script file."""
    resource = call.place(path)
    if not path.known:
        return call.opaque("dynamic", resource=resource, reason="the script is not known")
    authored = call.shell.emit.changed(resource.path or path.text)
    if kind == "shell" and not authored and resource.path is not None:
        data = call.shell.view.read(resource.path, call.shell.limits.script_bytes)
        if data is not None and b"\0" not in data:
            state = _child(call.state, args, call.cwd)
            return call.shell.run_text(data.decode("utf-8", "surrogateescape"), state, call.stdin)[2]
    attrs = {"authored": True} if authored else None
    call.shell.emit.opaque("script", resource, spec=call.name, span=call.span, attrs=attrs)
    _operands(call, args)
    return Stream(sources=call.stdin.sources, flow=call.stdin.flow)


def _operands(call: Call, args: Sequence[Field]) -> None:
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
    child.vars = dict.fromkeys(state.vars, UNKNOWN)
    child.functions = {name: (*bodies, None) for name, bodies in state.functions.items()}
    child.path = state.path
    if args is not None and all(field.known for field in args):
        child.args = tuple(field.text for field in args)
    return child


# -- shells


def _shell(call: Call) -> Stream:
    args = list(call.args)
    command = False
    while args:
        text = args[0].text
        if args[0].many or text[:1] not in "-+" or text in ("-", ""):
            break
        args.pop(0)
        if text == "--":
            break
        if text in ("--version", "--help"):
            return NOTHING
        if text in _SHELL_LONGS:
            continue
        if text in ("-o", "+o", "-O", "+O", "-eo", "-euo", "-ueo", "-xeo", "-exo") and args:
            args.pop(0)
        elif _SHELL_FLAGS.fullmatch(text):
            command = command or "c" in text
        else:
            return call.opaque("dynamic", reason="option of the shell is not known")
    if command:
        if not args or not args[0].known:
            return call.opaque("dynamic", reason="the text given to the shell is not known", words=call.args)
        state = _child(call.state, args[2:], call.cwd)
        return call.shell.run_text(args[0].text, state, call.stdin)[2]
    if args and args[0].text not in ("-", "/dev/stdin"):
        return run_script(call, "shell", args[0], args[1:])
    if call.stdin.text is not None:
        return call.shell.run_text(call.stdin.text, _child(call.state, None, call.cwd), SOMETHING)[2]
    return call.opaque("dynamic", reason="the shell takes its commands from its input")


# -- Python


def _python(call: Call) -> Stream:
    args = list(call.args)
    while args:
        text = args[0].text
        if args[0].many or not text.startswith("-") or text == "-":
            break
        args.pop(0)
        if text in ("--version", "-V", "-VV", "--help", "-h"):
            return NOTHING
        if text in ("-W", "-X") and args:
            args.pop(0)
        elif text == "-c" or (text.startswith("-") and _PYTHON_FLAGS.fullmatch(text[:-1] or "-B") and text[-1] == "c"):
            return _python_code(call, args)
        elif text.startswith("-c"):
            return _python_code(call, [args_tail(text, call), *args])
        elif text == "-m" or (_PYTHON_FLAGS.fullmatch(text[:-1] or "-B") and text[-1] == "m"):
            return _python_module(call, args)
        elif text.startswith("-m"):
            return _python_module(call, [args_tail(text, call), *args])
        elif not _PYTHON_FLAGS.fullmatch(text) and not text.startswith(("-W", "-X")):
            return inline(call, "option of python is not known")
    if args and args[0].text not in ("-", "/dev/stdin"):
        return run_script(call, "python", args[0], args[1:])
    return _from_stdin(call, "python takes its code from its input")


def args_tail(text: str, call: Call) -> Field:
    """The value glued to a two-character option."""
    return Field(text=text[2:], span=call.span)


def _python_code(call: Call, args: Sequence[Field]) -> Stream:
    if not args or not args[0].known:
        return call.opaque("dynamic", reason="the code given to python is not known")
    code = args[0].text
    changed = bool(call.shell.emit.made) or any(name.startswith("PYTHON") for name in call.state.vars)
    if not changed and is_pure(code, cwd=call.cwd, view=call.shell.view):
        call.emit("exec", as_code("python"))
        return Stream(sources=call.stdin.sources, flow=call.stdin.flow)
    return inline(call, "python code")


def _python_module(call: Call, args: Sequence[Field]) -> Stream:
    if not args or not args[0].known:
        return call.opaque("dynamic", reason="the module given to python is not known")
    name = args[0].text
    file = place(name.replace(".", "/") + ".py", call.cwd).path
    if file is not None and (call.shell.view.kind(file) == "file" or call.shell.emit.changed(file)):
        return run_script(call, "python", Field(text=file), args[1:])
    return call.opaque("program", resource=as_code(f"python -m {name}"), words=args[1:])


# -- the others


def _other(call: Call) -> Stream:
    args = call.args
    if args and all(field.text in ("--version", "-v", "-V", "--help", "-h") for field in args):
        return NOTHING
    if not args:
        return _from_stdin(call, f"{call.name} takes its code from its input")
    first = args[0]
    if first.known and not first.text.startswith(("-", "+")) and call.name not in ("deno", "bun", "gdb", "lldb", "R"):
        return run_script(call, "other", first, args[1:])
    return inline(call, f"{call.name} code")


def _from_stdin(call: Call, reason: str) -> Stream:
    if call.stdin.text is not None:
        call.mention_text(call.stdin.text)
        return inline(call, reason)
    return call.opaque("dynamic", reason=reason)


def inline(call: Call, reason: str) -> Stream:
    """Code in an argument that is not looked into: say so, and mention every path in its text."""
    out = call.opaque("inline", reason=reason)
    for field in call.args:
        call.mention_text(field.text)
    return out
