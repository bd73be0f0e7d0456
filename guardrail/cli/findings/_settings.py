"""Findings about whoever may change the configuration, and so what is guarded."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from guardrail.cli.findings._finding import Finding

if TYPE_CHECKING:
    from guardrail.config import Config


def settings_findings(config: Config) -> Iterator[Finding]:
    """Whoever can change these files decides what is guarded, and by whose order."""
    files = [("config", Path(config.source)), *(("assets", Path(path)) for path in config.asset_files)]
    if config.mandates.directory:
        directory = config.path(config.mandates.directory)
        files += [("mandates", path) for path in (directory, *_mandate_files(directory))]
    places: dict[Path, tuple[str, bool]] = {}
    for name, path in files:
        places.setdefault(path, (name, False))
        # Whoever may write to the directory can put another file in place, except where it is sticky.
        places.setdefault(path.absolute().parent, (name, True))
    for place, (name, sticky) in places.items():
        if others := _other_writers(place, sticky=sticky):
            how = f"{others} may change `{place}`, and with it what is guarded or ordered: `chmod go-w` it"
            yield Finding(name=name, state="problem", detail=how)


def _mandate_files(directory: Path) -> list[Path]:
    try:
        return sorted(directory.glob("*.mandate.json"))
    except OSError:
        return []  # said where they are read


def _other_writers(place: Path, *, sticky: bool) -> str:
    """Who besides its owner may write there; a volume that is mounted read-only is nobody's to write to."""
    try:
        found, flags = os.stat(place), os.statvfs(place).f_flag
    except OSError:
        return ""  # said where it is read
    if flags & os.ST_RDONLY or (sticky and found.st_mode & stat.S_ISVTX):
        return ""
    if found.st_mode & stat.S_IWOTH:
        return "everybody"
    return "its group" if found.st_mode & stat.S_IWGRP and not _is_own_group(found) else ""


def _is_own_group(found: os.stat_result) -> bool:
    """Whether the group is its owner alone, as where every user has a group of the same name."""
    try:
        owner, group = pwd.getpwuid(found.st_uid).pw_name, grp.getgrgid(found.st_gid)
    except KeyError:
        return False
    return group.gr_name == owner and not set(group.gr_mem) - {owner}
