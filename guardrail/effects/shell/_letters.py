"""`getopts` over positional parameters that are known: which option comes next, and what it is given.

Not concerned with letters that stand together (`-ab`): which of them is next is nowhere to be seen.
"""

from __future__ import annotations

import msgspec

from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import is_known


class Letter(msgspec.Struct, frozen=True):
    """What `getopts` finds.

    Args:
        name: the letter, or `?` at the end and for one that is not among the options.
        index: what `OPTIND` is afterwards.
        value: what the option is given; None if that is not looked into.
        ended: there are no more options.
    """

    name: str
    index: int
    value: str | None = None
    ended: bool = False


def next_letter(state: State, options: str) -> Letter | None:
    """What `getopts` finds next; None if that is not known.

    Args:
        state: the shell, with its positional parameters.
        options: the letters, as `getopts` has them.
    """
    index = index_of(state)
    if index is None or state.args is None or not is_known(options):
        return None
    word = state.args[index - 1] if index <= len(state.args) else ""
    if not is_known(word) or word[:1] == "+":
        return None
    if word[:1] != "-" or word in ("-", "--"):
        return Letter("?", index + (word == "--"), ended=True)
    place = options.lstrip(":").find(word[1])
    if place < 0 or word[1] == ":":
        return Letter("?", index + 1) if len(word) == len("-x") else None
    if options.lstrip(":")[place + 1 : place + 2] != ":":
        return Letter(word[1], index + 1) if len(word) == len("-x") else None
    if len(word) > len("-x"):
        return Letter(word[1], index + 1, word[2:])
    if index >= len(state.args) or not is_known(state.args[index]):
        return None
    return Letter(word[1], index + 2, state.args[index])


def index_of(state: State) -> int | None:
    """`OPTIND`, if it is known."""
    value = state.vars.get("OPTIND")
    text = value.alternatives[0] if value is not None and len(value.alternatives) == 1 else ""
    return int(text) if text.isascii() and text.isdecimal() and 0 < len(text) < 5 and int(text) else None
