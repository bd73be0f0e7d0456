"""The ledger: what an append promises, and when it refuses."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import stat
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from guardrail.audit import Trail, trail_directory, verify
from guardrail.audit import _files as files
from guardrail.audit import _segment as segment
from guardrail.audit._record import MAX_LEAF_BYTES, Later, Stamp
from guardrail.audit._tree import Frontier, leaf_hash
from guardrail.audit._verify import read_records
from guardrail.config import Config, TrailConfig, parse
from guardrail.errors import TrailError
from guardrail.model import new_id
from tests.audit_support import child, denial, intent, make_trail, open_trail, segments

CT_LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""Roots over the first 0 to 8 leaves, from the reference tests of Certificate Transparency."""


# ── the tree ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_tree_has_the_roots_of_certificate_transparency() -> None:
    """RFC 6962 roots over the published test leaves."""
    tree = Frontier()
    roots = [tree.root().hex()]
    for leaf in CT_LEAVES:
        tree.add(leaf_hash(leaf))
        roots.append(tree.root().hex())
    assert roots == CT_ROOTS


def test_a_frontier_with_the_wrong_number_of_subtrees_is_refused() -> None:
    """A size and its roots must fit each other."""
    with pytest.raises(ValueError, match="3 leaves has 2 subtrees"):
        Frontier(3, [bytes(32)])


# ── appending ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_records_come_back_as_they_were_given_in_order(tmp_path: Path) -> None:
    """Every record has its own number, the ledger's name, a time and an id."""
    with open_trail(tmp_path / "t", origin="guardrail.test/a") as trail:
        assert [trail.append(denial(number)) for number in range(5)] == [0, 1, 2, 3, 4]
        assert trail.size == 5
    records = [record for _, record in read_records(tmp_path / "t")]
    assert [record["number"] for record in records] == [0, 1, 2, 3, 4]
    assert [record["seq"] for record in records] == [0, 1, 2, 3, 4]
    assert {record["log"] for record in records} == {"guardrail.test/a"}
    assert all(record["v"] == 1 and record["t_us"] > 0 and record["mono_us"] > 0 for record in records)
    assert len({record["id"] for record in records}) == 5


def test_a_durable_append_is_on_disk_when_it_returns(tmp_path: Path) -> None:
    """A reader that knows nothing of the writer finds the record at once."""
    with open_trail(tmp_path / "t") as trail:
        trail.append(denial(7))
        assert [record["number"] for _, record in read_records(tmp_path / "t")] == [7]


def test_a_record_nobody_waits_for_follows_and_keeps_its_place(tmp_path: Path) -> None:
    """Lazy and durable records share one order, and closing loses none."""
    with open_trail(tmp_path / "t") as trail:
        numbers = [trail.append(denial(number), durable=number % 3 == 0) for number in range(10)]
    assert numbers == list(range(10))
    assert [record["number"] for _, record in read_records(tmp_path / "t")] == list(range(10))


def test_a_reopened_trail_goes_on_where_it_ended(tmp_path: Path) -> None:
    """Numbers, chain and root continue over several openings and segments."""
    for start in range(0, 60, 20):
        with open_trail(tmp_path / "t") as trail:
            assert trail.size == start
            root = trail.root
            for number in range(start, start + 20):
                assert trail.append(denial(number)) == number
            assert trail.root != root
    assert len(segments(tmp_path / "t")) > 2
    report = verify(tmp_path / "t")
    assert report.ok, report.problems
    assert report.records == report.signed == 60


def test_reopening_without_the_saved_frontier_gives_the_same_trail(tmp_path: Path) -> None:
    """The frontier file is a short cut and nothing else."""
    directory = make_trail(tmp_path / "t", 60)
    with open_trail(directory) as trail:
        quick = trail.size, trail.root
    (directory / "frontier").unlink()
    with open_trail(directory) as trail:
        assert (trail.size, trail.root) == quick


def test_a_small_trail_costs_little_disk(tmp_path: Path) -> None:
    """With the default segment of 64 MiB, a few records take one slice."""
    with Trail.open(tmp_path / "t") as trail:
        trail.append(denial())
    used = sum(path.stat().st_blocks * 512 for path in (tmp_path / "t").iterdir())
    assert used <= segment.SLICE_BYTES + 64 * 1024


