"""Edits of a control config as changes of its keys.

Not concerned with which change is permitted: that is policy's to say, from `control`, `after` and `safe`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from guardrail.effects import apply, key_changes
from guardrail.model import Edit, Effect, canonical


def key_effects(effect: Effect, edit: Edit, before: bytes | None, controls: Mapping[str, Any]) -> Iterator[Effect]:
    """Turn a write with known content into `set_key` effects.

    Args:
        effect: the write or append, on a control asset.
        edit: the new content.
        before: the file's content now; None if there is no file.
        controls: control key -> its safe value.

    Yields:
        One effect for each control key and each other key that changes; the write itself, without its content, when the
        result of the edit cannot be computed, so that policy sees an edit it cannot look into.
    """
    bare = msgspec.structs.replace(effect, edit=None)
    after = apply(edit, before)
    changes = None if after is None else key_changes(effect.resource.real or "", before, after)
    if changes is None:
        yield bare
        return
    for change in changes:
        # A change of a table that holds a control key is a change of that control.
        safe_key = next((key for key in controls if key == change.key or key.startswith(change.key + ".")), None)
        attrs: dict[str, Any] = {"key": change.key, "control": safe_key is not None}
        if change.had:
            attrs["before"] = change.before
        if change.has:
            attrs["after"] = change.after
        if safe_key is not None:
            attrs["safe"] = controls[safe_key]
            attrs["weakened"] = not _same(
                change.after if change.has else None, controls[safe_key], change.key == safe_key
            )
        yield msgspec.structs.replace(bare, op="set_key", attrs={**bare.attrs, **attrs})
    if not changes:
        yield msgspec.structs.replace(bare, op="read", attrs={**bare.attrs, "unchanged": True})


def keyed(effect: Effect, controls: Mapping[str, Any]) -> Effect:
    """Say of a key that is set behind an API whether it is a control, and what its safe value is.

    Args:
        effect: a `set_key` with the key in its attrs; without one it may be any key.
        controls: control key -> its safe value.
    """
    key = effect.attrs.get("key")
    known = isinstance(key, str) and "*" not in key
    safe_key = next((name for name in controls if name == key or name.startswith(f"{key}.")), None) if known else None
    attrs: dict[str, Any] = {**effect.attrs, "control": safe_key is not None or not known}
    if safe_key is not None:
        attrs["safe"] = controls[safe_key]
    return msgspec.structs.replace(effect, attrs=attrs)


def _same(value: Any, safe: Any, exact_key: bool) -> bool:
    # INVARIANT: same value and same type; the string "true" and the number 1 are not the boolean true.
    return exact_key and canonical(value) == canonical(safe)
