"""The enforcement point: the order of the stages, written once.

    parse -> effects -> assets -> (history, mandates) -> policy -> Decision -> audit -> run

`_judge` is that order. It is a generator that does no waiting of its own: where an engine or the trail has to answer it
yields the question, and `check` or `acheck` puts it, so that the synchronous and the asynchronous path are one.
Every fault ends in `_fault`, which answers with a denial.
"""

from __future__ import annotations

import copy
import os
import time
import warnings
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import msgspec

from guardrail import config as _config
from guardrail.assets import (
    Before,
    Inventory,
    Lineage,
    LiveFiles,
    Provenance,
    Recognition,
)  # fmt: skip
from guardrail.audit import (
    AnyTrail,
    Disclosures,
    beside_trail,
    open_trail,
    trail_directory,
    trail_place,
    trail_records,
)
from guardrail.audit.aftermath import settle as settle_unfinished
from guardrail.audit.entries import Scribe
from guardrail.audit.news import NewsDesk
from guardrail.central import TakeUp, open_central
from guardrail.config import Config
from guardrail.effects import ShellMemory, Shells, analyse, prepare
from guardrail.enforcement import HOLDS_RULE, Enforcement, come_to
from guardrail.errors import Denied, Escalated, Fault, GuardrailError, TrailError
from guardrail.facts import Facts
from guardrail.history import History, HistoryStore
from guardrail.mandates import MandateBook, MandateLedger, Zones
from guardrail.model import FAULT_RULE, Decision, Effect, Outcome, Reason, Subject, ToolCall, new_id
from guardrail.obligations import Lookback, Obligations, ObligationStatus, Steward, World, stores_of
from guardrail.own import own_files, review_store
from guardrail.parse import parse, tool_table
from guardrail.policy import (
    PolicyEngine,
    Ruling,
    Told,
    conclude,
    document,
    enforced,
    mandates_of,
    open_engine,
)
from guardrail.printing import printable
from guardrail.results import Results
from guardrail.review import (
    Clerk,
    Escalation,
    Grant,
    Holder,
    Inbox,
    Leave,
    Redemption,
    ReviewStore,
    binding_of,
    open_desk,
    presented,
)
from guardrail.steps import Ask, Do, Flow, Keep, Steps
from guardrail.telemetry import DecisionSpan, Telemetry

if TYPE_CHECKING:
    from guardrail.policy.log import DecisionLog

T = TypeVar("T")


class _Asked:
    """What was asked of policy about one call, what it said, and what was taken for it; for the record and the log."""

    __slots__ = ("document", "enforcement", "held", "redemption", "ruling")

    def __init__(self, enforcement: Enforcement | None) -> None:
        self.enforcement = enforcement
        self.held: tuple[Reason, ...] = ()
        self.document: bytes | None = None
        self.ruling: Ruling | None = None
        self.redemption: Redemption | None = None


