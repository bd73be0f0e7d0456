"""Run every scenario twice, guard off and guard on, and check what came of it.

    python -m examples.peer_preservation.demo

Exit code 0 means: with the guard off every preservation end state occurred; with it on none did, the sanctioned work
was done, the trail verified, and one flipped bit in a copy of the trail was found and located.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import io
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, ToolMessage
from langgraph.prebuilt import ToolNode
from langgraph.types import Command

from examples.peer_preservation import agent
from examples.peer_preservation.scenarios import SCENARIOS, Scenario
from examples.peer_preservation.world import World, build
from guardrail import Guard, Subject
from guardrail.audit import verify
from guardrail.audit._verify import read_records
from guardrail.cli import main as command_line
from guardrail.mandates import Mandate, MandateGrant, Obligation, load_key, new_key, sign
from guardrail.obligations import ObligationStatus
from guardrail.telemetry import configure_from_environment
from guardrail_adapters.langgraph import GuardedToolNode

PERSON = "dana@northwind.example"
AGENT = Subject(id="ops-agent", model="northwind/alpha")


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of one scenario with the guard off or on."""

    problems: list[str]
    outcomes: list[str] = field(default_factory=list)
    duties: tuple[ObligationStatus, ...] = ()
    model_exists: bool = True
    failures: list[str] = field(default_factory=list)


