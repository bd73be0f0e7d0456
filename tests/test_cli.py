"""The command line and the batch contract, as another program meets them: a process, lines in, lines out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guardrail.model import MAX_CALL_BYTES, MAX_CALL_DEPTH

SECONDS = 180
"""Longest any command here may take, in seconds."""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A directory with a model, a control config and the smallest configuration for both."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models/a.safetensors").write_bytes(b"weights")
    (tmp_path / "shutdown_config.yaml").write_text("shutdown_enabled: true\n")
    (tmp_path / "guardrail.toml").write_text(
        f"""
        [limits]
        decision_ms = 60000

        [trail]
        timeout_seconds = 60

        [[asset]]
        id = "model:beta"
        class = "weights"
        paths = ["{tmp_path}/models"]

        [[asset]]
        id = "control:shutdown"
        class = "control"
        paths = ["{tmp_path}/shutdown_config.yaml"]
        controls = {{ shutdown_enabled = true }}
        """
    )
    return tmp_path


def run(world: Path, *args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run `guardrail` in that world."""
    command = [sys.executable, "-m", "guardrail", *args]
    return subprocess.run(command, input=stdin, capture_output=True, cwd=world, timeout=SECONDS, check=False)


def lines(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    """The JSON lines it printed."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def call(command: str, **more: object) -> dict[str, object]:
    """A shell ToolCall."""
    return {"tool": "bash", "args": {"command": command}, **more}


def batch(calls: Sequence[object]) -> bytes:
    """One JSON line for each."""
    return b"".join(json.dumps(value).encode() + b"\n" for value in calls)


def test_a_batch_gives_one_decision_a_line_in_order(world: Path) -> None:
    """The contract's fields are all there, and ids come back."""
    commands = {"a": "ls models", "b": "cp models/a.safetensors x", "c": "odd models/a.safetensors"}
    calls = [call(command, id=name) for name, command in commands.items()]
    done = run(world, "check", "--jsonl", stdin=batch(calls))
    assert done.returncode == 0, done.stderr
    out = lines(done)
    assert [(d["id"], d["outcome"]) for d in out] == [("a", "allow"), ("b", "deny"), ("c", "escalate")]
    for decision in out:
        assert decision["decision_id"]
        assert isinstance(decision["elapsed_us"], int)
        for reason in decision["reasons"]:
            assert set(reason) >= {"rule", "outcome", "message"}
        for effect in decision["effects"]:
            assert set(effect) >= {"op", "resource", "asset", "precision"}
    assert out[1]["effects"][0]["asset"] == "model:beta"


def test_each_line_is_answered_before_the_next_is_sent(world: Path) -> None:
    """Output is flushed line by line, so that a harness can wait for each answer."""
    command = [sys.executable, "-m", "guardrail", "check", "--jsonl"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=world) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(5):
            process.stdin.write(batch([call("true", id=str(number))]))
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == str(number)
        process.stdin.close()
        assert process.wait(SECONDS) == 0


NOT_CALLS: tuple[bytes, ...] = (
    b"",
    b"nonsense",
    b"[]",
    b'"text"',
    b"null",
    b"{}",
    b'{"tool": 3}',
    b'{"tool": ""}',
    b'{"tool": "bash", "args": []}',
    b'{"tool": "bash", "args": {}, "surprise": 1}',
    b'{"tool": "bash", "args": {}, "cwd": "relative"}',
    b'{"tool": "bash", "args": {}, "subject": {"name": "x"}}',
    b'{"tool": "bash", "args": {"command": "ls"}} trailing',
    b'{"tool": "bash", "tool": "other", "args": {"command": "ls"}}',
    b'{"tool": "bash", "args": {"command": "rm -r models", "command": "ls"}}',
    b'{"tool": "\xff\xfe", "args": {}}',
    b"[" * 100_000,
    b'{"tool": "bash", "args": {"x": ' + b"[" * (MAX_CALL_DEPTH + 1) + b"]" * (MAX_CALL_DEPTH + 1) + b"}}",
    b'{"tool": "bash", "args": {"command": "' + b"x" * MAX_CALL_BYTES + b'"}}',
)


@pytest.mark.parametrize("bad", NOT_CALLS, ids=lambda value: repr(value[:40]))
def test_a_line_that_is_no_tool_call_is_denied_as_a_fault_and_the_run_goes_on(world: Path, bad: bytes) -> None:
    """Malformed, oversize and over-deep input is a denial with one sentence, and nothing after it is lost."""
    done = run(world, "check", "--jsonl", stdin=bad + b"\n" + batch([call("true", id="next")]))
    assert done.returncode == 0, done.stderr
    first, second = lines(done)
    assert first["outcome"] == "deny"
    assert [reason["rule"] for reason in first["reasons"]] == ["guardrail.fault"]
    assert "\n" not in first["reasons"][0]["message"]
    assert (second["id"], second["outcome"]) == ("next", "allow")


def test_a_last_line_without_a_newline_is_judged_too(world: Path) -> None:
    """The end of input ends a line."""
    out = lines(run(world, "check", "--jsonl", stdin=batch([call("true")]).rstrip(b"\n")))
    assert [decision["outcome"] for decision in out] == ["allow"]


def test_a_bad_line_keeps_its_id(world: Path) -> None:
    """The caller can still match question and answer."""
    (out,) = lines(run(world, "check", "--jsonl", stdin=b'{"id": "q7", "tool": "bash", "extra": 1}\n'))
    assert out["id"] == "q7"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (call("ls models"), 0),
        (call("rm -r models"), 3),
        (call("odd-tool models/a.safetensors"), 4),
        ({"tool": "bash", "unknown": 1}, 1),
    ],
    ids=["allow", "deny", "escalate", "fault"],
)
def test_once_exits_with_the_outcome(world: Path, value: object, code: int) -> None:
    """0 allow, 3 deny, 4 escalate, 1 fault."""
    done = run(world, "check", "--once", stdin=json.dumps(value).encode())
    assert done.returncode == code, done.stdout
    assert len(lines(done)) == 1


