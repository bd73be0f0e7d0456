"""`guardrail audit`: verify the trail, or show what it holds."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
from collections.abc import Iterator
from typing import Any, Final, cast

from guardrail.cli import positive
from guardrail.cli._words import counted

EXIT_OK: Final = 0
EXIT_DAMAGED: Final = 1
EXIT_USAGE: Final = 2

KINDS: Final = ("config", "intent", "decision", "result", "order", "obligation")
"""What records the guard writes."""


def add(verbs: Any) -> None:
    """Add this verb to the command line."""
    audit = verbs.add_parser(
        "audit",
        help="verify the trail, or show it",
        description="Verify the audit trail from its bytes alone, or show what it holds.",
        epilog="exit codes: 0 the trail is as it was written, 1 it is not, 2 usage",
    )
    actions = audit.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_verify(actions)
    _add_show(actions)


def _add_verify(actions: Any) -> None:
    verify = actions.add_parser(
        "verify",
        help="re-hash every byte and say where it is not what was written",
        description="Re-hash every byte of a trail, check every checkpoint, and name each place that was changed.",
    )
    _where(verify)
    verify.add_argument("--light", action="store_true", help="hashes and signatures only; leaves are not parsed")
    verify.add_argument("--key", metavar="VKEY", help="verifier key kept elsewhere, as text or as a file that holds it")
    verify.add_argument(
        "--checkpoint", metavar="FILE", help="a signed checkpoint kept elsewhere; the trail must contain it"
    )
    verify.set_defaults(run=run, act=_verify)


def _add_show(actions: Any) -> None:
    show = actions.add_parser(
        "show",
        help="list the records",
        description="List the records of a trail; showing them proves nothing, `verify` does.",
    )
    _where(show)
    kinds = ", ".join(KINDS)
    show.add_argument("--kind", action="append", metavar="KIND", help=f"only this kind of {kinds}; may be repeated")
    show.add_argument("--session", metavar="NAME", help="only records of this session")
    show.add_argument("--last", type=positive, metavar="N", help="only the last N of them")
    show.set_defaults(run=run, act=_show)


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", nargs="?", metavar="DIR", help="the trail; by default that of the configuration")
    parser.add_argument("--config", metavar="FILE", help="guardrail.toml whose trail is meant")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Carry out `guardrail audit ...`.

    Returns:
        0 if the trail is as it was written, 1 if not, 2 for wrong usage.
    """
    from guardrail.errors import ConfigError

    if args.directory and args.config:
        raise ConfigError("name the trail either as DIR or by --config, not both")
    directory = args.directory or _configured(args.config)
    try:
        if not _has_trail(directory):
            how = (
                "name the directory that holds one" if args.directory else "this configuration has recorded nothing yet"
            )
            raise ConfigError(f"there is no trail at `{directory}`: {how}")
        code: int = args.act(args, directory)
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # whoever reads what is printed has enough; nothing is wrong with the trail
    except OSError as error:
        raise ConfigError(f"cannot read the trail at `{directory}`: {(error.strerror or str(error)).lower()}") from None
    return code


def _has_trail(directory: str) -> bool:
    # One file of a trail is enough: what is left of a damaged one has to be looked at.
    names = os.listdir(directory) if os.path.isdir(directory) else []
    return any(
        name in ("trail.vkey", "trail.key", "checkpoints", "frontier") or name.endswith(".seg") for name in names
    )


def _configured(given: str | None) -> str:
    from guardrail.audit import trail_directory
    from guardrail.cli import find_config
    from guardrail.config import load

    return str(trail_directory(load(find_config(given))))


# ── verify ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _verify(args: argparse.Namespace, directory: str) -> int:
    from guardrail.audit import verify

    report = verify(
        directory,
        deep=not args.light,
        vkey=_key(args.key),
        checkpoint=_read(args.checkpoint) if args.checkpoint else None,
        progress=_progress if sys.stderr.isatty() else None,
    )
    if args.json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        _print_report(report)
    return EXIT_OK if report.ok else EXIT_DAMAGED


def _key(given: str | None) -> str | None:
    if given is None or ("+" in given and not os.path.exists(given)):
        return given
    return _read(given).strip("\n")


def _read(path: str) -> str:
    from guardrail.errors import ConfigError

    try:
        with open(path, encoding="utf-8", newline="") as stream:
            return stream.read()
    except UnicodeDecodeError:
        raise ConfigError(f"cannot read `{path}`: it is not text in UTF-8") from None
    except OSError as error:
        raise ConfigError(f"cannot read `{path}`: {(error.strerror or str(error)).lower()}") from None


def _progress(records: int, done: int, total: int) -> None:
    share = 100 * done // total if total else 100
    print(f"\r{counted(records, 'record')}, {share} %", end="\n" if done >= total else "", file=sys.stderr, flush=True)


