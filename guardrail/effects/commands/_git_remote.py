"""git subcommands that reach other repositories, and its large-file extensions and hosting command lines.

Not concerned with what goes over the wire in detail: a push sends what is committed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._git_hooks import hooks
from guardrail.effects.commands._git_repo import (
    mention_hub,
    objects,
    path_of,
    place_of,
    quietly,
    rewritten,
    root,
    sends,
    stored,
    transport,
)
from guardrail.effects.commands._git_settings import setting
from guardrail.effects.domain._addresses import aliases, at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import SOMETHING, TOP, Field, Stream
from guardrail.model import Resource

_RUNNING: Final = ("--upload-pack", "--receive-pack", "--exec")


def _programs(call: Call, parsed: Parsed) -> None:
    """Options that name a program or a setting."""
    for option, role, field in parsed.values:
        if option in _RUNNING:
            call.opaque("inline", reason=f"{option} of {call.name} runs a program", words=(field,))
            call.mention_text(field.text)
        elif option == "--config":
            key, _, value = field.text.partition("=")
            setting(call, Field(text=key), field.tail(len(key) + 1) if value else None)
        elif option == "--template" and field.text:
            setting(call, Field(text="init.templateDir"), field)
        elif role == "mention":
            call.mention((field,))
        for source in field.sources:
            stored(call, source)


def clone(call: Call, parsed: Parsed) -> Stream:
    """`git clone`: all of a repository, from a path here or from elsewhere."""
    _programs(call, parsed)
    operands = list(parsed.operands)
    if not operands:
        return SOMETHING
    source = operands[0]
    if transport(call, source):
        return SOMETHING
    far = place_of(call, source)
    target = operands[1] if len(operands) > 1 else Field(text=_name(source))
    place = call.place(target, kind="dir", recursive=True)
    if far is not None:
        call.emit("net_recv", far)
        for content in source.sources:
            call.emit("copy", content, far, flow=("argument",))
    else:
        call.read(path_of(source), recursive=True)
        call.emit("copy", call.place(path_of(source), recursive=True), place)
    for field in parsed.values_of("--reference"):
        call.emit("copy", call.place(field, recursive=True), place)
    for field in parsed.values_of("--separate-git-dir"):
        quietly(call, "write", call.place(field, kind="dir"))
    quietly(call, "write", place)
    return SOMETHING


def _name(source: Field) -> str:
    """The directory that a clone makes by itself."""
    text = source.text.rstrip("/").removesuffix("/.git").removesuffix(".git")
    name = text.rpartition("/")[2].rpartition(":")[2]
    return name if source.known and name else TOP


def fetch(call: Call, parsed: Parsed) -> Stream:
    """`git fetch` and `pull`: commits come in; a pull rewrites tracked files."""
    _programs(call, parsed)
    named = parsed.operands[:1]
    if named and transport(call, named[0]):
        return SOMETHING
    far = place_of(call, named[0], known=True) if named else at("git", "default")
    if far is None:
        stored(call, call.place(path_of(named[0]), recursive=True))
    else:
        _received(call, far)
    for content in (source for field in named for source in field.sources):
        call.emit("copy", content, far or objects(call), flow=("argument",))
    if call.name == "git-pull":
        hooks(call, ("post-merge", "post-checkout", "post-rewrite"))
        rewritten(call)
        return call.opaque("program", reason="git pull rewrites tracked files")
    return SOMETHING


def _received(call: Call, far: Resource) -> None:
    """Commits of another repository come into this one, with the files of a model where it is one of a hub."""
    call.emit("net_recv", far)
    for alias in aliases(far):
        call.emit("copy", alias, objects(call), flow=("download",))


def push(call: Call, parsed: Parsed) -> Stream:
    """`git push`: what is committed goes to another repository."""
    _programs(call, parsed)
    hooks(call, ("pre-push",))
    named = parsed.values_of("--repo") or parsed.operands[:1]
    if named and transport(call, named[0]):
        return SOMETHING
    far = place_of(call, named[0], known=True) if named else at("git", "default")
    where = far if far is not None else call.place(path_of(named[0]), kind="dir", recursive=True)
    sends(call, where)
    for source in (source for field in parsed.operands for source in field.sources):
        call.emit("copy", source, where, flow=("argument",))
    if parsed.has("--delete", "--mirror", "--prune") or any(f.text.startswith(":") for f in parsed.operands[1:]):
        call.emit("api_delete", where, may=True, attrs={"refs": True})
    return SOMETHING


def remote(call: Call, parsed: Parsed) -> Stream:
    """`git remote`: names of other repositories; an address may be a command."""
    words = [field.text for field in parsed.operands]
    if not words or words[0] in ("show", "get-url", "prune", "rename", "remove", "rm", "set-head", "set-branches"):
        return SOMETHING
    if words[0] == "update":
        call.emit("net_recv", at("git", "default"))
        return SOMETHING
    if words[0] not in ("add", "set-url"):
        return call.opaque("program", reason=f"git remote {words[0][:40]} is not known")
    for field in parsed.operands[2:]:
        if not field.known:
            call.mention((field,))
        elif not transport(call, field):
            call.emit("set_key", call.place(Field(text=".git/config")), attrs={"key": f"remote.{words[1]}.url"})
            far = place_of(call, field)
            if far is None:
                call.mention((path_of(field),))
            mention_hub(call, far)
    return SOMETHING


def remotes(call: Call, parsed: Parsed) -> Stream:
    """`git ls-remote`, `archive --remote` and their like: something is asked of another repository."""
    _programs(call, parsed)
    if parsed.operands and transport(call, parsed.operands[0]):
        return SOMETHING
    given = parsed.operands[:1] or parsed.values_of("--remote")
    far = (place_of(call, given[0], known=True) if given else None) or at("git", "default")
    if call.name == "git-ls-remote":
        call.emit("net_recv", far)
    else:
        _received(call, far)
    return SOMETHING


def submodule(call: Call, parsed: Parsed) -> Stream:
    """`git submodule`: other repositories within this one; `foreach` runs a command in each."""
    _programs(call, parsed)
    operands = parsed.operands
    word = operands[0].text if operands else "status"
    if word in ("status", "summary"):
        return SOMETHING
    if word == "foreach":
        rest = operands[1:]
        if not rest or not all(field.known for field in rest):
            return call.opaque("dynamic", reason="the command of submodule foreach is not known")
        with call.perhaps():
            call.shell.run_text(" ".join(field.text for field in rest), call.state.copy())
        return call.opaque("program", reason="a command runs in every submodule")
    for field in operands[1:]:
        if transport(call, field):
            return SOMETHING
    if word == "add" and len(operands) > 1:
        far = place_of(call, operands[1])
        if far is None:
            stored(call, call.place(path_of(operands[1]), recursive=True))
        else:
            _received(call, far)
    if word == "deinit":
        for field in operands[1:]:
            quietly(call, "delete", call.place(field, recursive=True))
        return SOMETHING
    call.emit("net_recv", at("git", "submodules"))
    return SOMETHING


def serves(call: Call, parsed: Parsed) -> Stream:
    """`git daemon`, `instaweb`, `http-backend`: whoever can connect has the repositories."""
    where = at("net", call.name)
    sends(call, where)
    for field in parsed.operands:
        place = call.place(field, recursive=True)
        call.emit("copy", place, where, flow=("net",))
    return call.opaque("program", reason="a server that hands repositories out")


def mails(call: Call, parsed: Parsed) -> Stream:
    """`git send-email`, `imap-send`: patches go out."""
    where = at("smtp", "mail")
    for field in parsed.operands:
        for source in call.read(field, recursive=True):
            call.emit("copy", source, where, flow=("net",))
    for _, role, field in parsed.values:
        if role == "opaque":
            call.opaque("inline", reason=f"an option of {call.name} runs a program", words=(field,))
    call.emit("net_send", where)
    return SOMETHING


# -- large files


def lfs(call: Call, parsed: Parsed) -> Stream:
    """`git lfs`: large files go to and come from another store."""
    operands = parsed.operands
    word = operands[0].text if operands else "help"
    if word in ("ls-files", "status", "env", "version", "logs", "help", "locks", "fsck", "pointer", "ext", "track"):
        for field in parsed.values_of("--file"):
            call.read(field, reveals="digest")
        return SOMETHING
    if word in ("untrack", "install", "uninstall", "update", "lock", "unlock"):
        return SOMETHING
    if word in ("push", "standalone-file", "transfer"):
        sends(call, at("git", operands[1].text if len(operands) > 1 else "default"))
        return SOMETHING
    if word in ("fetch", "pull", "clone", "checkout"):
        call.emit("net_recv", at("git", "lfs"))
        return call.opaque("program", reason="git lfs rewrites tracked files") if word != "fetch" else SOMETHING
    if word in ("clean", "smudge", "filter-process"):
        for field in operands[1:]:
            stored(call, call.place(field))
        for source in call.stdin.sources:
            stored(call, source)
        return SOMETHING
    if word in ("prune", "dedup", "migrate"):
        quietly(call, "delete", call.place(Field(text=".git/lfs"), kind="dir"), may=True, attrs={"cwd": True})
        if word == "migrate":
            for field in operands[1:]:
                call.mention((field,))
            return call.opaque("program", reason="git lfs migrate rewrites history")
        return SOMETHING
    return call.opaque("program", reason=f"git lfs {word[:40]} is not known")


def annex(call: Call, parsed: Parsed) -> Stream:
    """`git annex`: added files move into the repository's store and become links; others travel between stores."""
    operands = parsed.operands
    word = operands[0].text if operands else "help"
    named: list[Resource] = [call.place(field, recursive=True) for field in operands[1:]]
    if word in ("add", "import", "addunused", "reinject"):
        for place in named:
            stored(call, place)
            call.emit("write", place)
        return SOMETHING
    if word in ("copy", "move", "push", "sync", "assist", "export", "testremote"):
        there = parsed.value("--to")
        where = at("git", there.text if there is not None else "default")
        for place in named:
            call.emit("copy", place, where, flow=("net",))
            if word == "move" and there is not None:
                call.emit("delete", place, may=True)
        sends(call, where)
        return SOMETHING
    if word in ("drop", "dropunused", "dead", "forget", "unannex", "uninit", "dropkey"):
        for place in named or [root(call)]:
            call.emit("delete", place, may=True, attrs={"cwd": True} if not named else None)
        return SOMETHING
    if word in ("get", "pull", "whereis", "find", "info", "status", "list", "log", "version", "fsck", "unused", "help"):
        return SOMETHING
    return call.opaque("program", reason=f"git annex {word[:40]} is not known")


FAMILIES: Final[Mapping[str, Family]] = {
    "git_annex": annex,
    "git_clone": clone,
    "git_fetch": fetch,
    "git_lfs": lfs,
    "git_mails": mails,
    "git_push": push,
    "git_remote": remote,
    "git_remotes": remotes,
    "git_serves": serves,
    "git_submodule": submodule,
}
"""What `code` of a spec may say, for this module."""
