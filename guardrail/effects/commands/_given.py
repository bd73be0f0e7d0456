"""Text that a command is given to act on: its input, a file that the call made, or a small file as it is now."""

from __future__ import annotations

from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import NUM, TOP, Field


def given_text(call: Call, field: Field) -> str | None:
    """What is in a file or comes in; None if that is not exactly known.

    Args:
        call: the command.
        field: the file; `-` is standard input.
    """
    if field.text in ("-", "/dev/stdin"):
        return call.stdin.text
    if field.text == "/dev/null":
        return ""
    if not field.known or field.sources:
        return None
    data = call.content(call.place(field))
    if data is None:
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if TOP in text or NUM in text else text
