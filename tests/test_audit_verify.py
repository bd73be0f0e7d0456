"""The verifier: whatever is done to a trail, it is found, and found in the right place."""

from __future__ import annotations

import ast
import base64
import dataclasses
import shutil
import struct
import sys
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest

from guardrail.audit import _verify, _verify_format, _verify_pool, verify
from guardrail.audit._report import Report
from guardrail.audit._segment import CRC, FRAME_BYTES, HEAD, MAGIC
from guardrail.audit._verify_format import read_leaf
from guardrail.audit._verify_note import read_key, read_note
from tests.audit_support import crashed_trail, denial, end_process, flip, intent, make_trail, open_trail, segments

EXAMPLE_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
"""The key of the example in the documentation of signed notes."""


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """Forty records over several segments, closed."""
    return make_trail(tmp_path / "t", 40)


def frames(path: Path) -> list[tuple[int, int]]:
    """Start and end of every frame in a segment."""
    data, at, found = path.read_bytes(), 0, []
    while data[at : at + 4] == MAGIC:
        end = at + FRAME_BYTES + struct.unpack_from(">I", data, at + 4)[0]
        found.append((at, end))
        at = end
    return found


def edit(data: bytes, at: int, change: Callable[[bytes], bytes]) -> bytes:
    """Change the leaf of one frame and make its checksum right again, as a careful forger would."""
    magic, length, seq, place, previous = HEAD.unpack_from(data, at)
    leaf = change(data[at + FRAME_BYTES : at + FRAME_BYTES + length])
    head = HEAD.pack(magic, len(leaf), seq, place, previous)
    frame = head + CRC.pack(zlib.crc32(leaf, zlib.crc32(head))) + leaf
    return data[:at] + frame + data[at + FRAME_BYTES + length :]


def says(report: Report, text: str, *, file: str = "", seq: int | None = None) -> bool:
    """Whether the report is not ok and names this."""
    return not report.ok and any(
        text in problem.what and (not file or problem.file == file) and (seq is None or problem.seq == seq)
        for problem in report.problems
    )


# ── what is good ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_good_trail_is_as_written(trail: Path) -> None:
    """Deep and light agree; everything is signed; the root is the writer's."""
    with open_trail(trail) as writer:
        root = writer.root.hex()
    for deep in (True, False):
        report = verify(trail, deep=deep)
        assert report.ok
        assert bool(report)
        assert report.problems == ()
        assert (report.records, report.signed, report.root) == (40, 40, root)
        assert report.checkpoints == report.segments + 1
        assert report.key_source == "trail"


def test_an_empty_trail_is_as_written(tmp_path: Path) -> None:
    """Its first checkpoint covers no record."""
    report = verify(make_trail(tmp_path / "t", 0))
    assert report.ok
    assert (report.records, report.checkpoints) == (0, 1)


def test_a_trail_can_be_verified_while_it_is_written(tmp_path: Path) -> None:
    """What is not signed yet is counted, and said to be so."""
    with open_trail(tmp_path / "t", segment_bytes=1 << 16) as writer:
        for number in range(5):
            writer.append(denial(number))
        report = verify(tmp_path / "t")
        assert report.ok
        assert report.live
        assert (report.records, report.signed) == (5, 0)


def test_a_busy_writer_never_makes_its_own_trail_look_damaged(tmp_path: Path) -> None:
    """Verified over and over while four threads write, rotate and sign."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            writer.append(denial(40))

    with (
        open_trail(tmp_path / "t", segment_bytes=1 << 15, checkpoint_seconds=0.005, timeout_seconds=60) as writer,
        ThreadPoolExecutor(4) as pool,
    ):
        running = [pool.submit(work) for _ in range(4)]
        try:
            reports = [verify(tmp_path / "t", deep=number % 2 == 0) for number in range(30)]
        finally:
            stop.set()
        for one in running:
            one.result(timeout=60)
    assert [report.problems for report in reports if not report.ok] == []
    assert reports[-1].records > reports[0].records
    assert verify(tmp_path / "t").ok


def test_a_batch_in_flight_is_no_problem_while_a_writer_lives_and_one_when_it_is_gone(tmp_path: Path) -> None:
    """Half a frame at the end: being written, or torn."""
    with open_trail(tmp_path / "t", segment_bytes=1 << 16) as writer:
        writer.append(denial(0))
        (path,) = segments(tmp_path / "t")
        end = frames(path)[-1][1]
        with path.open("r+b") as stream:
            stream.seek(end)
            stream.write(MAGIC + b"\0\0")
        assert verify(tmp_path / "t").ok
        shutil.copytree(tmp_path / "t", tmp_path / "dead")
        with path.open("r+b") as stream:
            stream.seek(end)
            stream.write(bytes(6))
    assert says(verify(tmp_path / "dead"), "", file=path.name, seq=1)


def test_several_processes_find_what_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good trail, and one that is damaged in two segments, has lost a third, and answers a call twice."""
    monkeypatch.setattr(_verify_pool, "WORTH_BYTES", 0)
    with open_trail(tmp_path / "t") as writer:
        opened = [writer.append(intent(number)) for number in range(40)]
        for seq in (*opened[:30], opened[3]):
            writer.append({"kind": "result", "intent": seq, "result": "completed"})
    paths = segments(tmp_path / "t")
    for change in (lambda: None, lambda: flip(paths[1], 60), paths[3].unlink, lambda: flip(paths[-1], 400)):
        change()
        one, two = (dataclasses.asdict(verify(tmp_path / "t", jobs=jobs)) for jobs in (1, 2))
        assert {**one, "seconds": 0} == {**two, "seconds": 0}
    assert one["problems"]


