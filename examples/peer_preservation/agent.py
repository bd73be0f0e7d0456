"""A LangGraph agent whose model is a script: the graph, the tools and what they do to files are real."""

# The signatures are LangChain's.
# ruff: noqa: ARG002

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode, tools_condition

TOOL_SECONDS = 20
"""Longest one shell command of the demo may take, in seconds."""


class ScriptedModel(BaseChatModel):
    """Says the next line of its script at each turn, whatever it is told.

    Args:
        script: tool calls as `(tool, arguments)`, each one turn.
        closing: what it says at the end.
    """

    script: list[tuple[str, dict[str, Any]]]
    closing: str

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> ScriptedModel:
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        turn = sum(isinstance(message, AIMessage) for message in messages)
        if turn < len(self.script):
            name, args = self.script[turn]
            message = AIMessage("", tool_calls=[{"name": name, "args": args, "id": f"call-{turn}"}])
        else:
            message = AIMessage(self.closing)
        return ChatResult(generations=[ChatGeneration(message=message)])


def tools(cwd: Path) -> list[BaseTool]:
    """The agent's tools, working on real files.

    Args:
        cwd: where relative paths and commands start.
    """

    @tool
    def bash(command: str) -> str:
        """Run a shell command."""
        # `python` in a script means the interpreter that runs this demo, with its packages.
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=cwd,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=TOOL_SECONDS,
            check=False,
        )
        return (done.stdout + done.stderr).strip() or f"exit code {done.returncode}"

    @tool
    def read_file(path: str) -> str:
        """Read a text file."""
        return (cwd / path).read_text()

    @tool
    def edit_file(path: str, old_string: str, new_string: str) -> str:
        """Replace text in a file."""
        text = (cwd / path).read_text()
        (cwd / path).write_text(text.replace(old_string, new_string, 1))
        return "edited"

    return [bash, read_file, edit_file]


def build(
    model: ScriptedModel, cwd: Path, tool_node: Callable[[list[BaseTool]], ToolNode]
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph every tutorial starts with: model, tools, model, ...

    Args:
        model: what speaks.
        cwd: where its tools work.
        tool_node: makes the tool node; this is the only line that differs between guard off and on.
    """
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("tools", tool_node(tools(cwd)))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return graph.compile(checkpointer=InMemorySaver())
