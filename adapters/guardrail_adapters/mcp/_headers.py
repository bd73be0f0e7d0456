"""What a request's headers have to be: from whom it comes, and that they say what its body says. Pure.

INVARIANT: what is judged is the body. A header that says otherwise is refused (2026-07-28, `basic/transports`), because
something behind us may go by it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from guardrail_adapters.mcp._client import VERSION
from guardrail_adapters.mcp._frames import HEADER_MISMATCH, Message, RefusedFrame, params_of, table
from guardrail_adapters.mcp._token import OwnToken

if TYPE_CHECKING:
    from guardrail_adapters.mcp._oauth import ResourceServer

PASSED: Final = frozenset(
    "accept user-agent accept-language last-event-id traceparent tracestate mcp-protocol-version"
    " mcp-method mcp-name mcp-session-id".split()
)
"""Headers of a client that go to the server, besides `mcp-param-*`. No credentials and no cookies.

INVARIANT: nor `content-type`: under another `charset` the server would read other words in the bytes that were judged.
"""

RETURNED: Final = frozenset(
    "content-type mcp-session-id mcp-protocol-version cache-control retry-after www-authenticate allow"
    " x-accel-buffering".split()
)
"""Headers of a server that go to the client."""

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_PARAM: Final = "mcp-param-"
_OF_BODY: Final = frozenset({"mcp-method", "mcp-name"})


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen, whom to ask, and who may.

    Args:
        upstream: the server's endpoint.
        host: address to listen on.
        port: port to listen on; 0 for any free one.
        origins: origins of pages that may ask.
        token: bearer token that clients have to send.
        upstream_token: our own for the server; None if it wants none.
        forward_authorization: pass the client's token to the server, although it was made out for us.
        oauth: says who asks, by a token of their own; None if all send the same.
    """

    upstream: str
    host: str
    port: int
    origins: tuple[str, ...] = ()
    token: str = ""
    upstream_token: OwnToken | None = None
    forward_authorization: bool = False
    oauth: ResourceServer | None = None


class Forbidden(Exception):
    """A request that is not answered, with the status that says why.

    Args:
        status: of HTTP.
        why: one sentence.
        challenge: what credentials are wanted, for `www-authenticate`.
    """

    def __init__(self, status: int, why: str, *, challenge: str = "") -> None:
        super().__init__(why)
        self.status: Final = status
        self.challenge: Final = challenge


def admit(headers: Mapping[str, str], *, host: str, origins: Sequence[str], token: str) -> None:
    """Let a request in.

    Args:
        headers: of the request, in small letters.
        host: what is listened on; on a loopback address `Host` has to name one, or a name was rebound to it.
        origins: origins of pages that may ask; a request that no page makes has none.
        token: bearer token that clients have to send; empty if none.

    Raises:
        Forbidden: if it is not let in.
    """
    named = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    if host in LOOPBACK and named not in LOOPBACK:
        raise Forbidden(421, f"this is no relay for `{named[:64]}`")
    origin = headers.get("origin")
    if origin is not None and origin not in origins:
        raise Forbidden(403, "pages of this origin may not ask: name it with --origin")
    if token:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
            raise Forbidden(401, "send the relay's token as `authorization: Bearer TOKEN`", challenge="Bearer")


def addressed(method: str, path: str, endpoint: str) -> None:
    """Check that a request is for the one endpoint.

    Raises:
        Forbidden: if it is not.
    """
    if path != endpoint:
        raise Forbidden(404, f"the relay answers at `{endpoint}`")
    if method not in ("POST", "GET", "DELETE"):
        raise Forbidden(405, "use POST, GET or DELETE")


def agree(headers: Mapping[str, str], message: Message) -> None:
    """Check that the headers say what the body says.

    Raises:
        RefusedFrame: if one does not.
    """
    params = params_of(message)
    claims: dict[str, list[object]] = {
        "mcp-method": [message.get("method")],
        "mcp-name": [params[key] for key in ("name", "uri", "taskId") if key in params],
    }
    version = table(params.get("_meta")).get(VERSION)
    if version is not None:
        claims["mcp-protocol-version"] = [version]
    leaves = {_text(leaf) for leaf in _leaves(params.get("arguments"))}
    for name, value in headers.items():
        # Which parameter it mirrors is in the tool's schema; a value that no parameter has is wrong under any.
        wanted = leaves if name.startswith(_PARAM) else {_text(claim) for claim in claims.get(name, [])}
        if (name in claims or name.startswith(_PARAM)) and _decoded(value) not in wanted:
            identity = message.get("id")
            certain = identity if isinstance(identity, str | int) and not isinstance(identity, bool) else None
            raise RefusedFrame(
                f"header mismatch: `{name}` does not say what the body says", id=certain, code=HEADER_MISMATCH
            )


def passed(headers: Mapping[str, str], *, authorization: bool) -> dict[str, str]:
    """What of a client's headers goes to the server.

    Args:
        headers: of the request, in small letters.
        authorization: its token too, which was made out for somebody else then.
    """
    kept = {name: value for name, value in headers.items() if name in PASSED or name.startswith(_PARAM)}
    if authorization and "authorization" in headers:
        kept["authorization"] = headers["authorization"]
    return kept


def of_ours(headers: Mapping[str, str], message: Message) -> dict[str, str]:
    """A client's headers as a request of our own may have them: they say what its body says, and not the client's.

    Args:
        headers: of the client's request, in small letters.
        message: ours.
    """
    sent = {name: value for name, value in headers.items() if not name.startswith(_PARAM) and name != "last-event-id"}
    named = params_of(message).get("name")
    for header, value in (("mcp-method", message["method"]), ("mcp-name", named)):
        if sent.pop(header, None) is not None and value is not None:
            sent[header] = _coded(str(value))
    return sent


def to_resume(headers: Mapping[str, str], last: str) -> dict[str, str]:
    """A client's headers as a request for the rest of its stream may have them.

    Args:
        headers: of the client's request, in small letters.
        last: id of the last event that came.
    """
    kept = {name: value for name, value in headers.items() if not name.startswith(_PARAM) and name not in _OF_BODY}
    return {**kept, "accept": "text/event-stream", "last-event-id": last}


def single(pairs: Iterator[tuple[str, str]]) -> dict[str, str]:
    """Headers by name, in small letters.

    Raises:
        Forbidden: if one that counts stands there twice: two readers could take two of them.
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        small = name.lower()
        if small in found and (
            small.startswith("mcp-") or small in ("authorization", "origin", "host", "content-type")
        ):
            raise Forbidden(400, f"the header `{small}` stands there twice")
        found[small] = value
    return found


def _leaves(value: Any) -> Iterator[object]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(item.values())  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(item, list):
            stack.extend(item)  # pyright: ignore[reportUnknownArgumentType]
        else:
            yield item


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _coded(value: str) -> str:
    if value.isascii() and value.isprintable():
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def _decoded(value: str) -> str | None:
    """A value as it was meant; what is not plain ASCII is in Base64 between marks."""
    if not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    try:
        return base64.b64decode(value[9:-2], validate=True).decode()
    except (binascii.Error, ValueError):
        return None
