"""The document that policy decides on, and an engine's answer read back."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
import orjson
import pytest

from guardrail.errors import ConfigError, EngineFault
from guardrail.mandates import MandateGrant, Order
from guardrail.model import Effect, Outcome, Resource, Subject, ToolCall
from guardrail.policy import Rule, RuleBook, conclude, document
from guardrail.policy._document import MAX_DOCUMENT_BYTES
from guardrail.review import Grant
from tests.policy_support import POLICIES, bundle

CALL = ToolCall(
    tool="bash", args={"command": "secret text"}, subject=Subject(id="ops-agent", model="v/m"), session="s1"
)
HISTORY = {"labels": ["model:beta"], "owes": [], "due": []}


def facts(asset_id: str) -> dict[str, Any]:
    """What an inventory would say."""
    return {"id": asset_id, "class": "weights", "model": None, "owner": None, "registered": None}


def written(*effects: Effect, **changes: Any) -> Any:
    """The document for these effects, as plain values."""
    settings: dict[str, Any] = {"mandates": (), "history": HISTORY, "grant": None, "now_us": 5, **changes}
    return orjson.loads(document(CALL, effects, facts=facts, **settings))


def file(path: str, **fields: Any) -> Resource:
    """A file."""
    return Resource(kind="file", path=path, **fields)


def test_the_document_is_shaped_like_an_authzen_request() -> None:
    """Subject, context and one evaluation for each effect; nothing of the call's arguments."""
    effect = Effect(op="copy", resource=file("/srv/w", asset="model:beta"), target=file("/tmp/x"), flow=("pipe",))
    value = written(
        effect,
        zones=lambda resource: ["cold"] if resource.path == "/tmp/x" else [],
        host=lambda resource: "h" if resource.path == "/tmp/x" else None,
    )
    assert value["subject"] == {
        "type": "agent", "id": "ops-agent", "properties": {"model": "v/m", "principal": None},
    }  # fmt: skip
    assert value["context"] == {
        "time_us": 5, "session": "s1", "tool": "bash", "history": HISTORY, "mandates": [], "grant": None,
    }  # fmt: skip
    assert value["evaluations"] == [
        {
            "action": {"name": "copy"},
            "resource": {
                "type": "file",
                "id": "/srv/w",
                "properties": {
                    "asset": facts("model:beta"),
                    "pattern": False,
                    "recursive": False,
                },
            },
            "properties": {
                "target": {
                    "type": "file",
                    "id": "/tmp/x",
                    "properties": {
                        "asset": None,
                        "pattern": False,
                        "recursive": False,
                        "zones": ["cold"],
                        "host": "h",
                    },
                },
                "precision": "exact",
                "modality": "must",
                "attrs": {},
                "flow": ["pipe"],
            },
        }
    ]
    assert "secret text" not in str(value)


def _unknown(value: Any, schema: Any, path: str = "") -> list[str]:
    """Fields of a value that a closed schema does not list."""
    if isinstance(value, list):
        return [found for item in value for found in _unknown(item, schema.get("items", {}), path + "[]")]
    if not isinstance(value, dict) or "properties" not in schema:
        return []
    found = (
        []
        if schema.get("additionalProperties", True)
        else [path + "." + k for k in value.keys() - schema["properties"]]
    )
    for key, inner in schema["properties"].items():
        if key in value:
            found += _unknown(value[key], inner, f"{path}.{key}")
        elif key in schema.get("required", ()):
            found.append(f"{path}.{key} is missing")
    return found


def test_the_document_is_the_one_that_rules_are_checked_against() -> None:
    """Rules are type-checked against schemas/input.json at build; a field it does not list is one no rule may read."""
    schema = orjson.loads((POLICIES / "schemas" / "input.json").read_bytes())
    effect = Effect(op="copy", resource=file("/srv/w", asset="model:beta"), target=file("/x", asset="model:beta"))
    grant = MandateGrant(effects=("delete",), assets=("model:*",))
    leave = {"id": "g", "approver": "d", "shown": (("opaque.code", None),)}
    value = written(effect, mandates=[Order(id="m", issuer="d", grants=(grant,), left=(None,))], grant=leave)
    assert _unknown(value, schema) == []
    value["evaluations"][0]["resource"]["properties"]["owner"] = 1
    assert _unknown(value, schema) == [".evaluations[].resource.properties.owner"]


def test_the_name_behind_links_is_the_one_that_rules_see() -> None:
    """A mandate for one place must not reach through a symbolic link to another."""
    effect = Effect(op="write", resource=file("/dr/link", real="/tmp/elsewhere"))
    assert written(effect)["evaluations"][0]["resource"]["id"] == "/tmp/elsewhere"


