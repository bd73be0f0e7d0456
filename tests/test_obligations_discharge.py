"""A refusal is seen, a person's word has the guard do it, and what was done is proven by a certificate."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from guardrail import Guard
from guardrail.audit import verify
from guardrail.audit._verify import read_records
from guardrail.audit.reading import prove
from guardrail.cli import main
from guardrail.errors import ConfigError
from guardrail.mandates import give_word
from guardrail.mandates._word import Word
from guardrail.obligations._certificate import LIMITS, check_certificate
from guardrail.obligations._transparency import check_proof
from guardrail.obligations.world import _erase
from guardrail.telemetry import Telemetry
from tests.duty_support import AGENT, DUTY, Retirement, duty_of, only

ROOT = Path(__file__).resolve().parent.parent
FIRST = "models/beta/model-00001-of-00002.safetensors"
HOUR_US = 3_600_000_000


@pytest.fixture(autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores of models are looked for in the home, which is nobody's here."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


class Clock:
    """A time that is told, by the clock on the wall and by the machine's own."""

    def __init__(self, guard: Guard) -> None:
        self.now_us = guard.obligations.clock()
        guard.obligations.clock = lambda: self.now_us
        guard.obligations.uptime = lambda: ("told", self.now_us)


def certificate(place: Retirement, tmp_path: Path) -> tuple[Path, str]:
    """The certificate of the duty, and the key that it is signed with."""
    file = tmp_path / "certificate.json"
    assert main(["obligations", "certificate", DUTY, "--out", str(file), "--config", str(place.toml)]) == 0
    return file, (place.root / "trail/trail.vkey").read_text().strip()


# -- what is not done


@pytest.mark.parametrize(("claim", "kind"), [(None, "omitted"), ("refused", "refused"), ("done", "false_claim")])
def test_a_session_that_ends_without_the_deletion_is_an_event(tmp_path: Path, claim: Any, kind: str) -> None:
    """In the trail, in telemetry, and before people; once for each session."""
    place = Retirement(tmp_path)
    with place.guard(telemetry=(telemetry := Telemetry())) as guard:
        guard.begin(AGENT, session="s")
        assert guard.check(place.bash("ls"))
        for session in ("s", "s", "t"):
            status = only(guard.end(AGENT, session=session, claim=claim))
        assert (status.state, status.kinds, len(status.violations)) == ("unmet", (kind,), 2)
        assert status.waits_for_person
        told = [rule for case in guard.desk.cases() for rule, _ in case.held.shown]
        assert told == [f"obligation.{kind}"] * 2
        assert telemetry.tally.violations() == {kind: 2}
    assert place.events() == ["opened", "looked", "violated", "violated"]
    assert main(["obligations", "list", "--config", str(place.toml)]) == 4


