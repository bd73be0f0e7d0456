"""Backends of deepagents behind the guard: what reaches them past every tool, virtual paths, and their own errors."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guardrail import ConfigError, Guard
from guardrail.audit._verify import read_records
from guardrail.config import parse as parse_config
from guardrail.model import NEUTRAL, Outcome
from guardrail_adapters.langgraph import instrument
from tests.adapters.toys import Scripted, turn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("deepagents")
    from deepagents import create_deep_agent
    from deepagents.backends import FilesystemBackend, LocalShellBackend
    from deepagents.backends.protocol import SandboxBackendProtocol

    from guardrail_adapters.deepagents import guard_backend

DENIED = NEUTRAL[Outcome.DENY]
HELD = NEUTRAL[Outcome.ESCALATE]
CONFIG = """
[[asset]]
id = "model:beta"
class = "weights"
paths = ["weights"]

[[asset]]
id = "control:shutdown"
class = "control"
paths = ["shutdown.toml"]
controls = {{ shutdown_enabled = true }}

[trail]
directory = "{trail}"
timeout_seconds = 60

[limits]
decision_ms = 60000
"""


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    """A guard over weights and a control, in a folder that a backend serves."""
    (tmp_path / "served/weights").mkdir(parents=True)
    (tmp_path / "served/weights/w.bin").write_bytes(b"W\n")
    (tmp_path / "served/shutdown.toml").write_text("shutdown_enabled = true\n")
    text = CONFIG.format(trail=tmp_path / "trail")
    with Guard.open(parse_config(text, base=str(tmp_path / "served"))) as opened:
        yield opened


def kinds(tmp_path: Path, guard: Guard) -> list[str]:
    """What the trail has on calls."""
    assert guard.trail is not None
    guard.trail.checkpoint()
    found = [record["kind"] for _, record in read_records(tmp_path / "trail")]
    return [kind for kind in found if kind in ("decision", "intent", "result")]


@pytest.mark.parametrize("virtual", [True, False])
async def test_a_backend_does_only_what_the_guard_allows(virtual: bool, guard: Guard, tmp_path: Path) -> None:
    """Its own errors say so, plain and with coroutines; virtual paths are judged where they lie on the host."""
    place = tmp_path / "served"
    base = "" if virtual else str(place)
    backend = guard_backend(
        FilesystemBackend(root_dir=str(place), virtual_mode=virtual),
        guard,
        root=place if virtual else None,
        cwd=str(place),
    )
    edit = (f"{base}/shutdown.toml", "true", "false")
    assert backend.edit(*edit).error in (DENIED, HELD)
    assert (await backend.aedit(*edit)).error in (DENIED, HELD)
    assert backend.delete(f"{base}/weights/w.bin").error == DENIED
    assert backend.write(f"{base}/weights/more.bin", "x").error in (DENIED, HELD)
    (one, two) = backend.upload_files([(f"{base}/weights/v.bin", b"\xff"), (f"{base}/notes", b"n")])
    assert (one.error, two.error) == ("permission_denied", None)
    assert sorted(path.name for path in (place / "weights").iterdir()) == ["w.bin"]
    assert (place / "shutdown.toml").read_text() == "shutdown_enabled = true\n"
    assert backend.write(f"{base}/plan.md", "a plan").error is None
    assert (place / "plan.md").read_text() == "a plan"
    assert backend.read(f"{base}/plan.md").error is None
    assert backend.ls(f"{base}/" if virtual else base).error is None
    assert backend.glob("*.md", f"{base}/").error is None
    assert backend.grep("plan", f"{base}/").error is None
    (got,) = backend.download_files([f"{base}/notes"])
    assert got.content == b"n"


async def test_a_shell_behind_the_guard_stays_one(guard: Guard, tmp_path: Path) -> None:
    """`execute` is judged too; what is refused looks like a command that may not be executed."""
    place = tmp_path / "served"
    inner = LocalShellBackend(root_dir=str(place), virtual_mode=False)
    backend = guard_backend(inner, guard, cwd=str(place))
    assert isinstance(backend, SandboxBackendProtocol)
    assert backend.id == inner.id
    copy = f"cp {place}/weights/w.bin {place}/mine"
    refused = backend.execute(copy)
    assert (refused.output, refused.exit_code) == (DENIED, 126)
    assert (await backend.aexecute(copy)).exit_code == 126
    assert not (place / "mine").exists()
    assert backend.execute("echo hello").output.strip() == "hello"


@pytest.mark.filterwarnings("ignore")
def test_what_a_tool_was_released_for_is_not_judged_twice(guard: Guard, tmp_path: Path) -> None:
    """Under `instrument` the tool's own call is the one on record, and the backend behind it knows."""
    place = tmp_path / "served"
    call = {"file_path": f"{place}/plan.md", "content": "a plan"}
    script = [turn({"name": "write_file", "args": call, "id": "c1", "type": "tool_call"})]
    with instrument(guard, cwd=str(place)):
        backend = guard_backend(FilesystemBackend(root_dir=str(place), virtual_mode=False), guard, cwd=str(place))
        app = create_deep_agent(Scripted(script=script), backend=backend)
        app.invoke({"messages": [("user", "go")]})
    assert (place / "plan.md").read_text() == "a plan"
    assert kinds(tmp_path, guard).count("intent") == 1


def test_a_backends_own_error_and_a_broken_guard_are_told_apart(guard: Guard, tmp_path: Path) -> None:
    """What the backend raises comes out as it is; when judging fails, nothing reaches it."""

    class Odd(FilesystemBackend):
        def write(self, file_path: str, content: str) -> Any:
            raise OSError("the disk is odd")

    backend = guard_backend(Odd(root_dir=str(tmp_path), virtual_mode=False), guard)
    with pytest.raises(OSError, match="the disk is odd"):
        backend.write(f"{tmp_path}/a", "x")
    assert guard.trail is not None
    guard.trail.close()
    assert backend.write(f"{tmp_path}/a", "x").error == DENIED


@pytest.mark.parametrize(
    ("backend", "root", "said"),
    [
        ("/srv", None, "`backend` must be a backend of deepagents, not a `str`"),
        (None, "srv", "must be an absolute path"),
    ],
)
def test_what_is_no_backend_or_no_place_is_refused(backend: Any, root: str | None, said: str, guard: Guard) -> None:
    """One sentence, at once."""
    with pytest.raises(ConfigError, match=said):
        guard_backend(backend or FilesystemBackend(root_dir="/", virtual_mode=True), guard, root=root)
