"""`guardrail audit export`: records as JSON lines, OCSF events, Parquet or CSV."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from guardrail.cli._trail_options import add_selection, selection_of
from guardrail.cli._words import counted

_FORMATS = ("jsonl", "ocsf", "parquet", "csv")


def add(actions: Any, where: Any, kinds: tuple[str, ...]) -> None:
    """Add this action.

    Args:
        actions: the actions of `guardrail audit`.
        where: adds the options that say which trail.
        kinds: what records there are.
    """
    from guardrail.cli import audit

    export = actions.add_parser(
        "export",
        help="write records as JSON lines, OCSF events, Parquet or CSV",
        description="Write the records that are asked for in a format that other programs read. An export proves "
        "nothing: each row has the hash of its leaf, and `prove` proves that leaf.",
    )
    where(export)
    export.add_argument(
        "--format", required=True, choices=_FORMATS, help="jsonl: the leaves byte for byte; ocsf: OCSF 1.8.0 events"
    )
    export.add_argument("-o", "--output", required=True, metavar="FILE", help="where they go; `-` is standard output")
    export.add_argument("--check", action="store_true", help="for ocsf, hold every event against the schema first")
    export.add_argument("--kind", action="append", metavar="KIND", help=f"only this kind of {', '.join(kinds)}")
    add_selection(export)
    export.set_defaults(run=audit.run, act=_export)


def _export(args: argparse.Namespace, directory: str) -> int:
    from guardrail.audit.export import export
    from guardrail.audit.reading import search
    from guardrail.cli._output import written
    from guardrail.cli._trail_show import _check_kinds, _note
    from guardrail.errors import ConfigError

    _check_kinds(args)
    if args.check and args.format != "ocsf":
        raise ConfigError("`--check` is for `--format ocsf`: the other formats have no schema of others")
    if args.json and args.output == "-":
        raise ConfigError("`--json` prints where the records go: name a file with `-o`")
    started = time.monotonic()
    hits = search(directory, selection_of(args), index=not args.no_index, note=_note)
    progress = _progress if sys.stderr.isatty() else None
    if args.output == "-":
        done = export(hits, sys.stdout.buffer, args.format, check=args.check, progress=progress)
    else:
        with written(args.output) as stream:
            done = export(hits, stream, args.format, check=args.check, progress=progress)
    seconds = time.monotonic() - started
    if args.json:
        found = {"output": args.output, "format": args.format, **done._asdict(), "seconds": round(seconds, 3)}
        print(json.dumps(found))
    else:
        lines = "event" if args.format == "ocsf" else "row" if args.format in ("csv", "parquet") else "line"
        print(
            f"{counted(done.records, 'record')} as {counted(done.lines, lines)} in {seconds:.1f} s, "
            f"{done.records / max(seconds, 1e-9):,.0f} records/s",
            file=sys.stderr,
        )
    return 0


def _progress(records: int) -> None:
    print(f"\r{counted(records, 'record')}", end="", file=sys.stderr, flush=True)
