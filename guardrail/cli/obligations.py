"""`guardrail obligations`: see what is owed, look for it, give leave to do it, and check what proves it."""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import sys
from collections.abc import Container
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli import EXIT_ALLOW, EXIT_DENY, EXIT_ESCALATE, _duty_certificate
from guardrail.cli._options import where
from guardrail.cli._output import put
from guardrail.cli._review import configuration, signer
from guardrail.printing import moment, visible

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.guard import Guard
    from guardrail.obligations import ObligationStatus
    from guardrail.obligations._duty import Duty

_EXITS: Final = (
    "exit codes: 0 nothing is overdue, 3 something was not done, 4 something waits for a person, "
    "1 it could not be looked at, 2 usage or configuration"
)
_WORD: Final = (
    "The word is signed and laid beside the mandates; a running guard takes it up within seconds. "
    "Only files that are known by device, inode number and time of birth are deleted, and no link is followed."
)
_HOLD: Final = (
    "While it is on hold its order grants nothing, the guard deletes nothing, and nothing is overdue; only who put it "
    "on hold can let it go on. It is due when it was: sign the order again for another time."
)


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    top = verbs.add_parser(
        "obligations",
        help="see what is owed, prove that it was done, or have it done",
        description="Obligations are what orders oblige to: a deletion, a shutdown, an evaluation.",
        epilog=_EXITS,
    )
    actions = top.add_subparsers(dest="action", metavar="ACTION", required=True)

    listing = actions.add_parser("list", help="what is owed and how it stands", epilog=_EXITS)
    listing.add_argument("--all", action="store_true", help="also what was discharged or withdrawn")
    where(listing)
    listing.set_defaults(run=_list)

    show = actions.add_parser("show", help="everything that is known of one obligation", epilog=_EXITS)
    show.add_argument("id", metavar="ID", help="`mandate/obligation`")
    where(show)
    show.set_defaults(run=_show)

    verify = actions.add_parser(
        "verify",
        help="look for it: files, processes, mounts, watched directories, addresses",
        description="Looks thoroughly, and records what is seen; a deletion is proven by the second look, "
        "the quiet period after the first.",
        epilog=_EXITS,
    )
    verify.add_argument("id", metavar="ID", nargs="?", default="", help="only this one, also if it was discharged")
    where(verify)
    verify.set_defaults(run=_verify)

    discharge = actions.add_parser(
        "discharge", help="say that the guard itself shall delete it", description=_WORD, epilog=_EXITS
    )
    discharge.add_argument("id", metavar="ID", help="`mandate/obligation`")
    discharge.add_argument("--key", required=True, metavar="FILE", help="private key of a [[person]]")
    discharge.add_argument("--derivatives", action="store_true", help="further names and whole copies go too")
    where(discharge)
    discharge.set_defaults(run=_say, says="discharge", reason="")

    for says, text in (
        ("hold", "say that nothing is to be deleted until you let it go on"),
        ("resume", "let what you have put on hold go on"),
    ):
        word = actions.add_parser(says, help=text, description=_HOLD, epilog=_EXITS)
        word.add_argument("id", metavar="ID", help="`mandate/obligation`")
        word.add_argument("--key", required=True, metavar="FILE", help="private key of a [[person]]")
        word.add_argument("--reason", default="", metavar="TEXT", help="why, for people")
        where(word)
        word.set_defaults(run=_say, says=says)

    _duty_certificate.add(actions)


# -- seeing


def _list(args: argparse.Namespace) -> int:
    from guardrail.obligations import status_of
    from guardrail.obligations._reading import read_duties

    config = configuration(args)
    duties = read_duties(config)
    wanted = [duty for duty in duties.values() if args.all or not duty.has_ended]
    return _print_all(config, duties, [status_of(duty) for duty in wanted], as_json=args.json)


def _print_all(config: Config, known: Container[str], statuses: list[ObligationStatus], *, as_json: bool) -> int:
    """Print what is owed, and say what nobody has taken up."""
    from guardrail.cli._duty_unseen import unseen

    told, late = unseen(config, known)
    for line in told:
        print(visible(f"note: {line}"), file=sys.stderr)
    code = _print(statuses, as_json=as_json, nothing="nothing was taken up" if told else "nothing is owed")
    return EXIT_DENY if late and code == EXIT_ALLOW else code


def _show(args: argparse.Namespace) -> int:
    from guardrail.obligations import facts_of, status_of
    from guardrail.obligations._reading import find_duty

    duty = find_duty(configuration(args), args.id)
    status = status_of(duty)
    if args.json:
        print(json.dumps(facts_of(duty), indent=2))
    else:
        _print_one(status)
        _print_facts(duty)
    return _code([status])


