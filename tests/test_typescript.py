"""The TypeScript client: generated from the OpenAPI document of today, compiled strictly, and run against a service."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "adapters/typescript"
TOOLS = CLIENT / "node_modules/.bin"


@pytest.fixture(scope="module")
def tools() -> Path:
    """The pinned compiler and generator; where they are not installed the test is skipped, and fails in CI."""
    if not (TOOLS / "tsc").exists():
        text = "the TypeScript compiler is not installed: `make typescript` gets it"
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)
    return TOOLS


def run(*command: str | Path, cwd: Path = CLIENT, **environment: str) -> str:
    """The output of a program that has to end well."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client, compiled by the strict settings that lie beside it."""
    out = tmp_path_factory.mktemp("dist")
    (out / "package.json").write_text('{"type": "module"}')
    run(tools / "tsc", "--outDir", out)
    return out


def test_the_client_is_generated_from_the_document_of_today(tools: Path, tmp_path: Path) -> None:
    """The document is what the service says, and the types are what the pinned generator makes of it."""
    said = "run `make typescript`, and look at the difference"
    document = runpy.run_path(str(ROOT / "scripts/openapi_document.py"))["document"]
    assert (CLIENT / "openapi.json").read_text() == document(), said
    run(tools / "openapi-typescript", "openapi.json", "--empty-objects-unknown", "--output", tmp_path / "api.ts")
    assert (CLIENT / "src/api.ts").read_text() == (tmp_path / "api.ts").read_text(), said
    manifest = json.loads((CLIENT / "package.json").read_text())
    assert "openapi.json --empty-objects-unknown" in manifest["scripts"]["generate"]
    lock = json.loads((CLIENT / "package-lock.json").read_text())
    assert lock["packages"][""]["devDependencies"] == manifest["devDependencies"]
    assert not [name for name, package in lock["packages"].items() if name and "integrity" not in package]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[str]:
    """The address of a running service."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models/a.safetensors").write_bytes(b"weights")
    (tmp_path / "guardrail.toml").write_text(
        "[limits]\ndecision_ms = 60000\n"
        "[trail]\ntimeout_seconds = 60\n"
        'directory = "trail"\n[[asset]]\nid = "model:a"\nclass = "weights"\npaths = ["models"]\n'
    )
    command = [sys.executable, "-m", "guardrail", "serve", "--config", "guardrail.toml", "--socket", "run/s.sock"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        yield f"unix:{tmp_path}/run/s.sock"
        process.terminate()


def test_the_client_runs_what_a_real_service_allows_and_nothing_else(built: Path, service: str, tmp_path: Path) -> None:
    """The example: a listing runs as it was judged, a copy of weights does not."""
    ran, blocked = run("node", built / "example.js", service, tmp_path).splitlines()
    assert ran == 'ran: {"command":"ls models"}'
    assert blocked.startswith("deny: copy.unsanctioned")


def test_whatever_is_not_a_whole_answer_to_this_question_is_a_denial(built: Path) -> None:
    """Ten ways in which something answers that is no guard, or nothing does: one runs the tool, the guard's own."""
    printed = run("node", ROOT / "tests/typescript_faults.mjs", built / "client.js")
    said = [json.loads(line) for line in printed.splitlines()]
    assert said[0] == ["allows, whole and to this question", "allow", [], True]
    assert len(said) == 10
    for name, outcome, rules, ran in said[1:]:
        assert (outcome, rules, ran) == ("deny", ["guardrail.fault"], False), name
