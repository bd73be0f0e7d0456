"""Which command a name means, and its transfer function: a spec, a function of a family, a builtin, or opaque."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from guardrail.effects.catalogue._options import Parsed, parse_options
from guardrail.effects.catalogue._spec import specs
from guardrail.effects.catalogue._subcommands import subcommand
from guardrail.effects.code._described import note_described
from guardrail.effects.code._drivers import OWNERS, note_own
from guardrail.effects.code._handed import STARTING, name_sources, note_handed
from guardrail.effects.code._interpreters import run_interpreter
from guardrail.effects.code._kinds import interpreter_of
from guardrail.effects.code._placed import TAKING, note_placed
from guardrail.effects.code._programs import run_nested
from guardrail.effects.code._running import run_script
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._conserved import conserved
from guardrail.effects.commands._families import FAMILIES
from guardrail.effects.domain._addresses import aliases, aliases_in, at, is_of_hub
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import as_code
from guardrail.effects.domain._environment import given, given_options, given_words
from guardrail.effects.domain._paths import escape, place
from guardrail.effects.domain._values import (
    NOTHING,
    NUM,
    SOMETHING,
    UNKNOWN,
    Field,
    State,
    Stream,
    Value,
    is_known,
    is_laden,
    join_values,
    merge,
)
from guardrail.effects.shell._activation import of_environment
from guardrail.effects.shell._builtins import BUILTINS
from guardrail.effects.shell._filters import FILTERS, filtered, printed
from guardrail.effects.shell._listings import with_listed
from guardrail.effects.shell._reading import file_text
from guardrail.model import Resource
from guardrail.parse.ir import Group, Simple, Statement, Text
from guardrail.patterns import lazy

TRUSTED: Final = frozenset(("/bin", "/usr/bin", "/usr/local/bin", "/sbin", "/usr/sbin", "/usr/local/sbin"))
"""Directories whose programs are taken to be what their names say."""

_IN_SHELL: Final = frozenset("echo printf true false : test [ pwd kill type times umask".split())
"""Names that bash runs itself, whatever PATH is."""


def run_command(call: Call, vector: Sequence[Field], *, functions: bool = True, builtins: bool = True) -> Stream:
    """The effects of one command, and its output.

    Args:
        call: the command; its name and arguments are taken from `vector`.
        vector: name and arguments.
        functions: shell functions may have that name (not so after `command`).
        builtins: so may builtins (not so after `env`).
    """
    out = _meant(call, vector, functions=functions, builtins=builtins)
    if not call.printed:
        return out
    sources = merge(out.sources, call.printed)
    return msgspec.structs.replace(out, text=None, listed=(), table="", sources=sources, connected=False)


def _meant(call: Call, vector: Sequence[Field], *, functions: bool, builtins: bool) -> Stream:
    """The same, but for what the command itself wrote to a name of its standard output."""
    head = vector[0]
    call.args = tuple(vector[1:])
    if not head.known or head.sources or not head.text:
        call.name = "?"
        return call.opaque("dynamic", reason="the command's name is not known", words=vector)
    name = call.name = head.text
    bodies = call.state.functions.get(name) if functions else None
    if bodies is not None:
        return _call_function(call, vector, bodies)
    builtin = BUILTINS.get(name) if builtins else None
    if builtin is not None:
        return builtin(call)
    if "/" in name:
        folder, _, base = name.rpartition("/")
        if _tampered(call) or not (folder in TRUSTED or _of_environment(call, head, base)):
            return run_file(call, Field(text=name, span=head.span))
        call.name = name = base
    elif (call.state.path != () or call.shell.emit.placed or call.shell.libraries) and name not in _IN_SHELL:
        found = _search(call, name)
        if found is not None:
            return found
    return known_command(call, name)


def _of_environment(call: Call, head: Field, name: str) -> bool:
    """A program of a virtual environment whose name says what it does; another one may be looked into."""
    told = interpreter_of(name) is not None or name in specs()
    return told and of_environment(call, call.place(head))


def known_command(call: Call, name: str) -> Stream:
    """A command that is what its name says, and whatever the session wrote of what it may run."""
    before, call.name = len(call.shell.emit.effects), name
    out = _known(call, name)
    shell = call.shell
    if shell.emit.made or shell.written_before or name in STARTING:
        note_handed(call, before)
        note_described(call, before)
    elif call.stdin is not SOMETHING or shell.handed:
        note_described(call, before)
    if shell.emit.made or name in TAKING:
        note_placed(call, before)
    return _fetched(call, before, out)


def _fetched(call: Call, before: int, out: Stream) -> Stream:
    """What comes from a web address that is one of a hub or a store is what lies there by its own address."""
    effects = call.shell.emit.effects
    found: list[Resource] = []
    reaching = False
    for effect in effects[before:]:
        op = effect.op
        if op == "net_recv":
            reaching = True
            found += aliases(effect.resource)
        elif op == "exec_opaque":
            reaching = True
    if not found:
        if reaching:
            _mention_hubs(call)
        return out
    for effect in effects[before:]:
        if effect.op in ("write", "append", "create"):
            for alias in dict.fromkeys(found):
                call.emit("copy", alias, effect.resource, flow=("download",), may=effect.modality == "may")
    for alias in dict.fromkeys(found):
        call.emit("read", alias, attrs={"reveals": "content"})
    return msgspec.structs.replace(out, text=None, sources=merge(out.sources, tuple(found)))


def _mention_hubs(call: Call) -> None:
    """Name what words are the address of, to a program that may fetch it or do anything else to it."""
    if not is_of_hub(" ".join([field.text for field in call.args])):
        return
    for field in call.args:
        for alias in aliases_in(field.text):
            call.emit("mention", alias, precision="opaque", may=True)


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
        _by_variables(call, parsed)
    family = FAMILIES.get(spec.entry.code)
    if parsed.unknown:
        # An unknown option may take the next word: the effects below are one reading, the mentions cover the other.
        call.opaque("program", reason=f"option {parsed.unknown[0].text[:40]} is not known")
        call.shell.emit.maybe += 1
    try:
        if parsed.injected and (spec.effectful or spec.entry.code):
            _injected(call, spec.effectful)
        before, cwd = len(call.shell.emit.effects), call.cwd
        if family is None:
            out = apply_spec(call, parsed)
        else:
            out = family(call, parsed)
            out = conserved(call, parsed, before, cwd, out) if parsed.values else out
        return _passed(call, parsed, before, out)
    finally:
        if parsed.unknown:
            call.shell.emit.maybe -= 1


def _passed(call: Call, parsed: Parsed, before: int, out: Stream) -> Stream:
    """What words, input and variables of a command bring into its effects and its output."""
    if call.shell.handed or call.state.vars:
        _environment(call, before)
    given = _in_words(call) if is_laden(call.args) else ()
    if given or call.stdin is not SOMETHING or call.shell.emit.made:
        _handed_on(call, parsed, before, given)
    if given:
        out = _with_arguments(out, given)
    if call.name in _WORKED_OUT:
        out = _with_text(call, parsed, out)
    return with_listed(call, parsed, out) if call.shell.listening else out


def _by_variables(call: Call, parsed: Parsed) -> None:
    """Options that variables give the command, if its words do not."""
    for name, field in given_options(call.state, call.name):
        option = parsed.spec.long(name)
        if option is None or option.name in parsed.flags:
            continue
        parsed.flags.add(option.name)
        if option.roles:
            parsed.take(option.name, option.roles[0], field)


def _environment(call: Call, before: int) -> None:
    """A command that changes something may do so where its environment says, instead of where it usually does."""
    if any(effect.op not in _LOOKING for effect in call.shell.emit.effects[before:]):
        for text in dict.fromkeys((*call.shell.handed, *_own_variables(call))):
            call.mention_text(text)


def _own_variables(call: Call) -> list[str]:
    """What variables hold that begin with the command's own name, such as `UV_CACHE_DIR` of `uv`."""
    start = call.name.partition(" ")[0].upper().replace("-", "_")
    if len(start) < len("GO"):
        return []
    return [text for name, value in call.state.vars.items() if name.startswith(start) for text in given(value)]


