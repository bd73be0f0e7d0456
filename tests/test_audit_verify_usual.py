"""The verifier's short way with the records that a guard writes most: quick, and never less strict."""

from __future__ import annotations

from pathlib import Path

import msgspec
import orjson
import pytest

from guardrail import Decision, Effect, Outcome, Resource, Subject, ToolCall
from guardrail.audit import _verify_frames, _verify_scan, _verify_usual, verify
from guardrail.audit._report import Problem
from guardrail.audit._verify_format import read_leaf
from guardrail.audit._verify_usual import usual_reader
from guardrail.audit.entries import decision_record, result_record
from guardrail.audit.reading import read_leaves
from guardrail.model import Reason
from tests.audit_support import flip, open_trail, segments

SHAPES = [kind for kind in vars(_verify_usual).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """A decision, an intent and its result, as the guard writes them of a call on an asset."""
    call = ToolCall(
        tool="bash", args={"command": "x"}, id="call_1", session="s", subject=Subject(id="ops", principal="d@e.com")
    )
    weights = Resource(kind="file", path='/srv/beta/w\n\t"\\\x7fé', dev=1, ino=2, asset="model:beta")
    effect = Effect(op="read", resource=weights)
    released = Decision(
        decision_id="d", outcome=Outcome.ALLOW, effects=(effect,), digest="sha256:00", policy="p", engine="wasm"
    )
    denied = msgspec.structs.replace(
        released, outcome=Outcome.DENY, reasons=(Reason(rule="copy.unsanctioned", outcome=Outcome.DENY, message="no"),)
    )
    with open_trail(tmp_path / "t") as writer:
        writer.append(decision_record(call, denied, False, b'{"time_us":1}'))
        seq = writer.append(decision_record(call, released, False, b'{"time_us":1}'))
        writer.append(result_record(call, msgspec.structs.replace(released, seq=seq), ValueError("x")))
    return tmp_path / "t"


def test_what_a_guard_writes_of_a_call_is_read_the_quick_way(trail: Path) -> None:
    """A field that is new in these records and not among the shapes would slow every verification down."""
    leaves = [found.leaf for found in read_leaves(trail)]
    assert len(leaves) == 3
    for leaf, record in zip(leaves, usual_reader()(leaves), strict=True):
        assert record is not None, leaf


@pytest.mark.parametrize("shape", SHAPES)
def test_the_fields_of_every_shape_stand_in_canonical_order(shape: type[msgspec.Struct]) -> None:
    """Otherwise a leaf in that wrong order would pass."""
    assert list(shape.__struct_fields__) == sorted(shape.__struct_encode_fields__)
    assert shape.__struct_config__.forbid_unknown_fields


def test_no_leaf_that_the_slow_way_refuses_is_taken_the_quick_way(trail: Path) -> None:
    """Each byte of real leaves in turn is left out, doubled, or another; and other spellings of the same values."""
    read, taken, refused = usual_reader(), 0, 0
    others = [
        b'{"kind":"intent","log":"l","seq":1.0}',
        b'{"kind":"intent","log":"l","seq":-0}',
        b'{"kind":"intent","log":"l","seq":1e0}',
        b'{"kind":"intent","log":"l","seq":9007199254740992}',
        b'{"kind":"intent","log":"l","seq":true}',
        b'{"kind":"intent","log":null,"seq":1}',
        b'{"kind":"intent","log":"\\u006c","seq":1}',
        b'{"kind":"intent","log":"\\/","seq":1}',
        b'{"kind":"intent","log":"\\u001F","seq":1}',
        b'{"kind":"intent","log":"\\ud800","seq":1}',
        b'{"kind":"intent","log":"\xed\xa0\x80","seq":1}',
        b'{"kind":"intent","log":"\xff","seq":1}',
        b'{"kind":"intent","kind":"intent","log":"l","seq":1}',
        b'{"log":"l","kind":"intent","seq":1}',
    ]
    for leaf in [found.leaf for found in read_leaves(trail)]:
        for at in range(len(leaf)):
            others += [leaf[:at] + leaf[at + 1 :], leaf[:at] + leaf[at : at + 1] + leaf[at:]]
            others += [leaf[:at] + bytes([leaf[at] ^ bit]) + leaf[at + 1 :] for bit in (1, 16, 32)]
    for leaf in others:
        (record,) = read([leaf])
        if record is None:
            refused += 1
            continue
        taken += 1
        assert read_leaf(leaf) == orjson.loads(msgspec.json.encode(record)), leaf
    assert taken > 100
    assert refused > 1000


def test_a_leaf_is_read_the_same_alone_and_among_others(trail: Path) -> None:
    """Many are compared at once: one that is not canonical must not hide behind its neighbours, nor spoil them."""
    read, good = usual_reader(), [found.leaf for found in read_leaves(trail)]
    one, two, three = good
    cut = one.index(b",") + 1
    bad = [
        [one + b"\n" + two],
        [one + b"\n", two],
        [one, b"\n" + two],
        [one, b"\n", two],
        [one[:cut], one[cut:], two],
        [one[:cut] + b"\n" + one[cut:], two],
        [one, two.replace(b":", b": ", 1), three],
        [one, b'{"kind":"vote"}', three],
        [two, b"", one],
        [],
    ]
    for leaves in [good, *bad]:
        assert read(leaves) == [read([leaf])[0] for leaf in leaves]
    assert read(bad[0]) == [None]
    assert read(bad[6])[1] is None
    assert None not in read(good)


@pytest.mark.parametrize("block", [100, 1000, 61_472, 70_000, 262_144])
def test_frames_are_taken_in_runs_as_they_are_one_by_one(
    trail: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever lies at the edge of what is read at a time, and whatever byte is another: the report is the same."""
    with open_trail(trail, segment_bytes=1 << 20) as writer:
        for size in (1, 60_000, 3_000, 60_900, 5):
            writer.append({"kind": "decision", "text": "x" * size})
            writer.append({"kind": "retention" if size == 1 else "intent"})
    path = segments(trail)[-1]
    offsets = [found.offset for found in read_leaves(trail) if found.seq >= int(path.stem)]
    # Magic, length, number, place, link, checksum and leaf; and one of the zeros behind the last frame.
    flips = [None, *[at + part for at in offsets for part in (0, 5, 9, 17, 21, 29, 33)], path.stat().st_size - 1]
    reports: list[list[Problem]] = []
    for runs in (_verify_frames.runs, lambda path, seq: iter(())):
        monkeypatch.setattr(_verify_scan, "runs", runs)
        monkeypatch.setattr(_verify_frames, "_BLOCK_BYTES", block)
        for at in flips:
            if at is not None:
                flip(path, at, 0x01)
            for deep in (True, False):
                report = verify(trail, deep=deep)
                reports.append([Problem(what=f"{report.records} {report.root} {report.size}"), *report.problems])
            if at is not None:
                flip(path, at, 0x01)
    half = len(reports) // 2
    assert reports[:half] == reports[half:]
    assert all(len(report) > 1 for report in reports[2:half])


def test_one_flipped_byte_in_a_usual_record_is_found_in_it(trail: Path) -> None:
    """Every byte of every leaf, with the checksum that was there."""
    (path,) = segments(trail)
    for found in read_leaves(trail):
        for offset in range(found.offset, found.offset + 32 + len(found.leaf), 5):
            flip(path, offset, 0x11)
            report = verify(trail)
            flip(path, offset, 0x11)
            first = report.problems[0]
            assert (first.file, first.seq) == (path.name, found.seq), (offset, first)
