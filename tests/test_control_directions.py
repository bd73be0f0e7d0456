"""Which way a change of a control key goes, and what follows from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail import config as config_module
from guardrail.assets import Inventory, LiveFiles
from guardrail.assets._directions import by_name, direction
from guardrail.config import LimitConfig, Weakens
from guardrail.effects import analyse
from guardrail.errors import ConfigError
from guardrail.guard import Guard
from guardrail.model import Effect, Outcome, ToolCall
from guardrail.parse import ShellText

GONE = object()

CONFIG = """
[[asset]]
id = "control:fleet"
class = "control"
paths = ["etc/fleet.yaml"]
controls = { shutdown_enabled = true }
[asset.weakens]
"poll.interval" = "up"
"threshold" = "down"
"hosts" = "wider"
"owner" = "any"
"hook" = "removed"
"audit_log.interval" = "none"
"*_ttl" = "down"
[trail]
directory = "trail"
timeout_seconds = 60
[limits]
decision_ms = 60000
"""

FLEET = """\
shutdown_enabled: true
poll:
  interval: 30s
threshold: 0.5
hosts: [a, b]
owner: dana
hook: /opt/hook
approvals_required: 2
token_ttl: 60
audit_log:
  interval: 5
log_level: info
"""


@pytest.mark.parametrize(
    ("weakens", "before", "after", "wanted"),
    [
        ("false", True, False, "weakens"),
        ("false", False, True, "strengthens"),
        ("false", True, GONE, "weakens"),
        ("false", True, None, "weakens"),
        ("false", GONE, True, "strengthens"),
        ("false", True, "true", "unknown"),
        ("false", True, "off", "weakens"),
        ("false", True, 1, "unknown"),
        ("false", True, 0, "weakens"),
        ("true", False, True, "weakens"),
        ("true", True, False, "strengthens"),
        ("true", True, GONE, "unknown"),
        ("up", 30, 31, "weakens"),
        ("up", 30, 29.5, "strengthens"),
        ("up", "30s", "1m", "weakens"),
        ("up", "2h", "90min", "strengthens"),
        ("up", "60s", "1m", "same"),
        ("up", 30, "1m", "unknown"),
        ("up", 30, "31", "unknown"),
        ("up", 30, 0, "unknown"),
        ("up", 30, -1, "unknown"),
        ("up", 30, True, "unknown"),
        ("up", 30, "often", "unknown"),
        ("up", 30, [60], "unknown"),
        ("up", 30, float("inf"), "unknown"),
        ("up", GONE, 30, "unknown"),
        ("up", 30, GONE, "weakens"),
        ("down", 0.5, 0.4, "weakens"),
        ("down", 0.5, 0.6, "strengthens"),
        ("down", 5, -1, "weakens"),
        ("down", "50%", "40%", "weakens"),
        ("down", "1GiB", "1GB", "weakens"),
        ("down", "50%", "40 s", "unknown"),
        ("wider", ["a"], ["a", "b"], "weakens"),
        ("wider", ["a", "b"], ["b"], "strengthens"),
        ("wider", ["a", "b"], ["b", "a"], "same"),
        ("wider", ["a"], ["c"], "weakens"),
        ("wider", ["a"], [], "unknown"),
        ("wider", ["a"], GONE, "weakens"),
        ("wider", ["*"], ["a"], "strengthens"),
        ("wider", ["a"], ["*"], "weakens"),
        ("wider", ["*.acme.com"], ["x.acme.com"], "strengthens"),
        ("wider", ["/srv/*"], ["/srv/a/b"], "weakens"),
        ("wider", False, True, "weakens"),
        ("wider", ["a"], True, "weakens"),
        ("wider", "10.0.0.0/8", "0.0.0.0/0", "weakens"),
        ("wider", GONE, ["a"], "unknown"),
        ("narrower", ["a", "b"], ["a"], "weakens"),
        ("narrower", ["a"], ["a", "b"], "strengthens"),
        ("narrower", ["a"], ["b"], "weakens"),
        ("narrower", ["a"], [], "weakens"),
        ("narrower", 2, 1, "weakens"),
        ("narrower", 2, 3, "strengthens"),
        ("narrower", 2, False, "weakens"),
        ("narrower", GONE, ["dana"], "strengthens"),
        ("people", ["dana"], ["dana", "mallory"], "unknown"),
        ("people", ["dana", "eve"], ["dana"], "weakens"),
        ("people", ["dana"], ["mallory"], "weakens"),
        ("people", ["dana"], ["dana"], "same"),
        ("people", GONE, ["mallory"], "unknown"),
        ("people", 2, 3, "strengthens"),
        ("people", 2, 1, "weakens"),
        ("removed", "x", "y", "strengthens"),
        ("removed", "x", "", "weakens"),
        ("removed", "x", GONE, "weakens"),
        ("any", 1, 2, "weakens"),
        ("ask", 1, 2, "unknown"),
    ],
)
def test_the_direction_of_a_change_is_that_of_its_meaning(
    weakens: Weakens, before: Any, after: Any, wanted: str
) -> None:
    """Numbers with units, lists, switches, and what cannot be compared."""
    had, has = before is not GONE, after is not GONE
    assert direction(weakens, before if had else None, after if has else None, had=had, has=has) == wanted


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_up_and_down_are_opposites(left: int, right: int) -> None:
    """What weakens one strengthens the other, in files with types and without."""
    opposite = {"weakens": "strengthens", "strengthens": "weakens", "same": "same"}
    for old, new, typed in ((left, right, True), (str(left), str(right), False)):
        up = direction("up", old, new, had=True, has=True, typed=typed)
        assert direction("down", old, new, had=True, has=True, typed=typed) == opposite[up]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(config_module.WEAKENS), JUNK, JUNK, st.booleans(), st.booleans(), st.booleans())
def test_any_two_values_have_a_direction(
    weakens: Weakens, old: Any, new: Any, had: bool, has: bool, typed: bool
) -> None:
    """No value makes the comparison fail, and a removal is never taken for a strengthening."""
    if weakens == "none":
        return
    found = direction(weakens, old, new, had=had, has=has, typed=typed)
    assert found in ("weakens", "strengthens", "unknown", "same")
    if had and old is not None and not has:
        assert found in ("weakens", "unknown")


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("shutdown_enabled", "false"),
        ("shutdown.enabled", "false"),
        ("safety.shutdownEnabled", "false"),
        ("monitoring.active", "false"),
        ("requireApproval", "false"),
        ("human_review_required", "false"),
        ("disable_monitoring", "true"),
        ("oversight.skip", "true"),
        ("shutdown.dry_run", "true"),
        ("deletion_protection", "false"),
        ("lifecycle.prevent_destroy", "false"),
        ("shutdown_threshold", "down"),
        ("thresholds.min_score", "down"),
        ("alert.threshold", "up"),
        ("threshold", "ask"),
        ("poll_interval", "up"),
        ("heartbeat.period", "up"),
        ("eval_frequency", "ask"),
        ("shutdown.grace_period", "up"),
        ("approvals_required", "narrower"),
        ("approvers", "people"),
        ("allowed_hosts", "wider"),
        ("hosts.allowlist", "wider"),
        ("trusted_agents", "wider"),
        ("blocked_tools", "narrower"),
        ("log_level", None),
        ("shutdown", None),
        ("max", None),
        ("interval", None),
        ("name", None),
        ("", None),
    ],
)
def test_a_key_that_nobody_declared_is_known_by_its_name(key: str, wanted: str | None) -> None:
    """Of names that say nothing, nothing is claimed."""
    assert by_name(key) == wanted


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A control file with several controls."""
    (tmp_path / "guardrail.toml").write_text(CONFIG)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/fleet.yaml").write_text(FLEET)
    return tmp_path


