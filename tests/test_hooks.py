"""Harness hooks: exact events in, exact answers out, and a denial whenever there is no answer."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guardrail import Guard
from guardrail import config as config_module
from guardrail.audit._verify import read_records
from guardrail.cli import main
from guardrail.cli.findings._strength import hook_findings
from guardrail.hooks import client
from guardrail.hooks._answers import Answer, as_http
from guardrail.hooks._desk import HookDesk
from guardrail.hooks._events import After, Agent, Before, Malformed, read_event
from guardrail.hooks._resident import socket_of

CLIENT = Path(client.__file__)
COPY = "cp models/a.safetensors /tmp/x"
REFUSED = "This action is not permitted here and was not carried out."


def claude(event: str = "PreToolUse", command: str = "ls -l", call: str = "toolu_01", **more: Any) -> dict[str, Any]:
    """An event of Claude Code 2.1.330, with all that it sends."""
    return {
        "session_id": "3f1c", "transcript_path": "/t.jsonl", "cwd": "/", "prompt_id": "p1",
        "permission_mode": "default",
        "effort": {"level": "high"}, "hook_event_name": event, "tool_name": "Bash",
        "tool_input": {"command": command, "description": "d"}, "tool_use_id": call, **more,
    }  # fmt: skip


def gemini(event: str = "BeforeTool", command: str = "ls -l", **more: Any) -> dict[str, Any]:
    """An event of Gemini CLI 0.61."""
    return {
        "session_id": "g1", "transcript_path": "/t.json", "cwd": "/", "hook_event_name": event,
        "timestamp": "2026-11-30T00:00:00Z", "tool_name": "run_shell_command", "tool_input": {"command": command},
        **more,
    }  # fmt: skip


def codex(transcript: Path | None = None, command: str = "ls -l", **more: Any) -> dict[str, Any]:
    """An event of Codex 0.163."""
    return {
        "session_id": "c1", "turn_id": "t1", "transcript_path": str(transcript) if transcript else None, "cwd": "/",
        "hook_event_name": "PreToolUse", "model": "gpt-5-codex", "permission_mode": "default", "tool_name": "Bash",
        "tool_input": {"command": command}, "tool_use_id": "call_1", **more,
    }  # fmt: skip


def opencode(event: str = "tool.execute.before", command: str = "ls -l", **more: Any) -> dict[str, Any]:
    """What our plugin sends for OpenCode 1.18."""
    return {
        "event": event, "sessionID": "o1", "callID": "c1", "tool": "bash",
        "args": {"command": command, "description": "d"}, "directory": "/", **more,
    }  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A directory with one guarded model and its configuration."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models/a.safetensors").write_bytes(b"weights")
    (tmp_path / "guardrail.toml").write_text(
        "[limits]\ndecision_ms = 60000\n"
        "[trail]\ntimeout_seconds = 60\n"
        'directory = "trail"\n[[asset]]\nid = "model:a"\nclass = "weights"\npaths = ["models"]\n'
    )
    return tmp_path


@pytest.fixture
def guard(world: Path) -> Iterator[Guard]:
    """Its guard, open."""
    with Guard.open(str(world / "guardrail.toml")) as opened:
        yield opened


def _answer(guard: Guard, event: dict[str, Any], harness: str = "claude-code") -> Answer:
    return HookDesk(guard).answer(harness, json.dumps(event).encode(), Agent())


def _records(world: Path, kind: str) -> list[dict[str, Any]]:
    return [record for _, record in read_records(world / "trail", 0) if record["kind"] == kind]


EVENTS = {"claude-code": claude, "gemini-cli": gemini, "codex": codex, "opencode": opencode}


@pytest.mark.parametrize("harness", EVENTS)
def test_each_harness_is_answered_by_the_form_that_holds_everywhere(guard: Guard, world: Path, harness: str) -> None:
    """Allow is exit 0 and silence; deny is exit 2, a neutral reason on standard error, and no output."""
    event = EVENTS[harness]
    assert _answer(guard, event(command="ls /"), harness) == Answer()
    denied = _answer(guard, event(command=f"cp {world}/models/a.safetensors /tmp/x"), harness)
    assert denied == Answer(exit_code=2, stderr=f"{REFUSED}\n".encode())


def test_what_waits_for_a_person_is_denied_with_the_approval_and_the_retry_finds_it(world: Path) -> None:
    """Nobody at the harness decides unless the operator says so; whoever approves releases the same call once."""
    from guardrail.review import Vote

    with Guard.open(str(world / "guardrail.toml")) as guard:
        asked = _answer(guard, claude(command="bash"))
        (case,) = guard.desk.cases()
        assert asked.exit_code == 2
        assert f"Approval {case.held.id} is pending: send the same call again".encode() in asked.stderr
        guard.desk.cast(case.held.id, Vote(voter="dana", verdict="approve", at_us=0))
        assert _answer(guard, claude(command="bash", call="toolu_02")) == Answer()
        assert _answer(guard, claude(command="bash", call="toolu_03")).exit_code == 2


def test_a_person_at_the_harness_is_asked_only_where_they_are_reviewers(world: Path) -> None:
    """Then the harness's own question is asked, and what they let through is on record with a vote and a used grant."""
    with (world / "guardrail.toml").open("a") as file:
        file.write('[hooks]\nask = ["claude-code", "gemini-cli"]\n')
    with Guard.open(str(world / "guardrail.toml")) as guard:
        desk = HookDesk(guard)

        def say(event: dict[str, Any], harness: str = "claude-code") -> Answer:
            return desk.answer(harness, json.dumps(event).encode(), Agent())

        asked = say(claude(command="bash"))
        shown = json.loads(asked.stdout)["hookSpecificOutput"]
        assert (asked.exit_code, shown["hookEventName"], shown["permissionDecision"]) == (0, "PreToolUse", "ask")
        assert "is pending" in shown["permissionDecisionReason"]
        assert json.loads(say(gemini(command="bash"), "gemini-cli").stdout)["decision"] == "ask"
        assert say(codex(command="bash"), "codex").exit_code == 2
        for mode in ("bypassPermissions", "dontAsk", "auto", "somethingNew"):
            assert say(claude(command="bash", call="toolu_9", permission_mode=mode)).exit_code == 2
        assert say(claude("PostToolUse", command="bash", tool_response={"stdout": ""})) == Answer()
    (intent,), (result,) = _records(world, "intent"), _records(world, "result")
    assert intent["grant"]
    assert result["result"] == "completed"
    assert intent["use"] == 1


