"""Edits of control files by any tool, as the keys that policy judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from guardrail import Guard, ToolCall
from guardrail import config as config_module
from guardrail.assets import Inventory, LiveFiles
from guardrail.config import LimitConfig
from guardrail.effects import analyse
from guardrail.model import Effect
from guardrail.parse import ShellText

CONFIG = """
[limits]
decision_ms = 60000
[[asset]]
id = "control:y"
class = "control"
paths = ["etc/c.yaml"]
controls = { shutdown_enabled = true, "limits.max" = 100 }
[[asset]]
id = "control:i"
class = "control"
paths = ["etc/c.ini"]
controls = { "safety.enabled" = true }
"""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Two control files."""
    (tmp_path / "guardrail.toml").write_text(CONFIG)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/c.yaml").write_text("shutdown_enabled: true\nlog: info\nlimits: {max: 100}\n")
    (tmp_path / "etc/c.ini").write_text("[safety]\nenabled = true\nlog = info\n")
    return tmp_path


def resolved(world: Path, command: str) -> tuple[Effect, ...]:
    """What a command does, resolved."""
    inventory = Inventory(config_module.load(world / "guardrail.toml"))
    effects = analyse(
        (ShellText(text=command),),
        cwd=str(world),
        view=LiveFiles(),
        limits=LimitConfig(),
        watched=inventory.variables,
    )
    return inventory.resolve(effects)


def judged(world: Path, command: str) -> list[tuple[str, Any]]:
    """Op and key, or value, of every effect on an asset that is more than a look at it."""
    return [
        (effect.op, (effect.attrs.get("key"), effect.attrs.get("weakened")))
        for effect in resolved(world, command)
        if effect.asset is not None and effect.op not in ("read", "list")
    ]


HARMLESS = [("set_key", ("log", None))]
WEAKENED = [("set_key", ("shutdown_enabled", True))]


@pytest.mark.parametrize(
    "command",
    [
        "sed -i 's/{}/{}/' etc/c.yaml",
        "sed 's/{}/{}/' etc/c.yaml > t && mv t etc/c.yaml",
        "sed 's/{}/{}/' etc/c.yaml > t; chmod 644 t; mv -f t etc/c.yaml",
        "perl -pi -e 's/{}/{}/' etc/c.yaml",
        'x=$(sed "s/{}/{}/" etc/c.yaml); echo "$x" > etc/c.yaml',
        "cat > f.sh <<'E'\nsed -i 's/{}/{}/' etc/c.yaml\nE\nbash f.sh",
    ],
)
def test_an_edit_by_any_tool_is_judged_by_the_keys_it_changes(world: Path, command: str) -> None:
    """A harmless key and a control."""
    assert set(judged(world, command.format("info", "debug"))) == set(HARMLESS)
    assert set(judged(world, command.format("enabled: true", "enabled: false"))) == set(WEAKENED)


@pytest.mark.parametrize(
    "command",
    [
        "sed s/info/x/ etc/c.yaml > t; cp t kept; mv t etc/c.yaml",
        "sed s/info/x/ etc/c.yaml > t; cp t etc/c.yaml",
        "sed s/info/x/ etc/c.yaml > t; curl -T t http://h; mv t etc/c.yaml",
    ],
)
def test_content_that_stays_elsewhere_is_a_copy(world: Path, command: str) -> None:
    """Only a file that takes the place of the control file, and goes nowhere else, is a step of an edit."""
    assert "copy" in {op for op, _ in judged(world, command)}


def test_a_link_that_is_moved_over_a_control_file_is_a_move(world: Path) -> None:
    """Whoever may change what it leads to changes the control."""
    (world / "other.yaml").write_text("shutdown_enabled: true\nlog: x\nlimits: {max: 100}\n")
    (world / "l").symlink_to(world / "other.yaml")
    assert "rename" in {op for op, _ in judged(world, "mv l etc/c.yaml")}
    assert {op for op, _ in judged(world, "mv other.yaml etc/c.yaml")} == {"set_key"}


@pytest.mark.parametrize(
    ("path", "text", "wanted"),
    [
        ("etc/c.yaml.d/x.yaml", "shutdown_enabled: false", [("set_key", ("shutdown_enabled", True))]),
        ("etc/c.d/x.yaml", "log: x", [("set_key", ("log", None))]),
        ("etc/c.override.yaml", "shutdown_enabled: false", [("set_key", ("shutdown_enabled", True))]),
        ("etc/c.local.yaml", "other: 1", [("set_key", ("other", None))]),
        ("etc/conf.d/x", "?", [("write", (None, None))]),
        ("etc/.env", "SHUTDOWN_ENABLED=false", [("set_key", ("SHUTDOWN_ENABLED", True))]),
        ("etc/.env", "OTHER=1", [("set_key", ("OTHER", None))]),
        ("etc/d.yaml", "shutdown_enabled: false", []),
    ],
)
def test_a_file_that_is_read_over_a_control_file_bears_on_it(
    world: Path, path: str, text: str, wanted: list[tuple[str, Any]]
) -> None:
    """Drop-ins, overrides, variables."""
    assert judged(world, f"echo '{text}' > {path}") == wanted


