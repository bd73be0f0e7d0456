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

from guardrail.effects.domain._made import GONE, UNKNOWN, Entry, Made, folders, joined
from guardrail.effects.keys._edit import apply
from guardrail.model import Edit, Op, Resource
from guardrail.patterns import lazy

CONTENT_OPS: Final = frozenset(("create", "write", "append", "truncate", "delete", "rename", "copy", "link", "mount"))
"""Operations after which a file may hold something else, or a name mean another file."""

_CODE_OPS: Final = frozenset(("exec_opaque", "remote_exec"))

NOTED: Final = CONTENT_OPS | _CODE_OPS | {"set_security"}
"""Operations after which a file may hold something else, or be refused."""


class Contents(Made):
    """The same, told of every effect of the call, and asked by what comes after it."""

    __slots__ = ()

    # -- changes

    def put(self, path: str, data: bytes | None) -> None:
        """A file now has this content; None if what it holds is not known."""
        self._put(self._name(path), data)

    def _put(self, name: str, data: bytes | None) -> None:
        entry = UNKNOWN
        if data is not None:
            self._room -= len(data)
            entry = Entry(data=data) if self._room >= 0 else UNKNOWN
        if name in self._sealed or "" in self._sealed:
            # The write may be refused, and then the file stays as it is.
            entry = joined(self._now(name), entry)
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
            if self._made and not (attrs and attrs.get("analysed")):
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
        name = self._name(place.path)
        data = None
        if edit is not None:
            if edit.kind == "whole":
                data = apply(edit, None)
            else:
                before = self._now(name)
                known = before.gone or (before.data is not None and before.sure)
                data = apply(edit, before.data) if known else None
        self._put(name, data)
        self._forget_below(name)

    def _remove(self, place: Resource) -> None:
        if place.path is None:
            self._vaguely(place)
            return
        name = self._name(place.path)
        self._set(name, GONE)
        self._forget_below(name)

    def _forget_below(self, name: str) -> None:
        if name in self._above:
            for path in [path for path in self._made if path.startswith(name + "/")]:
                self._set(path, UNKNOWN)

    def _vaguely(self, place: Resource) -> None:
        pattern = place.pattern or "**"
        if pattern not in self._vague:
            self._vague.append(pattern)
        for path in [path for path in self._made if _may_name(pattern, path)]:
            self._set(path, UNKNOWN)

    def forget(self) -> None:
        """Something ran that may have changed any file: no content that the call made is known any more."""
        for path in self._made:
            self._set(path, UNKNOWN)

    def soak(self, path: str) -> None:
        """A command writes the file only after all others of its pipeline are done with it."""
        self._seen.pop(self._name(path), None)

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
        if not self._made.keys().isdisjoint(folders(name)):
            return True
        real, meant = self._view.identity(path), self._meant()
        return real in meant or not meant.keys().isdisjoint(folders(real))

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
        return None if (self._made or self._vague) and self.changed(path) else self._look(path, limit)

    def _now(self, name: str) -> Entry:
        entry = self._made.get(name)
        if entry is None:
            return UNKNOWN if self.changed(name) else self._live(name)
        return entry if entry.data is None or self.made(name) is not None else UNKNOWN

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
        if "//" not in path and path[-1:] != "/" and ("/." not in path or _DOTS.search(path) is None):
            return path
        return self._view.identity(path) if ".." in path else posixpath.normpath(path)


_DOTS: Final = lazy(r"/\.(?:[./]|$)")
"""Where a part of a path may stand for no name of its own, or for the directory above."""


def as_edit(data: bytes | None) -> Edit | None:
    """Content as the edit that puts it in place of all that is there; None if it is not known."""
    return None if data is None else Edit(kind="whole", text=data.decode("utf-8", "surrogateescape"))


def _elsewhere(place: Resource) -> bool:
    """A thing at an address, and no file here."""
    return place.path is None and place.pattern is None and place.uri is not None


def _may_name(pattern: str, path: str) -> bool:
    """A pattern may name the path, or something above it; links may lead there, so only the last name counts."""
    last = posixpath.basename(pattern.rstrip("/"))
    # What is not known may hold slashes, and yet the last name ends as the pattern does.
    last = "*" if last in ("", ".", "..") else f"*{last.rpartition('**')[2]}" if "**" in last else last
    return any(fnmatch.fnmatchcase(part, last) for part in path.split("/") if part)


def _same_file(real: str, made: str) -> bool:
    return real == made or real.startswith(made + "/")
