"""Injection and requirement of the guard, by the expressions of the chart in Kubernetes' own CEL environment."""

from __future__ import annotations

import base64
import copy
import http.client
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guardrail.service._admission import ADMISSION
from guardrail.service._injection import Sidecar, injected
from tests.admission_pods import TRICKS, agent, bare, crowded, guard_of
from tests.kubernetes import (
    ROOT,
    SECONDS,
    VERSIONS,
    Object,
    Proof,
    can_mutate,
    defaulted,
    one,
    patched,
    proof,
    rendered,
)

__all__ = ["proof"]

DURABLE = ("--set=agents.trail.secretName=trail", "--set=opa.enabled=true")
"""With all that can be in a pod: the secret of a trail in PostgreSQL, and an OPA."""

PLAIN = ("--set=agents.trail.ephemeral=true",)

IMAGE = (
    "--set=agents.trail.secretName=trail,agents.bundle.keyId=release,agents.bundle.key=PEM",
    "--set=agents.bundle.image=registry.example/policy@sha256:" + "0" * 64,
)
"""With a policy bundle out of an OCI registry."""

CENTRAL = ("--set=agents.trail.ephemeral=true,agents.central.secretName=centre,agents.identity=claimed",)
"""With a database that guards have in common."""

NAMESPACE = {"metadata": {"name": "agents", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}


def sidecar(*options: str) -> Sidecar:
    """What the chart gives the webhook."""
    text = one(rendered("1.35", *options), "ConfigMap", "guard-injector")["data"]["sidecar.json"]
    return msgspec.json.decode(text, type=Sidecar)


def guarded(pod: Object, *options: str) -> Object:
    """A pod with the guard in it."""
    return patched(pod, injected(pod, sidecar(*(options or DURABLE))))


def judged_with(proof: Proof, options: tuple[str, ...], pod: Object, version: str = VERSIONS[-1]) -> list[str]:
    """The same of a chart with other values."""
    policy = one(rendered(version, *options), "ValidatingAdmissionPolicy", "guard-require")
    question = {"object": pod, "request": {"operation": "CREATE"}, "namespace": NAMESPACE}
    return proof.ask(ask="validate", version=version, policy=policy, **question)["messages"] or []


def judged(proof: Proof, pod: Object, version: str = VERSIONS[-1], **more: Any) -> list[str]:
    """Why the policy that requires the guard refuses a pod; nothing if it lets it in."""
    question = {"object": pod, "request": {"operation": "CREATE"}, "namespace": NAMESPACE} | more
    policy = one(rendered(version, *DURABLE), "ValidatingAdmissionPolicy", "guard-require")
    answer = proof.ask(ask="validate", version=version, policy=policy, **question)
    return answer["messages"] or []


# -- injecting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [DURABLE, PLAIN, IMAGE, CENTRAL], ids=["durable", "plain", "image", "central"])
@pytest.mark.parametrize("make", [agent, bare, crowded])
def test_the_policy_and_the_webhook_inject_the_same(proof: Proof, make: Callable[[], Object], options: Any) -> None:
    """Whichever a cluster has, the pod is the same, to the letter."""
    for version in filter(can_mutate, VERSIONS):
        policy = one(rendered(version, *options), "MutatingAdmissionPolicy", "guard-inject")
        answer = proof.ask(ask="mutate", version=version, policy=policy, object=make(), request={}, namespace=NAMESPACE)
        assert patched(make(), answer["patch"]) == guarded(make(), *options)


def test_the_guard_comes_first_and_sees_what_the_agents_see() -> None:
    """Before every other container, with their volumes at their paths, read-only, and their HOME."""
    spec = guarded(crowded())["spec"]
    assert [each["name"] for each in spec["initContainers"]] == [
        "guardrail-policies", "guardrail-opa", "guardrail", "fetch",
    ]  # fmt: skip
    guard = spec["initContainers"][2]
    assert guard["volumeMounts"][-2:] == [
        {"name": "models", "mountPath": "/srv/models", "readOnly": True},
        {"name": "workspace", "mountPath": "/workspace", "readOnly": True, "subPath": "a"},
    ]
    assert {"name": "HOME", "value": "/workspace"} in guard["env"]
    assert spec["securityContext"]["fsGroup"] == 10020
    for container in spec["containers"]:
        assert container["volumeMounts"][-1] == {
            "name": "guardrail-socket", "mountPath": "/run/guardrail", "readOnly": True,
        }  # fmt: skip


def test_a_pod_that_has_a_container_of_that_name_is_left_to_the_policy_that_requires_it(proof: Proof) -> None:
    """Injecting twice would be as wrong as trusting the name: nothing is changed, and then it is judged."""
    pod = guarded(agent())
    assert injected(pod, sidecar(*DURABLE)) == []
    for version in filter(can_mutate, VERSIONS):
        policy = one(rendered(version, *DURABLE), "MutatingAdmissionPolicy", "guard-inject")
        answer = proof.ask(ask="mutate", version=version, policy=policy, object=pod, request={}, namespace=NAMESPACE)
        assert answer.get("patch") is None


# -- requiring --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("make", [agent, crowded])
def test_a_pod_with_the_guard_is_let_in_and_one_without_is_not(
    proof: Proof, version: str, make: Callable[[], Object]
) -> None:
    """By our policy and by the restricted Pod Security Standard of the same version, defaults filled in."""
    pod = defaulted(guarded(make()))
    assert judged(proof, pod, version) == []
    assert proof.ask(ask="security", level="restricted", version=version, object=pod)["messages"] is None
    assert "the guard is not the first of the init containers" in judged(proof, defaulted(make()), version)


def test_the_guards_policy_comes_in_the_image_that_is_required(proof: Proof) -> None:
    """By its digest: another image is refused, and so is an agent's own volume of that kind."""
    pod = defaulted(guarded(agent(), *IMAGE))
    for version in VERSIONS:
        assert judged_with(proof, IMAGE, pod, version) == []
        assert proof.ask(ask="security", level="restricted", version=version, object=pod)["messages"] is None
    (bundle,) = (each for each in pod["spec"]["volumes"] if "image" in each)
    bundle["image"]["reference"] = "registry.example/mine@sha256:" + "0" * 64
    assert judged_with(proof, IMAGE, pod) == ["a volume of the guard is missing, or is another one"]
    pod = defaulted(guarded(agent(), *IMAGE))
    pod["spec"]["volumes"].append({"name": "mine", "image": {"reference": "registry.example/weights:1"}})
    assert judged_with(proof, IMAGE, pod) == ["a volume is of a kind that could show a model a second time"]


def test_the_way_to_the_centre_is_for_the_guard_alone(proof: Proof) -> None:
    """Whoever has it can use an order up, or put a checkpoint under a trail's name."""
    pod = defaulted(guarded(agent(), *CENTRAL))
    for version in VERSIONS:
        assert judged_with(proof, CENTRAL, pod, version) == []
    pod["spec"]["containers"][0]["env"].append(
        {"name": "K", "valueFrom": {"secretKeyRef": {"name": "centre", "key": "store"}}}
    )
    assert judged_with(proof, CENTRAL, pod) == ["the secret of the trail or of the centre is for the guard alone"]


def test_the_pods_token_may_be_mounted_into_every_container(proof: Proof) -> None:
    """As an API server does on its own, once more after the guard is in: the guard reads nothing there."""
    token = {
        "name": "kube-api-access-x",
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        "readOnly": True,
    }
    pod = defaulted(guarded(agent()))
    pod["spec"]["volumes"].append({"name": token["name"], "projected": {"sources": [{"serviceAccountToken": {}}]}})
    for container in (*pod["spec"]["initContainers"], *pod["spec"]["containers"]):
        container["volumeMounts"].append(dict(token))
    for version in VERSIONS:
        assert judged(proof, pod, version) == []
    guard_of(pod)["volumeMounts"][-1]["readOnly"] = False
    assert judged(proof, pod)


@pytest.mark.parametrize("field", ["dataSource", "dataSourceRef"])
def test_no_claim_is_made_from_another(proof: Proof, field: str) -> None:
    """Weights cannot be cloned into a claim that may be written; an empty claim can be made."""
    empty: Object = {"kind": "PersistentVolumeClaim", "spec": {"resources": {"requests": {"storage": "1Gi"}}}}
    clone = {"kind": "PersistentVolumeClaim", "spec": {field: {"kind": "PersistentVolumeClaim", "name": "models"}}}
    for version in VERSIONS:
        policy = one(rendered(version, *DURABLE), "ValidatingAdmissionPolicy", "guard-claims")
        for claim, may in ((empty, True), (clone, False)):
            answer = proof.ask(ask="validate", version=version, policy=policy, object=claim, request={}, namespace={})
            assert answer["allowed"] is may


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_is_refused_and_for_its_own_reason_alone(proof: Proof, trick: str) -> None:
    """One change to a pod that would be let in, at creation and as an update: refused, and nothing else is found."""
    reason, play = TRICKS[trick]
    honest = defaulted(guarded(agent()))
    pod = copy.deepcopy(honest)
    play(pod)
    for version in VERSIONS:
        why = judged(proof, pod, version)
        assert len(why) == 1, why
        assert reason in why[0]
        assert judged(proof, pod, version, request={"operation": "UPDATE"}, oldObject=honest) == why


@pytest.mark.parametrize(
    "change",
    [
        {"hostPID": True},
        {"hostNetwork": True},
        {"containers": [{"name": "agent", "image": "a:1", "securityContext": {"privileged": True}}]},
        {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_left_to_pod_security_is_refused_by_it(proof: Proof, change: Object) -> None:
    """The namespace has to enforce the restricted standard, and that one refuses these in every version."""
    pod = guarded(agent())
    pod["spec"].update(change)
    for version in VERSIONS:
        assert proof.ask(ask="security", level="restricted", version=version, object=pod)["messages"]


def test_a_namespace_that_enforces_less_has_no_agents(proof: Proof) -> None:
    """What is left to Pod Security must be enforced by it, or nothing runs there."""
    for labels in ({}, {"pod-security.kubernetes.io/enforce": "baseline"}):
        namespace = {"metadata": {"name": "agents", "labels": labels}}
        why = judged(proof, defaulted(guarded(agent())), namespace=namespace)
        assert why == ["the namespace does not enforce the restricted Pod Security Standard"]


def test_a_pod_that_is_ending_may_go_whatever_it_was(proof: Proof) -> None:
    """Finalizers of pods from before the policy can be removed; a new pod is judged, and so is what is added to one."""
    pod = agent()
    pod["metadata"]["deletionTimestamp"] = "2026-11-30T00:00:00Z"
    assert judged(proof, pod, request={"operation": "UPDATE"}) == []
    assert judged(proof, pod)
    assert judged(proof, pod, request={"operation": "UPDATE", "subResource": "ephemeralcontainers"})


@pytest.mark.parametrize(
    ("container", "may"), [("agent", True), ("guardrail", False), ("guardrail-opa", False), ("", False), (None, False)]
)
def test_nobody_enters_the_guards_containers(proof: Proof, container: str | None, may: bool) -> None:
    """`kubectl exec` and `attach` into the agent's container only, and by its name."""
    options = {"kind": "PodExecOptions", "command": ["sh"]} | ({} if container is None else {"container": container})
    for version in VERSIONS:
        policy = one(rendered(version, *DURABLE), "ValidatingAdmissionPolicy", "guard-enter")
        answer = proof.ask(ask="validate", version=version, policy=policy, object=options, request={}, namespace={})
        assert answer["allowed"] is may


# -- the webhook's server ---------------------------------------------------------------------------------------------


def _review(pod: Any, operation: str = "CREATE") -> bytes:
    request = {"uid": "u-1", "operation": operation, "object": pod}
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()


def test_the_webhook_answers_an_api_server_that_trusts_the_charts_certificate(tmp_path: Path) -> None:
    """Started as the Deployment says, with the chart's certificate: patched, refused and not understood, over TLS."""
    objects = rendered("1.35", *DURABLE)
    secret = one(objects, "Secret", "guard-injector-tls")["data"]
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_bytes(base64.b64decode(secret[name]))
    (tmp_path / "sidecar.json").write_text(one(objects, "ConfigMap", "guard-injector")["data"]["sidecar.json"])
    container = one(objects, "Deployment", "guard-injector")["spec"]["template"]["spec"]["containers"][0]
    places = ("/etc/guardrail-tls", "/etc/guardrail")
    arguments = [part.replace(places[0], str(tmp_path)).replace(places[1], str(tmp_path)) for part in container["args"]]
    server = subprocess.Popen(
        [sys.executable, "-m", *container["command"], *arguments, "--host=127.0.0.1", "--port=0"],
        cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline().rsplit(" ", 1)[1])
        hook = one(objects, "MutatingWebhookConfiguration", "guard-injector")["webhooks"][0]
        assert hook["failurePolicy"] == "Fail"
        assert hook["clientConfig"]["service"]["path"] == ADMISSION
        trust = ssl.create_default_context(cadata=base64.b64decode(hook["clientConfig"]["caBundle"]).decode())

        def ask(body: bytes) -> tuple[int, Any]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
            connection.connect()
            connection.sock = trust.wrap_socket(
                connection.sock, server_hostname=f"{hook['clientConfig']['service']['name']}.guardrail-system.svc"
            )
            connection.request("POST", ADMISSION, body, {"content-type": "application/json"})
            answer = connection.getresponse()
            found = answer.status, json.loads(answer.read())
            connection.close()
            return found

        status, review = ask(_review(agent()))
        response = review["response"]
        assert (status, response["uid"], response["allowed"], response["patchType"]) == (200, "u-1", True, "JSONPatch")
        assert patched(agent(), json.loads(base64.b64decode(response["patch"]))) == guarded(agent())
        for pod, operation in ((agent() | {"kind": "Job"}, "CREATE"), (agent(), "DELETE"), ({"kind": "Pod"}, "CREATE")):
            status, review = ask(_review(pod, operation))
            assert (status, review["response"]["allowed"]) == (200, False)
            assert review["response"]["status"]["message"].startswith("guardrail ")
        status, problem = ask(b'{"kind": "AdmissionReview"}')
        assert (status, problem["type"]) == (400, "urn:guardrail:problem:malformed")
    finally:
        server.terminate()
        assert server.wait(SECONDS) == 0
        if server.stdout is not None:
            server.stdout.close()


@pytest.mark.parametrize(
    ("sidecar_text", "certificate", "sentence"),
    [
        ("{}", "x", "does not say what goes into pods"),
        (None, "x", "cannot be read"),
        ('{"initContainers": [], "volumes": [], "agent": {"env": [], "volumeMounts": []}, "fsGroup": 1}', "x",
         "are not a certificate and its key"),
    ],
)  # fmt: skip
def test_a_webhook_that_cannot_inject_does_not_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sidecar_text: str | None, certificate: str, sentence: str
) -> None:
    """Exit code 2 and one sentence, before it listens."""
    from guardrail.cli import EXIT_USAGE, main

    path = tmp_path / "sidecar.json"
    if sidecar_text is not None:
        path.write_text(sidecar_text)
    pair = tmp_path / "pair.pem"
    pair.write_text(certificate)
    assert main(["admission", f"--sidecar={path}", f"--tls-cert={pair}", f"--tls-key={pair}"]) == EXIT_USAGE
    assert sentence in capsys.readouterr().err
