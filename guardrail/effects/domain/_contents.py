"""Files as this call has changed them so far: what a later command of the same call would find.

Not concerned with what the live filesystem holds by the time the call runs; it is asked for what the call left alone.
Every change of a file passes through `Emitter.add`, which tells this record of it: a change whose result is not known
makes the content unknown, and what only may happen leaves both the old content and the new one possible.
"""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from guardrail.effects.domain._view import FileView
from guardrail.effects.keys._edit import apply
from guardrail.model import Edit, Op, Resource

MAX_KEPT_BYTES: Final = 1024 * 1024
"""Most content that is kept for one call, in bytes; a file beyond it is unknown."""

MAX_LOOKS: Final = 256
"""Most files of the live filesystem that are read for one call; a further one is unknown."""

MAX_SEEN_BYTES: Final = 4 * 1024 * 1024
"""Most content of the live filesystem that is read for one call, in bytes; after it every further file is unknown."""

CONTENT_OPS: Final = frozenset(("create", "write", "append", "truncate", "delete", "rename", "copy", "link", "mount"))
"""Operations after which a file may hold something else, or a name mean another file."""

_CODE_OPS: Final = frozenset(("exec_opaque", "remote_exec"))

NOTED: Final = CONTENT_OPS | _CODE_OPS | {"set_security"}
"""Operations after which a file may hold something else, or be refused."""


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What one file holds.

    Args:
        data: its content; None if that is not known, or there is no such file.
        gone: there is no such file.
        sure: the file is there; if not, it may also be missing.
    """

    data: bytes | None = None
    gone: bool = False
    sure: bool = True


_UNKNOWN: Final = _Entry()
_GONE: Final = _Entry(gone=True)


class Contents:
    """The small files whose content one call makes, on top of the live filesystem.

    Args:
        view: the live filesystem.
    """

    __slots__ = (
        "_above",
        "_files",
        "_fresh",
        "_kin",
        "_linked",
        "_log",
        "_looks",
        "_made",
        "_marks",
        "_open",
        "_room",
        "_sealed",
        "_seen",
        "_sight",
        "_stages",
        "_unfiled",
        "_vague",
        "_view",
    )

    def __init__(self, view: FileView) -> None:
        self._view = view
        self._made: dict[str, _Entry] = {}
        # What is asked of all names that were made, without a walk over them.
        self._above: set[str] = set()  # every directory above one of them
        self._files: dict[str, set[str]] = {}  # identity -> the names that mean that file
        self._unfiled: list[str] = []  # names whose identity nobody asked for yet
        self._vague: list[str] = []
        self._sealed: set[str] = set()
        self._linked = False  # the call makes links or mounts, so that names may mean other files than they do now
        self._kin: dict[str, str] = {}  # last names that links make mean the same file -> one of them
        self._open: dict[str, int] = {}  # files that commands may write to beside those that name them
        self._room = MAX_KEPT_BYTES
        self._looks = MAX_LOOKS
        self._sight = MAX_SEEN_BYTES
        self._log: list[tuple[str, _Entry | None]] = []
        self._marks = 0
        self._stages: list[int] = []
        self._fresh: dict[str, int] = {}
        self._seen: dict[str, int] = {}

    # -- changes

    def put(self, path: str, data: bytes | None) -> None:
        """A file now has this content; None if what it holds is not known."""
        name = self._name(path)
        entry = _UNKNOWN
        if data is not None:
            self._room -= len(data)
            entry = _Entry(data=data) if self._room >= 0 else _UNKNOWN
        if name in self._sealed or "" in self._sealed:
            # The write may be refused, and then the file stays as it is.
            entry = _joined(self._now(name), entry)
        self._set(name, entry)

    def note(
        self, op: Op, resource: Resource, target: Resource | None, edit: Edit | None, attrs: Mapping[str, Any] | None
    ) -> None:
        """Take over one effect of the call.

        Args:
            op: what is done.
            resource: to what.
            target: the new name, for what makes one.
            edit: the new content, of the target where there is one.
            attrs: facts about the effect; code that was `analysed` has told of its changes itself.
        """
        if op in _CODE_OPS:
            if not (attrs and attrs.get("analysed")):
                self.forget()
        elif op == "set_security":
            self._sealed.add(self._name(resource.path) if resource.path is not None else "")
        elif op in CONTENT_OPS:
            self._changed(op, resource, target, edit)

    def _changed(self, op: Op, resource: Resource, target: Resource | None, edit: Edit | None) -> None:
        if target is not None and _elsewhere(target):
            if op == "rename":
                self._remove(resource)
            return
        if _elsewhere(resource) and target is None:
            return
        if op in ("link", "mount"):
            self._linked = True
            self._relate(resource, target)
            self.forget()
        if op in ("rename", "copy", "link"):
            if op == "rename" and not _elsewhere(resource):
                self._remove(resource)
            if target is not None:
                self._replace(target, edit)
        elif op == "delete":
            self._remove(resource)
        elif op == "create" and resource.kind == "dir":
            return
        else:
            self._replace(resource, edit)

    def _relate(self, place: Resource, target: Resource | None) -> None:
        """A link: its last name and that of what it leads to may mean the same file; `""` stands for any name."""
        names = ["" if one is None or one.path is None else posixpath.basename(one.path) for one in (place, target)]
        if names[0] == names[1] != "":
            return
        left, right = (self._kin.get(name, name) for name in names)
        for name, root in (*self._kin.items(), (names[0], left), (names[1], right)):
            if root == right:
                self._kin[name] = left
            elif name not in self._kin:
                self._kin[name] = root

    def _akin(self, one: str, other: str) -> bool:
        left, right = self._kin.get(one, one), self._kin.get(other, other)
        return left == right or ("" in self._kin and self._kin[""] in ("", left, right))

    def open(self, paths: Iterable[str]) -> None:
        """Files are open for as long as something runs, which may write to them without naming them."""
        for path in paths:
            name = self._name(path)
            self._open[name] = self._open.get(name, 0) + 1

    def close(self, paths: Iterable[str], *, lasting: bool = False) -> None:
        """They are not open any more; those that changed meanwhile hold a mixture."""
        for path in paths:
            name = self._name(path)
            if lasting:
                continue
            self._open[name] -= 1
            if self._open[name] == 0:
                del self._open[name]

    def _replace(self, place: Resource, edit: Edit | None) -> None:
        if place.path is None:
            self._vaguely(place)
            return
        data = None
        if edit is not None:
            if edit.kind == "whole":
                data = apply(edit, None)
            else:
                before = self._now(self._name(place.path))
                known = before.gone or (before.data is not None and before.sure)
                data = apply(edit, before.data) if known else None
        self.put(place.path, data)
        self._forget_below(self._name(place.path))

    def _remove(self, place: Resource) -> None:
        if place.path is None:
            self._vaguely(place)
            return
        name = self._name(place.path)
        self._set(name, _GONE)
        self._forget_below(name)

    def _forget_below(self, name: str) -> None:
        if name in self._above:
            for path in [path for path in self._made if path.startswith(name + "/")]:
                self._set(path, _UNKNOWN)

    def _vaguely(self, place: Resource) -> None:
        pattern = place.pattern or "**"
        if pattern not in self._vague:
            self._vague.append(pattern)
        for path in [path for path in self._made if _may_name(pattern, path)]:
            self._set(path, _UNKNOWN)

    def forget(self) -> None:
        """Something ran that may have changed any file: no content that the call made is known any more."""
        for path in self._made:
            self._set(path, _UNKNOWN)

    def _set(self, path: str, entry: _Entry) -> None:
        if path in self._open:
            # What is open is written to at any time, and two writers leave a mixture.
            entry = _UNKNOWN
            self._open[path] += 1
        if self._marks:
            self._log.append((path, self._made.get(path)))
        if self._stages:
            if self._elsewhere_in_pipeline(path, self._fresh) or self._elsewhere_in_pipeline(path, self._seen):
                entry = _UNKNOWN  # another stage of the pipeline changes or reads it, in no order that is known
            self._fresh[path] = self._stages[-1]
        if path not in self._made:
            self._noted(path)
        self._made[path] = entry

    def _noted(self, path: str) -> None:
        """A name is made for the first time."""
        self._unfiled.append(path)
        for folder in _folders(path):
            if folder in self._above:
                break
            self._above.add(folder)

    def _meant(self) -> Mapping[str, set[str]]:
        """The files that were made, each with the names that mean it."""
        if self._unfiled:
            for path in self._unfiled:
                self._files.setdefault(self._view.identity(path), set()).add(path)
            self._unfiled.clear()
        return self._files

    def _elsewhere_in_pipeline(self, path: str, stages: Mapping[str, int]) -> bool:
        return path in stages and stages[path] not in self._stages

    def soak(self, path: str) -> None:
        """A command writes the file only after all others of its pipeline are done with it."""
        self._seen.pop(self._name(path), None)

    # -- what only may happen

    def mark(self) -> int:
        """Remember this point; each mark MUST be given back to `weaken`, `lose` or `keep`, the last one first."""
        self._marks += 1
        return len(self._log)

    def weaken(self, mark: int, *, anywhere: bool = False) -> None:
        """What happened since a mark may also not have happened.

        Args:
            mark: the point.
            anywhere: it may also have ended at any point in between.
        """
        if len(self._log) == mark:
            self.keep(mark)
            return
        between = self._log[mark:] if anywhere else ()
        for path, before in self._since(mark).items():
            old = before if before is not None else self._live(path)
            self._made[path] = _joined(old, self._made[path])
        for path, held in between:
            if held is not None:
                self._made[path] = _joined(self._made[path], held)

    def lose(self, mark: int, *, lasting: bool = False) -> None:
        """What happened since a mark happens again, or some time: the files it changed are unknown.

        Args:
            mark: the point.
            lasting: it goes on beside all that follows, so that they stay unknown.
        """
        for path in self._since(mark):
            self._made[path] = _UNKNOWN
            if lasting:
                self._sealed.add(path)

    def keep(self, _mark: int) -> None:
        """What happened since a mark is certain."""
        self._marks -= 1
        # An outer mark needs the log still; without one nobody does.
        if not self._marks:
            self._log.clear()

    def _since(self, mark: int) -> dict[str, _Entry | None]:
        first: dict[str, _Entry | None] = {}
        for path, before in self._log[mark:]:
            first.setdefault(path, before)
        self.keep(mark)
        return first

    def enter_stage(self, stage: int) -> None:
        """A stage of a pipeline begins; the stages of one pipeline run at the same time."""
        self._stages.append(stage)

    def leave_stage(self) -> None:
        """A stage of a pipeline has been walked; after the outermost pipeline everything is in order again."""
        self._stages.pop()

    def end_pipeline(self, stages: range) -> None:
        """All stages of a pipeline are done."""
        if not self._fresh and not self._seen:
            return
        outer = self._stages[-1] if self._stages else None
        for kept in (self._fresh, self._seen):
            for path, stage in tuple(kept.items()):
                if outer is None:
                    del kept[path]
                elif stage in stages:
                    kept[path] = outer

    # -- questions

    def made(self, path: str) -> bytes | None:
        """Content that this call itself gave the file; None if it did not, or it is not known."""
        name = self._name(path)
        entry = self._made.get(name)
        if entry is None or entry.data is None or self._clashes(name):
            return None
        return None if name in self._fresh and self._fresh[name] not in self._stages else entry.data

    def whole(self, path: str) -> Edit | None:
        """The edit that gives a file, whatever it holds now, the content that this call has made so far."""
        data = self.made(path)
        return None if data is None or not self._made[self._name(path)].sure else as_edit(data)

    def sure(self, path: str) -> bool:
        """Whether the file is there, as far as this call made it."""
        entry = self._made.get(self._name(path))
        return entry is None or entry.sure

    def knows(self, path: str) -> bool:
        """Whether this call wrote the file with content that is known."""
        return self.made(path) is not None

    def own(self, sources: Iterable[Resource]) -> bool:
        """Whether all of these are files that the call itself wrote, so that their text is the call's own."""
        return all(source.path is not None and self.knows(source.path) for source in sources)

    def changed(self, path: str) -> bool:
        """Whether this call may have changed what is at a path, under this name or another."""
        if not self._made and not self._vague:
            return False
        name = self._name(path)
        if name in self._made or (self._vague and any(_may_name(pattern, name) for pattern in self._vague)):
            return True
        if self._linked:
            parts = set(name.split("/"))
            if any(self._akin(posixpath.basename(made), part) for made in self._made for part in parts):
                return True
        if not self._made.keys().isdisjoint(_folders(name)):
            return True
        real, meant = self._view.identity(path), self._meant()
        return real in meant or not meant.keys().isdisjoint(_folders(real))

    def vague(self) -> bool:
        """Whether the call changes files of which it is not known which ones they are, or what their names mean."""
        return bool(self._vague) or self._linked

    @property
    def linked(self) -> bool:
        """Whether the call makes links or mounts, so that names may mean other files than they do now."""
        return self._linked

    def same(self, path: str, other: str) -> bool:
        """Whether two names are, or may be, one file, or one lies below the other."""
        name, twin = self._name(path), self._name(other)
        return (
            name == twin
            or twin.startswith(f"{name}/")
            or _same_file(self._view.identity(path), self._view.identity(other))
        )

    def links(self, path: str | None) -> bool:
        """What is at a path is a symbolic link, or may hold some: it is a directory, or one that the call makes."""
        if path is None:
            return False
        kind = self._view.kind(path)
        if kind is None:
            return self.is_link(path) or self._name(path) in self._above or self.changed(path)
        return kind != "file" or self.is_link(path)

    def is_link(self, path: str) -> bool:
        """What is at a path is a symbolic link."""
        plain, real = posixpath.normpath(path), self._view.real(path)
        if real == plain:
            return False
        folder, _, name = plain.rpartition("/")
        return real != f"{self._view.real(folder or '/').rstrip('/')}/{name}"

    def leaves(self, path: str, base: str) -> bool:
        """Whether a link leads from a path below a directory to somewhere else."""
        return not _same_file(self._view.real(path), self._view.real(base))

    def missing(self, path: str) -> bool:
        """Whether there is certainly no such file: none now, and none that the call may have made."""
        entry = self._made.get(self._name(path))
        return entry.gone if entry is not None else self._view.kind(path) is None and not self.changed(path)

    def read(self, path: str, limit: int) -> bytes | None:
        """What a command would read there.

        Args:
            path: absolute path.
            limit: largest file, in bytes.

        Returns:
            Its content; None if there is no such file, it is too large, or what it holds is not known.
        """
        name = self._name(path)
        if self._stages:
            self._seen[name] = self._stages[-1]
        if name in self._made:
            data = self.made(path)
            return data if data is not None and len(data) <= limit else None
        return None if self.changed(path) else self._look(path, limit)

    def _now(self, name: str) -> _Entry:
        entry = self._made.get(name)
        if entry is None:
            return _UNKNOWN if self.changed(name) else self._live(name)
        return entry if entry.data is None or self.made(name) is not None else _UNKNOWN

    def _live(self, name: str) -> _Entry:
        if self._view.kind(name) is None:
            return _GONE
        data = self._look(name, MAX_KEPT_BYTES)
        return _Entry(data=data) if data is not None else _UNKNOWN

    def _look(self, path: str, limit: int) -> bytes | None:
        self._looks -= 1
        if self._looks < 0 or self._sight <= 0:
            return None
        data = self._view.read(path, limit)
        self._sight -= len(data) if data is not None else 0
        return data

    def _clashes(self, name: str) -> bool:
        """Another name that the call writes to is, or may be, the same file."""
        if len(self._made) == (name in self._made):
            return False
        if self._linked:
            others = [made for made in self._made if made != name]
            base = posixpath.basename(name)
            return any(self._akin(posixpath.basename(made), base) for made in others)
        return bool(self._meant().get(self._view.identity(name), set()) - {name})

    def _name(self, path: str) -> str:
        """The one spelling of a path; `..` behind a link leads elsewhere than its text says."""
        if "//" not in path and "/." not in path and path[-1:] != "/":
            return path
        return self._view.identity(path) if ".." in path else posixpath.normpath(path)


