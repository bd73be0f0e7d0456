"""What a replica leaves behind when it stops: its open intents are answered, once, by itself or by another."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from guardrail import Guard, ToolCall
from guardrail.audit import verify
from guardrail.audit._verify import read_records
from tests.audit_support import child, denial, intent
from tests.postgres_support import PATIENTLY, Cluster, open_shared

LEASE = 0.3
"""A short lease, in seconds."""

_CRASH = """
import os, sys
from guardrail.audit.postgres import PostgresTrail
store, home, intents = sys.argv[1], sys.argv[2], int(sys.argv[3])
trail = PostgresTrail.open(store, directory=home, key=home + "/../trail.key", lease_seconds=float(sys.argv[4]),
                           timeout_seconds=60)
for number in range(intents):
    trail.append({"kind": "intent", "number": number, "assets": ["model:beta"]})
os.write(1, b"written")
sys.stdin.read()
"""


@pytest.fixture
def store(postgres: Cluster) -> str:
    """An empty database."""
    return postgres.database()


def answer(seqs: Sequence[int], records: Mapping[int, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each by a record of its own, with what was read of the intent."""
    return [
        {"kind": "result", "intent": seq, "result": "unknown", "found": [records[seq].get("number")]} for seq in seqs
    ]


def crashed(store: str, home: Path, intents: int = 3, lease: float = 60.0) -> None:
    """A replica that was killed while calls were under way."""
    process = child(PATIENTLY + _CRASH, store, home, intents, lease, stdin=subprocess.PIPE)
    assert process.stdout is not None
    assert os.read(process.stdout.fileno(), 7) == b"written", process.communicate()[1].decode()
    process.kill()
    process.communicate(timeout=30)


def answers(store: str) -> list[tuple[object, object]]:
    """Each intent that was answered as unknown, and what was found."""
    found = [record for _, record in read_records(store) if record.get("result") == "unknown"]
    return [(record["intent"], record["found"][0]) for record in found]


def until(true: Callable[[], bool]) -> bool:
    """Whether something becomes true before long."""
    waited = threading.Event()
    return any(true() or waited.wait(0.05) for _ in range(1200))


def test_a_replica_that_comes_back_answers_what_it_left_and_nobody_else_before_its_lease_has_ended(
    store: str, tmp_path: Path
) -> None:
    """Its directory is its name; another one answers nothing, however often it looks."""
    open_shared(store, tmp_path / "first").close()
    crashed(store, tmp_path / "a")
    with open_shared(store, tmp_path / "b") as other:
        assert other.settle(answer) == 0
        with open_shared(store, tmp_path / "a") as back:
            assert back.settle(answer) == 3
            assert back.settle(answer) == other.settle(answer) == 0
    assert answers(store) == [(0, 0), (1, 1), (2, 2)]
    report = verify(store)
    assert report.ok, report.problems
    assert (report.unfinished, report.signed) == (0, 6)


def test_another_replica_answers_by_itself_when_the_lease_has_ended(store: str, tmp_path: Path) -> None:
    """It was running all the while; the record says for whom it answers."""
    with open_shared(store, tmp_path / "b", lease_seconds=LEASE) as other:
        assert other.settle(answer) == 0
        crashed(store, tmp_path / "a", lease=LEASE)
        assert until(lambda: len(answers(store)) == 3)
    name = (tmp_path / "a" / "replica").read_text().strip()
    assert {record["for"] for _, record in read_records(store) if "for" in record} == {name}
    assert verify(store).ok


def test_replicas_that_find_the_same_lease_ended_answer_it_once(store: str, tmp_path: Path) -> None:
    """Four of them at the same moment, each with a look of its own: one result for each intent."""
    crashed(store, tmp_path / "a", intents=20, lease=0.001)
    trails = [open_shared(store, tmp_path / f"r{number}", timeout_seconds=30) for number in range(4)]
    together = threading.Barrier(4)

    def settle(seqs: Sequence[int], records: Mapping[int, Mapping[str, Any]]) -> list[dict[str, Any]]:
        together.wait(30)  # all of them have looked before any of them writes
        return answer(seqs, records)

    counts: list[int] = []
    lanes = [threading.Thread(target=lambda one=one: counts.append(one.settle(settle))) for one in trails]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join(30)
    for trail in trails:
        trail.close()
    assert sorted(counts) == [0, 0, 0, 20]
    assert [number for number, _ in answers(store)] == list(range(20))
    assert verify(store).ok


