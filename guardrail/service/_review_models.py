"""What the routes of review take and give, as records: their OpenAPI schemas are made from these."""

from __future__ import annotations

from typing import Literal

import msgspec

from guardrail.review import Escalation, Vote
from guardrail.review._case import CaseState, Issued


class Redeem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `:redeem`: the call that is about to run, and the files that it resolves to."""

    digest: str
    binding: str = ""


class Complete(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `:complete`: what came of a use."""

    use: int
    result: Literal["completed", "failed", "unknown"]


class Grantable(Issued, frozen=True, kw_only=True):
    """A grant, its uses, and where it stands, in one word."""

    state: str


class CaseView(msgspec.Struct, frozen=True, kw_only=True, rename={"held": "escalation"}):
    """An escalation with everything that came of it.

    Args:
        id: of the escalation.
        state: where it stands now; what nobody answered in time is `expired`.
        version: its entity tag.
        subject: digest that a vote has to name.
        held: as it was opened.
        votes: what people said, without the signed bytes.
        grants: what was given.
        review_due_us: until when somebody has to look at a break-glass, in microseconds since the epoch.
        review_overdue: whether that time is over.
        origin: name of the trail of the guard that asks, if it is another one.
        shown: for one of another guard: what a vote has to say besides, a digest over `escalation` and `origin`.
        left: whether a statement waits at the centre for that guard, and nobody knows yet what comes of it.
    """

    id: str
    state: CaseState
    version: int
    subject: str
    held: Escalation
    votes: tuple[Vote, ...]
    grants: tuple[Grantable, ...]
    review_due_us: int | msgspec.UnsetType = msgspec.UNSET
    review_overdue: bool | msgspec.UnsetType = msgspec.UNSET
    origin: str | msgspec.UnsetType = msgspec.UNSET
    shown: str | msgspec.UnsetType = msgspec.UNSET
    left: bool | msgspec.UnsetType = msgspec.UNSET


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some escalations, and the cursor of the next page."""

    escalations: tuple[CaseView, ...]
    next: str | None


class Redeemed(msgspec.Struct, frozen=True, kw_only=True):
    """A use of a grant, had by this caller alone."""

    grant: str
    use: int
    expires_us: int


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a use."""

    grant: str
    use: int
    result: str


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """One Ed25519 signature over DSSE's pre-authentication encoding."""

    keyid: str
    sig: str


class SignedStatement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A statement in a DSSE envelope: `payload` is its canonical JSON in base64."""

    payload_type: str
    payload: str
    signatures: tuple[Signature, ...]


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """A statement, as canonical JSON in base64, with the ID token that was got for it."""

    statement: str
    id_token: str
