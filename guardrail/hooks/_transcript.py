"""The call as Codex wrote it into its own transcript, which its hook shows only in part."""

from __future__ import annotations

import os
from typing import Any, Final, cast

import msgspec

TAIL_BYTES: Final = 1024 * 1024
"""How much of the end of a transcript is looked through, in bytes: the call was written there just now."""


def call_in_transcript(path: str, call_id: str) -> dict[str, Any] | None:
    """Arguments of a call that is about to be made.

    Args:
        path: the transcript, one JSON object a line.
        call_id: the call's id.

    Returns:
        Its arguments; None if the transcript cannot be read or does not have it, or has it twice with different ones.
    """
    if not call_id:
        return None
    found: list[dict[str, Any]] = []
    for line in _tail(path):
        if call_id.encode() not in line:
            continue
        arguments = _arguments(line, call_id)
        if arguments is not None:
            found.append(arguments)
    return dict(found[0]) if found and all(one == found[0] for one in found) else None


def _tail(path: str) -> list[bytes]:
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - TAIL_BYTES))
            data = file.read(TAIL_BYTES)
    except (OSError, ValueError):
        return []
    lines = data.split(b"\n")
    return lines if size <= TAIL_BYTES else lines[1:]


def _arguments(line: bytes, call_id: str) -> dict[str, Any] | None:
    try:
        value: object = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    entry = cast("dict[str, Any]", value)
    item = entry.get("payload", entry)
    if not isinstance(item, dict):
        return None
    call = cast("dict[str, Any]", item)
    if call.get("type") != "function_call" or call.get("call_id") != call_id:
        return None
    try:
        arguments: object = msgspec.json.decode(call.get("arguments", ""))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError):
        return None
    return cast("dict[str, Any]", arguments) if isinstance(arguments, dict) else None
