"""Programs that Python starts: their words and shell texts go back to the shell's own analysis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Final

from guardrail.effects.code.python._carried import carried
from guardrail.effects.code.python._concrete import printed
from guardrail.effects.code.python._core import single
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._system import argument_of, set_environment
from guardrail.effects.code.python._values import (
    DEEP,
    NAME,
    NONE,
    Args,
    Const,
    Dict,
    Either,
    Handle,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    anything,
    as_field,
    is_exact,
    options,
    path_texts,
    text,
)
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import NUM, TOP, Field, Stream, merge
from guardrail.effects.domain._values import Value as Variable
from guardrail.model import Resource

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine

MAX_VECTORS: Final = 16
"""Most argument vectors that one call may stand for."""


class Start:
    """How a program is started.

    Args:
        machine: who starts it.
        args: keyword arguments as `subprocess` takes them.
    """

    def __init__(self, machine: Machine, args: Args) -> None:
        self.machine = machine
        named = args.named
        self.shell = _is_true(named.get("shell"))
        self.captured = _is_true(named.get("capture_output")) is True
        self.out = named.get("stdout") or args.get(4)
        self.err = named.get("stderr") or args.get(5)
        self.given = named.get("input")
        self.stdin = named.get("stdin") or args.get(3)
        self.cwd = named.get("cwd")
        self.env = named.get("env")
        self.state = _state(machine, self.env)
        if named.get("executable") is not None:
            machine.opaque("a program under another name", "inline", named["executable"])
        if machine.tops != ("",):
            machine.opaque("a program below another root", "inline", Text(machine.tops))
        if named.get("preexec_fn") is not None:
            machine.escape(named["preexec_fn"])

    @property
    def cwds(self) -> tuple[str | None, ...]:
        """Where it may run."""
        if self.cwd is None or (isinstance(self.cwd, Const) and self.cwd.value is None):
            return self.machine.cwds
        return tuple(place.path for place in self.machine.places(self.cwd, kind="dir")) or (None,)

    def input(self) -> Stream:
        """What it can read."""
        machine = self.machine
        if self.given is not None:
            exact = single(self.given)
            if isinstance(self.given, Const) and isinstance(self.given.value, bytes):
                exact = self.given.value.decode("utf-8", "replace")
            machine.account(self.given)
            return Stream(text=exact, sources=carried(self.given), flow=("input",), connected=True)
        if isinstance(self.stdin, Handle):
            return Stream(sources=machine.contents_of(self.stdin), flow=("input",), connected=True)
        if isinstance(self.stdin, Thing):
            return Stream(sources=carried(self.stdin), connected=True)
        if isinstance(self.stdin, Const) and self.stdin.value == -1:
            return Stream(connected=True)
        return machine.call.stdin

    def finish(self, out: Stream) -> Stream:
        """Where its output goes."""
        machine = self.machine
        exact = out.text
        for target in (self.out, self.err):
            for option in options(target) if target is not None else ():
                if isinstance(option, Handle):
                    machine.sink(option, out.sources, exact if target is self.out else None)
        elsewhere = isinstance(self.out, Handle) or (isinstance(self.out, Const) and self.out.value in (-1, -3))
        if not elsewhere and not (self.out is None and self.captured):
            machine.write_out(out.sources, exact)
        return out


def _is_true(value: Value | None) -> bool | None:
    """None if it is not known."""
    if value is None:
        return False
    return bool(value.value) if isinstance(value, Const) else None


def _state(machine: Machine, env: Value | None) -> State:
    """The environment of a program that is started: what it inherits is not known."""
    saved = machine.state
    if isinstance(env, Dict):
        machine.state = saved.copy()
        for name, value in env.items.items():
            set_environment(machine, name if isinstance(name, str) else None, value)
    elif env is not None and not (isinstance(env, Const) and env.value is None):
        machine.account(env)
    state = machine.state.copy()
    machine.state = saved
    state.functions = {}
    return state


def vectors(machine: Machine, value: Value) -> Iterator[tuple[Field, ...]] | None:
    """The argument vectors that a list may stand for; None if they are not known."""
    if not isinstance(value, Seq) or value.scrambled or not value.items:
        return None
    columns: list[list[Field]] = []
    size = 1
    for item in value.items:
        fields = list(_fields(item))
        size *= len(fields)
        columns.append(fields)
    if value.rest is not None:
        columns.append([Field(text=TOP, many=True, sources=carried(value.rest))])
    if size > MAX_VECTORS:
        return None
    for item in value.items:
        machine.account(item)
    return product(*columns)


def _fields(item: Value) -> Iterator[Field]:
    for option in options(item):
        texts = path_texts(option) if isinstance(option, Text | Const | Handle) else (TOP,)
        if isinstance(option, Const) and not isinstance(option.value, bytes):
            texts = printed(option)
        for word in texts:
            yield as_field(word, carried(option))


def run_vector(machine: Machine, value: Value, start: Start) -> Stream:
    """A program with its arguments."""
    if isinstance(value, Either):
        with machine.undecided():
            each = [run_vector(machine, option, start) for option in value.options]
        return Stream(sources=_all_sources(each))
    if isinstance(value, Text):
        value = Seq([value])
    found = vectors(machine, value)
    if found is None:
        machine.opaque("a program whose words are not known", "dynamic", value)
        return Stream(sources=carried(value))
    outs: list[Stream] = []
    for vector in found:
        if isinstance(value, Seq) and value.rest is not None:
            machine.mention(value)
        outs.extend(_again(machine, vector, start))
    return outs[0] if len(outs) == 1 else Stream(sources=_all_sources(outs))


def _all_sources(outs: Sequence[Stream]) -> tuple[Resource, ...]:
    found: tuple[Resource, ...] = ()
    for out in outs:
        found = merge(found, out.sources)
    return found


def _again(machine: Machine, vector: tuple[Field, ...], start: Start) -> list[Stream]:
    call = machine.call
    outs: list[Stream] = []
    saved = call.state, call.cwd
    for cwd in start.cwds:
        plain = cwd.replace(NAME, TOP).replace(DEEP, TOP) if cwd is not None and cwd != TOP else None
        call.state = start.state
        try:
            outs.append(call.shell.again(call, vector, external=True, cwd=plain, stdin=start.input()))
        finally:
            call.state, call.cwd = saved
    return outs


def run_shell(machine: Machine, value: Value, start: Start) -> Stream:
    """A shell text; digits that are not known become a variable, anything else ends the analysis."""
    machine.account(value)
    choices = [
        word for option in options(value) for word in (path_texts(option) if not isinstance(option, Seq) else ())
    ]
    if isinstance(value, Seq) and value.items:
        choices = list(path_texts(value.items[0]))
    if not choices:
        machine.opaque("a shell text that is not known", "dynamic", value)
    outs = [_shell_text(machine, word, value, start) for word in choices]
    return outs[0] if len(outs) == 1 else Stream(sources=_all_sources(outs))


def _shell_text(machine: Machine, word: str, value: Value, start: Start) -> Stream:
    call = machine.call
    state = start.state.copy()
    state.cwds = tuple(cwd.replace(NAME, TOP) if cwd is not None and cwd != TOP else None for cwd in start.cwds)
    state.vars = {name: Variable(sources=item.sources) for name, item in state.vars.items()}
    if NUM in word and TOP not in word and NAME not in word and DEEP not in word:
        state.vars["__number"] = Variable(alternatives=(NUM,))
        word = word.replace(NUM, "${__number}")
    if not is_exact(word) or carried(value):
        machine.opaque("a shell text that is not known", "dynamic", value)
        return Stream(sources=carried(value))
    return call.shell.run_text(word, state, start.input())[2]


def _result(out: Stream) -> Value:
    if out.text is not None:
        return text(out.text, out.sources)
    return anything(out.sources)


def _run(machine: Machine, args: Args) -> tuple[Stream, Start]:
    value = argument_of(args, 0, "args")
    if args.vague is not None and not args.pos:
        machine.opaque("a program whose words are not known", "dynamic", *args.all())
    start = Start(machine, args)
    known = {"args", "shell", "capture_output", "stdout", "stderr", "input", "stdin", "cwd", "env", "text", "check"}
    for name, extra in args.named.items():
        if name not in known:
            machine.account(extra)
    if start.shell is None:
        with machine.undecided():
            run_shell(machine, value, start)
            out = run_vector(machine, value, start)
    elif start.shell:
        out = run_shell(machine, value, start)
    else:
        out = run_vector(machine, value, start)
    return start.finish(out), start


@handles("subprocess.run", "subprocess.call", "subprocess.check_call")
def run(machine: Machine, args: Args) -> Value:
    """A program is run to its end."""
    out, _ = _run(machine, args)
    found = _result(out)
    return Thing(
        "subprocess.CompletedProcess", {"stdout": found, "stderr": anything(out.sources), "returncode": Unknown()}
    )


@handles("asyncio.create_subprocess_exec", "asyncio.subprocess.create_subprocess_exec")
def run_words(machine: Machine, args: Args) -> Value:
    """A program whose words are arguments of their own."""
    rest = Seq(list(args.pos), "list", args.vague)
    return popen(machine, Args([rest], args.named))


@handles("asyncio.create_subprocess_shell", "asyncio.subprocess.create_subprocess_shell")
def run_shell_async(machine: Machine, args: Args) -> Value:
    """A shell text."""
    return popen(machine, Args(args.pos, {**args.named, "shell": Const(True)}))


@handles("subprocess.check_output")
def run_output(machine: Machine, args: Args) -> Value:
    """A program whose output is the result."""
    out, _ = _run(machine, Args(args.pos, {**args.named, "capture_output": Const(True)}, args.vague))
    return _result(out)


@handles("subprocess.getoutput", "subprocess.getstatusoutput", "commands.getoutput")
def run_shell_output(machine: Machine, args: Args) -> Value:
    """The output of a shell text."""
    return run_output(machine, Args(args.pos, {**args.named, "shell": Const(True)}))


@handles("subprocess.Popen")
def popen(machine: Machine, args: Args) -> Value:
    """A program that runs beside this one: what is written to its input is not followed into it."""
    pipe = args.named.get("stdin")
    out, _ = _run(machine, args)
    found = _result(out)
    writable = isinstance(pipe, Const) and pipe.value == -1
    facts: dict[str, Value] = {"stdout": _pipe(machine, out), "stderr": _pipe(machine, out), "returncode": Unknown()}
    facts["stdin"] = Thing("<pipe>") if writable else NONE
    facts["<out>"] = found
    return Thing("subprocess.Popen", facts)


def _pipe(machine: Machine, out: Stream) -> Handle:
    handle = Handle("memory", mode="r", born=machine.branch)
    handle.inside, handle.text = out.sources, out.text
    return handle


@handles("<pipe>.write", "<pipe>.writelines", "subprocess.Popen.communicate")
def write_pipe(machine: Machine, args: Args) -> Value:
    """What a program that runs is told."""
    for value in args.pos[1:] + list(args.named.values()):
        if not (isinstance(value, Const) and value.value is None):
            machine.mention(value)
            exact = single(value)
            if isinstance(value, Const) and isinstance(value.value, bytes):
                exact = value.value.decode("utf-8", "replace")
            if exact is not None:
                machine.call.mention_text(exact)
    owner = args.pos[0]
    found = owner.facts.get("<out>") if isinstance(owner, Thing) else None
    if len(args.pos) > 1 or args.named:
        machine.opaque("a program is fed through a pipe", "inline")
    return Seq([found or Unknown(), found or Unknown()], "tuple")


@handles("subprocess.Popen.wait", "subprocess.Popen.poll", "<pipe>.close", "<pipe>.flush", "subprocess.Popen.kill",
         "subprocess.Popen.terminate", "subprocess.Popen.send_signal")  # fmt: skip
def quiet(_machine: Machine, _args: Args) -> Value:
    """Waits for a program that this code started, or ends it."""
    return Unknown(numeric=True)


@handles("os.system", "posix.system", "commands.getstatus")
def system(machine: Machine, args: Args) -> Value:
    """A shell text."""
    start = Start(machine, Args())
    out = run_shell(machine, argument_of(args, 0, "command"), start)
    machine.write_out(out.sources, out.text)
    return Unknown(numeric=True)


@handles("os.popen", "popen2.popen2")
def open_pipe(machine: Machine, args: Args) -> Value:
    """A shell text whose output, or input, is open."""
    start = Start(machine, Args())
    mode = single(args.get(1, "mode"))
    machine.account(args.get(1, "mode"))
    out = run_shell(machine, argument_of(args, 0, "cmd"), start)
    if mode is not None and "w" in mode:
        return Thing("<pipe>")
    return _pipe(machine, out)


@handles("pty.spawn")
def spawn_terminal(machine: Machine, args: Args) -> Value:
    """A program on a terminal of its own."""
    out = run_vector(machine, argument_of(args, 0), Start(machine, Args()))
    machine.write_out(out.sources, None)
    return Unknown(numeric=True)


_EXECS: Final = {
    "execl": (0, False, False), "execle": (0, False, True), "execlp": (0, False, False), "execlpe": (0, False, True),
    "execv": (0, True, False), "execve": (0, True, True), "execvp": (0, True, False), "execvpe": (0, True, True),
    "spawnl": (1, False, False), "spawnle": (1, False, True), "spawnlp": (1, False, False),
    "spawnlpe": (1, False, True), "spawnv": (1, True, False), "spawnve": (1, True, True), "spawnvp": (1, True, False),
    "spawnvpe": (1, True, True), "posix_spawn": (0, True, True), "posix_spawnp": (0, True, True),
}  # fmt: skip


def _exec(name: str) -> None:
    first, listed, environment = _EXECS[name]

    def run_program(machine: Machine, args: Args) -> Value:
        given = args.after(first)
        program = argument_of(given, 0)
        rest: list[Value]
        env = given.pos[-1] if environment and given.pos else None
        if listed:
            words = argument_of(given, 1)
            if not isinstance(words, Seq) or words.scrambled:
                return machine.opaque("a program whose words are not known", "dynamic", program, words)
            rest, more = words.items[1:], words.rest
        else:
            rest, more = given.pos[2 : -1 if environment else None], args.vague
        start = Start(machine, Args(named={"env": env} if isinstance(env, Dict) else {}))
        machine.account(argument_of(given, 1))
        out = run_vector(machine, Seq([program, *rest], "list", more), start)
        machine.write_out(out.sources, None)
        if args.named.get("file_actions") is not None and out.sources:
            machine.mention(Unknown(out.sources))  # what it prints may go into any file
        return Thing("<exit>") if name.startswith("exec") else Unknown(numeric=True)

    handles(f"os.{name}")(run_program)


for _name in _EXECS:
    _exec(_name)
