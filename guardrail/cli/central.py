"""`guardrail central`: publish orders for all guards, and see how far the trail of each is."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli import CONFIG_HELP, EXIT_ALLOW, EXIT_FAULT, find_config

if TYPE_CHECKING:
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
        help="publish signed mandates and revocations",
        description="Each file is verified first: what no guard would heed is not published.",
        epilog=_EXITS,
    )
    publish.add_argument("files", nargs="+", metavar="FILE", help="*.mandate.json and *.revocation.json")
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

    for action in (publish, withdraw, show, forget):
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
    from guardrail.central._people import origins

    seen = origins(config)
    _print(args, seen, map(_shown, seen) if seen else ["no trail was seen yet"])
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


def _print(args: argparse.Namespace, value: object, lines: Iterable[str]) -> None:
    if args.json:
        import msgspec

        print(msgspec.json.encode(value).decode())
        return
    from guardrail.printing import visible

    for line in lines:
        print(visible(line))
