"""Programs that run code: shells are entered, other languages are opaque, but for Python that provably only prints."""

from __future__ import annotations

import fnmatch
import functools
import itertools
import posixpath
import re
from collections.abc import Callable, Sequence
from typing import Final

from guardrail.effects.catalogue._spec import specs
from guardrail.effects.code._dialogues import dialogue
from guardrail.effects.code._drivers import note_own
from guardrail.effects.code._filters import is_filter, is_given_filter, is_script_filter
from guardrail.effects.code._modules import SERVING, module_of
from guardrail.effects.code._node import module_file
from guardrail.effects.code._one_liners import one_liner
from guardrail.effects.code._outputs import outputs
from guardrail.effects.code._projects import LOADERS, TESTERS, note_shadows, note_start, project_code
from guardrail.effects.code._scripts import STANDARD_INPUT, is_stream, script_texts, written_files
from guardrail.effects.code._sessions import told
from guardrail.effects.code.python._run import run_code, run_file, run_own
from guardrail.effects.domain._call import MAX_SPELLINGS, Call
from guardrail.effects.domain._emit import as_code
from guardrail.effects.domain._environment import note_start_file
from guardrail.effects.domain._paths import place, spellings
from guardrail.effects.domain._values import (
    NOTHING,
    OWN_FILE,
    SOMETHING,
    TOP,
    Field,
    State,
    Stream,
    Value,
    is_shell_text,
    merge,
)
from guardrail.model import Resource

Run = Callable[[Call, str, Sequence[Field], str], tuple[Stream, bool]]

_SHELLS: Final = frozenset(("bash", "sh", "dash", "ash", "rbash"))
_PYTHONS: Final = frozenset(("python", "pypy"))
_PYTHON = re.compile(r"(?:python|pypy)[0-9.]*")
_OTHERS: Final = frozenset(
    "node nodejs perl ruby php lua luajit Rscript R julia deno bun tclsh wish expect osascript pwsh powershell irb "
    "zsh ksh ksh93 mksh fish csh tcsh elvish xonsh nu guile racket sbcl clisp ghci scala groovy kotlin swift ocaml "
    "erl elixir iex gdb lldb ipython ipython3 bpython ts-node tsx".split()
)
_SHELL_FLAGS = re.compile(r"[-+][abefhkmnptuvxBCEHPTilrs]*c?[abefhkmnptuvxBCEHPTilrs]*")
_SHELL_NAMED = re.compile(r"[-+](?:[euxvahbmnpBCEHPT]*o|O)")
_PLAIN_OPTIONS: Final = frozenset("errexit nounset xtrace pipefail verbose allexport errtrace functrace posix".split())
_SHELL_LONGS: Final = frozenset(
    "--norc --noprofile --login --posix --verbose --noediting --restricted --debugger".split()
)
_PYTHON_INTERACTIVE = re.compile(r"-[bBdEhIOPqsSuvx]*i[a-zA-Z]*")
_CODE_MODULES: Final = frozenset("code asyncio IPython idlelib pdb xonsh ptpython bpython".split())
_WRAPPING_MODULES: Final = frozenset("cProfile profile trace runpy coverage kernprof scalene memory_profiler".split())
_RUNNERS: Final = frozenset(
    "pytest py.test coverage torchrun accelerate deepspeed uv poetry pipenv pdm hatch rye conda mamba micromamba "
    "mpirun mpiexec srun sbatch qsub nodemon streamlit papermill kernprof py-spy memray scalene nox tox".split()
)
_ELSEWHERE: Final = frozenset("docker podman nerdctl kubectl oc lxc crictl".split())
_ENVIRONMENTS: Final = frozenset("uv poetry pipenv pdm hatch rye conda mamba micromamba tox nox".split())
_PROJECTS: Final = TESTERS | LOADERS
_CODE_OPTION = re.compile(r"-[a-zA-Z]*[ce]|--eval|--command|-r|-s|-")
_SCRIPT = re.compile(r"\.(?:py|sh|bash|js|mjs|cjs|ts|rb|pl|lua|R|jl|php)$")
MAX_NAMES: Final = 1024
"""Most names of commands of which it is kept whether they are interpreters."""

