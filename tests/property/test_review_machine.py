"""Escalations, votes, grants and redemptions under random commands: what must never be, and that a replay agrees."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from guardrail.errors import TrailError
from guardrail.model import new_id
from guardrail.names import alike
from guardrail.review import (
    Escalation,
    Grant,
    Group,
    MemoryLedger,
    Quorum,
    Redemption,
    Refused,
    ReviewDesk,
    Scope,
    Vote,
)
from guardrail.review._book import Book
from guardrail.review._case import Case, Use, from_record
from guardrail.review._quorum import is_met

PEOPLE = ("dana", "eve", "finn", "gil", "agent", "op", "config:Dana", "unverified:thread")
QUORUMS = (
    Quorum(),
    Quorum(signed=True),
    Quorum(n=2),
    Quorum(groups=(Group(name="ml", members=("dana", "eve")), Group(name="sec", members=("eve", "finn"))), signed=True),
    Quorum(groups=(Group(name="a", members=("dana",)), Group(name="b", members=("dana",))), distinct=False),
    Quorum(groups=(Group(name="a", members=("dana",)), Group(name="b", members=("dana",)))),
)
EXACT = Scope()
"""Approved as it is, without a scope."""

OPENINGS = (None, None, EXACT, EXACT, Scope(ops=("exec",), uses=3))
"""What is said to a call when it is held: nothing yet, or a yes."""

MOST = 3
"""Most cases at one time: what happens to few of them is more telling than many that nothing happens to."""

START = 1_700_000_000_000_000


class Flaky(MemoryLedger):
    """A ledger that sometimes fails, and sometimes after it has written all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.mood = "fine"

    def append(self, records: Any) -> Any:
        mood, self.mood = self.mood, "fine"
        if mood == "lost":
            raise TrailError("not written")
        numbers = super().append(records if mood != "torn" else records[:1])
        if mood in ("written", "torn"):
            raise TrailError("written, and nobody was told")
        return numbers


