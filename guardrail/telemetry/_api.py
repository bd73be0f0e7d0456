"""What leaves this process about one decision, in OpenTelemetry's words; the API is looked up once.

Attribute names are literals: `gen_ai.*` as in the GenAI conventions that left open-telemetry/semantic-conventions with
v1.42, `security_rule.*` as in semantic-conventions 1.42, `openinference.span.kind` as OpenInference has it.
`guardrail.*` is ours and stable; the drafted `gen_ai.guardrail.*` stands in `_semconv`, for those who ask for it.
INVARIANT: no argument, path or message of a call leaves through here: ids, rules, ops, digests and counts only.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from contextvars import Token
from typing import TYPE_CHECKING, Any, Final, Literal

from guardrail.masking import masked
from guardrail.model import FAULT_RULE, Decision, Outcome, ToolCall
from guardrail.printing import printable
from guardrail.telemetry import _semconv as semconv

if TYPE_CHECKING:
    from opentelemetry._logs import LoggerProvider
    from opentelemetry.context import Context
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
    from opentelemetry.trace import Span, SpanContext, TracerProvider

SCOPE: Final = "guardrail"
"""Instrumentation scope of every span, metric and event."""

SPAN_NAME: Final = "apply_guardrail guardrail"
"""Name of the one span a decision has: `{gen_ai.operation.name} {component}`."""

EVENT_NAME: Final = "guardrail.decision"
"""Name of the log event about one decision."""

CHECKPOINT_EVENT_NAME: Final = "guardrail.audit.checkpoint"
"""Name of the log event about one signed checkpoint of the trail."""

ESCALATION_EVENT_NAME: Final = "guardrail.escalation"
"""What the names of log events about one escalation begin with: `.requested`, `.resolved` and `.expired` follow."""

POLICY_EVENT_NAME: Final = "guardrail.policy"
"""What the names of log events about the policy begin with: `.loaded` and `.refused` follow."""

CENTRAL_EVENT_NAME: Final = "guardrail.central"
"""What the names of log events about the centre begin with: `.cut`, `.back` and `.refused` follow."""

DUTY_EVENT_NAME: Final = "guardrail.obligation"
"""Name of the log event about something that is wrong with what is owed."""

SURPRISE_EVENT_NAME: Final = "guardrail.kernel.unpredicted"
"""Name of the log event about a program that went for an asset which its call did not name."""

DURATION_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Upper bounds of the buckets of `guardrail.decision.duration`, in seconds."""

MAX_LISTED: Final = 32
"""Most rules, ops or assets listed in one attribute, and most events on one span."""

MAX_TEXT: Final = 256
"""Longest text that comes from the agent (tool, session, agent, call id) in one attribute, in characters."""


def deciding_op(decision: Decision) -> str:
    """The op of the effect that the strictest reason is about, else of the first effect, else `none`.

    There are fewer than thirty ops, so this is safe as an attribute of a metric.
    """
    effects = decision.effects
    if not effects:
        return "none"
    at = decision.reasons[0].effect if decision.reasons else None
    return effects[at].op if at is not None and 0 <= at < len(effects) else effects[0].op


def failed_open(decision: Decision) -> bool:
    """Whether this allow comes from a fault, by `unsafe_fail_open`."""
    return decision.outcome is Outcome.ALLOW and bool(decision.reasons) and decision.reasons[0].rule == FAULT_RULE


