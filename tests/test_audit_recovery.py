"""What is left after kills, cuts, holes and failing disks: every acknowledged record, or a refusal."""

from __future__ import annotations

import os
import random
import re
import shutil
import struct
from pathlib import Path

import pytest

from guardrail.audit import verify
from guardrail.audit._segment import FRAME_BYTES, MAGIC, read_frame
from guardrail.audit._verify import read_records
from guardrail.errors import TrailError
from scripts.trail_faults import kills
from tests.audit_support import child, crashed_trail, denial, flip, make_trail, open_trail, segments

KILLS = 10

_WRITE_UNTIL_ERROR = """
import os, struct, sys
from guardrail.audit import Trail
from guardrail.errors import TrailError
code = 0
try:
    trail = Trail.open(sys.argv[1], segment_bytes=4096, checkpoint_seconds=1e6, timeout_seconds=60)
    for number in range(24):
        seq = trail.append({"kind": "x", "number": number, "pad": "y" * 200})
        os.write(1, struct.pack(">Q", seq))
except TrailError as error:
    code = 3
    try:
        trail.append({"kind": "late"})
        code = 4
    except (TrailError, NameError):
        pass
os._exit(code)
"""


def test_no_acknowledged_record_is_lost_to_a_kill(tmp_path: Path) -> None:
    """Ten SIGKILLs at random moments, four threads, through rotations and checkpoints, into the same trail."""
    count = kills(tmp_path, KILLS, random.Random(4711))
    assert (count["lost"], count["not as written"], count["kills"]) == (0, 0, KILLS)
    assert count["acknowledged records"] > 50


def test_a_cut_at_any_byte_leaves_a_prefix(tmp_path: Path) -> None:
    """A crashed trail, its segment cut at many places: what is read is always the beginning, and grows with the cut."""
    directory = crashed_trail(tmp_path / "t")
    (path,) = segments(directory)
    data = path.read_bytes()
    end = data.rfind(MAGIC)
    end += FRAME_BYTES + struct.unpack_from(">I", data, end + 4)[0]
    sizes: list[int] = []
    for cut in [*range(0, end, 11), end - 1, end, end + 1, len(data)]:
        copy = _copy(directory, tmp_path / "cut")
        (copy / path.name).write_bytes(data[:cut])
        with open_trail(copy, segment_bytes=1 << 16) as trail:
            sizes.append(trail.size)
            trail.append(denial(99))
        numbers = [record["number"] for _, record in read_records(copy)]
        assert numbers == [*range(sizes[-1]), 99]
        assert verify(copy).ok
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (0, 6)


def test_a_cut_below_a_checkpoint_is_refused(tmp_path: Path) -> None:
    """What was signed cannot be lost in a crash, so it was taken away."""
    directory = make_trail(tmp_path / "t", 6, segment_bytes=1 << 16)
    (path,) = segments(directory)
    data = path.read_bytes()
    for cut in (0, 1, FRAME_BYTES, data.rfind(MAGIC), data.rfind(MAGIC) + 40):
        path.write_bytes(data[:cut])
        with pytest.raises(TrailError, match="6 were signed"):
            open_trail(directory)
    path.unlink()
    with pytest.raises(TrailError, match="6 were signed"):
        open_trail(directory)


def test_a_flipped_bit_in_synced_data_is_refused_or_only_shortens_the_last_batch(tmp_path: Path) -> None:
    """Before the last batch it proves damage; in the last batch it looks like a torn write."""
    directory = crashed_trail(tmp_path / "t")
    (path,) = segments(directory)
    data = path.read_bytes()
    last = data.rfind(MAGIC)
    end = last + FRAME_BYTES + struct.unpack_from(">I", data, last + 4)[0]
    refused = shortened = 0
    for offset in range(0, end, 13):
        copy = _copy(directory, tmp_path / "flip")
        flip(copy / path.name, offset, 1 << offset % 8)
        try:
            with open_trail(copy, segment_bytes=1 << 16) as trail:
                assert trail.size == 5
                shortened += 1
                assert offset >= last
        except TrailError:
            assert offset < last
            refused += 1
    assert refused > 20
    assert shortened > 2


