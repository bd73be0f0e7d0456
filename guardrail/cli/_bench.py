"""Time the decision by each engine: the same documents, one after the other, on one thread.

Not concerned with the rest of a decision: `make bench` has the whole of it.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guardrail.errors import ConfigError

if TYPE_CHECKING:
    from guardrail.policy import PolicyEngine
    from guardrail.policy._bundle import Bundle

SERVER_SECONDS: Final = 20.0
"""Longest wait for an OPA server to listen, in seconds."""

_WARMUP: Final = 100
_DEADLINE_SECONDS: Final = 10.0


def measure(root: Path, rounds: int, memory_bytes: int) -> list[dict[str, Any]]:
    """Time the engines that can be had here.

    Args:
        root: bundle root with the built policy; an OPA server is started from its sources.
        rounds: decisions that are timed with each.
        memory_bytes: largest memory of a wasm instance, in bytes.

    Returns:
        For each engine `p50_us` and `p99_us`, in microseconds, or why it was left out.

    Raises:
        ConfigError: if the built policy cannot be used.
    """
    from guardrail.policy._bundle import load_bundle
    from guardrail.policy._wasm import WasmEngine

    bundle = load_bundle(root / "build")
    wasm = WasmEngine(bundle, memory_bytes=memory_bytes)
    rows = [{"engine": "wasm", **_timed(wasm, rounds)}]
    try:
        with _opa_server(root) as url:
            rows += _with_server(bundle, wasm, url, rounds)
    except ConfigError as error:
        rows += [{"engine": name, "left_out": str(error)} for name in ("opa", "shadow")]
    finally:
        wasm.close()
    return rows


def _with_server(bundle: Bundle, wasm: Any, url: str, rounds: int) -> list[dict[str, Any]]:
    from guardrail.policy._opa import OpaEngine
    from guardrail.policy._shadow import ShadowEngine

    opa = OpaEngine(bundle, url=url, token="")
    try:
        both = ShadowEngine(wasm, opa)
        return [{"engine": "opa", **_timed(opa, rounds)}, {"engine": "shadow", **_timed(both, rounds)}]
    finally:
        opa.close()


def _timed(engine: PolicyEngine, rounds: int) -> dict[str, Any]:
    import orjson

    from guardrail.policy._examples import expand

    inputs = [e for rule in engine.rules.ids for e in engine.rules[rule].examples.match]
    documents = [orjson.dumps(expand(given)) for given in inputs]
    for document in islice(cycle(documents), _WARMUP):
        engine.decide(document, deadline=time.monotonic() + _DEADLINE_SECONDS)
    taken: list[int] = []
    for document in islice(cycle(documents), rounds):
        deadline = time.monotonic() + _DEADLINE_SECONDS
        started = time.perf_counter_ns()
        engine.decide(document, deadline=deadline)
        taken.append(time.perf_counter_ns() - started)
    taken.sort()
    return {"p50_us": taken[len(taken) // 2] / 1000, "p99_us": taken[len(taken) * 99 // 100] / 1000}


@contextlib.contextmanager
def _opa_server(root: Path) -> Generator[str]:
    """A server with this policy behind a Unix socket of its own."""
    from guardrail.policy._opa import server_command
    from guardrail.policy._opa_binary import Opa

    opa = Opa.find()
    with tempfile.TemporaryDirectory(prefix="guardrail-opa-") as directory:
        path = Path(directory) / "s"
        command = server_command(f"unix://{path}", root)
        process = subprocess.Popen(
            [opa.path, *command[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )
        try:
            _wait_for(path, process)
            yield f"unix://{path}"
        finally:
            process.kill()
            process.wait()


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SERVER_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    raise ConfigError("an OPA server with this policy does not start: `opa run --server` says why")