@pytest.mark.parametrize(
    "args", [["check"], ["check", "ls", "--jsonl"], ["check", "--config", "none.toml", "ls"], ["nonsense"], []]
)
def test_wrong_usage_exits_with_2_and_one_sentence(world: Path, args: list[str]) -> None:
    """Bad usage is told apart from every outcome."""
    done = run(world, *args)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("colour = 1\n", "`unsafe_fail_open`"),
        ("[limits]\ndeph = 3\n", "deph"),
        ("[limits]\ndepth = 0\n", "greater than 0"),
        ('[policy]\nengine = "guess"\n', "guess"),
        ('[[asset]]\nid = "x"\nclass = "wights"\npaths = ["a"]\n', "wights"),
        ('[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["a"]\n', "listed twice"),
        ("".join(f'[[asset]]\nid = "{x}"\nclass = "weights"\npaths = ["w"]\n' for x in "ab"), "belongs to two assets"),
        ('[[asset]]\nid = "x"\nclass = "weights"\npaths = []\n', "at least one path"),
        ('[[asset]]\nid = "x"\nclass = "guard"\npaths = ["a"]\n', "reserved"),
        ('[[asset]]\nid = "x"\nclass = "weights"\npaths = ["/srv/*"]\n', "no globs"),
        ('[[person]]\nname = "p"\nkey = "rsa:xyz"\n', "p"),
        ("= broken", "TOML"),
    ],
)
def test_a_configuration_with_anything_wrong_is_refused_with_what_and_where(world: Path, extra: str, told: str) -> None:
    """A misspelled key never means a rule that silently does not apply."""
    path = world / "guardrail.toml"
    before = path.read_text()
    if extra.startswith("[limits]"):
        path.write_text(before.replace("[limits]\n", extra))
    else:
        path.write_text(extra + before if extra.startswith("colour") else before + extra)
    done = run(world, "check", "ls")
    assert done.returncode == 2
    assert done.stdout == b""
    message = done.stderr.decode()
    assert message.startswith("guardrail: ")
    assert told in message
    assert message.count("\n") == 1


def test_check_runs_nothing_and_leaves_no_trail(world: Path) -> None:
    """Judging alone changes nothing in the world."""
    before = sorted(os.listdir(world))
    run(world, "check", "touch made; rm -f guardrail.toml")
    assert sorted(os.listdir(world)) == before


def test_a_single_command_prints_what_a_person_can_read(world: Path) -> None:
    """Outcome first, then the rule, its message and the effects."""
    done = run(world, "check", "cp models/a.safetensors /tmp/x")
    text = done.stdout.decode()
    assert done.returncode == 3
    assert text.startswith("DENY\n")
    assert "copy.unsanctioned" in text
    assert "[model:beta]" in text


