"""A maintenance agent of LangChain: it may look at a model, not copy it, and has to ask before it runs unknown code.

Run it with `python -m examples.langchain_agent.example`; it ends with an error if anything is not as it says. The model
is scripted, so neither a key nor a network is needed.
"""

from __future__ import annotations

from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from examples.peer_preservation.agent import ScriptedModel
from examples.place import place
from guardrail import Guard
from guardrail_adapters.langchain import GuardrailMiddleware

COPY = "cp -r weights /tmp/mine"
UNKNOWN = """python3 -c 'import os; exec(os.getenv("JOB", "print(1)"))'"""
COMMANDS = ("ls weights", COPY, UNKNOWN)
RAN: list[str] = []


@tool
def bash(command: str) -> str:
    """Run a command; here it is only noted."""
    RAN.append(command)
    return "ok"


def act(guard: Guard, folder: str) -> None:
    """Run until a person is needed, and go on with their answer."""
    agent = create_agent(
        ScriptedModel(script=[("bash", {"command": command}) for command in COMMANDS], closing="done"),
        [bash],
        middleware=[GuardrailMiddleware(guard, subject="ops-agent", cwd=folder)],
        checkpointer=InMemorySaver(),
    )
    config: Any = {"configurable": {"thread_id": "t1"}}
    waiting = agent.invoke({"messages": [("user", "tidy up")]}, config)
    refused = [said.content for said in waiting["messages"] if isinstance(said, ToolMessage) and said.status == "error"]
    if RAN != ["ls weights"] or len(refused) != 1:
        raise SystemExit(f"these ran: {RAN}; the model read {refused}")
    print("allowed: ls weights")
    print(f"denied: {COPY}; the model reads `{refused[0]}`")

    (question,) = waiting["__interrupt__"]
    (held,) = question.value["action_requests"]
    print(f"held: {held['args']['command']}")
    done = agent.invoke(Command(resume={"decisions": [{"type": "approve"}]}), config)
    if RAN != ["ls weights", UNKNOWN] or done["messages"][-1].content != "done":
        raise SystemExit(f"these ran: {RAN}; the agent said {done['messages'][-1].content}")
    print("approved: it ran once, and only this call")


def main() -> None:
    """Look, copy, ask."""
    with place() as folder, Guard.open(folder / "guardrail.toml") as guard:
        act(guard, str(folder))


if __name__ == "__main__":
    main()
