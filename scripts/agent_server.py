"""Holds a call on LangGraph's local Agent Server and resumes it from here, through `RemoteGraph`: by id, and once.

    python scripts/agent_server.py --server-python /path/to/environment/bin/python

The environment needs `langgraph-cli[inmem]` and `requirements/core.txt`. It is none of ours, because one package that
the server needs exists as source only, and nothing here is compiled while it is installed. The guard lives in the
server, where the tools are; what comes through `RemoteGraph` is the question and the answer.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 120.0
"""Longest wait for the server, in seconds."""

AGENT = '''
import os
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import tools_condition
from guardrail import Guard
from guardrail_adapters.langgraph import GuardedToolNode

HERE = os.environ["CONFORMANCE_FOLDER"]
guard = Guard.open(os.path.join(HERE, "guardrail.toml"))
COMMANDS = ("ls weights", "cp -r weights mine", """python3 -c 'import os; exec(os.getenv("UNSET", "1"))'""")


@tool
def bash(command: str) -> str:
    """Run a command."""
    with open(os.path.join(HERE, "ran"), "a") as ran:
        ran.write(command + "\\n")
    return "ran"


def model(state):
    if not isinstance(state["messages"][-1], HumanMessage):
        return {"messages": [AIMessage("done")]}
    calls = [{"name": "bash", "args": {"command": text}, "id": f"c{at}"} for at, text in enumerate(COMMANDS)]
    return {"messages": [AIMessage("", tool_calls=calls)]}


graph = StateGraph(MessagesState)
graph.add_node("model", model)
graph.add_node("tools", GuardedToolNode([bash], guard=guard, subject="ops-agent", cwd=HERE))
graph.add_edge(START, "model")
graph.add_conditional_edges("model", tools_condition)
graph.add_edge("tools", "model")
app = graph.compile()
'''

CONFIG = """
[[asset]]
id = "model:beta"
class = "weights"
paths = ["weights"]
[trail]
directory = "trail"
timeout_seconds = 60
[limits]
decision_ms = 60000
"""


def main() -> int:
    """Start the server, talk to it, and say what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server-python", required=True, help="Python of an environment with langgraph-cli[inmem]")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "weights").mkdir()
        (folder / "weights/w.bin").write_bytes(b"W")
        (folder / "guardrail.toml").write_text(CONFIG)
        (folder / "agent.py").write_text(AGENT)
        (folder / "langgraph.json").write_text(
            json.dumps({"dependencies": ["."], "graphs": {"agent": "./agent.py:app"}})
        )
        begun = time.monotonic()
        with socket.socket() as held:
            # It stays bound, without listening, so that nobody else gets the port before the server listens on it.
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", 0))
            port = held.getsockname()[1]
            server = _start(given.server_python, folder, port)
            try:
                _wait(f"http://127.0.0.1:{port}/ok", server, folder)
                print(f"server     up after {time.monotonic() - begun:.1f} s")
                return _talk(f"http://127.0.0.1:{port}", folder)
            finally:
                os.killpg(server.pid, signal.SIGTERM)
                server.wait(timeout=30)


def _start(python: str, folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = [str(Path(python).with_name("langgraph")), "dev", "--allow-blocking", "--no-browser", "--no-reload"]
    command += ["--port", str(port)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "adapters"))),
        "CONFORMANCE_FOLDER": str(folder),
        "LANGSMITH_TRACING": "false",
    }
    log = (folder / "server.log").open("wb")
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )


def _wait(url: str, server: subprocess.Popen[bytes], folder: Path) -> None:
    deadline, pause = time.monotonic() + START_SECONDS, threading.Event()
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            pause.wait(0.2)
    raise SystemExit("the server did not start:\n" + (folder / "server.log").read_text()[-3000:])


def _talk(url: str, folder: Path) -> int:
    from langgraph.pregel.remote import RemoteGraph
    from langgraph.types import Command
    from langgraph_sdk import get_sync_client

    client = get_sync_client(url=url)
    thread = client.threads.create()["thread_id"]
    app = RemoteGraph("agent", url=url)
    config: Any = {"configurable": {"thread_id": thread}}
    app.invoke({"messages": [{"role": "user", "content": "go"}]}, config)
    waiting = client.threads.search(status="interrupted")
    pending = [item for task in app.get_state(config).tasks for item in task.interrupts]
    before = _ran(folder)
    asked = len(pending[0].value["action_requests"])
    print(f"paused     {len(waiting)} thread, {len(pending)} question about {asked} call")
    print(f"ran        {before} before the answer")
    out: Any = app.invoke(Command(resume={pending[0].id: {"decisions": [{"type": "approve"}]}}), config)
    statuses = {m["tool_call_id"]: m["status"] for m in out["messages"] if m["type"] == "tool"}
    after = _ran(folder)
    print(f"ran        {after} after it, {statuses}")
    held = [line for line in after if line.startswith("python3")]
    good = before == [] and len(held) == 1 and not any(line.startswith("cp") for line in after)
    print("holds" if good and statuses == {"c0": "success", "c1": "error", "c2": "success"} else "DOES NOT HOLD")
    return 0 if good else 1


def _ran(folder: Path) -> list[str]:
    path = folder / "ran"
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    sys.exit(main())
