"""One asset, as the operator declared it.

Not concerned with where on the live filesystem it is found: `_index` is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from guardrail.assets._controls import ControlKeys, control_keys
from guardrail.assets._places import Place
from guardrail.config import AssetConfig, RecordConfig, dotted
from guardrail.model import AssetClass

PROCESS: Final = "guardrail:process"
"""The process that the guard runs in, as an asset of its own."""

NAME: Final = "guardrail"
"""What the guard's own program is called."""

CODE: Final = "guardrail:code"
"""The guard's own program, as an asset of its own."""

PACKAGE: Final = "pip:guardrail-runtime"
"""The distribution that the guard's program comes with: who takes that away takes the guard away."""


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """Something the operator declared worth guarding.

    Args:
        id: its name in rules, mandates and the trail.
        asset_class: what sort of asset.
        roots: real paths it lives at.
        facts: what rules may know about it; from the inventory, never from the file.
        controls: for a control config: which keys are controls.
        record: for an evaluation record: which key is what.
        uris: addresses it lives at where there is no path.
    """

    id: str
    asset_class: AssetClass
    roots: tuple[str, ...]
    facts: dict[str, Any]
    controls: ControlKeys = ControlKeys()
    record: RecordConfig | None = None
    uris: tuple[str, ...] = ()

    @property
    def is_read_by_key(self) -> bool:
        """Whether an edit of known content is judged by what changes in it."""
        return bool(self.controls) or self.record is not None


def declared_asset(declared: AssetConfig, places: Sequence[Place]) -> Asset:
    """The asset that a part of the configuration declares.

    Args:
        declared: that part.
        places: where its paths lead now.
    """
    facts = facts_of(declared.id, declared.asset_class)
    facts["model"] = declared.model
    facts["owner"] = declared.owner
    facts["registered"] = declared.registered.isoformat() if declared.registered else None
    return Asset(
        id=declared.id,
        asset_class=declared.asset_class,
        roots=tuple(dict.fromkeys(place.real for place in places)),
        facts=facts,
        controls=control_keys(dict(dotted(declared.controls)), dict(dotted(declared.weakens))),
        record=declared.record,
        uris=declared.uris,
    )


def own_asset(asset_id: str, roots: Sequence[str] = ()) -> Asset:
    """Something of the guard itself.

    Args:
        asset_id: its name.
        roots: real paths that it covers, each with all below it.
    """
    return Asset(id=asset_id, asset_class="guard", roots=tuple(roots), facts=facts_of(asset_id, "guard"))


def facts_of(asset_id: str, asset_class: str) -> dict[str, Any]:
    """What rules are told of an asset of which nothing more is known."""
    return {"id": asset_id, "class": asset_class, "model": None, "owner": None, "registered": None}


def names_of(declared: AssetConfig) -> Iterator[str]:
    """What people call an asset: the end of its id, of its model and of its paths."""
    yield declared.id.rpartition(":")[2]
    yield (declared.model or "").rpartition("/")[2]
    for path in declared.paths:
        yield path.rstrip("/").rpartition("/")[2].partition(".")[0]
