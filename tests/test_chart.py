"""The Helm chart and the kustomizations: rendered by the real tools, checked strictly, and their parts together."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from guardrail import config as guardrail_config
from guardrail.config import Config
from guardrail.service._callers import Callers
from tests.kubernetes import (
    CHART,
    ROOT,
    SECONDS,
    VERSIONS,
    Object,
    Proof,
    can_mutate,
    check_schema,
    documents,
    helm,
    one,
    proof,
    rendered,
    tool,
)

__all__ = ["proof"]

RULES = ROOT / "deploy" / "prometheus" / "guardrail.rules.yaml"

CONTROL = (
    "--set=controlPlane.enabled=true,controlPlane.secretName=tokens,controlPlane.trailSecretName=trail",
    "--set=controlPlane.autoscaling.enabled=true,controlPlane.serviceMonitor.enabled=true",
    f"--set-file=controlPlane.rules={RULES}",
)

DANA = '[[person]]\nname = "dana"\nkey = "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="\n'

TLS = ("--set=controlPlane.tlsSecretName=tls",)

SETS: dict[str, tuple[str, ...]] = {
    "trial": ("--set=agents.trail.ephemeral=true",),
    "whole": ("--set=agents.trail.secretName=trail,opa.enabled=true", *CONTROL),
    "bundle": (
        "--set=agents.trail.secretName=trail,agents.bundle.url=https://bundles.example.com/guardrail.tar.gz",
        "--set=agents.bundle.keyId=release,agents.bundle.key=PEM,agents.otlpEndpoint=http://collector:4318",
        r"--set=agents.mandates.delete\.mandate\.json=\{\},image.digest=sha256:" + "0" * 64,
        *CONTROL,
        *TLS,
    ),
    "image": (
        "--set=agents.trail.secretName=trail,agents.bundle.keyId=release,agents.bundle.key=PEM",
        "--set=agents.bundle.image=registry.example/policy@sha256:" + "0" * 64,
        *CONTROL,
    ),
    "central": ("--set=agents.trail.ephemeral=true,agents.central.secretName=centre,agents.identity=claimed",),
    "people": (
        "--set=agents.trail.ephemeral=true,agents.central.secretName=centre,agents.central.escalations=true",
        "--set=agents.central.inventoryBy={dana},agents.central.bundleBy={dana},controlPlane.centralSecretName=centre",
        "--set=agents.bundle.url=https://bundles.example.com/b.tar.gz,agents.bundle.keyId=k,agents.bundle.key=PEM",
        f"--set-string=agents.config={DANA}",
        *CONTROL,
    ),
    "webhook": ("--set=agents.trail.secretName=trail,injection.mode=webhook",),
}
"""Values that between them reach every template."""

OTHERS = {"ServiceMonitor", "PrometheusRule"}
"""Kinds of the Prometheus operator, which Kubernetes' own schemas do not have; they have one of ours."""

OPERATOR: Any = jsonschema.Draft202012Validator(json.loads((ROOT / "tests/kube/operator.schema.json").read_text()))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", SETS)
def test_the_chart_renders_what_an_api_server_of_that_version_knows(name: str, version: str) -> None:
    """Strictly: every field is one of this version's, and no object is there twice."""
    objects = rendered(version, *SETS[name])
    places = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects]
    assert len(places) == len(set(places))
    for each in objects:
        if each["kind"] in OTHERS:
            OPERATOR.validate(each)
        else:
            check_schema(each, version)
    mutates = "MutatingAdmissionPolicy" in {each["kind"] for each in objects}
    assert mutates is (can_mutate(version) and name != "webhook")
    assert ("MutatingWebhookConfiguration" in {each["kind"] for each in objects}) is not mutates


