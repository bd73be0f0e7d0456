"""Whether a one-liner of Node, Ruby, PHP, Lua, R, Julia or Elixir does nothing but compute and print.

Not concerned with what a program means: each word and each bracket is judged where it stands, by lists of what is
harmless (`_words`). No value that could do harm is ever named, so that it does not matter what is called with what.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from guardrail.effects.code import _words as words
from guardrail.effects.code._tokens import Syntax, Token
from guardrail.patterns import lazy

_TEXTS: Final = r'"((?:[^"\\\n]|\\.)*)"|\'((?:[^\'\\\n]|\\.)*)\''
_LONG_TEXTS: Final = lazy(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'', re.DOTALL)
_HASH: Final = lazy(r"#[^\n]*")
_SIGNS: Final = (
    r"===|!==|=>|->|<-|<=>|\|>|<>|\.\.\.?|&&=?|\|\|=?|\*\*=?|==|!=|~=|=~|!~|<=|>=|\+\+|--|<<|>>>?"
    r"|[-+*%&|^.]=?|[=<>!~?:;,(){}\[\]]"
)
_NAME: Final = r"[A-Za-z_]\w*"

NODE: Final = Syntax(
    word=lazy(r"[A-Za-z_$][\w$]*", re.ASCII),
    texts=lazy(_TEXTS, re.DOTALL),
    sign=lazy(
        r"\.\.\.|\?\.(?!\d)|===|!==|=>|\*\*=?|&&=?|\|\|=?|\?\?=?|==|!=|<=|>=|\+\+|--|<<=?|>>>?=?"
        r"|[-+*%&|^]=?|[=<>!~?:;,.(){}\[\]]"
    ),
    comment=lazy(r"//[^\n\r\u2028\u2029]*|/\*(?:(?!\*/).)*\*/", re.DOTALL),
    odd=lazy(r"<!--|-->"),
    patterns=True,
    leading=words.NODE_LEADING,
    templates=True,
)
RUBY: Final = Syntax(
    word=lazy(rf"\$(?:stdin|stdout|stderr|\d+|[_.,;/!~])|{_NAME}(?:[?!](?!=))?", re.ASCII),
    texts=_LONG_TEXTS,
    sign=lazy(r"&\.|::|" + _SIGNS),
    comment=_HASH,
    odd=lazy(r"%(?![ =])|%=?\s*#|\?(?! )|<<[-~\"'`A-Za-z_]|=(?:begin|end)\b"),
    code_in_text=lazy(r"#[{$@]"),
    patterns=True,
    leading=words.RUBY_LEADING,
    lines=True,
)
PHP: Final = Syntax(
    word=lazy(rf"\$?{_NAME}", re.ASCII),
    texts=_LONG_TEXTS,
    sign=lazy(r"\?\?=?|[/.]=?|" + _SIGNS),
    comment=lazy(r"(?:#(?!\[)|//)(?:(?!\?>)[^\n\r])*(?=[\n\r]|\Z)|/\*(?:(?!\*/).)*\*/", re.DOTALL),
    odd=lazy(r"\?>|<\?|<<<|->|::"),
    code_in_text=lazy(r"\{\$|\$\{"),
)
LUA: Final = Syntax(
    word=lazy(_NAME, re.ASCII),
    texts=_LONG_TEXTS,
    sign=lazy(r"//?|#|" + _SIGNS),
    comment=lazy(r"--(?!\[=*\[)[^\n]*"),
    odd=lazy(r"\[=*\[|--\[=*\[|::"),
)
R: Final = Syntax(
    word=lazy(r"(?:[A-Za-z]|\.(?!\d))[\w.]*", re.ASCII),
    texts=_LONG_TEXTS,
    sign=lazy(r"<<-|<-|<=|>=|==|!=|&&?|\|\||\|>|\||%in%|%%|%/%|%\*%|[-+*/^=<>!~:;,(){}\[\]$]"),
    comment=_HASH,
    odd=lazy(r"->|::|[rR][\"']"),
)
JULIA: Final = Syntax(
    word=lazy(rf"{_NAME}(?:!(?!=))?", re.ASCII),
    texts=lazy(r'"((?:[^"\\]|\\.)*)"', re.DOTALL),
    sign=lazy(r"//?|" + _SIGNS),
    comment=lazy(r"#(?!=)[^\n]*"),
    odd=lazy(r"#="),
    code_in_text=lazy(r"\$"),
)
ELIXIR: Final = Syntax(
    word=lazy(rf"{_NAME}(?:[?!](?!=))?", re.ASCII),
    texts=_LONG_TEXTS,
    sign=lazy(r"//?|<>|\+\+|" + _SIGNS),
    comment=_HASH,
    odd=lazy(r":(?=\S)|\?(?=\S)|~"),
    code_in_text=lazy(r"#\{"),
)

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


def _words_are_plain(found: Sequence[Token], vocabulary: Vocabulary) -> bool:
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


# -- Node

_NODE: Final = Vocabulary(
    words=words.NODE,
    names=words.NODE_NAMES,
    chains=words.NODE_CHAINS,
    methods=words.NODE_METHODS,
    links=(".", "?."),
)


def _node(found: Sequence[Token]) -> bool:
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
    return _words_are_plain(ready, _NODE)


def _is_key(text: str) -> bool:
    return "\\" not in text and text not in words.INNER


def _node_word(place: Place, token: Token) -> Token:
    """A name that stands for itself, or may be called or made as it stands, is no word any more."""
    text = token.text
    if place.last.kind == "sign" and place.last.text in (".", "?."):
        return token
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
    return _words_are_plain(ready, _RUBY)


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
    return _words_are_plain(found, _LUA) and _members_are_names(found, (".", ":"), words.LUA_METHODS, _LUA.chains)


def _julia(found: Sequence[Token]) -> bool:
    return _words_are_plain(found, _JULIA) and _members_are_names(found, (".",), frozenset(), frozenset())


def _elixir(found: Sequence[Token]) -> bool:
    return _words_are_plain(found, _ELIXIR) and _members_are_names(found, (".",), frozenset(), _ELIXIR.chains)


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


# -- R


def _r(found: Sequence[Token]) -> bool:
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


LANGUAGES: Final[Mapping[str, tuple[Syntax, Callable[[Sequence[Token]], bool]]]] = {
    "node": (NODE, _node),
    "ruby": (RUBY, _ruby),
    "php": (PHP, _php),
    "lua": (LUA, _lua),
    "R": (R, _r),
    "julia": (JULIA, _julia),
    "elixir": (ELIXIR, _elixir),
}
"""How each language is read, and what says whether its tokens are plain."""
