"""One more look at a place that a record names: is it there, is it the same, whose is it.

Not concerned with why somebody asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardrail.assets._places import locate

if TYPE_CHECKING:
    from guardrail.assets._recognition import Recognition


def found_again(path: str, inode: object, recognition: Recognition | None) -> dict[str, Any]:
    """What is at a path now.

    Args:
        path: absolute path, as a record has it; anything else cannot be looked at.
        inode: `[device, inode]` that was there, if it is known.
        recognition: tells registered assets by their content.

    Returns:
        `state` (`present`, `absent`, `replaced` by another inode, `hidden` or `unknown`), and `inode`, `bytes` and
        `holds`, the registered asset whose content it is, as far as they can be told.

    Raises:
        AnalysisFault: if the registry cannot be read.
    """
    if not path.startswith("/") or "\0" in path:
        return {"state": "unknown"}
    place = locate(path)
    if not place.exists:
        return {"state": "hidden" if place.hidden else "absent"}
    now = [place.dev, place.ino]
    found: dict[str, Any] = {"state": "present", "inode": now}
    if isinstance(inode, list) and inode != now:
        found["state"] = "replaced"
    if place.regular:
        found["bytes"] = place.size
        holds = recognition.asset_of(place) if recognition is not None else None
        if holds is not None:
            found["holds"] = holds
    return found
