"""`requestState` of our own: a client carries it between two rounds of one call, and can neither read nor make it.

The specification (2026-07-28, `basic/patterns/mrtr`) asks for integrity and for binding to who asked and what.
Not concerned with approval: a state only says that somebody was shown where to look.
"""

from __future__ import annotations

import base64
import binascii
import os
import time
from typing import Final

import msgspec

PREFIX: Final = "guardrail.v1."
"""How our own states begin; those of servers pass."""

STATE_SECONDS: Final = 900
"""How long a state counts, in seconds; after that the call starts anew."""

_NONCE_BYTES: Final = 12


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a state is about.

    Args:
        principal: who asked: the agent, its session and who it acts for.
        method: of the request.
        digest: of the call.
        escalation: what it waits on.
        expires: until when it counts, in seconds since the epoch.
    """

    principal: str
    method: str
    digest: str
    escalation: str
    expires: float


class Sealer:
    """Makes and opens states with a key of this process; one from before a restart counts as none."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        self._cipher = ChaCha20Poly1305(ChaCha20Poly1305.generate_key())

    def seal(self, *, principal: str, method: str, digest: str, escalation: str) -> str:
        """The state for a call."""
        claims = Claims(
            principal=principal,
            method=method,
            digest=digest,
            escalation=escalation,
            expires=time.time() + STATE_SECONDS,
        )
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, msgspec.json.encode(claims), PREFIX.encode())
        return PREFIX + base64.urlsafe_b64encode(nonce + sealed).decode()

    def opened(self, state: object, *, principal: str, method: str, digest: str) -> Claims | None:
        """What a state says, if it is ours, whole, in time, and about exactly this."""
        from cryptography.exceptions import InvalidTag

        if not isinstance(state, str) or not state.startswith(PREFIX):
            return None
        try:
            raw = base64.b64decode(state[len(PREFIX) :], altchars=b"-_", validate=True)
            text = self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], PREFIX.encode())
        except (binascii.Error, InvalidTag, ValueError):
            return None
        claims = msgspec.json.decode(text, type=Claims)
        same = (claims.principal, claims.method, claims.digest) == (principal, method, digest)
        return claims if same and claims.expires > time.time() else None


def is_ours(state: object) -> bool:
    """Whether a state looks like one of ours, valid or not: those go no further."""
    return isinstance(state, str) and state.startswith(PREFIX)
