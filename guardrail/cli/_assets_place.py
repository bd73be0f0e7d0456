"""What `guardrail assets match` knows of a file without its content: where it lies, and what calls made it of.

Not concerned with content: `guardrail.assets.identity` is. Blind spot: a link that is made after this was opened, to a
file of an asset, is known by its content alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from guardrail.assets.identity._match import Level, Match
    from guardrail.config import Config


class Places:
    """Where the declared assets lie, and what was made from them.

    Args:
        config: where they are declared.

    Raises:
        ConfigError: if what was made from them cannot be read.
    """

    def __init__(self, config: Config) -> None:
        from guardrail.assets import Inventory, Lineage
        from guardrail.audit import beside_trail

        self._inventory = Inventory(config)
        self._lineage = Lineage(beside_trail(config, "lineage.db"), readonly=True)

    def close(self) -> None:
        """Let go of the files."""
        self._lineage.close()

    def joined(self, found: Match, file: str) -> Match:
        """The same, with what the place and the past of the file say of it before all else.

        Args:
            found: what its content says.
            file: as it was asked for.

        Raises:
            OSError: if it cannot be looked at.
        """
        from guardrail.assets.identity._match import MEANS, Evidence

        more = [
            Evidence(asset=asset, path=found.path, level=level, score=1.0, says=says)
            for level, asset, says in (*self._lies_in(os.path.abspath(file)), *self._made_of(found.path))
        ]
        if not more or (found.conclusion == "is" and more[0].level != "place"):
            return msgspec.structs.replace(found, evidence=(*found.evidence, *more))
        best = more[0]
        evidence = (*more, *found.evidence)
        return msgspec.structs.replace(found, conclusion=MEANS[best.level], asset=best.asset, evidence=evidence)

    def _lies_in(self, path: str) -> Iterator[tuple[Level, str, str]]:
        from guardrail.model import Effect, Resource

        # As a call that reads it would be judged: by its real path, and by its inode.
        effect = Effect(op="read", resource=Resource(kind="file", path=path))
        for one in self._inventory.resolve((effect,)):
            asset = self._inventory.get(one.asset or "")
            if asset is None:
                continue
            real = one.resource.real or path
            inside = any(real == root or real.startswith(f"{root}/") for root in asset.roots)
            says = f"it lies where {asset.id} is declared" if inside else f"it is another name of a file of {asset.id}"
            yield "place", asset.id, says

    def _made_of(self, real: str) -> Iterator[tuple[Level, str, str]]:
        from guardrail.assets import found_at

        for asset in self._lineage.assets_of(found_at(real, os.lstat(real))):
            if self._inventory.get(asset) is not None:
                yield "lineage", asset, f"a call that was let through made it of {asset}"
