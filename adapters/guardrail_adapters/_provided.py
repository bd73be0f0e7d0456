"""Provider-side tools: what a model is bound to and a provider runs, so that no guard ever sees a call of it.

Not concerned with tools that run here, also if they are described by plain dicts: their calls pass the guard as any do.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from guardrail import ConfigError, Decision, Outcome, ToolCall
from guardrail_adapters._calls import CallReader, Site
from guardrail_adapters._guard import GuardLike

_log: Final = logging.getLogger("guardrail.adapters")

PREFIX: Final = "provider:"
"""Before the type of a provider-side tool, in the name under which policy sees it."""

_DESCRIBED: Final = frozenset({"parameters", "input_schema", "args_schema", "function"})
"""Keys of a dict that describes a tool for the model to call, and for somebody here to run."""


def provided(tool: Any) -> str | None:
    """The type of a provider-side tool; None for a tool that runs here.

    Providers name them in one of two ways: by a `type` that is not `function`, and by a key of its own, such as
    `{"google_search": {}}`.
    """
    if not isinstance(tool, Mapping):
        return None
    fields: Mapping[str, Any] = tool  # pyright: ignore[reportUnknownVariableType]
    kind = fields.get("type")
    # INVARIANT: whatever is not plainly a description of a tool that runs here counts as one that does not.
    if kind in (None, "function", "custom") and _DESCRIBED & fields.keys():
        return None
    return str(kind) if kind else str(next(iter(fields), "unnamed"))


class Provided:
    """Which provider-side tools a model keeps.

    Args:
        guard: what judges those that the operator names.
        reader: whose they are.
        named: types that the operator names; empty is none.

    Raises:
        ConfigError: if `named` is a text, which would be read as its letters.
    """

    def __init__(self, guard: GuardLike, reader: CallReader, named: Sequence[str]) -> None:
        if isinstance(named, str):
            raise ConfigError(f"`provider_tools` must be a list of types, such as `[{named!r}]`, not a text")
        self._named = frozenset(named)
        self._reader = reader
        self._preview: Callable[[ToolCall], Decision] = getattr(guard, "preview", guard.check)
        self._apreview: Callable[[ToolCall], Awaitable[Decision]] = getattr(guard, "apreview", guard.acheck)

    def kept(self, tools: Sequence[Any], site: Site) -> list[Any] | None:
        """The tools without those that are taken away; None if all stay."""
        found = [(tool, provided(tool)) for tool in tools]
        if not any(kind for _, kind in found):
            return None
        return [tool for tool, kind in found if kind is None or self._stays(tool, kind, site)]

    async def akept(self, tools: Sequence[Any], site: Site) -> list[Any] | None:
        """`kept`, for coroutines."""
        found = [(tool, provided(tool)) for tool in tools]
        if not any(kind for _, kind in found):
            return None
        return [tool for tool, kind in found if kind is None or await self._astays(tool, kind, site)]

    def _stays(self, tool: Mapping[str, Any], kind: str, site: Site) -> bool:
        try:
            decision = self._preview(self._call(tool, kind, site)) if kind in self._named else None
        except Exception as error:  # noqa: BLE001 - a failure in judging takes the tool away
            return _taken(kind, f"judging it failed: {type(error).__name__}: {error}")
        return _says(kind, decision)

    async def _astays(self, tool: Mapping[str, Any], kind: str, site: Site) -> bool:
        try:
            decision = await self._apreview(self._call(tool, kind, site)) if kind in self._named else None
        except Exception as error:  # noqa: BLE001 - a failure in judging takes the tool away
            return _taken(kind, f"judging it failed: {type(error).__name__}: {error}")
        return _says(kind, decision)

    def _call(self, tool: Mapping[str, Any], kind: str, site: Site) -> ToolCall:
        return self._reader.read({"name": PREFIX + kind, "args": dict(tool)}, site).call


def _says(kind: str, decision: Decision | None) -> bool:
    if decision is None:
        return _taken(kind, "name it in `provider_tools` if it may be used")
    if decision.outcome is not Outcome.ALLOW:
        return _taken(kind, f"policy says {decision.outcome.value}, decision {decision.decision_id}")
    return True


def _taken(kind: str, why: str) -> bool:
    _log.warning("the provider-side tool `%s` was taken from the model: %s", kind, why)
    return False