def test_a_torn_batch_never_comes_back_to_life(tmp_path: Path) -> None:
    """Of a batch only its later half reached the disk: it is wiped, and what is written there next is all there is."""
    directory = crashed_trail(tmp_path / "t", 3)
    (path,) = segments(directory)
    data = path.read_bytes()
    second = data.find(MAGIC, 1)
    third = data.find(MAGIC, second + 1)
    frame = read_frame(data, third)
    assert frame is not None
    # The same bytes as one batch of three whose first two frames never arrived would carry place 2; make the hole
    # in the last batch only, which is the third record.
    path.write_bytes(data[:third] + bytes(8) + data[third + 8 :])
    with open_trail(directory, segment_bytes=1 << 16) as trail:
        assert trail.size == 2
        assert path.read_bytes()[third:].strip(b"\0") == b""
        assert trail.append(denial(7)) == 2
    assert [record["number"] for _, record in read_records(directory)] == [0, 1, 7]


@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_missing_segment_is_refused(tmp_path: Path, which: int) -> None:
    """The first, a middle and the last one, with and without the saved frontier."""
    directory = make_trail(tmp_path / "t", 60)
    assert len(segments(directory)) > 3
    segments(directory)[which].unlink()
    (directory / "frontier").unlink()
    with pytest.raises(TrailError, match=r"is damaged|were signed"):
        open_trail(directory)


def test_a_trail_put_back_to_an_older_state_is_refused_while_its_checkpoints_remember(tmp_path: Path) -> None:
    """An old copy of the segments under the newer checkpoints."""
    directory = make_trail(tmp_path / "t", 20)
    old = _copy(directory, tmp_path / "old")
    make_trail(directory, 20)
    for path in segments(directory):
        path.unlink()
    for path in [*segments(old), old / "frontier"]:
        shutil.copy(path, directory)
    with pytest.raises(TrailError, match="40 were signed"):
        open_trail(directory)


def test_other_records_under_the_same_checkpoints_are_refused(tmp_path: Path) -> None:
    """A trail of the same length with other content has another root."""
    directory, other = make_trail(tmp_path / "t", 5), make_trail(tmp_path / "other", 5)
    shutil.copy(segments(other)[0], segments(directory)[0])
    with pytest.raises(TrailError, match="not those that were signed"):
        open_trail(directory)


def test_removed_checkpoints_are_refused(tmp_path: Path) -> None:
    """Records without any checkpoint cannot come from a crash: the first note is older than the first record."""
    directory = make_trail(tmp_path / "t", 5)
    (directory / "checkpoints").unlink()
    with pytest.raises(TrailError, match="5 records but no `checkpoints`"):
        open_trail(directory)


def test_a_wrong_saved_frontier_is_not_believed(tmp_path: Path) -> None:
    """It is signed, checked against the records that follow, and otherwise everything is read."""
    directory = make_trail(tmp_path / "t", 60)
    path = directory / "frontier"
    text = path.read_text()
    previous = re.search(r'"previous": "([0-9a-f]+)"', text)
    assert previous is not None
    for wrong in (text.replace(previous[1], "00" * 8), "{}", "[]", text.replace("edge", "hedge"), text[:50]):
        path.write_text(wrong)
        with open_trail(directory) as trail:
            assert trail.size == 60


@pytest.mark.slow
@pytest.mark.parametrize("call", ["fdatasync", "fsync", "pwrite64", "fallocate", "rename", "ftruncate"])
@pytest.mark.parametrize("when", [1, 2, 7])
def test_an_error_of_the_kernel_is_told_and_loses_nothing(tmp_path: Path, call: str, when: int) -> None:
    """Strace makes one system call fail with EIO: a TrailError, final, and every acknowledged record is there after."""
    if shutil.which("strace") is None:
        if os.environ.get("CI"):
            pytest.fail("strace is needed in CI")
        pytest.skip("strace is not installed")
    directory = make_trail(tmp_path / "t", 3)
    log = tmp_path / "log"
    before = ("strace", "-f", "-qq", "-o", str(log), "-P", str(directory), "-e", f"trace={call}")
    before += ("-e", f"inject={call}:error=EIO:when={when}")
    # -P selects calls on these files only, so that the interpreter's own start is left alone.
    names = [directory / name for name in ("checkpoints", "frontier", "frontier.new", "lock")]
    names += [*segments(directory), *(directory / f"{n:020d}.seg" for n in range(60))]
    before += tuple(word for name in names for word in ("-P", str(name)))
    process = child(_WRITE_UNTIL_ERROR, directory, before=before)
    out, error = process.communicate(timeout=120)
    acknowledged = [seq for (seq,) in struct.iter_unpack(">Q", out)]
    injected = "(INJECTED)" in log.read_text()
    assert injected or when > 2, "the system call was not made often enough"
    assert process.returncode == (3 if injected else 0), error.decode()
    assert injected or len(acknowledged) == 24
    with open_trail(directory) as trail:
        assert trail.size >= len(acknowledged) + 3
    assert verify(directory).ok


def _copy(directory: Path, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(directory, to)
    return to
