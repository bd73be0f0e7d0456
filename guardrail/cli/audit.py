"""`guardrail audit`: verify the trail, show what it holds, prove one record of it, and hand it on in other formats."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli import _trail_case, _trail_export, _trail_keep, _trail_prove, _trail_show, _trail_witness, positive
from guardrail.cli._input import read_text, vkeys
from guardrail.cli._words import counted
from guardrail.names import RECORD_KINDS

if TYPE_CHECKING:
    from guardrail.audit._report import Report

EXIT_OK: Final = 0
EXIT_DAMAGED: Final = 1
EXIT_USAGE: Final = 2


def add(verbs: Any) -> None:
    """Add this verb to the command line."""
    audit = verbs.add_parser(
        "audit",
        help="verify the trail, show it, prove a record, export it",
        description="Verify the audit trail from its bytes alone, show what it holds, prove one record, or export it.",
        epilog="exit codes: 0 the trail is as it was written, 1 it is not, 2 usage",
    )
    actions = audit.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_verify(actions)
    for module in (_trail_show, _trail_prove, _trail_export):
        module.add(actions, _where, RECORD_KINDS)
    _trail_case.add(actions, _where)
    _add_migrate(actions)
    _trail_keep.add(actions, _where, run)
    _trail_witness.add(actions)


def _add_verify(actions: Any) -> None:
    verify = actions.add_parser(
        "verify",
        help="re-hash every byte and say where it is not what was written",
        description="Re-hash every byte of a trail, check every checkpoint, and name each place that was changed.",
    )
    _where(verify)
    add_evidence(verify)
    verify.add_argument("--quorum", type=positive, default=0, metavar="N", help="how many of them are enough; all")
    verify.add_argument(
        "--seen", action="append", default=[], metavar="SIZE:ROOT",
        help="guardrail.audit.size and guardrail.audit.root as telemetry has shown them; may be repeated",
    )  # fmt: skip
    verify.add_argument(
        "--person", action="append", default=[], metavar="NAME=KEY",
        help="a key of somebody, such as one that they had before, to check what they signed; may be repeated",
    )  # fmt: skip
    verify.add_argument(
        "--jobs", type=positive, metavar="N", help="processes that read a large trail; as many as there are cores"
    )
    verify.set_defaults(run=run, act=_verify)


def add_evidence(parser: argparse.ArgumentParser) -> None:
    """Add what a trail is compared with, and how deep."""
    parser.add_argument("--light", action="store_true", help="hashes and signatures only; leaves are not parsed")
    parser.add_argument("--key", metavar="VKEY", help="verifier key kept elsewhere, as text or as a file that holds it")
    parser.add_argument(
        "--checkpoint", metavar="FILE", help="signed checkpoints kept elsewhere; the trail must contain what they cover"
    )
    parser.add_argument(
        "--witness", action="append", default=[], metavar="VKEY",
        help="verifier key of a witness that must have cosigned it; may be repeated",
    )  # fmt: skip


def verified(args: argparse.Namespace, directory: str, *, jobs: int = 0, **more: Any) -> Report:
    """What the verifier says of a trail, compared with the evidence that is given.

    Args:
        args: with `directory`, `config`, and what `add_evidence` adds.
        directory: the trail.
        jobs: most processes that read; 0 means as many as there are cores.
        **more: what else `guardrail.audit.verify` takes.
    """
    from guardrail.audit import verify

    return verify(
        directory,
        deep=not args.light,
        vkey=vkeys(args.key) if args.key is not None else None,
        checkpoint=read_text(args.checkpoint) if args.checkpoint else None,
        witnesses=[vkeys(given) for given in args.witness],
        people=None if args.directory else _people(args.config),
        jobs=jobs or len(os.sched_getaffinity(0)),
        progress=_progress if sys.stderr.isatty() else None,
        **more,
    )


def _add_migrate(actions: Any) -> None:
    migrate = actions.add_parser(
        "migrate",
        help="make or update the tables of a shared trail",
        description="Make the tables of a shared trail in PostgreSQL, or bring them up to this release, as their owner."
        " Replicas need fewer rights than that: see docs/postgres.md.",
    )
    migrate.add_argument("store", metavar="URL", help="the database, as a role that may create a schema in it")
    migrate.set_defaults(run=run_migrate)


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "directory",
        nargs="?",
        metavar="DIR|URL",
        help="the trail, or its database; by default that of the configuration",
    )
    parser.add_argument("--config", metavar="FILE", help="guardrail.toml whose trail is meant")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Carry out `guardrail audit ...`.

    Returns:
        0 if the trail is as it was written, 1 if not, 2 for wrong usage.
    """
    from guardrail.audit import is_store, need_driver
    from guardrail.errors import ConfigError

    if args.directory and args.config:
        raise ConfigError("name the trail either as DIR or by --config, not both")
    directory = args.directory or _configured(args.config)
    if shared := is_store(directory):
        need_driver()
    try:
        if not shared and not _has_trail(directory):
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


def run_migrate(args: argparse.Namespace) -> int:
    """Carry out `guardrail audit migrate`.

    Returns:
        0; what cannot be done is an error.
    """
    from guardrail.audit import is_store, need_driver
    from guardrail.errors import ConfigError

    if not is_store(args.store):
        raise ConfigError("name the database as `postgresql://host/database` or `service=name`")
    need_driver()
    from guardrail.audit.postgres import migrate_store

    applied = migrate_store(args.store)
    for name in applied:
        print(f"applied {name}")
    if not applied:
        print("nothing to do: the tables are those of this release")
    return EXIT_OK


