"""git: commits are text, what is added is copied into the repository."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed, parse_options
from guardrail.effects.catalogue._spec import specs
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._patches import git_apply
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import SOMETHING, Field, Stream, merge
from guardrail.model import Resource

_LOOKING: Final = frozenset(
    "status log diff show branch rev-parse describe blame shortlog ls-files ls-tree reflog tag cat-file "
    "rev-list merge-base name-rev whatchanged count-objects version help".split()
)
_SHOWING: Final = frozenset("diff show log blame cat-file whatchanged".split())
_NAMING: Final = frozenset(("tag", "branch"))
_RISKY: Final = frozenset(
    "--ext-diff --textconv --output -o --exec-path --open-files-in-pager -O --upload-pack --receive-pack --exec "
    "--template --config-env --editor".split()
)
_GLOBAL_FLAGS: Final = frozenset("--no-pager -P --no-optional-locks --literal-pathspecs --no-replace-objects".split())


def git(call: Call, _parsed: Parsed) -> Stream:
    """`git SUBCOMMAND`: the ones below are known, all others are opaque."""
    args = list(call.args)
    while args and args[0].text.startswith("-"):
        text = args.pop(0).text
        if text == "-C" and args and args[0].known:
            call.cwd = call.place(args.pop(0), kind="dir").path
        elif text in ("--version", "--help"):
            return SOMETHING
        elif text not in _GLOBAL_FLAGS:
            # `-c core.pager=…`, `--git-dir` and their like can make git run programs.
            return call.opaque("program", reason=f"option {text[:40]} of git is not known")
    if not args or not args[0].known:
        return call.opaque("program", reason="the subcommand of git is not known")
    name = args.pop(0).text
    taken = name in ("add", "stage", "commit")  # an unknown word is then a file that could be anything
    if any(field.text.partition("=")[0] in _RISKY or not (taken or _plain(field)) for field in args):
        return call.opaque("program", reason="an option of git may run a program or write a file")
    config = call.place(Field(text=".git/config")).path
    if config is None or call.shell.emit.changed(config):
        return call.opaque("dynamic", reason="a setting of git may name a program")
    known = _SUBCOMMANDS.get(name)
    if known is not None:
        return known(call, args)
    if name in _LOOKING:
        return _look(call, name, args)
    return call.opaque("program", reason=f"git {name} is not known")


def _look(call: Call, name: str, args: list[Field]) -> Stream:
    """Subcommands that print: files they are given, and what the repository they run in holds."""
    sources = merge((), tuple(source for field in args for source in field.sources))
    if name in _NAMING:
        for source in sources:
            call.emit("copy", source, call.place(Field(text=".git/objects")))
    if name not in _SHOWING:
        return Stream(sources=sources)
    for field in args:
        if field.text[:1] != "-" and ("/" in field.text or "." in field.text or call.kind(call.place(field))):
            sources = merge(sources, call.read(field, reveals="some"))
    here = call.place(Field(text="."), kind="dir")
    if here.path is not None and call.cwd != call.shell.start:
        call.emit("read", here, attrs={"reveals": "some"})
        sources = merge(sources, (here,))
    return Stream(sources=sources)


def _settings(call: Call, args: list[Field]) -> Stream:
    """`git config` and `git remote` that only look."""
    looking = ("--list", "-l", "-v", "--verbose", "get-url", "show", "get", "list")
    if not args or args[0].text in looking or args[0].text.startswith("--get"):
        return SOMETHING
    return call.opaque("program", reason="a setting of git may name a program")


def _search(call: Call, _args: list[Field]) -> Stream:
    """`git grep`: reads what is tracked."""
    here = call.place(Field(text="."), kind="dir", recursive=True)
    call.emit("read", here, attrs={"reveals": "some"})
    return Stream(sources=(here,))


def _plain(field: Field) -> bool:
    return field.known or not field.text.startswith(("-", "\ufffc"))


def _add(call: Call, args: list[Field]) -> Stream:
    parsed = parse_options(specs()["git-add"], args)
    if parsed.unknown:
        return call.opaque("program", reason="an option of git add is not known")
    repository = call.place(Field(text=".git/objects"), kind="dir")
    everything = parsed.has("--all", "--update") and not parsed.operands
    for field in parsed.operands or ([Field(text=".")] if everything else []):
        place = call.place(field, recursive=True)
        if not parsed.has("--dry-run"):
            call.emit("copy", place, repository)
    return SOMETHING


def _commit(call: Call, args: list[Field]) -> Stream:
    parsed = parse_options(specs()["git-commit"], args)
    if parsed.unknown or parsed.injected:
        return call.opaque("program", reason="an option of git commit is not known")
    repository = call.place(Field(text=".git/objects"), kind="dir")
    _hooks(call)
    for _, role, field in parsed.values:
        for source in (*field.sources, *(call.read(field, reveals="content") if role == "read" else ())):
            call.emit("copy", source, repository)
    listed = parsed.operands or ([Field(text=".")] if parsed.has("--all") else [])
    for field in listed:
        call.emit("copy", call.place(field, recursive=True), repository)
    return SOMETHING


def _hooks(call: Call) -> None:
    """Hooks that are there run; whether this session wrote them is for the history to say."""
    for name in ("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit"):
        place = call.place(Field(text=f".git/hooks/{name}"))
        if call.kind(place) is not None or (place.path is not None and call.shell.emit.changed(place.path)):
            authored = place.path is not None and call.shell.emit.changed(place.path)
            attrs = {"authored": True} if authored else None
            call.shell.emit.opaque("script", place, spec="git", span=call.span, attrs=attrs)


def _push(call: Call, args: list[Field]) -> Stream:
    names = [field.text for field in args if not field.text.startswith("-")]
    where = Resource(kind="net", uri=f"git:{names[0] if names else 'default'}")
    call.emit("net_send", where)
    return SOMETHING


_SUBCOMMANDS: Final[Mapping[str, Callable[[Call, list[Field]], Stream]]] = {
    "add": _add,
    "apply": git_apply,
    "stage": _add,
    "commit": _commit,
    "push": _push,
    "grep": _search,
    "config": _settings,
    "remote": _settings,
}
"""Subcommands with effects of their own."""


FAMILIES: Final[Mapping[str, Family]] = {
    "git": git,
}
"""What `code` of a spec may say, for this module."""
