"""Any arguments at all, to any known tool: never an error, and no path of an asset is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardrail.model import Effect, ToolCall
from guardrail.parse import parse
from guardrail.parse._tools import family, family_names
from guardrail.toolspec import ToolSpec
from tests.test_effects_tools import effects_of_call

pytestmark = pytest.mark.property

SETTINGS = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ASSET = "/models/beta/w.bin"
SPECS = [spec for file in family_names() for spec in family(file)]
GIT_NAMES = ("message", "branch_name", "base_branch", "revision", "target", "remote", "branch")
TEXT_ROLES = ("text", "old", "said", "mention")
SCALAR = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 9), st.floats(allow_nan=False), st.text(max_size=6),
    st.sampled_from([ASSET, "a", "", "x\0y", "~/a", "file:///a", "*", "-rf", "s3://b/k"]),
)  # fmt: skip
VALUE = st.recursive(
    SCALAR,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)


def _keys(spec: ToolSpec) -> list[str]:
    return sorted({part.strip("[]{}?#") for text in spec.selectors() for part in text.split(".")} - {"key", "value"})


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A known tool with arguments of which some are its own."""
    spec = draw(st.sampled_from(SPECS))
    names = st.one_of(st.sampled_from(_keys(spec) or ["x"]), st.text(max_size=5))
    return draw(st.sampled_from(spec.names)), draw(st.dictionaries(names, VALUE, max_size=5))


@SETTINGS
@given(calls())
def test_any_arguments_of_any_known_tool_are_analysed_without_an_error(call: tuple[str, dict[str, Any]]) -> None:
    """Parsing gives at least one operation, and analysis never raises."""
    tool, args = call
    assert parse(ToolCall(tool=tool, args=args))
    effects_of_call(tool, args)


def _places(effect: Effect) -> str:
    sides = [effect.resource] if effect.target is None else [effect.resource, effect.target]
    return " ".join(f"{side.path} {side.uri} {side.pattern}" for side in sides)


@st.composite
def named(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A known tool, with the path of an asset in one argument that is not mere text."""
    spec = draw(st.sampled_from(SPECS))
    plain = {text.rstrip("?") for role in TEXT_ROLES for text in getattr(spec, role)}
    plain |= {*spec.when, *spec.facts.values(), *spec.env, *(GIT_NAMES if spec.verb == "run" else ())}
    own = [text.rstrip("?") for text in spec.selectors() if "." not in text and "[" not in text and "{" not in text]
    free = sorted(set(own) - plain) or ["x"]
    args: dict[str, Any] = {}
    for key in draw(st.lists(st.sampled_from(own or ["x"]), max_size=4)):
        if key not in free:
            args[key] = draw(st.sampled_from(["t", 1, True]))
    args[draw(st.sampled_from(free))] = draw(st.sampled_from([ASSET, [ASSET], [ASSET, "b"]]))
    for key, value in spec.when.items():
        if "." not in key and draw(st.booleans()):
            args[key] = value[0] if isinstance(value, tuple) else value
    return draw(st.sampled_from(spec.names)), args


@SETTINGS
@given(named())
def test_no_path_of_an_asset_is_lost(call: tuple[str, dict[str, Any]]) -> None:
    """Whatever a known tool makes of it, some effect names it."""
    tool, args = call
    found = effects_of_call(tool, args)
    assert any(ASSET.lstrip("/") in _places(effect) for effect in found), (
        tool,
        args,
        parse(ToolCall(tool=tool, args=args)),
    )
