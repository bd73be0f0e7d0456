"""Commands that change the shell itself: each has its function here, or in a room of its own that this one imports."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from guardrail.effects.catalogue._spec import specs
from guardrail.effects.code._kinds import interpreter_of
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._environment import set_variable
from guardrail.effects.domain._values import NOTHING, NUM, SOMETHING, TOP, Stream, Value, is_known, merge
from guardrail.effects.shell._declarations import NAME, export, set_, shift, shopt, unset
from guardrail.effects.shell._directories import cd, popd, pushd
from guardrail.effects.shell._numbers import calculate
from guardrail.effects.shell._reading import read
from guardrail.effects.shell._sourcing import eval_, source, trap
from guardrail.parse import Misparse, arithmetic_names, parse_shell
from guardrail.parse.ir import Simple
from guardrail.patterns import lazy


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


_ALIAS: Final = lazy(r"[A-Za-z0-9_.-]+")


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


def ulimit(call: Call) -> Stream:
    """`ulimit`: without a value it prints; with one, files may not open any more."""
    if any(field.text[:1] != "-" for field in call.args):
        call.shell.limited = True
    return SOMETHING


def printf_v(call: Call) -> Stream:
    """`printf`, which with `-v` assigns."""
    if call.args and call.args[0].text.startswith("-v"):
        args = call.args
        name = args[0].text[2:] or (args[1].text if len(args) > 1 else "")
        if not NAME.fullmatch(name):
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
            plain = not field.many and is_known(field.text)
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
    if not NAME.fullmatch(name):
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
    "jobs": jobs, "help": look, "caller": look, "fg": look, "bg": look, "disown": nothing, "ulimit": ulimit,
    "enable": unmodelled, "bind": unmodelled, "complete": unmodelled, "compgen": compgen, "fc": unmodelled,
    "history": history, "coproc": unmodelled,
}  # fmt: skip
"""What the shell runs itself and what changes its state."""
