"""Votes by people who sign in: an OpenID Connect ID token whose `nonce` is the digest of what they say.

A bearer token alone would say who somebody is and not what they said. Here the identity provider signs the digest of
the statement, in a sign-in of its own, so that no token can be moved to another vote (OpenID Connect Core 1.0, 2 and
3.1.3.7).
Keys are read from a file: nothing is fetched while a vote is looked at.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from typing import Final

import msgspec
import orjson

from guardrail.canonical import canonical
from guardrail.config import OidcConfig
from guardrail.jwks import KeySet
from guardrail.names import same
from guardrail.review._commands import Refused
from guardrail.review._statements import AnyStatement, read_statement

MAX_AGE_SECONDS: Final = 600
"""How long ago somebody may have signed in for a vote, in seconds."""

SKEW_SECONDS: Final = 60
"""How far the provider's clock may be off, in seconds."""


class _Signed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sent: the statement as canonical JSON in base64, and the token that was got for it."""

    statement: str
    id_token: str


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    iss: str
    sub: str
    aud: str | tuple[str, ...]
    exp: float
    iat: float
    nonce: str
    azp: str | None = None
    amr: tuple[str, ...] = ()
    email: str = ""
    email_verified: bool = False


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who said something, and how that is known.

    Args:
        statement: what they say.
        proof: `oidc:` and the issuer.
        record: what goes on record: the statement, the claims, and the digest of the token, which is itself a secret.
        strong: whether they signed in with one of the means that what is critical needs.
    """

    statement: AnyStatement
    proof: str
    record: str
    strong: bool


def nonce_of(statement: AnyStatement) -> str:
    """The `nonce` to sign in with for a statement."""
    return _base64(hashlib.sha256(canonical(msgspec.to_builtins(statement))).digest())


def is_signed_in(envelope: bytes) -> bool:
    """Whether this is a statement with an ID token, and not a DSSE envelope."""
    return b'"id_token"' in envelope


class Provider:
    """The identity provider of a configuration.

    Args:
        config: `[review.oidc]`.
        keys: the file with its keys.

    Raises:
        ConfigError: if they cannot be read, or none of them can be used.
    """

    def __init__(self, config: OidcConfig, keys: Path) -> None:
        self._config = config
        self._keys = KeySet(keys, "review.oidc.jwks")

    def open(self, envelope: bytes, now_us: int) -> Identity:
        """Who says what, after the token was checked.

        Args:
            envelope: the statement and the token.
            now_us: the time, in microseconds since the epoch.

        Raises:
            Refused: if the token is not one of this provider, for this audience, for exactly this statement, and fresh.
        """
        try:
            signed = msgspec.json.decode(envelope, type=_Signed)
            payload = base64.b64decode(signed.statement, validate=True)
            claims = self._verified(signed.id_token)
        except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, ValueError, RecursionError) as error:
            raise Refused("not_signed", f"not a vote with an ID token: {error}") from None
        statement = read_statement(payload)
        name = self._check(claims, _base64(hashlib.sha256(payload).digest()), now_us // 1_000_000)
        if same(name) != same(statement.voter):
            raise Refused("not_signed", f"the token is not one of `{statement.voter}`")
        kept = {name: getattr(claims, name) for name in ("iss", "sub", "aud", "iat", "exp", "amr")}
        record = {
            "statement": signed.statement,
            "claims": kept,
            "token_sha256": hashlib.sha256(signed.id_token.encode()).hexdigest(),
        }
        return Identity(
            statement=statement,
            proof=f"oidc:{claims.iss}",
            record=orjson.dumps(record).decode(),
            strong=bool(set(claims.amr) & set(self._config.amr)),
        )

    def signed_in(self, token: str, nonce: str, now_us: int) -> str:
        """Who signed in, to look; such a token says nothing and is no vote.

        Args:
            token: the ID token.
            nonce: what the sign-in was begun with.
            now_us: the time, in microseconds since the epoch.

        Raises:
            Refused: if the token is not one of this provider, for this audience and this sign-in, and fresh.
        """
        try:
            claims = self._verified(token)
        except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, ValueError, RecursionError) as error:
            raise Refused("not_signed", f"not an ID token: {error}") from None
        return self._check(claims, nonce, now_us // 1_000_000)

    def _verified(self, token: str) -> _Claims:
        return msgspec.json.decode(self._keys.payload(token), type=_Claims)

    def _check(self, claims: _Claims, nonce: str, now: int) -> str:
        """The name of whoever the token is about."""
        wanted = self._config
        audience = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
        name = claims.email if wanted.name == "email" else claims.sub
        for wrong, why in (
            (claims.iss != wanted.issuer, "the token is of another issuer"),
            (wanted.audience not in audience, "the token is for somebody else"),
            (
                (len(audience) > 1 or claims.azp is not None) and claims.azp != wanted.audience,
                "the token was got by somebody else",
            ),
            (claims.exp + SKEW_SECONDS < now, "the token has expired: sign in again"),
            (claims.iat - SKEW_SECONDS > now, "the token is from the future"),
            (claims.iat + MAX_AGE_SECONDS < now, "the token is too old: sign in again"),
            (claims.nonce != nonce, "the token is for another statement"),
            (wanted.name == "email" and not claims.email_verified, "the provider has not verified the address"),
            (not name, f"the token is not one of anybody: it has no `{wanted.name}`"),
        ):
            if wrong:
                raise Refused("not_signed", why)
        return name


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
