"""What a compiler reads to make a program: where its sources lie, and which other files those take in by name.

Not concerned with what sources do. One that the session wrote makes the program the session's own, and so does a file
of data that a source of the project includes or embeds; where that cannot be told, any file below counts.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from guardrail.effects._built import READS, may_be_part
from guardrail.effects.code._compiled import declared_classes, may_be_plain, plain_parts
from guardrail.effects.code._own_files import OwnFiles, is_bare
from guardrail.effects.code._parts import candidates
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._ordered import NO_PATHS
from guardrail.effects.domain._paths import escape
from guardrail.effects.domain._view import FileView, Listing
from guardrail.model import Resource
from guardrail.patterns import lazy

MAX_FOLDERS: Final = 256
"""Most directories in which one build looks for sources; with more, every file below them may be taken in."""

MAX_SOURCES: Final = 512
"""Most sources that are searched for the names of other files; with more, every file below may be taken in."""

MAX_SOURCE_BYTES: Final = 256 * 1024
"""Largest of them, in bytes."""

MAX_SOURCES_BYTES: Final = 4 * 1024 * 1024
"""Most text of sources that is searched for one build, in bytes."""

MAX_LEVELS: Final = 32
"""Most directories above a place in which a manifest is looked for."""

_PASSED: Final = frozenset(("node_modules", ".git", "__pycache__", ".venv", "venv", "target"))
"""Directories that hold no sources, or what was built of them."""

_MANIFESTS: Final = {"go": ("go.mod", "go.work"), "rust": ("Cargo.toml",)}
"""Files that stand where a package begins."""

_INCLUDE: Final = lazy(
    r"^[ \t/*]*#[ \t]*(?:include|include_next|import|embed)\b[ \t]*(?:[\"<]([^\">\n]+)[\">])?"
    r"|\.(?:incbin|include)[ \t\"\\]+([^\"\\\n]+)",
    re.MULTILINE,
)
_EMBED: Final = lazy(r"^//go:embed[ \t]+(.+)$", re.MULTILINE)
_MACRO: Final = lazy(r"\b(\w+)!\s*[\(\[{]([^;]{0,400})")
_ATTRIBUTE: Final = lazy(
    r"\b\w*(?:path|folder|dir|file|source|template|schema|query|grammar|include)\w*\s*=\s*\"([^\"\n]+)\""
)
_DOCUMENTED: Final = lazy(r"#!?\[\s*doc\s*=\s*include_str!\s*\([^)]*\)\s*\]")
_TEXT: Final = lazy(r'"([^"\n]{1,240})"')
_QUIET_MACROS: Final = frozenset(
    "println print eprintln eprint format write writeln panic assert assert_eq assert_ne debug_assert todo vec dbg "
    "unreachable unimplemented info warn error debug trace bail anyhow ensure matches cfg env option_env".split()
)
"""Macros of Rust whose texts are no names of files."""

_LOCAL_MODULE: Final = lazy(r"=>\s*(\.{0,2}/\S*|\.{1,2})|^\s*(?:use\s+)?(\.{1,2}(?:/\S*)?)\s*$", re.MULTILINE)
_LOCAL_CRATE: Final = lazy(r'\bpath\s*=\s*"([^"\n]+)"')
_BUILD_KEY: Final = lazy(r"^\s*build\s*=", re.MULTILINE)


class _Found(msgspec.Struct, kw_only=True):
    """What a search has found so far; it goes on in the directories that it finds."""

    reads: str
    tops: dict[str, None]
    named: dict[str, None]
    broad: bool = False
    waiting: list[str] = []
    straight: set[str] = set()  # those of them to which no link leads
    plain: list[str] = []
    cgo: set[str] = set()  # directories whose sources of C are parts of packages of Go

    def add(self, folder: str) -> None:
        """Look in one more directory."""
        if folder not in self.tops:
            self.tops[folder] = None
            self.waiting.append(folder)


def build_of(
    call: Call, reads: str, places: Iterable[str | None], plain: Sequence[str] | None = None
) -> dict[str, Any]:
    """What goes into a program, as `_built` has it.

    Args:
        call: the compiler.
        reads: what it reads.
        places: directories and files that it is told of; None is one that is not known.
        plain: sources of the session's that only compute, if that was asked before the compiler ran.
    """
    given = list(places)
    if reads == "any" or None in given:
        return {"reads": "any", "below": ["/"], "named": [], "broad": True}
    found = _Found(reads=reads, tops={}, named={})
    view = call.shell.view
    for path in given:
        for folder in _roots(view, reads, path or "/"):
            found.add(view.real(folder))
    if reads in ("go", "rust", "java") and _candidates(call):
        known = plain_sources(call) if plain is None else [*plain]
        found.plain = known if _is_closed(view, reads, given, known) else []
    if reads == "java":
        return _record(found)
    if not _candidates(call):
        found.broad = True  # nothing was written yet: only what the call itself writes later can matter
        return _record(found)
    _search(view, found)
    return _record(found)


def own_part(call: Call, build: dict[str, Any]) -> str | None:
    """The first file, or directory, of those the session wrote in earlier calls that may go into the program."""
    files = call.shell.wrote.files()
    if files is None:
        return "/"
    view = call.shell.view
    more: list[str] = []
    for pattern in call.shell.wrote.patterns():
        found = view.glob(pattern)
        if found is None:
            return pattern
        more += (view.real(path) for path in found)
    for path in candidates(view, OwnFiles(files, more, call.shell.wrote.brought()), build):
        folder = is_bare(path) or view.kind(path) == "dir"
        if may_be_part(path, build, folder=folder and view.kind(path) != "file"):
            return path
    return None


def place_of(call: Call, part: str) -> Resource:
    """Such a file; of a directory, whatever lies below it."""
    if call.shell.view.kind(part) != "dir" and not set(part) & set("*?["):
        return Resource(kind="any", path=part)
    return Resource(kind="any", pattern=part if set(part) & set("*?[") else f"{part.rstrip('/')}/*")


def _candidates(call: Call) -> bool:
    shell = call.shell
    return shell.written_before or bool(shell.emit.made) or bool(shell.loops)


def _record(found: _Found) -> dict[str, Any]:
    build = {"reads": found.reads, "below": list(found.tops), "named": list(found.named), "broad": found.broad}
    return {**build, "plain": found.plain} if found.plain else build


def _is_closed(view: FileView, reads: str, given: Sequence[str | None], plain: Sequence[str]) -> bool:
    """A program is made of nothing but such sources: code of a project might do harm by what they tell it."""
    ending = {"go": ".go", "java": ".java"}.get(reads, ".rs")
    parts: list[str] = []
    for path in given[1:] or given:  # the first is the directory, which stands for itself where nothing is named
        names = _parts_of(view, path, ending) if path and not path.endswith(ending) else ()
        if names is None or path is None:
            return False
        if reads == "java" and view.kind(path) == "dir":
            if not _holds_only(view, path, plain):
                return False
            parts += names
            continue
        parts += names or [path]
    return bool(plain) and all(view.real(path) in plain for path in parts)


def _holds_only(view: FileView, folder: str, plain: Sequence[str]) -> bool:
    """No class lies there but such as sources declare that only compute."""
    classes = view.glob(f"{escape(folder.rstrip('/'))}/*.class")
    read = [view.read(path, MAX_SOURCE_BYTES) or b"" for path in plain if path.endswith(".java")]
    made = {name for data in read for name in declared_classes(data.decode("utf-8", "replace"))}
    return classes is not None and all(
        one.rpartition("/")[2].removesuffix(".class").partition("$")[0] in made for one in classes
    )


def _parts_of(view: FileView, path: str, ending: str) -> Sequence[str] | None:
    """Sources in a directory; of a package of Rust those of its programs, None where there are more than those."""
    folder = escape(path.rstrip("/"))
    if ending != ".rs" or view.kind(f"{path.rstrip('/')}/Cargo.toml") is None:
        return view.glob(f"{folder}/*{ending}")
    below = view.glob(f"{folder}/src/*/")
    if below is None or any(not name.rstrip("/").endswith("/src/bin") for name in below):
        return None
    found = [view.glob(f"{folder}/{where}") for where in ("*.rs", "src/*.rs", "src/bin/*.rs")]
    return None if None in found else [name for names in found for name in names or ()]


def plain_sources(call: Call) -> list[str]:
    """The sources of the session's that only compute, as they are now."""
    made = [call.shell.view.real(path) for path in call.shell.emit.made if "*" not in path]
    before = call.shell.wrote.files() or NO_PATHS
    return sorted(plain_parts(call, {*before.chosen(may_be_plain), *made}))