def test_helm_finds_nothing_wrong_with_the_chart() -> None:
    """`helm lint --strict`."""
    made = subprocess.run(
        [tool("helm"), "lint", "--strict", str(CHART), *SETS["whole"]],
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "the trail needs a place that outlives a pod"),
        (("--set=agents.trail.ephemeral=true,agents.namespaces={guardrail-system}",), "is a namespace of agents"),
        (("--set=agents.trail.ephemeral=true,agents.bundle.url=https://b/",), "must be signed"),
        (("--set=agents.trail.secretName=trail,agents.central.secretName=centre",), "trails of their own"),
        (("--set=agents.trail.ephemeral=true,agents.bundle.image=registry.example/policy:1",), "bundle/image"),
        (("--set=agents.trail.ephemeral=true,agents.bundle.url=https://b/,agents.bundle.image=r/p@sha256:" + "0" * 64,),
         "comes from one place"),
        (("--set=agents.trail.ephemeral=true,opa.enabled=true,agents.bundle.url=https://b/,agents.bundle.key=x",),
         "serves the policy in the image"),
        (("--set=agents.trail.ephemeral=true,injection.webhook.tlsSecretName=tls",), "who signed the webhook"),
        (("--set=agents.trail.ephemeral=true,controlPlane.enabled=true",), "needs controlPlane.secretName"),
        (("--set=agents.trail.ephemeral=true,agents.namespace=x",), "additional properties 'namespace' not allowed"),
        (("--set=agents.trail.ephemeral=true,image.tag=latest",), "'not' failed"),
        (("--set=agents.trail.ephemeral=true,agents.identity=anyone",), "agents/identity"),
        (("--set=agents.trail.ephemeral=true,agents.mountRoots={/etc}",), "mountRoots/0"),
        (("--set=agents.trail.ephemeral=true,agents.mountRoots={/srv/../opt}",), "mountRoots/0"),
        (("--set=agents.trail.ephemeral=true,requirement.actions={Ignore}",), "requirement/actions/0"),
    ],
)  # fmt: skip
def test_values_that_cannot_be_meant_are_refused(options: tuple[str, ...], sentence: str) -> None:
    """Before anything is applied, and with what is wrong."""
    made = helm(VERSIONS[-1], *options)
    assert made.returncode != 0
    assert sentence in made.stderr


def _configuration(objects: list[Object], name: str) -> tuple[Config, set[str]]:
    """A guardrail.toml of the chart, and the variables that it takes secrets from."""
    text = one(objects, "ConfigMap", name)["data"]["guardrail.toml"]
    return guardrail_config.parse(text, source="guardrail.toml"), set(re.findall(r"\$\{(\w+)\}", text))


def _from_secrets(container: Object) -> set[str]:
    return {each["name"] for each in container["env"] if "secretKeyRef" in each.get("valueFrom", {})}


def test_a_bundle_in_an_image_is_where_the_configuration_looks_for_it() -> None:
    """For guards beside agents and for the control plane: read-only, by digest, and with the key it is signed with."""
    objects = rendered(VERSIONS[-1], *SETS["image"])
    sidecar = _sidecar(*SETS["image"])
    spec = one(objects, "Deployment", "guard-control")["spec"]["template"]["spec"]
    for name, container, volumes in (
        ("guard-sidecar", sidecar["initContainers"][-1], sidecar["volumes"]),
        ("guard-control", spec["containers"][0], spec["volumes"]),
    ):
        policy = _configuration(objects, name)[0].policy
        (mount,) = (each for each in container["volumeMounts"] if policy.bundle.startswith(f"{each['mountPath']}/"))
        (volume,) = (each for each in volumes if each["name"] == mount["name"])
        assert mount["readOnly"] is True
        assert volume["image"]["reference"].endswith("@sha256:" + "0" * 64)
        assert [key.id for key in policy.keys] == ["release"]


def _sidecar(*options: str) -> Object:
    objects = rendered(VERSIONS[0], *options)
    found: Object = yaml.safe_load(one(objects, "ConfigMap", "guard-injector")["data"]["sidecar.json"])
    return found


