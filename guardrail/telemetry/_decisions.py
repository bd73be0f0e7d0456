"""The Telemetry that `guardrail.guard` speaks to; everything about OpenTelemetry itself is in `_api`."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar

from guardrail.model import Decision, Outcome, ToolCall
from guardrail.telemetry import _events as events
from guardrail.telemetry._api import (
    CHECKPOINT_EVENT_NAME,
    EVENT_NAME,
    Api,
    Tally,
    deciding_op,
    failed_open,
)

if TYPE_CHECKING:
    from opentelemetry._logs import LoggerProvider
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, SpanContext, TracerProvider

_T = TypeVar("_T")

FLUSH_SECONDS: Final = 2.0
"""Longest wait for exporters by `flush` and `shutdown`, in seconds."""

FAULT_EVENT_NAME: Final = "guardrail.fault"
"""Name of the log event about a fault that belongs to no decision."""

MISMATCH: Final = "EngineMismatch"
"""`error.type` under which two engines that disagree are counted."""

AUDIT_ORIGIN: Final = "guardrail.audit.origin"
AUDIT_SIZE: Final = "guardrail.audit.size"
AUDIT_ROOT: Final = "guardrail.audit.root"


class Telemetry:
    """Makes one span, some counts and one event of every decision.

    Args:
        tracer_provider: where spans go; all three left out means the global providers, found when they are there.
        meter_provider: where metrics go.
        logger_provider: where events go.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        logger_provider: LoggerProvider | None = None,
    ) -> None:
        self.tally = Tally()
        self._closers: tuple[Callable[[float], None], ...] = ()
        self._lock = threading.Lock()
        self._api: Api | None = None
        self.signed: dict[str, str | int] = {}
        """The last checkpoint, as attributes of every span that follows."""
        self.failures = 0
        """How often telemetry itself failed and was ignored."""
        if tracer_provider or meter_provider or logger_provider:
            self._api = Api(self.tally, tracer_provider, meter_provider, logger_provider)

    @classmethod
    def default(cls) -> Telemetry:
        """The one Telemetry of this process.

        Returns:
            Always the same object, so that two guards in one process do not register the same metrics twice.
            It does nothing until something else has loaded OpenTelemetry: before that nobody can have set a provider,
            and loading it costs more than a harness hook has to spend.
        """
        return _DEFAULT

    @property
    def counts(self) -> Mapping[tuple[str, str], int]:
        """Decisions so far by (outcome, op of the deciding effect)."""
        return self.tally.decisions()

    def deciding(self, call: ToolCall) -> DecisionSpan:
        """The span of one decision, to be used as `with telemetry.deciding(call) as span:`.

        Args:
            call: what is being decided.

        Returns:
            A context manager; tell it `decided(decision)`, and `faulted(error)` when judging failed.
        """
        return DecisionSpan(self, self.api(), call)

    def fault(self, error: BaseException) -> None:
        """Say that judging failed, from anywhere inside `deciding`; outside of it the fault is counted and logged."""
        span = _DECIDING.get()
        if span is not None:
            span.faulted(error)
        else:
            self.attempt(self._fault_alone, error)

    def checkpoint(self, origin: str, size: int, root: str) -> None:
        """Say how far the trail is signed: whoever keeps this can tell later whether it was rewritten.

        Args:
            origin: name of the ledger.
            size: number of records under the checkpoint.
            root: its root, in hexadecimal.
        """
        self.attempt(self._checkpoint, {AUDIT_ORIGIN: origin, AUDIT_SIZE: size, AUDIT_ROOT: root})

    def _checkpoint(self, facts: dict[str, str | int]) -> None:
        self.signed = facts
        api = self.api()
        if api is not None:
            api.event(CHECKPOINT_EVENT_NAME, "checkpoint", facts)

    def duty(self, obligation: str, kinds: Sequence[str]) -> None:
        """Say that something is wrong with what is owed.

        Args:
            obligation: its id.
            kinds: what: `omitted`, `moved` and the like.
        """
        self.attempt(events.duty, self.tally, self.api(), obligation, kinds)

    def escalation(self, what: str, facts: Mapping[str, Any]) -> None:
        """Say that an escalation was asked for, answered, or is over.

        Args:
            what: `requested`, `resolved` or `expired`.
            facts: `id`, `state`, `agent`, `session`, `rules`, `assets`, and `seconds` since it was asked for.
        """
        self.attempt(events.escalation, self.api(), what, facts)

    def policy(self, revision: str, *, refused: bool) -> None:
        """Say that another policy is in force, or that one was refused.

        Args:
            revision: the one in force now.
            refused: whether it is the one of before.
        """
        self.attempt(events.policy, self.api(), revision, refused)

    @property
    def trace_id(self) -> str:
        """The trace that the caller works in, in hexadecimal; empty where there is none."""
        return self.attempt(self._trace_id) or ""

    def central(self, what: Literal["cut", "back", "refused", "not_taken"], why: str) -> None:
        """Say that the database which guards have in common cannot be reached, is back, refuses this trail, or has an
        announcement that is not taken up.

        Args:
            what: `cut`, `back`, `refused` or `not_taken`.
            why: in words, with no part of a call in them.
        """
        self.attempt(events.central, self.api(), what, why)

    def surprise(self, decision_id: str, assets: Sequence[str]) -> None:
        """Say that the kernel kept a program from assets that its call was not judged to touch.

        Args:
            decision_id: what released it.
            assets: ids of them.
        """
        self.attempt(events.surprise, self.api(), decision_id, assets)

    def own(self, closers: tuple[Callable[[float], None], ...]) -> None:
        """Take over providers: `shutdown` closes them.

        Args:
            closers: each takes its time limit in seconds.
        """
        self._closers += closers

    def flush(self, timeout_seconds: float = FLUSH_SECONDS) -> None:
        """Send what is queued, waiting at most `timeout_seconds`."""
        api = self._api
        if api is not None:
            _bounded(api.flushers(timeout_seconds), timeout_seconds)

    def shutdown(self, timeout_seconds: float = FLUSH_SECONDS) -> None:
        """Flush, and close the providers that `configure_from_environment` made; those of a host stay open."""
        if not self._closers:
            self.flush(timeout_seconds)
            return
        closers, self._closers = self._closers, ()
        _bounded(tuple(_closing(close, timeout_seconds) for close in closers), timeout_seconds)

    def _fault_alone(self, error: BaseException) -> None:
        self.tally.error(type(error).__name__)
        from guardrail.telemetry import _log as log

        if log.wanted():
            log.warn(FAULT_EVENT_NAME, log.error_fields(error))

    def _trace_id(self) -> str:
        api = self.api()
        found = None if api is None else api.current(None)
        return f"{found.trace_id:032x}" if found is not None and found.is_valid else ""

    def api(self) -> Api | None:
        """The OpenTelemetry API, once this process has loaded it."""
        if self._api is None and "opentelemetry.trace" in sys.modules:
            with self._lock:
                if self._api is None:
                    self._api = self.attempt(Api, self.tally)
        return self._api

    def attempt(self, step: Callable[..., _T], *arguments: object) -> _T | None:
        """Do one step of telemetry; the only place where its failures end, because they must not stop a decision.

        Returns:
            What the step returns, or None when it failed; `failures` counts.
        """
        try:
            return step(*arguments)
        except Exception:  # noqa: BLE001 - whatever an SDK or exporter raises, the decision stands
            self.failures += 1
            return None


