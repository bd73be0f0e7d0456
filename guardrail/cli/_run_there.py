"""`guardrail run --service`: a service that works with the same trail judges the command, starts it, and records it.

Not concerned with printing what came of it (`run`).
INVARIANT: a command counts as run, and its exit code as one, only where the last word of the service says so.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guardrail.cli._remote import address_of, lines
from guardrail.cli._signals import heard
from guardrail.confine import Ended
from guardrail.errors import GuardrailError, InvalidCall

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.confine import Stream
    from guardrail.model import ToolCall

VARIABLE: Final = "GUARDRAIL_TOKEN"
"""Environment variable with the service's token, if it has one."""

EXECUTE: Final = "/v1/execute"

_STREAMS: Final[tuple[Stream, ...]] = ("stdout", "stderr")


class Interrupted(Exception):
    """This process was told to end: the service ends the tool with the connection, and records that.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number: Final = number


def address(given: str, config: Callable[[], Config]) -> str:
    """Where the service listens.

    Args:
        given: what `--service` says: an address, the path of a socket, or nothing.
        config: reads the configuration, which says it where nothing was given.
    """
    if not given:
        return address_of(config())
    return given if "://" in given else f"unix://{os.path.abspath(given)}"


def run_there(
    where: str, call: ToolCall, write: Callable[[Stream, bytes], None]
) -> tuple[Mapping[str, Any], Ended | None]:
    """Have a command carried out.

    Args:
        where: the service.
        call: the command.
        write: is given the output as it comes.

    Returns:
        The decision, and what came of the command; None if it was not released.

    Raises:
        InvalidCall: if the service says that this is no call that can be carried out.
        GuardrailError: if the service is away, refuses, or stops in the middle.
        Interrupted: if this process was told to end.
    """
    body = msgspec.json.encode({"call": call, "stream": True})
    decision: Mapping[str, Any] = {}
    with heard(_interrupted):
        for status, line in lines(where, EXECUTE, body, os.environ.get(VARIABLE, "")):
            _check(where, status, line)
            decision = line.get("decision", decision)
            for stream in _STREAMS:
                if (data := _output(line, stream)) is not None:
                    write(stream, data)
            if "ran" in line:
                return decision, _ended(line, decision)
    raise GuardrailError(f"the service at `{where}` stopped in the middle: the trail says what became of the command")


def _check(where: str, status: int, line: Mapping[str, Any]) -> None:
    if status == 200 and "problem" not in line:
        return
    problem: Mapping[str, Any] = line.get("problem", line)
    said = str(problem.get("detail") or f"it answered {status}")
    if problem.get("type") == "urn:guardrail:problem:malformed":
        raise InvalidCall(said)
    raise GuardrailError(f"the service at `{where}` did not carry it out: {said}")


def _output(line: Mapping[str, Any], stream: Stream) -> bytes | None:
    if isinstance(text := line.get(stream), str):
        return text.encode()
    coded = line.get(f"{stream}_base64")
    return base64.b64decode(coded) if isinstance(coded, str) else None


def _ended(line: Mapping[str, Any], decision: Mapping[str, Any]) -> Ended | None:
    if line["ran"] is not True:
        if decision.get("outcome") not in ("deny", "escalate"):
            raise GuardrailError("the service did not carry it out, and does not say why")
        return None
    try:
        return msgspec.convert(line.get("ended"), Ended)
    except msgspec.ValidationError as error:
        raise GuardrailError(f"the service does not say how the command ended: {error}") from None


def _interrupted(number: int) -> None:
    raise Interrupted(number)
