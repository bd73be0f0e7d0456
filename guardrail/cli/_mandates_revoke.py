"""`guardrail mandates revoke`: take an order back, at once and for good."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli import CONFIG_HELP
from guardrail.cli._mandates_text import EXIT_OK, EXITS, open_ledger, read_file
from guardrail.cli._output import put

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.mandates import Mandate

_REVOKE: Final = (
    "The id is ended for good: a mandate that is signed later under it does not count either. "
    "Running guards honour it with the next call."
)


def add(actions: Any) -> None:
    """Add this action to the command line."""
    revoke = actions.add_parser(
        "revoke", help="take an order back, at once and for good", description=_REVOKE, epilog=EXITS
    )
    revoke.add_argument("mandate", metavar="ID|FILE", help="the mandate's id, or its signed file")
    revoke.add_argument("--key", required=True, metavar="FILE", help="private key of the issuer or of a revoker")
    revoke.add_argument("--reason", default="", help="why, for people")
    revoke.add_argument("--out", metavar="FILE", help="where it goes; default the directory of mandates")
    revoke.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    revoke.set_defaults(run=_revoke)


def _revoke(args: argparse.Namespace) -> int:
    import base64
    import datetime as dt
    import hashlib

    from guardrail.cli import find_config
    from guardrail.config import load
    from guardrail.errors import ConfigError, Fault
    from guardrail.mandates import Revocation, revoke
    from guardrail.mandates._directory import REVOKED
    from guardrail.mandates._revocation import open_revocation
    from guardrail.mandates._signing import load_key, public_keys, public_text, read_public
    from guardrail.printing import visible

    config = load(find_config(args.config))
    key = load_key(args.key)
    people = public_keys(config)
    by = next((name for name, public in people.items() if public == read_public(public_text(key))), None)
    if by is None:
        raise ConfigError(f"the key `{args.key}` is that of no [[person]] of the configuration: use the issuer's")
    mandate, order = _order_to_revoke(args.mandate, config, by, people)
    if order is None and by not in config.mandates.revokers:
        raise ConfigError(_not_yours(mandate, by, config, people))
    revocation = Revocation(
        mandate=mandate,
        by=by,
        at=dt.datetime.now(dt.UTC).replace(microsecond=0),
        reason=args.reason,
        order="" if order is None else base64.b64encode(order).decode(),
    )
    data = revoke(revocation, key)
    open_revocation(data, people, config.mandates.revokers)
    digest = hashlib.sha256(data).hexdigest()
    out = Path(args.out) if args.out else config.path(config.mandates.directory) / f"{mandate}.{digest[:8]}{REVOKED}"
    put(str(out), data)
    try:
        ledger = open_ledger(config, readonly=False)
        try:
            ledger.keep(mandate, digest, data)
        finally:
            ledger.close()
    except (ConfigError, Fault) as error:
        # Guards of this configuration keep it as soon as they see the file.
        print(visible(f"note: leave the file where it is until a guard has seen it: {error}"), file=sys.stderr)
    print(visible(f"revoked {mandate}: {out}"))
    return EXIT_OK


def _not_yours(mandate: str, by: str, config: Config, people: dict[str, bytes]) -> str:
    """Why somebody who is no revoker cannot revoke an id, and what to do."""
    issuers = sorted({found.issuer for _, found in _genuine(config, people) if found.id == mandate})
    if issuers:
        whose = " and ".join(f"`{issuer}`" for issuer in issuers)
        return (
            f"`{mandate}` is of {whose}, and `{by}` may not revoke it: use the issuer's key, "
            f"or put `{by}` into `mandates.revokers`"
        )
    return (
        f"no mandate `{mandate}` of `{by}` lies in `mandates.directory`: give its signed file, "
        "which shows that it is yours to revoke"
    )


def _genuine(config: Config, people: dict[str, bytes]) -> Iterator[tuple[bytes, Mandate]]:
    """The signed files in the directory of mandates that can be read, each with its mandate."""
    from guardrail.errors import ConfigError
    from guardrail.mandates._directory import SUFFIX
    from guardrail.mandates._signing import open_envelope

    for path in sorted(config.path(config.mandates.directory).glob(f"*{SUFFIX}")):
        with contextlib.suppress(ConfigError):
            data = read_file(str(path))
            yield data, open_envelope(data, people)


def _order_to_revoke(text: str, config: Config, by: str, people: dict[str, bytes]) -> tuple[str, bytes | None]:
    """The id of a mandate, and its signed file if it is to be found."""
    from guardrail.errors import ConfigError
    from guardrail.mandates._signing import open_envelope

    if os.path.isfile(text):
        data = read_file(text)
        return open_envelope(data, people).id, data
    if not config.mandates.directory:
        raise ConfigError("`mandates.directory` is not set, so no guard of this configuration has any mandate")
    found: bytes | None = None
    for data, mandate in _genuine(config, people):
        if mandate.id == text and (mandate.issuer == by or by in config.mandates.revokers):
            found = data
    return text, found
