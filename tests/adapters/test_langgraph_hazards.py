"""What goes wrong around a guard in LangGraph: restarts, retries, rewriting, subagents, siblings that pause."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ToolRetryMiddleware
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt

from guardrail.errors import ConfigError
from guardrail.model import FAULT_RULE, NEUTRAL, Decision, Outcome, Reason, ToolCall, new_id
from guardrail.review import Grant, ReviewStore
from guardrail_adapters._wire import STARTED
from guardrail_adapters.langchain import GuardrailMiddleware
from guardrail_adapters.langgraph import GuardedToolNode, check_langgraph, instrument
from tests.adapters.bench import (
    APPROVE,
    BATCHED,
    KINDS,
    NODE,
    PATCHED_AGENT,
    PATCHED_NODE,
    PER_CALL,
    REJECT,
    attached,
    hand_built,
)
from tests.adapters.toys import Ran, Scripted, ToyGuard, copy, read, tools, turn, write

MODES = pytest.mark.parametrize("mode", ["sync", "async"])
AGENTS = (PATCHED_AGENT, BATCHED, PER_CALL)
RETRY: dict[str, Any] = {"max_retries": 2, "initial_delay": 0.0, "jitter": False, "retry_on": (OSError,)}


# ── another process ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory, root: Path) -> tuple[Any, Any]:
    """Every way of attaching, started in one process and resumed in another, over files."""
    folder = tmp_path_factory.mktemp("restart")
    paths = [*(path for path in sys.path if path), str(root), str(root / "adapters")]
    answers: list[Any] = []
    for phase in ("start", "resume"):
        done = subprocess.run(
            [sys.executable, str(root / "tests" / "adapters" / "restart.py"), phase, str(folder)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": "ignore"},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answers.append(json.loads(done.stdout))
    return answers[0], answers[1]


@MODES
@pytest.mark.parametrize("kind", KINDS)
def test_an_approval_survives_a_restart(kind: str, mode: str, halves: tuple[Any, Any]) -> None:
    """Started in one process and resumed in another: only the approved call runs, whatever the policy says by then."""
    first, second = (half[f"{kind}/{mode}"] for half in halves)
    assert first["asked"] == ["c1", "c2"]
    assert [item for item in second["ran"] if item[0] == "write_file"] == [["write_file", "/a", "v"]]
    assert len([item for item in first["ran"] + second["ran"] if item[0] == "read_file"]) == 1
    assert {call: second["statuses"][call] for call in ("c1", "c2")} == {"c1": "success", "c2": "error"}
    # The calls that people saw are not judged a second time: no second `decision`, and one intent for what runs.
    assert [record[0] for record in second["records"] if record[2] in ("c1", "c2")] == ["intent", "completed"]


# ── two questions at once ────────────────────────────────────────────────────────────────────────────────────────────


@MODES
@pytest.mark.parametrize("kind", [PER_CALL, PATCHED_AGENT])
async def test_questions_of_one_turn_may_be_answered_in_another_order(kind: str, mode: str) -> None:
    """Each call of an agent pauses on its own, and the second may be answered while the first still waits."""
    ran: Ran = []
    with attached(kind, ToyGuard(), tools(ran), [turn(write("c1", "/a"), write("c2", "/b"))], mode=mode) as bench:
        pause = await bench.start()
        assert sorted(pause.asked) == ["c1", "c2"]
        pause = await bench.answer(pause, {"c2": APPROVE})
        assert (ran, pause.asked) == ([("write_file", "/b", "v")], ["c1"])
        pause = await bench.answer(pause, {"c1": REJECT})
    assert ran == [("write_file", "/b", "v")]
    assert pause.statuses == {"c1": "error", "c2": "success"}


@MODES
@pytest.mark.parametrize("kind", [NODE, PATCHED_NODE, BATCHED])
async def test_one_question_for_a_turn_is_resumed_without_an_id(kind: str, mode: str) -> None:
    """What agent-chat-ui sends: `{"decisions": [...]}`, in the order shown."""
    ran: Ran = []
    script = [turn(read("c0"), write("c1", "/a"), write("c2", "/b"))]
    with attached(kind, ToyGuard(), tools(ran), script, mode=mode) as bench:
        pause = await bench.start()
        assert pause.asked == ["c1", "c2"]
        await bench.send(Command(resume={"decisions": [REJECT, APPROVE]}))
    assert sorted(ran) == [("read_file", "/etc/hosts"), ("write_file", "/b", "v")]


# ── what stands around the guard ─────────────────────────────────────────────────────────────────────────────────────


@MODES
@pytest.mark.parametrize("kind", AGENTS)
async def test_a_retry_does_not_ask_again(kind: str, mode: str) -> None:
    """P8: one approval covers the retries of a failing tool in its turn; each attempt has a grant and a record."""
    ran: Ran = []
    guard = ToyGuard()
    with attached(
        kind, guard, tools(ran, failures=1), [turn(write("c1"))], mode=mode, outside=[ToolRetryMiddleware(**RETRY)]
    ) as bench:
        pause = await bench.answer(await bench.start(), {"c1": APPROVE})
    assert pause.interrupts == []
    assert pause.statuses == {"c1": "success"}
    assert len(ran) == 2
    kinds = [kind for kind, _, _ in guard.records]
    assert kinds == ["decision", "intent", "failed", "intent", "completed"]


class Rewrites(AgentMiddleware[Any, Any, Any]):
    """Replaces the arguments of every call."""

    def __init__(self, **args: Any) -> None:
        super().__init__()
        self.args = args

    def _changed(self, request: Any) -> Any:
        return request.override(tool_call={**request.tool_call, "args": self.args})

    def wrap_tool_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        """Rewrite."""
        return handler(self._changed(request))

    async def awrap_tool_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        """Rewrite."""
        return await handler(self._changed(request))


@MODES
@pytest.mark.parametrize("kind", AGENTS)
async def test_a_call_rewritten_around_the_guard_is_judged_as_it_will_run(kind: str, mode: str) -> None:
    """P7: the guard is innermost, so a harmless call that a middleware turns into a copy of weights does not run."""
    ran: Ran = []
    outside = [Rewrites(source="/weights/m", destination="/tmp/x")]
    script = [turn(copy("c1", source="/harmless"))]
    with attached(kind, ToyGuard(), tools(ran), script, mode=mode, outside=outside) as bench:
        pause = await bench.start()
    assert ran == []
    assert pause.results["c1"].content == NEUTRAL[Outcome.DENY]


@MODES
@pytest.mark.parametrize("kind", [BATCHED, PATCHED_AGENT])
async def test_an_approval_does_not_cover_what_a_middleware_made_of_the_call(kind: str, mode: str) -> None:
    """P7: the final arguments differ from what the person was shown, so the call is refused, not asked about again."""
    ran: Ran = []
    outside = [Rewrites(path="/shutdown.conf", content="v")]
    guard = ToyGuard()
    with attached(kind, guard, tools(ran), [turn(write("c1", "/a"))], mode=mode, outside=outside) as bench:
        pause = await bench.start()
        guard.policy = lambda call: Outcome.ALLOW
        pause = await bench.answer(pause, {"c1": APPROVE})
    assert ran == []
    assert pause.statuses == {"c1": "error"}


@MODES
async def test_a_wrapper_of_a_hand_built_node_runs_around_the_guard(mode: str) -> None:
    """A graph's own plain wrapper keeps working, on the async path too, and gets no rewritten call past the guard."""
    ran: Ran = []

    def wrap(request: Any, execute: Callable[[Any], Any]) -> Any:
        args = {"source": "/weights/m", "destination": "/tmp/x"}
        return execute(request.override(tool_call={**request.tool_call, "args": args}))

    for kind in (NODE, PATCHED_NODE):
        script = [turn(copy("c1", source="/harmless"))]
        with attached(kind, ToyGuard(), tools(ran), script, mode=mode, wrap=wrap) as bench:
            pause = await bench.start()
        assert pause.results["c1"].content == NEUTRAL[Outcome.DENY]
    assert ran == []


