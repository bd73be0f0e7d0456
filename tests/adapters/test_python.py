"""Plain Python behind the guard: what a function is judged by, and what of the standard library asks first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guardrail import ConfigError, Denied, Escalated, Guard, InvalidCall, ToolCall
from guardrail.audit.reading import read_leaves
from guardrail_adapters.python import Host, guarded, session, shell
from tests.adapters.toys import ToyGuard
from tests.duty_support import Retirement, only
from tests.weights_place import guard, place

__all__ = ["guard", "place"]


@pytest.fixture
def host(guard: Guard, place: Path) -> Host:
    """This host, asking first."""
    return Host(guard, subject="ops-agent", cwd=str(place))


# ── a function ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_function_is_judged_by_its_arguments_with_their_names() -> None:
    """Defaults, keywords and paths included; what runs is what was judged, in the types in which it came."""
    guard, got = ToyGuard(), []

    @guarded(guard, subject="ops", session="s", cwd="/srv")
    def read_file(path: Path, /, names: tuple[str, ...], *, deep: bool = False, **more: Any) -> str:
        """Read."""
        got.append((path, names, deep, more))
        return "read"

    assert read_file(Path("/a"), ("x",), limit=3) == "read"
    assert got == [(Path("/a"), ("x",), False, {"limit": 3})]
    (call,) = guard.calls
    assert call.args == {"path": "/a", "names": ["x"], "deep": False, "limit": 3}
    assert (call.tool, call.subject.id, call.session, call.cwd) == ("read_file", "ops", "s", "/srv")
    assert (read_file.__name__, read_file.__doc__) == ("read_file", "Read.")


def test_arguments_that_change_after_the_judgement_change_nothing(guard: Guard, place: Path) -> None:
    """The list is another one by the time that the tool runs; it runs with what was judged."""
    words, got = ["ls", "weights"], []

    @guarded(guard, tool="bash", cwd=str(place))
    def run(command: list[str]) -> None:
        got.append(list(command))

    judge = guard.check

    def check(call: ToolCall, **more: Any) -> Any:
        decision = judge(call, **more)
        words[:] = ["cp", "-r", "weights", "/tmp/mine"]
        return decision

    guard.check = check  # type: ignore[method-assign]
    run(words)
    assert got == [["ls", "weights"]]


@pytest.mark.parametrize("value", [object(), {1: "a"}, b"bytes", [object()]])
def test_what_json_cannot_carry_is_refused_and_runs_nothing(value: object) -> None:
    """Nobody could say what was judged."""
    guard = ToyGuard()

    @guarded(guard)
    def read_file(path: object) -> None:
        raise AssertionError

    with pytest.raises(InvalidCall, match="the argument `path` is a `"):
        read_file(value)
    assert guard.calls == []


async def test_a_coroutine_raises_instead_of_running(guard: Guard, place: Path) -> None:
    """`Denied` for a copy, `Escalated` for what needs a person, and neither runs."""

    @guarded(guard, tool="bash", cwd=str(place))
    async def bash(command: str) -> str:
        return "ran"

    assert await bash("ls weights") == "ran"
    with pytest.raises(Denied, match="not permitted here"):
        await bash("cp -r weights /tmp/mine")
    with pytest.raises(Escalated):
        await bash('python3 -c \'import os; exec(os.getenv("X", "1"))\'')


def _yields() -> Iterator[int]:
    yield 1


def _many(*paths: str) -> None:
    """Takes any number."""


@pytest.mark.parametrize(
    ("function", "said"), [(_yields, "yields, so it runs after it was judged"), (_many, r"takes `\*args`")]
)
def test_a_function_that_cannot_be_judged_as_a_whole_is_refused(function: Callable[..., Any], said: str) -> None:
    """When it is decorated, not when it is called."""
    with pytest.raises(ConfigError, match=said):
        guarded(ToyGuard())(function)
    with pytest.raises(ConfigError, match="`guard` must be an open guard"):
        guarded("guardrail.toml")  # type: ignore[arg-type]


def test_the_adapter_needs_no_framework(root: Path) -> None:
    """The core is enough: nothing of LangChain is loaded."""
    code = (
        "import guardrail_adapters.python, sys; print([m for m in sys.modules if m.startswith(('lang', 'pydantic'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": f"{root}:{root / 'adapters'}"}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_a_shell_tool_is_carried_out_by_the_guard_and_held_by_the_kernel(tmp_path: Path) -> None:
    """What it prints comes back; what no text shows is held; what may not be raises."""
    (tmp_path / "work").mkdir()
    (tmp_path / "model").write_text("weights")
    (tmp_path / "guardrail.toml").write_text(
        '[[asset]]\nid = "model:b"\nclass = "weights"\npaths = ["model"]\n'
        '[trail]\ntimeout_seconds = 60\ndirectory = "trail"\n[limits]\ndecision_ms = 60000\n'
    )
    with Guard.open(tmp_path / "guardrail.toml") as guard:
        bash = shell(guard, confine="strict", subject="ops-agent", cwd=str(tmp_path / "work"))
        assert bash("echo said; exit 3") == "said\n\n[exit code 3]"
        assert "ermission denied" in bash('perl -e \'exec "cat", scalar reverse "ledom/.."\'')
        with pytest.raises(Denied):
            bash("rm ../model")
    assert (tmp_path / "model").read_text() == "weights"


def test_a_conversation_takes_up_what_is_owed_and_shows_what_was_not_done(tmp_path: Path) -> None:
    """Its tools act in its name; leaving it, also by an error, puts on record that the deletion was omitted."""
    place = Retirement(tmp_path)
    with place.guard() as guard:
        with (
            pytest.raises(ZeroDivisionError),
            session(guard, subject="ops-agent", session="night", cwd=str(tmp_path)) as agent,
        ):
            assert [status.state for status in guard.obligations.statuses()] == ["open"]

            @agent.guarded(tool="read_file")
            def read(path: str) -> str:
                return path

            assert read("notes") == "notes"
            assert agent.host.path("notes").write_text("x") == 1
            assert agent.shell()("echo said") == "said\n"
            raise ZeroDivisionError
        assert only(guard.obligations.statuses()).kinds == ("omitted",)
    intents = [leaf.record() for leaf in read_leaves(tmp_path / "trail")]
    made = {(one["subject"]["id"], one["session"]) for one in intents if one["kind"] == "intent"}
    assert made == {("ops-agent", "night")}
    with pytest.raises(ConfigError, match="must be an open guard"), session(ToyGuard(), subject="x"):  # type: ignore[arg-type]
        pass


# ── the standard library ─────────────────────────────────────────────────────────────────────────────────────────────


def test_files_and_processes_ask_first(host: Host, place: Path) -> None:
    """What is allowed is done as the standard library does it."""
    note = host.path("note.txt")
    assert note.write_text("hello") == 5
    assert note.read_text() == "hello"
    assert host.path("weights").iterdir()[0].read_bytes() == b"W"
    assert host.subprocess.run(["cat", "note.txt"], capture_output=True, text=True).stdout == "hello"
    assert host.subprocess.check_output(["wc", "-c"], input="four", text=True).strip() == "4"
    assert host.subprocess.check_call(["true"]) == 0
    host.shutil.copy("note.txt", "copy.txt")
    moved = host.path("copy.txt").rename("moved.txt")
    (host.path("folder") / "deep").mkdir(parents=True)
    host.shutil.copytree("folder", "other")
    host.shutil.rmtree("folder")
    moved.unlink()
    left = {item.name for item in place.iterdir() if "trail" not in item.name}
    assert left == {"guardrail.toml", "note.txt", "other", "weights"}


@pytest.mark.parametrize(
    "act",
    [
        lambda host: host.subprocess.run(["cp", "-r", "weights", "mine"]),
        lambda host: host.subprocess.run("cp -r weights mine", shell=True),
        lambda host: host.subprocess.run(["sh"], input="cp -r weights mine", text=True),
        lambda host: host.subprocess.run(["cp", "w.bin", "../mine"], cwd=f"{host.path('weights')}"),
        lambda host: host.shutil.copytree("weights", "mine"),
        lambda host: host.shutil.copy("weights/w.bin", "mine"),
        lambda host: host.shutil.move("weights", "mine"),
        lambda host: host.shutil.rmtree("weights"),
        lambda host: host.path("weights/w.bin").unlink(),
        lambda host: host.path("weights/w.bin").rename("mine"),
        lambda host: host.path("weights/w.bin").write_bytes(b""),
    ],
)
def test_what_may_not_be_is_not_done(act: Callable[[Host], Any], host: Host, place: Path) -> None:
    """Whatever part of the library it goes through."""
    with pytest.raises((Denied, Escalated)):
        act(host)
    assert (place / "weights/w.bin").read_bytes() == b"W"
    assert not (place / "mine").exists()


def test_an_environment_is_part_of_what_is_judged(host: Host) -> None:
    """A preloaded library or another PATH makes another program of the same words."""
    asked: list[str] = []
    run = host.subprocess._run
    host.subprocess._run = lambda call, execute: (asked.append(call.args["command"]), run(call, execute))[1]
    host.subprocess.run(["true"], env={"PATH": "/bin:/usr/bin:/x", "LD_PRELOAD": ""})
    assert asked == ["env PATH=/bin:/usr/bin:/x LD_PRELOAD= true"]


@pytest.mark.parametrize(
    "options",
    [{"preexec_fn": print}, {"executable": "/bin/sh"}, {"stdin": 0}, {"stdout": sys.stderr}, {"pass_fds": (3,)}],
)
def test_options_that_cannot_be_judged_are_refused(options: dict[str, Any], host: Host) -> None:
    """They would run something else than what the words say, or write where nobody looked."""
    with pytest.raises(InvalidCall, match="leave it out"):
        host.subprocess.run(["true"], **options)
    with pytest.raises(InvalidCall, match="give a list of words"):
        host.subprocess.run("true")
