"""One corpus, every engine: the wasm module in this process and a real OPA server must decide alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardrail.model import Outcome, strictest
from guardrail.policy._build import read_sources
from guardrail.policy._examples import expand
from guardrail.policy._opa import OpaEngine
from guardrail.policy._settings import read_settings
from guardrail.policy._wasm import WasmEngine
from tests.policy_support import ask, bundle, corpus, normal, opa_server

CORPUS = corpus()
GENERATED = 150
"""Generated decisions that are looked at closely."""

COMPARED = 400
"""Generated decisions that are put to both engines."""

MEMORY = 64 * 1024 * 1024


@pytest.fixture(scope="module")
def wasm() -> Iterator[WasmEngine]:
    """The shipped policy in this process."""
    engine = WasmEngine(bundle(), memory_bytes=MEMORY)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def opa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpaEngine]:
    """The shipped policy in a real OPA server behind a Unix socket, asked through opa-python-client."""
    url = f"unix://{tmp_path_factory.mktemp('opa')}/s"
    with opa_server(url):
        engine = OpaEngine(bundle(), url=url, token="")
        yield engine
        engine.close()


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.note)
def test_the_policy_decides_as_the_corpus_says(case: Any, wasm: WasmEngine) -> None:
    """Outcome and rules of every hand-written decision."""
    answer = ask(wasm, case.document)
    assert (answer.outcome, tuple(sorted(hit.id for hit in answer.hits))) == (case.outcome, case.rules)


def test_the_corpus_is_large_and_its_notes_are_told_apart() -> None:
    """With what is generated more than six hundred decisions through both engines, none of them there twice."""
    notes = [case.note for case in CORPUS]
    examples = sum(len(rule.examples.match) + len(rule.examples.not_match) for rule in bundle().manifest.rules)
    assert len(notes) >= 140
    assert len(notes) + examples + COMPARED >= 600
    assert sorted(notes) == sorted(set(notes))


def test_every_rule_is_hit_and_missed_in_the_corpus_or_its_examples(wasm: WasmEngine) -> None:
    """No rule ships that nothing has shown to fire, and none that always does."""
    hits: dict[str, set[bool]] = {rule: set() for rule in wasm.rules.ids}
    inputs = [case.input for case in CORPUS]
    for rule in wasm.rules.ids:
        inputs += [*wasm.rules[rule].examples.match, *wasm.rules[rule].examples.not_match]
    for given_input in inputs:
        fired = {hit.id for hit in ask(wasm, orjson.dumps(expand(given_input))).hits}
        for rule, seen in hits.items():
            seen.add(rule in fired)
    # These two speak only when a bundle is broken, which the one that ships is not; `opa test` reaches them.
    unreachable = {"guardrail.undecided", "guardrail.malformed_rule"}
    assert {rule for rule, seen in hits.items() if seen != {True, False}} == unreachable


def test_every_rule_has_examples_on_both_sides(wasm: WasmEngine) -> None:
    """METADATA without a positive and a negative example would be checked by nothing at start."""
    bare = {
        rule for rule in wasm.rules.ids if not (wasm.rules[rule].examples.match and wasm.rules[rule].examples.not_match)
    }
    assert bare == {"guardrail.undecided", "guardrail.malformed_rule"}


def test_both_engines_decide_every_example_alike(wasm: WasmEngine, opa: OpaEngine) -> None:
    """What stands in each rule's METADATA, put to both."""
    for rule in wasm.rules.ids:
        for example in (*wasm.rules[rule].examples.match, *wasm.rules[rule].examples.not_match):
            document = orjson.dumps(expand(example))
            assert normal(ask(wasm, document)) == normal(ask(opa, document)), rule


def test_both_engines_decide_the_corpus_alike(wasm: WasmEngine, opa: OpaEngine) -> None:
    """The same outcome, revision and hits from wasm and from a real OPA server, decision by decision."""
    different = [case.note for case in CORPUS if normal(ask(wasm, case.document)) != normal(ask(opa, case.document))]
    assert different == []


