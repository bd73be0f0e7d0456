"""Bearer tokens (RFC 6750), compared so that the time of an answer says nothing about them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping

from guardrail.service._http import Problem


class Bearer:
    """Tokens of which any one opens a door; without any it is open.

    Args:
        tokens: the tokens.
        whose: what they are called to somebody who sends none.
    """

    def __init__(self, tokens: Iterable[str], whose: str) -> None:
        self._digests = [_digest(token.encode()) for token in tokens]
        self._whose = whose

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Let a request in.

        Raises:
            Problem: if it comes without one of the tokens.
        """
        if not self._digests:
            return
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        given = _digest(token.strip())
        # Digests have one length, and every one is compared, so an answer's time says nothing about any token.
        known = [hmac.compare_digest(given, one) for one in self._digests]
        if not any(known) or scheme.lower() != b"bearer":
            raise Problem("unauthorized", f"send {self._whose} as `authorization: Bearer TOKEN`")


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
