"""Whether a search for text prints only lines with words that it names, such as no secret of chance has in it.

Not concerned with what is searched.
"""

from __future__ import annotations

import re
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.domain._values import Field
from guardrail.patterns import lazy

MIN_SOUGHT: Final = 3
"""Shortest run of characters that a line has to hold; a random key of 43 base64 digits holds one in 6,000 times."""

MAX_SOUGHT: Final = 16
"""Most texts of which a line may hold any one."""

SEARCHES: Final = frozenset("grep egrep fgrep ggrep gegrep gfgrep rg ag ack ugrep ug".split())
"""Programs that print the lines in which a pattern is found."""

_ALWAYS_THERE: Final = (
    "-----begin encrypted private key----- -----begin private key----- -----end encrypted private key-----",
    "-----begin openssh private key----- -----end openssh private key----- -----end private key-----",
    "mc4caqawbqydk2vwbciei mc4caqewbqydk2vwbciei mfecaqewbqydk2vwbciei mfmcaqewbqydk2vwbciei",
)
"""What stands in every file with a private key, in small letters."""

_OPTIONAL = lazy(r"\)\\?[?*{]|\(\?(?!:|i\))")
"""A group that need not be there, or that looks about: too much to follow."""

_PIECES = lazy(
    r"\[\^?+\]?+(?:\[:\w+:\]|[^\]])*+(?:\]|\Z)|\\[A-Za-z0-9<>]|\\?[(){}+^$]|(?<!\\)\.|[^\\](?=\\?[?*{])|\\.(?=\\?[?*{])|[?*]"
)
"""What a regular expression has between the texts that a line must hold as they are."""

_WIDER: Final = ("--invert-match", "--file", "--passthru", "--passthrough")
"""Options with which other lines are printed, or those of patterns that stand elsewhere."""


def is_sought(parsed: Parsed) -> bool:
    """Whether every line that is printed holds a text that the command names, and that no key has by itself."""
    if parsed.unknown or parsed.has(*_WIDER) or parsed.value("--file") is not None:
        return False
    given = [*parsed.values_of("--regexp"), *parsed.values_of("--match")] or parsed.operands[:1]
    return 0 < len(given) <= MAX_SOUGHT and all(map(_names_text, given))


def _names_text(field: Field) -> bool:
    """What would be a pattern to one program and plain text to another is taken for either."""
    if not field.known or _OPTIONAL.search(field.text):
        return False
    ways = re.split(r"\\?\||\n", field.text)
    return len(ways) <= MAX_SOUGHT and all(any(map(_rare, _PIECES.sub("\0", way).split("\0"))) for way in ways)


def _rare(text: str) -> bool:
    plain = text.replace("\\", "").lower()
    return len(plain) >= MIN_SOUGHT and not any(plain in said for said in _ALWAYS_THERE)
