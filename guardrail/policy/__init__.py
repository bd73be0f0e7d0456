"""What the rules say about the effects of one call: the document, the engine that decides, and its answer read."""

from __future__ import annotations

from guardrail.policy._bundle import bundle_directory
from guardrail.policy._cache import cache_directory
from guardrail.policy._conclude import conclude, enforced, mandates_of
from guardrail.policy._document import Told, document
from guardrail.policy._engine import PolicyEngine, hurry, open_engine, refusal
from guardrail.policy._news import PolicyNews
from guardrail.policy._rules import Rule, RuleBook
from guardrail.policy._ruling import Ruling

__all__ = [
    "PolicyEngine",
    "PolicyNews",
    "Rule",
    "RuleBook",
    "Ruling",
    "Told",
    "bundle_directory",
    "cache_directory",
    "conclude",
    "document",
    "enforced",
    "hurry",
    "mandates_of",
    "open_engine",
    "refusal",
]
