"""`guardrail mandates new-key`, `new` and `sign`: from nothing to a signed order."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guardrail.cli._mandates_text import EXIT_OK, EXITS, read_file
from guardrail.cli._output import put

if TYPE_CHECKING:
    from guardrail.mandates import Mandate


def add(actions: Any) -> None:
    """Add these actions to the command line."""
    key = actions.add_parser("new-key", help="make a key pair for a person", epilog=EXITS)
    key.add_argument("file", metavar="FILE", help="where the private key goes; must not exist")
    key.add_argument("--name", required=True, help="the person, for the [[person]] table that is printed")
    key.set_defaults(run=_new_key)

    new = actions.add_parser("new", help="write an order, to be signed", epilog=EXITS)
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
    new.set_defaults(run=_new)

    sign = actions.add_parser("sign", help="sign a mandate", epilog=EXITS)
    sign.add_argument("file", metavar="FILE", help="the mandate as JSON; `-` is standard input")
    sign.add_argument("--key", required=True, metavar="FILE", help="the issuer's private key")
    sign.add_argument("--out", metavar="FILE", help="where the signed mandate goes; default ID.mandate.json")
    sign.set_defaults(run=_sign)


def _new_key(args: argparse.Namespace) -> int:
    from guardrail.mandates import new_key

    public = new_key(args.file)
    print(f"# private key in {args.file}, for {args.name} alone; this goes into guardrail.toml:")
    print(f'[[person]]\nname = {json.dumps(args.name)}\nkey = "{public}"')
    return EXIT_OK


def _new(args: argparse.Namespace) -> int:
    import datetime as dt

    from guardrail.mandates import Mandate
    from guardrail.mandates._listing import summary
    from guardrail.printing import visible

    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    for option, text in (("--from", args.start), ("--until", args.end), ("--due", args.due)):
        _moment(option, text or now.isoformat())
    start = args.start or now.isoformat()
    end = args.end or (_moment("--from", start) + dt.timedelta(days=args.days)).isoformat()
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
        put(args.out, text.encode())
        print(visible(f"wrote {args.out}: {summary(mandate)}"))
        print(f"it grants nothing yet: read it, then sign it with `guardrail mandates sign {args.out} --key FILE`")
    _print_without_target(mandate)
    return EXIT_OK


def _moment(option: str, text: str) -> Any:
    import datetime as dt

    from guardrail.errors import ConfigError

    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ConfigError(f"`{option}` must be a time such as 2026-12-01T00:00:00Z, not `{text}`")
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
    from guardrail.mandates._directory import SUFFIX
    from guardrail.mandates._listing import summary
    from guardrail.mandates._signing import load_key
    from guardrail.printing import visible

    text = sys.stdin.buffer.read() if args.file == "-" else read_file(args.file)
    try:
        mandate = Mandate.from_json(text)
    except ConfigError as error:
        raise ConfigError(f"`{args.file}` is {error}") from None
    signed = sign(mandate, load_key(args.key))
    out = Path(args.out or f"{mandate.id}{SUFFIX}")
    put(str(out), signed)
    print(visible(f"signed {out}: {summary(mandate)}"))
    _print_without_target(mandate)
    if not out.name.endswith(SUFFIX):
        print(visible(f"note: no guard reads `{out.name}`: its name must end in `{SUFFIX}`"), file=sys.stderr)
    return EXIT_OK


def _print_without_target(mandate: Mandate) -> None:
    from guardrail.mandates._listing import goes_nowhere

    for effect in mandate.without_target():
        print(f"note: {goes_nowhere(effect)}: add `--target`, or `targets` to the grant", file=sys.stderr)
