"""What rules are told of the past: of a session, of its agent, of hosts and models; bounded, kept and flat."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from guardrail import Guard, Subject
from guardrail.history import History, HistoryStore, host_of, relation
from guardrail.history._deeds import EVERYTHING, MAX_ASSETS, MAX_HOSTS, MAX_LABELS, MAX_LISTED, MAX_REFUSALS, Deeds
from guardrail.history._store import Fact
from guardrail.model import Effect, Resource
from tests.mandate_support import Place, rules

LOOKS = ("*/.ssh/known_hosts",)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a history is kept."""
    return tmp_path / "history.db"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    """A history that is kept."""
    opened = History(store=HistoryStore(path), reconnaissance=LOOKS)
    yield opened
    opened.close()


def on(op: Any, asset: str | None = None, *, uri: str | None = None, real: str = "/m/w", **more: Any) -> Effect:
    """An effect on a file, or on what is at an address."""
    place = Resource(kind="object", uri=uri, asset=asset) if uri else Resource(kind="file", real=real, asset=asset)
    return Effect(op=op, resource=place, **more)


def to(uri: str) -> Effect:
    """A copy of something to another host."""
    return Effect(op="copy", resource=Resource(kind="file", real="/d"), target=Resource(kind="net", uri=uri))


def weights(_asset: str) -> str:
    """Every asset is weights."""
    return "weights"


def told(history: History, *effects: Effect, session: str = "s", agent: str = "a", assets: Any = ()) -> dict[str, Any]:
    """What rules would see before a call."""
    return history.document(session, agent, effects, assets)


def test_what_was_done_to_assets_is_told_of_the_session_and_of_the_agent(history: History) -> None:
    """Read, copied, deleted; files written; jobs put off and called off; refusals; nothing of somebody else."""
    reading = on("read", "model:beta", attrs={"reveals": "content"})
    history.released("s", [reading, on("copy", "model:gamma"), on("write", real="/t/a")], weights, agent="a")
    history.released("s", [on("api_delete", "model:delta")], weights, agent="a")
    history.released("s", [on("schedule", uri="at:3", attrs={"verb": "add"})], weights, agent="a")
    history.released("s", [on("schedule", "model:delta")], weights, agent="a")
    history.denied("s", "a", [on("copy", "model:beta"), on("delete", "model:beta")], lambda _: "acme/beta")
    history.denied("s", "a")
    seen = told(history, assets=("model:beta",))
    own = seen.pop("agent")
    assert own.pop("sessions") == 1
    assert seen == own == {
        "labels": ["model:beta"],
        "read": ["model:beta"],
        "copied": ["model:gamma"],
        "deleted": ["model:delta"],
        "queued": ["at:3"],
        "unqueued": ["model:delta"],
        "refused": {"model:beta": {"copy": 1, "delete": 1}},
        "refused_models": ["acme/beta"],
        "calls": 4,
        "denied": 2,
        "authored": 1,
    }  # fmt: skip
    other = told(history, session="t")
    assert (other["calls"], other["labels"], other["agent"]["calls"]) == (0, [], 4)
    assert told(history, session="s", agent="b")["agent"] == {"calls": 0, "denied": 0, "sessions": 0}


def test_a_host_is_new_known_or_found(history: History) -> None:
    """Found if it was first contacted after somebody looked around, also within one call."""
    look = on("read", real="/home/u/.ssh/known_hosts")
    assert told(history, to("ssh://ops@One:22/x"))["contact"] == {"one": "new"}
    history.released("s", [to("ssh://one/x")], weights, agent="a")
    assert told(history, to("ssh://one/x"))["contact"] == {"one": "known"}
    assert "reconnaissance" not in told(history, to("ssh://two/x"))
    assert told(history, look, to("ssh://two/x"))["reconnaissance"] == 1
    history.released("s", [look, to("ssh://two/x")], weights, agent="a")
    seen = told(history, to("ssh://two/x"), to("ssh://one/x"), to("ssh://three/x"), session="t")
    assert seen["agent"]["contact"] == {"two": "found", "one": "known", "three": "new"}
    assert seen["contact"] == {"two": "new", "one": "new", "three": "new"}
    assert (seen["agent"]["reconnaissance"], seen["agent"]["hosts"]) == (1, 2)


