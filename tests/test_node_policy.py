"""What is for node agents: policies for those of others, and the observer as one of our own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from guardrail.assets import Asset
from guardrail.cli import main
from guardrail.config import load
from guardrail.confine.kernel import ConfineError
from guardrail.confine.node_policy import kubearmor, places, tetragon
from tests.kubernetes import check_schema

OBSERVER = Path(__file__).resolve().parent.parent / "deploy/kustomize/observer"


def of(**properties: Any) -> dict[str, Any]:
    """An object that has these and nothing else; those whose name ends in `_` may be missing."""
    needed = [name for name in properties if not name.endswith("_")]
    known = {name.rstrip("_"): schema for name, schema in properties.items()}
    return {"type": "object", "properties": known, "required": needed, "additionalProperties": False}


def each(schema: dict[str, Any], most: int = 1000) -> dict[str, Any]:
    return {"type": "array", "items": schema, "minItems": 1, "maxItems": most}


TEXT = {"type": "string", "minLength": 1}
INDEX = {"type": "integer", "minimum": 0}
TRACING = of(
    apiVersion={"const": "cilium.io/v1alpha1"},
    kind={"const": "TracingPolicy"},
    metadata=of(name=TEXT),
    spec=of(
        kprobes=each(
            of(
                call=TEXT,
                syscall={"const": False},
                args=each(of(index=INDEX, type={"enum": ["file", "path", "int", "uint32"]})),
                selectors=each(
                    of(
                        matchArgs=each(
                            of(index=INDEX, operator={"enum": ["Equal", "Prefix", "Mask"]}, values=each(TEXT))
                        ),
                        matchBinaries_=each(of(operator={"enum": ["In", "NotIn"]}, values=each(TEXT)), 1),
                        matchActions=each(of(action={"enum": ["Post", "Override"]}, argError_={"type": "integer"})),
                    ),
                    most=5,
                ),
            )
        )
    ),
)
"""What we use of a TracingPolicy, as its CRD has it; a hook takes at most five selectors."""

SAYS = {"enum": ["Allow", "Audit", "Block"]}
RULE = {"readOnly_": {"type": "boolean"}, "action_": SAYS, "fromSource_": each(of(path={"pattern": r"^\/+.*[^\/]$"}))}
ARMOR = of(
    apiVersion={"const": "security.kubearmor.com/v1"},
    kind={"const": "KubeArmorPolicy"},
    metadata=of(name=TEXT),
    spec=of(
        severity={"type": "integer", "minimum": 1, "maximum": 10},
        message=TEXT,
        selector=of(matchLabels={"type": "object", "additionalProperties": TEXT, "minProperties": 1}),
        file=of(
            matchDirectories=each(of(dir={"pattern": r"^\/$|^\/.*\/$"}, recursive={"const": True}, **RULE)),
            matchPaths_=each(of(path={"pattern": r"^\/+.*[^\/]$"}, **RULE)),
        ),
        action=SAYS,
    ),
)
"""The same of a KubeArmorPolicy."""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A model in a directory and one that is a file, a configuration, and a serving program."""
    (tmp_path / "models").mkdir()
    (tmp_path / "one.bin").touch()
    (tmp_path / "site.yaml").touch()
    (tmp_path / "guardrail.toml").write_text(
        '[[asset]]\nid = "model:b"\nclass = "weights"\npaths = ["one.bin", "models"]\n'
        '[[asset]]\nid = "control:c"\nclass = "control"\npaths = ["site.yaml"]\n'
        '[[execute.serving]]\nprogram = "/usr/bin/env"\nassets = ["model:b"]\n'
        f'[execute.serving.files]\n"/usr/bin/env" = "{"0" * 64}"\n'
    )
    return tmp_path / "guardrail.toml"


