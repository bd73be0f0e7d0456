"""What a request tells a server to work on: paths, addresses and names of models in what is sent.

Not concerned with content of files, which is copied to the server, nor with the address of the request itself. Asking
a model for its answer is no work on it, so what is sent to where answers come from may name any.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from typing import Final
from urllib.parse import unquote

from guardrail.effects.domain._addresses import aliases
from guardrail.effects.domain._answering import ANSWERING
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import is_known, starred
from guardrail.model import Effect, Op, Resource
from guardrail.patterns import lazy

_SENDING: Final[frozenset[Op]] = frozenset(("net_send", "api_delete"))
"""What a request is that has something to say."""

MAX_ADDRESSES: Final = 64
"""Most addresses in one request; beyond, they could be any."""

MAX_NAMING: Final = 2048
"""Longest text of a request in which names are looked for, in characters; a longer one is data."""

MAX_BODY_BYTES: Final = 64 * 1024
"""Largest file that is looked into as the body of a request, in bytes; a larger one is data."""

_ACTING: Final = lazy(
    r"(?<![a-z])(?:cop(?:y|ies)|duplicat\w*|clon(?:e|es|ing)|fork|delet(?:e|es|ion|ions)|remov\w*|destroy|purge|erase"
    r"|wipe|drop|export\w*|push|upload\w*|transfers?|mov(?:e|es)|rename|replicat\w*|publish\w*|shar(?:e|es)|sends?"
    r"|backups?|snapshots?|archive|migrat\w*|mirror|sync|dump|save|download\w*|retire|deprecate|unregister|deregister"
    r"|visibility|permissions?|overwrite|replace|restore|promote|rollback)(?![a-z])",
    re.IGNORECASE,
)
"""A word of an address that says that something is done to what the request names."""

_ADDRESS: Final = lazy(r"\b[a-z][a-z0-9+]{0,15}://[^\s\"'`<>,;|()\[\]{}\\]+", re.IGNORECASE)
_COPIED: Final = lazy(r"copy-source:\s*/?(?P<object>[^\s:/?]+/[^\s?]+)", re.IGNORECASE)
"""`x-amz-copy-source: /bucket/key`, and the same of other stores."""

_HUMPS: Final = lazy(r"(?<=[a-z0-9])(?=[A-Z])")
"""Where the next word of a name in camel case begins."""

_BY_WORDS: Final = frozenset(("grpcurl",))
"""Clients that nothing else is known of; one word names the procedure."""

_NAME: Final = lazy(r"[A-Za-z0-9][\w.-]{2,95}(?:/[A-Za-z0-9][\w.-]{0,95})?")
_ESCAPED: Final = lazy(r"\\(?:/|u00([2-7][0-9a-fA-F]))")
_METHOD: Final = lazy(r"(?:-X=?|--request=|--method=)?(DELETE|PUT|PATCH|POST|MOVE|COPY)", re.IGNORECASE)
_BODY: Final = lazy(r"-T|--upload-file|-d|--data|--json|-F|--form|--post-|--body-")
_DELETING: Final = lazy(r"[?&]delete(?:[&=]|$)")
_COPYING: Final = lazy(r"/(?:copyTo|rewriteTo)/")
_OPENING: Final = lazy(
    r"[?&](?:acl|policy|publicAccessBlock|iam)(?:[&=]|$)|/(?:acl|iam)/?$|/settings/?$", re.IGNORECASE
)
_ABOUT_US: Final = frozenset(
    "-u --user -A --user-agent -b --cookie -o --output -c --cookie-jar -w --write-out -x --proxy -e --referer -K -m "
    "--max-time --connect-timeout --retry --cacert --cert --key -a --auth --session --resolve --interface".split()
)
"""Options whose value is about who asks, or what becomes of the answer."""


def note_request(call: Call, effects: Sequence[Effect]) -> None:
    """Say what a request asks for, and name what it speaks of, unless it only asks a model.

    Args:
        call: the command that sends it.
        effects: what the command is known to do.
    """
    sent = [effect for effect in effects if effect.op in _SENDING and effect.resource.uri is not None]
    if not sent and call.name not in _BY_WORDS:
        return
    method = _method(call)
    for address in dict.fromkeys(effect.resource.uri or "" for effect in sent):
        _act_there(call, method, address)
        if method not in ("GET", "POST", "PUT"):
            # Whatever the address is for, this asks no model for its answer.
            call.emit("net_send", Resource(kind="net", uri=address), attrs={"method": method})
    places = [_place(effect.resource.uri or "") for effect in sent] or [field.text for field in call.args]
    if method != "DELETE" and all(ANSWERING.search(place.partition("?")[0]) for place in places):
        return
    texts = [*_texts(call, {effect.resource.uri for effect in sent}), *_filed(call, effects)]
    for text in texts:
        call.mention_text(text)
    _mention_addresses(call, texts, {place.uri for e in effects for place in (e.resource, e.target) if place})
    if method == "DELETE" or any(effect.op == "api_delete" for effect in sent) or any(map(_acts, places)):
        _mention_names(call, texts)


def _mention_addresses(call: Call, texts: Sequence[str], said: Container[str | None]) -> None:
    for count, address in enumerate(dict.fromkeys(_addresses(texts))):
        if count == MAX_ADDRESSES:
            call.emit("mention", Resource(kind="any", pattern="**"), precision="opaque", may=True)
            return
        if address not in said:
            call.emit("mention", Resource(kind="object", uri=address), precision="opaque", may=True)


def _mention_names(call: Call, texts: Sequence[str]) -> None:
    """Whatever is called so, wherever it is: one effect for all, as a request has many words."""
    names = dict.fromkeys(match[0] for text in texts if len(text) <= MAX_NAMING for match in _NAME.finditer(text))
    if names:
        call.emit("mention", Resource(kind="object", uri=f"called:{','.join(names)}"), precision="opaque", may=True)


def _place(address: str) -> str:
    """The part of an address that says what is asked for."""
    text = _plain(address).partition("#")[0]
    rest = text.partition("://")[2] or text
    return f"/{rest.partition('/')[2]}"


def _acts(place: str) -> bool:
    """An address, or the name of a procedure, says that something is done to what is named."""
    return _ACTING.search(_HUMPS.sub(" ", place)) is not None


def _act_there(call: Call, method: str, address: str) -> None:
    """What a store or a hub is asked to do to what an address names, if that is more than to hand it out."""
    op = _done(method, address)
    if op is None:
        return
    for there in aliases(Resource(kind="net", uri=address)):
        call.emit(op, there, attrs={"method": method})


def _done(method: str, address: str) -> Op | None:
    if method == "DELETE" or (method == "POST" and _DELETING.search(address) is not None):
        return "api_delete"
    if _COPYING.search(address) is not None:
        return "api_copy"
    if method in ("PUT", "PATCH", "POST"):
        return "api_visibility" if _OPENING.search(address) is not None else "write"
    return None


def _method(call: Call) -> str:
    """The method of a request, as far as the words of its command say one."""
    found = ""
    for field in call.args:
        text = field.text
        match = _METHOD.fullmatch(text)
        if match is not None:
            return match[1].upper()
        if not found and _BODY.match(text) is not None:
            found = "PUT" if text.startswith(("-T", "--up")) else "POST"
    return found or "GET"


def _texts(call: Call, places: set[str | None]) -> Iterator[str]:
    """What is sent besides content of files: words of the command, and the text that comes in."""
    skip = False
    for field in call.args:
        text = field.text
        if skip or text in _ABOUT_US or text in places or f"http://{text}" in places:
            skip = text in _ABOUT_US and not skip
            continue
        if is_known(text) and (text[:1] != "-" or "=" in text or "{" in text):
            yield _plain(text)
    if call.stdin.text:
        yield _plain(call.stdin.text)
    for said in call.stdin.said:
        yield _plain(said)


def _filed(call: Call, effects: Sequence[Effect]) -> Iterator[str]:
    """The text of files whose content is sent."""
    for effect in effects:
        if effect.op == "copy" and effect.resource.path is not None and effect.target is not None:
            data = call.content(effect.resource)
            if data is not None and len(data) <= MAX_BODY_BYTES:
                yield _plain(data.decode("utf-8", "replace"))


def _plain(text: str) -> str:
    """A text without the escapes of an address and of JSON."""
    if "\\" in text:
        text = _ESCAPED.sub(lambda match: chr(int(match[1], 16)) if match[1] else "/", text)
    return unquote(text, errors="surrogateescape") if "%" in text else text


def _addresses(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        for match in _ADDRESS.finditer(text) if "://" in text else ():
            yield starred(match[0]).rstrip(".:!?/")
        for match in _COPIED.finditer(text) if "opy-" in text or "OPY-" in text else ():
            yield from (f"{scheme}://{match['object']}" for scheme in ("s3", "gs", "oss", "obs", "cos"))
