"""git subcommands that work on files and on the store: what is added is copied, what is cleaned is gone.

Not concerned with other repositories (`_git_remote`). Files that git tracks and rewrites as a matter of course
(checkout, merge, pull) are not named by the command: that is an opaque program's work, as far as no path is given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._git_hooks import hooks
from guardrail.effects.commands._git_repo import (
    named_by,
    objects,
    place_of,
    put_there,
    quietly,
    rewritten,
    root,
    stored,
    tree,
)
from guardrail.effects.commands._git_settings import setting
from guardrail.effects.commands._ignored import ignored_by_git
from guardrail.effects.commands._patches import git_apply
from guardrail.effects.commands._targets import destinations, operands_and_target
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import below
from guardrail.effects.domain._values import SOMETHING, TOP, Field, Stream
from guardrail.model import Resource
from guardrail.patterns import lazy

MAX_PATCH_BYTES: Final = 1024 * 1024
"""Largest patch whose names are read, in bytes; a larger one may change anything below."""

_MESSAGE = lazy(r"-[a-zA-Z]*m.*|--mes.*", re.DOTALL)
_COMMIT_HOOKS: Final = ("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "post-rewrite")
_CHECKOUT_HOOKS: Final = ("post-checkout", "pre-merge-commit", *_COMMIT_HOOKS, "post-merge", "pre-rebase")
_PATCHED: Final = lazy(
    r"^(?:\+\+\+ (?:[a-z]/)?(?P<new>[^\t\n]+)|--- (?:[a-z]/)?(?P<old>[^\t\n]+)|rename (?:from|to) (?P<name>[^\n]+)"
    r"|copy to (?P<copy>[^\n]+)|diff --git (?:[a-z]/)?(?P<a>\S+) (?:[a-z]/)?(?P<b>\S+))",
    re.MULTILINE,
)


def add(call: Call, parsed: Parsed) -> Stream:
    """`git add`: what is named is copied into the repository."""
    everything = parsed.has("--all", "--update") and not parsed.operands
    if not parsed.has("--dry-run"):
        facts = {} if parsed.has("--force") else ignored_by_git(call)
        for field in parsed.operands or ([Field(text=".")] if everything else []):
            stored(call, named_by(call, field), attrs=facts)
    for field in parsed.values_of("--pathspec-from-file"):
        for name in call.listed(field):
            stored(call, call.place(name, recursive=True))
    return SOMETHING


def commit(call: Call, parsed: Parsed) -> Stream:
    """`git commit`: the message and the named files are copied into the repository; hooks run."""
    if parsed.injected:
        call.opaque("program", reason="an option of git commit is not known")
    hooks(call, _COMMIT_HOOKS)
    _compared(call)
    _recorded(call, parsed)
    listed = parsed.operands or ([Field(text=".")] if parsed.has("--all") else [])
    facts = ignored_by_git(call) if listed else {}
    for field in listed:
        stored(call, named_by(call, field), attrs=facts)
    return SOMETHING


def _recorded(call: Call, parsed: Parsed) -> None:
    """Content in words, and files that a message is read from, end up in the store."""
    log = call.place(Field(text=".git/logs/HEAD"))
    if log.path is not None and any(_MESSAGE.fullmatch(field.text) for field in call.args):
        call.emit(
            "append", log, may=call.name != "git-commit"
        )  # what a message says is kept, and may be more than a message
    for _, role, field in parsed.values:
        for source in (*field.sources, *(call.read(field) if role == "read" else ())):
            stored(call, source)
    for field in parsed.operands:
        for source in field.sources:
            stored(call, source)


def record(call: Call, parsed: Parsed) -> Stream:
    """Subcommands that keep a message, such as `git tag` and `git notes`."""
    _recorded(call, parsed)
    if any(field.text == "-" for _, role, field in parsed.values if role == "read"):
        for source in call.stdin.sources:
            stored(call, source)
    return SOMETHING


def stash(call: Call, parsed: Parsed) -> Stream:
    """`git stash`: with `-u` or `-a` files that are not tracked go into the store, and away."""
    verb = parsed.operands[0].text if parsed.operands else "push"
    named = parsed.operands[1:]
    if verb not in _STASHING and any(field.text == "--" for field in call.args):
        verb, named = "push", parsed.operands
    _recorded(call, parsed)
    if verb in ("list", "show", "drop", "clear", "create", "store"):
        return SOMETHING
    if verb not in ("push", "save"):
        return _rewrites(call, parsed)
    _compared(call)
    paths = named if verb == "push" else []
    for place in [named_by(call, field) for field in paths] or [tree(call)]:
        ignored = parsed.has("--all")
        if ignored or parsed.has("--include-untracked"):
            facts = {"untracked": True} if ignored else ignored_by_git(call, untracked=True)
            stored(call, place, attrs=facts)
            quietly(call, "delete", place, may=True, attrs=facts)
        elif paths:
            stored(call, place)
        # What is tracked becomes again what was committed.
        quietly(call, "write", place, may=True, attrs={"tracked": True})
    return SOMETHING


_STASHING: Final = frozenset("push save pop apply branch list show drop clear create store".split())
"""What may stand after `git stash`; anything else is an option, or a path behind `--`."""


def _compared(call: Call) -> None:
    """The files that are there are compared with the index, of which nothing comes out."""
    call.emit("read", tree(call), attrs={"reveals": "digest"}, may=True)


def _rewrites(call: Call, parsed: Parsed) -> Stream:
    """Tracked files become those of another commit."""
    hooks(call, _CHECKOUT_HOOKS)
    _compared(call)
    rewritten(call)
    return call.opaque("program", reason=f"{call.name} rewrites tracked files", words=parsed.operands)


def clean(call: Call, parsed: Parsed) -> Stream:
    """`git clean`: files that are not tracked are deleted."""
    if parsed.has("--dry-run"):
        return SOMETHING
    here = call.place(Field(text="."), kind="dir", recursive=True)
    # `-e` may take in again what is ignored.
    ignored = any(re.match(r"-[a-zA-Z]*[xXe]|--ex", field.text) for field in call.args)
    facts = {"untracked": True} if ignored else ignored_by_git(call, untracked=True)
    for place in [named_by(call, field, nofollow=True) for field in parsed.operands] or [here]:
        quietly(call, "delete", place, may=True, attrs=facts)
    return SOMETHING


def checkout(call: Call, parsed: Parsed) -> Stream:
    """`git checkout`, `switch`, `restore` and `reset`: named paths are overwritten; with force, all of the tree."""
    paths = _paths(call, parsed)
    if parsed.has("--pathspec-from-file"):
        paths = [name for field in parsed.values_of("--pathspec-from-file") for name in call.listed(field)]
    if call.name == "git-reset":
        if not parsed.has("--soft"):
            _compared(call)
        if parsed.has("--hard", "--merge", "--keep"):
            quietly(call, "write", tree(call), may=True, attrs={"tracked": True})
        return SOMETHING
    if call.name == "git-restore" and parsed.has("--staged") and not parsed.has("--worktree"):
        return SOMETHING
    # From the index comes only what is tracked; another version may have had what is ignored now.
    indexed = len(paths) == len(parsed.operands) and not parsed.values
    facts = ignored_by_git(call, tracked=True) if paths and indexed else {"tracked": True}
    for field in paths:
        call.emit("write", named_by(call, field), attrs=facts)
    if parsed.has("--force", "--discard-changes", "--overwrite-ignore") and not paths:
        quietly(call, "write", tree(call), may=True, attrs={"tracked": True})
    if parsed.has("--patch") and not paths:
        quietly(call, "write", tree(call), may=True, attrs={"tracked": True})
    return SOMETHING if paths else _rewrites(call, parsed)


def _paths(call: Call, parsed: Parsed) -> list[Field]:
    """The operands that are paths: all after `--`, all of `restore`, and what is there by that name."""
    texts = [field.text for field in call.args]
    if "--" in texts:
        behind = texts[texts.index("--") + 1 :]
        return parsed.operands[len(parsed.operands) - len(behind) :] if behind else []
    if call.name == "git-restore":
        return parsed.operands
    creates = parsed.has("-b", "-B", "--create", "--force-create", "--orphan", "--detach")
    if creates or call.name == "git-switch":
        return []
    return [
        field
        for index, field in enumerate(parsed.operands)
        if index > 0 or field.text.startswith((".", "/", ":", "*")) or call.kind(call.place(field)) is not None
    ]


def remove(call: Call, parsed: Parsed) -> Stream:
    """`git rm`: deleted here, unless only from the index."""
    operands = list(parsed.operands)
    for field in parsed.values_of("--pathspec-from-file"):
        operands += call.listed(field)
    for field in operands:
        # What was changed since it was committed is not removed.
        call.emit("read", call.place(field, recursive=True), attrs={"reveals": "digest"}, may=True)
    if parsed.has("--cached", "--dry-run"):
        return SOMETHING
    for field in operands:
        call.emit("delete", call.place(field, recursive=parsed.has("-r"), nofollow=True))
    return SOMETHING


def move(call: Call, parsed: Parsed) -> Stream:
    """`git mv`: renamed here."""
    if parsed.has("--dry-run"):
        return SOMETHING
    sources, target, into = operands_and_target(call, parsed)
    for source in sources if target is not None else []:
        for name in destinations(call, source, target or source, into):
            call.emit("rename", call.place(source, recursive=True, nofollow=True), call.place(name))
    return SOMETHING


def apply(call: Call, parsed: Parsed) -> Stream:
    """`git apply` and `git am`: files are changed that the patch names."""
    looks = parsed.has("--stat", "--numstat", "--summary", "--check") and not parsed.has("--apply")
    if looks and parsed.has("--check"):
        _compared(call)
    if looks or parsed.has("--show-current-patch"):
        return apply_spec(call, parsed)
    if call.name == "git-am":
        hooks(call, ("applypatch-msg", "pre-applypatch", "post-applypatch"))
    if call.name == "git-apply" and not parsed.flags and not parsed.unknown and not parsed.injected:
        return git_apply(call, call.args)
    known = True
    for field in parsed.operands or [Field(text="-")]:
        text = _patch(call, field)
        known = known and text is not None
        if text is not None and not parsed.has("--cached"):
            _patched(call, parsed, text)
        if field.text != "-":
            call.read(field, reveals="some")
    if not known or parsed.injected:
        return call.opaque("program", reason="the files that a patch changes are not known")
    return SOMETHING


def _patch(call: Call, field: Field) -> str | None:
    if field.text in ("-", "/dev/stdin"):
        return call.stdin.text
    data = call.content(call.place(field))
    return data.decode("utf-8", "surrogateescape") if data is not None and len(data) <= MAX_PATCH_BYTES else None


def _patched(call: Call, parsed: Parsed, text: str) -> None:
    folder = parsed.value("--directory")
    names = {name.strip('"') for match in _PATCHED.finditer(text) for name in match.groups() if name}
    for name in sorted(names - {"/dev/null"}):
        field = Field(text=name) if folder is None else below(folder, name)
        call.emit("write", call.place(field))


def written(call: Call, parsed: Parsed) -> Stream:
    """`git archive`, `bundle`, `format-patch`, `worktree add`: what is committed goes to a file or directory."""
    here = root(call)
    outs = [field for _, role, field in parsed.values if role in ("write", "into")]
    named = _written_operands(call, parsed)
    for field in [*outs, *named]:
        place = call.place(field, recursive=True)
        if field.text != "-":
            call.emit("copy", here, place, attrs={"cwd": True, "committed": True}, may=True)
            quietly(call, "write", place)
    if call.name == "git-format-patch" and not outs and not parsed.has("--stdout"):
        numbered = call.place(Field(text=TOP, glob="[0-9]*"))
        call.emit("copy", here, numbered, attrs={"cwd": True, "committed": True}, may=True)
        quietly(call, "write", numbered, may=True)
    for field in parsed.values_of("--remote"):
        call.emit("net_recv", place_of(call, field, known=True) or at("git", "default"))
    for _, role, field in parsed.values:
        if role in ("opaque", "run", "shell"):
            call.opaque("inline", reason=f"an option of {call.name} runs a program", words=(field,))
        elif role == "mention":
            call.mention((field,))
        elif role == "read":
            for source in call.read(field):
                call.emit("copy", source, call.place(outs[0]) if outs else objects(call))
    shown = call.name in ("git-archive", "git-fast-export") or parsed.has("--stdout")
    return Stream(sources=(here, objects(call))) if not outs and shown else SOMETHING


def _written_operands(call: Call, parsed: Parsed) -> list[Field]:
    words = [field.text for field in parsed.operands]
    if call.name == "git-bundle":
        if words[:1] == ["unbundle"]:
            for field in parsed.operands[1:2]:
                stored(call, call.place(field))
        return parsed.operands[1:2] if words[:1] == ["create"] else []
    if call.name == "git-worktree":
        if words[:1] == ["add"]:
            return parsed.operands[1:2]
        if words[:1] in (["remove"], ["prune"]):
            for field in parsed.operands[1:]:
                call.emit("delete", call.place(field, recursive=True, nofollow=True))
        if words[:1] == ["move"] and len(words) > 2:
            source, target = parsed.operands[1:3]
            call.emit("rename", call.place(source, recursive=True, nofollow=True), call.place(target))
    return []


def hash_object(call: Call, parsed: Parsed) -> Stream:
    """`git hash-object`: with `-w` a copy goes into the store."""
    writes = parsed.has("-w")
    sources = [
        source for field in parsed.operands for source in call.read(field, reveals="content" if writes else "digest")
    ]
    if parsed.has("--stdin"):
        sources.extend(call.stdin.sources)
    if parsed.has("--stdin-paths"):
        sources.extend(call.stdin.names)
        names = (call.stdin.text if call.stdin.text is not None else TOP).splitlines()
        sources.extend(call.place(Field(text=name)) for name in names)
    for source in sources if writes else []:
        stored(call, source)
    return SOMETHING


def update_index(call: Call, parsed: Parsed) -> Stream:
    """`git update-index`: named files are copied into the store."""
    if parsed.has("--refresh"):
        _compared(call)
    for field in parsed.operands:
        stored(call, call.place(field, recursive=True))
    for name in call.stdin.names if parsed.has("--stdin", "--index-info") else ():
        stored(call, name)
    return SOMETHING


def replay(call: Call, parsed: Parsed) -> Stream:
    """`git rebase`, `merge`, `cherry-pick`, `revert`: tracked files change; commands given with them run."""
    _recorded(call, parsed)
    for _, role, field in parsed.values:
        if role == "shell":
            _shell(call, field)
        elif role in ("opaque", "run"):
            call.opaque("inline", reason=f"an option of {call.name} runs a program", words=(field,))
            call.mention_text(field.text)
    return _rewrites(call, parsed)


def _shell(call: Call, field: Field) -> None:
    if not field.known:
        call.opaque("dynamic", reason="a command that is not known", words=(field,))
        return
    with call.perhaps():
        call.shell.run_text(field.text, call.state.copy(), Stream(sources=call.stdin.sources))


def nested(call: Call, parsed: Parsed) -> Stream:
    """`git bisect run CMD` and `git submodule foreach CMD`; anything else of them rewrites tracked files."""
    words = [field.text for field in parsed.operands]
    if words[:1] == ["run"] and len(words) > 1:
        return call.shell.again(call, tuple(parsed.operands[1:]), external=True)
    if words[:1] in (["log"], ["view"], ["visualize"], ["terms"], []):
        return SOMETHING
    return _rewrites(call, parsed)


def filter_branch(call: Call, parsed: Parsed) -> Stream:
    """`git filter-branch`: shell texts run on every commit; history is rewritten."""
    for _, role, field in parsed.values:
        if role == "shell":
            _shell(call, field)
    quietly(call, "write", tree(call), may=True, attrs={"tracked": True})
    return call.opaque("program", reason=f"{call.name} rewrites history")


def collect(call: Call, _parsed: Parsed) -> Stream:
    """`git gc`, `prune`, `repack`: objects that nothing refers to are deleted."""
    quietly(call, "delete", objects(call), may=True, attrs={"cwd": True})
    return SOMETHING


def init(call: Call, parsed: Parsed) -> Stream:
    """`git init`: an empty repository; a template brings hooks with it."""
    for field in parsed.operands or [Field(text=".")]:
        # All that is put there is the repository's own, of a bare one without a directory for it.
        own = field if parsed.has("--bare") else below(field, ".git")
        quietly(call, "create", call.place(own, kind="dir", recursive=True))
    for field in parsed.values_of("--separate-git-dir"):
        quietly(call, "create", call.place(field, kind="dir", recursive=True))
        if put_there(call, call.place(below(field, "config"))):
            call.opaque("dynamic", reason="a setting of git may name a program")
    for field in parsed.values_of("--template"):
        setting(call, Field(text="init.templateDir"), field)
    return SOMETHING


def checkout_index(call: Call, parsed: Parsed) -> Stream:
    """`git checkout-index` and `read-tree -u`: the index is written out."""
    prefix = parsed.value("--prefix")
    place: Resource = call.place(prefix, recursive=True) if prefix is not None else tree(call)
    if prefix is not None:
        call.emit("copy", root(call), place, attrs={"cwd": True, "committed": True}, may=True)
    quietly(call, "write", place, may=True, attrs={"tracked": True})
    return SOMETHING


FAMILIES: Final[Mapping[str, Family]] = {
    "git_add": add,
    "git_apply": apply,
    "git_checkout": checkout,
    "git_checkout_index": checkout_index,
    "git_clean": clean,
    "git_collect": collect,
    "git_commit": commit,
    "git_filter": filter_branch,
    "git_hash_object": hash_object,
    "git_init": init,
    "git_move": move,
    "git_nested": nested,
    "git_record": record,
    "git_remove": remove,
    "git_replay": replay,
    "git_stash": stash,
    "git_update_index": update_index,
    "git_written": written,
}
"""What `code` of a spec may say, for this module."""
