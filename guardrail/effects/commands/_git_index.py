"""Names that the index of a repository holds: what `git ls-files` prints, whether the files are there or not.

Not concerned with anything else that an index says. A form of it that is not read gives no names, which is not none.
"""

from __future__ import annotations

import re
from typing import Final

from guardrail.effects.commands._git_repo import root
from guardrail.effects.domain._call import Call

MAX_INDEX_BYTES: Final = 4 * 1024 * 1024
"""Largest index that is looked at, in bytes."""

_HEAD: Final = 12
_ENTRY: Final = 62
_EXTENDED: Final = 0x4000
_CODE: Final = re.compile(rb"^-|[^\w.,:@%+=/-]")
"""What a shell may read as more than a letter of a word."""


def names_are_words(call: Call) -> bool:
    """Whether each name that is tracked, and each that is there, is one plain word in the text of a shell as well.

    Args:
        call: `git ls-files`.
    """
    where = root(call).path
    told = any(name.startswith("GIT_") for name in call.state.vars)
    if where is None or call.cwd is None or told or not call.shell.view.inert(call.cwd):
        return False
    data = call.shell.view.read(f"{where.rstrip('/')}/.git/index", MAX_INDEX_BYTES)
    found = _names(data) if data is not None else None
    return found is not None and not any(_CODE.search(name) for name in found)


def _names(data: bytes) -> list[bytes] | None:
    """All names of an index; None for a form that is not read."""
    version = int.from_bytes(data[4:8], "big")
    if data[:4] != b"DIRC" or version not in (2, 3):
        return None
    found: list[bytes] = []
    at = _HEAD
    for _ in range(int.from_bytes(data[8:12], "big")):
        flags = int.from_bytes(data[at + 60 : at + 62], "big")
        begin = at + _ENTRY + (2 if flags & _EXTENDED else 0)
        end = data.find(b"\0", begin)
        if end < 0:
            return None
        found.append(data[begin:end])
        # Entries are filled up to a multiple of eight bytes, with at least one that is zero.
        at += (end - at) // 8 * 8 + 8
    return found
