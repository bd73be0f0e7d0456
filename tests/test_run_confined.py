"""Owned execution with the kernel's confinement: what no text shows is held all the same, and honest work goes on."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from guardrail import ConfigError, Escalated, Guard, Outcome, ToolCall
from guardrail.audit._verify import read_records
from guardrail.cli import main
from guardrail.cli._trail_line import line
from guardrail.confine import JobError, Stop
from guardrail.confine.kernel import _confinement
from guardrail.execution import execute
from guardrail.model import Effect, Resource

MODES = ("floor", "default", "strict")

LOADER = """import sys
data = open(sys.stdin.readline().strip()).read()
open("copy", "w").write(data)
"""
"""A program that was there before the session: where it reads is in nobody's text."""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A workspace, and a model beside it."""
    for name in ("models", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "models/w").write_text("weights")
    (tmp_path / "work/data.txt").write_text("data")
    (tmp_path / "work/loader.py").write_text(LOADER)
    (tmp_path / "guardrail.toml").write_text(
        f'[[asset]]\nid = "model:b"\nclass = "weights"\npaths = ["models"]\n[trail]\ntimeout_seconds = 60\n'
        f'directory = "{tmp_path}/trail"\n'
        "[limits]\ndecision_ms = 60000\n[execute]\nseconds = 30\n"
    )
    return tmp_path


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command line came to."""

    returncode: int
    stdout: str
    stderr: str


def run(world: Path, mode: str, *words: str, stdin: str = "", options: tuple[str, ...] = ()) -> Done:
    """The command line, as an agent's harness would use it, but in this process: starting another takes far longer."""
    command = ["run", "--config", str(world / "guardrail.toml"), "--cwd", str(world / "work"), "--confine", mode]
    session = f"{mode}-{time.monotonic_ns()}"
    given = sys.stdin
    with contextlib.ExitStack() as held:
        files = [held.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
        files[0].write(stdin.encode())
        files[0].seek(0)
        for fd, file in enumerate(files):
            kept = os.dup(fd)
            held.callback(os.close, kept)
            held.callback(os.dup2, kept, fd)
            os.dup2(file.fileno(), fd)
        said = held.enter_context(contextlib.redirect_stderr(io.StringIO()))
        held.callback(setattr, sys, "stdin", given)
        sys.stdin = held.enter_context(open(0, closefd=False))
        code = main([*command, "--session", session, *options, "--", *words])
        for file in files:
            file.seek(0)
        return Done(returncode=code, stdout=files[1].read().decode(), stderr=files[2].read().decode() + said.getvalue())


def facts(world: Path) -> dict[str, Any]:
    """What the last result says besides that it is over."""
    results = [record for _, record in read_records(world / "trail") if record["kind"] == "result"]
    found: dict[str, Any] = results[-1]["facts"]
    return found


def test_without_confinement_the_copy_that_no_text_shows_succeeds(world: Path) -> None:
    """What the other tests hold is real."""
    done = run(world, "off", "/usr/bin/python3", "loader.py", stdin="../models/w\n")
    assert done.returncode == 0, done.stderr
    assert (world / "work/copy").read_text() == "weights"
    assert facts(world)["confined"] == "none"


@pytest.mark.parametrize("mode", MODES)
def test_the_kernel_holds_the_copy_that_no_text_shows(world: Path, mode: str) -> None:
    """The same program, started the same way, does not get at the model; the record says what was in force."""
    done = run(world, mode, "/usr/bin/python3", "loader.py", stdin="../models/w\n")
    assert done.returncode == 1
    assert "PermissionError" in done.stderr
    assert not (world / "work/copy").exists()
    told = facts(world)
    assert told["confined"] == "kernel"
    assert told["kernel_mode"] in MODES
    if mode != "floor":
        assert (told["kernel_denied"], told["kernel_assets"]) == ("read", "model:b")
        assert "the kernel held what it was not judged to do: read on model:b" in done.stderr


@pytest.mark.parametrize("mode", MODES)
def test_honest_work_goes_on_and_nothing_of_it_stays(world: Path, mode: str) -> None:
    """Files of the workspace are read and written, input and exit codes pass through, what is left behind is ended."""
    done = run(world, mode, "/usr/bin/python3", "loader.py", stdin="data.txt\n")
    assert done.returncode == 0, done.stderr
    assert (world / "work/copy").read_text() == "data"
    assert run(world, mode, "/bin/sh", "-c", "exit 7").returncode == 7
    left = run(world, mode, "/bin/sh", "-c", "sleep 300 & echo $! > pid; sleep 0.1")
    assert left.returncode == 0, left.stderr
    assert not Path(f"/proc/{(world / 'work/pid').read_text().strip()}/exe").exists()


def test_a_model_may_be_read_as_judged_and_not_carried(world: Path) -> None:
    """A digest of it is allowed, and runs; the same with another program behind it that writes is not started."""
    done = run(world, "strict", "sha256sum", "../models/w")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()[0]) == 64