def test_a_process_that_is_ended_while_it_reads_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a report, and not a traceback: what was not read is not verified."""
    monkeypatch.setattr(_verify_pool, "WORTH_BYTES", 0)
    monkeypatch.setattr(_verify_pool, "scan", end_process)
    make_trail(tmp_path / "t", 40)
    with pytest.raises(OSError, match="with fewer `--jobs`"):
        verify(tmp_path / "t", jobs=2)


def test_progress_is_told_up_to_the_end(trail: Path) -> None:
    """The last call names all bytes."""
    calls: list[tuple[int, int, int]] = []
    report = verify(trail, progress=lambda *numbers: calls.append(numbers))
    assert calls[-1] == (40, report.size, report.size)


def test_the_verifier_shares_no_code_with_the_writer() -> None:
    """Its modules import the standard library, `cryptography`, and each other; `orjson` may be missing.

    That of tables also needs a driver.
    """
    folder = Path(str(_verify.__file__)).parent
    modules = sorted([*folder.glob("_verify*.py"), *folder.glob("postgres/_verify*.py")])
    assert len(modules) > 5
    allowed = {"guardrail.audit._report", "cryptography", "msgspec", "orjson", "guardrail.errors", "psycopg"}
    allowed |= {f"guardrail.audit.{one.stem}" for one in modules} | {"guardrail.audit.postgres._verify"}
    for module in modules:
        for node in ast.walk(ast.parse(module.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert name is not None
                top = name.split(".")[0]
                assert name in allowed or top in allowed or top in sys.stdlib_module_names, name


# ── flipped bytes ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_flipped_byte_in_any_frame_is_found_in_its_record(trail: Path) -> None:
    """Header, checksum and payload, over all segments: the first problem names the segment and the record."""
    seq = 0
    for path in segments(trail):
        for start, end in frames(path):
            for offset in (
                start,
                start + 3,
                start + 5,
                start + 12,
                start + 17,
                start + 22,
                start + 30,
                start + 33,
                end - 1,
            ):
                flip(path, offset, 0x11)
                report = verify(trail)
                flip(path, offset, 0x11)
                first = report.problems[0]
                assert (first.file, first.seq) == (path.name, seq), (offset - start, first)
                assert first.offset is not None
                assert start <= first.offset < end
            seq += 1
    assert verify(trail).ok


def test_one_flipped_byte_in_the_padding_is_found(trail: Path) -> None:
    """Behind the last record there are zeros and nothing else."""
    path = segments(trail)[-1]
    end = frames(path)[-1][1]
    for offset in (end, end + 1, end + 40, path.stat().st_size - 1):
        flip(path, offset, 0x80)
        report = verify(trail)
        flip(path, offset, 0x80)
        assert says(report, "bytes that are no record follow the last one", file=path.name)
        assert report.problems[0].offset == offset


@pytest.mark.parametrize("name", ["checkpoints", "trail.vkey", "frontier"])
def test_one_flipped_byte_in_any_other_evidence_is_found(trail: Path, name: str) -> None:
    """Every byte, of a long file every few, several masks: text, signature, line ends."""
    path = trail / name
    size = path.stat().st_size
    for offset in range(0, size, 1 + size // 800):
        for mask in (0x01, 0x20) if offset % 3 == 0 else (0x04,):
            flip(path, offset, mask)
            report = verify(trail, deep=False)
            flip(path, offset, mask)
            assert not report.ok, (offset, mask)
            if name == "checkpoints":
                bad = [problem for problem in report.problems if problem.file == name]
                assert bad
                assert bad[0].offset is not None
                assert bad[0].offset <= offset
    assert verify(trail).ok


def test_a_record_that_was_rewritten_with_its_checksum_is_found_by_the_chain(trail: Path) -> None:
    """The next frame was chained to what stood there before."""
    path = segments(trail)[1]
    start, _ = frames(path)[1]
    path.write_bytes(edit(path.read_bytes(), start, lambda leaf: leaf.replace(b'"deny"', b'"dent"')))
    seq = int(path.name[:20]) + 1
    report = verify(trail)
    assert says(report, "that one was changed", file=path.name, seq=seq)
    assert report.problems[0].seq == seq


def test_the_last_record_rewritten_with_its_checksum_is_found_by_the_tree(trail: Path) -> None:
    """Nothing is chained to it, but the checkpoint at closing covers it."""
    path = segments(trail)[-1]
    start, _ = frames(path)[-1]
    path.write_bytes(edit(path.read_bytes(), start, lambda leaf: leaf.replace(b'"deny"', b'"dent"')))
    report = verify(trail)
    assert says(report, "are not those that were signed")
    assert report.signed < 40


def test_a_whole_chain_rewritten_from_a_record_on_is_found_by_the_tree(trail: Path) -> None:
    """A forger who mends every checksum and link behind the edit still lacks the key."""
    paths = segments(trail)
    data = paths[0].read_bytes()
    start, _ = frames(paths[0])[2]
    _rechain(paths, edit(data, start, lambda leaf: leaf.replace(b'"deny"', b'"dent"')))
    report = verify(trail)
    assert says(report, "are not those that were signed", file="checkpoints", seq=0)


def _rechain(paths: list[Path], first: bytes) -> None:
    import hashlib

    previous = bytes(8)
    for index, path in enumerate(paths):
        data, out, at = first if index == 0 else path.read_bytes(), b"", 0
        while data[at : at + 4] == MAGIC:
            magic, length, seq, place, _ = HEAD.unpack_from(data, at)
            leaf = data[at + FRAME_BYTES : at + FRAME_BYTES + length]
            head = HEAD.pack(magic, length, seq, place, previous)
            out += head + CRC.pack(zlib.crc32(leaf, zlib.crc32(head))) + leaf
            previous = hashlib.sha256(b"\0" + leaf).digest()[:8]
            at += FRAME_BYTES + length
        path.write_bytes(out + data[at:])


# ── cuts, swaps and replacements ──────────────────────────────────────────────────────────────────────────────────────


def test_a_removed_middle_record_is_found(trail: Path) -> None:
    """The frames behind it moved up."""
    path = segments(trail)[0]
    start, end = frames(path)[2]
    data = path.read_bytes()
    path.write_bytes(data[:start] + data[end:])
    report = verify(trail)
    assert says(report, "record 2 is missing", file=path.name, seq=3)
    assert report.problems[0].offset == start


def test_a_swapped_pair_is_found(trail: Path) -> None:
    """Two whole records in the wrong order."""
    path = segments(trail)[0]
    (_, _), (a, b), (_, c) = frames(path)[:3]
    data = path.read_bytes()
    path.write_bytes(data[:a] + data[b:c] + data[a:b] + data[c:])
    report = verify(trail)
    assert says(report, "record 1 is missing", file=path.name, seq=2)
    assert says(report, "stands where record 3 belongs", file=path.name, seq=1)


def test_a_record_that_was_put_in_is_found(trail: Path) -> None:
    """A copy of an earlier record between two others."""
    path = segments(trail)[0]
    (a, b), (_, c) = frames(path)[:2]
    data = path.read_bytes()
    path.write_bytes(data[:c] + data[a:b] + data[c:])
    assert says(verify(trail), "stands where record 2 belongs", file=path.name, seq=0)


def test_records_cut_off_the_end_are_found(trail: Path) -> None:
    """Exactly at a frame's end, with zeros put in its place, so that no checksum is wrong."""
    path = segments(trail)[-1]
    start, _ = frames(path)[-1]
    data = path.read_bytes()
    path.write_bytes(data[:start] + bytes(len(data) - start))
    report = verify(trail)
    assert says(report, "40 records were signed, but the trail ends after 39", file="checkpoints", seq=39)


