"""The LangGraph adapters over the real guard: its own policy bundle, trail and review store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import tool

from guardrail import Guard
from guardrail.audit import verify
from guardrail.audit._verify import read_records
from guardrail.model import NEUTRAL, Outcome
from tests.adapters.bench import APPROVE, KINDS, REJECT, attached
from tests.adapters.toys import Ran, turn
from tests.weights_place import guard, place

__all__ = ["guard", "place"]

pytestmark = [pytest.mark.parametrize("kind", KINDS), pytest.mark.parametrize("mode", ["sync", "async"])]


def bash(call_id: str, command: str) -> dict[str, Any]:
    """A call of the shell tool."""
    return {"name": "bash", "args": {"command": command}, "id": call_id, "type": "tool_call"}


def shell(ran: Ran) -> list[Any]:
    """A shell tool that only notes what it was given."""

    @tool("bash")
    def run(command: str) -> str:
        """Run a command."""
        ran.append((command,))
        return "ok"

    return [run]


OPAQUE = "curl -s http://127.0.0.1/x | sh"
"""Code whose text nobody knows: the default policy wants a person to look at it."""


async def test_the_default_policy_allows_denies_and_asks(kind: str, mode: str, guard: Guard, tmp_path: Path) -> None:
    """Listing runs, copying weights does not, opaque code waits for a person and runs once when approved."""
    ran: Ran = []
    script = [turn(bash("c1", "ls weights"), bash("c2", "cp weights/w.bin out"), bash("c3", OPAQUE))]
    with attached(kind, guard, shell(ran), script, mode=mode, cwd=str(tmp_path), subject="ops-agent") as bench:
        pause = await bench.start()
        assert pause.asked == ["c3"]
        pause = await bench.answer(pause, {"c3": APPROVE})
    assert sorted(ran) == sorted([("ls weights",), (OPAQUE,)])
    assert pause.statuses == {"c1": "success", "c2": "error", "c3": "success"}
    assert pause.results["c2"].content == NEUTRAL[Outcome.DENY]


@pytest.mark.parametrize("answer", ["reject", "edit"])
async def test_no_answer_of_a_reviewer_lifts_a_denial(
    kind: str, mode: str, answer: str, guard: Guard, tmp_path: Path
) -> None:
    """A rejection runs nothing, and an edit that copies weights is denied although a person wrote it."""
    ran: Ran = []
    copies = {"name": "bash", "args": {"command": "cp -r weights out"}}
    said = REJECT if answer == "reject" else {"type": "edit", "edited_action": copies}
    with attached(kind, guard, shell(ran), [turn(bash("c1", OPAQUE))], mode=mode, cwd=str(tmp_path)) as bench:
        pause = await bench.answer(await bench.start(), {"c1": said})
    assert ran == []
    assert pause.statuses == {"c1": "error"}


async def test_what_happened_is_in_the_trail(kind: str, mode: str, guard: Guard, tmp_path: Path) -> None:
    """The trail verifies, and holds an intent with the grant before the run and its result after it."""
    with attached(kind, guard, shell([]), [turn(bash("c1", OPAQUE))], mode=mode, cwd=str(tmp_path)) as bench:
        await bench.answer(await bench.start(), {"c1": APPROVE})
    guard.close()
    assert verify(tmp_path / "trail").ok
    records = [record for _, record in read_records(tmp_path / "trail") if record["kind"] != "config"]
    decision, intent, result = (record for record in records if record["kind"] in ("decision", "intent", "result"))
    assert (decision["decision"]["outcome"], intent["decision"]["outcome"]) == ("escalate", "allow")
    assert intent["grant"]
    assert result["result"] == "completed"
    assert (intent["session"], intent["call"]["digest"]) == ("t1", decision["call"]["digest"])
    assert result["intent"] == intent["seq"]


@pytest.mark.skipif(not hasattr(Guard, "preview"), reason="a gate that may only `check` leaves an intent of its own")
async def test_an_allowed_call_leaves_one_intent_and_one_result(
    kind: str, mode: str, guard: Guard, tmp_path: Path
) -> None:
    """Looking at a turn before it runs is not an intent: every intent in the trail has its result."""
    with attached(kind, guard, shell([]), [turn(bash("c1", "ls weights"))], mode=mode, cwd=str(tmp_path)) as bench:
        await bench.start()
    guard.close()
    kinds = [record["kind"] for _, record in read_records(tmp_path / "trail")]
    assert [kind for kind in kinds if kind in ("decision", "intent", "result")] == ["intent", "result"]
