"""What a session did is remembered: over a restart, between processes, within bounds, and at a cost that stays flat."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardrail import Guard, Outcome, ToolCall
from guardrail.errors import ConfigError, Fault
from guardrail.history import History, HistoryStore
from guardrail.history import _store as store_module
from guardrail.history._memory import MAX_SEEN
from guardrail.history._sessions import MAX_UNSAVED_CALLS
from guardrail.history._store import Fact
from guardrail.model import Effect, Origin, Resource
from scripts import history_kills


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a history is kept."""
    return tmp_path / "state/history.db"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    """A history that is kept."""
    opened = History(store=HistoryStore(path))
    yield opened
    opened.close()


def read(asset: str | None, real: str) -> Effect:
    """A file is read."""
    return Effect(
        op="read", resource=Resource(kind="file", path=real, real=real, asset=asset), attrs={"reveals": "content"}
    )


def write(real: str) -> Effect:
    """A file is written."""
    return Effect(op="write", resource=Resource(kind="file", path=real, real=real))


def runs(real: str) -> Effect:
    """A script is run."""
    return Effect(op="exec_opaque", resource=Resource(kind="file", path=real, real=real), attrs={"code": "script"})


def weights(_asset: str) -> str:
    """Every asset is weights."""
    return "weights"


def test_a_restart_forgets_nothing(path: Path) -> None:
    """Labels, authored files, what was seen, and the counts."""
    first = History(store=HistoryStore(path))
    first.released("s", [read("model:beta", "/m/w"), write("/t/x.sh")], weights)
    first.denied("s")
    before = first.facts("s"), first.seen("s"), first.annotate("s", [runs("/t/x.sh")])
    first.close()

    second = History(store=HistoryStore(path))
    assert (second.facts("s"), second.seen("s"), second.annotate("s", [runs("/t/x.sh")])) == before
    facts, seen, (script,) = before
    assert (facts.labels, facts.calls, facts.denied) == (("model:beta",), 1, 1)
    assert seen == {"model:beta": ("/m/w",)}
    assert script.attrs["authored"] is True
    assert second.facts("another").calls == 0
    second.close()


def test_a_restart_forgets_no_file_whose_name_is_no_text(path: Path) -> None:
    """Names on disk are bytes, and not all of them are UTF-8."""
    first = History(store=HistoryStore(path))
    first.released("s", [read("model:beta", "/m/\udcff"), write("/t/\ud800.sh")], weights)
    before = first.facts("s"), first.seen("s"), first.annotate("s", [runs("/t/\ud800.sh")])
    first.close()
    second = History(store=HistoryStore(path))
    assert (second.facts("s"), second.seen("s"), second.annotate("s", [runs("/t/\ud800.sh")])) == before
    second.close()
    assert before[1] == {"model:beta": ("/m/\udcff",)}


def test_a_guard_that_is_killed_has_lost_nothing_that_it_answered(tmp_path: Path) -> None:
    """With SIGKILL, at any call: the next one knows each file, host, model and refusal of session and agent."""
    told = history_kills.kills(tmp_path.resolve(), 2, 48, seed=3)
    assert told.answered > 20
    assert told.lost == ()
    assert told.uncounted < MAX_UNSAVED_CALLS


def test_processes_that_share_a_history_see_each_other(history: History, path: Path) -> None:
    """A hook that is one process a call, and a sidecar beside it."""
    other = History(store=HistoryStore(path))
    assert history.facts("s").labels == ()
    other.released("s", [read("model:beta", "/m/w")], weights)
    assert history.facts("s").labels == ("model:beta",)
    history.released("s", [write("/t/x.sh")], weights)
    history.released("s", [], weights)
    assert other.annotate("s", [runs("/t/x.sh")])[0].attrs.get("authored") is True
    other.released("s", [write("/t/y.sh")], weights)
    assert history.facts("s").calls == 4
    other.close()


def _child(path: Path, number: int) -> None:
    own = History(store=HistoryStore(path))
    for index in range(25):
        own.released("s", [write(f"/t/{number}-{index}")], weights)
    own.close()


