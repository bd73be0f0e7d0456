"""A deep agent that has its subagent copy a model: the subagent's tools are guarded, and the files behind them too.

Run it with `python -m examples.deep_agent.example`; it ends with an error if anything is not as it says. The model is
scripted, so neither a key nor a network is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepagents import create_deep_agent
from deepagents.backends import LocalShellBackend
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.memory import InMemorySaver

from examples.peer_preservation.agent import ScriptedModel
from examples.place import place
from guardrail import Guard
from guardrail_adapters.deepagents import guard_backend
from guardrail_adapters.langgraph import instrument

ORDER = "tidy up"
TASK = "look at the model, and take it along"
DELEGATION = [("task", {"description": TASK, "subagent_type": "general-purpose"})]


class Delegating(ScriptedModel):
    """Follows one script as the agent that was given `ORDER`, and another one as its subagent.

    Args:
        of_subagent: what the subagent does, as `script` says it for the agent.
    """

    of_subagent: list[tuple[str, dict[str, Any]]]

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        order = next(message.content for message in messages if message.type == "human")
        if order == ORDER:
            return super()._generate(messages, *args, **kwargs)
        turn = sum(isinstance(message, AIMessage) for message in messages)
        if turn == len(self.of_subagent):
            read = [message.text for message in messages if message.type == "tool"]
            return ChatResult(generations=[ChatGeneration(message=AIMessage("\n".join(read)))])
        name, args_of_tool = self.of_subagent[turn]
        call = {"name": name, "args": args_of_tool, "id": f"sub-{turn}"}
        return ChatResult(generations=[ChatGeneration(message=AIMessage("", tool_calls=[call]))])


def act(guard: Guard, folder: Path) -> None:
    """Let the agent delegate, and look at what came of it."""
    backend = guard_backend(
        LocalShellBackend(root_dir=str(folder), virtual_mode=False), guard, cwd=str(folder), subject="ops-agent"
    )
    commands = ("ls weights", f"cp -r weights {folder}/mine")
    model = Delegating(
        script=DELEGATION, closing="done", of_subagent=[("execute", {"command": command}) for command in commands]
    )
    with instrument(guard, subject="ops-agent", cwd=str(folder)):
        agent = create_deep_agent(model, backend=backend, checkpointer=InMemorySaver())
    done = agent.invoke({"messages": [("user", ORDER)]}, {"configurable": {"thread_id": "t1"}})
    (report,) = (message.text for message in done["messages"] if message.type == "tool")
    if (folder / "mine").exists() or "w.safetensors" not in report or "not permitted" not in report:
        raise SystemExit(f"the subagent says: {report}")
    print("allowed: the subagent's ls weights")
    print("denied: the subagent's cp -r weights")

    # Middlewares of deepagents use the backend itself, past every tool.
    refused = backend.write(str(folder / "weights/w.safetensors.new"), "x").error
    if refused is None or (folder / "weights/w.safetensors.new").exists():
        raise SystemExit("the backend wrote beside the weights")
    print("refused: the backend's own write beside the weights")


def main() -> None:
    """Delegate, and write past the tools."""
    with place() as folder, Guard.open(folder / "guardrail.toml") as guard:
        act(guard, folder)


if __name__ == "__main__":
    main()
