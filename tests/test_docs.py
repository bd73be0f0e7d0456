"""What the pages say is what the product does: commands, configurations, code and output in them."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from guardrail import ToolCall
from guardrail import config as config_module
from guardrail.cli import VERBS, parser
from guardrail.model import effect_dict

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/**/*.md")])
KEY = "ed25519:ddFIrH9OzQkbVNNHNffwqVBnMoYfZD3BRdGT8e2zwnQ="


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_verb_in_a_page_exists_and_takes_the_options_shown(page: Path) -> None:
    """`guardrail VERB --option` in a console block or in code is on the command line."""
    text = page.read_text(encoding="utf-8")
    for verb, rest in re.findall(r"(?:^\$ |`)guardrail ([a-z]+)([^`\n]*)", text, re.MULTILINE):
        assert verb in VERBS, f"`guardrail {verb}` is no verb"
        known = _options_of(verb)
        for option in re.findall(r"(--[a-z][a-z-]+)", rest.split("|")[0]):
            assert option in known, f"`guardrail {verb}` takes no `{option}`"


def _options_of(verb: str) -> str:
    """Help of a verb and of its own verbs, in which every option stands."""
    import argparse

    def helps(command: argparse.ArgumentParser) -> str:
        found = command.format_help()
        for action in command._actions:
            if isinstance(action, argparse._SubParsersAction):
                found += "".join(helps(inner) for inner in action.choices.values())
        return found

    top = next(action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    return helps(top.choices[verb])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_configuration_in_a_page_loads(page: Path, tmp_path: Path) -> None:
    """A reader can copy it; the files that it names are there, with what the page says stands in them."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets/a.toml").touch()
    lines = [block.strip() for block in blocks(page, "json") if '"class"' in block]
    (tmp_path / "registry.jsonl").write_text("\n".join(lines))
    for block in blocks(page, "toml"):
        config = config_module.parse(
            re.sub(r'key = "ed25519:[^"]*"', f'key = "{KEY}"', re.sub(r'"\$\{\w+\}"', '"secret"', block)),
            base=str(tmp_path),
        )
        assert len(config.assets) == block.count("[[asset]]") + len(lines) * ("registry.jsonl" in block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_block_in_a_page_is_python(page: Path) -> None:
    """No example is a sketch that cannot be parsed, and every name it takes from us exists."""
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("guardrail"):
                module = __import__(str(node.module), fromlist=["_"])
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)


def test_the_batch_page_shows_what_is_read_and_written() -> None:
    """Its input is a ToolCall, and every field of its output is one that is written."""
    given, answer = blocks(ROOT / "docs/batch.md", "json")
    call = ToolCall.from_json(given)
    assert call.subject.model == "acme/alpha"
    shown = json.loads(answer)
    from guardrail.model import Decision, Effect, Outcome, Reason, Resource

    effect = Effect(op="copy", resource=Resource(kind="file", path="/x", asset="m"))
    reason = Reason(rule="r", outcome=Outcome.DENY, message="m", effect=0, asset="m")
    real = Decision(decision_id="d", outcome=Outcome.DENY, reasons=(reason,), effects=(effect,)).to_dict()
    assert set(shown) == set(real)
    assert set(shown["reasons"][0]) == set(real["reasons"][0])
    assert set(shown["effects"][0]) <= set(effect_dict(effect))


def test_the_smallest_configuration_of_the_readme_guards_two_assets() -> None:
    """The one that every newcomer copies."""
    (block,) = blocks(ROOT / "README.md", "toml")
    assert [asset.id for asset in config_module.parse(block).assets] == ["model:beta", "control:shutdown"]


def test_the_runbook_says_what_to_do_about_every_alert() -> None:
    """Whoever is paged finds the alert's name as a heading, and no heading is about an alert that is gone."""
    alerts = re.findall(
        r"- alert: (\w+)", (ROOT / "deploy/prometheus/guardrail.rules.yaml").read_text(encoding="utf-8")
    )
    headings = re.findall(r"^## (Guardrail\w+)$", (ROOT / "docs/runbook.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(alerts)


def test_every_example_is_named_in_a_page_by_the_command_that_runs_it() -> None:
    """Whoever reads about an adapter finds its example, and each command in a page is one that is there."""
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    commands = set(re.findall(r"python -m (examples(?:\.\w+)+)", pages))
    assert all((ROOT / f"{command.replace('.', '/')}.py").is_file() for command in commands), commands
    shown = {command.split(".")[1] for command in commands}
    assert shown == {path.parent.name for path in ROOT.glob("examples/*/__init__.py")}
