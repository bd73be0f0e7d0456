"""rsync, scp, ssh, curl, wget: commands that reach other hosts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._curl_words import spread, with_configs
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._given import given_text
from guardrail.effects.commands._ssh_settings import plain_setting
from guardrail.effects.commands._targets import destinations
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import basename, below, escape
from guardrail.effects.domain._values import NOTHING, SOMETHING, TOP, Field, Stream, merge, starred
from guardrail.model import Resource
from guardrail.patterns import lazy

_REMOTE = lazy(r"(?:[^/:\s]+@)?(\[[^\]]*\]|[^/:\s]+)::?(.*)", re.DOTALL)
_URL = lazy(r"[A-Za-z][A-Za-z0-9+.\-]*://.*", re.DOTALL)
_PLAIN_SSH: Final = lazy(
    r"(?:rsh|ssh)(?: +(?:-[46aACkKnqTvxX]+|-[pil] ?[\w./~@-]+|-[cm] ?[\w.,@-]+"
    r"|-o ?(?:StrictHostKeyChecking|UserKnownHostsFile|BatchMode|ConnectTimeout|Compression|Port|IdentityFile|User"
    r"|ServerAliveInterval|ServerAliveCountMax|IdentitiesOnly|LogLevel|PreferredAuthentications)[= ][\w./~-]+))*"
)
"""A remote shell with options that run nothing else."""

_LOCAL_URL: Final = ("file:",)
_SPREAD_SCHEME: Final = lazy(r"(?!\[[0-9A-Fa-f:.]+\])[^/:.]*[{\[]")
"""A set or a range where the scheme of an address stands; an IPv6 address is none."""


def net(uri: str) -> Resource:
    """The other side of a connection."""
    return Resource(kind="net", uri=starred(uri))


def _remote(field: Field) -> Resource | None:
    """The host a copy operand names; None for a local path."""
    text = field.text
    if _URL.fullmatch(text):
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
    for place in near:
        call.emit("read", place, attrs={"reveals": "content"})
    if far is not None:
        for place in near:
            call.emit("copy", place, far, flow=("net",))
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
                call.emit("link" if parsed.has("--link-dest") else "copy", one, place)
            call.emit("write", place)


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


def curl(call: Call, parsed: Parsed) -> Stream:
    """`curl`: what is uploaded is copied to the net, what comes back goes to a file or on."""
    parsed = with_configs(call, parsed)
    sent, sends = _curl_options(call, parsed)
    local: tuple[Resource, ...] = ()
    for field in [*parsed.operands, *parsed.values_of("--url")]:
        sent = merge(sent, field.sources)
        if _SPREAD_SCHEME.match(field.text) and not parsed.has("--globoff"):
            call.opaque("dynamic", reason="an address of curl may be that of a file", words=(field,))
        if field.text.startswith("@"):
            # Addresses in a file: its text is sent wherever it leads.
            sent = merge(sent, call.read(field.tail(1)))
        if field.text.lower().startswith(_LOCAL_URL):
            if parsed.has("--upload-file"):
                _put_here(call, parsed, field, sent)
            else:
                local = merge(local, call.read(_file_url(field)))
            continue
        host = net(field.text if _URL.fullmatch(field.text) else f"http://{field.text}")
        if not _URL.fullmatch(field.text) and parsed.has("--proto-default"):
            local = merge(local, call.read(Field(text=TOP if _spread(field.text) else f"/{field.text.lstrip('/')}")))
        if field.text.lower().startswith(("telnet:", "dict:", "gopher:", "tftp:", "ws:", "wss:", "mqtt:")):
            sent = merge(sent, call.stdin.sources)
        for source in sent:
            call.emit("copy", source, host, flow=("net",))
        if sends or sent or "?" in field.text:
            call.emit("net_send", host)
        call.emit("net_recv", host)
    return _curl_outputs(call, parsed, local)


def _curl_options(call: Call, parsed: Parsed) -> tuple[tuple[Resource, ...], bool]:
    """Whose content the options send, and whether they send anything."""
    sent: tuple[Resource, ...] = ()
    method = parsed.value("--request")
    sends = method is not None and method.text.upper() not in ("GET", "HEAD", "OPTIONS")
    for option, role, field in parsed.values:
        sent = merge(sent, field.sources)
        if option in ("--data", "--data-binary", "--data-urlencode", "--json", "--form", "--header", "--url-query"):
            sends = sends or option != "--header"
            sent = merge(sent, _uploaded(call, option, field))
        elif option == "--upload-file":
            sends = True
            for name in spread(field):
                sent = merge(sent, call.stdin.sources if name.text == "." else call.read(name))
        elif option == "--etag-compare":
            sent = merge(sent, call.read(field))
        elif option == "--cookie":
            # Without a `=` it is a file.
            sent = merge(sent, call.read(field) if "=" not in field.text and field.text else ())
        elif role == "opaque":
            call.opaque("inline", reason=f"{option} of curl is not looked into", words=(field,))
        elif role == "read":
            call.read(field, reveals="some")
        elif role in ("write", "append") and option != "--output" and field.text not in ("-", "%"):
            call.put("write", call.place(field), ())
    return sent, sends or parsed.has("--data-raw", "--form-string")


def _curl_outputs(call: Call, parsed: Parsed, local: tuple[Resource, ...]) -> Stream:
    given = parsed.values_of("--output")
    outputs = [field for field in given if field.text != "-"]
    if len(outputs) < len(given):
        call.printed = merge(call.printed, local)
    folders = [field.text.rstrip("/") + "/" for field in parsed.values_of("--output-dir")]
    # Each part of a command line behind `--next` may have a directory of its own, or none.
    folders += [""] if not folders or parsed.has("--next") else []
    for field in outputs:
        # `#1` stands for a part of the address.
        numbered = re.search(r"#\d", field.text) is not None
        whole = Field(text=re.sub(r"#\d+", TOP, field.text)) if numbered else field
        for folder in folders:
            call.put("write", call.place(Field(text=folder + whole.text) if folder else whole), local)
    named = parsed.has("--remote-name", "--remote-name-all", "--remote-header-name")
    if named:
        for field in [*parsed.operands, *parsed.values_of("--url")]:
            name = re.sub(r"[?#].*", "", field.text).rpartition("/")[2] or TOP
            known = name if not parsed.has("--remote-header-name") else TOP
            for folder in folders:
                call.put("write", call.place(Field(text=f"{folder or './'}{known}")), local)
    told = _told(call, parsed)
    return Stream(sources=told if parsed.values_of("--output") or named else merge(local, told))


def _told(call: Call, parsed: Parsed) -> tuple[Resource, ...]:
    """What `--write-out` prints: a text, or what a file holds; either may say where to print."""
    found: tuple[Resource, ...] = ()
    for field in parsed.values_of("--write-out"):
        text: str | None = field.text
        sources = field.sources
        if field.text.startswith("@"):
            file = field.tail(1)
            sources = merge(sources, call.read(file, reveals="content"))
            text = given_text(call, file)
            if text is None:
                call.opaque("program", reason="a format of curl that is not known", words=(file,))
        for more, name in re.findall(r"%output\{(>*)([^}]*)\}?", text or ""):
            call.put("append" if more else "write", call.place(Field(text=name)), sources)
        found = merge(found, sources)
    return found


def _file_url(field: Field) -> Field:
    if _spread(field.text):
        return Field(text=TOP)
    path = field.text.partition("//")[2] or field.text.partition(":")[2]
    return Field(text=unquote(path if path.startswith("/") else "/" + path.partition("/")[2], errors="surrogateescape"))


def _put_here(call: Call, parsed: Parsed, field: Field, sent: tuple[Resource, ...]) -> None:
    """An upload to a `file:` address writes a file here; to a directory, one of the same name."""
    place = _file_url(field)
    given = parsed.value("--upload-file")
    if place.text.endswith("/") and given is not None:
        place = below(place, basename(given.text))
    call.put("append" if parsed.has("--append") else "write", call.place(place), sent)


def _spread(text: str) -> bool:
    """Several addresses are made of one with `{a,b}` or `[1-3]`."""
    return any(c in text for c in "{[")


def _uploaded(call: Call, option: str, field: Field) -> tuple[Resource, ...]:
    """Files that a data option reads: `@file`, `name@file`, `name=@file`, `name=<file`."""
    text = field.text
    if option == "--form":
        _, _, value = text.partition("=")
        paths = [quoted or bare for quoted, bare in _PART.findall(value)] if value[:1] in ("@", "<") else []
        paths += _PART_HEADERS.findall(value)
        return merge((), tuple(p for path in paths for p in call.read(Field(text=path))))
    if text.startswith("@"):
        return call.read(field.tail(1))
    if option in ("--data-urlencode", "--url-query") and "@" in text and "=" not in text.partition("@")[0]:
        return call.read(Field(text=text.partition("@")[2]))
    if text.startswith(TOP):
        return call.read(Field(text=TOP))
    return ()


_PART: Final = lazy(r"(?:^[@<]|(?<=,)(?<!;))(?:\"((?:[^\"\\]|\\.)*)\"|([^,;\"]+))(?=[,;]|$)")
_PART_HEADERS: Final = lazy(r";\s*headers=[@<]\"?([^\";]+)")


def wget(call: Call, parsed: Parsed) -> Stream:
    """`wget`: writes what it fetches; `--post-file` and `--body-file` send."""
    sent: tuple[Resource, ...] = ()
    for option, role, field in parsed.values:
        sent = merge(sent, field.sources)
        if option in ("--post-file", "--body-file"):
            sent = merge(sent, call.read(field))
        elif role == "opaque":
            call.opaque("inline", reason=f"{option} of wget is not looked into", words=(field,))
        elif role == "read":
            call.read(field, reveals="some")
        elif role in ("write", "append") and option != "--output-document" and field.text != "-":
            call.put("write", call.place(field), ())
    output = parsed.value("--output-document")
    folder = parsed.value("--directory-prefix") or Field(text=".")
    for field in parsed.operands:
        sent = merge(sent, field.sources)
        host = net(field.text if _URL.fullmatch(field.text) else f"http://{field.text}")
        for source in sent:
            call.emit("copy", source, host, flow=("net",))
        if sent or parsed.has("--post-data", "--body-data"):
            call.emit("net_send", host)
        call.emit("net_recv", host)
        if output is not None or parsed.has("--spider"):
            continue
        path = re.sub(r"[?#].*", "", field.text).partition("://")[2].partition("/")[2]
        name = path.rpartition("/")[2] or "index.html"
        recursive = parsed.has("--recursive", "--mirror")
        text = folder.text if recursive else f"{folder.text.rstrip('/')}/{name}"
        call.put("write", call.place(Field(text=text), recursive=recursive), ())
    if output is not None and output.text != "-":
        call.put("write", call.place(output), ())
    return SOMETHING


FAMILIES: Final[Mapping[str, Family]] = {
    "curl": curl,
    "scp": scp,
    "ssh": ssh,
    "wget": wget,
}
"""What `code` of a spec may say, for this module."""
