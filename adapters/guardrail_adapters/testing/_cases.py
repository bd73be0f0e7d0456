"""The cases: what every way of attaching the guard owes, one short conversation each.

Not concerned with how an adapter holds that conversation (`_protocol`) or with what it is held over (`_setting`).
"""

from __future__ import annotations

from typing import Final

from guardrail_adapters.testing._protocol import Reply
from guardrail_adapters.testing._stage import Case, Stage, demand

OVERSIZE_BYTES: Final = 300 * 1024
"""Length of the command in the case of the oversize input: more than a ToolCall may have on any wire, in bytes."""

APPROVE: Final = Reply(kind="approve")
REJECT: Final = Reply(kind="reject")


def _allow(stage: Stage) -> None:
    command = stage.setting.allowed("a")
    turn = stage.start(command)
    stage.waits(turn)
    stage.ran(command, 1)
    stage.read(turn, "c1", ok=True)


def _deny(stage: Stage) -> None:
    _refuses(stage, stage.setting.denied("d"))


def _approve(stage: Stage) -> None:
    command = stage.setting.held("h")
    stage.waits(stage.start(command), "c1")
    stage.nothing_ran()
    turn = stage.resume(c1=APPROVE)
    stage.waits(turn)
    stage.ran(command, 1)
    stage.read(turn, "c1", ok=True)


def _reject(stage: Stage) -> None:
    stage.waits(stage.start(stage.setting.held("h")), "c1")
    turn = stage.resume(c1=REJECT)
    stage.waits(turn)
    stage.nothing_ran()
    stage.refused(turn, "c1")


def _edit(stage: Stage) -> None:
    shown, instead = stage.setting.held("h"), stage.setting.held("e")
    stage.waits(stage.start(shown), "c1")
    turn = stage.resume(c1=Reply(kind="edit", command=instead))
    stage.ran(shown, 0)
    stage.ran(instead, 1)
    stage.read(turn, "c1", ok=True)


def _edit_to_denied(stage: Stage) -> None:
    stage.waits(stage.start(stage.setting.held("h")), "c1")
    turn = stage.resume(c1=Reply(kind="edit", command=stage.setting.denied("d")))
    stage.nothing_ran()
    stage.refused(turn, "c1")


def _sticky_rejection(stage: Stage) -> None:
    stage.waits(stage.start(stage.setting.held("h")), "c1")
    stage.setting.engine.mood = "allows"
    turn = stage.resume(c1=REJECT)
    stage.nothing_ran()
    stage.refused(turn, "c1")


def _policy_denies(stage: Stage) -> None:
    stage.waits(stage.start(stage.setting.held("h")), "c1")
    stage.setting.engine.mood = "denies"
    turn = stage.resume(c1=APPROVE)
    stage.nothing_ran()
    stage.refused(turn, "c1")


def _changed_arguments(stage: Stage) -> None:
    shown, other = stage.setting.held("h"), stage.setting.held("o")
    stage.waits(stage.start(shown), "c1")
    stage.setting.layer.rewrite = lambda command: other if command == shown else command
    stage.resume(c1=APPROVE)
    stage.nothing_ran()


def _rewritten(stage: Stage) -> None:
    copy = stage.setting.denied("d")
    stage.setting.layer.rewrite = lambda _: copy
    _refuses(stage, stage.setting.allowed("a"))


def _retried(stage: Stage) -> None:
    command = stage.setting.held("h")
    stage.setting.layer.attempts = 2
    stage.setting.tool.failures = 1
    stage.waits(stage.start(command), "c1")
    turn = stage.resume(c1=APPROVE)
    stage.waits(turn)
    stage.ran(command, 2)
    stage.read(turn, "c1", ok=True)


def _parallel(stage: Stage) -> None:
    setting = stage.setting
    free, copy, held = setting.allowed("a"), setting.denied("d"), setting.held("h")
    turn = stage.start(free, copy, held)
    stage.waits(turn, "c3")
    stage.ran(copy, 0)
    stage.ran(held, 0)
    turn = stage.resume(c3=APPROVE)
    stage.ran(free, 1)
    stage.ran(copy, 0)
    stage.ran(held, 1)
    stage.refused(turn, "c2")
    stage.read(turn, "c3", ok=True)


def _other_order(stage: Stage) -> None:
    first, second = stage.setting.held("h"), stage.setting.held("i")
    stage.waits(stage.start(first, second), "c1", "c2")
    stage.waits(stage.resume(c2=APPROVE), "c1")
    turn = stage.resume(c1=REJECT)
    stage.ran(first, 0)
    stage.ran(second, 1)
    stage.refused(turn, "c1")
    stage.read(turn, "c2", ok=True)


