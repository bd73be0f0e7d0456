"""Shells that outlive a call: what one call leaves, the next one finds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardrail import Decision, Guard, Outcome, ToolCall
from guardrail.assets import LiveFiles
from guardrail.effects import Shells, analyse
from guardrail.effects._shells import MAX_SHELLS, MAX_VARIABLES, directory_left
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import Value
from guardrail.parse import ShellText
from tests.effects_support import LIMITS, NoFiles


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    """A guard over one model."""
    (tmp_path / "models/beta").mkdir(parents=True)
    (tmp_path / "models/beta/w.safetensors").write_bytes(b"weights")
    (tmp_path / "work").mkdir()
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != folder.parent:
            folder.chmod(folder.stat().st_mode | 0o111)
    (tmp_path / "guardrail.toml").write_text(
        f'[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["{tmp_path}/models/beta"]\n'
        "[limits]\ndecision_ms = 60000\n"
    )
    with Guard.open(tmp_path / "guardrail.toml", record=False) as opened:
        yield opened


def say(guard: Guard, command: str, *, tool: str = "shell", session: str = "s") -> Decision:
    """One line typed into a shell that lives on."""
    return guard.check(ToolCall(tool=tool, args={"command": command}, session=session))


def test_a_directory_is_remembered(guard: Guard, tmp_path: Path) -> None:
    """`cd` in one call, a relative name in the next."""
    assert say(guard, f"cd {tmp_path}/models/beta")
    decision = say(guard, "rm w.safetensors")
    assert decision.outcome is Outcome.DENY
    assert decision.assets == ("model:beta",)
    assert say(guard, f"cd {tmp_path}/work")
    assert say(guard, "touch x; rm x")


def test_variables_and_functions_are_remembered(guard: Guard, tmp_path: Path) -> None:
    """What they hold, and what they do."""
    assert say(guard, f'W={tmp_path}/models/beta/w.safetensors; go() {{ rm "$1"; }}; cd {tmp_path}/work')
    assert say(guard, "go x")
    assert say(guard, 'go "$W"').outcome is Outcome.DENY
    assert say(guard, 'echo "$W"')


def test_an_open_descriptor_is_remembered(guard: Guard, tmp_path: Path) -> None:
    """`exec 3<` may end a shell that runs nothing else, and most often does not."""
    assert say(guard, f"exec 3<{tmp_path}/models/beta/w.safetensors")
    assert say(guard, f"cat <&3 > {tmp_path}/work/x").outcome is Outcome.DENY


def test_a_call_that_was_not_let_run_leaves_nothing(guard: Guard, tmp_path: Path) -> None:
    """The shell is what it was."""
    assert say(guard, f"cd {tmp_path}/work")
    assert say(guard, f"cd {tmp_path}/models/beta && rm w.safetensors").outcome is Outcome.DENY
    assert say(guard, "rm w.safetensors")


def test_each_session_and_tool_has_its_own_shell(guard: Guard, tmp_path: Path) -> None:
    """What one knows, another does not."""
    assert say(guard, f"cd {tmp_path}/work")
    assert say(guard, "rm x")
    assert say(guard, "rm x", session="other").outcome is Outcome.ESCALATE
    assert say(guard, "rm x", tool="persistent_shell").outcome is Outcome.ESCALATE


@pytest.mark.parametrize("end", ["exit", "exec ls", "trap 'true' EXIT", 'eval "$UNKNOWN"'])
def test_after_what_may_end_the_shell_nothing_is_known(guard: Guard, tmp_path: Path, end: str) -> None:
    """Another one may have been started in its place, in another directory."""
    assert say(guard, f"cd {tmp_path}/work")
    say(guard, end)
    first = say(guard, "rm x")
    assert first.outcome is Outcome.ESCALATE or end.startswith("eval")


def test_a_shell_that_starts_anew_for_each_call_remembers_nothing(guard: Guard, tmp_path: Path) -> None:
    """`bash` runs each command in a shell of its own."""
    call = ToolCall(tool="bash", args={"command": f"cd {tmp_path}/models/beta"}, cwd=str(tmp_path / "work"))
    assert guard.check(call)
    again = ToolCall(tool="bash", args={"command": "rm w.safetensors"}, cwd=str(tmp_path / "work"))
    assert guard.check(again)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("cd /tmp", "/tmp"),
        ("cd /usr && ls", None),
        ("cd /tmp; ls; echo x", "/tmp"),
        ("cd /tmp; cd nowhere", None),
        ("cd /tmp; $X", None),
        ("cd /no/such/place", None),
        ("if true; then cd /usr; fi", None),
        ("cd /usr; cd /tmp", "/tmp"),
        ("cd /tmp/..", None),
        ("ls", None),
    ],
)
def test_only_a_plain_way_to_a_place_open_to_all_is_taken(text: str, left: str | None) -> None:
    """A `cd` that fails leaves the shell where it was, and nobody tells."""
    assert directory_left(text, LiveFiles()) == left


def test_a_directory_that_only_some_may_enter_is_not_taken(tmp_path: Path) -> None:
    """The guard may have rights that the agent has not."""
    (tmp_path / "closed").mkdir(mode=0o700)
    assert directory_left(f"cd {tmp_path}/closed", LiveFiles()) is None


@pytest.mark.parametrize(
    "command",
    ["eval $SOMETHING", ". /nowhere/x", "exit", "set -e", "trap 'rm x' EXIT", "rm 'x", "unset $A", "bind x"],
)
def test_after_something_opaque_nothing_is_known(command: str) -> None:
    """Unknown code may have changed anything; a shell that ended is another one."""
    shells = Shells()
    for text in ("X=/tmp/a", command):
        memory = shells.recall("s", "a", "shell")
        analyse((ShellText(text=text, persistent=True),), cwd="/w", view=NoFiles(), limits=LIMITS, memory=memory)
        shells.keep(memory)
    memory = shells.recall("s", "a", "shell")
    operation = ShellText(text="rm $X", persistent=True)
    found = analyse((operation,), cwd="/w", view=NoFiles(), limits=LIMITS, memory=memory)
    assert "delete /tmp/a" not in [f"{effect.op} {effect.resource.path}" for effect in found]


def test_a_bound_forgets_the_shell() -> None:
    """What was not analysed may have changed anything."""
    shells = Shells()
    for text in ("X=/tmp/a", "rm {1..100000}"):
        memory = shells.recall("s", "a", "shell")
        analyse((ShellText(text=text, persistent=True),), cwd="/w", view=NoFiles(), limits=LIMITS, memory=memory)
        shells.keep(memory)
    assert shells.recall("s", "a", "shell").start() is None


def test_a_call_that_failed_forgets_the_shell(guard: Guard, tmp_path: Path) -> None:
    """It may have been stopped at any point."""
    call = ToolCall(tool="shell", args={"command": f"cd {tmp_path}/work"}, session="s")
    assert guard.check(call)
    memory = guard.shells.recall("s", call.subject.id, "shell")
    assert memory.start() is not None
    guard.shells.forget(memory)
    assert say(guard, "rm x").outcome is Outcome.ESCALATE


def test_memory_is_bounded() -> None:
    """The longest unused shell is dropped first, and one that knows too much is not remembered."""
    shells = Shells()
    for number in range(MAX_SHELLS + 1):
        memory = shells.recall("s", "a", str(number))
        memory.leave(State(("/w",)))
        shells.keep(memory)
    assert shells.recall("s", "a", "0").start() is None
    assert shells.recall("s", "a", "1").start() is not None
    memory = shells.recall("s", "a", "1")
    state = State(("/w",))
    state.vars = {f"v{number}": Value(alternatives=("x",)) for number in range(MAX_VARIABLES + 1)}
    memory.leave(state)
    shells.keep(memory)
    assert shells.recall("s", "a", "1").start() is None
