"""Harness hooks: an event becomes a tool call, the decision the harness's own words, and no answer a denial."""

from __future__ import annotations

from guardrail.hooks._answers import Answer
from guardrail.hooks._desk import HookDesk
from guardrail.hooks._events import Agent

__all__ = ["Agent", "Answer", "HookDesk"]
