"""The Compose file for one host: loaded as docker compose loads it, and what it mounts checked by who reads it."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from guardrail import ToolCall
from guardrail import config as guardrail_config
from guardrail.config import Config
from guardrail.service._callers import Callers
from tests.kubernetes import ROOT, SECONDS, Proof, proof, tool

__all__ = ["proof"]

FOLDER = ROOT / "deploy" / "compose"

SECRETS = (
    "POSTGRES_PASSWORD", "GUARDRAIL_TOKEN", "GUARDRAIL_REVIEWER_TOKEN", "GUARDRAIL_METRICS_TOKEN", "GRAFANA_PASSWORD",
)  # fmt: skip

Services = dict[str, Any]


@pytest.fixture(scope="module")
def services(proof: Proof) -> Services:
    """The services of the project, with everything interpolated and merged."""
    environment = [f"{name}={name.lower()}-0123456789" for name in SECRETS]
    answer = proof.ask(ask="compose", files=[str(FOLDER / "compose.yaml")], environment=environment)
    assert answer["messages"] is None, answer["messages"]
    found: Services = answer["project"]["services"]
    return found


def _mounts(service: Any) -> dict[str, Any]:
    return {each["target"]: each for each in service["volumes"]}


def test_a_secret_that_is_not_given_stops_it(proof: Proof) -> None:
    """Nothing starts with an empty password, and the sentence says which is missing; the example names them all."""
    answer = proof.ask(ask="compose", files=[str(FOLDER / "compose.yaml")], environment=[])
    for name in SECRETS:
        assert f"required variable {name} is missing" in answer["messages"][0]
        assert f"\n{name}=\n" in (FOLDER / "env.example").read_text(encoding="utf-8")


def test_every_service_is_held(services: Services) -> None:
    """A read-only root, no capability, nothing to be gained by a program, a fixed image, and no port for the world."""
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert ":" in service["image"], name
        assert not service["image"].endswith(":latest"), name
        assert {port["host_ip"] for port in service.get("ports", ())} <= {"127.0.0.1"}, name


def test_the_agent_cannot_change_a_model_or_reach_what_guards_it(services: Services) -> None:
    """Models and the socket read-only, no network with anybody, and a user of its own in the group that may ask."""
    agent, guard = services["agent"], services["guard"]
    assert [path for path, mount in _mounts(agent).items() if not mount.get("read_only")] == ["/workspace"]
    assert set(agent["networks"]) == {"agents"}
    assert not any("agents" in (other["networks"] or {}) for name, other in services.items()
                   if name != "agent" and "networks" in other)  # fmt: skip
    assert services["opa"]["network_mode"] == "none"
    assert agent["group_add"] == ["10001"]
    for path in ("/srv/models", "/workspace"):
        assert _mounts(guard)[path]["source"] == _mounts(agent)[path]["source"]
        assert _mounts(guard)[path]["read_only"] is True
    assert agent["environment"]["HOME"] == guard["environment"]["HOME"]


def _configuration(service: Any, name: str) -> Config:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{(\w+)\}", text)) <= set(service["environment"])
    config = guardrail_config.parse(text, source=name)
    writable = [path for path, mount in _mounts(service).items() if not mount.get("read_only")]
    for place in (config.trail.directory, config.review.store):
        assert any(place.startswith(f"{path}/") for path in writable), place
    assert config.trail.key in _mounts(service)
    return config


def test_the_configurations_of_the_host_load(services: Services) -> None:
    """Variables, mounts, sockets and ports are those of the services; agents and people have one ledger."""
    guard = _configuration(services["guard"], "guardrail.toml")
    control = _configuration(services["control"], "control.toml")
    assert guard.service.socket == services["agent"]["environment"]["GUARDRAIL_SOCKET"]
    assert f"--addr={guard.policy.url}" in services["opa"]["command"]
    assert services["control"]["ports"][0]["target"] == control.service.port
    shared = [(one.trail, one.central, one.policy, one.assets) for one in (guard, control)]
    assert shared[0] == shared[1]
    assert services["control"]["environment"]["GUARDRAIL_CONFIG"] in services["control"]["command"]


def test_the_agent_of_the_host_is_known_by_its_socket(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that names another agent is refused, one that names none is the agent's, and so are those below it."""
    name = services["guard"]["environment"]["GUARDRAIL_AGENT"]
    assert name == "agent"
    monkeypatch.setenv("GUARDRAIL_AGENT", name)
    asks = asyncio.run(Callers(_configuration(services["guard"], "guardrail.toml").service).of({"headers": []}))
    assert asks.attributed(ToolCall(tool="bash")).subject.id == name
    assert [asks.may_ask_for(other) for other in (name, f"{name}/planner", "ops-agent")] == [True, True, False]


def test_what_is_mounted_from_the_checkout_is_there(services: Services) -> None:
    """Each file and folder, but for the models, which are the host's, and secrets, which git leaves alone."""
    made = {f"{FOLDER}/{name}" for name in (FOLDER / ".gitignore").read_text(encoding="utf-8").split()}
    for name, service in services.items():
        for mount in service.get("volumes", ()):
            if mount["type"] == "bind" and mount["target"] != "/srv/models":
                assert mount["source"] in made or Path(mount["source"]).exists(), (name, mount["source"])


def test_prometheus_takes_its_configuration_and_finds_both(services: Services, tmp_path: Path) -> None:
    """`promtool check config`, with the alerts; it scrapes people's side, with its token, and the collector."""
    promtool = tool("promtool", "`apt-get install prometheus`")
    for target, mount in _mounts(services["prometheus"]).items():
        if mount["type"] == "bind" and target.endswith(".yaml"):
            shutil.copy(mount["source"], tmp_path / Path(target).name)
    (tmp_path / "metrics-token").write_text("token")
    checked = subprocess.run(
        [promtool, "check", "config", str(tmp_path / "prometheus.yaml")],
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    first, second = yaml.safe_load((tmp_path / "prometheus.yaml").read_text())["scrape_configs"]
    port = _configuration(services["control"], "control.toml").service.port
    assert (first["job_name"], first["static_configs"][0]["targets"]) == ("guardrail", [f"control:{port}"])
    assert f"/etc/prometheus/{first['authorization']['credentials_file']}" in _mounts(services["prometheus"])
    collector = yaml.safe_load((FOLDER / "collector.yaml").read_text())
    port = int(collector["exporters"]["prometheus"]["endpoint"].rpartition(":")[2])
    assert second["static_configs"][0]["targets"] == [f"collector:{port}"]
