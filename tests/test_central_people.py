"""Escalations that guards have in common: seen anywhere, answered anywhere, decided by the guard that asked alone."""

from __future__ import annotations

import json
import time

import msgspec
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardrail import Guard, Outcome
from guardrail.audit import verify
from guardrail.audit._note import SigningKey, write_keys
from guardrail.central._elsewhere import Elsewhere
from guardrail.central._signed import Pen
from guardrail.cli import main
from guardrail.config import load
from guardrail.errors import ConfigError
from guardrail.mandates import seal
from guardrail.review._statements import PAYLOAD_TYPE, CancelStatement, GlassStatement, RevokeStatement, VoteStatement
from tests.central_people import SHARED, Town, case_of, votes_of
from tests.central_support import (
    SELDOM_SECONDS,
    Fleet,
    directory_of,
    fleet,
    metrics,
    quietly,
    stands,
    tables,
    until,
    wire,
)
from tests.postgres_support import Cluster, Wire
from tests.test_central_trails import give_roles

__all__ = ["fleet", "tables", "wire"]


@pytest.fixture
def town(fleet: Fleet) -> Town:
    """Guards to be, and people."""
    return Town(fleet)


def test_an_escalation_is_seen_and_answered_at_a_desk_that_has_no_guard(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """The vote is in the trail of the guard that asked, which uses it once; the other guard's has nothing of it."""
    with town.guard("a") as a, town.guard("b") as b:
        escalation = town.held(a)
        assert main(["escalations", "list", "--config", str(town.desk)]) == 0
        listed = capsys.readouterr().out
        assert escalation in listed
        assert "at guardrail.test/a" in listed
        assert main(["escalations", "show", escalation[:20], "--config", str(town.desk)]) == 0
        shown = capsys.readouterr().out
        assert "guard       guardrail.test/a" in shown
        assert "beta-0" in shown
        assert town.say("escalations", "approve", escalation[:20], "--reason", "ticket 7") == 0
        assert "recorded by `guardrail.test/a`" in capsys.readouterr().out
        assert town.asked(a).outcome is Outcome.ALLOW
        assert town.asked(a).outcome is Outcome.ESCALATE
        assert town.asked(b).outcome is Outcome.ESCALATE
        assert [vote["vote"]["voter"] for vote in votes_of(a)] == ["dana"]
        assert votes_of(b) == []
    for guard in (a, b):
        assert verify(directory_of(guard), deep=True).ok


def test_a_no_from_elsewhere_holds_and_a_case_that_is_over_is_shown_as_such(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is asked any more, here or there."""
    with town.guard("a") as a:
        escalation = town.held(a)
        assert town.say("escalations", "reject", escalation, "--reason", "no") == 0
        assert town.asked(a).outcome is Outcome.DENY
        capsys.readouterr()
        assert main(["escalations", "list", "--config", str(town.desk)]) == 0
        assert capsys.readouterr().out == ""
        assert main(["escalations", "list", "--state", "denied", "--json", "--config", str(town.desk)]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        assert json.loads(line)["origin"] == "guardrail.test/a"
        assert town.say("escalations", "approve", escalation, by="eve") == 1
        assert "decided already" in capsys.readouterr().out


def test_leave_within_a_scope_is_given_elsewhere_and_taken_back_at_once(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """A revocation that is said at the desk ends the grant before its next use."""
    with town.guard("a", poll=SELDOM_SECONDS) as a:
        escalation = town.held(a)
        assert town.say("escalations", "approve", escalation) == 0
        grant = case_of(a, escalation).grants[0].grant.id
        assert until(lambda: _listed(town, capsys) == [grant])
        begun = time.monotonic()
        assert town.say("grants", "revoke", grant, "--reason", "changed my mind") == 0
        assert time.monotonic() - begun < 10
        assert case_of(a, escalation).grants[0].withdrawn == "revoked"
        assert town.asked(a).outcome is Outcome.ESCALATE
        assert until(lambda: _listed(town, capsys) == [])


def _listed(town: Town, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    assert main(["grants", "list", "--config", str(town.desk), "--json"]) == 0
    return [json.loads(line)["grant"]["id"] for line in capsys.readouterr().out.splitlines()]


def test_two_people_at_two_places_make_a_quorum(town: Town) -> None:
    """One says yes at the centre and the other to the guard itself; one person twice is one person."""
    group = f'{town.more}\n[review.groups.pair]\nmembers = ["dana", "eve"]\nn = 2'
    with town.guard("a", more=group) as a:
        escalation = town.held(a)
        assert town.say("escalations", "approve", escalation) == 0
        assert case_of(a, escalation).state == "pending"
        assert town.say("escalations", "approve", escalation) == 1
        a.clerk.take(_by_eve(town, a, escalation))
        assert town.asked(a).outcome is Outcome.ALLOW


def _by_eve(town: Town, guard: object, escalation: str) -> bytes:
    from guardrail import Guard
    from guardrail.review._machine import subject_of
    from guardrail.review._statements import sign_statement

    assert isinstance(guard, Guard)
    held = case_of(guard, escalation).held
    vote = VoteStatement(
        voter="eve", t_us=time.time_ns() // 1000, escalation=escalation, subject=subject_of(held), verdict="approve"
    )
    return sign_statement(vote, town.eve)


# ── a centre that does as it likes ────────────────────────────────────────────────────────────────────────────────────


def test_a_case_that_the_centre_has_changed_is_nobodys_and_is_put_right(
    postgres: Cluster, town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a guard has not signed is not shown as its question, and at its next look the guard says it anew."""
    with town.guard("a", poll=SELDOM_SECONDS) as a:
        escalation = town.held(a)
        row = town.row(escalation)
        assert row is not None
        quietly(postgres, town.fleet.store, "update guardrail.cases set note = replace(note::text, '22', '23')::bytea")
        assert main(["escalations", "list", "--config", str(town.desk)]) == 0
        listed = capsys.readouterr()
        assert listed.out == ""
        assert "is not what the guard of `guardrail.test/a` has signed" in listed.err
        assert main(["escalations", "approve", escalation, "--config", str(town.desk), "--key", "x"]) == 2
        quietly(postgres, town.fleet.store, "notify guardrail, 'mandates'")
        assert until(lambda: town.row(escalation) == row)


def test_a_centre_that_makes_up_the_key_too_gets_a_vote_that_is_worth_nothing(postgres: Cluster, town: Town) -> None:
    """The person signs what they were shown, and the guard compares it with what is on record, letter for letter."""
    with town.guard("a") as a:
        escalation = town.held(a)
        case = case_of(a, escalation)
        harmless = msgspec.structs.replace(case.held, view={**case.held.view, "args": "{'command': 'ls'}"})
        forged = msgspec.structs.replace(case, held=harmless)
        refused = town.answered(town.bring(town.vote(forged, "a"), "a"))
        assert refused["code"] == "stale"
        assert "is not the escalation that is on record here" in refused["why"]
        assert case_of(a, escalation).votes == ()
        # The same vote without what was shown would pass at the guard itself; by way of the centre it does not.
        refused = town.answered(town.bring(town.vote(case, "a", shown=msgspec.UNSET), "a"))
        assert refused["code"] == "stale"
        assert town.answered(town.bring(town.vote(case, "a"), "a"))["code"] == ""
        assert town.asked(a).outcome is Outcome.ALLOW


def test_a_vote_that_the_centre_plays_again_counts_once_and_nowhere_else(postgres: Cluster, town: Town) -> None:
    """To the same guard it is the same vote; to another guard, or another escalation, it says nothing."""
    with town.guard("a") as a, town.guard("b") as b:
        first, second, other = town.held(a), town.held(a, 1), town.held(b)
        vote = town.vote(case_of(a, first), "a")
        digest = town.bring(vote, "a")
        assert town.answered(digest)["code"] == ""
        assert town.asked(a).outcome is Outcome.ALLOW
        quietly(postgres, town.fleet.store, "delete from guardrail.statements")
        assert town.answered(town.bring(vote, "a"))["code"] == ""
        assert len(votes_of(a)) == 1
        assert town.asked(a).outcome is Outcome.ESCALATE
        quietly(postgres, town.fleet.store, "delete from guardrail.statements")
        assert town.answered(town.bring(vote, "b"))["code"] == "unknown"
        for moved in (
            town.vote(case_of(a, second), "b"),
            town.vote(case_of(a, first), "a", shown=_shown(town, a, second)),
        ):
            assert town.answered(town.bring(moved, "a"))["code"] in ("stale", "already_decided")
        assert case_of(a, second).state == case_of(b, other).state == "pending"
        assert town.asked(b).outcome is Outcome.ESCALATE


def _shown(town: Town, guard: object, escalation: str) -> str:
    from guardrail import Guard
    from guardrail.review._statements import shown_of

    assert isinstance(guard, Guard)
    return shown_of(case_of(guard, escalation).held, "guardrail.test/a")


def test_of_two_answers_in_whatever_order_one_counts_and_what_is_dropped_waits(postgres: Cluster, town: Town) -> None:
    """A person votes once: what is brought first stands, and what is never brought decides nothing."""
    with town.guard("a") as a:
        yes, no, lost = town.held(a), town.held(a, 1), town.held(a, 2)
        approve, deny = (town.vote(case_of(a, yes), "a", verdict) for verdict in ("approve", "deny"))
        assert town.answered(town.bring(deny, "a"))["code"] == ""
        assert town.answered(town.bring(approve, "a"))["code"] == "already_decided"
        assert case_of(a, yes).state == "denied"
        cancel = town.signed(CancelStatement(voter="dana", t_us=time.time_ns() // 1000, escalation=no))
        assert town.answered(town.bring(cancel, "a"))["code"] == ""
        assert town.answered(town.bring(town.vote(case_of(a, no), "a"), "a"))["code"] == "already_decided"
        assert case_of(a, lost).state == "pending"


@pytest.mark.parametrize("what", ["a stranger", "a letter", "glass", "a grant of nobody's", "noise", "a deep pit"])
def test_what_is_nobodys_or_cannot_come_this_way_is_refused(town: Town, what: str) -> None:
    """The guard looks at each as if it had been left at its own door."""
    from guardrail.review._statements import sign_statement

    with town.guard("a") as a:
        escalation = town.held(a)
        case, now = case_of(a, escalation), time.time_ns() // 1000
        vote = town.vote(case, "a")
        glass = GlassStatement(
            voter="dana", t_us=now, agent="ops-agent", ops=("delete",), assets=("model:beta",), ticket="1", reason="x"
        )
        brought = {
            "a stranger": sign_statement(
                CancelStatement(voter="dana", t_us=now, escalation=escalation), Ed25519PrivateKey.generate()
            ),
            "a letter": vote.replace(b'"sig": "', b'"sig": "A', 1),
            "glass": town.signed(glass),
            "a grant of nobody's": town.signed(RevokeStatement(voter="dana", t_us=now, grant="none")),
            "noise": b"\x00\xff not a statement",
            "a deep pit": _sealed(b'{"act":"vote","x":' + b"[" * 1010 + b"]" * 1010 + b"}"),
        }[what]
        refused = town.answered(town.bring(brought, "a"))
        wanted = {"glass": "not_entitled", "a grant of nobody's": "unknown"}.get(what, "not_signed")
        assert refused["code"] == wanted
        assert [one.held.id for one in a.desk.cases()] == [escalation]
        assert case_of(a, escalation).votes == ()


def _sealed(payload: bytes) -> bytes:
    """Bytes that no guard has made, in an envelope that is one."""
    return seal(PAYLOAD_TYPE, payload, Ed25519PrivateKey.generate())


def test_a_case_that_no_guard_could_hold_is_not_shown_whoever_signed_it(
    postgres: Cluster, town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a key that the centre made up it may look right in every other way."""
    with town.guard("a") as a:
        case = case_of(a, town.held(a))
    odd = msgspec.structs.replace(case.held, view={"reasons": [7], "args_bytes": "many"})
    key = SigningKey("guardrail.test/a", Ed25519PrivateKey.generate())
    (town.fleet.root / "made-up.key").write_bytes(b"")
    write_keys(town.fleet.root / "made-up.key", [key.private])
    note = Pen(town.fleet.root / "made-up.key", "guardrail.test/a").case(msgspec.structs.replace(case, held=odd))
    quietly(
        postgres, town.fleet.store,
        f"update guardrail.origins set vkey = '{key.vkey}';"
        f"update guardrail.cases set note = '\\x{note.hex()}'",
    )  # fmt: skip
    assert main(["escalations", "list", "--config", str(town.desk)]) == 0
    assert "it cannot be shown" in capsys.readouterr().err


def test_an_answer_that_the_guard_has_not_signed_is_none(postgres: Cluster, town: Town) -> None:
    """A centre that says that a vote was recorded is not believed; nor is the answer to another one."""
    with town.guard("a") as a:
        first, second = town.held(a), town.held(a, 1)
        real = town.bring(town.vote(case_of(a, first), "a"), "a")
        assert town.answered(real)["code"] == ""
    elsewhere = Elsewhere(load(town.desk))
    vote = town.vote(case_of(a, second), "a")
    assert elsewhere.say("guardrail.test/a", vote, 0.0) is None
    copied = f"(select answer from guardrail.statements where digest = '{real}')"
    quietly(
        postgres, town.fleet.store,
        f"update guardrail.statements set envelope = null, answer = {copied} where answer is null",
    )  # fmt: skip
    assert elsewhere.say("guardrail.test/a", vote, 0.0) is None


# ── the way is cut ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_while_the_way_is_cut_what_needs_people_waits_and_comes_to_its_end_afterwards(
    town: Town, wire: Wire, capsys: pytest.CaptureFixture[str]
) -> None:
    """A vote that was left meanwhile is taken in once the way is back, and is good for one call."""
    with town.guard("a", wire.url(town.fleet.store)) as a:
        escalation = town.held(a)
        wire.cut()
        assert until(lambda: bool(stands(a).cut))
        assert town.say("escalations", "approve", escalation, wait=0.2) == 4
        assert "left at the centre for `guardrail.test/a`" in capsys.readouterr().out
        assert town.asked(a).outcome is Outcome.ESCALATE
        # What is asked meanwhile is known here, and there when the way is back.
        held = town.asked(a, 1)
        assert town.row(str(held.escalation)) is None
        wire.mend()
        assert until(lambda: case_of(a, escalation).state == "approved")
        assert until(lambda: town.row(str(held.escalation)) is not None)
        assert town.asked(a).outcome is Outcome.ALLOW
        assert town.asked(a).outcome is Outcome.ESCALATE
        assert len(votes_of(a)) == 1


def test_a_vote_that_was_answered_here_meanwhile_is_not_had_twice(town: Town, wire: Wire) -> None:
    """Dana says yes at the centre, gives up waiting and says it to the guard: that is one yes and one use."""
    with town.guard("a", wire.url(town.fleet.store)) as a:
        escalation = town.held(a)
        wire.cut()
        assert until(lambda: bool(stands(a).cut))
        digest = town.bring(town.vote(case_of(a, escalation), "a"), "a")
        a.clerk.take(town.vote(case_of(a, escalation), "a"))
        assert town.asked(a).outcome is Outcome.ALLOW
        wire.mend()
        assert town.answered(digest)["code"] == "already_decided"
        assert [len(issued.uses) for issued in case_of(a, escalation).grants] == [1]
        assert town.asked(a).outcome is Outcome.ESCALATE


def test_a_crash_between_the_record_and_its_answer_records_nothing_twice(postgres: Cluster, town: Town) -> None:
    """The trail knows by the statement's digest that it was carried out, also after the guard was opened again."""
    with town.guard("a") as a:
        escalation = town.held(a)
        vote = town.vote(case_of(a, escalation), "a")
        assert town.answered(town.bring(vote, "a"))["code"] == ""
    quietly(postgres, town.fleet.store, "delete from guardrail.statements")
    with town.guard("a") as a:
        assert town.answered(town.bring(vote, "a"))["code"] == ""
        assert len(votes_of(a)) == 1


def test_a_trail_that_takes_nothing_leaves_what_was_said_at_the_centre(town: Town) -> None:
    """It is said that it could not be recorded, and it is not lost."""
    with town.guard("a") as a:
        escalation = town.held(a)
        vote = town.vote(case_of(a, escalation), "a")
        assert a.trail is not None
        a.trail.close()
        digest = town.bring(vote, "a")
        assert until(lambda: bool(stands(a).unheard))
        assert stands(a).state == "not up to date"
        assert metrics(a)["guardrail_central_unheard"] == 1
        assert town.answer(digest) is None
    with town.guard("a") as a:
        assert town.answered(digest)["code"] == ""
        assert case_of(a, escalation).state == "approved"


# ── settings and rights ───────────────────────────────────────────────────────────────────────────────────────────────


def test_escalations_in_common_need_a_centre(fleet: Fleet) -> None:
    """A configuration that cannot be meant does not load."""
    path = fleet.root / "wrong.toml"
    path.write_text(f"[central]\n{SHARED}\n")
    with pytest.raises(ConfigError, match=r"`central.escalations` needs `central.store`"):
        load(path)


def test_replicas_of_one_trail_show_what_others_ask_beside_their_own(postgres: Cluster, town: Town) -> None:
    """A control plane with a ledger in PostgreSQL answers for a sidecar, and does not show its own as a sidecar's."""
    ledger = postgres.database("control")
    more = f'{town.more}\n[service]\ntoken = "agents-hold-this-token"'
    path = town.fleet.config("control", town.fleet.store, central=SHARED, more=more)
    path.write_text(path.read_text().replace("checkpoint_seconds", f'store = "{ledger}"\ncheckpoint_seconds'))
    with town.guard("a") as a, Guard.open(path) as control:
        assert until(lambda: bool(control.mandates.mandates))
        escalation = town.held(a)
        own = control.check(town.fleet.deletion(1))
        assert own.escalation is not None
        assert control.central is not None
        assert control.central.elsewhere is not None
        assert [away.escalation for away in control.central.elsewhere.cases(waiting=True)] == [escalation]
        said = control.central.elsewhere.say("guardrail.test/a", town.vote(case_of(a, escalation), "a"))
        assert (said is not None, said and said.code) == (True, "")
        assert town.asked(a).outcome is Outcome.ALLOW
        assert town.row(own.escalation) is None


def test_the_roles_of_the_documentation_are_enough_for_people_too(postgres: Cluster, town: Town) -> None:
    """A guard's role shows, leaves and answers; an answer that was given is not given another time."""
    store = town.fleet.store.replace("owner", "guardrail_sidecar", 1)
    give_roles(postgres, town.fleet.store)
    desk = town.fleet.config("desk", store, central=SHARED, more=town.more)
    with town.guard("a", store) as a:
        escalation = town.held(a)
        approve = ["escalations", "approve", escalation, "--key", str(town.keys["dana"]), "--config", str(desk)]
        assert main([*approve, "--wait", "10"]) == 0
        assert town.asked(a).outcome is Outcome.ALLOW
    with psycopg.connect(store, autocommit=True) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("update guardrail.statements set answer = 'x'")
