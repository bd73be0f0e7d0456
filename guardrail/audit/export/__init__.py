"""Records of a trail in formats that other programs read: JSON lines, OCSF events, Parquet, CSV; never evidence."""

from __future__ import annotations

from guardrail.audit.export._run import FORMATS, Exported, export

__all__ = ["FORMATS", "Exported", "export"]
