"""What git commands have in common: where a repository is, what leads out of it, and what hooks would run.

Not concerned with single subcommands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from guardrail.effects.domain._addresses import URL, aliases, at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._contents import Contents
from guardrail.effects.domain._emit import MUTATING
from guardrail.effects.domain._paths import escape, undashed
from guardrail.effects.domain._values import NUM, TOP, Field, is_known, starred
from guardrail.model import Effect, Op, Resource
from guardrail.patterns import lazy

MAX_PARENTS: Final = 24
"""Most directories looked at upwards for a repository's root."""


def root(call: Call) -> Resource:
    """The top of the repository the command runs in; its directory, if no repository is seen."""
    path = (call.cwd or "").rstrip("/")
    if call.cwd is None or TOP in path or NUM in path:
        return call.place(Field(text="."), kind="dir")
    view = call.shell.view
    for _ in range(MAX_PARENTS):
        if view.kind(f"{path}/.git") is not None:
            return Resource(kind="dir", path=path or "/")
        if not path:
            break
        path = path.rpartition("/")[0]
    return Resource(kind="dir", path=call.cwd)


def tree(call: Call) -> Resource:
    """All files of the repository."""
    top = root(call)
    return Resource(kind="dir", path=top.path, pattern=top.pattern, recursive=True)


def named_by(call: Call, field: Field, *, nofollow: bool = False) -> Resource:
    """What a word for git names: one that begins with a colon says how it is read, and may be anything in the tree."""
    return tree(call) if field.text[:1] == ":" else call.place(field, recursive=True, nofollow=nofollow)


def objects(call: Call) -> Resource:
    """Where a repository keeps what was added to it, from whichever of its directories."""
    if root(call).path is None:
        return call.place(Field(text=".git/objects"), kind="dir")
    return Resource(kind="dir", path=f"{git_folder(call)}/objects")


def quietly(call: Call, op: Op, resource: Resource, target: Resource | None = None, **facts: Any) -> None:
    """An effect that leaves no file with content of this session: a repository's own files, or its store.

    INVARIANT: what is there afterwards is not the session's text, so running it is not running its own script.
    """
    emit = call.shell.emit
    made, placed, contents = set(emit.made), set(emit.placed), emit.contents
    emit.contents = Contents(call.shell.view)
    try:
        call.emit(op, resource, target, **facts)
    finally:
        emit.made, emit.placed, emit.contents = made, placed, contents


def settings_changed(call: Call) -> bool:
    """Whether the repository's settings may be what this call made them."""
    emit = call.shell.emit
    if not emit.made and call.cwd is not None and is_known(call.cwd):
        return False
    config = call.place(Field(text=".git/config"))
    if config.path is not None:
        return put_there(call, config)
    # Where not even a name is known for each directory; or something was put where this may be.
    kept = {escape(name) for name in emit.fresh} | _made_by_git(call)
    return call.cwd is None or "**" in (config.pattern or "**") or not emit.made <= kept


def _made_by_git(call: Call) -> set[str]:
    """Places that git alone put something into in this call, where it made a repository."""
    own: set[str] = set()
    others: set[str] = set()
    for effect in call.shell.emit.effects:
        if effect.op in MUTATING:
            making = effect.origin is not None and effect.origin.spec in _MAKING
            for place in (effect.resource, *((effect.target,) if effect.target is not None else ())):
                (own if making else others).add(place.path or place.pattern or "**")
    return own - others


def plainly(args: Sequence[Field]) -> bool:
    """No word of which something is not known can be an option of its own."""
    before = ""
    for field in args:
        text = field.text
        if text == "--":
            return True
        if text.startswith(TOP):
            single = not field.many and (before in _VALUED or field.outer or undashed(text))
            if not (single or field.named):
                return False
        elif text.startswith("-") and not field.known and not _COUNTED.fullmatch(text):
            name, equals, _ = text.partition("=")
            if field.many or field.glob is not None or not equals or TOP in name or NUM in name:
                return False
        before = text
    return True


_VALUED: Final = frozenset("-L -n -S -G --grep --author --committer --since --until --after --before --format".split())
"""Options of the subcommands that look whose value is the next word, whatever that begins with."""

_COUNTED: Final = lazy(rf"-[nUC]?{NUM}")