def test_threads_and_event_loops_together_leave_a_dense_sequence(tmp_path: Path) -> None:
    """Eight threads and forty tasks, each told its own number, and none twice."""
    seqs: list[int] = []

    def work(first: int) -> None:
        seqs.extend(trail.append(denial(first + n)) for n in range(25))

    async def tasks() -> None:
        seqs.extend(await asyncio.gather(*(trail.aappend(denial(n), durable=n % 4 != 0) for n in range(40))))

    with open_trail(tmp_path / "t", timeout_seconds=30) as trail, ThreadPoolExecutor(9) as pool:
        running = [pool.submit(work, 100 * n) for n in range(8)] + [pool.submit(asyncio.run, tasks())]
        for one in running:
            one.result(timeout=60)
    assert sorted(seqs) == list(range(240))
    report = verify(tmp_path / "t")
    assert report.ok, report.problems
    assert report.records == 240


def test_floats_large_integers_and_odd_keys_are_written_in_one_way_only(tmp_path: Path) -> None:
    """What JSON parsers disagree on is encoded; the verifier finds every leaf canonical."""
    with open_trail(tmp_path / "t") as trail:
        trail.append({"kind": "x", "f": 0.1, "i": 2**60, "o": {"_k": 1, "é": 2}, "s": "\udcff", "n": float("nan")})
    ((_, record),) = read_records(tmp_path / "t")
    assert record["f"] == {"_f": "0.1"}
    assert record["i"] == {"_i": str(2**60)}
    assert verify(tmp_path / "t").ok


def test_ids_are_uuids_of_version_7() -> None:
    """Version, variant and time stand where RFC 9562 says."""
    text = new_id(0x0123456789AB)
    assert text.startswith("01234567-89ab-7")
    assert text[19] in "89ab"
    assert len(text) == 36


def test_a_record_that_is_put_off_is_numbered_and_dated_when_it_was_appended(tmp_path: Path) -> None:
    """What is made later stands where it was appended, and whoever waits for one after it finds it on the disk."""
    made: list[str] = []
    waiting = threading.Event()

    def make() -> dict[str, object]:
        assert waiting.wait(30)
        made.append(threading.current_thread().name)
        return {"kind": "intent", "note": "later"}

    with open_trail(tmp_path / "t") as trail:
        assert trail.append(Later("intent", make), durable=False) == 0
        between_us = time.time_ns() // 1000
        waiting.set()
        assert trail.append(denial()) == 1
        on_disk = [record for _, record in read_records(tmp_path / "t")]
    assert made == ["guardrail-trail"]
    assert [record["kind"] for record in on_disk[:2]] == ["intent", "decision"]
    assert on_disk[0]["t_us"] <= between_us
    assert verify(tmp_path / "t").ok


def test_a_record_that_somebody_waits_for_is_not_put_off(tmp_path: Path) -> None:
    """Whoever needs it on disk makes it, so that what is wrong with it is theirs to hear, and no number is used up."""

    def broken() -> dict[str, object]:
        raise ValueError("no record")

    with open_trail(tmp_path / "t") as trail:
        with pytest.raises(ValueError, match="no record"):
            trail.append(Later("intent", broken))
        assert trail.append(denial()) == 0


@pytest.mark.parametrize("what", ["raises", "too large"])
def test_a_record_that_was_put_off_and_cannot_be_made_ends_the_trail(tmp_path: Path, what: str) -> None:
    """Its number was given, and so were those after it: nothing is released any more, and what was written verifies."""

    def make() -> dict[str, object]:
        if what == "raises":
            raise ValueError("no record")
        return {"kind": "intent", "text": "a" * MAX_LEAF_BYTES}

    trail = open_trail(tmp_path / "t")
    assert trail.append(denial()) == 0
    trail.append(Later("intent", make), durable=False)
    with pytest.raises(TrailError, match="takes no more records"):
        trail.append(denial())
    with pytest.raises(TrailError, match="takes no more records"):
        trail.append({"kind": "x"}, durable=False)
    with pytest.raises(TrailError):
        trail.close()
    assert [record["kind"] for _, record in read_records(tmp_path / "t")] == ["decision"]


# ── refusing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, "needs a `kind`"),
        ({"kind": 3}, "needs a `kind`"),
        ({"kind": "x", "seq": 1}, "may not bring the field `seq`"),
        ({"kind": "x", "log": "me"}, "may not bring the field `log`"),
        ({"kind": "x", "text": "a" * MAX_LEAF_BYTES}, "record a digest instead"),
    ],
)
def test_a_record_that_cannot_be_written_is_refused_and_costs_nothing(
    tmp_path: Path, record: dict[str, object], message: str
) -> None:
    """No number is used up, and the trail goes on."""
    with open_trail(tmp_path / "t") as trail:
        with pytest.raises(TrailError, match=message):
            trail.append(record)
        assert trail.append(denial()) == 0