def test_a_pattern_is_said_to_be_one() -> None:
    """Rules must be able to tell a name from a set of names."""
    resource = written(Effect(op="delete", resource=Resource(kind="any", pattern="*")))["evaluations"][0]["resource"]
    assert (resource["id"], resource["properties"]["pattern"]) == ("*", True)


def test_of_mandates_policy_sees_what_they_grant_and_of_grants_what_they_lift() -> None:
    """And who gave them, how many uses are left, about what their issuer may not speak; nothing else of them."""
    grant = MandateGrant(effects=("delete",), assets=("model:*",), uses=3, registered_from=datetime.date(2025, 1, 2))
    order = Order(id="m1", issuer="dana", grants=(grant,), left=(2,), barred=("model:beta",))
    assert written(mandates=[order], due={"m1": ("model:beta",)})["context"]["mandates"] == [
        {
            "id": "m1",
            "issuer": "dana",
            "barred": ["model:beta"],
            "due": ["model:beta"],
            "grants": [
                {
                    "effects": ["delete"],
                    "assets": ["model:*"],
                    "targets": [],
                    "approval": False,
                    "left": 2,
                    "registered_from": "2025-01-02",
                    "registered_until": None,
                }
            ],
        }
    ]
    shown = (("opaque.code", None), ("opaque.names_asset", "model:beta"))
    leave = Grant(
        id="g1", digest="d", approver="dana", created_us=1, expires_us=2, escalation="e", shown=shown,
    )  # fmt: skip
    for grant_ in (leave, msgspec.structs.asdict(leave)):
        assert written(grant=grant_)["context"]["grant"] == {
            "id": "g1",
            "approver": "dana",
            "shown": [{"rule": "opaque.code", "asset": None}, {"rule": "opaque.names_asset", "asset": "model:beta"}],
        }


def test_a_grant_that_does_not_say_what_was_shown_is_no_grant() -> None:
    """There is no way to write leave that lifts whatever comes up."""
    with pytest.raises(KeyError, match="shown"):
        written(grant={"id": "g1", "approver": "dana"})


def test_names_that_are_no_utf8_are_written_reversibly() -> None:
    """A file name is bytes; one that is no UTF-8 is judged like every other, and causes no fault."""
    name = b"/srv/\xff\xfe".decode("utf-8", "surrogateescape")
    value = written(Effect(op="read", resource=file(name), attrs={name: [name]}))
    assert value["evaluations"][0]["resource"]["id"] == "/srv/\\xff\\xfe"
    assert value["evaluations"][0]["properties"]["attrs"] == {"/srv/\\xff\\xfe": ["/srv/\\xff\\xfe"]}


def test_values_that_json_cannot_carry_become_text() -> None:
    """A config key may hold a huge number or an odd key; rules compare text with text then."""
    value = written(Effect(op="set_key", resource=file("/c"), attrs={"after": 2**80, "safe": {1: b"x"}}))
    assert value["evaluations"][0]["properties"]["attrs"] == {"after": str(2**80), "safe": {"1": "b'x'"}}


