"""Simple commands: assignments, every argument vector that the words may stand for, and their redirections.

Not concerned with what a command does: `_commands` knows.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

import msgspec

from guardrail.effects.domain._call import Call
from guardrail.effects.domain._environment import LIBRARIES, assuming, given, set_variable
from guardrail.effects.domain._state import State, join_values
from guardrail.effects.domain._values import (
    MAX_ALTERNATIVES,
    MAX_SAID,
    MAX_TEXT,
    NOTHING,
    NUM,
    SOMETHING,
    TOP,
    UNKNOWN,
    Field,
    Stream,
    Value,
    is_laden,
    merge,
    texts_of,
)
from guardrail.effects.shell._builtins import BUILTINS
from guardrail.effects.shell._commands import run_command
from guardrail.effects.shell._control import each_directory
from guardrail.effects.shell._expansion import array, elements, indexed, subscript, with_element
from guardrail.effects.shell._pieces import plain_fields
from guardrail.effects.shell._redirects import errors_too, moved, redirections, through_descriptors, write_out
from guardrail.effects.shell._streams import Done, joined, sometimes
from guardrail.effects.shell._traps import changed, rewritten
from guardrail.model import Resource
from guardrail.parse.ir import Assign, Redirect, Simple

if TYPE_CHECKING:
    from guardrail.effects.shell._interpreter import Interpreter


def simple(shell: Interpreter, node: Simple, state: State, stdin: Stream) -> Done:
    """One simple command."""
    shell.emit.step()
    span = shell.here = shell.outer or (node.start, node.end)
    before = shell.handed
    try:
        if not node.words:
            return _assignments(shell, node, state, stdin, span)
        if node.assigns:
            return _with_assignments(shell, node, state, stdin, span)
        if len(state.cwds) == 1:
            # Most commands run in one directory, and name no variable that was set here.
            vector = plain_fields(node.words)
            if vector is None and not state.vars:
                vector = shell.expand.whole(node.words, state)
            if vector is not None:
                return _run(shell, vector, node.redirects, state, state.cwds[0], stdin, span)
        vectors = list(shell.expand.alternatives(node.words, state))
        return _vectors(shell, vectors, node, state, stdin, span)
    finally:
        # What it was handed it passed on to all that it ran: functions, and what is wrapped.
        shell.handed = before


def _assignments(shell: Interpreter, node: Simple, state: State, stdin: Stream, span: tuple[int, int]) -> Done:
    for one in node.assigns:
        frozen = bool(state.traits) and not one.declared and "r" in state.traits.get(one.name, "")
        if frozen:
            shell.abort(state)
        assign(shell, one, state)
        if frozen:
            shell.abort(state)  # what its value sets is set all the same
    if not node.redirects:
        return state, state, NOTHING

    def once(inner: State, cwd: str | None) -> Done:
        call = shell.call("redirection", (), inner, cwd, stdin, span)
        outs, source = redirections(shell, node.redirects, call, NOTHING)
        # `$(< file)` is the file's content.
        return inner, inner, write_out(shell, outs, source, call)

    return each_directory(shell, state, once)


def assign(shell: Interpreter, given: Assign, state: State) -> None:
    """One assignment, applied to the state."""
    _assign(shell, given, state)
    if "xtrace" in state.modes:
        shell.complain(state, state.vars[given.name].sources)


def _assign(shell: Interpreter, given: Assign, state: State) -> None:
    if given.declared and state.traits.get(given.name, "").strip("liu") == "r":
        # `readonly a=(…)`: it was declared a moment ago, for the first time.
        traits, state.traits = state.traits, {**state.traits, given.name: ""}
        _assign(shell, given, state)
        state.traits = traits
        return
    if given.array is not None:
        old = state.vars.get(given.name)
        # Without `+=` nothing is left of what it held, but it stays what it was declared to be.
        if not given.append:
            old = _emptied(old) if old is not None and old.keyed else None
        elif old is None or (old.items is None and not old.plural):
            old = Value(plural=True) if old is None or TOP in old.alternatives else with_element(old, "0", *_only(old))
        olds = [array(items, old.sources) for items in old.variants] if old is not None and old.variants else [old]
        values = [elements(shell.expand, given.array, state, one) for one in olds]
        set_variable(shell, state, given.name, functools.reduce(join_values, values))
        return
    if given.name == "PATH":
        _assign_path(shell, given, state)
        return
    listing = given.name == LIBRARIES and not given.append
    value = shell.expand.value(given.value, assuming(state, given.name) if listing else state)
    if given.index is not None:
        _assign_element(shell, given, state, value)
        return
    if given.append:
        value = _appended(state.vars.get(given.name, UNKNOWN), value)
        if "i" in state.traits.get(given.name, ""):
            value = join_values(value, Value(alternatives=(NUM,), sources=value.sources))
    set_variable(shell, state, given.name, state.scalar(given.name, value))


def _emptied(old: Value) -> Value:
    return Value(items=None if old.plural else (), keyed=True, declared=old.declared, plural=old.plural)


def _only(value: Value) -> tuple[str, tuple[Resource, ...]]:
    return (value.alternatives[0] if len(value.alternatives) == 1 else TOP), value.sources


def _appended(old: Value, value: Value) -> Value:
    both = tuple((a + b)[: MAX_TEXT + 1] for a in old.alternatives for b in value.alternatives)
    sources = merge(old.sources, value.sources)
    if len(both) > MAX_ALTERNATIVES or any(len(text) > MAX_TEXT for text in both):
        return Value(sources=sources)
    return Value(alternatives=both, sources=sources)


def _assign_element(shell: Interpreter, given: Assign, state: State, value: Value) -> None:
    """`name[subscript]=value`."""
    old = state.vars.get(given.name)
    chosen = indexed(shell.expand, given, old, state, {}, (given.value.start, given.value.end))
    key = subscript(shell.expand, old, given.index or "0", state, chosen)
    if key is None or key == "":
        shell.abort(state)  # there may be no such element
    text, sources = _only(value)
    if given.append and key is not None:
        held = None if old is None or old.items is None else dict(old.items).get(key, "")
        text = TOP if held is None else held + text
    set_variable(shell, state, given.name, with_element(old, key, text, sources))


def _assign_path(shell: Interpreter, given: Assign, state: State) -> None:
    before = "\0" if state.path == () else ":".join((*state.path, "\0")) if state.path is not None else TOP
    probe = state.copy()
    probe.vars["PATH"] = Value(alternatives=(before,))
    value = shell.expand.value(given.value, probe)
    text = value.alternatives[0] if len(value.alternatives) == 1 else TOP
    set_variable(shell, state, "PATH", Value(alternatives=(before + text if given.append else text,)))


def _with_assignments(shell: Interpreter, node: Simple, state: State, stdin: Stream, span: tuple[int, int]) -> Done:
    """`X=1 command`: words see the old values, the command and what it runs see the new ones."""
    vectors = list(shell.expand.alternatives(node.words, state))
    inner = state.copy()
    for one in node.assigns:
        assign(shell, one, inner)
        shell.handed += tuple(given(inner.vars.get(one.name, UNKNOWN)))
    ok, bad, out = _vectors(shell, vectors, node, inner, stdin, span)
    keeps = not _external(vectors, state)
    for end in (ok,) if ok is bad else (ok, bad):
        for one in node.assigns:
            old, new = state.vars.get(one.name, UNKNOWN), end.vars.get(one.name, UNKNOWN)
            end.vars[one.name] = join_values(old, new) if keeps else old
            if not keeps and one.name not in state.vars:
                del end.vars[one.name]
        if not keeps:
            end.path, end.ifs = state.path, state.ifs
    return ok, bad, out


def _vectors(
    shell: Interpreter,
    vectors: list[tuple[Field, ...]],
    node: Simple,
    state: State,
    stdin: Stream,
    span: tuple[int, int],
) -> Done:
    """Run every argument vector that the words may stand for."""
    if len(vectors) == 1:
        return _vector(shell, vectors[0], node.redirects, state, stdin, span)
    shell.emit.maybe += 1
    oks: list[State] = []
    bads: list[State] = []
    outputs: list[Stream] = []
    for vector in vectors:
        ok, bad, out = _vector(shell, vector, node.redirects, state.copy(), stdin, span)
        oks.append(ok)
        bads.append(bad)
        outputs.append(out)
    shell.emit.maybe -= 1
    return joined(oks), joined(bads), sometimes(outputs)


def _vector(
    shell: Interpreter,
    vector: tuple[Field, ...],
    redirects: tuple[Redirect, ...],
    state: State,
    stdin: Stream,
    span: tuple[int, int],
) -> Done:
    return each_directory(shell, state, lambda inner, cwd: _run(shell, vector, redirects, inner, cwd, stdin, span))


def _run(
    shell: Interpreter,
    vector: tuple[Field, ...],
    redirects: tuple[Redirect, ...],
    state: State,
    cwd: str | None,
    stdin: Stream,
    span: tuple[int, int],
) -> Done:
    name = vector[0].text if vector else ""
    if name in _LEAVING:
        shell.jumps += 1
        shell.errexit = shell.errexit or (name == "set" and any(_may_exit(field.text) for field in vector[1:]))
    if state.opened and not stdin.connected:
        stdin = Stream(sources=state.opened, connected=True)  # `exec <f` gave it to everything after it
    call = Call(shell, name, vector[1:], state, cwd, stdin, span)
    # INVARIANT: whose content is in any word was noted when that was expanded.
    said = _complained(shell, vector, state) if shell.spoken and is_laden(vector) else ()
    diverted = shell.diverted
    if state.modes and "failglob" in state.modes and any(field.glob is not None or field.many for field in vector):
        shell.abort(state)
    if redirects:
        out = _redirected(shell, vector, redirects, call, said)
    else:
        out = run_command(call, vector) if vector else NOTHING
    if state.modes and "merged" in state.modes:
        out = _with_errors(out, said, name)
    if call.stdin is not SOMETHING:
        out = _passed_on(call.stdin, out, name)
    for sink in state.sinks:
        for item in out.sources:
            call.emit("copy", item, sink, flow=(*out.flow, "redirect"))
    if state.held and shell.diverted is not diverted:
        _held(call, shell.diverted)
    if shell.traps:
        rewritten(shell, state)
    return state, call.failed if call.failed is not None else state, out


def _redirected(
    shell: Interpreter,
    vector: tuple[Field, ...],
    redirects: tuple[Redirect, ...],
    call: Call,
    said: tuple[Resource, ...],
) -> Stream:
    """A command with redirections: it does not run where one of them fails."""
    state, name = call.state, call.name
    outs, source = redirections(shell, redirects, call, call.stdin)
    call.stdin = source
    before = state.copy() if call.doubted and (name in BUILTINS or state.functions) else None
    mark = shell.contents.mark() if call.doubted else None
    paths = [resource.path for resource, _, _ in outs if resource.path is not None]
    shell.contents.open(paths)
    out = run_command(call, vector) if vector else NOTHING
    shell.contents.close(paths, lasting=name == "exec")
    through_descriptors(shell, redirects, out, call)
    if before is not None:
        call.failed = before if call.failed is None else before.join(call.failed)
    if name == "exec" and len(vector) == 1:
        state.sinks = merge(state.sinks, tuple(resource for resource, _, _ in outs))
        state.held = merge(state.held, state.sinks)
        state.opened = merge(state.opened, source.sources)
        if shell.traps:
            changed(shell, state)
        if errors_too(redirects):
            state.modes |= {"merged"}
    if errors_too(redirects):
        out = _with_errors(out, merge(said, shell.diverted), name)
    out = moved(redirects, write_out(shell, outs, out, call), merged="merged" in state.modes)
    if mark is not None:
        shell.contents.weaken(mark)
    return out


def _complained(shell: Interpreter, vector: tuple[Field, ...], state: State) -> tuple[Resource, ...]:
    """Content in the words of a command, which may come out in a message, or in a trace."""
    traced = "xtrace" in state.modes
    if not vector or (vector[0].text in _QUIET and not traced):
        return ()
    sources: tuple[Resource, ...] = ()
    for field in vector:
        if field.sources:
            sources = merge(sources, field.sources)
    shell.complain(state, sources)
    return sources


def _with_errors(out: Stream, said: tuple[Resource, ...], name: str) -> Stream:
    """The output with messages in it."""
    if name in _QUIET or (name == "exec" and out.text == ""):
        return out if not said else msgspec.structs.replace(out, sources=merge(out.sources, said))
    # What goes wrong is told among names and numbers, too.
    return msgspec.structs.replace(out, text=None, listed=(), table="", sources=merge(out.sources, said))


_QUIET: Final = frozenset((":", "true", "false", "echo"))
"""Builtins that never complain."""


def _held(call: Call, sources: tuple[Resource, ...]) -> None:
    """What went to another descriptor than standard output is in whatever `exec 3>f` opened."""
    for sink in call.state.held:
        for item in sources:
            call.emit("copy", item, sink, flow=("redirect",))


def _passed_on(stdin: Stream, out: Stream, name: str) -> Stream:
    """Any filter may pass on what comes in: names, and texts of the call's own."""
    if out.text == "":
        return out
    said = texts_of(stdin) if out.text is None and name not in _SUMMING and stdin.connected else ()
    if not (stdin.names or said):
        return out
    said = (*out.said, *said)[:MAX_SAID]
    names = merge(out.names, stdin.names)
    return msgspec.structs.replace(out, names=names, said=said, connected=False)


_SUMMING: Final = frozenset("wc sha1sum sha224sum sha256sum sha384sum sha512sum md5sum b2sum cksum sum grep".split())
"""Filters that tell of their input and do not pass it on, or leave most of it out."""


def _external(vectors: list[tuple[Field, ...]], state: State) -> bool:
    """None of the commands can keep an assignment that stands before it."""
    plain = all(vector and vector[0].known and vector[0].text not in _KEEPING for vector in vectors)
    return plain and not state.functions


_LEAVING: Final = frozenset(
    ("exit", "return", "break", "continue", "exec", "set", "kill", "eval", "source", ".", "trap")
)
"""Commands after which the rest of a block may not run, or end where it would have gone on."""


def _may_exit(option: str) -> bool:
    """An option of `set` after which any command that fails ends the shell."""
    return option == "errexit" or TOP in option or (option[:1] == "-" and "e" in option)


_KEEPING: Final = frozenset(
    "eval source . exec export readonly set unset trap : shift times break continue return exit".split()
)
"""Builtins that keep an assignment before them, some only where the shell does as POSIX says."""