def test_what_ran_although_others_had_said_no_is_on_record_as_that(world: Path) -> None:
    """The person at the harness let it run after somebody else had rejected it."""
    from guardrail.review import Vote

    with (world / "guardrail.toml").open("a") as file:
        file.write('[hooks]\nask = ["claude-code"]\n')
    with Guard.open(str(world / "guardrail.toml")) as guard:
        desk = HookDesk(guard)
        desk.answer("claude-code", json.dumps(claude(command="bash")).encode(), Agent())
        (case,) = guard.desk.cases()
        guard.desk.cast(case.held.id, Vote(voter="dana", verdict="deny", at_us=0))
        desk.answer("claude-code", json.dumps(claude("PostToolUse", command="bash")).encode(), Agent())
    (result,) = _records(world, "result")
    assert result["facts"] == {"unapproved": 1}
    assert _records(world, "intent") == []


def test_the_end_of_a_call_is_on_record(world: Path) -> None:
    """Done, failed, and done with other arguments than those that were judged; each answers its own intent."""
    with Guard.open(str(world / "guardrail.toml")) as guard:
        desk = HookDesk(guard)
        for number, (event, command) in enumerate(
            [("PostToolUse", "ls"), ("PostToolUseFailure", "ls"), ("PostToolUse", "pwd")]
        ):
            call = f"toolu_{number}"
            desk.answer("claude-code", json.dumps(claude(command="ls", call=call)).encode(), Agent())
            after = claude(event, command=command, call=call, tool_response={"stdout": "x"}, error="boom")
            assert desk.answer("claude-code", json.dumps(after).encode(), Agent()) == Answer()
        for event in (gemini(), gemini("AfterTool", tool_response={"llmContent": "x"})):
            assert desk.answer("gemini-cli", json.dumps(event).encode(), Agent()) == Answer()
    assert [record["result"] for record in _records(world, "result")] == [
        "completed",
        "failed",
        "completed",
        "completed",
    ]
    assert [record.get("facts") for record in _records(world, "result")] == [None, None, {"changed": 1}, None]
    intents = [seq for seq, record in read_records(world / "trail", 0) if record["kind"] == "intent"]
    assert [record["intent"] for record in _records(world, "result")] == intents