def _has_trail(directory: str) -> bool:
    # One file of a trail is enough: what is left of a damaged one has to be looked at.
    names = os.listdir(directory) if os.path.isdir(directory) else []
    return any(
        name in ("trail.vkey", "trail.key", "checkpoints", "frontier") or name.endswith(".seg") for name in names
    )


def _configured(given: str | None) -> str:
    from guardrail.audit import trail_place
    from guardrail.cli import find_config
    from guardrail.config import load

    return trail_place(load(find_config(given)))


# ── verify ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _verify(args: argparse.Namespace, directory: str) -> int:
    from guardrail.errors import ConfigError

    if args.quorum > len(args.witness):
        raise ConfigError(f"a quorum of {args.quorum} needs as many --witness keys, and there are {len(args.witness)}")
    report = verified(
        args,
        directory,
        jobs=args.jobs or 0,
        quorum=args.quorum,
        seen=[_seen(given) for given in args.seen],
        former=[_person(given) for given in args.person],
    )
    if args.json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        _print_report(report)
    return EXIT_OK if report.ok else EXIT_DAMAGED


def _seen(given: str) -> tuple[int, str]:
    from guardrail.errors import ConfigError

    size, _, root = given.partition(":")
    if not (size.isascii() and size.isdigit()) or len(root) != 64 or set(root) - set("0123456789abcdef"):
        raise ConfigError(f"`{given}` is no size and root such as `4711:` and 64 hexadecimal digits")
    return int(size), root


def _people(given: str | None) -> dict[str, bytes]:
    from guardrail.cli import find_config
    from guardrail.config import load
    from guardrail.mandates import public_keys

    return public_keys(load(find_config(given)))


def _person(given: str) -> tuple[str, bytes]:
    from guardrail.errors import ConfigError
    from guardrail.mandates._signing import read_public

    name, equals, key = given.partition("=")
    if not (name and equals):
        raise ConfigError(f"`{given}` is no person and key such as `dana=ed25519:` and 32 bytes in base64")
    return name, read_public(key)


def _progress(records: int, done: int, total: int) -> None:
    share = 100 * done // total if total else 100
    print(f"\r{counted(records, 'record')}, {share} %", end="\n" if done >= total else "", file=sys.stderr, flush=True)


def _print_report(report: Report) -> None:
    from guardrail.printing import visible

    for problem in report.problems:
        print(visible(f"PROBLEM  {problem}"))
    if report.more:
        print(f"PROBLEM  and {report.more} more")
    kind = "every byte and every record" if report.deep else "every byte, records not parsed"
    print(f"{'as written' if report.ok else 'NOT as written'}: {report.directory} ({kind})")
    print(f"  ledger      {report.origin or 'unknown'}")
    held = f"{counted(report.segments, 'segment')}, " if report.segments or report.size == 0 else "the database, "
    print(f"  records     {report.records} in {held}{counted(report.size, 'byte')}")
    last = "the last one is" if report.unsigned == 1 else f"the last {report.unsigned} are"
    tail = f"; {last} chained but not signed" if report.unsigned else ""
    signed, checkpoints = counted(report.signed, "record"), counted(report.checkpoints, "checkpoint")
    print(f"  signed      {signed} by {checkpoints}{tail}")
    print(f"  root        {report.root or 'not computed: some records could not be read'}")
    if report.deep:
        # The trail cannot tell them apart: `check` and the service release a call, and nobody reports what came of it.
        why = ": released to a caller that reports no result, or cut off while running" if report.unfinished else ""
        print(f"  unfinished  {counted(report.unfinished, 'intent')} without a result{why}")
        _print_said(report)
    _print_kept(report)
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


def _print_said(report: Report) -> None:
    """What people said, where there is any of it."""
    parts = [f"{counted(report.signatures, 'signature')} of people verified"] if report.signatures else []
    if report.signatures_unchecked:
        parts += [f"{report.signatures_unchecked} not checked: give the keys by --config, or as --person"]
    parts += [f"{report.signed_in} by sign-in, which is the provider's word"] if report.signed_in else []
    parts += [f"{report.unsigned_votes} unsigned"] if report.unsigned_votes else []
    if parts:
        print(f"  votes       {'; '.join(parts)}")


def _print_kept(report: Report) -> None:
    """What was pruned, held, redacted and witnessed, where there is any of it."""
    from guardrail.printing import moment, visible

    if report.pruned:
        by = " and ".join(report.pruned["by"]) or "nobody that the trail names"
        print(visible(f"  pruned      records before {report.pruned['minimum']}, by order of {by}"))
    for name in report.holds:
        print(visible(f"  hold        {name}"))
    if report.redactions or report.disclosures or report.disclosures_missing:
        gone = f", {report.disclosures_missing} missing" if report.disclosures_missing else ""
        print(f"  disclosed   {report.disclosures} can be opened, {report.redactions} redacted{gone}")
    for name, size, at in report.witnesses:
        print(visible(f"  witness     {name} has seen {counted(size, 'record')}, last at {moment(1_000_000 * at)}"))
    if len(report.keys) > 1:
        print(f"  keys        {counted(len(report.keys), 'key')}, each named by a record under the one before")
