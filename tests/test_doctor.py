"""`guardrail doctor`: it finds what would keep a call from being judged, or an asset from being guarded."""

from __future__ import annotations

import argparse
import datetime as dt
import grp
import json
import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guardrail import config as config_module
from guardrail.cli import doctor, mandates
from guardrail.cli.findings._assets import asset_findings
from guardrail.cli.findings._settings import _is_own_group, _other_writers
from guardrail.guard import Guard
from guardrail.model import ToolCall

NOBODY = 65534
CONTROLS = "controls = { shutdown_enabled = true }"


class Place:
    """A directory with a model, a switch and a configuration of both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "guardrail.toml"
        (folder / "models").mkdir()
        (folder / "switch.yaml").write_text("shutdown_enabled: true\n")
        self.write()

    def write(self, more: str = "", *, models: str = "models", trail: str = "trail", switch: str = CONTROLS) -> None:
        """Write guardrail.toml."""
        self.config.write_text(
            f'[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["{models}"]\n'
            f'[[asset]]\nid = "control:switch"\nclass = "control"\npaths = ["switch.yaml"]\n{switch}\n'
            f'[trail]\ntimeout_seconds = 60\ndirectory = "{trail}"\n[limits]\ndecision_ms = 60000\n{more}'
        )

    def findings(self, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, str]]]:
        """Run the verb: its exit code, and what it found."""
        parser = argparse.ArgumentParser()
        doctor.add(parser.add_subparsers())
        capsys.readouterr()
        args = parser.parse_args(["doctor", "--json", "--config", str(self.config)])
        code: int = args.run(args)
        return code, json.loads(capsys.readouterr().out)

    def told(self, capsys: pytest.CaptureFixture[str], state: str) -> list[tuple[str, str]]:
        """Name and detail of every finding in one state."""
        code, findings = self.findings(capsys)
        assert (code == 1) == any(finding["state"] == "problem" for finding in findings)
        return [(finding["name"], finding["detail"]) for finding in findings if finding["state"] == state]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def nobody() -> Iterator[None]:
    """Without root's leave to look everywhere, for the length of a test."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_sound_place_has_no_problem(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers agree with their nouns, and nothing is left behind."""
    before = sorted(os.listdir(place.folder))
    assert place.told(capsys, "problem") == []
    assert ("config", f"{place.config}: 2 assets") in place.told(capsys, "ok")
    assert sorted(os.listdir(place.folder)) == before


@pytest.mark.parametrize("trail", ["/proc/trail", "/sys/a/b", "models/file/trail"])
def test_a_trail_that_cannot_be_made_is_a_problem_for_root_too(
    place: Place, capsys: pytest.CaptureFixture[str], trail: str
) -> None:
    """It is tried, not asked: root has every permission on file systems that take no file."""
    (place.folder / "models/file").write_text("")
    place.write(trail=trail)
    ((name, detail),) = place.told(capsys, "problem")
    assert name == "trail"
    assert "so every call would be denied: set `trail.directory`" in detail


def test_an_asset_that_may_not_be_looked_at_is_not_called_absent(tmp_path: Path, nobody: None) -> None:
    """Nothing there is one thing, and no leave to look another."""
    folder = Path(tempfile.mkdtemp())
    (folder / "models").mkdir()
    config = config_module.parse('[[asset]]\nid = "a"\nclass = "weights"\npaths = ["models/none"]\n', base=str(folder))
    (folder / "models").chmod(0)
    try:
        ((finding,),) = (list(asset_findings(config)),)
    finally:
        (folder / "models").rmdir()
        folder.rmdir()
    assert (finding.state, "yet" in finding.detail) == ("problem", False)
    assert "permission denied" in finding.detail
    assert "let the user that the guard runs as read it" in finding.detail


