"""What the actions of `guardrail mandates` share: exit codes, files and the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardrail.cli._input import read_bytes

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.mandates import MandateLedger

EXIT_OK: Final = 0
EXIT_REFUSED: Final = 1

EXITS: Final = "exit codes: 0 done, 1 refused, 2 usage or configuration"
"""What the exit codes of an action mean that does something."""


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
