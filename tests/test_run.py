"""Owned execution, with real processes: what runs is what was judged, within its bounds, and nothing of it stays."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from guardrail import Denied, Guard, InvalidCall, ToolCall
from guardrail import config as config_module
from guardrail.audit._verify import read_records
from guardrail.cli import main
from guardrail.confine import Job, JobError, Stop, Stream, job_of, run_job
from guardrail.execution import execute
from guardrail.review import Vote
from guardrail.service._callers import ANYBODY
from guardrail.service._execute import ExecuteRoutes
from guardrail.service._turns import Limits, Turns

ENVIRONMENT = {"PATH": "/usr/bin:/bin"}

END_SECONDS = 120
"""Longest wait for a tool that has to end: without an order it would go on for a quarter of an hour."""


def _job(*argv: str, **bounds: float) -> Job:
    return Job(argv=argv, cwd="/", environment=ENVIRONMENT, **bounds)  # type: ignore[arg-type]


def _gone(pid: int) -> bool:
    """Whether no process has this number, or only one that has ended and waits to be taken in."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _collect() -> tuple[dict[Stream, bytearray], object]:
    found: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
    return found, lambda stream, chunk: found[stream].extend(chunk)


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A directory with one guarded model and its configuration."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models/a.safetensors").write_bytes(b"weights")
    (tmp_path / "guardrail.toml").write_text(
        "[limits]\ndecision_ms = 60000\n"
        "[trail]\ntimeout_seconds = 60\n"
        f'directory = "{tmp_path}/trail"\n[[asset]]\nid = "model:a"\nclass = "weights"\npaths = ["models"]\n'
        "[execute]\nseconds = 60\ngrace_seconds = 0.2\noutput_bytes = 1000\n"
    )
    return tmp_path


def _run(world: Path, *words: str, stdin: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "guardrail", "run", *words],
        cwd=world,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _records(world: Path, kind: str) -> list[dict[str, object]]:
    return [record for _, record in read_records(world / "trail", 0) if record["kind"] == kind]


