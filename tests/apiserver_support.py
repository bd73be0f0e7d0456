"""A real API server of Kubernetes with its etcd, for the chart: no node, no controller; see `make apiserver`."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.kubernetes import CHART, ROOT, SECONDS, Object, tool
from tests.ports import free_port

TOKEN = "of-the-administrator-of-this-test"
SYSTEM = "guardrail-system"
LOOK_SECONDS = 0.1

NAMESPACES = {"agents": {"pod-security.kubernetes.io/enforce": "restricted"}, SYSTEM: {}, "elsewhere": {}}


class ApiServer:
    """One server, asked as its administrator.

    Args:
        home: a directory of its own.
        version: of Kubernetes, which it behaves as (`--emulated-version`).
    """

    def __init__(self, home: Path, version: str) -> None:
        program = tool("guardrail-apiserver", "run `make apiserver`", must=False)
        self._home = home
        self._port = free_port()
        (home / "tokens.csv").write_text(f"{TOKEN},admin,1,system:masters\n")
        key = home / "accounts.key"
        subprocess.run(["openssl", "genpkey", "-algorithm", "rsa", "-quiet", "-out", str(key)], check=True)
        self._log = (home / "log").open("wb")
        self._process = subprocess.Popen(
            [program, str(home), f"--secure-port={self._port}",
             "--bind-address=127.0.0.1", f"--cert-dir={home}", f"--token-auth-file={home}/tokens.csv",
             "--authorization-mode=RBAC", "--service-account-issuer=https://kubernetes.default.svc",
             f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
             "--service-cluster-ip-range=10.96.0.0/24", f"--emulated-version={version}"],
            stdout=self._log, stderr=self._log, cwd=home,
        )  # fmt: skip
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        self.until("it is ready", self._ready)
        for name, labels in NAMESPACES.items():
            self.make({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
            # A controller makes it in a cluster, and pods are refused without it.
            self.make(
                {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
            )

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(SECONDS)
        finally:
            self._process.kill()
            self._log.close()

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One request.

        Returns:
            The status, and the JSON that came, or the text where it is none.
        """
        trust = ssl.create_default_context(cafile=self._home / "apiserver.crt")
        with contextlib.closing(
            http.client.HTTPSConnection("127.0.0.1", self._port, timeout=SECONDS, context=trust)
        ) as at:
            headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
            at.request(method, path, None if body is None else json.dumps(body), headers)
            answer = at.getresponse()
            text = answer.read().decode()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def make(self, written: Object, *, really: bool = True) -> tuple[int, Object]:
        """Create an object, or only be told what would come of it."""
        names = {"Namespace": "namespaces", "Service": "services", "PersistentVolumeClaim": "persistentvolumeclaims"}
        space = written["metadata"].get("namespace")
        kind = names.get(written["kind"], written["kind"].lower() + "s")
        path = f"/api/v1/{f'namespaces/{space}/' if space else ''}{kind}{'' if really else '?dryRun=All'}"
        return self.ask("POST", path, written)

    def define(self, kind: str) -> None:
        """Have it know one of the kinds of the Prometheus operator, by our schema of them."""
        schema = json.loads((ROOT / "tests/kube/operator.schema.json").read_text())
        (spec,) = (
            each["properties"]["spec"] for each in schema["oneOf"] if each["properties"]["kind"]["const"] == kind
        )
        names = {"kind": kind, "plural": f"{kind.lower()}s", "singular": kind.lower()}
        known = {"type": "object", "properties": {"spec": {"type": "object", **_structural(spec, schema["$defs"])}}}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": known}}
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        metadata = {"name": f"{names['plural']}.monitoring.coreos.com"}
        definition = {"group": "monitoring.coreos.com", "scope": "Namespaced", "names": names, "versions": [version]}
        status, answer = self.ask("POST", path, {"metadata": metadata, "spec": definition})
        assert status == 201, answer
        served = f"/apis/monitoring.coreos.com/v1/{names['plural']}"
        self.until(f"serving {kind}", lambda: self.ask("GET", served)[0] == 200)

    def helm(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Helm, which asks this server what it knows."""
        return self._run(
            [tool("helm"), *words, f"--namespace={SYSTEM}", f"--kube-apiserver=https://127.0.0.1:{self._port}",
             f"--kube-ca-file={self._home}/apiserver.crt", f"--kube-token={TOKEN}"]
        )  # fmt: skip

    def install(self, *options: str) -> None:
        """The chart, as its page says."""
        made = self.helm("install", "guard", str(CHART), *options)
        assert made.returncode == 0, made.stderr

    def kubectl(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """The command of the pages."""
        return self._run(
            [tool("kubectl"), f"--server=https://127.0.0.1:{self._port}", f"--token={TOKEN}",
             f"--certificate-authority={self._home}/apiserver.crt", *words], stdin
        )  # fmt: skip

    def until(self, what: str, holds: Any) -> None:
        """Wait for something; admission policies are in force a moment after they were written.

        Raises:
            AssertionError: if it does not come, with the end of the server's log.
        """
        end = time.monotonic() + SECONDS
        while not holds():
            ended = self._process.poll() is not None
            if ended or time.monotonic() > end:
                tail = (self._home / "log").read_text(errors="replace")[-2000:]
                raise AssertionError(f"not {what}{', the server ended' if ended else ''}: {tail}")
            time.sleep(LOOK_SECONDS)

    def _ready(self) -> bool:
        with contextlib.suppress(OSError, ssl.SSLError):
            return self.ask("GET", "/readyz") == (200, "ok")
        return False

    def _run(self, command: list[str], stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        own = {"HOME": str(self._home), "KUBECONFIG": os.devnull}
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=SECONDS, check=False, env=os.environ | own
        )


def _structural(schema: Any, definitions: Any) -> Any:
    """A JSON Schema in the form that a CustomResourceDefinition takes: nothing referred to, and nothing closed."""
    if isinstance(schema, list):
        return [_structural(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _structural(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if isinstance(schema.get("type"), list):
        return {"x-kubernetes-int-or-string": True}
    typed = {"type": "string", **schema} if isinstance(schema.get("enum"), list) else schema
    return {name: _structural(value, definitions) for name, value in typed.items() if value is not False}


@contextlib.contextmanager
def api_server(home: Path, version: str) -> Iterator[ApiServer]:
    """A server that is ready, and ended afterwards."""
    made = ApiServer(home, version)
    try:
        yield made
    finally:
        made.close()
