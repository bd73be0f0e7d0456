"""What Python snippets are predicted to change is compared with what the kernel saw them change."""

from __future__ import annotations

import fnmatch
import os
import posixpath
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardrail.model import Effect, Resource
from tests.effects_support import RealFiles, effects_of

SNIPPETS = [
    part.strip("\n")
    for part in (Path(__file__).parent / "cases/effects/python_truth.txt").read_text(encoding="utf-8").split("\n---\n")
]

CHANGES = (
    "openat,open,creat,unlink,unlinkat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mkdir,mkdirat,rmdir,"
    "chdir,fchdir,truncate,ftruncate,chmod,fchmod,fchmodat,chown,fchown,fchownat,utimensat,utime,futimesat,mknod,mknodat"
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def tracer() -> None:
    """`strace` has to be there where it counts."""
    if shutil.which("strace") is None:
        if os.environ.get("CI"):
            pytest.fail("strace is not installed, and CI compares predictions with what the kernel saw")
        pytest.skip("strace is not installed, so predictions cannot be compared with what the kernel saw")


def scratch(root: Path) -> None:
    """The files that every snippet finds."""
    (root / "d").mkdir()
    (root / "tree/sub").mkdir(parents=True)
    (root / "empty").mkdir()
    for name in ("a.txt", "c.txt", "d/b.txt", "tree/m.py", "tree/sub/n.py"):
        (root / name).write_text("x = 1\n")
    (root / "c.json").write_text('{"a": 1}')
    with zipfile.ZipFile(root / "in.zip", "w") as archive:
        archive.writestr("inner.txt", "x")


def observed(log: str, root: str) -> Iterator[tuple[str, str]]:
    """(call, path) of everything below the scratch directory that was changed."""
    # A process starts where its parent is; the snippets change directories in the main process alone.
    here = root
    # With `-y` a descriptor is followed by its path in angle brackets.
    for line in log.splitlines():
        match = re.match(r"(?:\[pid\s+\d+\]\s+|\d+\s+)?(\w+)\((.*)\)\s+=\s+(-?\d+)", line)
        if match is None or match[3].startswith("-"):
            continue
        call, arguments = match[1], match[2]
        if call.startswith("open") and not re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", arguments):
            continue
        if call in ("chdir", "fchdir"):
            name = re.search(r'"([^"]*)"|<([^>]*)>', arguments)
            here = posixpath.normpath(posixpath.join(here, (name[1] or name[2]) if name is not None else "."))
            continue
        base = here
        folder = re.match(r"(?:AT_FDCWD|\d+)<([^>]*)>", arguments)
        if folder is not None:
            base = folder[1]
        names = [name.encode().decode("unicode_escape") for name in re.findall(r'"((?:[^"\\]|\\.)*)"', arguments)]
        if not names and folder is not None:
            names = [base]
        if call.startswith("symlink"):
            names = names[-1:]
        for name in names[:2]:
            path = posixpath.normpath(posixpath.join(base, name))
            if path.startswith(root + "/"):
                yield call, path


def covers(effect: Effect, place: Resource | None, path: str) -> bool:
    """An effect on a place is also one on this path."""
    if place is None:
        return False
    if place.path is not None:
        known = posixpath.normpath(place.path)
        whole = place.recursive or place.kind == "dir" or effect.op in ("copy", "rename", "delete")
        beside = re.fullmatch(re.escape(known) + r"\.\d+", path) is not None  # written beside, then renamed
        return path == known or beside or (whole and path.startswith(known + "/")) or known.startswith(path + "/")
    if place.pattern is not None:
        pattern = re.sub(r"\*+", "*", posixpath.normpath(place.pattern))
        return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, pattern.replace("/*", "*"))
    return False


def predicted(effects: tuple[Effect, ...], path: str) -> bool:
    """Some change of this path was foretold, or the analysis said that it ended."""
    for effect in effects:
        if effect.op == "exec_opaque" and effect.attrs["code"] in ("inline", "dynamic", "unparsed"):
            return True
        if effect.op not in ("read", "list", "exec", "env", "exec_opaque") and (
            covers(effect, effect.resource, path) or covers(effect, effect.target, path)
        ):
            return True
    return False


@pytest.mark.parametrize("code", SNIPPETS)
def test_every_change_that_a_snippet_makes_was_foretold(code: str, tmp_path: Path) -> None:
    """Writes, deletions, renames, links, modes and times, as the kernel saw them."""
    scratch(tmp_path)
    root = str(tmp_path.resolve())
    effects = effects_of(f"python3 -c {shlex.quote(code)}", cwd=root, view=RealFiles())
    log = tmp_path.parent / f"{tmp_path.name}.log"
    command = [
        "strace",
        "-f",
        "-y",
        "-s",
        "4096",
        "-e",
        f"trace={CHANGES}",
        "-o",
        str(log),
        sys.executable,
        "-I",
        "-c",
        code,
    ]
    subprocess.run(
        command,
        cwd=root,
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    seen = [(call, path) for call, path in observed(log.read_text(errors="replace"), root) if path != root]
    assert seen, "the snippet changed nothing: it is no test"
    missed = [f"{call} {path}" for call, path in seen if not predicted(effects, path)]
    assert missed == [], [f"{e.op} {e.resource.address}" for e in effects]