def test_assets_in_the_tools_own_directory_need_strict(world: Path) -> None:
    """Landlock cannot take a file out of a directory: where that would be needed nothing starts, and it says so."""
    (world / "work/mine").write_text("[switch]\non = true\n")
    text = (world / "guardrail.toml").read_text()
    text += '[[asset]]\nid = "model:c"\nclass = "weights"\npaths = ["work/own"]\n'
    (world / "guardrail.toml").write_text(text)
    (world / "work/own").write_text("weights")
    done = run(world, "default", "ls")
    assert done.returncode == 126
    assert "use `strict`" in done.stderr
    assert run(world, "strict", "ls").returncode == 0
    assert run(world, "strict", "/usr/bin/python3", "loader.py", stdin="own\n").returncode == 1


def test_the_configuration_holds_whoever_asks(world: Path) -> None:
    """`execute.confine` is for every door by which the guard starts a tool; what cannot be held does not start."""
    text = (world / "guardrail.toml").read_text().replace("[execute]\n", '[execute]\nconfine = "strict"\n')
    (world / "guardrail.toml").write_text(text)
    output: list[bytes] = []
    with Guard.open(world / "guardrail.toml") as guard:
        call = ToolCall(tool="bash", args={"command": ["/bin/cat", "data.txt"]}, cwd=str(world / "work"))
        done = execute(guard, call, lambda _, chunk: output.append(chunk))
        assert done.ended.confined == "kernel"
        assert done.ended.seen["kernel_mode"] == "strict"
        assert b"".join(output) == b"data"
        call = ToolCall(tool="bash", args={"command": ["/nowhere/tool"]}, cwd=str(world / "work"))
        with pytest.raises(JobError):
            execute(guard, call, lambda _, chunk: output.append(chunk))


def test_a_tool_cannot_write_outside_its_directory(world: Path) -> None:
    """What it was not judged to do there is held, and told in the record."""
    program = "import os\nopen(os.path.join(os.pardir, 'outside'), 'w')\n"
    (world / "work/writer.py").write_text(program)
    done = run(world, "default", "/usr/bin/python3", "writer.py")
    assert done.returncode == 1, done.stderr
    assert not (world / "outside").exists()
    assert facts(world)["kernel_denied"] == "create"


def hidden(script: str) -> list[str]:
    """A command that runs a script which nobody reads before it runs."""
    return ["perl", "-e", f'exec "/bin/sh", "-c", scalar reverse "{script[::-1]}"']


def kept(world: Path, kind: str) -> list[dict[str, Any]]:
    """The records of a kind."""
    return [record for _, record in read_records(world / "trail") if record["kind"] == kind]


