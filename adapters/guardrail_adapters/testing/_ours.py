"""Which adapters there are to put through the suite: ours by name, anybody's by `MODULE:NAME`.

An adapter of this distribution joins by one line in `OURS`. No framework is imported until a case is
acted out, so that one that is not installed costs nothing but its line in the table.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final

from guardrail import ConfigError
from guardrail_adapters.testing._protocol import Adapter

OURS: Final[Mapping[str, str]] = {
    "langgraph": "guardrail_adapters.testing._langgraph:adapters",
    "deepagents": "guardrail_adapters.testing._deepagents:adapters",
    "hooks": "guardrail_adapters.testing._hooks:adapters",
    "inspect": "guardrail_adapters.testing._inspect:adapters",
    "openai-agents": "guardrail_adapters.testing._openai_agents:adapters",
    "pydantic-ai": "guardrail_adapters.testing._pydantic_ai:adapters",
    "python": "guardrail_adapters.testing._python:adapters",
    "mcp": "guardrail_adapters.testing._mcp:adapters",
    "control-arena": "guardrail_adapters.testing._control_arena:MonitorAdapter",
}
"""Name of a family -> `MODULE:NAME` of a function that gives its adapters."""


def adapters_of(name: str) -> tuple[Adapter, ...]:
    """The adapters behind a name.

    Args:
        name: one of `OURS`, or `MODULE:NAME` of an adapter, of several, or of a function that gives one or several.

    Raises:
        ConfigError: if there is no such thing.
    """
    module, _, attribute = OURS.get(name, name).partition(":")
    if not attribute:
        raise ConfigError(f"there is no adapter `{name}`: name one of {', '.join(OURS)}, or MODULE:NAME")
    try:
        found: Any = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the adapter `{name}` cannot be loaded: {error}") from None
    if callable(found):
        found = found()
    several: tuple[Any, ...] = tuple(found) if isinstance(found, list | tuple) else (found,)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return several


def ours() -> tuple[Adapter, ...]:
    """Every adapter of this distribution, in the order of `OURS`."""
    return tuple(adapter for name in OURS for adapter in adapters_of(name))
