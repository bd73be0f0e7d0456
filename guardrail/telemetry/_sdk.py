"""OpenTelemetry providers for processes of our own. Needs the `otel` extra; loaded only when exporters are asked for.

Denials and escalations reach the trace backend at any sampling ratio: `KeepDenials` keeps our span recording although
the sampler dropped it, and `RescueProcessor` exports it after all when the decision turns out not to be an allow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

try:
    from opentelemetry import _logs, metrics, trace
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, ConsoleLogRecordExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
    from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
    from opentelemetry.trace import SpanContext, TraceFlags
except ImportError as missing:
    from guardrail.errors import ConfigError

    raise ConfigError(
        f"`OTEL_*` variables ask for an exporter, but `{missing.name}` is not installed: "
        "install `guardrail-runtime[otel]` or set `OTEL_SDK_DISABLED=true`"
    ) from None

from guardrail.telemetry._api import SPAN_NAME
from guardrail.telemetry._env import Exporter, Plan

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span
    from opentelemetry.trace import Link, SpanKind, TraceState
    from opentelemetry.util.types import Attributes

RESCUED: Final = "guardrail.sampling.rescued"
"""Attribute of a span that was exported against the sampler, so that statistics can leave it out."""


class KeepDenials(Sampler):
    """Keeps our span recording where the sampler would drop it.

    Args:
        inner: the sampler that decides about everything else.
    """

    def __init__(self, inner: Sampler) -> None:
        self._inner = inner

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """As the inner sampler, but RECORD_ONLY instead of DROP for our span."""
        result = self._inner.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        if result.decision is Decision.DROP and name == SPAN_NAME:
            return SamplingResult(Decision.RECORD_ONLY, attributes, result.trace_state)
        return result

    def get_description(self) -> str:
        """Name of this sampler and the one inside."""
        return f"KeepDenials{{{self._inner.get_description()}}}"


class RescueProcessor(SpanProcessor):
    """Exports an unsampled decision span when its outcome is not an allow.

    A rescued span keeps the id of a parent that was dropped, so backends show it as a root with a missing parent.

    Args:
        inner: the processor that exports; it would skip an unsampled span, so it is given a copy with the flag set.
    """

    def __init__(self, inner: SpanProcessor) -> None:
        self._inner = inner

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Hand the span on."""
        self._inner.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Export what was sampled, and what was not allowed."""
        context = span.get_span_context()
        if context is None:
            return
        if not context.trace_flags.sampled:
            # A decision span without an outcome ended by an exception: that is no allow either.
            if span.name != SPAN_NAME or (span.attributes or {}).get("guardrail.outcome") == "allow":
                return
            span = _sampled_copy(span, context)
        self._inner.on_end(span)

    def shutdown(self) -> None:
        """Close the processor inside."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the processor inside."""
        return self._inner.force_flush(timeout_millis)


def _sampled_copy(span: ReadableSpan, context: SpanContext) -> ReadableSpan:
    flags = TraceFlags(context.trace_flags | TraceFlags.SAMPLED)
    return ReadableSpan(
        name=span.name,
        context=SpanContext(context.trace_id, context.span_id, context.is_remote, flags, context.trace_state),
        parent=span.parent,
        resource=span.resource,
        attributes={**(span.attributes or {}), RESCUED: True},
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def install(plan: Plan, service_name: str) -> tuple[Callable[[float], None], ...]:
    """Make and set the global providers.

    Args:
        plan: which exporters.
        service_name: `service.name`, unless a variable says otherwise.

    Returns:
        One closer for each provider made; each takes its time limit in seconds. Empty if the host has set
        providers already: then they are used as they are.
    """
    if type(trace.get_tracer_provider()) is not trace.ProxyTracerProvider:
        logging.getLogger("guardrail").info("telemetry uses the providers that this process has set already")
        return ()
    # `service.name` comes last in Resource.create, so variables are read here to let them win.
    named = OTELResourceDetector().detect().attributes.get(SERVICE_NAME)
    resource = Resource.create({SERVICE_NAME: named or service_name})
    closers: list[Callable[[float], None]] = []
    if plan.traces != "none":
        tracers = tracer_provider(resource, _span_exporter(plan.traces))
        trace.set_tracer_provider(tracers)
        closers.append(_closer(tracers))
    if plan.metrics != "none":
        reader = PeriodicExportingMetricReader(_metric_exporter(plan.metrics))
        meters = MeterProvider(resource=resource, metric_readers=[reader], shutdown_on_exit=False)
        metrics.set_meter_provider(meters)
        closers.append(_closer(meters))
    if plan.logs != "none":
        loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
        loggers.add_log_record_processor(BatchLogRecordProcessor(_log_exporter(plan.logs)))
        _logs.set_logger_provider(loggers)
        closers.append(_closer(loggers))
    return tuple(closers)


def tracer_provider(resource: Resource, exporter: SpanExporter) -> TracerProvider:
    """A tracer provider that samples as `OTEL_TRACES_SAMPLER` says, and keeps denials."""
    by_environment = TracerProvider(resource=resource, shutdown_on_exit=False).sampler
    provider = TracerProvider(resource=resource, sampler=KeepDenials(by_environment), shutdown_on_exit=False)
    provider.add_span_processor(RescueProcessor(BatchSpanProcessor(exporter)))
    return provider


def _closer(provider: Any) -> Callable[[float], None]:
    def close(timeout_seconds: float) -> None:
        provider.force_flush(int(timeout_seconds * 1000))
        provider.shutdown()

    return close


def _span_exporter(name: Exporter) -> SpanExporter:
    if name == "console":
        return ConsoleSpanExporter(out=_stderr())
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _metric_exporter(name: Exporter) -> Any:
    if name == "console":
        return ConsoleMetricExporter(out=_stderr())
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter()


def _log_exporter(name: Exporter) -> Any:
    if name == "console":
        return ConsoleLogRecordExporter(out=_stderr())
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

    return OTLPLogExporter()


def _stderr() -> Any:
    import sys

    # Standard output is an answer or a protocol in every process of ours.
    return sys.stderr
