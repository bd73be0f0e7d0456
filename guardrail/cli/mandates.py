"""`guardrail mandates`: make a key, sign an order, and see which orders count."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from guardrail.mandates import Mandate

EXIT_OK: Final = 0
EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2

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

_EXITS: Final = "exit codes: 0 done, 1 refused, 2 usage or configuration"
_VERIFY_EXITS: Final = "exit codes: 0 all of them count now, 1 at least one does not, 2 usage or configuration"
_LIST_EXITS: Final = (
    "exit codes: 0 every file is a genuine mandate, in its window or not; 1 at least one is refused; "
    "2 usage or configuration"
)


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    top = verbs.add_parser(
        "mandates",
        help="make a key, sign an order, see which orders count",
        description="Mandates are what people order: signed, for one agent, some assets and a window of time.",
        epilog=f"{_EXAMPLE}\n{_EXITS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = top.add_subparsers(dest="action", metavar="ACTION", required=True)

    key = actions.add_parser("new-key", help="make a key pair for a person", epilog=_EXITS)
    key.add_argument("file", metavar="FILE", help="where the private key goes; must not exist")
    key.add_argument("--name", required=True, help="the person, for the [[person]] table that is printed")
    key.set_defaults(run=run, act=_new_key)

    sign = actions.add_parser("sign", help="sign a mandate", epilog=_EXITS)
    sign.add_argument("file", metavar="FILE", help="the mandate as JSON; `-` is standard input")
    sign.add_argument("--key", required=True, metavar="FILE", help="the issuer's private key")
    sign.add_argument("--out", metavar="FILE", help="where the signed mandate goes; default ID.mandate.json")
    sign.set_defaults(run=run, act=_sign)

    verify = actions.add_parser(
        "verify", help="check signed mandates against the people of a configuration", epilog=_VERIFY_EXITS
    )
    verify.add_argument("files", nargs="+", metavar="FILE")
    _common(verify)
    verify.set_defaults(run=run, act=_verify)

    listing = actions.add_parser(
        "list", help="list the mandates of a configuration, and which count now", epilog=_LIST_EXITS
    )
    _common(listing)
    listing.set_defaults(run=run, act=_list)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE", help="guardrail.toml; default $GUARDRAIL_CONFIG, then ./guardrail.toml"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Carry out `guardrail mandates ...`.

    Returns:
        0 if it is done or all count, 1 if a mandate was refused.
    """
    code: int = args.act(args)
    return code


def _new_key(args: argparse.Namespace) -> int:
    from guardrail.mandates import new_key

    public = new_key(args.file)
    print(f"# private key in {args.file}, for {args.name} alone; this goes into guardrail.toml:")
    print(f'[[person]]\nname = {json.dumps(args.name)}\nkey = "{public}"')
    return EXIT_OK


def _sign(args: argparse.Namespace) -> int:
    from guardrail.errors import ConfigError
    from guardrail.mandates import Mandate, sign
    from guardrail.mandates._book import SUFFIX
    from guardrail.mandates._signing import load_key
    from guardrail.printing import visible

    mandate = Mandate.from_json(sys.stdin.buffer.read() if args.file == "-" else _read(args.file))
    signed = sign(mandate, load_key(args.key))
    out = Path(args.out or f"{mandate.id}{SUFFIX}")
    fresh = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        # Renamed into place, so that a guard that is looking never reads half of it.
        fresh.write_bytes(signed)
        os.replace(fresh, out)
    except FileNotFoundError:
        raise ConfigError(f"cannot write `{out}`: create the directory `{out.parent}` first") from None
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise ConfigError(f"cannot write `{out}`: {(error.strerror or str(error)).lower()}") from None
    print(visible(f"signed {out}: {_summary(mandate)}"))
    if not out.name.endswith(SUFFIX):
        print(visible(f"note: no guard reads `{out.name}`: its name must end in `{SUFFIX}`"), file=sys.stderr)
    return EXIT_OK


def _verify(args: argparse.Namespace) -> int:
    from guardrail.cli import find_config
    from guardrail.config import load
    from guardrail.errors import ConfigError
    from guardrail.mandates._signing import open_envelope, read_public

    people = {person.name: read_public(person.key) for person in load(find_config(args.config)).people}
    now_us = time.time_ns() // 1000
    rows: list[dict[str, Any]] = []
    for file in args.files:
        data = _read(file)
        try:
            mandate = open_envelope(data, people)
        except ConfigError as error:
            rows.append({"file": file, "ok": False, "state": f"refused: {error}"})
            continue
        reason = mandate.why_not_now(now_us)
        rows.append({"file": file, "ok": reason is None, "state": reason or "counts", **_fields(mandate)})
    return _print(rows, as_json=args.json)


def _list(args: argparse.Namespace) -> int:
    from guardrail.cli import find_config
    from guardrail.config import load
    from guardrail.mandates import MandateBook
    from guardrail.mandates._book import SUFFIX

    config = load(find_config(args.config))
    book = MandateBook(config)
    now_us = time.time_ns() // 1000
    known = {asset.id for asset in config.assets}
    rows: list[dict[str, Any]] = [
        {"file": problem.file, "ok": False, "state": f"refused: {problem.reason}"} for problem in book.problems
    ]
    for mandate in book.mandates:
        reason = mandate.why_not_now(now_us)
        notes = [f"no asset is called `{name}`" for name in mandate.unknown_assets(known)]
        rows.append({"ok": reason is None, "state": reason or "counts", "notes": notes, **_fields(mandate)})
    unread = f"not read: its name does not end in `{SUFFIX}`"
    rows += [{"file": name, "ok": False, "state": unread} for name in book.unread]
    _print(rows, as_json=args.json)
    # A mandate that is over is no fault; one that cannot be read is.
    return EXIT_REFUSED if book.problems else EXIT_OK


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

    return {"id": mandate.id, "summary": _summary(mandate), "mandate": msgspec.to_builtins(mandate)}


def _summary(mandate: Mandate) -> str:
    """What a person should read before and after signing."""
    grants = [
        f"{'/'.join(grant.effects)} {' '.join(grant.assets)}"
        + (f" to {' '.join(grant.targets)}" if grant.targets else "")
        + (" with approval" if grant.approval else "")
        for grant in mandate.grants
    ]
    duties = [f"must {duty.effect} {duty.asset}" for duty in mandate.obligations]
    window = f"{mandate.not_before.isoformat()} to {mandate.not_after.isoformat()}"
    return f"{mandate.issuer} lets {mandate.subject}: {'; '.join((*grants, *duties))}; {window}"


def _read(path: str) -> bytes:
    from guardrail.errors import ConfigError
    from guardrail.mandates._mandate import MAX_MANDATE_BYTES

    try:
        with open(path, "rb") as stream:
            return stream.read(MAX_MANDATE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read `{path}`: {(error.strerror or str(error)).lower()}") from None
