"""`guardrail central`: publish orders and announcements for all guards, and see how far the trail of each is."""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli import CONFIG_HELP, EXIT_ALLOW, EXIT_FAULT, find_config, positive
from guardrail.cli._review import signer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from guardrail.central._announced import AnyAnnounced
    from guardrail.central._people import Origin, Published
    from guardrail.config import Config

_EXITS: Final = "exit codes: 0 done, 1 refused or at fault, 2 usage or configuration"
_SHOW_EXITS: Final = "exit codes: 0 every checkpoint is signed as it has to be, 1 one is not, 2 usage or configuration"


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    top = verbs.add_parser(
        "central",
        help="publish orders for all guards, see how far each is",
        description="What guards with trails of their own have in common, in the database of `central.store`.",
        epilog=_EXITS,
    )
    actions = top.add_subparsers(dest="action", metavar="ACTION", required=True)

    publish = actions.add_parser(
        "publish",
        help="publish signed mandates, revocations and announcements",
        description="Each file is verified first: what no guard would heed is not published.",
        epilog=_EXITS,
    )
    publish.add_argument(
        "files", nargs="+", metavar="FILE", help="*.mandate.json, *.revocation.json, *.inventory.json, *.bundle.json"
    )
    publish.set_defaults(act=_publish)

    withdraw = actions.add_parser(
        "withdraw",
        help="take a mandate away, such as one that is over",
        description="To end a mandate for good, revoke it: one that was withdrawn may be published again.",
        epilog=_EXITS,
    )
    withdraw.add_argument("mandate", metavar="ID", help="the mandate's id")
    withdraw.set_defaults(act=_withdraw)

    show = actions.add_parser("show", help="show how far the trail of each guard is", epilog=_SHOW_EXITS)
    show.set_defaults(act=_show)

    forget = actions.add_parser(
        "forget",
        help="forget what was seen of a trail",
        description="For a trail that people have begun anew, or whose key they have replaced: it is recorded again "
        "from its next checkpoint on, and what was seen before is evidence no more.",
        epilog=_EXITS,
    )
    forget.add_argument("origin", metavar="ORIGIN", help="name of the trail, as `show` prints it")
    forget.set_defaults(act=_forget)

    inventory = actions.add_parser(
        "sign-inventory",
        help="sign assets for all guards",
        description="Guards with `central.inventory_by` add them to their own; of two versions the higher one counts.",
        epilog=_EXITS,
    )
    inventory.add_argument("files", nargs="+", metavar="FILE", help="files of assets, as `assets.files` names them")
    bundle = actions.add_parser(
        "sign-bundle",
        help="say which policy bundle all guards are to serve",
        description="Guards with `central.bundle_by` serve it once their `policy.bundle` has it, and no other.",
        epilog=_EXITS,
    )
    bundle.add_argument("bundle", metavar="BUNDLE", help="directory or .tar.gz, verified as a guard would")
    for action, act in ((inventory, _sign_inventory), (bundle, _sign_bundle)):
        action.add_argument("--number", type=positive, required=True, metavar="N", help="higher than the last one")
        action.add_argument("--key", required=True, metavar="FILE", help="your private key")
        action.add_argument("--out", required=True, metavar="FILE", help="where it goes, for `central publish`")
        action.set_defaults(act=act)

    for action in (publish, withdraw, show, forget, inventory, bundle):
        action.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
        action.add_argument("--json", action="store_true", help="print JSON")
        action.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Carry out `guardrail central ...`.

    Returns:
        0, or 1 if something is refused or wrong.

    Raises:
        ConfigError: if there is no centre.
        TrailError: if it cannot be used.
    """
    from guardrail.audit import need_driver
    from guardrail.config import load

    config = load(find_config(args.config))
    need_driver()
    code: int = args.act(args, config)
    return code


def _publish(args: argparse.Namespace, config: Config) -> int:
    from guardrail.central._people import publish

    done = publish(config, args.files)
    _print(args, done, map(_published, done))
    return EXIT_FAULT if any(one.why for one in done) else EXIT_ALLOW


def _published(one: Published) -> str:
    if one.why:
        return f"{one.file}: refused: {one.why}"
    return f"{one.file}: {'published' if one.fresh else 'there already'}: `{one.mandate}`"


def _withdraw(args: argparse.Namespace, config: Config) -> int:
    from guardrail.central._people import withdraw

    gone = withdraw(config, args.mandate)
    _print(args, {"withdrawn": gone}, [f"`{args.mandate}`: {'withdrawn' if gone else 'is not at the centre'}"])
    return EXIT_ALLOW if gone else EXIT_FAULT


def _show(args: argparse.Namespace, config: Config) -> int:
    from guardrail.central._people import announced, origins

    seen, said = origins(config), announced(config)
    lines = [*said, *map(_shown, seen)] if seen else [*said, "no trail was seen yet"]
    _print(args, seen, lines)
    return EXIT_FAULT if any(one.wrong for one in seen) else EXIT_ALLOW


def _shown(one: Origin) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in sorted(one.facts.items()))
    wrong = f": {one.wrong}" if one.wrong else ""
    return f"{one.origin}: {one.size} records, {one.seconds:.0f} s ago, {facts}{wrong}"


def _forget(args: argparse.Namespace, config: Config) -> int:
    from guardrail.central._people import forget

    gone = forget(config, args.origin)
    _print(args, {"forgotten": gone}, [f"`{args.origin}`: {'forgotten' if gone else 'was never seen'}"])
    return EXIT_ALLOW if gone else EXIT_FAULT


def _sign_inventory(args: argparse.Namespace, config: Config) -> int:
    from guardrail.central._announced import InventoryAnnounced
    from guardrail.config import read_assets

    issuer, key = signer(config, args.key)
    assets = [asset for file in args.files for asset in read_assets(file)]
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    announced = InventoryAnnounced(issuer=issuer, version=args.number, issued=now, assets=tuple(assets))
    return _write(args, announced, ".inventory.json", key)


def _sign_bundle(args: argparse.Namespace, config: Config) -> int:
    from guardrail.central._announced import BundleAnnounced
    from guardrail.errors import ConfigError
    from guardrail.policy._engine import verification_keys
    from guardrail.policy.bundles._read import receive
    from guardrail.policy.bundles._source import BundleFiles

    issuer, key = signer(config, args.key)
    fetched = BundleFiles(Path(args.bundle)).fetch("")
    if fetched is None:
        raise ConfigError(f"`{args.bundle}` is no policy bundle")
    keys = verification_keys(config)
    received = receive(fetched.members, keys=keys, key_id=config.policy.key_id, where=args.bundle)
    announced = BundleAnnounced(
        issuer=issuer,
        version=args.number,
        issued=dt.datetime.now(dt.UTC).replace(microsecond=0),
        revision=received.bundle.manifest.revision,
        digest=received.digest,
    )
    return _write(args, announced, ".bundle.json", key)


def _write(args: argparse.Namespace, announced: AnyAnnounced, ending: str, key: Ed25519PrivateKey) -> int:
    from guardrail.central._announced import kind_of, sign_announced
    from guardrail.errors import ConfigError

    if not args.out.endswith(ending):
        raise ConfigError(f"`--out` must end in `{ending}`: that is how `central publish` knows what it is")
    try:
        Path(args.out).write_bytes(sign_announced(announced, key))
    except OSError as error:
        raise ConfigError(f"cannot write `{args.out}`: {(error.strerror or str(error)).lower()}") from None
    name = f"{kind_of(announced)} {announced.version}"
    _print(args, {"file": args.out, "version": announced.version}, [f"{args.out}: {name}, by {announced.issuer}"])
    return EXIT_ALLOW


def _print(args: argparse.Namespace, value: object, lines: Iterable[str]) -> None:
    if args.json:
        import msgspec

        print(msgspec.json.encode(value).decode())
        return
    from guardrail.printing import visible

    for line in lines:
        print(visible(line))