def _print_report(report: Any) -> None:
    from guardrail.printing import visible

    for problem in report.problems:
        print(visible(f"PROBLEM  {problem}"))
    if report.more:
        print(f"PROBLEM  and {report.more} more")
    kind = "every byte and every record" if report.deep else "every byte, records not parsed"
    print(f"{'as written' if report.ok else 'NOT as written'}: {report.directory} ({kind})")
    print(f"  ledger      {report.origin or 'unknown'}")
    print(f"  records     {report.records} in {counted(report.segments, 'segment')}, {counted(report.size, 'byte')}")
    unsigned = report.records - report.signed
    last = "the last one is" if unsigned == 1 else f"the last {unsigned} are"
    tail = f"; {last} chained but not signed" if unsigned > 0 else ""
    signed, checkpoints = counted(report.signed, "record"), counted(report.checkpoints, "checkpoint")
    print(f"  signed      {signed} by {checkpoints}{tail}")
    print(f"  root        {report.root or 'not computed: some records could not be read'}")
    if report.deep:
        # The trail cannot tell them apart: `check` and the service release a call, and nobody reports what came of it.
        why = ": released to a caller that reports no result, or cut off while running" if report.unfinished else ""
        print(f"  unfinished  {counted(report.unfinished, 'intent')} without a result{why}")
    if report.live:
        print("  note        the trail is open for writing; what came after the start of this check is not covered")
    if report.key_source == "given":
        print(f"  key         {report.key} (given)")
    else:
        print(f"  key         {report.key or 'none'}")
        print("              from the trail itself, so this shows only that the trail agrees with itself:")
        print("              keep the key and a checkpoint elsewhere, and pass them as --key and --checkpoint")
    rate = report.records / report.seconds if report.seconds > 0 else 0
    print(f"  took        {report.seconds:.2f} s, {rate:,.0f} records/s")


# ── show ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _show(args: argparse.Namespace, directory: str) -> int:
    from collections import deque

    from guardrail.errors import ConfigError

    unknown = next((kind for kind in args.kind or () if kind not in KINDS), None)
    if unknown is not None:
        raise ConfigError(f"no record is of the kind `{unknown}`: use one of {', '.join(f'`{k}`' for k in KINDS)}")
    rows: Any = _chosen(args, directory)
    if args.last:
        rows = deque(rows, maxlen=args.last)
    for seq, record in rows:
        if args.json:
            print(json.dumps(record, ensure_ascii=True, sort_keys=True, separators=(",", ":")))
        else:
            print(_line(seq, record))
    return EXIT_OK


def _chosen(args: argparse.Namespace, directory: str) -> Iterator[tuple[int, dict[str, Any]]]:
    from guardrail.audit._verify import read_records

    following = missing = 0
    for seq, record in read_records(directory):
        missing, following = missing + max(0, seq - following), seq + 1
        if args.kind and record.get("kind") not in args.kind:
            continue
        if args.session is not None and record.get("session") != args.session:
            continue
        yield seq, record
    if missing:
        print(f"note: {counted(missing, 'record')} cannot be read: see `guardrail audit verify`", file=sys.stderr)


def _line(seq: int, record: dict[str, Any]) -> str:
    """One record as one line: number, time, kind, outcome, rules, assets, agent, and what it is about."""
    from guardrail.printing import visible

    decision, subject = _table(record.get("decision")), _table(record.get("subject"))
    outcome = decision.get("outcome") or record.get("result") or record.get("state") or record.get("event") or "-"
    assets = _list(record.get("assets")) or ([record["asset"]] if record.get("asset") else [])
    fields = [
        f"{seq:>7}",
        _time(record.get("t_us")),
        f"{record.get('kind', '?')!s:<10}",
        f"{outcome!s:<9}",
        _joined(decision.get("rules")),
        _joined(assets),
        # An obligation names its subject, a decision has it as a table with the model and the principal.
        str(subject.get("id") or (not subject and record.get("subject")) or "-"),
        _about(record),
        _observed(record),
    ]
    # Names in records come from agents: nothing of theirs may repaint the terminal.
    return visible("  ".join(field for field in fields if field))


def _observed(record: dict[str, Any]) -> str:
    """What a call that ran would have met with every rule rolled out."""
    observed = _table(record.get("observed"))
    return f"[observed: {observed.get('outcome')} by {_joined(observed.get('rules'))}]" if observed else ""


def _about(record: dict[str, Any]) -> str:
    call, effects = _table(record.get("call")), [_table(effect) for effect in _list(record.get("effects"))]
    if call and "effects" in record:
        ops = dict.fromkeys(str(effect.get("op")) for effect in effects)
        first = next((str(effect["resource"]) for effect in effects if effect.get("resource")), "")
        return f"{call.get('tool')}: {' '.join(ops) or 'no effects'}{' ' + first if first else ''}"
    if isinstance(record.get("intent"), int):
        return f"of record {record['intent']}"
    named = str(record.get("obligation") or record.get("mandate") or record.get("policy") or "")
    # Why a policy was refused, or what is left of what is owed.
    why = record.get("why") or _joined_text(record.get("evidence"))
    return f"{named}: {why}" if why else named


def _joined_text(value: object) -> str:
    return "; ".join(map(str, _list(value)))


def _joined(value: object) -> str:
    return ",".join(map(str, _list(value))) or "-"


def _table(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _time(value: object) -> str:
    try:
        moment = dt.datetime.fromtimestamp(cast("int", value) / 1_000_000, dt.UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return "no time"
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
