"""On which assets: the inventory of what is worth guarding, resolved on the live filesystem."""

from guardrail.assets._files import LiveFiles
from guardrail.assets._inventory import Asset, Inventory

__all__ = ["Asset", "Inventory", "LiveFiles"]
