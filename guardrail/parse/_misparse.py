"""What is raised where the syntax of a text is not understood, or not vouched for."""

from __future__ import annotations


class Misparse(Exception):
    """The parser cannot vouch for this text; the message says why."""


class EndOfLine(Misparse):
    """The grammar took words of two lines for one command.

    Args:
        reason: why the text is not vouched for.
        at: offset of the newline between them.
    """

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(reason)
        self.at = at
