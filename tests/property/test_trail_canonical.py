"""Generated records: the writer's leaf, RFC 8785 as others implement it, and the verifier's own reading agree."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.audit import _verify_format
from guardrail.audit._record import Stamp
from guardrail.audit._tree import Frontier, leaf_hash
from guardrail.audit._verify_format import Tree, read_leaf

SAFE = 2**53 - 1

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
"""Whatever a tool call may carry, with lone surrogates, floats, large integers and odd keys."""

CANONICAL = st.dictionaries(
    st.text(st.characters(codec="ascii"), max_size=6),
    st.recursive(
        st.none() | st.booleans() | st.integers(-SAFE, SAFE) | st.text(max_size=12),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text(st.characters(codec="ascii"), max_size=6), inner, max_size=4)
        ),
        max_leaves=10,
    ),
    max_size=5,
)
"""Documents inside the domain of the ledger."""


@given(value=ANYTHING)
@settings(max_examples=300)
def test_every_leaf_is_rfc_8785_and_the_verifier_takes_it(value: Any) -> None:
    """Whatever the record holds, its leaf is what rfc8785 makes of the same document, byte for byte."""
    leaf = Stamp("guardrail.test/a").leaf({"kind": "x", "value": value}, 1)
    assert rfc8785.dumps(json.loads(leaf)) == leaf
    assert read_leaf(leaf)["seq"] == 1


@given(document=CANONICAL)
@settings(max_examples=300)
def test_the_fast_and_the_plain_check_of_the_form_agree(document: dict[str, Any]) -> None:
    """With `orjson` and with the standard library alone, the verifier takes exactly the canonical text."""
    text = rfc8785.dumps(document)
    other = orjson.dumps(document, option=orjson.OPT_INDENT_2)
    for data, good in ((text, True), (other, other == text)):
        for fast in (True, False):
            with pytest.MonkeyPatch.context() as patch:
                if not fast:
                    patch.setattr(_verify_format, "_orjson", None)
                if good:
                    assert read_leaf(data) == document
                else:
                    with pytest.raises(ValueError):
                        read_leaf(data)


@given(leaves=st.lists(st.binary(max_size=8), max_size=70))
def test_the_two_trees_agree_with_the_definition(leaves: list[bytes]) -> None:
    """The writer's tree, the verifier's tree, and the recursion of RFC 6962 section 2.1."""
    ours, theirs = Frontier(), Tree()
    for leaf in leaves:
        ours.add(leaf_hash(leaf))
        theirs.push(leaf_hash(leaf))
    assert ours.root() == theirs.root() == _definition(leaves)


def _definition(leaves: list[bytes]) -> bytes:
    import hashlib

    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\1" + _definition(leaves[:split]) + _definition(leaves[split:])).digest()
