"""Who leaves what out of a directory that a command takes as a whole: git, and builds of images, by lists of their own.

Not concerned with what is on those lists: whether an asset is left out is asked where assets are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from guardrail.effects.commands._git_repo import root
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import escape
from guardrail.effects.domain._values import Field


def ignored_by_git(call: Call, **facts: Any) -> dict[str, Any]:
    """Facts of an effect on a directory of a repository: git leaves out what `.gitignore` lists and it does not track.

    Args:
        call: a command of git that does not ask for ignored files too.
        facts: others.
    """
    top = root(call).path
    told = any(name.startswith("GIT_") for name in call.state.vars)
    if top is None or call.cwd is None or told or _changes(call, ".gitignore", ".git", ".git/index") or _brought(call):
        return facts
    return {**facts, "spares": ("git", call.shell.view.real(top).rstrip("/"))}


def ignored_by_docker(call: Call, context: Field, file: Field | None = None) -> dict[str, Any]:
    """Facts of an effect on the context of a build: what `.dockerignore` lists is no part of it.

    Args:
        call: `docker build`.
        context: the directory.
        file: what says how to build, which may have a list of its own; by default `Dockerfile` there.
    """
    place = call.place(context, kind="dir")
    if place.path is None or _changes(call, "ignore"):
        return {}
    if call.shell.view.kind(f"{place.path.rstrip('/')}/.containerignore") is not None:
        return {}  # Podman and Buildah heed it instead
    own = call.place(Field(text=f"{file.text}.dockerignore")) if file is not None else None
    if own is not None and (own.path is None or call.kind(own) is not None):
        return {}
    if file is None and call.shell.view.glob(f"{escape(place.path.rstrip('/'))}/*file.*ignore") != ():
        return {}
    return {"spares": ("docker", call.shell.view.real(place.path).rstrip("/"))}


_WORD: Final = re.compile(r"/?[\w.@+*-]+(?:/[\w.@+*-]+)*/?", re.ASCII)
"""A word that says what is left out, and is read alike by all."""


def left_out(call: Call, folder: Field, words: Iterable[str], *, anchors: bool) -> dict[str, Any]:
    """Facts of an effect on a directory of which a command is told to leave something out.

    Args:
        call: the command.
        folder: the directory.
        words: what is left out, by names that stand anywhere below, or begin there with a slash.
        anchors: whether a slash at the beginning means that directory.
    """
    place = call.place(folder, kind="dir")
    plain = [word for word in words if _WORD.fullmatch(word) and "**" not in word and ".." not in word.split("/")]
    plain = [word for word in plain if anchors or word[:1] != "/"]
    if place.path is None or not plain or not folder.known or folder.glob is not None:
        return {}
    return {"spares": ("words", call.shell.view.real(place.path).rstrip("/"), *plain)}


def _brought(call: Call) -> bool:
    """An earlier command of this call may have brought another list, or a repository: `git pull`, `git init`."""
    for effect in call.shell.emit.effects:
        spec = effect.origin.spec if effect.origin is not None else ""
        if effect.op == "exec_opaque" and spec.startswith("git-"):
            return True
        if effect.op == "create" and (effect.resource.path or "/.git").endswith("/.git"):
            return True
    return False


def _changes(call: Call, *names: str) -> bool:
    """This call may have made another list of it."""
    return any("*" in path or path.endswith(names) for path in call.shell.emit.made)
