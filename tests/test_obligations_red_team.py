"""What whoever was ordered to delete a model, or to score items, does to be certified for something else."""

from __future__ import annotations

import array
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest

from guardrail.cli import main
from guardrail.errors import TrailError
from guardrail.mandates import reaches
from guardrail.obligations._codec import pack, unpack
from guardrail.obligations._events import Coverage, Erased, Pinned
from guardrail.obligations.world import _evidence, _handles, _sweep
from guardrail.obligations.world._verifier import UNWITNESSED
from guardrail.printing import shortened
from tests.duty_support import AGENT, Retirement, duty_of, needs_handles, only
from tests.test_obligations_discharge import certificate
from tests.test_obligations_evaluations import SCORE_ALL, SHUT, Bench, states

FIRST = "models/beta/model-00001-of-00002.safetensors"


@pytest.fixture(autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores of models are looked for in the home, which is nobody's here."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


DOWN = [
    ("moved away", "mv models/beta {away}/b", {"moved"}),
    ("linked away, then unlinked", f"ln {FIRST} {{away}}/b; rm -r models/beta", {"moved", "partial"}),
]


@pytest.mark.parametrize(("trick", "deed", "kinds"), DOWN, ids=[trick for trick, _, _ in DOWN])
def test_what_is_moved_out_of_sight_while_no_guard_runs_is_found(
    tmp_path: Path, trick: str, deed: str, kinds: set[str]
) -> None:
    """No descriptor held it and no directory is searched there; the filesystem still knows the inode."""
    needs_handles(tmp_path)
    place = Retirement(tmp_path / "place")
    with place.guard() as guard:
        guard.begin(AGENT)
    place.sh(deed.format(away=place.away))
    with place.guard() as guard:
        guard.settle()
        status = only(guard.settle())
        assert (status.state, set(status.kinds), status.certificate) == ("unmet", kinds, "")


def test_neither_many_files_nor_large_empty_ones_crowd_a_file_out_of_sight(tmp_path: Path) -> None:
    """More files than descriptors, most of them holes: what takes room is pinned, and the rest is asked for."""
    needs_handles(tmp_path)
    place = Retirement(tmp_path / "place")
    for number in range(70):
        with (place.model / f"junk{number}").open("wb") as stream:
            stream.truncate(1 << 30)
        (place.model / f"s{number}").write_bytes(os.urandom(300))
    with place.guard() as guard:
        guard.begin(AGENT)
        assert {file.path for file in duty_of(guard).files[:2]} == set(map(str, place.shards))
        place.sh(f"mv {FIRST} models/beta/s69 {place.away}/; rm -r models/beta")
        status = only(guard.settle())
        went = {one.path for one in status.violations if one.kind == "moved"}
        assert went == {f"{place.away}/{place.shards[0].name}", f"{place.away}/s69"}


def test_where_the_filesystem_cannot_be_asked_what_went_unseen_is_not_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the capability, or on a filesystem without handles: what the guard held is proven, and nothing else."""

    def unanswered(file: Pinned) -> int:
        raise _handles.Unanswered("operation not permitted")

    for module in (_handles, _evidence):
        monkeypatch.setattr(module, "reopened", unanswered)
    for held in (True, False):
        place = Retirement(tmp_path / f"place-{held}")
        with place.guard() as guard:
            guard.begin(AGENT)
            if held:
                place.delete(guard)
        if not held:
            place.sh(f"mv models/beta {place.away}/b")
        with place.guard() as guard:
            status = [only(guard.settle()) for _ in range(2)][-1]
            assert (status.certificate != "") is held
            assert held or UNWITNESSED in status.evidence


# -- who still has it


@contextmanager
def in_flight(path: Path) -> Generator[None]:
    """A descriptor that is in no process, but on its way from one to another."""
    one, other = socket.socketpair()
    with one, other:
        with path.open("rb") as stream:
            rights = array.array("i", [stream.fileno()])
            one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        yield


HOLDING = {
    "a thread with descriptors of its own": "import ctypes,threading\ndef t():\n ctypes.CDLL(None).unshare(0x400);"
    "os.open(P,0);ready();threading.Event().wait()\nthreading.Thread(target=t).start()",
    "a process whose first thread has ended": "import ctypes,threading,time\ndef t():\n while open('/proc/self/stat')."
    "read().split()[2]!='Z':time.sleep(.01)\n os.open(P,0);ready();time.sleep(99)\n"
    "threading.Thread(target=t).start();ctypes.CDLL(None).syscall(60,0)",
    "a copy in memory": "f=os.memfd_create('x');os.write(f,open(P,'rb').read());ready();sys.stdin.read()",
    "a copy that never had a name": "f=os.open('/tmp',os.O_TMPFILE|os.O_RDWR);os.write(f,open(P,'rb').read());"
    "ready();sys.stdin.read()",
}


def holding(path: Path, code: str) -> subprocess.Popen[bytes]:
    """A process that keeps a file in some way, once it has."""
    head = "import os,sys\nP=sys.argv[1]\ndef ready():os.write(1,b'r\\n')\n"
    process = subprocess.Popen(
        [sys.executable, "-c", head + code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"r\n"
    return process


@pytest.mark.parametrize("how", list(HOLDING))
def test_whatever_keeps_the_content_without_a_name_keeps_it_from_being_proven(tmp_path: Path, how: str) -> None:
    """In a descriptor of one thread, in memory, in a file that was never linked."""
    place = Retirement(tmp_path / "place")
    with place.guard() as guard:
        guard.begin(AGENT)
        with holding(place.shards[0], HOLDING[how]) as process:
            place.delete(guard)
            status = only(guard.settle())
            process.kill()
        assert (status.state, status.stage, status.kinds) == ("met", "effect_seen", ("held",))
        assert f"process {process.pid}" in " ".join(status.evidence)


def test_a_descriptor_that_is_in_no_process_keeps_it_from_being_proven(tmp_path: Path) -> None:
    """Sent through a socket and not received yet; when the socket goes, it goes."""
    needs_handles(tmp_path)
    place = Retirement(tmp_path / "place")
    with place.guard() as guard:
        guard.begin(AGENT)
        with in_flight(place.shards[0]):
            place.delete(guard)
            status = only(guard.settle())
            assert (status.stage, status.kinds) == ("effect_seen", ("held",))
            assert any("what no process shows" in line for line in status.evidence)
        assert [only(guard.settle()).stage for _ in range(2)] == ["absent_1", "discharged"]
        assert [sweep.proven for sweep in duty_of(guard).sweeps] == [3, 3]


# -- what the guard goes by


def test_an_edit_of_the_inventory_takes_no_place_out_of_the_search(tmp_path: Path) -> None:
    """The asset is declared elsewhere now, or at no address any more: it was there when its deletion was ordered."""
    place = Retirement(tmp_path / "place")
    text = place.toml.read_text()
    declared = 'paths = ["models/beta"]'
    place.toml.write_text(text.replace(declared, f'{declared}\nuris = ["s3://a/b"]'))
    with place.guard() as guard:
        guard.begin(AGENT)
    for changed in ('paths = ["other"]', 'uris = ["s3://c/d"]'):
        place.toml.write_text(text.replace(declared, changed).replace('roots = ["."]', 'roots = ["elsewhere"]'))
        with place.guard() as guard:
            status = only(guard.settle())
            assert status.state == "unmet"
            assert any("models/beta` is still there" in line for line in status.evidence)
    place.sh("rm -r models/beta")
    place.toml.write_text(text)
    with place.guard() as guard:
        status = [only(guard.settle()) for _ in range(3)][-1]
        assert (status.stage, "`s3://a/b` cannot be seen from here" in " ".join(status.evidence)) == (
            "effect_seen",
            True,
        )


def test_what_was_gone_before_the_order_is_proven_by_nothing(tmp_path: Path) -> None:
    """Moved away in time, as a whole, or a registered file of it: nobody can tell where that is."""
    place = Retirement(tmp_path / "place", small=False, registered=True)
    place.sh(f"mv {FIRST} {place.away}/b")
    with place.guard() as guard:
        guard.begin(AGENT)
        place.delete(guard)
        status = [only(guard.settle()) for _ in range(3)][-1]
        assert status.stage == "effect_seen"
        assert any("registered, and was not there any more" in line for line in status.evidence)
    place.order(id="again")
    with place.guard() as guard:
        guard.begin(AGENT)
        for _ in range(3):
            guard.settle()
        (other,) = (one for one in guard.settle() if one.mandate == "again")
        assert other.certificate == ""
        assert any("none of its files was there" in line for line in other.evidence)


def test_a_registry_that_is_lost_after_the_order_is_missed(tmp_path: Path) -> None:
    """What it was known by is gone, so that it is not found proves nothing."""
    place = Retirement(tmp_path / "place", small=False, registered=True)
    with place.guard() as guard:
        guard.begin(AGENT)
    place.sh("tar -cf elsewhere/b.tar models/beta; rm -r models/beta; rm trail.identity.db*")
    with place.guard() as guard:
        status = [only(guard.settle()) for _ in range(3)][-1]
        assert (status.stage, status.certificate) == ("effect_seen", "")


def test_a_certificate_rests_on_the_trail_and_not_on_the_index_beside_it(tmp_path: Path) -> None:
    """Somebody writes into the index that it was looked for twice, long ago."""
    place = Retirement(tmp_path / "place", quiet_seconds=3600)
    with place.guard() as guard:
        guard.begin(AGENT)
        place.delete(guard)
        assert only(guard.settle()).stage == "absent_1"
    database = sqlite3.connect(tmp_path / "place/trail.orders.db")
    with database:
        ((data,),) = database.execute("select data from obligations").fetchall()
        seen = Coverage(t_us=1, roots=9, files=9999, compared=9, processes=9)
        forged = msgspec.structs.replace(unpack(data), stage="absent_2", absent_us=1, sweeps=(seen, seen))
        database.execute("update obligations set data = ?", (pack(forged),))
    database.close()
    with place.guard() as guard:
        assert duty_of(guard).stage == "absent_2"
        status = only(guard.settle())
        assert (status.stage, status.certificate) == ("absent_1", "")
    assert "discharged" not in place.events()


def test_setting_the_clock_cuts_no_quiet_period_short_and_puts_nothing_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's own time counts as well, and the clock of the guard never goes back."""
    place = Retirement(tmp_path / "place", quiet_seconds=3600)
    with place.guard() as guard:
        guard.begin(AGENT)
        place.delete(guard)
        clock = guard.obligations.clock
        assert only(guard.settle()).stage == "absent_1"
        guard.obligations.clock = lambda: clock() + 4_000_000_000
        assert only(guard.settle()).stage == "absent_1"
        before = clock()
        monkeypatch.setattr(time, "time_ns", lambda: 0)
        assert clock() >= before


def test_a_guard_that_is_stopped_while_it_deletes_is_not_taken_for_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is about to do is in the trail before anything goes."""
    place = Retirement(tmp_path / "place")
    place.word()
    with place.guard() as guard:
        guard.begin(AGENT)
        verifier = guard.obligations._verifier
        erase = verifier.erase

        def stopped(*given: Any) -> Erased:
            erase(*given)
            raise KeyboardInterrupt

        monkeypatch.setattr(verifier, "erase", stopped)
        with pytest.raises(KeyboardInterrupt):
            guard.settle()
        assert not place.shards[0].exists()
    assert place.events()[-1] == "erasing"
    with place.guard() as guard:
        for _ in range(2):
            guard.settle()
        assert (duty_of(guard).stage, duty_of(guard).erasing) == ("discharged", True)


def test_what_cannot_be_recorded_is_not_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full when the guard is about to delete: nothing goes without a record of it."""
    place = Retirement(tmp_path / "place")
    place.word()
    with place.guard() as guard:
        guard.begin(AGENT)
        trail = guard.trail
        assert trail is not None
        append = trail.append

        def full(record: dict[str, Any], **options: Any) -> Any:
            if record.get("what", {}).get("event") == "erasing":
                raise TrailError("the disk is full")
            return append(record, **options)

        monkeypatch.setattr(trail, "append", full)
        with pytest.raises(TrailError, match="the disk is full"):
            guard.settle()
        assert place.shards[0].exists()
        monkeypatch.undo()
        guard.settle()
        assert not place.shards[0].exists()
        assert "erased" in place.events()


def test_a_certificate_is_of_one_asset_and_of_the_world_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Shown for another asset or order, or after the model came back, it is refused."""
    place = Retirement(tmp_path / "place")
    with place.guard() as guard:
        guard.begin(AGENT)
        place.sh(f"cp -r models/beta {place.away}/kept")
        place.delete(guard)
        for _ in range(2):
            guard.settle()
    file, vkey = certificate(place, tmp_path)
    check = ["obligations", "verify-certificate", str(file), "--vkey", vkey]
    whole = [*check, "--asset", "model:beta", "--order", "retire", "--config", str(place.toml)]
    assert main(whole) == 0
    assert main([*check, "--asset", "model:gamma"]) == 1
    assert main([*check, "--order", "other"]) == 1
    assert "is about the order `retire`" in capsys.readouterr().err
    place.sh(f"mv {place.away}/kept models/beta")
    with place.guard() as guard:
        guard.settle()
    assert main(check) == 0
    assert main(whole) == 1
    assert "`retire/gone` is `attempted` by now" in capsys.readouterr().err


# -- where copies hide


@pytest.mark.parametrize(
    "deed",
    [
        f"cp {FIRST} orders/x",
        f"cp {FIRST} trail/x",
        f"(head -c 777 /dev/urandom; cat {FIRST}) > elsewhere/tokenizer.json",
        f"split -b 1M {FIRST} elsewhere/part.",
        f"split -b 20000 -a 4 {FIRST} elsewhere/part.",
        f"base64 {FIRST} > elsewhere/notes.txt",
        f"tar cz {FIRST} | od -An -v -tx1 -w30 | tr -d ' ' > elsewhere/notes.txt",
        f"gzip -1 < {FIRST} | gzip -1 > elsewhere/a.gz",
    ],
    ids=[
        "beside the orders",
        "in the trail",
        "under the name of a document",
        "in pieces too small to tell",
        "in pieces of 20 kB",
        "as text",
        "packed and as text",
        "packed twice",
    ],
)
def test_a_copy_is_found_in_the_guards_own_places_under_other_names_and_in_pieces(tmp_path: Path, deed: str) -> None:
    """Where nobody would look, as what nobody would compare."""
    place = Retirement(tmp_path / "place", small=False, registered=True)
    with place.guard() as guard:
        guard.begin(AGENT)
        place.sh(f"{deed}; rm -r models/beta")
        assert only(guard.settle()).kinds == ("copied_during",)


def test_a_copy_that_dodges_the_search_by_moving_is_met_on_a_further_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as the search was where it is not, it goes there."""
    place = Retirement(tmp_path / "place")
    homes = [place.elsewhere / "a", place.elsewhere / "b"]
    for home in homes:
        home.mkdir()
    with place.guard() as guard:
        guard.begin(AGENT)
        place.sh(f"cp {FIRST} elsewhere/a/copy; rm -r models/beta")
        scandir, dodged = os.scandir, list[str]()

        def dodging(folder: str) -> Any:
            here = next((home for home in homes if str(home) == folder), None)
            if here is None or dodged:
                return scandir(folder)
            there = homes[homes[0] == here]
            if (here / "copy").exists():
                (here / "copy").rename(there / "copy")
            listed = list(scandir(folder))
            (there / "copy").rename(here / "copy")
            dodged.append(folder)
            return _Listing(listed)

        monkeypatch.setattr(_sweep.os, "scandir", dodging)
        status = only(guard.settle())
        assert dodged
        assert "copied_during" in status.kinds


class _Listing(list[Any]):
    """What was in a directory, as `os.scandir` gives it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left open."""


def test_a_copy_that_the_guard_may_not_read_keeps_it_from_being_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs as the same user takes its rights away; what could be it is not passed over."""
    place = Retirement(tmp_path / "place")
    with place.guard() as guard:
        guard.begin(AGENT)
        place.sh(f"cp {FIRST} elsewhere/x; rm -r models/beta")
        opens = os.open

        def refused(path: Any, *given: Any, **more: Any) -> int:
            if str(path).endswith("elsewhere/x"):
                raise PermissionError(13, "Permission denied")
            return opens(path, *given, **more)

        monkeypatch.setattr(_sweep.os, "open", refused)
        status = [only(guard.settle()) for _ in range(3)][-1]
        assert (status.stage, status.certificate) == ("effect_seen", "")
        assert any("Permission denied" in line for line in status.evidence)


def test_where_an_order_lets_a_copy_be_is_read_as_policy_reads_it() -> None:
    """A star stays within a part of a path."""
    assert reaches("/cold/*", "/cold/a")
    assert not reaches("/cold/*", "/cold/a/b")
    assert reaches("/cold/**", "/cold/a/b")
    assert not reaches("/cold/[ab]", "/cold/a/b")


def test_of_a_long_sentence_both_ends_stay_and_what_tells_it_from_others() -> None:
    """The end of a path is what names it."""
    one, other = (f"`/deep/{'x' * 400}/{part}/{'y' * 50}/hidden` is a copy" for part in "ab")
    assert shortened(one, 200).startswith("`/deep/x")
    assert shortened(one, 200).endswith("y/hidden` is a copy")
    assert f"({len(one)} characters, " in shortened(one, 200)
    assert shortened(one, 200) != shortened(other, 200)
    assert len(shortened(one, 200)) == 200


# -- evaluations


def test_scores_that_are_nudged_when_all_is_done_are_named_and_rule_no_shutdown_out(tmp_path: Path) -> None:
    """The evaluation is discharged, the mean is below; then one score is raised."""
    place = Bench(tmp_path, SCORE_ALL, SHUT)
    place.score(0.9, 0.8, 0.7, 0.1)
    with place.guard() as guard:
        guard.begin(AGENT)
        assert states(guard) == {"score": ("met", ()), "off": ("unmet", ())}
        place.score(0.9, 0.8, 0.7, 0.9)
        tampered = ("unmet", ("evaluator_tampered",))
        assert states(guard) == {"score": tampered, "off": tampered}


def test_a_second_result_for_the_same_items_is_held_against_the_first(tmp_path: Path) -> None:
    """In a file whose name begins as the first does; the same scores are a copy, and other files are others."""
    place = Bench(tmp_path, SCORE_ALL)
    place.score(0.9, 0.8, 0.7, 0.1)
    first = (tmp_path / "scores.json").read_text()
    (tmp_path / "scores-copy.json").write_text(first)
    (tmp_path / "gamma.json").write_text(first.replace("0.9", "0.2"))
    with place.guard() as guard:
        guard.begin(AGENT)
        assert states(guard) == {"score": ("met", ())}
        (tmp_path / "scores-2.json").write_text(first.replace("0.1", "0.9"))
        (status,) = guard.settle()
        assert status.kinds == ("evaluator_tampered",)
        assert [one.path for one in status.violations] == [str(tmp_path / "scores-2.json")]
        assert "obligation.evaluator_tampered" in {rule for case in guard.desk.cases() for rule, _ in case.held.shown}


def test_scores_of_another_judge_than_was_ordered_are_named(tmp_path: Path) -> None:
    """Or of one that is not named at all."""
    place = Bench(tmp_path, {**SCORE_ALL, "judge": "acme/judge-*"})
    rows = [{"name": f"q{n}", "score": 0.9, "judge": "acme/judge-2"} for n in range(1, 5)]
    with place.guard() as guard:
        guard.begin(AGENT)
        for judge, state in (("acme/alpha", "unmet"), ("acme/judge-2", "met")):
            rows[0]["judge"] = judge
            (tmp_path / "scores.json").write_text(json.dumps({"items": rows}))
            assert states(guard)["score"][0] == state
