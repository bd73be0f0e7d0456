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


def _edited(diff: str, before: str) -> str | None:
    """What a file holds after an edit in blocks; None if that is not known."""
    view = NoFiles({"/w/c.yaml": before.encode()})
    (effect,) = effects_of_call("apply_diff", {"path": "c.yaml", "diff": diff}, view)
    assert text(effect) == "write /w/c.yaml"
    return effect.edit.text if effect.edit is not None else None


BLOCKS = {
    "git's marks": "<<<<<<< SEARCH\non: true\n=======\non: false\n>>>>>>> REPLACE",
    "a newline at the end": "<<<<<<< SEARCH\non: true\n=======\non: false\n>>>>>>> REPLACE\n",
    "dashes": "------- SEARCH\non: true\n=======\non: false\n+++++++ REPLACE\n",
    "both kinds": "<<<<<<< SEARCH\non: true\n=======\non: false\n+++++++ REPLACE\n",
    "a bracket": "<<<<<<< SEARCH>\non: true\n=======\non: false\n>>>>>>> REPLACE>\n",
    "a line": "<<<<<<< SEARCH\n:start_line:2\n-------\non: true\n=======\non: false\n>>>>>>> REPLACE",
    "two lines": "<<<<<<< SEARCH\n:start_line:2\n:end_line:2\n-------\non: true\n=======\non: false\n>>>>>>> REPLACE",
}


@pytest.mark.parametrize("name", BLOCKS)
def test_an_edit_in_blocks_gives_the_content_of_the_file(name: str) -> None:
    """In every spelling of the marks, so that keys of a control config can be compared."""
    assert _edited(BLOCKS[name], "a: 1\non: true\nb: 2\n") == "a: 1\non: false\nb: 2\n"


def test_several_blocks_are_applied_in_order() -> None:
    """Each at its place, counted in the file as it was."""
    diff = (
        "<<<<<<< SEARCH\n:start_line:1\n-------\na: 1\n=======\na: 2\na: 3\n>>>>>>> REPLACE\n\n"
        "<<<<<<< SEARCH\n:start_line:3\n-------\nb: 2\n=======\n>>>>>>> REPLACE\n"
    )
    assert _edited(diff, "a: 1\non: true\nb: 2\n") == "a: 2\na: 3\non: true\n"


UNSURE = {
    "it stands there twice": ("on: true", "on: false", "on: true\nx:\non: true\n"),
    "it stands within a line": ("on: true", "on: false", "non: true\n"),
    "it stands there with other blanks too": ("on: true", "on: false", "on:  true\nnote:\non: true\n"),
    "it stands there with other quotes too": ('on: "a"', "on: b", 'on: “a”\non: "a"\n'),
    "it does not stand there": ("on: true", "on: false", "off: true\n"),
    "the last line has no newline": ("on: true", "on: false", "on: true"),
    "the file has other ends of lines": ("on: true", "on: false", "on: true\r\n"),
    "the line is another": (":start_line:1\n-------\non: true", "on: false", "on:\non: true\n"),
    "the text is numbered": ("2 | on: true", "2 | on: false", "on: true\n2 | on: true\n"),
    "a mark is hidden": ("on: true", "on: true\n\\=======\non: false", "on: true\n"),
    "a mark is shorter": ("on: true", "on: true\n=====\non: false", "on: true\n"),
    "an entity is text or not": ("on: true", "on: &quot;false&quot;", "on: true\n"),
    "blanks end a line": ("on: true", "on: false  ", "on: true\n"),
    "tabs and blanks": ("on: true", "\ton:\n  false", "on: true\n"),
    "nothing is searched": ("", "on: false", "on: true\n"),
    "one empty line": ("on: true", "", "on: true\n"),
}


@pytest.mark.parametrize("name", UNSURE)
def test_an_edit_in_blocks_that_tools_read_differently_has_no_known_content(name: str) -> None:
    """They search by lines or by text, and clean up what they are given."""
    old, new, before = UNSURE[name]
    assert _edited(f"<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n", before) is None


def test_a_second_block_that_the_first_one_makes_unsure_has_no_known_content() -> None:
    """A tool that applies them one after the other finds two places."""
    diff = (
        "<<<<<<< SEARCH\na: 1\n=======\non: true\n>>>>>>> REPLACE\n"
        "<<<<<<< SEARCH\non: true\n=======\non: false\n>>>>>>> REPLACE\n"
    )
    assert _edited(diff, "a: 1\non: true\n") is None
