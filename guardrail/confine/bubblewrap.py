"""Bubblewrap in place of the kernel line: a tool sees the files of its profile, in namespaces of its own.

For hosts that have it and let it make user namespaces. It holds names and content; it tells of nothing, so what was
tried is in no record, and what it cannot hold as judged it does not start.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Self

import msgspec

from guardrail.assets import Asset
from guardrail.confine._confinement import Seen
from guardrail.confine._job import Job
from guardrail.confine.execd._orders import Profile, ProtectedSet, beneath
from guardrail.confine.execd._seccomp import FilterPlan, program
from guardrail.confine.kernel import Bounds, ConfineError, profile_for, protect
from guardrail.enforcement import Enforcement
from guardrail.model import Effect

PROBE_SECONDS: Final = 10.0
"""Longest wait for a first, empty sandbox, in seconds."""

SHELL: Final = "/bin/sh"

_OPEN: Final = 'program=$1 place=$2; shift 2; exec "$program" --args 8 "$@" 8<"$place/options" 9<"$place/filter"'
"""Gives bubblewrap its options and its filter as descriptors: options hold variables, which a command line shows."""

_ALWAYS: Final = (
    "--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL", "--die-with-parent", "--new-session",
    "--dev", "/dev", "--proc", "/proc", "--clearenv", "--seccomp", "9",
)  # fmt: skip


class Bubblewrap:
    """Holds each job to what its call was judged to do; a `Confinement` of owned execution.

    Args:
        assets: the inventory; frozen for each job as it lies then.
        bounds: the most that any job may reach.
        program: where bubblewrap is; found on the guard's own path by default.

    Raises:
        ConfineError: if it is not there, or cannot make a sandbox here.
    """

    name = "bwrap"

    def __init__(self, assets: Iterable[Asset], bounds: Bounds, *, program: str | None = None) -> None:
        found = program or shutil.which("bwrap")
        if found is None:
            raise ConfineError("bubblewrap is not here: install it, or choose another mode")
        self._program = found
        self._assets = assets
        # Assets beneath what may be read are hidden, one by one, which no other mode but strict can do.
        self._bounds = msgspec.structs.replace(bounds, mode="strict")
        self._place = tempfile.mkdtemp(prefix="guardrail-bwrap-")
        self._probe()

    def enforcement(self, job: Job) -> Enforcement | None:
        """Policy relies on nothing here: what is tried beyond the judged effects is not told."""
        del job
        return None

    def confine(self, job: Job, effects: Sequence[Effect]) -> Job:
        """The job with bubblewrap in front.

        Raises:
            ConfineError: if it cannot be held so.
        """
        assets = list(self._assets)
        profile, protected = profile_for(effects, assets, self._bounds), protect(assets)
        _check_holds(profile, protected)
        options = [*_ALWAYS, *_view(profile, protected, self._place), "--chdir", job.cwd]
        for name, value in job.environment.items():
            options += ["--setenv", name, value]
        self._write(options)
        return msgspec.structs.replace(job, argv=self._command(*job.argv), environment={})

    def seen(self) -> Seen:
        """It tells of nothing."""
        return Seen(facts={"kernel_mode": "bwrap"})

    def close(self) -> None:
        """Take away its files."""
        shutil.rmtree(self._place, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _probe(self) -> None:
        self._write([*_ALWAYS, "--ro-bind", "/", "/"])
        try:
            done = subprocess.run(
                self._command("/bin/true"), capture_output=True, timeout=PROBE_SECONDS, env={}, check=False
            )
            why = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2] if done.returncode else None
        except (OSError, subprocess.TimeoutExpired) as error:
            why = str(error)
        if why is not None:
            self.close()
            raise ConfineError(f"bubblewrap makes no sandbox here: {why.removeprefix('bwrap: ')}")

    def _command(self, *argv: str) -> tuple[str, ...]:
        return SHELL, "-c", _OPEN, "sh", self._program, self._place, "--", *argv

    def _write(self, options: Iterable[str]) -> None:
        with open(os.path.join(self._place, "options"), "wb") as file:
            file.write(b"".join(os.fsencode(option) + b"\0" for option in options))
        with open(os.path.join(self._place, "filter"), "wb") as file:
            file.write(program(FilterPlan(notify=False)))


def _check_holds(profile: Profile, protected: ProtectedSet) -> None:
    """INVARIANT: what cannot be held as it was judged is not started."""
    if profile.connect or profile.unix:
        raise ConfineError("bubblewrap has a network or none: it cannot hold a tool to its ports; use `default`")
    if profile.grants:
        raise ConfineError("bubblewrap cannot hold a tool to one way of changing an asset; use `default`")
    if protected.aliases:
        raise ConfineError(f"`{protected.aliases[0]}` has another name, which bubblewrap does not see; use `strict`")
    for root in protected.roots:
        if not os.path.lexists(root) and _over(root, profile.write) is not None:
            raise ConfineError(f"`{root}` is protected and not there yet: bubblewrap cannot hold it; use `default`")


def _view(profile: Profile, protected: ProtectedSet, place: str) -> Iterator[str]:
    """The files that a tool sees: what it may read, what it may change, and over those what is protected."""
    for name in ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"):
        if os.path.islink(name):
            yield from ("--symlink", os.readlink(name), name)
    binds = {path: "--ro-bind" for path in profile.read if _over(path, profile.write) is None and path != "/proc"}
    binds |= dict.fromkeys(profile.write, "--bind")
    for root, asset in {**protected.roots, place: ""}.items():
        top = _over(root, (*profile.read, *profile.write))
        if top is None or not os.path.lexists(root):
            continue
        if top in profile.write:
            # What is mounted cannot be renamed, so nobody puts another directory above the asset.
            binds |= {above: binds.get(above, "--bind") for above in _between(top, root)}
        shown = asset in profile.reads or asset in protected.readable
        binds[root] = "--ro-bind" if shown else "--tmpfs" if os.path.isdir(root) else "--hide"
    for path, how in sorted(binds.items(), key=lambda bind: bind[0].count("/") if bind[0] != "/" else 0):
        if how == "--tmpfs":
            yield from (how, path, "--remount-ro", path)
        elif how == "--hide":
            yield from ("--ro-bind", os.devnull, path)
        else:
            yield from (how, path, path)


def _over(path: str, roots: Sequence[str]) -> str | None:
    """The innermost root that a path is, or lies beneath."""
    return max((root for root in roots if beneath(path, (root,))), key=len, default=None)


def _between(top: str, path: str) -> Iterator[str]:
    while (path := os.path.dirname(path)) != top:
        yield path
