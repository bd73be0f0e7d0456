"""git: its own options, settings and aliases; each subcommand is a command of its own, `git-add` and so on.

Not concerned with what single subcommands do (`_git_tree`, `_git_remote`); most of them are data in `specs/git.toml`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.catalogue._spec import Spec, specs
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._git_hooks import hooks
from guardrail.effects.commands._git_repo import objects, plainly, rewritten, root, settings_changed, stored, tree
from guardrail.effects.commands._git_settings import note_settings, setting
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._entering import entered
from guardrail.effects.domain._paths import below
from guardrail.effects.domain._values import NUM, SOMETHING, TOP, Field, Stream, merge, starred
from guardrail.model import Resource
from guardrail.patterns import lazy

_NAMING: Final = frozenset(("git-tag", "git-branch"))
_SHOWING: Final = frozenset(
    "git-diff git-diff-files git-diff-index git-show git-log git-blame git-cat-file git-whatchanged "
    "git-annotate".split()
)
_RISKY: Final = frozenset(
    "--ext-diff --textconv --exec-path --open-files-in-pager -O --upload-pack --exec --config-env --editor".split()
)
_GLOBAL_FLAGS: Final = frozenset(
    "--no-pager -P -p --paginate --no-optional-locks --literal-pathspecs --glob-pathspecs --noglob-pathspecs "
    "--icase-pathspecs --no-replace-objects --bare --no-lazy-fetch --no-advice --html-path --man-path".split()
)
_UNSPECIFIED: Final = frozenset(
    "add--interactive checkout--worker credential credential-cache credential-store diagnose difftool env--helper "
    "fast-import fmt-merge-msg for-each-repo fsck-objects fsmonitor--daemon hook http-fetch http-push index-pack "
    "mailinfo mailsplit merge-index merge-octopus merge-one-file merge-ours merge-recursive merge-resolve "
    "merge-subtree mergetool pack-objects pack-redundant pickaxe remote-ext remote-fd remote-ftp remote-ftps "
    "remote-http remote-https sh-i18n--envsubst shell submodule--helper unpack-file unpack-objects web--browse "
    "backfill cvsexportcommit cvsimport cvsserver diff-pairs gui citool gitk history last-modified "
    "p4 refs repo replay scalar svn archimport survey".split()
)
"""Subcommands without a spec, from `git --list-cmds=builtins,main` of 2.39 and the manual of 2.52."""

_HARMLESS_LIST: Final = frozenset(
    "--list -l --get --get-all --get-regexp --get-urlmatch --get-color --get-colorbool".split()
)


def git(call: Call, _parsed: Parsed) -> Stream:
    """`git SUBCOMMAND`: goes on as `git-SUBCOMMAND`; what has no spec is opaque."""
    args = list(call.args)
    aliases: dict[str, str] = {}
    while args and args[0].text.startswith("-"):
        done = _global(call, args, aliases)
        if done is not None:
            return done
    if not args:
        return SOMETHING
    if not args[0].known:
        return call.opaque("program", reason="the subcommand of git is not known")
    name = args.pop(0).text
    if settings_changed(call):
        return call.opaque("dynamic", reason="a setting of git may name a program")
    if call.shell.written_before or call.shell.emit.made:
        note_settings(call, aliases)
        hooks(call, _ANY_HOOKS)
    # A subcommand of git's own cannot be given another meaning: an alias of its name is ignored.
    spec = specs().get(f"git-{name}")
    if spec is None:
        if name.lower() in aliases and name not in _UNSPECIFIED:
            return _aliased(call, aliases[name.lower()], args)
        return _unknown(call, name)
    call.name, call.args = f"git-{name}", tuple(_without_negations(spec, args))
    return call.shell.plain(call)


def _unknown(call: Call, name: str) -> Stream:
    """A subcommand without a spec, which may print what was committed."""
    kept = objects(call)
    call.emit("read", kept, attrs={"reveals": "some"}, may=True)
    made = call.opaque("program", reason=f"git {name[:40]} is not known")
    return msgspec.structs.replace(made, sources=merge(made.sources, (kept,)))


_ANY_HOOKS: Final = ("post-index-change", "reference-transaction")
"""Hooks that run with nearly every subcommand."""


def _without_negations(spec: Spec, args: list[Field]) -> list[Field]:
    """`--no-OPTION` takes back what was not asked for; what it would take back is assumed all the same."""
    if spec.entry.raw:
        return args
    kept: list[Field] = []
    for index, field in enumerate(args):
        if field.text == "--":
            return [*kept, *args[index:]]
        if not (field.text.startswith("--no-") and "--" + field.text[5:] in spec.options) or field.text in spec.options:
            kept.append(field)
    return kept


def _global(call: Call, args: list[Field], aliases: dict[str, str]) -> Stream | None:
    """One option before the subcommand; an answer ends the command."""
    field = args.pop(0)
    text = field.text
    name, equals, _ = text.partition("=")
    if text == "-C" and args:
        field = args.pop(0)
        call.cwd = call.place(field, kind="dir").path or _only(entered(call, field))
    elif text in ("--version", "--help", "-v", "-h"):
        return SOMETHING
    elif text == "-c" and args:
        given = args.pop(0)
        key, has, value = given.text.partition("=")
        if key.lower().startswith("alias.") and has and given.known:
            aliases[key[6:].lower().removesuffix(".command")] = value
        else:
            setting(call, Field(text=key), given.tail(len(key) + 1) if has else None)
    elif name in ("--git-dir", "--work-tree"):
        if not equals and not args:
            return SOMETHING
        _elsewhere(call, name, field.tail(len(name) + 1) if equals else args.pop(0), aliases)
    elif name == "--namespace":
        if not equals and args:
            args.pop(0)
    elif text not in _GLOBAL_FLAGS:
        # `--exec-path`, `--config-env` and their like can make git run other programs.
        return call.opaque("program", reason=f"option {text[:40]} of git is not known")
    return None


def _only(places: Sequence[str | None]) -> str | None:
    return places[0] if len(places) == 1 else None


def _elsewhere(call: Call, option: str, folder: Field, aliases: dict[str, str]) -> None:
    """Another tree, or another repository: its settings, if the session wrote them, may name programs."""
    call.mention((folder,))
    if option == "--work-tree":
        call.cwd = call.place(folder, kind="dir").path
        return
    if not folder.known:
        call.opaque("dynamic", reason="a setting of git may name a program")
    elif call.shell.written_before or call.shell.emit.made:
        note_settings(call, aliases, folder.text.rstrip("/"))


def _aliased(call: Call, value: str, args: list[Field]) -> Stream:
    """`-c alias.x=…`: a subcommand with options, or after `!` a shell text that gets the words."""
    if value.startswith("!"):
        state = call.state.copy()
        state.hand(args)
        return call.shell.run_text(f'{value[1:]} "$@"', state, call.stdin)[2]
    if re.search(r"[\"'\\$]", value):
        return call.opaque("inline", reason="an alias of git")
    words = tuple(Field(text=word) for word in value.split())
    return call.shell.again(call, (Field(text="git"), *words, *args), external=True)


# -- subcommands that look


def look(call: Call, _parsed: Parsed) -> Stream:
    """Subcommands that print: files they are given, and what the repository they run in holds."""
    if any(field.text.partition("=")[0] in _RISKY for field in call.args) or not plainly(call.args):
        return call.opaque("program", reason="an option of git may run a program or write a file")
    _altered(call)
    sources = merge((), tuple(source for field in call.args for source in field.sources))
    if call.name in _FILTERING or any(_FROM_INPUT.match(field.text) for field in call.args):
        sources = merge(sources, call.stdin.sources)
    if call.name in _NAMING:
        for source in sources:
            stored(call, source)
    if call.name not in _SHOWING:
        _worktree(call)
        if call.name != "git-rev-parse":
            _output(call)
        return Stream(text=_told(call), sources=sources)
    committed = [field for field in call.args if field.text[:1] != "-" and _in_commit(call, field)]
    named = [f for f in call.args if f.text[:1] != "-" and f not in committed and _is_path(call, f)]
    sources = merge(sources, _committed(call, committed))
    for field in named:
        recursive = call.kind(call.place(field)) == "dir"
        sources = merge(sources, call.read(field, reveals="some", recursive=recursive))
    for field in call.args:
        if field.text.startswith("--contents="):
            sources = merge(sources, call.read(field.tail(len("--contents=")), reveals="some"))
    shown = _worktree(call)
    if not named:
        sources = merge(sources, shown)
    here = root(call)
    if here.path is not None and call.cwd != call.shell.start:
        call.emit("read", here, attrs={"reveals": "some"})
        sources = merge(sources, (here,))
    _output(call)
    return Stream(sources=sources)


_FILTERING: Final = frozenset("git-stripspace git-column git-shortlog git-show-index git-get-tar-commit-id".split())
"""Subcommands whose output is made of their input."""

_FROM_INPUT: Final = lazy(r"--(?:std|batch|annotate-s|exclude-e|parseopt)")
"""Options, also cut short, with which others read their input, and tell what they do not understand of it."""


def _altered(call: Call) -> None:
    """Subcommands that look, until they are told to do something."""
    if call.name == "git-bugreport":
        folder = [".", *(field.text for field in _valued(call.args, ("-o", "--output-directory")))][-1]
        name = f"{folder}/git-bugreport-*"
        call.emit("create", call.place(Field(text=name, glob=name)))
    elif call.name == "git-sparse-checkout" and call.args[:1] and call.args[0].text != "list":
        rewritten(call)


def _valued(args: Sequence[Field], names: tuple[str, str]) -> Iterator[Field]:
    """The values of an option, given as its letter and its word: `-o V`, `-oV`, `--output V`, `--output=V`."""
    letter, word = names
    for index, field in enumerate(args):
        if field.text in names and index + 1 < len(args):
            yield args[index + 1]
        elif field.text.startswith(f"{word}="):
            yield field.tail(len(word) + 1)
        elif field.text.startswith(letter) and len(field.text) > len(letter):
            yield field.tail(len(letter))


def _in_commit(call: Call, field: Field) -> bool:
    """`REVISION:PATH`, or `:PATH` of the index; `:/TEXT` is a commit, and what is there by the whole name is a file."""
    if not field.known or ":" not in field.text or field.text.startswith(":/") or "://" in field.text:
        return False
    return call.name in _BY_NAME and call.kind(call.place(field)) is None


_BY_NAME: Final = frozenset(("git-show", "git-cat-file", "git-diff"))
"""Subcommands that take `REVISION:PATH` for the content of a file."""


def _committed(call: Call, named: Sequence[Field]) -> tuple[Resource, ...]:
    """What was committed and is printed, by the name it had, and under whatever name: the store knows what it took."""
    sources: tuple[Resource, ...] = ()
    top = root(call).path
    for field in named:
        # What is there by that name is another version of it, or the same.
        name = field.tail(len(field.text) - len(field.text.rpartition(":")[2]))
        inside = name if top is None or name.text.startswith(("./", "../")) else below(Field(text=top), name.text)
        sources = merge(sources, call.read(inside, reveals="some"))
    if _shows_commits(call):
        kept = objects(call)
        call.emit("read", kept, attrs={"reveals": "some"}, may=True)
        sources = merge(sources, (kept,))
    return sources


def _shows_commits(call: Call) -> bool:
    """Whether the content of what was committed is printed."""
    words = {field.text.partition("=")[0] for field in call.args}
    if call.name in ("git-log", "git-whatchanged"):
        return bool(words & _PATCHES)
    if call.name == "git-cat-file":
        return not words & _OBJECT_FACTS
    return call.name in _SHOWING and not words & _SUMMARIES


_PATCHES: Final = frozenset(("-p", "-u", "--patch", "--binary", "--cc", "-c", "--full-diff", "-L", "--patch-with-stat"))
_OBJECT_FACTS: Final = frozenset(("-t", "-s", "-e", "--batch-check"))


def _is_path(call: Call, field: Field) -> bool:
    if TOP in field.text and ".." in field.text and "/" not in field.text:
        return False  # `"$BASE"...HEAD`
    return "/" in field.text or "." in field.text or call.kind(call.place(field)) is not None


def _worktree(call: Call) -> tuple[Resource, ...]:
    """Subcommands that compare what is committed with the files that are there; returns what a diff of them shows."""
    words = {field.text.partition("=")[0] for field in call.args}
    revisions = [field for field in call.args if field.text[:1] != "-"]
    if call.name in _COMPARING:
        compares = call.name == "git-status" or not (
            words & {"--cached", "--staged", "--no-index"} or any(".." in field.text for field in revisions)
        )
        compares = compares and (len(revisions) < 2 or call.name != "git-diff")
    else:
        compares = bool(words & _MODIFIED.get(call.name, frozenset()))
    if not compares:
        return ()
    whole = call.name in _COMPARING and call.name != "git-status" and not words & _SUMMARIES
    place = tree(call)
    call.emit("read", place, attrs={"reveals": "some" if whole else "digest"}, may=True)
    return (place,) if whole else ()


_COMPARING: Final = frozenset(("git-status", "git-diff", "git-diff-files", "git-diff-index"))
_MODIFIED: Final[Mapping[str, frozenset[str]]] = {
    "git-describe": frozenset(("--dirty", "--broken")),
    "git-ls-files": frozenset(("-m", "--modified")),
}
"""Options with which others compare too."""

_SUMMARIES: Final = frozenset(
    "--stat --numstat --shortstat --name-only --name-status --quiet --dirstat --summary --compact-summary -s "
    "--no-patch --raw".split()
)
"""Options of a diff that show only which files differ."""


def _told(call: Call) -> str | None:
    """What is printed, where its form is certain: the top of the repository, or the name of one commit."""
    words = [field.text for field in call.args]
    if call.name == "git-rev-parse" and words == ["--show-toplevel"]:
        here = root(call)
        found = here.path is not None and call.shell.view.kind(f"{here.path.rstrip('/')}/.git") is not None
        return f"{here.path}\n" if found else None
    hashes = call.name == "git-merge-base" and all(word[:1] != "-" for word in words)
    if call.name == "git-rev-parse":
        options = [word for word in words if word[:1] == "-"]
        hashes = len(words) - len(options) == 1 and all(_HASHED.fullmatch(word) for word in options)
        # The name of a file is printed as it is.
        others = [field for field in call.args if field.text[:1] != "-"]
        hashes = hashes and not any(f.text[:1] in "/." or call.kind(call.place(f)) is not None for f in others)
    # Hexadecimal digits: like a number, a part of a name that holds no slash and begins no option.
    return f"{NUM}\n" if hashes and all(field.known for field in call.args) else None


_HASHED: Final = lazy(r"--short(?:=\d+)?|--verify|-q|--quiet")


def _output(call: Call) -> None:
    """`--output FILE` and `--output=FILE`."""
    for index, field in enumerate(call.args):
        if field.text == "--":
            return
        if field.text == "--output" and index + 1 < len(call.args):
            _written(call, call.args[index + 1])
        elif field.text.startswith("--output="):
            _written(call, field.tail(len("--output=")))


def _written(call: Call, field: Field) -> None:
    place = call.place(field)
    call.emit("copy", root(call), place, attrs={"cwd": True}, may=True)
    call.emit("write", place)


def _plain(field: Field) -> bool:
    return field.known or not field.text.startswith(("-", TOP))


def search(call: Call, _parsed: Parsed) -> Stream:
    """`git grep`: reads what is tracked."""
    if any(_opens(field.text) or not _plain(field) for field in call.args):
        return call.opaque("program", reason="an option of git may run a program or write a file")
    here = call.place(Field(text="."), kind="dir", recursive=True)
    # No key is tracked: adding it is a copy.
    tracked = not any(field.text.startswith(("--no-i", "--unt")) for field in call.args)
    call.emit("read", here, attrs={"reveals": "some", "sought": True} if tracked else {"reveals": "some"})
    sources: tuple[Resource, ...] = (here,)
    for field in call.args:
        if field.text.startswith(("/", "~", "..")):
            sources = merge(sources, call.read(field, reveals="some", recursive=True))
    return Stream(sources=sources)


_PAGER_LETTER: Final = lazy(r"-[^-ABCmfe]*O")
"""The option in a bundle of letters; the rest of the word is a value behind the letters left out."""


def _opens(text: str) -> bool:
    """An option, perhaps cut short, that opens what is found with a program."""
    return text.startswith("--op") or _PAGER_LETTER.match(text) is not None


# -- settings


def config(call: Call, parsed: Parsed) -> Stream:
    """`git config`: one setting; what names a program is code."""
    operands = list(parsed.operands)
    if parsed.flags & parsed.spec.canonical(tuple(_HARMLESS_LIST)):
        return _settings_shown(call, parsed)
    if operands and operands[0].text in ("list", "get"):
        return _settings_shown(call, parsed)
    if operands and operands[0].text in ("set", "unset", "edit", "rename-section", "remove-section"):
        operands.pop(0)
    elif len(operands) == 1 and not parsed.has("--unset", "--unset-all", "--remove-section", "--edit"):
        return _settings_shown(call, parsed)
    where = _settings_file(call, parsed)
    key = operands[0] if operands else Field(text=TOP)
    value = operands[1] if len(operands) > 1 else None
    for field in operands:
        for source in field.sources:
            call.emit("copy", source, where)
    attrs = {"key": starred(key.text[:200])}
    if value is not None and value.known:
        attrs["after"] = value.text[:200]
    if value is not None and setting(call, key, value):
        call.emit("write", where, attrs=attrs)
    else:
        call.emit("set_key", where, attrs=attrs)
    return SOMETHING


def _settings_shown(call: Call, parsed: Parsed) -> Stream:
    """Settings are printed: those of a file that is named are its content."""
    named = parsed.value("--file")
    return SOMETHING if named is None else Stream(sources=call.read(named, reveals="some"))


def _settings_file(call: Call, parsed: Parsed) -> Resource:
    named = parsed.value("--file")
    if named is not None:
        return call.place(named)
    if parsed.has("--global"):
        home = call.shell.expand.lookup("HOME", call.state, {})[0]
        return call.place(Field(text=f"{home}/.gitconfig"))
    return call.place(Field(text="/etc/gitconfig" if parsed.has("--system") else ".git/config"))


FAMILIES: Final[Mapping[str, Family]] = {
    "git": git,
    "git_config": config,
    "git_grep": search,
    "git_look": look,
}
"""What `code` of a spec may say, for this module."""