_SHORT_VERSION = re.compile(r"(?:perl|ruby|php|node|nodejs|lua|luajit|julia|deno|bun)[0-9.]*")
_OTHER_VERSION = re.compile(r"(?:perl|ruby|lua|php|node)[0-9.]+")
_HARMLESS_PYTHON = re.compile(
    r"PYTHON(?:UNBUFFERED|DONTWRITEBYTECODE|HASHSEED|IOENCODING|UTF8|WARNINGS|FAULTHANDLER|PATH|OPTIMIZE|NOUSERSITE"
    r"|ASYNCIODEBUG|TRACEMALLOC|DEVMODE|MALLOC|MALLOCSTATS|PROFILEIMPORTTIME|NODEBUGRANGES|COERCECLOCALE|SAFEPATH"
    r"|INTMAXSTRDIGITS|VERBOSE|_(?!PRESITE)[A-Z0-9_]*)?"
)
_CODE = re.compile(r"[(){};\s$]")
_PYTHON_FLAGS = re.compile(r"-[bBdEhiIOPqsSuvVx]+")


@functools.lru_cache(maxsize=MAX_NAMES)
def interpreter_of(name: str) -> str | None:
    """The kind of code a program runs: `shell`, `python`, `other`, or None."""
    if name in _SHELLS:
        return "shell"
    if name in _OTHERS:
        return "other"
    versioned = name[-1:].isdigit() or name[-1:] == "."
    if name in _PYTHONS or (versioned and _PYTHON.fullmatch(name)):
        return "python"
    return "other" if versioned and _OTHER_VERSION.fullmatch(name) else None


def run_interpreter(call: Call, kind: str) -> Stream:
    """An interpreter with its arguments."""
    if kind == "shell":
        return _parsed_only(call) or _shell(call)
    if kind == "python":
        return _python(call)
    return _other(call)


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
            _started(call, "".join(option for text in texts for option in _asked(text)))
            return _each_text(call, texts, args, path.text)
    authored = call.shell.authored(resource.path or path.text)
    out = Stream(sources=call.stdin.sources, flow=call.stdin.flow)
    if kind == "python":
        if _changed_start(call):
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
    call.script(resource, authored=authored)
    _operands(call, args)
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

_WITH_TEXT: Final = frozenset("node nodejs ruby perl lua luajit Rscript julia".split())
"""Interpreters that take the text of a script after `-e` as well."""


def _as_argument(call: Call, resource: Resource, args: Sequence[Field]) -> Stream | None:
    """A script whose text would be understood as an argument of its interpreter; None if it would not."""
    texts = script_texts(call, resource)
    name = call.name.rstrip("0123456789.")
    if name not in _WITH_TEXT or len(texts) != 1 or "NODE_OPTIONS" in call.state.vars:
        return None
    if name in ("node", "nodejs") and resource.path is not None:
        out = is_script_filter(call, resource.path, texts[0], args)
        if out is not None:
            call.emit("read", resource, attrs={"reveals": "none"})
        return out
    words = (Field(text="-e", span=call.span), Field(text=texts[0], span=call.span), *args)
    inner = call.shell.call(name, words, call.state, call.cwd, call.stdin, call.span)
    out = is_filter(inner)
    if out is not None:
        call.emit("read", resource, attrs={"reveals": "none"})
    return out


def _each_python(call: Call, run: Run, texts: Sequence[str], argv: Sequence[Field], path: str) -> tuple[Stream, bool]:
    """What each text that the script may have would do, and whether that is all of it."""
    sources: tuple[Resource, ...] = ()
    complete = bool(texts)
    outs: list[Stream] = []
    for index, text in enumerate(texts):
        with call.perhaps(index > 0):
            out, whole = run(call, text, argv, path)
        outs.append(out)
        complete = complete and whole
        sources = merge(sources, out.sources)
    return (outs[0] if len(outs) == 1 else Stream(sources=sources)), complete