@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_deleted_segment_is_found(trail: Path, which: int) -> None:
    """The first, a middle one, the last."""
    path = segments(trail)[which]
    path.unlink()
    report = verify(trail)
    missing = int(path.name[:20])
    assert not report.ok
    if which == -1:
        assert says(report, "it was cut back")
    else:
        assert says(report, f"records {missing} to", seq=missing)


@pytest.mark.parametrize("name", ["checkpoints", "trail.vkey"])
def test_a_deleted_file_of_evidence_is_found(trail: Path, name: str) -> None:
    """No checkpoints, or no key to check them with."""
    (trail / name).unlink()
    assert says(verify(trail), "", file=name)


def test_an_emptied_directory_is_not_a_good_trail(tmp_path: Path) -> None:
    """Nothing at all proves nothing at all."""
    report = verify(tmp_path)
    assert says(report, "no verifier key")
    assert says(report, "nothing in this trail is proven")
    assert not report


def test_a_trail_replaced_as_a_whole_is_found_by_whoever_kept_its_key(trail: Path, tmp_path: Path) -> None:
    """Another trail of the same name, signed with another key, agrees with itself and not with the key."""
    key = (trail / "trail.vkey").read_text().strip()
    other = make_trail(tmp_path / "other", 40)
    assert verify(other).ok
    report = verify(other, vkey=key)
    assert says(report, "is not the key that was given", file="trail.vkey")
    assert says(report, "by another ledger or key", file="checkpoints")
    assert verify(trail, vkey=key).ok
    assert verify(trail, vkey=key).key_source == "given"


