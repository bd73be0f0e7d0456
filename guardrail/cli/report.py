"""`guardrail report`: what the trail of a period shows, as one HTML file for people who were not there."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any

from guardrail.cli import audit
from guardrail.cli._trail_options import add_period, selection_of
from guardrail.cli._words import counted

EXIT_OK = 0
EXIT_DAMAGED = 1

COSIGNATURE_BYTES = 72
"""Length of a timestamped Ed25519 cosignature, in bytes: the time and the signature."""


def add(verbs: Any) -> None:
    """Add this verb to the command line."""
    report = verbs.add_parser(
        "report",
        help="a report on a period for auditors, as one HTML file",
        description="Verify the trail and write what it shows of a period: one HTML file with charts and tables, "
        "without scripts, printable. It says which controls the evidence is relevant to, and how far it reaches.",
        epilog="exit codes: 0 written, and the trail is as it was written; 1 written, and it is not; 2 usage",
    )
    report.add_argument("directory", nargs="?", metavar="DIR", help="the trail; by default that of the configuration")
    report.add_argument("--config", metavar="FILE", help="guardrail.toml whose trail is meant")
    add_period(report)
    report.add_argument("-o", "--output", required=True, metavar="FILE", help="where the report goes")
    audit.add_evidence(report)
    report.add_argument("--no-index", action="store_true", help="read the trail itself, even if it has an index")
    report.add_argument("--json", action="store_true", help="print the main numbers as JSON too")
    report.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the report.

    Returns:
        0 if the trail is as it was written, 1 if not.
    """
    args.act = _report
    return audit.run(args)


def _report(args: argparse.Namespace, directory: str) -> int:
    from guardrail import __version__
    from guardrail.analysis import page
    from guardrail.analysis._html import Made
    from guardrail.audit import is_store
    from guardrail.cli._output import written

    selection = selection_of(args)
    started = time.monotonic()
    found = _verified(args, directory)
    summary = _summary(args, directory, selection)
    made = Made(
        at_us=time.time_ns() // 1000,
        # Where a database is: the verifier names it without its password.
        trail=str(found["directory"]) if is_store(directory) else os.path.abspath(directory),
        version=__version__,
        verification=found,
        checkpoint_us=_signed_us(directory),
        cosigned=_cosigned(directory),
    )
    text = page(summary, made)
    with written(args.output) as stream:
        stream.write(text.encode())
    seconds = time.monotonic() - started
    ok = bool(found["ok"])
    if args.json:
        shown = {"output": args.output, "ok": ok, "deep": found["deep"], "seconds": round(seconds, 3)}
        print(json.dumps(shown | summary.to_dict()))
    else:
        state = "as written" if ok else "NOT as written"
        kind = "deep" if found["deep"] else "light"
        print(f"wrote {args.output}: {counted(summary.records, 'record')} in {seconds:.1f} s; trail {state} ({kind})")
    return EXIT_OK if ok else EXIT_DAMAGED


def _verified(args: argparse.Namespace, directory: str) -> dict[str, Any]:
    """What the verifier says of the whole trail."""
    found = audit.verified(args, directory)
    listed = [str(problem) for problem in found.problems]
    return found.to_dict() | {"problems": listed, "checkpoint_given": bool(args.checkpoint)}


def _summary(args: argparse.Namespace, directory: str, selection: Any) -> Any:
    from guardrail.analysis import summarise
    from guardrail.audit.reading import begin_of, read_leaves

    start = None if args.no_index else begin_of(directory, selection.since_us)
    progress = _progress if sys.stderr.isatty() else None
    summary = summarise(read_leaves(directory, start), selection, progress=progress)
    if progress is not None:
        print(file=sys.stderr)
    return summary


def _progress(records: int) -> None:
    print(f"\r{counted(records, 'record')} read", end="", file=sys.stderr, flush=True)


def _signed_us(directory: str) -> int | None:
    """When the file of checkpoints was last written to; the notes themselves carry no time."""
    try:
        # Tables do not say when a row came: of a trail in a database this is not known.
        return os.stat(os.path.join(directory, "checkpoints")).st_mtime_ns // 1000
    except OSError:
        return None


def _cosigned(directory: str) -> tuple[tuple[str, int, int], ...]:
    """What witnesses are said to have seen: name, records, and seconds since the epoch; not checked here."""
    from guardrail.audit._verify_note import cosigned_at, read_note, split_notes

    found: dict[str, tuple[str, int, int]] = {}
    for _, text in split_notes(_cosigned_notes(directory)):
        try:
            note = read_note(text, cosigned=True)
        except ValueError:
            continue  # `verify` says so
        for line in note.lines:
            if line.name != note.origin and len(line.signature) == COSIGNATURE_BYTES:
                found[line.name] = (line.name, note.size, cosigned_at(line.signature))
    return tuple(found.values())


def _cosigned_notes(directory: str) -> bytes:
    from guardrail.audit import is_store

    if is_store(directory):
        from guardrail.audit.postgres import Reader

        with Reader.open(directory) as reader:
            return reader.cosigned()
    try:
        with open(os.path.join(directory, "cosigned"), "rb") as stream:
            return stream.read()
    except OSError:
        return b""