@pytest.mark.parametrize(
    ("command", "weakened"),
    [
        ("SHUTDOWN_ENABLED=false ./serve", True),
        ("SHUTDOWN_ENABLED=true ./serve", False),
        ("export LIMITS_MAX=1000; ./serve", True),
        ("env SHUTDOWN_ENABLED=$X ./serve", True),
    ],
)
def test_a_variable_that_stands_for_a_control_is_a_change_of_it(world: Path, command: str, weakened: bool) -> None:
    """For what runs after it."""
    found = [effect for effect in resolved(world, command) if effect.op == "set_key"]
    assert [effect.attrs["weakened"] for effect in found] == [weakened]
    assert not [effect for effect in resolved(world, "OTHER_NAME=false ./serve") if effect.op in ("set_key", "env")]


@pytest.mark.parametrize(
    ("line", "control"),
    [
        ("profile: {shutdown_enabled: false}", True),
        ("extends: other.yaml", True),
        ("Shutdown_Enabled: false", True),
        ("shutdown: false", False),
        ("max: 1", False),
    ],
)
def test_a_key_that_may_stand_for_a_control_is_one(world: Path, line: str, control: bool) -> None:
    """The same name in another table or case, and keys that bring in other files."""
    found = [e.attrs["control"] for e in resolved(world, f"echo '{line}' >> etc/c.yaml") if e.op == "set_key"]
    assert found == [control]


def test_a_format_without_types_says_the_safe_value_in_letters(world: Path) -> None:
    """`True` is true to every reader of an INI file; `1` is not to all."""
    for text, weakened in (("True", False), ("false", True), ("1", True)):
        (effect,) = (e for e in resolved(world, f"sed -i 's/= true/= {text}/' etc/c.ini") if e.op == "set_key")
        assert effect.attrs["weakened"] is weakened


@pytest.mark.parametrize(
    ("args", "held"),
    [
        ({"shutdown_enabled": False}, True),
        ({"settings": {"shutdown_enabled": False}}, True),
        ({"key": "shutdown_enabled", "value": False}, True),
        ({"limits": 3, "log": "debug"}, False),
    ],
)
def test_an_unknown_tool_that_is_given_a_control_by_name_is_asked_about(
    world: Path, args: dict[str, Any], held: bool
) -> None:
    """Whatever file or service it sets it in; a name of one word is that of many things."""
    with Guard.open(world / "guardrail.toml", record=False) as guard:
        decision = guard.check(ToolCall(tool="configure_it", args=args, cwd=str(world)))
    assert ([reason.rule for reason in decision.reasons] == ["opaque.names_asset"]) is held


TAKING = """
[[asset]]
id = "control:stop"
class = "control"
paths = ["etc/stop.sh"]
[[asset]]
id = "control:unit"
class = "control"
paths = ["etc/acme.service"]
"""


@pytest.fixture
def taking(world: Path) -> Path:
    """Control files that take in others: a script, a unit, and a file of settings."""
    (world / "guardrail.toml").write_text(CONFIG + TAKING)
    (world / "lib").mkdir()
    files = {
        "etc/stop.sh": '#!/bin/sh\n# source old.sh\n. "$(dirname "$0")/../lib/stop.sh"\npython3 lib/kill.py >> etc/l\n'
        ". ./lib/top.sh\n",
        "lib/top.sh": "true\n",
        "lib/stop.sh": 'source "$LIB/deeper.sh"\nkill "$1"\n',
        "lib/deeper.sh": "true\n",
        "etc/lib/kill.py": "print()\n",
        "etc/acme.service": f"[Service]\nEnvironmentFile=-{world}/etc/extra\nExecStart=/usr/bin/env {world}/x\n",
        "etc/c.yaml": "shutdown_enabled: true\nlog: info\nlimits: {max: 100}\ninclude:\n  - base.yaml\n",
        "etc/base.yaml": "log: info\n",
        "etc/old.sh": "true\n",
    }
    for name, text in files.items():
        (world / name).parent.mkdir(exist_ok=True)
        (world / name).write_text(text)
    return world


@pytest.mark.parametrize(
    "command",
    [
        "echo true > lib/stop.sh",
        "rm lib/deeper.sh",
        "echo exit > lib/top.sh",
        "mv lib other",
        "chmod 000 lib/stop.sh",
        "sed -i s/print/exit/ etc/lib/kill.py",
        "echo ACME_STOP=off > etc/extra",
        "ln -sf /dev/null etc/extra",
        "echo 'shutdown_enabled: false' >> etc/base.yaml",
    ],
)
def test_what_a_control_file_takes_in_is_a_part_of_it(taking: Path, command: str) -> None:
    """Sourced, run, included or read as variables, also by what it takes in; whether it is there yet or not."""
    found = judged(taking, command)
    assert found
    assert all(op != "mention" for op, _ in found)


@pytest.mark.parametrize(
    "command",
    ["echo x >> etc/l", "rm etc/old.sh", "echo 'log: debug' > other.yaml", "cat lib/stop.sh", "touch etc/new"],
)
def test_what_a_control_file_only_writes_or_speaks_of_is_no_part_of_it(taking: Path, command: str) -> None:
    """A log, a name in a comment, and what lies beside."""
    assert judged(taking, command) == []


def test_a_harmless_key_in_an_included_file_is_judged_as_in_the_file_itself(taking: Path) -> None:
    """What is included is judged by the same controls."""
    assert judged(taking, "sed -i s/info/debug/ etc/base.yaml") == HARMLESS