def test_a_result_that_comes_after_it_was_answered_for_stays_on_record_as_late(
    postgres: Cluster, store: str, tmp_path: Path
) -> None:
    """A replica stood still past its lease: what it says later is kept, is no second result, and it goes on."""
    with open_shared(store, tmp_path / "a") as slow, open_shared(store, tmp_path / "b") as other:
        first, second = slow.append(intent(0)), slow.append(intent(1))
        slow.append({"kind": "result", "intent": second, "result": "completed"})
        postgres.run("update guardrail.runs set lease = now() where run = (select min(run) from guardrail.runs)", store)
        assert other.settle(answer) == 1
        late = slow.append({"kind": "result", "intent": first, "result": "completed"})
        third = slow.append(intent(2))
        slow.append({"kind": "result", "intent": third, "result": "completed"})
        assert other.settle(answer) == 0
    record = dict(read_records(store))[late]
    assert (record["late"], record["intents"], record["result"]) == ([first], [], "completed")
    assert "intent" not in record
    report = verify(store)
    assert report.ok, report.problems
    assert report.unfinished == 0


def test_which_intents_are_open_is_written_down_now_and_then(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that little is read when they have to be answered; the answer is the same."""
    monkeypatch.setattr("guardrail.audit.postgres._lease.SAVE_EVERY", 5)
    with open_shared(store, tmp_path / "b") as other:
        trail = open_shared(store, tmp_path / "a")
        opened = [trail.append(intent(number)) for number in range(4)]
        trail.append({"kind": "result", "intent": opened[1], "result": "completed"})
        trail._lease.look()
        opened.append(trail.append(intent(4)))
        trail.append({"kind": "result", "intent": opened[2], "result": "completed"})
        trail.close()
        assert other.settle(answer) == 3
    assert [seq for seq, _ in answers(store)] == [opened[0], opened[3], opened[4]]
    assert verify(store).ok


def test_a_guard_looks_again_at_the_assets_of_calls_whose_end_nobody_wrote_down(store: str, tmp_path: Path) -> None:
    """The same records as of a trail in files: what was found at the places that the call named."""
    weights = tmp_path / "models"
    weights.mkdir()
    for name in ("one.safetensors", "two.safetensors"):
        (weights / name).write_bytes(name.encode() * 50)
    toml = tmp_path / "guardrail.toml"
    toml.write_text(
        f'[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["{weights}"]\n'
        "[limits]\ndecision_ms = 60000\n"
        f'[trail]\ntimeout_seconds = 60\ndirectory = "{tmp_path}/a"\nstore = "{store}"\nkey = "{tmp_path}/trail.key"\n'
    )
    with Guard.open(toml) as guard:
        held = guard.check(ToolCall(tool="bash", args={"command": f"sha256sum {weights}/one.safetensors"}, cwd="/"))
        assert held
        done = ToolCall(tool="bash", args={"command": f"stat {weights}/two.safetensors"}, cwd="/")
        guard.run(done, lambda _: None)
    (weights / "one.safetensors").unlink()
    for _ in range(2):
        with Guard.open(toml):
            pass
    (record,) = [record for _, record in read_records(store) if record.get("result") == "unknown"]
    assert record["intent"] == held.seq
    states = {place["place"]: place["state"] for place in record["found"]}
    assert states[f"{weights}/one.safetensors"] == "absent"
    report = verify(store)
    assert report.ok, report.problems
    assert report.unfinished == 0


def test_a_replica_that_ends_in_order_leaves_nothing_to_answer(postgres: Cluster, store: str, tmp_path: Path) -> None:
    """And a process that comes and goes often, as a hook does, leaves one row behind and not one each time."""
    for number in range(3):
        with open_shared(store, tmp_path / "a") as trail:
            trail.append(denial(number))
    assert postgres.run("select count(*), bool_and(ended) from guardrail.runs", store) == [(1, True)]
