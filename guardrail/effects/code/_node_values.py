"""Texts that a script of Node names once: its arguments, its directory, and constants that are made of those.

Not concerned with what is done with them: they are put in the place of their names, so that a file is named by a
literal. A name that could mean something else anywhere in the script is left as it is.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Final

from guardrail.effects.code._tokens import Token
from guardrail.patterns import lazy

MAX_CONSTANTS: Final = 32
"""Most constants of one script that are put in their places."""


class _Known(str):
    """A text that was put in the place of a name, or made of one: a literal that stands in pieces is left in them."""

    __slots__ = ()


_PLAIN: Final = lazy(r"[^\\\n\r\"'`$]*")
_ASSIGNING: Final = frozenset("= += -= *= /= %= **= &&= ||= ??= <<= >>= >>>= &= |= ^= => ++ --".split())
_DECLARING: Final = frozenset("const let var function class import catch".split())
_HEADS: Final = frozenset("if while for switch".split())
_GOING_ON: Final = frozenset("in instanceof of as satisfies".split())
_OPEN: Final = {"(": ")", "[": "]", "{": "}"}


def settled(tokens: Sequence[Token], argv: Sequence[str | None] | None, folder: str | None) -> Sequence[Token]:
    """The tokens, with a text in the place of each name that stands for nothing else.

    Args:
        tokens: the script.
        argv: its arguments, None for one that is not known; None if nothing is known of them.
        folder: the directory that it is in, without links.
    """
    found = _with_folder(list(tokens), folder) if folder is not None and _PLAIN.fullmatch(folder) else list(tokens)
    given: dict[str, str] = {}
    if argv is not None:
        found, given = _with_arguments(found, argv)
    done: set[str] = set()
    while len(done) < MAX_CONSTANTS:
        found = _folded(found, joins=Shape(found).fixed("path"))
        given |= _constants(found)
        shape = Shape(found)
        names = [name for name in given if name not in done][: MAX_CONSTANTS - len(done)]
        sure = {name: given[name] for name in names if shape.fixed(name)}
        done.update(names)
        if not sure:
            return found
        found = [
            Token("text", _Known(sure[token.text])) if shape.use(at, sure) else token for at, token in enumerate(found)
        ]
        given = {}
    return found


# -- where a script is, and what it is given

_OWN_FOLDER: Final = ("path", ".", "dirname", "(", "fileURLToPath", "(", "import", ".", "meta", ".", "url", ")", ")")


def _with_folder(tokens: list[Token], folder: str) -> list[Token]:
    own = Token("text", _Known(folder))
    shape = Shape(tokens)
    if shape.fixed("path") and shape.fixed("fileURLToPath"):
        at = 0
        while at < len(tokens):
            if (
                tokens[at].text == "path"
                and tuple(token.text for token in tokens[at : at + len(_OWN_FOLDER)]) == _OWN_FOLDER
            ):
                tokens[at : at + len(_OWN_FOLDER)] = [own]
            at += 1
    shape = Shape(tokens)
    if not shape.fixed("__dirname", most=0):
        return tokens
    return [own if shape.use(at, {"__dirname"}) else token for at, token in enumerate(tokens)]


def _with_arguments(tokens: list[Token], argv: Sequence[str | None]) -> tuple[list[Token], dict[str, str]]:
    """`process.argv[2]` and `const [a, b] = process.argv.slice(2)`, if nothing can change what is in there."""
    texts = [token.text for token in tokens]
    places = [at for at, text in enumerate(texts) if text == "argv" and tokens[at].kind == "word"]
    if not all(_is_only_read(texts, at) for at in places) or not Shape(tokens).fixed("process", most=0):
        return tokens, {}
    given: dict[str, str] = {}
    out: list[Token] = []
    at = 0
    while at < len(tokens):
        if texts[at : at + 4] == ["process", ".", "argv", "["] and at + 5 < len(tokens):
            counted = tokens[at + 4].kind == "number" and texts[at + 4].isdecimal() and len(texts[at + 4]) < 5
            value = _argument(argv, int(texts[at + 4]) - 2) if counted else None
            if value is not None:
                out.append(value)
                at += 6
                continue
        if texts[at : at + 2] == ["const", "["]:
            given |= _taken(tokens, at + 1, argv)
        out.append(tokens[at])
        at += 1
    return out, given


def _is_only_read(texts: Sequence[str], at: int) -> bool:
    if texts[max(at - 2, 0) : at] != ["process", "."]:
        return False
    after = texts[at + 1 : at + 5]
    if after[:1] == ["["]:
        return after[2:3] == ["]"] and after[3:4] != ["="] and not set(after[3:4]) & _ASSIGNING
    if after[:2] in ([".", "slice"], [".", "length"]):
        return not set(after[2:3]) & _ASSIGNING
    return texts[at - 4 : at - 2] == ["]", "="] and _ends(after[0] if after else ";")


def _ends(text: str) -> bool:
    return text in (";", "const", "let", "var", "if", "for", "while", "await", "async", "function", "import", "try")


def _argument(argv: Sequence[str | None], index: int) -> Token | None:
    if index < 0:
        return None
    if index >= len(argv):
        return Token("word", "undefined") if None not in argv else None
    text = argv[index]
    return Token("text", _Known(text)) if text is not None and _PLAIN.fullmatch(text) else None


def _taken(tokens: Sequence[Token], begin: int, argv: Sequence[str | None]) -> dict[str, str]:
    """Names that are given to arguments."""
    end = next((at for at in range(begin, min(begin + 24, len(tokens))) if tokens[at].text == "]"), None)
    if end is None or [token.text for token in tokens[end + 1 : end + 5]] != ["=", "process", ".", "argv"]:
        return {}
    after = [token.text for token in tokens[end + 5 : end + 10]]
    sliced = after == [".", "slice", "(", "2", ")"]
    if not sliced and not _ends(after[0] if after else ";"):
        return {}
    found: dict[str, str] = {}
    index = 0 if sliced else -2
    for token in tokens[begin + 1 : end]:
        if token.text == ",":
            index += 1
            continue
        value = _argument(argv, index)
        if token.kind != "word":
            return {}
        if value is not None and value.kind == "text":
            found[token.text] = value.text
    return found


# -- constants


def _constants(tokens: Sequence[Token]) -> dict[str, str]:
    """`const name = "text"`, also with a text for where there is none."""
    found: dict[str, str] = {}
    for at in range(len(tokens) - 3):
        if tokens[at].text != "const" or tokens[at].kind != "word" or tokens[at + 1].kind != "word":
            continue
        if tokens[at + 2] != Token("sign", "="):
            continue
        end = at + 3
        value = tokens[end]
        while end + 2 < len(tokens) and tokens[end + 1].text in ("||", "??") and tokens[end + 1].kind == "sign":
            if value.kind == "text" and value.text:
                break
            if value.kind != "text" and value != Token("word", "undefined"):
                break
            value, end = tokens[end + 2], end + 2
        while end + 2 < len(tokens) and tokens[end + 1].text in ("||", "??") and tokens[end + 2].kind == "text":
            end += 2  # the first one is a text, and is taken
        after = tokens[end + 1] if end + 1 < len(tokens) else Token("sign", ";")
        ended = after.text == ";" if after.kind == "sign" else after.kind == "word" and after.text not in _GOING_ON
        if value.kind == "text" and _PLAIN.fullmatch(value.text) and ended:
            found[tokens[at + 1].text] = value.text
    return found


class Shape:
    """What brackets each token stands in; worked out once, as scripts may have many of both.

    Args:
        tokens: the script.
    """

    __slots__ = ("inner", "patterns", "tokens")

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.inner: list[str] = []  # the bracket that is open there
        self.patterns: list[int | None] = []  # in a pattern of one `const` or `import`; None where it is a parameter
        ends = _closed(tokens)
        opened: list[tuple[str, int | None]] = [("", 0)]
        for at, token in enumerate(tokens):
            self.inner.append(opened[-1][0])
            self.patterns.append(opened[-1][1])
            if token.kind != "sign":
                continue
            if token.text in _OPEN:
                opened.append((token.text, self._pattern(at, ends.get(at, len(tokens)), opened[-1][1])))
            elif token.text in (")", "]", "}") and len(opened) > 1:
                opened.pop()

    def _pattern(self, begin: int, end: int, outer: int | None) -> int | None:
        after, head = self.at(end + 1), self.at(begin - 1)
        if self.tokens[begin].text == "(":
            taken = after.text == "=>" or (after.text == "{" and head.text not in _HEADS)
            return None if taken else outer
        if after.text not in ("=", "from", "of", "in"):
            return outer
        declared = head.text in ("const", "import") and after.text in ("=", "from")
        return 1 if declared and outer is not None else None

    def at(self, at: int) -> Token:
        """A token; the end of a statement where there is none."""
        return self.tokens[at] if 0 <= at < len(self.tokens) else _END

    def fixed(self, name: str, most: int = 1) -> bool:
        """A name is declared at most so often, and not where each call or round may give it another value."""
        declared = 0
        for at, token in enumerate(self.tokens):
            if token.text != name or token.kind != "word":
                continue
            before, after = self.at(at - 1), self.at(at + 1)
            if before.kind == "sign" and before.text in (".", "?."):
                continue
            if before.kind == "word" and before.text in _DECLARING:
                declared += 1
                if before.text not in ("const", "import"):
                    return False
                continue
            if after.text in (_ASSIGNING if after.kind == "sign" else ("of", "in")):
                return False
            pattern = self.patterns[at]
            if pattern is None or (before.kind == "sign" and before.text in ("++", "--", "...")):
                return False
            declared += pattern
        return declared <= most

    def use(self, at: int, names: Mapping[str, str] | set[str]) -> bool:
        """A name that stands for its value: no member, no key, and not where it is declared."""
        token = self.tokens[at]
        if token.kind != "word" or token.text not in names:
            return False
        before, after = self.at(at - 1), self.at(at + 1)
        if before.text in (".", "?.") or (before.kind == "word" and before.text in _DECLARING):
            return False
        # Between braces it may be a key, or both.
        keyed = before.text in ("{", ",") and after.text in (":", ",", "}")
        return not keyed or self.inner[at] in ("(", "[")


_END: Final = Token("sign", ";")


def _closed(tokens: Sequence[Token]) -> dict[int, int]:
    """Where each bracket is closed."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for at, token in enumerate(tokens):
        if token.kind == "sign" and token.text in _OPEN:
            opened.append(at)
        elif token.kind == "sign" and token.text in (")", "]", "}") and opened:
            found[opened.pop()] = at
    return found


