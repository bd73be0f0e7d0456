"""What a command leaves out of a directory that it takes as a whole, because a list or its own words say so.

Not concerned with rules that are hard to read: such a line leaves nothing out, and one that takes something in again
counts for all that it may mean. An effect says who leaves out, and where its lists begin: `("git", "/w/project")`; or
that words do, which follow: `("words", "/w/project", "/models", "*.bin")`, of which those with a slash begin there.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator, Sequence
from typing import Final

from guardrail.effects import index_names

MAX_LIST_BYTES: Final = 64 * 1024
"""Largest list that is read, in bytes; a larger one leaves nothing out."""

MAX_INDEX_BYTES: Final = 16 * 1024 * 1024
"""Largest index of a repository that is read, in bytes."""

_SIMPLE: Final = re.compile(r"[\w.@+*?/ -]+", re.ASCII)


def is_left_out(path: str, spares: Sequence[str]) -> bool:
    """Whether something that lies in a directory is left out when that is taken.

    Args:
        path: where it is, without links.
        spares: who leaves out (`git`, `docker`, `words`), the directory where that begins, and words.
    """
    kind, top, *words = spares
    inside = path.removeprefix(f"{top}/")
    if inside == path or os.path.realpath(path) != path:
        return False
    parts = inside.split("/")
    if kind == "docker":
        rules = _rules(f"{top}/.dockerignore")
        taken_in = rules is None or any(rule.strip()[:1] == "!" for rule in rules)
        return not taken_in and any(_by_docker(rules or [], parts[:count]) for count in range(1, len(parts) + 1))
    if kind == "words":
        return any(_by_word(word, parts, top) for word in words)
    ignored = any(_by_git(top, parts[:count]) for count in range(1, len(parts) + 1))
    return ignored and not _is_tracked(top, inside)


def _rules(path: str, flags: int = 0) -> list[str] | None:
    """The lines of a list that say something, in order; None if it cannot be read, `[]` if there is none."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags), "rb") as file:
            data = file.read(MAX_LIST_BYTES + 1)
    except FileNotFoundError:
        return []
    except OSError:
        return None
    if len(data) > MAX_LIST_BYTES:
        return None
    # Only spaces at the end are no part of a rule; any other odd character makes it one that is not understood.
    lines = [line.rstrip(" ") for line in data.decode("utf-8-sig", "replace").split("\n")]
    return [line for line in lines if line and line[0] != "#"]


def _by_docker(rules: Sequence[str], parts: Sequence[str]) -> bool:
    """A list for a build leaves out this name, which stands from the top on."""
    for rule in rules:
        text = rule.removeprefix("./").strip("/")
        deep = text.startswith("**/")
        wanted = text.removeprefix("**/").split("/")
        if "**" in wanted or not _SIMPLE.fullmatch(text):
            continue
        if _fits(wanted, parts[-len(wanted) :] if deep else parts):
            return True
    return False


def _by_word(word: str, parts: Sequence[str], top: str) -> bool:
    """A word that leaves out fits a name on the way, from the top on if it begins with a slash."""
    wanted = word.strip("/").split("/")
    for start in range(1 if word[:1] == "/" else len(parts)):
        end = start + len(wanted)
        if _fits(wanted, parts[start:end]) and (word[-1:] != "/" or os.path.isdir("/".join((top, *parts[:end])))):
            return True
    return False


def _by_git(top: str, parts: Sequence[str]) -> bool:
    """The last rule that bears on a name, of the list that is nearest to it, leaves it out."""
    for level in range(len(parts) - 1, -1, -1):
        rules = _rules("/".join((top, *parts[:level], ".gitignore")), os.O_NOFOLLOW)  # git follows no link to one
        if rules is None:
            return False
        folder = os.path.isdir("/".join((top, *parts)))
        for rule in reversed(rules):
            if rule[0] == "!" and _may_mean(rule[1:], parts[level:]):
                return False
            if rule[0] != "!" and _means(rule, parts[level:], folder=folder):
                return True
    return False


def _means(rule: str, parts: Sequence[str], *, folder: bool) -> bool:
    if not _SIMPLE.fullmatch(rule) or (rule.endswith("/") and not folder):
        return False
    text = rule.rstrip("/")
    deep = text.startswith("**/") or "/" not in text
    wanted = text.removeprefix("**/").lstrip("/").split("/")
    return "**" not in wanted and _fits(wanted, parts[-len(wanted) :] if deep else parts)


def _may_mean(rule: str, parts: Sequence[str]) -> bool:
    """Whether what a rule takes in again may be this name: by its last part, if that says anything, in either case."""
    last = rule.rstrip("/").rpartition("/")[2]
    return not _SIMPLE.fullmatch(rule) or "**" in rule or fnmatch.fnmatchcase(parts[-1].lower(), last.lower())


def _fits(wanted: Sequence[str], parts: Sequence[str]) -> bool:
    return len(wanted) == len(parts) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _is_tracked(top: str, name: str) -> bool:
    """The repository has such a file, or one below a directory of that name; true where that cannot be told."""
    place = f"{top}/.git/index"
    if not os.path.isdir(f"{top}/.git"):
        return True
    try:
        with open(place, "rb") as file:
            data = file.read(MAX_INDEX_BYTES + 1)
    except FileNotFoundError:
        return False  # nothing was added yet
    except OSError:
        return True
    found = index_names(data) if len(data) <= MAX_INDEX_BYTES else None
    own = os.fsencode(name)
    return found is None or any(_is_or_below(one, own) for one in found)


def _is_or_below(name: bytes, top: bytes) -> bool:
    return name == top or name.startswith(top + b"/")


def within(path: str, roots: Iterator[str] | Sequence[str]) -> list[str]:
    """Those of some places that lie below a directory."""
    return [root for root in roots if root.startswith(f"{path.rstrip('/')}/")]