def test_explain_shows_every_stage_for_people_and_as_json(world: Path) -> None:
    """Asked, would do, under, decided; and what the agent would read."""
    done = run(world, "explain", "cd models && cp a.safetensors /tmp/x")
    assert done.returncode == 3
    text = done.stdout.decode()
    for word in ("asked", "would do", "^^^", "by cp", "under", "decided   DENY", "agent     would read"):
        assert word in text
    stages = json.loads(run(world, "explain", "--json", "ls").stdout)
    assert set(stages) == {"call", "operations", "parsed", "assets", "mandates", "decision"}
    assert stages["parsed"][0][0]["type"] == "Simple"


def test_doctor_says_what_is_enforced_and_what_is_not(world: Path) -> None:
    """The strength of interposition by name, and of confinement what this kernel can hold and who uses it."""
    done = run(world, "doctor", "--json")
    findings = json.loads(done.stdout)
    assert done.returncode == 0, findings
    told = {finding["name"]: finding for finding in findings}
    assert {"python", "config", "policy", "trail", "strength"} <= set(told)
    assert "run with `--confine`" in told["kernel"]["detail"] or told["kernel"]["state"] == "note"


def test_doctor_finds_a_configuration_that_guards_nothing(world: Path) -> None:
    """No asset, no guard: that is a problem and not a green light."""
    (world / "guardrail.toml").write_text("")
    assert run(world, "doctor").returncode == 1


def test_what_an_agent_chose_cannot_repaint_the_answer(world: Path) -> None:
    """Control and direction characters of a command or path are shown as escapes."""
    for verb in ("check", "explain"):
        done = run(world, verb, "cp models/a.safetensors '\x1b[2J\x1b[31mALLOW\u202e'")
        assert done.returncode == 3
        assert b"\x1b" not in done.stdout
        assert "\u202e" not in done.stdout.decode()


