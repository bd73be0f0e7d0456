"""The commonest texts, read without a grammar: one command of words in which nothing is special to a shell.

Half of what agents run is of this kind, and building a syntax tree is most of what reading it costs.
Not concerned with any text that a quote, an operator, an expansion or a reserved word stands in.
"""

from __future__ import annotations

import re
from typing import Final

from guardrail.parse._simple import RESERVED
from guardrail.parse.ir import Script, Simple, Text, Word

_COMMAND: Final = re.compile(r"[A-Za-z0-9_./:@%+,-]+(?: +[A-Za-z0-9_./:=@%+,^-]+)*")
_WORD: Final = re.compile(r"[^ ]+")

# Their arguments are read as assignments, and `time` is part of the syntax.
_ELSEWHERE: Final = RESERVED | frozenset("export declare typeset readonly local unset unsetenv time".split())


def plain_command(text: str) -> Script | None:
    """The tree of a text that is one plain command.

    Args:
        text: bash source.

    Returns:
        What `parse_shell` gives by the grammar; None if the text is anything else.
    """
    # INVARIANT: no character of these is special to bash, so blanks alone separate words and each word is itself. The
    # first one has no `=`, so it assigns nothing, and begins no other syntax.
    if not _COMMAND.fullmatch(text):
        return None
    words = tuple(
        [
            Word(parts=(Text(text=match[0]),), start=match.start(), end=match.end(), plain=match[0])
            for match in _WORD.finditer(text)
        ]
    )
    if words[0].plain in _ELSEWHERE:
        return None
    return Script(body=(Simple(words=words, assigns=(), redirects=(), start=0, end=len(text)),), text=text)
