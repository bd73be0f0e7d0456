"""Helm, kubectl and what answers like an API server's admission, for tests: see `make kube`."""

from __future__ import annotations

import copy
import functools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import kubernetes_validate.utils
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "deploy" / "helm" / "guardrail"

VERSIONS = ("1.35", "1.36", "1.37")
"""The three newest minor versions of Kubernetes."""

FIRST_TO_MUTATE = "1.36"
"""The first that has a MutatingAdmissionPolicy of version v1."""

SECONDS = 60
"""Longest wait for a tool, in seconds."""

Object = dict[str, Any]


def tool(name: str, how: str = "run `make kube`", *, must: bool = True) -> str:
    """Where one of the tools is: here or on PATH. Without it tests skip; in CI they fail, if it `must` be there."""
    found = shutil.which(name, path=f"{ROOT}/.tools/bin{os.pathsep}{os.environ['PATH']}")
    if found is None:
        message = f"no {name} here: {how}"
        if must and os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


def helm(version: str, *options: str) -> subprocess.CompletedProcess[str]:
    """What `helm template` makes of the chart, for a cluster of a version."""
    apis = ["--api-versions=admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"] if can_mutate(version) else []
    return subprocess.run(
        [tool("helm"), "template", "guard", str(CHART), "--namespace=guardrail-system", f"--kube-version={version}.0",
         *apis, *options],
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip


def can_mutate(version: str) -> bool:
    """Whether a cluster of this version has policies that mutate."""
    return tuple(map(int, version.split("."))) >= tuple(map(int, FIRST_TO_MUTATE.split(".")))


# A schema's file is read and parsed anew for each object otherwise, which is most of what checking one costs.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)


def check_schema(written: Object, version: str) -> None:
    """Check an object against the schema of a version, strictly: a field that is not known there fails the test."""
    kubernetes_validate.validate(written, version, strict=True)


def documents(text: str) -> list[Object]:
    """The objects in a stream of YAML, by the parser in C where there is one: rendered charts are long."""
    return [each for each in yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if each]


@functools.cache
def _rendered(version: str, options: tuple[str, ...]) -> tuple[Object, ...]:
    made = helm(version, *options)
    assert made.returncode == 0, made.stderr
    return tuple(documents(made.stdout))


def rendered(version: str, *options: str) -> list[Object]:
    """The objects of the chart; each caller has copies of their own."""
    return copy.deepcopy(list(_rendered(version, options)))


def one(objects: list[Object], kind: str, name: str) -> Object:
    """The one object of a kind and name."""
    (found,) = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


class Proof:
    """One process of `kubeproof`, asked over and over."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [tool("kubeproof")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def ask(self, **question: Any) -> Object:
        """The answer to one question; a question that is wrong itself fails the test."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer: Object = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer

    def close(self) -> None:
        """End it."""
        self.process.communicate(timeout=SECONDS)


@pytest.fixture(scope="module")
def proof() -> Iterator[Proof]:
    """What answers like an API server's admission."""
    made = Proof()
    yield made
    made.close()


def patched(pod: Object, patch: list[Object]) -> Object:
    """A pod after a JSON patch of additions (RFC 6902, 4.1), which is all that injection does."""
    result = copy.deepcopy(pod)
    for operation in patch:
        assert operation["op"] == "add"
        place: Any = result
        *steps, last = operation["path"].split("/")[1:]
        for step in steps:
            place = place[int(step)] if isinstance(place, list) else place[step]
        if isinstance(place, list):
            place.insert(len(place) if last == "-" else int(last), copy.deepcopy(operation["value"]))
        else:
            place[last] = copy.deepcopy(operation["value"])
    return result


def defaulted(pod: Object) -> Object:
    """A pod with what an API server fills in before it asks admission policies."""
    result = copy.deepcopy(pod)
    spec = result["spec"]
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        container.setdefault("imagePullPolicy", "IfNotPresent")
        container.setdefault("resources", {})
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            if name in container:
                container[name] = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1,
                                   "failureThreshold": 3} | container[name]  # fmt: skip
    for volume in spec.get("volumes", ()):
        if "configMap" in volume:
            volume["configMap"].setdefault("defaultMode", 420)
    spec.update(dnsPolicy="ClusterFirst", restartPolicy="Always", schedulerName="default-scheduler",
                terminationGracePeriodSeconds=30, enableServiceLinks=True)  # fmt: skip
    spec.setdefault("securityContext", {})
    return result
