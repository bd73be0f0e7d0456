"""Settings of harnesses, by which an agent's calls are no longer shown to whoever has to be asked.

Not concerned with the settings that the guard's own hook stands in: those are assets of the guard.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from guardrail.patterns import lazy

_SETTINGS: Final[tuple[tuple[str, re.Pattern[str], re.Pattern[str]], ...]] = (
    (
        "claude",
        lazy(r"/\.claude/settings(?:\.local)?\.json$|/claude-code/managed-settings\.json$"),
        lazy(r'disableAllHooks"?\s*:\s*(?!\s|false\b)|bypassPermissions|allowManagedHooksOnly'),
    ),
    (
        "codex",
        lazy(r"/\.codex/config\.toml$|/\.codex/hooks\.json$"),
        lazy(r"\b(?:codex_)?hooks\b[^\n]*=[^\n]*\bfalse\b|danger-full-access|^\s*\{\s*\}\s*$", re.MULTILINE),
    ),
    (
        "gemini",
        lazy(r"/\.gemini/settings\.json$"),
        lazy(
            r'"(?:hooks|hooksConfig|tools)(?:\.\w+)?"\s*:[^\n]*(?:\bfalse\b|disabled)|enableHooks"?\s*:\s*false|"disabled"'
        ),
    ),
)
"""Name of a harness, files of its settings, and what stands in them where hooks are left out."""

_WHOLE: Final = frozenset(("cat", "cp", "dd", "install", "ln", "mv", "rsync", "tee"))
"""Commands that write what they read as it is."""


def unhooked(path: str, texts: Iterable[str], *, command: str, stated: bool) -> str | None:
    """The harness that does not ask any more once this is written, or of which nobody knows.

    Args:
        path: the file.
        texts: what is written, or what it is made of.
        command: the name of what writes it.
        stated: the call says what is written; else the texts are what the command reads.

    Returns:
        Its name; None if the file is no such settings, or the texts leave hooks alone.
    """
    for name, settings, telling in _SETTINGS:
        if settings.search(path):
            known = list(texts)
            clear = bool(known) and (stated or command.partition(" ")[0] in _WHOLE)
            return name if not clear or any(map(telling.search, known)) else None
    return None
