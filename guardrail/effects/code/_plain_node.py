"""Whether a one-liner of Node does nothing but compute and print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from guardrail.effects.code import _words as words
from guardrail.effects.code._tokens import Token
from guardrail.effects.code._vocabulary import Place, Vocabulary, words_are_plain

_NODE: Final = Vocabulary(
    words=words.NODE,
    names=words.NODE_NAMES,
    chains=words.NODE_CHAINS,
    methods=words.NODE_METHODS,
    links=(".", "?."),
)


def node(found: Sequence[Token]) -> bool:
    """Every token of a program of Node is harmless where it stands."""
    opened: list[int] = []
    ready: list[Token] = []
    for at, token in enumerate(found):
        place = Place(found, at)
        if token.kind == "text" and place.next().text == ":" and not _is_key(token.text):
            return False
        if token.kind == "word":
            token = _node_word(place, token)
        elif token.text in ("(", "[", "{") and token.kind == "sign":
            opened.append(at)
        elif token.text in (")", "]", "}") and token.kind == "sign":
            if token.text == "]" and not _node_bracket(found, opened[-1], at):
                return False
            opened.pop()
        ready.append(token)
    return words_are_plain(ready, _NODE)


def _is_key(text: str) -> bool:
    return "\\" not in text and text not in words.INNER


def _node_word(place: Place, token: Token) -> Token:
    """A name that stands for itself, or may be called or made as it stands, is no word any more."""
    text = token.text
    if place.last.kind == "sign" and place.last.text in (".", "?."):
        searched = text == "exec" and place.next(-2).kind == "pattern" and place.next().text == "("
        return Token("key", text) if searched else token
    if place.next().text == ":" and place.last.text in ("{", ",") and place.last.kind == "sign":
        return Token("key", text) if text not in words.INNER else token
    made = place.last.text == "new" and text in words.NODE_MADE and place.next().text == "("
    called = text in words.NODE_CALLED and place.next().text in ("(", ")", ",")
    return Token("number", "0") if (made or called) and place.next().kind == "sign" else token


def _node_bracket(found: Sequence[Token], begin: int, end: int) -> bool:
    """A list, or a subscript that cannot be the name of an inner member."""
    place = Place(found, begin)
    last, inside = place.last, found[begin + 1 : end]
    if last.text in ("{", ",") and last.kind == "sign" and Place(found, end).next().text in (":", "("):
        return False  # a key that is computed
    if not _is_subscript(place):
        return True
    if not inside:
        return False
    named = all(token.text == "." if at % 2 else token.kind == "word" for at, token in enumerate(inside))
    if named and len(inside) % 2 and last.kind == "word" and _is_counted(found, begin, end):
        return True
    if len(inside) == 1:
        only = inside[0]
        return only.kind == "number" or (only.kind == "text" and _is_key(only.text)) or _counts(found, only.text)
    # A sum that ends with a number is a number, or a text that ends with a digit.
    sum_ends = inside[-1].kind == "number" and inside[-2].kind == "sign" and inside[-2].text in ("+", "-", "%")
    return sum_ends and all(token.kind in ("word", "number") or token.text in (".", "+", "-", "%") for token in inside)


def _is_counted(found: Sequence[Token], begin: int, end: int) -> bool:
    """`counts[name] = …` and `= (counts[name] || 0) + …`: what is there, if it is a function, goes nowhere."""
    member = Place(found, begin - 1).last
    after = [Place(found, end).next(offset) for offset in range(1, 5)]
    if member.kind == "sign" and member.text in (".", "?."):
        return False
    if after[0].kind == "sign" and after[0].text == "=":
        return True
    before = [Place(found, begin - 1).next(-offset).text for offset in (1, 2)]
    if [token.text for token in after] == ["||=", "[", "]", ")"] and Place(found, end).next(5).text == ".":
        # Of what is there nothing is done but `push`, which no function has.
        return Place(found, begin - 1).last.text == "(" and Place(found, end).next(6).text == "push"
    default = after[0].text in ("??", "||") and after[1].kind == "number" and after[2].text == ")"
    return before == ["(", "="] and default and after[3].kind == "sign" and after[3].text in ("+", "-", "*")


def _is_subscript(place: Place) -> bool:
    """A bracket behind a value."""
    last = place.last
    leading = last.kind == "word" and last.text in words.NODE_LEADING | {"of", "const", "let", "var", "await"}
    return not leading and (place.behind_operand or last.text == "?.")


_COMPARING: Final = frozenset("< > <= >= === !== == != - * % ) ;".split())


def _counts(found: Sequence[Token], name: str) -> bool:
    """A variable that never holds anything but a number, by all places where it stands."""
    if name == words.DECLARED:
        return False  # that is more names than one
    places = [Place(found, at) for at, token in enumerate(found) if token.kind == "word" and token.text == name]
    return any(_begins_count(place) for place in places) and all(map(_stays_number, places))


def _begins_count(place: Place) -> bool:
    begins = place.last.text == "let" and place.next().text == "=" and place.next(2).kind == "number"
    return begins and place.next(3).text in (";", ",")


def _stays_number(place: Place) -> bool:
    last, following = place.last, place.next()
    if last.text in (".", "?.") or _begins_count(place):
        return True
    if following.text in ("++", "--") or last.text in ("++", "--"):
        return True
    if following.text in ("+=", "-="):
        return place.next(2).kind == "number" and place.next(3).text in (")", ";")
    if last.text == "[":
        return following.text == "]" and _is_subscript(Place(place.all, place.at - 1))
    if last.text in ("(", ",") and following.text in (",", ")"):
        return _is_argument(place)
    return following.text in _COMPARING and last.text in ("<", ">", "<=", ">=", ";", "+", "-", "*")


def _is_argument(place: Place) -> bool:
    """It is handed to a function, and no parameter of one, nor taken out of a list."""
    depth = 0
    for offset in range(1, len(place.all) - place.at):
        token = place.next(offset)
        if token.kind == "sign" and token.text in (")", "]", "}"):
            if depth == 0:
                return token.text == ")" and place.next(offset + 1).text not in ("=>", "{")
            depth -= 1
        depth += token.kind == "sign" and token.text in ("(", "[", "{")
    return False
