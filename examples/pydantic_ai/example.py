"""A maintenance agent in Pydantic AI: it may look at a model, not copy it, and has to ask before it runs unknown code.

Run it with `python -m examples.pydantic_ai.example`; it ends with an error if anything is not as it says. The model is
a function, so neither a key nor a network is needed.
"""

from __future__ import annotations

from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, ToolApproved
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from examples.place import place
from guardrail import Guard
from guardrail_adapters.pydantic_ai import Guardrail

COPY = "cp -r weights /tmp/mine"
UNKNOWN = """python3 -c 'import os; exec(os.getenv("JOB", "print(1)"))'"""
EDITED = "python3 -c 'print(1)'"
RAN: list[str] = []


def model(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
    """Looks, copies and runs unknown code, one after the other."""
    turn = sum(isinstance(message, ModelResponse) for message in messages)
    commands = ("ls weights", COPY, UNKNOWN)
    if turn == len(commands):
        return ModelResponse(parts=[TextPart("done")])
    return ModelResponse(parts=[ToolCallPart("bash", {"command": commands[turn]}, f"c{turn}")])


def act(guard: Guard, folder: str) -> None:
    """Run until a person is needed, and go on with their answer."""
    agent = Agent(
        FunctionModel(model),
        output_type=[str, DeferredToolRequests],
        capabilities=[Guardrail(guard, subject="ops-agent", cwd=folder)],
    )

    @agent.tool_plain
    def bash(command: str) -> str:
        """Run a command; here it is only noted."""
        RAN.append(command)
        return "ok"

    waiting = agent.run_sync("tidy up")
    if RAN != ["ls weights"] or not isinstance(waiting.output, DeferredToolRequests):
        raise SystemExit(f"these ran: {RAN}; the agent said {waiting.output}")
    print("allowed: ls weights")
    print(f"denied: {COPY}")
    (question,) = waiting.output.approvals
    print(f"held: {question.tool_name} {question.args}")

    # A person says yes, to another command than the agent's.
    answer = DeferredToolResults(approvals={question.tool_call_id: ToolApproved(override_args={"command": EDITED})})
    done = agent.run_sync(message_history=waiting.all_messages(), deferred_tool_results=answer)
    if RAN != ["ls weights", EDITED] or done.output != "done":
        raise SystemExit(f"these ran: {RAN}; the agent said {done.output}")
    print(f"edited: {EDITED} ran in its place")


def main() -> None:
    """Look, copy, ask."""
    with place() as folder, Guard.open(folder / "guardrail.toml") as guard:
        act(guard, str(folder))


if __name__ == "__main__":
    main()
