"""What a program of Node hands to code of the project that the session did not write: texts that stand in it.

To call such code is to run a program of the project, and what it is handed is named. Values are not followed, so a
program that makes one text of others, or takes one from elsewhere, is not known to hand on only what stands in it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Final

from guardrail.effects.code._literals import Calls
from guardrail.effects.code._tokens import Token
from guardrail.patterns import lazy

_HANDING: Final = frozenset(
    "log error info warn table dir equal strictEqual deepEqual deepStrictEqual notEqual notStrictEqual notDeepEqual ok "
    "throws doesNotThrow rejects fail skip todo only toBe toEqual toStrictEqual toBeTruthy toBeFalsy toBeNull "
    "toBeDefined toBeUndefined toBeCloseTo toBeGreaterThan toBeLessThan toContain toContainEqual toHaveLength toMatch "
    "toMatchObject toThrow toHaveProperty map filter forEach some every find findIndex push pop shift unshift get set "
    "has add delete clear includes indexOf startsWith endsWith test then isInteger isNaN isArray now getTime floor "
    "ceil round max min abs sqrt toFixed".split()
)
"""Members that, when they are called, make no text that was not there."""

_MAKING: Final = frozenset(
    "path os process crypto Object JSON String join basename dirname extname relative createHash randomUUID in".split()
)
"""Words that lead to texts that do not stand in the program."""

_TELLING: Final = frozenset(("source", "stack"))
"""Members that are such a text."""

_ESCAPED: Final = lazy(r"\\[^nrt\"'`\\]")
_ESCAPE: Final = lazy(r"\\(.)", re.DOTALL)


def lent_texts(calls: Calls) -> Iterator[str] | None:
    """The texts that a program may hand on; None if it may hand on others.

    Args:
        calls: the program.
    """
    elsewhere = calls.reads or calls.loads or calls.runs or calls.reads_any or calls.lists or calls.environment
    tokens = calls.rest
    if elsewhere or not all(_is_kept(tokens, at) for at in range(len(tokens))):
        return None
    # What looks like a call of Node's may be one of another function of that name.
    return itertools.chain(_texts(tokens), calls.writes, calls.appends, calls.makes)


def _is_kept(tokens: Sequence[Token], at: int) -> bool:
    """Nothing comes of a token that is a text which does not stand there."""
    token = tokens[at]
    before = tokens[at - 1] if at else Token("sign", ";")
    after = tokens[at + 1] if at + 1 < len(tokens) else Token("sign", ";")
    if token.kind == "text":
        return _ESCAPED.search(token.text) is None
    if token.kind == "sign":
        return token.text not in ("+", "+=") or (before.kind == after.kind == "number")
    if token.kind != "word":
        return True
    if before.kind != "sign" or before.text not in (".", "?."):
        return token.text not in _MAKING
    if after.kind == "sign" and after.text in ("(", "?."):
        asserted = token.text in ("match", "doesNotMatch") and at > 1 and tokens[at - 2].text == "assert"
        return token.text in _HANDING or asserted
    return token.text not in _TELLING


def _texts(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        if token.kind == "text":
            yield _ESCAPE.sub(lambda match: {"n": "\n", "r": "\r", "t": "\t"}.get(match[1], match[1]), token.text)
        elif token.kind == "pattern":
            yield f"/{token.text}/"
