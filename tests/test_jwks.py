"""Keys of an issuer that stand in a file, which somebody else keeps up to date."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guardrail.jwks import LOOK_SECONDS, KeySet
from tests.test_review_oidc import Issuer


def test_keys_change_with_their_file_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    """A new key counts and one that is gone does not, without a restart; it is looked at most once in a while."""
    old, new, now = Issuer(), Issuer(), [0.0]
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(old.jwks()))
    keys = KeySet(file, "jwks", lambda: now[0])
    assert keys.payload(old.token())
    file.write_text(json.dumps({"keys": [{**key, "kid": f"new-{key['kid']}"} for key in new.jwks()["keys"]]}))
    renamed = new.token(header={"kid": "new-r"})
    with pytest.raises(ValueError, match="the provider has no key `new-r`"):
        keys.payload(renamed)
    now[0] += LOOK_SECONDS
    assert keys.payload(renamed)
    with pytest.raises(ValueError, match="the provider has no key `r`"):
        keys.payload(old.token())
    for text in ("{", '{"keys": []}'):
        file.write_text(text)
        now[0] += LOOK_SECONDS
        assert keys.payload(renamed)
    file.unlink()
    now[0] += LOOK_SECONDS
    assert keys.payload(renamed)
