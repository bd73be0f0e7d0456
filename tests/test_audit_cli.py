"""`guardrail audit`: what it prints and how it exits."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from guardrail.cli import _trail_line, audit
from guardrail.config import parse as parse_config
from guardrail.errors import ConfigError
from guardrail.guard import Guard
from guardrail.model import Subject, ToolCall
from guardrail.names import RECORD_KINDS
from tests.audit_support import denial, flip, intent, make_trail, open_trail, segments


def guardrail(*words: object) -> int:
    """Run one command of this verb."""
    parser = argparse.ArgumentParser()
    audit.add(parser.add_subparsers())
    args = parser.parse_args(["audit", *map(str, words)])
    code: int = args.run(args)
    return code


def test_a_good_trail_exits_0_and_says_how_far_it_is_signed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The report names the ledger, the records, the key, and where the key came from."""
    assert guardrail("verify", make_trail(tmp_path / "t", 12)) == 0
    text = capsys.readouterr().out
    assert text.startswith("as written: ")
    assert "every byte and every record" in text
    assert "12 records by" in text
    assert "from the trail itself" in text


def test_a_damaged_trail_exits_1_and_names_the_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Record, file and byte, in text and in JSON."""
    directory = make_trail(tmp_path / "t", 12)
    path = segments(directory)[0]
    flip(path, 40)
    assert guardrail("verify", directory) == 1
    text = capsys.readouterr().out
    assert f"PROBLEM  record 0, {path.name}, byte 0: the record is damaged" in text
    assert "NOT as written" in text
    assert guardrail("verify", directory, "--json", "--light") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert report["deep"] is False
    assert report["problems"][0] | {"what": ""} == {"file": path.name, "offset": 0, "seq": 0, "what": ""}


def test_a_key_and_a_checkpoint_from_elsewhere_can_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As text or as a file; another trail does not pass with them."""
    directory, other = make_trail(tmp_path / "t", 12), make_trail(tmp_path / "other", 12)
    kept = tmp_path / "kept.checkpoint"
    kept.write_text("".join((directory / "checkpoints").read_text().splitlines(keepends=True)[-5:]))
    key = (directory / "trail.vkey").read_text().strip()
    assert guardrail("verify", directory, "--key", key, "--checkpoint", kept) == 0
    assert "(given)" in capsys.readouterr().out
    assert guardrail("verify", directory, "--key", directory / "trail.vkey") == 0
    assert guardrail("verify", other, "--key", key) == 1
    with pytest.raises(ConfigError, match="cannot read"):
        guardrail("verify", directory, "--key", tmp_path / "missing")


def test_the_trail_of_a_configuration_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By --config; naming both, or a trail that is not there, is wrong usage."""
    make_trail(tmp_path / "t", 3)
    config = tmp_path / "guardrail.toml"
    config.write_text('[trail]\ntimeout_seconds = 60\ndirectory = "t"\n')
    assert guardrail("verify", "--config", config) == 0
    assert str(tmp_path / "t") in capsys.readouterr().out
    with pytest.raises(ConfigError, match="not both"):
        guardrail("verify", tmp_path / "t", "--config", config)
    with pytest.raises(ConfigError, match="there is no trail"):
        guardrail("verify", tmp_path / "missing")


def test_records_are_listed_with_time_kind_outcome_rule_and_asset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line each, filtered and cut as asked; text of agents cannot move the cursor."""
    with open_trail(tmp_path / "t") as trail:
        trail.append(
            {
                "kind": "decision",
                "session": "s1",
                "call": {"tool": "bash\x1b[2J"},
                "effects": [{"op": "read"}, {"op": "copy"}],
                "assets": ["model:beta"],
                "decision": {"outcome": "deny", "rules": ["copy.unsanctioned"]},
            }
        )
        seq = trail.append(intent())
        trail.append({"kind": "result", "intent": seq, "result": "completed"})
        trail.append({"kind": "odd", "decision": 3, "effects": 4, "call": 5, "assets": None, "obligation": "m1/gone"})
    assert guardrail("show", tmp_path / "t") == 0
    first, second, third, fourth = capsys.readouterr().out.splitlines()
    assert first.split()[3:] == [
        "decision",
        "deny",
        "copy.unsanctioned",
        "model:beta",
        "-",
        "bash\\u001b[2J:",
        "read",
        "copy",
    ]
    assert second.split()[3:5] == ["intent", "allow"]
    assert "of record 1" in third
    assert "m1/gone" in fourth
    assert guardrail("show", tmp_path / "t", "--kind", "result", "--json") == 0
    assert json.loads(capsys.readouterr().out)["intent"] == 1
    assert guardrail("show", tmp_path / "t", "--session", "s1") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert guardrail("show", tmp_path / "t", "--last", "2") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    with pytest.raises(SystemExit):
        guardrail("show", tmp_path / "t", "--last", "0")


