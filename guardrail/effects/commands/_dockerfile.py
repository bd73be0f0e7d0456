"""Which names of its context a Dockerfile takes into the image.

Not concerned with what its `RUN` lines do: they run in the image.
"""

from __future__ import annotations

import json
import re
from typing import Final

from guardrail.patterns import lazy

MAX_TAKEN: Final = 256
"""Most names taken out of one Dockerfile; with more, the whole context is meant."""

_COMMENT = lazy(r"^[ \t]*#.*\n?", re.MULTILINE)
_ESCAPE = lazy(r"#[ \t]*escape[ \t]*=", re.IGNORECASE)
_JOINED = lazy(r"\\[ \t]*\n(?:[ \t]*\n)*")
_TAKES = lazy(r"^[ \t]*(?:ONBUILD[ \t]+)?(?:COPY|ADD)[ \t]+(?P<rest>.+)$", re.IGNORECASE | re.MULTILINE)
_UNCLEAR = lazy(r"[$*?\[\\\"']")
"""What makes several names of one, or another one."""

_BOUND = lazy(r"--mount=(?P<facts>\S+)")
_FROM: Final = "--from="


def taken(text: str) -> list[str] | None:
    """Names below the context, as the file has them; None if one of them is not known.

    Args:
        text: the Dockerfile.
    """
    names: list[str] = []
    if _ESCAPE.search(text):
        return None
    joined = _JOINED.sub("", _COMMENT.sub("", text))
    for match in _TAKES.finditer(joined):
        words = _words(match["rest"])
        if any(word.startswith(_FROM) for word in words):
            continue
        sources = [word for word in words if not word.startswith("--")][:-1]
        names.extend(source for source in sources if "://" not in source and not source.startswith("<<"))
    for match in _BOUND.finditer(joined):
        facts = {key: value for key, _, value in (part.partition("=") for part in match["facts"].split(","))}
        if facts.get("type", "bind") == "bind" and "from" not in facts:
            names.append(facts.get("source") or facts.get("src") or ".")
    if len(names) > MAX_TAKEN or any(map(_UNCLEAR.search, names)):
        return None
    return list(dict.fromkeys(names))


def _words(rest: str) -> list[str]:
    text = rest.strip()
    if text.startswith("["):
        try:
            words = json.loads(text)
        except ValueError:
            return text.split()
        return [str(word) for word in words]
    return text.split()
