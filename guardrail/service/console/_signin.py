"""OpenID Connect, the code flow with a verifier: once to look, and once more for each answer.

The sign-in of an answer carries the digest of the statement as its `nonce`, so that the token that comes back is a
signature of the provider's under exactly that statement, and under nothing else (`guardrail.review._oidc`).

Sources: OpenID Connect Core 1.0 section 3.1, RFC 7636, RFC 9700 section 2.1.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import urllib.parse
from typing import Any, Final

import msgspec

from guardrail.canonical import canonical
from guardrail.config import ConsoleConfig, OidcConfig, secret
from guardrail.errors import GuardrailError
from guardrail.review._oidc import nonce_of
from guardrail.review._statements import AnyStatement
from guardrail.service._post import Post, send
from guardrail.service.console._sessions import STARTED_SECONDS, Started

CALLBACK: Final = "/console/callback"


class SignInFailed(GuardrailError):
    """The provider did not say who somebody is; the message is for people."""


class _Tokens(msgspec.Struct, frozen=True, kw_only=True):
    id_token: str


class SignIn:
    """Sign-ins at one provider.

    Args:
        console: `[console]`.
        oidc: `[review.oidc]`.
        post: how a form is sent.
    """

    def __init__(self, console: ConsoleConfig, oidc: OidcConfig, post: Post = send) -> None:
        self._console = console
        self._client = oidc.audience
        self._secret = secret(console.client_secret, "console.client_secret")
        self._back = console.url.rstrip("/") + CALLBACK
        self._post = post

    def begin(
        self, now: float, back: str, statement: AnyStatement | None = None, version: int | None = None
    ) -> Started:
        """A sign-in that is about to begin.

        Args:
            now: the clock of the sessions, in seconds.
            back: path that follows.
            statement: what is to be signed with it, if anything.
            version: the entity tag of what was shown.
        """
        return Started(
            nonce=secrets.token_urlsafe(32) if statement is None else nonce_of(statement),
            verifier=secrets.token_urlsafe(48),
            until=now + STARTED_SECONDS,
            back=back,
            statement=statement,
            version=version,
        )

    def address(self, started: Started, state: str, *, again: bool) -> str:
        """Where the browser goes.

        Args:
            started: the sign-in.
            state: its name in the session.
            again: whether they have to show who they are even where they are signed in.
        """
        challenge = base64.urlsafe_b64encode(hashlib.sha256(started.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self._client,
            "redirect_uri": self._back,
            "scope": " ".join(("openid", *self._console.scopes)),
            "state": state,
            "nonce": started.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        if again:
            query["prompt"] = "login"
        mark = "&" if "?" in self._console.authorization else "?"
        return self._console.authorization + mark + urllib.parse.urlencode(query)

    def token(self, started: Started, code: str) -> str:
        """The ID token that a code stands for.

        Raises:
            SignInFailed: if the provider gives none.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._back,
            "client_id": self._client,
            "code_verifier": started.verifier,
        }
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        if self._secret:
            # RFC 6749 section 2.3.1: both are form-encoded before they are joined.
            pair = f"{urllib.parse.quote_plus(self._client)}:{urllib.parse.quote_plus(self._secret)}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        status, answer = self._post(self._console.tokens, headers, urllib.parse.urlencode(form).encode())
        if status != 200:
            raise SignInFailed(
                f"the provider answered the sign-in with {status}" if status else "the provider did not answer"
            )
        try:
            return msgspec.json.decode(answer, type=_Tokens).id_token
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise SignInFailed("the provider gave no ID token: is `openid` allowed for this client?") from None


def envelope(statement: AnyStatement, token: str) -> bytes:
    """A statement with the token that was got for it, as `guardrail.review.Clerk.take` reads it."""
    payload = base64.b64encode(canonical(msgspec.to_builtins(statement))).decode()
    body: dict[str, Any] = {"statement": payload, "id_token": token}
    return msgspec.json.encode(body)