@pytest.mark.parametrize("event", ["SessionStart", "Stop", "SessionEnd"])
def test_other_events_never_stop_the_harness(guard: Guard, event: str) -> None:
    """A conversation that begins, pauses or ends has its duties looked at, and is answered with silence."""
    assert _answer(guard, {"session_id": "s", "cwd": "/", "hook_event_name": event}) == Answer()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not an event of claude-code"),
        (b"[]", "not an event of claude-code"),
        (b'{"session_id": "s"}', "missing required field `hook_event_name`"),
        (json.dumps(claude(event="pretooluse")).encode(), "`pretooluse` is no event"),
        (json.dumps(claude(tool_name=None)).encode(), "`tool_name` and `tool_input`"),
        (json.dumps(claude(tool_input="ls")).encode(), "tool_input"),
        (json.dumps(claude(cwd="relative")).encode(), "`cwd` must be an absolute path"),
        (json.dumps(claude(session_id="")).encode(), "session is empty"),
        (b'{"session_id":"s","hook_event_name":"PreToolUse","tool_name":"Bash","tool_name":"Read"}', "tool_name"),
        (json.dumps(claude(command="x" * 300_000)).encode(), "more than"),
        (b"{" * 100, "nested"),
        (b'{"session_id": "\xff"}', "not an event"),
    ],
)
def test_a_malformed_event_is_a_denial_that_says_what_is_wrong(guard: Guard, body: bytes, said: str) -> None:
    """In the harness's own words, with exit code 2."""
    answer = HookDesk(guard).answer("claude-code", body, Agent())
    assert answer.exit_code == 2
    assert answer.stdout == b""
    assert answer.stderr.decode().startswith(f"{REFUSED} There was no decision: ")
    assert said in answer.stderr.decode()


def test_a_guard_that_is_broken_denies(world: Path) -> None:
    """A closed guard cannot record, so nothing runs."""
    guard = Guard.open(str(world / "guardrail.toml"))
    guard.close()
    assert _answer(guard, claude(command="ls")).exit_code == 2


def test_hooks_over_http_get_a_whole_answer_always(guard: Guard) -> None:
    """An empty body would count as no opinion, so there is none."""
    assert json.loads(as_http(_answer(guard, claude()))) == {"hookSpecificOutput": {"hookEventName": "PreToolUse"}}
    denied = json.loads(as_http(_answer(guard, claude(command="bash"))))["hookSpecificOutput"]
    assert denied["permissionDecision"] == "deny"
    assert denied["permissionDecisionReason"]