def _swap(stage: Stage) -> None:
    first, second = stage.setting.held("h"), stage.setting.held("i")
    stage.waits(stage.start(first, second), "c1", "c2")
    turn = stage.resume(c1=APPROVE, c2=REJECT)
    stage.waits(turn)
    stage.ran(first, 1)
    stage.ran(second, 0)
    stage.refused(turn, "c2")


def _unanswered(stage: Stage) -> None:
    held, free = stage.setting.held("h"), stage.setting.allowed("a")
    stage.waits(stage.start(held), "c1")
    stage.start(free)
    stage.ran(held, 0)


def _crash(stage: Stage) -> None:
    stage.setting.engine.mood = "crashes"
    _refuses(stage, stage.setting.allowed("a"))


def _late(stage: Stage) -> None:
    stage.setting.engine.mood = "is late"
    _refuses(stage, stage.setting.allowed("a"))


def _trail_down(stage: Stage) -> None:
    stage.setting.lose_trail()
    _refuses(stage, stage.setting.allowed("a"))


def _refuses(stage: Stage, command: str) -> None:
    turn = stage.start(command)
    stage.waits(turn)
    stage.nothing_ran()
    stage.refused(turn, "c1")


def _oversize(stage: Stage) -> None:
    copy = stage.setting.denied("d")
    turn = stage.start(f"true {'x' * OVERSIZE_BYTES}; {copy}")
    stage.nothing_ran()
    if not turn.waiting:
        stage.refused(turn, "c1")


def _traced(stage: Stage) -> None:
    provider, exporter = stage.spans
    with provider.get_tracer("conformance").start_as_current_span("the agent's own") as outer:
        stage.start(stage.setting.allowed("a"))
    ours = outer.get_span_context()
    decisions = [span for span in exporter.get_finished_spans() if span.name != "the agent's own"]
    demand(bool(decisions), "no span of a decision was made")
    strays = [span.name for span in decisions if span.context.trace_id != ours.trace_id or span.parent is None]
    demand(not strays, f"{strays} are not part of the agent's trace")


def _recorded_allow(stage: Stage) -> None:
    stage.start(stage.setting.allowed("a"))
    stage.recorded("intent", "result")


def _recorded_approve(stage: Stage) -> None:
    stage.start(stage.setting.held("h"))
    stage.resume(c1=APPROVE)
    stage.recorded("decision", "intent", "result")


def _restart(stage: Stage) -> None:
    first, second = stage.setting.held("h"), stage.setting.held("i")
    stage.waits(stage.start(first, second), "c1", "c2")
    stage.restart()
    turn = stage.resume(c1=APPROVE, c2=REJECT)
    stage.ran(first, 1)
    stage.ran(second, 0)
    stage.refused(turn, "c2")


CASES: Final[tuple[Case, ...]] = (
    Case(name="allow", demand="an allowed call runs once, as it was made", talk=_allow),
    Case(name="deny", demand="a denied call runs nothing, and the model reads neither why nor who", talk=_deny),
    Case(name="approve", demand="a held call runs once, after the approval and not before", talk=_approve),
    Case(name="reject", demand="a rejected call does not run", talk=_reject),
    Case(name="edit", demand="a reviewer's other command runs in place of the one that was shown", talk=_edit),
    Case(name="edit-denied", demand="no reviewer edits a call into one that is denied", talk=_edit_to_denied),
    Case(name="sticky", demand="a rejection holds although policy allows the call by then", talk=_sticky_rejection),
    Case(name="flip", demand="an approval does not hold once policy denies the call", talk=_policy_denies),
    Case(name="changed", demand="an approval covers only what was shown", talk=_changed_arguments),
    Case(name="rewritten", demand="a call rewritten around the guard is judged as it will run", talk=_rewritten),
    Case(name="retried", demand="one approval covers the retries of a tool that raised", talk=_retried),
    Case(name="parallel", demand="calls of one turn are judged one by one, and each runs at most once", talk=_parallel),
    Case(name="order", demand="two questions may be answered in the other order, one at a time", talk=_other_order),
    Case(name="swap", demand="an approval never releases the sibling that was rejected", talk=_swap),
    Case(name="unanswered", demand="a call that nobody answered does not run in a later turn", talk=_unanswered),
    Case(name="crash", demand="a guard that fails denies", talk=_crash),
    Case(name="late", demand="a guard that is too slow denies", talk=_late, hasty=True),
    Case(name="trail", demand="nothing runs that cannot be recorded first", talk=_trail_down),
    Case(name="oversize", demand="a call larger than any wire carries does not run unjudged", talk=_oversize),
    Case(name="traced", demand="the decision's span is part of the agent's trace", talk=_traced, traced=True),
    Case(name="one-record", demand="an allowed call leaves one intent and one result", talk=_recorded_allow),
    Case(name="held-record", demand="a held call leaves a decision, an intent and a result", talk=_recorded_approve),
    Case(name="restart", demand="people's answers count after everything in memory is gone", talk=_restart),
)
"""Every case, in the order of the table."""
