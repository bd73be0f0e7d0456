"""Commands that change the shell itself: directory, variables, functions, what is run next."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Final

from guardrail.effects.catalogue._spec import specs
from guardrail.effects.code._interpreters import interpreter_of
from guardrail.effects.code._scripts import STANDARD_INPUT, is_stream, script_texts
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import Code
from guardrail.effects.domain._environment import given, set_variable
from guardrail.effects.domain._values import (
    DEEP,
    FIRM,
    NAME,
    NOTHING,
    NUM,
    SLIM,
    SOMETHING,
    TOP,
    UNKNOWN,
    Field,
    Stream,
    Value,
    is_shell_text,
    merge,
)
from guardrail.effects.shell._activation import activated
from guardrail.effects.shell._expansion import array, subscript
from guardrail.effects.shell._numbers import calculate
from guardrail.effects.shell._reading import read
from guardrail.model import Resource
from guardrail.parse import Misparse, arithmetic_names, parse_shell
from guardrail.parse.ir import Simple

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_USED = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_MOVING: Final = frozenset("REPLY MAPFILE OPTARG OPTIND PWD OLDPWD PATH IFS _ RANDOM SECONDS LINENO".split())
"""Variables that change without being assigned."""
_ELEMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\[([A-Za-z0-9_]+)\]")
_PLAIN_SET = re.compile(r"[-+][abehmnptuvxBCEHPT]+")
_PLAIN_SHOPT: Final = frozenset(
    "checkwinsize histappend cmdhist lithist inherit_errexit huponexit checkjobs "
    "checkhash interactive_comments progcomp promptvars xpg_echo sourcepath".split()
)
_PATTERN_SHOPT: Final = _PLAIN_SHOPT | frozenset(
    "nullglob failglob dotglob globstar extglob nocaseglob nocasematch".split()
)
_PLAIN_SET_NAMES: Final = frozenset(
    "errexit nounset xtrace pipefail verbose allexport errtrace functrace monitor".split()
)


def cd(call: Call) -> Stream:
    """`cd`, `chdir`: where it succeeds the directory is the new one, where it fails the old one."""
    state = call.state
    operands = [field for field in call.args if field.text not in ("-P", "-L", "-e", "-@", "--", "-LP", "-PL")]
    call.failed = state.copy()
    if not operands:
        home = call.shell.expand.lookup("HOME", state, {})[0]
        state.cwds = (home if home.startswith("/") and TOP not in home else None,)
        return NOTHING
    field = operands[0]
    if len(operands) > 1 or field.text in ("-", "") or field.text.startswith("-") or "CDPATH" in state.vars:
        state.cwds = (None,)
        return NOTHING
    target = call.place(field, kind="dir").path if field.known else None
    if target is None:
        state.cwds = _entered(call, field)
        return NOTHING
    # The shell takes `..` as text, the kernel does not: behind a symbolic link they lead to different places.
    state.cwds = tuple(dict.fromkeys((_folded(target), posixpath.normpath(_folded(target)))))
    return NOTHING


def _entered(call: Call, field: Field) -> tuple[str | None, ...]:
    """Directories of which some names are not known, but of each that it is one; None if it may be any."""
    plain = field.text.replace(NAME, "").replace(FIRM, "")
    if field.glob is not None or field.many or TOP in plain or DEEP in plain:
        return (None,)
    text = call.above_fresh(field.text)
    bare = [part for part in text.split("/") if part and not part.strip(_MARKS)]
    # A name that is only what was put in may be empty as well, and then the directory is another one.
    texts = dict.fromkeys((text, "/".join("" if part in bare else part for part in text.split("/"))))
    heads = [one if one.startswith("/") else f"{(call.cwd or '').rstrip('/')}/{one}" for one in texts]
    if len(bare) > 1 or any(not one.startswith("/") or ".." in one.split("/") for one in heads):
        return (None,)
    return tuple(dict.fromkeys(map(_folded, heads)))


_MARKS: Final = TOP + NUM + SLIM + FIRM


def _folded(path: str) -> str:
    # Only what means the same through any link is folded: empty components and `.`; `..` is left to the filesystem.
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return "/" + "/".join(parts)


def pushd(call: Call) -> Stream:
    """`pushd DIR` goes there; anything else about the stack is not followed."""
    if len(call.args) == 1 and not call.args[0].text.startswith(("+", "-")):
        return cd(call)
    call.state.cwds = (None,)
    return NOTHING


def popd(call: Call) -> Stream:
    """`popd`: the stack is not followed."""
    call.state.cwds = (None,)
    return NOTHING


def export(call: Call) -> Stream:
    """`export`, `readonly`, `declare`, `typeset`, `local`: assignments as words."""
    local = call.name in ("local", "declare", "typeset")
    keyed = call.name != "export" and any(field.text[:1] == "-" and "A" in field.text for field in call.args)
    shown = (
        call.state.contents()
        if any(field.text[:1] == "-" and "p" in field.text for field in call.args) or not call.args
        else ()
    )
    # What is exported reaches every program that is started afterwards.
    exports = call.name == "export" or any(field.text[:1] == "-" and "x" in field.text for field in call.args)
    for field in call.args:
        text = field.text
        if text[:1] in "-+":
            if call.name != "export" and "n" in text and call.name != "readonly":
                call.state.forget()
                return call.opaque("unparsed", reason="a reference to another variable")
            if set(text[1:]) - set("xrigaAlufpFtn"):
                call.state.forget()
            if "i" in text:
                call.shell.dynamic("an integer variable evaluates what it is given", call.span)
            continue
        name, equals, rest = text.partition("=")
        append = name.endswith("+")
        name = name.rstrip("+")
        if not _NAME.fullmatch(name):
            call.state.forget()
            return call.opaque("unparsed", reason="a declaration that is not understood")
        if local:
            call.shell.note_local(name, call.state)
        if equals:
            texts = (TOP,) if append else (rest, "") if field.void else (rest,)
            value = Value(alternatives=texts, sources=field.sources)
            if name != "PATH" and not call.shell.locals:
                value = call.state.scalar(name, value)
            set_variable(call.shell, call.state, name, value if name != "PATH" else _path(call, rest))
        elif local:
            set_variable(call.shell, call.state, name, _declared(call, name, keyed=keyed))
        if exports and name != "PATH" and (equals or not local):
            call.shell.exported.update(dict.fromkeys(given(call.state.vars.get(name, UNKNOWN))))
    return Stream(sources=shown) if shown else NOTHING


def _declared(call: Call, name: str, *, keyed: bool) -> Value:
    """A variable that is declared without a value: empty in a function, what it was outside of one."""
    old = call.state.vars.get(name)
    if call.shell.locals:
        return Value(alternatives=("",), items=(), keyed=keyed, declared=keyed)
    if keyed:
        fresh = Value(alternatives=("",), items=(), keyed=True, declared=True)
        return fresh if old is None else old if old.keyed else Value(keyed=True, plural=True)
    return Value(plural=True) if old is None else old


def _path(call: Call, text: str) -> Value:
    # A TOP in `export PATH=…` may be the old PATH or anything; only directories before it are certain.
    assumed = call.shell.expand.environment.get("PATH")
    before = ":".join((*(call.state.path or ()), "\0"))
    if call.state.path is None:
        return UNKNOWN
    if assumed and assumed in text:
        return Value(alternatives=(text.replace(assumed, before),))
    return Value(alternatives=(text,))


def _unset_element(call: Call, name: str, index: str) -> None:
    """`unset 'a[1]'`."""
    old = call.state.vars.get(name)
    key = subscript(call.shell.expand, old, index, call.state, {})
    if old is None or old.items is None or key is None:
        set_variable(call.shell, call.state, name, Value(sources=old.sources if old is not None else (), plural=True))
        return
    items = tuple(item for item in old.items if item[0] != key)
    set_variable(call.shell, call.state, name, array(items, old.sources, like=old))


def unset(call: Call) -> Stream:
    """`unset`: what was set is gone, also a function that hid a command."""
    for field in call.args:
        if field.known and (element := _ELEMENT.fullmatch(field.text)):
            _unset_element(call, element[1], element[2])
            continue
        if not field.known or not _NAME.fullmatch(field.text.lstrip("-") or "x"):
            call.state.forget()
            return call.opaque("dynamic", reason="what is unset is not known")
        if not field.text.startswith("-"):
            # `-v`, and a variable of that name, leave the function; a read-only one stays anyway.
            bodies = call.state.functions.get(field.text)
            if bodies is not None:
                call.state.functions[field.text] = bodies if None in bodies else (*bodies, None)
            gone = UNKNOWN if field.text == "PATH" else Value(alternatives=("",), items=())
            set_variable(call.shell, call.state, field.text, gone)
            if field.text == "IFS":
                call.state.ifs = True
    return NOTHING


def set_(call: Call) -> Stream:
    """`set`: options that matter to words, and the positional parameters."""
    args = list(call.args)
    if not args:
        return Stream(sources=call.state.contents())
    while args:
        field = args.pop(0)
        text = field.text
        if text == "--" or text[:1] not in "-+" or field.many:
            rest = args if text == "--" else [field, *args]
            call.state.hand(rest)
            return NOTHING
        if (text in ("-o", "+o") and args) or (re.fullmatch(r"-[euxva]*o", text) and args):
            option = args.pop(0).text
            if option not in _PLAIN_SET_NAMES:
                call.state.globs = False
                if option not in ("noglob", "posix", "physical", "braceexpand", "noclobber", "noexec"):
                    call.state.path = None
        elif not _PLAIN_SET.fullmatch(text):
            call.state.globs = False
            if set(text[1:]) - set("abefhmnptuvxBCEHPT"):
                call.state.path = None  # `-k` makes words after a command's name its environment
    return NOTHING


def shift(call: Call) -> Stream:
    """`shift`: the positional parameters move."""
    args = call.state.args
    count = 1 if not call.args else int(call.args[0].text) if call.args[0].text.isdigit() else -1
    call.state.args = args[count:] if args is not None and 0 <= count <= len(args) else None
    return NOTHING


def shopt(call: Call) -> Stream:
    """`shopt`: globs no longer mean what they mean by default."""
    names = {field.text for field in call.args if not field.text.startswith("-")}
    if names <= _PLAIN_SHOPT and all(field.known for field in call.args):
        return NOTHING
    call.state.globs = False
    if names - _PATTERN_SHOPT:
        out = call.opaque("unparsed", reason="an option of the shell that is not modelled", words=())
        call.state.forget()
        return out
    return NOTHING


def eval_(call: Call) -> Stream:
    """`eval`: its words, joined, are shell text in this very shell."""
    if not all(field.known or not (field.many or field.sources or field.glob) for field in call.args):
        out = call.opaque("dynamic", reason="the text given to eval is not known")
        call.state.forget()
        return out
    text = " ".join(field.text for field in call.args)
    ok, bad, out = call.shell.run_text(text, call.state, call.stdin)
    call.state.assume(ok.join(bad))
    return out


def source(call: Call) -> Stream:
    """`source FILE`, `. FILE`: a small readable file is analysed in this shell."""
    if not call.args or not call.args[0].known:
        out = call.opaque("dynamic", reason="the file to source is not known")
        call.state.forget()
        return out
    field = _beside(call, call.args[0])
    resource = call.place(field)
    text = None
    if is_stream(resource.path) or (resource.path is not None and call.shell.view.kind(resource.path) == "other"):
        return _source_stream(call, resource)
    if "/" in field.text and activated(call, resource):
        return NOTHING
    if resource.path is not None and "/" in field.text:
        texts = script_texts(call, resource)
        text = texts[0] if len(texts) == 1 else None
    if text is None:
        # Without a slash the file is looked for along PATH.
        code: Code = "script" if resource.path is not None and "/" in field.text else "dynamic"
        authored = resource.path is not None and call.shell.emit.changed(resource.path)
        out = call.opaque(code, resource=resource, attrs={"authored": True} if authored else None)
        _sourced(call, resource, certain=code == "script" and not authored)
        return out
    call.emit("read", resource, attrs={"reveals": "some"})
    before = call.state.args, call.state.handed
    if len(call.args) > 1:
        call.state.hand(call.args[1:])
    ok, bad, out = call.shell.run_text(text, call.state, call.stdin)
    end = ok.join(bad)
    end.args, end.handed = before
    call.state.assume(end)
    return out


def _beside(call: Call, field: Field) -> Field:
    """A name without a slash is looked for along PATH, and then here."""
    if "/" in field.text or call.state.path is None or not field.text.startswith("."):
        return field
    # No program is called like a hidden file.
    return Field(text=f"./{field.text}", span=field.span)


def _sourced(call: Call, resource: Resource, *, certain: bool) -> None:
    """A file that cannot be read was sourced: variables are not known any more; names mean what they say, as before.

    What a file that is not there, and that this call did not write, can do is nothing; but it may only be hidden.
    """
    state = call.state
    before = state.path, state.ifs, state.globs, state.cwds
    there = resource.path is None or call.shell.view.kind(resource.path) is not None
    state.forget()
    if certain:
        state.path, state.ifs, state.globs = before[:3]
        state.cwds = (None,) if there else before[3]


def _source_stream(call: Call, resource: Resource) -> Stream:
    """`. /dev/stdin`: known if the input is."""
    if posixpath.normpath(resource.path or "") in STANDARD_INPUT and call.stdin.text is not None:
        ok, bad, out = call.shell.run_text(call.stdin.text, call.state, SOMETHING)
        call.state.assume(ok.join(bad))
        return out
    out = call.opaque("dynamic", resource=resource, reason="the file to source is a stream")
    call.state.forget()
    return out


def trap(call: Call) -> Stream:
    """`trap TEXT SIGNAL`: the text runs later, when little is certain about the shell."""
    operands = [field for field in call.args if field.text not in ("--", "-p", "-l")]
    if len(operands) < 2 or operands[0].text in ("", "-"):
        return NOTHING
    text = operands[0]
    if text.many or text.sources or text.glob is not None or not is_shell_text(text.text):
        return call.opaque("dynamic", reason="the text of a trap is not known")
    call.shell.traps.append(operands[0].text)
    later = call.state.copy()
    functions = later.functions
    later.forget()
    later.functions, later.path, later.ifs, later.globs = functions, call.state.path, call.state.ifs, call.state.globs
    # INVARIANT: what is relied on here stays, or `set_variable` says that it changed; who makes a state forget says so.
    for name in dict.fromkeys(_USED.findall(operands[0].text)):
        value = call.state.vars.get(name)
        # One that may be empty gets more by `${name:=…}`.
        if value is not None and all(value.alternatives) and name not in _MOVING:
            later.vars[name] = value
            call.shell.relied.add(name)
        elif value is None and name.islower() and call.state.args is not None:
            # A shell that was started for this call; names of its environment are in capitals. It is set afterwards.
            later.vars[name] = Value(alternatives=("",))
            call.shell.awaited[name] = operands[0].text
    fresh, call.shell.emit.fresh = call.shell.emit.fresh, set()  # by then it may be another directory
    call.shell.emit.maybe += 1
    call.shell.run_text(operands[0].text, later)
    call.shell.emit.maybe -= 1
    call.shell.emit.fresh = fresh
    return NOTHING


def alias(call: Call) -> Stream:
    """`alias`: command names may mean something else from here on."""
    if not any("=" in field.text or not field.known for field in call.args):
        return SOMETHING
    for field in call.args:
        name, equals, text = field.text.partition("=")
        if not field.known or (equals and not (_harmless_alias(call, name, text) or _renamed(call, name, text))):
            out = call.opaque("unparsed", reason="an alias hides a command", words=())
            call.state.forget()
            return out
    return SOMETHING


def _harmless_alias(call: Call, name: str, text: str) -> bool:
    """A name for a command that no other command has; what it stands for is looked at as if it ran.

    This shell takes no notice of aliases, unless `expand_aliases` is set, and after that nothing is known.
    """
    words = text.split()
    taken = name in specs() or name in BUILTINS or interpreter_of(name) is not None
    if not words or not _ALIAS.fullmatch(name) or (taken and words[0] != name):
        return False
    _tried(call, text)
    return True


def _tried(call: Call, text: str) -> None:
    """What an alias stands for may run, or be put where a word stands (zsh's `-g`, and after a blank at an end)."""
    call.mention_text(text)
    call.shell.emit.maybe += 1
    call.shell.run_text(text, call.state.copy(), SOMETHING)
    call.shell.emit.maybe -= 1


def _renamed(call: Call, name: str, text: str) -> bool:
    """A name that some command has: from here on it may stand for that command, or for the text with its words."""
    parsed = parse_shell(f'{text} "$@"')
    body = parsed.body[0] if len(parsed.body) == 1 else None
    if not _ALIAS.fullmatch(name) or not isinstance(body, Simple) or "#" in text:
        return False
    if name in (word.plain for word in body.words):
        return False  # a function calls itself where an alias does not
    _tried(call, text)
    call.state.functions[name] = (body, None)
    return True


_ALIAS: Final = re.compile(r"[A-Za-z0-9_.-]+")


def command(call: Call) -> Stream:
    """`command`, `builtin`: the rest without functions; `command -v` only looks."""
    args = list(call.args)
    while args and args[0].text in ("-p", "--"):
        args.pop(0)
    if args and args[0].text in ("-v", "-V"):
        return SOMETHING
    if not args:
        return NOTHING
    return call.shell.again(call, tuple(args), functions=False)


def exec_(call: Call) -> Stream:
    """`exec`: the rest replaces the shell; alone it only moves redirections, which the interpreter does."""
    args = list(call.args)
    while args and args[0].text.startswith("-") and args[0].text != "-":
        option = args.pop(0).text
        if option == "--":
            break
        if option == "-a" and args:
            args.pop(0)
        elif option not in ("-c", "-l", "-cl", "-lc"):
            return call.opaque("program", reason="option of exec is not known")
    if not args:
        return Stream(text="", sources=call.stdin.sources)
    return call.shell.again(call, tuple(args), external=True)


def unmodelled(call: Call) -> Stream:
    """Builtins that change the shell in ways not followed."""
    out = call.opaque("unparsed", reason=f"{call.name} is not modelled")
    call.state.forget()
    return out


def jobs(call: Call) -> Stream:
    """`jobs`; `jobs -x` runs a command."""
    args = list(call.args)
    if args and args[0].text == "-x":
        return call.shell.again(call, tuple(args[1:]), external=True)
    return SOMETHING if all(field.known for field in args) else call.opaque("dynamic", reason="jobs may run a command")


def hash_(call: Call) -> Stream:
    """`hash`; `hash -p` says which file a name means."""
    if any(field.text.startswith("-") and field.text not in ("-r", "-l", "-d", "-t") for field in call.args):
        call.state.path = None
    return SOMETHING


def history(call: Call) -> Stream:
    """`history`, to look at; `-w` and `-a` write a file, the rest is not modelled."""
    args = list(call.args)
    if all(field.text.isdigit() or field.text == "-c" for field in args):
        return SOMETHING
    if len(args) == 2 and args[0].text in ("-w", "-a"):
        call.emit("write", call.place(args[1]))
        return NOTHING
    return unmodelled(call)


def compgen(call: Call) -> Stream:
    """`compgen`, to look at; `-C`, `-F` and `-W` run something."""
    if all(field.known and re.fullmatch(r"-[abcdefgjksuv]+|[\w.-]*", field.text) for field in call.args):
        return SOMETHING
    return unmodelled(call)


def look(_call: Call) -> Stream:
    """Builtins that only print."""
    return SOMETHING


def printf_v(call: Call) -> Stream:
    """`printf`, which with `-v` assigns."""
    if call.args and call.args[0].text.startswith("-v"):
        args = call.args
        name = args[0].text[2:] or (args[1].text if len(args) > 1 else "")
        if not _NAME.fullmatch(name):
            call.state.forget()
            return call.opaque("dynamic", reason="the variable that is assigned is not known")
        sources = merge((), tuple(s for field in args for s in field.sources))
        set_variable(call.shell, call.state, name, Value(sources=sources))
        return NOTHING
    return call.shell.plain(call)


def let(call: Call) -> Stream:
    """`let`: arithmetic on text."""
    for field in call.args:
        try:
            # A `*` in it is a product where no file is called like that.
            plain = not field.many and TOP not in field.text and NUM not in field.text
            names, assigns = arithmetic_names(field.text if plain else TOP)
        except Misparse:
            call.state.forget()
            return call.opaque("dynamic", reason="arithmetic that is not modelled")
        calculate(call.shell.expand, field.text, names, assigns, call.state, call.span)
    return NOTHING


def jump(call: Call) -> Stream:
    """`break`, `continue`, `return`, `exit`: what follows may still run, in another branch; or not."""
    call.shell.jump(call.name, call.state)
    return NOTHING


def nothing(_call: Call) -> Stream:
    """Builtins of control flow: what follows may still run, so nothing changes."""
    return NOTHING


BUILTINS: Final[Mapping[str, Callable[[Call], Stream]]] = {
    "cd": cd, "chdir": cd, "pushd": pushd, "popd": popd, "dirs": nothing,
    "export": export, "readonly": export, "declare": export, "typeset": export, "local": export,
    "unset": unset, "read": read, "mapfile": read, "readarray": read, "getopts": read,
    "set": set_, "shift": shift, "shopt": shopt, "eval": eval_, "source": source, ".": source,
    "trap": trap, "alias": alias, "unalias": nothing, "command": command, "builtin": command, "exec": exec_,
    "printf": printf_v, "let": let,
    "return": jump, "exit": jump, "break": jump, "continue": jump, "wait": nothing, "hash": hash_,
    "jobs": jobs, "help": look, "caller": look, "fg": nothing, "bg": nothing, "disown": nothing, "ulimit": nothing,
    "enable": unmodelled, "bind": unmodelled, "complete": unmodelled, "compgen": compgen, "fc": unmodelled,
    "history": history, "coproc": unmodelled,
}  # fmt: skip
"""What the shell runs itself and what changes its state."""
