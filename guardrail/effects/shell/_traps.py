"""Traps: what their texts do whenever they run, and what those change that may run between any two commands.

A text runs when the shell ends, or before. So it is walked when it is set, and again each time that something changes
which it looks at: a variable that it or a function that it calls names, the directory, where names of commands lead,
what descriptors are, and what is in files that it reads or runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, cast

import msgspec

from guardrail.effects.domain._emit import MUTATING
from guardrail.effects.domain._state import MOVING, State
from guardrail.effects.domain._values import UNKNOWN, Value, merge
from guardrail.model import Effect, Resource
from guardrail.parse import parse_shell
from guardrail.parse.ir import Expansion, For, Param, Simple, Statement, Word
from guardrail.patterns import lazy

if TYPE_CHECKING:
    from guardrail.effects.shell._interpreter import Interpreter

_JUMPS: Final = lazy(r"\b(?:return|break|continue)\b")
_NOWHERE: Final = "/guardrail-probe"


_READ: Final = frozenset("REPLY MAPFILE OPTARG OPTIND IFS".split())
"""Variables that builtins assign to without naming them."""

_SETTINGS: Final = ("PATH", "IFS", "HOME")
"""Variables that matter to every text."""

_USING: Final = frozenset(("read", "exec", "exec_opaque", "copy"))
"""What is done with a file whose content may decide about what follows."""

_USED: Final = lazy(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_NAME: Final = lazy(r"[A-Za-z_][A-Za-z0-9_]*")
_WORD: Final = lazy(r"[^\s;&|(){}<>'\"`$]+")


class Trap(msgspec.Struct, frozen=True, kw_only=True):
    """The text of a trap, and what it looks at.

    Args:
        names: variables that it uses, or a function that it may call.
        words: all words in those, of which some may be functions.
        defined: how often each function was defined so far.
        files: those that it was seen to read or to run; "" for any.
    """

    names: frozenset[str]
    words: frozenset[str]
    defined: dict[str, int]
    files: set[str]


def set_trap(shell: Interpreter, state: State, text: str) -> None:
    """A text runs later: what it does if that is at once, and what it would do after each change is said by then.

    Args:
        shell: the interpreter.
        state: the shell that it runs in.
        text: the text.
    """
    trap = _looked_at(shell, state, text)
    shell.traps = {**shell.traps, text: trap}
    for name in (*_SETTINGS, *trap.names):
        value = state.vars.get(name)
        if value is None and name not in _SETTINGS:
            # A shell that was started for this call; names of its environment are in capitals. It is set afterwards.
            if not name.islower() or state.args is None:
                continue
        elif value is not None:
            shell.relied |= {name}
        shell.awaited = {**shell.awaited, name: _joined(shell.awaited.get(name, ()), (text,))}
    _run(shell, state, text)


def _joined(some: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*some, *more)))


def changed(shell: Interpreter, state: State, name: str | None = None) -> None:
    """A variable was given a value that a trap may look at, or something else changed that all of them do."""
    if name is not None:
        shell.relied |= {name}
    for text in tuple(shell.traps if name is None else shell.awaited[name]):
        _again(shell, state, text)


def _again(shell: Interpreter, state: State, text: str) -> None:
    mark = shell.contents.mark()
    _run(shell, state, text)
    if text in shell.armed:
        shell.contents.lose(mark, lasting=True)
    else:
        shell.contents.weaken(mark)


def rewritten(shell: Interpreter, state: State) -> None:
    """What was done since this was asked last may have changed files that a trap reads or runs, or what names mean."""
    shell.last = state
    if len(shell.emit.moved) != shell.carried:
        shell.carried = len(shell.emit.moved)
        changed(shell, state)
    begin, end = min(shell.regarded, len(shell.emit.effects)), len(shell.emit.effects)
    shell.regarded = end
    places = [effect.target or effect.resource for effect in shell.emit.effects[begin:end] if effect.op in MUTATING]
    changed_ = [place.path for place in places if place.path is not None]
    for text, trap in tuple(shell.traps.items()):
        if changed_ and ("" in trap.files or _meet(shell, changed_, trap.files)):
            _again(shell, state, text)


def unsettled(shell: Interpreter) -> list[str]:
    """Texts that may find at the end what they did not find so far: a variable never set here, another function."""
    return [text for text, trap in shell.traps.items() if _is_unset(shell, text, trap) or _is_redefined(shell, trap)]


def _is_unset(shell: Interpreter, text: str, trap: Trap) -> bool:
    return any(text in shell.awaited.get(name, ()) and name not in shell.relied for name in trap.names)


def _is_redefined(shell: Interpreter, trap: Trap) -> bool:
    found = trap.words.intersection(shell.defined)
    return any(len(shell.defined[name]) != trap.defined.get(name, 0) for name in found)


def _run(shell: Interpreter, state: State, text: str) -> None:
    """What a text does in this state, of which by then only that is certain which the text is walked again for."""
    later = state.copy()
    later.forget()
    later.functions, later.cwds = dict(state.functions), state.cwds
    later.path, later.ifs, later.globs = state.path, state.ifs, state.globs
    for name in shell.traps[text].names:
        if text in shell.awaited.get(name, ()):
            later.vars[name] = state.vars.get(name, Value(alternatives=("",)) if name.islower() else UNKNOWN)
    if "HOME" in state.vars:
        later.vars["HOME"] = state.vars["HOME"]
    before, outer = len(shell.emit.effects), shell.traps
    awaited = shell.awaited
    shell.awaited = {}  # what it sets itself is no change from outside
    shell.traps = {}  # and what it writes, it reads as it is by then
    shell.run_later(text, later)
    shell.traps = {**outer, **shell.traps}
    outer[text].files.update(_used(shell.emit.effects[before:]))
    shell.regarded = len(shell.emit.effects)
    for name, texts in shell.awaited.items():
        awaited = {**awaited, name: _joined(awaited.get(name, ()), texts)}
    shell.awaited = awaited


def _used(effects: Sequence[Effect]) -> Iterator[str]:
    for effect in effects:
        if effect.op in _USING and effect.resource.path is not None:
            yield effect.resource.path
        elif effect.op == "exec_opaque" and effect.attrs.get("code") == "program":
            yield ""  # which files it runs is its own business


def _meet(shell: Interpreter, paths: Sequence[str], files: set[str]) -> bool:
    return any(shell.contents.same(path, file) for path in paths for file in files)


class _Look:
    """Variables and words in a text, wherever in it, and in the functions that it may call."""

    def __init__(self, functions: Mapping[str, tuple[Statement | None, ...]]) -> None:
        self.functions = functions
        self.names: set[str] = set()
        self.inner: set[str] = set()
        self.words: set[str] = set()

    def at(self, node: object) -> None:
        """A text, a part of a tree, or several."""
        if isinstance(node, str):
            self.names.update(_USED.findall(node))
            words = [word for word in _WORD.findall(node) if word not in self.words]
            self.words.update(words)
            for word in words:
                self.at(self.functions.get(word, ()))
        elif isinstance(node, tuple):
            for one in cast("tuple[object, ...]", node):
                self.at(one)
        elif isinstance(node, msgspec.Struct):
            self._of(node)
            for field in node.__struct_fields__:
                self.at(getattr(node, field))

    def _of(self, node: msgspec.Struct) -> None:
        if isinstance(node, Param | Expansion):
            self.names.add(node.name)
        elif isinstance(node, For):
            self.inner.add(node.name)
        elif isinstance(node, Simple) and node.words and node.words[0].plain == "local":
            self.inner.update(map(_declared, node.words[1:]))


def _looked_at(shell: Interpreter, state: State, text: str) -> Trap:
    look = _Look(state.functions)
    look.at(text)
    look.at(parse_shell(text).body)
    named = {name for name in look.names if _NAME.fullmatch(name)}
    # What is local there is not the variable of that name here; nothing is said of it.
    names = named - look.inner - MOVING - _READ - {"PATH"}
    defined = {name: len(bodies) for name, bodies in shell.defined.items()}
    return Trap(names=frozenset(names), words=frozenset(look.words), defined=defined, files=set())


def _declared(word: Word) -> str:
    first = word.plain if word.plain is not None else getattr(word.parts[0], "text", "") if word.parts else ""
    return first.partition("=")[0]


def arm(shell: Interpreter, state: State, text: str) -> None:
    """A text that runs on a signal, after an error or before every command.

    Args:
        shell: the interpreter.
        state: the shell that it may change.
        text: the text.
    """
    shell.armed = (*shell.armed, text)
    if _JUMPS.search(text):
        shell.dynamic("a trap leaves what runs", (0, 0))
    _shake(shell, state, text)


def rearm(shell: Interpreter, state: State) -> None:
    """A function was defined, which texts that are armed may call."""
    for text in shell.armed:
        _shake(shell, state, text)


def _shake(shell: Interpreter, state: State, text: str) -> None:
    """What the text changes is not known from here on; it is found out by running it where nothing is known."""
    if _ends(text):
        return
    probe = state.copy()
    probe.traits, probe.modes = {}, probe.modes | {"noting"}
    probe.cwds, probe.args = (_NOWHERE,), (_NOWHERE,)
    for name in probe.vars:
        # A text that leaves a variable alone leaves this mark on it.
        probe.vars[name] = Value(sources=(Resource(kind="env", uri=f"env:{name}"),))
    before = probe.copy()
    inner = type(shell)(shell.view, shell.limits, shell.expand.environment, shell.start)
    inner.depth, inner.begun, inner.emit.steps = shell.depth, True, shell.emit.steps
    ok, bad, _ = inner.run_here(text, probe)
    shell.emit.steps = inner.emit.steps
    _take_over(shell, state, before, ok.join(bad))


def _take_over(shell: Interpreter, state: State, before: State, end: State) -> None:
    for name, value in end.vars.items():
        if value != before.vars.get(name) or "w" in end.traits.get(name, ""):
            old = state.vars.get(name, UNKNOWN)
            sources = tuple(source for source in value.sources if source.kind != "env")
            state.mark(name, "v")
            state.put(name, Value(sources=merge(old.sources, sources), plural=True))
            if name == "PATH":
                state.path = None
            elif name == "IFS":
                state.ifs = False
    if end.cwds != before.cwds:
        state.cwds, state.modes = (None,), state.modes | {"moving"}
    if end.args != before.args:
        state.args, state.modes = None, state.modes | {"shuffling"}
    if end.functions != before.functions:
        shell.dynamic("a trap changes what a command means", (0, 0))
    state.globs = state.globs and end.globs
    state.modes |= end.modes - {"noting"}
    state.sinks, state.held = merge(state.sinks, end.sinks), merge(state.held, end.held)
    state.opened = merge(state.opened, end.opened)


def _ends(text: str) -> bool:
    """The text ends the shell, so that nothing comes after it."""
    body = parse_shell(text).body
    last = body[-1] if body else None
    return isinstance(last, Simple) and bool(last.words) and last.words[0].plain == "exit" and not last.redirects
