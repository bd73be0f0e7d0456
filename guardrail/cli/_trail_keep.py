"""`guardrail audit rotate-key`, `redact`, `prune` and `hold`: what people do to a trail, each a record in it."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli._input import read_bytes
from guardrail.cli._output import put

if TYPE_CHECKING:
    from guardrail.audit import Trail
    from guardrail.audit.postgres import PostgresTrail
    from guardrail.config import Config

KEEPER: Final = "keeper"
"""Below the directory of a replica: what these actions keep for themselves."""

Where = Callable[[argparse.ArgumentParser], None]
"""Adds the arguments that say which trail is meant."""


def add(actions: Any, where: Where, run: Any) -> None:
    """Add these actions to `guardrail audit`."""
    _add_rotate(actions, where, run)
    _add_redact(actions, where, run)
    _add_prune(actions, where, run)
    _add_hold(actions, where, run)


def _add_rotate(actions: Any, where: Where, run: Any) -> None:
    rotate = actions.add_parser(
        "rotate-key",
        help="replace the key that signs the trail",
        description="Put a new key beside the old one: a record under the old key names it, and both sign from then on."
        " With --finish the old key is retired, and its private half taken away. The guard must be stopped, unless the"
        " trail is shared: then start each replica with the new file between the two.",
    )
    where(rotate)
    rotate.add_argument("--finish", action="store_true", help="retire the old key")
    rotate.set_defaults(run=run, act=_rotate)


def _add_redact(actions: Any, where: Where, run: Any) -> None:
    redact = actions.add_parser(
        "redact",
        help="delete what a record disclosed, for good",
        description="Delete one disclosure of a record; the record stays and still verifies, and another says who did"
        " it and why. The guard must be stopped, unless the trail is shared.",
    )
    where(redact)
    redact.add_argument("--seq", type=int, required=True, metavar="N", help="number of the record")
    redact.add_argument("--pointer", required=True, metavar="P", help="what is deleted, such as /call/args/command")
    redact.add_argument("--reason", required=True, metavar="TEXT", help="why")
    redact.add_argument("--by", required=True, metavar="NAME", help="who decided it")
    redact.set_defaults(run=run, act=_redact)


def _add_prune(actions: Any, where: Where, run: Any) -> None:
    prune = actions.add_parser(
        "prune",
        help="take whole old segments away, by an order of two people",
        description="First write an order (--before, --reason, --draft FILE), then have two people sign it (--sign FILE"
        " --key KEY --by NAME), then carry it out (--order FILE). Tiles stay, so that every proof of what is left"
        " holds. The guard must be stopped for the last step, unless the trail is shared.",
    )
    where(prune)
    prune.add_argument("--before", metavar="DATE", help="records from before that day (UTC) may go, for --draft")
    prune.add_argument("--reason", metavar="TEXT", help="why, for --draft")
    prune.add_argument("--draft", metavar="FILE", help="write an order that nobody has signed yet")
    prune.add_argument("--sign", metavar="FILE", help="sign an order")
    prune.add_argument("--key", metavar="KEY", help="private key of who signs, for --sign")
    prune.add_argument("--by", metavar="NAME", help="name of who signs, as in [[person]], for --sign")
    prune.add_argument("--order", metavar="FILE", help="carry a signed order out")
    prune.set_defaults(run=run, act=_prune)


def _add_hold(actions: Any, where: Where, run: Any) -> None:
    hold = actions.add_parser(
        "hold",
        help="put a trail under a legal hold, or release one",
        description="While a hold is in force nothing is pruned. The guard must be stopped, unless the trail is"
        " shared.",
    )
    hold.add_argument("what", choices=("add", "release", "list"), help="what is done")
    where(hold)
    hold.add_argument("--name", metavar="NAME", help="name of the hold, such as a case number")
    hold.add_argument("--reason", metavar="TEXT", help="why")
    hold.add_argument("--by", metavar="NAME", help="who decided it")
    hold.set_defaults(run=run, act=_hold)


# ── what they do ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _rotate(args: argparse.Namespace, directory: str) -> int:
    from guardrail.audit import rotation

    with _open(args, directory) as (trail, origin):
        old, new = (rotation.finish if args.finish else rotation.begin)(trail, origin, _key_file(args))
    if args.finish:
        _tell(args, {"key": new, "retired": old}, f"{new} signs alone\n{old} is retired")
    else:
        text = f"{new} is added\n{old} still signs beside it: give the new key to whoever verifies, then --finish"
        _tell(args, {"key": old, "next": new}, text)
    return 0


def _redact(args: argparse.Namespace, directory: str) -> int:
    from guardrail.audit import redaction

    with _open(args, directory) as (trail, _):
        was_there = redaction.redact(trail, args.seq, args.pointer, reason=args.reason, by=args.by)
    gone = "is deleted" if was_there else "was gone already"
    found = {"record": args.seq, "pointer": args.pointer, "deleted": was_there}
    _tell(args, found, f"{args.pointer} of record {args.seq} {gone}; the record still verifies")
    return 0


def _prune(args: argparse.Namespace, directory: str) -> int:
    from guardrail.audit import retention
    from guardrail.errors import ConfigError

    if sum(bool(step) for step in (args.draft, args.sign, args.order)) != 1:
        raise ConfigError("say one of --draft FILE, --sign FILE and --order FILE")
    if args.draft:
        if not (args.before and args.reason):
            raise ConfigError("an order needs --before DATE and --reason TEXT")
        order = retention.draft(_origin(directory), _day(args.before), args.reason)
        put(args.draft, retention.write_order(order))
        _tell(args, {"order": args.draft}, f"{args.draft} is written: two people have to sign it")
    elif args.sign:
        if not (args.key and args.by):
            raise ConfigError("signing an order needs --key KEY and --by NAME")
        order = retention.sign_order(retention.read_order(read_bytes(args.sign)), args.by, args.key)
        put(args.sign, retention.write_order(order))
        names = [one.name for one in order.signatures]
        _tell(args, {"order": args.sign, "signed": names}, f"{args.sign} is signed by {', '.join(names)}")
    else:
        _carry_out(args, directory)
    return 0


def _carry_out(args: argparse.Namespace, directory: str) -> None:
    from guardrail.audit import retention
    from guardrail.mandates import public_keys

    config = _config(args)
    order = retention.read_order(read_bytes(args.order))
    with _open(args, directory) as (trail, origin):
        first = retention.prune(
            trail,
            order,
            origin,
            public_keys(config),
            keep_days=config.trail.keep_days,
            now_us=time.time_ns() // 1000,
        )
    _tell(args, {"minimum": first}, f"everything before record {first} is taken away; its tiles stay")


def _hold(args: argparse.Namespace, directory: str) -> int:
    from guardrail.audit import retention
    from guardrail.errors import ConfigError
    from guardrail.printing import visible

    if args.what == "list":
        found = retention.holds(directory)
        text = "\n".join(visible(f"{name}  {reason}") for name, reason in found.items()) or "no hold is in force"
        _tell(args, {"holds": found}, text)
        return 0
    if not (args.name and args.reason and args.by):
        raise ConfigError(f"`hold {args.what}` needs --name NAME, --reason TEXT and --by NAME")
    with _open(args, directory) as (trail, _):
        retention.hold(trail, args.name, release=args.what == "release", reason=args.reason, by=args.by)
    _tell(args, {"hold": args.name, "event": args.what}, f"the hold {args.name} is {_DONE[args.what]}")
    return 0


_DONE = {"add": "in force", "release": "released"}


# ── with what ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class _open:  # noqa: N801 - used like a function: `with _open(args, directory) as (trail, origin):`
    """The trail, open for writing, and its name; what cannot be written is told and exits with 1."""

    def __init__(self, args: argparse.Namespace, directory: str) -> None:
        from guardrail.audit import Trail, is_store

        config, origin = _config(args), _origin(directory)
        second = config.trail.checkpoint_file
        self._origin = origin
        if is_store(directory):
            self._trail: Trail | PostgresTrail = _open_shared(args, directory, origin)
            return
        self._trail = Trail.open(
            directory,
            origin=origin,
            segment_bytes=config.trail.segment_bytes,
            checkpoint_file=config.path(second) if second else None,
            witnesses=[(witness.url, witness.key) for witness in config.trail.witnesses],
        )

    def __enter__(self) -> tuple[Trail | PostgresTrail, str]:
        return self._trail, self._origin

    def __exit__(self, *_: object) -> None:
        self._trail.close()


def _open_shared(args: argparse.Namespace, directory: str, origin: str) -> PostgresTrail:
    from guardrail.audit import trail_directory, trail_key
    from guardrail.audit.postgres import PostgresTrail
    from guardrail.errors import ConfigError

    if args.directory:
        raise ConfigError("this signs, so it needs the key of the shared trail: name its configuration by --config")
    config = _config(args)
    # The guard of this configuration may be running, and its directory has one process.
    return PostgresTrail.open(
        directory,
        directory=trail_directory(config) / KEEPER,
        key=trail_key(config),
        origin=origin,
        timeout_seconds=config.trail.timeout_seconds,
        witnesses=[(witness.url, witness.key) for witness in config.trail.witnesses],
    )


def _key_file(args: argparse.Namespace) -> Path:
    from guardrail.audit import trail_key

    return trail_key(_config(args))


def _config(args: argparse.Namespace) -> Config:
    """The configuration that is meant; an empty one where only a directory was named."""
    from guardrail.cli import find_config
    from guardrail.config import Config, load

    return Config() if args.directory else load(find_config(args.config))


def _origin(directory: str) -> str:
    from guardrail.audit import is_store
    from guardrail.errors import ConfigError

    if is_store(directory):
        from guardrail.audit.postgres import Reader

        with Reader.open(directory) as reader:
            return reader.origin()
    try:
        vkey = (Path(directory) / "trail.vkey").read_text("utf-8").split("\n")[0]
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"`{directory}/trail.vkey` cannot be read: put it back") from None
    return vkey.partition("+")[0]


def _day(text: str) -> int:
    from guardrail.errors import ConfigError

    try:
        day = dt.datetime.combine(dt.date.fromisoformat(text), dt.time(), dt.UTC)
    except ValueError:
        raise ConfigError(f"`{text}` is no day such as 2026-01-31") from None
    return int(day.timestamp()) * 1_000_000


def _tell(args: argparse.Namespace, found: dict[str, Any], text: str) -> None:
    print(json.dumps(found, sort_keys=True) if args.json else text)
