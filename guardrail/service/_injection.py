"""What puts the guard into a pod: a JSON patch, made from the pod and the sidecar's own description. Pure.

It is not concerned with whether a pod may run: the admission policy that requires the sidecar is, since whoever writes
a pod can also write something that looks like one. Kubernetes from 1.36 on does the same by a MutatingAdmissionPolicy;
a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

GUARD: Final = "guardrail"
"""Name of the container that guards; a pod that has it already is left alone."""

LIVE: Final = ("persistentVolumeClaim", "emptyDir", "ephemeral")
"""Kinds of volumes whose files can change, so that the guard has to see them where the agent does."""

Json = dict[str, Any]


class Added(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each of the agent's containers gets.

    Args:
        env: variables.
        volume_mounts: mounts.
    """

    env: list[Json]
    volume_mounts: list[Json] = msgspec.field(name="volumeMounts")


class Sidecar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The guard's part of a pod, in the words of Kubernetes.

    Args:
        init_containers: the guard's containers, in the order in which they start.
        volumes: what they mount.
        agent: what the agent's containers get.
        fs_group: the group that owns the volumes, for pods that name none.
    """

    init_containers: list[Json] = msgspec.field(name="initContainers")
    volumes: list[Json]
    agent: Added
    fs_group: int = msgspec.field(name="fsGroup")


def injected(pod: Mapping[str, Any], sidecar: Sidecar) -> list[Json]:
    """How a pod is changed so that the guard is in it, before every other container.

    Args:
        pod: a Pod, as it was sent.
        sidecar: what goes in.

    Returns:
        Operations of a JSON patch (RFC 6902); none if a container has the guard's name already.

    Raises:
        LookupError, TypeError, AttributeError: if it is no Pod.
    """
    spec = pod["spec"]
    if any(one["name"] == GUARD for one in spec.get("initContainers", ())):
        return []
    patch = [] if "initContainers" in spec else [_add("/spec/initContainers", [])]
    patch += [_add(f"/spec/initContainers/{at}", _as_in(spec, one)) for at, one in enumerate(sidecar.init_containers)]
    patch += [] if "volumes" in spec else [_add("/spec/volumes", [])]
    patch += [_add("/spec/volumes/-", volume) for volume in sidecar.volumes]
    for at, container in enumerate(spec["containers"]):
        for field, added in (("env", sidecar.agent.env), ("volumeMounts", sidecar.agent.volume_mounts)):
            place = f"/spec/containers/{at}/{field}"
            patch += [] if field in container else [_add(place, [])]
            patch += [_add(f"{place}/-", one) for one in added]
    if "securityContext" not in spec:
        patch.append(_add("/spec/securityContext", {}))
    if "fsGroup" not in spec.get("securityContext", {}):
        patch.append(_add("/spec/securityContext/fsGroup", sidecar.fs_group))
    return patch


def _add(path: str, value: Any) -> Json:
    return {"op": "add", "path": path, "value": value}


def _as_in(spec: Mapping[str, Any], container: Json) -> Json:
    """One of the guard's containers; the guard itself sees the agent's volumes, and has its HOME."""
    if container["name"] != GUARD:
        return container
    mounts = [*container["volumeMounts"], *_mirrored(spec)]
    # `~` and $HOME mean the same to both.
    home = [one for one in spec["containers"][0].get("env", ()) if one["name"] == "HOME" and "value" in one]
    return {**container, "volumeMounts": mounts, "env": [*container["env"], *home]}


def _mirrored(spec: Mapping[str, Any]) -> Sequence[Json]:
    """The agent's mounts, read-only: links, scripts and globs are resolved on live files, at the same paths.

    Two containers that mount different volumes at one path give the guard one path twice, which the API server refuses.
    """
    live = {volume["name"] for volume in spec.get("volumes", ()) if any(kind in volume for kind in LIVE)}
    mirrored: list[Json] = []
    for container in spec["containers"]:
        for mount in container.get("volumeMounts", ()):
            seen = {"name": mount["name"], "mountPath": mount["mountPath"], "readOnly": True}
            if "subPath" in mount:
                seen["subPath"] = mount["subPath"]
            if mount["name"] in live and seen not in mirrored:
                mirrored.append(seen)
    return mirrored