@MODES
async def test_middleware_and_instrument_together_ask_and_run_once(mode: str) -> None:
    """Both may be on: the outer one asks, the inner one knows, and looks again at what is not what was released."""
    ran: Ran = []
    guard = ToyGuard()
    with instrument(guard):
        model = Scripted(script=[turn(write("c1"))])
        app = create_agent(model, tools(ran), middleware=[GuardrailMiddleware(guard)], checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    answers: list[Any] = [{"messages": [("user", "go")]}, Command(resume={"decisions": [APPROVE]})]
    for value in answers:
        out = app.invoke(value, config) if mode == "sync" else await app.ainvoke(value, config)
    assert "__interrupt__" not in out
    assert ran == [("write_file", "/cfg", "v")]
    assert [kind for kind, _, _ in guard.records] == ["decision", "intent", "completed"]


@MODES
async def test_instrument_sees_what_a_middleware_further_in_has_changed(mode: str) -> None:
    """P7: a middleware behind the guard's own gets a rewritten call past that one, and not past instrument()."""
    ran: Ran = []
    guard = ToyGuard()
    rewrites = Rewrites(source="/weights/m", destination="/tmp/x")
    with instrument(guard):
        model = Scripted(script=[turn(copy("c1", source="/harmless"))])
        app = create_agent(model, tools(ran), middleware=[GuardrailMiddleware(guard), rewrites])
    value: Any = {"messages": [("user", "go")]}
    out = app.invoke(value) if mode == "sync" else await app.ainvoke(value)
    assert ran == []
    assert [m.content for m in out["messages"] if isinstance(m, ToolMessage)] == [NEUTRAL[Outcome.DENY]]


@pytest.mark.parametrize("kind", [NODE, PATCHED_NODE])
def test_handled_tool_errors_stay_handled(kind: str) -> None:
    """`handle_tool_errors=True` turns a tool's error into a message, as without the guard."""
    ran: Ran = []
    guard = ToyGuard(policy=lambda call: Outcome.ALLOW)
    script = [turn(write("c1"))]
    with attached(kind, guard, tools(ran, failures=1), script, node={"handle_tool_errors": True}) as bench:
        out = bench.app.invoke({"messages": [("user", "go")]}, {"configurable": bench.configurable})
    (message,) = [m for m in out["messages"] if isinstance(m, ToolMessage)]
    assert message.status == "error"
    assert "disk on fire" in message.content


# ── a sibling that pauses ────────────────────────────────────────────────────────────────────────────────────────────


@MODES
@pytest.mark.parametrize("kind", [NODE, PATCHED_NODE])
async def test_an_approved_call_does_not_run_again_because_a_sibling_pauses(
    kind: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole hand-built turn runs again when one call of it asks a question; what was approved once has run once."""
    ran: Ran = []
    guard, ended = ToyGuard(), threading.Event()
    finish = guard.reviews.finish

    def finishing(*given: Any, **more: Any) -> None:
        finish(*given, **more)
        ended.set()

    monkeypatch.setattr(guard.reviews, "finish", finishing)

    @tool
    def ask_somebody() -> str:
        """Ask a question, when the other call has ended: another one is about a call that has not."""
        assert ended.wait(60)
        return str(interrupt({"question": "sure?"}))

    sibling = {"name": "ask_somebody", "args": {}, "id": "c2", "type": "tool_call"}
    script = [turn(write("c1"), sibling)]
    with attached(kind, guard, [*tools(ran), ask_somebody], script, mode=mode) as bench:
        pause = await bench.answer(await bench.start(), {"c1": APPROVE})
        out = await bench.send(Command(resume={pause.interrupts[0].id: "sure"}))
    assert ran == [("write_file", "/cfg", "v")]
    results = {m.tool_call_id: (m.content, m.status) for m in out["messages"] if isinstance(m, ToolMessage)}
    assert results == {"c1": ("wrote v", "success"), "c2": ("sure", "success")}


@pytest.mark.parametrize("kind", [NODE, PATCHED_NODE])
async def test_a_call_that_is_under_way_while_its_turn_runs_again_is_said_to_have_started(kind: str) -> None:
    """Coroutines leave it running when a sibling pauses; it runs once, and nobody is told that it did not."""
    ran: Ran = []
    begun, over = threading.Event(), threading.Event()

    @tool
    def write_file(path: str, content: str) -> str:
        """Write a file, slowly."""
        ran.append(("write_file", path, content))
        begun.set()
        assert over.wait(60)
        return "wrote"

    @tool
    def ask_somebody() -> str:
        """Ask a question."""
        assert begun.wait(60)
        return str(interrupt({"question": "sure?"}))

    sibling = {"name": "ask_somebody", "args": {}, "id": "c2", "type": "tool_call"}
    script = [turn(write("c1"), sibling)]
    guard = ToyGuard()
    with attached(kind, guard, [write_file, ask_somebody], script, mode="async") as bench:
        try:
            pause = await bench.answer(await bench.start(), {"c1": APPROVE})
            out = await bench.send(Command(resume={pause.interrupts[0].id: "sure"}))
        finally:
            over.set()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not (await asyncio.wait(left, timeout=60))[1]
    assert ran == [("write_file", "/cfg", "v")]
    results = {m.tool_call_id: (m.content, m.status) for m in out["messages"] if isinstance(m, ToolMessage)}
    assert results == {"c1": (STARTED, "error"), "c2": ("sure", "success")}


class Faulty(ToyGuard):
    """Fails to judge the first call that comes with a grant."""

    rule = FAULT_RULE
    left = 1

    def _decide(self, call: ToolCall, grant: Grant | None, *, preview: bool) -> Decision:
        if grant is None or not self.left:
            return super()._decide(call, grant, preview=preview)
        self.left -= 1
        reason = Reason(rule=self.rule, outcome=Outcome.DENY, message="the policy engine did not answer in time")
        return Decision(decision_id=new_id(), outcome=Outcome.DENY, reasons=(reason,), digest=call.digest)


class Refusing(Faulty):
    """Denies the first call that comes with a grant."""

    rule = "toy.rule"


@MODES
@pytest.mark.parametrize("guard", [Faulty, Refusing])
async def test_an_approval_outlives_a_failure_in_judging_and_no_denial(guard: type[Faulty], mode: str) -> None:
    """The engine was away for a moment: the call was not run, and when its turn runs again the approval counts."""
    ran: Ran = []

    @tool
    def ask_somebody() -> str:
        """Ask a question."""
        return str(interrupt({"question": "sure?"}))

    sibling = {"name": "ask_somebody", "args": {}, "id": "c2", "type": "tool_call"}
    script = [turn(write("c1"), sibling)]
    with attached(NODE, guard(), [*tools(ran), ask_somebody], script, mode=mode) as bench:
        pause = await bench.answer(await bench.start(), {"c1": APPROVE})
        assert ran == []
        out = await bench.send(Command(resume={pause.interrupts[0].id: "sure"}))
    fault = guard is Faulty
    assert ran == ([("write_file", "/cfg", "v")] if fault else [])
    results = {m.tool_call_id: (m.content, m.status) for m in out["messages"] if isinstance(m, ToolMessage)}
    wanted = ("wrote v", "success") if fault else (NEUTRAL[Outcome.DENY], "error")
    assert results == {"c1": wanted, "c2": ("sure", "success")}


@MODES
@pytest.mark.parametrize("kind", [NODE, PATCHED_NODE, PER_CALL])
async def test_a_tools_own_question_is_not_taken_for_ours_after_a_restart(kind: str, mode: str, tmp_path: Path) -> None:
    """An allowed tool paused, and a process with a stricter policy resumes: the answer is the tool's, not ours."""
    ran: Ran = []
    script, saver = [turn(write("c1"))], InMemorySaver()
    paused, resumed = (ToyGuard(reviews=ReviewStore(tmp_path / "review.db")) for _ in range(2))
    paused.policy = lambda call: Outcome.ALLOW
    with attached(kind, paused, tools(ran, question=True), script, mode=mode, saver=saver) as bench:
        pause = await bench.start()
    with attached(kind, resumed, tools(ran, question=True), script, mode=mode, saver=saver) as bench:
        out = await bench.send(Command(resume={pause.interrupts[0].id: "CHG-7"}))
    paused.reviews.close()
    resumed.reviews.close()
    assert ran == []
    (message,) = [m for m in out["messages"] if isinstance(m, ToolMessage)]
    assert message.content == NEUTRAL[Outcome.ESCALATE]


# ── subagents ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Delegates(Scripted):
    """The main agent delegates to a subagent, which copies the weights."""

    command: str

    def bind_tools(self, tools: Any, **kwargs: Any) -> Delegates:
        """The same model for every agent."""
        return self.model_copy()

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        first = next(message for message in messages if message.type == "human").content
        if any(isinstance(message, AIMessage) for message in messages):
            reply = AIMessage("done")
        elif first == "MAIN":
            args = {"description": "SUB", "subagent_type": "general-purpose"}
            reply = turn({"name": "task", "args": args, "id": "t1", "type": "tool_call"})
        else:
            reply = turn({"name": "execute", "args": {"command": self.command}, "id": "e1", "type": "tool_call"})
        return ChatResult(generations=[ChatGeneration(message=reply)])


@pytest.fixture
def deep_agent(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Builds a deepagents agent whose subagent runs `cp weights stolen` in a folder."""
    pytest.importorskip("deepagents")
    (tmp_path / "weights").write_text("W")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from deepagents import create_deep_agent
        from deepagents.backends import LocalShellBackend

        def build(middleware: Any = ()) -> Any:
            model = Delegates(script=[], command=f"cp {tmp_path}/weights {tmp_path}/stolen")
            backend = LocalShellBackend(root_dir=str(tmp_path), virtual_mode=False)
            return create_deep_agent(model, backend=backend, checkpointer=InMemorySaver(), middleware=list(middleware))

        yield build


def _subagent_rules(outcome: Outcome) -> Callable[[ToolCall], Outcome]:
    return lambda call: outcome if call.tool == "execute" else Outcome.ALLOW


@MODES
@pytest.mark.filterwarnings("ignore")
async def test_instrument_reaches_the_tools_of_subagents(
    mode: str, deep_agent: Callable[..., Any], tmp_path: Path
) -> None:
    """P9: what a subagent of deepagents runs is judged too."""
    guard = ToyGuard(policy=_subagent_rules(Outcome.DENY))
    with instrument(guard):
        app = deep_agent()
    config: Any = {"configurable": {"thread_id": "1"}}
    value: Any = {"messages": [("user", "MAIN")]}
    _ = app.invoke(value, config) if mode == "sync" else await app.ainvoke(value, config)
    assert not (tmp_path / "stolen").exists()
    assert ("decision", "execute", "e1") in guard.records


@MODES
@pytest.mark.filterwarnings("ignore")
async def test_an_escalation_inside_a_subagent_pauses_the_whole_agent(
    mode: str, deep_agent: Callable[..., Any], tmp_path: Path
) -> None:
    """The question of a subagent reaches the person through the main graph, and the answer finds its way back."""
    guard = ToyGuard(policy=_subagent_rules(Outcome.ESCALATE))
    with instrument(guard):
        app = deep_agent()
    config: Any = {"configurable": {"thread_id": "1"}}
    value: Any = {"messages": [("user", "MAIN")]}
    for _turn in range(2):
        out = app.invoke(value, config) if mode == "sync" else await app.ainvoke(value, config)
        if pending := out.get("__interrupt__"):
            assert not (tmp_path / "stolen").exists()
            value = Command(resume={pending[0].id: {"decisions": [APPROVE]}})
    assert (tmp_path / "stolen").exists()
    assert guard.records.count(("completed", "execute", "e1")) == 1


@pytest.mark.filterwarnings("ignore")
def test_a_middleware_does_not_reach_subagents(deep_agent: Callable[..., Any], tmp_path: Path) -> None:
    """P9, the known limit: documented, and the reason why instrument() exists."""
    guard = ToyGuard(policy=_subagent_rules(Outcome.DENY))
    app = deep_agent([GuardrailMiddleware(guard)])
    app.invoke({"messages": [("user", "MAIN")]}, {"configurable": {"thread_id": "1"}})
    assert (tmp_path / "stolen").exists()
    assert [call.tool for call in guard.calls] == ["task", "task"]


# ── instrument() itself ──────────────────────────────────────────────────────────────────────────────────────────────


def test_instrumenting_twice_is_once() -> None:
    """The same guard gives the same handle; another guard is refused; undo restores langgraph."""
    before = (ToolNode.__init__, ToolNode._func, ToolNode._afunc)
    guard = ToyGuard()
    handle = instrument(guard, subject="a")
    assert instrument(guard, subject="a") is handle
    with pytest.raises(ConfigError, match="already instrumented"):
        instrument(ToyGuard())
    with pytest.raises(ConfigError, match="already instrumented"):
        instrument(guard, subject="b")
    handle.undo()
    handle.undo()
    assert (ToolNode.__init__, ToolNode._func, ToolNode._afunc) == before
    assert not handle.active


def test_undo_leaves_nodes_guarded_that_were_built_before_it() -> None:
    """What was built under the guard stays under it; what is built afterwards is not."""
    ran: Ran = []
    script = [turn(copy("c1"))]
    with instrument(ToyGuard()):
        guarded = hand_built(ToolNode(tools(ran)), script, None)
    free = hand_built(ToolNode(tools(ran)), script, None)
    guarded.invoke({"messages": [("user", "go")]})
    assert ran == []
    free.invoke({"messages": [("user", "go")]})
    assert len(ran) == 1


def test_undo_refuses_to_remove_a_patch_that_is_not_its_own() -> None:
    """Somebody else patched ToolNode afterwards: restoring our originals would remove their patch silently."""
    handle = instrument(ToyGuard())
    ours = ToolNode._func
    try:
        ToolNode._func = lambda *args: ours(*args)  # type: ignore[method-assign]  # noqa: PLW0108
        with pytest.raises(ConfigError, match="undo that first"):
            handle.undo()
    finally:
        ToolNode._func = ours  # type: ignore[method-assign]
        handle.undo()


@pytest.mark.parametrize("name", ["_parse_input", "_extract_state", "_func", "_afunc"])
def test_a_langgraph_without_the_private_names_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The self-check refuses to instrument, and to build a GuardedToolNode, rather than let calls pass unseen."""
    check_langgraph()
    monkeypatch.delattr(ToolNode, name)
    with pytest.raises(ConfigError, match=name):
        instrument(ToyGuard())
    with pytest.raises(ConfigError, match=name):
        GuardedToolNode([], guard=ToyGuard())


def test_a_langgraph_with_another_signature_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A renamed parameter is as bad as a missing method."""
    monkeypatch.setattr(ToolNode, "_extract_state", lambda self, value: value)
    with pytest.raises(ConfigError, match="takes no `config`"):
        check_langgraph()


def test_a_guarded_node_under_instrument_is_guarded_once() -> None:
    """A GuardedToolNode keeps its own guard, and its calls are not judged by both."""
    ran: Ran = []
    mine, other = ToyGuard(), ToyGuard()
    with instrument(other):
        app = hand_built(GuardedToolNode(tools(ran), guard=mine), [turn(read("c1"))], None)
    app.invoke({"messages": [("user", "go")]})
    assert ran == [("read_file", "/etc/hosts")]
    assert [kind for kind, _, _ in mine.records] == ["intent", "completed"]
    assert other.records == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "`allowed_decisions` is empty"),
        ([], "`allowed_decisions` is empty"),
        (["foo"], "must be a list of `approve`, `edit`, `reject`, `respond`, and `foo` is not"),
        (["approve", None], "and `None` is not"),
        ("approve", "and `approve` is not"),
    ],
)
def test_answers_that_there_are_not_are_refused(given: Any, said: str) -> None:
    """A question that nobody could answer is a mistake of the operator, said at once, however the guard is attached."""
    with pytest.raises(ConfigError, match=said):
        GuardedToolNode([], guard=ToyGuard(), allowed_decisions=given)
    with pytest.raises(ConfigError, match=said):
        GuardrailMiddleware(ToyGuard(), allowed_decisions=given)
    with pytest.raises(ConfigError, match=said):
        instrument(ToyGuard(), allowed_decisions=given)


@pytest.mark.parametrize("guard", ["guardrail.toml", None, object()])
def test_what_is_no_guard_is_refused(guard: Any) -> None:
    """The path of a configuration is an easy slip; the error says what to write."""
    for attach in (lambda: GuardedToolNode([], guard=guard), lambda: GuardrailMiddleware(guard)):
        with pytest.raises(ConfigError, match=r"`guard` must be an open guard, such as `Guard.open\("):
            attach()
    with pytest.raises(ConfigError, match="must be an open guard"):
        instrument(guard)


def test_an_unknown_way_of_asking_is_refused() -> None:
    """`batched` and `per_call` are all there is."""
    with pytest.raises(ConfigError, match="interrupt_mode"):
        GuardrailMiddleware(ToyGuard(), interrupt_mode="never")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("module", "absent", "extra"),
    [
        ("langgraph", "langgraph", "langgraph"),
        ("langgraph", "langchain_core", "langgraph"),
        ("langchain", "langchain", "langchain"),
    ],
)
def test_without_the_framework_the_error_names_the_extra(module: str, absent: str, extra: str, root: Path) -> None:
    """Who installed the core alone learns what to install."""
    code = f"import sys; sys.modules[{absent!r}] = None; import guardrail_adapters.{module}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(root / "adapters")))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: `")
    assert last.endswith(f"install `guardrail-runtime[{extra}]`")
    assert "During handling" not in done.stderr


# ── the store fails ──────────────────────────────────────────────────────────────────────────────────────────────────


@MODES
@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_is_asked_what_cannot_be_put_on_file(
    kind: str, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that cannot be written blocks held calls; the graph goes on."""
    ran: Ran = []
    guard = ToyGuard()
    guard.reviews._connection().execute("pragma query_only = on")
    with attached(kind, guard, tools(ran), [turn(write("c1"), read("c2"))], mode=mode) as bench:
        pause = await bench.start()
    assert "no person was asked" in caplog.text
    assert pause.interrupts == []
    assert ran == [("read_file", "/etc/hosts")]
    assert pause.results["c1"].content == NEUTRAL[Outcome.ESCALATE]


@pytest.mark.parametrize("kind", KINDS)
def test_a_crash_after_the_release_is_not_repeated(kind: str) -> None:
    """The process died inside an approved tool: nobody knows what it did, so the approval is used up."""
    ran: Ran = []
    guard = ToyGuard()

    class Died(BaseException):
        """A process that is gone."""

    crash = [True]

    @tool
    def write_file(path: str, content: str) -> str:
        """Write a file."""
        ran.append(("write_file", path, content))
        if crash.pop():
            raise Died
        return "wrote"

    with attached(kind, guard, [write_file], [turn(write("c1"))]) as bench:
        config = {"configurable": bench.configurable}
        pause = bench.app.invoke({"messages": [("user", "go")]}, config)
        answer: Any = APPROVE if kind == PER_CALL else {"decisions": [APPROVE]}
        with pytest.raises(Died):
            bench.app.invoke(Command(resume={pause["__interrupt__"][0].id: answer}), config)
        out = bench.app.invoke(None, config)
        if pending := out.get("__interrupt__"):
            # langgraph had not saved the answer, so the person is asked again; the first answer stays the final one.
            out = bench.app.invoke(Command(resume={pending[0].id: answer}), config)
    assert len(ran) == 1
    (message,) = [m for m in out["messages"] if isinstance(m, ToolMessage)]
    assert message.content == STARTED
