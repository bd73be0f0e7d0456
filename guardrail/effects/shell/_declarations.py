"""Builtins that declare and unset variables, and set options of the shell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from guardrail.effects.domain._call import Call
from guardrail.effects.domain._environment import given, set_variable
from guardrail.effects.domain._state import State, join_values
from guardrail.effects.domain._values import NOTHING, SOMETHING, TOP, UNKNOWN, Field, Stream, Value, merge
from guardrail.effects.shell._expansion import array, subscript
from guardrail.effects.shell._numbers import look_at
from guardrail.effects.shell._traps import changed
from guardrail.model import Resource
from guardrail.patterns import lazy

if TYPE_CHECKING:
    from guardrail.effects.shell._interpreter import Interpreter

NAME: Final = lazy(r"[A-Za-z_][A-Za-z0-9_]*")
"""What a variable may be called."""

ELEMENT: Final = lazy(r"([A-Za-z_][A-Za-z0-9_]*)\[([A-Za-z0-9_]+)\]")
"""An element of an array, as `read` and `unset` take it."""

_PLAIN_SET = lazy(r"[-+][abehmnptuvxBCEHPT]+")
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
        if not NAME.fullmatch(name):
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
    fresh = local and "g" not in letters and _note_local(shell, name, state)
    if local and "g" in letters and any(name in frame for frame in shell.locals):
        _uncover(shell, name, state)
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
        if field.known and (element := ELEMENT.fullmatch(field.text)) and "f" not in letters:
            _unset_element(call, element[1], element[2])
            continue
        if not field.known or not NAME.fullmatch(field.text) or set(letters) - set("fvn"):
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
        _uncover(call.shell, name, state)
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


def _note_local(shell: Interpreter, name: str, state: State) -> bool:
    """A variable is local to the function that runs now, and comes back afterwards; whether it is new there."""
    if not shell.locals:
        return False
    new = name not in shell.locals[-1]
    shell.locals[-1].setdefault(name, state.vars.get(name))
    return new


def _uncover(shell: Interpreter, name: str, state: State) -> None:
    """A variable of an outer function is gone, or is passed by: which one a name means is not followed."""
    sources = state.vars.get(name, UNKNOWN).sources
    for frame in shell.locals:
        held = frame.get(name)
        sources = merge(sources, held.sources if held is not None else ())
    unknown = Value(sources=sources, plural=True)
    for frame in shell.locals:
        if name in frame:
            frame[name] = unknown
    state.vars[name] = unknown
    shell.uncovered |= {name}
