"""Digests from an MLflow registry: a real server, and servers that mean no good."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import os
import random
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guardrail.assets.identity import _mlflow as mlflow_module
from guardrail.assets.identity._claims import Unfit
from guardrail.assets.identity._mlflow import claims_of_version
from guardrail.cli import main
from guardrail.obligations.world._stores import MlflowRegistry
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
SERVER = ROOT / ".venv-mlflow/bin/mlflow"

START_SECONDS = 300
"""Longest that the server may take to start on a busy machine: it makes a database first."""

WEIGHTS = random.Random(7).randbytes(300_000)
SHA256 = hashlib.sha256(WEIGHTS).digest()


class Registry:
    """A running MLflow server, asked as its own client asks it."""

    def __init__(self, address: str) -> None:
        self.address = address

    def post(self, method: str, **body: Any) -> Any:
        """One call that changes something."""
        return self._send(f"/api/2.0/mlflow/{method}", json.dumps(body).encode(), "POST")

    def put(self, path: str, data: bytes) -> None:
        """An artifact, through the server."""
        self._send(f"/api/2.0/mlflow-artifacts/artifacts/{urllib.parse.quote(path)}", data, "PUT")

    def _send(self, path: str, data: bytes, verb: str) -> Any:
        headers = {"Content-Type": "application/json" if verb == "POST" else "application/octet-stream"}
        request = urllib.request.Request(f"{self.address}{path}", data=data, headers=headers, method=verb)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def run(self, experiment: str, **more: Any) -> tuple[str, str]:
        """A new run: its id, and where its artifacts go."""
        made = self.post("experiments/create", name=experiment, **more)
        info = self.post("runs/create", experiment_id=made["experiment_id"])["run"]["info"]
        return info["run_id"], info["artifact_uri"]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """`mlflow server` on a free port, with SQLite and a directory of artifacts."""
    if not SERVER.exists():
        text = "MLflow is not installed: `make .venv-mlflow/.ready` gets it"
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)
    root = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    command = [str(SERVER), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{root}/registry.db", "--artifacts-destination", f"{root}/artifacts"]
    environment = {"PATH": f"{SERVER.parent}:/usr/bin:/bin", "HOME": str(root), "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    with open(root / "log", "wb") as log:
        server = subprocess.Popen(
            command, cwd=root, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _is_up(address):
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(timeout=0.3)
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the MLflow server did not start: {(root / 'log').read_text()[-2000:]}")
        yield Registry(address)
    finally:
        # Its workers are its own session's, and are asked to end with it.
        os.killpg(server.pid, 15)
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, 9)
            server.wait(timeout=30)


def _is_up(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.slow
def test_a_registered_model_is_known_by_its_bytes(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By version, by alias, as a copy of the version; what MLflow puts beside every model is left out."""
    run, place = registry.run("proxied")
    inside = place.removeprefix("mlflow-artifacts:/")
    registry.put(f"{inside}/model/data/weights 1.bin", WEIGHTS)
    registry.put(f"{inside}/model/conda.yaml", b"#" * 5000)
    registry.put(f"{inside}/model/README.md", b"#" * 5000)
    registry.post("registered-models/create", name="beta")
    registry.post("model-versions/create", name="beta", source=f"runs:/{run}/model", run_id=run)
    registry.post("registered-models/alias", name="beta", alias="best", version="1")
    registry.post("registered-models/create", name="copied")
    registry.post("model-versions/create", name="copied", source="models:/beta/1")
    for reference, source in (
        ("mlflow:beta/1", "mlflow:beta/1"),
        ("mlflow:beta@best", "mlflow:beta/1"),
        ("models:/beta/1", "mlflow:beta/1"),
        ("mlflow:copied/1", "mlflow:copied/1"),
    ):
        told, claims = claims_of_version(reference, registry.address, environment={})
        assert (told, [(one.name, one.digest) for one in claims]) == (source, [("data/weights 1.bin", SHA256)])

    (tmp_path / "guardrail.toml").write_text(
        '[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["w"]\n[limits]\ndecision_ms = 60000\n'
        '[trail]\ntimeout_seconds = 60\ndirectory = "trail"\n'
    )
    (tmp_path / "found.bin").write_bytes(WEIGHTS)
    common = ["--config", str(tmp_path / "guardrail.toml")]
    where = ["--tracking-uri", registry.address]
    assert main(["assets", "import", "model:beta", "mlflow:beta@best", *where, *common]) == 0
    assert "1 digests of model:beta from mlflow" in capsys.readouterr().out
    assert main(["assets", "match", str(tmp_path / "found.bin"), *common]) == 3
    assert "its digest is that of data/weights 1.bin in mlflow:beta/1" in capsys.readouterr().out


