"""Assets that are declared beside guardrail.toml, and inventories as large as they come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from guardrail import config as config_module
from guardrail.assets import Inventory
from guardrail.config import AssetConfig, Config, _reading
from guardrail.errors import ConfigError
from guardrail.guard import Guard
from guardrail.model import Effect, Op, Outcome, Resource, ToolCall

MANY = 3_000
"""Assets of a large inventory here; `make bench` has one of 100,000."""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A configuration with a directory of asset files."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "guardrail.toml").write_text(
        '[assets]\nfiles = ["assets/*.toml", "more.jsonl"]\n[limits]\ndecision_ms = 60000\n'
        '[trail]\ntimeout_seconds = 60\ndirectory = "trail"\n'
        '[[asset]]\nid = "model:own"\nclass = "weights"\npaths = ["own.bin"]\n'
    )
    (tmp_path / "assets/a.toml").write_text('[[asset]]\nid = "model:a"\nclass = "weights"\npaths = ["w/a.bin"]\n')
    (tmp_path / "more.jsonl").write_text(
        '{"id": "model:b", "class": "weights", "paths": ["w/b.bin"], "registered": "2026-01-02"}\n\n'
        '{"id": "control:c", "class": "control", "paths": ["c.yaml"], "controls": {"on": true}}\n'
    )
    return tmp_path


def load(base: Path) -> Config:
    """The configuration."""
    return config_module.load(base / "guardrail.toml")


def test_assets_of_all_files_are_one_inventory_with_paths_beside_the_configuration(base: Path) -> None:
    """TOML by a pattern, JSON lines by name."""
    config = load(base)
    assert [asset.id for asset in config.assets] == ["model:own", "model:a", "model:b", "control:c"]
    inventory = Inventory(config)
    (effect,) = inventory.resolve([Effect(op="read", resource=Resource(kind="file", path=str(base / "w/a.bin")))])
    assert effect.asset == "model:a"
    assert inventory.facts("model:b")["registered"] == "2026-01-02"


@pytest.mark.parametrize(
    ("files", "name", "text", "said"),
    [
        ('["assets/*.toml"]', "x.txt", "", "which no file fits"),
        ('["assets/x.toml"]', "y.toml", "", "cannot read the assets"),
        ('["assets/x.json"]', "x.json", "{}", "must end in `.toml` or `.jsonl`"),
        ('["*/x.toml"]', "x.toml", "", "in the last name only"),
        ('["*.toml"]', "x.toml", "", "a directory of their own"),
        ('["../*.toml"]', "x.toml", "", "a directory of their own"),
        ('[""]', "x.toml", "", "name a file"),
        ('["assets/*"]', "x.toml", "[trail]", "unknown field `trail`; what is known there is `asset`"),
        ('["assets/*"]', "x.toml", "a = ", "is not valid TOML"),
        ('["assets/*"]', "x.toml", '[[asset]]\nid = "m"\nclass = "weight"\npaths = ["x"]', "(`m`)"),
        ('["assets/*"]', "x.jsonl", '{"id": "m"', "line 1"),
        ('["assets/*"]', "x.jsonl", '\n{"id": "m", "class": "weights", "path": ["x"]}', "line 2"),
        ('["assets/*"]', "x.jsonl", '{"id": "m", "class": "weights", "class": "control", "paths": []}', "twice"),
        ('["assets/*"]', "x.jsonl", '{"id": "o", "class": "weights", "paths": ["x"]}', "`o` is listed twice"),
    ],
)
def test_a_file_that_declares_nothing_sound_stops_the_guard(
    tmp_path: Path, files: str, name: str, text: str, said: str
) -> None:
    """An asset that is left out is not guarded: nothing is skipped."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / name).write_text(text)
    (tmp_path / "guardrail.toml").write_text(
        f'[assets]\nfiles = {files}\n[[asset]]\nid = "o"\nclass = "weights"\npaths = ["o"]\n'
    )
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert said in str(caught.value)


