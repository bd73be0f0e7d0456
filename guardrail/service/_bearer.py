"""Bearer tokens (RFC 6750), compared so that the time of an answer says nothing about them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from guardrail.service._http import Problem


class Bearer:
    """A token that opens a door.

    Args:
        token: the token.
        whose: what it is called to somebody who sends none.
    """

    def __init__(self, token: str, whose: str) -> None:
        self._digest = digest(token.encode())
        self._whose = whose

    def opens(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a request has the token."""
        # Digests have one length, and no token has an empty one.
        return hmac.compare_digest(digest(bearer_token(headers) or b""), self._digest)

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Let a request in.

        Raises:
            Problem: if it comes without the token.
        """
        if not self.opens(headers):
            raise Problem("unauthorized", f"send {self._whose} as `authorization: Bearer TOKEN`")


def bearer_token(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The token of a request; None if it has no `authorization`, and empty if that is of another kind."""
    value = headers.get(b"authorization")
    if value is None:
        return None
    scheme, _, token = value.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def digest(token: bytes) -> bytes:
    """What is kept of a token, and compared."""
    return hashlib.sha256(token).digest()
