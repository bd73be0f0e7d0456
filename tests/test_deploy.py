"""The image and the manifests: their form against offline schemas, and what they start, started for real."""

from __future__ import annotations

import copy
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from guardrail import config as guardrail_config
from guardrail.cli import parser
from guardrail.config import Config
from guardrail.model import Outcome, ToolCall
from tests.dockerfile import instructions, last
from tests.kubernetes import check_schema
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
KUBERNETES = ROOT / "deploy" / "kustomize" / "base"
FILES = sorted(path.name for path in KUBERNETES.glob("*.yaml") if path.name != "kustomization.yaml")
VERSIONS = ("1.29", "1.31", "1.33", "1.35", "1.37")
"""Native sidecars are on by default from 1.29."""

START_SECONDS = 180
"""Longest wait for a server that a test starts, in seconds."""


def documents(name: str) -> list[dict[str, Any]]:
    """The objects of one manifest."""
    return list(yaml.safe_load_all((KUBERNETES / name).read_text(encoding="utf-8")))


def pod() -> dict[str, Any]:
    """The pod of the agent's deployment."""
    spec: dict[str, Any] = documents("agent.yaml")[0]["spec"]["template"]["spec"]
    return spec


def containers() -> dict[str, dict[str, Any]]:
    """Every container of the pod, by name."""
    spec = pod()
    return {one["name"]: one for one in (*spec["initContainers"], *spec["containers"])}


def mounts(name: str) -> dict[str, dict[str, Any]]:
    """Mounts of one container, by volume."""
    return {mount["name"]: mount for mount in containers()[name]["volumeMounts"]}


def settings() -> str:
    """The guardrail.toml that the ConfigMap holds."""
    text: str = documents("config.yaml")[0]["data"]["guardrail.toml"]
    return text


# -- manifests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", FILES)
def test_manifests_fit_the_schema(name: str, version: str) -> None:
    """Strictly: an API server would accept every field, and knows every one."""
    for document in documents(name):
        check_schema(document, version)