def test_bounds_on_files_and_assets_are_said(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the number, and the file."""
    monkeypatch.setattr(_reading, "MAX_ASSETS", 3)
    with pytest.raises(ConfigError, match=r"more than 3 assets, the last in .*more.jsonl"):
        load(base)
    monkeypatch.setattr(_reading, "MAX_ASSET_FILE_BYTES", 20)
    with pytest.raises(ConfigError, match="are more than 20 bytes: split the file"):
        load(base)


def test_the_files_are_the_guard_s_own_and_so_is_the_directory_of_a_pattern(base: Path) -> None:
    """Whoever adds a file there can say that a model is something else."""
    with Guard.open(base / "guardrail.toml") as guard:
        for command in ("rm more.jsonl", "rm assets/a.toml", "echo x > assets/new.toml", "mv assets elsewhere"):
            decision = guard.check(ToolCall(tool="bash", args={"command": command}, cwd=str(base)))
            assert decision.outcome is Outcome.DENY, command
            assert any(reason.rule == "guard.tampering" for reason in decision.reasons), command
        harmless = guard.check(ToolCall(tool="bash", args={"command": "echo x > notes.txt"}, cwd=str(base)))
        assert harmless.outcome is Outcome.ALLOW


# -- many


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Inventory]:
    """A large inventory, its files on disk."""
    root = tmp_path_factory.mktemp("many").resolve()
    assets: list[AssetConfig] = []
    for number in range(MANY):
        path = root / f"models/{number // 100}/m{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        assets.append(AssetConfig(id=f"m:{number}", asset_class="weights", paths=(str(path),)))
    uris = (f"s3://b/{number}" for number in range(MANY))
    assets += [AssetConfig(id=f"u:{uri}", asset_class="weights", uris=(uri,)) for uri in uris]
    return root, Inventory(Config(assets=tuple(assets)), own=[("guardrail:config", str(root / "guardrail.toml"))])


def resolved(inventory: Inventory, op: Op, **resource: Any) -> tuple[Effect, ...]:
    """One effect, resolved."""
    return inventory.resolve([Effect(op=op, resource=Resource(kind="file", **resource))])


def test_of_more_assets_than_an_effect_is_split_over_the_rest_could_be_any(many: tuple[Path, Inventory]) -> None:
    """They are counted, and no mandate for the others covers them; the guard's own are never left out."""
    root, inventory = many
    found = resolved(inventory, "delete", path=str(root), recursive=True)
    assert len(found) == 64
    assert found[0].asset == "guardrail:config"
    assert found[0].attrs == {"assets_more": MANY + 1 - 64, "any": True}
    few = resolved(inventory, "delete", path=str(root / "models/0/m7.bin"))
    assert [(effect.asset, effect.attrs) for effect in few] == [("m:7", {})]


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("models/7/m70?.bin", 10),
        ("models/7/m799.bin", 1),
        ("models/*/m1.bin", 1),
        ("models/2[01]/m2000*", 1),
        ("models/9/*.txt", 0),
        ("model*/9/*.gone", 0),
    ],
)
def test_patterns_find_their_assets_among_many(many: tuple[Path, Inventory], pattern: str, count: int) -> None:
    """By their names in the inventory, and by what is there."""
    root, inventory = many
    found = [e.asset for e in resolved(inventory, "delete", pattern=str(root / pattern)) if e.asset is not None]
    assert len(found) == count
    assert not any("any" in e.attrs for e in resolved(inventory, "delete", pattern=str(root / pattern)))


def test_a_pattern_that_leads_to_more_names_than_are_looked_at_could_be_any(
    many: tuple[Path, Inventory], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is on the look, and what lies beyond is no "no"."""
    root, inventory = many
    monkeypatch.setattr("guardrail.assets._patterns.MAX_PATTERN_ENTRIES", 20)
    assert resolved(inventory, "delete", pattern=str(root / "models/*/m1.bin"))[0].attrs["any"] is True


def test_addresses_are_found_among_many(many: tuple[Path, Inventory], monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone, by a pattern, and all of them."""
    _, inventory = many
    assert resolved(inventory, "api_delete", uri="s3://b/17/x")[0].asset == "u:s3://b/17"
    assert {e.asset for e in resolved(inventory, "api_delete", uri="s3://b/299*")} == {
        "u:s3://b/299", *(f"u:s3://b/299{digit}" for digit in range(10))
    }  # fmt: skip
    monkeypatch.setattr("guardrail.assets._addresses.MAX_COMPARED", 100)
    assert resolved(inventory, "api_delete", uri="s3://b/299*")[0].attrs["any"] is True


def test_names_of_inodes_are_looked_for_beside_the_calls_where_there_are_many(
    many: tuple[Path, Inventory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No call waits for a walk over all assets; the next one knows."""
    root, inventory = many
    import threading

    late = root / "models/0/late.bin"
    monkeypatch.setattr(inventory._index, "_index_cost", 1.0)
    monkeypatch.setattr(inventory._index, "_indexed_at", -1e9)
    (root / "models/0/m0.bin").unlink()
    (root / "models/0/m0.bin").write_bytes(b"other")
    late.hardlink_to(root / "models/0/m0.bin")
    (tmp_path / "stranger").write_bytes(b"x")
    (tmp_path / "second").hardlink_to(tmp_path / "stranger")
    assert resolved(inventory, "read", path=str(tmp_path / "second"))[0].asset is None
    for thread in threading.enumerate():
        if thread.name == "guardrail-inodes":
            thread.join(timeout=30)
    (tmp_path / "third").hardlink_to(root / "models/0/m0.bin")
    assert resolved(inventory, "read", path=str(tmp_path / "third"))[0].asset == "m:0"


def test_json_lines_are_what_toml_says(base: Path) -> None:
    """The same keys, the same values."""
    asset = {"id": "x", "class": "control", "paths": ["x"], "weakens": {"a.b": "up"}, "owner": "dana"}
    (base / "more.jsonl").write_text(json.dumps(asset) + "\n")
    lines = load(base).assets[-1]
    (base / "more.jsonl").unlink()
    toml = '[[asset]]\nid = "x"\nclass = "control"\npaths = ["x"]\nowner = "dana"\n[asset.weakens]\n"a.b" = "up"\n'
    (base / "more.toml").write_text(toml)
    text = (base / "guardrail.toml").read_text().replace("more.jsonl", "more.toml")
    (base / "guardrail.toml").write_text(text)
    assert load(base).assets[-1] == lines