@pytest.mark.parametrize("name", ["whole", "trial", "central"])
def test_the_configurations_in_the_chart_load(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strictly, and their paths are those of the mounts; what is secret comes from the environment that is set."""
    monkeypatch.setenv("GUARDRAIL_ORIGIN", "example.com/agents/team/agent-1")
    objects = rendered(VERSIONS[0], *SETS[name])
    config, secrets = _configuration(objects, "guard-sidecar")
    sidecar = yaml.safe_load(one(objects, "ConfigMap", "guard-injector")["data"]["sidecar.json"])
    guard = sidecar["initContainers"][-1]
    assert config.service.socket == sidecar["agent"]["env"][0]["value"]
    writable = [each["mountPath"] for each in guard["volumeMounts"] if not each.get("readOnly")]
    kept = [config.mandates.directory] if name == "central" else []
    for path in (config.trail.directory, config.review.store, config.service.socket, *kept):
        assert any(path.startswith(f"{place}/") for place in writable), path
    stores = {"whole": {"GUARDRAIL_STORE"}, "central": {"GUARDRAIL_CENTRE"}}
    assert _from_secrets(guard) == stores.get(name, set())
    given = {"GUARDRAIL_ORIGIN"} if name == "central" else {"GUARDRAIL_AGENT"}
    assert secrets - _from_secrets(guard) == given <= {each["name"] for each in guard["env"]}
    assert config.policy.engine == ("opa" if name == "whole" else "wasm")


def test_an_agent_is_whom_its_pod_runs_as(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its guard takes the name from the pod's own account, and refuses every other; unless the values say otherwise."""
    objects = rendered(VERSIONS[0], *SETS["trial"])
    config, _ = _configuration(objects, "guard-sidecar")
    guard = yaml.safe_load(one(objects, "ConfigMap", "guard-injector")["data"]["sidecar.json"])["initContainers"][-1]
    fields = {"metadata.namespace": "agents", "spec.serviceAccountName": "trainer"}
    known: dict[str, str] = {}
    for each in guard["env"]:
        # As a kubelet does it: in order, and with what came before.
        field = each.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
        value = fields[field] if field else each.get("value", "")
        known[each["name"]] = re.sub(r"\$\((\w+)\)", lambda found: known[found[1]], value)
    monkeypatch.setenv("GUARDRAIL_AGENT", known["GUARDRAIL_AGENT"])
    caller = asyncio.run(Callers(config.service).of({"headers": []}))
    assert caller.name == "agents/trainer"
    assert [caller.may_ask_for(name) for name in ("agents/trainer", "agents/trainer/x", "agents/other", "ops")] == [
        True, True, False, False,
    ]  # fmt: skip
    claimed = rendered(VERSIONS[0], *SETS["trial"], "--set=agents.identity=claimed")
    assert _configuration(claimed, "guard-sidecar")[0].service.agent == ""


def test_the_control_plane_says_who_may_ask_and_review() -> None:
    """Its configuration loads, with three tokens and the ledger from secrets; its service is where it listens."""
    objects = rendered(VERSIONS[-1], *SETS["whole"])
    spec = one(objects, "Deployment", "guard-control")["spec"]["template"]["spec"]
    config, secrets = _configuration(objects, "guard-control")
    # The console's is there for whoever adds one in `controlPlane.config`.
    assert secrets == _from_secrets(spec["containers"][0]) - {"GUARDRAIL_CONSOLE_SECRET"}
    assert len({config.service.token, config.service.reviewer_token, config.service.metrics_token}) == 3
    assert config.service.host == "0.0.0.0"
    assert config.service.tls is None
    assert config.service.port == one(objects, "Service", "guard-control")["spec"]["ports"][0]["port"]


def test_people_at_the_control_plane_see_what_the_guards_in_the_pods_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have the centre, the control plane beside its own ledger; what was seen there is kept where it may write."""
    monkeypatch.setenv("GUARDRAIL_ORIGIN", "example.com/agents/team/agent-1")
    objects = rendered(VERSIONS[0], *SETS["people"])
    sidecar, _ = _configuration(objects, "guard-sidecar")
    assert (sidecar.central.escalations, sidecar.trail.store) == (True, "")
    assert sidecar.central.inventory_by == sidecar.central.bundle_by == ("dana",)
    control, secrets = _configuration(objects, "guard-control")
    assert (control.central.escalations, control.central.store) == (True, "${GUARDRAIL_CENTRE}")
    container = one(objects, "Deployment", "guard-control")["spec"]["template"]["spec"]["containers"][0]
    assert {"GUARDRAIL_CENTRE", "GUARDRAIL_STORE"} <= secrets & _from_secrets(container)
    writable = [each["mountPath"] for each in container["volumeMounts"] if not each.get("readOnly")]
    assert any(control.mandates.directory.startswith(f"{place}/") for place in writable)


def test_the_control_plane_speaks_tls_where_it_has_a_certificate() -> None:
    """Its configuration names the files of the mounted secret, and probes and Prometheus ask by HTTPS."""
    objects = rendered(VERSIONS[-1], *SETS["whole"], *TLS)
    container = one(objects, "Deployment", "guard-control")["spec"]["template"]["spec"]["containers"][0]
    config, _ = _configuration(objects, "guard-control")
    assert config.service.tls is not None
    place = next(each["mountPath"] for each in container["volumeMounts"] if each["name"] == "tls")
    assert {config.service.tls.certificate, config.service.tls.key} == {f"{place}/tls.crt", f"{place}/tls.key"}
    probes = {container[name]["httpGet"]["scheme"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert probes == {"HTTPS"}
    assert one(objects, "ServiceMonitor", "guard-control")["spec"]["endpoints"][0]["scheme"] == "https"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_charts_own_pods_are_restricted(proof: Proof, version: str) -> None:
    """By the Pod Security Standard of each version, with a read-only root and no token of the cluster."""
    objects = rendered(version, *SETS["whole"], "--set=injection.mode=webhook")
    pods = [each["spec"]["template"] for each in objects if each["kind"] == "Deployment"]
    assert len(pods) == 2
    for pod in pods:
        assert proof.ask(ask="security", level="restricted", version=version, object=pod)["messages"] is None
        assert pod["spec"]["automountServiceAccountToken"] is False
        for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_prometheus_finds_the_control_plane_under_the_name_that_the_alerts_use() -> None:
    """The job is the value of a label of the service; the rules are those of the file, whole."""
    objects = rendered(VERSIONS[-1], *SETS["whole"])
    monitor = one(objects, "ServiceMonitor", "guard-control")["spec"]
    service = one(objects, "Service", "guard-control")["metadata"]["labels"]
    assert service[monitor["jobLabel"]] == "guardrail"
    assert monitor["selector"]["matchLabels"].items() <= service.items()
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    assert one(objects, "PrometheusRule", "guard-control")["spec"] == rules
    assert 'up{job="guardrail"}' in str(rules)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("ServiceMonitor", ("endpoints", 0, "bearerToken"), "x"),
        ("ServiceMonitor", ("endpoints", 0, "interval"), "soon"),
        ("ServiceMonitor", ("selector",), None),
        ("PrometheusRule", ("groups", 0, "rules", 0, "alert"), None),
        ("PrometheusRule", ("groups", 0, "rules", 0, "severity"), "page"),
    ],
)
def test_a_monitor_or_a_rule_with_a_field_too_many_or_too_few_is_found(
    kind: str, path: tuple[str | int, ...], value: str | None
) -> None:
    """What is checked of the operator's kinds is checked strictly: each of these would be refused or ignored."""
    written = one(rendered(VERSIONS[-1], *SETS["whole"]), kind, "guard-control")
    OPERATOR.validate(written)
    place: Any = written["spec"]
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        OPERATOR.validate(written)


def _kustomized(folder: str) -> list[Object]:
    path = f"{Path(tool('helm')).parent}{os.pathsep}{os.environ['PATH']}"
    made = subprocess.run(
        [tool("kubectl"), "kustomize", "--enable-helm", str(ROOT / "deploy" / "kustomize" / folder)],
        capture_output=True, text=True, timeout=SECONDS, check=False, env=os.environ | {"PATH": path},
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return documents(made.stdout)


def test_kustomize_gives_what_helm_gives() -> None:
    """The kustomization of the admission inflates the chart: the same objects, whatever their order."""

    def placed(objects: list[Object]) -> dict[Any, Object]:
        return {(each["kind"], each["metadata"]["name"]): each for each in objects}

    values = ROOT / "deploy" / "kustomize" / "admission" / "values.yaml"
    assert placed(_kustomized("admission")) == placed(rendered(VERSIONS[-1], f"--values={values}"))


def test_kustomize_builds_the_pod_that_is_written_out() -> None:
    """`kubectl apply -k` of the base applies each of its manifests."""
    base = ROOT / "deploy" / "kustomize" / "base"
    written = [
        each["kind"]
        for path in base.glob("*.yaml")
        for each in documents(path.read_text(encoding="utf-8"))
        if each["kind"] != "Kustomization"
    ]
    assert sorted(each["kind"] for each in _kustomized("base")) == sorted(written)


def test_the_charts_image_is_this_release() -> None:
    """Chart, image and package have one version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert {chart["version"], chart["appVersion"], values["image"]["tag"]} == {project["version"]}
