"""`guardrail mandates`: make a key, write and sign an order, take it back, and see which orders count."""

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
    from collections.abc import Iterator

    from guardrail.config import Config
    from guardrail.mandates import Mandate, MandateBook

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

_REVOKE: Final = (
    "The id is ended for good: a mandate that is signed later under it does not count either. "
    "Running guards honour it with the next call."
)
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
        help="write, sign and revoke orders, see which count",
        description="Mandates are what people order: signed, for one agent, some assets and a window of time.",
        epilog=f"{_EXAMPLE}\n{_EXITS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = top.add_subparsers(dest="action", metavar="ACTION", required=True)

    key = actions.add_parser("new-key", help="make a key pair for a person", epilog=_EXITS)
    key.add_argument("file", metavar="FILE", help="where the private key goes; must not exist")
    key.add_argument("--name", required=True, help="the person, for the [[person]] table that is printed")
    key.set_defaults(run=run, act=_new_key)

    new = actions.add_parser("new", help="write an order, to be signed", epilog=_EXITS)
    new.add_argument("--issuer", required=True, metavar="NAME", help="the [[person]] who will sign it")
    new.add_argument("--subject", required=True, metavar="GLOB", help="the agents it is for")
    new.add_argument("--id", help="its name; default one made of the date")
    new.add_argument("--model", metavar="GLOB", help="only for agents with such a model")
    new.add_argument("--session", metavar="GLOB", help="only in such sessions")
    new.add_argument("--text", default="", help="the order in words, for people")
    new.add_argument("--effect", action="append", default=[], metavar="OP", help="what may be done; may be repeated")
    new.add_argument("--asset", action="append", default=[], metavar="GLOB", help="to which assets; may be repeated")
    new.add_argument(
        "--target", action="append", default=[], metavar="GLOB", help="whereto, or `zone:NAME`; may be repeated"
    )
    new.add_argument(
        "--uses", type=int, metavar="N", help="how many calls may be released under it; default any number"
    )
    new.add_argument("--approval", action="store_true", help="a person must still approve each call")
    new.add_argument("--registered-from", metavar="DATE", help="only assets registered on that day or later")
    new.add_argument("--registered-until", metavar="DATE", help="only assets registered on that day or before")
    new.add_argument("--must", action="append", default=[], metavar="ASSET", help="an asset that must be deleted")
    new.add_argument(
        "--must-call",
        action="append",
        default=[],
        metavar="ASSET",
        help="a service that must be called, such as one that shuts a model down",
    )
    new.add_argument("--due", metavar="TIME", help="RFC 3339, until when what must be done has to be; default --until")
    new.add_argument(
        "--fallback", action="store_true", help="when it is due and not deleted, the guard deletes it itself"
    )
    new.add_argument("--from", dest="start", metavar="TIME", help="RFC 3339, from when on it holds; default now")
    new.add_argument("--until", dest="end", metavar="TIME", help="RFC 3339, until when; default after --days")
    new.add_argument("--days", type=float, default=7, help="how long it holds, in days; default 7")
    new.add_argument("--out", metavar="FILE", help="where it goes; default standard output")
    new.set_defaults(run=run, act=_new)

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

    revoke = actions.add_parser(
        "revoke", help="take an order back, at once and for good", description=_REVOKE, epilog=_EXITS
    )
    revoke.add_argument("mandate", metavar="ID|FILE", help="the mandate's id, or its signed file")
    revoke.add_argument("--key", required=True, metavar="FILE", help="private key of the issuer or of a revoker")
    revoke.add_argument("--reason", default="", help="why, for people")
    revoke.add_argument("--out", metavar="FILE", help="where it goes; default the directory of mandates")
    revoke.add_argument(
        "--config", metavar="FILE", help="guardrail.toml; default $GUARDRAIL_CONFIG, then ./guardrail.toml"
    )
    revoke.set_defaults(run=run, act=_revoke)


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


