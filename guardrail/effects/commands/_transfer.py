"""rsync, scp and ssh: copies to and from other hosts, and commands that run there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._ignored import left_out
from guardrail.effects.commands._ssh_settings import plain_setting
from guardrail.effects.commands._targets import destinations
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import below, escape
from guardrail.effects.domain._values import NOTHING, SOMETHING, TOP, Field, Stream, merge, starred
from guardrail.model import Resource
from guardrail.patterns import lazy

_REMOTE = lazy(r"(?:[^/:\s]+@)?(\[[^\]]*\]|[^/:\s]+)::?(.*)", re.DOTALL)
URL = lazy(r"[A-Za-z][A-Za-z0-9+.\-]*://.*", re.DOTALL)
_PLAIN_SSH: Final = lazy(
    r"(?:rsh|ssh)(?: +(?:-[46aACkKnqTvxX]+|-[pil] ?[\w./~@-]+|-[cm] ?[\w.,@-]+"
    r"|-o ?(?:StrictHostKeyChecking|UserKnownHostsFile|BatchMode|ConnectTimeout|Compression|Port|IdentityFile|User"
    r"|ServerAliveInterval|ServerAliveCountMax|IdentitiesOnly|LogLevel|PreferredAuthentications)[= ][\w./~-]+))*"
)
"""A remote shell with options that run nothing else."""


def net(uri: str) -> Resource:
    """The other side of a connection."""
    return Resource(kind="net", uri=starred(uri))


def _remote(field: Field) -> Resource | None:
    """The host a copy operand names; None for a local path."""
    text = field.text
    if URL.fullmatch(text):
        return net(text)
    match = _REMOTE.fullmatch(text)
    if match is None or text.startswith(("/", "./", "../")):
        return None
    return net(f"ssh://{text.partition(':')[0]}/{match[2].lstrip('/')}")


def scp(call: Call, parsed: Parsed) -> Stream:
    """`scp` and `rsync`: copies, each side here or on another host."""
    _side_options(call, parsed)
    operands = list(parsed.operands)
    if len(operands) < 2:
        if not operands or not operands[0].many:
            return _listing(call, parsed, operands)
        operands.append(Field(text=TOP))
    if call.name == "rsync" and parsed.has("--dry-run", "--list-only"):
        return _looked(call, operands)
    target = operands.pop()
    into = target.text.endswith("/") or len(operands) > 1 or call.kind(call.place(target)) == "dir"
    for option in ("--link-dest", "--copy-dest"):
        for field in parsed.values_of(option):
            # Files that are the same there are linked or copied from there.
            place = call.place(field, recursive=True)
            call.emit("link" if option == "--link-dest" else "copy", place, call.place(target), may=True)
    for source in operands:
        _one_copy(call, parsed, source, target, into)
    if call.name == "rsync":
        _set_aside(call, parsed, operands, target, into)
    if parsed.has("--delete", "--delete-before") and _remote(target) is None:
        call.emit("delete", call.place(target, recursive=True, nofollow=True), may=True)
    if parsed.has("--remove-source-files"):
        for source in operands:
            if _remote(source) is None:
                call.emit("delete", call.place(source, recursive=True, nofollow=True))
    return SOMETHING


def _side_options(call: Call, parsed: Parsed) -> None:
    """Options that run a program, or read or write a file of their own."""
    for option, role, field in parsed.values:
        if role in ("run", "opaque"):
            plain = call.name == "rsync" and _PLAIN_SSH.fullmatch(field.text) is not None
            plain = plain or (call.name in ("scp", "sftp") and _harmless(option, field))
            if not plain:
                call.opaque("inline" if field.known else "dynamic", reason=f"an option of {call.name} runs a program")
        elif role in ("write", "append") and option != "--write-batch":
            call.put("write", call.place(field), ())
        elif role == "read" and option != "--early-input":
            call.read(field, reveals="some")
        elif role == "mention":
            call.mention((field,))
    _rsync_inputs(call, parsed)
    if parsed.has("--files-from"):
        call.opaque("program", reason="names of files come from a list")
    if parsed.has("--daemon", "--config"):
        call.opaque("inline", reason="a server that hands files out")


def _rsync_inputs(call: Call, parsed: Parsed) -> None:
    """Files that rsync reads beside those that it copies: rules, and what a daemon is given first."""
    for field in parsed.values_of("--filter"):
        if (rules := _MERGED.match(field.text)) is not None:
            call.read(field.tail(rules.end()), reveals="some")
    for field in parsed.values_of("--early-input"):
        read = call.read(field)
        for far in filter(None, map(_remote, parsed.operands)):
            call.put("write", far, read)


def _harmless(option: str, field: Field) -> bool:
    """A setting of ssh that runs nothing, or no file of settings."""
    return (option == "-o" and plain_setting(field)) or (option == "-F" and field.text in ("/dev/null", "none"))


_MERGED: Final = lazy(r"(?:merge|\.)(?:,[-+a-zA-Z]*)?[ _]+")
"""A rule of rsync that others are in a file."""


def _one_copy(call: Call, parsed: Parsed, source: Field, target: Field, into: bool) -> None:
    recursive = call.name == "rsync" or parsed.has("-r")
    origin, far = _remote(source), _remote(target)
    near = [call.place(source, recursive=recursive)] if origin is None else []
    _mention_remote(call, source, target)
    if origin is not None:
        call.emit("net_recv", origin)
    spared = _spared(call, parsed, source)
    for place in near:
        call.emit("read", place, attrs={"reveals": "content", **spared})
    if far is not None:
        for place in near:
            call.emit("copy", place, far, attrs=spared, flow=("net",))
        call.emit("net_send", far, may=not near)
        return
    contents = _named(source, parsed)
    whole = call.name == "rsync" and parsed.has("--relative")
    names = [target] if origin is not None and not into else destinations(call, contents, target, into, whole)
    # Where something stands already rsync may leave it, and a link it replaces.
    sparing = call.name == "rsync" and parsed.has("--update", "--existing", "--ignore-existing", "--size-only")
    for name in names:
        place = call.place(name, recursive=recursive, nofollow=call.name == "rsync" and not parsed.has("--inplace"))
        if whole:
            _led(call, target, name)
        with call.perhaps(sparing):
            for one in near:
                call.emit("link" if parsed.has("--link-dest") else "copy", one, place, attrs=spared)
            call.emit("write", place)


_TAKING_IN: Final = (
    "--include", "--include-from", "--exclude-from", "--filter", "--files-from", "--copy-links", "--copy-unsafe-links",
    "--copy-dirlinks", "--relative", "--remove-source-files", "--daemon", "--config", "--write-batch",
)  # fmt: skip
"""Options of rsync with which something that is left out may be taken after all."""


def _spared(call: Call, parsed: Parsed, source: Field) -> dict[str, Any]:
    """What `--exclude` says, where nothing else says what is taken."""
    if call.name != "rsync" or parsed.has(*_TAKING_IN) or parsed.injected or parsed.unknown:
        return {}
    whole = source.text.endswith("/") or source.text == "."
    words = [value.text for value in parsed.values_of("--exclude") if value.known]
    # `- name` and `+ name` are rules, and `!` is one that forgets the others.
    plain = [word for word in words if word[:1] not in ("-", "+", "!")]
    return left_out(call, source, plain, anchors=whole) if len(plain) == len(words) else {}


def _named(source: Field, parsed: Parsed) -> Field:
    """The part of a source that its name over there is made of."""
    if not source.known:
        return source
    text = source.text.partition("/./")[2] if parsed.has("--relative") and "/./" in source.text else source.text
    return Field(text=text.rstrip("/") + "/." if text.endswith("/") else text)


def _led(call: Call, target: Field, name: Field) -> None:
    """The directories that lead to a place are made as they are over here."""
    folder = name.text.rpartition("/")[0]
    while folder.startswith(f"{target.text.rstrip('/')}/"):
        place = call.place(Field(text=folder), kind="dir")
        call.emit("set_times", place, may=True)
        call.emit("set_security", place, may=True)
        folder = folder.rpartition("/")[0]


def _looked(call: Call, operands: Sequence[Field]) -> Stream:
    """A trial run: all sides are compared, and nothing is written."""
    for field in operands:
        far = _remote(field)
        if far is not None:
            call.emit("net_recv", far)
        else:
            call.emit("list", call.place(field, recursive=True))
    return SOMETHING


def _set_aside(call: Call, parsed: Parsed, operands: Sequence[Field], target: Field, into: bool) -> None:
    """What is replaced is kept under another name with `--backup`; parts of files stand elsewhere."""
    for field in parsed.values_of("--write-batch"):
        near = [call.place(source, recursive=True) for source in operands if _remote(source) is None]
        call.put("write", call.place(field), near)
    if _remote(target) is not None:
        return
    for option in ("--partial-dir", "--temp-dir"):
        for field in parsed.values_of(option):
            call.emit("write", call.place(_from(target, field), kind="dir", recursive=True), may=True)
    if not parsed.has("--backup", "--backup-dir"):
        return
    suffix = parsed.value("--suffix")
    ending = suffix.text if suffix is not None else "" if parsed.has("--backup-dir") else "~"
    for source in operands:
        for name in destinations(call, _named(source, parsed), target, into, parsed.has("--relative")):
            place = call.place(name, recursive=True, nofollow=True)
            kept = call.place(Field(text=TOP, glob=f"{escape(name.text)}**{ending}"))
            if name.known and call.kind(place) == "file":
                kept = call.place(Field(text=f"{name.text}{ending}"))
            if (folder := parsed.value("--backup-dir")) is not None:
                kept = call.place(_from(target, folder), kind="dir", recursive=True)
            call.emit("link", place, kept, may=True)


def _from(target: Field, folder: Field) -> Field:
    """A directory that is relative to where the files go."""
    return folder if folder.text.startswith("/") else below(target, folder.text)


def _mention_remote(call: Call, source: Field, target: Field) -> None:
    """The other host may be this one, so what is named there may be an asset here."""
    far = _REMOTE.fullmatch(source.text) if _remote(source) is not None else None
    if far is not None:
        call.name_text(far[2])
    far = _REMOTE.fullmatch(target.text) if _remote(target) is not None else None
    if far is not None and far[2].startswith("/"):
        for name in (far[2], f"{far[2].rstrip('/')}/{source.text.rstrip('/').rpartition('/')[2]}"):
            # Only the name itself: what lies beside or below it is not written.
            call.emit("mention", call.place(Field(text=name)), attrs={"cwd": True}, precision="opaque", may=True)


def _listing(call: Call, parsed: Parsed, operands: list[Field]) -> Stream:
    if parsed.has("--read-batch"):
        batches = tuple(call.place(field) for field in parsed.values_of("--read-batch"))
        for field in operands:
            call.put("write", call.place(field, recursive=True), batches)
    for field in operands:
        far = _remote(field)
        call.emit("net_recv", far) if far is not None else call.emit("list", call.place(field, recursive=True))
    return SOMETHING


def ssh(call: Call, parsed: Parsed) -> Stream:
    """`ssh HOST COMMAND`: the command runs there; what is piped in goes there."""
    operands = parsed.operands
    for option, role, field in parsed.values:
        if role == "opaque" and not _harmless(option, field):
            call.opaque("inline", reason="an option of ssh may run a program", words=(field,))
        elif role == "append":
            call.put("append", call.place(field), ())
    if not operands:
        return NOTHING
    host = net(f"ssh://{operands[0].text.removeprefix('ssh://')}")
    for field in operands[1:]:
        call.mention_text(field.text)  # the host may be this one
    command = starred(" ".join(field.text for field in operands[1:]))
    attrs: dict[str, Any] = {"command": command[:1000]} if command else {}
    if len(operands) > 1 and all(field.known for field in operands[1:]):
        attrs["entered"] = True  # what it does there is said below
    call.emit("remote_exec", host, attrs=attrs)
    sources = merge(call.stdin.sources, tuple(s for field in operands for s in field.sources))
    for source in sources:
        call.emit("copy", source, host, flow=call.stdin.flow or ("argument",))
    if sources:
        call.emit("net_send", host, flow=call.stdin.flow)
    if call.stdin.text is not None:
        call.mention_text(call.stdin.text)
    if len(operands) == 1 and call.stdin.text is not None:
        # Without a command what comes in is read by a shell there.
        return call.shell.elsewhere(call, host, call.stdin.text)
    if len(operands) < 2 or not all(field.known for field in operands[1:]):
        return SOMETHING
    # The words are joined, and a shell there takes them apart again.
    return call.shell.elsewhere(call, host, " ".join(field.text for field in operands[1:]))


FAMILIES: Final[Mapping[str, Family]] = {
    "scp": scp,
    "ssh": ssh,
}
"""What `code` of a spec may say, for this module."""