def test_an_order_that_no_guard_has_taken_up_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While there is time it is a note, afterwards something that was not done; taken up, it is a duty like others."""
    place = Retirement(tmp_path)
    options = ["--config", str(place.toml)]
    with place.guard():
        pass
    for action in ("list", "verify"):
        assert main(["obligations", action, *options]) == 0
        printed = capsys.readouterr()
        assert f"note: {DUTY}: delete model:beta, due " in printed.err
        assert printed.out == "nothing was taken up\n"
    with place.guard() as guard:
        guard.begin(AGENT)
    assert main(["obligations", "list", *options]) == 0
    assert "was not taken up" not in capsys.readouterr().err
    late = {"effect": "delete", "asset": "model:beta", "id": "late", "due": "2026-11-02T00:00:00Z"}
    place.order(id="other", not_before="2026-11-01T00:00:00Z", obligations=[late])
    for action in ("list", "verify"):
        assert main(["obligations", action, *options]) == 3
        assert "note: other/late: delete model:beta, due 2026-11-02" in capsys.readouterr().err


def test_a_claim_that_is_true_is_no_false_claim(tmp_path: Path) -> None:
    """What is gone is gone, whoever says so."""
    place = Retirement(tmp_path)
    with place.guard() as guard:
        guard.begin(AGENT)
        place.delete(guard)
        status = only(guard.end(AGENT, session="s", claim="done"))
        assert (status.state, status.kinds) == ("met", ())


def test_a_deletion_that_waits_for_a_person_is_not_omitted(tmp_path: Path) -> None:
    """The agent has tried; a denied attempt is counted with what was decided."""
    place = Retirement(tmp_path)
    place.order(grants=[{"effects": ["delete"], "assets": ["model:beta"], "approval": True}])
    with place.guard() as guard:
        guard.begin(AGENT)
        assert not guard.check(place.bash("rm -r models/beta"))
        status = only(guard.end(AGENT, session="s"))
        assert (status.kinds, status.attempts, status.stage) == ((), {"escalate": 1}, "attempted")


def test_people_are_reminded_at_half_of_the_time_and_hear_of_it_when_it_is_over(tmp_path: Path) -> None:
    """At 50, 80 and 100 percent, also when no call comes; nothing tried by then is omitted."""
    place = Retirement(tmp_path)
    with place.guard() as guard:
        guard.begin(AGENT)
        clock = Clock(guard)
        terms = duty_of(guard).terms
        length = terms.due_us - terms.opened_us
        seen = []
        for percent in (40, 50, 70, 80, 99, 100):
            clock.now_us = terms.opened_us + length * percent // 100
            assert guard.attend() is (percent in (50, 80, 100))
            seen.append(duty_of(guard).marks)
        assert seen == [(), (50,), (50,), (50, 80), (50, 80), (50, 80, 100)]
        status = only(guard.settle())
        assert (status.kinds, status.waits_for_person) == (("omitted",), True)
        rules = {rule for case in guard.desk.cases() for rule, _ in case.held.shown}
        assert rules == {"obligation.overdue", "obligation.omitted"}


def test_a_deletion_in_part_is_held_against_nobody_before_the_session_is_over(tmp_path: Path) -> None:
    """File after file is the usual way."""
    place = Retirement(tmp_path)
    with place.guard() as guard:
        guard.begin(AGENT, session="s")
        guard.run(place.bash(f"rm {FIRST}"), lambda call: place.sh(str(call.args["command"])))
        assert duty_of(guard).violations == ()
        assert only(guard.end(AGENT, session="s")).kinds == ("partial",)


# -- what the guard does


def test_at_the_deadline_the_guard_does_it_under_the_order_that_says_so(tmp_path: Path) -> None:
    """A refusal delays nothing: deleted, looked for twice, and proven, with the refusal in the certificate."""
    place = Retirement(tmp_path, fallback="guardrail")
    with place.guard() as guard:
        guard.begin(AGENT)
        guard.end(AGENT, claim="refused")
        clock = Clock(guard)
        assert not guard.attend()
        assert place.shards[0].exists()
        clock.now_us = duty_of(guard).terms.due_us
        assert guard.attend()
        assert not place.model.exists()
        assert duty_of(guard).stage == "absent_1"
        assert only(guard.settle()).stage == "discharged"
    file, vkey = certificate(place, tmp_path)
    told = check_certificate(file.read_bytes(), vkey)["predicate"]
    assert (told["executor"], told["approvers"]) == ("guardrail", ["dana"])
    assert [one["kind"] for one in told["violations"]] == ["refused", "omitted"]


def test_without_leave_the_guard_deletes_nothing(tmp_path: Path) -> None:
    """However long it is overdue."""
    place = Retirement(tmp_path)
    with place.guard() as guard:
        guard.begin(AGENT)
        Clock(guard).now_us = duty_of(guard).terms.due_us + HOUR_US
        for _ in range(3):
            guard.settle()
        assert place.shards[0].exists()
        assert duty_of(guard).leave == ""


def test_a_person_says_the_word_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before it is due; the file of the word is what counts, and it is in the trail who said it."""
    place = Retirement(tmp_path)
    pem = tmp_path / "dana.pem"
    pem.touch(0o600)
    pem.write_bytes(place.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with place.guard() as guard:
        guard.begin(AGENT)
    options = ["--config", str(place.toml)]
    assert main(["obligations", "verify", *options]) == 0
    assert main(["obligations", "discharge", DUTY, "--key", str(pem), *options]) == 0
    assert not place.model.exists()
    assert "MET" in capsys.readouterr().out
    assert main(["obligations", "verify", DUTY, *options]) == 0
    assert "discharged" in capsys.readouterr().out
    assert main(["obligations", "list", *options]) == 0
    assert capsys.readouterr().out == "nothing is owed\n"
    assert main(["obligations", "show", DUTY, "--json", *options]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["stage"], shown["word"], shown["erased"]) == ("discharged", "dana", True)
    file, vkey = certificate(place, tmp_path)
    assert main(["obligations", "verify-certificate", str(file), "--vkey", vkey]) == 0
    assert "by guardrail" in capsys.readouterr().out
    assert verify(place.root / "trail").ok


def test_a_running_guard_takes_up_a_word(tmp_path: Path) -> None:
    """It attends to what is owed on a thread of its own."""
    place = Retirement(tmp_path, more="attend_seconds = 0.01\n")
    with place.guard(attend=True) as guard:
        guard.begin(AGENT)
        gone = threading.Event()
        settle = guard._steward.settle

        def told(only: str = "") -> None:
            settle(only)
            gone.set()

        guard._steward.settle = told  # type: ignore[method-assign]
        place.word()
        assert gone.wait(timeout=60)
        assert not place.model.exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": Ed25519PrivateKey.generate()}, "signed with a key that is not the one of its signer `dana`"),
        ({"by": "mallory"}, "no [[person]]"),
        ({"asset": "model:other"}, ""),
        ({"obligation": "retire/other"}, ""),
    ],
    ids=["forged", "nobody", "another asset", "another duty"],
)
def test_a_word_that_does_not_count_deletes_nothing(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    """Forged, of nobody, or about something else."""
    place = Retirement(tmp_path)
    place.word(**changes)
    with place.guard() as guard:
        guard.begin(AGENT)
        given, wrong = guard.mandates.words()
        assert (said in str(wrong)) if said else guard.obligations.words(given)
        guard.settle()
        assert place.shards[0].exists()


def test_whoever_owes_it_cannot_give_leave_for_it(tmp_path: Path) -> None:
    """A person's key under the name of the agent."""
    place = Retirement(tmp_path)
    place.order(subject="d*")
    place.word()
    with place.guard() as guard:
        guard.begin(AGENT.__class__(id="deputy"))
        guard.settle()
        given, _ = guard.mandates.words()
        assert "is whom `retire/gone` is for" in guard.obligations.words(given)[0]
    assert place.shards[0].exists()


def test_a_word_that_was_edited_is_refused(tmp_path: Path) -> None:
    """One byte of what was signed, or of how it is written."""
    place = Retirement(tmp_path)
    path = place.word()
    envelope = json.loads(path.read_text())
    payload = json.loads(base64.b64decode(envelope["payload"]))
    for changed in ({**payload, "derivatives": True}, {**payload, "v": 2}, {**payload, "more": 1}):
        text = json.dumps(changed, sort_keys=True, separators=(",", ":")).encode()
        path.write_text(json.dumps({**envelope, "payload": base64.b64encode(text).decode()}))
        with place.guard() as guard:
            assert len(guard.mandates.words()[1]) == 1
    for wrong in ({"obligation": "retire"}, {"asset": ""}, {"by": ""}):
        with pytest.raises(ConfigError, match="not a word"):
            give_word(Word(**{"obligation": DUTY, "asset": "a", "by": "b", "at": "x", **wrong}), place.key)  # type: ignore[arg-type]


def settled_on_word(place: Retirement, deed: str, **word: Any) -> tuple[Any, Any]:
    """What becomes of a deed when a person then has the guard do the rest."""
    with place.guard() as guard:
        guard.begin(AGENT)
        place.sh(deed)
        guard.settle()
        place.word(**word)
        status = only(guard.settle())
        return status, duty_of(guard)


def test_the_guard_deletes_a_file_that_was_moved_and_leaves_what_lies_in_its_place(tmp_path: Path) -> None:
    """The identity is what was ordered, not the name: a decoy and what a link leads to are left."""
    place = Retirement(tmp_path)
    (place.away / "precious").write_text("not ours")
    status, duty = settled_on_word(
        place, f"mv {FIRST} elsewhere/hidden; ln -s {place.away}/precious {FIRST}; echo x > models/beta/new"
    )
    assert not (place.elsewhere / "hidden").exists()
    assert (place.away / "precious").read_text() == "not ours"
    assert (place.model / "new").exists()
    assert status.state == "unmet"
    assert any("it is a link" in line for line in duty.left)
    assert any("directory" in line and "not empty" in line for line in duty.left)


def test_the_guard_never_goes_through_a_link_to_what_it_deletes(tmp_path: Path) -> None:
    """The directory was moved away and a link to it stands in its place."""
    place = Retirement(tmp_path)
    status, duty = settled_on_word(place, f"mv models/beta {place.away}/beta; ln -s {place.away}/beta models/beta")
    assert (place.away / "beta" / place.shards[0].name).exists()
    assert status.state == "unmet"
    assert any("on the way to it is a link" in line for line in duty.left)


def test_further_names_and_copies_are_deleted_only_if_the_order_says_so(tmp_path: Path) -> None:
    """Listed otherwise; a file that holds more than the copy is left to a person even so."""
    place = Retirement(tmp_path)
    deed = f"ln {FIRST} elsewhere/link; cp {FIRST} elsewhere/copy"
    status, duty = settled_on_word(place, deed)
    assert {path.name for path in place.elsewhere.iterdir()} == {"link", "copy"}
    assert not place.model.exists()
    assert {line.partition(" was left")[0] for line in duty.left} == {
        f"the name `{place.elsewhere}/link`",
        f"the copy `{place.elsewhere}/copy`",
    }
    assert status.state == "unmet"
    place.word(derivatives=True)
    with place.guard() as guard:
        assert only(guard.settle()).stage == "absent_1"
    assert list(place.elsewhere.iterdir()) == []


def test_what_is_swapped_at_the_last_moment_is_seen_by_the_pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the unlinking another file is put there: ours is known not to have gone."""
    place = Retirement(tmp_path)
    with place.guard() as guard:
        guard.begin(AGENT)
        unlink = os.unlink

        def racing(name: str, *, dir_fd: int) -> None:
            if name == place.shards[0].name and place.shards[0].exists():
                place.sh(f"mv {FIRST} elsewhere/raced; echo decoy > {FIRST}")
            unlink(name, dir_fd=dir_fd)

        monkeypatch.setattr(_erase.os, "unlink", racing)
        place.word()
        only(guard.settle())
        assert any("another file was put in its place" in line for line in duty_of(guard).left)
        # The next look finds it where it went, and deletes it there.
        assert only(guard.settle()).stage in ("absent_1", "discharged")
        assert not (place.elsewhere / "raced").exists()


# -- proof


def test_a_true_deletion_gets_its_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Subjects are the digests of what went; how far was looked, and what could not be seen, is in it."""
    place = Retirement(tmp_path, small=False, registered=True)
    with place.guard() as guard:
        guard.begin(AGENT)
        place.delete(guard)
        assert [only(guard.settle()).stage for _ in range(2)] == ["absent_1", "discharged"]
        digest = only(guard.settle()).certificate
    file, vkey = certificate(place, tmp_path)
    statement = check_certificate(file.read_bytes(), vkey)
    digests = {subject["name"].rpartition("/")[2]: set(subject["digest"]) for subject in statement["subject"]}
    assert digests == {
        place.shards[0].name: {"sha256"},
        place.shards[1].name: {"sha256"},
        "config.json": {"sha256"},
    }
    told = statement["predicate"]
    assert set(LIMITS) <= set(told["limits"])
    assert [sweep["roots"] for sweep in told["sweeps"]] == [1, 1]
    assert told["executor"] == "agent:ops-*"
    # It is in the trail, which verifies, and in the range of records that it names.
    records = dict(read_records(place.root / "trail"))
    assert verify(place.root / "trail").ok
    assert records[told["seq"][0]]["what"]["event"] == "opened"
    assert digest in {record["what"].get("certificate") for record in records.values() if "what" in record}
    # While keys take each other's place there are several.
    other = (
        "x+" + hashlib.sha256(b"x\n\1" + bytes(32)).hexdigest()[:8] + "+" + base64.b64encode(b"\1" + bytes(32)).decode()
    )
    assert check_certificate(file.read_bytes(), f"{other}\n{vkey}\n") == statement
    with pytest.raises(ConfigError, match="not signed by `x\\+"):
        check_certificate(file.read_bytes(), other)
    # Anybody can check it, with no code of ours.
    script = [sys.executable, str(ROOT / "scripts/check_certificate.py"), str(file), vkey]
    done = subprocess.run(script, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})
    assert (done.returncode, json.loads(done.stdout)) == (0, statement)
    # The proof in it is that of the record that holds it.
    seq, size = check_proof(file.read_bytes(), vkey)
    assert records[seq]["what"]["certificate"] == digest
    assert f"genuine: record {seq} of {records[seq]['log']}, in a tree of {size}" in done.stderr
    assert main(["obligations", "verify-certificate", str(file), "--vkey", vkey, "--json"]) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    "change", ["payload", "signature", "key", "type", "nothing signed", "no json", "no proof", "another record", "root"]
)
def test_a_certificate_that_was_changed_is_not_genuine(tmp_path: Path, change: str) -> None:
    """By our own check, and by the script that shares no code with it."""
    place = Retirement(tmp_path)
    with place.guard() as guard:
        guard.begin(AGENT)
        place.delete(guard)
        for _ in range(2):
            guard.settle()
    file, vkey = certificate(place, tmp_path)
    envelope = json.loads(file.read_bytes())
    if change == "payload":
        statement = json.loads(base64.b64decode(envelope["payload"]))
        statement["predicate"]["violations"] = []
        statement["predicate"]["order"] = "another"
        envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    elif change == "signature":
        signature = bytearray(base64.b64decode(envelope["signatures"][0]["sig"]))
        signature[5] ^= 1
        envelope["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    elif change == "key":
        other = Retirement(tmp_path / "other")
        with other.guard():
            vkey = (other.root / "trail/trail.vkey").read_text().strip()
    elif change == "type":
        envelope["payloadType"] = "application/json"
    elif change == "nothing signed":
        envelope["signatures"] = []
    elif change == "no proof":
        del envelope["transparency"]
    elif change == "another record":
        envelope["transparency"] = prove(place.root / "trail", 0).text
    elif change == "root":
        head, _, tail = envelope["transparency"].rpartition("\n\n")
        size = head.split("\n")[-2]
        envelope["transparency"] = head.replace(f"\n{size}\n", f"\n{int(size) - 1}\n") + "\n\n" + tail
    file.write_text("{" if change == "no json" else json.dumps(envelope))
    assert main(["obligations", "verify-certificate", str(file), "--vkey", vkey]) == 1
    script = [sys.executable, str(ROOT / "scripts/check_certificate.py"), str(file), vkey]
    assert subprocess.run(script, capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize(
    "vkey", ["", "name", "a+00000000+AAAA", "a+00000000+" + base64.b64encode(b"\1" + bytes(32)).decode()]
)
def test_what_is_no_verifier_key_is_wrong_usage(tmp_path: Path, vkey: str) -> None:
    """And says what one looks like."""
    (tmp_path / "c").write_text("{}")
    assert main(["obligations", "verify-certificate", str(tmp_path / "c"), "--vkey", vkey or str(tmp_path / "c")]) == 2


def test_what_is_not_proven_has_no_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One look is not two, and the quiet period lies between them."""
    place = Retirement(tmp_path, quiet_seconds=3600)
    options = ["--config", str(place.toml)]
    with place.guard() as guard:
        guard.begin(AGENT)
        place.delete(guard)
        assert [only(guard.settle()).stage for _ in range(3)] == ["absent_1"] * 3
        assert main(["obligations", "certificate", DUTY, *options]) == 1
        assert "it is `absent_1`" in capsys.readouterr().err
        Clock(guard).now_us = duty_of(guard).absent_us + HOUR_US
        assert guard.attend()
        assert duty_of(guard).stage == "discharged"
    assert main(["obligations", "certificate", DUTY, *options]) == 0


def test_wrong_use_of_the_command_line_is_said_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No such obligation, a key of nobody, a file that is not there."""
    place = Retirement(tmp_path)
    options = ["--config", str(place.toml)]
    (tmp_path / "k.pem").touch(0o600)
    stranger = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "k.pem").write_bytes(stranger)
    assert main(["obligations", "show", "a/b", *options]) == 2
    assert "there is no obligation `a/b`" in capsys.readouterr().err
    with place.guard() as guard:
        guard.begin(AGENT)
        # A guard that runs keeps the trail to itself; looking is allowed all the same.
        assert main(["obligations", "verify", *options]) == 0
        assert "is not recorded" in capsys.readouterr().err
    for arguments in (
        ["discharge", DUTY, "--key", str(tmp_path / "k.pem"), *options],
        ["discharge", DUTY, "--key", str(tmp_path / "none.pem"), *options],
        ["verify-certificate", str(tmp_path / "none"), "--vkey", str(tmp_path / "none")],
    ):
        assert main(["obligations", *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("guardrail: ")
    assert place.shards[0].exists()


def test_the_page_shows_commands_that_do_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every console line of docs/obligations.md, in its order, on a real model."""
    place = Retirement(tmp_path / "place")
    with place.guard() as guard:
        guard.begin(AGENT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GUARDRAIL_CONFIG", str(place.toml))
    pem = tmp_path / "dana.pem"
    pem.touch(0o600)
    pem.write_bytes(place.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    shutil.copy(place.root / "trail/trail.vkey", tmp_path / "trail.vkey")
    page = (ROOT / "docs/obligations.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("$ guardrail obligations ")]
    assert len(lines) == 6
    for line in lines:
        if " certificate " in line:
            assert main(["obligations", "verify"]) == 0  # the second look, when the quiet period is over
        assert main(line.split()[2:]) == 0, line
    assert "genuine: model:beta was deleted under retire, by guardrail" in capsys.readouterr().out


def test_an_order_that_is_signed_again_on_other_terms_is_followed(tmp_path: Path) -> None:
    """More time, and then leave for the guard: what was done before stays as it was."""
    place = Retirement(tmp_path, due="2026-01-01T00:00:00Z")
    with place.guard() as guard:
        guard.begin(AGENT)
        guard.end(AGENT, claim="refused")
        assert set(only(guard.settle()).kinds) == {"refused", "omitted"}
        place.duty |= {"due": "2120-01-01T00:00:00Z", "fallback": "guardrail"}
        place.order(not_after="2121-01-01T00:00:00Z")
        guard.begin(AGENT)
        assert (duty_of(guard).marks, duty_of(guard).leave) == ((), "")
        guard.settle()
        assert place.model.exists()
        Clock(guard).now_us = duty_of(guard).terms.due_us
        status = only(guard.settle())
        assert (place.model.exists(), set(status.kinds)) == (False, {"refused", "omitted"})
        known = duty_of(guard)
    (tmp_path / "trail.orders.db").unlink()
    with place.guard() as guard:
        assert duty_of(guard) == known
