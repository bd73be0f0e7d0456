"""What people said, as a trail has it: verified from its bytes, and what nobody said is found."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardrail.audit import Trail, verify
from guardrail.audit._report import Report
from guardrail.audit._verify import read_records
from guardrail.cli import main
from guardrail.mandates._signing import public_text
from guardrail.review import Scope
from guardrail.review._statements import (
    CancelStatement,
    GlassStatement,
    ReviewStatement,
    RevokeStatement,
    sign_statement,
)
from tests.mandate_support import AGENT, Place
from tests.review_support import say, vote

OPAQUE = "curl -s http://127.0.0.1/{} | sh"
GROUPS = '[review.groups.g]\nmembers = ["dana", "eve"]\nn = 2\nrules = ["opaque.*"]\n'


def keys(place: Place) -> dict[str, bytes]:
    """Whose key is whose."""
    return {name: key.public_key().public_bytes_raw() for name, key in place.keys.items()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place whose trail has one of everything that people say."""
    place = Place(tmp_path_factory.mktemp("said"), people=("dana", "eve", "finn"))
    place.order(by="eve", grants=[{"effects": ["delete"], "assets": ["model:beta"], "approval": True}])
    now = time.time_ns() // 1000
    with place.guard() as guard:
        held = [guard.check(place.bash(OPAQUE.format(at))) for at in range(4)]
        say(guard, held[0], "dana", place.keys["dana"], scope=Scope(uses=2, seconds=60))
        guard.run(place.bash(OPAQUE.format(0)), lambda _: None)
        say(guard, held[1], "eve", place.keys["eve"], verdict="deny")
        signed: list[tuple[str, Any]] = [
            ("dana", CancelStatement(voter="dana", t_us=now, escalation=held[2].escalation or "")),
            ("finn", RevokeStatement(voter="finn", t_us=now, grant=guard.desk.cases()[0].grants[0].grant.id)),
            ("dana", GlassStatement(voter="dana", t_us=now, agent=AGENT.id, ops=("exec",), assets=("model:beta",),
                                    ticket="INC-1", reason="fire")),
        ]  # fmt: skip
        for who, said in signed:
            case = guard.clerk.take(sign_statement(said, place.keys[who]))
        case = guard.clerk.take(vote(case, "eve", place.keys["eve"]))
        seen = ReviewStatement(voter="finn", t_us=now, escalation=case.held.id)
        guard.clerk.take(sign_statement(seen, place.keys["finn"]))
    return place