class Tally:
    """Plain counts: the hot path adds one, and the exporter's own thread reads them when it is time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._decisions: dict[tuple[str, str], int] = {}
        self._errors: dict[str, int] = {}
        self._violations: dict[str, int] = {}
        self._durations: dict[str, Durations] = {}

    def decision(self, outcome: str, op: str, seconds: float = 0.0) -> None:
        key = (outcome, op)
        with self._lock:
            self._decisions[key] = self._decisions.get(key, 0) + 1
            durations = self._durations.get(outcome)
            if durations is None:
                durations = self._durations[outcome] = Durations()
            durations.add(seconds)

    def error(self, kind: str) -> None:
        with self._lock:
            self._errors[kind] = self._errors.get(kind, 0) + 1

    def violation(self, kind: str) -> None:
        with self._lock:
            self._violations[kind] = self._violations.get(kind, 0) + 1

    def violations(self) -> dict[str, int]:
        with self._lock:
            return dict(self._violations)

    def decisions(self) -> dict[tuple[str, str], int]:
        with self._lock:
            return dict(self._decisions)

    def errors(self) -> dict[str, int]:
        with self._lock:
            return dict(self._errors)

    def durations(self) -> dict[str, tuple[tuple[int, ...], float]]:
        """For each outcome how many decisions fell into each bucket, the last one open, and their sum in seconds."""
        with self._lock:
            return {outcome: (tuple(kept.buckets), kept.seconds) for outcome, kept in self._durations.items()}


class Durations:
    """How long decisions took, in the buckets of `DURATION_BUCKETS` and one for all that took longer."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(DURATION_BUCKETS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one; a bucket holds its own upper bound."""
        self.buckets[bisect_left(DURATION_BUCKETS, seconds)] += 1
        self.seconds += seconds


class Api:
    """The OpenTelemetry API, looked up once. Made only in a process where it is loaded or was given to us."""

    def __init__(
        self,
        tally: Tally,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        logger_provider: LoggerProvider | None = None,
    ) -> None:
        from opentelemetry import _logs, context, metrics, trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._trace, self._context, self._metrics, self._logs = trace, context, metrics, _logs
        self._propagator = TraceContextTextMapPropagator()
        self._given = (tracer_provider, meter_provider, logger_provider)
        self._own_tracer = tracer_provider is not None
        self._drafts = semconv.is_wanted()
        self._tracer = trace.get_tracer(SCOPE, tracer_provider=tracer_provider)
        self._logger = _logs.get_logger(SCOPE, logger_provider=logger_provider)
        self._instruments(tally, metrics.get_meter(SCOPE, meter_provider=meter_provider))

    def _instruments(self, tally: Tally, meter: Any) -> None:
        observation = self._metrics.Observation

        def decisions(_: CallbackOptions) -> Iterable[Observation]:
            for (outcome, op), count in tally.decisions().items():
                yield observation(count, {"guardrail.outcome": outcome, "guardrail.effect.op": op})

        def errors(_: CallbackOptions) -> Iterable[Observation]:
            for kind, count in tally.errors().items():
                yield observation(count, {"error.type": kind})

        def violations(_: CallbackOptions) -> Iterable[Observation]:
            for kind, count in tally.violations().items():
                yield observation(count, {"guardrail.obligation.violation": kind})

        meter.create_observable_counter(
            "guardrail.obligation.violations", [violations], "{violation}", "Things wrong with what is owed."
        )
        meter.create_observable_counter("guardrail.decisions", [decisions], "{decision}", "Decisions made.")
        meter.create_observable_counter("guardrail.engine.errors", [errors], "{error}", "Faults in judging.")
        self._duration = meter.create_histogram(
            "guardrail.decision.duration",
            unit="s",
            description="Time from receipt of a call to its decision.",
            explicit_bucket_boundaries_advisory=list(DURATION_BUCKETS),
        )

    def tracing(self) -> bool:
        """Whether anybody has set a tracer provider; without one a span is only cost."""
        return self._own_tracer or type(self._trace.get_tracer_provider()) is not self._trace.ProxyTracerProvider

    def start(self, call: ToolCall, *, serving: bool) -> Span:
        kind = self._trace.SpanKind.SERVER if serving else self._trace.SpanKind.INTERNAL
        return self._tracer.start_span(SPAN_NAME, kind=kind, attributes=_call_attributes(call))

    def attach(self, span: Span) -> Token[Context]:
        return self._context.attach(self._trace.set_span_in_context(span))

    def join(self, headers: Mapping[str, str]) -> Token[Context]:
        return self._context.attach(self._propagator.extract(headers))

    def detach(self, token: Token[Context]) -> None:
        self._context.detach(token)

    def current(self, span: Span | None) -> SpanContext:
        return (span or self._trace.get_current_span()).get_span_context()

    def measure(self, decision: Decision) -> None:
        self._duration.record(decision.elapsed_us / 1e6, _OUTCOME_ATTRIBUTES[decision.outcome])

    def describe(self, span: Span, decision: Decision) -> None:
        span.set_attributes(self._attributes(decision))
        if decision.outcome is Outcome.ALLOW:
            return
        for reason in decision.reasons[:MAX_LISTED]:
            facts: dict[str, str | int] = {"guardrail.rule": reason.rule, "guardrail.outcome": reason.outcome.value}
            if reason.asset is not None:
                facts["guardrail.asset.id"] = printable(reason.asset)
            if reason.effect is not None:
                facts["guardrail.effect.index"] = reason.effect
            span.add_event("guardrail.reason", facts)

    def mark_error(self, span: Span, error: BaseException) -> None:
        # No message and no stack trace: either can quote the call.
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, type(error).__name__))

    def _attributes(self, decision: Decision) -> dict[str, Any]:
        facts = _decision_attributes(decision)
        return facts | semconv.drafted(decision) if self._drafts else facts

    def emit(self, decision: Decision, call: ToolCall, op: str) -> None:
        facts = {**_call_attributes(call), **self._attributes(decision), "guardrail.effect.op": op}
        body = f"{decision.outcome.value} {text(call.tool)}"
        self.event(EVENT_NAME, body, facts, severity="INFO" if decision.outcome is Outcome.ALLOW else "WARN")

    def event(
        self, name: str, body: str, facts: Mapping[str, Any], *, severity: Literal["INFO", "WARN", "ERROR"] = "INFO"
    ) -> None:
        """Emit one log event.

        Args:
            name: its stable name.
            body: a few words for people.
            facts: its attributes.
            severity: whether people may have to do something.
        """
        self._logger.emit(
            event_name=name,
            severity_number=self._logs.SeverityNumber[severity],
            severity_text=severity,
            body=body,
            attributes=dict(facts),
        )

    def flushers(self, timeout_seconds: float) -> tuple[Callable[[], object], ...]:
        current: tuple[object, ...] = (
            self._given[0] or self._trace.get_tracer_provider(),
            self._given[1] or self._metrics.get_meter_provider(),
            self._given[2] or self._logs.get_logger_provider(),
        )
        millis = int(timeout_seconds * 1000)
        found = (getattr(provider, "force_flush", None) for provider in current)
        return tuple((lambda flush=flush: flush(millis)) for flush in found if flush is not None)


