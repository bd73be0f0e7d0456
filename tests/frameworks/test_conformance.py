"""The conformance suite over the adapters of these frameworks: what goes wrong most. `make conformance` runs it all."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from guardrail_adapters.testing import CASES, Adapter, conforms
from guardrail_adapters.testing._ours import adapters_of

OPENAI = adapters_of("openai-agents")
(PYDANTIC,) = adapters_of("pydantic-ai")
(INSPECT,) = adapters_of("inspect")
CHOSEN = [
    *((OPENAI[0], name) for name in ("changed", "retried", "parallel", "crash", "held-record", "restart")),
    *((OPENAI[1], name) for name in ("deny", "swap")),
    *((PYDANTIC, name) for name in ("edit-denied", "flip", "retried", "parallel", "trail", "restart")),
    *((INSPECT, name) for name in ("parallel", "restart")),
]


@pytest.mark.parametrize(("adapter", "name"), CHOSEN, ids=lambda part: getattr(part, "name", part))
def test_adapters_of_frameworks_conform(adapter: Adapter, name: str, tmp_path: Path) -> None:
    """Each case holds."""
    (case,) = (case for case in CASES if case.name == name)
    conforms(adapter, case, tmp_path)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("openai_agents", ["allowed", "denied", "held", "approved"]),
        ("pydantic_ai", ["allowed", "denied", "held", "edited"]),
        ("inspect_approver", ["ran", "approval", "approval", "approvals"]),
    ],
)
def test_the_examples_check_themselves(name: str, told: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An example that is not as it says ends with an error."""
    importlib.import_module(f"examples.{name}.example").main()
    lines = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line in told] == told
