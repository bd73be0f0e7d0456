"""A shell that is started: its options, its text or its script."""

from __future__ import annotations

from typing import Final

from guardrail.effects.code._running import run_script, started_by
from guardrail.effects.code._starting import started
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import NOTHING, SOMETHING, TOP, Field, Stream, is_shell_text
from guardrail.patterns import lazy

_SHELL_FLAGS = lazy(r"[-+][abefhkmnptuvxBCEHPTilrs]*+(?:c[abefhkmnptuvxBCEHPTilrs]*+)?")
_SHELL_NAMED = lazy(r"[-+](?:[euxvahbmnpBCEHPT]*o|O)")
_PLAIN_OPTIONS: Final = frozenset("errexit nounset xtrace pipefail verbose allexport errtrace functrace posix".split())
_SHELL_LONGS: Final = frozenset(
    "--norc --noprofile --login --posix --verbose --noediting --restricted --debugger".split()
)


def parsed_only(call: Call) -> Stream | None:
    """`bash -n FILE` looks whether the script parses, and runs nothing; None for anything else."""
    args = call.args
    if len(args) != 2 or args[0].text != "-n" or args[1].many or args[1].text[:1] in ("-", "+", TOP, ""):
        return None
    call.read(args[1], reveals="some")
    return SOMETHING


def _with_option(state: State, option: str) -> State:
    if option in _PLAIN_OPTIONS:
        return state
    changed = state.copy()
    changed.globs = False
    return changed


def shell(call: Call) -> Stream:
    args = list(call.args)
    command = reads_input = False
    options = ""
    state = call.state
    while args:
        text = args[0].text
        if args[0].many or text[:1] not in "-+" or text in ("-", ""):
            break
        args.pop(0)
        if text == "--":
            break
        if text in ("--version", "--help"):
            return NOTHING
        if text in _SHELL_LONGS:
            started(call, "-l" if text == "--login" else "")
            continue
        if _SHELL_NAMED.fullmatch(text) and args:
            named = args.pop(0).text
            started(call, "i" if named == "interactive" else "")  # as dash calls it
            state = _with_option(state, named)
        elif _SHELL_FLAGS.fullmatch(text):
            call.shell.errexit = call.shell.errexit or "e" in text
            options += text
            command = command or "c" in text
            reads_input = reads_input or "s" in text
            started(call, text)
        else:
            return call.opaque("dynamic", reason="option of the shell is not known")
    if command:
        given = args[0] if args else Field(text=TOP)
        if not given.known and (given.glob is not None or given.many or not is_shell_text(given.text)):
            return call.opaque("dynamic", reason="the text given to the shell is not known", words=call.args)
        inner = started_by(call, "", args[2:], options)
        inner.globs = state.globs
        return call.shell.run_text(args[0].text, inner, call.stdin)[2]
    if args and not reads_input and args[0].text not in ("-", "/dev/stdin"):
        return run_script(call, "shell", args[0], args[1:])
    if call.stdin.text is not None:
        inner = started_by(call, "", args, options)
        inner.globs = state.globs
        return call.shell.run_text(call.stdin.text, inner, SOMETHING)[2]
    return call.opaque("dynamic", reason="the shell takes its commands from its input")
