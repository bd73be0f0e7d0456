"""sftp, ftp, lftp, tftp: commands with a language of their own, given as a file, as input or as a word."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._given import given_text
from guardrail.effects.commands._ssh_settings import plain_setting
from guardrail.effects.domain._addresses import URL, at, remote
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import basename, local_path, place
from guardrail.effects.domain._values import NUM, SOMETHING, TOP, Field, Stream, starred
from guardrail.model import Resource

MAX_SESSION_LINES: Final = 512
"""Most commands of one session that are looked into; the rest is opaque."""

_PUT: Final = frozenset("put mput reput send append submit aput".split())
_GET: Final = frozenset("get mget reget recv newer pget mirror".split())
_DELETE: Final = frozenset("rm mrm delete mdelete del rmdir mrmdir".split())
_PLAIN: Final = frozenset(
    "ls dir nlist cd pwd bye quit exit close disconnect user login ascii binary bin type passive passiv prompt verbose "
    "mode status help ? version progress hash bell df cat more less zcat lls lpwd lcd set debug cls du find open "
    "connect umask lumask mkdir lmkdir rename mv ln symlink link chmod chown chgrp quote site rexmt timeout trace "
    "epsv4 epsv ipv4 sunique runique cdup size modtime system jobs wait cache bookmark reget nop idle echo "
    "kill".split()
)
_AGAIN: Final = frozenset(("repeat", "queue", "at"))
"""Commands of lftp that run another one."""

_LISTS: Final = frozenset(("ls", "dir", "nlist"))
"""Commands of ftp whose second word is a file here."""
_CODE: Final = frozenset("source script eval command glob module exec xargs edit page macdef proxy $".split())
_OPEN: Final = frozenset(("open", "connect"))
_MOVES: Final = frozenset(("rename", "mv", "ln", "symlink", "link", "chmod", "chown", "chgrp"))


class _Session:
    """One session, as its commands are gone through.

    Args:
        call: the command.
        host: the other side.
    """

    def __init__(self, call: Call, host: Resource) -> None:
        self.call = call
        self.host = host
        self.folder = call.cwd

    def here(self, text: str, *, recursive: bool = False) -> Resource:
        glob = text if any(c in text for c in "*?[") else None
        return place(text, self.folder, glob=glob, recursive=recursive)

    def there(self, text: str) -> Resource:
        base = (self.host.uri or "net:*").rstrip("/")
        return Resource(kind="net", uri=f"{base}/{text.lstrip('/')}") if text else self.host

    def run(self, text: str, *, separators: str) -> None:
        """Every command of a text."""
        for count, words in enumerate(_commands(text, separators)):
            if count >= MAX_SESSION_LINES:
                self.call.opaque("unparsed", reason="a session of many commands")
                return
            if words is None:
                self.call.opaque("unparsed", reason="a command of a session that is not understood")
                self.call.mention_text(text)
                return
            self.command(words)

    def command(self, words: Sequence[str]) -> None:
        """One command."""
        head = words[0].lstrip("@-").lower()
        rest = [word for word in words[1:] if not word.startswith("-")]
        options = [word for word in words[1:] if word.startswith("-")]
        if self.own(head, words):
            return
        if head.startswith("!") or head in ("local", "shell"):
            self.shell(" ".join(words).lstrip("@-!") if head.startswith("!") else " ".join(words[1:]))
        elif head in _CODE or any("|" in word for word in words[1:]):
            self.call.opaque("inline", reason=f"`{head}` in a session is not looked into")
            self.call.mention_text(" ".join(words))
        elif head == "mirror":
            self.mirror(rest, options)
        elif head in _PUT:
            self.put(head, words[1:])
        elif head in _GET:
            self.get(head, words[1:])
        elif head in _DELETE:
            for name in rest:
                self.call.emit("api_delete", self.there(name))
                self.call.name_text(name)
        elif head in ("cat", "more", "less", "zcat") and any(">" in word or "|" in word for word in words):
            self.call.opaque("inline", reason="output of a session goes elsewhere")
        elif head in _PLAIN or not head:
            self.plain(head, rest)
        else:
            self.call.opaque("program", reason="a command of a session that is not known", words=())
            self.call.mention(Field(text=word) for word in words)

    def own(self, head: str, words: Sequence[str]) -> bool:
        """What only one of the clients has; whether that is all of the command."""
        if self.call.name == "lftp":
            return self.of_lftp(head, words)
        if head == "lls" and len(words) > 1:
            self.shell("ls " + " ".join(words[1:]))
            return True
        if head in _LISTS and self.call.name != "sftp" and len(words) > 2 and "|" not in words[-1]:
            self.saved(words[-1])
            return True
        return False

    def of_lftp(self, head: str, words: Sequence[str]) -> bool:
        """What only lftp has: commands in commands, files as addresses, redirections; whether that is all of it."""
        texts = [word for word in words if word.lower().startswith("file:") or word.startswith("--on-change")]
        if head == "set" and len(words) > 2 and re.search(r"program|shell|filter|exec|hook", words[1]):
            texts.append(words[2])
        if texts:
            self.call.opaque("inline", reason=f"`{head}` in a session is not looked into", words=())
            self.call.mention_text(" ".join(words))
        if head in _AGAIN or head == "alias":
            given = _behind(head, words[1:])
            with self.call.perhaps():
                self.run(given, separators=_EITHER)
            return True
        options = [word for word in words[1:] if word.startswith("-")]
        for word in options:
            self.call.name_text(word.partition("=")[2] or word[2:])
        if head in ("debug", "history", "set"):
            for word in words[1:]:
                if "/" in word or "." in word:
                    self.saved(word)
        for index, word in enumerate(words[1:], 1):
            if ">" in word and not word.startswith("!"):
                name = word.rpartition(">")[2] or (words[index + 1] if index + 1 < len(words) else TOP)
                self.saved(name)
        return False

    def saved(self, name: str) -> None:
        """What comes from there goes into a file here."""
        if name != "-":
            self.call.emit("net_recv", self.host)
            self.call.emit("write", self.here(name))

    def shell(self, text: str) -> None:
        """A command of this machine."""
        if not text.strip():
            self.call.opaque("dynamic", reason="a shell inside a session")
            return
        state = self.call.state.copy()
        state.cwds = (self.folder,)
        self.call.shell.run_text(text, state)

    def plain(self, head: str, rest: Sequence[str]) -> None:
        if head == "lcd" and rest:
            self.folder = place(rest[0], self.folder).path
        elif head == "lmkdir" and rest:
            self.call.emit("create", self.here(rest[0]))
        elif head in _OPEN and rest:
            self.host = self._opened(rest)
        elif head in _MOVES:
            for name in rest:
                self.call.name_text(name)  # the host may be this one

    def _opened(self, rest: Sequence[str]) -> Resource:
        if URL.fullmatch(rest[-1]):
            return remote(rest[-1])
        scheme = (self.host.uri or "net:").partition(":")[0]
        return at(scheme, f"//{rest[0]}")

    def put(self, head: str, words: Sequence[str]) -> None:
        """Files go there."""
        names = _without(words, ("-O", "-e") if self.call.name == "lftp" else ())
        several = head in ("mput", "mirror") or (self.call.name == "lftp" and "-o" not in words)
        for name in names if several else names[:1]:
            source = self.here(name, recursive="-r" in words or "-R" in words)
            target = self.there(starred(basename(name)) if several or len(names) < 2 else names[1])
            self.call.emit("read", source, attrs={"reveals": "content"})
            self.call.emit("copy", source, target, flow=("net",))
            if "-E" in words:
                self.call.emit("delete", source)
        self.call.emit("net_send", self.host)

    def get(self, head: str, words: Sequence[str]) -> None:
        """Files come from there."""
        names = _without(words, ("-O", "-n") if self.call.name == "lftp" else ())
        several = head in ("mget", "pget") or self.call.name == "lftp"
        self.call.emit("net_recv", self.host)
        for name in names if several else names[:1]:
            local = names[1] if len(names) > 1 and not several else basename(name)
            if several and "-o" in words:
                local = words[words.index("-o") + 1] if words.index("-o") + 1 < len(words) else TOP
            folder = words[words.index("-O") + 1] + "/" if "-O" in words[:-1] else ""
            recursive = "-r" in words or "-R" in words
            target = place(f"{folder}{local}", self.folder, recursive=recursive)
            path = local_path(name if URL.fullmatch(name) else f"{self.host.uri or ''}/{name}")
            self.call.put("write", target, self.call.read(Field(text=path)) if path is not None else ())
            if name.startswith("/"):
                self.call.name_text(name)

    def mirror(self, rest: Sequence[str], options: Sequence[str]) -> None:
        """`mirror REMOTE LOCAL`, or with `-R` the other way round."""
        reverse = any("R" in word for word in options if not word.startswith("--")) or "--reverse" in options
        names = [*rest, ".", "."] if not rest else [*rest, rest[0]]
        local = self.here(names[0] if reverse else names[1], recursive=True)
        if reverse:
            self.call.emit("read", local, attrs={"reveals": "content"})
            self.call.emit("copy", local, self.host, flow=("net",))
            self.call.emit("net_send", self.host)
            if "--Remove-source-files" in options or "--Move" in options:
                self.call.emit("delete", local)
            return
        self.call.emit("net_recv", self.host)
        path = local_path(names[0] if URL.fullmatch(names[0]) else f"{self.host.uri or ''}/{names[0]}")
        self.call.put("write", local, self.call.read(Field(text=path), recursive=True) if path is not None else ())
        if any("e" in word for word in options if not word.startswith("--")) or "--delete" in options:
            self.call.emit("delete", local)


def _behind(head: str, words: Sequence[str]) -> str:
    """The command that another one runs: behind its options, how often or when, or the name it is given."""
    given = list(words)
    if head == "at" and "--" in given:
        return " ".join(given[given.index("--") + 1 :])
    if head in ("alias", "at"):
        return " ".join(given[1:])
    while given and given[0].startswith("-"):
        valued = given.pop(0) in ("-c", "-d", "-n", "--count", "--delay")
        given = given[1:] if valued else given
    if head == "queue" and given in (["start"], ["stop"]):
        return ""
    if head == "repeat" and given and re.fullmatch(r"[\d.]+[smhd]?", given[0]):
        given.pop(0)
    return " ".join(given)


_EITHER: Final = r"[;\n]|&&|\|\|"
"""What stands between commands of lftp."""


def _without(words: Sequence[str], valued: Sequence[str]) -> list[str]:
    """Operands: words that are neither options nor values of them."""
    out: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in valued or word == "-o":
            skip = True
        elif not word.startswith("-"):
            out.append(word)
    return out


def _commands(text: str, separators: str) -> Iterator[list[str] | None]:
    """The words of every command; None for one that has no words as a shell has them."""
    for line in _lines(text, separators):
        bare = line.strip().lstrip("(").strip()
        if not bare or bare.startswith("#"):
            continue
        if bare.lstrip("@-").startswith("!"):
            yield [bare.lstrip("@-")]
            continue
        try:
            words = shlex.split(bare, comments=False)
        except ValueError:
            yield None
            return
        if words:
            yield words


def _lines(text: str, separators: str) -> Iterator[str]:
    """The commands of a text; one for the shell takes the whole line, and whatever separates others in it."""
    for line in text.split("\n"):
        start = 0
        for match in (*re.finditer(separators, line), None):
            rest = line[start:]
            if rest.strip().lstrip("(").lstrip("@- ").startswith("!"):
                yield rest
                break
            yield rest if match is None else line[start : match.start()]
            start = len(line) if match is None else match.end()


def _converse(call: Call, host: Resource, text: str | None, *, separators: str = r"\n") -> None:
    if text is None or TOP in text or NUM in text:
        call.opaque("dynamic", reason="what the session does is not known")
        return
    _Session(call, host).run(text, separators=separators)


def _file_text(call: Call, field: Field) -> str | None:
    call.read(field, reveals="some")
    return given_text(call, field)


def sftp(call: Call, parsed: Parsed) -> Stream:
    """`sftp HOST`: commands come in or are in a file; `sftp HOST:FILE` fetches it."""
    for option, role, field in parsed.values:
        if role == "opaque" and not (option == "-o" and plain_setting(field)):
            call.opaque("inline", reason="an option of sftp may run a program", words=(field,))
    if not parsed.operands:
        return SOMETHING
    text = parsed.operands[0].text
    name, colon, path = text.removeprefix("sftp://").partition("/" if text.startswith("sftp://") else ":")
    host = at("sftp", f"//{name}")
    batch = parsed.value("-b")
    if batch is not None:
        call.printed = call.origins(batch) if batch.text != "-" else call.stdin.sources  # each line is repeated
        _converse(call, host, _file_text(call, batch))
    elif call.stdin.connected:
        _converse(call, host, call.stdin.text)
    elif colon and path and not path.endswith("/"):
        local = parsed.operands[1].text if len(parsed.operands) > 1 else basename(path)
        call.emit("net_recv", host)
        call.emit("write", call.place(Field(text=local), recursive=parsed.has("-r")))
        if path.startswith("/"):
            call.name_text(path)
    else:
        call.opaque("dynamic", reason="a session without commands that are known")
    return SOMETHING


def ftp(call: Call, parsed: Parsed) -> Stream:
    """`ftp`, `tftp`, `telnet`: commands come in; `ftp -u URL FILE` sends, `tftp HOST -c put FILE` does."""
    scheme = "tftp" if call.name.startswith(("tftp", "atftp")) else "telnet" if call.name == "telnet" else "ftp"
    operands = parsed.operands
    name = operands[0].text if operands else "*"
    host = remote(name) if URL.fullmatch(name) else at(scheme, f"//{name}")
    target = parsed.value("-u")
    if target is not None:
        for field in operands:
            for source in call.read(field):
                call.emit("copy", source, at(scheme, f"//{target.text}"), flow=("net",))
        call.emit("net_send", at(scheme, f"//{target.text}"))
        return SOMETHING
    if scheme == "telnet":
        return _typed(call, host)
    if parsed.has("-c") and operands:
        words = [field.text for field in (*parsed.values_of("-c"), *operands[1:])]
        if len(operands) == 1 and len(words) == 1:
            words = shlex.split(words[0]) if "'" not in words[0] else words[0].split()
        _Session(call, host).command([starred(word) for word in words])
    elif call.stdin.connected:
        _converse(call, host, call.stdin.text)
    elif URL.fullmatch(name):
        call.emit("net_recv", host)
        output = parsed.value("-o")
        call.emit("write", call.place(output or Field(text=basename(name))))
    else:
        call.opaque("dynamic", reason="a session without commands that are known")
    return SOMETHING


def _typed(call: Call, host: Resource) -> Stream:
    for source in call.stdin.sources:
        call.emit("copy", source, host, flow=call.stdin.flow)
    if call.stdin.connected:
        call.emit("net_send", host)
    call.emit("net_recv", host)
    return SOMETHING


def lftp(call: Call, parsed: Parsed) -> Stream:
    """`lftp -c COMMANDS`, `-e`, `-f FILE`, or commands that come in."""
    name = next((field.text for field in parsed.operands), "*")
    host = remote(name) if URL.fullmatch(name) else at("ftp", f"//{name}")
    if name.lower().startswith("file:"):
        call.opaque("inline", reason="a session with this machine")
    given = [*parsed.values_of("-c"), *parsed.values_of("-e")]
    for field in given:
        _converse(call, host, field.text if field.known else None, separators=_EITHER)
    for field in parsed.values_of("-f"):
        _converse(call, host, _file_text(call, field), separators=_EITHER)
    if call.stdin.connected and not parsed.has("-c", "-f"):
        _converse(call, host, call.stdin.text, separators=_EITHER)
    elif not parsed.has("-c", "-f", "-e", "--version", "--help"):
        call.opaque("dynamic", reason="a session without commands that are known")
    return SOMETHING


def ncftp(call: Call, parsed: Parsed) -> Stream:
    """`ncftpput HOST DIR FILES`, `ncftpget HOST DIR FILES`."""
    apply_spec(call, parsed)
    operands = parsed.operands
    if not operands:
        return SOMETHING
    host = at("ftp", f"//{operands[0].text}")
    recursive = parsed.has("-R")
    if call.name == "ncftpput":
        piped = parsed.has("-c")
        for source in call.stdin.sources if piped else ():
            call.emit("copy", source, host, flow=call.stdin.flow)
        for field in operands[2:] if not piped else ():
            for source in call.read(field, recursive=recursive):
                call.emit("copy", source, host, flow=("net",))
            if parsed.has("-DD"):
                call.emit("delete", call.place(field, nofollow=True))
        call.emit("net_send", host)
        return SOMETHING
    call.emit("net_recv", host)
    folder = operands[1] if len(operands) > 2 else Field(text=".")
    for field in operands[2:] or operands[1:]:
        inside = Field(text=f"{folder.text.rstrip('/')}/{basename(field.text)}")
        call.emit("write", call.place(inside, recursive=recursive))
    return SOMETHING


FAMILIES: Final[Mapping[str, Family]] = {"ftp": ftp, "lftp": lftp, "ncftp": ncftp, "sftp": sftp}
"""What `code` of a spec may say, for this module."""
