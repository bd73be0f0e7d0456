"""What text filters give when their input is known: decoding, cutting, turning and picking lines; pure, and bounded.

Not concerned with effects: a filter has those of its spec. None stands for whatever
cannot be worked out.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from guardrail.effects.domain._values import MAX_TEXT
from guardrail.effects.shell import _formats
from guardrail.patterns import lazy

Filter = Callable[[Sequence[str], str], str | None]
"""(words, input) -> output."""

_COUNT: Final = lazy(r"-(?:n|c|-lines=|-bytes=)?([+-]?\d{1,6})")
_PLAIN_LINE: Final = lazy(r"[a-z0-9]*")
_LIST: Final = lazy(r"(\d{1,4})?(-)?(\d{1,4})?")


def filtered(name: str, args: Sequence[str], text: str) -> str | None:
    """Output of a filter that names no file; None if it cannot be worked out."""
    found = FILTERS.get(name)
    if found is None or len(text) > MAX_TEXT:
        return None
    out = found(args, text)
    return out if out is not None and len(out) <= MAX_TEXT else None


def printed(name: str, args: Sequence[str], *, posix: bool = False) -> str | None:
    """Output of a command that only prints its words; None if it cannot be worked out.

    Args:
        name: the command.
        args: its words.
        posix: the shell may be one that knows fewer options and escapes than bash does.
    """
    if posix and any(_ODD.search(word) for word in args):
        return None
    if name == "printf":
        words = args[1:] if args[:1] == ["--"] else args
        return _formats.printf(words[0], words[1:]) if words and not words[0].startswith("-") else None
    if name == "echo":
        return _echo(args)
    if name in ("basename", "dirname") and args[:1] == ["--"]:
        args = args[1:]
    if name in ("basename", "dirname") and args and not any(word.startswith("-") for word in args):
        return _base(args) if name == "basename" else "".join(_directory(word) + "\n" for word in args)
    return None


_ODD: Final = lazy(r"^-(?!n$)|\\[^nt\\0-7]")


def _echo(args: Sequence[str]) -> str | None:
    words = list(args)
    escapes, newline = False, True
    while words and re.fullmatch(r"-[neE]+", words[0]):
        for letter in words.pop(0)[1:]:
            if letter == "n":
                newline = False
            else:
                escapes = letter == "e"
    text: str | None = " ".join(words)
    if escapes:
        text = _formats.unescaped(text or "", "echo")
    elif "\\" in (text or ""):
        return None  # `sh` interprets backslashes where bash does not
    return None if text is None else text + ("\n" if newline else "")


def _base(args: Sequence[str]) -> str | None:
    if len(args) > 2:
        return None
    name = args[0].rstrip("/").rpartition("/")[2] or ("/" if args[0] else "")
    suffix = args[1] if len(args) == 2 else ""
    if suffix and name.endswith(suffix) and name != suffix:
        name = name[: -len(suffix)]
    return name + "\n"


def _directory(path: str) -> str:
    head, slash, _ = path.rstrip("/").rpartition("/")
    if path and not path.strip("/"):
        return "/"
    return (head.rstrip("/") or "/") if slash else "."


# -- lines


def _lines(text: str) -> tuple[list[str], bool]:
    """Lines, and whether the last one has its newline."""
    lines = text.split("\n")
    if lines[-1] == "":
        return lines[:-1], True
    return lines, False


def _joined(lines: Sequence[str], ended: bool) -> str:
    return "\n".join(lines) + ("\n" if ended and lines else "")


def _cat(args: Sequence[str], text: str) -> str | None:
    return text if all(word in ("-", "-u") for word in args) else None


def _tee(_args: Sequence[str], text: str) -> str | None:
    return text


def _rev(args: Sequence[str], text: str) -> str | None:
    if args or not text.isascii():
        return None
    lines, ended = _lines(text)
    return _joined([line[::-1] for line in lines], ended)


def _tac(args: Sequence[str], text: str) -> str | None:
    lines, ended = _lines(text)
    return _joined(lines[::-1], ended) if not args and ended else None


def _counted(args: Sequence[str]) -> tuple[str, int, str] | None:
    """Unit (`n` or `c`), number and sign of `head` and `tail`."""
    words = list(args)
    if not words:
        return "n", 10, ""
    if len(words) == 2 and words[0] in ("-n", "-c"):
        words = [words[0] + words[1]]
    match = _COUNT.fullmatch(words[0]) if len(words) == 1 else None
    if match is None:
        return None
    sign = match[1][0] if match[1][0] in "+-" else ""
    return "c" if words[0].startswith(("-c", "--bytes")) else "n", int(match[1].lstrip("+-")), sign


def _head(args: Sequence[str], text: str) -> str | None:
    counted = _counted(args)
    if counted is None or counted[2] == "+":
        return None
    unit, number, sign = counted
    if unit == "c":
        data = text.encode("utf-8", "surrogateescape")
        data = data[:number] if sign == "" else data[: max(len(data) - number, 0)]
        return data.decode("utf-8", "surrogateescape")
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    return "".join(lines[:number] if sign == "" else lines[: max(len(lines) - number, 0)])


def _tail(args: Sequence[str], text: str) -> str | None:
    counted = _counted(args)
    if counted is None or counted[2] == "-":
        return None
    unit, number, sign = counted
    if unit == "c":
        data = text.encode("utf-8", "surrogateescape")
        data = data[max(number - 1, 0) :] if sign else data[max(len(data) - number, 0) :]
        return data.decode("utf-8", "surrogateescape")
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    return "".join(lines[max(number - 1, 0) :] if sign else lines[max(len(lines) - number, 0) :])


def _sort(args: Sequence[str], text: str) -> str | None:
    flags = "".join(word[1:] for word in args)
    if not all(re.fullmatch(r"-[nru]+", word) for word in args):
        return None
    lines, _ = _lines(text)
    if not all(_PLAIN_LINE.fullmatch(line) for line in lines):
        return None  # the order depends on the locale
    if "n" in flags:
        if not all(line.isdigit() for line in lines):
            return None
        if "u" in flags and len(set(map(int, lines))) != len(set(lines)):
            return None
        lines.sort(key=lambda line: (int(line), line))
    else:
        lines.sort()
    if "u" in flags:
        lines = list(dict.fromkeys(lines))
    return _joined(lines[::-1] if "r" in flags else lines, True)


def _uniq(args: Sequence[str], text: str) -> str | None:
    lines, _ = _lines(text)
    kept = [line for index, line in enumerate(lines) if index == 0 or line != lines[index - 1]]
    return _joined(kept, True) if not args else None


_SEPARATORS: Final = lazy(r"[\x1c-\x1f]")


def _wc(args: Sequence[str], text: str) -> str | None:
    if list(args) == ["-l"]:
        return f"{text.count(chr(10))}\n"
    if list(args) == ["-w"]:
        return f"{len(text.split())}\n" if text.isascii() and not _SEPARATORS.search(text) else None
    return f"{len(text.encode('utf-8', 'surrogateescape'))}\n" if list(args) == ["-c"] else None


def _cut(args: Sequence[str], text: str) -> str | None:
    delimiter, picked, unit = "\t", None, ""
    words = list(args)
    while words:
        word = words.pop(0)
        if word[:2] not in ("-d", "-f", "-c", "-b"):
            return None
        value = word[2:] or (words.pop(0) if words else "")
        if word[1] == "d":
            delimiter = value
        else:
            unit, picked = word[1], value
    ranges = _ranges(picked or "")
    if not ranges or len(delimiter) != 1 or (not text.isascii() and unit != "f"):
        return None
    lines, _ = _lines(text)
    out: list[str] = []
    for line in lines:
        parts = line.split(delimiter) if unit == "f" else list(line)
        if unit == "f" and len(parts) == 1:
            out.append(line)
            continue
        kept = [part for index, part in enumerate(parts, 1) if any(a <= index <= b for a, b in ranges)]
        out.append((delimiter if unit == "f" else "").join(kept))
    return _joined(out, True)


def _ranges(text: str) -> list[tuple[int, int]] | None:
    out: list[tuple[int, int]] = []
    for piece in text.split(","):
        match = _LIST.fullmatch(piece)
        if match is None or not (match[1] or match[3]) or (match[3] and not match[2]):
            return None
        first = int(match[1] or 1)
        last = int(match[3]) if match[3] else 1 << 30 if match[2] else first
        if not 0 < first <= last:
            return None
        out.append((first, last))
    return out


def _paste(args: Sequence[str], text: str) -> str | None:
    words = [word for word in args if word != "-"]
    if words == ["-s"]:
        mark = "\t"
    elif len(words) == 1 and re.fullmatch(r"-sd.", words[0]):
        mark = words[0][3]
    elif len(words) == 2 and words[0] == "-sd" and len(words[1]) < 2:
        mark = words[1]
    else:
        return None
    return mark.join(_lines(text)[0]) + "\n"


_AWK: Final = lazy(r"\s*\{\s*print\s+\$(\d|NF)\s*;?\s*\}\s*")


def _awk(args: Sequence[str], text: str) -> str | None:
    """`awk '{print $N}'`."""
    words = list(args)
    mark = None
    if words and words[0].startswith("-F"):
        first = words.pop(0)
        mark = first[2:] or (words.pop(0) if words else "")
        if len(mark) != 1 or mark in " t\\|.*+?^$[](){}":
            return None
    match = _AWK.fullmatch(words[0]) if len(words) == 1 else None
    if match is None:
        return None
    out: list[str] = []
    for line in _lines(text)[0]:
        fields = line.split(mark) if mark else [one for one in re.split(r"[ \t]+", line) if one]
        number = len(fields) if match[1] == "NF" else int(match[1])
        out.append(line if number == 0 else fields[number - 1] if number <= len(fields) else "")
    return _joined(out, True)


# -- codes


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _strict(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _base64(args: Sequence[str], text: str) -> str | None:
    words = set(args)
    if words and words <= {"-d", "-D", "--decode"}:
        return _decoded(text, _strict)
    if words <= {"-w0", "--wrap=0"} or list(args) in (["-w", "0"], []):
        data = base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()
        if args:
            return data
        return "".join(data[i : i + 76] + "\n" for i in range(0, len(data), 76))
    return None


def _base32(args: Sequence[str], text: str) -> str | None:
    return _decoded(text, base64.b32decode) if set(args) & {"-d", "--decode"} and len(args) == 1 else None


def _decoded(text: str, decode: Callable[[str], bytes]) -> str | None:
    try:
        return _text(decode(text.replace("\n", "")))
    except (binascii.Error, ValueError):
        return None  # what comes out before the error is not known


def _xxd(args: Sequence[str], text: str) -> str | None:
    letters = sorted("".join(word.lstrip("-") for word in args))
    letters = ["p", "r"] if sorted(args) == ["-plain", "-r"] else letters
    if letters == ["p", "r"]:
        packed = "".join(text.split())
        return _text(bytes.fromhex(packed)) if re.fullmatch(r"(?:[0-9a-fA-F]{2})*", packed) else None
    if list(args) in (["-p"], ["-ps"], ["-plain"]):
        data = text.encode("utf-8", "surrogateescape").hex()
        return "".join(data[i : i + 60] + "\n" for i in range(0, len(data), 60))
    return None


def _openssl(args: Sequence[str], text: str) -> str | None:
    words = [word for word in args if word != "-A"]
    if len(words) == len(args) and (not text.endswith("\n") or max(map(len, text.split("\n"))) > 64):
        return None
    if sorted(words) in (["-a", "-d", "enc"], ["-base64", "-d", "enc"], ["-d", "base64"]):
        return _decoded(text, _strict)
    return None


_SOUGHT: Final = lazy(r"\^?[\w#=, @:/-]*\$?", re.ASCII)
"""A pattern that means the same to every program."""


def _grep(args: Sequence[str], text: str) -> str | None:
    words = list(args)
    options = [words.pop(0) for _ in args if words and words[0] in ("-v", "-E", "-e", "-m1")]
    if len(words) != 1 or words[0][:1] == "-" or not _SOUGHT.fullmatch(words[0]):
        return None
    sought = re.compile(words[0])
    lines, _ = _lines(text)
    found = [line for line in lines if (sought.search(line) is None) == ("-v" in options)]
    return _joined(found[:1] if "-m1" in options else found, ended=True)


FILTERS: Final[Mapping[str, Filter]] = {
    "awk": _awk,
    "base32": _base32,
    "base64": _base64,
    "cat": _cat,
    "cut": _cut,
    "gawk": _awk,
    "grep": _grep,
    "head": _head,
    "mawk": _awk,
    "openssl": _openssl,
    "paste": _paste,
    "rev": _rev,
    "sed": _formats.sed,
    "sort": _sort,
    "tac": _tac,
    "tail": _tail,
    "tee": _tee,
    "tr": _formats.tr,
    "uniq": _uniq,
    "wc": _wc,
    "xxd": _xxd,
}
"""Filters by name."""