def test_a_value_nested_without_end_is_refused() -> None:
    """A record that refers to itself is a TrailError, not a crash."""
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(TrailError, match="cannot be written as JSON"):
        Stamp("o").leaf({"kind": "x", "loop": loop}, 0)


def test_a_second_writer_is_told_who_has_the_trail(tmp_path: Path) -> None:
    """Two writers would fork the log; within one process the mistake is another one, and so is the remedy."""
    (tmp_path / "link").symlink_to("t")
    with open_trail(tmp_path / "t"):
        for name in ("t", "link"):
            with pytest.raises(TrailError, match="is already open in this process: share one Guard"):
                open_trail(tmp_path / name)
        with child("import sys; from guardrail.audit import Trail; Trail.open(sys.argv[1])", tmp_path / "t") as other:
            said = other.communicate(timeout=60)[1].decode()
        assert f"in use by process {os.getpid()}: stop it" in said
    open_trail(tmp_path / "t").close()


def test_a_closed_trail_takes_nothing_and_closes_twice(tmp_path: Path) -> None:
    """Closing is final and harmless to repeat."""
    trail = open_trail(tmp_path / "t")
    trail.close()
    trail.close()
    with pytest.raises(TrailError, match="is closed"):
        trail.append(denial())
    with pytest.raises(TrailError, match="is closed"):
        trail.checkpoint()


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb", "x" * 256])
def test_a_name_that_checkpoints_cannot_carry_is_refused(tmp_path: Path, origin: str) -> None:
    """Notes are lines, and their key names hold no blanks and no plus."""
    with pytest.raises(TrailError, match="cannot name a trail"):
        open_trail(tmp_path / "t", origin=origin)


def test_a_directory_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    """A file stands where the trail should be."""
    (tmp_path / "t").write_text("x")
    with pytest.raises(TrailError, match="cannot open the trail"):
        open_trail(tmp_path / "t")


def test_a_read_only_disk_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to the first write names the trail and the cause."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(files.os, "pwrite", refuse)
    with pytest.raises(TrailError, match="read-only file system: make the directory writable"):
        open_trail(tmp_path / "t")


# ── failing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_failed_sync_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After one error every append is refused, even when the disk would answer again; nothing acknowledged is lost."""
    trail = open_trail(tmp_path / "t")
    trail.append(denial(0))
    with monkeypatch.context() as patch:
        patch.setattr(segment.os, "fdatasync", _raise_eio)
        with pytest.raises(TrailError, match="input/output error"):
            trail.append(denial(1))
    for _ in range(3):
        with pytest.raises(TrailError, match="takes no more records"):
            trail.append(denial(2))
    with pytest.raises(TrailError, match="takes no more records"):
        trail.checkpoint()
    with pytest.raises(TrailError, match="takes no more records"):
        trail.close()
    with open_trail(tmp_path / "t") as again:
        assert again.size in {1, 2}


async def test_a_failed_sync_reaches_every_waiting_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks of one batch all get the error, and none hangs."""
    trail = open_trail(tmp_path / "t")
    monkeypatch.setattr(segment.os, "fdatasync", _raise_eio)
    results = await asyncio.gather(*(trail.aappend(denial(n)) for n in range(5)), return_exceptions=True)
    assert all(isinstance(result, TrailError) for result in results)
    with pytest.raises(TrailError):
        trail.close()


def _raise_eio(_: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_a_disk_that_hangs_costs_a_caller_the_timeout_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first caller waits its time, the next is refused at once, and the trail recovers with the disk."""
    answer, real = threading.Event(), os.fdatasync

    def hang(fd: int) -> None:
        answer.wait(60)
        real(fd)

    trail = open_trail(tmp_path / "t")
    trail._timeout = 0.1  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(segment.os, "fdatasync", hang)
    with pytest.raises(TrailError, match=r"did not answer within 0\.1 seconds"):
        trail.append(denial(0))
    with pytest.raises(TrailError, match="did not answer"):
        asyncio.run(trail.aappend(denial(1)))
    with pytest.raises(TrailError, match="did not answer"):
        trail.append(denial(2))
    answer.set()
    trail._timeout = 60  # pyright: ignore[reportPrivateUsage]
    trail.append(denial(3))
    trail.close()
    # The first record was taken before the disk hung: it is in the log, and its caller did not act on it.
    assert next(record["number"] for _, record in read_records(tmp_path / "t")) == 0
    assert verify(tmp_path / "t").ok


