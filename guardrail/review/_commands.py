"""What can be asked for about an escalation and its grants, and why it may come to nothing.

Not concerned with what follows (`_machine`). Ids and times come with a command, so that what follows is pure.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from guardrail.errors import GuardrailError
from guardrail.review._case import Closing, Ending, Escalation, Vote, Withdrawal

MAX_RELEASES: Final = 16
"""Most grants for one approval: the call itself, retries after the tool raised, and pauses of the tool."""

MAX_USES: Final = 100
"""Most uses of a scoped grant."""

MAX_GRANT_SECONDS: Final = 4 * 3600
"""Longest life of a grant, in seconds."""

GLASS_SECONDS: Final = 3600
"""Longest life of a grant that people took by break-glass, in seconds."""

MAX_VOTES: Final = 64
"""Most votes on one escalation that count."""

MAX_IDLE_VOTES: Final = 8
"""Most votes on one escalation that do not count, because they are not signed."""

Refusal = Literal[
    "unknown", "already_decided", "already_voted", "expired", "stale", "separation_of_duties", "not_entitled",
    "too_wide", "not_redeemable", "too_many", "not_signed",
]  # fmt: skip
"""Why a command comes to nothing, in one word for machines."""


class Refused(GuardrailError):
    """A command that may not be; nothing was recorded.

    Args:
        code: why, in one word.
        why: why, in a sentence.
    """

    def __init__(self, code: Refusal, why: str) -> None:
        super().__init__(why)
        self.code: Final = code


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a call for people."""

    held: Escalation


class Cast(msgspec.Struct, frozen=True, kw_only=True):
    """Take in what a person said, whose identity is known as far as `vote.proof` says.

    Args:
        vote: what was said.
        subject: digest of what they were shown; must be that of the escalation. Empty for who answers the very
            question, and saw it.
        grant: id for the grant, should this be the vote that decides.
        version: the entity tag they had before them; None if they named none.
    """

    vote: Vote
    grant: str
    subject: str = ""
    version: int | None = None


class Close(msgspec.Struct, frozen=True, kw_only=True):
    """End it without a decision; `expired` only takes effect once the time is up."""

    state: Closing
    now_us: int
    by: str = ""
    envelope: str = ""


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """Leave for another attempt at an approved call, after one that failed or paused, or that never began."""

    grant: str
    digest: str
    now_us: int


class Reserve(msgspec.Struct, frozen=True, kw_only=True):
    """Take one use of a grant, for a call that is about to run.

    Args:
        grant: its id.
        digest: digest of that call, worked out afresh.
        binding: digest over the call and the files it resolves to now.
        holder: the process that takes it.
        now_us: the time.
    """

    grant: str
    digest: str
    binding: str
    holder: str
    now_us: int


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    """Say what came of a use; None gives it back, since nothing was released."""

    grant: str
    use: int
    ending: Ending | None
    now_us: int


class Withdraw(msgspec.Struct, frozen=True, kw_only=True):
    """End a grant early."""

    grant: str
    why: Withdrawal
    now_us: int
    by: str = ""
    envelope: str = ""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """Say that a break-glass was looked at afterwards."""

    by: str
    now_us: int
    reason: str = ""
    envelope: str = ""


class Remind(msgspec.Struct, frozen=True, kw_only=True):
    """Put on record that nobody has looked at a break-glass in time, if that is so."""

    now_us: int


class Notify(msgspec.Struct, frozen=True, kw_only=True):
    """Say that an endpoint was told of something, or that it could not be."""

    endpoint: str
    what: str
    attempts: int
    delivered: bool
    now_us: int


Command = Notify | Remind | Open | Cast | Close | Issue | Reserve | Finish | Withdraw | Look
"""Everything that can be asked for."""