def test_codex_commands_are_judged_where_they_would_run(world: Path) -> None:
    """Its transcript has the directory and the terminal that its hook leaves out; without it nobody knows them."""
    transcript = world / "t.jsonl"

    def call(arguments: dict[str, Any], command: str = "ls") -> Before | After | Any:
        item = {
            "type": "function_call",
            "name": "exec_command",
            "arguments": json.dumps(arguments),
            "call_id": "call_1",
        }
        lines = [{"type": "session_meta", "payload": {}}, {"timestamp": "t", "type": "response_item", "payload": item}]
        transcript.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
        event = json.dumps(codex(transcript, command)).encode()
        return read_event("codex", event, Agent())

    seen = call({"cmd": "ls", "workdir": "sub", "tty": True})
    assert (seen.call.cwd, seen.call.tool, seen.call.args) == (
        "/sub", "exec_command", {"cmd": "ls", "tty": True, "is_input": True},
    )  # fmt: skip
    assert seen.call.subject.model == "gpt-5-codex"
    assert call({"cmd": "ls", "workdir": str(world)}).call.cwd == str(world)
    with pytest.raises(Malformed, match="another command"):
        call({"cmd": "rm -r /"})
    transcript.unlink()
    unknown = read_event("codex", json.dumps(codex(transcript)).encode(), Agent())
    assert isinstance(unknown, Before)
    assert unknown.call.cwd is None


def test_a_tool_of_a_server_is_known_by_its_server(guard: Guard) -> None:
    """Gemini CLI names it beside the call, Claude Code in the tool's name."""
    event = gemini(tool_name="x", mcp_context={"server_name": "filesystem", "tool_name": "read_file"})
    found = read_event("gemini-cli", json.dumps({**event, "tool_input": {"path": "/a"}}).encode(), Agent(id="me"))
    assert isinstance(found, Before)
    assert (found.call.tool, found.call.subject.id) == ("mcp__filesystem__read_file", "me")
    with pytest.raises(Malformed, match="names no server"):
        read_event("gemini-cli", json.dumps(gemini(mcp_context={"server_name": 5})).encode(), Agent())


# ── the process ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def _hook(world: Path, event: dict[str, Any] | bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    config = config_module.load(str(world / "guardrail.toml"))
    words = ["claude-code", "--socket", socket_of(config), "--config", config.source, "--deadline", "30", *options]
    return subprocess.run(
        [sys.executable, "-S", str(CLIENT), *words],
        input=body, cwd=world, env=_environment(), capture_output=True, timeout=60, check=False,
    )  # fmt: skip


def _end_resident(world: Path) -> None:
    """End the guard that a hook has started, by its own number in its lock."""
    pid = int((world / "trail/lock").read_text().split()[1])
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 20
    while (world / "trail.hook/guard.sock").exists():
        assert time.monotonic() < deadline


def test_a_hook_starts_a_guard_that_the_next_one_finds(world: Path) -> None:
    """One guard for several hooks at once; a change of its configuration is followed by the next event."""
    answers: list[subprocess.CompletedProcess[bytes]] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(_hook(world, claude(call=f"toolu_{n}")))) for n in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(done.returncode, done.stdout, done.stderr) for done in answers] == [(0, b"", b"")] * 2
    first = (world / "trail/lock").read_text()
    denied = _hook(world, claude(command=COPY, cwd=str(world)), "--no-start")
    assert (denied.returncode, denied.stdout, denied.stderr.decode()) == (2, b"", f"{REFUSED}\n")
    assert (world / "trail/lock").read_text() == first
    assert (world / "trail.hook").stat().st_mode & 0o077 == 0

    with (world / "guardrail.toml").open("a") as file:
        file.write('[[asset]]\nid = "model:b"\nclass = "weights"\npaths = ["other"]\n')
    assert _hook(world, claude(command="rm -r other", cwd=str(world))).returncode == 2
    assert (world / "trail/lock").read_text() != first
    _end_resident(world)