def changes(world: Path, command: str) -> list[Effect]:
    """The keys that a command changes."""
    inventory = Inventory(config_module.load(world / "guardrail.toml"))
    found = analyse(
        (ShellText(text=command),),
        cwd=str(world),
        view=LiveFiles(),
        limits=LimitConfig(),
        watched=inventory.variables,
    )
    return [effect for effect in inventory.resolve(found) if effect.op == "set_key"]


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ("interval: 30s", "interval: 10m", "weakens"),
        ("interval: 30s", "interval: 10s", "strengthens"),
        ("interval: 30s", "interval: rarely", "unknown"),
        ("threshold: 0.5", "threshold: 0.3", "weakens"),
        ("threshold: 0.5", "threshold: 0.7", "strengthens"),
        ("\\[a, b\\]", "[a, b, evil]", "weakens"),
        ("\\[a, b\\]", "[a]", "strengthens"),
        ("owner: dana", "owner: agent", "weakens"),
        ("hook: .opt.hook", "hook: ''", "weakens"),
        ("required: 2", "required: 1", "weakens"),
        ("required: 2", "required: 3", "strengthens"),
        ("ttl: 60", "ttl: 30", "weakens"),
        ("interval: 5", "interval: 500", None),
        ("info", "debug", None),
        ("enabled: true", "enabled: false", "weakens"),
    ],
)
@pytest.mark.parametrize(
    "tool",
    [
        'sed -i "s/{}/{}/" etc/fleet.yaml',
        'perl -pi -e "s/{}/{}/" etc/fleet.yaml',
        'sed "s/{}/{}/" etc/fleet.yaml > t && mv t etc/fleet.yaml',
    ],
)
def test_every_tool_s_edit_has_its_direction(
    world: Path, tool: str, before: str, after: str, wanted: str | None
) -> None:
    """Declared keys, patterns, built-in names, overridden names, and keys that control nothing."""
    found = changes(world, tool.format(before, after))
    told = {(effect.attrs.get("direction"), effect.attrs["control"]) for effect in found}
    assert told == {(wanted, wanted is not None)}


