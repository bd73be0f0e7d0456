"""After a crash: what became of calls that were released and whose results nobody wrote down.

Each open intent gets a `result` record that says `unknown`. The files that it named, if they were assets, are looked at
again: whether they are there, whether it is the same inode, and whose content it is, where a registry can tell.

Blind spot: the look is at what is there now. Who changed it, the call or somebody after it, is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from guardrail.assets import found_again

if TYPE_CHECKING:
    from guardrail.assets import Inventory, Recognition
    from guardrail.audit._store import AnyTrail

MAX_IN_ONE: Final = 2000
"""Most intents that one record answers together, which is for those that named no asset or could not be read."""


def settle(trail: AnyTrail, inventory: Inventory, recognition: Recognition | None = None) -> int:
    """Answer every intent that nobody else will: of a shared trail also those that are left by others later.

    Args:
        trail: the trail, just opened.
        inventory: the assets as they are declared now.
        recognition: tells registered assets by their content.

    Returns:
        How many there were.

    Raises:
        TrailError: if the records cannot be written.
        OSError: if the trail cannot be read.
        AnalysisFault: if the registry cannot be read.
    """

    def answers(open_now: Sequence[int], records: Mapping[int, dict[str, Any]]) -> list[dict[str, Any]]:
        about = [seq for seq in open_now if (records.get(seq) or {}).get("assets")]
        named = set(about)
        rest = [seq for seq in open_now if seq not in named]
        return [
            *(_answer(seq, records[seq], inventory, recognition) for seq in about),
            *(
                {"kind": "result", "intents": rest[at : at + MAX_IN_ONE], "result": "unknown"}
                for at in range(0, len(rest), MAX_IN_ONE)
            ),
        ]

    return trail.settle(answers)


def _answer(seq: int, record: dict[str, Any], inventory: Inventory, recognition: Recognition | None) -> dict[str, Any]:
    call = record.get("call")
    return {
        "kind": "result",
        "intent": seq,
        "decision_id": record.get("decision_id"),
        "call": cast("dict[str, Any]", call).get("id") if isinstance(call, dict) else None,
        "result": "unknown",
        "found": _look(record, inventory, recognition),
    }


def _look(record: dict[str, Any], inventory: Inventory, recognition: Recognition | None) -> list[dict[str, Any]]:
    """What is at the places that the intent named on assets, and at those the assets are declared at."""
    found: list[dict[str, Any]] = []
    looked: set[str] = set()
    effects = cast("list[dict[str, Any]]", record.get("effects") or [])
    for effect in effects:
        path, inode = str(effect.get("resource", "")), effect.get("inode")
        if effect.get("asset") is None or path in looked:
            continue
        looked.add(path)
        found.append({"asset": effect["asset"], "place": path, **found_again(path, inode, recognition)})
    for asset_id in cast("list[str]", record.get("assets") or []):
        asset = inventory.get(asset_id)
        if asset is None:
            found.append({"asset": asset_id, "state": "not declared any more"})
            continue
        for root in asset.roots[:MAX_ROOTS]:
            if root not in looked:
                looked.add(root)
                found.append({"asset": asset_id, "place": root[:MAX_PLACE], **found_again(root, None, recognition)})
    return found[:MAX_FOUND]


MAX_ROOTS: Final = 4
"""Most declared paths of one asset that are looked at."""

MAX_PLACE: Final = 192
"""Longest path in a finding, in characters."""

MAX_FOUND: Final = 48
"""Most findings in one record."""
