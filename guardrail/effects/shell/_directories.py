"""Builtins that change the working directory: `cd`, `pushd`, `popd`."""

from __future__ import annotations

import posixpath
from typing import Final

from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import (
    DEEP,
    FIRM,
    NAME,
    NOTHING,
    NUM,
    SLIM,
    SOMETHING,
    TOP,
    Field,
    Stream,
)
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
