"""The conformance suite over our own adapters, and over one that guards nothing, to show that every case can fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from guardrail_adapters.testing import (
    CASES,
    Adapter,
    Call,
    Case,
    NotConforming,
    Reply,
    Seen,
    Setting,
    Turn,
    Unable,
    conforms,
)
from guardrail_adapters.testing import _deepagents as deepagents
from guardrail_adapters.testing import _hooks as hooks
from guardrail_adapters.testing import _langgraph as langgraph
from guardrail_adapters.testing import _mcp as mcp
from guardrail_adapters.testing import _python as python
from guardrail_adapters.testing._ours import ours
from guardrail_adapters.testing._table import page, stale

WHOLE = (*(langgraph.adapters()[at] for at in (0, 5, 8)), python.adapters()[1], deepagents.adapters()[1])
"""A node; an instrumented agent, async; the middleware, per call; a guarded coroutine; a backend. `make conformance`
runs all."""

IN_PART = ("deny", "approve", "changed", "parallel", "trail", "one-record")
"""Cases for a harness hook and for the MCP relay over HTTP, which have tests of their own as well."""

CHOSEN = [
    *((adapter, case) for adapter in WHOLE for case in CASES),
    *(
        (adapter, case)
        for adapter in (hooks.adapters()[0], mcp.adapters()[1])
        for case in CASES
        if case.name in IN_PART
    ),
]


@pytest.mark.parametrize(("adapter", "case"), CHOSEN, ids=lambda part: part.name)
def test_our_adapters_conform(adapter: Adapter, case: Case, tmp_path: Path) -> None:
    """Each case holds, or the adapter names the reason why it cannot."""
    if case.name in adapter.cannot:
        with pytest.raises(Unable, match=r"\w+ \w+ \w+"):
            conforms(adapter, case, tmp_path)
    else:
        conforms(adapter, case, tmp_path)


class Unguarded:
    """Runs whatever it is given, and says what the tool said."""

    name = "unguarded"
    cannot: Mapping[str, str] = {}

    def missing(self) -> str:
        """Nothing."""
        return ""

    def open(self, setting: Setting) -> Unguarded:
        """Itself."""
        self.setting = setting
        return self

    def start(self, calls: Sequence[Call]) -> Turn:
        """Run them all."""
        seen = {}
        for call in calls:
            seen[call.id] = Seen(text=self.setting.tool(self.setting.layer.rewritten(call.command)), ok=True)
        return Turn(seen=seen)

    def resume(self, replies: Mapping[str, Reply]) -> Turn:
        """Nothing is ever held."""
        return Turn(seen={})

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_unguarded_tool_meets_no_case_but_the_first(case: Case, tmp_path: Path) -> None:
    """Every case but `allow` can fail, and does where nothing is guarded."""
    if case.name == "allow":
        conforms(Unguarded(), case, tmp_path)
        return
    # In the case of the retries its tool's own error is what comes out.
    with pytest.raises((NotConforming, OSError)):
        conforms(Unguarded(), case, tmp_path)


def _command(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "guardrail_adapters.testing", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(root / "adapters"))), "PYTHONWARNINGS": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_one_command_says_who_conforms_and_who_does_not(root: Path) -> None:
    """The exit code is 1 if somebody does not, and each line says what was seen instead."""
    done = _command(root, "tests.adapters.test_conformance:Unguarded", "--case", "allow", "--case", "deny", "--json")
    assert done.returncode == 1, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["case"], line["result"]) for line in lines] == [("allow", "yes"), ("deny", "no")]
    assert "something ran" in lines[1]["why"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody",), "there is no adapter `nobody`: name one of langgraph"),
        (("no.such.module:x",), "the adapter `no.such.module:x` cannot be loaded"),
        (("--case", "nonsense"), "there is no case `nonsense`: name one of allow"),
    ],
)
def test_a_wrong_name_is_a_usage_error(arguments: tuple[str, ...], said: str, root: Path) -> None:
    """Exit code 2 and one sentence."""
    done = _command(root, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("guardrail: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_page_is_what_the_adapters_say(root: Path) -> None:
    """docs/conformance.md has every case and every adapter, and no adapter excuses itself from a case there is not."""
    assert page(ours()) in (root / "docs/conformance.md").read_text(encoding="utf-8"), (
        "run `python -m guardrail_adapters.testing --page docs/conformance.md`"
    )
    assert [(adapter.name, name) for adapter in ours() for name in stale(adapter)] == []