def test_an_allowed_command_runs_and_its_intent_and_end_are_on_record(world: Path) -> None:
    """Output, exit code and words with blanks or a second `--` pass through as they are."""
    done = _run(world, "--session", "s1", "--", "sh", "-c", 'cat; echo "$1" >&2; exit 7', "--", "a  b", stdin="given\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, "given\n", "a  b\n")
    (intent,), (result,) = _records(world, "intent"), _records(world, "result")
    assert intent["session"] == "s1"
    assert result["facts"] == {
        "exit_code": 7, "ended_by": "exited", "stdout_bytes": 6, "stderr_bytes": 5, "confined": "none",
    }  # fmt: skip


def test_a_command_that_is_not_allowed_is_not_started(world: Path) -> None:
    """A denial exits with 3 and a question with 4, and neither leaves anything but its record."""
    denied = _run(world, "--", "cp", "models/a.safetensors", "copy")
    assert denied.returncode == 3
    assert denied.stderr.startswith("guardrail: this action is not permitted here and was not carried out: copy.")
    asked = _run(world, "--env", f"LD_PRELOAD={world}/x.so", "--", "touch", "made")
    assert asked.returncode == 4
    assert "run it again once it is approved" in asked.stderr
    assert not (world / "copy").exists()
    assert not (world / "made").exists()
    assert [record["decision"]["outcome"] for record in _records(world, "decision")] == ["deny", "escalate"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "nothing to run"),
        (("--", "no-such-program"), 127, "cannot start `no-such-program`"),
        (("--cwd", "/no/such", "--", "ls"), 2, "is no directory"),
        (("--env", "A", "--", "ls"), 2, "write `--env NAME=VALUE`"),
        (("--config", "/no/such.toml", "--", "ls"), 2, "no configuration"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(
    world: Path,
    words: tuple[str, ...],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It says what is wrong, and the exit code is that of a shell."""
    monkeypatch.chdir(world)
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert main(["run", *words]) == code
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_without_a_trail_nothing_runs(world: Path) -> None:
    """A guard that records nothing starts nothing, and neither does one whose trail somebody else holds."""
    config = config_module.load(str(world / "guardrail.toml"))
    call = ToolCall(tool="bash", args={"command": ["touch", str(world / "made")]}, cwd=str(world))
    with Guard.open(config, record=False) as guard, pytest.raises(Exception, match="keeps no trail"):
        execute(guard, call, lambda *_: None)
    with Guard.open(config):
        done = _run(world, "--", "touch", "made")
    assert done.returncode == 1
    assert "is in use" in done.stderr
    assert not (world / "made").exists()


def test_only_listed_variables_are_passed_on(world: Path) -> None:
    """What loaders and interpreters read is not among them, whoever started the guard."""
    done = _run(world, "--env", "OWN=1", "--", "env", BASH_ENV="/tmp/x", LANG="C", SECRET="s")
    assert {line.partition("=")[0] for line in done.stdout.splitlines()} <= {
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TERM", "TMPDIR", "OWN",
    }  # fmt: skip
    assert "OWN=1" in done.stdout


def test_output_is_cut_at_its_limit_and_that_is_said(world: Path) -> None:
    """The tool goes on, what it writes is counted, and the exit code stays its own."""
    done = _run(world, "--", "head", "-c", "250000", "/dev/zero")
    assert (done.returncode, len(done.stdout)) == (0, 1000)
    assert done.stderr == "guardrail: stdout was cut after 1000 bytes\n"
    assert _records(world, "result")[0]["facts"]["stdout_bytes"] == 250000  # type: ignore[index]


def test_whatever_a_tool_leaves_behind_is_ended_with_it(tmp_path: Path) -> None:
    """In the background, in a session of its own, and forked twice, deaf to polite signals."""
    script = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "for depth in range(3):\n"
        "    if os.fork(): os._exit(0)\n"
        "    os.setsid()\n"
        "open(sys.argv[1], 'w').write(str(os.getpid()))\n"
        "os.rename(sys.argv[1], sys.argv[1] + '.done')\n"
        "time.sleep(1000)\n"
    )
    place = tmp_path / "pid"
    found, sink = _collect()
    shell = f'"{sys.executable}" -c "$0" {place} & sleep 1000 & while [ ! -e {place}.done ]; do :; done; echo over'
    ended = run_job(_job("sh", "-c", shell, script, seconds=30), sink)  # type: ignore[arg-type]
    assert (ended.exit_code, ended.why, bytes(found["stdout"])) == (0, "exited", b"over\n")
    assert ended.strays >= 2
    assert ended.survivors == 0
    assert _gone(int((tmp_path / "pid.done").read_text()))


def test_a_tool_whose_time_is_over_is_asked_to_end_and_then_made_to() -> None:
    """Its own exit code counts if it ends by itself; 137 if it does not."""
    deaf = run_job(_job("sh", "-c", "trap '' TERM; while :; do :; done", seconds=2, grace_seconds=0.2), lambda *_: None)
    assert (deaf.exit_code, deaf.signal, deaf.why) == (137, signal.SIGKILL, "timeout")
    polite = run_job(
        _job("sh", "-c", "trap 'exit 5' TERM; while :; do :; done", seconds=2, grace_seconds=60), lambda *_: None
    )
    assert (polite.exit_code, polite.why) == (5, "timeout")


def test_a_tool_that_nobody_wants_any_more_ends_at_once() -> None:
    """`Stop` ends it from another thread, and so does a reader of its output that fails."""
    stop = Stop()
    threading.Timer(0.2, stop.set).start()
    begun = time.monotonic()
    ended = run_job(_job("sleep", "1000"), lambda *_: None, stop=stop)
    stop.close()
    assert (ended.why, ended.signal) == ("stopped", signal.SIGTERM)

    def broken(*_: object) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_job(_job("sh", "-c", "echo x; exec sleep 1000"), broken)
    assert time.monotonic() - begun < END_SECONDS


def test_a_tool_that_ends_its_supervisor_is_ended_and_its_end_is_unknown(world: Path) -> None:
    """Nobody can say what it did, so the record says `unknown`, and it does not go on."""
    place = world / "pid"
    script = f"echo $$ > {place}; kill -9 $PPID; exec sleep 1000"
    with pytest.raises(JobError, match="nobody knows how") as caught:
        run_job(_job("sh", "-c", script), lambda *_: None)
    assert caught.value.guardrail_result == "unknown"
    deadline = time.monotonic() + END_SECONDS
    while not _gone(int(place.read_text())):
        assert time.monotonic() < deadline


def test_a_guard_that_dies_takes_its_tools_with_it(tmp_path: Path) -> None:
    """The supervisor reads the end of its orders as the order to end everything."""
    program = (
        "import sys\nfrom guardrail.confine import Job, run_job\n"
        f"run_job(Job(argv=('sh', '-c', 'echo $$ > {tmp_path}/p; mv {tmp_path}/p {tmp_path}/pid; exec sleep 1000'),"
        " cwd='/', environment={'PATH': '/usr/bin:/bin'}), print)"
    )
    guard = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    deadline = time.monotonic() + END_SECONDS
    while not (tmp_path / "pid").exists():
        assert time.monotonic() < deadline
    guard.kill()
    guard.wait()
    while not _gone(int((tmp_path / "pid").read_text())):
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("tool", "args", "cwd", "said"),
    [
        ("python", {"code": "1"}, "/", "cannot be carried out here"),
        ("bash", {"command": "ls", "timeout": 5}, "/", "`timeout` is no argument here"),
        ("bash", {"command": []}, "/", "`command` must be"),
        ("bash", {"command": ["ls", 5]}, "/", "`command` must be"),
        ("bash", {"command": "ls"}, None, "`cwd` is missing"),
        ("bash", {"command": "ls", "env": {"A=B": "c"}}, "/", "is no variable"),
    ],
)
def test_a_call_that_cannot_be_carried_out_is_not_judged_either(
    world: Path, tool: str, args: dict[str, object], cwd: str | None, said: str
) -> None:
    """An intent on record would say that it was released."""
    call = ToolCall(tool=tool, args=args, cwd=cwd)
    with Guard.open(str(world / "guardrail.toml")) as guard, pytest.raises(InvalidCall, match=said):
        execute(guard, call, lambda *_: None)
    assert _records(world, "intent") == []


def test_a_text_is_run_by_the_shell_whose_language_was_judged(world: Path) -> None:
    """The process is made of the judged call, and the decision is told before it starts."""
    config = config_module.load(str(world / "guardrail.toml"))
    call = ToolCall(tool="bash", args={"command": "echo ${BASH_VERSION:+bash} | tr a-z A-Z"}, cwd=str(world))
    assert job_of(call, config.execute, {}).argv[:2] == ("/bin/bash", "-c")
    found, sink = _collect()
    told: list[str] = []
    with Guard.open(config) as guard:
        done = execute(guard, call, sink, told=lambda decision: told.append(decision.decision_id))  # type: ignore[arg-type]
        with pytest.raises(Denied):
            execute(guard, ToolCall(tool="bash", args={"command": "rm models/*"}, cwd=str(world)), sink)  # type: ignore[arg-type]
    assert bytes(found["stdout"]) == b"BASH\n"
    assert told == [done.decision.decision_id]
    assert json.loads(done.decision.to_json())["outcome"] == "allow"


def test_the_example_of_three_doors_holds(tmp_path: Path) -> None:
    """A hook, a command and a token, each step of which checks itself."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.doors.check"], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\n") == done.stdout.count("ok  ") == 8


# ── over HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _post(
    routes: ExecuteRoutes, body: object, *, gone: asyncio.Event | None = None, sent: list[dict[str, Any]] | None = None
) -> tuple[int, bytes]:
    """One request, as an ASGI server would make it; the client goes away when it is told to."""
    messages = [] if sent is None else sent
    asked = [{"type": "http.request", "body": json.dumps(body).encode()}]

    async def receive() -> dict[str, Any]:
        if asked:
            return asked.pop()
        await (gone or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/execute",
        "guardrail.caller": ANYBODY,
        "headers": [(b"content-type", b"application/json")],
    }
    await asyncio.wait_for(routes(scope, receive, send), 60)
    status = next((message["status"] for message in messages if message["type"] == "http.response.start"), 0)
    return status, b"".join(message.get("body", b"") for message in messages)


@pytest.fixture
def routes(world: Path) -> Iterator[ExecuteRoutes]:
    """The route of a guard that carries calls out."""
    with (world / "guardrail.toml").open("a") as file:
        file.write("over_http = true\n")
    with Guard.open(str(world / "guardrail.toml")) as guard:
        yield ExecuteRoutes(guard, Turns(Limits.of_execution(guard.config.execute, guard.config.service)))


def _wanted(world: Path, command: object, **more: object) -> dict[str, object]:
    return {"call": {"tool": "bash", "args": {"command": command}, "cwd": str(world)}, **more}


async def test_the_service_carries_out_what_it_allows_and_nothing_else(routes: ExecuteRoutes, world: Path) -> None:
    """Decision, end and output in one answer; a denial is a 200 that says that nothing ran."""
    status, body = await _post(routes, _wanted(world, "echo out; echo err >&2; printf '\\377'; exit 4"))
    done = json.loads(body)
    assert (status, done["decision"]["outcome"], done["ran"], done["ended"]["exit_code"]) == (200, "allow", True, 4)
    assert (base64.b64decode(done["stdout_base64"]), done["stderr"]) == (b"out\n\xff", "err\n")
    denied = json.loads((await _post(routes, _wanted(world, ["cp", "models/a.safetensors", "x"])))[1])
    assert (denied["decision"]["outcome"], denied["ran"], "stdout" in denied) == ("deny", False, False)
    assert not (world / "x").exists()


async def test_what_waits_for_a_person_runs_when_it_is_sent_again_after_the_approval(
    routes: ExecuteRoutes, world: Path
) -> None:
    """The answer has the escalation; the same request redeems the grant, once."""
    wanted = _wanted(world, "echo 'echo made by $0' | bash")
    asked = _wanted(world, ["bash"])
    first = json.loads((await _post(routes, asked))[1])
    assert (first["ran"], first["decision"]["outcome"]) == (False, "escalate")
    routes._guard.desk.cast(first["decision"]["escalation"], Vote(voter="dana", verdict="approve", at_us=0))
    second = json.loads((await _post(routes, asked))[1])
    assert (second["ran"], bool(second["decision"]["grant"])) == (True, True)
    assert json.loads((await _post(routes, asked))[1])["ran"] is False
    assert json.loads((await _post(routes, wanted))[1])["ran"] is True


async def test_output_comes_line_by_line_where_it_is_wanted(routes: ExecuteRoutes, world: Path) -> None:
    """The decision first, then output while the tool runs, then its end."""
    sent: list[dict[str, Any]] = []
    _, body = await _post(routes, _wanted(world, ["sh", "-c", "echo a; echo b >&2"], stream=True), sent=sent)
    lines = [json.loads(line) for line in body.splitlines()]
    assert lines[0]["decision"]["outcome"] == "allow"
    assert sorted(name for line in lines[1:-1] for name in line) == ["stderr", "stdout"]
    assert (lines[-1]["ran"], lines[-1]["ended"]["exit_code"]) == (True, 0)
    assert (b"content-type", b"application/x-ndjson") in sent[0]["headers"]
    missing = (await _post(routes, _wanted(world, ["no-such-program"], stream=True)))[1].splitlines()
    assert json.loads(missing[-1])["problem"]["outcome"] == "deny"


async def test_a_client_that_goes_away_ends_its_tool(routes: ExecuteRoutes, world: Path) -> None:
    """Nobody waits for it, so it does not go on, and the trail says that it was stopped."""
    gone, sent = asyncio.Event(), list[dict[str, Any]]()

    class Told(list[dict[str, Any]]):
        def append(self, message: dict[str, Any]) -> None:
            super().append(message)
            if b"stdout" in message.get("body", b""):
                gone.set()

    sent = Told()
    await _post(routes, _wanted(world, ["sh", "-c", "echo $$; exec sleep 1000"], stream=True), gone=gone, sent=sent)
    line = next(json.loads(m["body"]) for m in sent if b"stdout" in m.get("body", b""))
    assert _gone(int(line["stdout"]))
    assert routes._guard.trail is not None
    routes._guard.trail.checkpoint()
    (result,) = _records(world, "result")
    assert result["facts"]["ended_by"] == "stopped"  # type: ignore[index]


async def test_a_request_that_cannot_be_carried_out_is_a_problem(routes: ExecuteRoutes, world: Path) -> None:
    """Malformed, another tool, no such program, less confinement than configured, a service that runs nothing."""
    for body, wanted in (
        ({"call": {"tool": "bash"}, "more": 1}, 400),
        ({"call": {"tool": "bash", "args": {"command": "ls"}}}, 400),
        ({"call": {"tool": "python", "args": {"code": "1"}, "cwd": "/"}}, 400),
        (_wanted(world, ["no-such-program"]), 500),
    ):
        status, answer = await _post(routes, body)
        assert (status, json.loads(answer)["outcome"]) == (wanted, "deny")
    config = config_module.parse("[[asset]]\nid = 'a'\nclass = 'weights'\npaths = ['/m']\n", base=str(world))
    limits = Limits.of_execution(config.execute, config.service)
    for least, asked, wanted in (
        ("default", "floor", 400),
        ("floor", "off", 400),
        ("bwrap", "strict", 400),
        ("strict", "bwrap", 400),
        ("default", "all", 400),
    ):
        execute = msgspec.structs.replace(config.execute, over_http=True, confine=least)
        guard: Any = SimpleNamespace(config=msgspec.structs.replace(config, execute=execute))
        status, answer = await _post(ExecuteRoutes(guard, Turns(limits)), {**_wanted(world, "ls"), "confine": asked})
        assert (status, b"confine" in answer) == (wanted, True)
    off = ExecuteRoutes(SimpleNamespace(config=config), Turns(limits))  # type: ignore[arg-type]
    assert (await _post(off, _wanted(world, "ls")))[0] == 404


# ── by a service ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def served(world: Path) -> Iterator[subprocess.Popen[str]]:
    """A running service that carries calls out, on a socket of its own."""
    with (world / "guardrail.toml").open("a") as file:
        file.write('over_http = true\n[service]\nsocket = "run/s.sock"\n')
    command = [sys.executable, "-m", "guardrail", "serve", "--config", str(world / "guardrail.toml")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=world) as process:
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        yield process
        process.terminate()


def test_a_running_service_carries_out_what_is_run_beside_it(
    world: Path,
    served: subprocess.Popen[str],
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its trail has it all; exit codes are as without one; and when it is away nothing runs."""
    monkeypatch.chdir(world)

    def run(*words: str, service: tuple[str, ...] = ("--service",)) -> tuple[int, bytes, bytes]:
        code = main(["run", *service, "--", *words])
        return code, *capfdbinary.readouterr()

    assert run("sh", "-c", "echo out; printf '\\377' >&2; exit 5") == (5, b"out\n", b"\xff")
    code, out, said = run("cp", "models/a.safetensors", "x")
    assert (code, out, said.count(b"\n"), (world / "x").exists()) == (3, b"", 1, False)
    assert b"copy.unsanctioned" in said
    code, _, said = run("bash", service=("--service", str(world / "run/s.sock")))
    assert code == 4
    assert b"run it again once it is approved" in said
    assert run("no-such-program")[0] == 1
    assert run("ls", service=("--service", "--env", "broken"))[0] == 2
    # It is held as the service holds what it starts, or more; what the kernel kept from it can be written down here.
    held = ("--service", "--confine", "strict", "--case", "case.json")
    code, out, said = run("perl", "-e", 'exec "cat", scalar reverse "srosnetefas.a/sledom"', service=held)
    assert (code, out, b"the kernel held" in said) == (1, b"", True)
    (missed,) = json.loads((world / "case.json").read_text())["missed"]
    assert (missed["op"], missed["asset"]) == ("read", "model:a")
    command = [sys.executable, "-m", "guardrail", "run", "--service", "--", "sh", "-c", "echo $$; exec sleep 1000"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as stopped:
        assert stopped.stdout is not None
        sleeper = int(stopped.stdout.readline())
        stopped.terminate()
        assert stopped.wait(60) == 128 + signal.SIGTERM
    while not _gone(sleeper):
        threading.Event().wait(0.02)
    served.terminate()
    assert served.wait(60) == 0
    code, out, said = run("touch", "y")
    assert (code, out, said.count(b"\n"), (world / "y").exists()) == (1, b"", 1, False)
    assert b"gave no answer" in said
    ends = [record["facts"] for record in _records(world, "result") if "facts" in record]
    assert ends[0]["exit_code"] == 5  # type: ignore[index]
    assert ends[-1]["ended_by"] == "stopped"  # type: ignore[index]