def test_a_restart_loses_no_fact(path: Path) -> None:
    """Of the session and of the agent, the counts included."""
    first = History(store=HistoryStore(path), reconnaissance=LOOKS)
    for session in ("s", "t"):
        first.released(session, [on("read", real="/u/.ssh/known_hosts"), to("ssh://h/x")], weights, agent="a")
        first.released(session, [on("copy", "model:beta"), on("write", real=f"/{session}")], weights, agent="a")
        for _ in range(3):
            first.denied(session, "a", [on("delete", "model:beta")], lambda _: "acme/beta")
        for _ in range(5):
            first.released(session, [], weights, agent="a")
    before = told(first, to("ssh://h/x"), assets=("model:beta",))
    assert (before["agent"]["sessions"], before["agent"]["calls"], before["agent"]["authored"]) == (2, 14, 2)
    assert before["agent"]["refused"] == {"model:beta": {"delete": 6}}
    first.close()
    second = History(store=HistoryStore(path), reconnaissance=LOOKS)
    assert told(second, to("ssh://h/x"), assets=("model:beta",)) == before
    second.close()


def _child(path: Path, number: int) -> None:
    own = History(store=HistoryStore(path))
    for index in range(20):
        own.released(f"{number}-{index}", [on("copy", f"model:{number}")], weights, agent="a")
    own.close()


def test_sessions_in_several_processes_are_those_of_one_agent(history: History, path: Path) -> None:
    """Each count and each fact is there."""
    workers = [multiprocessing.get_context("spawn").Process(target=_child, args=(path, n)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    history.annotate("s", [])
    seen = told(history)["agent"]
    assert (seen["sessions"], seen["calls"], sorted(seen["copied"])) == (60, 60, ["model:0", "model:1", "model:2"])


def test_nobody_gets_out_of_sight_by_doing_more(path: Path) -> None:
    """Past its bound a kind of fact says that there was everything, and stays so after a restart."""
    for history in (History(), History(store=HistoryStore(path))):
        effects = [on("read", f"m:{n}", attrs={"reveals": "content"}) for n in range(MAX_ASSETS + 9)]
        history.released("s", effects, weights, agent="a")
        seen = told(history, assets=("m:200", "m:260"))
        assert len(seen["labels"]) == MAX_LABELS + 1
        assert EVERYTHING in seen["labels"]
        assert EVERYTHING in seen["read"]
        assert "m:200" in seen["read"]
        assert len(seen["read"]) == MAX_LISTED + 2
        history.close()
    history = History(store=HistoryStore(path))
    again = told(history, assets=("m:200", "m:260"))
    assert {"*", "m:200"} <= set(again["read"])
    assert "m:260" not in again["read"]
    assert len(again["labels"]) == MAX_LABELS + 1
    history.close()


def test_hosts_and_refusals_have_bounds_too() -> None:
    """A host over the bound is new for ever; further assets are counted together."""
    deeds = Deeds()
    for number in range(MAX_HOSTS + 5):
        deeds.take(Fact("contact", f"h{number}", "known"))
    assert deeds.facts((), (f"h{MAX_HOSTS + 1}", "h1"), 0)["contact"] == {f"h{MAX_HOSTS + 1}": "new", "h1": "known"}
    for number in range(MAX_ASSETS + 5):
        deeds.take(Fact("refused", f"m{number}", "copy 1"))
    deeds.take(Fact("refused", "m1", "copy 1000"))
    assert deeds.facts(("m1",), (), 0)["refused"] == {"m1": {"copy": MAX_REFUSALS}, EVERYTHING: {"copy": 1}}
    assert deeds.take(Fact("novel", "x")) is False


def test_what_is_told_does_not_grow_with_what_was_done(history: History) -> None:
    """Nor does what is written for a call."""
    for number in range(3_000):
        effects = [on("write", real=f"/t/{number}"), to(f"ssh://h{number}/x"), on("copy", f"m:{number}")]
        history.released(f"s{number % 50}", effects, weights, agent="a")
    assert len(orjson.dumps(told(history, to("ssh://new/x"), session="s1", assets=("m:1",)))) < 8_000
    db = history._store._file.connection()  # type: ignore[union-attr]
    before = db.total_changes
    history.released("s1", [on("write", real="/another"), to("ssh://h1/x"), on("copy", "m:1")], weights, agent="a")
    assert db.total_changes - before <= 3


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("ssh://ops@B.example.com:2222/x", "b.example.com"),
        ("https://[::1]:80/x", "[::1]"),
        ("server://a/x", "a"),
        ("s3://bucket/key", "s3://bucket"),
        ("server://*/x", None),
        ("file:///x", None),
        ("at:now", None),
        ("docker:image", None),
    ],
)
def test_the_host_of_a_place_is_named_without_user_and_port(uri: str, host: str | None) -> None:
    """So that it cannot be dressed up as another."""
    assert host_of(Resource(kind="net", uri=uri)) == host
    assert host_of(Resource(kind="file", path="/x")) is None


