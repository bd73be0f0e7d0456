"""Escalations of other guards on the command line: those that the centre of the configuration has.

Not concerned with those of the configuration's own trail (`_review`).
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, NamedTuple

from msgspec import UNSET, UnsetType

from guardrail.errors import ConfigError, TrailError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardrail.central._elsewhere import Elsewhere
    from guardrail.central._signed import Away
    from guardrail.cli._review import Answer
    from guardrail.config import Config
    from guardrail.review import Case
    from guardrail.review._book import Book


class Seen(NamedTuple):
    """A case, and the trail that it is in.

    Args:
        case: the case.
        origin: name of the trail of another guard; empty for the configuration's own.
    """

    case: Case
    origin: str = ""

    @property
    def shown(self) -> str | UnsetType:
        """What a vote has to say besides of a case that is another guard's."""
        from guardrail.review._statements import shown_of

        return shown_of(self.case.held, self.origin) if self.origin else UNSET

    @property
    def facts(self) -> dict[str, str]:
        """What machines are told besides of a case that is another guard's."""
        return {"origin": self.origin, "shown": str(self.shown)} if self.origin else {}


def others(config: Config, *, waiting: bool) -> list[Seen]:
    """Cases of other guards; none, and a line on standard error, if the centre does not answer.

    Args:
        config: the configuration.
        waiting: only those that wait for people.
    """
    centre = _centre(config)
    if centre is None:
        return []
    try:
        found = centre.cases(waiting=waiting)
    except TrailError as error:
        print(f"guardrail: escalations of other guards are not shown: {error}", file=sys.stderr)
        return []
    for away in found:
        if away.case is None:
            print(f"guardrail: {_unsigned(away)}", file=sys.stderr)
    return [Seen(away.case, away.origin) for away in found if away.case is not None]


def find(config: Config, book: Book, name: str) -> Seen:
    """The case that is meant by an id or by the beginning of one, here or at another guard.

    Raises:
        ConfigError: if it is the beginning of none, or of several, or its guard has not signed it.
        TrailError: if none here is meant, and the centre does not answer.
    """
    exact = book.get(name)
    if exact is not None:
        return Seen(exact)
    own = [Seen(case) for case in book.cases() if name and case.held.id.startswith(name)]
    centre = _centre(config)
    named = centre.named(name) if centre is not None and name else ()
    away = [one for one in named if one.escalation == name] or list(named)
    if len(own) + len(away) != 1:
        count = len(own) + len(away)
        how = f"the beginning of {count} ids" if count else "the id of none"
        raise ConfigError(f"`{name}` is {how} of the escalations here: see `guardrail escalations list`")
    for one in away:
        if one.case is None:
            raise ConfigError(_unsigned(one))
        own.append(Seen(one.case, one.origin))
    return own[0]


def say(args: argparse.Namespace, config: Config, origin: str, envelope: bytes) -> Answer:
    """Leave a statement for another guard, and tell what came of it."""
    from guardrail.cli import EXIT_ALLOW, EXIT_ESCALATE
    from guardrail.cli._review import refused

    centre = _centre(config)
    if centre is None:
        raise ConfigError("this configuration has no centre: set `central.escalations`")
    said = centre.say(origin, envelope, args.wait)
    if said is None:
        says = f"left at the centre for `{origin}`, which takes it in as soon as it hears of it"
        return EXIT_ESCALATE, {"state": "left", "origin": origin, "says": says}
    if said.code:
        return refused(said.code, said.why)
    return EXIT_ALLOW, {"state": "taken", "origin": origin, "says": f"recorded by `{origin}`"}


def grants(config: Config) -> Sequence[Seen]:
    """Cases of other guards that grants came of."""
    return [one for one in others(config, waiting=False) if one.case.grants]


def _centre(config: Config) -> Elsewhere | None:
    from guardrail.central import elsewhere_of

    return elsewhere_of(config)


def _unsigned(away: Away) -> str:
    return (
        f"the escalation `{away.escalation}` at the centre is not what the guard of `{away.origin}` has"
        f" signed: {away.why}"
    )