def _each_text(call: Call, texts: Sequence[str], args: Sequence[Field], path: str) -> Stream:
    out = call.shell.run_text(texts[0], _in_file(_started_by(call, texts[0], args), path), call.stdin)[2]
    if len(texts) == 1:
        return out
    sources = out.sources
    for text in texts[1:]:
        with call.perhaps():
            child = _in_file(_started_by(call, text, args), path)
            sources = merge(sources, call.shell.run_text(text, child, call.stdin)[2].sources)
    return Stream(sources=sources)


def _asked(text: str) -> Sequence[str]:
    """The options that a script names in its first line."""
    return _FIRST_OPTION.findall(text.partition("\n")[0]) if text.startswith("#!") else ()


_FIRST_OPTION: Final = re.compile(r"\s(-[a-zA-Z]+|--login)")


def _in_file(child: State, path: str) -> State:
    """A shell that runs a file, which it knows the name of."""
    child.vars["0"] = Value(alternatives=(path,))
    child.vars["BASH_SOURCE"] = Value(alternatives=(path,), items=(("0", path),))
    return child


def _from_stream(call: Call, kind: str, resource: Resource, args: Sequence[Field]) -> Stream:
    """A script that comes from a descriptor: from standard input it is known if that is."""
    name = posixpath.normpath(resource.path or "")
    if kind == "python" and name in STANDARD_INPUT and call.stdin.text is not None:
        code = call.stdin.text
        call.stdin = NOTHING
        return _analysed(call, code, [Field(text=resource.path or "-"), *args])
    if kind == "shell" and name in STANDARD_INPUT and call.stdin.text is not None:
        return call.shell.run_text(call.stdin.text, _started_by(call, call.stdin.text, args), SOMETHING)[2]
    if call.stdin.text is not None:
        call.mention_text(call.given_text() or "")
    return call.opaque("dynamic", resource=resource, reason="the script comes from a stream")


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
    child.vars = {name: Value(sources=value.sources) for name, value in state.vars.items()}
    child.globs, child.held, child.opened = state.globs, state.held, state.opened
    child.functions = {name: (*bodies, None) for name, bodies in state.functions.items()}
    child.path = state.path
    child.vars.update(dict.fromkeys(OWN_FILE, Value(plural=True)))
    if args is not None:
        child.hand(args)
    return child


def _started_by(call: Call, text: str, args: Sequence[Field] | None, options: str = "") -> State:
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


# -- shells


def _parsed_only(call: Call) -> Stream | None:
    """`bash -n FILE` looks whether the script parses, and runs nothing; None for anything else."""
    args = call.args
    if len(args) != 2 or args[0].text != "-n" or args[1].many or args[1].text[:1] in ("-", "+", TOP, ""):
        return None
    call.read(args[1], reveals="some")
    return SOMETHING


def _with_option(state: State, option: str) -> State:
    if option in _PLAIN_OPTIONS:
        return state
    changed = state.copy()
    changed.globs = False
    return changed


def _started(call: Call, options: str) -> None:
    """The files that an interactive shell, or one of a login, runs first."""
    for letter in "il":
        if letter in options:
            note_own(call, f"bash -{letter}")
    if "i" in options:
        note_start_file(call)


