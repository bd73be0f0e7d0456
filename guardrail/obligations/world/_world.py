"""What is known of the host: where assets lie, what they are known by, and which directories are watched."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from guardrail.assets import Asset, Inventory, Lineage, Recognition
from guardrail.config import Config
from guardrail.mandates import Zones, reaches
from guardrail.model import Resource

_SNAPSHOTS: Final = (".zfs/snapshot", ".snapshot", ".snapshots")
"""Where filesystems show their snapshots, below the directory that they are mounted at."""


class World:
    """What is known of the host: where assets lie, what they are known by, and which directories are watched.

    Args:
        config: names the watched directories and the zones.
        inventory: where the assets lie.
        recognition: what they are known by.
        lineage: what was made from them.
        zones: the zones of the configuration.
    """

    def __init__(
        self, config: Config, inventory: Inventory, recognition: Recognition, lineage: Lineage, zones: Zones
    ) -> None:
        self._config = config
        self._zones = zones
        self.inventory = inventory
        self.recognition = recognition
        self.lineage = lineage

    def roots(self, asset: Asset) -> tuple[str, ...]:
        """The directories in which an asset is looked for, none below another; those that are not there left out.

        Args:
            asset: with all places that it was ever declared at since its deletion was ordered.
        """
        config = self._config
        wanted = [os.path.dirname(root) for root in asset.roots]
        wanted += [str(config.path(root)) for root in config.obligations.roots]
        wanted += [str(config.path(place)) for places in config.zones.values() for place in places if ":" not in place]
        wanted += [str(place) for place in _stores(os.environ)]
        wanted += [f"{_mount_of(root)}/{name}" for root in asset.roots for name in _SNAPSHOTS]
        real = sorted({os.path.realpath(root) for root in wanted if os.path.lexists(root)})
        return tuple(root for root in real if not any(_is_below(root, other) for other in real if other != root))

    def is_allowed(self, path: str, targets: Sequence[str]) -> bool:
        """Whether the order itself lets a copy be at a path; globs are read as policy reads them."""
        zones = [target.removeprefix("zone:") for target in targets if target.startswith("zone:")]
        inside = set(self._zones.of(Resource(kind="file", path=path, real=path))) if zones else set[str]()
        return bool(inside.intersection(zones)) or any(reaches(target, path) for target in targets)

    @property
    def compare_bytes(self) -> int:
        """Most bytes that one sweep reads."""
        return self._config.obligations.compare_bytes


def _stores(environment: Mapping[str, str]) -> Iterator[str]:
    """Where tools keep models under names of their own."""
    home = environment.get("HOME") or os.path.expanduser("~")
    cache = environment.get("XDG_CACHE_HOME") or f"{home}/.cache"
    hub = environment.get("HF_HOME") or f"{cache}/huggingface"
    yield environment.get("HF_HUB_CACHE") or f"{hub}/hub"
    yield environment.get("HF_XET_CACHE") or f"{hub}/xet"
    yield environment.get("OLLAMA_MODELS") or f"{home}/.ollama/models"
    yield environment.get("TORCH_HOME") or f"{cache}/torch"
    yield f"{home}/.lmstudio/models"
    yield f"{home}/.local/share/Trash"


def _mount_of(path: str) -> str:
    while not os.path.ismount(path) and path != "/":
        path = os.path.dirname(path)
    return path.rstrip("/")


def _is_below(path: str, other: str) -> bool:
    return path.startswith(f"{other.rstrip('/')}/")