def _new(args: argparse.Namespace) -> int:
    import datetime as dt

    from guardrail.mandates import Mandate
    from guardrail.printing import visible

    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    start = args.start or now.isoformat()
    end = args.end or (_moment(start) + dt.timedelta(days=args.days)).isoformat()
    order: dict[str, Any] = {
        "id": args.id or f"m-{now:%Y%m%d-%H%M%S}",
        "issuer": args.issuer,
        "subject": args.subject,
        "not_before": start,
        "not_after": end,
        "grants": [_grant(args)] if args.effect or args.asset or args.target else [],
        "obligations": [
            {"id": f"{effect}-{number}", "effect": effect, "asset": asset}
            | ({"due": args.due} if args.due else {})
            | ({"fallback": "guardrail"} if args.fallback and effect == "delete" else {})
            for effect, assets in (("delete", args.must), ("service", args.must_call))
            for number, asset in enumerate(assets, 1)
        ],
    }
    order |= {name: value for name in ("model", "session", "text") if (value := getattr(args, name))}
    text = json.dumps(order, indent=2) + "\n"
    mandate = Mandate.from_json(text)
    if args.out is None:
        sys.stdout.write(text)
    else:
        _write(Path(args.out), text.encode())
        print(visible(f"wrote {args.out}: {summary(mandate)}"))
        print(f"it grants nothing yet: read it, then sign it with `guardrail mandates sign {args.out} --key FILE`")
    _print_without_target(mandate)
    return EXIT_OK


def _print_without_target(mandate: Mandate) -> None:
    for effect in mandate.without_target():
        print(f"note: {_without_target(effect)}: add `--target`, or `targets` to the grant", file=sys.stderr)


def _without_target(effect: str) -> str:
    return f"`{effect}` goes nowhere without a target, so it is not allowed"


def _moment(text: str) -> Any:
    import datetime as dt

    from guardrail.errors import ConfigError

    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ConfigError(f"`--from` must be a time such as 2026-12-01T00:00:00Z, not `{text}`")
    return moment


def _grant(args: argparse.Namespace) -> dict[str, Any]:
    grant: dict[str, Any] = {"effects": args.effect, "assets": args.asset, "targets": args.target}
    if args.approval:
        grant["approval"] = True
    for name in ("uses", "registered_from", "registered_until"):
        if getattr(args, name) is not None:
            grant[name] = getattr(args, name)
    return grant


def _sign(args: argparse.Namespace) -> int:
    from guardrail.errors import ConfigError
    from guardrail.mandates import Mandate, sign
    from guardrail.mandates._book import SUFFIX
    from guardrail.mandates._signing import load_key
    from guardrail.printing import visible

    text = sys.stdin.buffer.read() if args.file == "-" else _read(args.file)
    try:
        mandate = Mandate.from_json(text)
    except ConfigError as error:
        raise ConfigError(f"`{args.file}` is {error}") from None
    signed = sign(mandate, load_key(args.key))
    out = Path(args.out or f"{mandate.id}{SUFFIX}")
    _write(out, signed)
    print(visible(f"signed {out}: {summary(mandate)}"))
    _print_without_target(mandate)
    if not out.name.endswith(SUFFIX):
        print(visible(f"note: no guard reads `{out.name}`: its name must end in `{SUFFIX}`"), file=sys.stderr)
    return EXIT_OK


def _write(out: Path, data: bytes) -> None:
    from guardrail.errors import ConfigError

    fresh = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        # Renamed into place, so that a guard that is looking never reads half of it.
        fresh.write_bytes(data)
        os.replace(fresh, out)
    except FileNotFoundError:
        raise ConfigError(f"cannot write `{out}`: create the directory `{out.parent}` first") from None
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise ConfigError(f"cannot write `{out}`: {(error.strerror or str(error)).lower()}") from None


