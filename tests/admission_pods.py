"""Pods of agents, and what somebody who writes pods could try to get past the policy that requires the guard."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from tests.kubernetes import Object


def agent() -> Object:
    """A pod as its author writes it, without a guard."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "agent", "namespace": "agents"},
        "spec": {
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10010, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "agent",
                    "image": "agent:1.0.0",
                    "env": [{"name": "HOME", "value": "/workspace"}],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [
                        {"name": "models", "mountPath": "/srv/models", "readOnly": True},
                        {"name": "workspace", "mountPath": "/workspace", "subPath": "a"},
                    ],
                }
            ],
            "volumes": [
                {"name": "models", "persistentVolumeClaim": {"claimName": "models"}},
                {"name": "workspace", "emptyDir": {}},
            ],
        },
    }


def bare() -> Object:
    """A pod with as little in it as can be."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"},
            "spec": {"containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]}}  # fmt: skip


def crowded() -> Object:
    """A pod with init containers of its own, two containers that share a volume, and a group."""
    pod = agent()
    spec = pod["spec"]
    second = copy.deepcopy(spec["containers"][0]) | {"name": "helper"}
    spec["containers"].append(second)
    spec["initContainers"] = [copy.deepcopy(spec["containers"][0]) | {"name": "fetch"}]
    spec["securityContext"]["fsGroup"] = 10020
    return pod


def guard_of(pod: Object, name: str = "guardrail") -> Object:
    """One of the guard's containers in a pod."""
    (found,) = [each for each in pod["spec"]["initContainers"] if each["name"] == name]
    return found


def _agent(pod: Object) -> Object:
    found: Object = pod["spec"]["containers"][0]
    return found


def _volume(pod: Object, name: str) -> Object:
    (found,) = [each for each in pod["spec"]["volumes"] if each["name"] == name]
    return found


def _mount(pod: Object, volume: Object, **mount: Any) -> None:
    pod["spec"]["volumes"].append(volume)
    _agent(pod)["volumeMounts"].append({"name": volume["name"], "mountPath": "/data/x", **mount})


def _seen(pod: Object, volume: Object, **mount: Any) -> None:
    """As `_mount`, with the guard seeing it as it should, so that nothing else is wrong with it."""
    _mount(pod, volume, **mount)
    guard_of(pod)["volumeMounts"].append({**_agent(pod)["volumeMounts"][-1], "readOnly": True})


def _device(pod: Object) -> None:
    pod["spec"]["volumes"].append({"name": "x", "persistentVolumeClaim": {"claimName": "models", "readOnly": False}})
    _agent(pod)["volumeDevices"] = [{"name": "x", "devicePath": "/dev/w"}]


def _once(container: Object) -> None:
    for name in ("restartPolicy", "startupProbe", "readinessProbe", "livenessProbe"):
        container.pop(name)


