"""Policies for node agents of others, Tetragon and KubeArmor, from the same inventory: pure, and the same every time.

Both know files by the path that a process uses, so another name of an asset is not theirs; both hold reads and writes,
and no deletion, renaming, time or mode. Mandates are for agents, which a node cannot tell apart: nothing here widens
for one. The fields are those of `cilium.io_tracingpolicies.yaml` (cilium/tetragon) and `KubeArmorPolicy.yaml`
(kubearmor/KubeArmor), and their bounds those of Tetragon's `pkg/selectors/kernel.go`, looked at in November 2026.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from guardrail.assets import Asset
from guardrail.confine.kernel import ConfineError
from guardrail.confine.kernel._protected import OWN_SHOWN, READABLE

NAME: Final = "guardrail-assets"
"""What the policies call themselves."""

MAX_PATH_BYTES: Final = 255
"""Longest path that is put into them, in bytes: a prefix that Tetragon compares has 256 at most, and a program 255."""

_MAY_WRITE: Final = "2"
"""MAY_WRITE of security_file_permission and PROT_WRITE of security_mmap_file, which are the same number."""


class Place(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Where an asset lies.

    Args:
        path: its real path.
        directory: whether all beneath it counts.
        read_by_all: whether only its change is held.
    """

    path: str
    directory: bool
    read_by_all: bool


def places(assets: Iterable[Asset]) -> tuple[Place, ...]:
    """Every place, in an order that does not depend on the configuration's.

    Raises:
        ConfineError: if one cannot be told to a node agent.
    """
    found: set[Place] = set()
    for asset in assets:
        for root in asset.roots:
            _check_tellable(root, f"`{asset.id}` has")
            shown = asset.asset_class in READABLE or asset.id in OWN_SHOWN
            found.add(Place(path=root, directory=os.path.isdir(root), read_by_all=shown))
    return tuple(sorted(found))


def _check_tellable(path: str, whose: str) -> None:
    if len(os.fsencode(path)) > MAX_PATH_BYTES or not path.isprintable():
        raise ConfineError(f"{whose} a path that no node agent can be told: {path!r}")


def tetragon(found: Sequence[Place], readers: Sequence[str], *, enforce: bool) -> dict[str, Any]:
    """A TracingPolicy.

    Args:
        found: the places of assets.
        readers: real paths of programs that may read what is not read by all.
        enforce: whether all others are refused; it needs CONFIG_BPF_KPROBE_OVERRIDE.

    Raises:
        ConfineError: if a reader cannot be told to it.
    """
    for reader in readers:
        _check_tellable(reader, "a reader has")
    action = {"action": "Override", "argError": -1} if enforce else {"action": "Post"}
    hooks = (
        ("security_file_permission", ("file", "int"), "Equal"),
        ("security_mmap_file", ("file", "uint32"), "Mask"),
        ("security_path_truncate", ("path",), None),
    )
    return {
        "apiVersion": "cilium.io/v1alpha1",
        "kind": "TracingPolicy",
        "metadata": {"name": NAME},
        "spec": {
            "kprobes": [
                {
                    "call": call,
                    "syscall": False,
                    "args": [{"index": index, "type": kind} for index, kind in enumerate(kinds)],
                    "selectors": _selectors(found, sorted(set(readers)), action, writes),
                }
                for call, kinds, writes in hooks
            ]
        },
    }


def kubearmor(
    found: Sequence[Place], readers: Sequence[str], labels: Mapping[str, str], *, enforce: bool
) -> dict[str, Any]:
    """A KubeArmorPolicy.

    A rule that allows makes KubeArmor refuse all that no rule allows, so the whole tree is allowed first.

    Args:
        found: the places of assets.
        readers: paths of programs that may read what is not read by all.
        labels: of the pods that it is for.
        enforce: whether all others are refused; otherwise they are told of.

    Raises:
        ConfineError: if a reader cannot be told to it.
    """
    for reader in readers:
        _check_tellable(reader, "a reader has")
    refuse: Literal["Block", "Audit"] = "Block" if enforce else "Audit"
    directories: list[dict[str, Any]] = [{"dir": "/", "recursive": True}]
    paths: list[dict[str, Any]] = []
    for place in found:
        rules = directories if place.directory else paths
        at = {"dir": place.path.rstrip("/") + "/", "recursive": True} if place.directory else {"path": place.path}
        if place.read_by_all:
            rules.append({**at, "readOnly": True, "action": refuse})
            continue
        if readers:
            rules.append({**at, "readOnly": True, "fromSource": [{"path": one} for one in sorted(set(readers))]})
        rules.append({**at, "action": refuse})
    return {
        "apiVersion": "security.kubearmor.com/v1",
        "kind": "KubeArmorPolicy",
        "metadata": {"name": NAME},
        "spec": {
            "severity": 8,
            "message": "an asset that guardrail protects",
            "selector": {"matchLabels": dict(sorted(labels.items()))},
            "file": {"matchDirectories": directories, **({"matchPaths": paths} if paths else {})},
            "action": "Allow",
        },
    }


def _selectors(
    found: Sequence[Place], readers: list[str], action: dict[str, Any], writes: str | None
) -> list[dict[str, Any]]:
    """At most four, of the five that a hook may have: reading by others than the readers, and writing by anybody."""
    selectors: list[dict[str, Any]] = []
    for only_writes in (False, True):
        if not only_writes and writes is None:
            continue  # a hook that is about changes alone
        for directory in (False, True):
            values = [
                place.path.rstrip("/") + "/" if directory else place.path
                for place in found
                if place.directory == directory and (only_writes or not place.read_by_all)
            ]
            if not values:
                continue
            selector: dict[str, Any] = {
                "matchArgs": [{"index": 0, "operator": "Prefix" if directory else "Equal", "values": values}]
            }
            if only_writes and writes is not None:
                selector["matchArgs"].append({"index": 1, "operator": writes, "values": [_MAY_WRITE]})
            elif not only_writes and readers:
                selector["matchBinaries"] = [{"operator": "NotIn", "values": list(readers)}]
            selectors.append(selector | {"matchActions": [dict(action)]})
    return selectors
