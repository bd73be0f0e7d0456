"""Clients of web servers besides curl and wget: HTTPie and its like, whose words say what is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._containers import content
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._places import exchange
from guardrail.effects.domain._addresses import URL, at, remote
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import basename, local_path
from guardrail.effects.domain._values import SOMETHING, TOP, Field, Stream, merge
from guardrail.model import Resource
from guardrail.patterns import lazy

MAX_LISTED: Final = 256
"""Most lines of a list of addresses that are fetched one by one; the rest is what a list that is not known is."""

_ITEM: Final = lazy(r"[^@=:]*?(?::=@|=@|:@|==@|@)(?P<path>.+)", re.DOTALL)
_METHOD: Final = lazy(r"[A-Z]+|get|post|put|patch|delete|head|options")


def httpie(call: Call, parsed: Parsed) -> Stream:
    """`http [METHOD] URL [ITEM…]`: `name@file`, `name=@file` and what comes in are sent."""
    operands = list(parsed.operands)
    if call.name in ("httpie", "xh") and operands and operands[0].text in ("http", "https"):
        operands.pop(0)
    method = operands.pop(0).text.upper() if operands and _is_method(operands) else ""
    if not operands or parsed.has("--help", "--version", "--offline"):
        return SOMETHING
    url = operands.pop(0)
    place = _web(url.text)
    sent: tuple[Resource, ...] = url.sources
    for field in operands:
        match = _ITEM.fullmatch(field.text)
        path = match["path"].split(";")[0] if match is not None else ""
        sent = merge(sent, merge(call.read(Field(text=path, span=field.span)) if path else (), field.sources))
        if field.text.startswith(TOP):
            sent = merge(sent, call.read(Field(text=TOP)))
    if not parsed.has("--ignore-stdin"):
        sent = merge(sent, call.stdin.sources)
    sent = merge(sent, tuple(source for _, _, field in parsed.values for source in field.sources))
    for source in sent:
        call.emit("copy", source, place, flow=("net",))
    if sent or operands or method not in ("", "GET", "HEAD", "OPTIONS") or parsed.has("--raw"):
        call.emit("net_send", place)
    call.emit("net_recv", place)
    return _kept(call, parsed, url)


def _is_method(operands: list[Field]) -> bool:
    """The first word is a method if it looks like one; another word of letters may be a host."""
    if len(operands) < 2:
        return False
    following = operands[1].text
    address = URL.match(following) is not None or (not set("@=") & set(following) and bool(set(".:/") & set(following)))
    return _METHOD.fullmatch(operands[0].text) is not None or (operands[0].text.isalpha() and address)


def _web(text: str) -> Resource:
    if URL.fullmatch(text):
        return remote(text)
    return remote(f"http://localhost{text}" if text.startswith(":") else f"http://{text}")


def _kept(call: Call, parsed: Parsed, url: Field) -> Stream:
    for option, role, field in parsed.values:
        if role == "write":
            call.put("write", call.place(field), ())
        elif role == "read":
            call.read(field, reveals="some")
        elif option == "--session" and "/" in field.text:
            call.put("write", call.place(field), ())
    if parsed.has("--download") and parsed.value("--output") is None:
        call.put("write", call.place(Field(text=basename(url.text))), ())
    return SOMETHING


def download(call: Call, parsed: Parsed) -> Stream:
    """`aria2c`, `axel`, `wget2`: addresses that are fetched into files."""
    apply_spec(call, parsed)
    sent = tuple(call.place(field) for field in parsed.values_of("--post-file"))
    folder = parsed.value("--dir")
    base = f"{folder.text.rstrip('/')}/" if folder is not None else ""
    output = parsed.value("--out")
    for field in (*parsed.operands, *_listed(call, parsed)):
        place = remote(field.text) if URL.fullmatch(field.text) else at("http", f"//{field.text}")
        if not URL.fullmatch(field.text) and ("." not in field.text or field.text.endswith((".torrent", ".metalink"))):
            call.read(field, reveals="some")
        path = local_path(field.text)
        read = call.read(Field(text=path)) if path is not None else ()
        exchange(call, place, (*sent, *field.sources))
        name = re.sub(r"[?#].*", "", field.text).rpartition("/")[2] or "index.html"
        text = output.text if output is not None else name
        whole = Field(text=text if text.startswith("/") and call.name != "aria2c" else f"{base}{text}")
        if call.name == "lwp-download" and (path is not None or len(parsed.operands) > 1):
            whole = parsed.operands[1] if len(parsed.operands) > 1 else Field(text=name)
        call.put("write", call.place(whole), read)
    if parsed.has("--input-file"):
        call.opaque("program", reason="addresses come from a list")
        call.put("write", call.place(Field(text=base or ".", glob=None), recursive=True), ())
    return SOMETHING


def _listed(call: Call, parsed: Parsed) -> Iterator[Field]:
    """The addresses in the file that `--input-file` names, as far as it is known; mirrors of one are on its line."""
    for field in parsed.values_of("--input-file"):
        text = call.stdin.text if field.text == "-" else content(call, field)
        for line in (text or "").splitlines()[:MAX_LISTED]:
            yield from (Field(text=word) for word in line.split("\t") if line[:1] not in ("", " ", "\t", "#") and word)


def sender(call: Call, parsed: Parsed) -> Stream:
    """`croc send`, `wormhole send`, `ffsend upload`: files go to whoever has the code."""
    place = at("net", call.name.partition(" ")[0])
    sources: tuple[Resource, ...] = call.stdin.sources
    named = parsed.operands if parsed.spec.entry.operands == ("read*",) else []
    given = [*named, *(field for _, role, field in parsed.values if role == "read")]
    # A word of `wall` that is a path is the file with the message.
    given += [field for field in parsed.operands if call.name == "wall" and "/" in field.text and " " not in field.text]
    for field in given:
        sources = merge(sources, call.read(field, recursive=True))
    sources = merge(sources, tuple(source for _, _, field in parsed.values for source in field.sources))
    for source in sources:
        call.emit("copy", source, place, flow=("net",))
    for _, role, field in parsed.values:
        if role == "write":
            call.emit("write", call.place(field, recursive=True), may=True)
    call.emit("net_send", place)
    return SOMETHING


def mailed(call: Call, parsed: Parsed) -> Stream:
    """`sendmail`, `swaks`, `sendemail`: what comes in, and files that words and options name, go to people."""
    sources = call.stdin.sources
    for option, role, field in parsed.values:
        text = field.text.removeprefix("@")
        if role == "read" or (option == "--attach" and (field.text.startswith("@") or "/" in field.text)):
            sources = merge(sources, call.read(Field(text=text, glob=field.glob, sources=field.sources)))
        sources = merge(sources, field.sources)
        if role in ("run", "opaque"):
            call.opaque("inline", reason=f"{option} of {call.name} runs a program", words=(field,))
    if parsed.has("--help", "--version"):
        return SOMETHING
    names = [field for field in parsed.operands if "@" in field.text]
    for field in parsed.operands:
        if field not in names and ("/" in field.text or call.name == "mpack"):
            sources = merge(sources, call.read(field))
    for place in [at("smtp", field.text) for field in names] or [at("smtp", "*")]:
        for source in sources:
            call.emit("copy", source, place, flow=("mail",))
        call.emit("net_send", place)
    return SOMETHING


FAMILIES: Final[Mapping[str, Family]] = {
    "download": download,
    "httpie": httpie,
    "mailed": mailed,
    "sender": sender,
}
"""What `code` of a spec may say, for this module."""
