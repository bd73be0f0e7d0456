"""`guardrail escalations`: see what waits for people, and answer it."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any, Final, get_args

from guardrail.cli import EXIT_ALLOW, EXIT_FAULT, positive
from guardrail.cli._elsewhere import Seen, find, others
from guardrail.cli._options import where
from guardrail.cli._review import EXITS, configuration, deliver, now_us, read_book, signer, signing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardrail.review import Case

_DESCRIPTION: Final = """See the calls that wait for people, and answer them with your own signature.

Reading works whoever holds the trail. An answer is a signed vote: with no guard running it is recorded at once; a
running guard takes it in from the directory beside the trail, or, with --url, over HTTP. With `central.escalations`
those of other guards are shown as well, and answered by way of the centre.
"""


_SHOW: Final = "exit codes: 0 shown, 1 a recorded signature does not verify, 2 usage or configuration"


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    top = verbs.add_parser(
        "escalations",
        help="see what waits for people, and answer it",
        description=_DESCRIPTION,
        epilog=EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = top.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list",
        help="list escalations, by default those that wait and broken glass that nobody has looked at",
        epilog=EXITS,
    )
    where(listing)
    listing.add_argument("--state", default="pending", metavar="STATE", help="only these; `all` for every one")
    listing.add_argument("--last", type=positive, metavar="N", help="only the last N of them")
    listing.set_defaults(run=_list)

    show = actions.add_parser(
        "show", help="show one: what would happen, who has to approve, what was said", epilog=_SHOW
    )
    where(show)
    show.add_argument("id", metavar="ID", help="its id, or the beginning of it")
    show.set_defaults(run=_show)

    for verdict, words in (("approve", "approve"), ("reject", "reject, for good")):
        answer = actions.add_parser(verdict, help=f"{words}: one call or several", epilog=EXITS)
        answer.add_argument("ids", nargs="+", metavar="ID", help="its id, or the beginning of it")
        signing(answer)
        answer.set_defaults(run=_answer, verdict="approve" if verdict == "approve" else "deny")

    for action, words in (
        ("cancel", "end one that nobody needs decided any more"),
        ("review", "say that a break-glass was looked at afterwards"),
    ):
        ending = actions.add_parser(action, help=words, epilog=EXITS)
        ending.add_argument("ids", nargs="+", metavar="ID", help="its id, or the beginning of it")
        signing(ending)
        ending.set_defaults(run=_end)


def _list(args: argparse.Namespace) -> int:
    from guardrail.errors import ConfigError
    from guardrail.review._case import CaseState
    from guardrail.review._view import plain, summary

    known = (*get_args(CaseState), "all")
    if args.state not in known:
        raise ConfigError(f"`--state` must be one of {', '.join(known)}, not `{args.state}`")
    now = now_us()
    config = configuration(args)
    book = read_book(config)
    # Broken glass that nobody has looked at waits for people as well.
    owed = {case.held.id for case in book.cases() if args.state == "pending" and case.review_due_us is not None}
    cases = [case for case in book.cases() if case.held.id in owed or args.state in ("all", case.state_at(now))]
    seen = [Seen(case) for case in cases]
    seen += [
        one
        for one in others(config, waiting=args.state == "pending")
        if args.state in ("all", one.case.state_at(now))
        or (args.state == "pending" and one.case.review_due_us is not None)
    ]
    for one in seen[-args.last :] if args.last else seen:
        text, where_from = summary(one.case, now), f"  at {plain(one.origin)}" if one.origin else ""
        print(json.dumps(_facts(one, now), sort_keys=True) if args.json else text + where_from)
    return EXIT_ALLOW


def _facts(seen: Seen, now: int) -> dict[str, Any]:
    from guardrail.review._view import to_dict

    return to_dict(seen.case, now) | seen.facts


def _show(args: argparse.Namespace) -> int:
    from guardrail.mandates import public_keys
    from guardrail.review._view import lines, plain

    now, config = now_us(), configuration(args)
    seen = find(config, read_book(config), args.id)
    case = seen.case
    wrong = _unsigned(case, public_keys(config))
    if args.json:
        print(json.dumps(_facts(seen, now) | {"not_verified": wrong}, indent=2, sort_keys=True))
    else:
        if seen.origin:
            print(plain(f"{'guard':<12}{seen.origin}, as it was last shown at the centre"))
        print("\n".join(lines(case, now)))
        for voter in wrong:
            print(
                plain(f"PROBLEM     the recorded signature of {voter} does not verify with the key that is configured")
            )
    return EXIT_FAULT if wrong else EXIT_ALLOW


def _unsigned(case: Case, people: Mapping[str, bytes]) -> list[str]:
    """Whose recorded votes do not bear the signature that the record speaks of; sign-ins are the provider's word."""
    from guardrail.review._statements import is_signed

    signed = [vote for vote in case.votes if vote.proof.startswith("ed25519:")]
    return [vote.voter for vote in signed if not is_signed(vote, case.held, people)]


def _answer(args: argparse.Namespace) -> int:
    from guardrail.review._machine import subject_of
    from guardrail.review._statements import VoteStatement

    config = configuration(args)
    name, key = signer(config, args.key)
    book = read_book(config)
    found = [find(config, book, one) for one in args.ids]
    votes = [
        VoteStatement(
            voter=name,
            t_us=now_us(),
            escalation=seen.case.held.id,
            subject=subject_of(seen.case.held),
            verdict=args.verdict,
            reason=args.reason,
            shown=seen.shown,
        )
        for seen in found
    ]
    return deliver(args, config, votes, key, [seen.origin for seen in found])


def _end(args: argparse.Namespace) -> int:
    """Say of each that it is cancelled, or that it was looked at afterwards."""
    from guardrail.review._statements import CancelStatement, ReviewStatement

    config = configuration(args)
    name, key = signer(config, args.key)
    book = read_book(config)
    statement = CancelStatement if args.action == "cancel" else ReviewStatement
    found = [find(config, book, one) for one in args.ids]
    said = [statement(voter=name, t_us=now_us(), escalation=seen.case.held.id, reason=args.reason) for seen in found]
    return deliver(args, config, said, key, [seen.origin for seen in found])
