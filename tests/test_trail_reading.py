"""Reading a trail: which records are found, by the trail itself and by its index, and what follows while it grows."""

from __future__ import annotations

import argparse
import itertools
import json
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardrail.audit import Trail
from guardrail.audit.reading import Place, Selection, fields, follow, read_leaves, search
from guardrail.audit.reading import _leaves as leaves
from guardrail.audit.reading._index import Index, IndexUnusable, build_index, index_path
from guardrail.audit.reading._search import begin_of
from guardrail.cli import audit
from guardrail.cli._trail_options import numbers, when
from guardrail.errors import ConfigError, TrailError
from tests.audit_support import ROOT, flip, make_trail, open_trail, segments
from tests.trail_support import HOSTILE, decision, everything, make_everything, many


def guardrail(*words: object) -> int:
    """Run one command of `guardrail audit`."""
    parser = argparse.ArgumentParser()
    audit.add(parser.add_subparsers())
    args = parser.parse_args(["audit", *map(str, words)])
    code: int = args.run(args)
    return code


def seqs(directory: Path, selection: Selection, **options: Any) -> list[int]:
    """Numbers of the records that are found."""
    return [found.seq for found, _ in search(directory, selection, **options)]


# ── leaves ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_leaf_is_read_whatever_the_chunks_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that lies across two chunks is one frame."""
    directory = make_trail(tmp_path / "t", 60)
    whole = list(read_leaves(directory))
    assert [found.seq for found in whole] == list(range(60))
    for size in (1, 31, 64, 1000):
        monkeypatch.setattr(leaves, "CHUNK_BYTES", size)
        assert list(read_leaves(directory)) == whole
    middle = Place(whole[31].file, whole[31].offset, 31)
    assert list(read_leaves(directory, middle)) == whole[31:]


def test_a_trail_that_is_not_there_is_no_empty_one(tmp_path: Path) -> None:
    """Whoever searches it is told, and does not take nothing for an answer."""
    with pytest.raises(OSError, match="No such file"):
        list(read_leaves(tmp_path / "none"))
    with pytest.raises(OSError, match="No such file"):
        seqs(tmp_path / "none", Selection(agents=("x",)))
    with pytest.raises(TrailError, match="cannot read the trail in"):
        list(read_leaves(f"postgresql:///trail?host={tmp_path}"))


def test_a_damaged_record_is_passed_over_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those behind it are still read, in every chunk size, and the listing says that one is missing."""
    directory = make_trail(tmp_path / "t", 40)
    second = list(read_leaves(directory))[1]
    flip(directory / second.file, second.offset + 40)
    found = [leaf.seq for leaf in read_leaves(directory)]
    assert found == [0, *range(2, 40)]
    assert guardrail("show", directory) == 0
    assert "1 record cannot be read" in capsys.readouterr().err


def test_memory_does_not_grow_with_the_trail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading holds one chunk and one leaf, not a segment."""
    import tracemalloc

    monkeypatch.setattr(leaves, "CHUNK_BYTES", 1 << 14)
    directory = make_trail(tmp_path / "t", 2000, segment_bytes=1 << 24)
    size = sum(path.stat().st_size for path in segments(directory))
    tracemalloc.start()
    count = sum(1 for _ in read_leaves(directory))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 2000
    assert peak < 4 * leaves.CHUNK_BYTES + (1 << 15) < size / 8


def test_a_followed_trail_shows_what_is_written_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the end of a segment too, each record once and in order."""
    monkeypatch.setattr(leaves, "POLL_SECONDS", 0.001)
    with open_trail(tmp_path / "t") as trail:
        trail.append(decision(0))
        shown = follow(tmp_path / "t")
        assert [found.seq for found in itertools.takewhile(bool, shown) if found] == [0]
        for number in range(1, 30):
            trail.append(decision(number))
        assert len(segments(tmp_path / "t")) > 2
        later = (found for found in shown if found is not None)
        assert [next(later).seq for _ in range(29)] == list(range(1, 30))


def test_a_record_that_becomes_visible_late_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages of a batch may be seen in any order; what never comes is passed over after a while."""
    monkeypatch.setattr(leaves, "POLL_SECONDS", 0.0)
    directory = make_trail(tmp_path / "t", 3, segment_bytes=1 << 16)
    first, second, third = read_leaves(directory)
    flip(directory / second.file, second.offset + 40)
    shown = follow(directory, first.after)
    assert [next(shown) for _ in range(leaves.PATIENCE)] == [None] * leaves.PATIENCE
    flip(directory / second.file, second.offset + 40)
    assert next(shown) == second
    flip(directory / second.file, second.offset + 40)
    assert next(found for found in follow(directory, first.after) if found) == third