_LOOKING: Final = frozenset(("read", "list", "exec", "env", "net_recv", "mention", "exec_opaque"))
"""Operations that leave everything as it was, or have told of the environment themselves."""


def _is_store(call: Call, name: str) -> bool:
    """`swift` is a compiler, the client of an object store, and a trainer of models."""
    spec = specs().get(name) if name == "swift" else None
    return spec is not None and any(field.text in spec.children for field in call.args)


def _no_subcommand(call: Call) -> Stream:
    """A subcommand that no spec is about, or only a question for help."""
    if all(field.text in ("--help", "-h", "--version", "help", "version") for field in call.args):
        return SOMETHING
    return call.opaque("program", reason=f"this subcommand of {call.name} is not known")


def _with_text(call: Call, parsed: Parsed, out: Stream) -> Stream:
    """The output of a filter, where its input and its words are known."""
    if out.text is not None or not all(field.known for field in call.args):
        return out
    args = [field.text for field in call.args]
    if call.name in FILTERS:
        text = _of_filter(call, parsed.operands, args)
    else:
        text = printed(call.name, args, posix="posix" in call.state.modes)
    if text is None:
        return out
    return Stream(text=text, sources=out.sources, names=out.names, flow=out.flow)


def _of_filter(call: Call, operands: Sequence[Field], args: list[str]) -> str | None:
    """What a filter prints of its input or of its files; None if that is not known, or nobody asks."""
    given = call.stdin.text
    if call.name == "grep":
        if not (call.shell.listening and operands):
            return None  # it is often asked for what nobody makes words of
        files = operands[1:]
        if args[-len(operands) :] != [field.text for field in operands]:
            return None
        given = file_text(call, files) if files else given
        args = args[: len(args) - len(files)]
    elif call.name in _FILES and operands and [field.text for field in operands] != ["-"]:
        named = {field.text for field in operands}
        many = len(operands) > 1
        given = file_text(call, operands) if not many or call.name in ("cat", "sort", "cut") else None
        args = [word for word in args if word not in named]
    return None if given is None else filtered(call.name, args, given)


