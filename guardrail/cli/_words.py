"""Numbers as people read them."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 asset`, `2 assets`.

    Args:
        number: how many.
        one: the noun for one.
        many: the noun for any other number; `one` and an s by default.
    """
    return f"{number} {one if number == 1 else many or one + 's'}"
