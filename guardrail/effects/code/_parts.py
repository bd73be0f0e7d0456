"""Which of the files that the session wrote are worth asking whether they may go into a program: a superset of those.

Not concerned with the answer: `may_be_part` has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from guardrail.effects._built import READS, is_always_part, is_odd
from guardrail.effects.code._own_files import FEW_NAMES, OwnFiles, bare_folder, directories, dotted_folder, parts_of
from guardrail.effects.domain._ordered import Rule, every
from guardrail.effects.domain._view import FileView
from guardrail.patterns import lazy

_ESCAPED: Final = lazy(r"\[([*?\[])\]")
"""A character that stands for itself in a glob."""


def _reader(reads: str) -> Rule:
    pattern = READS[reads]
    return lambda path: pattern.fullmatch(path) is not None


_READ: Final[Mapping[str, Rule]] = {reads: _reader(reads) for reads in READS}
"""The same as `READS`, as rules: each is one object, by which what it chose is found again."""


def candidates(view: FileView, own: OwnFiles, build: Mapping[str, Any]) -> Iterator[str]:
    """What the session wrote that `may_be_part` may say yes of, each perhaps more than once; files come first.

    INVARIANT: all that it says yes of is here; each way in which it does is one of these.

    Args:
        view: the live filesystem.
        own: what the session wrote.
        build: what goes into the program.
    """
    tops: Sequence[str] = build["below"]
    # 1. What lies in a place of sources.
    yield from own.below(tops, _READ[build["reads"]])
    if build["broad"]:
        yield from own.below(tops, is_odd)
    # 2. What compilers read everywhere, and what sources take in by name.
    yield from own.chosen(is_always_part)
    for glob in build["named"]:
        yield from _like(own, glob)
    # 3. A directory that was brought: one that lies in a place of sources, or that such a place lies in.
    brought = own.brought
    yield from _bare(view, brought, tops)
    yield from directories(view, brought, dotted_folder, tops)
    for top in tops:
        path = top.rstrip("/")
        while path:
            if path in own:
                yield path
            path = path.rpartition("/")[0]


def _bare(view: FileView, own: OwnFiles, tops: Sequence[str]) -> Iterator[str]:
    """Names without an ending below some directories, but for those that are known to be files."""
    folders = {folder for top in tops for folder in own.keys(bare_folder, f"{top.rstrip('/')}/")}
    folders.update(top.rstrip("/") for top in tops)
    for folder in sorted(folders):
        paths = own.at(bare_folder, folder)
        listed = view.listing(folder or "/") if len(paths) > FEW_NAMES else None
        files = frozenset(listed[0]) if listed is not None else frozenset[str]()
        yield from (path for path in paths if path not in files)


def _like(own: OwnFiles, glob: str) -> Sequence[str]:
    """Those among which are all that a glob names."""
    parts = glob.split("/")[1:]
    plain = [_ESCAPED.sub("", part) for part in parts]
    if any("[" in part for part in plain):
        return own.chosen(every)  # what is in brackets may be a slash
    # INVARIANT: a part without wildcards between two slashes is a part of every path that fits.
    names = [_ESCAPED.sub(_itself, part) for part, rest in zip(parts, plain, strict=True) if not set(rest) & set("*?")]
    found = [own.at(parts_of, name) for name in names if name]
    return min(found, key=len) if found else own.chosen(every)


def _itself(match: re.Match[str]) -> str:
    return match[1]