def test_code_that_nobody_can_read_runs_where_the_kernel_holds_it_whole(world: Path) -> None:
    """It is asked about where it is only checked, or held less; and the record says on what it was let run."""
    text = (world / "guardrail.toml").read_text()
    call = ToolCall(tool="bash", args={"command": hidden("echo > made")}, cwd=str(world / "work"))
    for settings, runs in (
        ('confine = "strict"', True),
        ('confine = "default"\nconfine_required = false', True),  # this kernel lacks nothing of it
        ('confine = "off"', False),
        ('confine = "floor"', False),
        ('confine = "strict"\nconfine_connect = [443]', False),
    ):
        (world / "guardrail.toml").write_text(text.replace("[execute]\n", f"[execute]\n{settings}\n"))
        (world / "work/made").unlink(missing_ok=True)
        with Guard.open(world / "guardrail.toml") as guard:
            assert guard.check(call).outcome is Outcome.ESCALATE, "what is only checked is only advised"
            with contextlib.nullcontext() if runs else pytest.raises(Escalated):
                execute(guard, call, lambda _, chunk: None)
        assert (world / "work/made").exists() is runs, settings
    released = [record["enforcement"] for record in kept(world, "intent")]
    assert [(one["mode"], one["required"], one["lacking"]) for one in released] == [
        ("strict", True, []), ("default", True, []),
    ]  # fmt: skip


def test_what_unseen_code_can_write_is_the_sessions_work(world: Path) -> None:
    """A script of the project may read a model; once code that nobody read could have changed it, a person is asked."""
    (world / "work/reader.pl").write_text("print -s shift")
    reads = ToolCall(tool="bash", args={"command": "perl reader.pl ../models/w"}, cwd=str(world / "work"), session="s")
    with Guard.open(_with(world, 'confine = "strict"')) as guard:
        assert guard.check(reads).outcome is Outcome.ALLOW
        call = ToolCall(tool="bash", args={"command": hidden("true")}, cwd=str(world / "work"), session="s")
        done = execute(guard, call, lambda _, chunk: None)
        assert [reason.rule for reason in done.decision.reasons] == ["kernel.holds"]
        assert guard.check(reads).outcome is Outcome.ESCALATE


def test_a_hook_that_confined_code_plants_is_held_where_git_would_run_it(world: Path) -> None:
    """The kernel lets it write into the repository, and holds nothing of what git starts later, unconfined."""
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=world / "work", check=True, timeout=60)
    hook = world / "work/.git/hooks/post-checkout"
    text = f'#!/bin/sh\nd={world}/mod\nrm -rf "$(printf %s%s "$d" "$(printf sle | rev)")"\n'
    plant = hidden(f"echo {base64.b64encode(text.encode()).decode()} | base64 -d > {hook}; chmod +x {hook}")
    checkout = ToolCall(tool="bash", args={"command": "git checkout main"}, cwd=str(world / "work"), session="s")
    with Guard.open(_with(world, 'confine = "strict"')) as guard:
        assert guard.check(checkout).outcome is Outcome.ALLOW
        planted = ToolCall(tool="bash", args={"command": plant}, cwd=str(world / "work"), session="s")
        assert execute(guard, planted, lambda _, chunk: None).ended.exit_code == 0
        assert hook.read_text() == text
        held = guard.check(checkout)
        assert held.outcome is Outcome.ESCALATE
        assert "opaque.authored_script" in {reason.rule for reason in held.reasons}


def test_nothing_rests_on_the_kernel_where_an_asset_has_copies(world: Path) -> None:
    """The text line follows what was made from an asset; the kernel is told of what was declared alone."""
    call = ToolCall(tool="bash", args={"command": hidden("true")}, cwd=str(world / "work"))
    with Guard.open(_with(world, 'confine = "strict"')) as guard:
        assert execute(guard, call, lambda _, chunk: None).decision
        copied = Resource(kind="file", path=str(world / "copy"), real=str(world / "copy"))
        model = Resource(kind="file", path=str(world / "models/w"), real=str(world / "models/w"), asset="model:b")
        guard.lineage.released((Effect(op="copy", resource=model, target=copied),), lambda _: "weights")
        with pytest.raises(Escalated):
            execute(guard, call, lambda _, chunk: None)