def closing(tokens: Sequence[Token], begin: int) -> int:
    """Where a bracket is closed."""
    depth = 0
    for at in range(begin, len(tokens)):
        if tokens[at].kind == "sign":
            depth += (tokens[at].text in _OPEN) - (tokens[at].text in (")", "]", "}"))
            if depth == 0:
                return at
    return len(tokens)


# -- sums and paths

_BEFORE: Final = frozenset("( , = [ : ? => + || ?? ;".split())
_JOINING: Final = frozenset(("join", "resolve", "dirname"))


def _folded(tokens: list[Token], *, joins: bool) -> list[Token]:
    """Texts that are put together, by `+`, in a template or as a path."""
    joins = joins and not any(
        tokens[at].text in _JOINING and tokens[at + 1].text in _ASSIGNING for at in range(len(tokens) - 1)
    )
    out: list[Token] = []
    for token in tokens:
        out.append(token)
        while _fold(out, joins=joins):
            pass
    return out


def _fold(out: list[Token], *, joins: bool) -> bool:
    """Put the last tokens together; they are looked at again with the one that follows."""
    if len(out) > 3 and out[-2].kind == "text" and [out[-4], out[-3], out[-1]] == _BRACKETED:
        out[-3:] = [out[-2]]
        return True
    last = out[-1]
    ended = last.text in _AFTER_SUM if last.kind == "sign" else last.kind == "word" and last.text not in _GOING_ON
    if len(out) > 4 and ended:
        head, first, plus, second = out[-5:-1]
        whole = first.kind == second.kind == "text" and plus == _PLUS and _both_plain(first, second)
        whole = whole and (isinstance(first.text, _Known) or isinstance(second.text, _Known))
        if whole and (head.text in _BEFORE if head.kind == "sign" else head.text == "return"):
            out[-4:-1] = [Token("text", _Known(first.text + second.text))]
            return True
    return joins and last == Token("sign", ")") and _join(out)


