"""Edits of files that are judged by what changes in them: the keys of a control config, the scores of a record.

Not concerned with which change is a weakening, which `_controls` knows, nor with which is permitted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from guardrail.assets._controls import key_effects, keyed
from guardrail.assets._files import LiveFiles
from guardrail.assets._index import AssetIndex
from guardrail.assets._scores import called_record, record_effects
from guardrail.model import Effect, Resource
from guardrail.parse import strings

_EDITING: Final = frozenset({"write", "append", "create", "truncate"})
"""Ops whose edit is the new content of their own resource."""

_BRINGING: Final = frozenset({"rename", "copy", "link"})
"""Ops whose edit is the content that their target gets."""

_SEVERAL: Final = re.compile(r"[a-z0-9][._-][a-z0-9]|[a-z][A-Z]")
"""A name of several words."""


class Edits:
    """What edits change in the assets of an inventory.

    Args:
        index: the assets.
        files: the filesystem, for what is there before an edit.
        most: largest file that is read, in bytes.
    """

    def __init__(self, index: AssetIndex, files: LiveFiles, most: int) -> None:
        self._index = index
        self._files = files
        self._most = most

    def controlled(self, effect: Effect) -> list[Resource]:
        """Control configs that have a key of this name, where a tool changes settings without saying of which file."""
        if effect.op != "set_key" or not (effect.resource.uri or "").startswith("config:"):
            return []
        key = effect.attrs.get("key")
        found = self._index.by_key.get(key, ()) if isinstance(key, str) else ()
        return [msgspec.structs.replace(effect.resource, asset=asset) for asset in found]

    def named_in(self, effect: Effect, args: Mapping[str, Any]) -> Iterator[Effect]:
        """Mentions of the control configs that an argument of an unknown tool is called like a key of.

        A name of one word is that of many things; what is called `shutdown_enabled` is not.
        """
        named: dict[str, str] = {}
        for text in strings(args, keys=True):
            if text in self._index.by_key and _SEVERAL.search(text):
                named |= {asset: text for asset in self._index.by_key[text] if asset not in named}
        for asset, key in named.items():
            yield msgspec.structs.replace(
                effect,
                op="mention",
                resource=msgspec.structs.replace(effect.resource, asset=asset),
                attrs={"key": key},
                precision="opaque",
                modality="may",
            )

    def overridden(self, effect: Effect, here: Resource, there: Resource | None) -> str | None:
        """The control config that an edit is put over from a file beside it, if it is.

        Args:
            effect: the edit, or something else.
            here: what it is done to, resolved.
            there: its target, resolved.
        """
        side = _written(effect, here, there)
        return self._index.overrides.of(side.real) if side is not None and side.asset is None else None

    def changes(self, effect: Effect) -> Iterator[Effect]:
        """What an effect changes: the keys or scores of an asset that is judged by them, and of all else the effect.

        Args:
            effect: resolved, on one asset or none.
        """
        yield from self._changes(self._over(effect))

    def _over(self, effect: Effect) -> Effect:
        """The same; what is put over a control from a file beside it bears on that control."""
        side = _written(effect, effect.resource, effect.target)
        asset = self.overridden(effect, effect.resource, effect.target)
        if side is None or asset is None:
            return effect
        attrs = {**effect.attrs, "override": True}
        named = msgspec.structs.replace(side, asset=asset)
        if effect.op in _BRINGING:
            return msgspec.structs.replace(effect, target=named, attrs=attrs)
        # A file of variables is mostly for other things: a change that is not known is a question, not an answer.
        unknown = effect.edit is None and (side.real or "").endswith("/.env")
        precision = "opaque" if unknown else effect.precision
        return msgspec.structs.replace(effect, resource=named, attrs=attrs, precision=precision)

    def _changes(self, effect: Effect) -> Iterator[Effect]:
        asset = self._index.assets.get(effect.resource.asset or "")
        if asset is not None and effect.op == "set_key" and effect.resource.uri is not None:
            yield keyed(effect, asset.controls)
            return
        if asset is not None and effect.op == "record_score" and asset.record is not None:
            yield called_record(effect, asset.record, asset.facts["model"])
            return
        # INVARIANT: only an op that changes the resource's own content is judged by its edit; what is moved, copied or
        # linked carries the content of its target.
        known = effect.edit if effect.op in _EDITING else None
        if effect.op in _BRINGING and effect.edit is not None and self._is_edit_of_target(effect):
            yield from self._brought(effect)
            return
        if asset is None or known is None or not asset.is_read_by_key or effect.resource.real is None:
            yield effect if effect.edit is None else msgspec.structs.replace(effect, edit=None)
            return
        before = self._files.read(effect.resource.real, self._most)
        if before is None and effect.resource.ino is not None:
            # It is there and cannot be read, or is too large: what an edit makes of it is not known.
            yield msgspec.structs.replace(effect, edit=None)
            return
        if asset.record is not None:
            yield from record_effects(effect, known, before, asset.record, asset.facts["model"])
            return
        yield from key_effects(effect, known, before, asset.controls)

    def _is_edit_of_target(self, effect: Effect) -> bool:
        """A regular file that is no asset, moved or copied over one that is judged by its keys."""
        target = self._index.assets.get(effect.target.asset or "") if effect.target is not None else None
        source = effect.resource
        if target is None or not target.is_read_by_key or source.asset is not None or source.path is None:
            return False
        # INVARIANT: a link that is moved brings what it leads to, whoever may change that.
        return not os.path.islink(source.path)

    def _brought(self, effect: Effect) -> Iterator[Effect]:
        """The keys that change, and the move or copy itself, which then is of no asset."""
        target = effect.target
        if target is None:
            return
        plain = msgspec.structs.replace(target, asset=None)
        yield msgspec.structs.replace(effect, target=plain, edit=None, attrs={**effect.attrs, "over": target.asset})
        yield from self._changes(_as_write(effect))


def _written(effect: Effect, here: Resource, there: Resource | None) -> Resource | None:
    """What gets other content by an effect."""
    return there if effect.op in _BRINGING else here if effect.op in _EDITING else None


def _as_write(effect: Effect) -> Effect:
    """What moves or copies a file of known content over another, as the write that it is."""
    target = effect.target or effect.resource
    return msgspec.structs.replace(
        effect, op="write", resource=target, target=None, attrs={**effect.attrs, "by": effect.op}
    )
