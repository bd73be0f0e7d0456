"""What was asked: a tool call becomes operations, a shell text becomes a tree; pure, and nothing odd is left out."""

from __future__ import annotations

from guardrail.parse._arithmetic import arithmetic_names
from guardrail.parse._misparse import Misparse
from guardrail.parse._operations import (
    ApiOperation,
    CodeText,
    Command,
    Delegation,
    FileOperation,
    Named,
    Nothing,
    Operation,
    PatchText,
    ShellText,
    SqlText,
    Unmapped,
    describe,
)
from guardrail.parse._selectors import strings
from guardrail.parse._shell import parse_shell
from guardrail.parse._tools import ToolTable, parse, tool_table

__all__ = [
    "ApiOperation",
    "CodeText",
    "Command",
    "Delegation",
    "FileOperation",
    "Misparse",
    "Named",
    "Nothing",
    "Operation",
    "PatchText",
    "ShellText",
    "SqlText",
    "ToolTable",
    "Unmapped",
    "arithmetic_names",
    "describe",
    "parse",
    "parse_shell",
    "strings",
    "tool_table",
]