def _revoke(args: argparse.Namespace) -> int:
    import base64
    import datetime as dt
    import hashlib

    from guardrail.cli import find_config
    from guardrail.config import load
    from guardrail.errors import ConfigError, Fault
    from guardrail.mandates import Revocation, revoke
    from guardrail.mandates._book import REVOKED
    from guardrail.mandates._revocation import open_revocation
    from guardrail.mandates._signing import load_key, public_keys, public_text, read_public
    from guardrail.printing import visible

    config = load(find_config(args.config))
    key = load_key(args.key)
    people = public_keys(config)
    by = next((name for name, public in people.items() if public == read_public(public_text(key))), None)
    if by is None:
        raise ConfigError(f"the key `{args.key}` is that of no [[person]] of the configuration: use the issuer's")
    mandate, order = _order_to_revoke(args.mandate, config, by, people)
    if order is None and by not in config.mandates.revokers:
        raise ConfigError(_not_yours(mandate, by, config, people))
    revocation = Revocation(
        mandate=mandate,
        by=by,
        at=dt.datetime.now(dt.UTC).replace(microsecond=0),
        reason=args.reason,
        order="" if order is None else base64.b64encode(order).decode(),
    )
    data = revoke(revocation, key)
    open_revocation(data, people, config.mandates.revokers)
    digest = hashlib.sha256(data).hexdigest()
    out = Path(args.out) if args.out else config.path(config.mandates.directory) / f"{mandate}.{digest[:8]}{REVOKED}"
    _write(out, data)
    try:
        ledger = _ledger(config, readonly=False)
        try:
            ledger.keep(mandate, digest, data)
        finally:
            ledger.close()
    except (ConfigError, Fault) as error:
        # Guards of this configuration keep it as soon as they see the file.
        print(visible(f"note: leave the file where it is until a guard has seen it: {error}"), file=sys.stderr)
    print(visible(f"revoked {mandate}: {out}"))
    return EXIT_OK


def _not_yours(mandate: str, by: str, config: Config, people: dict[str, bytes]) -> str:
    """Why somebody who is no revoker cannot revoke an id, and what to do."""
    issuers = sorted({found.issuer for _, found in _genuine(config, people) if found.id == mandate})
    if issuers:
        whose = " and ".join(f"`{issuer}`" for issuer in issuers)
        return (
            f"`{mandate}` is of {whose}, and `{by}` may not revoke it: use the issuer's key, "
            f"or put `{by}` into `mandates.revokers`"
        )
    return (
        f"no mandate `{mandate}` of `{by}` lies in `mandates.directory`: give its signed file, "
        "which shows that it is yours to revoke"
    )


def _genuine(config: Config, people: dict[str, bytes]) -> Iterator[tuple[bytes, Mandate]]:
    """The signed files in the directory of mandates that can be read, each with its mandate."""
    from guardrail.errors import ConfigError
    from guardrail.mandates._book import SUFFIX
    from guardrail.mandates._signing import open_envelope

    for path in sorted(config.path(config.mandates.directory).glob(f"*{SUFFIX}")):
        with contextlib.suppress(ConfigError):
            data = _read(str(path))
            yield data, open_envelope(data, people)


def _order_to_revoke(text: str, config: Config, by: str, people: dict[str, bytes]) -> tuple[str, bytes | None]:
    """The id of a mandate, and its signed file if it is to be found."""
    from guardrail.errors import ConfigError
    from guardrail.mandates._signing import open_envelope

    if os.path.isfile(text):
        data = _read(text)
        return open_envelope(data, people).id, data
    if not config.mandates.directory:
        raise ConfigError("`mandates.directory` is not set, so no guard of this configuration has any mandate")
    found: bytes | None = None
    for data, mandate in _genuine(config, people):
        if mandate.id == text and (mandate.issuer == by or by in config.mandates.revokers):
            found = data
    return text, found


def _ledger(config: Any, *, readonly: bool) -> Any:
    from guardrail.audit import beside_trail
    from guardrail.mandates import MandateLedger

    return MandateLedger(beside_trail(config, "orders.db"), readonly=readonly)


