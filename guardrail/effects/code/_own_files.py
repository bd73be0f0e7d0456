"""The files that the session wrote, in earlier calls and in the one at hand, for who asks which of them matter to it.

Not concerned with what is in them. Nobody goes through all of them: late in a session there are thousands.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from guardrail.effects.domain._call import Call
from guardrail.effects.domain._ordered import Keys, OrderedPaths, Rule, every
from guardrail.effects.domain._values import Field
from guardrail.effects.domain._view import FileView

MAX_BROUGHT: Final = 1024
"""Most files below directories that were brought as a whole that are looked at for one call."""

MAX_BROUGHT_FOLDERS: Final = 128
"""Most directories in which these lie."""

FEW_NAMES: Final = 8
"""Up to so many names in one directory are looked at one by one; of more, all that it holds is asked for at once."""


class OwnFiles:
    """What the session wrote, as one command finds it: in order, so that two processes say the same of one call.

    Args:
        before: in earlier calls.
        more: in this one; and what stands for names known in part and directories that were brought.
        brought: those of the earlier ones that may be a directory; all of them if that is not said.
    """

    __slots__ = ("_brought", "_fresh", "before", "more")

    def __init__(self, before: OrderedPaths, more: Sequence[str], brought: OrderedPaths | None = None) -> None:
        self.before = before
        self.more = more
        self._brought = before if brought is None else brought
        self._fresh = frozenset(more)

    def __bool__(self) -> bool:
        return bool(self.before) or bool(self.more)

    def __contains__(self, path: str) -> bool:
        return path in self._fresh or path in self.before

    @property
    def brought(self) -> OwnFiles:
        """Those of them that may be a directory, with all that lies in it."""
        return self if self._brought is self.before else OwnFiles(self._brought, self.more)

    def chosen(self, rule: Rule) -> list[str]:
        """Those that a rule chooses."""
        return _both(self.before.chosen(rule), filter(rule, self.more))

    def below(self, folders: Iterable[str], rule: Rule = every) -> list[str]:
        """Those that lie below some directories.

        Args:
            folders: the directories.
            rule: chooses them.
        """
        tops = {f"{folder.rstrip('/')}/" for folder in folders}
        outer = [top for top in tops if not any(top != other and top.startswith(other) for other in tops)]
        more = [path for path in self.more if path.startswith(tuple(tops)) and rule(path)]
        before: list[str] = []
        for top in sorted(outer):
            before += self.before.beginning(top, rule)
        return _both(before, more)

    def beginning(self, start: str, rule: Rule) -> list[str]:
        """Those of them that begin with a text."""
        more = (path for path in self.more if path.startswith(start) and rule(path))
        return _both(self.before.beginning(start, rule), more)

    def any_below(self, path: str) -> bool:
        """Whether any lies below a path."""
        top = f"{path}/"
        return any(one.startswith(top) for one in self.more) or self.before.any_beginning(top)

    def at(self, keys: Keys, key: str) -> list[str]:
        """Those that are found under a key."""
        return _both(self.before.at(keys, key), (path for path in self.more if key in keys(path)))

    def has(self, keys: Keys, key: str) -> bool:
        """Whether any is found under a key."""
        return self.before.has(keys, key) or any(key in keys(path) for path in self.more)

    def keys(self, keys: Keys, start: str = "") -> list[str]:
        """The keys that begin with a text."""
        more = (key for path in self.more for key in keys(path) if key.startswith(start))
        return _both(self.before.keys(keys, start), more)


def _both(before: list[str], more: Iterable[str]) -> list[str]:
    fresh = [*more]
    return sorted({*before, *fresh}) if fresh else before


# -- rules and keys


def is_python(path: str) -> bool:
    """A source of Python."""
    return path.endswith(".py")


def is_terraform(path: str) -> bool:
    """A description of machines."""
    return path.endswith(".tf")


def is_bare(path: str) -> bool:
    """Of a name without an ending, as directories have."""
    return "." not in path.rpartition("/")[2]


def bare_folder(path: str) -> tuple[str, ...]:
    """Where something lies whose name has no ending."""
    folder, _, name = path.rpartition("/")
    return (folder,) if "." not in name else ()


def dotted_folder(path: str) -> tuple[str, ...]:
    """Where something lies whose name has an ending."""
    folder, _, name = path.rpartition("/")
    return (folder,) if "." in name else ()


def python_folder(path: str) -> tuple[str, ...]:
    """Where a source of Python lies."""
    return (path.rpartition("/")[0],) if path.endswith(".py") else ()


def module_folder(path: str) -> tuple[str, ...]:
    """Where a source of Python lies that has the name of a module."""
    folder, _, name = path.rpartition("/")
    return (folder,) if name.endswith(".py") and name.removesuffix(".py").isidentifier() else ()


def parts_of(path: str) -> list[str]:
    """The names that a path is made of."""
    return path.split("/")[1:]


def _is_library(path: str) -> bool:
    return "-packages" in path and is_bare(path)


# -- of one command


def own_files(call: Call) -> OwnFiles | None:
    """What the session wrote, before this call and in it; None if there are too many to tell.

    A directory that was brought as a whole stands for its files where programs of this call load some from.
    """
    return _with_made(call, _before(call))


def named_files(call: Call) -> OwnFiles | None:
    """`own_files`; where directories that were brought hold too many, what the session wrote by name all the same."""
    own = _before(call)
    paths = call.shell.wrote.files() if own is None else None
    return _with_made(call, own if paths is None else OwnFiles(paths, ()))


def _with_made(call: Call, own: OwnFiles | None) -> OwnFiles | None:
    made = [path for path in call.shell.emit.made if "*" not in path]
    if own is None or not made:
        return own
    return OwnFiles(own.before, _both([*own.more], made), own.brought.before)


def _before(call: Call) -> OwnFiles | None:
    """What it wrote in earlier calls: the same for all parts of the analysis that ask of the same places."""
    shell = call.shell
    places = tuple(_loaded_from(call)) if shell.written_before else ()
    if places not in shell.brought:
        paths = shell.wrote.files()
        more = _resolved(call, paths, places) if paths is not None and shell.written_before else ()
        if paths is None or more is None:
            shell.brought[places] = None
        else:
            shell.brought[places] = OwnFiles(paths, sorted({*more}), shell.wrote.brought())
    return shell.brought[places]


def _resolved(call: Call, paths: OrderedPaths, places: Sequence[str]) -> tuple[str, ...] | None:
    """The files that names known in part, and directories that were brought, stand for now."""
    shell = call.shell
    found: list[str] = []
    for pattern in shell.wrote.patterns():
        matching = shell.view.glob(pattern)
        if matching is None:
            return None
        found += map(shell.view.real, matching)
    own = OwnFiles(paths, found, shell.wrote.brought()).brought
    above = {path for place in places for path in _above(place) if path in own and is_bare(path)}
    others = [path for path in own.chosen(_is_library) if shell.view.kind(path) == "dir"]
    tops = {*(path for path in above if shell.view.kind(path) == "dir"), *others}
    tops.update(directories(shell.view, own, bare_folder, places))
    files = _below(shell.view, sorted(tops))
    return None if files is None else (*found, *files)


def directories(view: FileView, own: OwnFiles, keys: Keys, places: Iterable[str]) -> Iterator[str]:
    """What the session wrote below some places that is a directory now.

    Args:
        view: the live filesystem.
        own: what the session wrote, as far as it may be a directory.
        keys: gives the directory in which a path lies, for those that are wanted.
        places: where to look.
    """
    folders = {folder for place in places for folder in own.keys(keys, f"{place.rstrip('/')}/")}
    folders.update(place.rstrip("/") for place in places)
    for folder in sorted(folders):
        paths = own.at(keys, folder)
        listed = view.listing(folder or "/") if len(paths) > FEW_NAMES else None
        if listed is None:
            yield from (path for path in paths if view.kind(path) == "dir")
            continue
        yield from (path for path in listed[1] if folder in keys(path) and path in own)
        # A listing is without the names that a dot begins.
        hidden = paths[bisect_left(paths, f"{folder}/.") : bisect_left(paths, f"{folder}//")]
        yield from (path for path in hidden if view.kind(path) == "dir")


def _above(place: str) -> Iterator[str]:
    """A directory, and those that it lies in."""
    path = place.rstrip("/")
    while path:
        yield path
        path = path.rpartition("/")[0]


def _loaded_from(call: Call) -> list[str]:
    """Where programs may load something from: where they run, what they are told of, and Python's path."""
    value = call.state.vars.get("PYTHONPATH")
    named = [part for text in (value.alternatives if value is not None else ()) for part in text.split(":")]
    named += [field.text for field in call.args if field.text[:1] not in ("-", "") and "\n" not in field.text]
    places = [call.cwd, *(call.place(Field(text=text)).path for text in named)]
    return [f"{call.shell.view.real(where).rstrip('/')}/" for where in dict.fromkeys(places) if where]


def _below(view: FileView, tops: Sequence[str]) -> list[str] | None:
    """The files below some directories, None if there are too many; a repository is a project like any other."""
    waiting = [top for top in tops if view.kind(f"{top}/.git") is None]
    files: list[str] = []
    folders = 0
    while waiting:
        # Those that wait are counted too: where they are too many, no more of them need be listed to say so.
        found = view.listing(waiting.pop()) if folders + len(waiting) <= MAX_BROUGHT_FOLDERS else None
        folders += 1
        if found is None or len(files) > MAX_BROUGHT:
            return None
        files += found[0]
        waiting += found[1]
    return files