TRICKS: dict[str, tuple[str, Callable[[Object], Any]]] = {
    "an image of the author's under the guard's name": (
        "another image", lambda pod: guard_of(pod).update(image="guardrail:0.1.0-mine")),
    "an image of the author's for OPA": (
        "another image", lambda pod: guard_of(pod, "guardrail-opa").update(image="opa:mine")),
    "a container that runs before the guard": (
        "not the first", lambda pod: pod["spec"]["initContainers"].insert(0, {**_agent(pod), "name": "early"})),
    "the guard after another container": (
        "not the first", lambda pod: pod["spec"]["initContainers"].reverse()),
    "a guard that ends before the agent starts": (
        "not started as", lambda pod: _once(guard_of(pod))),
    "a guard with another command": ("not started as", lambda pod: guard_of(pod).update(command=["sleep", "inf"])),
    "a guard with another configuration": (
        "not started as", lambda pod: guard_of(pod).update(args=["--config", "/workspace/mine.toml"])),
    "a hook in the guard's container": (
        "not started as", lambda pod: guard_of(pod).update(lifecycle={"postStart": {"exec": {"command": ["sh"]}}})),
    "a message file over the guard's configuration": (
        "not started as",
        lambda pod: guard_of(pod).update(terminationMessagePath="/etc/guardrail/guardrail.toml"),
    ),
    "variables for the guard from a ConfigMap": (
        "not started as", lambda pod: guard_of(pod).update(envFrom=[{"configMapRef": {"name": "mine"}}])),
    "a guard that runs as the agent": (
        "not started as", lambda pod: guard_of(pod)["securityContext"].update(runAsUser=10010)),
    "a probe that runs something in the guard's container": (
        "a probe of guardrail", lambda pod: guard_of(pod)["livenessProbe"].update(exec={"command": ["sh", "-c", "x"]})),
    "a variable that changes what the guard loads": (
        "another environment", lambda pod: guard_of(pod)["env"].append({"name": "PYTHONPATH", "value": "/workspace"})),
    "another ledger for the guard": (
        "another environment",
        lambda pod: guard_of(pod)["env"].__setitem__(
            slice(None), [{"name": "XDG_CACHE_HOME", "value": "/var/lib/guardrail/cache"}])),
    "code of the author's over the guard's": (
        "mounts something over it",
        lambda pod: guard_of(pod)["volumeMounts"].append(
            {"name": "workspace", "mountPath": "/opt/guardrail/lib", "readOnly": True})),
    "a path that climbs out of where volumes may be": (
        "mounts something over it",
        lambda pod: guard_of(pod)["volumeMounts"].append(
            {"name": "workspace", "mountPath": "/srv/../opt/guardrail", "readOnly": True})),
    "a workspace that the guard could write to": (
        "mounts something over it", lambda pod: guard_of(pod)["volumeMounts"][-1].update(readOnly=False)),
    "another part of the configuration's volume": (
        "does not mount what it needs", lambda pod: guard_of(pod)["volumeMounts"][0].update(subPath="mine")),
    "a configuration of the author's": (
        "is another one", lambda pod: _volume(pod, "guardrail-config").update(configMap={"name": "mine"})),
    "one key of the configuration under another's name": (
        "is another one",
        lambda pod: _volume(pod, "guardrail-config")["configMap"].update(
            items=[{"key": "bundle.pem", "path": "guardrail.toml"}])),
    "a trail's key of the author's": (
        "is another one", lambda pod: _volume(pod, "guardrail-trail")["secret"].update(secretName="mine")),
    "the trail's key, mounted once more": (
        "for the guard alone",
        lambda pod: _mount(pod, {"name": "x", "secret": {"secretName": "trail"}}, readOnly=True)),
    "the trail's key, projected": (
        "for the guard alone",
        lambda pod: _mount(pod, {"name": "x", "projected": {"sources": [{"secret": {"name": "trail"}}]}})),
    "the trail's key as a variable": (
        "for the guard alone",
        lambda pod: _agent(pod)["env"].append(
            {"name": "K", "valueFrom": {"secretKeyRef": {"name": "trail", "key": "trail.key"}}})),
    "the trail's key as every variable": (
        "for the guard alone", lambda pod: _agent(pod).update(envFrom=[{"secretRef": {"name": "trail"}}])),
    "the guard's state in the agent's container": (
        "what belongs to the guard",
        lambda pod: _agent(pod)["volumeMounts"].append({"name": "guardrail-state", "mountPath": "/data/state"})),
    "a writable socket directory": (
        "what belongs to the guard", lambda pod: _agent(pod)["volumeMounts"][-1].update(readOnly=False)),
    "weights mounted so that they can be written": (
        "can be written to", lambda pod: _agent(pod)["volumeMounts"][0].pop("readOnly")),
    "the weights' claim under a second name": (
        "can be written to",
        lambda pod: _seen(pod, {"name": "x", "persistentVolumeClaim": {"claimName": "models"}})),
    "weights written by an init container": (
        "can be written to",
        lambda pod: pod["spec"]["initContainers"].append(
            {**_agent(pod), "name": "late", "volumeMounts": [{"name": "models", "mountPath": "/srv/models"}]})),
    "weights as a block device": (
        "can be written to",
        _device),
    "the host's directory with the weights": (
        "show a model a second time", lambda pod: _mount(pod, {"name": "x", "hostPath": {"path": "/models"}})),
    "a driver that could mount anything": (
        "show a model a second time", lambda pod: _mount(pod, {"name": "x", "csi": {"driver": "nfs.csi.k8s.io"}})),
    "a volume cloned from the weights": (
        "show a model a second time",
        lambda pod: _seen(pod, {"name": "x", "ephemeral": {"volumeClaimTemplate": {"spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
            "dataSource": {"kind": "PersistentVolumeClaim", "name": "models"}}}}})),
    "a volume that the guard does not see": (
        "does not see at the same path", lambda pod: _mount(pod, {"name": "x", "emptyDir": {}})),
    "a volume at another path than where the guard sees it": (
        "does not see at the same path", lambda pod: _agent(pod)["volumeMounts"][1].update(mountPath="/tmp/w")),
    "another part of a volume than what the guard sees": (
        "does not see at the same path", lambda pod: _agent(pod)["volumeMounts"][1].update(subPath="b")),
    "containers that see each other's processes": (
        "share their processes", lambda pod: pod["spec"].update(shareProcessNamespace=True)),
    "names that lead elsewhere": (
        "where names lead to",
        lambda pod: pod["spec"].update(hostAliases=[{"ip": "10.0.0.9", "hostnames": ["db.example"]}])),
    "a root file system in which links can be made": (
        "writable root", lambda pod: _agent(pod)["securityContext"].pop("readOnlyRootFilesystem")),
    "an agent that runs as the guard's user": (
        "no user of its own", lambda pod: _agent(pod)["securityContext"].update(runAsUser=10001)),
    "an agent whose user its image says": (
        "no user of its own", lambda pod: pod["spec"]["securityContext"].pop("runAsUser")),
    "a container added to a pod that runs": (
        "added to a guarded pod",
        lambda pod: pod["spec"].update(ephemeralContainers=[{"name": "debug", "image": "debug:1"}])),
}  # fmt: skip
"""What somebody who writes pods could try, with a piece of the reason why it is refused."""
