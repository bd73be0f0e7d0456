"""What is known about each rule without its Rego: the metadata that the build extracted into the manifest.

Not concerned with what a rule decides; that is in `policies/` alone.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

from guardrail.errors import ConfigError
from guardrail.printing import printable

OPERANDS: Final = frozenset({"asset", "op", "target", "resource", "i", "lifted"})
"""What a message template may name in braces."""

MAX_OPERAND_CHARS: Final = 300
"""Longest operand shown in a message, in characters."""


class Examples(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Inputs that a rule must, and must not, answer; `guardrail.policy._examples` says what one looks like."""

    match: tuple[Mapping[str, Any], ...] = ()
    not_match: tuple[Mapping[str, Any], ...] = ()


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule, as its METADATA describes it.

    Args:
        id: stable id, `family.name`.
        title: a few words for people.
        severity: how bad it is when the rule is right.
        maturity: `experimental` rules may change their conditions in a minor version.
        stops: the behaviour that the rule stops.
        message: sentence for operators, with operands in braces.
        source: the file the rule stands in, and its line.
        description: more about it.
        references: addresses to read.
        examples: inputs that it must and must not answer.
    """

    id: str
    title: str
    severity: Literal["low", "medium", "high", "critical"]
    maturity: Literal["experimental", "stable", "deprecated"]
    stops: str
    message: str
    source: str = ""
    description: str = ""
    references: tuple[str, ...] = ()
    examples: Examples = Examples()


class RuleBook:
    """Every rule of one policy revision, by id.

    Args:
        revision: revision of the policy that these rules belong to.
        rules: the rules.

    Raises:
        ConfigError: if an id is there twice, or a message names an operand that does not exist.
    """

    def __init__(self, revision: str, rules: Iterable[Rule]) -> None:
        self.revision: Final = revision
        self._rules: Final[dict[str, Rule]] = {}
        self._templates: Final[dict[str, tuple[tuple[str, str | None], ...]]] = {}
        for rule in rules:
            if rule.id in self._rules:
                raise ConfigError(f"the policy has two rules with the id `{rule.id}`")
            self._rules[rule.id] = rule
            self._templates[rule.id] = _template(rule)

    def __contains__(self, rule_id: object) -> bool:
        return rule_id in self._rules

    def __getitem__(self, rule_id: str) -> Rule:
        return self._rules[rule_id]

    def __len__(self) -> int:
        return len(self._rules)

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids, sorted."""
        return tuple(sorted(self._rules))

    def message(self, rule_id: str, operands: Mapping[str, object]) -> str:
        """The rule's sentence with its operands filled in, on one line.

        Args:
            rule_id: id of a rule of this book.
            operands: what is known; a missing one is shown as `?`.
        """
        parts: list[str] = []
        for literal, field in self._templates[rule_id]:
            parts.append(literal)
            if field is not None:
                parts.append(_shown(operands.get(field)))
        return "".join(parts)


def _template(rule: Rule) -> tuple[tuple[str, str | None], ...]:
    try:
        parts = tuple((literal, field) for literal, field, _, _ in string.Formatter().parse(rule.message))
    except ValueError as error:
        raise ConfigError(f"the message of rule `{rule.id}` is not a template: {error}") from None
    unknown = sorted({field for _, field in parts if field is not None} - OPERANDS)
    if unknown:
        raise ConfigError(f"the message of rule `{rule.id}` names `{unknown[0]}`: use one of {sorted(OPERANDS)}")
    return parts


def _shown(value: object) -> str:
    """An operand as it may stand in a sentence: agents choose file names, so nothing that breaks or hides a line."""
    if value is None:
        return "?"
    text = printable(str(value))[:MAX_OPERAND_CHARS]
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
