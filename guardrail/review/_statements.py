"""What people sign: one statement in a DSSE envelope, with the Ed25519 key that their mandates are signed with.

Not concerned with whether a statement comes to anything (`_clerk`, `_machine`).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import TYPE_CHECKING, Final

import msgspec
import orjson

from guardrail.canonical import canonical
from guardrail.errors import ConfigError
from guardrail.mandates import seal, unseal
from guardrail.review._case import Escalation, Verdict, Vote
from guardrail.review._commands import Refused
from guardrail.review._records import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PAYLOAD_TYPE: Final = "application/vnd.guardrail.vote.v1+json"
"""What the signature is over, besides the statement: one over a vote can never pass for one over an order."""

MAX_STATEMENT_BYTES: Final = 16 * 1024
"""Largest envelope, in bytes; it goes on record as it is."""

MAX_REASON_CHARS: Final = 1000
"""Longest reason, in characters."""


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act"):
    """Something that a person says.

    Args:
        v: version of the format.
        voter: who says it.
        t_us: when, by their clock, in microseconds since the epoch.
        nonce: so that no two statements are alike.
        reason: why, in their words.
    """

    voter: str
    t_us: int
    v: int = 1
    nonce: str = msgspec.field(default_factory=lambda: secrets.token_hex(8))
    reason: str = ""


class VoteStatement(Statement, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="vote"):
    """A yes or a no to one escalation.

    Args:
        escalation: its id.
        subject: digest over the call and the files, as they were shown.
        verdict: approve or deny.
        scope: for an approval: leave for more than this one call, within it.
        shown: `shown_of` what they were shown; without it they have seen what is on record, and not a copy of it.
    """

    escalation: str
    subject: str
    verdict: Verdict
    scope: Scope | None = None
    shown: str | msgspec.UnsetType = msgspec.UNSET


class CancelStatement(Statement, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="cancel"):
    """An escalation that nobody needs decided any more."""

    escalation: str


class RevokeStatement(Statement, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="revoke"):
    """A grant that is taken back."""

    grant: str


class ReviewStatement(Statement, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="review"):
    """A break-glass was looked at afterwards."""

    escalation: str


class GlassStatement(Statement, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="break_glass"):
    """Leave that two people take at once, before anybody is asked.

    Args:
        agent: id of the agent that it is for.
        ops: ops that it is for.
        assets: assets that it is for.
        seconds: for how long, in seconds.
        ticket: where the incident is kept.
    """

    agent: str
    ops: tuple[str, ...]
    assets: tuple[str, ...]
    ticket: str
    seconds: int = 3600


AnyStatement = VoteStatement | CancelStatement | RevokeStatement | ReviewStatement | GlassStatement
"""Everything that can be signed."""

_decoder: Final = msgspec.json.Decoder(AnyStatement)


def sign_statement(statement: AnyStatement, key: Ed25519PrivateKey) -> bytes:
    """A statement in its signed envelope.

    Raises:
        ConfigError: if it is too large.
    """
    data = seal(PAYLOAD_TYPE, canonical(msgspec.to_builtins(statement)), key)
    if len(data) > MAX_STATEMENT_BYTES:
        raise ConfigError(f"a statement may have at most {MAX_STATEMENT_BYTES} bytes, this one has {len(data)}")
    return data


def open_statement(data: bytes, people: Mapping[str, bytes]) -> AnyStatement:
    """The statement in an envelope, after its signature was checked.

    Args:
        data: the envelope.
        people: public keys by the name of who owns them.

    Raises:
        Refused: if it is malformed, or not signed with the key of the person whom it names.
    """
    try:
        sealed = unseal(data, PAYLOAD_TYPE, most=MAX_STATEMENT_BYTES, what="vote")
        statement = read_statement(sealed.payload)
        # INVARIANT: nothing of the payload is used before the key of the person whom it names has verified it.
        sealed.check(statement.voter, "voter", people)
    except ConfigError as error:
        raise Refused("not_signed", f"the vote does not count: {error}") from None
    return statement


def shown_of(held: Escalation, origin: str) -> str:
    """What somebody signs who was shown a copy of an escalation: whoever carries it cannot have changed a letter.

    Args:
        held: the escalation, as it was shown.
        origin: name of the trail that it is in.
    """
    said = orjson.dumps({"escalation": msgspec.to_builtins(held), "origin": origin}, option=orjson.OPT_SORT_KEYS)
    return "sha256:" + hashlib.sha256(said).hexdigest()


def glass_digest(envelope: str) -> str:
    """What a second person signs: all that the first one said, as they said it.

    Args:
        envelope: as it goes on record, signed by key or by ID token.
    """
    kept = orjson.loads(envelope)
    payload = base64.b64decode(kept["payload"] if "payload" in kept else kept["statement"])
    return "sha256:" + hashlib.sha256(payload).hexdigest()


def is_signed(vote: Vote, held: Escalation, people: Mapping[str, bytes]) -> bool:
    """Whether a recorded vote says what its envelope says, as its voter signed it: for whoever reads the trail later.

    Args:
        vote: as it is on record, with its envelope.
        held: what the record says it is about.
        people: public keys by the name of who owns them.
    """
    try:
        said = open_statement(vote.envelope.encode(), people)
    except Refused:
        return False
    if isinstance(said, GlassStatement):
        about = held.glass and glass_digest(vote.envelope) == held.digest
        return about and (said.voter, "approve", None) == (vote.voter, vote.verdict, vote.scope)
    # INVARIANT: nothing else that they have signed about it, a cancellation for one, passes for this vote.
    return isinstance(said, VoteStatement) and (said.voter, said.escalation, said.verdict, said.scope) == (
        vote.voter, held.id, vote.verdict, vote.scope
    )  # fmt: skip


def read_statement(payload: bytes) -> AnyStatement:
    """A statement, before it is known whose it is.

    Raises:
        Refused: if it is malformed.
    """
    try:
        statement: AnyStatement = _decoder.decode(payload)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("not_signed", f"not a signed vote: {error}") from None
    if statement.v != 1:
        raise Refused("not_signed", f"the vote has version {statement.v}, and this program reads version 1")
    if len(statement.reason) > MAX_REASON_CHARS:
        raise Refused("not_signed", f"a reason may have at most {MAX_REASON_CHARS} characters")
    return statement