def test_showing_goes_on_behind_a_damaged_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing can be shown of it, and `verify` says so; the rest is still worth reading."""
    with open_trail(tmp_path / "t", segment_bytes=1 << 16) as trail:
        for number in range(3):
            trail.append(denial(number))
    flip(segments(tmp_path / "t")[0], 40)
    assert guardrail("show", tmp_path / "t") == 0
    shown = capsys.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines()] == ["1", "2"]
    assert shown.err == "note: 1 record cannot be read: see `guardrail audit verify`\n"


def test_a_reader_that_has_enough_is_no_fault_of_the_trail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in `guardrail audit show | head -1`."""
    make_trail(tmp_path / "t")

    def gone(*_: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(_trail_line, "line", gone)
    with pytest.raises(BrokenPipeError):
        guardrail("show", tmp_path / "t")


def test_a_real_trail_is_shown_from_its_first_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Opening, a denial, a run: each with its agent, and with the first thing that it would touch."""
    (tmp_path / "w").write_bytes(b"W")
    text = (
        '[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["w"]\n[trail]\n'
        'timeout_seconds = 60\ndirectory = "t"\n'
    )
    with Guard.open(parse_config(f"{text}[limits]\ndecision_ms = 60000\n", base=str(tmp_path))) as guard:

        def call(command: str) -> ToolCall:
            return ToolCall(
                tool="bash", args={"command": command}, cwd=str(tmp_path), subject=Subject(id="ops\u202eagent")
            )

        assert not guard.check(call("cp w x"))
        guard.run(call("cat w"), lambda _: None)
    assert guardrail("show", tmp_path / "t") == 0
    opened, denied, released, result = capsys.readouterr().out.splitlines()
    assert opened.split()[:1] + opened.split()[3:5] == ["0", "config", "opened"]
    assert f"ops\\u202eagent  bash: copy write {tmp_path}/w" in denied
    assert released.endswith(f"ops\\u202eagent  bash: read {tmp_path}/w")
    assert result.endswith("of record 2")


def test_what_was_only_observed_is_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A call that ran because rules are being rolled out does not look like one that nobody minded."""
    (tmp_path / "w").write_bytes(b"W")
    text = (
        'mode = "observe"\n[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["w"]\n[trail]\n'
        'timeout_seconds = 60\ndirectory = "t"\n'
    )
    with Guard.open(parse_config(f"{text}[limits]\ndecision_ms = 60000\n", base=str(tmp_path))) as guard:
        for command in ("cp w x", "cat w"):
            assert guard.check(ToolCall(tool="bash", args={"command": command}, cwd=str(tmp_path)))
    assert guardrail("show", tmp_path / "t", "--kind", "intent") == 0
    copied, read = capsys.readouterr().out.splitlines()
    assert copied.endswith("[observed: deny by copy.unsanctioned]")
    assert "[observed" not in read


def test_why_is_shown_of_what_was_refused_and_of_what_is_still_owed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line that says only that something is wrong sends people looking."""
    with open_trail(tmp_path / "t") as trail:
        trail.append({"kind": "config", "event": "policy_refused", "policy": "r1", "why": "it is older"})
        trail.append(
            {"kind": "obligation", "obligation": "m/d", "state": "unmet", "evidence": ["`/w` is there", "2 left"]}
        )
    assert guardrail("show", tmp_path / "t") == 0
    refused, owed = capsys.readouterr().out.splitlines()
    assert refused.endswith("r1: it is older")
    assert owed.endswith("m/d: `/w` is there; 2 left")


ODD = (3, 2**53, -1, True, None, "x", [], [None, 1, ["x"], {"op": []}], {}, {"id": {}, "tool": [], "resource": 3})


@pytest.mark.parametrize(
    "name", ["t_us", "kind", "decision", "subject", "assets", "asset", "call", "effects", "intent", "obligation"]
)
def test_a_record_of_any_shape_is_one_line(name: str) -> None:
    """Older and newer versions, and damaged records, must not stop the rest from being shown."""
    for value in ODD:
        record = {"kind": "config", "t_us": 1, "call": {"tool": "x"}, "effects": [], "observed": value, name: value}
        assert "\n" not in _trail_line.line(0, record)
        assert "\n" not in _trail_line.line(0, {name: value, "decision": {"rules": value, "outcome": value}})


def test_what_is_no_trail_and_what_is_no_kind_is_one_sentence(tmp_path: Path) -> None:
    """A directory without a trail is not a damaged trail, and a misspelled kind is not an empty one."""
    with pytest.raises(ConfigError, match="there is no trail at .*: name the directory"):
        guardrail("verify", tmp_path)
    (tmp_path / "guardrail.toml").write_text('[trail]\ntimeout_seconds = 60\ndirectory = "later"\n')
    with pytest.raises(ConfigError, match="recorded nothing yet"):
        guardrail("show", "--config", tmp_path / "guardrail.toml")
    directory = make_trail(tmp_path / "t", 1)
    with pytest.raises(ConfigError, match="no record is of the kind `nonsense`: use one of `config`, `intent`"):
        guardrail("show", directory, "--kind", "nonsense")
    (tmp_path / "key").write_bytes(b"\xff\xfe+")
    with pytest.raises(ConfigError, match="it is not text in UTF-8$"):
        guardrail("verify", directory, "--key", tmp_path / "key")
    with pytest.raises(ConfigError, match="cannot read `.*`: no such file or directory$"):
        guardrail("verify", directory, "--key", tmp_path / "missing")
    for segment in segments(directory):
        segment.unlink()
    assert guardrail("verify", directory) == 1, "what is left of a trail is looked at"


def test_a_call_without_a_result_does_not_read_like_a_crash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who only asks reports no result; the numbers agree with their nouns."""
    with open_trail(tmp_path / "t") as trail:
        trail.append(intent())
    assert guardrail("verify", tmp_path / "t") == 0
    text = capsys.readouterr().out
    assert "1 intent without a result: released to a caller that reports no result, or cut off" in text
    assert "signed      1 record by " in text


@pytest.mark.parametrize("kind", RECORD_KINDS)
def test_every_kind_can_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    """Those that the guard writes are those that are offered."""
    with open_trail(tmp_path / "t") as trail:
        trail.append({"kind": kind})
    assert guardrail("show", tmp_path / "t", "--kind", kind) == 0
    assert kind in capsys.readouterr().out
