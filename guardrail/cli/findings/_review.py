"""What `guardrail doctor` says of review: who can say yes, what waits for them, and who hears of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from guardrail.cli._words import counted
from guardrail.cli.findings._finding import Finding, State

if TYPE_CHECKING:
    from guardrail.config import Config

GLASS_PEOPLE: Final = 3
"""How many people a break-glass takes: two who break it, and one who looks at it afterwards."""

Found = tuple[State, str]
"""State and detail of one thing that was looked at."""


def review_findings(config: Config) -> Iterator[Finding]:
    """Who decides, for how long, what waits, and whether anybody is told.

    Args:
        config: as it was loaded.
    """
    for state, detail in _review(config):
        yield Finding(name="review", state=state, detail=detail)


def _review(config: Config) -> Iterator[Found]:
    yield _people(config)
    yield from _groups(config)
    yield from _operators(config)
    if config.review.oidc is not None:
        yield _provider(config)
    yield _times(config)
    yield from _waiting(config)
    yield _webhooks(config)


def _people(config: Config) -> Found:
    many, signed_in = len(config.people), config.review.oidc is not None
    if not many and not signed_in:
        if config.review.accept_unsigned:
            detail = "nobody can sign: answers of adapters count unsigned, and every other call that is held is denied "
            return "note", detail + "in the end: add [[person]] tables (`guardrail mandates new-key`)"
        return "problem", "nobody can sign, and unsigned answers do not count: add [[person]] tables, or [review.oidc]"
    who = " and ".join([*([counted(many, "key")] if many else []), *(["whoever signs in"] if signed_in else [])])
    if many < GLASS_PEOPLE:
        short = f"{who} can say yes; break-glass needs {GLASS_PEOPLE} with keys: two to break it, one to look at it"
        return "note", short
    return "ok", f"{who} can say yes"


def _groups(config: Config) -> Iterator[Found]:
    for name, group in config.review.groups.items():
        rules = ", ".join(f"`{rule}`" for rule in group.rules)
        yield "ok", f"group `{name}`: {group.n} of {', '.join(group.members)} for {rules}"


def _operators(config: Config) -> Iterator[Found]:
    """Agents for which everybody who could say yes is kept from it."""
    from guardrail.names import alike

    people = {alike(person.name): person.name for person in config.people}
    if not people or config.review.oidc is not None:
        return
    for agent in sorted({agent.id for agent in config.agents}):
        operators = {alike(other.operator) for other in config.agents if other.id == agent}
        if operators >= set(people):
            detail = f"agents `{agent}`: everybody with a key operates them, so nobody may approve what they do"
            yield "problem", f"{detail}: add a [[person]] who does not"


def _provider(config: Config) -> Found:
    from guardrail.errors import ConfigError
    from guardrail.review._oidc import Provider

    oidc = config.review.oidc
    if oidc is None:
        raise ValueError("no identity provider is configured")
    try:
        Provider(oidc, config.path(oidc.jwks))
    except ConfigError as error:
        return "problem", str(error)
    return "ok", f"ID tokens of {oidc.issuer} for `{oidc.audience}` count, by `{oidc.name}`"


def _times(config: Config) -> Found:
    review = config.review
    detail = f"a question waits {_span(review.escalation_seconds)}, an approval is good for "
    detail += f"{_span(review.grant_seconds)}, a rejection holds for {_span(review.sticky_seconds)}"
    return "ok", detail


def _span(seconds: int) -> str:
    for unit, size in (("hour", 3600), ("minute", 60)):
        if seconds and not seconds % size:
            return counted(seconds // size, unit)
    return counted(seconds, "second")


def _waiting(config: Config) -> Iterator[Found]:
    """What people owe an answer now, as the trail has it."""
    from guardrail.audit import trail_directory
    from guardrail.cli._review import read_book
    from guardrail.errors import GuardrailError
    from guardrail.printing import moment

    if not (config.trail.store or trail_directory(config).is_dir()):
        return  # nothing was recorded yet
    try:
        book = read_book(config)
    except GuardrailError as error:
        yield "problem", str(error)
        return
    now_us = time.time_ns() // 1000
    waiting = [case for case in book.pending() if case.state_at(now_us) == "pending"]
    if waiting:
        first = min(case.held.expires_us for case in waiting)
        yield "note", f"{counted(len(waiting), 'escalation')} waiting, the first until {moment(first)}"
    for case in book.cases():
        if case.is_late(now_us):
            how = "nobody has looked at it in time: `guardrail escalations review`"
            yield "problem", f"break-glass `{case.held.id}`: {how}"


def _webhooks(config: Config) -> Found:
    from guardrail.errors import ConfigError
    from guardrail.review._notices import Endpoint

    webhooks = config.review.webhooks
    if not webhooks:
        return "note", "nobody is told when a call is held: add [[review.webhook]], or look at `guardrail escalations`"
    try:
        names = [Endpoint(webhook, config.trail.origin).name for webhook in webhooks]
    except ConfigError as error:
        return "problem", f"{error}: `guardrail serve` would not start"
    plain = [webhook.name for webhook in webhooks if webhook.url.startswith("http://")]
    if plain:
        return "note", f"told are {', '.join(names)}; `{plain[0]}` over plain HTTP, which others can read"
    return "ok", f"told are {', '.join(names)}"