class DecisionSpan:
    """One decision while it is being made. Made by `Telemetry.deciding` only."""

    __slots__ = ("_api", "_call", "_error", "_outer", "_span", "_telemetry", "_token")

    def __init__(self, telemetry: Telemetry, api: Api | None, call: ToolCall) -> None:
        self._telemetry = telemetry
        self._api = api
        self._call = call
        self._span: Span | None = None
        self._token: Token[Context] | None = None
        self._error: BaseException | None = None
        self._outer: Token[DecisionSpan | None] | None = None

    def __enter__(self) -> Self:
        self._outer = _DECIDING.set(self)
        if self._api is not None and self._api.tracing():
            self._telemetry.attempt(self._start, self._api)
        return self

    def decided(self, decision: Decision) -> None:
        """Say what was decided, once."""
        self._telemetry.attempt(self._decided, decision)

    def faulted(self, error: BaseException) -> None:
        """Say that judging failed, before `decided` with the denial that follows from it.

        Args:
            error: what happened; only its type leaves, and its sentence where it is about this host.
        """
        self._error = error
        self._telemetry.attempt(self._faulted, error)

    @property
    def ids(self) -> tuple[str, str]:
        """Trace and span id in hexadecimal, or two empty texts where there is no span."""
        if self._api is None or self._span is None:
            return "", ""
        found = self._api.current(self._span)
        return (f"{found.trace_id:032x}", f"{found.span_id:016x}") if found.is_valid else ("", "")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._outer is not None:
            _DECIDING.reset(self._outer)
        if self._span is not None and self._api is not None:
            self._telemetry.attempt(self._end, self._api, self._span, error)

    def _start(self, api: Api) -> None:
        self._span = api.start(self._call, serving=_SERVING.get() is not None)
        self._token = api.attach(self._span)

    def _faulted(self, error: BaseException) -> None:
        self._telemetry.tally.error(type(error).__name__)
        if self._span is not None and self._api is not None:
            self._api.mark_error(self._span, error)

    def _end(self, api: Api, span: Span, error: BaseException | None) -> None:
        if error is not None and self._error is None:
            api.mark_error(span, error)
        if self._token is not None:
            api.detach(self._token)
        span.end()

    def _decided(self, decision: Decision) -> None:
        outcome, op = decision.outcome, deciding_op(decision)
        self._telemetry.tally.decision(outcome.value, op, decision.elapsed_us / 1e6)
        if decision.mismatch is not None:
            self._telemetry.tally.error(MISMATCH)
        api, span = self._api, self._span
        ids: SpanContext | None = None
        if api is not None:
            api.measure(decision)
            if span is not None and span.is_recording():
                api.describe(span, decision)
                span.set_attributes(self._telemetry.signed)
            ids = api.current(span)
        told = decision.observed is not None or decision.mismatch is not None
        if outcome is not Outcome.ALLOW or failed_open(decision) or told:
            self._tell_operators(decision, ids)
        if api is not None and (outcome is not Outcome.ALLOW or decision.assets or told):
            api.emit(decision, self._call, op)
        serving = _SERVING.get()
        if serving is not None:
            serving.answered(decision, None if span is None else ids)

    def _tell_operators(self, decision: Decision, ids: SpanContext | None) -> None:
        from guardrail.telemetry import _log as log

        if not log.wanted():
            return
        fields = log.decision_fields(decision, self._call)
        if ids is not None and ids.is_valid:
            fields |= {"trace_id": f"{ids.trace_id:032x}", "span_id": f"{ids.span_id:016x}"}
        if self._error is not None:
            fields |= log.error_fields(self._error)
        log.warn(EVENT_NAME, fields)


