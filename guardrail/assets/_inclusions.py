"""Files that a control file takes in: what it sources, includes, extends or runs is a part of it.

Not concerned with files beside it that programs read after it, which nothing in it names: those are `Overrides`.
A name that is put together is found only where its end stands there, below the directory of the file itself or one
above it.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from typing import Final

MAX_TAKEN_BYTES: Final = 256 * 1024
"""Largest file that is searched for what it takes in, in bytes."""

MAX_TAKEN: Final = 64
"""Most files that one control file takes in, also by others, which are parts of it."""

_KEY: Final = re.compile(
    r"^\s*(?:-\s+)?[\"'@%#.]?(?:[\w.-][\w./-]*[./])?"
    r"(?:include(?:s|_?dir|_?files?|config)?|imports?|extends?(?:\.file)?|overrides?|inherits?|_base_|defaults_from"
    r"|env_?files?|environmentfile|\$ref|configfile)[\"']?\s*(?:[:=]|\s)\s*(?P<value>.*)$",
    re.IGNORECASE,
)
"""A key, or a word at the beginning of a line, that brings in other files."""

_COMMENT: Final = re.compile(r"\s*(?:#(?!include)|;|//)")
_FILE: Final = re.compile(r"^\s*(?:-\s+)?[\"']?(?:file|path)[\"']?\s*[:=]\s*(?P<value>.+)$")
_ITEM: Final = re.compile(r"^\s*(?:-\s+)?(?P<value>[^\s:={}][^:={}]*)$")
_TAG: Final = re.compile(r"!include\w*\s+(?P<value>\S+)")
_SOURCED: Final = re.compile(
    r"(?:^|[;&|({]|\bthen\b|\bdo\b|\belse\b)\s*"
    r"(?:(?:source|\.|exec|nohup|(?:ba|da|k|z)?sh|python[\d.]*|perl|ruby|node)(?:\s+-\w+)*\s+)+(?P<value>[^\s;&|)]+)"
)
_RUN: Final = re.compile(r"^\s*(?:Exec\w+\s*=\s*[-@:+!]*)?(?P<value>(?:/|\./|\$\{?\w)[^\s;&|=]++(?<=[\w.-]))(?=\s|$)")
_WORKED_OUT: Final = re.compile(r"\$\((?:[^()]|\([^()]*\))*\)")
_FILLED: Final = re.compile(r"^(?:\$\{[^}]*\}|\$\w+|%\w)(?=/)")
"""A part at the beginning of a name that is put in: the directory of the script, as a rule."""

_SYSTEM: Final = re.compile(r"/(?:usr/(?:local/)?)?s?bin/|/(?:dev|proc|sys)/")
_ODD: Final = re.compile(r"[$`\\<>|]|://")


def taken_in(path: str) -> tuple[str, ...]:
    """What a control file takes in, and what those files do, as absolute paths; each need not be there yet.

    Args:
        path: the control file; a directory, or a file that cannot be read, takes in nothing that is known.
    """
    found: dict[str, None] = {}
    waiting = [path]
    while waiting:
        current = waiting.pop(0)
        for name in _names(_text(current)):
            for other in _places(name, os.path.dirname(current)):
                if other != path and other not in found and len(found) < MAX_TAKEN:
                    found[other] = None
                    waiting.append(other)
    return tuple(found)


def _text(path: str) -> str:
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > MAX_TAKEN_BYTES:
            return ""
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(MAX_TAKEN_BYTES)
    except OSError:
        return ""  # what the guard may not read is known by its own path alone


def _names(text: str) -> Iterator[str]:
    """Words that name what is taken in."""
    listing = False
    for line in text.splitlines():
        if _COMMENT.match(line):
            continue
        line = _WORKED_OUT.sub(".", line)
        key = _KEY.match(line)
        if key is not None:
            yield from _words(key["value"])
            listing = key["value"].strip() in ("", "[", "|", ">")
            continue
        item = (_FILE.match(line) or _ITEM.match(line)) if listing else None
        if item is not None:
            yield from _words(item["value"])
            continue
        listing = False
        for pattern in (_TAG, _SOURCED, _RUN):
            for match in pattern.finditer(line):
                yield from _words(match["value"])


def _words(value: str) -> Sequence[str]:
    return [word for part in re.split(r"[\s,]+", value) if (word := part.strip("\"'[]{}(),;<>-"))]


def _places(word: str, folder: str) -> Iterator[str]:
    """Where a word leads: files that are there, and names that look like those of files."""
    name = _FILLED.sub(".", word.partition("#")[0])
    if not name or _ODD.search(name) or _SYSTEM.match(name):
        return
    path = os.path.normpath(os.path.join(_begun(name, folder), os.path.expanduser(name)))
    if any(char in name for char in "*?["):
        yield from (other for other in sorted(glob.glob(path))[:MAX_TAKEN] if os.path.isfile(other))
    elif os.path.isfile(path) or (name.startswith(("/", "./", "../", "~/")) and not os.path.isdir(path)):
        yield path


def _begun(name: str, folder: str) -> str:
    """The directory that a relative name begins in: the file's own, or the nearest above it that has such a file.

    What is started at the top of a project names its files from there; a name without a slash is too short to tell.
    """
    if "/" not in name or name.startswith(("/", "~")):
        return folder
    above = folder
    while not os.path.isfile(os.path.join(above, name)):
        if above == os.path.dirname(above):
            return folder
        above = os.path.dirname(above)
    return above
