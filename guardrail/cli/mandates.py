"""`guardrail mandates`: make a key, write and sign an order, take it back, and see which orders count."""

from __future__ import annotations

import argparse
from typing import Any, Final

from guardrail.cli import _mandates_make, _mandates_revoke, _mandates_show
from guardrail.cli._mandates_text import EXITS

_EXAMPLE: Final = """\
a mandate, before it is signed:
  {
    "id": "retire-beta", "issuer": "dana@example.com", "subject": "ops-agent",
    "not_before": "2026-12-01T00:00:00Z", "not_after": "2026-12-08T00:00:00Z",
    "text": "Copy model beta to the cold store, then delete it here.",
    "grants": [{"effects": ["copy"], "assets": ["model:beta"], "targets": ["/cold/**"], "approval": true},
               {"effects": ["delete"], "assets": ["model:beta"]}],
    "obligations": [{"id": "gone", "effect": "delete", "asset": "model:beta"}]
  }
"""


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    top = verbs.add_parser(
        "mandates",
        help="write, sign and revoke orders, see which count",
        description="Mandates are what people order: signed, for one agent, some assets and a window of time.",
        epilog=f"{_EXAMPLE}\n{EXITS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = top.add_subparsers(dest="action", metavar="ACTION", required=True)
    _mandates_make.add(actions)
    _mandates_show.add(actions)
    _mandates_revoke.add(actions)
