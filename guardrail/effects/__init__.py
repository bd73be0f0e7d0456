"""What it would do: operations become typed effects on addresses; nothing runs, and the unknown is an effect too."""

from __future__ import annotations

from guardrail.effects._analyse import analyse, prepare
from guardrail.effects._built import may_be_part
from guardrail.effects._examples import broken_examples
from guardrail.effects._index_names import index_names
from guardrail.effects._shells import ShellMemory, Shells
from guardrail.effects.catalogue._describe import describe, families
from guardrail.effects.domain._view import FileView
from guardrail.effects.keys._config import KeyChange, Unclear, key_changes
from guardrail.effects.keys._edit import apply
from guardrail.effects.keys._records import read_records

__all__ = [
    "FileView",
    "KeyChange",
    "ShellMemory",
    "Shells",
    "Unclear",
    "analyse",
    "apply",
    "broken_examples",
    "describe",
    "families",
    "index_names",
    "key_changes",
    "may_be_part",
    "prepare",
    "read_records",
]
