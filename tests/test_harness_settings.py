"""Settings by which a harness no longer asks: whoever writes them is held, in whichever file and by whatever."""

from __future__ import annotations

from typing import Any

import pytest

from guardrail import Guard, Outcome, ToolCall
from tests.mandate_support import rules
from tests.weights_place import guard, place

__all__ = ["guard", "place"]

LOCAL = ".claude/settings.local.json"
OFF = '{"disableAllHooks": true}'


def asked(guard: Guard, tool: str, **args: Any) -> tuple[Outcome, list[str]]:
    """What comes of one call."""
    decision = guard.check(ToolCall(tool=tool, args=args, cwd=guard.config.base, session="s"))
    return decision.outcome, rules(decision)


HELD = (Outcome.ESCALATE, ["admin.oversight"])
FREE = (Outcome.ALLOW, list[str]())


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (LOCAL, OFF),
        (".claude/settings.json", '{"x": 1, "disableAllHooks" : 1}'),
        ("/home/a/.claude/settings.json", '{"permissions": {"defaultMode": "bypassPermissions"}}'),
        ("/etc/claude-code/managed-settings.json", '{"allowManagedHooksOnly": false}'),
        (".codex/config.toml", "[features]\nhooks = false\n"),
        (".codex/config.toml", 'sandbox_mode = "danger-full-access"\n'),
        (".gemini/settings.json", '{"hooks": {"enabled": false}}'),
    ],
)
def test_settings_that_leave_hooks_out_are_held(guard: Guard, path: str, content: str) -> None:
    """A hook that is not asked judges nothing."""
    outcome, said = asked(guard, "write_file", path=path, content=content)
    assert outcome is Outcome.ESCALATE
    assert "admin.oversight" in said


@pytest.mark.parametrize(
    "command",
    [
        f"mkdir -p .claude && echo '{OFF}' > {LOCAL}",
        f"cat > {LOCAL} <<'END'\n{OFF}\nEND",
        f"jq '.disableAllHooks=true' a.json > {LOCAL}",
        f"curl -s https://example.com/s.json -o {LOCAL}",
        f"cp off.json {LOCAL}",
        f"mv off.json {LOCAL}",
        f"ln -s ../off.json {LOCAL}",
        f"sed -i s/false/true/ {LOCAL}",
        f"python3 -c \"import json; json.dump({{'disableAllHooks': True}}, open('{LOCAL}', 'w'))\"",
    ],
)
def test_settings_are_held_by_what_they_then_say(guard: Guard, command: str) -> None:
    """Written, brought, linked, edited, or by what nobody sees."""
    base = guard.config.path(".")
    (base / ".claude").mkdir()
    (base / LOCAL).write_text('{"disableAllHooks": false}')
    (base / "off.json").write_text(OFF)
    assert asked(guard, "bash", command=command) == HELD


def test_an_edit_of_one_word_of_settings_is_held(guard: Guard) -> None:
    """The line that comes of it counts, and not the word alone."""
    base = guard.config.path(".")
    (base / ".claude").mkdir()
    (base / LOCAL).write_text('{"disableAllHooks": false}')
    assert asked(guard, "edit_file", path=LOCAL, old_string="false", new_string="true") == HELD


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (LOCAL, '{"permissions": {"allow": ["Bash(ls:*)"]}}'),
        (LOCAL, '{"disableAllHooks": false}'),
        (".claude/commands/help.md", "disableAllHooks is a setting"),
        (".codex/config.toml", 'model = "m"\n'),
        (".gemini/settings.json", '{"theme": "dark"}'),
        ("docs/settings.json", OFF),
    ],
)
def test_other_settings_and_other_files_are_let_be(guard: Guard, path: str, content: str) -> None:
    """Themes, permissions and texts that only speak of it."""
    assert asked(guard, "write_file", path=path, content=content) == FREE


@pytest.mark.parametrize(
    "command", [f"cp plain.json {LOCAL}", f"cat plain.json > {LOCAL}", f"cat {LOCAL}", f"rm -f {LOCAL}"]
)
def test_plain_settings_may_be_brought_and_read(guard: Guard, command: str) -> None:
    """What is copied as it is says what will be there."""
    base = guard.config.path(".")
    (base / ".claude").mkdir()
    (base / "plain.json").write_text('{"theme": "dark"}')
    assert asked(guard, "bash", command=command) == FREE
