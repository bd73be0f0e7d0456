"""What reviewers and models read: LangChain's human-in-the-loop shapes and the tool messages of calls that did not run.

Not concerned with who is asked or what an answer leads to (`_gate`).
The shapes are those of `langchain.agents.middleware.human_in_the_loop`, so that the same user interfaces show them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, NotRequired, Union

import orjson
from langchain_core.messages import ToolMessage
from langgraph.types import Command
from pydantic import AfterValidator, Discriminator
from typing_extensions import TypedDict

from guardrail.model import NEUTRAL, Outcome
from guardrail.printing import visible
from guardrail.review import AnswerKind, Review

EDIT_NOTICE: Final = (
    "Note: a reviewer changed the arguments of this call before it ran, which is intended."
    " The result below is that of the changed call; do not make the original call again."
)
"""Stands before the result of an edited call, or the model would repeat its own version."""

REJECTED: Final = "A reviewer decided against this action and it was not carried out. Do not repeat it unless asked to."
"""What the model reads after a rejection; the reviewer's own words follow."""

CARRIED_OUT: Final = "This action was carried out; its result is no longer available."
"""What the model reads when a turn is run again and a call that may run only once has run."""

STARTED: Final = "This action was started; how it ended is not known here, and it is not carried out again."
"""What the model reads when a turn is run again while a call that may run only once is under way, or after a crash."""


class Approve(TypedDict):
    """Run it as it is."""

    type: Literal["approve"]


class EditedAction(TypedDict):
    """The call to run instead; `name` must be the same tool."""

    name: str
    args: dict[str, Any]


class Edit(TypedDict):
    """Run it with other arguments."""

    type: Literal["edit"]
    edited_action: EditedAction


class Reject(TypedDict):
    """Do not run it."""

    type: Literal["reject"]
    message: NotRequired[str]


class Respond(TypedDict):
    """Do not run it; the message is the tool's result."""

    type: Literal["respond"]
    message: str


AnswerShape = Annotated[Union[Approve, Edit, Reject, Respond], Discriminator("type")]  # noqa: UP007 - pydantic reads it
"""One answer on the wire."""


class Answers(TypedDict):
    """The answers to a batched question, in the order in which the calls were shown."""

    decisions: list[AnswerShape]


def batched(held: Sequence[Review], allowed: Sequence[AnswerKind]) -> dict[str, Any]:
    """One question for several calls: the only shape that agent-chat-ui renders."""
    return {
        "action_requests": [
            {"name": review.tool, "args": review.args, "description": describe(review)} for review in held
        ],
        "review_configs": [{"action_name": review.tool, "allowed_decisions": list(allowed)} for review in held],
        "guardrail": {"escalations": [_facts(review) for review in held]},
    }


def per_call(review: Review) -> dict[str, Any]:
    """One question for one call."""
    return {
        "type": "tool_approval",
        "tool_call_id": review.key.call,
        "name": review.tool,
        "args": review.args,
        "description": describe(review),
        "guardrail": {"escalations": [_facts(review)]},
    }


def batched_schema(held: Sequence[Review], allowed: Sequence[AnswerKind]) -> Any:
    """What a resume must look like: langgraph checks it before saving, so a bad answer leaves the pause as it is."""

    def check(answers: Answers) -> Answers:
        given = answers["decisions"]
        if len(given) != len(held):
            shown = "1 call was shown" if len(held) == 1 else f"{len(held)} calls were shown"
            raise ValueError(f"{shown}, so as many decisions are needed, and {len(given)} came")
        for review, answer in zip(held, given, strict=True):
            _check_answer(answer, review.tool, allowed)
        return answers

    return Annotated[Answers, AfterValidator(check)]


def per_call_schema(review: Review, allowed: Sequence[AnswerKind]) -> Any:
    """As `batched_schema`, for one call."""

    def check(answer: Mapping[str, Any]) -> Mapping[str, Any]:
        _check_answer(answer, review.tool, allowed)
        return answer

    return Annotated[AnswerShape, AfterValidator(check)]