_WORKED_OUT: Final = frozenset((*FILTERS, "printf", "echo", "basename", "dirname"))
"""Commands whose output may be worked out."""

_FILES: Final = frozenset("cat tac rev head tail sort uniq cut base64 base32 xxd paste".split())
"""Filters all of whose operands are files."""


_SUBSTITUTED: Final = f"/dev/fd/{NUM}"
"""What a process substitution becomes."""


def _in_words(call: Call) -> tuple[Resource, ...]:
    """Whose content is in the words themselves."""
    return tuple(
        source for field in call.args if field.sources and _SUBSTITUTED not in field.text for source in field.sources
    )


def _handed_on(call: Call, parsed: Parsed, before: int, given: tuple[Resource, ...]) -> None:
    """Content in a word goes into whatever the command writes and to where it sends; its input too, if asked for."""
    fed = call.stdin.sources
    if call.stdin.text or call.shell.emit.made:
        _described(call, parsed, before)
    if not given and not fed:
        return
    if fed and any(_INPUT.search(field.text) for field in call.args):
        given, fed = merge(given, fed), ()
    effects = call.shell.emit.effects[before:]
    said = {(effect.resource, effect.target) for effect in effects if effect.target is not None}
    service = specs().file_of(parsed.spec.entry.names[0]) in _ASKING
    takes = service and parsed.spec.entry.stdin != "none"
    for effect in effects:
        if effect.op not in _CARRYING:
            continue
        place = effect.target if effect.target is not None else effect.resource
        open_ = (takes or effect.op == "remote_exec") and not _CLOSED.match(place.uri or "")
        for source in merge(given, fed) if open_ else given:
            if source != place and (source, place) not in said:
                said.add((source, place))
                call.emit("copy", source, place, flow=("argument",), may=True)
    if given and not said and service:
        for source in given:
            call.emit("copy", source, at("net", call.name), flow=("argument",), may=True)


def _described(call: Call, parsed: Parsed, before: int) -> None:
    """What is to run somewhere may be described by the input, or a file of this call: every path in it is mentioned."""
    if specs().file_of(parsed.spec.entry.names[0]) not in _DEPLOYING:
        return
    if not any(effect.op in _CARRYING for effect in call.shell.emit.effects[before:]):
        return
    texts = [call.given_text()] if any(_INPUT.search(field.text) for field in call.args) else []
    for field in call.args:
        path = call.place(field).path if field.known else None
        if path is not None and call.shell.contents.knows(path):
            texts.append(call.text_of(field))
    for text in texts:
        if text:
            call.mention_text(text)


_DEPLOYING: Final = frozenset(("builds.toml", "containers.toml", "k8s.toml"))
"""Files of the catalogue whose commands start what a text describes."""

_INPUT: Final = re.compile(r"(?:^|[=@])-$|/dev/stdin$|^--?[a-z-]*stdin(?:$|=)")
"""Words that ask for the standard input."""

_CARRYING: Final = frozenset(
    "create write append net_send net_recv remote_exec api_copy api_visibility set_security set_key record_score "
    "service schedule link rename".split()
)
"""Operations after which what a word says may be found somewhere."""

_CLOSED: Final = lazy(r"docker:(?!model/|machine/)|k8s:(?!node)")
"""Places whose commands get no input unless they are asked to, which the functions of those commands see to."""

_ASKING: Final = frozenset(
    f"{name}.toml"
    for name in "aws azure builds gcloud hubs k8s objectstores containers packages network databases net".split()
)
"""Files of the catalogue whose commands ask a service about what their words name."""


def _with_arguments(out: Stream, given: tuple[Resource, ...]) -> Stream:
    """Words with content in them may come out again: a format, a name, a message."""
    if out.text is not None:
        return out
    return msgspec.structs.replace(out, sources=merge(out.sources, given), connected=False)


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


