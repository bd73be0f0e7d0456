"""What the operators of `${…}` make of text that is known; pure, and bounded.

Not concerned with variables, nor with text that is known in part: that stays unknown.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Callable, Sequence
from typing import Final

from guardrail.effects.domain._values import DEEP, FIRM, NAME, NUM, PATH, SLIM, TOKEN, TOP, is_known, last_of
from guardrail.patterns import lazy

MAX_TRIMMED: Final = 512
"""Longest value that a pattern is tried on, in characters."""

MAX_REPLACED: Final = 96
"""Longest value in which something that is not literal is replaced, in characters."""

MAX_PATTERN: Final = 64
"""Longest pattern that is tried, in characters."""

_BRACKET: Final = lazy(r"\[[!^]?[A-Za-z0-9_.][A-Za-z0-9_.]*\]|\[[!^]?(?:a-z|A-Z|0-9)+\]")
_QUOTED: Final = lazy(r"\[[*?\[]\]")
_MAGIC: Final = lazy(r"[*?\[]")
_EXTENDED: Final = lazy(r"[?*+@!]\(")


def usable(pattern: str) -> str | None:
    """A pattern of the shell that Python reads alike; None for any other."""
    if not is_known(pattern) or len(pattern) > MAX_PATTERN or _EXTENDED.search(pattern):
        return None
    rest = _BRACKET.sub("", _QUOTED.sub("", pattern))
    return None if "[" in rest else pattern.replace("[^", "[!")


def matches(pattern: str, text: str) -> bool | None:
    """Whether a `case` pattern matches; None if that cannot be told."""
    plain = usable(pattern)
    if plain is None or len(text) > MAX_TRIMMED or not (text + plain).isascii():
        return None
    return fnmatch.fnmatchcase(text, plain)


def trimmed(op: str, text: str, pattern: str) -> str | None:
    """`${x#p}`, `${x##p}`, `${x%p}`, `${x%%p}`."""
    plain = usable(pattern)
    if plain is None or len(text) > MAX_TRIMMED:
        return None
    if not _MAGIC.search(plain):
        if op[0] == "#":
            return text.removeprefix(plain)
        return text[: len(text) - len(plain)] if text.endswith(plain) else text
    match = _matcher(plain)
    places = range(len(text) + 1)
    if op[0] == "#":
        if not _beginning(plain).match(text):
            return text
        cut = next((i for i in (places if op == "#" else reversed(places)) if match(text[:i])), None)
        return text if cut is None else text[cut:]
    cut = next((i for i in (places if op == "%%" else reversed(places)) if match(text[i:])), None)
    return text if cut is None else text[:cut]


def of_name(op: str, text: str, pattern: str, other: str) -> str | None:
    """`${f%.*}`, `${f##*/}` and their like of the name of a file of which only the place is known."""
    if op in ("%", "%%") and _CUT.fullmatch(pattern):
        return _cut(op, text, pattern[0])
    if op[0] == "/":
        return _respelled(op, text, pattern, other)
    if op[0] in "^," and pattern == "":
        return _recased(op, text)
    if op == "#" and "*" not in pattern and (plain := usable(pattern)) and not _MAGIC.search(plain):
        return text.removeprefix(plain) if plain.endswith("/") and text.startswith(plain) else None
    head, mark, last = text.rpartition("/")
    if not text.startswith((NAME, PATH)) and TOP in head:
        return None
    if op in ("%", "%%") and (plain := usable(pattern)) and not _MAGIC.search(plain) and "/" not in plain:
        # What is left of a name is one, too, unless nothing is.
        return text[: len(text) - len(plain)] if last.endswith(plain) else text if last in (NAME, PATH) else None
    if op == "##" and pattern == "*/" and mark + last and (SLIM in last or DEEP in last):
        return last_of(last)
    if op == "##" and _UP_TO.fullmatch(pattern):
        sure = text[max(text.rfind(one) for one in _MARKS) + 1 :]
        return sure.rpartition(pattern[1])[2] if pattern[1] in sure else None
    return None


_UP_TO: Final = lazy(r"\*[^*?\[\]\\\w]")
"""All up to the last of one sign."""

_MARKS: Final = (TOP, NUM, SLIM, DEEP, FIRM)

_CUT: Final = lazy(r"[^*?\[\]\\/\w]\*|_\*")
"""What begins at one sign, to the end of a name."""

_UNSURE: Final = lazy(f"[{''.join(_MARKS)}]+")


def _cut(op: str, text: str, sign: str) -> str | None:
    """`${f%.*}` and `${f%%.*}`."""
    marks = list(_UNSURE.finditer(text))
    head, tail = text[: marks[0].start()], text[marks[-1].end() :]
    if op == "%" and sign in tail:
        return text[: marks[-1].end() + tail.rfind(sign)]
    if op == "%%" and sign in head:
        return head[: head.find(sign)]
    return _one_name(head, [mark[0] for mark in marks], tail) if sign not in head else None


def _one_name(head: str, marks: Sequence[str], tail: str) -> str | None:
    """Whatever becomes of the name at the end of a path, it is still one; None if the path does not end so."""
    if len(marks) != 1 or "/" in tail or (head and head[-1] != "/"):
        return None
    return head + {TOKEN: NAME}.get(marks[0], marks[0]) if marks[0] in (NAME, TOKEN, PATH) else None


def _respelled(op: str, text: str, pattern: str, other: str) -> str | None:
    """`${f/a/b}` where neither touches the directories in front of the name, nor makes it empty, a dash or a `..`."""
    marks = list(_UNSURE.finditer(text))
    head, plain = text[: marks[0].start()], usable(pattern)
    safe = plain and not _MAGIC.search(plain) and "/" not in plain and plain not in head
    if not safe or op not in ("/", "//") or not _SPELLED.fullmatch(other):
        return None
    found = [mark[0] for mark in marks]
    return _one_name(head, found, text[marks[-1].end() :]) if found != [PATH] else None


_SPELLED: Final = lazy(r"[\w.](?=[.-]*+\w)[\w.-]*+|[A-Za-z0-9_]", re.ASCII)


def _recased(op: str, text: str) -> str | None:
    pieces = [cased(op, piece) for piece in _UNSURE.split(text)]
    if len(op) == 1 or None in pieces:
        return None
    marks = [*_UNSURE.findall(text), ""]
    return "".join(f"{piece}{mark}" for piece, mark in zip(pieces, marks, strict=True))


def replaced(op: str, text: str, pattern: str, other: str) -> str | None:
    """`${x/p/r}`, `${x//p/r}`, `${x/#p/r}`, `${x/%p/r}`."""
    plain = usable(pattern)
    if plain is None or plain == "" or len(text) > MAX_TRIMMED or "&" in other:
        return text if plain == "" and op in ("/", "//") else None
    literal = _QUOTED.sub(lambda m: m[0][1], plain)
    if not _MAGIC.search(_QUOTED.sub("", plain)):
        if op == "/#":
            return other + text[len(literal) :] if text.startswith(literal) else text
        if op == "/%":
            return text[: len(text) - len(literal)] + other if text.endswith(literal) else text
        return text.replace(literal, other, 1 if op == "/" else -1)
    if len(text) > MAX_REPLACED or not text.isascii():
        return None
    return _substituted(op, text, plain, other)


def _substituted(op: str, text: str, pattern: str, other: str) -> str | None:
    match, begins = _matcher(pattern), _beginning(pattern)
    if match(""):
        return None  # what an empty match does differs between versions
    out: list[str] = []
    i = 0
    # Without a star all that matches has one length.
    length = 0 if "*" in pattern else len(_BRACKET.sub("?", _QUOTED.sub("?", pattern)))
    while i < len(text):
        last = min(i + length, len(text)) if length else len(text)
        ends = range(last, last - 1 if length else i, -1) if begins.match(text, i) else ()
        found = next((end for end in ends if (op != "/%" or end == len(text)) and match(text[i:end])), None)
        if found is not None:
            out.append(other)
            i = found
            if op != "//":
                break
        elif op == "/#":
            break
        else:
            out.append(text[i])
            i += 1
    return "".join(out) + text[i:]


@functools.lru_cache(maxsize=256)
def _matcher(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(fnmatch.translate(pattern))
    return lambda text: compiled.match(text) is not None


@functools.lru_cache(maxsize=256)
def _beginning(pattern: str) -> re.Pattern[str]:
    """What a text must begin with for some beginning of it to match: soon tried, where there is none."""
    return re.compile(fnmatch.translate(pattern + "*"))


def cased(op: str, text: str) -> str | None:
    """`${x^^}`, `${x,,}`, `${x^}`, `${x,}` without a pattern."""
    if not text.isascii():
        return None
    changed = text.upper() if op[0] == "^" else text.lower()
    return changed if len(op) == 2 else changed[:1] + text[1:]


def transformed(op: str, text: str) -> str | None:
    """`${x@X}`; None where that could run code or looks at more than the text."""
    if op == "@Q":
        return "'" + text.replace("'", "'\\''") + "'" if text and text.isprintable() else None
    if op in ("@U", "@L"):
        return cased("^^" if op == "@U" else ",,", text)
    if op == "@u":
        return cased("^", text)
    if op in ("@E", "@P"):
        return text if re.fullmatch(r"[A-Za-z0-9_./ :=,+-]*", text) else None
    return None


def part(text: str, offset: int, length: int | None) -> str | None:
    """`${x:offset:length}`."""
    if not text.isascii():
        return None
    start = offset if offset >= 0 else len(text) + offset
    if start < 0 or start > len(text):
        return ""
    stop = len(text) if length is None else start + length if length >= 0 else len(text) + length
    return text[start:stop] if stop >= start else None


def slice_of(items: Sequence[str], offset: int, length: int | None) -> list[str] | None:
    """`${a[@]:offset:length}` of an array without gaps."""
    start = offset if offset >= 0 else len(items) + offset
    if length is not None and length < 0:
        return None
    if start < 0 or start > len(items):
        return []
    return list(items[start:] if length is None else items[start : start + length])