@pytest.mark.slow
def test_artifacts_on_this_host_are_read_where_they_lie(registry: Registry, tmp_path: Path) -> None:
    """A `file:` root, links not followed."""
    run, place = registry.run("local", artifact_location=f"file://{tmp_path}/root")
    folder = Path(place.removeprefix("file://")) / "model"
    folder.mkdir(parents=True)
    (folder / "w.bin").write_bytes(WEIGHTS)
    (folder / "link.bin").symlink_to(tmp_path / "elsewhere")
    registry.post("registered-models/create", name="local")
    registry.post("model-versions/create", name="local", source=f"{place}/model", run_id=run)
    _, claims = claims_of_version("mlflow:local/1", registry.address, environment={})
    assert [(one.name, one.digest) for one in claims] == [("w.bin", SHA256)]


@pytest.mark.slow
def test_what_the_registry_does_not_have_is_said_in_its_words(registry: Registry) -> None:
    """No such version, no such alias, a store that is not read here."""
    with pytest.raises(Unfit, match="answered 404: Model Version"):
        claims_of_version("mlflow:nobody/7", registry.address, environment={})
    run, _ = registry.run("far", artifact_location="s3://bucket/far")
    registry.post("registered-models/create", name="far")
    registry.post("model-versions/create", name="far", source=f"runs:/{run}/model", run_id=run)
    with pytest.raises(Unfit, match=r"lie at `s3://bucket/far/.*/model`, which is not read here: download them"):
        claims_of_version("mlflow:far/1", registry.address, environment={})


@pytest.mark.slow
def test_a_version_that_was_deleted_is_not_registered_any_more(registry: Registry) -> None:
    """What an obligation to delete it asks, and what the guard does on a person's word, of a real registry."""
    run, place = registry.run("retired")
    registry.put(f"{place.removeprefix('mlflow-artifacts:/')}/model/w.bin", WEIGHTS)
    registry.post("registered-models/create", name="retired")
    registry.post("model-versions/create", name="retired", source=f"runs:/{run}/model", run_id=run)
    asked = MlflowRegistry(registry.address, {})
    assert asked.holds("mlflow:retired/1").result == "present"
    assert [asked.erase(f"mlflow:{name}/1").gone for name in ("retired", "never")] == [1, 0]
    assert asked.holds("mlflow:retired/1").result == "absent"
    assert asked.holds("mlflow:never/1").result == "absent"
    refused = MlflowRegistry("http://127.0.0.1:9", {}).erase("mlflow:retired/1")
    assert (refused.gone, "cannot be asked" in refused.left[0]) == (0, True)


# -- servers that are none, or mean no good

Answer = Callable[[str], tuple[int, dict[str, str], bytes]]


