"""Ask a real service everything that its OpenAPI document allows, and much that it does not, with Schemathesis.

    python scripts/fuzz_api.py --schemathesis PATH [--seconds N] [--examples N] [--seed N]

The service is a process of its own with a real guard, trail and policy, one asset and reviewers; it carries nothing
out. Every answer has to be one that the document names, in the shape that it names, and no 5xx. Exits 1 if one is not,
if the service ends or does not end well, or if its log has a fault.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Final

AGENTS: Final = "a-token-that-agents-hold"
PEOPLE: Final = "a-token-that-reviewers-hold"

CONFIG: Final = f"""
[[asset]]
id = "model:beta"
class = "weights"
paths = ["models/beta"]

[trail]
directory = "trail"
timeout_seconds = 60

[limits]
decision_ms = 60000

[service]
token = "{AGENTS}"
reviewer_token = "{PEOPLE}"
"""

SETTINGS: Final = f"""
[auth.openapi.token]
bearer = "{AGENTS}"

[auth.openapi.reviewers]
bearer = "{PEOPLE}"
"""

CHECKS: Final = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "unsupported_method", "allow_header_conformance",
    "ignored_auth",
)  # fmt: skip
"""What is checked of every answer. What a schema cannot say (that `resource.id` is the tool again) is refused with 400,
so that data which fits its schema need not be accepted."""

ENDLESS: Final = "/v1/escalations/events"
"""A stream that only its reader ends; `tests/test_review_service.py` reads it."""

START_SECONDS: Final = 60
"""Longest wait for the service, in seconds."""


def main() -> int:
    """Start the service, let Schemathesis ask it, and say what came of it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--schemathesis", required=True, help="the `schemathesis` program of an environment of its own"
    )
    options.add_argument("--seconds", type=int, default=60, help="how long it may take; default 60")
    options.add_argument("--examples", type=int, default=100, help="most examples of each operation; default 100")
    options.add_argument("--seed", type=int, help="of what is made up; another one each time by default")
    args = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="guardrail-fuzz-") as scratch:
        root = Path(scratch)
        (root / "models/beta").mkdir(parents=True)
        (root / "models/beta/w.safetensors").write_bytes(b"weights")
        (root / "guardrail.toml").write_text(CONFIG)
        (root / "schemathesis.toml").write_text(SETTINGS)
        with (root / "log").open("wb") as log:
            command = [sys.executable, "-m", "guardrail", "serve", "--config", "guardrail.toml", "--port", "0"]
            service = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=log, text=True)
            try:
                code = _ask(_address(service), args, root)
                died = service.poll() is not None
            finally:
                service.terminate()
                ended = service.wait(START_SECONDS)
        faults = (root / "log").read_text(encoding="utf-8", errors="replace").count("guardrail.service.fault")
        print(f"fuzz-api: exit {code} of Schemathesis; the service {'died' if died else f'ended with {ended}'}, "
              f"and its log has {faults} faults")  # fmt: skip
        return int(bool(code or died or ended or faults))


def _address(service: subprocess.Popen[str]) -> str:
    assert service.stdout is not None
    line = service.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+", line)
    if found is None:
        raise SystemExit("fuzz-api: the service did not start")
    return found[0]


def _ask(address: str, args: argparse.Namespace, root: Path) -> int:
    question = urllib.request.Request(f"{address}/openapi.json", headers={"authorization": f"Bearer {AGENTS}"})
    with urllib.request.urlopen(question, timeout=START_SECONDS) as answer:
        (root / "openapi.json").write_bytes(answer.read())
    words = [
        os.path.abspath(args.schemathesis),
        "--config-file",
        "schemathesis.toml",
        "run",
        "openapi.json",
        "--url",
        address,
    ]
    words += ["--checks", ",".join(CHECKS), "--exclude-path", ENDLESS, "--continue-on-failure"]
    words += ["--max-examples", str(args.examples), "--max-time", str(args.seconds), "--request-timeout", "10"]
    words += ["--generation-database", "none", "--no-color", "--warnings", "off"]
    words += [] if args.seed is None else ["--seed", str(args.seed)]
    return subprocess.run(words, cwd=root, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
