"""`guardrail grants`: see the leave that people gave, give some within a scope, and take it back."""

from __future__ import annotations

import argparse
import json
from typing import Any, Final

from guardrail.cli import EXIT_ALLOW, positive
from guardrail.cli._elsewhere import Seen, find, grants
from guardrail.cli._options import where
from guardrail.cli._review import EXITS, configuration, deliver, now_us, read_book, signer, signing

_ISSUE: Final = """Approve an escalation for more than the one call, within what it asked for.

Every option only narrows what was asked: other ops, assets or targets are refused, and so is any scope where weights
would leave or be lost, because it is bound to no file. Where several people have to approve, what all of them allow is
what holds.
"""

_GLASS: Final = """Take leave at once, without a call that waits: for one agent, some ops and assets, an hour at most.

A second person has to sign the escalation that this makes, with `guardrail escalations approve`. It lifts escalations
and no denial, it is on the trail, and within 24 hours a third person has to look at it with
`guardrail escalations review`.
"""


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    top = verbs.add_parser(
        "grants", help="see the leave that people gave, narrow it, take it back", description=__doc__, epilog=EXITS
    )
    actions = top.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list grants, those that can still be used by default", epilog=EXITS)
    where(listing)
    listing.add_argument("--all", action="store_true", help="used, withdrawn and expired ones too")
    listing.set_defaults(run=_list)

    raw = argparse.RawDescriptionHelpFormatter
    issue = actions.add_parser(
        "issue", help="approve an escalation within a scope", description=_ISSUE, epilog=EXITS, formatter_class=raw
    )
    issue.add_argument("id", metavar="ESCALATION", help="its id, or the beginning of it")
    issue.add_argument("--uses", type=positive, default=1, metavar="N", help="how many calls; default 1")
    issue.add_argument("--seconds", type=positive, metavar="N", help="for how long; default as for one call")
    issue.add_argument("--op", action="append", metavar="OP", help="only this op; may be repeated")
    issue.add_argument("--asset", action="append", metavar="ID", help="only this asset; may be repeated")
    issue.add_argument("--target", action="append", metavar="PLACE", help="only this target; may be repeated")
    signing(issue)
    issue.set_defaults(run=_issue)

    revoke = actions.add_parser("revoke", help="take grants back, at once and for good", epilog=EXITS)
    revoke.add_argument("ids", nargs="+", metavar="GRANT", help="its id, or the beginning of it")
    signing(revoke)
    revoke.set_defaults(run=_revoke)

    glass = actions.add_parser(
        "break-glass", help="take leave at once, with a second person", description=_GLASS, epilog=EXITS,
        formatter_class=raw,
    )  # fmt: skip
    glass.add_argument("--agent", required=True, metavar="ID", help="the agent that it is for")
    glass.add_argument("--op", action="append", required=True, metavar="OP", help="an op; may be repeated")
    glass.add_argument("--asset", action="append", required=True, metavar="ID", help="an asset; may be repeated")
    glass.add_argument("--ticket", required=True, metavar="TEXT", help="where the incident is kept")
    glass.add_argument("--seconds", type=positive, default=3600, metavar="N", help="for how long; default 3600")
    signing(glass)
    glass.set_defaults(run=_break_glass)


def _list(args: argparse.Namespace) -> int:
    import msgspec

    from guardrail.review._view import grant_line, grant_state, plain

    now, config = now_us(), configuration(args)
    seen = [*(Seen(case) for case in read_book(config).cases()), *grants(config)]
    for origin, issued in ((one.origin, issued) for one in seen for issued in one.case.grants):
        if args.all or issued.usable(now):
            facts = msgspec.to_builtins(issued) | {"state": grant_state(issued, now)}
            facts |= {"origin": origin} if origin else {}
            line = grant_line(issued, now) + (f"  at {plain(origin)}" if origin else "")
            print(json.dumps(facts, sort_keys=True) if args.json else line)
    return EXIT_ALLOW


def _issue(args: argparse.Namespace) -> int:
    from guardrail.review import Scope
    from guardrail.review._machine import subject_of
    from guardrail.review._statements import VoteStatement

    config = configuration(args)
    name, key = signer(config, args.key)
    seen = find(config, read_book(config), args.id)
    held = seen.case.held
    scope = Scope(
        ops=tuple(args.op) if args.op else None,
        assets=tuple(args.asset) if args.asset else None,
        targets=tuple(args.target) if args.target else None,
        uses=args.uses,
        seconds=args.seconds,
    )
    vote = VoteStatement(
        voter=name,
        t_us=now_us(),
        escalation=held.id,
        subject=subject_of(held),
        verdict="approve",
        scope=scope,
        reason=args.reason,
        shown=seen.shown,
    )
    return deliver(args, config, [vote], key, [seen.origin])


def _revoke(args: argparse.Namespace) -> int:
    from guardrail.errors import ConfigError
    from guardrail.review._statements import RevokeStatement

    config = configuration(args)
    name, key = signer(config, args.key)
    seen = [*(Seen(case) for case in read_book(config).cases()), *grants(config)]
    known = {issued.grant.id: one.origin for one in seen for issued in one.case.grants}
    said: list[RevokeStatement] = []
    for wanted in args.ids:
        found = [grant for grant in known if grant == wanted] or [one for one in known if one.startswith(wanted)]
        if len(found) != 1 or not wanted:
            raise ConfigError(f"`{wanted}` is the id of {len(found)} of the grants here: see `guardrail grants list`")
        said.append(RevokeStatement(voter=name, t_us=now_us(), grant=found[0], reason=args.reason))
    return deliver(args, config, said, key, [known[one.grant] for one in said])


def _break_glass(args: argparse.Namespace) -> int:
    from guardrail.review._statements import GlassStatement

    config = configuration(args)
    name, key = signer(config, args.key)
    said = GlassStatement(
        voter=name,
        t_us=now_us(),
        agent=args.agent,
        ops=tuple(args.op),
        assets=tuple(args.asset),
        ticket=args.ticket,
        seconds=args.seconds,
        reason=args.reason,
    )
    return deliver(args, config, [said], key)