def judged(guard: Guard, command: str, cwd: Path) -> tuple[Outcome, set[str]]:
    """Outcome and rules."""
    decision = guard.check(ToolCall(tool="bash", args={"command": command}, cwd=str(cwd)))
    return decision.outcome, {reason.rule for reason in decision.reasons}


def test_a_weakening_is_denied_a_question_held_and_a_strengthening_recorded(world: Path) -> None:
    """The whole way, from a shell to the decision."""
    with Guard.open(world / "guardrail.toml") as guard:
        assert judged(guard, "sed -i s/30s/10m/ etc/fleet.yaml", world) == (Outcome.DENY, {"control.weakened"})
        assert judged(guard, "sed -i s/30s/rarely/ etc/fleet.yaml", world) == (Outcome.ESCALATE, {"control.unclear"})
        assert judged(guard, "sed -i s/30s/5s/ etc/fleet.yaml", world) == (Outcome.ALLOW, set())
        assert judged(guard, "sed -i s/info/debug/ etc/fleet.yaml", world) == (Outcome.ALLOW, set())
        assert judged(guard, "sed -i 's/30s/5s/;s/a, b/a, b, c/' etc/fleet.yaml", world)[0] is Outcome.DENY


def test_a_variable_of_a_declared_key_s_name_is_a_change_of_it(world: Path) -> None:
    """What runs after it reads the variable instead of the file."""
    (found,) = changes(world, "POLL_INTERVAL=1h ./serve")
    assert (found.attrs["control"], found.attrs["direction"]) == (True, "unknown")


def test_a_key_below_a_declared_one_is_a_question(world: Path) -> None:
    """A list that becomes a table, or a table in which something moves."""
    (world / "etc/fleet.yaml").write_text("threshold: {score: 0.5}\n")
    (found,) = changes(world, "sed -i s/0.5/0.4/ etc/fleet.yaml")
    assert (found.attrs["control"], found.attrs["direction"]) == (True, "unknown")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('class = "control"\nweakens = { a = "sideways" }', "`weakens` of `a` is none of"),
        ('class = "control"\nweakens = { a = 1 }', "`weakens` of `a` is none of"),
        ('class = "control"\nweakens = { "a." = "up" }', "name the key that is a control"),
        ('class = "weights"\nweakens = { a = "up" }', "belongs to the class `control` only"),
    ],
)
def test_a_direction_that_is_none_is_refused(text: str, said: str) -> None:
    """With a sentence that says what would be right."""
    with pytest.raises(ConfigError, match=said):
        config_module.parse(f'[[asset]]\nid = "c"\npaths = ["/x"]\n{text}\n')


def test_a_dotted_key_may_be_written_as_a_table() -> None:
    """TOML reads `poll.interval = "up"` as a table in a table."""
    text = '[[asset]]\nid = "c"\nclass = "control"\npaths = ["/x"]\n[asset.weakens]\npoll.interval = "up"\n'
    asset = Inventory(config_module.parse(text)).get("c")
    assert asset is not None
    assert asset.controls.weakens == {"poll.interval": "up"}