@pytest.mark.parametrize(
    "path", [("spec", "template", "spec", "initContainers", 1), ("spec", "template", "spec"), ("spec",)]
)
def test_a_misspelled_field_would_be_found(path: tuple[str | int, ...]) -> None:
    """The check above is worth something: one letter too many, anywhere, fails it."""
    document = copy.deepcopy(documents("agent.yaml")[0])
    place: Any = document
    for step in path:
        place = place[step]
    place["restartPolicyy"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        check_schema(document, VERSIONS[-1])


def test_the_kustomization_lists_every_manifest() -> None:
    """What lies there is applied, and what is applied lies there."""
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert sorted(listed) == FILES


def test_manifests_name_no_namespace() -> None:
    """They go where they are applied."""
    assert [d["kind"] for name in FILES for d in documents(name) if "namespace" in d["metadata"]] == []


def test_the_guard_and_opa_start_before_the_agent() -> None:
    """Native sidecars with start-up probes: the agent's container waits for both, and ends before them."""
    order = [one["name"] for one in pod()["initContainers"]]
    assert order == ["policies", "opa", "guardrail"]
    for name in ("opa", "guardrail"):
        assert containers()[name]["restartPolicy"] == "Always"
        assert containers()[name]["startupProbe"]
    assert [one["name"] for one in pod()["containers"]] == ["agent"]


def test_the_pod_is_restricted() -> None:
    """Every point of the restricted Pod Security Standard, and a read-only root."""
    spec = pod()
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & {key for key, value in spec.items() if value}
    allowed = {"configMap", "emptyDir", "persistentVolumeClaim"}
    assert {kind for volume in spec["volumes"] for kind in volume if kind != "name"} <= allowed
    for name, one in containers().items():
        context = one["securityContext"]
        assert context["allowPrivilegeEscalation"] is False, name
        assert context["capabilities"] == {"drop": ["ALL"]}, name
        assert context["readOnlyRootFilesystem"] is True, name
        assert context["runAsUser"] >= 10000, name
        assert "hostPort" not in str(one.get("ports")), name


def test_the_agent_cannot_change_a_model_or_what_guards_it() -> None:
    """No writable mount of models, nothing of the guard's own, another user, and no token of the cluster."""
    agent = mounts("agent")
    assert set(agent) == {"models", "agent-socket", "workspace"}
    assert agent["models"]["readOnly"] is True
    assert agent["agent-socket"]["readOnly"] is True
    assert [name for name, mount in agent.items() if not mount.get("readOnly")] == ["workspace"]
    users = {name: containers()[name]["securityContext"]["runAsUser"] for name in ("opa", "guardrail", "agent")}
    assert len(set(users.values())) == 3
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["shareProcessNamespace"] is False


def test_the_guard_sees_what_the_agent_sees() -> None:
    """Same volumes at the same paths and the same HOME, so that links, scripts and `~` resolve alike."""
    for volume in ("models", "workspace"):
        assert mounts("guardrail")[volume]["mountPath"] == mounts("agent")[volume]["mountPath"]
        assert mounts("guardrail")[volume]["readOnly"] is True
    homes = {
        name: {env["name"]: env.get("value") for env in containers()[name]["env"]} for name in ("agent", "guardrail")
    }
    assert homes["agent"]["HOME"] == homes["guardrail"]["HOME"] == "/workspace"


def test_opa_cannot_be_reached_by_the_agent() -> None:
    """Its API can replace the policy, so it is on a socket that the agent does not mount, and never on a port."""
    arguments = containers()["opa"]["args"]
    assert [one for one in arguments if one.startswith("--addr")] == ["--addr=unix:///run/opa/opa.sock"]
    assert "opa-socket" not in mounts("agent")
    assert {port["containerPort"] for port in containers()["opa"]["ports"]} == {8282}


def test_images_are_plain_names_with_a_fixed_tag() -> None:
    """No registry is assumed, and nothing is called latest."""
    for one in containers().values():
        assert re.fullmatch(r"[a-z0-9-]+(/[a-z0-9-]+)?:\d+\.\d+\.\d+(-static)?", one["image"]), one["image"]


def test_the_configuration_in_the_manifest_loads() -> None:
    """Strictly, and its paths are those of the mounts."""
    config = guardrail_config.parse(settings(), source="guardrail.toml")
    assert config.policy.url.removeprefix("unix://") == "/run/opa/opa.sock"
    places = [mount["mountPath"] for mount in containers()["guardrail"]["volumeMounts"] if not mount.get("readOnly")]
    for path in (config.trail.directory, config.review.store, config.service.socket):
        assert any(path.startswith(f"{place}/") for place in places), path
    seen = mounts("agent")["models"]["mountPath"]
    assert all(path.startswith(f"{seen}/") for asset in config.assets for path in asset.paths)
    # The mount itself is everybody's; the guard makes a directory of its own in it.
    assert Path(config.service.socket).parent.parent == Path(mounts("agent")["agent-socket"]["mountPath"])
    agent = {env["name"]: env["value"] for env in containers()["agent"]["env"]}
    assert agent["GUARDRAIL_SOCKET"] == config.service.socket


def test_the_commands_in_the_manifest_are_commands() -> None:
    """The command line understands what the guard's container and its probes say."""
    guard = containers()["guardrail"]
    assert parser().parse_args(["serve", *guard["args"]]).verb == "serve"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        program, *arguments = guard[probe]["exec"]["command"]
        assert program == "guardrail"
        assert parser().parse_args(arguments).check is True


# -- what they start --------------------------------------------------------------------------------------------------


def find_opa() -> Path | None:
    """The OPA to test with: $GUARDRAIL_OPA, the pinned one of this checkout, or the one on PATH."""
    found = os.environ.get("GUARDRAIL_OPA") or shutil.which(
        "opa", path=f"{ROOT}/.tools/bin{os.pathsep}{os.environ['PATH']}"
    )
    return Path(found) if found else None


@pytest.fixture
def opa() -> Path:
    found = find_opa()
    if found is None:
        message = "no OPA here: run `make tools`, or set GUARDRAIL_OPA to a binary"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


class Node:
    """What a kubelet would do with the pod, in a directory: mounts become paths below it."""

    # A Unix socket's path has a hundred characters and little more, too few for the test runner's own directories.
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for path in (
            "run/opa",
            "run/guardrail",
            "var/lib/guardrail",
            "etc/guardrail/mandates",
            "workspace",
            "policies",
        ):
            (folder / path).mkdir(parents=True)
        (folder / "srv/models/beta").mkdir(parents=True)
        (folder / "srv/models/beta/w.safetensors").write_bytes(b"weights")

    def here(self, text: str) -> str:
        """A command or setting with the container's absolute paths moved below the folder."""
        return re.sub(r"(?<![\w.*])/(?=(run|var|etc|srv|policies|workspace)\b)", f"{self.folder}/", text)

    def copy_policies(self) -> None:
        """Run the first init container's command, with the checkout in place of the image."""
        command = [self.here(part) for part in containers()["policies"]["command"]]
        assert command[2] == "/opt/guardrail/policies/."
        command[2] = f"{ROOT}/policies/."
        subprocess.run(command, check=True, timeout=START_SECONDS)

    def config(self) -> Config:
        """The ConfigMap's guardrail.toml."""
        return guardrail_config.parse(self.here(settings()), base=str(self.folder), source="")


@pytest.fixture
def node() -> Iterator[Node]:
    with tempfile.TemporaryDirectory(prefix="guard-", dir="/tmp") as folder:
        yield Node(Path(folder))


@pytest.fixture
def served(node: Node, opa: Path) -> Iterator[Node]:
    """The pod's OPA, with the arguments of the manifest, on a free port for its health."""
    node.copy_policies()
    port = free_port()
    arguments = [node.here(part).replace("0.0.0.0:8282", f"127.0.0.1:{port}") for part in containers()["opa"]["args"]]
    log = node.folder / "opa.log"
    with log.open("wb") as stream:
        process = subprocess.Popen([str(opa), *arguments], stdout=stream, stderr=stream)
        try:
            path = containers()["opa"]["startupProbe"]["httpGet"]["path"]
            _wait_until_healthy(process, f"http://127.0.0.1:{port}{path}", log)
            yield node
        finally:
            process.terminate()
            process.wait(START_SECONDS)


def _wait_until_healthy(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=START_SECONDS):
                return
        except OSError:
            try:
                code = process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"opa ended with {code}: {log.read_text()}") from None
    raise AssertionError(f"opa did not become healthy: {log.read_text()}")