def _tampered(call: Call) -> bool:
    """This call itself put something where trusted programs live."""
    # An address of which nothing is known is left to policy: it could be an asset, which is stricter.
    placed = call.shell.emit.placed
    libraries = call.shell.libraries
    if placed and not (TRUSTED.isdisjoint(placed) and libraries.isdisjoint(placed)):
        return True
    return "" in libraries and _loads_here(call)


def _loads_here(call: Call) -> bool:
    """A library in the working directory may be loaded in place of the system's."""
    if call.cwd is None or not is_known(call.cwd):
        return True
    if any(".so" in path.rpartition("/")[2] or "*" in path for path in call.shell.emit.made):
        return True
    return call.shell.view.glob(f"{escape(call.cwd.rstrip('/'))}/lib*.so*") != ()


def _search(call: Call, name: str) -> Stream | None:
    """Look the name up where PATH now looks first; None if it is the trusted command."""
    if call.state.path is None:
        return call.opaque("dynamic", reason="what command names mean was changed")
    if call.state.path:
        found = _found_first(call, name, call.state.path)
        if found is not None:
            return found
    if _tampered(call):
        return call.opaque("dynamic", reason="a program was put where commands live")
    return None


def _found_first(call: Call, name: str, folders: Sequence[str]) -> Stream | None:
    """Look the name up in directories that were put before those of the system."""
    for folder in folders:
        path = f"{folder}/{name}"
        if folder in call.shell.environments:
            # What its name says, as outside of the environment; a file that was written there is one to be asked about.
            emit = call.shell.emit
            own = emit.placed_in(folder) or not emit.changed(f"{folder}/activate")
            changed = own and call.shell.contents.changed(path)
            if call.shell.view.kind(path) is not None or changed:
                attrs = {"authored": True} if changed else None
                where = Resource(kind="file", path=path)
                emit.opaque("program", where, spec=name, span=call.span, attrs=attrs)
            continue
        if call.shell.view.kind(path) is not None or call.shell.emit.changed(path):
            return run_file(call, Field(text=path))
    if not call.shell.environments.issuperset(folders):
        # Nothing of that name is there now; by the time it runs something may be.
        call.shell.emit.opaque("program", as_code(name), spec=name, span=call.span)
        call.mention_cwd()
        call.mention(call.args)
    return None


def _script_kind(data: bytes) -> str | None:
    """What a file's text is for: `shell` also without a `#!`, as the shell does it; None for what is not known."""
    if b"\0" in data:
        return None
    if not data.startswith(b"#!"):
        return "shell"
    words = data.partition(b"\n")[0][2:].decode("utf-8", "replace").split()
    names = [word.rpartition("/")[2] for word in words]
    if names and names[0] == "env":
        names = [name for name in names[1:] if name[:1] != "-" and "=" not in name]
    return interpreter_of(names[0]) if names else None


def run_file(call: Call, path: Field) -> Stream:
    """A program given by its path: a small shell script is analysed, another script or a binary is opaque."""
    resource = call.place(path)
    known = resource.path is not None and call.shell.contents.knows(resource.path)
    changed = resource.path is not None and not known and call.shell.emit.wrote(resource.path)
    attrs = {"authored": True} if changed else None
    if resource.path is None:
        return call.opaque("dynamic", resource=resource, reason="a program whose path is not known")
    if resource.path.startswith(("/etc/init.d/", "/etc/rc.d/")):
        verb = " ".join(field.text for field in call.args)[:100]
        unit = at("systemd", resource.path.rpartition("/")[2])
        call.emit("list" if verb == "status" else "service", unit, attrs={"verb": verb})
    data = call.content(resource)
    kind = _script_kind(data) if data is not None else None
    if kind is None or attrs is not None:
        spec = call.name if "/" in call.name else path.text  # by its path, whether the call says so or PATH does
        call.shell.emit.opaque("program", resource, spec=spec, span=call.span, attrs=attrs)
        call.mention_cwd()
        call.mention(call.args)
        call.mention_input()
        _as_named(call, resource)
        name_sources(call, resource.path.rpartition("/")[2])
        return Stream(sources=call.stdin.sources, flow=call.stdin.flow)
    return run_script(call, kind, path, call.args)


def _as_named(call: Call, program: Resource) -> None:
    """A program with the name of an interpreter most likely is one: what it would do is told as well."""
    name = (program.path or "").rpartition("/")[2]
    kind = interpreter_of(name)
    if kind in ("shell", "python") and call.args:
        with call.perhaps():
            run_interpreter(call.shell.call(name, call.args, call.state, call.cwd, call.stdin, call.span), kind)


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
