"""Names that the index of a repository holds: what `git ls-files` prints, whether the files are there or not.

Not concerned with anything else that an index says. A form of it that is not read gives no names, which is not none.
"""

from __future__ import annotations

import re
from typing import Final

from guardrail.effects._index_names import index_names
from guardrail.effects.commands._git_repo import root
from guardrail.effects.domain._call import Call

MAX_INDEX_BYTES: Final = 4 * 1024 * 1024
"""Largest index that is looked at, in bytes."""

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
    found = _listed(call, where)
    return found is not None and not any(_CODE.search(name) for name in found)


def _listed(call: Call, top: str) -> list[bytes] | None:
    folder = f"{top.rstrip('/')}/.git"
    if call.shell.view.kind(folder) == "dir" and call.shell.view.kind(f"{folder}/index") is None:
        return []  # nothing was added yet
    data = call.shell.view.read(f"{folder}/index", MAX_INDEX_BYTES)
    return index_names(data) if data is not None else None
