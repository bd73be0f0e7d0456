"""A maintenance agent in the OpenAI Agents SDK: its helper copies weights, and it asks before it runs unknown code.

Run it with `python -m examples.openai_agents.example`; it ends with an error if anything is not as it says. The model
is scripted, so neither a key nor a network is needed.
"""

from __future__ import annotations

import asyncio

from agents import Agent, Runner, RunState, function_tool, set_tracing_disabled
from agents.testing import ScriptedModel, assistant_message, function_call

from examples.place import place
from guardrail import Guard
from guardrail_adapters.openai_agents import duties, instrument

COPY = "cp -r weights /tmp/mine"
UNKNOWN = """python3 -c 'import os; exec(os.getenv("JOB", "print(1)"))'"""
RAN: list[str] = []


@function_tool
def bash(command: str) -> str:
    """Run a command; here it is only noted."""
    RAN.append(command)
    return "ok"


def team() -> Agent[None]:
    """An agent, and a helper that it uses as a tool."""
    helper = Agent[None](
        name="helper",
        tools=[bash],
        model=ScriptedModel(
            [[function_call("bash", {"command": COPY}, call_id="h1")], [assistant_message("it did not work")]]
        ),
    )
    return Agent(
        name="maintainer",
        tools=[bash, helper.as_tool("ask_helper", "Have something done.")],
        model=ScriptedModel(
            [
                [function_call("bash", {"command": "ls weights"}, call_id="c1")],
                [function_call("ask_helper", {"input": "make a copy of the weights"}, call_id="c2")],
                [function_call("bash", {"command": UNKNOWN}, call_id="c3")],
                [assistant_message("done")],
            ]
        ),
    )


async def act(guard: Guard, folder: str) -> None:
    """Run until a person is needed, keep the run, and go on with their answer."""
    agent = team()
    with instrument(guard, subject="ops-agent", session="maintenance", cwd=folder):
        hooks = duties(guard, subject="ops-agent", session="maintenance")
        waiting = await Runner.run(agent, "tidy up", hooks=hooks)
        if RAN != ["ls weights"]:
            raise SystemExit(f"these ran: {RAN}")
        print("allowed: ls weights")
        print(f"denied: {COPY}, asked for by the helper")
        kept = waiting.to_state().to_string()  # what an application would store

        state = await RunState.from_string(agent, kept)
        (question,) = state.get_interruptions()
        print(f"held: {question.name} {question.arguments}")
        state.approve(question)  # a person says yes
        done = await Runner.run(agent, state, hooks=hooks)
    if RAN != ["ls weights", UNKNOWN] or done.final_output != "done":
        raise SystemExit(f"these ran: {RAN}; the agent said {done.final_output}")
    print("approved: it ran once, and only this call")


def main() -> None:
    """Look, copy, ask."""
    set_tracing_disabled(True)
    with place() as folder, Guard.open(folder / "guardrail.toml") as guard:
        asyncio.run(act(guard, str(folder)))


if __name__ == "__main__":
    main()
