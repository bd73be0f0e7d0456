"""Texts of scripts: what one may hold by the time it runs, and whether the session wrote it.

Not concerned with what a text would do.
"""

from __future__ import annotations

import posixpath
from collections.abc import Generator, Iterable, Sequence
from typing import Final

import msgspec

from guardrail.effects.domain._assured import is_replaced
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import Field
from guardrail.effects.domain._view import FileView
from guardrail.model import Resource

STANDARD_INPUT: Final = frozenset(("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"))
"""Names of standard input."""


def is_stream(path: str | None) -> bool:
    """A name under /dev or /proc: what stands there for the guard is not what stands there for the call."""
    if path is None:
        return False
    plain = posixpath.normpath(path)
    return plain.startswith(("/dev/", "/proc/", "//dev/", "//proc/"))


def script_texts(call: Call, resource: Resource) -> tuple[str, ...]:
    """What a script may hold when it runs: what this call put there, and what was there if that may have failed."""
    data = call.content(resource)
    if data is None or b"\0" in data or resource.path is None:
        return ()
    if not call.shell.contents.knows(resource.path):
        note_script(call, resource)
        return (data.decode("utf-8", "surrogateescape"),)
    old = None
    if not is_replaced(call.shell, resource.path):
        old = call.shell.view.read(resource.path, call.shell.limits.script_bytes)
    both = (data,) if old is None or b"\0" in old else (data, old)
    return tuple(dict.fromkeys(text.decode("utf-8", "surrogateescape") for text in both))


def note_old(call: Call, path: str, since: int) -> None:
    """Say of what is not looked into that it is in a text which this call replaces, unless that fails.

    Args:
        call: the command that runs the file.
        path: the file.
        since: how many effects there were before those of the old text.
    """
    effects = call.shell.emit.effects
    for index in range(since, len(effects)):
        effect = effects[index]
        if effect.op == "exec_opaque":
            told = f"{effect.attrs.get('reason') or 'code'}, in what `{path}` holds now: writing over it may fail"
            effects[index] = msgspec.structs.replace(effect, attrs={**effect.attrs, "reason": told})


def note_script(call: Call, resource: Resource) -> None:
    """After changes in the same call a script may be one of the changed files under another name.

    The live filesystem knows: `history` compares real paths, and only a script that was written is held.
    """
    if call.shell.emit.made:
        attrs = {"analysed": True}
        call.shell.emit.opaque("script", resource, spec=call.name, span=call.span, attrs=attrs)


def note_run(call: Call, path: Resource) -> None:
    """Say that a script runs which is not looked into.

    Args:
        call: the command that runs it.
        path: the script.
    """
    authored = path.path is not None and call.shell.emit.wrote(path.path)
    call.script(path, authored=authored)


def note_start(call: Call, place: Resource) -> None:
    """A file that a program runs first, if it is there: whether the session wrote it is for the history to say.

    Args:
        call: the program.
        place: the file.
    """
    changed = place.path is not None and call.shell.emit.changed(place.path)
    if changed or call.kind(place) == "file":
        call.script(place, authored=changed)


MAX_BROUGHT: Final = 1024
"""Most files below directories that were brought as a whole that are looked at for one call."""

MAX_BROUGHT_FOLDERS: Final = 128
"""Most directories in which these lie."""


def written_files(call: Call, suffix: str) -> Generator[str] | None:
    """Files with a suffix that the session wrote, before this call and in it; None if there are too many to tell.

    A directory that was brought as a whole stands for its files where programs of this call load some from.
    """
    before = _written_before(call)
    if before is None:
        return None
    made = [path for path in call.shell.emit.made if "*" not in path]
    # What was written is kept in sets: in order, so that two processes say the same of one call.
    found = sorted({*before, *made}) if made else before
    return (path for path in found if path.endswith(suffix))


def _written_before(call: Call) -> Sequence[str] | None:
    """What it wrote in earlier calls, in order: the same for all parts of the analysis that ask of the same places."""
    shell = call.shell
    places = tuple(_loaded_from(call)) if shell.written_before else ()
    if places not in shell.brought:
        paths = shell.wrote.files()
        more = _resolved(call, paths, places) if paths is not None and shell.written_before else ()
        shell.brought[places] = None if paths is None or more is None else tuple(sorted({*paths, *more}))
    return shell.brought[places]


def _resolved(call: Call, paths: Iterable[str], places: Sequence[str]) -> tuple[str, ...] | None:
    """The files that names known in part, and directories that were brought, stand for now."""
    shell = call.shell
    found: list[str] = []
    for pattern in shell.wrote.patterns():
        matching = shell.view.glob(pattern)
        if matching is None:
            return None
        found += map(shell.view.real, matching)
    tops = [path for path in (*paths, *found) if "." not in path.rpartition("/")[2] and _meets(path, places)]
    files = _below(shell.view, [top for top in tops if shell.view.kind(top) == "dir"])
    return None if files is None else (*found, *files)


def _loaded_from(call: Call) -> list[str]:
    """Where programs may load something from: where they run, what they are told of, and Python's path."""
    value = call.state.vars.get("PYTHONPATH")
    named = [part for text in (value.alternatives if value is not None else ()) for part in text.split(":")]
    named += [field.text for field in call.args if field.text[:1] not in ("-", "") and "\n" not in field.text]
    places = [call.cwd, *(call.place(Field(text=text)).path for text in named)]
    return [f"{call.shell.view.real(where).rstrip('/')}/" for where in dict.fromkeys(places) if where]


def _meets(folder: str, places: Sequence[str]) -> bool:
    """A directory lies in such a place, or such a place in it; or libraries are installed there."""
    top = f"{folder}/"
    return "-packages" in folder or any(top.startswith(place) or place.startswith(top) for place in places)


def _below(view: FileView, tops: Sequence[str]) -> list[str] | None:
    """The files below some directories, None if there are too many; a repository is a project like any other."""
    waiting = [top for top in tops if view.kind(f"{top}/.git") is None]
    files: list[str] = []
    folders = 0
    while waiting:
        folder = waiting.pop()
        found = view.listing(folder) if folders < MAX_BROUGHT_FOLDERS else None
        folders += 1
        if found is None or len(files) > MAX_BROUGHT:
            return None
        files += found[0]
        waiting += found[1]
    return files
