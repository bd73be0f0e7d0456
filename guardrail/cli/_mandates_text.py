"""What the actions of `guardrail mandates` share: files, the ledger, and an order in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardrail.cli._input import read_bytes

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.mandates import Mandate, MandateLedger

EXIT_OK: Final = 0
EXIT_REFUSED: Final = 1

EXITS: Final = "exit codes: 0 done, 1 refused, 2 usage or configuration"
"""What the exit codes of an action mean that does something."""


def summary(mandate: Mandate) -> str:
    """What a person should read before and after signing."""
    grants = [
        f"{'/'.join(grant.effects)} {' '.join(grant.assets)}"
        + (f" to {' '.join(grant.targets)}" if grant.targets else "")
        + (f" registered from {grant.registered_from}" if grant.registered_from else "")
        + (f" registered until {grant.registered_until}" if grant.registered_until else "")
        + (" with approval" if grant.approval else "")
        + (f" at most {'once' if grant.uses == 1 else f'{grant.uses} times'}" if grant.uses is not None else "")
        for grant in mandate.grants
    ]
    duties = [
        f"must {duty.effect} {duty.asset}"
        + (f" if the mean of {duty.records} is below {duty.below}" if duty.records else "")
        + (f" by {duty.due.isoformat()}" if duty.due is not None else "")
        + (", or the guard does it" if duty.fallback else "")
        + (" with all copies" if duty.derivatives else "")
        for duty in mandate.obligations
    ]
    window = f"{mandate.not_before.isoformat()} to {mandate.not_after.isoformat()}"
    return f"{mandate.issuer} lets {mandate.subject}: {'; '.join((*grants, *duties))}; {window}"


def goes_nowhere(effect: str) -> str:
    """What is wrong with a grant of an effect that needs a target and has none."""
    return f"`{effect}` goes nowhere without a target, so it is not allowed"


def read_file(path: str) -> bytes:
    """The content of a file, cut where it is too long for a mandate.

    Raises:
        ConfigError: if it cannot be read.
    """
    from guardrail.mandates._mandate import MAX_MANDATE_BYTES

    return read_bytes(path, MAX_MANDATE_BYTES + 1)


def open_ledger(config: Config, *, readonly: bool) -> MandateLedger:
    """What a configuration's guards keep of uses and revocations."""
    from guardrail.audit import beside_trail
    from guardrail.mandates import MandateLedger

    return MandateLedger(beside_trail(config, "orders.db"), readonly=readonly)
