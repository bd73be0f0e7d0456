"""Every command spec is usable, and its own examples hold."""

from __future__ import annotations

import msgspec
import pytest

from guardrail.effects.catalogue._spec import Entry, Spec, _SpecFile, specs, texts
from guardrail.effects.commands._families import FAMILIES
from tests.effects_support import said


def entries() -> list[Spec]:
    """Each spec once."""
    return list({id(spec): spec for spec in specs().values()}.values())


def matches(found: list[str], want: str) -> bool:
    """An example names an effect, or only its operation."""
    return want in found or (" " not in want and any(line.split(" ")[0] == want for line in found))


@pytest.mark.parametrize("spec", entries(), ids=lambda spec: spec.entry.names[0])
def test_the_examples_of_a_spec_give_the_effects_it_promises(spec: Spec) -> None:
    """`match` examples, run through the whole analyser."""
    for command, *wanted in spec.entry.match:
        found = said(command)
        for want in wanted:
            assert matches(found, want), f"{command}: {want} not in {found}"


@pytest.mark.parametrize("spec", entries(), ids=lambda spec: spec.entry.names[0])
def test_the_examples_of_a_spec_give_none_of_the_effects_it_excludes(spec: Spec) -> None:
    """`not_match` examples, mostly option values that must not be taken for files."""
    for command, *unwanted in spec.entry.not_match:
        found = said(command)
        for want in unwanted:
            assert not matches(found, want), f"{command}: {want} in {found}"


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
