"""Which files a session wrote or brought, and which programs are made of those.

Not concerned with what is in them: only with their names, as far as these are known.
"""

from __future__ import annotations

import fnmatch
import glob
import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from guardrail.model import ANY_DEPTH, Effect, Resource

_AUTHORING: Final = frozenset({"write", "append", "create", "truncate", "set_key", "net_recv"})
ARRIVING: Final = frozenset({"copy", "rename", "link"})
"""Operations by which something arrives at their target."""

_LINKING: Final = frozenset({"link", "mount"})


class Writes(NamedTuple):
    """What a call writes or brings.

    Args:
        paths: real paths; of a directory, all that lies in it.
        patterns: names that are known in part, such as `/w/build-*.log`.
        own: indices of the effects by which a program is built, or run as it is built, of files that the session may
            have written.
        folders: where a tool builds programs of such files, of names that only it knows; `""` is anywhere.
    """

    paths: tuple[str, ...]
    patterns: tuple[str, ...]
    own: AbstractSet[int]
    folders: AbstractSet[str]


def writes_of(
    effects: Sequence[Effect], before: AbstractSet[str], vague: AbstractSet[str] = frozenset(), *, linked: bool
) -> Writes:
    """What a call writes or brings; a program built of files counts only if one of those may be the session's.

    Args:
        effects: of the call.
        before: what the session wrote in earlier calls.
        vague: the same, of names that are known in part.
        linked: it made links, so that what is written by one name may be there by another.
    """
    places: list[Resource | None] = []
    built = builds = False
    for effect in effects:
        places.append(_place(effect))
        if effect.attrs:
            built = built or bool(effect.attrs.get("built"))
            builds = builds or bool(effect.attrs.get("builds"))
    own = _own_sources(effects, places, before) if built else _NOTHING
    paths: list[str] = []
    patterns: list[str] = []
    for index, place in enumerate(places):
        if place is None or (built and effects[index].attrs.get("built") and index not in own):
            continue
        pattern = None if linked or place.pattern is None else _pattern_of(place)
        if pattern is not None:
            patterns.append(pattern)
        elif place.real is not None:
            paths.append(place.real)
    folders = _folders(effects, (*paths, *patterns), before, vague) if builds else _NONE
    return Writes(tuple(paths), tuple(patterns), own, folders)


def _folders(
    effects: Sequence[Effect], written: Sequence[str], before: AbstractSet[str], vague: AbstractSet[str]
) -> AbstractSet[str]:
    """Where tools build programs, if any source may be the session's; one that is written later is there next time."""
    found = frozenset(folder for effect in effects for folder in effect.attrs.get("builds", ()))
    if not found:
        return _NONE
    own = any(any(map(may_be_source, paths)) for paths in (before, vague, written))
    return found if own else _NONE


def is_built(effect: Effect, folders: AbstractSet[str]) -> bool:
    """Whether what runs, given by its path and no text, may be a program that a tool built in one of these places."""
    path, spec = effect.resource.real, effect.origin.spec if effect.origin is not None else ""
    if not folders or path is None or effect.attrs.get("code") != "program" or "/" not in spec:
        return False
    return "" in folders or under(path, folders)


def makes_links(effects: Sequence[Effect]) -> bool:
    """A call makes links: what is written by one name may be there by another."""
    for effect in effects:  # noqa: SIM110 - a generator costs as much again, and this runs twice in every decision
        if effect.op in _LINKING:
            return True
    return False


def _pattern_of(place: Resource) -> str | None:
    """How the name of a file looks that is known in part; None if it is known, or may be anywhere."""
    pattern = place.pattern
    if pattern is None or place.real is None or ANY_DEPTH in pattern or "**" in pattern:
        return None
    parts = pattern.split("/")
    first = next((index for index, part in enumerate(parts) if any(char in part for char in "*?[")), None)
    return None if first is None else f"{glob.escape(place.real.rstrip('/'))}/{'/'.join(parts[first:])}"