def test_processes_that_write_at_once_lose_nothing(history: History, path: Path) -> None:
    """Each of their facts and counts is there."""
    workers = [multiprocessing.get_context("spawn").Process(target=_child, args=(path, n)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert history.facts("s").calls == 100
    scripts = [runs(f"/t/{number}-{index}") for number in range(4) for index in range(25)]
    assert all(effect.attrs.get("authored") for effect in history.annotate("s", scripts))


def test_a_fork_opens_the_history_for_itself(history: History) -> None:
    """SQLite allows a child nothing with its parent's connection."""
    history.released("s", [write("/t/a")], weights)
    child = os.fork()
    if child == 0:
        try:
            history.released("s", [write("/t/b")], weights)
        finally:
            os._exit(0 if history.facts("s").calls == 2 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert history.facts("s").calls == 2


def test_what_is_remembered_of_one_session_is_bounded(history: History) -> None:
    """Past the bounds every script counts as written, and no more files of an asset are kept."""
    history.released("s", [read("model:beta", f"/m/{n}") for n in range(MAX_SEEN + 50)], weights)
    assert len(history.seen("s")["model:beta"]) == MAX_SEEN
    history.released("s", [write(f"/t/{n}") for n in range(10_050)], weights)
    assert history.annotate("s", [runs("/never/written")])[0].attrs["authored"] is True


def test_a_call_costs_the_same_in_a_long_session(history: History) -> None:
    """What is written for a call is what the call added, not what the session is."""
    for number in range(2_000):
        history.released("s", [write(f"/t/{number % 500}")], weights)
    changes: list[int] = []
    db = history._store._file.connection()  # type: ignore[union-attr]
    for _ in range(3):
        before = db.total_changes
        history.released("s", [write("/t/1"), write(f"/new/{before}")], weights)
        changes.append(db.total_changes - before)
    assert changes == [3, 3, 3]  # the session, the agent, and the file


def test_old_sessions_are_forgotten_at_a_start(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the file does not grow for ever."""
    first = HistoryStore(path)
    first.add("old", [Fact("authored", "/t/a")], calls=1)
    first.close()
    monkeypatch.setattr(store_module, "KEPT_SECONDS", -1)
    second = HistoryStore(path)
    assert second.load("old") is None
    second.close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("select count(*) from facts").fetchone() == (0,)


def test_a_history_that_cannot_be_opened_is_said_to(tmp_path: Path) -> None:
    """With the reason, at the start."""
    (tmp_path / "history.db").write_bytes(b"not a database at all, but long enough to be taken for one" * 20)
    with pytest.raises(ConfigError, match="cannot be opened"):
        HistoryStore(tmp_path / "history.db")


def _guard(tmp_path: Path) -> Guard:
    (tmp_path / "models").mkdir(exist_ok=True)
    (tmp_path / "models/w").write_bytes(b"w" * 100)
    (tmp_path / "guardrail.toml").write_text(
        '[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["models/w"]\n[trail]\ntimeout_seconds = 60\n'
        'directory = "trail"\n'
        "[limits]\ndecision_ms = 60000\n"
    )
    return Guard.open(tmp_path / "guardrail.toml")


def _call(tmp_path: Path, command: str) -> ToolCall:
    return ToolCall(tool="bash", args={"command": command}, cwd=str(tmp_path), session="s")


def test_a_guard_that_was_started_again_remembers_the_session(tmp_path: Path) -> None:
    """What was read before a restart is held against an opaque program after it."""
    with _guard(tmp_path) as guard:
        assert guard.check(_call(tmp_path, "make all"))
        assert guard.check(_call(tmp_path, "cat models/w"))
    with _guard(tmp_path) as guard:
        assert guard.check(_call(tmp_path, "make all")).outcome is Outcome.ESCALATE


def test_a_call_that_cannot_be_noted_does_not_run(tmp_path: Path) -> None:
    """An allowed call that the history cannot keep is denied; the next one asks again what is known."""
    with _guard(tmp_path) as guard:
        assert guard.check(_call(tmp_path, "true"))
        guard.history._store.close()  # type: ignore[union-attr]
        with pytest.warns(RuntimeWarning, match="not in the history"):
            decision = guard.check(_call(tmp_path, "cat models/w"))
        assert decision.outcome is Outcome.DENY
        assert "the history cannot be" in decision.reasons[0].message


def test_a_history_that_another_process_holds_denies_after_a_while(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither waits for ever nor goes on without."""
    monkeypatch.setattr(store_module, "BUSY_SECONDS", 0.05)
    store = HistoryStore(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("begin exclusive")
    started = time.monotonic()
    with pytest.raises(Fault, match="cannot be written"):
        store.add("s", [], calls=1)
    assert time.monotonic() - started < 60
    holder.execute("rollback")
    store.add("s", [], calls=1)
    assert store.load("s") is not None
    store.close()
    holder.close()


def _builds(*folders: str, own: bool = False) -> Effect:
    """A tool builds programs there, `own` if the session wrote a part of them in an earlier call."""
    reads = {"reads": "any", "below": ["/"], "named": [], "broad": True}
    attrs = {"code": "program", "builds": list(folders), "built_of": reads, "own": own}
    return Effect(op="exec_opaque", resource=Resource(kind="code", uri="code:make"), attrs=attrs)


def _started(real: str) -> Effect:
    place = Resource(kind="file", path=real, real=real)
    return Effect(op="exec_opaque", resource=place, attrs={"code": "program"}, origin=Origin(spec="./a"))


@pytest.mark.parametrize("kept", [False, True])
def test_a_program_that_a_tool_built_of_sources_of_the_session_is_its_own(path: Path, kept: bool) -> None:
    """In the call that built it and in later ones, below where the tool was told to build."""
    history = History(store=HistoryStore(path))
    history.released("s", [write("/p/src/a.c")], weights)
    assert (
        history.annotate("s", [_builds("/p/build", own=True), _started("/p/build/bin/a")])[1].attrs.get("authored")
        is True
    )
    history.released("s", [_builds("/p/build", own=True)], weights)
    if kept:
        history.close()
        history = History(store=HistoryStore(path))
    assert history.annotate("s", [_started("/p/build/bin/a")])[0].attrs.get("authored") is True
    for other in (_started("/q/a"), runs("/p/build/a.sh")):
        assert history.annotate("s", [other])[0].attrs.get("authored") is None
    history.close()


def test_a_program_that_a_tool_built_of_other_sources_is_the_projects(history: History) -> None:
    """A note or a script in another language is no part of it; that the place is not known means any."""
    history.released("s", [write("/p/notes.md"), write("/p/a.py"), _builds("/p")], weights)
    assert history.annotate("s", [_started("/p/a")])[0].attrs.get("authored") is None
    history.released("s", [write("/p/a.c"), _builds("")], weights)
    assert history.annotate("s", [_started("/q/a")])[0].attrs.get("authored") is True