def _verify(args: argparse.Namespace) -> int:
    from guardrail.obligations._reading import find_duty

    config = configuration(args)
    if args.id:
        find_duty(config, args.id)
    statuses = _settled(config, args.id)
    if args.id:
        return _print([status for status in statuses if status.id == args.id], as_json=args.json)
    return _print_all(config, [status.id for status in statuses], statuses, as_json=args.json)


def _settled(config: Config, only: str) -> list[ObligationStatus]:
    with _guard(config) as guard:
        given, refused = guard.mandates.words()
        statuses = list(guard.settle(only=only))
        for why in (*map(str, refused), *guard.obligations.words(given)):
            print(visible(f"note: a word does not count: {why}"), file=sys.stderr)
        return statuses


def _guard(config: Config) -> Guard:
    from guardrail.audit import TrailInUse
    from guardrail.guard import Guard

    try:
        return Guard.open(config)
    except TrailInUse:
        # Whoever runs has the trail, and records what it sees itself; here it is only looked at.
        pass
    print("note: a guard is running, so what is seen here is not recorded: it attends to it itself", file=sys.stderr)
    return Guard.open(config, record=False)


# -- doing


def _say(args: argparse.Namespace) -> int:
    from guardrail.errors import ConfigError
    from guardrail.mandates import Word, give_word
    from guardrail.mandates._word import ENDINGS
    from guardrail.obligations._reading import find_duty

    config = configuration(args)
    duty = find_duty(config, args.id)
    if args.says == "discharge" and duty.terms.effect != "delete":
        raise ConfigError(f"`{args.id}` is no deletion: the guard can do nothing else for anybody")
    if not config.mandates.directory:
        raise ConfigError("`mandates.directory` is not set, so no guard of this configuration would find the word")
    by, key = signer(config, args.key)
    word = Word(
        obligation=args.id,
        asset=duty.terms.asset,
        by=by,
        at=dt.datetime.now(dt.UTC),
        says=args.says,
        reason=args.reason,
        derivatives=getattr(args, "derivatives", False),
    )
    data = give_word(word, key)
    # Told apart by what is signed: of two people's words about one obligation neither takes the other's place.
    name = f"{args.id.replace('/', '.')}.{hashlib.sha256(data).hexdigest()[:8]}{ENDINGS[word.says]}"
    out = config.path(config.mandates.directory) / name
    put(str(out), data)
    print(visible(f"{by} says that {_SAID[word.says].format(duty.terms.asset)}: {out}"), file=sys.stderr)
    return _print([one for one in _settled(config, args.id) if one.id == args.id], as_json=args.json)


_SAID: Final = {
    "discharge": "the guard shall delete {}",
    "hold": "nothing of {} is to be deleted for now",
    "resume": "what was ordered of {} goes on",
}


# -- printing


def _print(statuses: list[ObligationStatus], *, as_json: bool, nothing: str = "nothing is owed") -> int:
    import msgspec

    if as_json:
        print(json.dumps([msgspec.to_builtins(status) for status in statuses], indent=2))
    else:
        for status in statuses:
            _print_one(status)
        if not statuses:
            print(nothing)
    return _code(statuses)


def _print_one(status: ObligationStatus) -> None:
    wrong = f" [{', '.join(status.kinds)}]" if status.kinds else ""
    waits = "; waits for a person" if status.waits_for_person else f"; on hold by {status.held}" if status.held else ""
    print(
        visible(
            f"{status.state.upper():<9} {status.id}: {status.effect} {status.asset}, {status.stage}{wrong}, "
            f"due {moment(status.due_us)}{waits}"
        )
    )
    for line in status.evidence:
        print(visible(f"          {line}"))


def _print_facts(duty: Duty) -> None:
    for outcome, count in duty.attempts.items():
        print(f"  attempts   {count} {outcome}")
    for one in duty.violations:
        print(visible(f"  violation  {moment(one.at_us)} {one.kind}: {one.says}"))
    for sweep in duty.sweeps:
        print(f"  sweep      {moment(sweep.t_us)} {sweep.files} files, {sweep.compared} compared")
    for line in duty.left:
        print(visible(f"  left       {line}"))
    if duty.word:
        print(visible(f"  leave      {duty.word}"))
    for hold in duty.holds:
        print(visible(f"  on hold    by {hold.by} since {moment(hold.at_us)} {hold.why}"))
    if duty.certificate:
        print(f"  certificate sha256:{duty.certificate}")


def _code(statuses: list[ObligationStatus]) -> int:
    """The exit code for some duties: a person is needed, something was not done, or neither."""
    if any(status.waits_for_person for status in statuses):
        return EXIT_ESCALATE
    return EXIT_DENY if any(status.kinds and status.state == "unmet" for status in statuses) else EXIT_ALLOW
