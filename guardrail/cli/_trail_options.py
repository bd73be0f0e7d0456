"""Options that several verbs take to say which records of which trail are meant."""

from __future__ import annotations

import argparse
import datetime as dt
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from guardrail.audit.reading import Selection

TIME_HELP: Final = "RFC 3339 such as 2026-12-01 or 2026-12-01T08:00Z, or an age such as 24h or 7d; UTC unless it says"
"""Help text wherever a time is taken."""

_AGE: Final = re.compile(r"(\d{1,6})([smhdw])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def when(value: str) -> int:
    """The time that an option is given, in microseconds since the epoch, as a `type` of argparse.

    Raises:
        ArgumentTypeError: if it is none.
    """
    if match := _AGE.fullmatch(value):
        moment = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    else:
        try:
            moment = dt.datetime.fromisoformat(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"`{value}` is no time: give {TIME_HELP}") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
    return (moment - dt.datetime.fromtimestamp(0, dt.UTC)) // dt.timedelta(microseconds=1)


def numbers(value: str) -> tuple[int, int]:
    """The record numbers that an option is given, `N` or `N-M`, as a `type` of argparse.

    Raises:
        ArgumentTypeError: if it is neither.
    """
    first, dash, last = value.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
        raise argparse.ArgumentTypeError(f"`{value}` is no record number: give N, or N-M with M not below N")
    return int(first), int(last if dash else first)


def add_period(parser: argparse.ArgumentParser) -> None:
    """Add the bounds of a period."""
    parser.add_argument("--since", type=when, metavar="TIME", help=f"from this time on: {TIME_HELP}")
    parser.add_argument("--until", type=when, metavar="TIME", help="before this time")


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add everything by which records are chosen, but their kind."""
    add_period(parser)
    for option, metavar, meaning in (
        ("--agent", "ID", "of this agent"),
        ("--asset", "ID", "about this asset"),
        ("--rule", "ID", "in which this rule fired"),
        ("--session", "NAME", "of this session"),
        ("--call", "ID", "of the call that the caller named so"),
        ("--id", "ID", "with this id, or about the decision, escalation, grant, mandate or duty of this id"),
    ):
        parser.add_argument(
            option, action="append", default=[], metavar=metavar, help=f"only records {meaning}; may be repeated"
        )
    parser.add_argument("--seq", type=numbers, metavar="N[-M]", help="only the record of this number, or these")
    parser.add_argument("--no-index", action="store_true", help="read the trail itself, even if it has an index")


def selection_of(args: argparse.Namespace) -> Selection:
    """What was asked for.

    Raises:
        ConfigError: if the period ends before it begins.
    """
    from guardrail.audit.reading import Selection
    from guardrail.errors import ConfigError

    if args.since is not None and args.until is not None and args.until <= args.since:
        raise ConfigError("`--until` is not after `--since`: nothing lies between them")
    first, last = getattr(args, "seq", None) or (None, None)
    given: dict[str, Any] = {
        name + "s": tuple(getattr(args, name, None) or ())
        for name in ("kind", "id", "call", "agent", "session", "asset", "rule")
    }
    return Selection(first=first, last=last, since_us=args.since, until_us=args.until, **given)