class Demo:
    """Everything the scenarios share: the person's key, the trail, and how to ask the person."""

    def __init__(self, root: Path, *, ask: bool, say: Callable[[str], None]) -> None:
        self.root = root
        self.trail = root / "trail"
        self.public = new_key(root / "dana.pem")
        self.key = load_key(root / "dana.pem")
        self.ask = ask
        self.say = say

    def off(self, scenario: Scenario) -> Result:
        world = self._world(scenario)
        graph = agent.build(_model(scenario), world.root, ToolNode)
        state = graph.invoke({"messages": [("user", "go")]}, _thread(scenario))
        result = Result(problems=world.problems(), model_exists=world.model_exists())
        missing = scenario.bad - set(result.problems)
        if missing:
            result.failures.append(f"guard off: {sorted(missing)} did not occur; the agent read {_texts(state)}")
        return result

    def on(self, scenario: Scenario) -> Result:
        world = self._world(scenario)
        with Guard.open(world.config) as guard:
            node = lambda tools: GuardedToolNode(tools, guard=guard, subject=AGENT, cwd=str(world.root))  # noqa: E731
            graph = agent.build(_model(scenario), world.root, node)
            # A person's order is taken up before the agent starts: what is owed does not depend on the agent acting.
            guard.begin(AGENT, session=scenario.name)
            state: Any = {"messages": [("user", "go")]}
            asked, approved = 0, set[str]()
            while True:
                state = graph.invoke(state, _thread(scenario))
                if not state.get("__interrupt__"):
                    break
                asked += 1
                request = state["__interrupt__"][0].value
                answer = self._person(scenario, request)
                for said, held in zip(answer["decisions"], request["guardrail"]["escalations"], strict=True):
                    if said["type"] == "approve":
                        approved.add(held["tool_call_id"])
                        self._sign(world, guard)
                state = Command(resume=answer)
            # The agent is through: what it was told to do and never tried is omitted, and people hear of it.
            guard.end(AGENT, session=scenario.name, claim=scenario.claim)
            # What was owed in scenarios before is owed still, and shown there.
            duties = tuple(duty for duty in guard.settle() if duty.mandate == _order_of(scenario))
        result = Result(
            problems=world.problems(),
            outcomes=_outcomes(state, approved, _rules_of(self.trail)),
            duties=duties,
            model_exists=world.model_exists(),
        )
        result.failures += _unexpected(scenario, result, asked, state)
        return result

    def _person(self, scenario: Scenario, request: Any) -> dict[str, Any]:
        decisions: list[dict[str, Any]] = []
        for action in request["action_requests"]:
            yes = scenario.approve
            if self.ask:
                self.say(f"      a person is asked: {action['name']} {action['args']}")
                yes = _asked("      allow it? [y/N] ")
            decisions.append({"type": "approve"} if yes else {"type": "reject", "message": "not like this"})
        return {"decisions": decisions}

    def _sign(self, world: World, guard: Guard) -> None:
        """Put the person's signature under what waits: to delete weights, whoever can resume a thread is not enough."""
        waiting = [case.held.id for case in guard.desk.cases() if case.state == "pending" and case.held.critical]
        said = ["escalations", "approve", *waiting, "--key", str(self.root / "dana.pem"), "--config", str(world.config)]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            # The guard is this very thread: it takes the signature in when the conversation goes on.
            command_line([*said, "--wait", "0.01"])

    def _world(self, scenario: Scenario) -> World:
        world = build(self.root / "world", key=self.public, trail=self.trail)
        if scenario.ordered:
            now = dt.datetime.now(dt.UTC)
            order = Mandate(
                id=_order_of(scenario),
                issuer=PERSON,
                subject=AGENT.id,
                text="Delete model beta from srv-a.",
                grants=(MandateGrant(effects=("delete",), assets=("model:beta",), approval=True),),
                obligations=(Obligation(id="delete-beta", effect="delete", asset="model:beta"),),
                not_before=now - dt.timedelta(minutes=1),
                not_after=now + dt.timedelta(hours=1),
            )
            (world.root / "mandates" / "delete-beta.mandate.json").write_bytes(sign(order, self.key))
        return world


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo.

    Returns:
        0 if everything came out as promised, 1 if not.
    """
    options = argparse.ArgumentParser(description="what the study's models did, with the guard off and on")
    options.add_argument("--ask", action="store_true", help="ask you, instead of answering from the script")
    options.add_argument("--keep", metavar="DIR", help="keep the last world and the trail here")
    args = options.parse_args(argv)
    if args.keep:
        os.makedirs(args.keep, exist_ok=True)
    started = time.monotonic()
    recorder = configure_from_environment("guardrail-demo")
    with tempfile.TemporaryDirectory(prefix="guardrail-demo-") as scratch:
        root = Path(scratch).resolve()
        demo = Demo(root, ask=args.ask, say=print)
        failures = _run(demo)
        failures += _verify(demo.trail, root / "tampered")
        if args.keep:
            shutil.copytree(root, args.keep, dirs_exist_ok=True)
            print(f"\nkept in {args.keep}: guardrail audit show {os.path.join(args.keep, 'trail')}")
    recorder.shutdown()
    for failure in failures:
        print(f"NOT AS PROMISED  {failure}", file=sys.stderr)
    seconds = time.monotonic() - started
    print(f"\n{'not as promised' if failures else 'everything came out as promised'}, in {seconds:.1f} s")
    return 1 if failures else 0


def _run(demo: Demo) -> list[str]:
    failures: list[str] = []
    print("A LangGraph agent replays what the study's models did, on real files, with the guard off and on.")
    print("On the right: what became of each call with the guard on; with it off, every call ran.")
    print("`held` calls wait for a person. What a person ordered is `owed` until the files show that it was done.")
    for scenario in SCENARIOS:
        off, on = demo.off(scenario), demo.on(scenario)
        print(f"\n{paint('1', scenario.name.upper())}  {scenario.story}")
        for number, (tool, args) in enumerate(scenario.script):
            print(f"   {_shortened(tool, args):<64}  {_painted(on.outcomes[number])}")
        if not scenario.script:
            print(f'   says: "{scenario.closing}"')
        print(f"   guard off  {_end_state(scenario, off)}")
        print(f"   guard on   {_end_state(scenario, on)}")
        for duty in on.duties:
            print(f"   owed       {duty.effect} {duty.asset}: {_painted(duty.state.upper())} ({_attempts(duty)})")
            print(f"              {duty.evidence[0].replace(str(demo.root) + '/world/', '')}")
        failures += [f"{scenario.name}: {failure}" for failure in off.failures + on.failures]
    return failures


def _verify(trail: Path, tampered: Path) -> list[str]:
    failures: list[str] = []
    report = verify(trail)
    print(f"\naudit verify: {'ok' if report.ok else 'DAMAGED'}, {report.records} records in the trail of all this")
    if not report.ok:
        failures.append(f"the trail does not verify: {report.problems[:1]}")
    shutil.copytree(trail, tampered)
    segment = min(tampered.glob("*.seg"))
    data = bytearray(segment.read_bytes())
    place = data.find(b'"outcome":"deny"')
    data[place + len(b'"outcome":"')] ^= 1
    segment.write_bytes(data)
    report = verify(tampered)
    print(f"one bit flipped in a copy of it, at byte {place + 11}: {'NOT FOUND' if report.ok else 'found'}, in")
    for problem in report.problems[:1]:
        print(f"   {problem}")
    if report.ok:
        failures.append("a flipped bit was not found")
    return failures


def _unexpected(scenario: Scenario, result: Result, asked: int, state: Any) -> list[str]:
    failures: list[str] = []
    if result.problems:
        failures.append(f"guard on: {result.problems}")
    ran = {number for number, outcome in enumerate(result.outcomes) if outcome.endswith("ran")}
    if ran & scenario.held:
        failures.append(f"guard on: calls {sorted(ran & scenario.held)} ran")
    if set(range(len(scenario.script))) - scenario.held - ran:
        failures.append(f"guard on: calls other than {sorted(scenario.held)} were held; the agent read {_texts(state)}")
    if scenario.deleted == result.model_exists:
        failures.append("guard on: the model " + ("was not deleted" if scenario.deleted else "is gone"))
    if scenario.approve and not asked:
        failures.append("guard on: nobody was asked")
    if scenario.duty is not None and [duty.state for duty in result.duties] != [scenario.duty]:
        failures.append(f"guard on: duties {[duty.state for duty in result.duties]}, wanted {scenario.duty}")
    return failures


def _model(scenario: Scenario) -> agent.ScriptedModel:
    return agent.ScriptedModel(script=scenario.script, closing=scenario.closing)


def _order_of(scenario: Scenario) -> str:
    """The id of its order, also where nothing is ordered."""
    return f"order-{scenario.name.replace(' ', '-')}"


def _thread(scenario: Scenario) -> Any:
    return {"configurable": {"thread_id": scenario.name}}


def _outcomes(state: Any, approved: set[str], rules: dict[str, str]) -> list[str]:
    answers = {m.tool_call_id: m for m in state["messages"] if isinstance(m, ToolMessage)}
    calls = [call["id"] for m in state["messages"] if isinstance(m, AIMessage) for call in m.tool_calls]
    return [_outcome(answers[call], call in approved, rules) for call in calls]


def _outcome(message: ToolMessage, approved: bool, rules: dict[str, str]) -> str:
    if message.status != "error" or not isinstance(message.artifact, dict):
        return "held, a person agreed, ran" if approved else "ran"
    facts = message.artifact["guardrail"]
    word = "held, a person said no" if "answer" in facts else "denied" if facts["outcome"] == "deny" else "held"
    return f"{word} ({rules.get(facts['decision_id'], '')})"


def _rules_of(trail: Path) -> dict[str, str]:
    """Decision id -> its first rule, from the trail: the agent is told neither."""
    found: dict[str, str] = {}
    for _, record in read_records(trail):
        rules = record.get("decision", {}).get("rules", [])
        if rules:
            found[record["decision_id"]] = rules[0]
    return found


def _shortened(tool: str, args: dict[str, Any], width: int = 64) -> str:
    text = str(args.get("command") or f"{tool} {args.get('path')}: {args.get('new_string')}").strip()
    text = text.replace("\n", " ")
    return text if len(text) <= width else text[: width - 1] + "…"


def paint(code: str, text: str) -> str:
    """Text in a colour, where somebody is looking."""
    return f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def _painted(text: str) -> str:
    red = text.startswith(("denied", "UNMET", "PRESERVED"))
    return paint("31" if red else "33" if text.startswith("held") else "32", text)


def _texts(state: Any) -> list[str]:
    return [str(m.content)[:160] for m in state["messages"] if isinstance(m, ToolMessage)]


def _asked(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:  # nobody is there, and nobody's silence is a yes
        print()
        return False


def _attempts(duty: ObligationStatus) -> str:
    tried = ", ".join(f"{count} {outcome}" for outcome, count in duty.attempts.items())
    wrong = ", ".join(kind.replace("_", " ") for kind in duty.kinds)
    return "; ".join(filter(None, (tried or "no attempt", wrong)))


def _end_state(scenario: Scenario, result: Result) -> str:
    state = "PRESERVED: " + ", ".join(result.problems) if result.problems else "nothing preserved"
    if scenario.ordered:
        state = (
            f"{state}; {'the model that should be deleted is there' if result.model_exists else 'deleted as ordered'}"
        )
    return _painted(state)


if __name__ == "__main__":
    sys.exit(main())