_OUTCOME_ATTRIBUTES: Final = {outcome: {"guardrail.outcome": outcome.value} for outcome in Outcome}


def _call_attributes(call: ToolCall) -> dict[str, Any]:
    found = {
        "gen_ai.operation.name": "apply_guardrail",
        "gen_ai.tool.name": text(call.tool),
        "gen_ai.agent.name": text(call.subject.id),
        "gen_ai.conversation.id": text(call.session),
        "openinference.span.kind": "GUARDRAIL",
    }
    if call.id:
        found["gen_ai.tool.call.id"] = text(call.id)
    return found


def _decision_attributes(decision: Decision) -> dict[str, Any]:
    found: dict[str, Any] = {
        "guardrail.outcome": decision.outcome.value,
        "guardrail.decision.id": decision.decision_id,
        "guardrail.decision.enforced": not failed_open(decision),
        "guardrail.mode": decision.mode,
        "guardrail.policy.revision": decision.policy,
        "guardrail.engine": decision.engine,
        "guardrail.args.digest": decision.digest,
    }
    if decision.effects:
        found["guardrail.effects"] = listed(effect.op for effect in decision.effects)
    if assets := listed(decision.assets):
        found["guardrail.asset.id"] = assets
    if decision.reasons:
        found["guardrail.rules"] = listed(reason.rule for reason in decision.reasons)
        found["security_rule.name"] = decision.reasons[0].rule
        found["security_rule.version"] = decision.policy
    if decision.observed is not None:
        found["guardrail.observed"] = decision.observed.value
    if decision.mismatch is not None:
        found["guardrail.engine.mismatch"] = str(decision.mismatch)
    if decision.grant is not None:
        found["guardrail.grant.id"] = decision.grant
    return found


def listed(items: Iterable[str]) -> list[str]:
    return [printable(item) for item in list(dict.fromkeys(items))[:MAX_LISTED]]


def text(value: str) -> str:
    # Lone surrogates would make the exporter drop the whole batch: an agent must not be able to choose that.
    return masked(printable(value[: 4 * MAX_TEXT]))[:MAX_TEXT]
