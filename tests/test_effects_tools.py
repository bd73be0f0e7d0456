"""What calls of known tools would do: a corpus of data, one file a family, and every asset path in some effect."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from guardrail.config import LimitConfig
from guardrail.effects import analyse
from guardrail.model import Effect, ToolCall
from guardrail.parse import parse
from guardrail.parse._tools import family_names
from tests.effects_support import NoFiles, text

COMMANDS = ("code", "git", "shell")
CASES = Path(__file__).parent / "cases" / "tools"
CALLS = [(file.stem, call) for file in sorted(CASES.glob("*.toml")) for call in tomllib.loads(file.read_text())["call"]]


def effects_of_call(tool: str, args: dict[str, Any], view: NoFiles | None = None) -> tuple[Effect, ...]:
    """The effects of one call, without the directory that every opaque program is near."""
    found = analyse(
        parse(ToolCall(tool=tool, args=args)),
        cwd="/w",
        view=view or NoFiles(),
        limits=LimitConfig(),
        variables={"HOME": "/home/a"},
    )
    return tuple(effect for effect in found if not (effect.attrs.get("cwd") and effect.resource.path == "/w"))


def _said(effect: Effect) -> str:
    return text(effect) + (f":{effect.attrs['code']}" if effect.op == "exec_opaque" else "")


@pytest.mark.parametrize(
    ("family", "call"), CALLS, ids=lambda value: value if isinstance(value, str) else value["tool"]
)
def test_a_call_does_what_the_corpus_says(family: str, call: dict[str, Any]) -> None:
    """Everything it would do, in order; of commands and code, which have tests of their own, what is listed."""
    found = list(dict.fromkeys(_said(effect) for effect in effects_of_call(call["tool"], json.loads(call["args"]))))
    if family in COMMANDS:
        found = [said for said in found if said in call["says"]]
    assert found == list(dict.fromkeys(call["says"]))


def test_every_family_has_calls() -> None:
    """Two hundred and fifty and more, over all shipped families."""
    assert {family for family, _ in CALLS} == {name.removesuffix(".toml") for name in family_names()}
    assert len(CALLS) > 250


def test_a_patch_with_known_files_gives_their_content() -> None:
    """What a file holds after a patch is worked out, so that keys of a control config can be compared."""
    patch = "*** Begin Patch\n*** Update File: c.toml\n@@\n-on = true\n+on = false\n*** End Patch\n"
    view = NoFiles({"/w/c.toml": b"[a]\non = true\n"})
    (effect,) = effects_of_call("apply_patch", {"input": patch}, view)
    assert effect.edit is not None
    assert effect.edit.text == "[a]\non = false\n"


def test_text_typed_into_a_running_program_is_judged_as_a_command_and_held() -> None:
    """It is most often a shell, and nobody knows its directory."""
    found = effects_of_call("write_stdin", {"session_id": 1, "chars": "rm -r /models\n"})
    assert {effect.attrs.get("code") for effect in found if effect.op == "exec_opaque"} == {"dynamic"}
    assert "delete /models" in [text(effect) for effect in found]