def test_what_a_program_tries_unseen_is_on_record_and_asked_about_next(world: Path) -> None:
    """The kernel's record is joined to the call, is no prediction of it, and holds the next opaque work."""
    program = hidden("cat ../models/w > made")
    with Guard.open(_with(world, 'confine = "strict"')) as guard:
        call = ToolCall(tool="bash", args={"command": program}, cwd=str(world / "work"), id="c1", session="s")
        with TracerProvider().get_tracer("agent").start_as_current_span("work") as span:
            done = execute(guard, call, lambda _, chunk: None)
        assert done.ended.exit_code != 0
        assert [one.is_surprise for one in done.ended.observed if one.asset] == [True]
        with pytest.raises(Escalated) as again:
            execute(guard, call, lambda _, chunk: None)
        assert "kernel.unpredicted" in {reason.rule for reason in again.value.decision.reasons}
        named = ToolCall(tool="bash", args={"command": ["sha256sum", "../models/w"]}, cwd=str(world / "work"))
        read = execute(guard, named, lambda _, chunk: None)
        assert {one.why for one in read.ended.observed if one.asset} == {"granted"}
    assert (world / "work/made").read_text() == ""
    first, second = kept(world, "kernel")
    intents = {seq: record for seq, record in read_records(world / "trail") if record["kind"] == "intent"}
    assert (first["source"], first["call"], first["session"]) == ("kernel", "c1", "s")
    assert intents[first["intent"]]["decision_id"] == first["decision_id"]
    assert first["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert "trace_id" not in second, "made in no trace"
    seen = first["kernel"]
    assert (seen["op"], seen["asset"], seen["outcome"], seen["rule"], seen["severity"]) == (
        "read", "model:b", "deny", "kernel.unpredicted", "high",
    )  # fmt: skip
    assert "deny       kernel.unpredicted  model:b" in line(1, first)
    assert (second["kernel"]["outcome"], second["kernel"]["predicted"]) == ("observe", True)
    assert "rule" not in second["kernel"]


SERVER = "import sys\nprint(len(open(sys.argv[1]).read()))\n"


def test_a_serving_program_is_one_that_the_configuration_names(world: Path) -> None:
    """With other arguments it is a program like any other; with another content it is not started."""
    server, model = world / "serve.py", str(world / "models/w")
    server.write_text(SERVER)
    program = os.path.realpath("/usr/bin/python3")
    digests = "".join(
        f'"{path}" = "{hashlib.sha256(Path(path).read_bytes()).hexdigest()}"\n' for path in (program, str(server))
    )
    settings = _with(world, 'confine = "strict"')
    serving = (
        f'[[execute.serving]]\nprogram = "{program}"\narguments = ["{server}", "{model}"]\n'
        f'assets = ["model:b"]\n[execute.serving.files]\n{digests}'
    )
    settings.write_text(settings.read_text() + serving)
    printed: list[bytes] = []

    def serve(*more: str) -> int:
        printed.clear()
        call = ToolCall(tool="bash", args={"command": [program, str(server), model, *more]}, cwd=str(world / "work"))
        return execute(guard, call, lambda _, chunk: printed.append(chunk)).ended.exit_code

    with Guard.open(settings) as guard:
        assert (serve(), b"".join(printed)) == (0, b"7\n")
        assert serve("--export") != 0, "nothing lets it read where its script lies"
        server.write_text(SERVER + "print('more')\n")
        with pytest.raises(JobError, match="is not what it was when it was fixed"):
            serve()
    settings.write_text(settings.read_text().replace(f'"{program}" = ', '"/usr/bin/other" = '))
    with pytest.raises(ConfigError, match="must have the SHA-256 of the program itself"):
        Guard.open(settings)


def test_a_tool_that_heeds_no_signal_ends_and_is_told_of(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands for it ends it before it is ended itself, so that nobody has to say `unknown`."""
    # What stands for it waits for one second, and is waited for as long as a busy machine needs.
    monkeypatch.setattr(_confinement, "GRACE_SHARE", 1 / 60)
    script = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(1, flush=True)\ntime.sleep(60)\n"
    )
    (world / "work/deaf.py").write_text(script)
    call = ToolCall(tool="bash", args={"command": ["/usr/bin/python3", "-S", "deaf.py"]}, cwd=str(world / "work"))
    with (
        Guard.open(_with(world, 'confine = "default"\ngrace_seconds = 60.0')) as guard,
        contextlib.closing(Stop()) as stop,
    ):
        done = execute(guard, call, lambda _, chunk: stop.set(), stop=stop)
    assert (done.ended.why, done.ended.exit_code) == ("stopped", 128 + signal.SIGKILL)
    assert facts(world)["kernel_mode"] == "default"


def test_what_was_missed_of_a_call_is_a_case_that_can_be_judged_again(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what was missed until the analysis knows it; a call that holds no surprise is none."""
    place = world / "missed.json"

    def judged_again() -> tuple[int, list[str]]:
        code = main(["check", "--config", str(world / "guardrail.toml"), "--case", str(place)])
        return code, capsys.readouterr().out.split()[:3] if code != 2 else []

    assert run(world, "strict", *hidden("cat ../models/w"), options=("--case", str(place))).returncode != 0
    told = json.loads(place.read_text())
    assert [(one["op"], one["asset"]) for one in told["missed"]] == [("read", "model:b")]
    assert judged_again() == (1, ["missed", "read", "model:b"])
    told["call"]["args"]["command"] = ["cat", "../models/w"]
    place.write_text(json.dumps(told))
    assert judged_again() == (0, ["known", "read", "model:b"])
    place.write_text("{}")
    assert judged_again()[0] == 2
    assert "is no case" in capsys.readouterr().err


def test_a_case_is_made_from_the_trail_too(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same call to the letter and the same effects as at once; of what is not kept or not there, nothing."""
    settings, kept_cases = world / "guardrail.toml", [world / "at-once.json", world / "later.json"]
    assert run(world, "strict", *hidden("cat ../models/w"), options=("--subject", "other")).returncode != 0
    without = kept(world, "kernel")[0]["seq"]
    settings.write_text(settings.read_text().replace("[trail]\n", '[trail]\ndisclose = ["args"]\n'))
    assert run(world, "strict", *hidden("cat ../models/w"), options=("--case", str(kept_cases[0]))).returncode != 0
    seq = kept(world, "kernel")[-1]["seq"]

    def case(number: int, *more: object) -> int:
        words = ["audit", "case", number, "--config", settings, "-o", kept_cases[1], "--json", *more]
        return main(list(map(str, words)))

    assert case(seq, "--cwd", world / "work") == 0
    assert json.loads(capsys.readouterr().out)["exact"]
    assert json.loads(kept_cases[1].read_text()) == json.loads(kept_cases[0].read_text())
    for number, code, why in (
        (seq, 1, "file exists"),
        (without, 1, "are not kept"),
        (0, 2, "is about no call that was released"),
    ):
        assert case(number) == code
        assert why in capsys.readouterr().err
    kept_cases[1].unlink()
    assert case(seq) == 0
    told = capsys.readouterr()
    assert not json.loads(told.out)["exact"]
    assert "is not to the letter the call" in told.err
    shutil.rmtree(world / "trail/disclosed")
    assert case(seq) == 1
    assert "is no longer there" in capsys.readouterr().err


def _with(world: Path, settings: str) -> Path:
    text = (world / "guardrail.toml").read_text()
    (world / "guardrail.toml").write_text(text.replace("[execute]\n", f"[execute]\n{settings}\n"))
    return world / "guardrail.toml"
