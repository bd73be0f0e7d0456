"""A small filesystem view and printable effects, for the tests of `guardrail.effects`."""

from __future__ import annotations

import glob
import os
import posixpath
from collections.abc import Mapping
from typing import Literal

from guardrail.assets._files import LiveFiles
from guardrail.config import LimitConfig
from guardrail.effects import analyse
from guardrail.effects.domain._view import Listing
from guardrail.model import Effect, Resource
from guardrail.parse import ShellText

LIMITS = LimitConfig()


class NoFiles:
    """A filesystem in which nothing exists, except for the contents given."""

    def __init__(self, files: Mapping[str, bytes] | None = None, dirs: tuple[str, ...] = ()) -> None:
        self.files = dict(files or {})
        self.dirs = set(dirs)

    def glob(self, pattern: str) -> tuple[str, ...] | None:
        """Names that match among the given ones, component by component."""
        import fnmatch

        want = pattern.split("/")
        names = [*self.files, *self.dirs]
        return tuple(
            sorted(
                name
                for name in names
                if len(name.split("/")) == len(want)
                and all(fnmatch.fnmatchcase(a, b) for a, b in zip(name.split("/"), want, strict=True))
            )
        )

    def listing(self, folder: str) -> Listing | None:
        """Of the given names those in a directory."""
        here = [sorted(n for n in names if posixpath.dirname(n) == folder and posixpath.basename(n)[:1] != ".")
                for names in (self.files, self.dirs)]  # fmt: skip
        return Listing(tuple(here[0]), tuple(here[1]), linked=False)

    def kind(self, path: str) -> Literal["file", "dir", "other"] | None:
        """What the given tree has there."""
        path = posixpath.normpath(path)
        return "file" if path in self.files else "dir" if path.rstrip("/") in self.dirs else None

    def missing(self, path: str) -> bool:
        """All that was not given."""
        return self.kind(path) is None

    def identity(self, path: str) -> str:
        """No links."""
        return posixpath.normpath(path)

    def real(self, path: str) -> str:
        """No links."""
        return posixpath.normpath(path)

    def single(self, path: str) -> bool:
        """No file has a second name."""
        return self.kind(path) == "file"

    def enterable(self, path: str) -> bool:
        """Every directory that was given."""
        return self.kind(path) == "dir"

    def plain(self, path: str) -> bool:
        """By the given names."""
        names = [name.rpartition("/")[2] for name in (*self.files, *self.dirs)]
        return not any(name.startswith("-") or set(name) & set(" \t\n'\"\\*?[") for name in names)

    def inert(self, path: str) -> bool:
        """By the given names: letters and a few marks."""
        return self.plain(path) and not any(set(name) & set(";&|$`(){}<>#!~") for name in (*self.files, *self.dirs))

    def writable(self, path: str) -> bool:
        """Every file that was given."""
        return self.kind(path) == "file"

    def stale(self, path: str) -> bool:
        """Nothing was compiled."""
        return False

    def read(self, path: str, limit: int) -> bytes | None:
        """Content that was given."""
        data = self.files.get(posixpath.normpath(path))
        return data if data is not None and len(data) <= limit else None


class RealFiles:
    """The real filesystem."""

    def glob(self, pattern: str) -> tuple[str, ...] | None:
        """As the standard library does it."""
        return tuple(sorted(glob.glob(pattern)))

    def listing(self, folder: str) -> Listing | None:
        """As the guard itself does it."""
        return LiveFiles().listing(folder)

    def kind(self, path: str) -> Literal["file", "dir", "other"] | None:
        """Links followed."""
        return "dir" if os.path.isdir(path) else "file" if os.path.isfile(path) else None

    def missing(self, path: str) -> bool:
        """As the guard itself does it."""
        return LiveFiles().missing(path)

    def identity(self, path: str) -> str:
        """Device and inode, or the resolved name."""
        try:
            status = os.stat(path)
        except OSError:
            return os.path.realpath(path)
        several = status.st_nlink > 1 and not os.path.isdir(path)
        return f"{status.st_dev}:{status.st_ino}" if several else os.path.realpath(path)

    def real(self, path: str) -> str:
        """As the kernel has it."""
        return os.path.realpath(path)

    def single(self, path: str) -> bool:
        """As the guard itself does it."""
        return LiveFiles().single(path)

    def enterable(self, path: str) -> bool:
        """Those of everybody."""
        return os.path.isdir(path)

    def plain(self, path: str) -> bool:
        """As the guard itself does it."""
        return LiveFiles().plain(path)

    def inert(self, path: str) -> bool:
        """As the guard itself does it."""
        return LiveFiles().inert(path)

    def writable(self, path: str) -> bool:
        """As the guard itself does it."""
        return LiveFiles().writable(path)

    def stale(self, path: str) -> bool:
        """As the guard itself does it."""
        return LiveFiles().stale(path)

    def read(self, path: str, limit: int) -> bytes | None:
        """Small regular files."""
        try:
            with open(path, "rb") as file:
                data = file.read(limit + 1)
        except OSError:
            return None
        return data if len(data) <= limit else None


def address(resource: Resource | None) -> str:
    """Path, pattern or uri."""
    return "" if resource is None else resource.path or resource.pattern or resource.uri or resource.kind


def text(effect: Effect) -> str:
    """`op path` or `op path -> target`."""
    target = f" -> {address(effect.target)}" if effect.target is not None else ""
    return f"{effect.op} {address(effect.resource)}{target}"


def effects_of(
    command: str,
    *,
    cwd: str | None = "/w",
    view: NoFiles | RealFiles | None = None,
    variables: Mapping[str, str] | None = None,
    limits: LimitConfig = LIMITS,
    persistent: bool = False,
) -> tuple[Effect, ...]:
    """What one shell text would do."""
    operation = ShellText(text=command, persistent=persistent)
    return analyse(
        (operation,), cwd=cwd, view=view or NoFiles(), limits=limits, variables=variables or {"HOME": "/home/a"}
    )


def said(command: str, **options: object) -> list[str]:
    """The same, printable."""
    return [text(effect) for effect in effects_of(command, **options)]  # type: ignore[arg-type]


def codes(command: str, **options: object) -> set[str]:
    """What kinds of opaque code a shell text runs."""
    found = effects_of(command, **options)  # type: ignore[arg-type]
    return {effect.attrs["code"] for effect in found if effect.op == "exec_opaque"}