def _roots(view: FileView, reads: str, path: str) -> Iterator[str]:
    """Where the sources of a program lie which is made of what is at a path."""
    folder = path if view.kind(path) != "file" else path.rpartition("/")[0] or "/"
    yield folder
    names = _MANIFESTS.get(reads, ())
    above = folder
    for _ in range(MAX_LEVELS):
        if any(view.kind(f"{above.rstrip('/')}/{name}") == "file" for name in names):
            yield above
            if reads == "go":
                return  # packages of Rust lie in workspaces, which are above them
        if above in ("/", ""):
            return
        above = above.rpartition("/")[0] or "/"


def _search(view: FileView, found: _Found) -> None:
    folders = sources = size = 0
    seen: set[str] = set()
    while found.waiting:
        folder = found.waiting.pop(0)
        folder = folder if folder in found.straight else view.real(folder)
        if folder in seen:
            continue
        seen.add(folder)
        folders += 1
        listed = view.listing(folder) if folders <= MAX_FOLDERS else None
        if listed is None:
            found.broad = True
            return
        for path in sorted(
            (*_read(found.reads, listed.files), *_waited_for(found, listed)),
            key=lambda one: (not one.endswith(".go"), one),
        ):
            name = path.rpartition("/")[2]
            if READS[found.reads].fullmatch(path) is None:
                if name not in _PASSED and "." not in name:
                    _below(view, found, path, linked=listed.linked)
                continue
            if found.reads == "go" and not name.endswith((".go", ".mod", ".work")) and folder not in found.cgo:
                continue
            sources += 1
            data = view.read(path, MAX_SOURCE_BYTES) if sources <= MAX_SOURCES else None
            size += len(data or b"")
            if data is None or size > MAX_SOURCES_BYTES:
                found.broad = found.broad or not _is_binary(name)
                if sources > MAX_SOURCES or size > MAX_SOURCES_BYTES:
                    found.broad = True
                    return
                continue
            real = view.real(path) if listed.linked else path
            if real != path:
                found.named[escape(real)] = None  # a source under another name
            _look(found, folder, name, data.decode("utf-8", "replace"))


