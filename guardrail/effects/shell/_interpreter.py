"""The abstract interpreter: walks a script's tree with everything its shell may know, and collects effects.

Not concerned with what single commands do (`_commands`, `_builtins`), nor with words (`_expand`).
Every construct either joins what may be the case, or ends in an explicit opaque effect; what leaves a construct on the
way (`break`, `return`, an error that drops a line) leaves its state in a frame, and is joined where the shell goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import EllipsisType, MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from guardrail.config import LimitConfig
from guardrail.effects.domain._assured import assure, is_steady
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._contents import Contents
from guardrail.effects.domain._emit import Bound, Code, Emitter, as_code
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import NOTHING, SOMETHING, Field, Stream, Value, is_shell_text, merge
from guardrail.effects.domain._view import FileView, Nothing, Wrote
from guardrail.effects.shell import _control, _loops, _simple
from guardrail.effects.shell._commands import known_command, run_command
from guardrail.effects.shell._deferred import run_deferred
from guardrail.effects.shell._elsewhere import Nowhere, elsewhere
from guardrail.effects.shell._expand import Expander
from guardrail.effects.shell._later import later
from guardrail.effects.shell._numbers import as_number
from guardrail.effects.shell._reading import consumed
from guardrail.effects.shell._streams import Done, concatenated, perhaps, sometimes
from guardrail.effects.shell._traps import Trap, changed, rewritten, unsettled
from guardrail.model import Resource
from guardrail.parse import parse_shell
from guardrail.parse.ir import (
    AndOr,
    Arithmetic,
    Block,
    Case,
    For,
    Function,
    Group,
    If,
    Loop,
    Negated,
    Opaque,
    Pipeline,
    Redirected,
    Script,
    Simple,
    Statement,
    Test,
)

if TYPE_CHECKING:
    from guardrail.effects.code._own_files import OwnFiles

MAX_ASIDE: Final = 6_000
"""Most expressions and statements worked out for one call in modules that code of the project may import."""

MAX_ASIDE_BYTES: Final = 192 * 1024
"""Most text of such modules that is read for one call, in bytes."""

MAX_UTF8: Final = 4
"""Most bytes of one character in UTF-8."""

MAX_HOPS: Final = 2
"""Most hosts and containers that are entered one from within another."""


_NONE: Final[frozenset[str]] = frozenset()
_NO_TRAPS: Final[Mapping[str, Trap]] = MappingProxyType({})


class Interpreter:
    """Interprets the shell texts of one call.

    Args:
        view: the live filesystem.
        limits: bounds of one call.
        environment: variables known to hold.
        start: the call's own directory; None if unknown.
    """

    # What is one value to begin with is of the class: most calls never give it another.
    begun = False  # the text of the shell itself is being walked
    spoken: tuple[Resource, ...] = ()  # whose content was in any word so far
    watched: frozenset[str] = frozenset()
    aside_bytes = MAX_ASIDE_BYTES
    aside = MAX_ASIDE  # steps left for modules that code of the project may import
    hops = 0
    limited = False  # `ulimit` may keep the shell from opening files
    stages = 0
    regarded = 0  # effects of which it was looked whether they change what a trap does
    carried = 0  # names that were moved by then
    last: State | None = None  # what held when that was last looked at
    wrote: Wrote = Nothing()
    # None of these is changed in place: whoever has more to say puts another one there.
    environments: frozenset[str] = frozenset()  # directories of programs that an activated environment puts first
    assured: frozenset[str] = frozenset()  # files that what runs now needs to have been written over
    uncovered: frozenset[str] = frozenset()  # variables of which it is not known to which function they belong
    relied: frozenset[str] = frozenset()  # variables that a trap uses, and that were set here
    armed: tuple[str, ...] = ()  # texts of traps that may run between any two commands
    exported: tuple[str, ...] = ()  # texts that reach everything that is started
    awaited: Mapping[str, tuple[str, ...]] = MappingProxyType({})  # variables -> the traps that use them
    defined: Mapping[str, tuple[Statement | None, ...]] = MappingProxyType({})
    pinned: Mapping[str, tuple[str, ...]] = MappingProxyType({})  # what files hold for the process that starts now

    def __init__(self, view: FileView, limits: LimitConfig, environment: Mapping[str, str], start: str | None) -> None:
        self.view = view
        self.limits = limits
        self.start = start
        self.contents = Contents(view)
        self.emit = Emitter(limits, self.contents)
        self.expand = Expander(view, self.emit, environment, self)
        # What every command asks for is of the instance, where it is found sooner.
        self.depth = 0
        self.jumps = 0  # how often `break`, `return` and their like were met
        self.errexit = False
        self.listening = False  # somebody may make words of what is printed
        self.written_before = False  # the session wrote files in earlier calls
        self.brought: dict[tuple[str, ...], OwnFiles | None] = {}  # places -> what it wrote, and brought there
        self.running: set[tuple[str, tuple[str, ...], tuple[str, ...]]] = set()  # files of tasks, their texts, words
        self.here: tuple[int, int] = (0, 0)  # where the command that is walked stands in the call's own text
        self.outer: tuple[int, int] | None = None  # of what is nested in a word, where its command does
        self.diverted: tuple[Resource, ...] = ()
        self.handed: tuple[str, ...] = ()  # texts that reach what runs now other than by its words and its input
        self.deferred: tuple[tuple[Script, State], ...] = ()
        self.directories: frozenset[str] = _NONE  # that the call made
        self.libraries: frozenset[str] = _NONE  # directories of the system that libraries were said to be in
        self.traps: Mapping[str, Trap] = _NO_TRAPS  # texts that run in the end, or before
        self.locals: list[dict[str, Value | None]] = []
        self.loops: list[State | None] = []  # for each loop that runs, what holds where `break` or `continue` left it
        self.returns: list[State | None] = []  # for each function that runs, what holds where `return` left it
        self.aborts: list[State | None] = []  # for each text that runs, what holds where an error left a line of it

    def authored(self, path: str) -> bool:
        """Whether what is at a path was written by the session: by this call, or in one before."""
        return self.emit.wrote(path) or self.wrote.wrote(self.view.identity(path)) or self.wrote.wrote(path)

    # -- texts

    def run_text(self, text: str, state: State, stdin: Stream = SOMETHING) -> Done:
        """Interpret a shell text in a shell of its own, one level deeper."""
        if not (self.locals or self.loops or self.returns):
            return self.run_here(text, state, stdin)
        frames = self.locals, self.loops, self.returns
        self.locals, self.loops, self.returns = [], [], []
        try:
            return self.run_here(text, state, stdin)
        finally:
            self.locals, self.loops, self.returns = frames

    def run_here(self, text: str, state: State, stdin: Stream = SOMETHING) -> Done:
        """Interpret a shell text in the very shell that is at hand, one level deeper."""
        if self.depth >= self.limits.depth:
            return self.unparsed("nested too deep", text, state)
        if len(text) * MAX_UTF8 > self.limits.command_bytes and _bytes_of(text) > self.limits.command_bytes:
            return self.unparsed("too long", text, state)
        if not (text.isascii() or is_shell_text(text)):
            return self.unparsed("text that is only known in part", text, state, code="dynamic")
        script = parse_shell(text)
        outer, nested = self.outer, self.depth > 0
        if nested:
            self.outer = outer or self.here
        self.depth += 1
        mark, jumps = self.contents.mark() if nested else 0, self.jumps
        begins, self.begun = not self.begun, True
        self.aborts.append(None)
        try:
            return self.block(
                script.body, state, stdin, script.lines, strict=begins and "set" in text and is_steady(text)
            )
        finally:
            self.aborts.pop()
            self.depth -= 1
            self.outer = outer
            if nested:
                # It may leave at any point, and what runs it goes on.
                self.contents.weaken(mark, anywhere=self.jumps != jumps or self.errexit)

    def run_later(self, text: str, state: State, stdin: Stream = SOMETHING) -> None:
        """Interpret a shell text that runs at some later time, perhaps."""
        fresh, self.emit.fresh = self.emit.fresh, set()  # by then they may be other directories
        self.emit.maybe += 1
        self.run_text(text, state, stdin)
        self.emit.maybe -= 1
        self.emit.fresh = fresh

    def finish(self) -> None:
        """Traps run at the end, with every function that was ever defined."""
        if self.traps:
            rewritten(self, self.last if self.last is not None else State((None,)))
        for text in unsettled(self) if self.traps else ():
            state = State((None,))
            state.functions = dict(self.defined)
            self.run_later(text, state)

    def end(self) -> None:
        """Let go of what refers back to this, so that all of it is freed at once and its memory is still warm."""
        del self.expand

    def divert(self, sources: tuple[Resource, ...]) -> None:
        """Content went to a descriptor other than standard output: whoever opened that has it."""
        self.diverted = merge(self.diverted, sources)

    def complain(self, state: State, sources: tuple[Resource, ...]) -> None:
        """Content that may be in a message, or in a trace: it goes where errors go."""
        if not sources:
            return
        self.divert(sources)
        for sink in merge(state.sinks, state.held):
            for item in sources:
                self.emit.add("copy", item, sink, spec="shell", span=self.here, flow=("redirect",))

    def unparsed(self, reason: str, text: str, state: State, code: Code = "unparsed") -> Done:
        """Shell text that is not looked into: say so, mention what it names, and know nothing afterwards."""
        call = self.call("shell", (), state, state.cwds[0] if len(state.cwds) == 1 else None, SOMETHING, (0, 0))
        self.emit.opaque(code, as_code("shell"), spec="shell", reason=reason)
        call.mention_cwd()
        call.mention_text(text)
        state.forget()
        return state, state, SOMETHING

    def call(
        self,
        name: str,
        args: tuple[Field, ...],
        state: State,
        cwd: str | None,
        stdin: Stream,
        span: tuple[int, int],
    ) -> Call:
        """A command about to run."""
        return Call(self, name, args, state, cwd, stdin, span)

    def again(
        self,
        call: Call,
        vector: tuple[Field, ...],
        *,
        functions: bool = True,
        external: bool = False,
        cwd: str | EllipsisType | None = ...,
        stdin: Stream | None = None,
    ) -> Stream:
        """Run the command that another one wraps.

        Args:
            call: the wrapper.
            vector: name and arguments of what it runs.
            functions: shell functions may have that name.
            external: the wrapper is a program of its own, so neither functions nor builtins are meant.
            cwd: another directory.
            stdin: another input.
        """
        if not vector:
            return NOTHING
        if self.depth >= self.limits.depth:
            return call.opaque("unparsed", reason="nested too deep", words=vector)
        where = call.cwd if cwd is ... else cwd
        state = call.state.copy() if external else call.state
        if external:
            state.cwds = (where,)
        inner = self.call(
            vector[0].text, vector[1:], state, where, stdin if stdin is not None else call.stdin, call.span
        )
        self.depth += 1
        try:
            out = run_command(inner, vector, functions=functions and not external, builtins=not external)
        finally:
            self.depth -= 1
        if inner.failed is not None and not external:
            call.failed = inner.failed
        return out

    def elsewhere(self, call: Call, place: Resource, command: str | Sequence[Field]) -> Stream:
        """What a shell text, or the words of a command, do on another host or in a container; and what comes back."""
        if self.hops >= MAX_HOPS or self.depth >= self.limits.depth:
            return call.opaque("unparsed", reason="nested too deep")
        inner = Interpreter(Nowhere(), self.limits, {}, None)
        inner.hops = self.hops + 1
        return elsewhere(call, inner, place, command)

    def later(self, call: Call, path: str, text: str) -> None:
        """What a text does that is run by itself, some day, because it is in a file of that name."""
        if self.depth < self.limits.depth:
            later(call, Interpreter(self.view, self.limits, self.expand.environment, None), path, text)

    def plain(self, call: Call) -> Stream:
        """The spec of a command that is also a builtin."""
        return known_command(call, call.name)

    def noticed(self, name: str, state: State) -> None:
        """A variable was given a value, which a trap looks at when it runs."""
        if name in self.awaited:
            changed(self, state, name)

    def number(self, state: State, value: Value) -> Value:
        """A text that is assigned to a variable which was declared to be a number."""
        return as_number(self.expand, value, state)

    def jump(self, name: str, state: State) -> None:
        """`break`, `continue`, `return` or `exit`: what follows may not run, and the state may be what it is now."""
        self.jumps += 1
        frames = self.returns[-1:] if name == "return" else self.loops if name in ("break", "continue") else []
        for index, held in enumerate(frames):
            frames[index] = state.copy() if held is None else held.join(state)
        if name == "return" and frames:
            self.returns[-1] = frames[0]

    def abort(self, state: State) -> None:
        """What is worked out here may be an error, after which bash goes on at the next line of the text that runs."""
        self.jumps += 1
        if self.aborts:
            held = self.aborts[-1]
            self.aborts[-1] = state.copy() if held is None else held.join(state)

    def _aborted(self, ok: State, bad: State) -> tuple[State, State]:
        """The states at the end of a line, also where an error left it."""
        held, self.aborts[-1] = self.aborts[-1], None
        if held is None:
            return ok, bad
        for name in {*ok.vars, *bad.vars}:
            # A shell that was started for this call; names of its environment are in capitals. It was not set yet.
            if name not in held.vars and name.islower() and held.args is not None:
                held.vars[name] = Value(alternatives=("",))
        return (ok, bad.join(held)) if ok is not bad else (ok, ok.join(held))

    def apart(self, block: Block, state: State, stdin: Stream) -> Done:
        """Statements in a subshell, which an error ends."""
        self.aborts.append(None)
        done = self.block(block, state, stdin)
        self.aborts.pop()
        return done

    def substitute(
        self, script: Script, state: State, stdin: Stream = SOMETHING, *, beside: bool = False, heard: bool = False
    ) -> Stream:
        """Effects of a substitution, in a subshell, and its output.

        Args:
            script: its commands.
            state: the shell's state.
            stdin: what they read.
            beside: they run while others do.
            heard: somebody may make words of their output all the same.
        """
        if self.depth >= self.limits.depth:
            return self.unparsed("nested too deep", script.text, state.copy())[2]
        self.depth += 1
        listening, self.listening = self.listening, heard or not beside
        try:
            inner = state.copy()
            inner.sinks, inner.modes = (), inner.modes - {"merged"}
            mark, jumps = self.contents.mark(), self.jumps
            out = self.apart(script.body, inner, stdin)[2]
            if beside:
                self.contents.lose(mark, lasting=True)
            else:
                self.contents.weaken(mark, anywhere=self.jumps != jumps or self.errexit)
            return out
        finally:
            self.depth -= 1
            self.listening = listening

    def defer(self, script: Script, state: State) -> None:
        """`>(…)`: its commands read what the statement at hand writes, so they come after it."""
        self.deferred = (*self.deferred, (script, state.copy()))

    def dynamic(self, reason: str, span: tuple[int, int]) -> None:
        """Code that is not known may run here."""
        self.emit.opaque("dynamic", as_code("shell"), spec="shell", reason=reason, span=span)

    # -- statements

    def block(
        self, block: Block, state: State, stdin: Stream, lines: frozenset[int] | None = None, *, strict: bool = False
    ) -> Done:
        """Statements one after the other.

        Args:
            block: the statements.
            state: the shell's state before them.
            stdin: what they read.
            lines: of a whole text, those that begin a line: an error goes on there.
            strict: none follows a simple command that fails.
        """
        if len(block) == 1:
            ok, bad, out = self.statement(block[0], state, stdin)
            return (ok, bad, out) if lines is None or self.aborts[-1] is None else (*self._aborted(ok, bad), out)
        ok = bad = state
        outputs: list[Stream] = []
        jumps = self.jumps
        cut = left = False
        for index, statement in enumerate(block):
            if lines and index in lines:
                # An error is no failure that ends a text, whatever `set -e` says.
                ok, bad = self._aborted(ok, ok if left else bad)
                left = False
            cut = cut or self.jumps != jumps or (self.errexit and bool(outputs))
            since = len(self.emit.effects)
            ok, bad, out = self.statement(statement, ok if ok is bad or left else ok.join(bad), stdin)
            left = strict and isinstance(statement, Simple)
            if left:
                assure(self, statement, since)
            # After something that may have left the block, what is printed may not be.
            outputs.append(perhaps(out) if cut else out)
            if stdin.text is not None:
                stdin = consumed(statement, stdin, self.defined)
        if lines is not None:
            ok, bad = self._aborted(ok, bad)
        return ok, bad, sometimes(outputs) if cut else concatenated(outputs)

    def statement(self, statement: Statement, state: State, stdin: Stream) -> Done:
        """Any one statement."""
        done = _HANDLERS[type(statement)](self, statement, state, stdin)
        if self.deferred:
            run_deferred(self, statement, stdin, done)
        return done


def _bytes_of(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _opaque(shell: Interpreter, node: Opaque, state: State, _stdin: Stream) -> Done:
    return shell.unparsed(node.reason, node.text, state)


_HANDLERS: Final[Mapping[type, Callable[[Interpreter, Any, State, Stream], Done]]] = {
    Simple: _simple.simple,
    Pipeline: _control.pipeline,
    Negated: _control.negated,
    AndOr: _control.and_or,
    Group: _control.group,
    Redirected: _control.redirected,
    If: _control.if_,
    Loop: _loops.loop,
    For: _loops.for_,
    Case: _control.case,
    Function: _control.function,
    Test: _control.test,
    Arithmetic: _control.arithmetic,
    Opaque: _opaque,
}

__all__ = ["Bound", "Interpreter"]
