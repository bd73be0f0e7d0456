"""Settings of git: which of them name what git runs, reads or reaches, given as words or in files of the session."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from guardrail.effects.commands._git_hooks import HOOK_FOLDERS
from guardrail.effects.commands._git_repo import git_folder, mention_hub, place_of, put_there, transport
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import TOP, Field
from guardrail.model import Resource
from guardrail.patterns import lazy

MAX_FILES: Final = 16
"""Most files with settings that are looked at for one command; one more is a question."""

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
_INSTEAD: Final = lazy(r"url\.(?P<address>.+)\.(?:push)?insteadof", re.IGNORECASE)
_FILE: Final = lazy(
    r"http\.(?:.+\.)?(?:cookiefile|sslcert|sslkey|sslcainfo|sslcapath|proxysslcert|proxysslkey|proxysslcainfo)"
    r"|commit\.template|mailmap\.file|blame\.ignorerevsfile|gpg\.ssh\..*file|fsck\.skiplist|imap\.folder"
)
"""Settings that name a file which is read, or sent, or kept up to date."""


_PLAIN_VALUE: Final = lazy(r"([A-Za-z0-9._-]+)(?: (?:-[A-Za-z]+|--[a-z-]+))*")
_LFS: Final = lazy(r"git-lfs (?:(?:clean|smudge)(?: --skip)? -- %f|filter-process(?: --skip)?)")
"""What `git lfs install` sets."""

_HARMLESS: Final = frozenset(
    "cat less more vi vim nvim nano emacs micro code subl true false delta bat head store cache manager manager-core "
    "manager-ssh osxkeychain libsecret wincred gpg gpg2 ssh-keygen ssh main master never auto gh gcm oauth on off yes "
    "no 0 1".split()
)


def host_of(address: str) -> str:
    """The host in `https://host/`, `git@host:` or `ssh://git@host/`; empty if there is none."""
    match = _HOST.fullmatch(address)
    return match["host"].lower() if match is not None else ""


_HOST: Final = lazy(r"(?:(?:https?|ssh|git)://(?:[\w.-]+@)?|[\w.-]+@)(?P<host>[\w-]+(?:\.[\w-]+)+)(?:[:/].*)?")


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
    if name == "core.hookspath" and value.text.rstrip("/") in HOOK_FOLDERS:
        return False
    instead = _INSTEAD.fullmatch(key.text)
    if instead is not None and host_of(instead["address"]) == host_of(value.text) != "":
        return False  # the same place by another protocol
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
    if value.text == "" or _LFS.fullmatch(value.text) or (match is not None and match[1] in _HARMLESS):
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


# -- in files

_Settings = Sequence[tuple[str, str | None]]
_HEADING: Final = lazy(r'\[\s*(?P<section>[\w.-]+)(?:\s+"(?P<name>(?:[^"\\\n]|\\.)*)")?\s*\](?P<rest>.*)')
_LINE: Final = lazy(r"(?P<key>[A-Za-z][\w-]*)\s*(?:=\s*(?P<value>.*))?")
_PART: Final = lazy(r'"(?P<quoted>(?:[^"\\]|\\.)*)"|\\(?P<escaped>.)|(?P<comment>[#;].*)|(?P<plain>[^"\\#;]+)')
_ESCAPES: Final = {"n": "\n", "t": "\t", "b": "\b"}


def note_settings(call: Call, aliases: dict[str, str], folder: str = "") -> None:
    """Say what git runs by settings that the session wrote into files, in this call or before.

    Args:
        call: the command.
        aliases: names of subcommands -> what they stand for; those of the files are added.
        folder: where the repository's settings are, if the command is told.
    """
    home = call.shell.expand.lookup("HOME", call.state, {})[0]
    folder = folder or git_folder(call)
    names = [f"{folder}/config", f"{folder}/config.worktree"]
    if TOP not in home:
        names += [f"{home}/.gitconfig", f"{home}/.config/git/config"]
    waiting = [(name, False) for name in names]
    for count, (name, given) in enumerate(waiting):
        if count == MAX_FILES:
            call.opaque("dynamic", reason="more files with settings of git than are looked at")
            return
        waiting += [(path, True) for path in _note_file(call, call.place(Field(text=name)), aliases, given=given)]


def _note_file(call: Call, place: Resource, aliases: dict[str, str], *, given: bool) -> list[str]:
    """What the session's settings in a file say; returns the files that it takes in, where those may be the session's.

    Args:
        call: the command.
        place: the file.
        aliases: as for `note_settings`.
        given: settings of the session's take it in, so that it counts whoever wrote it.
    """
    shell = call.shell
    if place.path is None:
        return []
    data = call.content(place)
    if data is None and not shell.emit.changed(place.path) and shell.view.kind(place.path) is None:
        return []  # so it is of most of them, whoever would have written it
    before = shell.wrote.wrote(shell.view.identity(place.path)) or shell.wrote.wrote(place.path)
    own = given or before or put_there(call, place)
    if data is None:
        if own:
            call.opaque("dynamic", reason="a setting of git may name a program")
        return []
    settings = parse_settings(data.decode("utf-8", "replace"))
    old = shell.wrote.before(shell.view.real(place.path)) if before and not given else None
    known = frozenset((parse_settings(old) if old is not None else None) or ())
    if settings is None:
        if own:
            call.script(place, authored=True)
        return []
    taken = [value for key, value in settings if _INCLUDE.fullmatch(key) and value]
    if own:
        _note_each(call, [pair for pair in settings if pair not in known], aliases)
    folder = place.path.rpartition("/")[0]
    home = shell.expand.lookup("HOME", call.state, {})[0]
    names = [home + value[1:] if value.startswith("~/") else value for value in taken]
    return [name if name[0] == "/" else f"{folder}/{name}" for name in names]


_INCLUDE: Final = lazy(r"include(?:if\..+)?\.path", re.IGNORECASE)


def _note_each(call: Call, settings: _Settings, aliases: dict[str, str]) -> None:
    for key, value in settings:
        name = key.lower()
        if name.startswith("alias."):
            aliases.setdefault(name[6:].removesuffix(".command"), value or "")
        elif value is None or name == "core.hookspath" or _INCLUDE.fullmatch(key):
            continue  # where hooks are looked for, and what is taken in, is followed by itself
        elif _ADDRESS.fullmatch(name):
            transport(call, Field(text=value))
        else:
            setting(call, Field(text=key), Field(text=value))


def parse_settings(text: str) -> _Settings | None:
    """The settings of a file, as `section.name.key` and value, in order; None if a line is not understood."""
    found: list[tuple[str, str | None]] = []
    section = ""
    for line in re.sub(r"\\\r?\n", "", text.removeprefix("\ufeff")).splitlines():
        rest = line.strip()
        if heading := _HEADING.fullmatch(rest):
            name = heading["name"]
            section = heading["section"] + ("" if name is None else "." + re.sub(r"\\(.)", r"\1", name))
            rest = heading["rest"].strip()
        if not rest or rest[0] in "#;":
            continue
        match = _LINE.fullmatch(rest)
        if match is None or not section:
            return None
        value = None if match["value"] is None else _unquoted(match["value"])
        found.append((f"{section}.{match['key']}", value))
    return found


def _unquoted(text: str) -> str:
    """A value without its quotes and the comment behind it."""
    said = ""
    for part in _PART.finditer(text):
        if part["comment"] is not None:
            break
        quoted = part["quoted"]
        if quoted is not None:
            said += re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), quoted)
        elif part["escaped"] is not None:
            said += _ESCAPES.get(part["escaped"], part["escaped"])
        else:
            said += part["plain"]
    return said.strip()