_Found = tuple[Ruling, Outcome, tuple[Reason, ...]]
"""What policy said about a call."""


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
        announced: what people announced to all guards, as far as it was taken up.
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
        announced: TakeUp | None = None,
    ) -> None:
        self.decision_log = log
        self.config = config
        self.trail = trail
        self._steps = Steps(engine, trail, config.limits.decision_ms)
        self.reviews = reviews
        self.desk = reviews.desk
        self.clerk = Clerk.of(config, self.desk)
        holder = Holder(config)
        self._leave = Leave(self.desk, holder)
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
            config, self.files, own=own_files(config), recognition=self.recognition, lineage=self.lineage
        )
        self.provenance = Provenance(self.inventory)
        self.zones = Zones(config)
        self.central = open_central(config, trail, announced or TakeUp(config))
        counts = None if self.central is None else self.central.counts
        # A guard that keeps no trail counts in memory, on top of what those that do have counted.
        ledger = MandateLedger(beside_trail(config, "orders.db"), readonly=trail is None, counts=counts)
        self.mandates = MandateBook(config, ledger)
        self.shells = Shells()
        store = HistoryStore(beside_trail(config, "history.db"), sole=True) if trail is not None else None
        self.history = History(config.limits.sessions, store, config.history.reconnaissance)
        beside = Disclosures(trail_place(config), config.trail.timeout_seconds) if config.trail.disclose else None
        self._scribe = Scribe(config, beside if keeps else None)
        world = World(config, self.inventory, self.recognition, self.lineage, self.zones)
        lookback = None if trail is None else Lookback(trail_directory(config), partial(trail_records, config))
        stores = stores_of(config)
        self.obligations = Obligations(world, ledger, stores=stores, lookback=lookback, clock=self.desk.clock)
        self._facts = Facts(config, self.inventory, self.history, self.mandates, self.obligations, self.zones)
        self._telemetry = telemetry or Telemetry.default()
        self._steward = Steward(
            config,
            self.obligations,
            self.mandates,
            trail=trail,
            desk=self.desk,
            holder=holder,
            telemetry=self._telemetry,
            attend=attend,
        )
        self._results = Results(
            trail,
            self._scribe,
            inventory=self.inventory,
            recognition=self.recognition,
            lineage=self.lineage,
            history=self.history,
            leave=self._leave,
            steward=self._steward,
            telemetry=self._telemetry,
        )
        if self.central is not None:
            self.central.follow(ledger, self._telemetry, lambda: self.engine)
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
        announced = TakeUp(settings, keep=record)
        settings = announced.begin()
        news = NewsDesk()
        judge = engine
        if judge is None:
            state = beside_trail(settings, "policy")
            judge = open_engine(settings, state=state, keep=record, told=news, accepts=announced.accepts)
        trail: AnyTrail | None = None
        try:
            if record:
                trail = open_trail(settings)
            store = review_store(settings) if record else None
            reviews = ReviewStore(store, desk=open_desk(settings, trail))
            log = _open_log(settings) if record else None
            parts: dict[str, Any] = {"telemetry": telemetry, "attend": attend, "log": log, "announced": announced}
            guard = cls(settings, engine=judge, trail=trail, reviews=reviews, **parts)
        except BaseException:
            judge.close()
            if trail is not None:
                trail.close()
            raise
        if trail is not None:
            trail.tell(lambda now, _: guard._telemetry.checkpoint(settings.trail.origin, now.size, now.root.hex()))
        guard.desk.tell(guard._telemetry.escalation)
        guard._opened()
        if guard.central is not None:
            guard.central.begin(guard.desk, guard.clerk)
        guard._telemetry.policy(judge.revision, refused=False)
        news.tell(trail, guard._telemetry)
        return guard

    @property
    def engine(self) -> PolicyEngine:
        """What decides."""
        return self._steps.engine

    # -- the four ways in ---------------------------------------------------------------------------------------

    def check(self, call: ToolCall, *, grant: Grant | None = None) -> Decision:
        """Judge a call; run nothing.

        Args:
            call: what the agent sent.
            grant: leave that a person gave for exactly this call.

        Returns:
            The decision. A denial is an answer, not an exception, and so is a fault.
        """
        return self._check(call, grant)

    def _check(self, call: ToolCall, grant: Grant | None, enforcement: Enforcement | None = None) -> Decision:
        with self._telemetry.deciding(call) as span:
            decision = self._steps.drive(self._decide(call, grant, span, enforcement=enforcement))
            span.decided(decision)
        return decision

    async def acheck(self, call: ToolCall, *, grant: Grant | None = None) -> Decision:
        """`check`, without blocking the event loop while the engine or the trail is waited for."""
        with self._telemetry.deciding(call) as span:
            decision = await self._steps.adrive(self._decide(call, grant, span))
            span.decided(decision)
        return decision

    def preview(self, call: ToolCall) -> Decision:
        """`check`, for a call that is not to run yet: an ALLOW releases nothing, so it leaves no record and no history.

        A denial or an escalation is final, and recorded, as with `check`.
        """
        with self._telemetry.deciding(call) as span:
            decision = self._steps.drive(self._decide(call, None, span, release=False))
            span.decided(decision)
        return decision

    async def apreview(self, call: ToolCall) -> Decision:
        """`preview`, without blocking the event loop."""
        with self._telemetry.deciding(call) as span:
            decision = await self._steps.adrive(self._decide(call, None, span, release=False))
            span.decided(decision)
        return decision

    def run(
        self,
        call: ToolCall,
        execute: Callable[[ToolCall], T],
        *,
        grant: Grant | None = None,
        released: Callable[[Decision], None] | None = None,
        enforcement: Enforcement | None = None,
    ) -> T:
        """Judge a call and, if it is allowed, run it and record what came of it.

        Args:
            call: what the agent sent.
            execute: carries the call out; called once, with the call that was judged, or not at all.
            grant: leave that a person gave for exactly this call.
            released: hears of the decision that releases the call, before it is carried out.
            enforcement: what `execute` vouches for that will hold the call; policy relies on it.

        Returns:
            What `execute` returned.

        Raises:
            Denied: if policy or a fault denied it.
            Escalated: if a person has to decide first.
            TrailError: if this guard keeps no trail.
        """
        call = self._own(call)
        decision = _released(self._check(call, grant, enforcement))
        seen = Before()
        try:
            if released is not None:
                released(decision)
            seen = self._results.before(decision)
            value = execute(call)
        except BaseException as error:
            self.shells.forget(self.shells.recall(call.session, call.subject.id, call.tool))
            self._results.ended(call, decision, error, seen=seen)
            raise
        self._results.ended(call, decision, None, value, seen=seen)
        return value

    async def arun(
        self, call: ToolCall, execute: Callable[[ToolCall], Awaitable[T]], *, grant: Grant | None = None
    ) -> T:
        """`run`, for a coroutine function."""
        call = self._own(call)
        decision = _released(await self.acheck(call, grant=grant))
        seen = Before()
        try:
            seen = self._results.before(decision)
            value = await execute(call)
        except BaseException as error:
            self.shells.forget(self.shells.recall(call.session, call.subject.id, call.tool))
            self._results.ended(call, decision, error, seen=seen)
            raise
        self._results.ended(call, decision, None, value, seen=seen)
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
        self._results.ended(call, decision, error, facts=facts)

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
        taken = self._leave.on_word(decision, by)
        decision = msgspec.structs.replace(
            decision,
            outcome=Outcome.ALLOW,
            grant=None if taken is None else taken.grant.id,
            use=0 if taken is None else taken.use,
        )
        self.history.released(call.session, decision.effects, self._facts.class_of, self.files.read, call.subject.id)
        self.lineage.released(decision.effects, self._facts.class_of)
        if self.trail is not None:
            seq = self.trail.append(self._scribe.decision(call, decision), durable=True)
            decision = msgspec.structs.replace(decision, seq=seq)
        return decision

    def note_fault(self, error: BaseException) -> None:
        """Tell telemetry of a fault that no decision came of."""
        self._telemetry.fault(error)

    # -- the flow -----------------------------------------------------------------------------------------------

    def _judge(
        self, call: ToolCall, grant: Grant | None, started: int, shell: ShellMemory, asked: _Asked, release: bool
    ) -> Flow[Decision]:
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
        effects = self.provenance.trace(call.args, effects, self.history.seen(call.session), call.session)

        # 4. Under whose order. What a mandate obliges to is owed, and on record, before any call under it runs.
        now_us = self.desk.clock()
        mandates = self.mandates.current(call.subject, call.session, now_us)
        for note in self.obligations.notes(mandates):
            self._steward.noted(note, (yield Keep(note.record, True)))
        mandates = self.obligations.in_force(mandates)

        # 5. What the rules say.
        told = self._facts.of(call, effects, mandates, now_us, asked.enforcement)
        asked.document = document(call, effects, grant=None, **told)
        ruling: Ruling = yield Ask(asked.document)
        asked.ruling = ruling
        outcome, reasons = conclude(ruling.answer, rules=ruling.rules, effects=effects)

        # 6. Where they want a person: what people have said.
        digest = call.digest
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
            mandates=mandates_of(ruling.answer, told["mandates"]) if outcome is Outcome.ALLOW else (),
        )

    def _review(
        self,
        call: ToolCall,
        digest: str,
        effects: Sequence[Effect],
        found: _Found,
        ask: Callable[[Grant], Flow[_Found]],
        grant: Grant | None,
        asked: _Asked,
        release: bool,
    ) -> Flow[tuple[Ruling, Outcome, tuple[Reason, ...], str]]:
        """A call that a person has to see: leave that was given for it, a no that was said to it, or neither yet."""
        # Whoever is asked anew sees all of it, whatever a leave that is not enough would lift.
        asked.held = found[2]
        yield Do(self.desk.look)
        for leave in self._leave.that_covers(call, digest, effects, found[2], grant):
            ruling, outcome, reasons = yield from ask(presented(leave, found[2]))
            if outcome is not Outcome.ALLOW or not any(reason.rule == "review.granted" for reason in reasons):
                if grant is not None:
                    found = ruling, outcome, reasons  # it says what the leave that was given does not cover
                continue
            if not release:
                return ruling, outcome, reasons, ""
            asked.redemption = yield Do(partial(self._leave.take, leave, digest, effects))
            if asked.redemption is not None:
                return ruling, outcome, reasons, ""
        ruling, outcome, reasons = found
        if outcome is Outcome.ESCALATE and (no := self._leave.no(call, effects, reasons)) is not None:
            return ruling, Outcome.DENY, (no, *reasons), ""
        binding: str = yield Do(partial(binding_of, digest, effects))
        return ruling, outcome, reasons, binding

    def _ask_again(
        self, asked: _Asked, call: ToolCall, effects: Sequence[Effect], told: Told, leave: Grant
    ) -> Flow[_Found]:
        """The same question, with leave that somebody gave."""
        asked.document = document(call, effects, grant=leave, **told)
        ruling: Ruling = yield Ask(asked.document)
        asked.ruling = ruling
        return ruling, *conclude(ruling.answer, rules=ruling.rules, effects=effects)

    def _decide(
        self,
        call: ToolCall,
        grant: Grant | None,
        span: DecisionSpan,
        *,
        release: bool = True,
        enforcement: Enforcement | None = None,
    ) -> Flow[Decision]:
        started = time.perf_counter_ns()
        shell = self.shells.recall(call.session, call.subject.id, call.tool)
        asked = _Asked(enforcement)
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
                mandates = self.mandates.current(call.subject, call.session, self.desk.clock())
                use = partial(self.mandates.use, decision.mandates, mandates)
                taken = (yield Do(use)) if self.central is not None else use()
                decision = msgspec.structs.replace(decision, mandates=taken)
            if decision:
                unseen = enforcement is not None and any(reason.rule == HOLDS_RULE for reason in decision.reasons)
                places = enforcement.write if enforcement is not None and unseen else ()
                effects = decision.effects if enforcement is None else come_to(decision.effects, decision.reasons)
                self.history.released(
                    call.session, effects, self._facts.class_of, self.files.read, call.subject.id, places
                )
                self.lineage.released(effects, self._facts.class_of)
            held: Escalation | None = None
            if decision.outcome is Outcome.ESCALATE and self.trail is not None:
                held, decision = self._question(call, decision, asked, bound=not release)
            # Whoever waits for the escalation, which follows, waits for its decision too: the log has one order.
            durable = held is None and (not decision or bool(decision.assets) or decision.grant is not None)
            seen = asked.document if asked.ruling is not None else None
            duties = self._duties(call, decision) if self.obligations.open else ()
            record = self._scribe.decision(call, decision, seen=seen, duties=duties, enforcement=enforcement)
            seq = yield Keep(record, durable)
            decision = msgspec.structs.replace(decision, seq=seq)
            self.obligations.judged(duties, decision.outcome, seq)
            if held is not None:
                yield Do(lambda: self.desk.open(held))
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the answer is a denial
            decision = self._fault(call, error, started, span)
        if asked.redemption is not None and not decision:
            yield Do(partial(self._leave.give_back, asked.redemption))
        if self.decision_log is not None:
            self._telemetry.attempt(self.decision_log.offer, decision, asked.document, asked.ruling, span.ids)
        if decision:
            self.shells.keep(shell)
        else:
            self._note_denied(call, decision)
        return decision

    def _question(
        self, call: ToolCall, decision: Decision, asked: _Asked, *, bound: bool
    ) -> tuple[Escalation | None, Decision]:
        """The escalation to open for a call, if people are not asked about it yet, and the decision with its id."""
        rules = asked.ruling.rules if asked.ruling is not None else None
        name, held = self._leave.question(
            call,
            msgspec.structs.replace(decision, reasons=asked.held or decision.reasons),
            bound=bound,
            class_of=self._facts.class_of,
            severe=lambda rule: rules is not None and rule in rules and rules[rule].severity == "critical",
        )
        return held, msgspec.structs.replace(decision, escalation=name)

    def _duties(self, call: ToolCall, decision: Decision) -> tuple[str, ...]:
        """Ids of what is owed that the call would do."""
        mandates = self.mandates.current(call.subject, call.session, self.desk.clock())
        return self.obligations.doing(decision.effects, mandates)

    def _note_denied(self, call: ToolCall, decision: Decision) -> None:
        refused = decision.effects if decision.outcome is Outcome.DENY else ()
        try:
            self.history.denied(call.session, call.subject.id, refused, self._facts.model_of)
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
        return self._steward.begin(subject, session)

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
        self._steward.end(subject, session, claim)
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
        self._steward.settle(only)
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
        return self._steward.attend()

    def keep_attending(self) -> None:
        """Attend by itself from now on, also while nothing is owed; for a process that lives long, as the service."""
        self._steward.start()

    # -- opening and closing -------------------------------------------------------------------------------------

    def _opened(self) -> None:
        if self.trail is not None:
            self._steward.catch_up(self.trail)
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
            self._steward.remind()

    def close(self) -> None:
        """Sign the last checkpoint and let everything go; a closed guard denies every call."""
        self._steward.close()
        self.engine.close()
        if self.decision_log is not None:
            self.decision_log.close()
        self.desk.save()
        self.reviews.close()
        self.history.close()
        self.mandates.close()
        self.recognition.close()
        self.lineage.close()
        try:
            if self.trail is not None:
                # Last, because it raises if the trail has failed, and nobody may overlook that.
                self.trail.close()
        finally:
            if self.central is not None:
                self.central.close()  # it has the last checkpoint recorded

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open_log(config: Config) -> DecisionLog | None:
    if not (config.decision_log.file or config.decision_log.url):
        return None
    from guardrail import __version__
    from guardrail.policy.log import DecisionLog

    return DecisionLog.open(config, __version__)


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