@lru_cache(maxsize=512)
def _read(reads: str, files: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the files in a directory that a compiler reads; the same are asked of until the directory changes."""
    return tuple(path for path in files if READS[reads].fullmatch(path) is not None)


def _waited_for(found: _Found, listed: Listing) -> Sequence[str]:
    """The directories in one that are looked into in their turn.

    INVARIANT: where more than the bound are waiting already, to which no link leads, the search ends before the turn of
    any further one of those; a link may lead to other sources.
    """
    return () if len(found.straight) > MAX_FOLDERS and not listed.linked else listed.folders


def _below(view: FileView, found: _Found, path: str, *, linked: bool) -> None:
    """A directory among the sources; one that is a link leads to others."""
    real = view.real(path) if linked else path
    if any(real == top or real.startswith(f"{top.rstrip('/')}/") for top in found.tops):
        if not linked:
            found.straight.add(real)
        found.waiting.append(real)
    else:
        found.add(real)


def _is_binary(name: str) -> bool:
    return re.fullmatch(r".*\.(?:o|obj|a|lo|so(?:\.\d+)*|rlib|rmeta|syso|gch|pch)", name) is not None


def _look(found: _Found, folder: str, name: str, text: str) -> None:
    """Take from one source the names of other files."""
    if found.reads == "rust":
        _rust(found, folder, name, text)
        return
    if name.endswith((".mod", ".work")) and found.reads == "go":
        for match in _LOCAL_MODULE.finditer(text):
            found.add(posixpath.normpath(posixpath.join(folder, match[1] or match[2])))
        return
    if name.endswith(".go"):
        for match in _EMBED.finditer(text):
            for one in re.findall(r'"[^"]*"|`[^`]*`|\S+', match[1]):
                pattern = one.strip('"`').removeprefix("all:")
                found.named[f"{escape(folder)}/{pattern}"] = None
                found.named[f"{escape(folder)}/{pattern}/*"] = None
        if 'import "C"' not in text:
            return
        found.cgo.add(folder)
        if "#cgo" in text:
            found.broad = True  # options that say where else there are sources
    for match in _INCLUDE.finditer(text):
        _taken(found, folder, match[1] or match[2])


def _rust(found: _Found, folder: str, name: str, text: str) -> None:
    if name.lower() == "cargo.toml":
        for match in _LOCAL_CRATE.finditer(text):
            there = posixpath.normpath(posixpath.join(folder, match[1]))
            found.add(there.rpartition("/")[0] if there.endswith(".rs") else there)
        found.broad = found.broad or _BUILD_KEY.search(text) is not None
        return
    if name == "build.rs":
        found.broad = True  # it runs while the program is built, and reads what it likes
    text = _DOCUMENTED.sub("", text)  # what only its documentation shows is no part of a program
    for match in _ATTRIBUTE.finditer(text):
        _taken(found, folder, match[1])
    for match in _MACRO.finditer(text):
        if match[1] in _QUIET_MACROS:
            continue
        texts = _TEXT.findall(match[2])
        if match[1].startswith("include") and not texts:
            found.broad = True
        for one in texts:
            _taken(found, folder, one)


def _taken(found: _Found, folder: str, name: str | None) -> None:
    """A source takes in another file, or what lies in a directory; a name that is worked out may be any."""
    if not name:
        found.broad = True
        return
    plain = posixpath.normpath(name.strip())
    last = "/".join(itertools.dropwhile(lambda part: part in ("", ".", ".."), plain.split("/")))
    if last:
        found.named[f"*/{escape(last)}"] = None
        found.named[f"*/{escape(last)}/*"] = None
    if ".." in plain.split("/"):
        there = posixpath.normpath(posixpath.join(folder, plain)).rpartition("/")[0] or "/"
        found.cgo.add(there)
        found.add(there)
