"""The enforcement point: the order of the stages, written once.

    parse -> effects -> assets -> (history, mandates) -> policy -> Decision -> audit -> run

`_judge` is that order. It is a generator that does no waiting of its own: where an engine or the trail has to answer it
yields the question, and `check` or `acheck` puts it, so that the synchronous and the asynchronous path are one.
Every fault ends in `_fault`, which answers with a denial.
"""

from __future__ import annotations

import copy
import os
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar

import msgspec

from guardrail import config as _config
from guardrail.assets import Inventory, Lineage, LiveFiles, Provenance, Recognition
from guardrail.audit import (
    AnyTrail,
    Disclosures,
    beside_trail,
    open_trail,
    trail_directory,
    trail_key,
    trail_place,
)
from guardrail.audit.aftermath import settle as settle_unfinished
from guardrail.audit.entries import decision_record, policy_record, result_record
from guardrail.config import Config
from guardrail.effects import ShellMemory, Shells, analyse, prepare
from guardrail.errors import ConfigError, Denied, Escalated, Fault, GuardrailError, TrailError
from guardrail.history import History, HistoryStore, host_of, relation
from guardrail.mandates import Mandate, MandateBook, MandateLedger, Zones
from guardrail.model import FAULT_RULE, Decision, Effect, Outcome, Reason, Subject, ToolCall, assets_of, new_id
from guardrail.obligations import (
    Attendant,
    Lookback,
    Note,
    Obligations,
    ObligationStatus,
    OrderNote,
    World,
    certifier,
    escalate,
    stores_of,
)
from guardrail.parse import parse, tool_table
from guardrail.policy import (
    PolicyEngine,
    PolicyNews,
    Ruling,
    bundle_directory,
    cache_directory,
    conclude,
    document,
    enforced,
    mandates_of,
    open_engine,
)
from guardrail.printing import printable
from guardrail.review import (
    Binding,
    Clerk,
    Escalation,
    Grant,
    Holder,
    Inbox,
    Redemption,
    Refused,
    ReviewError,
    ReviewStore,
    Vote,
    covers,
    deeds_of,
    open_desk,
    presented,
)
from guardrail.telemetry import DecisionSpan, Telemetry

if TYPE_CHECKING:
    from guardrail.policy.log import DecisionLog

T = TypeVar("T")


class _Ask(msgspec.Struct, frozen=True):
    """A question to the policy engine: the answer is sent back into the flow."""

    document: bytes


class _Asked:
    """What was asked of policy about one call, what it said, and what was taken for it; for the record and the log."""

    __slots__ = ("document", "held", "redemption", "ruling")

    def __init__(self) -> None:
        self.held: tuple[Reason, ...] = ()
        self.document: bytes | None = None
        self.ruling: Ruling | None = None
        self.redemption: Redemption | None = None


class _Do(msgspec.Struct, frozen=True):
    """Something that waits for the disk: what it gives back is sent into the flow."""

    work: Callable[[], Any]


class _Keep(msgspec.Struct, frozen=True):
    """A record for the trail: its sequence number is sent back into the flow."""

    record: dict[str, Any]
    durable: bool


_Step = _Ask | _Keep | _Do
_Found = tuple[Ruling, Outcome, tuple[Reason, ...]]
"""What policy said about a call."""

HOOKED_FILE: Final = "installed"
"""File beside the trail with the settings that hooks were put into, one path a line."""

_REJECTED: Final = "people rejected this of this agent shortly before, and are not asked again"

_Flow = Generator[_Step, Any, Decision]


