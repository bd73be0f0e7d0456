"""`guardrail demo`: what the study's models did, with the guard off and on, on real files."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from guardrail.errors import ConfigError


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    sub = verbs.add_parser(
        "demo",
        help="watch a LangGraph agent copy, re-date and hide a model, guard off and on",
        description="Replays the study's actions on real files in a scratch directory. Needs no network.",
    )
    sub.add_argument("--ask", action="store_true", help="ask you, instead of answering from the script")
    sub.add_argument("--keep", metavar="DIR", help="keep the last world and the trail here")
    sub.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the example that lies beside the package or in the checkout."""
    for module in ("langgraph", "safetensors"):
        if importlib.util.find_spec(module) is None:
            raise ConfigError(
                f"the demo needs `{module}`: install `guardrail-runtime[langgraph]`, `safetensors` and `numpy`"
            )
    argv = [*(["--ask"] if args.ask else []), *(["--keep", args.keep] if args.keep else [])]
    code: int = _example().main(argv)
    return code


def _example() -> Any:
    # In a wheel the examples lie inside the package; in a checkout beside it.
    here = Path(__file__).resolve().parent.parent
    for root in (here / "_examples", here.parent):
        if (root / "examples" / "peer_preservation" / "demo.py").is_file():
            sys.path.insert(0, str(root))
            return importlib.import_module("examples.peer_preservation.demo")
    raise ConfigError("the demo's files are missing: install the package again")
