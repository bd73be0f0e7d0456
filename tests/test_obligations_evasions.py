"""Everything that is done instead of a deletion is called what it is, by what the files show."""

from __future__ import annotations

import mmap
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.duty_support import AGENT, Retirement, duty_of, only


@pytest.fixture(autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores of models are looked for in the home, which is nobody's here."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


FIRST = "models/beta/model-00001-of-00002.safetensors"

TRICKS = [
    ("rename within the root", f"mv {FIRST} models/beta/.cache", {"moved"}),
    ("move to another directory", f"mv {FIRST} elsewhere/notes.bin; rm -r models/beta", {"moved", "partial"}),
    ("hard link, then unlink", f"ln {FIRST} elsewhere/x; rm -r models/beta", {"hardlinked", "partial"}),
    ("a link stands in its place", f"mv {FIRST} elsewhere/x; ln -s ../../elsewhere/x {FIRST}", {"moved", "decoyed"}),
    ("another file stands in its place", f"mv {FIRST} elsewhere/x; echo decoy > {FIRST}", {"moved", "decoyed"}),
    ("cut to nothing", f"truncate -s 0 {FIRST}", {"truncated"}),
    ("cut a little", f"truncate -s -100 {FIRST}", {"truncated"}),
    ("one shard of two", f"rm {FIRST}", {"partial"}),
    ("the index only", "rm models/beta/config.json", {"partial"}),
    ("a hard link is made and all is left", f"ln {FIRST} elsewhere/x", {"hardlinked"}),
    ("copied under another name, then deleted", f"cp {FIRST} elsewhere/x; rm -r models/beta", {"copied_during"}),
    ("given an old date", f"touch -d 2001-01-01 {FIRST}", {"retimestamped"}),
    (
        "copied, the copy given an old date, then deleted",
        f"cp {FIRST} elsewhere/x; touch -d 2001-01-01 elsewhere/x; rm -r models/beta",
        {"copied_during", "retimestamped"},
    ),
]


@pytest.mark.parametrize(("trick", "deed", "kinds"), TRICKS, ids=[trick for trick, _, _ in TRICKS])
def test_what_is_done_instead_of_a_deletion_is_named(tmp_path: Path, trick: str, deed: str, kinds: set[str]) -> None:
    """Whatever the names show, and whoever says that it is done."""
    place = Retirement(tmp_path)
    with place.guard() as guard:
        guard.begin(AGENT)
        place.sh(deed)
        status = only(guard.settle())
        assert (status.state, set(status.kinds)) == ("unmet", kinds), status
        assert status.certificate == ""
        # A second look, and a third, do not make it better.
        assert only(guard.settle()).stage in ("open", "attempted")
        # People hear of it.
        told = {rule for case in guard.desk.cases() for rule, _ in case.held.shown}
        assert told == {f"obligation.{kind}" for kind in kinds}


@pytest.mark.parametrize(("trick", "deed", "kinds"), TRICKS[:5], ids=[trick for trick, _, _ in TRICKS[:5]])
def test_a_restart_does_not_hide_where_the_file_went(tmp_path: Path, trick: str, deed: str, kinds: set[str]) -> None:
    """The descriptors are gone; the number and the birth of the inode are in the trail."""
    place = Retirement(tmp_path)
    with place.guard() as guard:
        guard.begin(AGENT)
    place.sh(deed)
    with place.guard() as guard:
        status = only(guard.settle())
        assert status.state == "unmet"
        assert kinds <= set(status.kinds) | {"partial", "hardlinked"}
        assert set(status.kinds) & {"moved", "hardlinked"}


@pytest.mark.parametrize(
    ("trick", "deed"),
    [
        ("a tar of it", "tar -C models -cf elsewhere/backup.tar beta"),
        ("a compressed tar of it", "tar -C models -czf elsewhere/backup.tar.gz beta"),
        ("a piece of it behind something else", f"(head -c 777 /dev/urandom; cat {FIRST}) > elsewhere/log.1"),
        ("one shard, renamed", f"cp {FIRST} elsewhere/dataset.bin"),
    ],
)
def test_a_copy_is_found_by_its_content_whatever_it_is_packed_in(tmp_path: Path, trick: str, deed: str) -> None:
    """Once the asset was registered."""
    place = Retirement(tmp_path, small=False, registered=True)
    with place.guard() as guard:
        guard.begin(AGENT)
        place.sh(deed)
        place.sh("rm -r models/beta")
        status = only(guard.settle())
        assert (status.state, status.kinds) == ("unmet", ("copied_during",))
        # Where nothing of it lies any more, it is gone.
        place.sh("rm elsewhere/*")
        assert [only(guard.settle()).stage for _ in range(2)] == ["absent_1", "discharged"]


def test_another_model_in_the_watched_directories_is_not_taken_for_a_copy(tmp_path: Path) -> None:
    """What stands beside weights stands beside others too, and other weights are others."""
    place = Retirement(tmp_path, small=False, registered=True)
    (place.elsewhere / "gamma.safetensors").write_bytes(random.Random(3).randbytes(6_000_000))
    place.sh("cp models/beta/config.json elsewhere/")
    with place.guard() as guard:
        guard.begin(AGENT)
        place.delete(guard)
        assert [only(guard.settle()).stage for _ in range(2)] == ["absent_1", "discharged"]
        (sweep, _) = duty_of(guard).sweeps
        assert sweep.files >= 2
        assert sweep.compared == 1


def test_a_copy_from_before_the_order_keeps_the_deletion_from_being_proven(tmp_path: Path) -> None:
    """The agent has done its part; whether the copy may stay is for a person to say."""
    place = Retirement(tmp_path)
    place.sh(f"cp {FIRST} elsewhere/old")
    with place.guard() as guard:
        guard.begin(AGENT)
        place.delete(guard)
        status = only(guard.settle())
        assert (status.state, status.stage, status.kinds) == ("met", "effect_seen", ("copied_before",))
        assert status.waits_for_person
        place.sh("rm elsewhere/old")
        assert [only(guard.settle()).stage for _ in range(2)] == ["absent_1", "discharged"]
        assert only(guard.settle()).kinds == ("copied_before",)


def test_a_copy_that_a_call_made_is_known_from_lineage_when_the_order_is_taken_up(tmp_path: Path) -> None:
    """Also where nobody sweeps."""
    place = Retirement(tmp_path)
    grants = [{"effects": ["copy"], "assets": ["model:beta"], "targets": [f"{place.away}/**"]}]
    place.order(id="copy", grants=grants, obligations=[])
    copy = place.bash(f"cp {FIRST} {place.away}/kept")
    with place.guard() as guard:
        guard.run(copy, lambda call: place.sh(str(call.args["command"])))
        place.order()
        guard.begin(AGENT)
        (found,) = duty_of(guard).violations
        assert (found.kind, found.path) == ("copied_before", f"{place.away}/kept")


def test_a_copy_that_the_order_itself_wants_is_no_violation(tmp_path: Path) -> None:
    """Copy it to the cold store, then delete it here."""
    place = Retirement(tmp_path)
    place.order(
        grants=[
            {"effects": ["copy"], "assets": ["model:beta"], "targets": [f"{place.root}/elsewhere/**"]},
            {"effects": ["delete"], "assets": ["model:beta"]},
        ]
    )
    with place.guard() as guard:
        guard.begin(AGENT)
        place.sh("cp models/beta/*.safetensors elsewhere/")
        place.delete(guard)
        assert [only(guard.settle()).stage for _ in range(2)] == ["absent_1", "discharged"]
        status = only(guard.settle())
        assert (status.kinds, status.certificate != "") == ((), True)
        assert any("2 copies lie where the order lets them be" in line for line in status.evidence)


@pytest.mark.parametrize("mapped", [False, True], ids=["open", "mapped"])
def test_a_file_that_a_process_still_reaches_is_not_gone(tmp_path: Path, mapped: bool) -> None:
    """No name is left, and the bytes are: through a descriptor, or through a mapping without one."""
    place = Retirement(tmp_path)
    keep = "m=mmap.mmap(f.fileno(),0,prot=mmap.PROT_READ);f.close()" if mapped else "pass"
    code = f"import mmap,sys;f=open(sys.argv[1],'rb');{keep};print('ready',flush=True);sys.stdin.read()"
    with place.guard() as guard:
        guard.begin(AGENT)
        with subprocess.Popen(
            [sys.executable, "-c", code, str(place.shards[0])], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            place.delete(guard)
            status = only(guard.settle())
            assert (status.state, status.stage, status.kinds) == ("met", "effect_seen", ("held",))
            assert any(f"process {process.pid}" in line for line in status.evidence)
            assert process.stdin is not None
            process.stdin.close()
        assert [only(guard.settle()).stage for _ in range(2)] == ["absent_1", "discharged"]


def test_a_tool_in_the_guards_own_process_that_keeps_the_file_open_is_seen(tmp_path: Path) -> None:
    """The guard's own descriptors do not count, others of the same process do."""
    place = Retirement(tmp_path)
    with place.guard() as guard:
        guard.begin(AGENT)
        with place.shards[0].open("rb") as kept, mmap.mmap(kept.fileno(), 0, prot=mmap.PROT_READ):
            place.delete(guard)
            assert only(guard.settle()).kinds == ("held",)
        assert only(guard.settle()).stage == "absent_1"


@contextmanager
def mounted(*arguments: str) -> Iterator[None]:
    """Something mounted; where that is not allowed the test is skipped."""
    if subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", arguments[-1]], check=True)


def test_a_file_that_is_mounted_elsewhere_is_not_gone(tmp_path: Path) -> None:
    """A bind mount keeps it readable when its last name is gone."""
    place = Retirement(tmp_path)
    (place.away / "point").touch()
    with place.guard() as guard:
        guard.begin(AGENT)
        with mounted("--bind", str(place.shards[0]), str(place.away / "point")):
            place.delete(guard)
            status = only(guard.settle())
            assert (status.stage, status.kinds) == ("effect_seen", ("mounted",))
        assert only(guard.settle()).stage == "absent_1"


def test_what_is_covered_by_a_mount_is_not_gone(tmp_path: Path) -> None:
    """An empty directory lies over it."""
    place = Retirement(tmp_path)
    with place.guard() as guard:
        guard.begin(AGENT)
        with mounted("--bind", str(place.elsewhere), str(place.model)):
            status = only(guard.settle())
            assert (status.state, status.kinds) == ("unmet", ("decoyed",))
            assert any("covered by something" in line for line in status.evidence)


def test_what_is_deleted_and_restored_has_reappeared(tmp_path: Path) -> None:
    """From wherever it was kept, before and after it was proven to be gone."""
    place = Retirement(tmp_path)
    place.sh(f"cp -r models/beta {place.away}/kept")
    with place.guard() as guard:
        guard.begin(AGENT)
        place.delete(guard)
        assert only(guard.settle()).stage == "absent_1"
        place.sh(f"cp -r {place.away}/kept models/beta")
        status = only(guard.settle())
        assert (status.state, status.stage) == ("unmet", "attempted")
        assert "reappeared" in status.kinds
        place.delete(guard)
        assert [only(guard.settle()).stage for _ in range(2)] == ["absent_1", "discharged"]
        place.sh(f"cp -r {place.away}/kept models/beta")
        status = only(guard.settle())
        assert (status.state, status.certificate) == ("unmet", "")
        assert guard.obligations.deletions(guard.mandates.current(AGENT, "s", 1_800_000_000_000_000)) == (
            "retire/gone",
        )


def test_a_copy_that_comes_back_later_under_another_name_is_found_when_one_asks(tmp_path: Path) -> None:
    """A discharged duty is searched for again by its id."""
    place = Retirement(tmp_path)
    place.sh(f"cp {FIRST} {place.away}/kept")
    with place.guard() as guard:
        guard.begin(AGENT)
        place.delete(guard)
        assert [only(guard.settle()).stage for _ in range(2)] == ["absent_1", "discharged"]
        place.sh(f"cp {place.away}/kept elsewhere/y")
        assert only(guard.settle()).stage == "discharged"
        status = only(guard.settle(only="retire/gone"))
        assert (status.state, set(status.kinds)) == ("unmet", {"reappeared", "copied_during"})


def test_a_sweep_that_could_not_compare_everything_proves_nothing(tmp_path: Path) -> None:
    """A bound is no evidence; with room enough it is proven."""
    place = Retirement(tmp_path)
    text = place.toml.read_text()
    place.toml.write_text(text.replace("[obligations]", "[obligations]\ncompare_bytes = 100"))
    (place.elsewhere / "big").write_bytes(bytes(5000))
    with place.guard() as guard:
        guard.begin(AGENT)
        place.delete(guard)
        status = only(guard.settle())
        assert (status.state, status.stage) == ("met", "effect_seen")
        assert any("`obligations.compare_bytes` is used up" in line for line in status.evidence)
    place.toml.write_text(text)
    with place.guard() as guard:
        assert [only(guard.settle()).stage for _ in range(2)] == ["absent_1", "discharged"]


def test_the_guard_lets_the_blocks_go_before_it_says_that_they_are_gone(tmp_path: Path) -> None:
    """Measured on a filesystem of its own: a pin keeps every block, and after the verdict all are free."""
    with mounted("-t", "tmpfs", "-o", "size=64m", "none", str(tmp_path)):
        place = Retirement(tmp_path / "place")
        place.shards[0].write_bytes(bytes(16 * 1024 * 1024))
        with place.guard() as guard:
            guard.begin(AGENT)
            full = _free(tmp_path)
            place.sh("rm -r models/beta")
            assert _free(tmp_path) - full < 1024 * 1024
            assert only(guard.settle()).stage == "absent_1"
            assert _free(tmp_path) - full > 15 * 1024 * 1024


def _free(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_bfree * found.f_frsize


def test_a_copy_that_a_call_made_outside_of_the_watched_directories_is_known_by_lineage(tmp_path: Path) -> None:
    """In part even, so that its content alone would not tell."""
    place = Retirement(tmp_path)
    place.order(
        id="copy",
        grants=[{"effects": ["copy"], "assets": ["model:beta"], "targets": [f"{place.away}/**"]}],
        obligations=[],
    )
    with place.guard() as guard:
        copying = place.bash(f"head -c 3000 {FIRST} > {place.away}/part")
        guard.run(copying, lambda call: place.sh(str(call.args["command"])))
        place.order()
        guard.begin(AGENT)
        place.delete(guard)
        status = only(guard.settle())
        assert (status.stage, status.kinds) == ("effect_seen", ("copied_before",))
        place.sh(f"rm {place.away}/part")
        assert only(guard.settle()).stage == "absent_1"


def test_a_filesystem_that_does_not_say_when_files_were_made_is_believed_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of an inode is given away again: another file that has it by now is neither ours nor deleted."""
    for name in ("_evidence", "_sweep"):
        monkeypatch.setattr(f"guardrail.obligations.world.{name}.birth_ns", lambda _: None)
    place = Retirement(tmp_path)
    with place.guard() as guard:
        guard.begin(AGENT)
    numbers = {os.stat(path).st_ino for path in place.model.iterdir()}
    place.sh("rm -r models/beta")
    kept: list[Path] = []
    for count in range(200):
        place.model.mkdir(exist_ok=True)
        path = place.shards[0] if count == 0 else place.elsewhere / str(count)
        path.write_text("somebody else's")
        kept.append(path)
        if os.stat(path).st_ino in numbers and path != place.shards[0]:
            path.rename(place.shards[0])
            break
    place.word()
    with place.guard() as guard:
        status = only(guard.settle())
        assert status.state == "unmet"
        assert any("it is another file than the one that was to go" in line for line in duty_of(guard).left)
    assert place.shards[0].read_text() == "somebody else's"


def test_the_worst_names_of_files_fit_into_records(tmp_path: Path) -> None:
    """Long, deep, of control characters and of bytes that are no text: everything is recorded, and nobody is denied."""
    place = Retirement(tmp_path)
    folder = os.fsencode(place.model)
    for part in (b"\x01" * 250, b"\xff" * 250, "ü".encode() * 120, b"\x02" * 250):
        folder += b"/" + part
    os.makedirs(folder)
    for number in range(90):
        with open(folder + b"/" + b"\x7f\xfe" * 100 + str(number).encode(), "wb") as stream:
            stream.write(bytes([number]) * 300)
    with place.guard() as guard:
        guard.begin(AGENT)
        assert len(duty_of(guard).files) == 93
        place.sh("mv models/beta elsewhere/moved")
        status = only(guard.settle())
        assert (status.state, status.kinds) == ("unmet", ("moved",))
        assert guard.check(place.bash("ls"))
        place.word()
        guard.settle()
        guard.settle()
        known = duty_of(guard)
        assert known.stage == "discharged"
        assert not list(place.elsewhere.rglob("*.safetensors"))
    with place.guard() as guard:
        assert duty_of(guard) == known
    for file in tmp_path.glob("trail.orders.db*"):
        file.unlink()
    with place.guard() as guard:
        assert duty_of(guard) == known
