"""Directories that a command goes to of which not every name is known.

Not concerned with `cd` itself, nor with what links on the way do.
"""

from __future__ import annotations

from typing import Final

from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import DEEP, FIRM, NAME, NUM, SLIM, TOP, Field

_MARKS: Final = TOP + NUM + SLIM + FIRM


def entered(call: Call, field: Field) -> tuple[str | None, ...]:
    """Directories of which some names are not known, but of each that it is one; None if it may be any.

    Args:
        call: the command that goes there, from where it is.
        field: where to.
    """
    plain = field.text.replace(NAME, "").replace(FIRM, "")
    if field.glob is not None or field.many or TOP in plain or DEEP in plain:
        return (None,)
    text = call.above_fresh(field.text)
    bare = [part for part in text.split("/") if part and not part.strip(_MARKS)]
    # A name that is only what was put in may be empty as well, and then the directory is another one.
    texts = dict.fromkeys((text, "/".join("" if part in bare else part for part in text.split("/"))))
    heads = [one if one.startswith("/") else f"{(call.cwd or '').rstrip('/')}/{one}" for one in texts]
    if len(bare) > 1 or any(not one.startswith("/") or ".." in one.split("/") for one in heads):
        return (None,)
    return tuple(dict.fromkeys(map(folded, heads)))


def folded(path: str) -> str:
    """A path without empty parts and `.`: what means the same through any link; `..` is left to the filesystem."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return "/" + "/".join(parts)