def _effects() -> st.SearchStrategy[dict[str, Any]]:
    ops = sorted(read_settings(read_sources(Path(__file__).resolve().parent.parent / "policies")).ops)
    names = st.sampled_from(
        ["/srv/x", "/dr/x", "/dr/../x", "/tmp/\u00e9\U0001f600", "ssh://h/x", "*", "", 'a"b\\']
    ) | st.text(max_size=8)
    assets = st.sampled_from([None, None, "model:beta", "model:gamma", "control:1", "a/b"])
    values = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["x", "true", 1.0, [1], {"a": 1}])
    attrs = st.fixed_dictionaries(
        {},
        optional={
            "code": st.sampled_from(["program", "script", "inline", "dynamic", "unparsed", "new"]),
            "authored": values,
            "any": values,
            "control": values,
            "safe": values,
            "after": values,
        },
    )
    return st.fixed_dictionaries(
        {"op": st.sampled_from([*ops, "teleport"])},
        optional={
            "id": names,
            "asset": assets,
            "class": st.sampled_from(["weights", "control", "guard", "evaluation"]),
            "pattern": st.booleans(),
            "target": names,
            "target_type": st.sampled_from(["file", "net"]),
            "target_asset": assets,
            "target_class": st.sampled_from(["weights", "guard"]),
            "target_pattern": st.booleans(),
            "precision": st.sampled_from(["exact", "pattern", "opaque", "vague"]),
            "modality": st.sampled_from(["must", "may"]),
            "attrs": attrs,
        },
    )


def _examples() -> st.SearchStrategy[dict[str, Any]]:
    mandate = st.fixed_dictionaries(
        {
            "effects": st.lists(st.sampled_from(["copy", "delete", "write", "set_key", "net_send"]), max_size=3),
            "assets": st.lists(
                st.sampled_from(["*", "**", "model:*", "model:beta", "[", "{a,model:beta}"]), max_size=2
            ),
        },
        optional={
            "targets": st.lists(st.sampled_from(["/dr/*", "/dr/**", "**", "ssh://h/*", ""]), max_size=2),
            "approval": st.booleans(),
        },
    )
    labels = st.lists(st.sampled_from(["model:beta", "model:gamma"]), max_size=2)
    held = ["opaque.code", "opaque.names_asset", "opaque.while_labelled", "mandate.approval_required"]
    shown = st.fixed_dictionaries(
        {"rule": st.sampled_from(held)},
        optional={"asset": st.sampled_from([None, "model:beta", "model:gamma"])},
    )
    leave = st.lists(shown, max_size=3)
    rules = st.sampled_from([*held, "*", "copy.unsanctioned", "delete.unsanctioned", "guard.tampering", "guardrail.x"])
    maturity = st.dictionaries(rules, st.sampled_from(["observe", "escalate", "deny", "new"]), max_size=3)
    return st.fixed_dictionaries(
        {"effects": st.lists(_effects(), max_size=4)},
        optional={
            "maturity": maturity,
            "labels": labels,
            "owes": labels,
            "leave": leave,
            "mandates": st.lists(mandate, max_size=2),
        },
    )


@settings(max_examples=COMPARED, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(example=_examples())
def test_both_engines_decide_generated_documents_alike(
    example: dict[str, Any], wasm: WasmEngine, opa: OpaEngine
) -> None:
    """The same from both engines for documents that nobody thought of, and both add up to the strictest hit."""
    document = orjson.dumps(expand(example))
    first, second = ask(wasm, document), ask(opa, document)
    assert normal(first) == normal(second)
    outcomes = [Outcome(hit.outcome) for hit in first.hits]
    assert first.outcome == (strictest(outcomes) if outcomes else Outcome.ALLOW).value


@settings(max_examples=GENERATED, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(example=_examples())
def test_leave_lifts_exactly_what_was_shown(example: dict[str, Any], wasm: WasmEngine) -> None:
    """With leave, each hit that holds is lifted if its rule and asset were shown, and nothing else changes."""
    shown = {(reason["rule"], reason.get("asset")) for reason in example.get("leave", ())}
    without = ask(wasm, orjson.dumps(expand({key: value for key, value in example.items() if key != "leave"})))
    lifted = {h for h in without.hits if h.outcome == "escalate" and (h.id, h.asset) in shown}
    given_leave = ask(wasm, orjson.dumps(expand(example)))
    assert {h for h in given_leave.hits if h.id != "review.granted"} == set(without.hits) - lifted
    granted = {(h.lifted, h.i, h.asset) for h in given_leave.hits if h.id == "review.granted"}
    assert granted == {(h.id, h.i, h.asset) for h in lifted}


@settings(max_examples=GENERATED, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(example=_examples(), extra=_effects())
def test_another_effect_never_makes_a_decision_milder(
    example: dict[str, Any], extra: dict[str, Any], wasm: WasmEngine
) -> None:
    """A batch is as strict as its strictest item, so nothing can be hidden behind something harmless."""
    before = ask(wasm, orjson.dumps(expand(example))).outcome
    after = ask(wasm, orjson.dumps(expand({**example, "effects": [*example["effects"], extra]}))).outcome
    assert Outcome(after) >= Outcome(before)