def test_a_guard_that_cannot_start_is_a_denial_that_says_why(world: Path) -> None:
    """A configuration that cannot be read, and a trail that somebody else holds."""
    with Guard.open(str(world / "guardrail.toml")):
        held = _hook(world, claude())
    assert held.returncode == 2
    assert b"is in use by" in held.stderr
    config = config_module.load(str(world / "guardrail.toml"))
    (world / "guardrail.toml").write_text("[nonsense]\n")
    words = ["claude-code", "--socket", socket_of(config), "--config", config.source]
    done = subprocess.run(
        [sys.executable, "-S", str(CLIENT), *words], input=json.dumps(claude()).encode(), env=_environment(),
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert b"nonsense" in done.stderr


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nx-guardrail-exit: 0\r\ncontent-length: 0\r\n\r\n", "not a guard"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "not a guard"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", "stopped in the middle"),
        (b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", "not a guard"),
        (b"hello", "stopped in the middle"),
        (None, "did not answer in time"),
    ],
)
def test_only_the_guards_own_answer_for_this_event_lets_a_call_run(
    tmp_path: Path, sent: bytes | None, said: str
) -> None:
    """Something else at the socket, an answer to another question, half an answer, and none in time are denials."""
    place = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                asked = connection.recv(65536)
                if asked and sent is not None:
                    connection.sendall(sent)
                elif asked:
                    connection.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        # What is answered is waited for, however busy the machine is; only what is not has a deadline that ends.
        deadline = "0.5" if sent is None else "60"
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(CLIENT), "codex", "--socket", place, "--no-start", "--deadline", deadline],
            input=b"{}", capture_output=True, timeout=120, check=False,
        )  # fmt: skip
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as wake:
            wake.connect(str(place))  # whoever gave up before it asked
        thread.join()
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr.decode()


NOBODY = 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of somebody else")
def test_a_socket_of_somebody_else_is_not_believed_and_neither_is_somebody_elses_question() -> None:
    """The kernel says who is at the other end, whatever the permissions of the directory have become."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        place = f"{folder}/s"
        serve = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print(flush=True);"
            "c = s.accept()[0]; c.recv(1)"
        )
        with subprocess.Popen(["/usr/bin/python3", "-c", serve, place], user=NOBODY, stdout=subprocess.PIPE) as theirs:
            assert theirs.stdout is not None
            theirs.stdout.readline()
            done = subprocess.run(
                [sys.executable, "-I", "-S", str(CLIENT), "codex", "--socket", place, "--no-start"],
                input=b"{}", capture_output=True, timeout=30, check=False,
            )  # fmt: skip
        assert done.returncode == 2
        assert f"is user {NOBODY}, and not the guard's" in done.stderr.decode()
        os.unlink(place)

        class Transport:
            """As much of asyncio's transport as is looked at before a connection is refused."""

            def __init__(self, connection: socket.socket) -> None:
                self.connection = connection
                self.closed = False

            def get_extra_info(self, name: str) -> socket.socket | None:
                return self.connection if name == "socket" else None

            def close(self) -> None:
                self.closed = True

        from guardrail.service._peers import OwnUserProtocol

        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(place)
            os.chmod(place, 0o777)
            listener.listen()
            ask = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.recv(1)"
            with subprocess.Popen(["/usr/bin/python3", "-c", ask, place], user=NOBODY):
                connection, _ = listener.accept()
                with connection:
                    transport = Transport(connection)
                    protocol = object.__new__(OwnUserProtocol)
                    protocol.app_state = {}
                    protocol.connection_made(transport)  # type: ignore[arg-type]
        assert transport.closed


def test_the_client_loads_nothing_that_has_to_be_found() -> None:
    """Neither the package nor a module of the library but one: what it imports is part of the interpreter."""

    def loaded(*words: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-X", "importtime", *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time")}

    assert loaded(str(CLIENT)) - loaded("-c", "pass") <= {"__future__", "_socket", "select", "time"}


def test_what_is_installed_denies_when_its_program_is_missing_or_killed(world: Path) -> None:
    """The shell around it turns every other ending into exit code 2 with a reason; after a call nothing is stopped."""
    from guardrail.hooks._install import Wish, command

    config = config_module.load(str(world / "guardrail.toml"))
    for broken in ("/no/such/python", "/bin/false"):
        text = command(config, Wish(harness="claude-code"), before=True).replace(sys.executable, broken)
        done = subprocess.run(["sh", "-c", text], input=b"{}", capture_output=True, timeout=30, check=False)
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"the hook ended with" in done.stderr
        after = command(config, Wish(harness="claude-code"), before=False).replace(sys.executable, broken)
        assert (
            subprocess.run(["sh", "-c", after], input=b"{}", capture_output=True, timeout=30, check=False).returncode
            == 0
        )


