"""Which files a session wrote or brought, and which of what runs is made of those.

Not concerned with what is in them: only with their names, as far as these are known.
"""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

import msgspec

from guardrail.effects import may_be_part
from guardrail.effects._built import Build
from guardrail.effects.domain._ordered import NO_PATHS, OrderedPaths
from guardrail.model import ANY_DEPTH, Effect, Resource

_AUTHORING: Final = frozenset({"write", "append", "create", "truncate", "set_key", "net_recv"})
ARRIVING: Final = frozenset({"copy", "rename", "link"})
"""Operations by which something arrives at their target."""

_LINKING: Final = frozenset({"link", "mount"})
_KNOWN: Final = ("text",)
_OPENED: Final = ("redirect",)
_RUNNING: Final = frozenset({"exec", "exec_opaque"})


PLAIN: Final = "file"
"""What is noted of a path that was written as a file, and by nothing that could bring a directory."""


class Before(NamedTuple):
    """What a session wrote or brought before a call.

    Args:
        paths: real paths; of a directory, all that lies in it. They may grow meanwhile.
        ordered: the same paths.
        patterns: names that are known in part.
        folders: where a tool built programs of its files, of names that only it knows; `""` is anywhere.
        linked: a name may be that of another file.
        everything: it wrote more than is remembered, so that any file may be its own.
    """

    paths: AbstractSet[str] = frozenset()
    ordered: OrderedPaths = NO_PATHS
    patterns: AbstractSet[str] = frozenset()
    folders: AbstractSet[str] = frozenset()
    linked: bool = False
    everything: bool = False


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


def mark_own(effects: Sequence[Effect], before: Before) -> tuple[Effect, ...]:
    """Mark the programs and scripts that a session itself wrote or brought: their execution has `attrs.authored`.

    Args:
        effects: of the call, resolved.
        before: what it wrote earlier; what the same call writes counts as well: `cat > x.py <<E ...; python x.py`.
    """
    if not _runs(effects):
        return tuple(effects)
    writes = writes_of(effects, linked=before.linked or makes_links(effects))
    fresh, patterns, folders = set(writes.paths), set(writes.patterns), before.folders | writes.folders
    if not (before.paths or before.patterns or fresh or patterns or writes.own or folders):
        return tuple(effects)

    def is_own(index: int, effect: Effect) -> bool:
        if effect.op not in _RUNNING:
            return False
        program = effect.resource
        if index in writes.own or is_built(effect, folders):
            return True
        return program.real is not None and (
            reached(program, fresh)
            or may_be_named(program.real, patterns)
            # What was analysed was read as it is now, whoever wrote it before; only this call can change it.
            or ("analysed" not in effect.attrs and _written(program, before))
        )

    return tuple(
        msgspec.structs.replace(effect, attrs={**effect.attrs, "authored": True}) if is_own(index, effect) else effect
        for index, effect in enumerate(effects)
    )


def _runs(effects: Sequence[Effect]) -> bool:
    for effect in effects:  # noqa: SIM110 - a generator costs as much again, and this runs in every decision
        if effect.op in _RUNNING:
            return True
    return False


def _written(program: Resource, before: Before) -> bool:
    """Whether what runs was written or brought before."""
    path = program.real or ""
    if before.everything or under(path, before.paths) or may_be_named(path, before.patterns):
        return True
    return program.recursive and before.ordered.any_beginning(f"{path.rstrip('/')}/")


def writes_of(effects: Sequence[Effect], *, linked: bool) -> Writes:
    """What a call writes or brings; a program built of files counts only if one of those may be the call's.

    Args:
        effects: of the call; one that builds says by itself whether an earlier call wrote a part of it.
        linked: it made links, so that what is written by one name may be there by another.
    """
    places: list[Resource | None] = []
    built = builds = False
    for effect in effects:
        places.append(_place(effect))
        if effect.attrs:
            built = built or bool(effect.attrs.get("built"))
            builds = builds or bool(effect.attrs.get("builds"))
    own = _own_sources(effects, places) if built else _NOTHING
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
    folders = _folders(effects, places, own) if builds else _NONE
    return Writes(tuple(paths), tuple(patterns), own, folders)