class Review(RuleBasedStateMachine):
    """A desk, and beside it only what the rules of the notes say about each case."""

    cases = Bundle("cases")
    redemptions = Bundle("redemptions")

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.ledger = Flaky()
        self.desk = ReviewDesk(self.ledger, clock=lambda: self.now)
        self.final: dict[str, str] = {}
        self.taken: dict[str, set[int]] = {}
        self.over: set[str] = set()

    @precondition(lambda self: len(self.desk.cases()) < MOST)
    @rule(
        target=cases,
        quorum=st.sampled_from(QUORUMS),
        critical=st.booleans(),
        bound=st.booleans(),
        yes=st.sampled_from(OPENINGS),
    )
    def open(self, quorum: Quorum, critical: bool, bound: bool, yes: Scope | None) -> str:
        """A call is held."""
        self.ledger.mood = "fine"
        held = Escalation(
            id=new_id(), digest="sha256:d", binding="sha256:b", agent="agent", created_us=self.now,
            expires_us=self.now + 1000 * 1_000_000, leave_seconds=100, quorum=quorum, barred=("agent", "op"),
            shown=(("r", None),), ops=("exec", "read"), assets=("m",), critical=critical, bound=bound, deeds=("deed",),
        )  # fmt: skip
        name = self.desk.open(held).held.id
        if yes is not None:
            # Most of what can go wrong comes after an approval.
            for voter in ("dana", "eve", "finn"):
                self.vote(name, voter, "approve", "ed25519:k", "sha256:b", "", None if yes is EXACT else yes)
        return name

    @rule(
        case=cases,
        voter=st.sampled_from(PEOPLE),
        verdict=st.sampled_from(("approve", "approve", "approve", "deny", "respond")),
        proof=st.sampled_from(("", "ed25519:k")),
        subject=st.sampled_from(("", "sha256:b", "sha256:b", "sha256:b", "sha256:other")),
        edit=st.sampled_from(("", "", "", "sha256:e")),
        scope=st.sampled_from((None, None, Scope(ops=("exec",), uses=3), Scope(ops=("copy",)), Scope(uses=1000))),
    )
    def vote(self, case: str, voter: str, verdict: Any, proof: str, subject: str, edit: str, scope: Any) -> None:
        """Somebody says something."""
        vote = Vote(voter=voter, verdict=verdict, at_us=0, proof=proof, edit=edit, scope=scope)
        before = self.known(case)
        try:
            after = self.desk.cast(case, vote, subject=subject)
        except (Refused, TrailError):
            return
        assert before.state == "pending"
        assert self.now < before.held.expires_us
        assert subject in ("", "sha256:b")
        assert verdict != "approve" or alike(voter) not in ("agent", "op")
        assert scope is None or (scope.uses <= 100 and scope.ops == ("exec",) and not before.held.critical)
        assert len(after.votes) == len(before.votes) + 1

    @rule(case=cases, voter=st.sampled_from(("dana", "eve", "finn", "agent", "op", "config:Agent")))
    def approve(self, case: str, voter: str) -> None:
        """Somebody who may says yes to what they saw."""
        self.vote(case, voter, "approve", "ed25519:k", "sha256:b", "", None)

    @rule(case=cases, state=st.sampled_from(("cancelled", "superseded", "expired")), often=st.integers(0, 3))
    def close(self, case: str, state: Any, often: int) -> None:
        """It ends without a decision."""
        if often:
            return
        try:
            self.desk.close(case, state)
        except (Refused, TrailError):
            pass

    @rule(
        target=redemptions,
        case=cases,
        digest=st.sampled_from((*["sha256:d"] * 4, "sha256:e")),
        binding=st.sampled_from((*["sha256:b"] * 4, "sha256:swapped")),
    )
    def redeem(self, case: str, digest: str, binding: str) -> Any:
        """A call wants to run."""
        uses = [use for issued in self.known(case).grants for use in issued.uses if issued.grant.scope is None]
        try:
            grant = self.desk.issue(case, digest)
        except TrailError:
            return None
        return None if grant is None else self.take(grant, digest, binding, spent=any(_spent(use) for use in uses))

    @rule(target=redemptions, won=redemptions, binding=st.sampled_from((*["sha256:b"] * 4, "sha256:swapped")))
    def race(self, won: Redemption | None, binding: str) -> Any:
        """Somebody else holds the same grant, also after it has come to its end."""
        return None if won is None else self.take(won.grant, won.grant.digest, binding, spent=False)

    def take(self, grant: Grant, digest: str, binding: str, *, spent: bool) -> Any:
        """Take a use, and see that it could be had."""
        try:
            won = self.desk.reserve(grant, digest, binding)
        except (Refused, TrailError):
            return None
        if won is None:
            return None
        assert not spent, "an approval whose call may have run was used again"
        found = self.known(won.grant.escalation)
        assert found.state == "approved"
        assert is_met(found.held.quorum, found.approvers)
        assert self.now < won.grant.expires_us
        assert won.grant.scope is not None or (won.grant.digest == digest and won.grant.binding in ("", binding))
        # Nobody else has this use, and none that came to its end is had again.
        assert won.use not in self.taken.setdefault(won.grant.id, set())
        assert won.grant.id not in self.over
        assert len(self.taken[won.grant.id]) < (won.grant.scope.uses if won.grant.scope else 1)
        self.taken[won.grant.id].add(won.use)
        return won

    @rule(won=redemptions, ending=st.sampled_from(("completed", "failed", "paused", "unknown", None)))
    def finish(self, won: Redemption | None, ending: Any) -> None:
        """What came of it."""
        if won is None:
            return
        try:
            self.desk.finish(won, ending)
        except (Refused, TrailError):
            return
        found = self.desk.grant(won.grant.id)
        assert found is not None
        if ending is None and won.use not in {use.number for use in found[1].uses}:
            self.taken[won.grant.id].discard(won.use)

    @rule(won=redemptions)
    def revoke(self, won: Redemption | None) -> None:
        """A person takes it back."""
        if won is None:
            return
        try:
            self.desk.withdraw(won.grant.id, "revoked", by="dana")
        except TrailError:
            return
        self.over.add(won.grant.id)

    @rule(seconds=st.sampled_from((1, 30, 60, 500)))
    def wait(self, seconds: int) -> None:
        """Time goes by."""
        self.now += seconds * 1_000_000

    @rule(mood=st.sampled_from(("lost", "written", "torn")))
    def fail(self, mood: str) -> None:
        """The next write fails, in one way or another."""
        self.ledger.mood = mood

    @rule()
    def restart(self) -> None:
        """The process dies; what was reserved is known to nobody."""
        self.ledger.mood = "fine"
        self.desk = ReviewDesk(self.ledger, clock=lambda: self.now)
        for case in self.desk.cases():
            assert all(use.ending is not None for issued in case.grants for use in issued.uses)

    @invariant()
    def final_states_stay(self) -> None:
        """What was denied is never approved, and nothing that ended goes on."""
        for case in self.desk.cases():
            name = case.held.id
            assert self.final.get(name, case.state) == case.state
            if case.state != "pending":
                self.final[name] = case.state
            if case.grants:
                assert case.state == "approved"
            for issued in case.grants:
                assert len(issued.uses) <= issued.most

    @invariant()
    def a_replay_agrees(self) -> None:
        """Folding the ledger anew, in one go or from any point on, gives the same book."""
        self.desk.look()
        news = list(self.ledger.news(-1))
        whole, first = Book(), Book()
        for at, (seq, record) in enumerate(news):
            whole.take(seq, record)
            if at == len(news) // 2:
                for earlier, before in news[: at + 1]:
                    first.take(earlier, before)
                first = Book(msgspec.json.decode(msgspec.json.encode(first.keep()), type=type(first.keep())))
            elif at > len(news) // 2:
                first.take(seq, record)
        assert whole.keep() == self.desk._book.keep()
        assert not news or first.keep() == whole.keep()

    def known(self, case: str) -> Case:
        """The case as it is."""
        self.desk.look()
        found = self.desk.find(case)
        assert found is not None
        return found