# ── installing ───────────────────────────────────────────────────────────────────────────────────────────────────────

SETTINGS = (
    None,
    "{}\n",
    '{\n  "model": "x"\n}\n',
    '{"hooks": {"PreToolUse": [{"matcher": "Bash", "hooks": [{"type": "command", "command": "true"}]}]}}',
    '{\n\t// mine\n\t"hooks": {\n\t\t"BeforeTool": [\n\t\t\t{"hooks": []}, // last\n\t\t],\n\t},\n\t/* end */\n}\n',
)
FILES = {
    "claude-code": ".claude/settings.json",
    "codex": ".codex/hooks.json",
    "gemini-cli": ".gemini/settings.json",
    "opencode": ".opencode/plugin/zz-guardrail.js",
}


@pytest.mark.parametrize("harness", FILES)
@pytest.mark.parametrize("before", SETTINGS)
def test_installing_keeps_what_is_there_and_undoing_gives_it_back(
    world: Path, harness: str, before: str | None
) -> None:
    """Twice is once, comments and layout stay, and without the hook the file is as it was, byte for byte."""
    from guardrail.hooks._install import Wish, change

    if harness == "opencode" and before is not None:
        pytest.skip("its plugin is a file of its own")
    config = config_module.load(str(world / "guardrail.toml"))
    place = world / "project" / FILES[harness]
    if before is not None:
        place.parent.mkdir(parents=True)
        place.write_text(before)
    wish = Wish(harness=harness, project=str(world / "project"))
    planned = change(config, wish)
    assert place.exists() == (before is not None), "nothing is written before it is looked at"
    assert "+" in planned.difference
    assert planned.notes[0].startswith("strength: advised")
    planned.write()
    assert change(config, wish).difference == ""
    written = place.read_text()
    assert str(CLIENT) in written
    if before is not None and "mine" in before:
        assert "// mine" in written
        assert "/* end */" in written
        assert "// last" in written
    undo = change(config, Wish(harness=harness, project=str(world / "project"), undo=True))
    undo.write()
    assert (place.read_text() if place.exists() else None) == (None if before == "{}\n" else before)


def test_fail_closed_settings_are_set_where_a_harness_has_them(world: Path) -> None:
    """`onFailure` for what is asked before a call, and a time limit above ours in each harness's own unit."""
    from guardrail.hooks._install import Wish, change

    config = config_module.load(str(world / "guardrail.toml"))
    hooks = json.loads(change(config, Wish(harness="claude-code", project=str(world))).after or "")["hooks"]
    (before,), (after,) = hooks["PreToolUse"], hooks["PostToolUse"]
    assert (before["matcher"], before["hooks"][0]["onFailure"], before["hooks"][0]["timeout"]) == ("*", "block", 30)
    assert "onFailure" not in after["hooks"][0]
    assert "matcher" not in hooks["Stop"][0]
    hooks = json.loads(change(config, Wish(harness="gemini-cli", project=str(world))).after or "")["hooks"]
    assert hooks["BeforeTool"][0]["hooks"][0]["timeout"] == 30_000


def test_settings_that_cannot_be_understood_are_left_alone(world: Path) -> None:
    """A broken file, a list where an object belongs, our hook in a group with another, and somebody else's plugin."""
    from guardrail import ConfigError
    from guardrail.hooks._install import Wish, change

    config = config_module.load(str(world / "guardrail.toml"))
    wish = Wish(harness="claude-code", project=str(world))
    place = world / FILES["claude-code"]
    place.parent.mkdir()
    for text, said in (
        ('{"a": ', "line 1: a value is missing"),
        ('{"hooks": []}', "`hooks` is no object"),
        ('{"hooks": {"PreToolUse": {}}}', "is no array"),
        ('{"hooks": {}, "hooks": {}}', "is there twice"),
        (
            '{"hooks": {"PreToolUse": [{"hooks": [{"command": "x guardrail/hooks/client.py"}, {"command": "y"}]}]}}',
            "by hand",
        ),
    ):
        place.write_text(text)
        with pytest.raises(ConfigError, match=said):
            change(config, wish)
        assert place.read_text() == text
    plugin = world / FILES["opencode"]
    plugin.parent.mkdir(parents=True)
    plugin.write_text("mine")
    with pytest.raises(ConfigError, match="somebody else's"):
        change(config, Wish(harness="opencode", project=str(world)))


