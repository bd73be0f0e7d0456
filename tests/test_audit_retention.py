"""Disclosures and their redaction, legal holds, and pruning by the order of two people."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from guardrail import Guard, Subject, ToolCall
from guardrail.audit import retention as kept
from guardrail.audit import verify
from guardrail.audit._proof import consistency_proof, inclusion_proof, root_of_inclusion, tree_root
from guardrail.audit._stored import StoredTree
from guardrail.audit._verify import read_records
from guardrail.audit.disclosure import MAX_ARGS, Disclosures, digest, opened
from guardrail.cli import main
from guardrail.errors import TrailError
from guardrail.mandates import new_key
from tests.audit_support import denial, open_trail, segments

OLD = "2020-01-02"
SECRET = "hunter2Correct9"
THEN_NS = int(dt.datetime(2020, 1, 1, tzinfo=dt.UTC).timestamp() * 1e9)
"""When old records were written."""


class House:
    """A configuration with three people, and a trail of old records."""

    def __init__(self, root: Path, *, disclose: str = "[]", extra: str = "") -> None:
        self.root = root
        keys = {name: new_key(root / f"{name}.pem") for name in ("dana", "eli", "fay")}
        people = "".join(f'[[person]]\nname = "{name}"\nkey = "{key}"\n' for name, key in keys.items())
        (root / "w").write_bytes(b"weights")
        self.toml = root / "guardrail.toml"
        self.toml.write_text(
            f'[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["w"]\n{people}'
            "[limits]\ndecision_ms = 60000\n"
            f'[trail]\ntimeout_seconds = 60\ndirectory = "t"\nsegment_bytes = 8192\ndisclose = {disclose}\n{extra}'
        )
        self.trail = root / "t"

    def run(self, *words: object) -> int:
        """A command on this configuration."""
        return main(["audit", *map(str, words), "--config", str(self.toml)])

    def write_old(self, monkeypatch: pytest.MonkeyPatch, records: int) -> None:
        """Records as they were written years ago."""
        with monkeypatch.context() as patched:
            patched.setattr(time, "time_ns", lambda: THEN_NS)
            with open_trail(self.trail, segment_bytes=8192, timeout_seconds=60) as trail:
                for number in range(records):
                    trail.append(denial(number), durable=number % 25 == 24)

    def order(self, *signers: str, before: str = OLD) -> Path:
        """An order to prune, signed by these."""
        path = self.root / "order.json"
        assert self.run("prune", "--before", before, "--reason", "their time is over", "--draft", path) == 0
        for name in signers:
            assert self.run("prune", "--sign", path, "--key", self.root / f"{name}.pem", "--by", name) == 0
        return path


def everything(directory: Path) -> bytes:
    """All bytes of a trail, file by file."""
    return b"".join(path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file())


# ── disclosures ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_disclosed_unless_it_was_asked_for(tmp_path: Path) -> None:
    """By default a record has the digest of a call, and its arguments are nowhere."""
    house = House(tmp_path)
    with Guard.open(house.toml) as guard:
        guard.run(ToolCall(tool="bash", args={"command": "echo peculiar-words"}, cwd="/"), lambda _: "odd-answer")
    assert not (house.trail / "disclosed").exists()
    assert b"odd-answer" not in everything(house.trail)


def test_what_is_disclosed_lies_beside_the_record_in_the_form_of_sd_jwt(tmp_path: Path) -> None:
    """Each argument on its own, the answer and the error; the record has salted digests, and the tree covers them."""
    house = House(tmp_path, disclose='["args", "output", "error"]')
    call = ToolCall(tool="bash", args={"command": "ls /tmp", "timeout": 5}, cwd="/", subject=Subject(id="a"))

    def fail(_: ToolCall) -> None:
        raise OSError("the disk is odd")

    with Guard.open(house.toml) as guard:
        guard.run(call, lambda _: "two files")
        with pytest.raises(OSError, match="odd"):
            guard.run(call, fail)
    records = [record for _, record in read_records(house.trail) if "disclosures" in record]
    values = [opened(house.trail, record) for record in records]
    args = {"/call/args/command": "ls /tmp", "/call/args/timeout": 5}
    assert values == [args, {"/output": "two files"}, args, {"/error": "OSError('the disk is odd')"}]
    first, third = records[0]["disclosures"], records[2]["disclosures"]
    assert first["/call/args/command"] != third["/call/args/command"], "the salt hides that they are the same"
    path = house.trail / "disclosed" / records[0]["id"][:8] / f"{records[0]['id']}.json"
    assert path.stat().st_mode & 0o077 == 0
    texts = json.loads(path.read_text())
    assert {pointer: digest(text) for pointer, text in texts.items()} == first
    segment = b"".join(one.read_bytes() for one in segments(house.trail))
    assert b"two files" not in segment
    assert b"the disk is odd" not in segment
    report = verify(house.trail)
    assert report.ok, report.problems
    assert (report.disclosures, report.disclosures_missing) == (6, 0)


def test_the_digest_of_a_disclosure_is_that_of_the_specification() -> None:
    """RFC 9901 section 4.2.3 has this disclosure and its digest."""
    text = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
    assert digest(text) == "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"


def test_odd_arguments_are_disclosed_as_one(tmp_path: Path) -> None:
    """Too many, with names that are no words, or with values that JSON cannot carry: all of it, without secrets."""
    kept_by = Disclosures(tmp_path)
    many = {f"a{number}": number for number in range(MAX_ARGS + 1)}
    assert list(kept_by.call(ToolCall(tool="t", args=many))) == ["/call/args"]
    odd = kept_by.call(ToolCall(tool="t", args={"é": "x\udcff", "big": 2**70, "password": SECRET}))
    assert odd == {"/call/args": {"é": "x\\xff", "big": str(2**70), "password": "***"}}
    assert list(kept_by.call(ToolCall(tool="t", args={"a/b": 1}))) == ["/call/args/a~1b"]
    assert kept_by.keep({"kind": "x"}, {}) == {"kind": "x"}


def test_a_disclosure_that_cannot_be_written_denies_the_call(tmp_path: Path) -> None:
    """What was asked to be kept is kept before a call runs; afterwards, its result is recorded without."""
    house = House(tmp_path, disclose='["args"]')
    (tmp_path / "t").mkdir(mode=0o700)
    (tmp_path / "t/disclosed").write_text("no directory")
    with Guard.open(house.toml) as guard:
        decision = guard.check(ToolCall(tool="bash", args={"command": "ls"}, cwd="/"))
        assert not decision
        assert "disclosed beside the trail" in decision.reasons[0].message
    house.toml.write_text(house.toml.read_text().replace('["args"]', '["output"]'))
    with Guard.open(house.toml) as guard, pytest.warns(RuntimeWarning, match="is not disclosed"):
        assert guard.run(ToolCall(tool="bash", args={"command": "ls"}, cwd="/"), lambda _: "done") == "done"
    assert verify(house.trail).unfinished == 0


def test_one_disclosure_that_fails_oddly_keeps_no_later_one_from_being_kept(tmp_path: Path) -> None:
    """A text that no file can hold is told at once, and the thread that writes goes on."""
    kept_by = Disclosures(tmp_path, timeout_seconds=20)
    with pytest.raises(TrailError, match="cannot write what is disclosed beside the trail"):
        kept_by.keep({"kind": "x", "id": "a" * 8 + "\0"}, {"/output": "text"})
    assert "/output" in kept_by.keep({"kind": "x"}, {"/output": "text"})["disclosures"]


def test_a_redacted_disclosure_is_gone_and_the_trail_still_verifies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of two arguments: the other can still be opened, and a record says who deleted it and why."""
    house = House(tmp_path, disclose='["args"]')
    args = {"command": "ls /tmp", "note": "about Dana Doe"}
    with Guard.open(house.toml) as guard:
        decision = guard.check(ToolCall(tool="ls", args=args, cwd="/"))
    words = ("redact", "--seq", decision.seq, "--reason", "asked to be forgotten", "--by", "eli")
    assert house.run(*words, "--pointer", "/call/args/note", "--json") == 0
    assert json.loads(capsys.readouterr().out)["deleted"]
    assert b"Dana Doe" not in everything(house.trail)
    record = dict(read_records(house.trail))[decision.seq or 0]
    assert opened(house.trail, record) == {"/call/args/command": "ls /tmp"}
    (said,) = [record for _, record in read_records(house.trail) if record["kind"] == "redaction"]
    assert (said["record"], said["pointer"], said["by"]) == (decision.seq, "/call/args/note", "eli")
    report = verify(house.trail)
    assert report.ok, report.problems
    assert (report.redactions, report.disclosures, report.disclosures_missing) == (1, 1, 0)
    assert house.run(*words, "--pointer", "/call/args/note") == 0, "again, after a crash in between"
    assert house.run(*words, "--pointer", "/call/args/else") == 1
    assert "it disclosed `/call/args/command`, `/call/args/note`" in capsys.readouterr().err
    assert house.run("redact", "--seq", 999, "--reason", "r", "--by", "eli", "--pointer", "/x") == 1
    assert house.run("show", "--open") == 0
    shown = capsys.readouterr().out
    assert "/call/args/command = ls /tmp" in shown
    assert "/call/args/note of record" in shown
    assert "by eli: asked to be forgotten" in shown
    assert "about Dana" not in shown
    assert house.run(*words, "--pointer", "/call/args/command") == 0
    assert not list((house.trail / "disclosed").rglob("*.json"))