def _verify(args: argparse.Namespace) -> int:
    from guardrail.cli import find_config
    from guardrail.config import load
    from guardrail.errors import ConfigError
    from guardrail.mandates import MandateBook
    from guardrail.mandates._signing import open_envelope, public_keys

    config = load(find_config(args.config))
    people = public_keys(config)
    book = MandateBook(config, _ledger(config, readonly=True))
    now_us = time.time_ns() // 1000
    rows: list[dict[str, Any]] = []
    for file in args.files:
        data = _read(file)
        try:
            mandate = open_envelope(data, people)
        except ConfigError as error:
            rows.append({"file": file, "ok": False, "state": f"refused: {error}"})
            continue
        reason = _reason(book, mandate, now_us)
        rows.append({"file": file, "ok": reason is None, "state": reason or "counts", **_fields(mandate)})
    return _print(rows, as_json=args.json)


def _list(args: argparse.Namespace) -> int:
    from guardrail.cli import find_config
    from guardrail.config import load
    from guardrail.mandates import MandateBook
    from guardrail.mandates._book import SUFFIX

    config = load(find_config(args.config))
    book = MandateBook(config, _ledger(config, readonly=True))
    now_us = time.time_ns() // 1000
    known = {asset.id for asset in config.assets}
    rows: list[dict[str, Any]] = [
        {"file": problem.file, "ok": False, "state": f"refused: {problem.reason}"} for problem in book.problems
    ]
    for mandate in book.mandates:
        reason = _reason(book, mandate, now_us)
        notes = [f"no asset is called `{name}`" for name in mandate.unknown_assets(known)]
        notes += [f"no zone is called `{name}`" for name in mandate.unknown_zones(config.zones)]
        notes += [_without_target(effect) for effect in mandate.without_target()]
        notes += [
            f"{left} of {grant.uses} uses left"
            for grant, left in zip(mandate.grants, book.left(mandate), strict=True)
            if grant.uses is not None
        ]
        operated = [agent.id for agent in config.agents if agent.operator.casefold() == mandate.issuer.casefold()]
        if book.separation.required and operated:
            agents = ", ".join(f"`{agent}`" for agent in operated)
            notes.append(f"its issuer operates {agents}: it does not count for those where separation is required")
        rows.append({"ok": reason is None, "state": reason or "counts", "notes": notes, **_fields(mandate)})
    rows += [{"file": problem.file, "ok": False, "state": f"refused: {problem.reason}"} for problem in book.words()[1]]
    unread = f"not read: its name does not end in `{SUFFIX}`"
    rows += [{"file": name, "ok": False, "state": unread} for name in book.unread]
    _print(rows, as_json=args.json)
    # A mandate that is over is no fault; one that cannot be read is.
    return EXIT_REFUSED if book.problems else EXIT_OK


def _reason(book: MandateBook, mandate: Mandate, now_us: int) -> str | None:
    """Why a mandate counts for nobody, or None if it may."""
    ended = book.ended(mandate)
    return mandate.why_not_now(now_us) if ended is None else f"revoked: {ended}"


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

    return {"id": mandate.id, "summary": summary(mandate), "mandate": msgspec.to_builtins(mandate)}


def summary(mandate: Mandate) -> str:
    """What a person should read before and after signing."""
    grants = [
        f"{'/'.join(grant.effects)} {' '.join(grant.assets)}"
        + (f" to {' '.join(grant.targets)}" if grant.targets else "")
        + (f" registered from {grant.registered_from}" if grant.registered_from else "")
        + (f" registered until {grant.registered_until}" if grant.registered_until else "")
        + (" with approval" if grant.approval else "")
        + (f" at most {'once' if grant.uses == 1 else f'{grant.uses} times'}" if grant.uses is not None else "")
        for grant in mandate.grants
    ]
    duties = [
        f"must {duty.effect} {duty.asset}"
        + (f" if the mean of {duty.records} is below {duty.below}" if duty.records else "")
        + (f" by {duty.due.isoformat()}" if duty.due is not None else "")
        + (", or the guard does it" if duty.fallback else "")
        + (" with all copies" if duty.derivatives else "")
        for duty in mandate.obligations
    ]
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
