"""What a harness is told, in its own words.

For a command that is hooked in, the one form that holds everywhere: an allow is exit code 0 and no output, a denial
exit code 2 with a reason on standard error and nothing on standard output. An allow says nothing, so that the harness's
own rules still apply.
For Claude Code's hooks over HTTP it is always one JSON object: an empty body counts as no opinion.
"""

from __future__ import annotations

from typing import Final

import msgspec
import orjson

from guardrail.model import NEUTRAL, Decision, Outcome
from guardrail.printing import printable

EXIT_PROCEED: Final = 0
"""Exit code with which the harness goes on."""

EXIT_BLOCK: Final = 2
"""Exit code with which every harness stops the call, if standard error has a reason."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the hook process says.

    Args:
        exit_code: 0 or 2.
        stdout: for the harness.
        stderr: for the agent, if the call is stopped.
    """

    exit_code: int = EXIT_PROCEED
    stdout: bytes = b""
    stderr: bytes = b""


PROCEED: Final = Answer()
"""Go on: a call that is allowed, or an event that is none."""


def block(reason: str) -> Answer:
    """Stop the call.

    Args:
        reason: one sentence; the agent reads it.
    """
    return Answer(exit_code=EXIT_BLOCK, stderr=printable(reason).encode("utf-8", "replace") + b"\n")


def ask(harness: str, reason: str) -> Answer:
    """Have the person at the harness decide.

    Args:
        harness: `claude-code` or `gemini-cli`.
        reason: what they are shown.
    """
    shown = printable(reason)
    if harness == "gemini-cli":
        return Answer(stdout=orjson.dumps({"decision": "ask", "reason": shown}))
    asked = {"hookEventName": "PreToolUse", "permissionDecision": "ask", "permissionDecisionReason": shown}
    return Answer(stdout=orjson.dumps({"hookSpecificOutput": asked}))


def told(decision: Decision) -> str:
    """What the agent may read about a call that does not run."""
    if decision.outcome is Outcome.ESCALATE and decision.escalation:
        return (
            f"{NEUTRAL[Outcome.ESCALATE]} Approval {decision.escalation} is pending: "
            "send the same call again once it is given."
        )
    return decision.neutral


def no_decision(why: str) -> Answer:
    """Stop a call that could not be judged.

    Args:
        why: what went wrong and how to mend it, one sentence.
    """
    return block(f"{NEUTRAL[Outcome.DENY]} There was no decision: {why}")


def as_http(answer: Answer) -> bytes:
    """An answer for Claude Code's hooks over HTTP, whole in every case."""
    if answer.stdout:
        return answer.stdout
    output: dict[str, str] = {"hookEventName": "PreToolUse"}
    if answer.exit_code:
        output["permissionDecision"] = "deny"
        output["permissionDecisionReason"] = answer.stderr.decode().strip()
    return orjson.dumps({"hookSpecificOutput": output})