def test_tail_begins_with_the_last_and_goes_on(tmp_path: Path) -> None:
    """`-f` prints what is written after it began, filtered as asked, until its reader goes away."""
    with Trail.open(tmp_path / "t") as trail:
        for number in range(20):
            trail.append(decision(number, agent=f"a{number % 2}"))
        command = [sys.executable, "-m", "guardrail", "audit", "tail", "-f", "--last", "2", "--agent", "a1", "--json"]
        with subprocess.Popen([*command, str(tmp_path / "t")], stdout=subprocess.PIPE, cwd=ROOT) as child:
            assert child.stdout is not None
            guard = threading.Timer(120, child.kill)
            guard.start()
            assert [json.loads(child.stdout.readline())["seq"] for _ in range(2)] == [17, 19]
            trail.append(decision(20, agent="a0"))
            trail.append(decision(21, agent="a1"))
            assert json.loads(child.stdout.readline())["seq"] == 21
            child.terminate()
            guard.cancel()


# ── choosing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_records_are_found_by_everything_that_people_know_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By number, decision, call, agent, asset, rule, session, time and kind, with and without an index."""
    directory = make_everything(tmp_path / "t")
    asked: list[tuple[tuple[str, ...], list[int]]] = [
        (("--seq", "3"), [3]),
        (("--seq", "3-5"), [3, 4, 5]),
        (("--id", "d-3"), [3, 4]),
        (("--call", "call_3"), [3, 4]),
        (("--id", "e-2"), [25, 26]),
        (("--id", "m-2/gone"), [12]),
        (("--rule", "review.needed"), [2, 5]),
        (("--asset", "model:beta", "--kind", "intent"), [16]),
        (("--session", "s3",), [3, 4]),
        (("--agent", HOSTILE), [18]),
        (("--agent", "ops-agent", "--kind", "result"), [4, 30]),
        (("--since", "1h", "--kind", "gap"), [31]),
        (("--until", "1h"), []),
    ]  # fmt: skip
    for _ in range(2):
        for words, expected in asked:
            assert guardrail("show", directory, "--json", *words) == 0
            shown = [json.loads(line)["seq"] for line in capsys.readouterr().out.splitlines()]
            assert shown == expected, words
        assert guardrail("index", directory) == 0
        assert "39 records" in capsys.readouterr().out


def test_times_and_numbers_that_are_none_are_wrong_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One sentence says what may be given; a period that ends before it begins holds nothing by mistake."""
    assert when("2026-12-01") == 1_796_083_200_000_000
    assert when("2026-12-01T01:00+01:00") == when("2026-12-01")
    assert numbers("3-5") == (3, 5)
    directory = make_trail(tmp_path / "t", 1)
    for words in (("--since", "yesterday"), ("--seq", "5-3"), ("--seq", "x"), ("--until", "7")):
        with pytest.raises(SystemExit):
            guardrail("show", directory, *words)
        assert "give" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="`--until` is not after `--since`"):
        guardrail("show", directory, "--since", "2026-12-02", "--until", "2026-12-01")


@pytest.mark.parametrize("value", [None, 3, 2**70, True, "x", [], [None, 3], {}, {"id": {}}, [[]], {"event": [1]}])
def test_no_field_of_any_shape_breaks_a_reader(value: Any) -> None:
    """Older versions, other writers and hostile agents: what cannot be read is missing, never an error."""
    readers = [reader for name, reader in vars(fields).items() if name.endswith("_of") and callable(reader)]
    assert len(readers) > 12
    names = {name for record in everything() for name in record}
    for name in names:
        for kind in ("intent", "vote", "escalation", value):
            record = {"kind": kind, **{other: value for other in names if other != "kind"}, name: value}
            for reader in readers:
                reader(record)
    assert "Z" in fields.moment(0)
    assert fields.moment(2**70) == "no time"


# ── the index ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _some(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), max_size=2).map(tuple)


SELECTIONS = st.builds(
    Selection,
    first=st.none() | st.integers(0, 500),
    last=st.none() | st.integers(0, 500),
    kinds=_some(("intent", "result", "decision", "vote")),
    ids=_some(("d-3", "d-40", "e-1", "g-1", "none")),
    calls=_some(("call_3", "call_40", "none")),
    agents=_some(("ops-agent", "agent-3", "agent-4", HOSTILE)),
    sessions=_some(("s1", "s3")),
    assets=_some(("model:beta", "none")),
    rules=_some(("copy.unsanctioned", "review.needed")),
)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trail of every kind of record and many common ones, with its index."""
    directory = tmp_path_factory.mktemp("mixed") / "t"
    with open_trail(directory, segment_bytes=1 << 16) as trail:
        for record in itertools.chain(everything(), many(400)):
            trail.append(record, durable=False)
    build_index(directory)
    return directory