def test_a_document_over_its_bound_is_a_fault() -> None:
    """A call that would need more memory than the engine has is never put to it."""
    many = [Effect(op="read", resource=file("/" + "x" * 500))] * (MAX_DOCUMENT_BYTES // 500)
    with pytest.raises(EngineFault, match="bytes, more than"):
        written(*many)


def test_a_document_nested_without_end_is_a_fault() -> None:
    """Deep nesting stops at the serialiser, not in the engine's stack."""
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(EngineFault, match="cannot be written as JSON"):
        written(Effect(op="read", resource=file("/x"), attrs={"deep": deep}))


# ── the answer ────────────────────────────────────────────────────────────────────────────────────────────────────────

RULES = RuleBook(
    "r1",
    [
        Rule(
            id="a.deny", title="t", severity="high", maturity="stable", stops="s", message="`{op}` `{asset}` `{target}`"
        ),
        Rule(id="b.hold", title="t", severity="low", maturity="stable", stops="s", message="{i} {resource} {lifted}"),
    ],
)
EFFECTS = (
    Effect(op="copy", resource=file("/w", asset="model:beta"), target=file("/tmp/x\n\u202e")),
    Effect(op="read", resource=file("/r")),
)


def answer(outcome: Any = "deny", hits: Any = None, revision: Any = "r1", **more: Any) -> bytes:
    """An answer as an engine would give it."""
    if hits is None:
        hits = [{"id": "a.deny", "outcome": "deny", "i": 0, "asset": "model:beta"}]
    return orjson.dumps({"outcome": outcome, "hits": hits, "revision": revision, **more})


def test_reasons_are_sentences_with_the_strictest_first() -> None:
    """Operands come from the effect; characters that could break or hide a line are escaped."""
    hits = [
        {"id": "b.hold", "outcome": "escalate", "i": 1},
        {"id": "a.deny", "outcome": "deny", "i": 0, "asset": "model:beta"},
    ]
    outcome, reasons = conclude(answer(hits=hits), rules=RULES, effects=EFFECTS)
    assert outcome is Outcome.DENY
    assert [(r.rule, r.outcome, r.effect, r.asset) for r in reasons] == [
        ("a.deny", Outcome.DENY, 0, "model:beta"),
        ("b.hold", Outcome.ESCALATE, 1, None),
    ]
    assert reasons[0].message == "`copy` `model:beta` `/tmp/x\\u000a\\u202e`"
    assert reasons[1].message == "1 /r ?"


def test_no_hit_is_permission() -> None:
    """Where no rule fired there is nothing to say."""
    assert conclude(answer("allow", []), rules=RULES, effects=()) == (Outcome.ALLOW, ())


def test_the_order_of_hits_does_not_matter() -> None:
    """Engines keep sets in different orders; the reasons come out the same."""
    hits = [{"id": "b.hold", "outcome": "escalate", "i": i} for i in (1, 0)]
    first = conclude(answer("escalate", hits), rules=RULES, effects=EFFECTS)
    assert first == conclude(answer("escalate", hits[::-1]), rules=RULES, effects=EFFECTS)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"", "not a decision"),
        (b"null", "not a decision"),
        (b"[]", "not a decision"),
        (b"true", "not a decision"),
        (b"{}", "not a decision"),
        (b'{"outcome": "allow"', "not a decision"),
        (b"\xff", "not a decision"),
        (b"[" * 100_000, "not a decision"),
        (answer() + b"x", "not a decision"),
        (answer("permit"), "not a decision"),
        (answer("ALLOW"), "not a decision"),
        (answer(None), "not a decision"),
        (answer("allow", {}), "not a decision"),
        (answer("allow", None) + b" ", "add up to `deny`"),
        (answer("allow"), "add up to `deny`"),
        (answer("deny", []), "add up to `allow`"),
        (answer("escalate"), "add up to `deny`"),
        (answer(extra=1), "not a decision"),
        (answer(revision="r2"), "revision `r2`"),
        (answer(revision=None), "not a decision"),
        (answer(hits=[{"id": "c.none", "outcome": "deny"}]), "which its manifest does not have"),
        (answer(hits=[{"id": "a.deny", "outcome": "deny", "i": 2}]), "about effect 2 of 2"),
        (answer(hits=[{"id": "a.deny", "outcome": "deny", "i": -1}]), "about effect -1"),
        (answer(hits=[{"id": "a.deny", "outcome": "deny", "i": 0, "asset": "x"}]), "the asset `x`"),
        (answer(hits=[{"id": "a.deny", "outcome": "deny", "i": True}]), "not a decision"),
        (answer(hits=[{"id": "a.deny", "outcome": "deny", "note": "x"}]), "not a decision"),
        (answer(hits=[{"id": "a.deny"}]), "not a decision"),
        (answer(hits=["a.deny"]), "not a decision"),
        (b" " * (1024 * 1024 + 1), "more than"),
    ],
)
def test_whatever_is_not_exactly_a_decision_is_a_fault(bad: bytes, why: str) -> None:
    """Nothing is guessed from an answer of another form, about other effects, or of another policy."""
    with pytest.raises(EngineFault, match=why):
        conclude(bad, rules=RULES, effects=EFFECTS)


def test_a_message_may_name_only_known_operands() -> None:
    """A template with a slip is refused when the policy is loaded, not when the rule fires."""
    rule = RULES["a.deny"]
    for message in ("{asset.__class__}", "{who}", "{}", "{asset", "{0}"):
        with pytest.raises(ConfigError, match=r"message of rule `a\.deny`"):
            RuleBook("r1", [msgspec.structs.replace(rule, message=message)])


def test_rule_ids_are_told_apart() -> None:
    """Two rules of one id would give one of them the other's sentence."""
    with pytest.raises(ConfigError, match="two rules"):
        RuleBook("r1", [RULES["a.deny"], RULES["a.deny"]])


def test_every_tunable_is_documented() -> None:
    """Each key of data.json, each operation and each rule stands in docs/policy-data.md."""
    page = (POLICIES.parent / "docs" / "policy-data.md").read_text(encoding="utf-8")
    settings = orjson.loads((POLICIES / "data.json").read_bytes())["guardrail"]["settings"]
    names = [*settings, *settings["ops"], *settings["code"], *settings["labelled"], *settings["unsanctioned"]]
    assert [name for name in (*names, *bundle().rules.ids) if f"`{name}`" not in page] == []
