"""curl and wget: what is sent, and where what comes back goes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._curl_words import spread, with_configs
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._given import given_text
from guardrail.effects.commands._transfer import URL, net
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import basename, below
from guardrail.effects.domain._values import SOMETHING, TOP, Field, Stream, merge
from guardrail.model import Resource
from guardrail.patterns import lazy

_LOCAL_URL: Final = ("file:",)
_SPREAD_SCHEME: Final = lazy(r"(?!\[[0-9A-Fa-f:.]+\])[^/:.]*[{\[]")
"""A set or a range where the scheme of an address stands; an IPv6 address is none."""


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
        host = net(field.text if URL.fullmatch(field.text) else f"http://{field.text}")
        if not URL.fullmatch(field.text) and parsed.has("--proto-default"):
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
        host = net(field.text if URL.fullmatch(field.text) else f"http://{field.text}")
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


FAMILIES: Final[Mapping[str, Family]] = {"curl": curl, "wget": wget}
"""What `code` of a spec may say, for this module."""