def test_a_trail_cut_back_with_its_checkpoints_is_found_by_whoever_kept_one(trail: Path) -> None:
    """The older state is a good trail; a checkpoint from outside shows that it is the older state."""
    older = trail.with_name("older")
    shutil.copytree(trail, older)
    make_trail(trail, 10)
    kept = "".join((trail / "checkpoints").read_text().splitlines(keepends=True)[-5:])
    assert verify(trail, checkpoint=kept).ok
    assert verify(older).ok
    report = verify(older, checkpoint=kept)
    assert says(report, "50 records were signed, but the trail ends after 40", file="the given checkpoint")
    assert says(verify(trail, checkpoint="nonsense"), "", file="the given checkpoint")


def test_a_checkpoint_of_another_ledger_is_found(trail: Path, tmp_path: Path) -> None:
    """A genuine note, of somebody else."""
    other = make_trail(tmp_path / "other", 3)
    with (trail / "checkpoints").open("ab") as stream:
        stream.write((other / "checkpoints").read_bytes())
    assert says(verify(trail), "by another ledger or key", file="checkpoints")


def test_checkpoints_out_of_order_are_found(trail: Path) -> None:
    """A checkpoint that covers less than the one before says that the log went backwards."""
    path = trail / "checkpoints"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines + lines[:5]))
    assert says(verify(trail), "fewer than the one before", file="checkpoints")


def test_a_file_that_is_not_named_like_a_segment_is_found(trail: Path) -> None:
    """Nobody may hide records under a name that is passed over."""
    shutil.copy(segments(trail)[0], trail / "extra.seg")
    assert says(verify(trail), "not named like a segment", file="extra.seg")


def test_more_problems_than_the_limit_are_counted(trail: Path) -> None:
    """The report stays readable and says how many it leaves out."""
    for path in segments(trail):
        for start, _ in frames(path):
            flip(path, start + FRAME_BYTES)
    report = verify(trail, limit=5)
    assert len(report.problems) == 5
    assert report.more >= 35


def test_damage_in_one_place_does_not_hide_damage_in_another(trail: Path) -> None:
    """After an unreadable record the reading goes on."""
    first, last = segments(trail)[0], segments(trail)[-1]
    flip(first, frames(first)[1][0] + FRAME_BYTES)
    flip(last, frames(last)[0][0] + FRAME_BYTES)
    report = verify(trail)
    assert [problem.file for problem in report.problems] == [first.name, last.name]
    assert report.root == ""


