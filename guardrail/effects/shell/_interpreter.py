"""The abstract interpreter: walks a script's tree with everything its shell may know, and collects effects.

Not concerned with what single commands do (`_commands`, `_builtins`), nor with words (`_expand`).
Every construct either joins what may be the case, or ends in an explicit opaque effect.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import EllipsisType
from typing import Any, Final

from guardrail.config import LimitConfig
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._contents import Contents
from guardrail.effects.domain._emit import Bound, Code, Emitter, as_code
from guardrail.effects.domain._environment import set_variable
from guardrail.effects.domain._paths import STREAMS, place
from guardrail.effects.domain._values import (
    MAX_ALTERNATIVES,
    MAX_TEXT,
    NOTHING,
    NUM,
    SOMETHING,
    TOP,
    UNKNOWN,
    Field,
    State,
    Stream,
    Value,
    join_values,
    merge,
)
from guardrail.effects.domain._view import FileView
from guardrail.effects.shell._commands import known_command, run_command
from guardrail.effects.shell._expand import Expander
from guardrail.model import Edit, Resource
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
    Redirect,
    Redirected,
    Script,
    Simple,
    Statement,
    Test,
    Text,
    Word,
)

MAX_ROUNDS: Final = 64
"""Most rounds of a `for` loop over a known list that are walked one by one."""

MAX_WIDENINGS: Final = 4
"""Most trial rounds of a loop until its state no longer changes; then all of it is unknown."""

Done = tuple[State, State, Stream]
"""The state if the statement succeeds, the state if it fails, and its output."""


class Interpreter:
    """Interprets the shell texts of one call.

    Args:
        view: the live filesystem.
        limits: bounds of one call.
        environment: variables known to hold.
        start: the call's own directory; None if unknown.
    """

    def __init__(self, view: FileView, limits: LimitConfig, environment: Mapping[str, str], start: str | None) -> None:
        self.view = view
        self.limits = limits
        self.start = start
        self.contents = Contents(view)
        self.emit = Emitter(limits, self.contents)
        self.expand = Expander(view, self.emit, environment, self)
        self.depth = 0
        self.directories: set[str] = set()
        self.locals: list[set[str]] = []
        self.traps: list[str] = []
        self.defined: dict[str, tuple[Statement | None, ...]] = {}
        self.diverted: tuple[Resource, ...] = ()
        self.jumps = 0
        self.errexit = False
        self.stages = 0

    # -- texts

    def run_text(self, text: str, state: State, stdin: Stream = SOMETHING) -> Done:
        """Interpret a shell text, one level deeper."""
        if self.depth >= self.limits.depth:
            return self._unparsed("nested too deep", text, state)
        if len(text) > self.limits.command_bytes or len(text.encode("utf-8", "replace")) > self.limits.command_bytes:
            return self._unparsed("too long", text, state)
        if TOP in text or NUM in text:
            return self._unparsed("text that is only known in part", text, state, code="dynamic")
        script = parse_shell(text)
        self.depth += 1
        mark = self.contents.mark()
        try:
            return self.block(script.body, state, stdin)
        finally:
            self.depth -= 1
            if self.depth:
                self.contents.weaken(mark)  # it may leave at any point, and what runs it goes on

    def finish(self) -> None:
        """Traps run at the end, with every function that was ever defined."""
        if not self.defined:
            return
        for text in tuple(self.traps):
            state = State((None,))
            state.functions = dict(self.defined)
            self.emit.maybe += 1
            self.run_text(text, state)
            self.emit.maybe -= 1

    def divert(self, sources: tuple[Resource, ...]) -> None:
        """Content went to a descriptor other than standard output: whoever opened that has it."""
        self.diverted = merge(self.diverted, sources)

    def _unparsed(self, reason: str, text: str, state: State, code: Code = "unparsed") -> Done:
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
        return Call(self, name, args, state=state, cwd=cwd, stdin=stdin, span=span)

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

    def plain(self, call: Call) -> Stream:
        """The spec of a command that is also a builtin."""
        return known_command(call, call.name)

    def note_local(self, name: str) -> None:
        """A variable is local to the function that runs now."""
        if self.locals:
            self.locals[-1].add(name)

    def substitute(self, script: Script, state: State, *, beside: bool = False) -> Stream:
        """Effects of a substitution, in a subshell, and its output; `beside` if it runs while others do."""
        if self.depth >= self.limits.depth:
            return self._unparsed("nested too deep", script.text, state.copy())[2]
        self.depth += 1
        try:
            inner = state.copy()
            inner.sinks = ()
            mark = self.contents.mark()
            out = self.block(script.body, inner, SOMETHING)[2]
            self.contents.lose(mark, lasting=True) if beside else self.contents.weaken(mark)
            return out
        finally:
            self.depth -= 1

    def dynamic(self, reason: str, span: tuple[int, int]) -> None:
        """Code that is not known may run here."""
        self.emit.opaque("dynamic", as_code("shell"), spec="shell", reason=reason, span=span)

    # -- statements

    def block(self, block: Block, state: State, stdin: Stream) -> Done:
        """Statements one after the other."""
        ok = bad = state
        outputs: list[Stream] = []
        jumps = self.jumps
        for statement in block:
            cut = self.jumps != jumps or (self.errexit and bool(outputs))
            ok, bad, out = self.statement(statement, ok if ok is bad else ok.join(bad), stdin)
            # After something that may have left the block, what is printed may not be.
            outputs.append(_perhaps(out) if cut else out)
        return ok, bad, outputs[0] if len(outputs) == 1 else _concatenated(outputs)

    def statement(self, statement: Statement, state: State, stdin: Stream) -> Done:
        """Any one statement."""
        return _HANDLERS[type(statement)](self, statement, state, stdin)

    def _opaque(self, node: Opaque, state: State, _stdin: Stream) -> Done:
        return self._unparsed(node.reason, node.text, state)

    def _group(self, node: Group, state: State, stdin: Stream) -> Done:
        if not node.subshell:
            return self.block(node.body, state, stdin)
        mark = self.contents.mark()
        _, _, out = self.block(node.body, state.copy(), stdin)
        if node.background:
            self.contents.lose(mark, lasting=True)
        else:
            self.contents.weaken(mark)
        return state, state, out

    def _negated(self, node: Negated, state: State, stdin: Stream) -> Done:
        ok, bad, out = self.statement(node.body, state, stdin)
        return bad, ok, out

    def _and_or(self, node: AndOr, state: State, stdin: Stream) -> Done:
        ok, bad, out = self.statement(node.first, state, stdin)
        outputs = [out]
        mark = self.contents.mark()
        for operator, statement in node.rest:
            if operator == "&&":
                # The right side changes a copy: after a failure on the left the state is what it was there.
                ok, failed, out = self.statement(statement, ok.copy(), stdin)
                bad = bad.join(failed)
            else:
                self.emit.maybe += 1
                second, bad, out = self.statement(statement, bad.copy(), stdin)
                self.emit.maybe -= 1
                ok = ok.join(second)
            outputs.append(_perhaps(out))
        self.contents.weaken(mark)
        return ok, bad, _concatenated(outputs)

    def _pipeline(self, node: Pipeline, state: State, stdin: Stream) -> Done:
        out = stdin
        first = self.stages + 1
        for index, stage in enumerate(node.stages):
            self.stages += 1
            self.contents.enter_stage(self.stages)
            inner = state.copy()
            if index < len(node.stages) - 1:
                inner.sinks = ()
            if index and self.diverted:
                out = Stream(text=out.text, sources=merge(out.sources, self.diverted), names=out.names, flow=out.flow)
            _, _, out = self.statement(stage, inner, out.through("pipe") if index else stdin)
            self.contents.leave_stage()
        self.contents.end_pipeline(range(first, self.stages + 1))
        return state, state, out

    def _redirected(self, node: Redirected, state: State, stdin: Stream) -> Done:
        def once(inner: State, cwd: str | None) -> Done:
            call = self.call("redirection", (), inner, cwd, stdin, (0, 0))
            outs, source = self.redirections(node.redirects, call, stdin)
            ok, bad, out = self.statement(node.body, inner, source)
            return ok, bad, self.write_out(outs, out, call)

        return self._each_directory(state, once)

    def _each_directory(self, state: State, once: Callable[[State, str | None], Done]) -> Done:
        """Run something in each directory the shell may be in, and join what comes of it."""
        if len(state.cwds) == 1:
            return once(state, state.cwds[0])
        oks: list[State] = []
        bads: list[State] = []
        outputs: list[Stream] = []
        self.emit.maybe += 1
        for cwd in state.cwds:
            inner = state.copy()
            inner.cwds = (cwd,)
            ok, bad, out = once(inner, cwd)
            oks.append(ok)
            bads.append(bad)
            outputs.append(out)
        self.emit.maybe -= 1
        return _joined(oks), _joined(bads), _sometimes(outputs)

    def _if(self, node: If, state: State, stdin: Stream) -> Done:
        ends: list[State] = []
        outputs: list[Stream] = []
        rest = state
        for index, (condition, body) in enumerate(node.branches):
            ok, bad, out = self.block(condition, rest, stdin)
            outputs.append(out)
            self.emit.maybe += 1
            done, failed, out = self.block(body, ok.copy(), stdin)
            self.emit.maybe -= 1
            ends += [done, failed]
            outputs.append(out)
            rest = bad
            if index == 0 and len(node.branches) > 1:
                self.emit.maybe += 1
        if node.otherwise is not None:
            self.emit.maybe += 1
            done, failed, out = self.block(node.otherwise, rest.copy(), stdin)
            self.emit.maybe -= 1
            ends += [done, failed]
            outputs.append(out)
        else:
            ends.append(rest)
        if len(node.branches) > 1:
            self.emit.maybe -= 1
        end = _joined(ends)
        return end, end, _sometimes(outputs)

    def _case(self, node: Case, state: State, stdin: Stream) -> Done:
        self.expand.value(node.word, state)
        end = state
        outputs: list[Stream] = []
        for patterns, body in node.items:
            for pattern in patterns:
                self.expand.value(pattern, end)
            self.emit.maybe += 1
            ok, bad, out = self.block(body, end.copy(), stdin)
            self.emit.maybe -= 1
            end = end.join(ok).join(bad)  # also covers `;&`, which falls into the next body
            outputs.append(out)
        return end, end, _sometimes(outputs)

    def _loop(self, node: Loop, state: State, stdin: Stream) -> Done:
        self.expand.arithmetic(node.names, state, (0, 0))
        for name in node.assigns:
            state.vars[name] = Value(alternatives=(NUM,))

        def once(inner: State) -> tuple[State, Stream]:
            ok, bad, first = self.block(node.condition, inner, stdin)
            ok, bad, out = self.block(node.body, ok.join(bad), stdin)
            return ok.join(bad), _sometimes([first, out])

        wide = self._widened(state, once)
        self.emit.maybe += 1
        end, out = once(wide.copy())
        self.emit.maybe -= 1
        end = end.join(wide)
        return end, end, out

    def _widened(self, state: State, once: Callable[[State], tuple[State, Stream]]) -> State:
        """A state that holds before every round of a loop: what a round changes is unknown."""
        wide = state.copy()
        self.emit.muted += 1
        try:
            for _ in range(MAX_WIDENINGS):
                after, _out = once(wide.copy())
                both = wide.join(after)
                if both.same(wide):
                    return wide
                for name, value in both.vars.items():
                    if value != wide.vars.get(name):
                        both.vars[name] = (
                            Value(alternatives=(NUM,)) if _numeric(value) else Value(sources=value.sources)
                        )
                if both.cwds != wide.cwds:
                    both.cwds = (None,)
                wide = both
        finally:
            self.emit.muted -= 1
        wide.forget()
        return wide

    def _for(self, node: For, state: State, stdin: Stream) -> Done:
        values, handed = self._values_of(node, state)
        if values is None or len(values) > MAX_ROUNDS or node.select:
            sources = handed

            def once(inner: State) -> tuple[State, Stream]:
                set_variable(self, inner, node.name, Value(sources=sources))
                ok, bad, out = self.block(node.body, inner, stdin)
                return ok.join(bad), out

            wide = self._widened(state, once)
            self.emit.maybe += 1
            end, out = once(wide.copy())
            self.emit.maybe -= 1
            end = end.join(wide)
            return end, end, out.through("loop")
        ends: list[State] = [] if values else [state]
        outputs: list[Stream] = []
        current = state
        mark = self.contents.mark()
        for field in values:
            text = TOP if field.glob is not None or field.many else field.text
            inner = current.copy()
            set_variable(self, inner, node.name, Value(alternatives=(text,), sources=field.sources))
            ok, bad, out = self.block(node.body, inner, stdin)
            current = ok.join(bad)
            ends.append(current)
            outputs.append(out)
        end = _joined(ends)  # `break` may leave after any round
        self.contents.weaken(mark)
        return end, end, _concatenated(outputs)

    def _values_of(self, node: For, state: State) -> tuple[list[Field] | None, tuple[Resource, ...]]:
        """The list of a `for` loop, None if it is not known how many there are; and whose content is in it."""
        if node.words is None:
            known = state.args is not None
            fields = [Field(text=text, sources=state.handed) for text in state.args or ()]
            return fields if known else None, state.handed
        values: list[Field] = []
        for vector in self.expand.alternatives(node.words, state):
            values.extend(vector)
        sources = merge((), tuple(source for field in values for source in field.sources))
        return None if any(field.many for field in values) else values, sources

    def _function(self, node: Function, state: State, _stdin: Stream) -> Done:
        state.functions[node.name] = (node.body,)
        self.defined[node.name] = (*self.defined.get(node.name, (None,)), node.body)
        if node.name == "command_not_found_handle":
            # bash calls it on its own, for any name that it does not find.
            self.emit.maybe += 1
            self.statement(node.body, state.copy(), SOMETHING)
            self.emit.maybe -= 1
        return state, state, NOTHING

    def _test(self, node: Test, state: State, _stdin: Stream) -> Done:
        for word in node.words:
            value = self.expand.value(word, state)
            unsafe = any(TOP in text or "[" in text for text in value.alternatives)
            if all(isinstance(part, Text) for part in word.parts):
                unsafe = any("[" in text and ("$" in text or "`" in text) for text in value.alternatives)
            if node.arithmetic and unsafe:
                self.dynamic("arithmetic on text that is not known", (word.start, word.end))
        return state, state, NOTHING

    def _arithmetic(self, node: Arithmetic, state: State, _stdin: Stream) -> Done:
        self.expand.arithmetic(node.names, state, (0, 0))
        for name in node.assigns:
            set_variable(self, state, name, Value(alternatives=(NUM,)))
        return state, state, NOTHING

    # -- simple commands

    def _simple(self, node: Simple, state: State, stdin: Stream) -> Done:
        self.emit.step()
        span = (node.start, node.end)
        if not node.words:
            return self._assignments(node, state, stdin, span)
        if node.assigns:
            return self._with_assignments(node, state, stdin, span)
        return self._command(node, state, stdin, span)

    def _assignments(self, node: Simple, state: State, stdin: Stream, span: tuple[int, int]) -> Done:
        for assign in node.assigns:
            self.assign(assign, state)
        if not node.redirects:
            return state, state, NOTHING

        def once(inner: State, cwd: str | None) -> Done:
            call = self.call("redirection", (), inner, cwd, stdin, span)
            outs, source = self.redirections(node.redirects, call, NOTHING)
            # `$(< file)` is the file's content.
            return inner, inner, self.write_out(outs, source, call)

        return self._each_directory(state, once)

    def assign(self, assign: Any, state: State) -> None:
        """One assignment, applied to the state."""
        if assign.array is not None:
            sources: tuple[Resource, ...] = ()
            for vector in self.expand.alternatives(assign.array, state):
                sources = merge(sources, tuple(s for field in vector for s in field.sources))
            set_variable(self, state, assign.name, Value(sources=sources))
            return
        if assign.name == "PATH":
            self._assign_path(assign, state)
            return
        value = self.expand.value(assign.value, state)
        if assign.append:
            old = state.vars.get(assign.name, UNKNOWN)
            both = tuple((a + b)[: MAX_TEXT + 1] for a in old.alternatives for b in value.alternatives)
            value = Value(alternatives=both, sources=merge(old.sources, value.sources))
            if len(both) > MAX_ALTERNATIVES or any(len(text) > MAX_TEXT for text in both):
                value = Value(sources=value.sources)
        set_variable(self, state, assign.name, value)

    def _assign_path(self, assign: Any, state: State) -> None:
        before = "\0" if state.path == () else ":".join((*state.path, "\0")) if state.path is not None else TOP
        probe = state.copy()
        probe.vars["PATH"] = Value(alternatives=(before,))
        value = self.expand.value(assign.value, probe)
        text = value.alternatives[0] if len(value.alternatives) == 1 else TOP
        set_variable(self, state, "PATH", Value(alternatives=(before + text if assign.append else text,)))

    def _with_assignments(self, node: Simple, state: State, stdin: Stream, span: tuple[int, int]) -> Done:
        """`X=1 command`: words see the old values, the command and what it runs see the new ones."""
        inner = state.copy()
        for assign in node.assigns:
            self.assign(assign, inner)
        vectors = list(self.expand.alternatives(node.words, state))
        ok, bad, out = self._vectors(vectors, node, inner, stdin, span)
        keeps = not _external(vectors, state)
        for end in (ok,) if ok is bad else (ok, bad):
            for assign in node.assigns:
                old, new = state.vars.get(assign.name, UNKNOWN), end.vars.get(assign.name, UNKNOWN)
                end.vars[assign.name] = join_values(old, new) if keeps else old
                if not keeps and assign.name not in state.vars:
                    del end.vars[assign.name]
            if not keeps:
                end.path, end.ifs = state.path, state.ifs
        return ok, bad, out

    def _command(self, node: Simple, state: State, stdin: Stream, span: tuple[int, int]) -> Done:
        return self._vectors(list(self.expand.alternatives(node.words, state)), node, state, stdin, span)

    def _vectors(
        self,
        vectors: list[tuple[Field, ...]],
        node: Simple,
        state: State,
        stdin: Stream,
        span: tuple[int, int],
    ) -> Done:
        """Run every argument vector that the words may stand for."""
        if len(vectors) == 1:
            return self._vector(vectors[0], node.redirects, state, stdin, span)
        self.emit.maybe += 1
        oks: list[State] = []
        bads: list[State] = []
        outputs: list[Stream] = []
        for vector in vectors:
            ok, bad, out = self._vector(vector, node.redirects, state.copy(), stdin, span)
            oks.append(ok)
            bads.append(bad)
            outputs.append(out)
        self.emit.maybe -= 1
        return _joined(oks), _joined(bads), _sometimes(outputs)

    def _vector(
        self,
        vector: tuple[Field, ...],
        redirects: tuple[Redirect, ...],
        state: State,
        stdin: Stream,
        span: tuple[int, int],
    ) -> Done:
        return self._each_directory(state, lambda inner, cwd: self._run(vector, redirects, inner, cwd, stdin, span))

    def _run(
        self,
        vector: tuple[Field, ...],
        redirects: tuple[Redirect, ...],
        state: State,
        cwd: str | None,
        stdin: Stream,
        span: tuple[int, int],
    ) -> Done:
        name = vector[0].text if vector else ""
        if name in _LEAVING:
            self.jumps += 1
            self.errexit = self.errexit or (name == "set" and any(_may_exit(field.text) for field in vector[1:]))
        if state.opened and not stdin.connected:
            stdin = Stream(sources=state.opened, connected=True)  # `exec <f` gave it to everything after it
        call = self.call(name, vector[1:], state, cwd, stdin, span)
        if not redirects:
            out = run_command(call, vector) if vector else NOTHING
        else:
            outs, source = self.redirections(redirects, call, stdin)
            call.stdin = source
            out = run_command(call, vector) if vector else NOTHING
            self._through_descriptors(redirects, out, call)
            if name == "exec" and len(vector) == 1:
                state.sinks = merge(state.sinks, tuple(resource for resource, _, _ in outs))
                state.held = merge(state.held, state.sinks)
                state.opened = merge(state.opened, source.sources)
            out = self.write_out(outs, out, call)
        if call.stdin.names and out.text != "":
            # Any filter may pass names on.
            names = merge(out.names, call.stdin.names)
            out = Stream(text=out.text, sources=out.sources, names=names, flow=out.flow)
        for sink in state.sinks:
            for item in out.sources:
                call.emit("copy", item, sink, flow=(*out.flow, "redirect"))
        return state, call.failed if call.failed is not None else state, out

    # -- redirections

    def _through_descriptors(self, redirects: tuple[Redirect, ...], out: Stream, call: Call) -> None:
        """`>&3`: the output goes to whatever is open there."""
        if not out.sources or not any(r.op in (">&", ">") and _is_other(r.target) for r in redirects):
            return
        self.divert(out.sources)
        for sink in call.state.held:
            for item in out.sources:
                call.emit("copy", item, sink, flow=(*out.flow, "redirect"))

    def redirections(
        self, redirects: tuple[Redirect, ...], call: Call, stdin: Stream
    ) -> tuple[list[tuple[Resource, str, bool]], Stream]:
        """Where output goes (resource, operator, whether standard output goes there), and what input is."""
        beside: tuple[Resource, ...] = ()  # what is open at other descriptors
        outs: list[tuple[Resource, str, bool]] = []
        # `2>&1` moves errors only; any other copy of a descriptor may carry the output anywhere.
        duplicated = any(
            r.op == ">&" and r.fd != 2 and r.target is not None and _is_number(r.target.plain) for r in redirects
        )
        for redirect in redirects:
            if redirect.target is None:
                continue
            if redirect.op in ("<<", "<<<"):
                document = self._document(redirect.op, redirect.target, call.state)
                if redirect.fd not in (None, 0):
                    beside = merge(beside, document.sources)
                else:
                    stdin = document
                continue
            if redirect.op in ("<&", ">&") and _is_number(redirect.target.plain):
                if redirect.op == "<&":
                    stdin = Stream(sources=merge(stdin.sources, merge(beside, call.state.opened)), connected=True)
                continue
            for vector in self.expand.alternatives((redirect.target,), call.state):
                for field in vector:
                    resource = place(field.text, call.cwd, glob=field.glob)
                    if redirect.op in ("<", "<&") and redirect.fd not in (None, 0):
                        beside = merge(beside, self._input(field, call).sources)
                    elif redirect.op in ("<", "<&"):
                        stdin = self._input(field, call)
                    else:
                        carries = redirect.fd in (None, 1) or redirect.op.startswith("&") or duplicated
                        outs.append((resource, redirect.op, carries))
                        if resource.kind == "net":
                            stdin = Stream(sources=stdin.sources, connected=True)
        return outs, _beside(stdin, beside)

    def _document(self, op: str, target: Word, state: State) -> Stream:
        """A here document or here string."""
        value = self.expand.value(target, state)
        text = value.alternatives[0] if len(value.alternatives) == 1 else TOP
        text = text + "\n" if op == "<<<" else text
        known = None if TOP in text or NUM in text else text
        return Stream(text=known, sources=value.sources, flow=("heredoc",), connected=True)

    def _input(self, field: Field, call: Call) -> Stream:
        sources = call.read(field, reveals="content" if call.name not in _DIGESTING else "digest")
        return Stream(text=call.text_of(field), sources=sources, flow=("redirect",), connected=True)

    def write_out(self, outs: list[tuple[Resource, str, bool]], out: Stream, call: Call) -> Stream:
        """Apply output redirections to what a command gave; returns what still reaches standard output."""
        taken = False
        both = len([None for _, _, carries in outs if carries]) > 1
        for resource, operator, carries in outs:
            if resource.path in STREAMS:
                if resource.path == "/dev/stderr" and carries:
                    self.divert(out.sources)
                taken = taken or (carries and resource.path != "/dev/stdout")
                continue
            append = operator in (">>", "&>>")
            sources = out.sources if carries else self.diverted
            edit = None
            if carries and operator in (">", ">>", ">|") and out.text is not None:
                edit = Edit(kind="append" if append else "whole", text=out.text)
            call.put("append" if append else "write", resource, sources, flow=(*out.flow, "redirect"), edit=edit)
            taken = taken or carries
        # With several targets the last one wins in the shell; descriptors are not followed that far, so it may go on.
        return (Stream(sources=out.sources, names=out.names, flow=out.flow) if both else NOTHING) if taken else out


_DIGESTING: Final = frozenset(
    "wc sha1sum sha224sum sha256sum sha384sum sha512sum md5sum b2sum b3sum cksum sum cmp true : false test [".split()
)
"""Commands whose output tells only a digest of their standard input."""


_LEAVING: Final = frozenset(
    ("exit", "return", "break", "continue", "exec", "set", "kill", "eval", "source", ".", "trap")
)
"""Commands after which the rest of a block may not run, or end where it would have gone on."""


def _may_exit(option: str) -> bool:
    """An option of `set` after which any command that fails ends the shell."""
    return option == "errexit" or TOP in option or (option[:1] == "-" and "e" in option)


def _perhaps(out: Stream) -> Stream:
    """The same output, or none."""
    return out if out.text in ("", None) else Stream(sources=out.sources, names=out.names, flow=out.flow)


def _is_number(text: str | None) -> bool:
    return text is not None and text.rstrip("-").isdigit()


def _beside(stdin: Stream, sources: tuple[Resource, ...]) -> Stream:
    """The input of a command that may also read what is open at other descriptors."""
    if not sources:
        return stdin
    joined = merge(stdin.sources, sources)
    return Stream(text=stdin.text, sources=joined, names=stdin.names, flow=stdin.flow, connected=True)


def _is_other(target: Word | None) -> bool:
    """A descriptor that is not standard output, or one that is not known."""
    if target is None:
        return False
    text = target.plain
    return text is None or (_is_number(text) and text.rstrip("-") != "1") or text.startswith(("/dev/fd/", "/proc/"))


def _numeric(value: Value) -> bool:
    return not value.sources and all(re.fullmatch(rf"-?[0-9{NUM}]+", text) for text in value.alternatives)


def _external(vectors: list[tuple[Field, ...]], state: State) -> bool:
    """None of the commands can keep an assignment that stands before it."""
    plain = all(vector and vector[0].known and vector[0].text not in _KEEPING for vector in vectors)
    return plain and not state.functions


_KEEPING: Final = frozenset(("eval", "source", ".", "exec", "export", "readonly", "set", "unset", "trap", ":", "shift"))


def _joined(states: list[State]) -> State:
    end = states[0]
    for state in states[1:]:
        end = end.join(state)
    return end


def _concatenated(outputs: list[Stream]) -> Stream:
    if not outputs:
        return NOTHING
    sources: tuple[Resource, ...] = ()
    for out in outputs:
        sources = merge(sources, out.sources)
    texts = [out.text for out in outputs]
    size = sum(len(t) for t in texts if t is not None)
    text = None if None in texts or size > MAX_TEXT else "".join(t for t in texts if t is not None)
    flow = next((out.flow for out in outputs if out.flow), ())
    names: tuple[Resource, ...] = ()
    for out in outputs:
        names = merge(names, out.names)
    return Stream(text=text, sources=sources, names=names, flow=flow)


def _sometimes(outputs: list[Stream]) -> Stream:
    """Output of which parts may be missing."""
    both = _concatenated(outputs)
    if all(out.text == outputs[0].text for out in outputs) and len(outputs) == 1:
        return both
    quiet = all(out.text == "" for out in outputs)
    return Stream(text="" if quiet else None, sources=both.sources, names=both.names, flow=both.flow)


_HANDLERS: Final[Mapping[type, Callable[[Interpreter, Any, State, Stream], Done]]] = {
    Simple: Interpreter._simple,
    Pipeline: Interpreter._pipeline,
    Negated: Interpreter._negated,
    AndOr: Interpreter._and_or,
    Group: Interpreter._group,
    Redirected: Interpreter._redirected,
    If: Interpreter._if,
    Loop: Interpreter._loop,
    For: Interpreter._for,
    Case: Interpreter._case,
    Function: Interpreter._function,
    Test: Interpreter._test,
    Arithmetic: Interpreter._arithmetic,
    Opaque: Interpreter._opaque,
}

__all__ = ["Bound", "Interpreter"]