class Guard:
    """Judges tool calls, and runs those that are allowed.

    Use `Guard.open`; the constructor takes parts that are already open.

    Args:
        config: the settings.
        engine: what decides.
        trail: where records go; None keeps no record, and a history in memory, which suits judging alone and never
            execution.
        reviews: what adapters remember; its desk has escalations and grants.
        telemetry: spans, metrics and logs.
        attend: attend to what is owed by itself.
        log: where decisions are told in OPA's format, if anywhere.
    """

    def __init__(
        self,
        config: Config,
        *,
        engine: PolicyEngine,
        trail: AnyTrail | None,
        reviews: ReviewStore,
        telemetry: Telemetry | None = None,
        attend: bool = True,
        log: DecisionLog | None = None,
    ) -> None:
        self.decision_log = log
        self.config = config
        self.engine = engine
        self.trail = trail
        self.reviews = reviews
        self.desk = reviews.desk
        self.clerk = Clerk.of(config, self.desk)
        self._holder = Holder(config)
        if trail is not None:
            self.desk.watch(partial(Inbox(beside_trail(config, "inbox")).take_in, self.clerk))
        self.tools = tool_table(config.tools)
        prepare()
        self.files = LiveFiles(config.limits.expansions)
        self.recognition = Recognition(beside_trail(config, "identity.db"))
        # INVARIANT: whoever holds the trail is the only one who writes beside it, so both may be `sole`.
        # One that keeps no trail, such as `guardrail check`, judges by what those that do have noted.
        keeps = trail is not None
        self.lineage = Lineage(beside_trail(config, "lineage.db"), sole=keeps, readonly=not keeps)
        self.inventory = Inventory(
            config, self.files, own=_own_files(config), recognition=self.recognition, lineage=self.lineage
        )
        self.provenance = Provenance(self.inventory)
        self.zones = Zones(config)
        # A guard that keeps no trail counts in memory, on top of what those that do have counted.
        ledger = MandateLedger(beside_trail(config, "orders.db"), readonly=trail is None)
        self.mandates = MandateBook(config, ledger)
        self.shells = Shells()
        store = HistoryStore(beside_trail(config, "history.db"), sole=True) if trail is not None else None
        self.history = History(config.limits.sessions, store, config.history.reconnaissance)
        self.disclosures = (
            Disclosures(trail_place(config), config.trail.timeout_seconds) if keeps and config.trail.disclose else None
        )
        self._zones_of_assets = {asset.id: asset.zones for asset in config.assets if asset.zones}
        world = World(config, self.inventory, self.recognition, self.lineage, self.zones)
        lookback = None if trail is None else Lookback(trail_directory(config), partial(_records, config))
        self.obligations = Obligations(world, ledger, stores=stores_of(config), lookback=lookback)
        # In `observe` every rule is only recorded; the policy itself holds those that protect the guard all the same.
        self._maturity = {"*": "observe"} if config.mode == "observe" else dict(config.policy.maturity)
        self._telemetry = telemetry or Telemetry.default()
        seconds = config.obligations.attend_seconds if attend and keeps else 0
        self._attendant = Attendant(self.attend, self._telemetry.fault, seconds)
        self._variables = {"HOME": os.path.expanduser("~")}
        if config.unsafe_fail_open:
            text = "unsafe_fail_open is set: calls run even when judging them fails"
            warnings.warn(text, RuntimeWarning, stacklevel=2)

    @classmethod
    def open(
        cls,
        config: Config | str | os.PathLike[str],
        *,
        engine: PolicyEngine | None = None,
        record: bool = True,
        telemetry: Telemetry | None = None,
        attend: bool = True,
    ) -> Self:
        """Open everything a guard needs, or refuse with the reason.

        Args:
            config: guardrail.toml or the settings read from it.
            engine: an engine to use instead of the configured one.
            record: keep a trail; without one nothing that was decided can be shown later.
            telemetry: spans, metrics and logs; the process's own providers by default.
            attend: attend to what is owed by itself, in a thread, every `obligations.attend_seconds`.

        Returns:
            The guard; close it, or use it as a context manager.

        Raises:
            ConfigError: if the settings, the policy bundle or a key cannot be used.
            TrailError: if the trail cannot be opened for writing.
        """
        settings = config if isinstance(config, Config) else _config.load(config)
        news = _News()
        judge = engine if engine is not None else _open_engine(settings, record, news)
        trail: AnyTrail | None = None
        try:
            if record:
                trail = open_trail(settings)
            store = _review_store(settings) if record else None
            reviews = ReviewStore(store, desk=open_desk(settings, trail))
            log = _open_log(settings) if record else None
            parts: dict[str, Any] = {"telemetry": telemetry, "attend": attend, "log": log}
            guard = cls(settings, engine=judge, trail=trail, reviews=reviews, **parts)
        except BaseException:
            judge.close()
            if trail is not None:
                trail.close()
            raise
        if trail is not None:
            trail.tell(lambda now, _: guard._telemetry.checkpoint(settings.trail.origin, now.size, now.root.hex()))
        guard._opened()
        news.tell(trail, guard._telemetry)
        return guard

    # -- the four ways in ---------------------------------------------------------------------------------------

    def check(self, call: ToolCall, *, grant: Grant | None = None) -> Decision:
        """Judge a call; run nothing.

        Args:
            call: what the agent sent.
            grant: leave that a person gave for exactly this call.

        Returns:
            The decision. A denial is an answer, not an exception, and so is a fault.
        """
        with self._telemetry.deciding(call) as span:
            decision = self._drive(self._decide(call, grant, span))
            span.decided(decision)
        return decision

    async def acheck(self, call: ToolCall, *, grant: Grant | None = None) -> Decision:
        """`check`, without blocking the event loop while the engine or the trail is waited for."""
        with self._telemetry.deciding(call) as span:
            decision = await self._adrive(self._decide(call, grant, span))
            span.decided(decision)
        return decision

    def preview(self, call: ToolCall) -> Decision:
        """`check`, for a call that is not to run yet: an ALLOW releases nothing, so it leaves no record and no history.

        A denial or an escalation is final, and recorded, as with `check`.
        """
        with self._telemetry.deciding(call) as span:
            decision = self._drive(self._decide(call, None, span, release=False))
            span.decided(decision)
        return decision

    async def apreview(self, call: ToolCall) -> Decision:
        """`preview`, without blocking the event loop."""
        with self._telemetry.deciding(call) as span:
            decision = await self._adrive(self._decide(call, None, span, release=False))
            span.decided(decision)
        return decision

    def run(
        self,
        call: ToolCall,
        execute: Callable[[ToolCall], T],
        *,
        grant: Grant | None = None,
        released: Callable[[Decision], None] | None = None,
    ) -> T:
        """Judge a call and, if it is allowed, run it and record what came of it.

        Args:
            call: what the agent sent.
            execute: carries the call out; called once, with the call that was judged, or not at all.
            grant: leave that a person gave for exactly this call.
            released: hears of the decision that releases the call, before it is carried out.

        Returns:
            What `execute` returned.

        Raises:
            Denied: if policy or a fault denied it.
            Escalated: if a person has to decide first.
            TrailError: if this guard keeps no trail.
        """
        call = self._own(call)
        decision = _released(self.check(call, grant=grant))
        try:
            if released is not None:
                released(decision)
            value = execute(call)
        except BaseException as error:
            self.shells.forget(self.shells.recall(call.session, call.subject.id, call.tool))
            self._finish(self._result(call, decision, error))
            self._used(decision, error)
            raise
        self._finish(self._result(call, decision, None, value))
        self._used(decision, None)
        return value

    async def arun(
        self, call: ToolCall, execute: Callable[[ToolCall], Awaitable[T]], *, grant: Grant | None = None
    ) -> T:
        """`run`, for a coroutine function."""
        call = self._own(call)
        decision = _released(await self.acheck(call, grant=grant))
        try:
            value = await execute(call)
        except BaseException as error:
            self.shells.forget(self.shells.recall(call.session, call.subject.id, call.tool))
            self._finish(self._result(call, decision, error))
            self._used(decision, error)
            raise
        self._finish(self._result(call, decision, None, value))
        self._used(decision, None)
        return value

    # -- what somebody else carries out --------------------------------------------------------------------------

    def finished(
        self,
        call: ToolCall,
        decision: Decision,
        *,
        error: BaseException | None = None,
        facts: Mapping[str, str | int] | None = None,
    ) -> None:
        """Record what came of a call that `check` released and that somebody else, such as a harness, has carried out.

        Args:
            call: the call.
            decision: what released it.
            error: what it failed with, if it did.
            facts: what is known besides of how it ended.
        """
        self._finish(self._result(call, decision, error, facts=facts))
        self._used(decision, error)

    def let_through(self, call: ToolCall, decision: Decision, *, by: str) -> Decision:
        """Record that somebody else, such as a harness, has asked a person about an escalated call and let it run.

        What it did counts as done by this session; the approval is an unsigned vote, and used up at once.

        Args:
            call: the call.
            decision: what held it.
            by: who said so.

        Returns:
            The decision as it came out.

        Raises:
            TrailError: if it cannot be recorded.
            ReviewError: if the escalation cannot be answered like this.
        """
        if decision.escalation is None:
            return decision
        self.desk.cast(decision.escalation, Vote(voter=by, verdict="approve", at_us=0))
        leave = self.desk.issue(decision.escalation, decision.digest)
        taken = None if leave is None else self.desk.reserve(leave, decision.digest, decision.binding)
        decision = msgspec.structs.replace(
            decision,
            outcome=Outcome.ALLOW,
            grant=None if taken is None else taken.grant.id,
            use=0 if taken is None else taken.use,
        )
        self.history.released(call.session, decision.effects, self._class_of, self.files.read, call.subject.id)
        self.lineage.released(decision.effects, self._class_of)
        if self.trail is not None:
            seq = self.trail.append(self._record(call, decision, None, ()), durable=True)
            decision = msgspec.structs.replace(decision, seq=seq)
        return decision

    def note_fault(self, error: BaseException) -> None:
        """Tell telemetry of a fault that no decision came of."""
        self._telemetry.fault(error)

    # -- the flow -----------------------------------------------------------------------------------------------

    def _judge(
        self, call: ToolCall, grant: Grant | None, started: int, shell: ShellMemory, asked: _Asked, release: bool
    ) -> _Flow:
        # 1. What was asked. 2. What it would do. 3. On which assets, and with what this session wrote itself.
        call.validate()
        operations = parse(call, self.tools)
        effects = analyse(
            operations,
            cwd=call.cwd,
            view=self.files,
            limits=self.config.limits,
            variables=self._variables,
            watched=self.inventory.variables,
            memory=shell,
            wrote=self.history.written(call.session),
        )
        if self.lineage.waiting:
            self.lineage.settle()
        effects = self.history.annotate(call.session, self.inventory.resolve(effects, call.args))
        effects = self.provenance.trace(call.args, effects, self.history.seen(call.session))

        # 4. Under whose order. What a mandate obliges to is owed, and on record, before any call under it runs.
        now_us = time.time_ns() // 1000
        mandates = self.mandates.current(call.subject, call.session, now_us)
        for note in self.obligations.notes(mandates):
            self._noted(note, (yield _Keep(note.record, True)))
        mandates = self.obligations.in_force(mandates)
        digest = call.digest
        assets = assets_of(effects)
        history = self._history_facts(call, effects, assets, mandates)
        orders = self.mandates.orders(mandates, call.subject, (*history["labels"], *assets))

        # 5. What the rules say.
        told: dict[str, Any] = {
            "facts": partial(self._asset_facts, model=call.subject.model),
            "mandates": orders,
            "history": history,
            "now_us": now_us,
            "maturity": self._maturity,
            "due": self.obligations.due(mandates),
            "zones": self.zones.of if self.zones.names else None,
            "host": host_of,
        }
        asked.document = document(call, effects, grant=None, **told)
        ruling: Ruling = yield _Ask(asked.document)
        asked.ruling = ruling
        outcome, reasons = conclude(ruling.answer, rules=ruling.rules, effects=effects)

        # 6. Where they want a person: what people have said.
        binding = ""
        if outcome is Outcome.ESCALATE and self.trail is not None:
            ask = partial(self._ask_again, asked, call, effects, told)
            ruling, outcome, reasons, binding = yield from self._review(
                call, digest, effects, (ruling, outcome, reasons), ask, grant, asked, release
            )
        elapsed_us = (time.perf_counter_ns() - started) // 1000
        if elapsed_us > self.config.limits.decision_ms * 1000:
            raise Fault(f"the decision took {elapsed_us // 1000} ms, over `limits.decision_ms`")

        redemption = asked.redemption
        return Decision(
            decision_id=new_id(),
            outcome=outcome,
            reasons=reasons,
            effects=effects,
            id=call.id,
            digest=digest,
            binding=binding,
            policy=ruling.revision,
            engine=self.engine.name,
            elapsed_us=elapsed_us,
            grant=redemption.grant.id if redemption is not None else None,
            use=redemption.use if redemption is not None else 0,
            mode=self.config.mode,
            observed=enforced(outcome, reasons),
            mismatch=ruling.mismatch,
            mandates=mandates_of(ruling.answer, orders) if outcome is Outcome.ALLOW else (),
        )

    def _review(
        self,
        call: ToolCall,
        digest: str,
        effects: Sequence[Effect],
        found: _Found,
        ask: Callable[[Grant], Generator[_Step, Any, _Found]],
        grant: Grant | None,
        asked: _Asked,
        release: bool,
    ) -> Generator[_Step, Any, tuple[Ruling, Outcome, tuple[Reason, ...], str]]:
        """A call that a person has to see: leave that was given for it, a no that was said to it, or neither yet."""
        # Whoever is asked anew sees all of it, whatever a leave that is not enough would lift.
        asked.held = found[2]
        yield _Do(self.desk.look)
        now_us = self.desk.clock()
        for leave in self._leaves(call, digest, grant, now_us):
            if not covers(leave, effects, found[2]):
                continue
            ruling, outcome, reasons = yield from ask(presented(leave, found[2]))
            if outcome is not Outcome.ALLOW or not any(reason.rule == "review.granted" for reason in reasons):
                if grant is not None:
                    found = ruling, outcome, reasons  # it says what the leave that was given does not cover
                continue
            # INVARIANT: a grant is used up by the call that it lets through, exactly once, whoever else holds it, and
            # only while the files behind the call are those that people were shown.
            if not release:
                return ruling, outcome, reasons, ""
            asked.redemption = yield _Do(partial(self._redeem, leave, digest, effects))
            if asked.redemption is not None:
                return ruling, outcome, reasons, ""
        ruling, outcome, reasons = found
        if outcome is Outcome.ESCALATE and self.desk.rejected(
            call.subject.id, deeds_of(call, effects, found[2]), now_us
        ):
            no = Reason(rule="review.rejected", outcome=Outcome.DENY, message=_REJECTED)
            return ruling, Outcome.DENY, (no, *reasons), ""
        binding: str = yield _Do(lambda: _bound(digest, effects))
        return ruling, outcome, reasons, binding

    def _ask_again(
        self, asked: _Asked, call: ToolCall, effects: Sequence[Effect], told: Mapping[str, Any], leave: Grant
    ) -> Generator[_Step, Any, _Found]:
        """The same question, with leave that somebody gave."""
        asked.document = document(call, effects, grant=leave, **told)
        ruling: Ruling = yield _Ask(asked.document)
        asked.ruling = ruling
        return ruling, *conclude(ruling.answer, rules=ruling.rules, effects=effects)

    def _leaves(self, call: ToolCall, digest: str, grant: Grant | None, now_us: int) -> tuple[Grant, ...]:
        """Leave to try: what came with the call, or else what was given for exactly this call, or for calls like it."""
        if grant is None:
            return self.desk.leaves(call.subject.id, digest, now_us)
        given = self.desk.valid(grant, digest, now_us, agent=call.subject.id)
        return () if given is None else (given,)

    def _redeem(self, leave: Grant, digest: str, effects: Sequence[Effect]) -> Redemption | None:
        """Take a use, with the files held; None if they are not those that people were shown."""
        with Binding(digest, effects) as files:
            try:
                redemption = self.desk.reserve(leave, digest, files.digest)
            except Refused as error:
                raise Fault(str(error)) from None
            if redemption is None or files.holds() or leave.scope is not None:
                return redemption
        # Something moved between the two looks: nothing was released, and what was shown is gone.
        self.desk.finish(redemption, None)
        self.desk.withdraw(leave.id, "voided", by="guardrail")
        return None

    def _decide(self, call: ToolCall, grant: Grant | None, span: DecisionSpan, *, release: bool = True) -> _Flow:
        started = time.perf_counter_ns()
        shell = self.shells.recall(call.session, call.subject.id, call.tool)
        asked = _Asked()
        try:
            decision = yield from self._judge(call, grant, started, shell, asked, release)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the answer is a denial
            decision = self._fault(call, error, started, span)
        if decision and not release:
            return decision
        # INVARIANT: the call is in the history, and its record in the trail, durable if an asset is touched, before
        # anybody can act on an ALLOW.
        try:
            if decision.mandates:
                # A use that was counted is never given back, also if the call comes to nothing.
                mandates = self.mandates.current(call.subject, call.session, time.time_ns() // 1000)
                decision = msgspec.structs.replace(decision, mandates=self.mandates.use(decision.mandates, mandates))
            if decision:
                self.history.released(call.session, decision.effects, self._class_of, self.files.read, call.subject.id)
                self.lineage.released(decision.effects, self._class_of)
            held: Escalation | None = None
            if decision.outcome is Outcome.ESCALATE and self.trail is not None:
                held, decision = self._held(call, decision, asked, release)
            # Whoever waits for the escalation, which follows, waits for its decision too: the log has one order.
            durable = held is None and (not decision or bool(decision.assets) or decision.grant is not None)
            seen = asked.document if self.config.trail.documents and asked.ruling is not None else None
            duties = self._does(call, decision) if self.obligations.open else ()
            seq = yield _Keep(self._record(call, decision, seen, duties), durable)
            decision = msgspec.structs.replace(decision, seq=seq)
            self.obligations.judged(duties, decision.outcome, seq)
            if held is not None:
                yield _Do(lambda: self.desk.open(held))
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the answer is a denial
            decision = self._fault(call, error, started, span)
        if asked.redemption is not None and not decision:
            yield _Do(lambda: self._give_back(asked.redemption))
        if self.decision_log is not None:
            self._telemetry.attempt(self.decision_log.offer, decision, asked.document, asked.ruling, span.ids)
        if decision:
            self.shells.keep(shell)
        else:
            self._note_denied(call, decision)
        return decision

    def _record(self, call: ToolCall, decision: Decision, seen: bytes | None, duties: Sequence[str]) -> dict[str, Any]:
        record = decision_record(call, decision, self.config.unsafe_fail_open, seen, duties)
        if self.disclosures is not None and "args" in self.config.trail.disclose:
            return self.disclosures.keep(record, self.disclosures.call(call))
        return record

    def _held(
        self, call: ToolCall, decision: Decision, asked: _Asked, release: bool
    ) -> tuple[Escalation | None, Decision]:
        """The escalation to open for a call, if people are not asked about it yet, and the decision with its id."""
        now_us = self.desk.clock()
        # A call that is looked at before it runs is one of a turn, whose adapter asks for itself.
        waiting = self.desk.asked(decision.digest, decision.binding, now_us) if release else None
        if waiting is not None:
            return None, msgspec.structs.replace(decision, escalation=waiting.held.id)
        rules = asked.ruling.rules if asked.ruling is not None else None
        held = self._holder.escalation(
            call,
            msgspec.structs.replace(decision, reasons=asked.held or decision.reasons),
            binding=decision.binding,
            bound=not release,
            now_us=now_us,
            class_of=self._class_of,
            severe=lambda rule: rules is not None and rule in rules and rules[rule].severity == "critical",
        )
        return held, msgspec.structs.replace(decision, escalation=held.id)

    def _give_back(self, redemption: Redemption | None) -> None:
        if redemption is None:
            return
        try:
            self.desk.finish(redemption, None)
        except GuardrailError as error:
            # It stays reserved, and so is never used again.
            warnings.warn(f"a grant was not given back: {error}", RuntimeWarning, stacklevel=4)

    def _note_denied(self, call: ToolCall, decision: Decision) -> None:
        refused = decision.effects if decision.outcome is Outcome.DENY else ()
        try:
            self.history.denied(call.session, call.subject.id, refused, self._model_of)
        except Fault as error:
            # The call does not run whatever comes of this, and the trail has the denial.
            warnings.warn(f"a denial is not in the history: {error}", RuntimeWarning, stacklevel=4)

    def _fault(self, call: ToolCall, error: Exception, started: int, span: DecisionSpan) -> Decision:
        """The one place where a failure in judging becomes a decision: a denial."""
        span.faulted(error)
        known = isinstance(error, GuardrailError)
        message = str(error) if known else f"{type(error).__name__}: {error}"
        outcome = Outcome.ALLOW if self.config.unsafe_fail_open else Outcome.DENY
        return Decision(
            decision_id=new_id(),
            outcome=outcome,
            reasons=(Reason(rule=FAULT_RULE, outcome=outcome, message=printable(message)[:2000]),),
            id=call.id,
            digest=_digest_or_empty(call),
            policy=self.engine.revision,
            engine=self.engine.name,
            elapsed_us=(time.perf_counter_ns() - started) // 1000,
            mode=self.config.mode,
        )

    # -- putting the flow's questions ---------------------------------------------------------------------------

    def _drive(self, flow: _Flow) -> Decision:
        try:
            step = next(flow)
            while True:
                try:
                    reply = self._answer(step)
                except Exception as error:  # noqa: BLE001 - the flow decides what a failure means
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            decision: Decision = stop.value
            return decision

    async def _adrive(self, flow: _Flow) -> Decision:
        try:
            step = next(flow)
            while True:
                try:
                    reply = await self._aanswer(step)
                except Exception as error:  # noqa: BLE001 - the flow decides what a failure means
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            decision: Decision = stop.value
            return decision

    def _answer(self, step: _Step) -> Any:
        if isinstance(step, _Ask):
            return self.engine.decide(step.document, deadline=self._deadline())
        if isinstance(step, _Do):
            return step.work()
        return None if self.trail is None else self.trail.append(step.record, durable=step.durable)

    async def _aanswer(self, step: _Step) -> Any:
        if isinstance(step, _Ask):
            return await self.engine.adecide(step.document, deadline=self._deadline())
        if isinstance(step, _Do):
            import asyncio  # a guard in a harness hook never needs it

            return await asyncio.to_thread(step.work)
        if self.trail is None:
            return None
        return await self.trail.aappend(step.record, durable=step.durable)

    def _deadline(self) -> float:
        return time.monotonic() + self.config.limits.decision_ms / 1000

    def _own(self, call: ToolCall) -> ToolCall:
        """The call with arguments that nobody else holds: what runs is what was judged, whoever changes theirs since.

        Raises:
            TrailError: if this guard keeps no trail, because then nothing may run on its word.
        """
        if self.trail is None:
            raise TrailError("this guard keeps no trail, so it runs nothing: open it with `record=True`")
        return msgspec.structs.replace(call, args=copy.deepcopy(call.args))

    # -- before and after ----------------------------------------------------------------------------------------

    def begin(self, subject: Subject, *, session: str = "default") -> tuple[str, ...]:
        """Take up what people have ordered of an agent before it acts, so that doing nothing is seen as well.

        Args:
            subject: the agent.
            session: name of the conversation or run.

        Returns:
            Ids of the duties it owes.

        Raises:
            TrailError: if the trail cannot take the records.
            Fault: if what is owed cannot be kept.
        """
        mandates = self.mandates.current(subject, session, time.time_ns() // 1000)
        self._keep_notes(mandates)
        return self.obligations.owed(mandates)

    def end(
        self, subject: Subject, *, session: str = "default", claim: Literal["done", "refused"] | None = None
    ) -> tuple[ObligationStatus, ...]:
        """Say that an agent is through, so that what it owes and did not do is on record, and people hear of it.

        Args:
            subject: the agent.
            session: name of the conversation or run.
            claim: what it said of what it owes: that it is done, or that it will not do it; None if nothing.

        Returns:
            Every duty with its state, evidence and violations.

        Raises:
            TrailError: if the trail cannot take the records.
            Fault: if what is owed cannot be kept.
        """
        mandates = self.mandates.current(subject, session, time.time_ns() // 1000)
        self._keep_notes(mandates)
        self.obligations.ended(mandates, session, claim)
        self._keep_notes()
        return self.obligations.statuses()

    @contextmanager
    def session(self, subject: Subject, *, session: str = "default") -> Generator[tuple[str, ...]]:
        """`begin` and `end` around a conversation or run, however it ends: doing nothing, or failing, is seen.

        Args:
            subject: the agent.
            session: name of the conversation or run.

        Yields:
            Ids of the duties it owes.

        Raises:
            TrailError: if the trail cannot take the records.
            Fault: if what is owed cannot be kept.
        """
        owed = self.begin(subject, session=session)
        try:
            yield owed
        finally:
            self.end(subject, session=session)

    def settle(self, *, only: str = "") -> tuple[ObligationStatus, ...]:
        """Look at the world and record, for every duty, whether it is done; do what people gave leave to do.

        Args:
            only: id of the one duty that is meant; it is searched for thoroughly also when it was discharged.

        Returns:
            Every duty with its state and evidence; `unmet` with no attempts is what a refusal looks like.

        Raises:
            TrailError: if the trail cannot take the records.
            Fault: if what was met or withdrawn cannot be kept.
        """
        given, _ = self.mandates.words()
        self.obligations.words(given)
        self.obligations.revoked(self.mandates.kept_revocations())
        self._keep_notes()
        self.obligations.settle(self.mandates.revoked, only=only)
        self._keep_notes()
        if self.trail is not None:
            # What is about to be deleted is on record, so a crash is not taken for somebody else's deletion.
            self.obligations.erase()
            self._keep_notes()
            make = certifier(trail_key(self.config), self.config.trail.origin)
            self.obligations.prove(make, partial(_records, self.config))
            self._keep_notes()
        return self.obligations.statuses()

    def attend(self) -> bool:
        """Settle if time alone may have changed something, or somebody has said a word; meant to be called often.

        A guard that keeps a trail does so by itself as long as it is open (`obligations.attend_seconds`).

        Returns:
            Whether it was necessary.

        Raises:
            TrailError: if the trail cannot take the records.
            Fault: if what is owed cannot be kept.
        """
        self._remind()
        given, _ = self.mandates.words()
        if not self.obligations.is_due and not self.obligations.has_news(given):
            return False
        self.settle()
        return True

    def _remind(self) -> None:
        """Say which reviews of broken glass are overdue, once each."""
        for case in self.desk.remind():
            self._telemetry.duty(case.held.id, ["review_overdue"])

    def _keep_notes(self, mandates: Sequence[Mandate] = ()) -> None:
        for note in self.obligations.notes(mandates):
            self._noted(note, None if self.trail is None else self.trail.append(note.record, durable=True))

    def _noted(self, note: Note | OrderNote, seq: int | None) -> None:
        if isinstance(note, Note) and note.alarms and self.trail is not None:
            # INVARIANT: people hear of it before it counts as told: what fails here is noted once more.
            escalate(self.desk, self._holder, note)
            self._telemetry.duty(note.duty.terms.id, [alarm.kind for alarm in note.alarms])
        self.obligations.kept(note, seq)
        self._attendant.start()

    def _result(
        self,
        call: ToolCall,
        decision: Decision,
        error: BaseException | None,
        value: object = None,
        facts: Mapping[str, str | int] | None = None,
    ) -> _Keep:
        # A tool that the guard started itself says how it ended.
        record = result_record(call, decision, error, facts or getattr(value, "guardrail_facts", None))
        what, said = ("output", value) if error is None else ("error", error)
        if self.disclosures is not None and what in self.config.trail.disclose:
            try:
                record = self.disclosures.keep(record, self.disclosures.text(f"/{what}", said))
            except TrailError as fault:
                # The tool has run: its record is written all the same, and says less.
                warnings.warn(f"what a call returned is not disclosed: {fault}", RuntimeWarning, stacklevel=3)
        return _Keep(record, bool(decision.assets))

    def _used(self, decision: Decision, error: BaseException | None) -> None:
        """Say what came of the grant that released a call."""
        if decision.grant is None:
            return
        found = self.desk.grant(decision.grant)
        if found is None:
            return
        marked = getattr(error, "guardrail_result", "failed")
        # What was cut short may have done anything: it is not tried again under the same approval.
        ending: Any = "completed" if error is None else marked if isinstance(error, Exception) else "unknown"
        try:
            self.desk.finish(Redemption(grant=found[1].grant, use=decision.use), ending)
        except GuardrailError as failure:
            warnings.warn(f"the end of a grant's use is not in the trail: {failure}", RuntimeWarning, stacklevel=3)

    def _finish(self, keep: _Keep) -> None:
        # The tool has run: its answer is not withheld for want of a record, but the trail denies every later call until
        # it takes records again, and the intent without a result shows the gap.
        if self.trail is None:
            return
        try:
            self.trail.append(keep.record, durable=keep.durable)
        except TrailError as error:
            warnings.warn(f"the result of a call is not in the trail: {error}", RuntimeWarning, stacklevel=3)
            return
        try:
            # What it made of assets, and what it did of what is owed, is there now.
            self.lineage.settle()
            for note in self.obligations.notes():
                self._noted(note, self.trail.append(note.record, durable=keep.durable))
        except (Fault, TrailError, ReviewError) as error:
            # It is looked at again before the next call is judged, and if that fails too the call is denied.
            warnings.warn(f"what a call left behind is not known yet: {error}", RuntimeWarning, stacklevel=3)

    # -- facts --------------------------------------------------------------------------------------------------

    def _history_facts(
        self, call: ToolCall, effects: Sequence[Effect], assets: Sequence[str], mandates: Sequence[Mandate]
    ) -> dict[str, Any]:
        facts = self.history.document(call.session, call.subject.id, effects, assets)
        # Only what has to be deleted can be kept: whoever owes a shutdown is not held in what else they do.
        facts["owes"] = self.obligations.deletions(mandates)
        if self.obligations.open and (due := self.obligations.condemned(self.mandates.revoked)):
            facts["due"] = due
        return facts

    def _asset_facts(self, asset_id: str, *, model: str | None) -> Mapping[str, Any]:
        facts = self.inventory.facts(asset_id)
        return {
            **facts,
            "zones": self._zones_of_assets.get(asset_id, ()),
            "relation": relation(model, facts["model"]),
        }

    def _does(self, call: ToolCall, decision: Decision) -> tuple[str, ...]:
        mandates = self.mandates.current(call.subject, call.session, time.time_ns() // 1000)
        return self.obligations.doing(decision.effects, mandates)

    def _class_of(self, asset_id: str) -> str | None:
        asset = self.inventory.get(asset_id)
        return asset.asset_class if asset else None

    def _model_of(self, asset_id: str) -> str | None:
        # Whoever was refused to record a score has stood up for nobody.
        known = self._class_of(asset_id) not in (None, "evaluation")
        model: str | None = self.inventory.facts(asset_id)["model"] if known else None
        return model

    def _opened(self) -> None:
        if self.trail is not None:
            self._catch_up(self.trail)
            if self.obligations.open:
                self._attendant.start()
            self.trail.append(
                {
                    "kind": "config",
                    "event": "opened",
                    "policy": self.engine.revision,
                    "engine": self.engine.name,
                    "inventory": len(self.inventory),
                    "mode": self.config.mode,
                    "unsafe_fail_open": self.config.unsafe_fail_open,
                },
                durable=True,
            )
            # What was released before a crash, and whose end nobody wrote down, is looked at before anything else runs.
            # In a ledger that replicas share, only what a replica left that stopped: others may still run theirs.
            settle_unfinished(self.trail, self.inventory, self.recognition)
            self._remind()

    def _catch_up(self, trail: AnyTrail) -> None:
        """Take from the trail what a crash, or the loss of a file beside it, has kept from its index."""
        first = self.obligations.behind(trail.size)
        if first is not None:
            self.obligations.catch_up(_records(self.config, first))

    def _keep_index(self, trail: AnyTrail) -> None:
        try:
            trail.checkpoint()
            self.obligations.is_clean(trail.size)
        except (Fault, TrailError):
            pass  # the next start reads it from the trail again

    def close(self) -> None:
        """Sign the last checkpoint and let everything go; a closed guard denies every call."""
        self._attendant.stop()
        if self.trail is not None:
            self._keep_index(self.trail)
        self.obligations.close()
        self.engine.close()
        if self.decision_log is not None:
            self.decision_log.close()
        self.desk.save()
        self.reviews.close()
        self.history.close()
        self.mandates.close()
        self.recognition.close()
        self.lineage.close()
        if self.trail is not None:
            # Last, because it raises if the trail has failed, and nobody may overlook that.
            self.trail.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _News:
    """What happens to the policy, on its way into the trail; what comes before the trail is open waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[PolicyNews] = []
        self._trail: AnyTrail | None = None
        self._telemetry: Telemetry | None = None

    def __call__(self, news: PolicyNews) -> None:
        """Take one; called from any thread."""
        with self._lock:
            if self._telemetry is None:
                self._waiting.append(news)
                return
        self._write(news)

    def tell(self, trail: AnyTrail | None, telemetry: Telemetry) -> None:
        """Where they go from now on."""
        with self._lock:
            self._trail, self._telemetry = trail, telemetry
            waiting, self._waiting = self._waiting, []
        for news in waiting:
            self._write(news)

    def _write(self, news: PolicyNews) -> None:
        if news.event == "policy_refused" and self._telemetry is not None:
            self._telemetry.fault(ConfigError(news.why))
        if self._trail is None:
            return
        try:
            self._trail.append(policy_record(news), durable=True)
        except TrailError as error:
            # The trail has failed for good, so every later call is denied, whatever the policy is.
            warnings.warn(f"a change of the policy is not in the trail: {error}", RuntimeWarning, stacklevel=2)


def hooked(config: Config) -> tuple[str, ...]:
    """Settings of harnesses that the guard's hook was put into, as `guardrail hook install` noted it.

    Args:
        config: whose guard.
    """
    try:
        text = (beside_trail(config, "hook") / HOOKED_FILE).read_text(encoding="utf-8")
    except OSError:
        return ()
    return tuple(line for line in text.splitlines() if line)


def _open_log(config: Config) -> DecisionLog | None:
    if not (config.decision_log.file or config.decision_log.url):
        return None
    from guardrail import __version__
    from guardrail.policy.log import DecisionLog

    return DecisionLog.open(config, __version__)


def _open_engine(config: Config, record: bool, news: _News) -> PolicyEngine:
    return open_engine(config, state=beside_trail(config, "policy"), keep=record, told=news)


def _records(config: Config, first: int) -> Iterator[tuple[int, dict[str, Any]]]:
    from guardrail.audit._verify import read_records

    return read_records(trail_place(config), first)


def _review_store(config: Config) -> Path:
    if config.review.store:
        return config.path(config.review.store)
    return beside_trail(config, "reviews.db")


def _bound(digest: str, effects: Sequence[Effect]) -> str:
    with Binding(digest, effects) as files:
        return files.digest


def _own_files(config: Config) -> list[tuple[str, str]]:
    """What the guard depends on is guarded too: whoever edits it edits every later decision."""
    own: list[tuple[str, str]] = []
    if config.source:
        own.append(("guardrail:config", config.source))
    own.extend((f"guardrail:assets:{number}", path) for number, path in enumerate(config.asset_files))
    if config.mandates.directory:
        own.append(("guardrail:mandates", str(config.path(config.mandates.directory))))
    if not config.policy.bundle.startswith(("http://", "https://")):
        own.append(("guardrail:policy", str(bundle_directory(config))))
    if config.trail.checkpoint_file:
        own.append(("guardrail:trail", str(config.path(config.trail.checkpoint_file))))
    if config.review.oidc is not None:
        own.append(("guardrail:identity-keys", str(config.path(config.review.oidc.jwks))))
    if config.decision_log.file:
        own.append(("guardrail:decision-log", str(config.path(config.decision_log.file))))
    own.extend(
        ("guardrail:policy-key", str(config.path(key.key)))
        for key in config.policy.keys
        if not (key.algorithm.startswith("HS") or "-----BEGIN" in key.key or key.key.startswith("${"))
    )
    own.append(("guardrail:code", str(Path(__file__).parent)))
    own.append(("guardrail:cache", str(cache_directory())))
    # Also where nothing is recorded: another guard of the same configuration keeps its trail there.
    own.append(("guardrail:trail", str(trail_directory(config))))
    own.append(("guardrail:key", str(trail_key(config))))
    state = [_review_store(config), *(beside_trail(config, f"{name}.db") for name in _STATE)]
    # SQLite keeps what was written last beside the file. All of it is one asset: what goes through the directory that
    # it lies in, as `git status` does, bears on it once.
    own.extend(("guardrail:state", f"{path}{ending}") for path in state for ending in ("", "-wal", "-shm"))
    own.append(("guardrail:state", str(beside_trail(config, "policy"))))
    own.append(("guardrail:state", str(beside_trail(config, "review.snapshot"))))
    own.append(("guardrail:state", str(beside_trail(config, "inbox"))))
    own.append(("guardrail:state", str(beside_trail(config, "hook"))))
    # Whoever edits the settings that a hook stands in takes it out.
    own.extend(("guardrail:hooks", path) for path in hooked(config))
    return own


_STATE: Final = ("identity", "history", "lineage", "orders")


def _released(decision: Decision) -> Decision:
    if decision.outcome is Outcome.ALLOW:
        return decision
    if decision.outcome is Outcome.ESCALATE:
        raise Escalated(decision)
    raise Denied(decision)


def _digest_or_empty(call: ToolCall) -> str:
    try:
        return call.digest
    except Exception:  # noqa: BLE001 - a call so odd that it has no digest still gets its denial
        return ""
