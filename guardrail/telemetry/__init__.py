"""Spans, metrics and log events about decisions; nothing at all until this process loads OpenTelemetry.

Not concerned with the audit: traces are sampled and queues overflow, so the trail is the record and this is a view.
Not concerned with setting anything up in a host's process: it uses the global providers that the host has set.
`configure_from_environment` is for processes of our own (command line, sidecar, demo).
INVARIANT: nothing here can change, delay without bound or stop a decision; a failure in telemetry is swallowed.
INVARIANT: no argument, path or message of a call leaves through here: ids, rules, ops, digests and counts only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardrail.telemetry._api import DURATION_BUCKETS
from guardrail.telemetry._decisions import DecisionSpan, Telemetry, serving

if TYPE_CHECKING:
    from guardrail.telemetry._sdk import KeepDenials, RescueProcessor

__all__ = [
    "DURATION_BUCKETS",
    "DecisionSpan",
    "KeepDenials",
    "RescueProcessor",
    "Telemetry",
    "configure_from_environment",
    "configure_logging",
    "serving",
]


def __getattr__(name: str) -> Any:
    # These two derive from the SDK's classes, so they load it.
    if name in ("KeepDenials", "RescueProcessor"):
        from guardrail.telemetry import _sdk

        return getattr(_sdk, name)
    raise AttributeError(f"module `{__name__}` has no attribute `{name}`")


def configure_from_environment(service_name: str) -> Telemetry:
    """Set up OpenTelemetry for a process of our own, by the standard `OTEL_*` variables.

    Does nothing unless an exporter or an endpoint is named there, when `OTEL_SDK_DISABLED` is true, or when the host
    has set providers already.

    Args:
        service_name: `service.name`, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` says otherwise.

    Returns:
        The process-wide Telemetry; call `shutdown` on it before the process ends.

    Raises:
        ConfigError: if a variable asks for an exporter or a protocol that is not there.
    """
    from guardrail.telemetry import _env as env

    telemetry = Telemetry.default()
    plan = env.plan()
    if plan is not None:
        from guardrail.telemetry import _sdk as sdk

        telemetry.own(sdk.install(plan, service_name))
    return telemetry


def configure_logging(*, level: str = "INFO") -> None:
    """Send log lines of this process to standard error: JSON, or readable text on a terminal.

    For processes of our own only; a library that does this takes its host's logs away.

    Args:
        level: least severe level that is written.
    """
    from guardrail.telemetry import _log as log

    log.configure(level)