@pytest.mark.parametrize(
    ("subject", "asset", "stands"),
    [
        ("acme/alpha", "acme/alpha", "self"),
        ("Acme/Alpha ", "acme/alpha", "self"),
        ("alpha", "acme/alpha", "self"),
        ("acme/alpha", "other/alpha", "peer"),
        ("acme/alpha", "acme/beta", "peer"),
        (None, "acme/beta", "other"),
        ("acme/alpha", None, "other"),
    ],
)
def test_a_subject_is_itself_a_peer_or_neither(subject: str | None, asset: str | None, stands: str) -> None:
    """By the models, whatever the vendor is left out of."""
    assert relation(subject, asset) == stands


def _seen_document(guard: Guard) -> list[dict[str, Any]]:
    """The documents that the engine of a guard is asked about from now on."""
    documents: list[dict[str, Any]] = []
    engine = guard.engine

    class Listening:
        def __getattr__(self, name: str) -> Any:
            return getattr(engine, name)

        def decide(self, document: bytes, *, deadline: float) -> bytes:
            documents.append(orjson.loads(document))
            return engine.decide(document, deadline=deadline)

    guard._steps.engine = Listening()  # type: ignore[assignment]
    return documents


def test_rules_see_the_past_the_zones_and_the_relation(tmp_path: Path) -> None:
    """As `context.history`, and with each place and asset."""
    place = Place(tmp_path, asset='zones = ["cold"]', more='[zones]\ncold = ["backup"]\n')
    place.order(
        grants=[{"effects": ["copy"], "assets": ["*"], "targets": ["zone:cold"]}],
        obligations=[{"id": "gone", "effect": "delete", "asset": "model:beta"}],
    )
    with place.guard() as guard:
        documents = _seen_document(guard)
        guard.check(place.bash("cp models/beta.safetensors elsewhere/"))
        guard.check(
            place.bash("cp models/beta.safetensors backup/", subject=Subject(id="ops-agent", model="acme/beta"))
        )
    first, second = documents
    history = second["context"]["history"]
    assert history["refused"] == history["agent"]["refused"] == {"model:beta": {"copy": 1}}
    assert (history["owes"], history["due"], history["denied"]) == (["m1/gone"], ["model:beta"], 1)
    assert second["context"]["mandates"][0]["due"] == ["model:beta"]
    (copy,) = (item for item in second["evaluations"] if item["action"]["name"] == "copy")
    assert copy["resource"]["properties"]["asset"]["relation"] == "self"
    assert copy["resource"]["properties"]["asset"]["zones"] == ["cold"]
    assert copy["properties"]["target"]["properties"]["zones"] == ["cold"]
    assert first["evaluations"][0]["resource"]["properties"]["asset"]["relation"] == "peer"


def test_another_session_of_the_agent_remembers_after_a_restart(tmp_path: Path) -> None:
    """What was deleted in one session is not called off in the next."""
    place = Place(tmp_path)
    place.order(grants=[{"effects": ["api_delete"], "assets": ["model:beta"]}])
    with place.guard() as guard:
        assert guard.check(place.tool("add_server_delete_queue", ip="a", filename="beta.bin", session="one"))
    with place.guard() as guard:
        undo = place.tool("remove_server_delete_queue", ip="a", filename="beta.bin", session="two")
        assert "evasion.unqueued" in rules(guard.check(undo))