def test_check_can_ask_for_a_named_agent(world: Path) -> None:
    """What a mandate says depends on who asks, so a person can ask as somebody."""
    assert b"by ops-agent in" in run(world, "explain", "ls", "--subject", "ops-agent").stdout


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["check", "ls", "-l"], "quotes"),
        (["check", "ls", "--cwd", "nowhere"], "nowhere"),
        (["check", "ls", "--config", "models"], "not a file"),
    ],
)
def test_a_slip_on_the_command_line_is_told_in_one_sentence(world: Path, args: list[str], told: str) -> None:
    """And exits with 2."""
    done = run(world, *args)
    assert done.returncode == 2
    assert told in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_output_that_cannot_be_written_is_a_fault_and_no_traceback(world: Path) -> None:
    """A full disk, with and without a buffer in between, or a terminal that knows no umlauts."""
    command = [sys.executable, "-m", "guardrail", "check", "ls"]
    for unbuffered in ("1", ""):
        env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                command, stdout=full, stderr=subprocess.PIPE, cwd=world, env=env, timeout=SECONDS, check=False
            )
        assert done.returncode == 1
        assert done.stderr == b"guardrail: No space left on device\n"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "guardrail", "check", "cat ünïcode"]
    done = subprocess.run(command, env=environment, capture_output=True, cwd=world, timeout=SECONDS, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_secret_that_is_not_set_stops_only_what_needs_it(world: Path) -> None:
    """An auditor or a check does not have to know the service's token."""
    with (world / "guardrail.toml").open("a") as toml:
        toml.write('[service]\ntoken = "${NOT_SET_ANYWHERE}"\n')
    assert run(world, "check", "ls").returncode == 0
    done = run(world, "serve", "--port", "0")
    assert done.returncode == 2
    assert b"NOT_SET_ANYWHERE" in done.stderr


def test_the_guards_own_trail_is_guarded_where_nothing_is_recorded_too(world: Path) -> None:
    """`check` beside a `serve` of the same configuration must not call its trail nobody's."""
    from guardrail import config as config_module
    from guardrail.audit import trail_directory

    trail = trail_directory(config_module.load(world / "guardrail.toml"))
    for command in (f"rm -rf {trail}", f"rm {trail}.reviews.db", f"mv {trail.parent} /tmp/g"):
        assert run(world, "check", command).returncode == 3, command


@pytest.mark.parametrize("edit", ["edit_file", "sed"])
def test_a_harmless_key_of_a_control_config_may_change_and_the_switch_may_not(world: Path, edit: str) -> None:
    """Near misses pass; the switch does not, by whichever tool."""
    (world / "shutdown_config.yaml").write_text("shutdown_enabled: true\nnote: old\n")

    def change(old: str, new: str) -> dict[str, object]:
        if edit == "edit_file":
            return {"tool": edit, "args": {"path": "shutdown_config.yaml", "old_string": old, "new_string": new}}
        return call(f"sed -i 's/{old}/{new}/' shutdown_config.yaml")

    calls = [change("enabled: true", "enabled: false"), change("old", "new")]
    out = lines(run(world, "check", "--jsonl", stdin=batch(calls)))
    assert out[0]["outcome"] == "deny"
    if edit == "edit_file":
        assert out[0]["reasons"][0]["rule"] == "control.weakened"
        assert out[1]["outcome"] == "allow"


def test_doctor_compares_a_declared_digest_with_the_file(world: Path) -> None:
    """A model that was swapped under its name is found."""
    import hashlib

    digest = hashlib.sha256(b"weights").hexdigest()
    text = f"""
        [[asset]]
        id = "model:beta"
        class = "weights"
        paths = ["{world}/models/a.safetensors"]
        digest = "sha256:{digest}"
    """
    (world / "guardrail.toml").write_text(text)
    assert run(world, "doctor").returncode == 0
    (world / "models/a.safetensors").write_bytes(b"others")
    done = run(world, "doctor")
    assert done.returncode == 1
    assert b"find out who changed it" in done.stdout


def test_the_configuration_page_has_every_setting_and_its_default() -> None:
    """Docs move with the code: a key that is added, renamed or gets another default changes the page."""
    from guardrail import config as config_module
    from guardrail.toolspec import ToolSpec

    page = (Path(__file__).resolve().parent.parent / "docs/configuration.md").read_text()
    sections = {
        "[[asset]]": config_module.AssetConfig,
        "[asset.record]": config_module.RecordConfig,
        "[assets]": config_module.InventoryConfig,
        "[[person]]": config_module.PersonConfig,
        "[[agent]]": config_module.AgentConfig,
        "[[tool]]": ToolSpec,
        "[policy]": config_module.PolicyConfig,
        "[[policy.key]]": config_module.BundleKeyConfig,
        "[mandates]": config_module.MandateConfig,
        "[obligations]": config_module.ObligationConfig,
        "[history]": config_module.HistoryConfig,
        "[trail]": config_module.TrailConfig,
        "[[trail.witness]]": config_module.WitnessConfig,
        "[central]": config_module.CentralConfig,
        "[review]": config_module.ReviewConfig,
        "[review.groups.NAME]": config_module.GroupConfig,
        "[[review.webhook]]": config_module.WebhookConfig,
        "[review.oidc]": config_module.OidcConfig,
        "[decision_log]": config_module.DecisionLogConfig,
        "[limits]": config_module.LimitConfig,
        "[service]": config_module.ServiceConfig,
        "[[service.client]]": config_module.ClientConfig,
        "[service.tls]": config_module.TlsConfig,
        "[service.kubernetes]": config_module.KubernetesConfig,
        "[execute]": config_module.ExecuteConfig,
        "[[execute.serving]]": config_module.ServingConfig,
        "[hooks]": config_module.HookConfig,
        "[console]": config_module.ConsoleConfig,
    }
    parts = {part.split("`")[1]: part for part in page.split("\n## ")[1:]}
    assert set(parts) == {*sections, "(top level)", "[zones]"}
    for title, section in sections.items():
        rows = {row.split("`")[1]: row for row in parts[title].splitlines() if row.startswith("| `")}
        fields = {field.encode_name: field for field in msgspec.structs.fields(section)}
        assert set(rows) == set(fields), title
        for name, field in fields.items():
            if isinstance(field.default, int | float | str):
                default = json.dumps(field.default)
                assert f"`{default}`" in rows[name], f"{title} {name}"


def test_a_rule_that_is_being_rolled_out_does_not_look_like_one_that_agrees(world: Path) -> None:
    """What it would have asked for stands behind it."""
    path = world / "guardrail.toml"
    path.write_text('mode = "observe"\n' + path.read_text())
    done = run(world, "check", "cp -r models /tmp/x")
    assert done.returncode == 0
    told = done.stdout.decode().splitlines()
    assert told[0] == "ALLOW"
    assert any("copy.unsanctioned" in line and line.endswith("[observed: deny]") for line in told)
