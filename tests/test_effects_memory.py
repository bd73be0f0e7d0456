"""A shell that lives on: what one call leaves behind is known in the next, and nothing is after anything opaque."""

from __future__ import annotations

import pytest

from guardrail.effects import ShellMemories, ShellMemory, analyse
from guardrail.effects.domain._values import State
from guardrail.parse import ShellText
from tests.effects_support import LIMITS, NoFiles, text


def typed(memory: ShellMemory, command: str) -> list[str]:
    """The effects of a line typed into a shell that lives on; the memory goes on as if the call was released."""
    operation = ShellText(text=command, persistent=True)
    found = analyse((operation,), cwd="/w", view=NoFiles(), limits=LIMITS, memory=memory)
    memory.before, memory.after = memory.after, None
    return [text(effect) for effect in found]


def test_a_directory_is_carried_from_call_to_call() -> None:
    """With the one before it, because `cd` may fail."""
    memory = ShellMemory(State(("/w",)))
    typed(memory, "cd /srv")
    assert set(typed(memory, "rm models/a")) == {"delete /srv/models/a", "delete /w/models/a"}


def test_variables_and_arrays_are_carried_from_call_to_call() -> None:
    """What one line assigns the next one uses."""
    memory = ShellMemory()
    typed(memory, "X=/models; a=(b '/c d')")
    assert typed(memory, 'rm -r $X "${a[1]}"')[:2] == ["delete /models", "delete /c d"]


@pytest.mark.parametrize(
    "command",
    ["eval $SOMETHING", ". /nowhere/x", "exit", "set -e", "trap 'rm x' EXIT", "alias ls=rm", "rm 'x", "unset $A", "bind x"],
)
def test_after_something_opaque_nothing_is_known(command: str) -> None:
    """Unknown code may have changed anything; a shell that ended is another one."""
    memory = ShellMemory()
    typed(memory, "X=/tmp/a")
    assert typed(memory, "rm $X") == ["delete /tmp/a"]
    typed(memory, command)
    assert "delete /tmp/a" not in typed(memory, "rm $X")


def test_a_bound_forgets_the_shell() -> None:
    """What was not analysed may have changed anything."""
    memory = ShellMemory()
    typed(memory, "X=/tmp/a; rm {1..100000}")
    assert memory.before is None


def test_memories_are_kept_for_each_session_and_tool_and_are_bounded() -> None:
    """The longest unused is dropped first; what failed is forgotten; a copy is handed out."""
    shells = ShellMemories(2)
    for session in ("a", "b", "c"):
        memory = shells.recall(session, "terminal")
        assert memory.before is None
        typed_into = analyse(
            (ShellText(text=f"X=/{session}", persistent=True),), cwd=None, view=NoFiles(), limits=LIMITS, memory=memory
        )
        assert typed_into == ()
        shells.keep(session, "terminal", memory)
    assert shells.recall("a", "terminal").before is None
    assert shells.recall("c", "other").before is None
    known = shells.recall("c", "terminal")
    assert "delete /c" in typed(known, "rm $X; X=/changed")
    assert "delete /c" in typed(shells.recall("c", "terminal"), "rm $X")
    shells.forget("c", "terminal")
    assert shells.recall("c", "terminal").before is None


def test_a_tool_that_starts_a_new_shell_each_time_remembers_nothing() -> None:
    """Only what is typed into a shell that lives on is carried."""
    memory = ShellMemory()
    analyse((ShellText(text="X=/a"),), cwd="/w", view=NoFiles(), limits=LIMITS, memory=memory)
    assert memory.after is None