def as_edit(data: bytes | None) -> Edit | None:
    """Content as the edit that puts it in place of all that is there; None if it is not known."""
    return None if data is None else Edit(kind="whole", text=data.decode("utf-8", "surrogateescape"))


def _elsewhere(place: Resource) -> bool:
    """A thing at an address, and no file here."""
    return place.path is None and place.pattern is None and place.uri is not None


def _joined(left: _Entry, right: _Entry) -> _Entry:
    """What holds when either may."""
    if left == right:
        return left
    if left.gone or right.gone:
        other = right if left.gone else left
        return _Entry(data=other.data, sure=False)
    if left.data is not None and left.data == right.data:
        return _Entry(data=left.data, sure=left.sure and right.sure)
    return _UNKNOWN


def _may_name(pattern: str, path: str) -> bool:
    """A pattern may name the path, or something above it; links may lead there, so only the last name counts."""
    last = posixpath.basename(pattern.rstrip("/"))
    # What is not known may hold slashes, and yet the last name ends as the pattern does.
    last = "*" if last in ("", ".", "..") else f"*{last.rpartition('**')[2]}" if "**" in last else last
    return any(fnmatch.fnmatchcase(part, last) for part in path.split("/") if part)


def _same_file(real: str, made: str) -> bool:
    return real == made or real.startswith(made + "/")


def _folders(path: str) -> list[str]:
    """Every directory above a path, the nearest first."""
    found: list[str] = []
    end = path.rfind("/")
    while end > 0:
        found.append(path[:end])
        end = path.rfind("/", 0, end)
    return found
