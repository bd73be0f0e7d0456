"""What the routes of orders, duties and records take and give: their OpenAPI schemas are made from these."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from guardrail.mandates._listing import Listed, Stands
from guardrail.obligations import ObligationStatus


class MandateList(msgspec.Struct, frozen=True, kw_only=True):
    """Every order, and every file that is none."""

    mandates: tuple[Listed, ...]


class LaidDown(msgspec.Struct, frozen=True, kw_only=True):
    """What was brought, as it lies in the directory of mandates now.

    Args:
        file: its name there.
        kind: what it is.
        mandate: id of the mandate that it is, or revokes.
        stands: how that mandate stands now.
        state: the same in a sentence; `counts` if it does.
    """

    file: str
    kind: Literal["mandate", "revocation"]
    mandate: str
    stands: Stands
    state: str


class ObligationList(msgspec.Struct, frozen=True, kw_only=True):
    """What is owed, and how it stands.

    Args:
        obligations: what was taken up.
        notes: a sentence for each duty of an order that this guard has not taken up.
    """

    obligations: tuple[ObligationStatus, ...]
    notes: tuple[str, ...] = ()


class Records(msgspec.Struct, frozen=True, kw_only=True):
    """Records of the trail, and `after` of the next ones; null if there are none."""

    records: tuple[dict[str, Any], ...]
    next: int | None