def _spent(use: Use) -> bool:
    return use.ending not in ("failed", "paused")


TestReview = Review.TestCase
TestReview.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.parametrize(
    ("groups", "distinct", "approvers", "met"),
    [
        ((), True, (), False),
        ((), True, ("dana",), True),
        ((("ml", ("dana", "eve"), 1), ("sec", ("dana",), 1)), True, ("dana",), False),
        ((("ml", ("dana", "eve"), 1), ("sec", ("dana",), 1)), False, ("dana",), True),
        ((("ml", ("dana", "eve"), 1), ("sec", ("dana",), 1)), True, ("dana", "eve"), True),
        ((("ml", ("dana", "eve"), 1), ("sec", ("dana",), 1)), True, ("eve", "Eve"), False),
        ((("ml", ("dana", "eve", "finn"), 2), ("sec", ("dana", "eve"), 1)), True, ("dana", "eve"), False),
        ((("ml", ("dana", "eve", "finn"), 2), ("sec", ("dana", "eve"), 1)), True, ("dana", "eve", "finn"), True),
    ],
)
def test_a_quorum_needs_as_many_people_as_it_has_seats(
    groups: Any, distinct: bool, approvers: tuple[str, ...], met: bool
) -> None:
    """One person in two groups is one person, unless the settings say otherwise."""
    quorum = Quorum(groups=tuple(Group(name=n, members=m, n=k) for n, m, k in groups), distinct=distinct)
    assert is_met(quorum, approvers) is met


def test_a_record_of_review_that_nobody_could_have_written_is_an_error() -> None:
    """Folding stops at it instead of passing it over: it could have taken a grant back."""
    from guardrail.review import ReviewError

    for record in ({"kind": "grant", "event": "odd", "seq": 4}, {"kind": "vote", "event": "opened", "seq": 4}):
        with pytest.raises(ReviewError, match="record 4"):
            from_record(record)


@pytest.mark.parametrize("seed", range(4))
def test_a_long_walk_breaks_no_rule_either(seed: int) -> None:
    """The same commands in a mix in which most calls are approved, so that races for grants are what happens most."""
    pick = random.Random(seed)
    walk = Review()
    cases: list[str] = []
    wins: list[Redemption] = []
    for step in range(600):
        if step % 12 == 0:
            cases = [*cases[-3:], walk.open(pick.choice(QUORUMS), False, pick.random() < 0.5, pick.choice(OPENINGS))]
        case, won = pick.choice(cases), pick.choice(wins[-4:]) if wins else None
        binding = pick.choice((*["sha256:b"] * 9, "sha256:swapped"))
        match pick.choices(range(8), (4, 4, 8, 8, 6, 0.5, 1, 2))[0]:
            case 0:
                verdict = pick.choice((*["approve"] * 6, "deny"))
                walk.vote(case, pick.choice(PEOPLE), verdict, pick.choice(("", "ed25519:k")), "sha256:b", "", None)
            case 1:
                walk.approve(case, pick.choice(PEOPLE))
            case 2:
                new = walk.redeem(case, "sha256:d", binding)
                wins += [new] if new is not None else []
            case 3:
                new = walk.race(won, binding)
                wins += [new] if new is not None else []
            case 4:
                walk.finish(won, pick.choice(("completed", "failed", "failed", "paused", "unknown", None)))
            case 5:
                walk.revoke(won)
            case 6:
                walk.wait(pick.choice((30, 120)))
            case _:
                walk.fail(pick.choice(("lost", "written", "torn")))
        if step % 50 == 0:
            walk.restart()
        if step % 10 == 0:
            walk.a_replay_agrees()
        walk.final_states_stay()
    assert len(wins) > 12, "nothing was redeemed, so nothing was tried"
