"""Who has to say yes, who may not, and whether enough have.

Not concerned with how it is known who somebody is (`_votes`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from guardrail.names import alike, same
from guardrail.review._case import Escalation, Quorum

_UNPROVEN: Final = ("config:", "server:", "unverified:")
"""How an adapter says that nobody has shown who somebody is."""


def is_barred(held: Escalation, voter: str) -> bool:
    """Whether somebody may not approve this call: the agent, who operates it, for whom it acts."""
    return alike(voter) in {alike(name) for name in held.barred}


def may_vote(quorum: Quorum, voter: str, *, proven: bool) -> bool:
    """Whether anybody waits for what this person says.

    Args:
        quorum: who decides.
        voter: the name.
        proven: it is shown to be theirs; a name that is only said may have a word before it, and releases nothing.
    """
    if not proven:
        voter = voter.removeprefix(next((word for word in _UNPROVEN if voter.startswith(word)), ""))
    return not quorum.groups or any(same(voter) in _members(group.members) for group in quorum.groups)


def is_met(quorum: Quorum, approvers: Sequence[str]) -> bool:
    """Whether enough have said yes.

    Args:
        quorum: who has to.
        approvers: who did; the same person twice counts once.
    """
    # One who is listed under two spellings is one person all the same.
    people = tuple({alike(name): same(name) for name in reversed(approvers)}.values())
    if not quorum.groups:
        # INVARIANT: at least one, whatever the settings say: an empty set of approvals approves nothing.
        return len(people) >= max(1, quorum.n)
    if quorum.distinct:
        return _all_seated(quorum, people)
    return all(
        sum(person in _members(group.members) for person in people) >= max(1, group.n) for group in quorum.groups
    )


def _all_seated(quorum: Quorum, people: Sequence[str]) -> bool:
    """Whether every seat of every group can be given to a person of its own: a matching, by augmenting paths."""
    seats = [_members(group.members) for group in quorum.groups for _ in range(max(1, group.n))]
    seat_of: dict[str, int] = {}

    def seated(seat: int, tried: set[str]) -> bool:
        for person in people:
            if person not in seats[seat] or person in tried:
                continue
            tried.add(person)
            if person not in seat_of or seated(seat_of[person], tried):
                seat_of[person] = seat
                return True
        return False

    return all(seated(seat, set()) for seat in range(len(seats)))


def _members(names: Iterable[str]) -> frozenset[str]:
    return frozenset(same(name) for name in names)
