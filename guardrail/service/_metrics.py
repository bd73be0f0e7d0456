"""`/metrics` for Prometheus: the counts that the decisions keep anyway, and what waits, is owed and is signed.

Names and labels are those that a collector makes of our OpenTelemetry metrics, so that one dashboard and one set of
alerts serve both. No label has a value that an agent chooses.
Source: Prometheus exposition formats; OpenTelemetry compatibility, "Prometheus and OpenMetrics", metric names.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.registry import Collector

from guardrail import __version__
from guardrail.policy import refusal
from guardrail.service._bearer import Bearer
from guardrail.service._callers import Callers
from guardrail.service._http import Answer, Receive, Scope, Send
from guardrail.service._respond import Request, respond
from guardrail.service._turns import SHED
from guardrail.telemetry import DURATION_BUCKETS, Telemetry

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from guardrail.central import Status
    from guardrail.guard import Guard
    from guardrail.service._turns import Turns

METRICS: Final = "/metrics"

_KIND: Final = b"text/plain; version=0.0.4; charset=utf-8"


class MetricsRoute:
    """Answers `GET /metrics`.

    Args:
        guard: whose counts.
        turns: know how many calls are being judged.
        running: know how many are being carried out.
        token: of whoever may read this and nothing else; empty for none.
        callers: may read it as well.
    """

    def __init__(self, guard: Guard, turns: Turns, running: Turns, token: str, callers: Callers) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Counts(guard, turns, running))
        self._reader = Bearer(token, "the token for metrics") if token else None
        self._callers = callers

    def owns(self, path: str) -> bool:
        """Whether a path is answered here."""
        return path == METRICS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await respond(scope, receive, send, self._answer)

    async def _answer(self, request: Request) -> Answer:
        if self._reader is None or not self._reader.opens(request.headers):
            await self._callers.of(request.scope)
        request.needs("GET")
        # What is owed may have to be read from a file.
        return Answer(body=await asyncio.to_thread(generate_latest, self._registry), kind=_KIND)


class _Counts(Collector):
    """What is told of one guard, collected when somebody asks."""

    def __init__(self, guard: Guard, turns: Turns, running: Turns) -> None:
        self._guard = guard
        self._turns = (("guardrail_requests", "judged", turns), ("guardrail_executions", "carried out", running))

    def collect(self) -> Iterable[Metric]:
        yield from _decided()
        yield from self._waiting()
        yield from self._owed()
        yield from self._in_turn()
        yield from self._kept()
        central = self._guard.central
        yield from () if central is None else common_metrics(central.status)

    def _waiting(self) -> Iterable[Metric]:
        desk = self._guard.desk
        now = desk.clock()
        cases = desk.cases()
        pending = [case.held.created_us for case in cases if case.state_at(now) == "pending"]
        yield GaugeMetricFamily("guardrail_escalations_pending", "Escalations that wait for people.", len(pending))
        oldest = max(0.0, (now - min(pending)) / 1e6) if pending else 0.0
        yield GaugeMetricFamily("guardrail_escalation_oldest_seconds", "How long the oldest of them waits.", oldest)
        overdue = sum(case.review_due_us is not None and case.review_due_us < now for case in cases)
        yield GaugeMetricFamily("guardrail_reviews_overdue", "Uses of broken glass that nobody looked at.", overdue)

    def _owed(self) -> Iterable[Metric]:
        states = Counter(status.state for status in self._guard.obligations.statuses())
        family = GaugeMetricFamily("guardrail_obligations", "Duties, by how they stand.", labels=["state"])
        for state in ("open", "met", "unmet", "withdrawn"):
            family.add_metric([state], states[state])
        yield family

    def _in_turn(self) -> Iterable[Metric]:
        for name, what, turns in self._turns:
            yield GaugeMetricFamily(f"{name}_active", f"Calls that are being {what}.", turns.active)
            yield GaugeMetricFamily(f"{name}_waiting", f"Calls that wait to be {what}.", turns.waiting)
            shed = CounterMetricFamily(f"{name}_shed", f"Calls not {what} for want of a turn: denials.", labels=["why"])
            for why in SHED:
                shed.add_metric([why], turns.shed[why])
            yield shed

    def _kept(self) -> Iterable[Metric]:
        guard, trail = self._guard, self._guard.trail
        yield GaugeMetricFamily("guardrail_trail_records", "Records in the trail.", 0 if trail is None else trail.size)
        yield GaugeMetricFamily("guardrail_trail_recording", "1 if a trail is kept.", int(trail is not None))
        yield GaugeMetricFamily(
            "guardrail_policy_refused", "1 if a newer policy was refused.", int(bool(refusal(guard.engine)))
        )
        enforcing = guard.config.mode == "enforce" and not guard.config.unsafe_fail_open
        yield GaugeMetricFamily("guardrail_enforcing", "1 if denials and faults stop calls.", int(enforcing))
        facts = {
            "version": __version__,
            "engine": guard.engine.name,
            "policy": guard.engine.revision,
            "mode": guard.config.mode,
        }
        yield InfoMetricFamily("guardrail", "What is in force.", value=facts)


def common_metrics(status: Status) -> Iterable[Metric]:
    """How a guard stands with the database that guards have in common.

    Args:
        status: how it stands.
    """
    age = max(0.0, time.time() - status.contact_us / 1e6) if status.contact_us else float("inf")
    yield GaugeMetricFamily("guardrail_central_cut", "1 if the centre cannot be reached.", int(bool(status.cut)))
    yield GaugeMetricFamily("guardrail_central_contact_seconds", "How long ago the centre was heard.", age)
    yield GaugeMetricFamily(
        "guardrail_central_stale", "1 if what the centre has cannot be kept here.", int(bool(status.kept))
    )
    yield GaugeMetricFamily(
        "guardrail_central_unheard", "1 if what people said there cannot be recorded here.", int(bool(status.unheard))
    )
    yield GaugeMetricFamily(
        "guardrail_central_not_taken", "1 if what is announced there is not taken up.", int(bool(status.not_taken))
    )
    yield GaugeMetricFamily(
        "guardrail_central_behind", "1 if what was announced is not in force here yet.", int(bool(status.behind))
    )
    yield GaugeMetricFamily(
        "guardrail_central_trail_refused", "1 if the centre refuses this trail.", int(bool(status.refused))
    )
    yield GaugeMetricFamily(
        "guardrail_central_trail_records", "Records under the newest checkpoint there.", status.recorded
    )


def _decided() -> Iterable[Metric]:
    tally = Telemetry.default().tally
    decisions = CounterMetricFamily(
        "guardrail_decisions", "Decisions made.", labels=["guardrail_outcome", "guardrail_effect_op"]
    )
    for (outcome, op), count in sorted(tally.decisions().items()):
        decisions.add_metric([outcome, op], count)
    yield decisions
    durations = HistogramMetricFamily(
        "guardrail_decision_duration_seconds",
        "Time from receipt of a call to its decision.",
        labels=["guardrail_outcome"],
    )
    bounds = [*map(str, DURATION_BUCKETS), "+Inf"]
    for outcome, (buckets, seconds) in sorted(tally.durations().items()):
        durations.add_metric([outcome], list(zip(bounds, accumulate(buckets), strict=True)), seconds)
    yield durations
    for name, about, label, counts in (
        ("guardrail_engine_errors", "Faults in judging.", "error_type", tally.errors()),
        (
            "guardrail_obligation_violations",
            "Things wrong with what is owed.",
            "guardrail_obligation_violation",
            tally.violations(),
        ),
    ):
        family = CounterMetricFamily(name, about, labels=[label])
        for kind, count in sorted(counts.items()):
            family.add_metric([kind], count)
        yield family