def test_an_asset_that_is_everything_is_a_problem(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """With `/` every command touches an asset, also by another name for it."""
    place.write(models="models/../" + "../" * 30)
    assert any("is all of `/`" in detail for _, detail in place.told(capsys, "problem"))


@pytest.mark.parametrize(
    ("content", "controls", "said"),
    [
        ("shutdown_enabled: false\n", CONTROLS, "is `false` now, and `true` is the safe value"),
        ('shutdown_enabled: "true"\n', CONTROLS, 'is `"true"` now, and `true` is the safe value'),
        ("shutdown_enabled: 1\n", CONTROLS, "is `1` now"),
        ("note: x\n", CONTROLS, "has no key `shutdown_enabled`"),
        ("", CONTROLS, "has no key `shutdown_enabled`"),
        ("a: {b: true}\n", 'controls = { "a.b" = false }', "`a.b` in"),
        ("shutdown_enabled: true\nshutdown_enabled: true\n", CONTROLS, "one plain meaning"),
        ("just words\n", CONTROLS, "has no key `shutdown_enabled`"),
    ],
)
def test_a_switch_that_is_off_or_gone_is_a_problem(
    place: Place, capsys: pytest.CaptureFixture[str], content: str, controls: str, said: str
) -> None:
    """The guard sees changes; what was changed before it came has to be seen here."""
    (place.folder / "switch.yaml").write_text(content)
    place.write(switch=controls)
    ((name, detail),) = place.told(capsys, "problem")
    assert name == "assets"
    assert "`control:switch`" in detail
    assert said in detail


@pytest.mark.parametrize(
    ("name", "safe", "unsafe", "key"),
    [
        ("a.ini", "[main]\nshutdown_enabled = true\n", "[main]\nshutdown_enabled = off\n", "main.shutdown_enabled"),
        ("a.env", "SHUTDOWN_ENABLED=true\n", "SHUTDOWN_ENABLED=0\n", "SHUTDOWN_ENABLED"),
    ],
)
def test_a_switch_in_a_format_that_has_only_texts_is_judged_as_its_changes_are(
    tmp_path: Path, name: str, safe: str, unsafe: str, key: str
) -> None:
    """`true` in letters is what such a file can say."""
    text = f'[[asset]]\nid = "a"\nclass = "control"\npaths = ["{name}"]\ncontrols = {{ "{key}" = true }}\n'
    text += '[asset.weakens]\n"lists" = "wider"\n' if name == "a.ini" else ""
    config = config_module.parse(text, base=str(tmp_path))
    (tmp_path / name).write_text(safe + ("[lists]\nhosts = a\n" if name == "a.ini" else ""))
    assert list(asset_findings(config)) == []
    (tmp_path / name).write_text(unsafe + ("[lists]\nhosts = a\n" if name == "a.ini" else ""))
    ((finding,),) = (list(asset_findings(config)),)
    assert finding.state == "problem"
    assert f"`{key}` in" in finding.detail


@pytest.mark.parametrize(
    ("what", "mode"),
    [
        ("guardrail.toml", 0o666),
        ("mandates", 0o777),
        (".", 0o777),
        ("mandates/a.mandate.json", 0o666),
    ],
)
def test_a_file_that_anybody_may_change_is_a_problem(
    place: Place, capsys: pytest.CaptureFixture[str], what: str, mode: int
) -> None:
    """Whoever writes the configuration or the orders decides what is guarded."""
    (place.folder / "mandates").mkdir()
    place.write('[mandates]\ndirectory = "mandates"\n')
    (place.folder / "mandates/a.mandate.json").write_text("{}")
    refused = place.told(capsys, "problem")
    before = (place.folder / what).stat().st_mode
    (place.folder / what).chmod(mode)
    problems = [found for found in place.told(capsys, "problem") if found not in refused]
    (place.folder / what).chmod(before)
    ((_, detail),) = problems
    assert detail.startswith("everybody may change")
    assert "`chmod go-w` it" in detail
    assert place.told(capsys, "problem") == refused


def test_a_group_of_others_is_told_from_a_group_of_ones_own(place: Place) -> None:
    """Where every user has a group of the same name, `rw-rw-r--` is no leak."""
    me, mine = pwd.getpwuid(os.geteuid()), [group.gr_gid for group in grp.getgrall()]
    theirs = next(gid for gid in range(54321, 60000) if gid not in mine)
    found = place.config.stat()
    assert not _is_own_group(os.stat_result((*found[:4], me.pw_uid, theirs, *found[6:])))
    if grp.getgrgid(me.pw_gid).gr_name == me.pw_name:
        assert _is_own_group(os.stat_result((*found[:4], me.pw_uid, me.pw_gid, *found[6:])))


def test_a_directory_that_is_read_only_or_sticky_is_nobodys_to_change(tmp_path: Path) -> None:
    """Volumes of a cluster are mode 0777 and mounted read-only, and everybody has a place in /tmp."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    assert _other_writers(tmp_path / "open", sticky=True) == "everybody"
    (tmp_path / "open").chmod(0o1777)
    assert _other_writers(tmp_path / "open", sticky=True) == ""
    assert _other_writers(tmp_path / "open", sticky=False) == "everybody"


def test_mandates_that_cannot_be_read_are_said_once(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """With the remedy that fits."""
    place.write('[mandates]\ndirectory = "orders"\n')
    ((name, detail),) = place.told(capsys, "problem")
    assert name == "mandates"
    assert "no such file or directory: create it, or leave" in detail
    place.write('[mandates]\ndirectory = "switch.yaml"\n')
    ((name, detail),) = place.told(capsys, "problem")
    assert "not a directory: name a directory, or leave" in detail


def order(place: Place, capsys: pytest.CaptureFixture[str], **fields: Any) -> None:
    """Sign an order by dana; the first one makes her key and the configuration."""
    parser = argparse.ArgumentParser()
    mandates.add(parser.add_subparsers())
    key, out = place.folder / "dana.pem", place.folder / "orders" / f"{fields['id']}.mandate.json"
    if not key.exists():
        (place.folder / "orders").mkdir()
        capsys.readouterr()
        args = parser.parse_args(["mandates", "new-key", str(key), "--name", "dana"])
        assert args.run(args) == 0
        place.write(f'[mandates]\ndirectory = "orders"\n{capsys.readouterr().out}')
    value = {
        "issuer": "dana",
        "subject": "ops",
        "not_before": "2020-01-01T00:00:00Z",
        "not_after": "2120-01-01T00:00:00Z",
        "grants": [{"effects": ["delete"], "assets": ["model:*"]}],
        **fields,
    }
    (place.folder / "order.json").write_text(json.dumps(value))
    args = parser.parse_args(
        ["mandates", "sign", str(place.folder / "order.json"), "--key", str(key), "--out", str(out)]
    )
    assert args.run(args) == 0


def test_mandates_are_counted_and_those_that_do_not_count_explained(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    """Expired, not yet, refused, misspelled, and misnamed."""
    later = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).isoformat()
    order(place, capsys, id="good")
    order(place, capsys, id="old", not_after="2021-01-01T00:00:00Z")
    order(place, capsys, id="early", not_before=later)
    order(place, capsys, id="slip", grants=[{"effects": ["delete"], "assets": ["model:betta", "model:beta"]}])
    assert place.told(capsys, "problem") == []
    ((_, counted),) = [found for found in place.told(capsys, "ok") if found[0] == "mandates"]
    assert counted.startswith(f"{place.folder}/orders: 4 files, 2 in force now; ")
    assert "`old`: it expired at 2021-01-01" in counted
    assert "`early`: it is not valid before" in counted
    (place.folder / "orders" / "good.json").write_text("")
    (place.folder / "orders" / "bad.mandate.json").write_text("{")
    notes = [detail for name, detail in place.told(capsys, "note") if name == "mandates"]
    assert notes == [
        "`slip` is about `model:betta`, and no asset is called that",
        "not read, because a mandate's name ends in `.mandate.json`: `good.json`",
    ]
    ((_, refused),) = place.told(capsys, "problem")
    assert refused.startswith("refused: `bad.mandate.json`: not a signed mandate")


def test_a_token_that_is_not_there_is_a_note(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """The service would not start; judging in process is not touched by that."""
    place.write('[service]\ntoken = "${GUARDRAIL_NOT_SET_ANYWHERE}"\n')
    assert place.told(capsys, "problem") == []
    assert any("would not start here" in detail for name, detail in place.told(capsys, "note") if name == "service")


GARBAGE = b"no database, and long enough to be looked at" * 100


@pytest.mark.parametrize("name", ["history", "reviews", "lineage", "orders", "identity"])
@pytest.mark.parametrize("content", [GARBAGE, None], ids=["garbage", "directory"])
def test_state_that_no_guard_would_open_with_is_a_problem(
    place: Place, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None
) -> None:
    """Said once, with the file and what to do."""
    file = place.folder / f"trail.{name}.db"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
        file.chmod(0o600)
    ((_, detail),) = place.told(capsys, "problem")
    assert f"`{file}`" in detail
    assert ": restore it, or move it away: " in detail


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("trail.key", "is not a private key in PEM: put the trail's key back"),
        ("trail.vkey", "names another key or another ledger"),
        ("checkpoints", "is not as it was written: checkpoints, byte 0"),
        ("00000000000000000000.seg", "is not as it was written: record 0"),
    ],
)
def test_a_trail_that_cannot_go_on_is_a_problem(
    place: Place, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    """A sound one is none, also while a guard has it open."""
    with Guard.open(place.config) as guard:
        guard.check(ToolCall(tool="bash", args={"command": "rm -r models"}, cwd=str(place.folder)))
        assert place.told(capsys, "problem") == []
    assert place.told(capsys, "problem") == []
    (place.folder / "trail" / name).write_bytes(GARBAGE)
    ((finding, detail),) = place.told(capsys, "problem")
    assert finding == "trail"
    assert said in detail
