"""Addresses that are no local files: things behind an API, processes, services, accounts, other hosts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote

from guardrail.effects.domain._values import starred
from guardrail.model import Kind, Resource
from guardrail.patterns import lazy

URL: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://.*", re.DOTALL)
"""A word that says itself where it leads."""

REMOTE: Final = lazy(r"(?:[^\s/:]+@)?[^\s/:]+:.*", re.DOTALL)
"""`host:path`: a colon before the first slash."""

_KINDS: Final[Mapping[str, Kind]] = {
    "process": "process",
    "systemd": "service",
    "service": "service",
    "cron": "service",
    "at": "service",
    "clock": "service",
    "network": "service",
    "journal": "service",
    "power": "service",
    "firewall": "service",
    "kernel": "service",
    "account": "account",
    "env": "env",
    "pip": "code",
    "npm-module": "code",
    "http": "net",
    "https": "net",
    "ftp": "net",
    "sftp": "net",
    "ssh": "net",
    "rsync": "net",
    "git": "net",
    "tcp": "net",
    "tls": "net",
    "socket": "net",
    "udp": "net",
    "net": "net",
    "smtp": "net",
    "dns": "net",
    "nfs": "net",
    "unix": "net",
    "tftp": "net",
    "telnet": "net",
    "tunnel": "net",
}
"""What is behind a scheme; what is not listed is an object behind an API."""


def at(scheme: str, text: str) -> Resource:
    """The resource of that name behind a scheme.

    Args:
        scheme: such as `process`, `account`, `k8s` or `s3`.
        text: its name; a URL keeps its own scheme. Unknown parts become `*`.
    """
    name = starred(text)
    if "://" in name and URL.fullmatch(name):
        return remote(name)
    return Resource(kind=_KINDS.get(scheme, "object"), uri=f"{scheme}:{name or '*'}")


def remote(url: str) -> Resource:
    """The resource that a URL names."""
    name = starred(url)
    return Resource(kind=_KINDS.get(name.partition(":")[0].lower(), "object"), uri=name)


_HUBS: Final = re.compile(
    r"(?:(?:https?|ssh|git)://|git:)(?:[^/@]*@)?(?P<host>(?:www\.)?huggingface\.co|hf\.co"
    r"|(?P<virtual>[a-z0-9.-]+)\.s3[a-z0-9.-]*\.amazonaws\.com|s3[a-z0-9.-]*\.amazonaws\.com"
    r"|storage\.googleapis\.com|(?P<account>[a-z0-9]+)\.blob\.core\.windows\.net)(?::\d+/|[/:])/?"
    r"(?:(?:api/)?(?P<kind>models|datasets|spaces|buckets)/)?(?!api/)(?P<rest>[^?#]+)",
    re.IGNORECASE,
)
"""Addresses, on the web or of a git server, of things that also have an address of their own."""


_MIRRORED: Final = lazy(
    r"https?://[^/]*/(?:.*?/)??(?:(?P<kind>models|datasets|spaces)/)?(?P<rest>[\w.-]+/[\w.-]+/resolve/[^?#]+)"
    r"|https?://[^/]*/(?:.*?/)??api/(?P<asked>models|datasets|spaces)/(?P<named>[\w.-]+/[\w.-]+)(?:[/?#].*)?"
    r"|(?:(?:https?|ssh|git)://|git:)(?:[^/@]*@)?(?:[\w.-]{0,253}[.-])?(?:hf|huggingface|modelscope)[.-][\w.-]{0,253}"
    r"(?::\d+/|[/:])/?"
    r"(?:(?P<held>models|datasets|spaces)/)?(?P<whole>(?!api/)[\w.-]+/[\w.-]+(?:/[^?#]*)?)",
    re.IGNORECASE,
)
"""Addresses of the shape that a hub gives to its files and its answers, on any host; and any at all where the host is
called after a hub. Repositories of code on other hosts often have the name of the model that they are about.
"""


_ANSWERED: Final = lazy(
    r"https?://(?:[^/@]*@)?(?:(?:www|storage)\.googleapis\.com/+(?:(?:download|upload|batch)/+)?storage/v1/b/"
    r"(?P<bucket>[^/?#]+)(?:/o/(?P<object>[^/?#]+)(?:/(?P<done>copyTo|rewriteTo)/.*)?)?(?:[/?#].*)?"
    r"|storage\.(?:cloud\.google|mtls\.cloud\.google)\.com/+(?P<seen>[^?#]+).*"
    r"|(?P<registry>[^/@]+)/v2/(?P<image>[^?#]+?)/blobs/(?!uploads)[^/?#]+/?(?:[?#].*)?)",
    re.IGNORECASE,
)
"""Addresses of the interfaces behind stores and registries: an object of a bucket, a part of an image."""


def is_of_hub(text: str) -> bool:
    """Whether the address of a hub or a store may stand in a text: asked often, and so without a pattern."""
    if "." not in text and "/resolve/" not in text and "/api/" not in text and "/blobs/" not in text:
        return False
    low = text.lower()
    return (
        "/resolve/" in low
        or "/api/" in low
        or "hf." in low
        or "hf-" in low
        or "modelscope" in low
        or "huggingface" in low
        or ".amazonaws.com" in low
        or "googleapis.com" in low
        or "storage.cloud.google" in low
        or "/blobs/" in low
        or ".blob.core." in low
    )


def aliases(resource: Resource) -> Iterator[Resource]:
    """A thing that the address of a hub or a store leads to, by its own address."""
    uri = resource.uri or ""
    if not is_of_hub(uri):
        return
    if (match := _ANSWERED.fullmatch(uri)) is not None:
        yield from _answered(resource, match)
        return
    match = _HUBS.match(uri)
    if match is None:
        yield from _mirrored(resource)
        return
    rest = match["rest"].strip("/").removesuffix(".git")
    host = match["host"].lower()
    if host.endswith(("huggingface.co", "hf.co")):
        prefix = f"{match['kind'].lower()}/" if match["kind"] and match["kind"].lower() != "models" else ""
        name = f"hf://{prefix}{rest}"
        yield Resource(kind="object", uri=name, recursive=resource.recursive)
        return
    if match["kind"]:
        rest = f"{match['kind']}/{rest}"  # a bucket may be called so; only a hub keeps models apart in that way
    if match["account"]:
        name = f"az://{match['account']}/{rest}"
    elif match["virtual"]:
        name = f"s3://{match['virtual']}/{rest}"
    else:
        name = f"{'gs' if 'googleapis' in host else 's3'}://{rest}"
    yield Resource(kind="object", uri=name, recursive=resource.recursive)


def _answered(resource: Resource, match: re.Match[str]) -> Iterator[Resource]:
    """What the interface of a store or a registry is asked about."""
    if match["image"]:
        name = f"oci:{match['registry']}/{match['image']}"
    elif match["seen"]:
        name = f"gs://{match['seen'].strip('/')}"
    else:
        name = f"gs://{match['bucket']}/{unquote(match['object'] or '')}".rstrip("/")
    yield Resource(kind="object", uri=name, recursive=resource.recursive)


def _mirrored(resource: Resource) -> Iterator[Resource]:
    """What a mirror of a hub has, by the address that it has at the hub."""
    uri = resource.uri or ""
    match = _MIRRORED.fullmatch(uri)
    if match is None:
        return
    rest = (match["rest"] or match["named"] or match["whole"]).strip("/").removesuffix(".git")
    kind = (match["kind"] or match["asked"] or match["held"] or "models").lower()
    prefix = "" if kind == "models" else f"{kind}/"
    hub = "modelscope" if "modelscope." in uri.lower() else "hf"
    yield Resource(kind="object", uri=f"{hub}://{prefix}{rest}", recursive=resource.recursive)


MAX_STORED: Final = 64
"""Most addresses of stores and hubs that one text names; beyond, they could be any."""

_STORED: Final = lazy(
    r"(?<![\w+])(?:s3[an]?|gs|az|abfss?|wasbs?|adl|hf|oci|r2|b2|oss|obs|cosn?|swift|modelscope|mlflow|dvc|ollama|docker)://"
    r"[^\s\"'`<>,;|()\[\]{}\\]+",
    re.IGNORECASE,
)


def stored_in(text: str) -> Iterator[Resource]:
    """What of stores and hubs a piece of code or text names by its address."""
    for count, match in enumerate(_STORED.finditer(text)):
        if count == MAX_STORED:
            yield Resource(kind="any", pattern="**")
            return
        yield Resource(kind="object", uri=starred(match[0]).rstrip(".:!?/"))


_STANDS: Final = lazy(
    r"(?:^|(?<=[\s+=,\"']))(?:(?:https?|ssh|git)://|git:|git@"
    r"|(?:[\w.-]{0,64}[.-])?(?:hf|huggingface|modelscope)\.[\w.-]{1,64}/|(?:hf|huggingface)-[\w.-]{1,64}/)\S+"
)


def aliases_in(word: str) -> Iterator[Resource]:
    """The same of every such address in a word: `git+https://…`, `--url=https://…`, and one without a scheme."""
    for match in _STANDS.finditer(word):
        text = match[0]
        text = f"git:{text}" if text.startswith("git@") else text if ":" in text[:8] else f"https://{text}"
        yield from aliases(Resource(kind="net", uri=text))
