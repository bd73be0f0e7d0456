"""Generated damage: whatever is changed in a small trail, the verifier finds it and the writer does not go on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from guardrail.audit import verify
from guardrail.audit._verify import read_records
from guardrail.errors import TrailError
from tests.audit_support import make_trail, open_trail, segments

RECORDS = 12


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed trail of a few small segments."""
    return make_trail(tmp_path_factory.mktemp("bytes") / "t", RECORDS, segment_bytes=2048)


def evidence(directory: Path) -> list[Path]:
    """Every file whose bytes are evidence."""
    return [*segments(directory), directory / "checkpoints", directory / "trail.vkey", directory / "frontier"]


@given(data=st.data(), mask=st.integers(1, 255))
@settings(max_examples=400)
def test_any_changed_byte_is_found(good: Path, data: st.DataObject, mask: int) -> None:
    """Any byte of any file, changed in any way: the report is not ok and names that file first or the record in it."""
    path = data.draw(st.sampled_from(evidence(good)), label="file")
    original = path.read_bytes()
    offset = data.draw(st.integers(0, len(original) - 1), label="offset")
    changed = bytearray(original)
    changed[offset] ^= mask
    path.write_bytes(changed)
    try:
        report = verify(good)
    finally:
        path.write_bytes(original)
    assert not report.ok
    assert any(problem.file == path.name for problem in report.problems)


@given(data=st.data())
@settings(max_examples=150)
def test_any_cut_or_inserted_piece_is_found(good: Path, data: st.DataObject) -> None:
    """Bytes taken out of, or put into, the written part of a segment or the checkpoints."""
    path = data.draw(st.sampled_from([*segments(good), good / "checkpoints"]), label="file")
    original = path.read_bytes()
    end = len(original.rstrip(b"\0"))
    start = data.draw(st.integers(0, end - 1), label="start")
    piece = data.draw(st.binary(max_size=60), label="piece")
    stop = data.draw(st.integers(start, min(end, start + 200)), label="stop")
    changed = original[:start] + piece + original[stop:]
    assume(changed.rstrip(b"\0") != original.rstrip(b"\0"))
    path.write_bytes(changed)
    try:
        report = verify(good)
    finally:
        path.write_bytes(original)
    # Taking whole notes out of `checkpoints` leaves a good trail: fewer witnesses, the same records, all still signed
    # by a later note unless it was the last one.
    if path.name == "checkpoints" and report.ok:
        assert report.records == RECORDS
        assert changed in _without_whole_notes(original)
    else:
        assert not report.ok


def _without_whole_notes(original: bytes) -> list[bytes]:
    lines = original.splitlines(keepends=True)
    notes = [b"".join(lines[at : at + 5]) for at in range(0, len(lines), 5)]
    return [b"".join(notes[:a] + notes[b:]) for a in range(len(notes)) for b in range(a + 1, len(notes) + 1)]


@given(data=st.data(), mask=st.integers(1, 255))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(data=None, mask=1)
def test_the_writer_never_goes_on_with_fewer_records_than_were_signed(
    good: Path, tmp_path: Path, data: st.DataObject | None, mask: int
) -> None:
    """After any changed byte in the last segment, opening either refuses or still has every record."""
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(good, copy)
    path = segments(copy)[-1]
    changed = bytearray(path.read_bytes())
    offset = data.draw(st.integers(0, len(changed) - 1), label="offset") if data is not None else 0
    changed[offset] ^= mask
    path.write_bytes(changed)
    try:
        with open_trail(copy, segment_bytes=2048) as trail:
            assert trail.size == RECORDS
    except TrailError:
        return
    assert [record["number"] for _, record in read_records(copy)] == list(range(RECORDS))
    assert verify(copy).ok
