"""Options that many verbs take."""

from __future__ import annotations

import argparse

from guardrail.cli import CONFIG_HELP


def where(parser: argparse.ArgumentParser) -> None:
    """Which guard is meant, and for whom the answer is."""
    parser.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON")
