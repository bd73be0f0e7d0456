"""The portable dialect: what a policy may use, so that every engine gives the same answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from guardrail.errors import ConfigError
from guardrail.policy._opa_binary import Opa

PORTABLE: Final = (
    "eq", "assign", "neq", "equal", "lt", "lte", "gt", "gte", "plus", "minus", "mul", "div", "rem", "abs", "ceil",
    "floor", "round", "count", "sum", "product", "max", "min", "sort", "bits.and", "bits.lsh", "bits.negate",
    "bits.or", "bits.rsh", "bits.xor", "numbers.range", "and", "or", "intersection", "union", "internal.member_2",
    "internal.member_3", "array.concat", "array.flatten", "array.reverse", "array.slice", "object.filter",
    "object.get", "object.keys", "object.remove", "object.union", "object.union_n", "json.filter", "json.remove",
    "is_array", "is_boolean", "is_null", "is_number", "is_object", "is_set", "is_string", "type_name", "to_number",
    "concat", "contains", "endswith", "format_int", "indexof", "lower", "replace", "split", "startswith",
    "strings.replace_n", "strings.reverse", "substring", "trim", "trim_left", "trim_prefix", "trim_right",
    "trim_space", "trim_suffix", "upper", "glob.match", "regex.find_all_string_submatch_n", "regex.is_valid",
    "regex.match", "net.cidr_contains", "net.cidr_intersects", "base64.decode", "base64.encode", "base64.is_valid",
    "base64url.decode", "base64url.encode", "json.is_valid", "json.unmarshal", "graph.reachable", "walk",
)  # fmt: skip
"""Functions that every engine gives the same answer for.

Native in OPA's wasm compiler (`internal/compiler/wasm/wasm.go`, read 2026-11-22), less what is deprecated and what
writes text in an order that differs between engines. `eq` is in no engine's list, but nothing compiles without it.
"""


def portable_capabilities(opa: Opa) -> bytes:
    """The content of capabilities.json: what OPA's wasm compiler implements itself, and what we allow of it."""
    current: Any = json.loads(opa.run("capabilities", "--current", cwd=Path.cwd()))
    builtins = [builtin for builtin in current["builtins"] if builtin["name"] in PORTABLE]
    missing = sorted(set(PORTABLE) - {builtin["name"] for builtin in builtins})
    if missing:
        raise ConfigError(f"this OPA lacks `{missing[0]}`, which the portable dialect has")
    # Template strings write sets and objects as text, in an order that differs between engines.
    features = [feature for feature in current["features"] if feature != "template_strings"]
    # INVARIANT: an empty `allow_net` forbids all hosts; leaving it out would allow any. `wasm_abi_versions` is the
    # other way round: an empty list would forbid building wasm.
    return json.dumps({"builtins": builtins, "features": features, "allow_net": []}, indent=1).encode() + b"\n"
