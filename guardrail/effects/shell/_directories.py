"""Builtins that change the working directory: `cd`, `pushd`, `popd`."""

from __future__ import annotations

import posixpath

from guardrail.effects.domain._call import Call
from guardrail.effects.domain._entering import entered, folded
from guardrail.effects.domain._values import NOTHING, SOMETHING, TOP, Stream
from guardrail.effects.shell._traps import changed


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
        state.cwds = entered(call, field)
        return
    # The shell takes `..` as text, the kernel does not: behind a symbolic link they lead to different places.
    followed = folded(target)
    plain, shell = posixpath.normpath(followed), call.shell
    if followed != plain and not shell.contents.linked and shell.view.real(followed) == shell.view.real(plain):
        followed = plain  # no link is on the way
    state.cwds = tuple(dict.fromkeys((followed, plain)))


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
