r"""JSON-RPC frames, read so that nobody behind us can read them otherwise. Pure.

Not concerned with what a method means. What is forwarded is `dump` of what `parse` gave, never the bytes received:
a search for `tools/call` in bytes misses `tools\u002fcall`, and parsers differ on duplicate keys, on the case of keys
and on numbers that they cannot hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from guardrail import InvalidCall
from guardrail.canonical import check_depth
from guardrail.printing import visible
from guardrail_adapters.mcp._names import skeleton

MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
"""Largest frame in either direction, in bytes; a larger one ends the connection."""

MAX_FRAME_DEPTH: Final = 128
"""Deepest nesting of arrays and objects in a frame."""

MAX_METHOD_CHARS: Final = 256
"""Longest name of a method."""

MAX_SAFE_INTEGER: Final = 2**53 - 1
"""Largest integer that every JSON parser reads as the same number."""

MAX_BATCH: Final = 64
"""Most messages in one batch, where the protocol's version has batches."""

INVALID_REQUEST: Final = -32600
PARSE_ERROR: Final = -32700
INTERNAL_ERROR: Final = -32603
HEADER_MISMATCH: Final = -32020

Message = dict[str, Any]
"""One JSON-RPC message."""

Id = str | int
"""What a request may be called."""

_CALL: Final = "tools/call"

_KNOWN: Final[Mapping[str, Mapping[str, str]]] = {
    level: {name.casefold(): name for name in names.split()}
    for level, names in {
        "message": "jsonrpc id method params result error",
        "params": "name arguments _meta requestState inputResponses task taskId cursor uri requestId",
    }.items()
}


class RefusedFrame(ValueError):
    """A frame that goes no further: it is no message, or one that two parsers may read as two.

    Args:
        why: one sentence.
        id: of the request it was, if that is certain.
        code: JSON-RPC's.
    """

    def __init__(self, why: str, *, id: Id | None = None, code: int = INVALID_REQUEST) -> None:  # noqa: A002 - JSON-RPC's name
        super().__init__(why)
        self.id: Final = id
        self.code: Final = code

    def answer(self) -> Message:
        """The error that its sender gets."""
        return {"jsonrpc": "2.0", "id": self.id, "error": {"code": self.code, "message": str(self)}}


def parse(data: bytes) -> Message | list[Message]:
    """Read a frame.

    Args:
        data: UTF-8.

    Returns:
        The message, or those of a batch.

    Raises:
        RefusedFrame: if it is no JSON-RPC, or could be read in two ways.
    """
    if len(data) > MAX_FRAME_BYTES:
        raise RefusedFrame(f"a frame may have at most {MAX_FRAME_BYTES} bytes")
    try:
        check_depth(data, MAX_FRAME_DEPTH)
        value: object = json.loads(
            data.decode(),
            object_pairs_hook=_once,
            parse_float=_finite,
            parse_int=_safe,
            parse_constant=_constant,
        )
    except RefusedFrame:
        raise
    except InvalidCall:
        raise RefusedFrame(f"a frame may be nested at most {MAX_FRAME_DEPTH} deep") from None
    except (ValueError, RecursionError):
        raise RefusedFrame("not JSON", code=PARSE_ERROR) from None
    if isinstance(value, list):
        items = cast("list[object]", value)
        if not 0 < len(items) <= MAX_BATCH:
            raise RefusedFrame(f"a batch has between 1 and {MAX_BATCH} messages")
        return [_message(item) for item in items]
    return _message(value)


def parse_one(data: bytes) -> Message:
    """`parse`, where there are no batches.

    Raises:
        RefusedFrame: also if it is one.
    """
    message = parse(data)
    if isinstance(message, list):
        raise RefusedFrame("batches are part of protocol 2025-03-26 only: send each message by itself")
    return message


def dump(message: Message) -> bytes:
    """A message as one line of ASCII, with its end."""
    # ASCII also survives lone surrogates, which JSON can spell and UTF-8 cannot.
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def request_id(message: Message) -> Id | None:
    """The id of a request or a response; None for a notification.

    Raises:
        RefusedFrame: if it is neither text nor a whole number.
    """
    if "id" not in message:
        return None
    value: object = message["id"]
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RefusedFrame("`id` must be text or a whole number")
    return value


def params_of(message: Message) -> dict[str, Any]:
    """The parameters of a message, empty if it has none."""
    params: object = message.get("params")
    return cast("dict[str, Any]", params) if isinstance(params, dict) else {}


def table(value: object) -> dict[str, Any]:
    """An object, empty if it is something else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _message(value: object) -> Message:
    if not isinstance(value, dict):
        raise RefusedFrame("a message is an object")
    message = cast("Message", value)
    identity = message.get("id")
    certain = identity if isinstance(identity, str | int) and not isinstance(identity, bool) else None
    _spelled(message, "message", certain)
    if message.get("jsonrpc") != "2.0":
        raise RefusedFrame('a message has `"jsonrpc": "2.0"`', id=certain)
    method = message.get("method", "")
    if not isinstance(method, str):
        raise RefusedFrame("`method` must be text", id=certain)
    if len(method) > MAX_METHOD_CHARS:
        raise RefusedFrame(f"`method` may have at most {MAX_METHOD_CHARS} characters", id=certain)
    # INVARIANT: what a lenient server could take for a tool call is one, or goes no further.
    if method != _CALL and skeleton(method.strip()) == skeleton(_CALL):
        raise RefusedFrame(f"`{visible(method)[:64]}` must be spelled `{_CALL}`", id=certain)
    if "method" in message and ("result" in message or "error" in message):
        raise RefusedFrame("a message is a request or a response, not both", id=certain)
    params: object = message.get("params", {})
    if not isinstance(params, dict):
        raise RefusedFrame("`params` must be an object", id=certain)
    _spelled(cast("dict[str, Any]", params), "params", certain)
    return message


def _spelled(found: Iterable[str], level: str, identity: Id | None) -> None:
    """INVARIANT: no key is a known one in other letters: some parsers match them without regard to case."""
    known = _KNOWN[level]
    for key in found:
        if known.get(key.casefold(), key) != key:
            raise RefusedFrame(f"`{visible(key)}` must be spelled `{known[key.casefold()]}`", id=identity)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RefusedFrame(f"`{visible(twice)[:64]}` stands twice in one object")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if value - value != 0:
        raise RefusedFrame(f"the number `{text[:32]}` is out of range")
    return value


def _safe(text: str) -> int:
    # The length first: converting a million digits takes long.
    if len(text) > 17 or abs(value := int(text)) > MAX_SAFE_INTEGER:
        raise RefusedFrame(f"the number `{text[:32]}` is out of range: not every parser can hold it")
    return value


def _constant(name: str) -> object:
    raise RefusedFrame(f"`{name}` is not JSON", code=PARSE_ERROR)
