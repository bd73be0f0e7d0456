"""The chart in a real API server, as each of the versions it is tested for: installed, injecting and refusing."""

from __future__ import annotations

import contextlib
import copy
import json
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.admission_pods import TRICKS, agent, crowded
from tests.apiserver_support import SYSTEM, ApiServer, api_server
from tests.kubernetes import CHART, ROOT, SECONDS, VERSIONS, Object, can_mutate, documents

VALUES = (
    "--set=agents.trail.secretName=trail,opa.enabled=true",
    "--set=controlPlane.enabled=true,controlPlane.secretName=tokens,controlPlane.trailSecretName=trail",
    "--set=controlPlane.autoscaling.enabled=true,controlPlane.serviceMonitor.enabled=true",
    f"--set-file=controlPlane.rules={ROOT}/deploy/prometheus/guardrail.rules.yaml",
)

BEFORE = {
    "the host's directory with the weights": 'violates PodSecurity "restricted:latest"',
    "a container added to a pod that runs": "spec.ephemeralContainers: Forbidden: cannot be set on create",
}
"""What is refused before our policy is asked: the policy stands behind it, as `test_admission` has it."""


@pytest.fixture(scope="module", params=VERSIONS)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server with the chart in it; where its version has no policies that mutate, with the webhook running."""
    home = tmp_path_factory.mktemp("apiserver")
    with api_server(home, request.param) as server, contextlib.ExitStack() as stack:
        for kind in ("ServiceMonitor", "PrometheusRule"):
            server.define(kind)
        server.install(*VALUES)
        if not can_mutate(request.param):
            stack.enter_context(webhook(server, home))
        server.until("injecting", lambda: len(guarded(server)["spec"].get("initContainers", ())) > 1)
        server.until("requiring", lambda: "another image" in refusal(server, tricked(server, next(iter(TRICKS)))))
        yield server


@contextlib.contextmanager
def webhook(server: ApiServer, home: Path) -> Iterator[None]:
    """The webhook's server as its Deployment says, with what Helm has written, and a network that leads to it."""
    space = f"/api/v1/namespaces/{SYSTEM}"
    secret, sidecar = (server.ask("GET", f"{space}/{place}")[1]["data"] for place in (
        "secrets/guard-injector-tls", "configmaps/guard-injector"))  # fmt: skip
    for name in ("tls.crt", "tls.key"):
        (home / name).write_bytes(b64decode(secret[name]))
    (home / "sidecar.json").write_text(sidecar["sidecar.json"])
    process = subprocess.Popen(
        [sys.executable, "-m", "guardrail", "admission", f"--sidecar={home}/sidecar.json", f"--tls-cert={home}/tls.crt",
         f"--tls-key={home}/tls.key", "--host=127.0.0.1", "--port=0"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline().rsplit(" ", 1)[1])
        # No kube-proxy is here to carry what is sent to the Service's address: the name leads to this host instead.
        server.ask("DELETE", f"{space}/services/guard-injector")
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "guard-injector", "namespace": SYSTEM},
                   "spec": {"type": "ExternalName", "externalName": "localhost"}}  # fmt: skip
        assert server.make(service)[0] == 201
        path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/guard-injector"
        hook = server.ask("GET", path)[1]
        hook["webhooks"][0]["clientConfig"]["service"]["port"] = port
        assert server.ask("PUT", path, hook)[0] == 200
        yield
    finally:
        process.terminate()
        process.wait(SECONDS)
        process.stdout.close()


def guarded(server: ApiServer, pod: Object | None = None) -> Object:
    """What the server makes of a pod that somebody creates, without creating it."""
    status, made = server.make(pod or agent(), really=False)
    if status != 201:
        return {"spec": {}, "refused": made["message"]}
    made["metadata"] = {name: made["metadata"][name] for name in ("name", "namespace")}
    return {name: made[name] for name in ("apiVersion", "kind", "metadata", "spec")}


def tricked(server: ApiServer, trick: str) -> Object:
    """A pod that the server would take, but for one thing."""
    pod = guarded(server)
    if "refused" not in pod:
        TRICKS[trick][1](pod)
    return pod


def refusal(server: ApiServer, pod: Object) -> str:
    """Why the server refuses a pod; empty if it does not."""
    status, answer = server.make(pod, really=False)
    return "" if status == 201 else str(answer["message"])


def test_what_helm_installed_is_what_the_chart_renders(cluster: ApiServer) -> None:
    """Each object is there, of the kinds of the Prometheus operator too, and holds every field that was written."""
    made = cluster.helm("get", "manifest", "guard")
    assert made.returncode == 0, made.stderr
    objects = documents(made.stdout)
    assert {"ServiceMonitor", "PrometheusRule", "Deployment", "NetworkPolicy"} <= {each["kind"] for each in objects}
    shown = cluster.kubectl("get", "-o", "json", "-f", "-", stdin=made.stdout)
    assert shown.returncode == 0, shown.stderr
    there = {(each["kind"], each["metadata"]["name"]): each for each in json.loads(shown.stdout)["items"]}
    for each in objects:
        if each["kind"] not in ("Service", "MutatingWebhookConfiguration"):  # the network of this test changed them
            _holds(there[each["kind"], each["metadata"]["name"]], each)


