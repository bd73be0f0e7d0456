"""The MCP relay with the 1.x line of the official SDK on both sides, which many agents still have."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.adapters.test_mcp_http import processes, relayed_sdk, sdk
from tests.mandate_support import Place
from tests.mcp_support import ROOT, reference_server, relay_command

__all__ = ["processes"]

NEUTRAL = "This action is not permitted here and was not carried out."


@pytest.fixture
def old() -> list[str]:
    """The SDK's command, in its own environment; `make adapters` makes it, and CI does not."""
    python = ROOT / ".venv-mcp-lowest/bin/python"
    if not python.exists():
        pytest.skip("the 1.x line of the SDK is not set up here: `make .venv-mcp-lowest/.ready` does it")
    return [str(python), "-W", "ignore", str(ROOT / "tests/mcp_sdk_1.py")]


def test_the_older_sdk_speaks_through_the_relay_over_http(
    old: list[str], tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    """Client and server of 1.x: what passes is as without the relay, and what is denied is a result."""
    upstream, url = relayed_sdk(Place(tmp_path), processes, old)
    key = str(tmp_path / "trail/trail.key")
    calls = [
        ("read_file", {"path": "elsewhere/x"}),
        ("slow", {"steps": 3}),
        ("write_file", {"path": key, "content": "mine"}),
    ]
    direct, relayed = sdk([["legacy", upstream], ["legacy", url]], calls, old)
    assert relayed["said"].pop("write_file") == [True, NEUTRAL]
    assert direct["said"].pop("write_file")[0] is False
    assert relayed == direct


def test_the_older_sdk_speaks_through_the_relay_over_standard_input(old: list[str], tmp_path: Path) -> None:
    """A client of 1.x, and server-everything from npm."""
    command = relay_command(Place(tmp_path), "--hold", "0", command=[*reference_server("server-everything"), "stdio"])
    (said,) = sdk([["legacy", command]], [("echo", {"message": "hi"})], old)
    assert said["said"]["echo"] == [False, "Echo: hi"]
