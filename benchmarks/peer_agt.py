"""The peer of the benchmark: Microsoft's agent-governance-toolkit, in an environment of its own.

Two of its layers are measured: `govern()` with a YAML policy, which compares the action's name and arguments, and the
Agent Control Specification runtime with a Rego policy, its flagship, which starts an `opa` process for each decision.
Both are asked less than ours is: neither looks at a file, resolves a path or parses a shell line.
Prints the rows that `benchmarks.run` adds to its table, or fails if a policy does not do what it says.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore", DeprecationWarning)

YAML_POLICY = """
apiVersion: governance.toolkit/v1
name: models
agents: ["*"]
default_action: allow
rules:
  - name: no-model-deletion
    condition: "action.type == 'delete_file'"
    action: deny
"""

REGO_POLICY = r"""
package acs
default verdict := {"decision": "allow"}
verdict := {"decision": "deny", "reason": "copy"} if {
	regex.match(`\b(rm|cp|mv|dd|tar|ln|rsync|scp)\b.*models`, input.policy_target.value.command)
}
"""

MANIFEST = """
agent_control_specification_version: "0.3.1-beta"
metadata: {name: bench}
policies:
  main: {type: rego, bundle: policy, query: data.acs.verdict}
intervention_points:
  pre_tool_call:
    policy_target: "$.tool_call.args"
    policy_target_kind: tool_args
    tool_name_from: "$.tool_call.name"
    policy: {id: main}
tools:
  bash: {}
"""

COMMAND = "sha256sum models/a.safetensors"
ACS_ROUNDS = 60
"""Decisions of the process-per-decision layer that are counted; it is three orders of magnitude slower."""


def main() -> None:
    """Measure both layers."""
    rounds = int(sys.argv[1])
    rows = [*_govern(rounds)]
    if shutil.which("opa"):
        rows.append(asyncio.run(_acs()))
    print(json.dumps(rows))


def _govern(rounds: int) -> list[dict[str, Any]]:
    from agentmesh.governance import govern
    from agentmesh.governance.govern import GovernanceDenied

    rows: list[dict[str, Any]] = []
    for audit in (False, True):
        tool = govern(lambda **_: None, policy=YAML_POLICY, audit=audit)
        try:
            tool(action="delete_file", path="models/a.safetensors")
        except GovernanceDenied:
            pass
        else:
            raise SystemExit("the peer's policy does not deny what it should")
        times: list[int] = []
        for _ in range(rounds + 200):
            start = time.perf_counter_ns()
            tool(action="run_command", command=COMMAND)
            times.append(time.perf_counter_ns() - start)
        rows.append(_row(f"AGT 5.0.0 govern(), audit {'in memory' if audit else 'off'}", times[200:]))
    return rows


async def _acs() -> dict[str, Any]:
    from agent_control_specification import AgentControl

    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        (root / "policy").mkdir()
        (root / "policy" / "acs.rego").write_text(REGO_POLICY)
        (root / "manifest.yaml").write_text(MANIFEST)
        runtime = AgentControl.from_path(str(root / "manifest.yaml"))

        async def decide(command: str) -> str:
            call = {"tool_call": {"name": "bash", "args": {"command": command}}}
            answer = await runtime.evaluate_intervention_point("pre_tool_call", call)
            return str(answer.verdict.decision.value)

        if await decide("cp models/a x") != "deny" or await decide(COMMAND) != "allow":
            raise SystemExit("the peer's Rego policy does not do what it should")
        times: list[int] = []
        for _ in range(ACS_ROUNDS + 5):
            start = time.perf_counter_ns()
            await decide(COMMAND)
            times.append(time.perf_counter_ns() - start)
    return _row("AGT 5.0.0 ACS with Rego", times[5:])


def _row(where: str, times: list[int]) -> dict[str, Any]:
    times.sort()
    return {
        "where": where,
        "call": "name and arguments",
        "p50_us": times[len(times) // 2] / 1000,
        "p99_us": times[len(times) * 99 // 100] / 1000,
    }


if __name__ == "__main__":
    main()
