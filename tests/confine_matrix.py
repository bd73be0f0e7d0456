"""Running every attack against one mechanism; used by the tests and by `scripts/confine_matrix.py`."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from guardrail.confine.kernel import Executor, Profile
from tests.confine_attacks import READERS
from tests.confine_support import AS_ROOT, DROP, HERE, LAUNCHER, PYTHON, SYSTEM, WEIGHTS, Arena, attack, victim

TOUCHES_NO_SOCKET = "socket"
"""Libraries ask for users over a socket of this host; where an attack needs none, its denial is no evidence of it."""


@dataclass(kw_only=True)
class Column:
    """What came of the attacks.

    Args:
        open: those that got what they wanted.
        told: those that left an event.
        said: what each printed.
        harmed: those after which what is protected was not as before.
    """

    open: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)
    harmed: list[str] = field(default_factory=list)


def profile(made: Arena, mode: str) -> Profile:
    """What the attacker is given: the system to read, the workspace to write, no port."""
    return Profile(
        mode=mode,  # type: ignore[arg-type]
        read=(*SYSTEM, str(HERE)),
        write=(made.ws,),
        # The rows of aliases are to tell what the mode itself holds.
        strict_on_aliases=False,
        times="deny" if mode == "strict" else "observe",
    )


def reading(made: Arena, mode: str) -> Profile:
    """What a reader is given: the same to read, with the weights; nothing to write, no port."""
    return replace(profile(made, mode), read=(*SYSTEM, str(HERE), made.models, made.ws), write=(), reads=(WEIGHTS,))


def confined(made: Arena, mode: str, names: Iterable[str], launcher: Sequence[str] = LAUNCHER) -> Column:
    """Every attack in a session of its own, in a mode of the kernel line."""
    column = Column()
    left = list(names)
    while left:
        made.fill()
        with (
            victim(made, f"{mode}-{os.getpid()}") as environment,
            # The floor is refused where a configuration lies in the workspace: here it is to show what it leaves open.
            Executor(made.protected(), launcher=launcher, required=mode != "floor") as executor,
        ):
            before = state(made)
            while left and state(made) == before:
                name = left.pop(0)
                given = reading if name in READERS else profile
                with executor.open(given(made, mode)) as session:
                    said, ended = attack(session, made, name, environment)
                seen = [one for one in ended.observed if one.why != TOUCHES_NO_SOCKET or "unix" in name]
                column.said[name] = said
                if said.startswith("OPEN"):
                    column.open.append(name)
                if seen:
                    column.told.append(name)
                if state(made) != before:
                    column.harmed.append(name)
                tidy(made)
    return column


def plain(made: Arena, names: Iterable[str], prefix: Callable[[Arena, bool], list[str]] = lambda *_: []) -> Column:
    """Every attack without confinement of ours, by itself or behind another program."""
    column = Column()
    for name in names:
        made.fill()
        with victim(made, f"bare-{os.getpid()}") as environment:
            argv = [
                *(DROP if AS_ROOT else ()),
                *prefix(made, name in READERS),
                PYTHON,
                "-S",
                "-B",
                str(HERE / "confine_attacks.py"),
            ]
            done = subprocess.run(
                [*argv, name, made.base], cwd=made.ws, env={"PATH": "/usr/bin:/bin", **environment}, timeout=60,
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, start_new_session=True,
            )  # fmt: skip
        column.said[name] = done.stdout.strip() or done.stderr.strip()[-100:]
        if done.stdout.startswith("OPEN"):
            column.open.append(name)
    return column


def state(made: Arena) -> object:
    """Everything about what is protected that an attacker could want to change."""
    found: list[object] = []
    for path in (made.weights, made.conf, made.models, f"{made.models}/peer", f"{made.base}/srv"):
        try:
            seen = os.lstat(path)
        except OSError:
            return None
        found.append((path, seen.st_ino, seen.st_mode, seen.st_uid, seen.st_gid, seen.st_nlink, seen.st_mtime_ns))
        if os.path.isfile(path):
            found.append((hashlib.sha256(Path(path).read_bytes()).digest(), os.listxattr(path)))
    return found


def tidy(made: Arena) -> None:
    """Take away what an attack left in the workspace, and nothing that is protected."""
    for folder, kept in ((made.ws, {"conf", "pre_link"}), (f"{made.ws}/conf", {"shutdown.yaml"})):
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            path = f"{folder}/{name}"
            if name not in kept:
                shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
