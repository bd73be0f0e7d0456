"""What an agent owes, around a run of its graph: taken up when it starts, and looked at when it is through.

Not concerned with calls. A run that pauses for people, or stops before its tools, is not through.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final, cast
from uuid import UUID

from langchain_core.messages import AIMessage
from langchain_core.tracers.context import register_configure_hook
from langgraph.errors import GraphBubbleUp

from guardrail_adapters._callbacks import Quiet
from guardrail_adapters._calls import CallReader, Options
from guardrail_adapters._guard import GuardLike
from guardrail_adapters._owed import Owed

MAX_RUNS: Final = 100_000
"""Most steps of running graphs that are remembered; of more, the oldest are forgotten, and count as not through."""


class Duties:
    """Tells a guard when the agent of a graph begins and when it is through.

    Args:
        guard: what keeps the obligations.
        options: see `Options`.
    """

    def __init__(self, guard: GuardLike, options: Options) -> None:
        self._owed = Owed(guard)
        self._reader = CallReader.of(options)

    def begin(self, configurable: Mapping[str, Any]) -> None:
        """An agent starts."""
        self._owed.begin(self._reader.subject_of(configurable), self._reader.session_of(configurable))

    def end(self, configurable: Mapping[str, Any]) -> None:
        """An agent is through."""
        self._owed.end(self._reader.subject_of(configurable), self._reader.session_of(configurable))


class DutiesHandler(Quiet):
    """`Duties` for a graph built by hand, as a callback: `config={"callbacks": [duties(guard)]}`.

    Args:
        duties: whom to tell; None looks at nothing.
    """

    def __init__(self, duties: Duties | None) -> None:
        self.duties = duties
        self._lock = threading.Lock()
        self._root: OrderedDict[UUID, UUID] = OrderedDict()
        self._settings: dict[UUID, Mapping[str, Any]] = {}
        self._paused: set[UUID] = set()

    @property
    def ignore_agent(self) -> bool:
        """Of tools it needs to know nothing."""
        return True

    def on_chain_start(
        self,
        serialized: Any,  # noqa: ARG002 - the framework's signature
        inputs: Any,  # noqa: ARG002
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Remember to which run a step belongs; a run of its own is one of an agent that begins."""
        with self._lock:
            self._root[run_id] = run_id if parent_run_id is None else self._root.get(parent_run_id, parent_run_id)
            if parent_run_id is None:
                self._settings[run_id] = dict(metadata or {})
            while len(self._root) > MAX_RUNS:
                gone, _root = self._root.popitem(last=False)
                self._settings.pop(gone, None)
                self._paused.discard(gone)
        if self.duties is not None and parent_run_id is None and _is_graph(metadata):
            self.duties.begin(metadata or {})

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """A step that asks a person pauses the whole run."""
        with self._lock:
            root = self._root.pop(run_id, run_id)
            if isinstance(error, GraphBubbleUp):
                self._paused.add(root)
            if root == run_id:
                self._settings.pop(run_id, None)
                self._paused.discard(run_id)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **_: Any) -> None:
        """A run is over: whether the agent is through depends on what it left."""
        with self._lock:
            self._root.pop(run_id, None)
            settings = self._settings.pop(run_id, None)
            paused = run_id in self._paused
            self._paused.discard(run_id)
        through = parent_run_id is None and settings is not None and not paused and not _stands(outputs)
        if self.duties is not None and through and settings is not None and _is_graph(settings):
            self.duties.end(settings)


def _is_graph(metadata: Mapping[str, Any] | None) -> bool:
    """Whether a run of its own is one of a graph: every other chain is part of some program and no agent."""
    return metadata is not None and ("thread_id" in metadata or "ls_integration" in metadata)


def _stands(outputs: Any) -> bool:
    """Whether a run stopped before its tools, at a breakpoint: then its last message still has calls."""
    messages: Any = cast("dict[str, Any]", outputs).get("messages") if isinstance(outputs, dict) else None
    last: Any = messages[-1] if isinstance(messages, list) and messages else None  # pyright: ignore[reportUnknownVariableType]
    return isinstance(last, AIMessage) and bool(last.tool_calls)


_everywhere: DutiesHandler | None = None


def everywhere(duties: Duties | None) -> None:
    """Look at every graph of this process, in every thread and context, or, with None, at none of them any more.

    LangChain has no way to take a hook back, so there is one for the life of the process.
    """
    global _everywhere  # noqa: PLW0603 - one hook of one process
    if _everywhere is None and duties is not None:
        _everywhere = DutiesHandler(None)
        register_configure_hook(ContextVar("guardrail_duties", default=_everywhere), inheritable=True)
    if _everywhere is not None:
        _everywhere.duties = duties