@given(SELECTIONS)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_index_finds_what_reading_everything_finds(mixed: Path, selection: Selection) -> None:
    """Whatever is asked for; results come with the intents that they belong to."""
    with Index.open(mixed) as index:
        assert [found.seq for found in index.find(selection)] == seqs(mixed, selection, index=False)


def test_an_index_is_brought_up_to_date_before_it_is_used(tmp_path: Path) -> None:
    """What was written since it was made is found too; what it knew is not read again."""
    directory = make_trail(tmp_path / "t", 0)
    with open_trail(directory) as trail:
        trail.append(decision(1))
        build_index(directory)
        trail.append(decision(2, agent="late"))
    notes: list[str] = []
    assert seqs(directory, Selection(agents=("late",)), note=notes.append) == [1]
    assert notes == []
    with Index.open(directory) as index:
        assert index.size == 2
    assert begin_of(directory, 0) == Place(segments(directory)[0].name, 0, 0)


def test_an_index_that_lies_is_not_believed(tmp_path: Path) -> None:
    """Another leaf than the one indexed, another trail, a damaged file: the trail itself is read instead."""
    directory = make_everything(tmp_path / "t")
    expected = seqs(directory, Selection(agents=("ops-agent",)))
    build_index(directory)
    path = index_path(directory)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE record SET place = place + 1 WHERE seq = 3")
        db.execute("UPDATE record SET hash = zeroblob(32) WHERE seq = 12")
    db.close()
    notes: list[str] = []
    assert seqs(directory, Selection(agents=("ops-agent",)), note=notes.append) == expected
    assert notes == ["a record is not the one that was indexed: the trail itself was read instead"]
    path.write_bytes(b"not a database at all" * 100)
    assert seqs(directory, Selection(agents=("ops-agent",))) == expected, "it is made anew"
    other = make_trail(tmp_path / "other", 5)
    index_path(other).write_bytes(path.read_bytes())
    assert build_index(other) == 5


def test_an_index_that_is_newer_than_its_trail_is_made_anew(tmp_path: Path) -> None:
    """A trail that was put back, or begun again under its name, is not searched by what was there before."""
    directory = make_trail(tmp_path / "t", 30)
    build_index(directory)
    for path in directory.iterdir():
        path.unlink()
    make_trail(directory, 4)
    assert build_index(directory) == 4


def test_an_index_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    """A directory stands in its place."""
    directory = make_trail(tmp_path / "t", 1)
    index_path(directory).mkdir()
    with pytest.raises(TrailError, match="the index of .* cannot be made"):
        guardrail("index", directory)
    with pytest.raises(IndexUnusable):
        Index.open(directory)


def test_what_was_pruned_is_neither_missing_nor_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rest is listed without a warning, and the index forgets what left."""
    directory = make_trail(tmp_path / "t", 40)
    build_index(directory)
    first = int(segments(directory)[1].name[:20])
    segments(directory)[0].unlink()
    assert guardrail("show", directory) == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 40 - first
    assert shown.err == ""
    assert build_index(directory) == 40 - first