def made(settings: Path, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """What `guardrail observe --policy` prints; twice, and the same both times."""
    command = ["observe", "--config", str(settings), "--policy", *words]
    assert main(command) == 0
    text = capsys.readouterr().out
    assert main(command) == 0
    assert capsys.readouterr().out == text
    return yaml.safe_load(text)


def test_tetragon_refuses_reads_by_others_and_every_write(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Readers are the serving programs and those given; a configuration may be read by all and written by nobody."""
    policy = made(settings, capsys, "tetragon", "--enforce", "--reader", "/usr/bin/true")
    Draft202012Validator(TRACING).validate(policy)
    top = str(settings.parent)
    hooks = {one["call"]: one["selectors"] for one in policy["spec"]["kprobes"]}
    assert set(hooks) == {"security_file_permission", "security_mmap_file", "security_path_truncate"}
    files, directories, files_written, directories_written = hooks["security_file_permission"]
    assert files["matchArgs"] == [{"index": 0, "operator": "Equal", "values": [f"{top}/one.bin"]}]
    assert directories["matchArgs"] == [{"index": 0, "operator": "Prefix", "values": [f"{top}/models/"]}]
    for selector in (files, directories):
        assert selector["matchBinaries"] == [{"operator": "NotIn", "values": ["/usr/bin/env", "/usr/bin/true"]}]
    assert files_written["matchArgs"][0]["values"] == [f"{top}/one.bin", f"{top}/site.yaml"]
    assert directories_written["matchArgs"][1] == {"index": 1, "operator": "Equal", "values": ["2"]}
    assert not any("matchBinaries" in one for one in (files_written, directories_written))
    every = [action for selectors in hooks.values() for one in selectors for action in one["matchActions"]]
    assert all(action == {"action": "Override", "argError": -1} for action in every)
    told = made(settings, capsys, "tetragon")
    assert "Override" not in str(told)
    Draft202012Validator(TRACING).validate(told)


def test_kubearmor_blocks_what_it_does_not_allow_a_reader(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A reader reads and writes nothing; all else of the tree is let be."""
    policy = made(settings, capsys, "kubearmor", "--enforce", "--label", "app=agent")
    Draft202012Validator(ARMOR).validate(policy)
    top, reader = str(settings.parent), [{"path": "/usr/bin/env"}]
    assert policy["spec"]["file"] == {
        "matchDirectories": [
            {"dir": "/", "recursive": True},
            {"dir": f"{top}/models/", "recursive": True, "readOnly": True, "fromSource": reader},
            {"dir": f"{top}/models/", "recursive": True, "action": "Block"},
        ],
        "matchPaths": [
            {"path": f"{top}/one.bin", "readOnly": True, "fromSource": reader},
            {"path": f"{top}/one.bin", "action": "Block"},
            {"path": f"{top}/site.yaml", "readOnly": True, "action": "Block"},
        ],
    }
    assert policy["spec"]["selector"]["matchLabels"] == {"app": "agent"}


def test_what_no_node_agent_can_be_told_is_refused(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A path that would not be compared whole, a reader by its content, pods without a label."""
    for long in ("x" * 300, "\N{LATIN SMALL LETTER E WITH ACUTE}" * 130):
        asset = Asset(id="model:x", asset_class="weights", roots=(f"/{long}",), facts={})
        with pytest.raises(ConfineError, match="a path that no node agent can be told"):
            places([asset])
        with pytest.raises(ConfineError, match="a reader has a path that no node agent can be told"):
            tetragon((), [f"/{long}"], enforce=True)
        with pytest.raises(ConfineError, match="a reader has a path that no node agent can be told"):
            kubearmor((), [f"/{long}"], {"app": "agent"}, enforce=True)
    for words in (["tetragon", "--reader", f"sha256:{'0' * 64}"], ["kubearmor"], ["tetragon", "--label", "a=b"]):
        assert main(["observe", "--config", str(settings), "--policy", *words]) == 2
        assert "guardrail: " in capsys.readouterr().err


@pytest.mark.parametrize("version", ["1.29", "1.33", "1.37"])
def test_the_observers_manifests_fit_the_schema(version: str) -> None:
    """Every one that the kustomization names, strictly."""
    kustomization = yaml.safe_load((OBSERVER / "kustomization.yaml").read_text())
    assert sorted(kustomization["resources"]) == sorted(
        path.name for path in OBSERVER.glob("*.yaml") if path.name != "kustomization.yaml"
    )
    for name in kustomization["resources"]:
        for document in yaml.safe_load_all((OBSERVER / name).read_text()):
            check_schema(document, version)


def test_the_observer_is_given_what_it_needs_and_no_more(tmp_path: Path) -> None:
    """Nothing to write, no capability but those that `test_observe` tries it with, and a configuration that loads."""
    spec = yaml.safe_load((OBSERVER / "daemonset.yaml").read_text())["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    allowed = container["securityContext"]
    assert (allowed["capabilities"]["drop"], allowed["readOnlyRootFilesystem"], spec["hostPID"]) == (
        ["ALL"],
        True,
        True,
    )
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    assert container["args"][0] == "observe"
    text = yaml.safe_load((OBSERVER / "config.yaml").read_text())["data"]["guardrail.toml"]
    (tmp_path / "guardrail.toml").write_text(text)
    (asset,) = load(tmp_path / "guardrail.toml").assets
    assert asset.paths[0].startswith(container["volumeMounts"][1]["mountPath"])
