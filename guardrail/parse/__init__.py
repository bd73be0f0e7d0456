"""What was asked: a tool call becomes operations, a shell text becomes a tree; pure, and nothing odd is left out."""

from __future__ import annotations

from guardrail.parse._operations import FileOperation, Operation, ShellText, Unmapped
from guardrail.parse._shell import parse_shell
from guardrail.parse._tools import parse

__all__ = ["FileOperation", "Operation", "ShellText", "Unmapped", "parse", "parse_shell"]
