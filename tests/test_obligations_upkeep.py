"""What is to be kept or brought somewhere is looked at by its content; and what is on hold waits, whoever owes it."""

from __future__ import annotations

import datetime as dt
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from guardrail.cli import main
from guardrail.errors import ConfigError
from guardrail.mandates import Mandate, Word, give_word, public_text
from guardrail.obligations import Steward
from tests.duty_support import AGENT, DUTY, Retirement, duty_of, needs_handles, only
from tests.test_obligations_discharge import HOUR_US, Clock

FIRST = "models/beta/model-00001-of-00002.safetensors"


@pytest.fixture(autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores of models are looked for in the home, which is nobody's here."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


# -- nobody came


def _ordered(tmp_path: Path, hours: float, **changes: Any) -> tuple[Retirement, dt.datetime]:
    due = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(hours=hours)
    return Retirement(tmp_path / "place", due=due.isoformat().replace("+00:00", "Z"), **changes), due


def test_an_order_of_whose_agent_nothing_was_heard_is_omitted_when_it_is_due(tmp_path: Path) -> None:
    """Not a call, not a beginning: an agent that is never started leaves the model where it is, and people hear."""
    place, due = _ordered(tmp_path, 1)
    with place.guard() as guard:
        clock = Clock(guard)
        assert (guard.attend(), guard.obligations.statuses()) == (False, ())
        clock.now_us = int(due.timestamp() * 1_000_000)
        assert guard.attend()
        status = only(guard.obligations.statuses())
        assert (status.kinds, status.waits_for_person) == (("omitted",), True)
        assert "obligation.omitted" in {rule for case in guard.desk.cases() for rule, _ in case.held.shown}
        assert not guard.attend()
    with place.guard() as again:
        Clock(again).now_us = clock.now_us + HOUR_US
        again.attend()
        assert place.events().count("opened") == 1


@pytest.mark.parametrize("why", ["due before the trail began", "revoked", "of an asset that is not known here"])
def test_what_is_nobodys_omission_here_is_not_taken_up(tmp_path: Path, why: str) -> None:
    """Orders of before are for the trail of before; those of another guard's assets for that guard."""
    changes = {"asset": "model:elsewhere"} if why.startswith("of an asset") else {}
    place, due = _ordered(tmp_path, -1 if why.startswith("due") else 1, **changes)
    if why == "revoked":
        key = tmp_path / "dana.key"
        key.write_bytes(place.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        key.chmod(0o600)
        order = str(place.root / "orders/retire.mandate.json")
        done = ["mandates", "revoke", order, "--key", str(key), "--reason", "x"]
        assert main([*done, "--config", str(place.toml)]) == 0
    with place.guard() as guard:
        Clock(guard).now_us = max(int(due.timestamp() * 1_000_000), guard.obligations.clock()) + 1
        guard.attend()
        assert guard.obligations.statuses() == ()


# -- retain


def test_what_is_still_there_when_it_is_due_was_kept_and_nothing_is_held_against_anybody(tmp_path: Path) -> None:
    """A session that ends has omitted nothing, and a file that was restored is the file."""
    place = Retirement(tmp_path / "place", effect="retain", quiet_seconds=3600)
    with place.guard() as guard:
        assert guard.begin(AGENT) == (DUTY,)
        clock = Clock(guard)
        for claim in (None, "refused"):
            status = only(guard.end(AGENT, session="s", claim=claim))  # type: ignore[arg-type]
        assert (status.state, status.kinds) == ("unmet", ())
        place.sh(f"cp {FIRST} x; rm {FIRST}; cp x {FIRST}; rm x")
        assert only(guard.settle()).kinds == ()
        clock.now_us = duty_of(guard).terms.due_us
        assert guard.attend()
        status = only(guard.settle())
        assert (status.stage, status.kinds) == ("discharged", ())
        assert status.evidence == ("3 files are there, with the same content",)


@pytest.mark.parametrize(
    ("deed", "kind", "says"),
    [
        (f"rm {FIRST}", "lost", "and is gone"),
        (f"ln -sf /dev/null {FIRST}", "lost", "and is gone"),
        (f"truncate -s 10 {FIRST}", "altered", "10 bytes instead of 5000"),
        (f"head -c 5000 /dev/zero > x; touch -r {FIRST} x; mv x {FIRST}", "altered", "holds something else"),
    ],
    ids=["deleted", "replaced by a link", "cut", "replaced by as many other bytes of the same date"],
)
def test_what_was_to_be_kept_and_is_gone_or_another_is_put_before_people_at_once(
    tmp_path: Path, deed: str, kind: str, says: str
) -> None:
    """Long before it is due."""
    place = Retirement(tmp_path / "place", effect="retain", quiet_seconds=3600)
    with place.guard() as guard:
        guard.begin(AGENT)
        place.sh(deed)
        status = only(guard.settle())
        assert (status.state, status.kinds, status.waits_for_person) == ("unmet", (kind,), True)
        assert says in status.evidence[0]
        assert {rule for case in guard.desk.cases() for rule, _ in case.held.shown} == {f"obligation.{kind}"}


# -- transfer


@pytest.mark.parametrize("source", ["gone", "kept"])
def test_a_transfer_is_done_when_the_content_is_there_and_the_source_is_as_was_ordered(
    tmp_path: Path, source: str
) -> None:
    """In part, as a decoy, as a mere name: that is no transfer."""
    to = tmp_path / "cold"
    to.mkdir()
    place = Retirement(tmp_path / "place", effect="transfer", to=str(to), source=source, quiet_seconds=3600)
    with place.guard() as guard:
        guard.begin(AGENT)
        place.sh(f"cp {FIRST} {to}/other-name; head -c 7000 /dev/zero > {to}/{place.shards[1].name}")
        guard.settle()
        missing = {one.path for one in duty_of(guard).findings if one.kind == "partial"}
        assert missing == {str(place.shards[1]), str(place.model / "config.json")}
        assert only(guard.end(AGENT, session="s")).state == "unmet"
        if source == "kept":
            place.sh(f"ln models/beta/* {to}/ -f")
            assert only(guard.settle()).state == "unmet"
            place.sh(f"rm -r {to}/*; cp models/beta/* {to}/")
        else:
            place.sh(f"mv models/beta/* {to}/")
        status = only(guard.settle())
        assert (status.state, status.stage, place.shards[0].exists()) == ("met", "discharged", source == "kept")


def test_a_transfer_that_leaves_the_source_or_takes_it_elsewhere_is_not_done(tmp_path: Path) -> None:
    """It was to be gone from where it was, and to be nowhere else."""
    needs_handles(tmp_path)
    to = tmp_path / "cold"
    to.mkdir()
    place = Retirement(tmp_path / "place", effect="transfer", to=str(to), source="gone", quiet_seconds=3600)
    with place.guard() as guard:
        guard.begin(AGENT)
        place.sh(f"cp models/beta/* {to}/")
        assert "is still there" in " ".join(only(guard.settle()).evidence)
        place.sh(f"rm {FIRST}; ln models/beta/config.json elsewhere/x; rm -r models/beta")
        status = only(guard.settle())
        assert status.state == "unmet"
        assert "moved" in status.kinds
        assert f"moved to `{place.elsewhere}/x`" in " ".join(one.says for one in duty_of(guard).findings)


@pytest.mark.parametrize(
    ("duty", "said"),
    [
        ({"effect": "transfer", "source": "gone"}, "absolute path of a directory"),
        ({"effect": "transfer", "to": "/a/*", "source": "gone"}, "absolute path of a directory"),
        ({"effect": "transfer", "to": "/a"}, "`gone` or `kept`"),
        ({"effect": "retain", "to": "/a"}, "belong to `transfer`"),
        ({"effect": "retain", "fallback": "guardrail"}, "belong to `delete`"),
        ({"effect": "delete", "judge": "x"}, "belongs to `evaluate`"),
    ],
)
def test_what_cannot_be_meant_of_keeping_and_bringing_is_refused(duty: dict[str, Any], said: str) -> None:
    """Before it is signed."""
    window = {"not_before": "2026-01-01T00:00:00Z", "not_after": "2026-02-01T00:00:00Z"}
    order = {"id": "m", "issuer": "dana", "subject": "a", **window, "obligations": [{"id": "d", "asset": "a", **duty}]}
    with pytest.raises(ConfigError, match=said):
        Mandate.from_json(json.dumps(order))


# -- by itself


def test_a_guard_attends_by_itself_to_what_is_due_and_a_session_ends_however_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody calls it: the deadline passes while the agent only waits."""
    place = Retirement(tmp_path / "place", more="attend_seconds = 0.01\n", fallback="guardrail", small=True)
    attend, done = Steward.attend, threading.Semaphore(0)

    def told(steward: Steward) -> bool:
        if found := attend(steward):
            done.release()
        return found

    monkeypatch.setattr(Steward, "attend", told)
    with place.guard(attend=True) as guard:
        with pytest.raises(ZeroDivisionError), guard.session(AGENT, session="s") as owed:
            assert owed == (DUTY,)
            raise ZeroDivisionError
        assert only(guard.obligations.statuses()).kinds == ("omitted",)
        Clock(guard).now_us = duty_of(guard).terms.due_us
        assert done.acquire(timeout=60)
        assert not place.model.exists()


# -- hold


def test_what_is_on_hold_is_deleted_by_nobody_and_is_not_overdue_until_the_same_person_lets_it_go_on(
    tmp_path: Path,
) -> None:
    """The agent's grant and the guard's own leave are worth nothing meanwhile; an old hold laid down again is none."""
    other = Ed25519PrivateKey.generate()
    person = f'[[person]]\nname = "erin"\nkey = "{public_text(other)}"\n'
    place = Retirement(tmp_path / "place", fallback="guardrail", more=person)
    with place.guard() as guard:
        guard.begin(AGENT)
        clock = Clock(guard)
        hold = place.word(says="hold", by="erin", key=other, reason="litigation")
        hold = hold.rename(place.root / "orders/h.hold.json")
        assert guard.attend()
        assert (only(guard.settle()).held, duty_of(guard).holds[0].why) == ("erin", "litigation")
        place.word()
        clock.now_us = duty_of(guard).terms.due_us + HOUR_US
        status = only(guard.settle())
        assert (status.state, status.kinds, status.waits_for_person) == ("unmet", (), False)
        assert not guard.check(place.bash("rm -r models/beta"))
        assert only(guard.end(AGENT, session="s", claim="refused")).kinds == ()
        assert place.shards[0].exists()
        # Whoever did not put it on hold cannot let it go on.
        place.word(says="resume", at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC)).rename(place.root / "orders/r.resume.json")
        given, _ = guard.mandates.words()
        assert "`erin` has put" in " ".join(guard.obligations.words(given))
        assert only(guard.settle()).held == "erin"
        place.word(says="resume", by="erin", key=other, at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC)).rename(
            place.root / "orders/r.resume.json"
        )
        place.word()
        guard.settle()
        assert (only(guard.settle()).held, place.model.exists()) == ("", False)
        hold.touch()
    known = duty_of(guard)
    (tmp_path / "place/trail.orders.db").unlink()
    with place.guard() as guard:
        assert duty_of(guard) == known
        guard.settle()
        assert duty_of(guard).held == ""


def test_each_hold_is_taken_back_by_who_put_it_there_and_the_others_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two people, on the command line, while a guard that deletes at the deadline runs: neither word is lost."""
    keys = {"erin": Ed25519PrivateKey.generate(), "finn": Ed25519PrivateKey.generate()}
    people = "".join(f'[[person]]\nname = "{name}"\nkey = "{public_text(key)}"\n' for name, key in keys.items())
    place = Retirement(tmp_path / "place", fallback="guardrail", more=people)

    def say(says: str, name: str) -> None:
        pem = tmp_path / f"{name}.pem"
        pem.touch(0o600)
        pem.write_bytes(keys[name].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        assert main(["obligations", says, DUTY, "--key", str(pem), "--config", str(place.toml)]) == 0

    with place.guard() as guard:
        guard.begin(AGENT)
        clock = Clock(guard)
        for name in keys:
            say("hold", name)
        assert only(guard.settle()).held == "erin, finn"
        clock.now_us = duty_of(guard).terms.due_us + HOUR_US
        say("resume", "erin")
        assert (only(guard.settle()).held, place.shards[0].exists()) == ("finn", True)
        for again in ("resume", "hold", "resume", "discharge", "discharge"):
            say(again, "finn")
        guard.settle()
        assert (only(guard.settle()).held, place.model.exists()) == ("", False)
        size = guard.trail.size if guard.trail is not None else 0
        assert not guard.attend(), "words that were taken are no news"
        assert guard.trail is not None
        assert guard.trail.size == size
    assert "finn says that nothing of model:beta is to be deleted" in capsys.readouterr().err


def test_what_goes_while_it_is_on_hold_is_named_and_gets_no_certificate(tmp_path: Path) -> None:
    """By whatever way; and people hear of it."""
    place = Retirement(tmp_path / "place")
    with place.guard() as guard:
        guard.begin(AGENT)
        place.word(says="hold").rename(place.root / "orders/h.hold.json")
        guard.settle()
        place.sh("rm -r models/beta")
        status = [only(guard.settle()) for _ in range(3)][-1]
        assert (status.kinds, status.waits_for_person, status.certificate) == (("hold_broken",), True, "")


def test_a_hold_is_said_and_taken_back_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the key of a person."""
    place = Retirement(tmp_path / "place")
    with place.guard() as guard:
        guard.begin(AGENT)
    pem = tmp_path / "dana.pem"
    pem.touch(0o600)
    pem.write_bytes(place.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    options = [DUTY, "--key", str(pem), "--config", str(place.toml)]
    assert main(["obligations", "hold", *options, "--reason", "litigation"]) == 0
    assert "on hold by dana" in capsys.readouterr().out
    assert main(["obligations", "show", DUTY, "--config", str(place.toml)]) == 0
    assert "litigation" in capsys.readouterr().out
    assert main(["obligations", "resume", *options]) == 0
    assert "on hold" not in capsys.readouterr().out
    with pytest.raises(ConfigError, match="`derivatives` belongs to `discharge`"):
        give_word(
            Word(obligation=DUTY, asset="a", by="b", at=dt.datetime.now(dt.UTC), says="hold", derivatives=True),
            place.key,
        )


def test_a_hold_that_is_dated_later_than_now_does_not_count(tmp_path: Path) -> None:
    """Nobody could take it back."""
    place = Retirement(tmp_path / "place")
    with place.guard() as guard:
        guard.begin(AGENT)
        place.word(says="hold", at=dt.datetime(2110, 1, 1, tzinfo=dt.UTC)).rename(place.root / "orders/h.hold.json")
        given, _ = guard.mandates.words()
        assert "dated later than now" in guard.obligations.words(given)[0]
        assert only(guard.settle()).held == ""
