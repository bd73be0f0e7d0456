"""What `escalations` and `grants` share: reading the trail without holding it, and bringing signed statements to it."""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli import EXIT_ALLOW, EXIT_ESCALATE, EXIT_FAULT, find_config
from guardrail.cli._elsewhere import say
from guardrail.cli._options import where
from guardrail.errors import ConfigError, GuardrailError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from guardrail.config import Config
    from guardrail.review import Case
    from guardrail.review._book import Book
    from guardrail.review._statements import AnyStatement

WAIT_SECONDS: Final = 2.0
"""How long a running guard is given to take a statement in, in seconds, unless `--wait` says otherwise."""

POLL_SECONDS: Final = 0.05
"""How often its answer is looked for, in seconds."""

EXITS: Final = (
    "exit codes: 0 done, 1 refused or failed, 2 usage or configuration, "
    "4 recorded and others have to approve as well, or left for the guard"
)

VARIABLE: Final = "GUARDRAIL_REVIEWER_TOKEN"
"""Environment variable with the reviewers' token of the service, for `--url`."""


def signing(parser: argparse.ArgumentParser) -> None:
    """Options of whoever says something."""
    where(parser)
    parser.add_argument("--key", required=True, metavar="FILE", help="your private key, as `mandates new-key` made it")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, for the record")
    parser.add_argument("--url", metavar="URL", help=f"send it to this service instead; its token is in ${VARIABLE}")
    parser.add_argument(
        "--wait",
        type=float,
        default=WAIT_SECONDS,
        metavar="SECONDS",
        help=f"how long to wait for a running guard to take it in; default {WAIT_SECONDS:g}",
    )


def configuration(args: argparse.Namespace) -> Config:
    """The configuration that is meant."""
    from guardrail.config import load

    return load(find_config(args.config))


def read_book(config: Config) -> Book:
    """Every case on the trail of a configuration, whoever has it open."""
    from guardrail.audit import trail_directory
    from guardrail.review._book import Book
    from guardrail.review._ledgers import read_trail

    book, directory = Book(), trail_directory(config)
    if not (config.trail.store or directory.is_dir()):
        if config.central.escalations:
            return book  # a person's own configuration: what they see is at the centre
        raise ConfigError(f"there is no trail at `{directory}`: this configuration has recorded nothing yet")
    for seq, record in _shared_records(config) if config.trail.store else read_trail(directory):
        book.take(seq, record)
    return book


def _shared_records(config: Config) -> Iterator[tuple[int, dict[str, Any]]]:
    from guardrail.audit import need_driver, trail_place
    from guardrail.review import KINDS

    need_driver()
    from guardrail.audit.postgres import read_rows

    return read_rows(trail_place(config), KINDS, strict=True)


def signer(config: Config, path: str) -> tuple[str, Ed25519PrivateKey]:
    """Who signs with a key, and the key."""
    from guardrail.mandates import load_key, public_keys

    key = load_key(path)
    public = key.public_key().public_bytes_raw()
    for name, known in public_keys(config).items():
        if known == public:
            return name, key
    raise ConfigError(f"the key `{path}` belongs to no [[person]] of the configuration: add its public half there")


def now_us() -> int:
    """The time, in microseconds since the epoch."""
    return time.time_ns() // 1000


def deliver(
    args: argparse.Namespace,
    config: Config,
    statements: Sequence[AnyStatement],
    key: Ed25519PrivateKey,
    origins: Sequence[str] = (),
) -> int:
    """Bring statements to whoever holds the trail, and say what came of each.

    Args:
        args: of the command line.
        config: whose trail.
        statements: what is said.
        key: of who says it.
        origins: for each of them the trail of another guard, or nothing for the own; all for the own by default.

    Returns:
        The exit code.
    """
    from guardrail.audit import trail_directory
    from guardrail.audit._verify import in_use
    from guardrail.review._statements import sign_statement

    signed = [sign_statement(statement, key) for statement in statements]
    if args.url:
        return _tell(args, [_send(args.url, envelope) for envelope in signed])
    places = origins or [""] * len(signed)
    answers = [say(args, config, place, envelope) for place, envelope in zip(places, signed, strict=True) if place]
    envelopes = [envelope for place, envelope in zip(places, signed, strict=True) if not place]
    if envelopes:
        in_hand = in_use(trail_directory(config))
        answers += _leave(config, envelopes, args.wait) if in_hand else _carry_out(config, envelopes)
    return _tell(args, answers)