class serving:  # noqa: N801 - used like a function: `with serving(headers) as request:`
    """Everything judged inside belongs to one request from another process.

    The span of the decision becomes a SERVER span, child of the span that the headers name.

    Args:
        headers: lower-case names; only W3C `traceparent` and `tracestate` are read, never baggage, because the
            sender is the agent. A sender can choose its trace id and ask not to be sampled; denials are kept anyway.
    """

    __slots__ = ("_api", "_headers", "_ids", "_reset", "_token", "decision_id", "trace_id")

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers
        self._api: Api | None = None
        self._token: Token[Context] | None = None
        self._reset: Token[serving | None] | None = None
        self._ids: SpanContext | None = None
        self.decision_id = ""
        self.trace_id = ""

    def __enter__(self) -> Self:
        self._reset = _SERVING.set(self)
        if "traceparent" in self._headers:
            self._api = Telemetry.default().api()
            if self._api is not None:
                Telemetry.default().attempt(self._join, self._api)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reset is not None:
            _SERVING.reset(self._reset)
        if self._token is not None and self._api is not None:
            self._api.detach(self._token)

    def _join(self, api: Api) -> None:
        self._token = api.join(self._headers)
        parent = api.current(None)
        if parent.is_valid:
            self.trace_id = f"{parent.trace_id:032x}"

    def answered(self, decision: Decision, ids: SpanContext | None) -> None:
        """Take the ids of the decision that was made inside."""
        self.decision_id = decision.decision_id
        if ids is not None and ids.is_valid:
            self._ids = ids
            self.trace_id = f"{ids.trace_id:032x}"

    @property
    def traceresponse(self) -> str:
        """Value of the W3C Trace Context level 2 `traceresponse` header, or empty."""
        ids = self._ids
        return f"00-{ids.trace_id:032x}-{ids.span_id:016x}-{int(ids.trace_flags):02x}" if ids else ""


def _closing(close: Callable[[float], None], timeout_seconds: float) -> Callable[[], object]:
    return lambda: close(timeout_seconds)


def _bounded(steps: Iterable[Callable[[], object]], timeout_seconds: float) -> None:
    """Run each step on a thread of its own, and stop waiting after `timeout_seconds` in all.

    The SDK's own time limits do not cover a collector that accepts a connection and never answers.
    """
    threads = [threading.Thread(target=_DEFAULT.attempt, args=(step,), daemon=True) for step in steps]
    for thread in threads:
        thread.start()
    end = time.monotonic() + timeout_seconds
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))


_DECIDING: ContextVar[DecisionSpan | None] = ContextVar("guardrail_deciding", default=None)
_SERVING: ContextVar[serving | None] = ContextVar("guardrail_serving", default=None)
_DEFAULT: Final = Telemetry()