def may_be_named(path: str, patterns: AbstractSet[str]) -> bool:
    """Whether a path, or a directory it lies in, may be one of those names."""
    return any(fnmatch.fnmatchcase(path, one) or fnmatch.fnmatchcase(path, f"{one}/*") for one in patterns)


def reached(program: Resource, places: AbstractSet[str]) -> bool:
    """Whether what runs is among places that were written or brought; of a directory, whether one lies in it."""
    path = program.real or ""
    if under(path, places):
        return True
    return program.recursive and any(place.startswith(f"{path.rstrip('/')}/") for place in places)


def under(path: str, places: AbstractSet[str]) -> bool:
    """Whether a path, or a directory it lies in, is among places that were written or brought."""
    while path not in places:
        path = path.rpartition("/")[0]
        if not path:
            return False
    return True


def _place(effect: Effect) -> Resource | None:
    """What an effect writes or brings."""
    op = effect.op
    if op in ARRIVING:
        return effect.target
    # A directory that was made is empty; one that was moved, copied or unpacked brings what lies in it.
    if op not in _AUTHORING or (op == "create" and effect.resource.kind == "dir") or effect.attrs.get("environment"):
        return None
    return effect.resource


def _own_sources(
    effects: Sequence[Effect], places: Sequence[Resource | None], before: AbstractSet[str]
) -> AbstractSet[int]:
    """Which of the programs that are built of files, or run as they are built, may be built of the session's own."""
    written = [
        None if place is None or effect.attrs.get("built") else place.real
        for effect, place in zip(effects, places, strict=True)
    ]
    # In a loop what is written after a program was built is there when it is built again.
    own = any(map(may_be_source, before)) or any(
        path is not None and "." in path.rpartition("/")[2] and may_be_source(path) for path in written
    )
    found: set[int] = set()
    for index, path in enumerate(written):
        if effects[index].attrs.get("built"):
            if own:
                found.add(index)
        elif path is not None and may_be_source(path):
            own = True
    return found


_NOTHING: Final[AbstractSet[int]] = frozenset()
_NONE: Final[AbstractSet[str]] = frozenset()

_NO_SOURCES: Final = frozenset(
    ".md .rst .txt .adoc .log .csv .tsv .json .jsonl .yaml .yml .toml .ini .cfg .conf .env .lock .html .css .scss .svg "
    ".png .jpg .jpeg .gif .pdf .py .pyi .pyc .ipynb .js .mjs .cjs .ts .tsx .jsx .vue .sh .bash .sql .rb .pl .php .xml "
    ".diff .patch .d .out .err .bak .orig .pid .zip .tar .gz .tgz .bz2 .xz .zst".split()
)
"""Endings of names of files that no compiler takes for a part of a program."""

_NO_SOURCE_NAMES: Final = frozenset(
    "makefile gnumakefile dockerfile readme license changelog notice authors procfile jenkinsfile vagrantfile gemfile "
    ".gitignore .dockerignore .gitattributes .editorconfig .env .npmrc .prettierrc .flake8".split()
)

_SHARED: Final = re.compile(r"(?:/var)?/tmp/[^/]+")
"""Results of all sorts, without an ending to their names: no source is looked for among them."""

_SOURCE_NAMES: Final = frozenset(("cargo.toml", "build.zig.zon"))


def may_be_source(path: str) -> bool:
    """Whether a file that the session wrote may be a part of a program that a compiler makes: by its name.

    Only the name is looked at: a source that includes a file with the ending of a text as code is not found out.
    """
    name = path.rpartition("/")[2].lower()
    if name in _SOURCE_NAMES or "/.cargo/" in path:
        return True
    if name in _NO_SOURCE_NAMES:
        return False
    _, dot, ending = name.rpartition(".")
    if not dot:
        return _SHARED.fullmatch(path) is None
    return f".{ending}" not in _NO_SOURCES