Answer = tuple[int, dict[str, Any]]
"""An exit code, and what there is to say."""


def _tell(args: argparse.Namespace, answers: Sequence[Answer]) -> int:
    import json

    from guardrail.review._view import plain

    for _, facts in answers:
        print(json.dumps(facts, sort_keys=True) if args.json else plain(facts["says"]))
    codes = {code for code, _ in answers}
    return next((code for code in (EXIT_FAULT, EXIT_ESCALATE) if code in codes), EXIT_ALLOW)


def _carry_out(config: Config, envelopes: Sequence[bytes]) -> list[Answer]:
    from guardrail.audit import beside_trail, open_trail, trail_directory
    from guardrail.review import Clerk, Inbox, Refused, open_desk

    directory = trail_directory(config)
    if not (config.trail.store or directory.is_dir()):
        raise ConfigError(f"there is no trail at `{directory}`: this configuration has recorded nothing yet")
    answers: list[Answer] = []
    with contextlib.closing(open_trail(config)) as trail:
        desk = open_desk(config, trail)
        clerk = Clerk.of(config, desk)
        # What others left while a guard was running comes first.
        Inbox(beside_trail(config, "inbox")).take_in(clerk)
        for envelope in envelopes:
            try:
                answers.append(taken(clerk.take(envelope)))
            except Refused as error:
                answers.append(refused(error.code, str(error)))
        desk.save()
    return answers


def taken(case: Case) -> Answer:
    """What to say of a case that a statement was recorded about."""
    open_still = case.state == "pending"
    grant = case.grants[-1].grant.id if case.grants else None
    says = f"recorded: {case.held.id} is {case.state}"
    if open_still:
        says += ": others have to approve it as well"
    elif grant is not None and case.state == "approved":
        withdrawn = case.grants[-1].withdrawn
        says += f", grant {grant}" if withdrawn is None else f", its grant {grant} is {withdrawn}"
    facts = {"escalation": case.held.id, "state": case.state, "grant": grant, "says": says}
    return (EXIT_ESCALATE if open_still else EXIT_ALLOW), facts


def refused(code: str, why: str) -> Answer:
    """What to say of a statement that came to nothing."""
    return EXIT_FAULT, {"refused": code, "says": f"refused: {why}"}


def _leave(config: Config, envelopes: Sequence[bytes], wait: float) -> list[Answer]:
    """Put them into the inbox, and wait a moment for the guard to look."""
    from guardrail.audit import beside_trail
    from guardrail.review import Inbox

    inbox = Inbox(beside_trail(config, "inbox"))
    left = [inbox.put(envelope) for envelope in envelopes]
    end = time.monotonic() + wait
    answers: dict[Path, str | None] = dict.fromkeys(left)
    while True:
        answers |= {path: inbox.answer(path) for path, answer in answers.items() if answer is None}
        if all(answer is not None for answer in answers.values()) or time.monotonic() >= end:
            break
        time.sleep(POLL_SECONDS)
    return [_left_answer(answer) for answer in answers.values()]


def _left_answer(answer: str | None) -> Answer:
    if answer is None:
        says = "left for the guard that holds the trail, which takes it in before the next call that is held"
        return EXIT_ESCALATE, {"state": "left", "says": says}
    if answer:
        return refused("refused", answer)
    return EXIT_ALLOW, {"state": "taken", "says": "recorded by the guard that holds the trail"}


def _send(url: str, envelope: bytes) -> Answer:
    from guardrail.cli._remote import post

    token = os.environ.get(VARIABLE, "")
    if not token:
        raise ConfigError(f"`--url` needs the reviewers' token of the service in ${VARIABLE}")
    status, answer = post(url, "/v1/review", envelope, token)
    if status == 200:
        state = str(answer.get("state"))
        facts = {name: answer.get(name) for name in ("id", "state")}
        return (EXIT_ESCALATE if state == "pending" else EXIT_ALLOW), facts | {
            "says": f"recorded: {answer.get('id')} is {state}"
        }
    if "code" in answer:
        return refused(str(answer["code"]), str(answer.get("detail", "")))
    raise GuardrailError(
        f"the service at `{url}` answered {status}: {answer.get('detail', 'nothing that can be read')}"
    )
