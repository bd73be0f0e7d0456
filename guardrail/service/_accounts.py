"""Tokens of Kubernetes ServiceAccounts: by the cluster's keys in a file, or reviewed by its API server.

By keys nothing is asked of anybody, and a token is good until it expires. A review knows of pods and accounts that are
gone; what it said is good for `REVIEW_SECONDS`.
Source: Kubernetes documentation, "Managing Service Accounts" and "TokenReview v1", read 2026-11-30.
"""

from __future__ import annotations

import asyncio
import http.client
import ssl
import time
import urllib.parse
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from guardrail.config import Config, KubernetesConfig
from guardrail.errors import ConfigError
from guardrail.jwks import KeySet
from guardrail.service._bearer import digest
from guardrail.service._http import Problem

SKEW_SECONDS: Final = 60
"""How far the cluster's clock may be off, in seconds."""

MAX_TOKEN_CHARS: Final = 16 * 1024
"""Longest token that is looked at, in characters."""

REVIEW_SECONDS: Final = 30.0
"""How long the answer of a review is good for, in seconds."""

REVIEW_TIMEOUT_SECONDS: Final = 3.0
"""Longest wait for the API server, in seconds."""

MAX_ASKED: Final = 4
"""Most reviews at one time; anybody may send tokens, and each one that is unknown would occupy a thread and the API
server."""

MAX_REVIEWED: Final = 1024
"""Most answers of reviews that are remembered; the oldest is forgotten."""

MAX_REVIEW_BYTES: Final = 256 * 1024
"""Largest answer of the API server that is read, in bytes."""

REVIEWS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"

_SUBJECT: Final = "system:serviceaccount:"


class Accounts(Protocol):
    """Who verifies tokens of ServiceAccounts."""

    async def account_of(self, token: str) -> str | None:
        """The account of a token, `namespace/name`; None if it is no token of one, for us, now.

        Raises:
            Problem: if nobody can say.
        """
        ...


def accounts_of(settings: KubernetesConfig, config: Config) -> Accounts:
    """Who verifies them, by the settings.

    Raises:
        ConfigError: if keys cannot be read.
    """
    if settings.jwks:
        keys = KeySet(config.path(settings.jwks), "service.kubernetes.jwks")
        return SignedAccounts(keys, settings.issuer, settings.audience)
    return ReviewedAccounts(settings, config.path(settings.ca), config.path(settings.token))


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    iss: str
    sub: str
    aud: tuple[str, ...] | str
    exp: float
    nbf: float = 0.0


_claims: Final = msgspec.json.Decoder(_Claims)


class SignedAccounts:
    """By the cluster's keys.

    Args:
        keys: the keys.
        issuer: the cluster's name.
        audience: what a token has to be for.
        clock: the time, in seconds since the epoch.
    """

    def __init__(self, keys: KeySet, issuer: str, audience: str, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._clock = clock

    async def account_of(self, token: str) -> str | None:
        """See `Accounts`."""
        if len(token) > MAX_TOKEN_CHARS:
            return None
        try:
            claims = _claims.decode(self._keys.payload(token))
        except (ValueError, msgspec.DecodeError, RecursionError):
            return None
        now, audience = self._clock(), (claims.aud,) if isinstance(claims.aud, str) else claims.aud
        timely = claims.nbf - SKEW_SECONDS <= now < claims.exp + SKEW_SECONDS
        if claims.iss != self._issuer or self._audience not in audience or not timely:
            return None
        return _account(claims.sub)


class _User(msgspec.Struct, frozen=True, kw_only=True):
    username: str = ""


class _Status(msgspec.Struct, frozen=True, kw_only=True):
    authenticated: bool = False
    user: _User = _User()
    audiences: tuple[str, ...] = ()


class _Review(msgspec.Struct, frozen=True, kw_only=True):
    status: _Status = _Status()


_reviews: Final = msgspec.json.Decoder(_Review)


class ReviewedAccounts:
    """By the API server.

    Args:
        settings: `[service.kubernetes]`.
        ca: file with the authority of the API server.
        own: file with the token that is shown there, read each time, because it is replaced.
        clock: seconds that only ever grow.
    """

    def __init__(
        self, settings: KubernetesConfig, ca: Path, own: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        parts = urllib.parse.urlsplit(settings.review)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._audience = settings.audience
        self._own = own
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, str | None]] = OrderedDict()
        self._asked = 0
        try:
            self._tls = ssl.create_default_context(cafile=str(ca))
            # From Python 3.13 on it would want of a cluster's own certificates more than clusters put into them.
            self._tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"cannot use `service.kubernetes.ca`: {error.strerror or error}") from None

    async def account_of(self, token: str) -> str | None:
        """See `Accounts`."""
        if len(token) > MAX_TOKEN_CHARS:
            return None
        key = digest(token.encode("latin-1"))
        known = self._known.get(key)
        if known is not None and self._clock() - known[0] < REVIEW_SECONDS:
            return known[1]
        if self._asked >= MAX_ASKED:
            raise Problem("overloaded", f"{MAX_ASKED} tokens are being reviewed already: ask again")
        self._asked += 1
        try:
            account = await asyncio.to_thread(self._reviewed, token)
        except (OSError, ValueError, msgspec.DecodeError, http.client.HTTPException):
            raise Problem("not-ready", "the cluster does not say whose token this is: ask again") from None
        finally:
            self._asked -= 1
        self._known[key] = self._clock(), account
        while len(self._known) > MAX_REVIEWED:
            self._known.popitem(last=False)
        return account

    def _reviewed(self, token: str) -> str | None:
        own = self._own.read_text(encoding="ascii").strip()
        question = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [self._audience]},
        }
        connection = http.client.HTTPSConnection(
            self._host, self._port, timeout=REVIEW_TIMEOUT_SECONDS, context=self._tls
        )
        try:
            headers = {"authorization": f"Bearer {own}", "content-type": "application/json"}
            connection.request("POST", REVIEWS, msgspec.json.encode(question), headers)
            with connection.getresponse() as answer:
                body = answer.read(MAX_REVIEW_BYTES)
        finally:
            connection.close()
        if answer.status not in (200, 201):
            raise ValueError(f"the API server answered {answer.status}")
        status = _reviews.decode(body).status
        # An API server that does not know of audiences answers without them: then nobody says that it is for us.
        if not status.authenticated or self._audience not in status.audiences:
            return None
        return _account(status.user.username)


def _account(name: str) -> str | None:
    """`namespace/name` of `system:serviceaccount:namespace:name`."""
    namespace, colon, account = name.removeprefix(_SUBJECT).partition(":")
    return f"{namespace}/{account}" if name.startswith(_SUBJECT) and colon and namespace and account else None
