"""Addresses in the words of a command that reaches somewhere, or that nobody knows: it may do anything to them.

Not concerned with addresses that the command is known to ask, to read or to write, nor with paths here: which
words may be some is what the specs say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from guardrail.effects.code._kinds import interpreter_of
from guardrail.effects.code._programs import RUNNERS
from guardrail.effects.domain._addresses import aliases_in, is_of_hub
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import starred
from guardrail.model import Effect, Op, Resource
from guardrail.patterns import lazy

MAX_ADDRESSES: Final = 64
"""Most addresses that one command names; beyond, they could be any."""

REACHING: Final[frozenset[Op]] = frozenset(
    ("net_send", "remote_exec", "create", "write", "service", "schedule", "set_key", "api_copy", "api_delete")
)
"""What a command does to something that has an address of its own, and may do by what its other words say."""

ASKING: Final[frozenset[Op]] = REACHING.union(("net_recv", "exec_opaque"))
"""The same, and what else makes an address among the words of a command more than a text."""

CLIENTS: Final = frozenset(
    "curl curlie curl.exe curl-impersonate wget wget2 http https xh xhs httpie hurl grpcurl websocat ab wrk hey k6 "
    "vegeta".split()
)
"""Programs whose words are for a server, which is asked about a model by its address all day."""

_ADDRESS: Final = lazy(r"(?:\b[a-z][a-z0-9+]{0,15}://|\barn:aws[\w-]*:s3:::)[^\s\"'`<>,;|()\[\]{}\\]+", re.IGNORECASE)
_SCANNERS: Final = frozenset("trivy grype syft dive dockle snyk hadolint container-diff docker-slim slim".split())
"""Programs that look at images, and say what is in them."""

_IMAGE: Final = lazy(
    r"(?:--?[\w-]+=)?(?P<name>(?:[a-z0-9-]+\.)+[a-z0-9-]+(?::\d+)?/[a-z0-9._/-]+(?::[\w.-]+)?(?:@\w+:[0-9a-f]+)?)"
)
"""An image of a registry, as a program that knows images is given it."""

_BUCKET: Final = lazy(r"arn:aws[\w-]*:s3:::", re.IGNORECASE)
_MOUNTED: Final = lazy(r"(?P<store>[a-z0-9+]{1,16}://[^:]+):/", re.IGNORECASE)
"""`hf://a/b:/models`: what is at an address, and where it is to be seen."""

_OF_THIS_HOST: Final = ("file://", "tcp://", "udp://", "unix://")


def mention_addresses(call: Call, effects: Sequence[Effect]) -> None:
    """Name what words are the address of to a program that may fetch it, or tell others to.

    Args:
        call: the command.
        effects: what it is known to do.
    """
    words = [text for field in call.args if "/" in (text := field.text) or ":" in text]
    if not words:
        return
    text = " ".join(words)
    head = call.name.partition(" ")[0].rpartition("/")[2]
    if is_of_hub(text):
        for word in words:
            for alias in aliases_in(word):
                call.emit("mention", alias, precision="opaque", may=True)
    if head not in _SCANNERS:
        _mention_images(call, words, effects)
    if "://" not in text and ":s3:::" not in text:
        return
    if head in CLIENTS or head in RUNNERS or interpreter_of(head) is not None:
        return
    said = {place.uri for effect in effects for place in (effect.resource, effect.target) if place is not None}
    for count, match in enumerate(_ADDRESS.finditer(text)):
        if count == MAX_ADDRESSES:
            call.emit("mention", Resource(kind="any", pattern="**"), precision="opaque", may=True)
            return
        address = starred(_BUCKET.sub("s3://", match[0])).rstrip(".:!?/")
        mounted = _MOUNTED.match(address)
        for one in (address, mounted["store"]) if mounted is not None else (address,):
            if not one.startswith(_OF_THIS_HOST) and one not in said and f"{one}/" not in said:
                said.add(one)
                call.emit("mention", Resource(kind="object", uri=one), precision="opaque", may=True)


def _mention_images(call: Call, words: Sequence[str], effects: Sequence[Effect]) -> None:
    """Images of registries, by name, that a program is given which is not looked into."""
    if not any(effect.op == "exec_opaque" for effect in effects):
        return
    for word in words[:MAX_ADDRESSES]:
        match = _IMAGE.fullmatch(word)
        if match is not None:
            call.emit("mention", Resource(kind="object", uri=f"oci:{match['name']}"), precision="opaque", may=True)
