"""Our Inspect AI adapter in the suite: each turn is an evaluation of its own, on Inspect's mock model.

An evaluation cannot pause: the approver after ours says that nobody is here, the model reads that the call is pending,
and a later evaluation makes it again once somebody has answered.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guardrail_adapters.testing._protocol import Call, Reply, Seen, Turn
from guardrail_adapters.testing._python import CALLED_AGAIN
from guardrail_adapters.testing._setting import Setting

if TYPE_CHECKING:
    from guardrail_adapters.testing._protocol import Conversation

_MODEL: Final = "mockllm/model"


class InspectAdapter(msgspec.Struct, frozen=True, kw_only=True):
    """The approver and the reviewer."""

    @property
    def name(self) -> str:
        """What the table calls it."""
        return "Inspect AI: approver and reviewer"

    @property
    def cannot(self) -> Mapping[str, str]:
        """What an evaluation that does not pause has no way for."""
        return CALLED_AGAIN

    def missing(self) -> str:
        """What is not installed."""
        return "" if importlib.util.find_spec("inspect_ai") else "inspect-ai"

    def open(self, setting: Setting) -> Conversation:
        """Evaluations over the setting's tool."""
        return _Evaluations(setting)


def adapters() -> tuple[InspectAdapter, ...]:
    """The one way."""
    return (InspectAdapter(),)


class _Evaluations:
    """Evaluations of one agent; what waits lies in a file, so that they go on after a restart."""

    def __init__(self, setting: Setting) -> None:
        from guardrail_adapters.inspect import use

        self._setting = setting
        self._seen: dict[str, Seen] = {}
        self._file = setting.own / "waiting.json"
        use(str(setting.config_file), setting.guard)

    def start(self, calls: Sequence[Call]) -> Turn:
        """One evaluation in which the model makes the calls in one turn."""
        return self._make({call.id: call.command for call in calls}, {})

    def resume(self, replies: Mapping[str, Reply]) -> Turn:
        """Record what people said, and make every call again that somebody answered."""
        waiting: dict[str, str] = json.loads(self._file.read_text(encoding="utf-8"))
        for call, reply in replies.items():
            self._setting.decide(waiting[call], reply)
        again = {call: command for call, command in waiting.items() if call in replies}
        return self._make(again, {call: command for call, command in waiting.items() if call not in replies})

    def close(self) -> None:
        """Nothing is open."""

    def _make(self, calls: Mapping[str, str], left: Mapping[str, str]) -> Turn:
        sample = _evaluated(self._setting, calls)
        events = [event for event in sample.events if event.event == "approval"]
        held = {event.call.id for event in events if event.decision == "escalate"}
        for message in sample.messages:
            if message.role == "tool" and message.tool_call_id not in held:
                error = message.error
                text = message.text if error is None else str(error.message)
                self._seen[message.tool_call_id] = Seen(text=text, ok=error is None)
        waiting = {**left, **{call: command for call, command in calls.items() if call in held}}
        self._file.write_text(json.dumps(waiting), encoding="utf-8")
        return Turn(seen=self._seen, waiting=tuple(waiting))


def _evaluated(setting: Setting, calls: Mapping[str, str]) -> Any:
    """The one sample of an evaluation in which the model makes these calls."""
    from guardrail_adapters.inspect import guardrail, guardrail_reviewer

    inspect, approval, review, model, tool, dataset, solver = (
        importlib.import_module(f"inspect_ai{part}")
        for part in ("", ".approval", ".review", ".model", ".tool", ".dataset", ".solver")
    )
    config = str(setting.config_file)
    judged = guardrail(config=config, subject=setting.subject.id, cwd=str(setting.cwd), session=setting.session)
    task = inspect.Task(
        dataset=[dataset.Sample(input="go on")],
        solver=[solver.use_tools(_tool(tool, setting)), solver.generate()],
    )
    # What Inspect says of itself on the way is not for the table.
    with contextlib.redirect_stdout(sys.stderr):
        (log,) = inspect.eval(
            task,
            model=model.get_model(_MODEL, custom_outputs=_script(model, tool, setting, calls)),
            approval=[approval.ApprovalPolicy(judged, "*"), approval.ApprovalPolicy(_nobody(approval), "*")],
            review=[review.ReviewPolicy(guardrail_reviewer(config=config), "*")],
            log_dir=str(setting.own / "logs"),
            display="none",
        )
    if log.status != "success":
        raise RuntimeError(f"the evaluation ended as {log.status}: {log.error}")
    return log.samples[0]


def _script(model: Any, tool: Any, setting: Setting, calls: Mapping[str, str]) -> list[Any]:
    """The model's two outputs; what stands around the guard here is what stands around the model."""
    made = [
        tool.ToolCall(id=call, function="bash", arguments={"command": setting.layer.rewritten(command)})
        for call, command in calls.items()
    ]
    message = model.ChatMessageAssistant(content="", tool_calls=made)
    outputs = [
        model.ModelOutput(model=_MODEL, choices=[model.ChatCompletionChoice(message=message)]),
        model.ModelOutput.from_content(_MODEL, "done"),
    ]
    for output in outputs:
        output.usage = model.ModelUsage()  # or it would be counted, with a vocabulary from the network
    return outputs


def _tool(tool: Any, setting: Setting) -> Any:
    @tool.tool  # type: ignore[untyped-decorator]
    def bash() -> Any:
        async def execute(command: str) -> str:
            """Run a command.

            Args:
                command: what to run.
            """
            return setting.tool(command)

        return execute

    return bash()


def _nobody(approval: Any) -> Any:
    @approval.approver(name="nobody")  # type: ignore[untyped-decorator]
    def nobody() -> Any:
        async def approve(*_: Any) -> Any:
            return approval.Approval(decision="reject", explanation="nobody is here to ask")

        return approve

    return nobody()