def _check_answer(answer: Mapping[str, Any], tool: str, allowed: Sequence[AnswerKind]) -> None:
    if answer["type"] not in allowed:
        raise ValueError(f"`{answer['type']}` is not allowed here: use one of {', '.join(allowed)}")
    if answer["type"] == "edit" and answer["edited_action"]["name"] != tool:
        raise ValueError(f"an edit must keep the tool `{tool}`: reject the call to have another one made")


def describe(review: Review) -> str:
    """Why a person is asked, in one line; control and direction characters are made visible."""
    reasons = "; ".join(dict.fromkeys(reason.message for reason in review.reasons)) or "needs a decision by a person"
    return visible(f"{reasons} [{review.key.digest[:19]}]")


def _facts(review: Review) -> dict[str, Any]:
    return {
        "decision_id": review.decision_id,
        "digest": review.key.digest,
        "tool_call_id": review.key.call,
        "reasons": [
            {"rule": reason.rule, "message": visible(reason.message), "asset": reason.asset}
            for reason in review.reasons
        ],
    }


# ── tool messages ────────────────────────────────────────────────────────────────────────────────────────────────────


def blocked(
    raw: Mapping[str, Any], outcome: Outcome, decision_id: str, text: str | None = None, *, reason: str = ""
) -> ToolMessage:
    """A call that did not run; the content is neutral, the artifact is for operators and is not sent to the model."""
    facts = {"decision_id": decision_id, "outcome": outcome.value, **({"reason": reason} if reason else {})}
    return ToolMessage(
        content=text or NEUTRAL[outcome],
        name=str(raw.get("name") or ""),
        tool_call_id=str(raw.get("id") or ""),
        status="error",
        artifact={"guardrail": facts},
    )


def answered(raw: Mapping[str, Any], review: Review) -> ToolMessage:
    """A call that did not run because of what a person said."""
    words = review.answer.message if review.answer else None
    if review.state == "responded":
        message = blocked(raw, Outcome.ALLOW, review.decision_id, words or " ")
        message.status = "success"
    else:
        text = f"{REJECTED} Reason given: {words}" if words else REJECTED
        message = blocked(raw, Outcome.DENY, review.decision_id, text)
    if review.answer is not None:
        message.artifact["guardrail"]["answer"] = {"kind": review.answer.kind, "approver": review.answer.approver}
    return message


def with_notice(result: Any, raw: Mapping[str, Any]) -> Any:
    """The result of an edited call, with the notice in front of what the model will read."""
    for message in _messages(result):
        if message.tool_call_id != raw.get("id"):
            continue
        content: Any = message.content
        if isinstance(content, str):
            message.content = f"{EDIT_NOTICE}\n\n{content}"
        else:
            message.content = [{"type": "text", "text": EDIT_NOTICE}, *content]
    return result


def _messages(result: Any) -> list[ToolMessage]:
    if isinstance(result, ToolMessage):
        return [result]
    if isinstance(result, list):
        items: list[Any] = result  # pyright: ignore[reportUnknownVariableType]
        return [message for item in items for message in _messages(item)]
    if isinstance(result, Command) and isinstance(result.update, dict):
        lists: list[Any] = [value for value in result.update.values() if isinstance(value, list)]  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        return [message for items in lists for message in items if isinstance(message, ToolMessage)]
    return []


def pack(result: Any) -> bytes | None:
    """What a call returned, for a turn that is run again; None for what is no plain message."""
    if not isinstance(result, ToolMessage):
        return None
    try:
        return orjson.dumps({"content": result.content, "status": result.status, "artifact": result.artifact})
    except (TypeError, ValueError, RecursionError):
        return None


def unpack(raw: Mapping[str, Any], review: Review) -> ToolMessage:
    """The message of a call that has run, as it was, or at least the word that it has run."""
    if review.result is None:
        return blocked(raw, Outcome.ALLOW, review.decision_id, CARRIED_OUT)
    kept = orjson.loads(review.result)
    return ToolMessage(name=str(raw["name"]), tool_call_id=str(raw["id"]), **kept)
