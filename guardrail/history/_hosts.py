"""Which host a place is on, and how a subject stands to an asset: names that rules can compare.

Not concerned with whether a host is reachable, or a model is what it says.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from guardrail.model import Resource

Relation = Literal["self", "peer", "other"]

MAX_HOST_CHARS: Final = 256
"""Longest name of a host that is remembered, in characters; of a longer one the beginning."""

_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(?:[^/@]*@)?(\[[^\]/]*\]|[^/:?#]*)")
_HERE: Final = frozenset({"file", "unix", "sqlite", "code"})
_HOSTED: Final = frozenset(
    {"ssh", "scp", "sftp", "rsync", "http", "https", "ftp", "ftps", "git", "tcp", "udp", "server"}
)
"""Schemes whose authority is a machine; of all others it is a place of that scheme, such as a bucket."""


def host_of(resource: Resource) -> str | None:
    """The host that a place is on, without user and port, in lower case.

    Args:
        resource: any place.

    Returns:
        `name` for a machine, `s3://bucket` for a place of another kind; None for this machine, and for what may be
        anywhere.
    """
    uri = resource.uri
    if uri is None:
        return None
    found = _URL.match(uri)
    if found is None:
        return None
    scheme, name = found[1].lower(), found[2].lower()[:MAX_HOST_CHARS]
    if scheme in _HERE or not name or "*" in name:
        return None
    return name if scheme in _HOSTED else f"{scheme}://{name}"


def relation(subject: str | None, asset: str | None) -> Relation:
    """How a subject stands to an asset, by the models of both.

    Args:
        subject: the model behind the agent.
        asset: the model that the asset belongs to.

    Returns:
        `self`, `peer` for another model, `other` where one of them is not known. A name without its vendor is that of
        every vendor: whoever might be judging itself counts as doing so.
    """
    if not subject or not asset:
        return "other"
    mine, theirs = subject.casefold().strip(), asset.casefold().strip()
    if mine == theirs:
        return "self"
    if ("/" in mine) != ("/" in theirs) and mine.rpartition("/")[2] == theirs.rpartition("/")[2]:
        return "self"
    return "peer"
