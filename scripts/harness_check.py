"""Let a real harness make scripted tool calls, with and without the hook, and say what ran.

    npm install --prefix DIR @anthropic-ai/claude-code @openai/codex @google/gemini-cli opencode-ai
    python scripts/harness_check.py claude-code --program DIR/node_modules/.bin/claude

The model is a server on this machine that asks for one shell command and then says that it is done, so no account is
needed and nothing is sent anywhere. Each round has a directory of its own with guarded weights in it:

    without the hook   a copy of the weights: it has to run, or nothing is shown by what follows
    with the hook      the same copy, which has to be stopped, and a harmless command, which has to run

Prints one line a round with what the model was told, and exits with 0 if it was as it has to be.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent

HARNESS_SECONDS: Final = 120
"""Longest time for one round, in seconds."""

COPY: Final = "cp models/a.safetensors copy.bin"
HARMLESS: Final = "echo fine > harmless.txt"

CONFIG: Final = """
[trail]
directory = "trail"
timeout_seconds = 60
[[asset]]
id = "model:a"
class = "weights"
paths = ["work/models"]
[hooks]
idle_seconds = 5
"""

Event = tuple[str, dict[str, Any]]


# ── models ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def messages(request: dict[str, Any], command: str) -> tuple[list[Event], str | None]:
    """Anthropic's Messages API: what is said, and what the model was told of its call."""
    told = [
        json.dumps(part.get("content"))
        for message in request["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
        if part.get("type") == "tool_result"
    ]
    can = any(tool.get("name") == "Bash" for tool in request.get("tools", ()))
    calls = can and not told
    block: dict[str, Any] = {"type": "text", "text": ""}
    delta: dict[str, Any] = {"type": "text_delta", "text": "done"}
    if calls:
        block = {"type": "tool_use", "id": "toolu_01", "name": "Bash", "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps({"command": command, "description": "x"})}
    usage = {"input_tokens": 1, "output_tokens": 1}
    start = {"id": "msg_1", "type": "message", "role": "assistant", "model": request["model"], "content": []}
    events = [
        {"type": "message_start", "message": {**start, "stop_reason": None, "stop_sequence": None, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 1},
        },
        {"type": "message_stop"},
    ]
    return [(str(event["type"]), event) for event in events], told[-1] if told else None


def responses(request: dict[str, Any], command: str) -> tuple[list[Event], str | None]:
    """OpenAI's Responses API, likewise."""
    told = [json.dumps(item.get("output")) for item in request["input"] if item.get("type") == "function_call_output"]
    names = {str(tool.get("name")): tool for tool in request.get("tools", ())}
    item: dict[str, Any] = {
        "type": "message",
        "id": "m1",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "done", "annotations": []}],
    }
    if not told:
        name = next((known for known in ("exec_command", "shell_command", "shell") if known in names), "exec_command")
        key = "cmd" if name == "exec_command" else "command"
        value: object = ["bash", "-c", command] if name == "shell" else command
        arguments = json.dumps({key: value})
        item = {"type": "function_call", "id": "f1", "call_id": "call_1", "name": name, "arguments": arguments}
    response = {"id": "r1", "object": "response", "status": "completed", "output": [item]}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    events = [
        {"type": "response.created", "response": {"id": "r1", "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {**response, "usage": usage}},
    ]
    return [(str(event["type"]), event) for event in events], told[-1] if told else None


def contents(request: dict[str, Any], command: str) -> tuple[list[Event], str | None]:
    """Google's Gemini API, likewise."""
    told = [
        json.dumps(part["functionResponse"]["response"])
        for content in request["contents"]
        for part in content["parts"]
        if "functionResponse" in part
    ]
    part: dict[str, Any] = {"text": "done"}
    if "tools" in request and not told:
        part = {"functionCall": {"name": "run_shell_command", "args": {"command": command, "description": "x"}}}
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    return [("", {"candidates": [candidate], "usageMetadata": {"totalTokenCount": 1}})], told[-1] if told else None


def chat(request: dict[str, Any], command: str) -> tuple[list[Event], str | None]:
    """The API of chat completions, which most providers have, likewise."""
    told = [json.dumps(message["content"]) for message in request["messages"] if message["role"] == "tool"]
    delta: dict[str, Any] = {"role": "assistant", "content": "done"}
    calls = not told and any(tool["function"]["name"] == "bash" for tool in request.get("tools", ()))
    if calls:
        function = {"name": "bash", "arguments": json.dumps({"command": command, "description": "x"})}
        delta = {
            "role": "assistant",
            "tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}],
        }
    shape = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}
    end = {"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else "stop"}
    chunks = [{**shape, "choices": [choice]} for choice in ({"index": 0, "delta": delta, "finish_reason": None}, end)]
    return [("", chunk) for chunk in chunks], told[-1] if told else None


Speak = Callable[[dict[str, Any], str], tuple[list[Event], str | None]]

PATHS: Final[dict[str, Speak]] = {
    "/v1/messages": messages,
    "/v1/responses": responses,
    ":streamGenerateContent": contents,
    "/v1/chat/completions": chat,
}
"""How the path of a request ends, by which its API is known."""


class Model(ThreadingHTTPServer):
    """A model that asks for one command.

    Args:
        command: the command.
    """

    def __init__(self, command: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.command = command
        self.told: str | None = None
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Model

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        speak = next((speak for ending, speak in PATHS.items() if path.endswith(ending)), None)
        if speak is None:
            self.send_error(404)
            return
        events, told = speak(json.loads(body), self.server.command)
        self.server.told = told or self.server.told
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for name, event in events:
            kind = f"event: {name}\n" if name else ""
            self.wfile.write(f"{kind}data: {json.dumps(event)}\n\n".encode())

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing."""


@contextlib.contextmanager
def served(command: str) -> Iterator[Model]:
    """A model, as long as it is needed."""
    model = Model(command)
    thread = threading.Thread(target=model.serve_forever)
    thread.start()
    try:
        yield model
    finally:
        model.shutdown()
        thread.join()
        model.server_close()


# ── harnesses ────────────────────────────────────────────────────────────────────────────────────────────────────────


def claude_code(program: str, home: Path, model: Model) -> tuple[list[str], dict[str, str]]:
    """Without a person, with leave for its shell tool, so that nothing but the hook stands in the way."""
    return [program, "-p", "go on", "--allowedTools", "Bash"], {
        "ANTHROPIC_BASE_URL": model.url,
        "ANTHROPIC_API_KEY": "none",
        "CLAUDE_CONFIG_DIR": str(home),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }


def codex(program: str, home: Path, model: Model) -> tuple[list[str], dict[str, str]]:
    """Without its sandbox and its questions, and trusting the hook that was just installed."""
    provider = f'model_providers.local={{name="local",base_url="{model.url}/v1",wire_api="responses",env_key="NO_KEY"}}'
    options = ["-c", provider, "-c", 'model_provider="local"', "-c", 'model="scripted"']
    options += [
        "--dangerously-bypass-approvals-and-sandbox",
        "--dangerously-bypass-hook-trust",
        "--skip-git-repo-check",
    ]
    return [program, "exec", *options, "go on"], {"CODEX_HOME": str(home), "NO_KEY": "none"}


def gemini_cli(program: str, home: Path, model: Model) -> tuple[list[str], dict[str, str]]:
    """Without its questions."""
    (home / ".gemini").mkdir()
    settings = {"security": {"auth": {"selectedType": "gemini-api-key"}}, "privacy": {"usageStatisticsEnabled": False}}
    (home / ".gemini/settings.json").write_text(json.dumps(settings))
    return [program, "--yolo", "--skip-trust", "--model", "gemini-2.5-flash", "--prompt", "go on"], {
        "GOOGLE_GEMINI_BASE_URL": model.url,
        "GEMINI_API_KEY": "none",
    }


def opencode(program: str, home: Path, model: Model) -> tuple[list[str], dict[str, str]]:
    """With a provider of its own, and leave for its shell tool."""
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{model.url}/v1", "apiKey": "none"},
        "models": {"scripted": {"tool_call": True}},
    }
    config = {
        "provider": {"local": provider},
        "permission": {"bash": "allow"},
        "share": "disabled",
        "autoupdate": False,
    }
    return [program, "run", "--model", "local/scripted", "go on"], {
        "OPENCODE_CONFIG_CONTENT": json.dumps(config),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
    }


HARNESSES: Final = {"claude-code": claude_code, "codex": codex, "gemini-cli": gemini_cli, "opencode": opencode}


def round_of(name: str, program: str, command: str, *, hooked: bool, verbose: bool) -> tuple[bool, str | None]:
    """One conversation; whether the command ran, and what the model was told of it."""
    with tempfile.TemporaryDirectory() as folder, served(command) as model:
        top = Path(folder)
        work, home = top / "work", top / "home"
        (work / "models").mkdir(parents=True)
        home.mkdir()
        (work / "models/a.safetensors").write_bytes(b"weights")
        (top / "guardrail.toml").write_text(CONFIG)
        words, variables = HARNESSES[name](program, home, model)
        environment = {**os.environ, **variables, "HOME": str(home), "PWD": str(work)}
        environment["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(ROOT / "adapters")))
        if hooked:
            install = [sys.executable, "-m", "guardrail", "hook", "install", name, "--user", "--yes"]
            subprocess.run(
                [*install, "--config", str(top / "guardrail.toml")],
                env=environment,
                check=True,
                stdout=subprocess.DEVNULL,
            )
        done = subprocess.run(
            words, cwd=work, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=HARNESS_SECONDS, check=False,
        )  # fmt: skip
        if verbose:
            print(done.returncode, done.stdout, done.stderr, model.asked, sep="\n", file=sys.stderr)
        ran = (work / ("copy.bin" if command == COPY else "harmless.txt")).exists()
        return ran, model.told


def main() -> int:
    """Three rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("harness", choices=HARNESSES)
    parser.add_argument("--program", required=True, help="the harness's own program")
    parser.add_argument("--verbose", action="store_true", help="print what the harness says")
    args = parser.parse_args()
    version = subprocess.run([args.program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"{args.harness}: {version}")
    as_wanted = True
    for hooked, command, wanted in ((False, COPY, True), (True, COPY, False), (True, HARMLESS, True)):
        ran, told = round_of(args.harness, args.program, command, hooked=hooked, verbose=args.verbose)
        print(
            f"{'hook' if hooked else 'none'}  {command}: {'ran' if ran else 'did not run'}; the model was told {told}"
        )
        as_wanted = as_wanted and ran is wanted and told is not None
    return 0 if as_wanted else 1


if __name__ == "__main__":
    sys.exit(main())
