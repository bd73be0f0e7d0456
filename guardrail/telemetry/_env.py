"""Which exporters the standard `OTEL_*` variables ask for. Loads nothing of OpenTelemetry."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from guardrail.errors import ConfigError

Exporter = Literal["otlp", "console", "none"]

_PROTOCOL: Final = "http/protobuf"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One exporter for each signal."""

    traces: Exporter = "none"
    metrics: Exporter = "none"
    logs: Exporter = "none"


def plan(environ: Mapping[str, str] = os.environ) -> Plan | None:
    """Read the variables.

    Args:
        environ: the environment.

    Returns:
        What to export; None if nothing is asked for, or `OTEL_SDK_DISABLED` is true.

    Raises:
        ConfigError: if a variable names an exporter or a protocol that Guardrail does not carry.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    found = Plan(
        traces=_exporter(environ, "TRACES"),
        metrics=_exporter(environ, "METRICS"),
        logs=_exporter(environ, "LOGS"),
    )
    return None if found == Plan() else found


def _exporter(environ: Mapping[str, str], signal: str) -> Exporter:
    variable = f"OTEL_{signal}_EXPORTER"
    name = environ.get(variable, "").strip().lower()
    if name == "console":
        return "console"
    if name == "none":
        return "none"
    if name not in ("", "otlp"):
        raise ConfigError(f"`{variable}` is `{name}`: use `otlp`, `console` or `none`")
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    if not name and not any(environ.get(endpoint, "").strip() for endpoint in endpoints):
        return "none"
    for protocol in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        chosen = environ.get(protocol, "").strip().lower()
        if chosen and chosen != _PROTOCOL:
            raise ConfigError(f"`{protocol}` is `{chosen}`: Guardrail sends `{_PROTOCOL}` only")
        if chosen:
            break
    return "otlp"