def _shell(call: Call) -> Stream:
    args = list(call.args)
    command = reads_input = False
    options = ""
    state = call.state
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
            _started(call, "-l" if text == "--login" else "")
            continue
        if _SHELL_NAMED.fullmatch(text) and args:
            named = args.pop(0).text
            _started(call, "i" if named == "interactive" else "")  # as dash calls it
            state = _with_option(state, named)
        elif _SHELL_FLAGS.fullmatch(text):
            call.shell.errexit = call.shell.errexit or "e" in text
            options += text
            command = command or "c" in text
            reads_input = reads_input or "s" in text
            _started(call, text)
        else:
            return call.opaque("dynamic", reason="option of the shell is not known")
    if command:
        given = args[0] if args else Field(text=TOP)
        if not given.known and (given.glob is not None or given.many or not is_shell_text(given.text)):
            return call.opaque("dynamic", reason="the text given to the shell is not known", words=call.args)
        inner = _started_by(call, "", args[2:], options)
        inner.globs = state.globs
        return call.shell.run_text(args[0].text, inner, call.stdin)[2]
    if args and not reads_input and args[0].text not in ("-", "/dev/stdin"):
        return run_script(call, "shell", args[0], args[1:])
    if call.stdin.text is not None:
        inner = _started_by(call, "", args, options)
        inner.globs = state.globs
        return call.shell.run_text(call.stdin.text, inner, SOMETHING)[2]
    return call.opaque("dynamic", reason="the shell takes its commands from its input")


# -- Python


def _python(call: Call) -> Stream:
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
        folder = args[0].known and call.kind(call.place(args[0])) == "dir"
        script = Field(text=f"{args[0].text.rstrip('/')}/__main__.py", span=args[0].span) if folder else args[0]
        return run_script(call, "python", script, args[1:])
    return _from_stdin(call, "python takes its code from its input")


def args_tail(text: str, call: Call) -> Field:
    """The value glued to a two-character option."""
    return Field(text=text[2:], span=call.span)


def _python_code(call: Call, args: Sequence[Field]) -> Stream:
    if not args or not args[0].known:
        return call.opaque("dynamic", reason="the code given to python is not known")
    return _analysed(call, args[0].text, [Field(text="-c"), *args[1:]])


def _changed_start(call: Call) -> bool:
    """What Python loads at its start may be another thing."""
    return any(name.startswith("PYTHON") and not _HARMLESS_PYTHON.fullmatch(name) for name in call.state.vars)


def _analysed(call: Call, code: str, argv: Sequence[Field]) -> Stream:
    if _changed_start(call):
        return inline(call, "what python loads at its start was changed")
    return run_code(call, code, argv)


def _scripts(call: Call, words: Sequence[Field]) -> None:
    """Scripts that are handed to a program that runs them: whether the session wrote one is for the history to say."""
    for index, field in enumerate(words):
        resource = call.place(field)
        if field.text.endswith(".py") and resource.path is not None and call.shell.authored(resource.path):
            with call.perhaps():
                run_script(call, "python", field, words[index + 1 :])
        elif field.known and _SCRIPT.search(field.text) and resource.path is not None:
            authored = call.shell.emit.wrote(resource.path)
            if authored or call.shell.view.kind(resource.path) == "file":
                call.script(resource, authored=authored)


def run_nested(call: Call) -> None:
    """A program that is not known, with an interpreter and code or a script among its words: `uv run python -c …`."""
    head = call.name.partition(" ")[0]
    if head in _PROJECTS:
        project_code(call, head, call.args)
    elif head in _RUNNERS:
        _scripts(call, call.args)
    if call.name in _ELSEWHERE:
        return
    for index, field in enumerate(call.args):
        if (head in _ENVIRONMENTS and field.text in _PROJECTS) or _runs_code(call.args[index : index + 2]):
            with call.perhaps():
                call.shell.again(call, call.args[index:], external=True)
            return


def _runs_code(words: Sequence[Field]) -> bool:
    """An interpreter, and code or a script for it."""
    if len(words) < 2 or not words[0].known or interpreter_of(words[0].text.rpartition("/")[2]) is None:
        return False
    text = words[1].text
    return _CODE_OPTION.fullmatch(text) is not None or _SCRIPT.search(text) is not None


