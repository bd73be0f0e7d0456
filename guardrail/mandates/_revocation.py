"""The revocation: a person takes an order back, in writing and for good.

A revocation ends a mandate's id: whatever is signed later under that id does not count either.
It is signed by the issuer of the mandate, or by somebody whom `mandates.revokers` names. An issuer puts the order that
is taken back into it, which shows that the id was theirs to end.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from guardrail.canonical import canonical
from guardrail.errors import ConfigError
from guardrail.mandates._mandate import MANDATE_ID, MAX_MANDATE_BYTES, MAX_TEXT_CHARS, Mandate, Moment
from guardrail.mandates._signing import WrongSigner, open_envelope, seal, unseal
from guardrail.model import MAX_NAME_CHARS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

REVOCATION_TYPE: Final = "application/vnd.guardrail.revocation.v1+json"

MAX_REVOCATION_BYTES: Final = 2 * MAX_MANDATE_BYTES + 16 * 1024
"""Largest revocation, with the order that it takes back, in bytes."""


class Revocation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person takes back.

    Args:
        mandate: id of the mandate.
        by: name of the `[[person]]` who signs this.
        at: when it was signed; it holds at once, whatever this says.
        v: version of this format.
        reason: why, for people.
        order: the signed mandate that is taken back, in base64; a revoker may do without.
    """

    mandate: str
    by: str
    at: Moment
    v: Literal[1] = 1
    reason: str = ""
    order: str = ""

    def to_json(self) -> bytes:
        """Canonical JSON: what is signed."""
        return canonical(msgspec.to_builtins(self))


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A revocation that holds.

    Args:
        revocation: what was signed.
        issuer: whose mandates of that id it ends; None for everybody's.
    """

    revocation: Revocation
    issuer: str | None

    def ends(self, mandate: Mandate) -> bool:
        """Whether a mandate does not count any more because of it."""
        return mandate.id == self.revocation.mandate and self.issuer in (None, mandate.issuer)

    def __str__(self) -> str:
        why = f": {self.revocation.reason}" if self.revocation.reason else ""
        return f"`{self.revocation.by}` revoked it on {self.revocation.at.isoformat()}{why}"


def revoke(revocation: Revocation, private_key: Ed25519PrivateKey) -> bytes:
    """Put a revocation into a signed envelope.

    Args:
        revocation: what is taken back.
        private_key: the own Ed25519 key of whom it names in `by`.

    Returns:
        The content of a `*.revocation.json` file.

    Raises:
        ConfigError: if it is impossible or too large.
    """
    _check(revocation)
    data = seal(REVOCATION_TYPE, revocation.to_json(), private_key)
    if len(data) > MAX_REVOCATION_BYTES:
        raise ConfigError(f"a revocation may have at most {MAX_REVOCATION_BYTES} bytes, this one has {len(data)}")
    return data


def open_revocation(data: bytes, people: Mapping[str, bytes], revokers: Collection[str]) -> Ended:
    """The revocation in an envelope, after its signature and the right to it were checked.

    Args:
        data: content of a `*.revocation.json` file.
        people: public keys by the name of who owns them.
        revokers: names of those who may revoke any mandate.

    Raises:
        WrongSigner: if it is not signed by the issuer or a revoker.
        ConfigError: if it is malformed.
    """
    sealed = unseal(data, REVOCATION_TYPE, most=MAX_REVOCATION_BYTES, what="revocation")
    revocation = sealed.read(_decoder, "revocation")
    _check(revocation)
    sealed.check(revocation.by, "signer", people)
    if revocation.by in revokers:
        return Ended(revocation=revocation, issuer=None)
    if not revocation.order:
        # Nothing shows whose order it was, so that it ends only what the signer themselves has issued.
        return Ended(revocation=revocation, issuer=revocation.by)
    order = open_envelope(_order(revocation), people)
    if order.id != revocation.mandate:
        raise ConfigError(f"it revokes `{revocation.mandate}`, but the order in it is `{order.id}`")
    if order.issuer != revocation.by:
        raise WrongSigner(
            f"`{order.issuer}` issued `{order.id}`, so `{revocation.by}` cannot revoke it: "
            "let the issuer sign, or name the signer in `mandates.revokers`"
        )
    return Ended(revocation=revocation, issuer=None)


def kept_revocation(data: bytes) -> Ended | None:
    """A revocation that held when it was kept, whoever may sign today.

    Args:
        data: the envelope, from a ledger that only takes what was checked.

    Returns:
        What it ends: everybody's mandates of that id; None if the ledger holds something else.
    """
    try:
        sealed = unseal(data, REVOCATION_TYPE, most=MAX_REVOCATION_BYTES, what="revocation")
        revocation = sealed.read(_decoder, "revocation")
    except ConfigError:
        return None
    return Ended(revocation=revocation, issuer=None)


def _order(revocation: Revocation) -> bytes:
    try:
        return base64.b64decode(revocation.order, validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError("the order in it is not base64") from None


def _check(revocation: Revocation) -> None:
    if not MANDATE_ID.fullmatch(revocation.mandate):
        raise ConfigError("not a revocation: `mandate` must be the id of a mandate")
    if not 0 < len(revocation.by) <= MAX_NAME_CHARS:
        raise ConfigError(f"not a revocation: `by` must have 1 to {MAX_NAME_CHARS} characters")
    if len(revocation.reason) > MAX_TEXT_CHARS:
        raise ConfigError(f"not a revocation: `reason` may have at most {MAX_TEXT_CHARS} characters")


_decoder: Final = msgspec.json.Decoder(Revocation)
