"""Which words may stand where in a program that only computes and prints, whatever its language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from guardrail.effects.code import _words as words
from guardrail.effects.code._tokens import Token

_AFTER: Final = Token("sign", ";")


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True):
    """What words may stand in a program of one language.

    Args:
        words: what may stand anywhere.
        names: variables.
        chains: names with members, as `Math.max`.
        methods: members that may be called.
        links: what stands before a member.
        keys: what may stand before a colon.
        called: a member is called also without parentheses.
    """

    words: frozenset[str]
    names: frozenset[str]
    chains: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()
    links: tuple[str, ...] = (".",)
    keys: frozenset[str] = frozenset()
    called: bool = False


class Place:
    """One token among its neighbours."""

    __slots__ = ("all", "at")

    def __init__(self, every: Sequence[Token], at: int) -> None:
        self.all = every
        self.at = at

    def next(self, offset: int = 1) -> Token:
        """The token so many further on; the end of a statement where there is none."""
        at = self.at + offset
        return self.all[at] if 0 <= at < len(self.all) else _AFTER

    @property
    def last(self) -> Token:
        """The token before."""
        return self.next(-1)

    @property
    def behind_operand(self) -> bool:
        """What stands before is a value, so that an operator follows."""
        last = self.last
        return last.kind in ("number", "text", "pattern", "word") or last.text in (")", "]", "}")


def words_are_plain(found: Sequence[Token], vocabulary: Vocabulary) -> bool:
    """Every word of a program is one that may stand where it does."""
    skip = 0
    for at, token in enumerate(found):
        if skip:
            skip -= 1
        elif token.kind == "word":
            place = Place(found, at)
            length = _chain(place, vocabulary)
            if length:
                skip = length - 1
            elif not _word_is_plain(place, token.text, vocabulary):
                return False
    return True


def _chain(place: Place, vocabulary: Vocabulary) -> int:
    """How many tokens the longest known chain takes that begins here."""
    if place.last.text in vocabulary.links:
        return 0
    text, length, at = place.next(0).text, 0, 1
    while place.next(at).kind == "sign" and place.next(at).text in (*vocabulary.links, "::"):
        if place.next(at + 1).kind != "word":
            break
        text += place.next(at).text + place.next(at + 1).text
        at += 2
        if text in vocabulary.chains:
            length = at
    return length


def _word_is_plain(place: Place, text: str, vocabulary: Vocabulary) -> bool:
    if place.last.kind == "sign" and place.last.text in vocabulary.links:
        if vocabulary.called or place.next().text == "(" or place.next().kind == "text":
            return text in vocabulary.methods
        return text not in words.INNER
    if place.next().text == ":" and place.last.text in ("{", ",", "(") and text in vocabulary.keys:
        return True
    return text in vocabulary.words or text in vocabulary.names
