"""Send the spans of a real service to a running Jaeger, and look through its API for what has arrived.

    jaeger &
    python -m scripts.jaeger_check [--otlp http://127.0.0.1:4318] [--jaeger http://127.0.0.1:16686]

With a sampler that drops everything, an allow, a denial and an escalation are asked for: the last two must arrive, with
the rules that held them, and the first must not. Exits 1 if it is otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from scripts.phoenix_check import WAIT_SECONDS, ask

SERVICE = "guardrail"


def main() -> int:
    """Send, look, and say what came of it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--otlp", default="http://127.0.0.1:4318", help="its OTLP over HTTP; default port 4318")
    options.add_argument("--jaeger", default="http://127.0.0.1:16686", help="its API; default port 16686")
    args = options.parse_args()
    session = f"check-{os.getpid()}-{time.time_ns()}"
    with tempfile.TemporaryDirectory(prefix="jaeger-") as scratch:
        ask(Path(scratch), f"{args.otlp}/v1/traces", session)
    found: list[dict[str, Any]] = []
    end = time.monotonic() + WAIT_SECONDS
    while len(found) < 2 and time.monotonic() < end:
        time.sleep(1.0)
        found = [tags for tags in _spans(args.jaeger) if tags.get("gen_ai.conversation.id") == session]
    for tags in found:
        print(f"a span of outcome {tags['guardrail.outcome']}, rules {tags['guardrail.rules']}")
    return int(sorted(tags["guardrail.outcome"] for tags in found) != ["deny", "escalate"])


def _spans(address: str) -> list[dict[str, Any]]:
    """The attributes of every span of ours."""
    with urllib.request.urlopen(f"{address}/api/traces?service={SERVICE}&limit=1000", timeout=30) as answer:
        traces = json.load(answer)["data"] or ()
    return [{tag["key"]: tag["value"] for tag in span["tags"]} for trace in traces for span in trace["spans"]]


if __name__ == "__main__":
    sys.exit(main())
