"""The last line: a tool that is called past the guard, in LangChain's own callbacks.

Not concerned with judging: a call that comes by here without having been released was judged by nobody, so it is
stopped, whatever it is. It raises, because a callback can do nothing else.

Blind spot: a call of the function behind a tool. No callback sees that.
"""

from __future__ import annotations

import logging
import threading
from contextvars import ContextVar
from typing import Any, Final

from langchain_core.tracers.context import register_configure_hook

from guardrail import GuardrailError
from guardrail_adapters._callbacks import Quiet
from guardrail_adapters._undo import Undoable

_log: Final = logging.getLogger("guardrail.adapters")


class Unguarded(GuardrailError):
    """A tool was called past the guard, and did not run."""


class Pass:
    """Leave for one tool to start once, given by the gate to the call that it has just released.

    Args:
        tool: name of the tool.
        args: its arguments, as they were judged.
    """

    __slots__ = ("args", "tool", "used")

    def __init__(self, tool: str, args: dict[str, Any]) -> None:
        self.tool = tool
        self.args = args
        self.used = False


PASS: Final[ContextVar[Pass | None]] = ContextVar("guardrail_pass", default=None)
"""The pass of the call that is on its way to its tool."""


class _Handler(Quiet):
    """Stops every tool that starts without a pass while the wire is taut."""

    raise_error = True
    # In the caller's own context: in a worker thread there would be no pass to see.
    run_inline = True

    def __init__(self) -> None:
        self.holders = 0
        self.lock = threading.Lock()

    @property
    def ignore_chain(self) -> bool:
        """Of chains it needs to know nothing."""
        return True

    def on_tool_start(self, serialized: dict[str, Any] | None, input_str: str, **kwargs: Any) -> None:  # noqa: ARG002
        """Look for the pass.

        Raises:
            Unguarded: if there is none for this tool, or it has been used.
        """
        if not self.holders:
            return
        name = str(kwargs.get("name") or (serialized or {}).get("name") or "")
        leave = PASS.get()
        # INVARIANT: one pass, one start: a tool that calls another tool itself needs another pass for that.
        if leave is not None and not leave.used and leave.tool == name:
            leave.used = True
            return
        _log.warning("a call of the tool `%s` was stopped: it did not pass the guard", name)
        raise Unguarded(
            f"the tool `{name}` was called past the guard and did not run: call it through a ToolNode that is guarded"
        )


_HANDLER: Final = _Handler()

# LangChain has no way to take a hook back, so there is one for the life of the process, and it is taut or slack. It is
# the default of its variable, so that it reaches every thread and every context.
register_configure_hook(ContextVar("guardrail_tripwire", default=_HANDLER), inheritable=True)


class Tripwire(Undoable):
    """The handle of `tripwire`: `undo` it, or use it as a context manager."""

    def __init__(self) -> None:
        self._taut = True
        with _HANDLER.lock:
            _HANDLER.holders += 1

    def undo(self) -> None:
        """Let the wire go; further calls do nothing."""
        with _HANDLER.lock:
            if self._taut:
                self._taut = False
                _HANDLER.holders -= 1


def tripwire() -> Tripwire:
    """Stop every `tool.invoke` and `tool.ainvoke` of this process that no guarded ToolNode or middleware has released.

    It raises `Unguarded` where the tool was called, in a graph and outside of one. Code that rightly calls tools
    itself, such as a retriever in a chain, is stopped too; it has to run before `tripwire`, or after `undo`.

    Returns:
        The handle to undo it.
    """
    return Tripwire()
