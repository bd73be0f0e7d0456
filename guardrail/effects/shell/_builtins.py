"""Commands that change the shell itself: directory, variables, functions, what is run next."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
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
    State,
    Stream,
    Value,
    is_shell_text,
    join_values,
    merge,
)
from guardrail.effects.shell._activation import activated
from guardrail.effects.shell._expansion import array, subscript
from guardrail.effects.shell._numbers import calculate, look_at
from guardrail.effects.shell._reading import read
from guardrail.effects.shell._streams import joined, perhaps, sometimes
from guardrail.effects.shell._traps import arm, changed, set_trap
from guardrail.model import Resource
from guardrail.parse import Misparse, arithmetic_names, parse_shell
from guardrail.parse.ir import Simple

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ELEMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\[([A-Za-z0-9_]+)\]")
_PLAIN_SET = re.compile(r"[-+][abehmnptuvxBCEHPT]+")
_PLAIN_SHOPT: Final = frozenset(
    "checkwinsize histappend cmdhist lithist inherit_errexit huponexit checkjobs "
    "checkhash interactive_comments progcomp promptvars xpg_echo sourcepath".split()
)
_LISTING: Final = frozenset(("nullglob", "globstar"))
"""Options of the shell with which a pattern may be no word, or lead further down."""
_PATTERN_SHOPT: Final = _PLAIN_SHOPT | frozenset(
    "nullglob failglob dotglob globstar extglob nocaseglob nocasematch".split()
)
_PLAIN_SET_NAMES: Final = frozenset(
    "errexit nounset xtrace pipefail verbose allexport errtrace functrace monitor".split()
)


def cd(call: Call) -> Stream:
    """`cd`, `chdir`: where it succeeds the directory is the new one, where it fails the old one."""
    _go(call)
    if "moving" in call.state.modes:
        call.state.cwds = (None,)
    if call.shell.traps:
        changed(call.shell, call.state)
    # It prints where it went, if that is not what was asked for.
    asked = all(field.known or None not in call.state.cwds for field in call.args)
    told = not asked or any(field.text == "-" for field in call.args) or "CDPATH" in call.state.vars
    return SOMETHING if told else NOTHING


def _go(call: Call) -> None:
    state = call.state
    operands = [field for field in call.args if field.text not in ("-P", "-L", "-e", "-@", "--", "-LP", "-PL")]
    call.failed = state.copy()
    if not operands:
        home = call.shell.expand.lookup("HOME", state, {})[0]
        state.cwds = (home if home.startswith("/") and TOP not in home else None,)
        return
    field = operands[0]
    if len(operands) == 1 and field.text == "" and not field.many:
        return  # it stays, or fails
    if len(operands) > 1 or field.text in ("-", "") or field.text.startswith("-") or "CDPATH" in state.vars:
        state.cwds = (None,)
        return
    target = call.place(field, kind="dir").path if field.known else None
    if target is None:
        state.cwds = _entered(call, field)
        return
    # The shell takes `..` as text, the kernel does not: behind a symbolic link they lead to different places.
    followed, folded = _folded(target), posixpath.normpath(_folded(target))
    shell = call.shell
    if followed != folded and not shell.contents.linked and shell.view.real(followed) == shell.view.real(folded):
        followed = folded  # no link is on the way
    state.cwds = tuple(dict.fromkeys((followed, folded)))


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
        cd(call)
        return SOMETHING
    return popd(call)


def popd(call: Call) -> Stream:
    """`popd`: the stack is not followed."""
    call.state.cwds = (None,)
    if call.shell.traps:
        changed(call.shell, call.state)
    return SOMETHING


def export(call: Call) -> Stream:
    """`export`, `readonly`, `declare`, `typeset`, `local`: assignments as words."""
    state = call.state
    words = [field for field in call.args if field.text[:1] not in "-+" or field.text == ""]
    letters, cleared = _letters(call.args, "-"), _letters(call.args, "+")
    if call.name not in ("export", "readonly") and "n" in letters + cleared:
        state.forget()
        return call.opaque("unparsed", reason="a reference to another variable")
    if set(letters + cleared) - set("xrigaAlufpFtn"):
        state.forget()
        return call.opaque("unparsed", reason="an attribute that is not modelled")
    shown = Stream(sources=state.contents()) if "p" in letters or not call.args else NOTHING
    if set(letters) & set("pfF"):
        # It prints, or means functions.
        return (
            Stream(sources=shown.sources)
            if all(field.known for field in words)
            else call.opaque("dynamic", reason="a name is not known")
        )
    for field in words:
        name = field.text.partition("=")[0].rstrip("+")
        if not _NAME.fullmatch(name):
            state.forget()
            return call.opaque("unparsed", reason="a declaration that is not understood")
        _declare(call, name, field, letters)
    return shown


def _declare(call: Call, name: str, field: Field, letters: str) -> None:
    """One name of a declaration, with the letters of its options."""
    state, shell = call.state, call.shell
    local = call.name in ("local", "declare", "typeset")
    changing = "".join(letter for letter in letters if letter in "lui")
    if changing:
        state.mark(name, changing)
    fresh = local and "g" not in letters and shell.note_local(name, state)
    if local and "g" in letters and any(name in frame for frame in shell.locals):
        shell.uncover(name, state)
    _, equals, rest = field.text.partition("=")
    if equals:
        value = _assigned(call, name, field, letters, fresh=fresh)
        if call.name == "local" and not shell.locals:
            value = join_values(state.vars.get(name, UNKNOWN), value)  # an error outside of functions
        set_variable(shell, state, name, value if name != "PATH" else _path(call, rest))
    elif local and ("A" in letters or fresh or name not in state.vars) and (call.name != "local" or shell.locals):
        set_variable(shell, state, name, _declared(call, name, keyed="A" in letters, fresh=fresh))
    if call.name == "readonly" or "r" in letters:
        state.mark(name, "rR" if "r" in state.traits.get(name, "") else "r")
    # What is exported reaches every program that is started afterwards.
    exports = call.name == "export" or "x" in letters
    if exports and name != "PATH" and (equals or not local):
        shell.exported = tuple(dict.fromkeys((*shell.exported, *given(state.vars.get(name, UNKNOWN)))))


def _assigned(call: Call, name: str, field: Field, letters: str, *, fresh: bool) -> Value:
    head, _, rest = field.text.partition("=")
    texts = (TOP,) if head.endswith("+") else (rest, "") if field.void else (rest,)
    value = Value(alternatives=texts, sources=field.sources)
    plural = "a" in letters or "A" in letters or (not fresh and _may_be_array(call.state.vars.get(name)))
    if plural and rest[:1] in ("(", TOP):
        return _compound(call, rest, field.sources)
    return value if name == "PATH" or fresh else call.state.scalar(name, value)


def _letters(fields: Sequence[Field], sign: str) -> str:
    return "".join(field.text[1:] for field in fields if field.text[:1] == sign and field.text != "--")


def _may_be_array(value: Value | None) -> bool:
    return value is not None and (bool(value.items) or value.keyed or value.plural)


def _compound(call: Call, text: str, sources: tuple[Resource, ...]) -> Value:
    """`declare -a 'x=(…)'`: the text is read, and expanded, as an array."""
    if any(char in text for char in "$`[<>") or TOP in text:
        call.shell.dynamic("the text of an array is expanded", call.span)
    return Value(sources=sources, plural=True)


def _declared(call: Call, name: str, *, keyed: bool, fresh: bool) -> Value:
    """A variable that is declared without a value: empty where it is new, else what it was."""
    old = call.state.vars.get(name)
    if fresh:
        return Value(alternatives=("",), items=(), keyed=keyed, declared=keyed)
    if keyed:
        new = Value(alternatives=("",), items=(), keyed=True, declared=True)
        return new if old is None else old if old.keyed else Value(keyed=True, plural=True)
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
    if old is None or not old.declared:
        look_at(call.shell.expand, (index,), call.state)
    key = subscript(call.shell.expand, old, index, call.state, {})
    if old is None or old.items is None or key is None:
        set_variable(call.shell, call.state, name, Value(sources=old.sources if old is not None else (), plural=True))
        return
    items = tuple(item for item in old.items if item[0] != key)
    set_variable(call.shell, call.state, name, array(items, old.sources, like=old))


def unset(call: Call) -> Stream:
    """`unset`: what was set is gone, also a function that hid a command."""
    letters = _letters(call.args, "-")
    for field in call.args:
        if field.text[:1] == "-":
            continue
        if field.known and (element := _ELEMENT.fullmatch(field.text)) and "f" not in letters:
            _unset_element(call, element[1], element[2])
            continue
        if not field.known or not _NAME.fullmatch(field.text) or set(letters) - set("fvn"):
            call.state.forget()
            return call.opaque("dynamic", reason="what is unset is not known")
        # `-v`, and a variable of that name, leave the function; a read-only one stays anyway.
        bodies = call.state.functions.get(field.text)
        if bodies is not None:
            call.state.functions[field.text] = bodies if None in bodies else (*bodies, None)
        if "f" not in letters:
            _unset_variable(call, field.text)
    return NOTHING


def _unset_variable(call: Call, name: str) -> None:
    state = call.state
    if any(name in frame for frame in call.shell.locals[:-1]):
        call.shell.uncover(name, state)
        return
    gone = UNKNOWN if name == "PATH" else Value(alternatives=("",), items=())
    set_variable(call.shell, state, name, gone)
    if name == "IFS" and not state.traits.get(name):
        state.ifs = True


_MODES: Final = frozenset(("posix", "xtrace", "noclobber"))
"""Options of the shell that change what its commands do."""


def set_(call: Call) -> Stream:
    """`set`: options that matter to words, and the positional parameters."""
    args = list(call.args)
    if not args:
        return Stream(sources=call.state.contents())
    if args[-1].text in ("-o", "+o"):
        return SOMETHING  # it prints its options
    while args:
        field = args.pop(0)
        text = field.text
        if text == "--" or text[:1] not in "-+" or field.many:
            rest = args if text == "--" else [field, *args]
            call.state.hand(rest)
            return NOTHING
        if (text in ("-o", "+o") and args) or (re.fullmatch(r"-[euxva]*o", text) and args):
            option = args.pop(0).text
            if option in _MODES:
                call.state.modes |= {option}
            if option not in _PLAIN_SET_NAMES:
                call.state.globs = False
                if option not in ("noglob", "posix", "physical", "braceexpand", "noclobber", "noexec"):
                    call.state.path = None
        elif _PLAIN_SET.fullmatch(text):
            call.state.modes |= {mode for letter, mode in (("x", "xtrace"), ("C", "noclobber")) if letter in text}
        else:
            call.state.globs = False
            if set(text[1:]) - set("abefhmnptuvxBCEHPT"):
                call.state.path = None  # `-k` makes words after a command's name its environment
    return NOTHING


def shift(call: Call) -> Stream:
    """`shift`: the positional parameters move."""
    args = call.state.args
    text = call.args[0].text if call.args else "1"
    count = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1
    call.state.args = args[count:] if args is not None and 0 <= count <= len(args) else None
    return NOTHING


def shopt(call: Call) -> Stream:
    """`shopt`: globs no longer mean what they mean by default."""
    names = {field.text for field in call.args if not field.text.startswith("-")}
    out = NOTHING if any(re.fullmatch(r"-q?[su]q?", field.text) for field in call.args) else SOMETHING
    if names <= _PLAIN_SHOPT and all(field.known for field in call.args):
        return out
    call.state.modes |= names & _LISTING
    if not names <= _PLAIN_SHOPT | _LISTING or not all(field.known for field in call.args):
        call.state.globs = False
    if call.shell.traps:
        changed(call.shell, call.state)
    if "failglob" in names:
        call.state.modes |= {"failglob"}
    if names - _PATTERN_SHOPT:
        out = call.opaque("unparsed", reason="an option of the shell that is not modelled", words=())
        call.state.forget()
    return out


def eval_(call: Call) -> Stream:
    """`eval`: its words, joined, are shell text in this very shell."""
    if not all(field.known or not (field.many or field.sources or field.glob) for field in call.args):
        out = call.opaque("dynamic", reason="the text given to eval is not known")
        call.state.forget()
        return out
    text = " ".join(field.text for field in call.args)
    ok, bad, out = call.shell.run_here(text, call.state, call.stdin)
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
    texts: Sequence[str] = ()
    if is_stream(resource.path) or (resource.path is not None and call.shell.view.kind(resource.path) == "other"):
        return _source_stream(call, resource)
    if "/" in field.text and activated(call, resource):
        return NOTHING
    if resource.path is not None and "/" in field.text:
        texts = script_texts(call, resource)
    if not texts:
        # Without a slash the file is looked for along PATH.
        code: Code = "script" if resource.path is not None and "/" in field.text else "dynamic"
        authored = resource.path is not None and call.shell.emit.changed(resource.path)
        out = call.opaque(code, resource=resource, attrs={"authored": True} if authored else None)
        _sourced(call, resource, certain=code == "script" and not authored)
        return out
    call.emit("read", resource, attrs={"reveals": "some"})
    missed = None if call.shell.contents.sure(resource.path or "") else call.state.copy()
    call.state.vars["BASH_SOURCE"] = Value(alternatives=(field.text,), items=(("0", field.text),))
    end, out = _returned(call, texts[0], call.stdin) if len(texts) == 1 else _either(call, texts)
    end.vars["BASH_SOURCE"] = Value(plural=True)  # of a function it is the file that defines it
    call.state.assume(end if missed is None else end.join(missed))
    return out


def _either(call: Call, texts: Sequence[str]) -> tuple[State, Stream]:
    """The same of texts of which one is sourced: what this call put there, or what was there before."""
    before = call.state.copy()
    ends: list[State] = []
    outputs: list[Stream] = []
    for text in texts:
        call.state.assume(before.copy())
        mark = call.shell.contents.mark()
        with call.perhaps():
            end, out = _returned(call, text, call.stdin)
        call.shell.contents.weaken(mark, anywhere=True)
        ends.append(end)
        outputs.append(perhaps(out))
    return joined(ends), sometimes(outputs)


def _returned(call: Call, text: str, stdin: Stream) -> tuple[State, Stream]:
    """What holds after a text that is sourced, with arguments if it is given some, also where `return` left it."""
    before = call.state.args, call.state.handed
    if len(call.args) > 1:
        call.state.hand(call.args[1:])
    given_ = call.state.args
    call.shell.returns.append(None)
    ok, bad, out = call.shell.run_here(text, call.state, stdin)
    left = call.shell.returns.pop()
    end = ok.join(bad) if left is None else ok.join(bad).join(left)
    if len(call.args) > 1:
        # They come back, unless the file has set others.
        kept = end.args == given_ and "set" not in text and "eval" not in text
        end.args = before[0] if kept else None
        end.handed = merge(end.handed, before[1])
    return end, out


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
        call.state.vars["BASH_SOURCE"] = Value(plural=True)
        end, out = _returned(call, call.stdin.text, SOMETHING)
        call.state.assume(end)
        return out
    out = call.opaque("dynamic", resource=resource, reason="the file to source is a stream")
    call.state.forget()
    return out


def trap(call: Call) -> Stream:
    """`trap TEXT SIGNAL`: the text runs later, when little is certain about the shell."""
    operands = [field for field in call.args if field.text not in ("--", "-p", "-l")]
    if len(operands) < 2 or operands[0].text in ("", "-"):
        return NOTHING if operands and operands == list(call.args) else SOMETHING
    text = operands[0]
    if text.many or text.sources or text.glob is not None or not is_shell_text(text.text):
        return call.opaque("dynamic", reason="the text of a trap is not known")
    mark = call.shell.contents.mark()
    set_trap(call.shell, call.state, text.text)
    if all(field.text.upper() in ("EXIT", "SIGEXIT", "0") for field in operands[1:]):
        call.shell.contents.weaken(mark)
    else:
        call.shell.contents.lose(mark, lasting=True)
        arm(call.shell, call.state, text.text)
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
        if "$" not in field.text:  # which is an error there
            calculate(call.shell.expand, field.text, names, assigns, call.state, call.span)
    return NOTHING


def wait(call: Call) -> Stream:
    """`wait`, which with `-p` assigns."""
    texts = [field.text for field in call.args]
    if all(text[:1] != "-" or text in ("-n", "-f", "--") for text in texts) and TOP not in "".join(texts):
        return NOTHING
    name = texts[texts.index("-p") + 1] if "-p" in texts[:-1] else ""
    if not _NAME.fullmatch(name):
        call.state.forget()
        return call.opaque("dynamic", reason="the variable that is assigned is not known")
    set_variable(call.shell, call.state, name, Value(alternatives=("", NUM)))
    return NOTHING


def jump(call: Call) -> Stream:
    """`break`, `continue`, `return`, `exit`: what follows may still run, in another branch; or not."""
    call.shell.jump(call.name, call.state)
    return NOTHING


def nothing(_call: Call) -> Stream:
    """Builtins of control flow: what follows may still run, so nothing changes."""
    return NOTHING


BUILTINS: Final[Mapping[str, Callable[[Call], Stream]]] = {
    "cd": cd, "chdir": cd, "pushd": pushd, "popd": popd, "dirs": look,
    "export": export, "readonly": export, "declare": export, "typeset": export, "local": export,
    "unset": unset, "read": read, "mapfile": read, "readarray": read, "getopts": read,
    "set": set_, "shift": shift, "shopt": shopt, "eval": eval_, "source": source, ".": source,
    "trap": trap, "alias": alias, "unalias": nothing, "command": command, "builtin": command, "exec": exec_,
    "printf": printf_v, "let": let,
    "return": jump, "exit": jump, "break": jump, "continue": jump, "wait": wait, "hash": hash_,
    "jobs": jobs, "help": look, "caller": look, "fg": look, "bg": look, "disown": nothing, "ulimit": look,
    "enable": unmodelled, "bind": unmodelled, "complete": unmodelled, "compgen": compgen, "fc": unmodelled,
    "history": history, "coproc": unmodelled,
}  # fmt: skip
"""What the shell runs itself and what changes its state."""
