"""Text that `printf`, `echo -e`, `tr` and `sed` make of text that is known; pure, and bounded.

Not concerned with files or streams. None stands for whatever cannot be worked out, or not alike
by every program of that name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

from guardrail.effects.domain._values import MAX_TEXT
from guardrail.patterns import lazy

MAX_FORMATS: Final = 512
"""Most times that a format is gone through, once for each argument."""

MAX_EDITED: Final = 256
"""Longest text that a `sed` script with a pattern is worked out on, in characters."""

_ESCAPE: Final = lazy(r"\\(x[0-9a-fA-F]{1,2}|0[0-7]{0,3}|[1-7][0-7]{0,2}|.)", re.DOTALL)
_SIMPLE: Final = {
    "n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "v": "\v", "\\": "\\",
}  # fmt: skip
_PIECE: Final = lazy(r"%%|%(-?0?)(\d{0,2})(?:\.(\d{1,3}))?([sbdiuoxXc])|[^%]+", re.DOTALL)
_WHOLE: Final = lazy(r"[+-]?(?:0|[1-9]\d{0,17})|0[xX][0-9a-fA-F]{1,15}")


Dialect = Literal["echo", "format", "argument"]
"""Who reads backslash escapes: `echo -e`, the format of `printf`, or its `%b`."""


def unescaped(text: str, dialect: Dialect) -> str | None:
    """Backslash escapes: octal numbers only after a zero for `echo`, with and without one for `%b`."""
    if "\\c" in text or text.endswith("\\"):
        return None
    data = bytearray()
    position = 0
    for match in _ESCAPE.finditer(text):
        data += text[position : match.start()].encode("utf-8", "surrogateescape")
        position = match.end()
        piece = _escape(match[1], dialect)
        if piece is None:
            return None
        data += piece
    data += text[position:].encode("utf-8", "surrogateescape")
    return data.decode("utf-8", "surrogateescape")


def _escape(body: str, dialect: Dialect) -> bytes | None:
    head = body[0]
    if head == "x":
        return bytes((int(body[1:], 16),)) if len(body) > 1 else None
    if head in "01234567":
        if head == "0" and dialect != "format":
            return bytes((int(body, 8) & 255,))
        if dialect == "echo":
            return None
        return bytes((int(body[:3], 8) & 255,)) + body[3:].encode()
    if body in _SIMPLE:
        return _SIMPLE[body].encode()
    return body.encode() if body == '"' and dialect == "format" else None


def printf(pattern: str, values: Sequence[str]) -> str | None:
    """Output of `printf`."""
    pieces = list(_PIECE.finditer(pattern))
    if "".join(piece[0] for piece in pieces) != pattern or len(values) > MAX_FORMATS:
        return None
    queue = list(values)
    out: list[str] = []
    size = 0
    while True:
        before = len(queue)
        for piece in pieces:
            text = _formatted(piece, queue)
            if text is None:
                return None
            size += len(text)
            out.append(text)
        if not queue or len(queue) == before or size > MAX_TEXT:
            break
    return "".join(out) if size <= MAX_TEXT else None


def _formatted(piece: re.Match[str], queue: list[str]) -> str | None:
    kind = piece[4]
    if kind is None:
        return "%" if piece[0] == "%%" else unescaped(piece[0], "format")
    value = queue.pop(0) if queue else None
    text: str | None
    if kind in "sbc":
        text = value or ""
        if kind == "b":
            text = unescaped(text, "argument")
        elif kind == "c":
            text = text[:1] or None  # without an argument it is a NUL
        text = text[: int(piece[3])] if text is not None and piece[3] else text
    else:
        text = _number(value, kind, piece[3])
    if (
        text is None
        or (kind in "sbc" and "0" in piece[1])
        or (not text.isascii() and (piece[2] or piece[3] or kind == "c"))
    ):
        return None
    width = int(piece[2] or 0)
    if "-" in piece[1]:
        return text.ljust(width)
    if "0" in piece[1] and piece[3] is None:
        return text.zfill(width)
    return text.rjust(width)


def _number(value: str | None, kind: str, precision: str | None) -> str | None:
    text = value or "0"
    if not _WHOLE.fullmatch(text):
        return None
    number = int(text, 0)
    if number < 0 and kind not in "di":
        return None
    digits = format(abs(number), {"u": "d", "i": "d"}.get(kind, kind))
    if precision is not None:
        digits = digits.zfill(int(precision)) if number or int(precision) else ""
    return "-" + digits if number < 0 else digits


# -- tr

_CLASSES: Final = {
    "[:lower:]": "abcdefghijklmnopqrstuvwxyz",
    "[:upper:]": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "[:digit:]": "0123456789",
    "[:space:]": "\t\n\v\f\r ",
    "[:blank:]": "\t ",
}
_CASES: Final = (("[:lower:]", "[:upper:]"), ("[:upper:]", "[:lower:]"))
"""Classes that one may be turned into the other."""

_MEMBER: Final = lazy(r"\\([0-7]{1,3}|.)|(.)", re.DOTALL)


def tr(args: Sequence[str], text: str) -> str | None:
    """Output of `tr`."""
    flags, sets = "", list(args)
    while sets and re.fullmatch(r"-[cCds]+", sets[0]):
        flags += sets.pop(0)[1:]
    sets = sets[1:] if sets[:1] == ["--"] else sets
    members = [_set(one) for one in sets]
    if not text.isascii() or not members or None in members or sets[0].startswith("-"):
        return None
    first = members[0] or ""
    if "c" in flags.lower():
        first = "".join(chr(i) for i in range(128) if chr(i) not in first)
    if "d" in flags:
        return text.translate(dict.fromkeys(map(ord, first))) if len(sets) == 1 and "s" not in flags else None
    if "s" in flags and len(sets) == 1:
        return _squeezed(text, first)
    if len(sets) == 2 and sets[1] in _CLASSES and (sets[0], sets[1]) not in _CASES:
        return None
    second = members[1] if len(members) == 2 else ""
    if not second or len(sets) != 2:
        return None
    second += second[-1] * (len(first) - len(second))
    table: dict[int, str] = {}
    for a, b in zip(first, second, strict=False):
        table[ord(a)] = b
    done = text.translate(table)
    return _squeezed(done, second) if "s" in flags else done


def _squeezed(text: str, members: str) -> str:
    out: list[str] = []
    for char in text:
        if not (out and out[-1] == char and char in members):
            out.append(char)
    return "".join(out)


def _set(text: str) -> str | None:
    for name, members in _CLASSES.items():
        if text == name:
            return members
    if "[:" in text or "[=" in text or re.search(r"\[.\*", text) or not text.isascii():
        return None
    chars: list[tuple[str, bool]] = []
    for match in _MEMBER.finditer(text):
        escape, plain = match[1], match[2]
        if plain is not None:
            chars.append((plain, False))
        elif escape[0] in "01234567":
            if int(escape, 8) > 0o177:
                return None
            chars.append((chr(int(escape, 8)), True))
        else:
            chars.append((escape if escape == "e" else _SIMPLE.get(escape, escape), True))
    out: list[str] = []
    i = 0
    while i < len(chars):
        if i + 2 < len(chars) and chars[i + 1] == ("-", False):
            first, last = ord(chars[i][0]), ord(chars[i + 2][0])
            if first > last:
                return None
            out.extend(map(chr, range(first, last + 1)))
            i += 3
        else:
            out.append(chars[i][0])
            i += 1
    return "".join(out)


# -- sed

_SUBSTITUTE: Final = lazy(r"s([/|#,:@!%~])((?:(?!\1)[^\\\n]|\\.)*)\1((?:(?!\1)[^\\\n]|\\.)*)\1(g?)", re.DOTALL)
_PRINT: Final = lazy(r"(\d{1,4})(?:,(\d{1,4}|\$))?([pd])")
_REGEX: Final = lazy(
    r"\\([/|#,:@!%~.*\[\]^$\\-])|(\[\^?[A-Za-z0-9_ ./:-]+\])|([A-Za-z0-9_ /:,@%=!~&;<>\"'#-])|(\.)|(\*)"
)


def sed(args: Sequence[str], text: str) -> str | None:
    """Output of `sed` with substitutions of literal text and simple patterns, or with lines picked by number."""
    scripts: list[str] = []
    quiet = extended = False
    words = list(args)
    while words:
        word = words.pop(0)
        if word in ("-e", "--expression") and words:
            scripts.append(words.pop(0))
        elif word in ("-n", "-E", "-r"):
            quiet, extended = quiet or word == "-n", extended or word != "-n"
        elif word.startswith("-") or scripts:
            return None
        else:
            scripts.append(word)
    lines = text.split("\n")
    last = lines.pop() if lines[-1] == "" else None
    for script in scripts:
        picked = _PRINT.fullmatch(script)
        if picked is not None and len(scripts) == 1 and (picked[3] == "p") == quiet:
            lines = _picked(picked, lines)
            continue
        changed = None if quiet or len(text) > MAX_EDITED else _edited(script, lines, extended)
        if changed is None:
            return None
        lines = changed
    return "\n".join(lines) + ("\n" if last is not None and lines else "")


def _picked(match: re.Match[str], lines: list[str]) -> list[str]:
    first = int(match[1])
    stop = first if match[2] is None else len(lines) if match[2] == "$" else max(first, int(match[2]))
    inside = [first <= number <= stop for number in range(1, len(lines) + 1)]
    keep = match[3] == "p"
    return [line for line, inner in zip(lines, inside, strict=True) if inner == keep]


def _edited(script: str, lines: list[str], extended: bool) -> list[str] | None:
    position = 0
    while position < len(script):
        match = _SUBSTITUTE.match(script, position)
        if match is None:
            return None
        position = match.end()
        if position < len(script):
            if script[position] not in ";\n":
                return None
            position += 1
            while script[position : position + 1] == " ":
                position += 1
        found = _compiled(match[2], match[1], extended)
        other = _replacement(match[3], match[1])
        if found is None or other is None:
            return None
        lines = [_substituted(found, other, line, 0 if match[4] else 1) for line in lines]
    return lines


def _substituted(found: re.Pattern[str], other: list[str | None], line: str, count: int) -> str:
    return found.sub(lambda match: "".join(match[0] if piece is None else piece for piece in other), line, count=count)


def _compiled(pattern: str, mark: str, extended: bool) -> re.Pattern[str] | None:
    """A regular expression that Python reads as `sed` does."""
    if not pattern or pattern == "^$":
        return None
    head, tail = pattern.startswith("^"), pattern.endswith("$") and not pattern.endswith("\\$")
    body = pattern[head : len(pattern) - tail]
    out: list[str] = []
    position = stars = 0
    while position < len(body):
        match = _REGEX.match(body, position)
        if match is None:
            return None
        escaped, bracket, plain, dot, star = match.groups()
        position = match.end()
        if star:
            stars += 1
            if not out or out[-1] == "*" or stars > 2:
                return None
            out.append("*")
        elif escaped is not None:
            if escaped == "|" or (escaped == mark and escaped in ".*[]^$"):
                return None  # an alternative, or the character, as it may be
            out.append(re.escape(escaped))
        else:
            out.append(bracket or (re.escape(plain) if plain else dot or ""))
    if (extended and re.search(r"[+?(){}|]", body)) or body == "*" or (not body and not (head or tail)):
        return None
    empty = not body.replace("*", "") or re.fullmatch(r".\*|\[[^\]]*\]\*", body)
    if empty and body != ".*" and not ((head or tail) and not body):
        return None  # what an empty match does is left alone
    return re.compile(("^" if head else "") + "".join(out) + (r"\Z" if tail else ""), re.DOTALL)


def _replacement(text: str, mark: str) -> list[str | None] | None:
    """Pieces of a replacement; None in it is what was matched."""
    out: list[str | None] = []
    position = 0
    while position < len(text):
        char = text[position]
        if char == "&":
            out.append(None)
        elif char == "\\":
            position += 1
            following = text[position : position + 1]
            if following == "n":
                out.append("\n")
            elif following == mark or following in "&/\\.-_ ":
                out.append(following)
            else:
                return None
        else:
            out.append(char)
        position += 1
    return out