def plain_of(effects: Sequence[Effect]) -> AbstractSet[str]:
    """The paths that a call writes as files, and to which it brings nothing that may be a directory."""
    plain: set[str] = set()
    other: set[str] = set()
    for effect in effects:
        place = _place(effect)
        if place is None or place.real is None:
            continue
        if _is_plain(effect, place):
            plain.add(place.real)
        elif effect.op != "copy" or effect.flow[-1:] != _OPENED:  # of what flows, it is said by itself where it goes
            other.add(place.real)
    return plain - other


def _is_plain(effect: Effect, place: Resource) -> bool:
    """It gives a file its content: a shell opened it for that, or the content is known.

    INVARIANT: neither succeeds where a directory is. A name that is moved is not among these, as whatever has it by
    then is moved; nor is the target of a program, of which nobody knows what it makes there.
    """
    if place.path is None or place.recursive or place.kind != "file":
        return False
    if effect.op == "copy":
        return effect.flow == _KNOWN and not effect.resource.recursive
    return effect.op in ("write", "append") and effect.flow in (_KNOWN, _OPENED)


def _folders(effects: Sequence[Effect], places: Sequence[Resource | None], own: AbstractSet[int]) -> AbstractSet[str]:
    """Where tools build programs, if any source may be the session's; one that is written later is there next time."""
    found: set[str] = set()
    for effect in effects:
        build = effect.attrs.get("built_of")
        if build is None:
            continue
        if effect.attrs.get("own") or next(_parts(effects, places, own, build), None) is not None:
            found.update(effect.attrs.get("builds", ()))
    return found


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
    return program.recursive and any(place.startswith(f"{path.rstrip('/')}/") for place in tuple(places))


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
    if op == "set_times":
        # Whether a source was changed since it was compiled is told by these times.
        name = effect.resource.path or effect.resource.pattern or ""
        return effect.resource if name.endswith((".pyc", "__pycache__", "__pycache__/*")) else None
    # A directory that was made is empty; one that was moved, copied or unpacked brings what lies in it.
    if op not in _AUTHORING or (op == "create" and effect.resource.kind == "dir") or effect.attrs.get("environment"):
        return None
    return effect.resource


def _own_sources(effects: Sequence[Effect], places: Sequence[Resource | None]) -> AbstractSet[int]:
    """Which of the programs that are built of files, or run as they are built, may be built of what the call wrote."""
    found: set[int] = set()
    for index, effect in enumerate(effects):
        build = effect.attrs.get("built")
        if build:
            # In a loop what is written after a program was built is there when it is built again.
            parts = _parts(effects, places, found, build)
            if next((at for at in parts if at < index or _is_named(places[at])), None) is not None:
                found.add(index)
    return found


def _parts(
    effects: Sequence[Effect], places: Sequence[Resource | None], own: AbstractSet[int], build: Build
) -> Iterator[int]:
    """Which effects write what may go into a program; what is built of others' files alone does not."""
    for index, (effect, place) in enumerate(zip(effects, places, strict=True)):
        if place is None or place.real is None or (effect.attrs.get("built") and index not in own):
            continue
        if place.pattern is not None:
            # Of a name that is known in part, its end may be.
            last = place.pattern.rpartition("/")[2]
            ending = last[max(map(last.rfind, "*?]")) + 1 :]
            open_end = ending == last or "." not in ending
            parts = may_be_part(place.real if open_end else f"{place.real}/x{ending}", build, folder=open_end)
        else:
            brought = effect.op in ARRIVING and "." not in place.real.rpartition("/")[2]
            folder = place.kind == "dir" or place.recursive or brought
            parts = may_be_part(place.real, build, folder=folder)
        if parts:
            yield index


def _is_named(place: Resource | None) -> bool:
    """It has an ending to its name, as sources have."""
    return place is not None and "." in (place.real or "").rpartition("/")[2]


_NOTHING: Final[AbstractSet[int]] = frozenset()
_NONE: Final[AbstractSet[str]] = frozenset()
NOTHING_BEFORE: Final = Before()