def rewritten(place: Place, root: Path, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Report:
    """The same records, some of them changed by whoever has the trail's key, verified."""
    with Trail.open(root / "trail") as trail:
        for _, record in read_records(place.root / "trail"):
            stamped = {"v", "seq", "log", "boot", "id", "t_us", "mono_us"}
            again = change({name: value for name, value in record.items() if name not in stamped})
            if again is not None and record["kind"] in ("escalation", "vote", "grant", "redemption"):
                trail.append(again)
    return verify(root / "trail", people=keys(place))


def test_what_people_signed_is_verified_with_the_trail(place: Place) -> None:
    """Votes, a cancellation, a revocation, both words about broken glass, and the look at it afterwards."""
    report = verify(place.root / "trail", people=keys(place))
    assert report.problems == ()
    assert (report.signatures, report.signatures_unchecked, report.unsigned_votes) == (7, 0, 0)
    unknown = verify(place.root / "trail")
    assert unknown.ok
    assert (unknown.signatures, unknown.signatures_unchecked) == (0, 7)


def first(kind: str, event: str, **changes: Any) -> Callable[[dict[str, Any]], dict[str, Any] | None]:
    """Change the first record of an event; None in place of a change leaves it out."""
    done: list[bool] = []

    def change(record: dict[str, Any]) -> dict[str, Any] | None:
        if done or (record["kind"], record.get("event")) != (kind, event):
            return record
        done.append(True)
        if not changes:
            return None
        inner = record.get(kind)
        return record | {kind: inner | changes} if isinstance(inner, dict) else record | changes

    return change


FORGERIES: tuple[tuple[Callable[[dict[str, Any]], dict[str, Any] | None], str], ...] = (
    (first("vote", "voted", voter="finn"), "the signature of `finn` cannot be checked"),
    (first("vote", "voted", verdict="deny"), "says something else than what they signed"),
    (first("vote", "voted", scope={"uses": 90}), "says something else than what they signed"),
    (first("vote", "voted", proof="ed25519:sha256:00"), "is not in the envelope"),
    (first("vote", "voted", envelope=""), "not one that review writes"),
    (first("vote", "voted"), "names an approver who has not approved"),
    (first("grant", "issued", approvers=["dana", "finn"]), "names an approver who has not approved"),
    (first("grant", "issued"), "which nobody gave"),
    (first("grant", "issued", expires_us=1), "was used after it had expired"),
    (first("grant", "withdrawn", by="eve"), "the signature of `eve` cannot be checked"),
    (first("escalation", "opened"), "which was never opened"),
    (first("escalation", "opened", held={"digest": "sha256:other", "quorum": {}}), "says something else"),
    (first("escalation", "closed", by="eve"), "the signature of `eve` cannot be checked"),
    (first("escalation", "reviewed", by="dana"), "the signature of `dana` cannot be checked"),
)


@pytest.mark.parametrize("number", range(len(FORGERIES)))
def test_what_nobody_said_is_found(place: Place, tmp_path: Path, number: int) -> None:
    """Whoever has the key of the trail can write any record, and not what people have signed."""
    change, why = FORGERIES[number]
    assert why in str(rewritten(place, tmp_path, change).problems)


def test_the_records_as_they_are_pass(place: Place, tmp_path: Path) -> None:
    """What the forgeries are made from has nothing wrong with it."""
    assert rewritten(place, tmp_path, lambda record: record).ok


def test_a_grant_with_fewer_approvals_than_it_needs_is_found(tmp_path: Path) -> None:
    """Two of a group were to approve, and one of the two votes was never there."""
    (tmp_path / "a").mkdir()
    place = Place(tmp_path / "a", people=("dana", "eve"), more=GROUPS)
    with place.guard() as guard:
        held = guard.check(place.bash(OPAQUE.format(0)))
        for who in ("dana", "eve"):
            say(guard, held, who, place.keys[who])
    assert rewritten(place, tmp_path / "same", lambda record: record).ok
    change = first("grant", "issued", approvers=["eve"])
    assert "fewer approvals than it needs" in str(rewritten(place, tmp_path, change).problems)


def test_a_use_that_a_grant_does_not_allow_is_found(place: Place, tmp_path: Path) -> None:
    """The record of a use, written twice more."""
    uses = [record for _, record in read_records(place.root / "trail") if record.get("event") == "reserved"]
    (tmp_path / "again").mkdir()
    with Trail.open(tmp_path / "again/trail") as trail:
        for _, record in read_records(place.root / "trail"):
            if record["kind"] in ("escalation", "vote", "grant") and record.get("event") != "withdrawn":
                trail.append(
                    {n: v for n, v in record.items() if n not in ("v", "seq", "log", "boot", "id", "t_us", "mono_us")}
                )
        for use in (1, 1, 2, 3):
            trail.append(
                {n: uses[0][n] for n in ("kind", "event", "escalation", "at_us", "grant", "holder")} | {"use": use}
            )
    report = verify(tmp_path / "again/trail", people=keys(place))
    assert ["more often than it allows" in problem.what for problem in report.problems] == [True, True]


def test_the_command_checks_with_the_keys_of_the_configuration_and_former_ones(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person's new key: their old votes are unchecked, which is said, until the old key is given."""
    new = place.root / "new.toml"
    old = public_text(place.keys["dana"])
    new.write_text(place.toml.read_text().replace(old, public_text(Ed25519PrivateKey.generate())))
    assert main(["audit", "verify", "--config", str(place.toml)]) == 0
    assert "7 signatures of people verified" in capsys.readouterr().out
    assert main(["audit", "verify", "--config", str(new)]) == 1
    assert "give it as --person" in capsys.readouterr().out
    assert main(["audit", "verify", "--config", str(new), "--person", f"dana={old}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["signatures"] == 7
    assert main(["audit", "verify", str(place.root / "trail")]) == 0
    assert "7 not checked: give the keys" in capsys.readouterr().out
    assert main(["audit", "verify", str(place.root / "trail"), "--person", "dana"]) == 2
    assert "is no person and key" in capsys.readouterr().err


def test_a_vote_by_sign_in_is_counted_as_the_word_of_the_provider(tmp_path: Path) -> None:
    """The trail keeps the claims and not the token: what was said is compared, and no more is claimed."""
    import base64

    from guardrail.canonical import canonical

    place = Place(tmp_path)
    said = {"act": "vote", "escalation": "e", "subject": "sha256:d", "verdict": "approve", "voter": "kim"}
    held = {"digest": "sha256:d", "quorum": {"signed": True}}
    kept = json.dumps({"statement": base64.b64encode(canonical(said)).decode(), "claims": {}, "token_sha256": "x"})
    plain = {"voter": "kim", "verdict": "approve", "proof": "oidc:https://idp", "envelope": kept}
    with Trail.open(tmp_path / "oidc") as trail:
        trail.append({"kind": "escalation", "event": "opened", "escalation": "e", "held": held})
        trail.append({"kind": "vote", "event": "voted", "escalation": "e", "vote": plain})
        trail.append({"kind": "vote", "event": "voted", "escalation": "e", "vote": plain | {"voter": "lee"}})
    report = verify(tmp_path / "oidc", people=keys(place))
    assert (report.signed_in, [problem.seq for problem in report.problems]) == (2, [2])
