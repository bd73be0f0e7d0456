"""Whether a one-liner of Node, Ruby, PHP, Lua, R, Julia or Elixir does nothing but compute and print.

Not concerned with what a program means: each word and each bracket is judged where it stands, by lists of what is
harmless (`_words`). No value that could do harm is ever named, so that it does not matter what is called with what.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from guardrail.effects.code import _words as words
from guardrail.effects.code._languages import ELIXIR, JULIA, LUA, NODE, PHP, RUBY, R
from guardrail.effects.code._plain_node import node
from guardrail.effects.code._plain_r import r
from guardrail.effects.code._tokens import Syntax, Token
from guardrail.effects.code._vocabulary import Place, Vocabulary, words_are_plain

# -- Ruby

_RUBY: Final = Vocabulary(
    words=words.RUBY | frozenset(f"${n}" for n in range(1, 10)) | frozenset("$_ $. $, $; $/ $! $~ $stdin".split()),
    names=words.RUBY_NAMES,
    chains=words.RUBY_CHAINS,
    methods=words.RUBY_METHODS,
    links=(".", "&."),
    keys=words.RUBY_KEYS | words.RUBY_NAMES,
    called=True,
)


def _ruby(found: Sequence[Token]) -> bool:
    ready: list[Token] = []
    for at, token in enumerate(found):
        place = Place(found, at)
        if token.kind == "sign" and not _ruby_sign(place, token.text):
            return False
        symbol = place.last.text == ":" and not Place(found, at - 1).behind_operand
        if token.kind == "word" and symbol:
            if token.text not in words.RUBY_METHODS | words.RUBY_NAMES | words.RUBY_KEYS:
                return False
            token = Token("key", token.text)
        elif token.kind == "text" and symbol:
            return False
        elif token.kind == "word" and token.text in ("reduce", "inject") and _ruby_sum(place):
            token = Token("key", token.text)
        ready.append(token)
    return words_are_plain(ready, _RUBY)


def _ruby_sign(place: Place, text: str) -> bool:
    if text == "&":
        return place.next().text == ":" and place.next(2).kind == "word"
    if text in ("%", "%=", "<<"):
        return place.behind_operand and place.last.text not in words.RUBY_LEADING
    if text == "::":
        return place.last.text in ("Math", "Float")
    return text not in ("->", "**") or place.behind_operand or text == "->"


def _ruby_sum(place: Place) -> bool:
    """`reduce(:+)`, or with a block: it is handed no name of a method."""
    if place.last.text != ".":
        return False
    if place.next().text == "{":
        return True
    texts = [place.next(offset).text for offset in range(1, 5)]
    if texts[:2] == ["(", ":"]:
        return place.next(3).kind == "sign" and texts[2] in ("+", "*", "-") and texts[3] == ")"
    return texts[0] == "(" and place.next(2).kind == "number" and texts[2:] == [")", "{"]


# -- PHP, Lua, Julia, Elixir


def _php(found: Sequence[Token]) -> bool:
    for at, token in enumerate(found):
        place = Place(found, at)
        if token.kind == "sign" and token.text in ("(", "{") and place.last.kind in ("text", "number"):
            return False
        if token.text == "(" and token.kind == "sign":
            called = place.last
            if called.text in (")", "]", "}") or (called.kind == "word" and called.text[0] == "$"):
                return False  # a function whose name is a value
        if token.kind == "word" and token.text[0] != "$" and token.text not in words.PHP:
            return False
        if token.text == "$this":
            return False
    return True


_LUA: Final = Vocabulary(
    words=words.LUA,
    names=words.LUA_NAMES,
    chains=words.LUA_CHAINS,
    methods=words.LUA_METHODS,
    links=(".", ":"),
)
_JULIA: Final = Vocabulary(words=words.JULIA, names=words.JULIA_NAMES)
_ELIXIR: Final = Vocabulary(
    words=words.ELIXIR,
    names=words.ELIXIR_NAMES,
    chains=words.ELIXIR_CHAINS,
    keys=frozenset(("do", "else", "label")) | words.ELIXIR_NAMES,
)


def _lua(found: Sequence[Token]) -> bool:
    return words_are_plain(found, _LUA) and _members_are_names(found, (".", ":"), words.LUA_METHODS, _LUA.chains)


def _julia(found: Sequence[Token]) -> bool:
    return words_are_plain(found, _JULIA) and _members_are_names(found, (".",), frozenset(), frozenset())


def _elixir(found: Sequence[Token]) -> bool:
    return words_are_plain(found, _ELIXIR) and _members_are_names(found, (".",), frozenset(), _ELIXIR.chains)


def _members_are_names(
    found: Sequence[Token], links: tuple[str, ...], methods: frozenset[str], chains: frozenset[str]
) -> bool:
    """A member is one of data by a plain name, a method of a text, or the end of a chain."""
    for at, token in enumerate(found):
        place = Place(found, at)
        if token.kind != "word" or place.last.kind != "sign" or place.last.text not in links:
            continue
        chain = f"{place.next(-2).text}{place.last.text}{token.text}"
        if token.text not in words.NAMES | methods and chain not in chains:
            return False
    return True


LANGUAGES: Final[Mapping[str, tuple[Syntax, Callable[[Sequence[Token]], bool]]]] = {
    "node": (NODE, node),
    "ruby": (RUBY, _ruby),
    "php": (PHP, _php),
    "lua": (LUA, _lua),
    "R": (R, r),
    "julia": (JULIA, _julia),
    "elixir": (ELIXIR, _elixir),
}
"""How each language is read, and what says whether its tokens are plain."""
