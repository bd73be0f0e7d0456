"""The variables of an arithmetic expression.

Not concerned with its value.
"""

from __future__ import annotations

import re

from guardrail.parse._misparse import Misparse
from guardrail.patterns import lazy

_ARITHMETIC_TEXT = lazy(r"[A-Za-z0-9_ \t\n+\-*/%<>=!&|^~?:,;()${}#]*")
_POSITIONAL = lazy(r"\$\{?([0-9]+|[@*])")
_IDENTIFIER = lazy(r"(?<![0-9A-Za-z_])[A-Za-z_][A-Za-z0-9_]*")
_MUTATED = lazy(
    r"(?:\+\+|--)\s*+([A-Za-z_][A-Za-z0-9_]*+)"
    r"|(?<![A-Za-z0-9_])([A-Za-z_][A-Za-z0-9_]*+)\s*+(?:\+\+|--|(?:<<|>>|[-+*/%&|^])?=(?!=))"
)


def arithmetic_names(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Variables that an arithmetic expression evaluates, and those that it sets.

    Raises:
        Misparse: if it holds a subscript, a quote or a substitution.
    """
    if not _ARITHMETIC_TEXT.fullmatch(text) or "$(" in text or not _balanced(text):
        raise Misparse("arithmetic that is not modelled")
    named = [*_IDENTIFIER.findall(re.sub(r"0[xX][0-9a-fA-F]+", "0", text)), *_POSITIONAL.findall(text)]
    names = tuple(dict.fromkeys(named))
    assigns = tuple(dict.fromkeys(a or b for a, b in _MUTATED.findall(text)))
    return names, assigns


def _balanced(text: str) -> bool:
    """Parentheses pair up; `((a) || (b))` is two subshells and no arithmetic."""
    depth = 0
    for char in text:
        depth += (char == "(") - (char == ")")
        if depth < 0:
            return False
    return depth == 0
