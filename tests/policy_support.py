"""What the tests of policy share: the corpus, an `opa` binary, and a real OPA server.

Not concerned with the Rego tests; `opa test` runs those.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from guardrail.errors import ConfigError
from guardrail.policy import PolicyEngine
from guardrail.policy._bundle import Bundle, load_bundle
from guardrail.policy._conclude import Answer, read_answer
from guardrail.policy._examples import expand
from guardrail.policy._opa import server_command
from guardrail.policy._opa_binary import HOW_TO_GET_OPA, Opa

ROOT = Path(__file__).resolve().parent.parent
POLICIES = ROOT / "policies"
CASES = ROOT / "tests" / "cases" / "policy"

SERVER_SECONDS = 120.0
"""Longest wait for an OPA server to listen, in seconds."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One decision of the corpus: what it is about, the input in short form, and the outcome with the rules."""

    note: str
    input: Mapping[str, Any]
    outcome: str
    rules: tuple[str, ...]

    @property
    def document(self) -> bytes:
        """The input as an engine gets it."""
        return orjson.dumps(expand(self.input))


def corpus() -> tuple[Case, ...]:
    """Every hand-written decision."""
    cases = []
    for path in sorted(CASES.glob("*.yaml")):
        for item in yaml.safe_load(path.read_text(encoding="utf-8")):
            want = item["want"]
            cases.append(
                Case(
                    note=f"{path.stem}: {item['note']}",
                    input=item["input"],
                    outcome=want["outcome"],
                    rules=tuple(sorted(want.get("rules", ()))),
                )
            )
    return tuple(cases)


def bundle() -> Bundle:
    """The built policy of the checkout."""
    return load_bundle(POLICIES / "build")


def find_opa() -> Opa:
    """The `opa` binary; where there must be one and is none, that is a failure."""
    try:
        return Opa.find()
    except ConfigError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(f"no `opa` binary: {HOW_TO_GET_OPA}")


def ask(engine: PolicyEngine, document: bytes, seconds: float = 10.0) -> Answer:
    """One decision, taken apart."""
    return read_answer(engine.decide(document, deadline=time.monotonic() + seconds).answer)


def normal(answer: Answer) -> tuple[Any, ...]:
    """An answer in a form that compares: hits and uses come in any order."""
    return answer.outcome, answer.revision, sorted(map(repr, answer.hits)), sorted(map(repr, answer.uses))


@contextlib.contextmanager
def opa_server(url: str, command: Sequence[str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A real OPA server with the policy of the checkout, listening when this is entered and gone when it is left."""
    binary = find_opa().path
    arguments = list(command if command is not None else server_command(url))[1:]
    process = subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(url, process)
        yield process
    finally:
        process.kill()
        process.wait(SERVER_SECONDS)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SERVER_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"the OPA server ended with code {process.returncode}")
        with contextlib.suppress(OSError), _connect(url):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    pytest.fail(f"no OPA server listened at {url} within {SERVER_SECONDS} s")


def _connect(url: str) -> socket.socket:
    if url.startswith("unix://"):
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(url.removeprefix("unix://"))
        except OSError:
            connection.close()
            raise
        return connection
    host, _, port = url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=1)
