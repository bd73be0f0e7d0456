"""Names of tools that a model, or a person, would take for each other. Pure.

Not complete as a list of letters that look alike, and need not be: a name that is not plain ASCII is never taken on
trust, whatever it looks like.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./-]{1,128}")
"""What the specification allows in a tool's name, 2025-11-25 `server/tools`."""

_SERVER: Final = re.compile(r"[A-Za-z0-9.-]+(?:_[A-Za-z0-9.-]+)*")
"""What a server may be called: `__` ends its name in `mcp__SERVER__TOOL`, so no `_` is first, last or doubled."""

_LOOKS: Final = str.maketrans(
    {
        **dict(zip("аеорсухіѕјԁԛԝһѵӏкмнтв", "aeopcyxisjdqwhvlkmhtb", strict=True)),  # Cyrillic
        **dict(zip("αορνικτυχγωεη", "aopviktuxywen", strict=True)),  # Greek
        "0": "o", "1": "l", "i": "l", "|": "l", "ı": "l", "$": "s", "5": "s",
    }
)  # fmt: skip
"""Letters and digits that pass for others, by what they pass for; `i`, `l` and `1` are one."""


def is_server(name: str) -> bool:
    """Whether a server may be called so."""
    return _SERVER.fullmatch(name) is not None


def is_plain(name: str) -> bool:
    """Whether a name has only the characters that the specification allows, so that nothing in it is hidden."""
    return _PLAIN.fullmatch(name) is not None


def skeleton(name: str) -> str:
    """What a name looks like: two names with one skeleton may be mistaken for each other."""
    decomposed = unicodedata.normalize("NFKD", name).casefold()
    seen = "".join(char for char in decomposed if unicodedata.category(char) not in ("Mn", "Me", "Cf", "Cc"))
    # Twice: a Cyrillic letter stands for a Latin one, which may stand for another.
    return re.sub(r"[^\w]|_", "", seen.translate(_LOOKS).translate(_LOOKS))
