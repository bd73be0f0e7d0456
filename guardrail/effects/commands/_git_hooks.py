"""Hooks of git: where a repository has them, and which would run.

Not concerned with what is in them: a hook is a script, and whether this session wrote it is for the history to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from guardrail.effects.commands._git_repo import git_folder, put_there
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import Field
from guardrail.patterns import lazy

HOOK_FOLDERS: Final = (".githooks", ".husky", ".husky/_")
"""Where projects keep hooks; they are looked for there, whether the settings say so or not."""


def hooks(call: Call, names: Sequence[str]) -> None:
    """Hooks that are there run, and what a manager of hooks is told to run by a file of the session's.

    Args:
        call: the command.
        names: which hooks run with it.
    """
    folder = git_folder(call)
    top = folder.rpartition("/")[0] or "."
    folders = [f"{top}/{name}" for name in HOOK_FOLDERS]
    if call.shell.emit.made or call.shell.view.kind(folder) is not None:
        # Where this call makes a repository, its hooks lie in the directory that it goes to.
        folders = [f"{folder}/hooks", ".git/hooks", *folders, *_hook_folders(call, folder)]
    there = False
    for where in dict.fromkeys(folders):
        for name in names if _may_be(call, where) else ():
            there = _note(call, f"{where}/{name}") or there
    for name in _HOOKED if there else ():
        place = call.place(Field(text=f"{top}/{name}"))
        if place.path is not None and call.shell.authored(place.path):
            call.script(place, authored=True)


def _may_be(call: Call, folder: str) -> bool:
    """There is such a directory, or this call may have put something there."""
    place = call.place(Field(text=folder))
    return place.path is None or call.kind(place) is not None or call.shell.emit.changed(place.path)


def _note(call: Call, name: str) -> bool:
    place = call.place(Field(text=name))
    authored = place.path is not None and put_there(call, place)
    there = authored or call.kind(place) is not None
    if there:
        call.script(place, authored=authored)
    return there


_HOOKED: Final = (".pre-commit-config.yaml", "lefthook.yml", ".lefthook.yml", ".overcommit.yml")
"""Files with what hooks run that a manager of hooks has put there."""


def _hook_folders(call: Call, folder: str) -> Iterator[str]:
    """Where the settings of the repository say that its hooks are."""
    place = call.place(Field(text=f"{folder}/config"))
    data = call.content(place) if place.path is not None else None
    for match in _HOOKS_PATH.finditer(data.decode("utf-8", "replace")) if data is not None else ():
        name = match["path"]
        yield name if name[0] in "/~" else f"{folder.rpartition('/')[0] or '.'}/{name}"


_HOOKS_PATH: Final = lazy(
    r'(?:^|\])[ \t]*hookspath[ \t]*=[ \t]*"?(?P<path>[^"\n#;]*[^"\n#; \t])', re.MULTILINE | re.IGNORECASE
)
