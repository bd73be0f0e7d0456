"""Assets that have an address instead of a path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from guardrail import Guard, Outcome, ToolCall
from guardrail import config as config_module
from guardrail.assets import Inventory
from guardrail.errors import ConfigError
from guardrail.model import Effect, Op, Resource

ASSETS = """
[limits]
decision_ms = 60000
[[asset]]
id = "model:beta"
class = "weights"
uris = ["s3://models/beta", "hf://acme/beta"]
[[asset]]
id = "control:shutdown"
class = "control"
uris = ["k8s:configmap/shutdown", "systemd:stop-models.timer"]
controls = { "data.enabled" = "true" }
[[asset]]
id = "control:reaper"
class = "control"
uris = ["process:model-reaper"]
"""


@pytest.fixture
def inventory() -> Inventory:
    """Three assets without a path."""
    return Inventory(config_module.parse(ASSETS))


def _assets(inventory: Inventory, op: Op, uri: str, *, recursive: bool = False) -> list[str | None]:
    effect = Effect(op=op, resource=Resource(kind="object", uri=uri, recursive=recursive))
    return [found.resource.asset for found in inventory.resolve([effect])]


@pytest.mark.parametrize(
    ("op", "uri", "asset"),
    [
        ("api_delete", "s3://models/beta", "model:beta"),
        ("api_copy", "s3://models/beta/shard-1", "model:beta"),
        ("api_delete", "S3://models/beta/", "model:beta"),
        ("api_delete", "s3://models/beta2", None),
        ("api_delete", "s3://models/gamma", None),
        ("delete", "s3://models", "model:beta"),
        ("read", "s3://models", None),
        ("api_delete", "s3://models/be*", "model:beta"),
        ("api_delete", "s3://models/beta/sh*", "model:beta"),
        ("api_visibility", "hf://acme/beta", "model:beta"),
        ("signal", "process:reaper", "control:reaper"),
        ("signal", "process:/usr/bin/model-reaper --now", "control:reaper"),
        ("signal", "process:node", None),
        ("signal", "process:re", None),
        ("service", "systemd:stop-models.timer", "control:shutdown"),
    ],
)
def test_an_address_belongs_to_the_asset_at_or_above_it(
    inventory: Inventory, op: Op, uri: str, asset: str | None
) -> None:
    """Look-up by whole names, by what lies below, and by what a pattern can mean."""
    assert _assets(inventory, op, uri) == [asset]


def test_a_whole_tree_reaches_what_lies_in_it(inventory: Inventory) -> None:
    """`rm --recursive s3://models` is a deletion of the model in it."""
    assert _assets(inventory, "api_delete", "s3://models", recursive=True) == ["model:beta"]


def test_an_address_that_is_not_known_could_be_any_asset_of_its_kind(inventory: Inventory) -> None:
    """It is marked, and policy holds it; where no asset has such an address it is nothing."""
    (found,) = inventory.resolve([Effect(op="signal", resource=Resource(kind="process", uri="process:*"))])
    assert found.attrs["any"] is True
    (other,) = inventory.resolve([Effect(op="signal", resource=Resource(kind="object", uri="mlflow:*"))])
    assert "any" not in other.attrs


def test_a_process_number_means_the_process_behind_it() -> None:
    """`kill 4242` is judged by what 4242 runs."""
    name = Path(f"/proc/{os.getpid()}/cmdline").read_bytes().split(b"\0")[0].decode()
    inventory = Inventory(config_module.parse(f'[[asset]]\nid = "p"\nclass = "control"\nuris = ["process:{name}"]\n'))
    assert _assets(inventory, "signal", f"process:{os.getpid()}") == ["p"]
    assert _assets(inventory, "signal", "process:999999999") == [None]


@pytest.mark.parametrize("part", [slice(None), slice(0, 1), slice(0, 2)])
def test_a_signal_to_the_name_of_the_guards_own_process_bears_on_it(part: slice, tmp_path: Path) -> None:
    """By the name of its program, or by more of its command line; a name of something else is of no concern."""
    words = Path("/proc/self/cmdline").read_bytes().decode().split("\0")[:-1][part]
    name = " ".join(words) if len(words) > 1 else words[0].rpartition("/")[2]
    inventory = Inventory(config_module.parse(""), own=[("guardrail:config", str(tmp_path))])
    assert _assets(inventory, "signal", f"process:{name}") == ["guardrail:process"]
    assert _assets(inventory, "signal", "process:redis-server") == [None]


@pytest.mark.parametrize("uri", ["beta", "s3://models/*", "s3:", "s3://a b", ""])
def test_what_is_no_address_is_refused(uri: str) -> None:
    """With a sentence that says how to write one."""
    with pytest.raises(ConfigError, match="is no address"):
        config_module.parse(f'[[asset]]\nid = "m"\nclass = "weights"\nuris = ["{uri}"]\n')


def test_an_asset_needs_a_path_or_an_address() -> None:
    """One without either would guard nothing and look as if it did."""
    with pytest.raises(ConfigError, match="needs at least one path or address"):
        config_module.parse('[[asset]]\nid = "m"\nclass = "weights"\n')


@pytest.mark.parametrize(
    ("command", "outcome"),
    [
        ("aws s3 cp s3://models/beta/w /tmp/w", Outcome.DENY),
        ("aws s3 cp s3://models/beta/w s3://elsewhere/w", Outcome.DENY),
        ("aws s3 cp s3://logs/today /tmp/today", Outcome.ALLOW),
        ("pkill -f model-reaper", Outcome.DENY),
        ("pkill -f node", Outcome.ALLOW),
    ],
)
def test_policy_judges_an_address_like_a_path(tmp_path: Path, command: str, outcome: Outcome) -> None:
    """The same rules, the same reasons."""
    (tmp_path / "guardrail.toml").write_text(ASSETS)
    with Guard.open(tmp_path / "guardrail.toml", record=False) as guard:
        decision = guard.check(ToolCall(tool="bash", args={"command": command}, cwd=str(tmp_path)))
    assert decision.outcome is outcome, decision.reasons


@pytest.mark.parametrize(
    ("op", "uri", "named"),
    [
        ("copy", "docker:trainer:/models/beta-7b/.", True),
        ("api_copy", "mlflow:models/beta-7b", True),
        ("net_send", "hf://eve/Beta-7B", True),
        ("set_key", "k8s:configmap/stop-switch", True),
        ("api_delete", "docker:beta-7b-web", False),
        ("read", "docker:trainer:/models/beta-7b", False),
        ("api_delete", "s3://logs/today", False),
    ],
)
def test_what_is_called_like_an_asset_is_a_mention_of_it(tmp_path: Path, op: Op, uri: str, named: bool) -> None:
    """A container, a registry or a cluster knows the model by its name; whether it is the same, a person can tell."""
    (tmp_path / "beta-7b").mkdir()
    inventory = Inventory(
        config_module.parse(
            f"""
            [[asset]]
            id = "model:main"
            class = "weights"
            paths = ["{tmp_path}/beta-7b"]
            [[asset]]
            id = "control:stop-switch"
            class = "control"
            paths = ["{tmp_path}/x.yaml"]
            """
        )
    )
    found = inventory.resolve([Effect(op=op, resource=Resource(kind="object", uri=uri))])
    assert [e.op for e in found] == ([op, "mention"] if named else [op])
    assert all(e.resource.asset for e in found if e.op == "mention")


ELSEWHERE = """
[limits]
decision_ms = 60000
[[asset]]
id = "model:x1"
class = "weights"
uris = ["s3://store/7f", "hf://acme/x1", "https://registry.acme.example/v2/ml/w1"]
[[asset]]
id = "model:x2"
class = "weights"
uris = ["oci://registry.acme.example/ml/w2:v3"]
"""


def _named(uri: str, op: Op = "copy") -> set[tuple[str, str | None]]:
    effect = Effect(op=op, resource=Resource(kind="object", uri=uri))
    inventory = Inventory(config_module.parse(ELSEWHERE))
    return {(found.op, found.resource.asset) for found in inventory.resolve([effect]) if found.resource.asset}


@pytest.mark.parametrize(
    ("uri", "asset"),
    [
        ("rclone:any:store/7f", "model:x1"),
        ("rclone:any:store/7f/w", "model:x1"),
        ("rclone:any:store", "model:x1"),
        ("rclone://s3,provider=Minio:store/7f", "model:x1"),
        ("mc://alias/store/7f/w", "model:x1"),
        ("mc:alias/store", "model:x1"),
        ("docker:registry.acme.example/ml/w1:v1", "model:x1"),
        ("docker:registry.acme.example/ml/w1:v1:/weights", "model:x1"),
        ("modelscope://acme/x1", "model:x1"),
        ("rclone:store:7f", None),
        ("rclone:any:store/8", None),
        ("mc:store/7f", None),
        ("docker:ml/w1", None),
        ("modelscope://other/x1", None),
    ],
)
def test_what_may_be_an_asset_in_some_store_is_named(uri: str, asset: str | None) -> None:
    """A remote, an alias, an image of an engine, a model of another hub: by the path that an asset has in any store."""
    assert _named(uri) == ({("mention", asset)} if asset else set())


@pytest.mark.parametrize(
    ("uri", "asset"),
    [
        ("oci:registry.acme.example/ml/w1", "model:x1"),
        ("oci:registry.acme.example/ml/w1:v1", "model:x1"),
        ("oci://registry.acme.example/ml/w1@sha256:0f", "model:x1"),
        ("https://registry.acme.example/v2/ml/w1/manifests/v1", "model:x1"),
        ("oci:registry.acme.example/ml/w2:v3", "model:x2"),
        ("https://registry.acme.example/v2/ml/w2/manifests/v3", "model:x2"),
        ("https://registry.acme.example/v2/ml/w2/manifests/v4", None),
        ("oci:registry.acme.example/ml/w2:v4", None),
        ("oci:registry.acme.example/ml/w10", None),
        ("oci:registry.acme.example:5000/ml/w1", None),
    ],
)
def test_an_image_is_the_same_by_every_address_that_its_registry_has_for_it(uri: str, asset: str | None) -> None:
    """Of the registry's protocol and of its clients, with a tag or a digest; an asset with a tag is that one alone."""
    assert _named(uri, "api_copy") == ({("api_copy", asset)} if asset else set())
