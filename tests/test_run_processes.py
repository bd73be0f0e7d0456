"""A tool that starts more processes or threads than it may is held still and ended, whoever holds it, and told of."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from guardrail import ConfigError, Guard, ToolCall
from guardrail.audit._verify import read_records
from guardrail.cli import main
from guardrail.confine import Ended
from guardrail.execution import execute
from tests.confine_support import PYTHON, Arena, arena, run

MOST = 60

BOMB = """import os, signal
for _ in range(10):
    try: os.fork()
    except OSError: pass
signal.pause()
"""
"""Every process doubles as fast as it can, ten times: a thousand are enough to be one, and no more than a host can bear
where nothing ends them. One that the kernel refuses to double stays, or the first could end before it is counted."""

THREADS = """import threading
stop = threading.Event()
for _ in range(200):
    threading.Thread(target=stop.wait).start()
"""

DETACHED = "import os\nif os.fork():\n    os._exit(0)\nos.setsid()\nif os.fork():\n    os._exit(0)\n" + BOMB
"""The same, once nobody waits for it and it is in a session of its own."""

FEW = "import os\nfor _ in range(5):\n    if os.fork() == 0:\n        os._exit(0)\nfor _ in range(5):\n    os.wait()\n"


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A workspace in which a tool may have sixty processes."""
    (tmp_path / "work").mkdir()
    for name, text in (("bomb", BOMB), ("threads", THREADS), ("detached", DETACHED), ("few", FEW)):
        (tmp_path / f"work/{name}.py").write_text(text)
    (tmp_path / "guardrail.toml").write_text(
        f'[trail]\ntimeout_seconds = 60\ndirectory = "{tmp_path}/trail"\n[limits]\ndecision_ms = 60000\n'
        f"[execute]\nseconds = 60\nprocesses = {MOST}\n"
    )
    return tmp_path


def started(world: Path, name: str, mode: str) -> Ended:
    """What came of one of them."""
    call = ToolCall(
        tool="bash", args={"command": ["/usr/bin/python3", str(world / f"work/{name}.py")]}, cwd=str(world / "work")
    )
    with Guard.open(world / "guardrail.toml") as guard:
        return execute(guard, call, lambda _, chunk: None, mode=mode).ended  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["off", "floor", "default", "strict"])
@pytest.mark.parametrize("name", ["bomb", "threads"])
def test_a_fork_bomb_is_ended_and_its_record_says_why(world: Path, mode: str, name: str) -> None:
    """By whoever stands next to it; nothing of it is left, and it did not have to wait for its time to be over."""
    ended = started(world, name, mode)
    assert (ended.why, ended.survivors) == ("processes", 0)
    assert ended.seconds < 60
    results = [record for _, record in read_records(world / "trail") if record["kind"] == "result"]
    assert results[-1]["facts"]["ended_by"] == "processes"


@pytest.mark.parametrize("mode", ["off", "default"])
def test_a_bomb_whose_starter_has_gone_ends_with_it(world: Path, mode: str) -> None:
    """Whoever daemonises is left behind by what was started, and is ended with it, as fast as it may grow."""
    assert started(world, "detached", mode).survivors == 0
    place = os.fsencode(world / "work/detached.py")
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if place in _words(path)]


def _words(path: Path) -> list[bytes]:
    with contextlib.suppress(OSError):
        return path.read_bytes().split(b"\0")
    return []


@pytest.mark.parametrize("mode", ["off", "default"])
def test_a_tool_with_as_many_as_it_may_have_goes_on(world: Path, mode: str) -> None:
    """Five at a time are no bomb."""
    ended = started(world, "few", mode)
    assert (ended.why, ended.exit_code, ended.strays) == ("exited", 0, 0)


def test_a_session_ends_its_bomb_and_goes_on(tmp_path: Path) -> None:
    """The next tool in it is started as if nothing had been."""
    from guardrail.confine.kernel import Executor, Profile
    from tests.confine_support import LAUNCHER, SYSTEM

    def bombed(made: Arena) -> None:
        profile = Profile(read=SYSTEM, write=(made.ws,), processes=MOST)
        with Executor(made.protected(), launcher=LAUNCHER) as executor, executor.open(profile) as session:
            _, ended = run(session, [PYTHON, "-S", "-c", BOMB], made.ws)
            assert (ended.why, ended.survivors) == ("processes", 0)
            assert run(session, ["/bin/echo", "still"], made.ws)[0] == "still\n"

    with arena() as made:
        bombed(made)


def test_the_command_line_says_why_a_bomb_was_ended(
    world: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the words of the setting."""
    with open(os.devnull) as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        command = ["run", "--config", str(world / "guardrail.toml"), "--cwd", str(world / "work"), "--"]
        assert main([*command, "/usr/bin/python3", "threads.py"]) == 128 + 9
    said = f"it was ended because it had more processes and threads than {MOST} (`execute.processes`)"
    assert said in capfd.readouterr().err


def test_a_tool_without_any_process_is_no_setting(world: Path) -> None:
    """A bound of nothing would start nothing."""
    settings = world / "guardrail.toml"
    settings.write_text(settings.read_text().replace(f"processes = {MOST}", "processes = 0"))
    with pytest.raises(ConfigError, match=r"execute\.processes"):
        Guard.open(settings)