def test_nothing_is_redacted_under_a_legal_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a court may ask for is not deleted."""
    house = House(tmp_path, disclose='["args"]')
    with Guard.open(house.toml) as guard:
        decision = guard.check(ToolCall(tool="ls", args={"command": "ls"}, cwd="/"))
    words = ("--reason", "r", "--by", "eli")
    assert house.run("hold", "add", "--name", "case-8", *words) == 0
    redact = ("redact", "--seq", decision.seq, "--pointer", "/call/args/command", *words)
    assert house.run(*redact) == 1
    assert "under the legal hold `case-8`" in capsys.readouterr().err
    assert verify(house.trail).disclosures == 1
    assert house.run("hold", "release", "--name", "case-8", *words) == 0
    assert house.run(*redact) == 0


def test_a_changed_or_returned_disclosure_is_found(tmp_path: Path) -> None:
    """Another text under the same digest, one that was redacted and is back, one that is gone, and no JSON at all."""
    house = House(tmp_path, disclose='["args"]')
    with Guard.open(house.toml) as guard:
        decision = guard.check(ToolCall(tool="ls", args={"command": "ls /tmp", "note": "x"}, cwd="/"))
    (path,) = (house.trail / "disclosed").rglob("*.json")
    good = path.read_text()
    held: dict[str, str] = json.loads(good)
    path.write_text(json.dumps({**held, "/call/args/note": held["/call/args/command"]}))
    assert "is not what was disclosed" in verify(house.trail).problems[0].what
    path.write_text("{")
    assert "is not JSON" in verify(house.trail).problems[0].what
    path.write_text(json.dumps({"/call/args/note": held["/call/args/note"]}))
    report = verify(house.trail)
    assert report.ok
    assert report.disclosures_missing == 1
    path.write_text(good)
    words = ("--reason", "r", "--by", "eli", "--pointer", "/call/args/note")
    assert house.run("redact", "--seq", decision.seq, *words) == 0
    path.write_text(good)
    assert "was redacted and is still there" in verify(house.trail).problems[0].what


# ── holds and pruning ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_whole_segments_go_by_the_order_of_two_people_and_every_later_proof_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tiles stay; the verifier says what was pruned and by whom; the guard goes on, with or without frontier."""
    house = House(tmp_path)
    house.write_old(monkeypatch, 900)
    with Guard.open(house.toml):
        pass
    size = 901
    before = consistency_proof(house.trail, 300, size), inclusion_proof(house.trail, size - 1, size)
    files, root = len(segments(house.trail)), tree_root(house.trail, size)
    assert house.run("prune", "--order", house.order("dana", "eli"), "--json") == 0
    first = json.loads(capsys.readouterr().out.splitlines()[-1])["minimum"]
    assert first > 256
    assert len(segments(house.trail)) < files / 2
    assert before == (consistency_proof(house.trail, 300, size), inclusion_proof(house.trail, size - 1, size))
    leaf = StoredTree(house.trail).row(0, 10, 11)[0]
    assert root_of_inclusion(leaf, 10, size, inclusion_proof(house.trail, 10, size)) == root
    for frontier in (True, False):
        if not frontier:
            (house.trail / "frontier").unlink()
        with Guard.open(house.toml) as guard:
            assert guard.check(ToolCall(tool="bash", args={"command": "ls"}, cwd="/"))
    report = verify(house.trail)
    assert report.ok, report.problems
    assert report.pruned is not None
    assert (report.pruned["minimum"], report.pruned["by"]) == (first, ["dana", "eli"])
    assert report.records < size < first + report.records
    assert house.run("verify") == 0
    assert f"records before {first}, by order of dana and eli" in capsys.readouterr().out
    assert house.run("prune", "--order", tmp_path / "order.json") == 1
    assert "no sealed segment" in capsys.readouterr().err