_PLUS: Final = Token("sign", "+")
_BRACKETED: Final = [_PLUS, Token("sign", "("), Token("sign", ")")]
_AFTER_SUM: Final = frozenset("+ , ) ; ] || ?? : }".split())
"""What binds no tighter than a sum, and so may stand behind one."""


def _both_plain(first: Token, second: Token) -> bool:
    return _PLAIN.fullmatch(first.text) is not None and _PLAIN.fullmatch(second.text) is not None


def _join(out: list[Token]) -> bool:
    begin = next((at for at in range(len(out) - 2, max(len(out) - 40, 3), -1) if out[at].text == "("), None)
    if begin is None or begin < 3 or out[begin].kind != "sign":
        return False
    if [out[begin - 3].text, out[begin - 2].text] != ["path", "."] or out[begin - 1].text not in _JOINING:
        return False
    if begin > 3 and out[begin - 4].kind == "sign" and out[begin - 4].text in (".", "?."):
        return False
    inside = out[begin + 1 : -1]
    texts = [token.text for token in inside[::2]]
    plain = all(token.kind == "text" and _PLAIN.fullmatch(token.text) for token in inside[::2])
    if not texts or not plain or any(token != Token("sign", ",") for token in inside[1::2]) or len(inside) % 2 == 0:
        return False
    if out[begin - 1].text == "dirname":
        if len(texts) != 1 or not texts[0].strip("/"):
            return False
        out[begin - 3 :] = [Token("text", _Known(posixpath.dirname(texts[0].rstrip("/")) or "."))]
        return True
    if out[begin - 1].text == "resolve":
        last = max((at for at, text in enumerate(texts) if text.startswith("/")), default=0)
        texts = texts[last:]
    joined = "/".join(text for text in texts if text)
    # INVARIANT: Node leaves out `..` by name, whatever links there are.
    out[begin - 3 :] = [Token("text", _Known(posixpath.normpath(joined) if joined else "."))]
    return True
