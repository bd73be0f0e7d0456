"""git: commits are text, what is added is copied into the repository."""

from __future__ import annotations

from typing import Final

from guardrail.effects._call import Call
from guardrail.effects._options import Parsed, parse_options
from guardrail.effects._spec import specs
from guardrail.effects._values import SOMETHING, Field, Stream
from guardrail.model import Resource

_LOOKING: Final = frozenset(
    "status log diff show branch rev-parse describe blame shortlog ls-files ls-tree reflog remote config tag cat-file "
    "rev-list merge-base name-rev whatchanged grep count-objects version help".split()
)
_RECORDING: Final = frozenset(("commit", "tag", "branch"))
_RISKY: Final = frozenset(
    "--ext-diff --textconv --output -o --exec-path --open-files-in-pager -O --upload-pack --receive-pack --exec "
    "--template --config-env --editor".split()
)
_GLOBAL_FLAGS: Final = frozenset("--no-pager -P --no-optional-locks --literal-pathspecs --bare --no-replace-objects".split())


def git(call: Call, parsed: Parsed) -> Stream:
    """`git SUBCOMMAND`: the ones below are known, all others are opaque."""
    args = list(call.args)
    cwd = call.cwd
    while args and args[0].text.startswith("-"):
        text = args.pop(0).text
        if text == "-C" and args and args[0].known:
            cwd = call.place(args.pop(0), kind="dir").path
            call.cwd = cwd
        elif text in ("--version", "--help"):
            return SOMETHING
        elif text not in _GLOBAL_FLAGS:
            # `-c core.pager=…`, `--git-dir` and their like can make git run programs.
            return call.opaque("program", reason=f"option {text[:40]} of git is not known")
    if not args or not args[0].known:
        return call.opaque("program", reason="the subcommand of git is not known")
    name = args.pop(0).text
    if any(field.text.partition("=")[0] in _RISKY or not _plain(field) for field in args):
        return call.opaque("program", reason="an option of git may run a program or write a file")
    if name == "add" or name == "stage":
        return _add(call, args)
    if name == "commit":
        return _commit(call, args)
    if name == "push":
        return _push(call, args)
    if name == "grep":
        call.emit("read", call.place(Field(text="."), recursive=True), attrs={"reveals": "some"})
        return Stream(sources=(call.place(Field(text="."), recursive=True),))
    if name == "config" and any(not field.text.startswith("--get") and field.text not in ("--list", "-l") for field in args[:1]):
        return call.opaque("program", reason="a setting of git may name a program")
    if name in _LOOKING:
        if name in ("branch", "tag", "remote") and args and not all(field.text.startswith("-") for field in args):
            return call.opaque("program", reason=f"git {name} with arguments is not looked into") if name == "remote" else SOMETHING
        return SOMETHING
    return call.opaque("program", reason=f"git {name} is not known")


def _plain(field: Field) -> bool:
    return field.known or not field.text.startswith(("-", "\ufffc"))


def _add(call: Call, args: list[Field]) -> Stream:
    parsed = parse_options(specs()["git-add"], args)
    if parsed.unknown or parsed.injected:
        return call.opaque("program", reason="an option of git add is not known")
    repository = call.place(Field(text=".git"), kind="dir", recursive=False)
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
    repository = call.place(Field(text=".git"), kind="dir")
    for _, role, field in parsed.values:
        for source in (*field.sources, *(call.read(field, reveals="content") if role == "read" else ())):
            call.emit("copy", source, repository)
    listed = parsed.operands or ([Field(text=".")] if parsed.has("--all") else [])
    for field in listed:
        call.emit("copy", call.place(field, recursive=True), repository)
    return SOMETHING


def _push(call: Call, args: list[Field]) -> Stream:
    names = [field.text for field in args if not field.text.startswith("-")]
    where = Resource(kind="net", uri=f"git:{names[0] if names else 'default'}")
    call.emit("net_send", where)
    return SOMETHING
