"""Effects as what would move where: rows of two places and what happens between them. Pure.

Everything here is text of an agent: it is shown as it was recorded, and `plain` leaves no letter that could pass for
another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from guardrail.audit.reading import fields
from guardrail.review._view import plain

MOVING: Final = frozenset({"copy", "rename", "link", "net_send", "api_copy", "net_recv"})
"""Effects after which something is in two places, or in another one."""

GONE: Final = frozenset({"delete", "truncate", "api_delete"})
"""Effects after which something is no longer there."""

CHANGING: Final = frozenset(
    "create write append set_times set_security set_key record_score mount api_visibility".split()
)
"""Effects after which something is another."""

WORDS: Final[Mapping[str, str]] = {
    "copy": "is copied to",
    "rename": "is moved to",
    "link": "gets another name",
    "net_send": "is sent to",
    "net_recv": "is fetched from",
    "api_copy": "is copied to",
    "delete": "is deleted",
    "truncate": "is emptied",
    "api_delete": "is deleted",
    "create": "is created",
    "write": "is written",
    "append": "is added to",
    "set_times": "gets other dates",
    "set_security": "gets other permissions",
    "set_key": "gets another value",
    "record_score": "gets another score",
    "api_visibility": "is shown to others",
    "mount": "is mounted",
    "read": "is read",
    "list": "is listed",
    "exec": "is run",
    "exec_opaque": "runs, and cannot be looked into",
    "remote_exec": "runs elsewhere",
    "signal": "gets a signal",
    "service": "is started or stopped",
    "schedule": "is put on a schedule",
    "mention": "is named, and nobody knows what for",
}
"""What an effect does, in words."""


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the drawing.

    Args:
        op: the effect.
        words: what it does, in words.
        kind: `moving`, `gone`, `changing` or `looking`: how it is drawn.
        place: what it is about.
        real: where that really is, if it is called by another name.
        asset: the asset that it is; empty for none.
        target: where it goes; empty if nowhere.
        key: for a key of a file: which.
        before: its value before.
        after: its value afterwards.
        sure: `certainly`, or `perhaps` where it is one way that the call may go or not all of it could be seen.
    """

    op: str
    words: str
    kind: str
    place: str
    real: str = ""
    asset: str = ""
    target: str = ""
    key: str = ""
    before: str = ""
    after: str = ""
    sure: str = "certainly"


def drawing(view: Mapping[str, Any]) -> tuple[Move, ...]:
    """The rows for what was recorded of a held call, in its order, but for what reaches an asset, which comes first."""
    rows = [_move(fields.table(effect)) for effect in fields.items(view.get("effects"))]
    return tuple(sorted(rows, key=lambda row: not row.asset))


def _move(effect: Mapping[str, Any]) -> Move:
    op = plain(effect.get("op", "?"))
    sure = effect.get("precision", "exact") == "exact" and effect.get("modality", "must") == "must"
    return Move(
        op=op,
        words=WORDS.get(op, op),
        kind="moving" if op in MOVING else "gone" if op in GONE else "changing" if op in CHANGING else "looking",
        place=plain(effect.get("resource", "")),
        real=plain(effect.get("real", "")),
        asset=plain(effect.get("asset") or ""),
        target=plain(effect.get("target", "")),
        key=plain(effect.get("key", "")),
        before=plain(effect.get("before", "")) if "key" in effect else "",
        after=plain(effect.get("after", "")) if "key" in effect else "",
        sure="certainly" if sure else "perhaps",
    )
