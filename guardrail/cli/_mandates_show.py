"""`guardrail mandates verify` and `list`: which orders count now, and why the others do not."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli._mandates_text import EXIT_OK, EXIT_REFUSED, open_ledger, read_file
from guardrail.cli._options import where

if TYPE_CHECKING:
    from guardrail.mandates import Mandate

_VERIFY_EXITS: Final = "exit codes: 0 all of them count now, 1 at least one does not, 2 usage or configuration"
_LIST_EXITS: Final = (
    "exit codes: 0 every file is a genuine mandate, in its window or not; 1 at least one is refused; "
    "2 usage or configuration"
)


def add(actions: Any) -> None:
    """Add these actions to the command line."""
    verify = actions.add_parser(
        "verify", help="check signed mandates against the people of a configuration", epilog=_VERIFY_EXITS
    )
    verify.add_argument("files", nargs="+", metavar="FILE")
    where(verify)
    verify.set_defaults(run=_verify)

    listing = actions.add_parser(
        "list", help="list the mandates of a configuration, and which count now", epilog=_LIST_EXITS
    )
    where(listing)
    listing.set_defaults(run=_list)


def _verify(args: argparse.Namespace) -> int:
    from guardrail.cli import find_config
    from guardrail.config import load
    from guardrail.errors import ConfigError
    from guardrail.mandates import MandateBook
    from guardrail.mandates._signing import open_envelope, public_keys

    config = load(find_config(args.config))
    people = public_keys(config)
    book = MandateBook(config, open_ledger(config, readonly=True))
    now_us = time.time_ns() // 1000
    rows: list[dict[str, Any]] = []
    for file in args.files:
        data = read_file(file)
        try:
            mandate = open_envelope(data, people)
        except ConfigError as error:
            rows.append({"file": file, "ok": False, "state": f"refused: {error}"})
            continue
        reason = book.why_nobody(mandate, now_us)
        rows.append({"file": file, "ok": reason is None, "state": reason or "counts", **_fields(mandate)})
    return _print(rows, as_json=args.json)


def _list(args: argparse.Namespace) -> int:
    import msgspec

    from guardrail.central import TakeUp
    from guardrail.cli import find_config
    from guardrail.config import load
    from guardrail.mandates import MandateBook
    from guardrail.mandates._listing import listed

    config = TakeUp(load(find_config(args.config)), keep=False).merged()
    rows = listed(config, MandateBook(config, open_ledger(config, readonly=True)), time.time_ns() // 1000)
    _print([msgspec.to_builtins(row) for row in rows], as_json=args.json)
    # A mandate that is over is no fault; one that cannot be read is.
    return EXIT_REFUSED if any(row.stands == "refused" for row in rows) else EXIT_OK


def _print(rows: list[dict[str, Any]], *, as_json: bool) -> int:
    from guardrail.printing import visible

    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        for row in rows:
            name = row.get("id") or row["file"]
            detail = f": {row['summary']}" if "summary" in row else ""
            state = "; ".join((row["state"], *row.get("notes", ())))
            print(visible(f"{'ok ' if row['ok'] else 'NO '} {name}{detail} ({state})"))
        if not rows:
            print("no mandates: nothing on an asset is sanctioned")
    return EXIT_OK if all(row["ok"] for row in rows) else EXIT_REFUSED


def _fields(mandate: Mandate) -> dict[str, Any]:
    import msgspec

    from guardrail.mandates._listing import summary

    return {"id": mandate.id, "summary": summary(mandate), "mandate": msgspec.to_builtins(mandate)}
