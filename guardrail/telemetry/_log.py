"""Log lines about decisions: structlog over the standard library's logging, so that any host can take them.

Structlog's own default prints to standard output, which is a protocol in hooks and MCP servers: never use it here.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

from guardrail.errors import ConfigError, EngineFault, TrailError
from guardrail.model import Decision, ToolCall
from guardrail.telemetry._api import listed, text

_HOST_ERRORS: Final = (ConfigError, EngineFault, TrailError)
"""Errors about this host and not about the call: their sentence may be logged."""

LOGGER_NAME: Final = "guardrail.decision"
"""Logger of the standard library that decisions go to."""

_logger = logging.getLogger(LOGGER_NAME)
# Without this, Python's handler of last resort would print every denial to standard error, where some harnesses
# show it to the agent.
logging.getLogger("guardrail").addHandler(logging.NullHandler())

_bound: list[Any] = []


def wanted() -> bool:
    """Whether any real handler would see a warning; if not, structlog is not even loaded."""
    if not _logger.isEnabledFor(logging.WARNING):
        return False
    at: logging.Logger | None = _logger
    while at is not None:
        if any(not isinstance(handler, logging.NullHandler) for handler in at.handlers):
            return True
        at = at.parent if at.propagate else None
    return False


def warn(event: str, fields: dict[str, Any]) -> None:
    """Write one event.

    Args:
        event: its stable name.
        fields: plain JSON values.
    """
    if not _bound:
        _bound.append(_wrap())
    _bound[0].warning(event, **fields)


def decision_fields(decision: Decision, call: ToolCall) -> dict[str, Any]:
    """What a line about a decision says."""
    return {
        "decision_id": decision.decision_id,
        "outcome": decision.outcome.value,
        "rules": listed(reason.rule for reason in decision.reasons),
        "assets": listed(decision.assets),
        "tool": text(call.tool),
        "agent": text(call.subject.id),
        "session": text(call.session),
        "policy": decision.policy,
        "engine": decision.engine,
        "elapsed_us": decision.elapsed_us,
        "seq": decision.seq,
        **({} if decision.observed is None else {"observed": decision.observed.value}),
        **({} if decision.mismatch is None else {"mismatch": str(decision.mismatch)}),
    }


def error_fields(error: BaseException) -> dict[str, Any]:
    """What a line says of a fault: its type, and its sentence where it is about this host."""
    fields = {"error": type(error).__name__}
    if isinstance(error, _HOST_ERRORS):
        fields["cause"] = text(str(error))
    return fields


def configure(level: str) -> None:
    """Send everything that is logged in this process to standard error, one line each."""
    import structlog

    terminal = sys.stderr.isatty()
    # The console's renderer shows exceptions itself.
    render: list[Any] = (
        [structlog.dev.ConsoleRenderer()] if terminal else [structlog.processors.format_exc_info, _json_line]
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)
    _bound.clear()
    _wrap()


def _wrap() -> Any:
    import structlog

    # The event travels as the record's message and its fields as `extra`, which every handler can read.
    return structlog.wrap_logger(
        _logger,
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[structlog.contextvars.merge_contextvars, structlog.stdlib.render_to_log_kwargs],
    )


def _json_line(_logger: object, _name: str, event: Any) -> str:
    import orjson

    event.pop("color_message", None)  # uvicorn says its lines twice, the second time in colour
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode("utf-8")