def rewritten(call: Call) -> None:
    """Tracked files may become others: said of a repository that the call goes to, and not of the one it works in.

    There it is daily work, and what is tracked is not known.
    """
    start = call.shell.start
    if start is None or call.cwd is None or TOP in call.cwd or NUM in call.cwd:
        return
    home = call.shell.call(call.name, (), call.state, start, call.stdin, call.span)
    if root(call) != root(home):
        quietly(call, "write", tree(call), may=True, attrs={"tracked": True})


def stored(call: Call, source: Resource, **facts: Any) -> None:
    """Content goes into the repository's store."""
    quietly(call, "copy", source, objects(call), **facts)


def sends(call: Call, where: Resource) -> None:
    """What is committed goes somewhere: of an asset that is itself a repository, or below one."""
    call.emit("copy", root(call), where, attrs={"cwd": True, "committed": True}, may=True, flow=("net",))
    call.emit("net_send" if where.kind == "net" else "write", where)


def place_of(call: Call, field: Field, *, known: bool = False) -> Resource | None:
    """Where a repository argument leads, if not to a path here.

    Args:
        call: the command.
        field: URL, path or name of a remote.
        known: a bare word names a remote, unless it is a path that exists.
    """
    text = field.text
    if text.lower().startswith("file://"):
        return None
    if URL.fullmatch(text):
        return Resource(kind="net", uri=at("git", text).uri)
    if text.startswith(("/", "./", "../", "~", TOP)) or text in (".", ".."):
        return None
    if ":" in text.partition("/")[0]:
        return Resource(kind="net", uri=starred(f"git:{text}"))
    if known and call.kind(call.place(field)) is None:
        return at("git", text)
    return None


def mention_hub(call: Call, far: Resource | None) -> None:
    """Name what a repository of a hub is there: what is fetched of it later goes by another name."""
    for alias in aliases(far) if far is not None else ():
        call.emit("mention", alias, precision="opaque", may=True)


def path_of(field: Field) -> Field:
    """A `file://` argument as the path it is."""
    return field.tail(7) if field.text.lower().startswith("file://") else field


def transport(call: Call, field: Field) -> bool:
    """Whether an address runs a program of its own, as `ext::sh -c …` does; says so if it does."""
    text = field.text
    helper = re.match(r"([A-Za-z0-9]+)::(.*)", text, re.DOTALL)
    if helper is None and not text.startswith("-"):
        return False
    if helper is not None and helper[1] in ("ext", "fd"):
        call.opaque("inline", reason="the address is a command", words=(field,))
        call.mention_text(text)
        return True
    return False


def put_there(call: Call, file: Resource) -> bool:
    """Whether this call may have put a file where a repository has its settings, or a hook.

    A directory that was removed or made anew, and what git itself makes there, holds none that the call wrote.
    """
    path = file.path
    if path is None:
        return True
    contents = call.shell.contents
    if not call.shell.emit.changed(path):
        return False
    if contents.vague():
        return True
    for effect in call.shell.emit.effects:
        if effect.op not in MUTATING or effect.op in ("delete", "set_times", "set_security"):
            continue
        place = effect.target if effect.target is not None else effect.resource
        empty = effect.op == "create" and effect.resource.kind == "dir"
        if empty or _by_git(effect, place, path):
            continue
        if place.uri is None and (place.path is None or contents.same(place.path, path)):
            return True
    return False


def _by_git(effect: Effect, place: Resource, path: str) -> bool:
    """It is git that keeps the file, or fills a tree around the repository; a file that it is told to write is not."""
    spec = effect.origin.spec if effect.origin is not None else ""
    if not spec.startswith("git-") or spec == "git-config":
        return False
    if spec in _MAKING or effect.op == "set_key" or place.path is None:
        return True
    folder, inside, _ = path.rpartition("/.git/")
    own = f"{folder}/.git" if inside else path
    return place.path != own and not place.path.startswith(f"{own}/")


_MAKING: Final = frozenset(("git-init", "git-clone"))
"""Subcommands that make a repository, with settings that it is safe to begin with."""


def git_folder(call: Call) -> str:
    """Where the repository keeps its settings and hooks: of a tree that was added to one, where that one is."""
    top = root(call)
    path = f"{top.path.rstrip('/')}/.git" if top.path is not None else ".git"
    if call.shell.view.kind(path) != "file":
        return path
    data = call.content(Resource(kind="file", path=path)) or b""
    match = _WORKTREE.fullmatch(data.decode("utf-8", "replace").strip())
    return match["folder"] if match is not None else path


_WORKTREE: Final = lazy(r"gitdir: (?P<folder>/.*?)(?:/worktrees/[^/]+)?")