def _holds(there: Any, written: Any) -> None:
    """Everything that was written is there; an API server leaves out what is empty."""
    if isinstance(written, dict):
        for name, value in written.items():
            _holds((there or {}).get(name), value)
    elif isinstance(written, list):
        for found, value in zip(there or (), written, strict=True):
            _holds(found, value)
    else:
        assert there == written or not (there or written)


def test_a_pod_is_given_the_guard_and_let_in(cluster: ApiServer) -> None:
    """Created for real: the guard before everything else, the agent's volumes read-only in it, its socket in each."""
    pod = guarded(cluster, crowded())
    assert [each["name"] for each in pod["spec"]["initContainers"]] == [
        "guardrail-policies", "guardrail-opa", "guardrail", "fetch",
    ]  # fmt: skip
    seen = {each["mountPath"]: each for each in pod["spec"]["initContainers"][2]["volumeMounts"]}
    assert (seen["/srv/models"]["readOnly"], seen["/workspace"]["readOnly"]) == (True, True)
    for container in pod["spec"]["containers"]:
        assert {"name": "guardrail-socket", "mountPath": "/run/guardrail", "readOnly": True} in [
            {name: each[name] for name in ("name", "mountPath", "readOnly") if name in each}
            for each in container["volumeMounts"]
        ]
    status, made = cluster.make({**agent(), "metadata": {"name": "real", "namespace": "agents"}})
    assert status == 201, made
    assert "guardrail" in [each["name"] for each in made["spec"]["initContainers"]]


@pytest.mark.parametrize("trick", TRICKS)
def test_the_server_refuses_every_trick(cluster: ApiServer, trick: str) -> None:
    """By the policy that requires the guard, unless Kubernetes itself says before it that this is no pod for here."""
    said = refusal(cluster, tricked(cluster, trick))
    assert BEFORE.get(trick, TRICKS[trick][0]) in said


def test_nobody_enters_the_guard_or_clones_a_model(cluster: ApiServer) -> None:
    """An exec into the guard's container, a container added to a pod that runs, a claim made from another."""
    status, made = cluster.make({**agent(), "metadata": {"name": "entered", "namespace": "agents"}})
    assert status == 201, made
    pod = "/api/v1/namespaces/agents/pods/entered"
    for container, refused in (("guardrail", True), ("agent", False)):
        status, answer = cluster.ask("POST", f"{pod}/exec?container={container}&command=sh&stdout=true")
        assert ("guard-enter" in json.dumps(answer)) is refused, answer
        assert status >= 400, "no node is there to run anything"
    made["spec"]["ephemeralContainers"] = [{"name": "debug", "image": "busybox:1"}]
    status, answer = cluster.ask("PUT", f"{pod}/ephemeralcontainers", made)
    assert (status, "forbidden" in answer["message"]) == (403, True)
    claim: Object = {"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                     "metadata": {"name": "scratch", "namespace": "agents"},
                     "spec": {"accessModes": ["ReadWriteOnce"],
                              "resources": {"requests": {"storage": "1Gi"}}}}  # fmt: skip
    assert cluster.make(claim)[0] == 201
    clone = copy.deepcopy(claim)
    clone["metadata"]["name"] = "clone"
    clone["spec"]["dataSource"] = {"kind": "PersistentVolumeClaim", "name": "models"}
    status, answer = cluster.make(clone)
    assert (status, "guard-claims" in answer["message"]) == (422, True), answer


def test_pods_of_other_namespaces_are_their_own_business(cluster: ApiServer) -> None:
    """Let in as they are written."""
    pod = agent()
    pod["metadata"]["namespace"] = "elsewhere"
    assert "initContainers" not in guarded(cluster, pod)["spec"]
    assert refusal(cluster, pod) == ""


def test_a_namespace_that_enforces_less_takes_no_agents(cluster: ApiServer) -> None:
    """While its label asks for less than the restricted standard, whoever has changed it."""
    label = "pod-security.kubernetes.io/enforce"
    for level, refused in (("baseline", True), ("restricted", False)):
        made = cluster.kubectl("label", "--overwrite", "namespace", "agents", f"{label}={level}")
        assert made.returncode == 0, made.stderr
        cluster.until(
            f"refused: {refused}", lambda wanted=refused: ("does not enforce" in refusal(cluster, agent())) is wanted
        )


def test_the_chart_is_upgraded_and_taken_away(cluster: ApiServer) -> None:
    """Last of a cluster: an upgrade changes no certificate, and nothing refuses pods once the chart is gone."""
    path = f"/api/v1/namespaces/{SYSTEM}/secrets/guard-injector-tls"
    before = cluster.ask("GET", path)[1].get("data")
    made = cluster.helm("upgrade", "guard", str(CHART), *VALUES)
    assert made.returncode == 0, made.stderr
    assert cluster.ask("GET", path)[1].get("data") == before
    made = cluster.helm("uninstall", "guard")
    assert made.returncode == 0, made.stderr
    cluster.until("let in", lambda: "initContainers" not in guarded(cluster)["spec"] and not refusal(cluster, agent()))
