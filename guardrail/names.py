"""Names of people and agents: when two of them may be one, and when they certainly are. And of kinds of records.

INVARIANT: `alike` is for keeping somebody out and for counting heads, where two spellings must not make two people;
`same` is for letting somebody in, where a look-alike must not pass for another.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_KINDS: Final = ("config:", "server:", "unverified:", "user:", "human:", "person:", "agent:", "mailto:", "acct:")
"""Words before a name that say what it is or how it is known, and not whose it is."""

RECORD_KINDS: Final = (
    "config", "intent", "decision", "kernel", "result", "obligation", "escalation", "vote", "grant", "redemption",
    "order", "asset", "key", "retention", "redaction", "checkpoint", "gap", "clock",
)  # fmt: skip
"""What kinds of records a trail may hold."""


def alike(name: str) -> str:
    """A form that is the same for all names that could be meant to be one: kind, case, blanks and look of letters go.

    Full-width and otherwise compatible letters become plain (NFKC), and what is not seen is left out; letters of other
    scripts stay what they are.
    """
    seen = "".join(char for char in name if unicodedata.category(char) not in ("Cf", "Cc"))
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold()).strip()
    kind = next((kind for kind in _KINDS if text.startswith(kind)), "")
    return alike(text[len(kind) :]) if kind else text


def same(name: str) -> str:
    """A form that only spellings of one name share: ASCII letters lose their case, and nothing else is taken for
    another.

    The Kelvin sign folds to `k` and `ß` to `ss`: by `str.casefold` somebody could be registered as somebody else.
    """
    return name.lower() if name.isascii() else name
