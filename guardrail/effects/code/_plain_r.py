"""Whether a one-liner of R does nothing but compute and print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from guardrail.effects.code import _words as words
from guardrail.effects.code._tokens import Token
from guardrail.effects.code._vocabulary import Place


def r(found: Sequence[Token]) -> bool:
    """Every token of a program of R is harmless where it stands."""
    named = {token.text for token in found if token.kind == "word"}
    applied = named & words.R_APPLY
    if applied and (named & words.R_ODD or any(token.text == "|>" for token in found)):
        return False
    return all(_r_token(Place(found, at), token, applied=bool(applied)) for at, token in enumerate(found))


def _r_token(place: Place, token: Token, *, applied: bool) -> bool:
    text, following = token.text, place.next()
    gets = following.kind == "sign" and following.text in ("=", "<-", "<<-")
    if token.kind == "text":
        return not gets
    if token.kind != "word" or place.last.text == "$":
        return True
    if text == "FUN":
        return following.text == "=" and _is_function(place.next(2), place.next(3)) and not applied
    if gets:
        return text in words.R_NAMES or (following.text == "=" and text in words.R_KEYS)
    if place.last.text == "(" and place.next(-2).text == "for":
        return text in words.R_NAMES
    if text == "function":
        return _r_parameters(place)
    if text in words.R_APPLY:
        return _r_applies(place)
    if text == "aggregate":
        return any(token.text == "FUN" for token in place.all)
    # What is reckoned with is no function, whatever it is called.
    reckoned = following.text != "(" and (place.last.text in _RECKONING or following.text in _RECKONING)
    return reckoned or text in words.R | words.R_NAMES | words.R_ODD | words.R_PLOTS | words.R_CLOSED


_RECKONING: Final = frozenset("~ + - * / ^ < > <= >= == !=".split())


def _is_function(token: Token, following: Token) -> bool:
    known = token.kind == "word" and token.text in words.R
    return known and (token.text == "function" or following.text in (",", ")"))


def _r_parameters(place: Place) -> bool:
    arguments = _arguments(place)
    return arguments is not None and all(
        not argument or (len(argument) == 1 and argument[0].kind == "word" and argument[0].text in words.R_NAMES)
        for argument in arguments
    )


def _r_applies(place: Place) -> bool:
    """What is applied is a function of the list, and no text that names one."""
    arguments = _arguments(place)
    which = 2 if place.next(0).text in ("apply", "tapply") else 1
    if arguments is None or len(arguments) <= which:
        return False
    if any(token.text == "=" for argument in arguments[: which + 1] for token in argument[1:2]):
        return False
    function = [*arguments[which], Token("sign", ",")]
    return _is_function(function[0], function[1])


def _arguments(place: Place) -> list[list[Token]] | None:
    """What stands between the parentheses that follow, at their commas."""
    if place.next().text != "(":
        return None
    depth = 0
    found: list[list[Token]] = [[]]
    for offset in range(2, len(place.all) - place.at):
        token = place.next(offset)
        if token.kind == "sign" and token.text in (")", "]", "}") and depth == 0:
            return found
        if token.kind == "sign":
            depth += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
        if token.text == "," and token.kind == "sign" and depth == 0:
            found.append([])
        else:
            found[-1].append(token)
    return None