# ── space ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_on_a_full_disk_denials_are_still_written_and_releases_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reserve is for records that let nothing happen; with space, everything goes on."""
    trail = open_trail(tmp_path / "t", segment_bytes=1 << 16)
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "posix_fallocate", _raise_enospc)
        while not trail._writer.low:  # pyright: ignore[reportPrivateUsage]
            trail.append(denial(49))
        for release in (intent(), {"kind": "grant"}, {"kind": "decision", "outcome": "allow"}):
            with pytest.raises(TrailError, match="only denials are recorded: free some space"):
                trail.append(release)
        last = trail.append(denial(1))
    trail._probed_at = 0.0  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(TrailError, match="only denials"):
        trail.append(intent())  # this asks the disk again
    trail.checkpoint()
    assert trail.append(intent()) == last + 1
    trail.close()
    assert verify(tmp_path / "t").ok


def test_when_the_reserve_is_gone_too_the_trail_fails_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No room at all: an error, not a lost record."""
    trail = open_trail(tmp_path / "t")
    monkeypatch.setattr(files.os, "posix_fallocate", _raise_enospc)
    written, error = _fill(trail)
    assert "no space left on device: free some space" in error
    monkeypatch.undo()
    with pytest.raises(TrailError):
        trail.close()
    with open_trail(tmp_path / "t") as again:
        assert again.size == written > 5


def _fill(trail: Trail) -> tuple[int, str]:
    """Append denials until the trail refuses one: how many it took, and why it stopped."""
    for number in range(100_000):
        try:
            trail.append(denial(number))
        except TrailError as error:
            return number, str(error)
    raise AssertionError("the disk never filled up")


def _raise_enospc(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_real_full_file_system_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """A tmpfs of half a megabyte, filled to the end with durable records."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mount.returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    try:
        trail = open_trail(disk / "t", segment_bytes=1 << 16)
        written, error = _fill(trail)
        assert "no space left on device" in error
        with pytest.raises(TrailError):
            trail.close()
        records = [record["number"] for _, record in read_records(disk / "t")]
        assert records[:written] == list(range(written))
        assert written > 500
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_limit_on_file_size_is_met_like_a_full_disk(tmp_path: Path) -> None:
    """RLIMIT_FSIZE in a child: the error is a TrailError, the process lives, the trail opens again."""
    script = """
import resource, sys
from guardrail.audit import Trail
from guardrail.errors import TrailError
trail = Trail.open(sys.argv[1], segment_bytes=1 << 20, checkpoint_seconds=1e6)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
refused = denied = 0
for number in range(3000):
    try:
        trail.append({"kind": "intent", "text": "x" * 500})
    except TrailError as error:
        assert "is full, only denials" in str(error), error
        trail.append({"kind": "decision", "decision": {"outcome": "deny"}})
        print("ok")
        break
trail.close()
"""
    process = child(script, tmp_path / "t")
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, b"ok\n"), error.decode()
    assert verify(tmp_path / "t").ok


# ── processes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_forked_child_may_not_write_and_does_not_keep_the_lock(tmp_path: Path) -> None:
    """The child gets a TrailError; while it lives, the parent can close and another can open."""
    script = """
import os, sys, warnings
warnings.simplefilter("ignore")
from guardrail.audit import Trail
from guardrail.errors import TrailError
trail = Trail.open(sys.argv[1])
trail.append({"kind": "x"})
ready, done = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    code = 1
    try:
        trail.append({"kind": "child"})
    except TrailError as error:
        code = 0 if "forked child" in str(error) else 2
    trail.close()
    os.write(ready[1], b"x")
    os.read(done[0], 1)
    os._exit(code)
os.read(ready[0], 1)
trail.append({"kind": "y"})
trail.close()
again = Trail.open(sys.argv[1])
assert again.size == 2, again.size
again.close()
os.write(done[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    process = child(script, tmp_path / "t")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 0, error.decode()
    assert verify(tmp_path / "t").records == 2


def test_a_process_that_forgets_to_close_still_writes_and_signs(tmp_path: Path) -> None:
    """At the end of the interpreter what is waiting goes to disk."""
    script = """
import sys
from guardrail.audit import Trail
trail = Trail.open(sys.argv[1], checkpoint_seconds=1e6)
for number in range(50):
    trail.append({"kind": "x", "number": number}, durable=False)
"""
    process = child(script, tmp_path / "t")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 0, error.decode()
    report = verify(tmp_path / "t")
    assert report.ok
    assert report.records == report.signed == 50


# ── checkpoints and keys ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_checkpoint_follows_when_records_arrived_and_time_has_passed(tmp_path: Path) -> None:
    """Nobody asks for it: the writer signs on its own, so an auditor's copy is never far behind."""
    with open_trail(tmp_path / "t", checkpoint_seconds=0.01) as trail:
        trail.append(denial())
        path = tmp_path / "t" / "checkpoints"
        deadline = threading.Event()
        for _ in range(1000):
            if path.read_text().count("— ") >= 2:
                break
            deadline.wait(0.01)
        assert verify(tmp_path / "t").signed == 1


