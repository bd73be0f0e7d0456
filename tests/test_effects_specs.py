"""Every command spec is usable, and its own examples hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from guardrail import Guard, Outcome, ToolCall
from guardrail.config import parse as parse_config
from guardrail.effects import broken_examples
from guardrail.effects.catalogue import _spec
from guardrail.effects.catalogue._spec import Entry, Spec, _SpecFile, specs, texts
from guardrail.effects.commands._families import FAMILIES
from guardrail.errors import AnalysisFault
from tests.effects_support import said


def entries() -> list[Spec]:
    """Each spec once."""
    return list({id(spec): spec for spec in specs().values()}.values())


@pytest.mark.parametrize("spec", entries(), ids=lambda spec: spec.entry.names[0])
def test_the_examples_of_a_spec_hold(spec: Spec) -> None:
    """`match` examples give the effects they promise, `not_match` examples none of those they exclude."""
    assert list(broken_examples([spec.entry.names[0]])) == []


def test_an_example_that_does_not_hold_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its command and by what is wrong with it."""
    wrong = Spec(Entry(names=("rm",), match=(("rm /a", "copy /a", "delete /a"),), not_match=(("rm /a", "delete"),)))
    monkeypatch.setitem(specs()._specs, "rm-wrong", wrong)
    monkeypatch.setitem(specs()._sources, "rm-wrong", "")
    assert list(broken_examples(["rm-wrong"])) == ["`rm /a` lacks `copy /a`", "`rm /a` has `delete`"]


@pytest.fixture
def miscopied(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A catalogue in which `cp` only looks at its operands."""
    right = 'names = ["cp", "gcp"]\ncode = "cp"\noperands = ["read*", "into"]'
    files = [(name, text.replace(right, 'names = ["cp", "gcp"]\noperands = ["list*"]')) for name, text in texts()]
    assert files != list(texts())
    monkeypatch.setattr(_spec, "texts", lambda: iter(files))
    specs.cache_clear()
    yield
    specs.cache_clear()


def test_no_call_is_answered_by_a_spec_that_does_not_do_what_its_examples_say(miscopied: None) -> None:
    """Its examples are run once it was read, and what they show is remembered; other commands are as they were."""
    for _ in range(2):
        with pytest.raises(AnalysisFault, match="the spec of `cp` does not do what its examples say: `cp"):
            said("cp /a /b")
    assert said("mv /a /b") != []


def test_a_guard_denies_what_a_wrong_spec_is_needed_for(miscopied: None, tmp_path: Path) -> None:
    """With the sentence that says which, on every call that needs it and on no other."""
    settings = parse_config("[limits]\ndecision_ms = 60000\n", base=str(tmp_path))
    with Guard.open(settings, record=False) as guard:
        for line in ("cp a b", "true && cp a b"):
            decision = guard.check(ToolCall(tool="bash", args={"command": line}, cwd=str(tmp_path)))
            assert decision.outcome is Outcome.DENY
            assert "the spec of `cp` does not do what its examples say" in decision.reasons[0].message
        assert guard.check(ToolCall(tool="bash", args={"command": "ls"}, cwd=str(tmp_path))).outcome is Outcome.ALLOW


def test_the_catalogue_holds_what_its_files_say() -> None:
    """Entries are read one by one when they are needed; read as a whole, the files say the same."""
    whole = [entry for _, text in texts() for entry in msgspec.toml.decode(text, type=_SpecFile).command]
    assert sorted(name for entry in whole for name in entry.names) == sorted(specs())
    assert [specs()[entry.names[0]].entry for entry in whole] == whole


def test_every_spec_names_a_function_that_exists() -> None:
    """`code` is one of the families."""
    assert {spec.entry.code for spec in entries()} - {""} <= set(FAMILIES)


@pytest.mark.parametrize(
    "entry",
    [
        Entry(names=("x",), options={"-a": "nonsense"}),
        Entry(names=("x",), options={"-a": "", "-b -a": ""}),
        Entry(names=("x",), operands=("nonsense*",)),
        Entry(names=("x",), digest=("-z",)),
        Entry(names=("x",), options={"plain": ""}),
    ],
)
def test_a_spec_with_an_unknown_role_or_option_is_refused(entry: Entry) -> None:
    """Nothing in a spec is ignored."""
    with pytest.raises(ValueError, match="spec of `x`"):
        Spec(entry)


def _with_values() -> list[tuple[str, str, str]]:
    """Each option whose value is more than text, of the commands that a function knows: command, option, its value."""
    found = []
    for name in specs():
        spec = specs()[name]
        options = {option.name: option for option in spec.options.values()}
        if not spec.entry.code or spec.entry.raw:
            continue
        for option in options.values():
            if set(option.roles) - {"text"}:
                equals = "" if not option.attached else "=" if option.name.startswith("--") else ""
                glue = equals if option.attached else " "
                found.append((name, option.name, glue + " ".join(["/zz/value"] * len(option.roles))))
    return found


def test_no_value_of_an_option_is_passed_over_in_silence() -> None:
    """Whatever the function of a command makes of its words, each place and program they name has an effect."""
    silent = []
    for name, option, value in _with_values():
        command = name.replace("git-", "git ", 1) if name.startswith("git-") else name
        # An option may need no further word, one or two, or take the command that is run.
        tails = ("", " x y", " /x", " list", " -- x")
        if not any("/zz/value" in str(said(f"{command} {option}{value}{tail}")) for tail in tails):
            silent.append(f"{command} {option}")
    assert not silent