@pytest.fixture
def pretend() -> Iterator[Callable[[Answer], tuple[str, list[Any]]]]:
    """A server that answers whatever a function says, and remembers the headers that it got."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(answer: Answer) -> tuple[str, list[Any]]:
        asked: list[Any] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(dict(self.headers))
                code, headers, body = answer(self.path)
                self.send_response(code)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Nothing on the terminal."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def model(listing: Any, body: bytes = WEIGHTS, place: str = "mlflow-artifacts:/m") -> Answer:
    """A registry with one version; a listing, or a function of the path that is listed."""

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        if "/model-versions/get?" in path:
            return 200, {}, b'{"model_version": {"version": "1", "status": "READY"}}'
        if "get-download-uri" in path:
            return 200, {}, json.dumps({"artifact_uri": place}).encode()
        if "artifacts?" in path:
            return 200, {}, json.dumps(listing(path) if callable(listing) else listing).encode()
        return 200, {}, body

    return answer


ONE = {"files": [{"path": "w.bin", "is_dir": False, "file_size": len(WEIGHTS)}]}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (model(ONE, body=WEIGHTS[:-1]), "came with 299999 bytes instead of 300000"),
        (model({"files": [{"path": "../w", "file_size": 9000}]}), "outside of the model"),
        (model({"files": [{"path": "/etc/w", "file_size": 9000}]}), "outside of the model"),
        (model({"files": "many"}), "no list `files`"),
        (model({"files": [{"is_dir": True}]}), "no `path`"),
        (model(lambda _: {"files": [{"path": "d", "is_dir": True}]}), "more than 5 directories"),
        (model({"files": []}), "has no file of 4096 bytes or more"),
        (model(ONE, place="models:/m/1"), "leads through more than 4 addresses"),
        (model(ONE, place="gs://b/x"), "not read here"),
        (model(ONE, place="/nowhere/at/all"), "where there is nothing here"),
        (model(ONE, place="relative/path"), "relative to the server's own directory"),
        (model(ONE, place="mlflow-artifacts://other:1/m"), "another server, `other:1`"),
        (lambda _: (200, {}, b"<html>"), "not JSON: is it an MLflow server"),
        (lambda _: (200, {}, b"{}"), "has no `model_version.status`"),
        (lambda _: (200, {}, b'{"model_version": {"status": "PENDING"}}'), "`PENDING`: wait until it is ready"),
        (lambda _: (200, {}, b" " * 2000), "more than 1000 bytes"),
        (lambda _: (200, {"Content-Length": "900"}, b"{"), "in the middle of its answer"),
        (lambda _: (302, {"Location": "http://127.0.0.1:9/"}, b""), "another address, which is not followed"),
        (lambda _: (401, {}, b""), "does not let us in (401): set MLFLOW_TRACKING_TOKEN"),
        (lambda _: (500, {}, b"oops"), "answered 500"),
    ],
)
def test_a_server_that_says_odd_things_is_refused_with_the_reason(
    pretend: Any, monkeypatch: pytest.MonkeyPatch, answer: Answer, said: str
) -> None:
    """Bounds, contradictions, ways out of the model, redirections."""
    monkeypatch.setattr(mlflow_module, "MAX_ANSWER_BYTES", 1000)
    monkeypatch.setattr(mlflow_module, "MAX_FOLDERS", 5)
    address, _ = pretend(answer)
    with pytest.raises(Unfit) as caught:
        claims_of_version("mlflow:m/1", address, environment={})
    assert said in str(caught.value)


def test_a_download_is_bounded_in_bytes_files_and_time(pretend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the server has."""
    for name, value, said in (
        ("MAX_ARTIFACT_BYTES", 1000, "larger than 1000 bytes"),
        ("MAX_ARTIFACTS", 0, "more than 0 files"),
        ("IMPORT_SECONDS", -1.0, "took longer than"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(mlflow_module, name, value)
            with pytest.raises(Unfit, match=said):
                claims_of_version("mlflow:m/1", pretend(model(ONE))[0], environment={})


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({"MLFLOW_TRACKING_TOKEN": "t0k"}, "Bearer t0k"),
        (
            {"MLFLOW_TRACKING_USERNAME": "u", "MLFLOW_TRACKING_PASSWORD": "p:q"},
            "Basic " + base64.b64encode(b"u:p:q").decode(),
        ),
        ({}, None),
    ],
)
def test_credentials_come_from_mlflow_s_own_variables(
    pretend: Any, environment: dict[str, str], wanted: str | None
) -> None:
    """And go with every request, downloads too."""
    address, asked = pretend(model(ONE))
    _, claims = claims_of_version("mlflow:m/1", "", environment={**environment, "MLFLOW_TRACKING_URI": address})
    assert [one.digest for one in claims] == [SHA256]
    assert {headers.get("Authorization") for headers in asked} == {wanted}
    assert len(asked) == 4


@pytest.mark.parametrize(
    ("reference", "uri", "said"),
    [
        ("mlflow:beta", "http://127.0.0.1:9", "is named `mlflow:NAME/VERSION`"),
        ("mlflow:beta/latest", "http://127.0.0.1:9", "is named `mlflow:NAME/VERSION`"),
        ("mlflow:a/b/1", "http://127.0.0.1:9", "is named `mlflow:NAME/VERSION`"),
        ("mlflow:beta/1", "", "give its address with `--tracking-uri"),
        ("mlflow:beta/1", "file:///srv/mlruns", "registries without a server are not read"),
        ("mlflow:beta/1", "http://127.0.0.1:9", "cannot be asked"),
    ],
)
def test_what_names_no_version_or_no_server_is_said(reference: str, uri: str, said: str) -> None:
    """Before anything is asked."""
    with pytest.raises(Unfit) as caught:
        claims_of_version(reference, uri, environment={})
    assert said in str(caught.value)
