"""The relay as an OAuth 2.1 resource server: who asks is what a token says that was made out for the relay.

Its metadata (RFC 9728) says where such a token is got; a token is a JWT of that issuer (RFC 9068) for this resource
(RFC 8707), sent as a bearer (RFC 6750). Pure, but for the keys, which stand in a file.
INVARIANT: a token ends here: what goes to the server is the relay's own (MCP 2025-11-25, `basic/authorization`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from guardrail import ConfigError
from guardrail.jwks import KeySet
from guardrail.model import MAX_NAME_CHARS
from guardrail_adapters.mcp._frames import Message
from guardrail_adapters.mcp._headers import Forbidden

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
"""Where the metadata of a resource is, before the resource's own path (RFC 9728, section 3.1)."""


SKEW_SECONDS: Final = 60
"""How far the issuer's clock may be off, in seconds."""


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    iss: str
    aud: str | tuple[str, ...]
    sub: str
    exp: float
    nbf: float = 0.0
    scope: str = ""


class ResourceServer:
    """Who may ask the relay.

    Args:
        resource: the relay's own URL, as clients know it: what tokens have to be made out for.
        issuer: the authorization server.
        jwks: the file with its keys.
        scopes: what a token has to grant.

    Raises:
        ConfigError: if an address is none, or the keys cannot be used.
    """

    def __init__(self, *, resource: str, issuer: str, jwks: Path, scopes: Sequence[str] = ()) -> None:
        for option, url in (("--oauth-resource", resource), ("--oauth-issuer", issuer)):
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
                raise ConfigError(f"`{option} {url}` is no URL: write https://HOST/PATH")
        self._resource = resource
        self._issuer = issuer
        self._scopes = tuple(scopes)
        self._keys = KeySet(jwks, "--oauth-jwks")
        parts = urlsplit(resource)
        self.path: Final = WELL_KNOWN + parts.path.rstrip("/")
        self._url = f"{parts.scheme}://{parts.netloc}{self.path}"

    def metadata(self) -> Message:
        """What anybody may know: where to get a token, and for what."""
        found: Message = {
            "resource": self._resource,
            "authorization_servers": [self._issuer],
            "bearer_methods_supported": ["header"],
        }
        return {**found, "scopes_supported": list(self._scopes)} if self._scopes else found

    def principal(self, headers: Mapping[str, str], now: float) -> str:
        """Who asks.

        Args:
            headers: of the request, in small letters.
            now: the time, in seconds since the epoch.

        Raises:
            Forbidden: if there is no token, or none for this; with where to get one.
        """
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise self._refused(401, "send an access token as `authorization: Bearer TOKEN`")
        try:
            claims = msgspec.json.decode(self._keys.payload(token.strip()), type=_Claims)
        except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError) as error:
            raise self._refused(401, f"not an access token: {error}", "invalid_token") from None
        audience = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
        for wrong, why in (
            (claims.iss != self._issuer, "the token is of another issuer"),
            (self._resource not in audience, "the token was made out for somebody else"),
            (not claims.exp + SKEW_SECONDS > now, "the token has expired"),
            (not claims.nbf - SKEW_SECONDS <= now, "the token does not count yet"),
            (not 0 < len(claims.sub) <= MAX_NAME_CHARS, "the token does not say who asks"),
        ):
            if wrong:
                raise self._refused(401, why, "invalid_token")
        if missing := [scope for scope in self._scopes if scope not in claims.scope.split()]:
            raise self._refused(403, f"the token does not grant `{missing[0]}`", "insufficient_scope")
        return claims.sub

    def _refused(self, status: int, why: str, error: str = "") -> Forbidden:
        said = [f'resource_metadata="{self._url}"', *([f'error="{error}"'] if error else [])]
        if self._scopes:
            said.append(f'scope="{" ".join(self._scopes)}"')
        return Forbidden(status, why, challenge=f"Bearer {', '.join(said)}")
