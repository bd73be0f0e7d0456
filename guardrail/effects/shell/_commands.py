"""Which command a name means, and its transfer function: a spec, a function of a family, a builtin, or opaque."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from guardrail.effects.catalogue._options import parse_options
from guardrail.effects.catalogue._spec import specs
from guardrail.effects.catalogue._subcommands import subcommand
from guardrail.effects.code._described import note_described
from guardrail.effects.code._drivers import OWNERS, note_own
from guardrail.effects.code._handed import STARTING, note_handed
from guardrail.effects.code._interpreters import run_interpreter
from guardrail.effects.code._kinds import interpreter_of
from guardrail.effects.code._lent_python import note_python
from guardrail.effects.code._placed import TAKING, note_placed
from guardrail.effects.code._programs import run_nested
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._conserved import conserved
from guardrail.effects.commands._families import FAMILIES
from guardrail.effects.domain._addresses import aliases
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._environment import given_words
from guardrail.effects.domain._paths import place
from guardrail.effects.domain._state import State, join_values
from guardrail.effects.domain._values import NOTHING, SOMETHING, UNKNOWN, Field, Stream, Value, merge
from guardrail.effects.shell._activation import of_environment
from guardrail.effects.shell._addressed import ASKING, CLIENTS, mention_addresses
from guardrail.effects.shell._builtins import BUILTINS
from guardrail.effects.shell._passing import by_variables, passed
from guardrail.effects.shell._programs import TRUSTED, run_file, search, tampered
from guardrail.effects.shell._requests import note_request
from guardrail.model import Resource
from guardrail.parse.ir import Group, Simple, Statement, Text

_IN_SHELL: Final = frozenset("echo printf true false : test [ pwd kill type times umask".split())
"""Names that bash runs itself, whatever PATH is."""


def run_command(call: Call, vector: Sequence[Field], *, functions: bool = True, builtins: bool = True) -> Stream:
    """The effects of one command, and its output.

    Args:
        call: the command, with its arguments; its name is taken from `vector`.
        vector: name and the same arguments.
        functions: shell functions may have that name (not so after `command`).
        builtins: so may builtins (not so after `env`).
    """
    out = _meant(call, vector, functions, builtins)
    if not call.printed:
        return out
    sources = merge(out.sources, call.printed)
    return msgspec.structs.replace(out, text=None, listed=(), table="", sources=sources, connected=False)


def _meant(call: Call, vector: Sequence[Field], functions: bool, builtins: bool) -> Stream:
    """The same, but for what the command itself wrote to a name of its standard output."""
    head = vector[0]
    if not head.known or head.sources or not head.text:
        call.name = "?"
        return call.opaque("dynamic", reason="the command's name is not known", words=vector)
    name = call.name = head.text
    if functions and call.state.functions and (bodies := call.state.functions.get(name)) is not None:
        return _call_function(call, vector, bodies)
    if builtins and (builtin := BUILTINS.get(name)) is not None:
        return builtin(call)
    if "/" in name:
        folder, _, base = name.rpartition("/")
        if tampered(call) or not (folder in TRUSTED or _of_environment(call, head, base)):
            return run_file(call, Field(text=name, span=head.span))
        call.name = name = base
    elif (call.state.path != () or call.shell.emit.placed or call.shell.libraries) and name not in _IN_SHELL:
        found = search(call, name)
        if found is not None:
            return found
    return known_command(call, name)


def _of_environment(call: Call, head: Field, name: str) -> bool:
    """A program of a virtual environment whose name says what it does; another one may be looked into."""
    told = interpreter_of(name) is not None or name in specs()
    return told and of_environment(call, call.place(head))


def known_command(call: Call, name: str) -> Stream:
    """A command that is what its name says, and whatever the session wrote of what it may run."""
    shell = call.shell
    emit = shell.emit
    before, call.name = len(emit.effects), name
    out = _known(call, name)
    if emit.made or shell.written_before or name in STARTING:
        note_handed(call, before)
        note_python(call, before)
        note_described(call, before)
    elif call.stdin is not SOMETHING or shell.handed:
        note_described(call, before)
    if emit.made or name in TAKING:
        note_placed(call, before)
    return _fetched(call, before, out)


def _fetched(call: Call, before: int, out: Stream) -> Stream:
    """What comes from a web address that is one of a hub or a store is what lies there by its own address."""
    effects = call.shell.emit.effects
    found: list[Resource] = []
    reaching = False
    for effect in effects[before:]:
        op = effect.op
        if op not in ASKING:
            continue
        if op == "net_recv":
            reaching = True
            found += aliases(effect.resource)
        elif op == "exec_opaque" or effect.resource.uri is not None:
            reaching = True
    if reaching and call.name in CLIENTS:
        note_request(call, effects[before:])
    if not found:
        if reaching:
            mention_addresses(call, effects[before:])
        return out
    for effect in effects[before:]:
        if effect.op in ("write", "append", "create"):
            for alias in dict.fromkeys(found):
                call.emit("copy", alias, effect.resource, flow=("download",), may=effect.modality == "may")
    for alias in dict.fromkeys(found):
        call.emit("read", alias, attrs={"reveals": "content"})
    return msgspec.structs.replace(out, text=None, sources=merge(out.sources, tuple(found)))


def _known(call: Call, name: str) -> Stream:
    if name in OWNERS:
        note_own(call, name)
    interpreter = interpreter_of(name)
    if interpreter is not None and not _is_store(call, name):
        return run_interpreter(call, interpreter)
    spec = specs().get(name)
    if spec is None:
        run_nested(call)
        return call.opaque("program")
    if spec.children:
        spec, call.args, found = subcommand(spec, call.args)
        if spec.children and not spec.entry.operands and not spec.entry.code:
            return _no_subcommand(call)
        call.name = f"{name} {found}" if found else name
    if call.state.vars and (more := given_words(call.state, call.name)):
        call.args = (*more, *call.args)
    parsed = parse_options(spec, call.args)
    if call.state.vars:
        by_variables(call, parsed)
    family = FAMILIES.get(spec.entry.code)
    emit = call.shell.emit
    if parsed.unknown:
        # An unknown option may take the next word: the effects below are one reading, the mentions cover the other.
        call.opaque("program", reason=f"option {parsed.unknown[0].text[:40]} is not known")
        emit.maybe += 1
    try:
        if parsed.injected and (spec.effectful or spec.entry.code):
            _injected(call, spec.effectful)
        before, cwd = len(emit.effects), call.cwd
        if family is None:
            out = apply_spec(call, parsed)
        else:
            out = family(call, parsed)
            out = conserved(call, parsed, before, cwd, out) if parsed.values else out
        return passed(call, parsed, before, out)
    finally:
        if parsed.unknown:
            emit.maybe -= 1


def _is_store(call: Call, name: str) -> bool:
    """`swift` is a compiler, the client of an object store, and a trainer of models."""
    spec = specs().get(name) if name == "swift" else None
    if spec is None or not call.args or call.args[0].text in _COMPILING or call.args[0].text.endswith(".swift"):
        return False
    return any(field.text in spec.children for field in call.args)


_COMPILING: Final = frozenset(("run", "build", "test", "package", "repl"))
"""What the compiler of that name is asked for."""


def _no_subcommand(call: Call) -> Stream:
    """A subcommand that no spec is about, or only a question for help."""
    if all(field.text in ("--help", "-h", "--version", "help", "version") for field in call.args):
        return SOMETHING
    return call.opaque("program", reason=f"this subcommand of {call.name} is not known")


def _injected(call: Call, roles: Sequence[str]) -> None:
    """A word of which nothing is known may turn out to be any option that the command has."""
    anywhere = place("**", "/", glob="**")
    for role in roles:
        if role in ("run", "shell", "opaque"):
            call.shell.emit.opaque(
                "dynamic", anywhere, spec=call.name, reason="an option may name a program", span=call.span
            )
        elif role in ("write", "append", "delete", "truncate", "into"):
            call.emit("delete" if role == "delete" else "write", anywhere, may=True)


def _call_function(call: Call, vector: Sequence[Field], bodies: Sequence[Statement | None]) -> Stream:
    shell = call.shell
    if shell.depth >= shell.limits.depth:
        return call.opaque("unparsed", reason="functions call each other too deep", words=vector)
    before = call.state.copy()
    outputs: list[Stream] = []
    ends: list[State] = []
    shell.depth += 1
    shell.locals.append({})
    mark, jumps = shell.contents.mark(), shell.jumps
    for body in bodies:
        state = before.copy()
        if body is None:
            again = shell.call(call.name, call.args, state, call.cwd, call.stdin, call.span)
            outputs.append(run_command(again, vector, functions=False))
            ends.append(state)
            continue
        state.hand(call.args)
        state.vars.setdefault("BASH_SOURCE", Value(plural=True))  # here it says where the function is from
        shell.returns.append(None)
        ok, bad, out = shell.statement(body, state, call.stdin)
        left = shell.returns.pop()
        outputs.append(out)
        ends.append(ok.join(bad) if left is None else ok.join(bad).join(left))
    shell.depth -= 1
    shell.contents.weaken(mark, anywhere=shell.jumps != jumps)  # it may return at any point
    hidden = shell.locals.pop()
    end = ends[0]
    for other in ends[1:]:
        end = end.join(other)
    end.args, end.handed = before.args, before.handed
    if hidden and end.traits != before.traits:
        inside = {name: letters for name, letters in end.traits.items() if name not in hidden}
        end.traits = {**inside, **{name: before.traits[name] for name in hidden if name in before.traits}}
    declared = {name for body in bodies if body is not None for name in _locals(body)}
    for name, value in hidden.items():
        # The caller's own value comes back; where the declaration may have been left out, what the function gave it.
        if name in shell.uncovered:
            value = Value(sources=(value or UNKNOWN).sources, plural=True)
        elif name not in declared or len(bodies) > 1:
            value = join_values(value or UNKNOWN, end.vars.get(name, UNKNOWN))
        if value is None:
            end.vars.pop(name, None)
        else:
            end.vars[name] = value
    call.state.assume(end)
    if len(outputs) == 1:
        return outputs[0]
    sources = outputs[0].sources
    for out in outputs[1:]:
        sources = merge(sources, out.sources)
    return Stream(sources=sources) if outputs else NOTHING


def _locals(body: Statement) -> set[str]:
    """Variables that a function surely makes local: declared by one of its own statements."""
    found: set[str] = set()
    for statement in body.body if isinstance(body, Group) else ():
        inner = statement.body[0] if isinstance(statement, Group) and not statement.subshell else statement
        if isinstance(inner, Simple) and inner.words and inner.words[0].plain == "local":
            for word in inner.words[1:]:
                first = word.parts[0] if word.parts else None
                found.add(first.text.partition("=")[0] if isinstance(first, Text) else "")
    return found