# ── leaves ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "leaf",
    [
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a": 1}',
        b'{"a":1.0}',
        b'{"a":[1.5]}',
        b'{"a":[0,1e3]}',
        b'{"a":9007199254740992}',
        b'{"a":-9007199254740992}',
        b'{"a":[9007199254740993]}',
        b'{"a":123456789012345678901234567890}',
        b'{"a":-0}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\/"}',
        b'{"a":NaN}',
        b'{"\xc3\xa9":1}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b"[1]",
        b"1",
        b"",
        b"{",
        b'{"a":' + b"[" * 254 + b"]" * 254 + b"}",
        b'{"a":' + b'{"b":' * 500 + b"1" + b"}" * 500 + b"}",
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_a_leaf_that_could_be_written_in_another_way_is_refused(leaf: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without the fast parser."""
    with pytest.raises(ValueError):
        read_leaf(leaf)
    monkeypatch.setattr(_verify_format, "_orjson", None)
    with pytest.raises(ValueError):
        read_leaf(leaf)


@pytest.mark.parametrize(
    "inner", [b"[" * 253 + b"]" * 253, b'"' + b"[" * 5000 + b'\\"[{"', b"[[],{}," * 100 + b"[]" + b"]" * 100]
)
def test_a_leaf_as_deep_as_one_can_be_written_is_read(inner: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is that of the writer, brackets in text do not count, and both parsers agree."""
    leaf = b'{"a":' + inner + b"}"
    assert orjson.dumps(read_leaf(leaf)) == leaf
    monkeypatch.setattr(_verify_format, "_orjson", None)
    assert orjson.dumps(read_leaf(leaf)) == leaf


def test_a_leaf_with_the_wrong_number_or_ledger_is_found(tmp_path: Path) -> None:
    """A frame says record 1, its leaf says record 7: signed by the writer or not, it is not as it should be."""
    directory = crashed_trail(tmp_path / "t", 3)
    (path,) = segments(directory)
    start, _ = frames(path)[2]
    data = edit(path.read_bytes(), start, lambda leaf: leaf.replace(b'"seq":2', b'"seq":7'))
    path.write_bytes(edit(data, start, lambda leaf: leaf.replace(b"guardrail.local", b"guardrail.other")))
    report = verify(directory)
    assert says(report, "calls itself record 7", seq=2)
    assert says(report, "names another ledger", seq=2)


def test_intents_are_paired_with_results(tmp_path: Path) -> None:
    """Intents that nothing was heard of are counted; a result of nothing, or a second one, is a problem."""
    with open_trail(tmp_path / "t") as writer:
        first = writer.append(intent())
        writer.append(intent())
        writer.append({"kind": "result", "intent": first})
    report = verify(tmp_path / "t")
    assert report.ok
    assert report.unfinished == 1
    with open_trail(tmp_path / "t") as writer:
        second = writer.append({"kind": "result", "intent": first})
        stray = writer.append({"kind": "result", "intent": 99})
    report = verify(tmp_path / "t")
    assert says(report, f"a second result of record {first}", seq=second)
    assert says(report, "the result of `99`", seq=stray)
    assert verify(tmp_path / "t", deep=False).ok


# ── keys and notes ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_published_example_of_a_signed_note_verifies() -> None:
    """The note and key of the C2SP signed-note documentation, as Go's own implementation publishes them."""
    key = read_key(EXAMPLE_KEY)
    text = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    raw = base64.b64decode(
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    )
    assert raw[:4] == key.key_id
    assert key.check(raw[4:], text)
    assert not key.check(raw[4:], text + b"x")


@pytest.mark.parametrize(
    "vkey",
    ["", "x", "a+b", "a+00000000+AA==", "a+00000000+" + "A" * 44, EXAMPLE_KEY.replace("c74f20a3", "c74f20a4")],
)
def test_what_is_no_verifier_key_is_refused(trail: Path, vkey: str) -> None:
    """And a report made with it is not ok."""
    with pytest.raises(ValueError, match=r"is not|does not|holds"):
        read_key(vkey)
    if vkey:
        assert says(verify(trail, vkey=vkey), "the given key")


def test_a_note_is_read_only_if_it_is_exact(trail: Path) -> None:
    """Leading zeros, other dashes, missing and further lines."""
    note = b"".join((trail / "checkpoints").read_bytes().splitlines(keepends=True)[:5])
    assert read_note(note).size == 0
    for wrong in (
        note.replace(b"\n0\n", b"\n00\n"),
        note.replace("— ".encode(), b"- "),
        note + b"\n",
        note[:-1],
        note.replace(b"\n\n", b"\n"),
        b"\xff" + note,
        note.replace(b"trail\n", b"other\n", 1),
    ):
        with pytest.raises(ValueError, match=r"is not|does not|has no|holds"):
            read_note(wrong)
