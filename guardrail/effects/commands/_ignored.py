"""Who leaves what out of a directory that a command takes as a whole: git, and builds of images, by lists of their own.

Not concerned with what is on those lists: whether an asset is left out is asked where assets are known.
"""

from __future__ import annotations

from typing import Any

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
    if top is None or call.cwd is None or told or _changes(call, ".gitignore", ".git/index"):
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
    if file is None and call.shell.view.glob(f"{escape(place.path.rstrip('/'))}/*file.dockerignore") != ():
        return {}
    return {"spares": ("docker", call.shell.view.real(place.path).rstrip("/"))}


def _changes(call: Call, *names: str) -> bool:
    """This call may have made another list of it."""
    return any("*" in path or path.endswith(names) for path in call.shell.emit.made)
