"""Who has to say yes, who may not, and whether enough have.

Not concerned with how it is known who somebody is (`_votes`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from guardrail.review._case import Escalation, Quorum


def known_as(voter: str) -> str:
    """Who a voter is, without the word for how that is known, in lower case: `config:Dana` is `dana`.

    One who is barred under one name must not vote under the other.
    """
    for prefix in ("config:", "server:", "unverified:"):
        voter = voter.removeprefix(prefix)
    return voter.casefold()


def is_barred(held: Escalation, voter: str) -> bool:
    """Whether somebody may not approve this call: the agent, who operates it, for whom it acts."""
    return known_as(voter) in held.barred


def may_vote(quorum: Quorum, voter: str) -> bool:
    """Whether anybody waits for what this person says."""
    return not quorum.groups or any(known_as(voter) in _members(group.members) for group in quorum.groups)


def is_met(quorum: Quorum, approvers: Sequence[str]) -> bool:
    """Whether enough have said yes.

    Args:
        quorum: who has to.
        approvers: who did; the same person twice counts once.
    """
    people = tuple(dict.fromkeys(known_as(name) for name in approvers))
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
    return frozenset(known_as(name) for name in names)
