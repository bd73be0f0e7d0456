"""What git commands have in common: where a repository is, which settings are code, and what hooks would run.

Not concerned with single subcommands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from guardrail.effects.domain._addresses import URL, aliases, at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._contents import Contents
from guardrail.effects.domain._emit import MUTATING
from guardrail.effects.domain._paths import escape, undashed
from guardrail.effects.domain._values import NUM, TOP, Field, starred
from guardrail.model import Effect, Op, Resource
from guardrail.patterns import lazy

MAX_PARENTS: Final = 24
"""Most directories looked at upwards for a repository's root."""

_SECTIONS: Final = frozenset(
    "user author committer color advice core init safe http https fetch push pull merge rebase diff log status branch "
    "gc pack index feature i18n commit tag stash rerere transfer fsck help grep format show apply am checkout clone "
    "worktree versionsort sparse extensions repack splitindex gui blame mailmap mailinfo reflog column revert imap "
    "receive remote rename pack-refs maintenance hub github gitlab credential gpg lfs submodule pager".split()
)
_CODE: Final = lazy(
    r"core\.(pager|editor|sshcommand|hookspath|fsmonitor|askpass|gitproxy|alternaterefscommand|attributesfile|worktree)"
    r"|pager\..+|sequence\.editor|diff\.(external|.+\.(command|textconv))|merge\..+\.driver|credential\..*helper"
    r"|gpg\.(.+\.)?(program|defaultkeycommand)|init\.templatedir|remote\..+\.(uploadpack|receivepack|vcs|proxy)"
    r"|http\..*proxy|receive\..*hook.*|gc\.recentobjectshook|submodule\..+\.update|lfs\.(customtransfer|extension)\..+"
    r"|core\.(gitproxy|quarantine.*)|rebase\.exec.*|format\.(outputdirectory|attach)|interactive\..+|core\.excludesfile"
)
_ADDRESS: Final = lazy(r"remote\..+\.(push)?url|submodule\..+\.url|lfs\.(push)?url")
_FILE: Final = lazy(
    r"http\.(?:.+\.)?(?:cookiefile|sslcert|sslkey|sslcainfo|sslcapath|proxysslcert|proxysslkey|proxysslcainfo)"
    r"|commit\.template|mailmap\.file|blame\.ignorerevsfile|gpg\.ssh\..*file|fsck\.skiplist|imap\.folder"
)
"""Settings that name a file which is read, or sent, or kept up to date."""

_PLAIN_VALUE: Final = lazy(r"([A-Za-z0-9._-]+)(?: (?:-[A-Za-z]+|--[a-z-]+))*")
_HARMLESS: Final = frozenset(
    "cat less more vi vim nvim nano emacs micro code subl true false delta bat head store cache manager manager-core "
    "manager-ssh osxkeychain libsecret wincred gpg gpg2 ssh-keygen ssh main master never auto gh gcm oauth on off yes "
    "no 0 1".split()
)


def root(call: Call) -> Resource:
    """The top of the repository the command runs in; its directory, if no repository is seen."""
    here = call.place(Field(text="."), kind="dir")
    path = (call.cwd or "").rstrip("/")
    if call.cwd is None or TOP in path or NUM in path:
        return here
    for _ in range(MAX_PARENTS):
        if call.shell.view.kind(f"{path}/.git") is not None:
            return Resource(kind="dir", path=path or "/")
        if not path:
            break
        path = path.rpartition("/")[0]
    return Resource(kind="dir", path=call.cwd)


def tree(call: Call) -> Resource:
    """All files of the repository."""
    top = root(call)
    return Resource(kind="dir", path=top.path, pattern=top.pattern, recursive=True)


def objects(call: Call) -> Resource:
    """Where a repository keeps what was added to it."""
    return call.place(Field(text=".git/objects"), kind="dir")


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
    config = call.place(Field(text=".git/config"))
    emit = call.shell.emit
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


def setting(call: Call, key: Field, value: Field | None) -> bool:
    """Whether a setting may name a program; if so says that, and what it would do.

    Args:
        call: the command.
        key: such as `core.pager`.
        value: its value, None if it has none.
    """
    if not key.known:
        call.opaque("dynamic", reason="a setting of git whose name is not known")
        return True
    name = key.text.lower()
    if value is None:
        return False
    if _ADDRESS.fullmatch(name):
        far = place_of(call, value)
        if far is None:
            call.mention((value,))
        mention_hub(call, far)
        return transport(call, value)
    if _FILE.fullmatch(name):
        call.mention((value,))
        return False
    if name.startswith("alias."):
        return _alias(call, value)
    if name.partition(".")[0] in _SECTIONS and not _CODE.fullmatch(name):
        return False
    match = _PLAIN_VALUE.fullmatch(value.text) if value.known else None
    if value.text == "" or (match is not None and match[1].rpartition("/")[2] in _HARMLESS):
        return False
    if not value.known:
        call.opaque("dynamic", reason="a setting of git names a program that is not known")
        return True
    _text(call, value.text.removeprefix("!"))
    call.opaque("inline", reason=f"{name[:40]} of git names a program", words=(value,))
    call.mention_text(value.text)
    return True


def _alias(call: Call, value: Field) -> bool:
    if value.known and not value.text.startswith("!"):
        return bool(re.search(r"(^|\s)-[cO]|--exec|--upload-pack|--receive-pack|!", value.text)) and _inline(
            call, value
        )
    if value.known:
        _text(call, value.text[1:])
    return _inline(call, value)


def _inline(call: Call, value: Field) -> bool:
    call.opaque("inline", reason="an alias of git runs a command", words=(value,))
    call.mention_text(value.text)
    return True


def _text(call: Call, text: str) -> None:
    with call.perhaps():
        call.shell.run_text(text, call.state.copy())


def hooks(call: Call, names: Iterable[str]) -> None:
    """Hooks that are there run; whether this session wrote them is for the history to say."""
    for name in (f"{folder}/{name}" for name in names for folder in (".git/hooks", ".husky", ".githooks")):
        place = call.place(Field(text=name))
        authored = place.path is not None and put_there(call, place)
        if authored or call.kind(place) is not None:
            attrs = {"authored": True} if authored else None
            call.shell.emit.opaque("script", place, spec="git", span=call.span, attrs=attrs)
