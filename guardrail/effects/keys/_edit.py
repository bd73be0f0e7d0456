"""The text that a file holds after an edit; no file is touched."""

from __future__ import annotations

from guardrail.model import Edit


def apply(edit: Edit, before: bytes | None) -> bytes | None:
    """Work out a file's content after an edit.

    Args:
        edit: the new content.
        before: the content now; None if there is no file. Where it is not known, callers MUST NOT ask for what is
            added to it: that would be taken for the whole.

    Returns:
        The content after it; None if it cannot be worked out: no text to replace, not found, ambiguous or not UTF-8.
    """
    try:
        text = edit.text.encode("utf-8", "surrogateescape")
        old = edit.old.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None
    if edit.kind == "whole":
        return text
    if edit.kind == "append":
        return (before or b"") + text
    if before is None or not old or old not in before:
        return None
    if edit.all:
        return before.replace(old, text)
    # Tools differ when the old text stands there twice: some take the first, some refuse.
    return before.replace(old, text, 1) if before.count(old) == 1 else None