def test_asking_for_a_checkpoint_signs_what_came_before(tmp_path: Path) -> None:
    """Lazy records too; asking again with nothing new adds no note."""
    with open_trail(tmp_path / "t") as trail:
        trail.append(denial(), durable=False)
        trail.checkpoint()
        trail.checkpoint()
        assert verify(tmp_path / "t").signed == 1
        assert (tmp_path / "t" / "checkpoints").read_text().count("— ") == 2


def test_the_private_key_is_for_its_owner_only(tmp_path: Path) -> None:
    """Mode 0600 in a directory of mode 0700; a key that everybody can read is refused."""
    directory = make_trail(tmp_path / "t", 1)
    assert stat.S_IMODE((directory / "trail.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    (directory / "trail.key").chmod(0o644)
    with pytest.raises(TrailError, match="chmod 600"):
        open_trail(directory)


def test_a_lost_or_foreign_key_is_refused(tmp_path: Path) -> None:
    """A trail never goes on under another key than the one it began with."""
    directory, other = make_trail(tmp_path / "t", 1), make_trail(tmp_path / "other", 1)
    key = (directory / "trail.key").read_bytes()
    (directory / "trail.key").unlink()
    with pytest.raises(TrailError, match="put its key back"):
        open_trail(directory)
    (directory / "trail.key").write_bytes((other / "trail.key").read_bytes())
    (directory / "trail.key").chmod(0o600)
    with pytest.raises(TrailError, match="another key or another ledger"):
        open_trail(directory)
    (directory / "trail.key").write_bytes(b"nonsense")
    with pytest.raises(TrailError, match="not a private key"):
        open_trail(directory)
    (directory / "trail.key").write_bytes(key)
    open_trail(directory).close()


def test_a_trail_under_another_name_is_refused(tmp_path: Path) -> None:
    """The ledger's name is in every record and checkpoint; it does not change."""
    directory = make_trail(tmp_path / "t", 1, origin="guardrail.test/a")
    with pytest.raises(TrailError, match=r"put `trail\.origin` and the key back"):
        open_trail(directory, origin="guardrail.test/b")


def test_an_opening_that_was_cut_short_is_finished_by_the_next(tmp_path: Path) -> None:
    """Whatever file of a new trail is missing, the next opening makes it."""
    for keep in ([], ["trail.key"], ["trail.key", "trail.vkey"], ["trail.key", "trail.vkey", "checkpoints"]):
        directory = tmp_path / f"t{len(keep)}"
        open_trail(directory).close()
        for path in directory.iterdir():
            if path.name not in keep:
                path.unlink()
        if "checkpoints" in keep:
            (directory / "checkpoints").write_bytes(b"")
        with open_trail(directory) as trail:
            trail.append(denial())
        assert verify(directory).ok


def test_an_unfinished_checkpoint_is_cut_and_a_changed_one_refused(tmp_path: Path) -> None:
    """A crash leaves a beginning; anything else was not a crash."""
    directory = make_trail(tmp_path / "t", 3)
    path = directory / "checkpoints"
    whole = path.read_bytes()
    note = whole[len(whole) // 2 :]
    for cut in range(1, len(note) - 1, 7):
        path.write_bytes(whole + note[:cut])
        open_trail(directory).close()
        assert path.read_bytes() == whole
    for offset in range(len(whole) - len(note), len(whole)):
        changed = bytearray(whole)
        changed[offset] ^= 1
        path.write_bytes(changed)
        with pytest.raises(TrailError):
            open_trail(directory)


# ── where it lies ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_trail_without_a_directory_has_one_of_its_own_for_each_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under XDG_STATE_HOME, by the path of the configuration; a relative setting is taken from the file."""
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    first = trail_directory(parse("", source="/a/guardrail.toml"))
    second = trail_directory(parse("", source="/b/guardrail.toml"))
    assert first.parent == second.parent == Path("/state/guardrail")
    assert first != second
    assert trail_directory(Config(trail=TrailConfig(directory="trail"), base="/etc/g")) == Path("/etc/g/trail")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/x")
    assert trail_directory(Config(source="/a")).parent == Path("/home/x/.local/state/guardrail")


def test_a_leaf_is_one_line_of_sorted_json(tmp_path: Path) -> None:
    """What an auditor reads with other tools is what was hashed."""
    leaf = Stamp("o").leaf({"kind": "x", "b": 1, "a": [True, None]}, 3)
    assert leaf == json.dumps(json.loads(leaf), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