def test_the_guard_decides_with_the_opa_of_the_manifest(served: Node) -> None:
    """Policies copied, OPA started and the guard opened as the manifest says: a theft is denied, a look is not."""
    from guardrail.guard import Guard

    with Guard.open(served.config()) as guard:
        assert guard.engine.name == "opa"
        theft = ToolCall(
            tool="bash", args={"command": served.here("cp /srv/models/beta/w.safetensors /workspace/")}, cwd="/"
        )
        look = ToolCall(tool="bash", args={"command": served.here("ls /srv/models/beta")}, cwd="/")
        assert guard.check(theft).outcome is Outcome.DENY
        seen = guard.check(look)
        assert seen.outcome is Outcome.ALLOW, seen.reasons


def test_the_pod_answers_its_agent(served: Node) -> None:
    """The guard's container and probes, as the manifest has them: ready, asked over the agent's socket, and gone."""
    from guardrail.client import decide_over_socket

    path = served.folder / "etc/guardrail/guardrail.toml"
    path.write_text(served.here(settings()), encoding="utf-8")
    arguments = [served.here(part) for part in containers()["guardrail"]["args"]]
    named = {env["name"]: env.get("value") for env in containers()["guardrail"]["env"]}["GUARDRAIL_AGENT"]
    assert named == "$(POD_NAMESPACE)/$(POD_ACCOUNT)"
    environment = {**os.environ, "GUARDRAIL_CONFIG": str(path), "GUARDRAIL_AGENT": "agents/trainer"}
    command = [sys.executable, "-m", "guardrail"]
    guard = subprocess.Popen(
        [*command, "serve", *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert guard.stdout is not None
        assert guard.stdout.readline().startswith(b"guardrail: ready on unix:")
        probe = containers()["guardrail"]["startupProbe"]["exec"]["command"][1:]
        subprocess.run([*command, *probe], cwd=ROOT, env=environment, check=True, timeout=START_SECONDS)
        agent = {env["name"]: env["value"] for env in containers()["agent"]["env"]}
        command_line = served.here("cp /srv/models/beta/w.safetensors /workspace/x")
        theft = {"tool": "bash", "args": {"command": command_line}, "cwd": "/"}
        decision = decide_over_socket(served.here(agent["GUARDRAIL_SOCKET"]), theft, timeout_seconds=START_SECONDS)
        assert (decision["outcome"], decision["engine"]) == ("deny", "opa")
        theft |= {"subject": {"id": "agents/other"}}
        other = decide_over_socket(served.here(agent["GUARDRAIL_SOCKET"]), theft, timeout_seconds=START_SECONDS)
        assert "may not ask in the name of" in other["reasons"][0]["message"]
    finally:
        guard.terminate()
        assert guard.wait(START_SECONDS) == 0
        if guard.stdout is not None:
            guard.stdout.close()


def test_the_manifests_opa_opens_no_port_for_its_api(served: Node) -> None:
    """Only health and metrics are on the network: the policy cannot be read or replaced from there."""
    paths = [part for part in containers()["opa"]["args"] if part.startswith("--addr")]
    assert len(paths) == 1
    mode = (served.folder / "run/opa/opa.sock").stat().st_mode & 0o777
    assert mode == 0o770


# -- the image --------------------------------------------------------------------------------------------------------


def test_the_image_does_not_run_as_root() -> None:
    """By number, so that `runAsNonRoot` can be checked, and the one that the manifests use."""
    user, group = last("USER").split(":")
    assert int(user) == int(group) == containers()["guardrail"]["securityContext"]["runAsUser"]
    final = instructions()[max(i for i, (kind, _) in enumerate(instructions()) if kind == "FROM") :]
    assert "USER" in [kind for kind, _ in final]


def test_the_image_is_built_on_a_fixed_tag_of_no_registry() -> None:
    """Every stage starts from the one base that `--build-arg` can pin by digest."""
    (base,) = [value for kind, value in instructions() if kind == "ARG"]
    assert base == "PYTHON=python:3.12-slim"
    stages = [value for kind, value in instructions() if kind == "FROM"]
    assert [stage.split()[0] for stage in stages] == ["${PYTHON}"] * len(stages)
    assert len(stages) == 2
    assert ":latest" not in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_everything_installed_into_the_image_is_hashed() -> None:
    """Each installation names hashed requirements, or the wheel that was just built, without an index."""
    installs = [
        part
        for kind, value in instructions()
        if kind == "RUN"
        for part in value.split("&&")
        if " install " in part and "pip" in part
    ]
    assert len(installs) == 3
    for command in installs:
        hashed = "--require-hashes" in command and "--only-binary=:all:" in command
        assert hashed or ("--no-index" in command and "--no-deps" in command), command
    assert "ADD" not in [kind for kind, _ in instructions()]
    assert not re.search(r"curl|wget|apt-get|https?://", (ROOT / "Dockerfile").read_text(encoding="utf-8"))


def test_what_the_image_copies_is_there_and_reaches_the_build() -> None:
    """Each source exists, and .dockerignore lets it through."""
    rules = [
        line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"
    ]
    assert rules[0] == "*"
    for kind, value in instructions():
        if kind != "COPY" or value.startswith("--from="):
            continue
        for source in value.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert _reaches(source, rules), source


def _reaches(path: str, rules: list[str]) -> bool:
    """Whether a path is sent to the build: of the rules that match it or a folder above it, the last one counts."""
    parts = path.split("/")
    names = ["/".join(parts[: at + 1]) for at in range(len(parts))]
    kept = True
    for rule in rules:
        if any(fnmatch.fnmatchcase(name, rule.removeprefix("!")) for name in names):
            kept = rule.startswith("!")
    return kept


@pytest.mark.parametrize("path", ["tests/test_deploy.py", ".git/config", ".venv/bin/python", "deploy/README.md"])
def test_nothing_else_reaches_the_build(path: str) -> None:
    """An allow-list: what is new in a checkout stays out until somebody means it."""
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert not _reaches(path, [line for line in rules if line and line[0] != "#"])


def test_the_image_starts_and_checks_the_service() -> None:
    """ENTRYPOINT and HEALTHCHECK in exec form, with arguments that the command line understands."""
    program, *arguments = json.loads(last("ENTRYPOINT"))
    assert program == "guardrail"
    assert parser().parse_args(arguments).verb == "serve"
    program, *arguments = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    assert program == "guardrail"
    assert parser().parse_args(arguments).check is True


def test_the_pins_of_the_image_cover_what_the_service_needs() -> None:
    """The extras of a sidecar and of a replica are all pinned in the file that the image installs."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = {
        re.sub(r"[-_.]+", "-", name).lower()
        for name in re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / "requirements/service.txt").read_text(), re.MULTILINE)
    }
    extras = project["optional-dependencies"]
    needed = [
        *project["dependencies"],
        *(line for name in ("service", "opa", "otel", "postgres") for line in extras[name]),
    ]
    names = {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", line, maxsplit=1)[0]).lower() for line in needed}
    assert sorted(names - pins) == []
