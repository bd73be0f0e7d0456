"""What a call changed of assets is on record: what is there now, compared with what was there before."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from guardrail import ToolCall
from guardrail.assets import Asset, Recognition, before, changes, may_change
from guardrail.assets import _states as states
from guardrail.audit._verify import read_records
from guardrail.model import Effect, Resource
from tests.mandate_support import Place


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def results(place: Place) -> list[dict[str, Any]]:
    return [record for _, record in read_records(place.root / "trail") if record["kind"] == "result"]


@pytest.fixture
def model(tmp_path: Path) -> Asset:
    """A model of four files, in two directories."""
    for name in ("a", "b", "c", "in/d"):
        path = tmp_path / "m" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return Asset(id="model:m", asset_class="weights", roots=(str(tmp_path / "m"),), facts={})


def test_each_change_is_named_with_what_was_there(model: Asset, tmp_path: Path) -> None:
    """Content, attributes, a file that is gone, one that is new; what is as it was is not listed."""
    root = Path(model.roots[0])
    seen = before([model], Recognition(tmp_path / "none"))
    assert changes(seen) == ()
    (root / "a").write_bytes(b"other")
    os.utime(root / "b", (1, 1))
    shutil.move(root / "in/d", root / "e")
    told = {Path(one.path).name: (one.change, one.before, one.after) for one in changes(seen)}
    assert told == {
        "a": ("content", sha(b"a"), sha(b"other")),
        "b": ("attributes", sha(b"b"), sha(b"b")),
        "d": ("deleted", sha(b"in/d"), None),
        "e": ("created", None, sha(b"in/d")),
    }


def test_what_is_too_much_or_hidden_is_said_to_be_unknown(
    model: Asset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounds end in a statement, never in nothing; a large file has no digest and is a change all the same."""
    nobody = Recognition(tmp_path / "none")
    monkeypatch.setattr(states, "MAX_FILES", 3)
    assert [one.change for one in changes(before([model], nobody))] == ["unknown"]
    monkeypatch.setattr(states, "MAX_FILES", 10)
    monkeypatch.setattr(states, "MAX_BEFORE_BYTES", 0)
    seen = before([model], nobody)
    (Path(model.roots[0]) / "a").write_bytes(b"a")
    assert [(one.change, one.before, one.after) for one in changes(seen)] == [("content", None, sha(b"a"))]


def test_who_only_looks_changes_nothing() -> None:
    """What may be changed is what an effect does more to than look, and what nobody can see into."""
    place = Resource(kind="file", path="/m", asset="model:m")
    assert not may_change(Effect(op="read", resource=place))
    assert may_change(Effect(op="read", resource=place, precision="opaque"))
    assert may_change(Effect(op="delete", resource=place))


def test_the_result_of_a_call_says_what_it_changed_of_an_asset(tmp_path: Path) -> None:
    """Also where it fails half-way."""
    place = Place(tmp_path)
    place.order(grants=[{"effects": ["delete"], "assets": ["model:beta"], "approval": False}])
    weights = place.root / "models/beta.safetensors"

    def fails(_: ToolCall) -> None:
        weights.unlink()
        raise RuntimeError("half-way")

    with place.guard() as guard:
        with pytest.raises(RuntimeError):
            guard.run(place.bash(f"rm {weights}"), fails)
        guard.run(place.bash("ls models"), lambda _: None)
    deleted, looked = results(place)
    assert deleted["result"] == "failed"
    assert deleted["changes"] == [
        {"asset": "model:beta", "path": str(weights), "change": "deleted", "before": sha(b"w" * 100)}
    ]
    assert "changes" not in looked