def _python_module(call: Call, args: Sequence[Field]) -> Stream:
    if not args or not args[0].known:
        return call.opaque("dynamic", reason="the module given to python is not known")
    name = args[0].text
    debugged = _debugged(call, args[1:]) if name == "pdb" else None
    if name.partition(".")[0] in _CODE_MODULES and debugged is None:
        return inline(call, f"python -m {name[:40]} runs code")
    if _changed_start(call):
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
    if name.partition(".")[0] not in _PROJECTS:
        _scripts(call, args[1:])
    project_code(call, name, args[1:])
    if SERVING.fullmatch(name) and not shadowed:
        call.shell.emit.opaque("program", as_code(f"python -m {name}"), spec=call.name, span=call.span)
        _operands(call, args[1:])
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


_STEPPING: Final = re.compile(
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


# -- the others


def _other(call: Call) -> Stream:
    args = call.args
    plain: tuple[str, ...] = ("--version", "--help")
    if _SHORT_VERSION.fullmatch(call.name):
        plain = ("--version", "--help", "-v", "-V", "-h")  # of shells, `-v` is another thing
    if args and all(field.text in plain for field in args):
        return NOTHING
    spoken = dialogue(call) if call.name == "expect" else None
    if spoken is not None:
        return spoken
    if not args:
        return _from_stdin(call, f"{call.name} takes its code from its input")
    asked = _ipython(call) if call.name in ("ipython", "ipython3") else told(call)
    if asked is not None:
        return asked
    if call.name in ("node", "nodejs"):
        count = next((at for at, field in enumerate(args[:-1]) if field.text not in _NODE_PLAIN), len(args) - 1)
        args = call.args = args[count:]
    first = args[0]
    if first.known and not first.text.startswith(("-", "+")) and call.name not in ("deno", "bun", "gdb", "lldb", "R"):
        return run_script(call, "other", first, args[1:])
    known = _project_tool(call)
    known = one_liner(call) if known is None else known
    known = is_filter(call) if known is None else known
    known = is_given_filter(call) if known is None and first.text == "-" else known
    return known if known is not None else inline(call, f"{call.name} code")


_NODE_PLAIN: Final = frozenset(
    "--trace-warnings --no-warnings --trace-deprecation --no-deprecation --trace-uncaught --enable-source-maps "
    "--unhandled-rejections=strict --throw-deprecation".split()
)
"""Options of Node that say what is told of errors, and nothing of what runs."""

_MAGIC: Final = frozenset(
    "cat cd cp ldir less lf lk ll ls lx man mkdir more mv rm rmdir run edit ed load loadpy sx sc system bash sh script "
    "writefile save store macro alias unalias env set_env bookmark pushd popd reset rerun recall notebook logstart "
    "pip conda mamba micromamba uv pdb debug prun time timeit exec".split()
)
"""Words that IPython may take for commands of its own where Python would take them for names."""

_ESCAPED: Final = re.compile(r"\?\s*$|=\s*[!%]", re.MULTILINE)
"""What only IPython understands, at the end of a line or after a name."""

_PYTHON_LINE: Final = re.compile(
    r"\s*(?:#.*|(?:import|from|for|while|if|elif|with|def|class|return|assert|raise|del|async|lambda|not|await)\b.*"
    r"|(?:else|try|finally|pass|break|continue)\b.*|except\b.*|@\w.*|(?P<name>[A-Za-z_]\w*)(?:[.(\[]|\s*[-+*/|&]?=(?!\s*[!%])).*"
    r"|[)\]}\"'\d].*|)"
)
"""A line that IPython gives to Python as it stands."""


def _ipython(call: Call) -> Stream | None:
    """`ipython -c CODE` of nothing but Python; None for anything else."""
    args = call.args
    if (
        len(args) != 2
        or args[0].text != "-c"
        or not args[1].known
        or re.search(r"\?\s*$|=\s*[!%]", args[1].text, re.MULTILINE)
    ):
        return None
    for line in args[1].text.split("\n"):
        match = _PYTHON_LINE.fullmatch(line)
        if match is None or match["name"] in _MAGIC:
            return None
    return _analysed(call, args[1].text, [Field(text="-c")])


_TOOLS: Final = {
    "bun": frozenset("install i add remove rm run test build update outdated pm link init create upgrade x".split()),
    "deno": frozenset("fmt lint test check cache task info types doc bench add remove install outdated".split()),
}
"""What package managers and builders do that is no code of the command line."""

_LOOKS: Final = {
    "node": ("--check", "-c"),
    "nodejs": ("--check", "-c"),
    "php": ("-l", "--syntax-check"),
    "ruby": ("-c", "-wc"),
}
"""Options with which a file is only parsed."""


def _project_tool(call: Call) -> Stream | None:
    """An interpreter that is asked to install, to build, to test, or to look at a file; None for anything else."""
    args = call.args
    if args[0].text == "--test" and call.name in ("node", "nodejs"):
        return _node_tests(call)
    if not all(field.known for field in args) and call.name not in _TOOLS:
        return None
    words = [field.text for field in args]
    if call.name in _TOOLS and words[0] in _TOOLS[call.name] and args[0].known:
        out = call.opaque("program")
        _scripts(call, args[1:])
        return out
    if len(words) == 2 and words[0] in _LOOKS.get(call.name, ()) and words[1][:1] not in ("-", ""):
        return Stream(sources=call.read(args[1], reveals="some"))
    return None


_NODE_TEST: Final = re.compile(r"(?:.*/test/.*|.*/(?:test|test-[^/]*|[^/]*[._-]test))\.(?:[cm]?[jt]s)")
"""Files that `node --test` runs without being told."""


def _node_tests(call: Call) -> Stream | None:
    """`node --test [FILE…]`: the tests of the project, and of them those that the session wrote, as scripts."""
    args = call.args[1:]
    if any(field.many or (field.glob is None and not field.known) for field in args):
        return None
    files = [field for field in args if field.text[:1] != "-"]
    patterns = [call.place(field) for field in files]
    written = list(written_files(call, "") or ())
    for path in written:
        # Of a directory the files are run, and not what it means as a module.
        if any(other.startswith(f"{path}/") for other in written) and call.shell.view.kind(path) in (None, "dir"):
            continue
        if any(_is_meant(call, place, path) for place in patterns) or (not files and _NODE_TEST.fullmatch(path)):
            with call.perhaps():
                run_script(call, "other", Field(text=path, span=call.span), ())
    # Last, as by then nothing is known of the files any more.
    return call.opaque("program", reason="the tests of the project")


def _is_meant(call: Call, place: Resource, path: str) -> bool:
    """A file is the one that is named, fits the pattern, or lies in the directory."""
    if place.path is None:
        return fnmatch.fnmatchcase(path, place.pattern or "*")
    there = {posixpath.normpath(place.path), call.shell.view.identity(place.path)}
    return path in there or call.shell.view.identity(path) in there or any(path.startswith(f"{one}/") for one in there)


def _from_stdin(call: Call, reason: str) -> Stream:
    sources = call.stdin.sources
    if reason.startswith("python") and len(sources) == 1 and call.stdin.flow == ("redirect",):
        place_of = sources[0].path
        if place_of is not None and not call.shell.contents.own(sources):
            return run_script(call, "python", Field(text=place_of), _after_dash(call.args))
    code = call.stdin.text
    if code is not None:
        if reason.startswith("python"):
            call.stdin = NOTHING
            return _analysed(call, code, [Field(text="-"), *_after_dash(call.args)])
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


def inline(call: Call, reason: str) -> Stream:
    """Code in an argument that is not looked into: say so, and mention every path in its text."""
    code = [field for field in call.args if _CODE.search(field.text)]
    out = call.opaque("inline", reason=reason, words=[field for field in call.args if field not in code])
    call.mention(Field(text="", sources=field.sources) for field in code)
    for field in code:
        for text in itertools.islice(spellings(field.text), MAX_SPELLINGS):
            if text.strip("/ \t\n"):  # a slash alone divides, or begins a pattern
                call.name_text(text)
    for field in call.args:
        call.mention_text(field.text)
    return out