def test_what_comes_from_another_trail_does_not_stand_for_what_was_pruned_or_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tile over pruned records and a segment that stays, each whole in itself and of a trail of the same name."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    house, other = House(tmp_path / "a"), House(tmp_path / "b")
    for one in (house, other):
        one.write_old(monkeypatch, 600)
    assert house.run("prune", "--order", house.order("dana", "eli")) == 0
    assert verify(house.trail).ok
    tile, (kept, *_) = Path("tile/0/000"), segments(house.trail)
    for place, theirs in ((tile, other.trail / tile), (Path(kept.name), segments(other.trail)[-2])):
        mine = (house.trail / place).read_bytes()
        (house.trail / place).write_bytes(theirs.read_bytes())
        report = verify(house.trail)
        assert any(str(place) == one.file or "are not those that were signed" in one.what for one in report.problems)
        (house.trail / place).write_bytes(mine)
    assert verify(house.trail).ok


@pytest.mark.parametrize(
    ("signers", "why"),
    [
        ((), "signed by 0, and 2 different people"),
        (("dana",), "signed by 1, and 2 different people"),
        (("dana", "dana"), "signed by 1, and 2 different people"),
    ],
)
def test_an_order_of_fewer_than_two_people_prunes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    signers: tuple[str, ...],
    why: str,
) -> None:
    """And the trail is as before."""
    house = House(tmp_path)
    house.write_old(monkeypatch, 600)
    files = segments(house.trail)
    assert house.run("prune", "--order", house.order(*signers)) == 1
    assert why in capsys.readouterr().err
    assert segments(house.trail) == files