def test_the_command_line_shows_asks_and_writes(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a yes nothing is written; then doctor says *advised*, and the guard guards the settings."""
    monkeypatch.chdir(world)

    def run(*words: str, said: str = "") -> tuple[int, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(said))
        code = main(words)
        return code, "".join(capsys.readouterr())

    place = world / FILES["claude-code"]
    code, shown = run("hook", "install", "claude-code", "--project", said="n\n")
    assert (code, place.exists()) == (0, False)
    assert "nothing was written" in shown
    assert '"onFailure": "block"' in run("hook", "install", "claude-code", "--project", said="y\n")[1]
    assert place.exists()
    config = config_module.load(str(world / "guardrail.toml"))
    (finding,) = hook_findings(config)
    assert (finding.state, finding.detail[:42]) == ("note", "advised: claude-code asks before each call")
    assert run("check", f"rm {place}")[0] == 3
    assert f"removed: {place}" in run("hook", "install", "claude-code", "--project", "--undo", said="y\n")[1]
    assert not place.exists()
    assert f"written: {place}" in run("hook", "install", "claude-code", "--project", said="y\n")[1]
    place.write_text("{}")
    (finding,) = hook_findings(config)
    assert (finding.state, finding.detail[:16]) == ("problem", "the hook is gone")


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_opencodes_plugin_throws_unless_the_guard_says_yes(world: Path) -> None:
    """In a real JavaScript engine: silence lets the call run, a reason is thrown, and a missing program is a reason."""
    from guardrail.hooks._install import Wish, change

    config = config_module.load(str(world / "guardrail.toml"))
    plan = change(config, Wish(harness="opencode", project=str(world)))
    fake = world / "hook"
    fake.write_text('#!/bin/sh\ngrep -q \'"command":"rm\' && { echo "stopped here" >&2; exit 2; }\nexit 0\n')
    fake.chmod(0o755)
    words = json.dumps([sys.executable, "-I", "-S", str(CLIENT)])[1:-1]
    texts = {
        "fake": (plan.after or "").replace(words, json.dumps(str(fake))),
        "missing": (plan.after or "").replace(words, '"/no"'),
    }
    for name, text in texts.items():
        (world / f"{name}.mjs").write_text(text)
    (world / "main.mjs").write_text(
        "for (const name of ['fake', 'missing']) {\n"
        "  const { Guardrail } = await import(`./${name}.mjs`)\n"
        "  const hooks = await Guardrail({ directory: '/' })\n"
        "  for (const command of ['ls', 'rm x']) {\n"
        "    const call = { tool: 'bash', sessionID: 's', callID: 'c' }\n"
        "    const said = await hooks['tool.execute.before'](call, { args: { command } })\n"
        "      .then(() => 'ran', (error) => error.message)\n"
        "    console.log(name, command, said)\n"
        "  }\n"
        "  await hooks['tool.execute.after']({ tool: 'bash', sessionID: 's', callID: 'c', args: {} }, {})\n"
        "  await hooks.event({ event: { type: 'session.idle', properties: { sessionID: 's' } } })\n"
        "}\n"
    )
    done = subprocess.run(["node", "main.mjs"], cwd=world, capture_output=True, text=True, timeout=60, check=False)
    lines = done.stdout.splitlines()
    assert lines[:2] == ["fake ls ran", "fake rm x stopped here"], done.stderr
    assert [REFUSED in line for line in lines[2:]] == [True, True]