def test_an_order_that_was_changed_or_is_not_for_this_trail_prunes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another time, a stranger, one key under two names, another trail, no order at all."""
    house = House(tmp_path)
    house.write_old(monkeypatch, 600)
    path = house.order("dana", "eli")
    good = json.loads(path.read_text())
    later = json.loads(kept.write_order(kept.draft("guardrail.local/trail", 1_700_000_000_000_000, "r")))
    other = json.loads(kept.write_order(kept.draft("guardrail.test/other", 1, "r")))
    signatures = good["signatures"]
    wrong: list[tuple[Any, str]] = [
        ({**good, "payload": later["payload"]}, "the signature of `dana` under the order is wrong"),
        ({**good, "payload": other["payload"]}, "is for the trail `guardrail.test/other`"),
        ({**good, "signatures": [signatures[0], {**signatures[1], "name": "gus"}]}, "`gus`, who is no [[person]]"),
        ({**good, "signatures": [signatures[0], {**signatures[0], "name": "eli"}]}, "signature of `eli`"),
        ({**good, "more": 1}, "not an order to prune"),
        ({**good, "payload": "e30="}, "not an order to prune"),
    ]
    for value, why in wrong:
        path.write_text(json.dumps(value))
        assert house.run("prune", "--order", path) != 0
        assert why in capsys.readouterr().err
    assert verify(house.trail).pruned is None
    now = time.time_ns() // 1000
    with open_trail(house.trail, segment_bytes=8192) as trail:
        order = kept.read_order(json.dumps(good).encode())
        with pytest.raises(TrailError, match="who is no"):
            kept.prune(trail, order, "guardrail.local/trail", {}, keep_days=190, now_us=now)


def test_what_is_young_is_never_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`trail.keep_days` goes before any order; of the rest, only whole segments that are old throughout go."""
    house = House(tmp_path)
    house.write_old(monkeypatch, 600)
    today = dt.datetime.now(dt.UTC).date()
    assert house.run("prune", "--order", house.order("dana", "eli", before=str(today))) == 1
    assert "the last 190 days" in capsys.readouterr().err
    assert house.run("prune", "--order", house.order("dana", "eli", before="2019-01-01")) == 1
    assert "no sealed segment" in capsys.readouterr().err


def test_nothing_is_pruned_under_a_legal_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Until it is released; both are records."""
    house = House(tmp_path)
    house.write_old(monkeypatch, 900)
    words = ("--name", "case-7", "--reason", "a court asked", "--by", "fay")
    assert house.run("hold", "add", *words) == 0
    assert house.run("hold", "add", *words) == 1
    path = house.order("dana", "eli")
    assert house.run("prune", "--order", path) == 1
    assert "under the legal hold `case-7`" in capsys.readouterr().err
    assert house.run("hold", "list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"holds": {"case-7": "a court asked"}}
    assert verify(house.trail).holds == ("case-7",)
    assert house.run("hold", "release", *words) == 0
    assert house.run("hold", "release", *words) == 1
    assert house.run("prune", "--order", path) == 0
    report = verify(house.trail)
    assert report.ok, report.problems
    assert report.holds == ()


def test_segments_that_went_without_an_order_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Removed by hand, with `minimum` made to fit; or an order whose signatures somebody put in themselves."""
    house = House(tmp_path)
    house.write_old(monkeypatch, 900)
    pruned = tmp_path / "pruned"
    shutil.copytree(house.trail, pruned)
    first = segments(house.trail)[20]
    for path in segments(house.trail)[:20]:
        path.unlink()
    (house.trail / "minimum").write_text(f"{int(first.stem)}\n")
    problems = verify(house.trail).problems
    assert any("no order in the trail says so" in problem.what for problem in problems)
    (house.trail / "minimum").write_text("many\n")
    assert any("is not the number of a record" in problem.what for problem in verify(house.trail).problems)
    with pytest.raises(TrailError, match="is not the number of a record"):
        open_trail(house.trail)
    # Two keys of one's own make an order that agrees with itself; the keys of the people do not agree with it.
    names = [new_key(tmp_path / f"{name}2.pem") and name for name in ("dana", "eli")]
    order = kept.draft("guardrail.local/trail", 1_577_923_200_000_000, "mine")
    for name in names:
        order = kept.sign_order(order, name, tmp_path / f"{name}2.pem")
    with open_trail(pruned, segment_bytes=8192) as trail:
        forged = {one.name: base64.b64decode(one.key.removeprefix("ed25519:")) for one in order.signatures}
        now = time.time_ns() // 1000
        kept.prune(trail, order, "guardrail.local/trail", forged, keep_days=190, now_us=now)
    assert verify(pruned).ok
    from guardrail.config import load
    from guardrail.mandates import public_keys

    report = verify(pruned, people=public_keys(load(house.toml)))
    assert "is not that of the [[person]]" in report.problems[0].what


def test_a_prune_that_a_crash_cut_off_is_finished_by_the_next_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Segments that are below the declared minimum are removed, and tiles that are missing were made first."""
    house = House(tmp_path)
    house.write_old(monkeypatch, 900)
    (house.trail / "tile/0/001").unlink()
    before = tmp_path / "before"
    shutil.copytree(house.trail, before)
    assert house.run("prune", "--order", house.order("dana", "eli")) == 0
    assert (house.trail / "tile/0/001").stat().st_size == 8192
    back = segments(before)[3]
    shutil.copy(back, house.trail / back.name)
    assert any("was pruned and is still there" in problem.what for problem in verify(house.trail).problems)
    with open_trail(house.trail, segment_bytes=8192):
        assert not (house.trail / back.name).exists()
    assert verify(house.trail).ok
    (house.trail / "tile/0/000").write_bytes(b"")
    problems = verify(house.trail).problems
    assert "is missing or cut" in problems[0].what


def test_whoever_trusts_the_first_key_follows_it_past_what_was_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records about keys are kept as they were, their tile shows it, and one that is changed or missing is found."""
    house = House(tmp_path)
    house.write_old(monkeypatch, 60)
    first = verify(house.trail).key
    with monkeypatch.context() as patched:
        patched.setattr(time, "time_ns", lambda: THEN_NS)
        assert house.run("rotate-key") == 0
        assert house.run("rotate-key", "--finish") == 0
    house.write_old(monkeypatch, 600)
    with open_trail(house.trail, segment_bytes=8192) as trail:
        trail.append(denial())
    keys = verify(house.trail, vkey=first).keys
    assert house.run("prune", "--order", house.order("dana", "eli")) == 0
    kept = (house.trail / "keys").read_bytes()
    for deep in (True, False):
        report = verify(house.trail, vkey=first, deep=deep)
        assert report.ok, report.problems
        assert report.pruned is not None
        assert (report.keys, len(keys), report.signed) == (keys, 2, report.records + report.pruned["minimum"])
        assert (report.unsigned, dataclasses.replace(report, records=report.records + 3).unsigned) == (0, 3)
    for other in (kept.replace(b'"retired"', b'"removed"'), kept.splitlines(keepends=True)[0], b""):
        (house.trail / "keys").write_bytes(other)
        assert not verify(house.trail, vkey=first).ok
    assert kept.count(b"\n") == 2


def test_wrong_usage_is_told_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Steps without what they need, days that are none."""
    house = House(tmp_path)
    with open_trail(house.trail):
        pass
    for words, why in (
        (("prune",), "say one of --draft FILE"),
        (("prune", "--draft", tmp_path / "o"), "needs --before DATE"),
        (("prune", "--draft", tmp_path / "o", "--before", "soon", "--reason", "r"), "is no day"),
        (("prune", "--sign", tmp_path / "o"), "needs --key KEY"),
        (("prune", "--order", tmp_path / "none"), "cannot read"),
        (("hold", "add"), "needs --name NAME"),
    ):
        assert house.run(*words) == 2
        error = capsys.readouterr().err
        assert why in error
        assert error.count("\n") == 1
