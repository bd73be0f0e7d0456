"""What confinement costs: the same commands bare, in a kept session, in a fresh one, and behind bubblewrap, in turns.

    python -m benchmarks.confine [--repeats 15] [--only TEXT] [--another] [--json]

A fresh session is held by the worker of the last one like it; with `--another` no two in a row are alike.
Minimum and median in milliseconds, and calls that the supervisor answered. As root everything runs under an ordinary
user. Quote the ratios: machines and what else runs on them differ.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

from guardrail.confine.kernel import Confined, Executor, KernelEnded, Profile
from tests.confine_support import AS_ROOT, LAUNCHER, ORDINARY, PYTHON, SYSTEM, Arena, arena

REPEATS = 15
"""How often each command is run each way."""

TRUE_REPEATS = 100
"""The same for the one that does nothing."""

MODES = ("floor", "default", "strict")
"""Kept sessions are measured in each of these; a fresh one in default."""

FILES = 1000
"""How many files the repository has."""

GIT = "git -C {ws}/repo -c safe.directory=* -c user.email=a@b -c user.name=a"
WRITES = "for i in range(1000):\n f = open('{ws}/o%d' % i, 'w'); f.write('x'); f.close()"
WORK: dict[str, list[str]] = {
    "true": ["/bin/true"],
    "git status, 1k files": ["/bin/bash", "-c", GIT + " status -s"],
    "pip --version": [PYTHON, "-m", "pip", "--version"],
    "tar c /usr/include": ["/bin/bash", "-c", "tar cf - /usr/include | cat > /dev/null"],
    "grep -r /usr/include": ["/bin/bash", "-c", "grep -rl zzzzfoo /usr/include; true"],
    "unittest, 20 tests": [PYTHON, "-S", "-m", "unittest", "discover", "-s", "{ws}/project"],
    "write 1k files (write-heavy)": [PYTHON, "-S", "-c", WRITES],
    "cp -a 1k files (worst)": ["/bin/bash", "-c", "rm -rf {ws}/rc; cp -a {ws}/repo {ws}/rc"],
}


def prepare(made: Arena) -> None:
    """A repository and a small project in the workspace."""
    os.unlink(f"{made.ws}/pre_link")
    os.makedirs(f"{made.ws}/repo")
    os.makedirs(f"{made.ws}/project")
    for number in range(FILES):
        with open(f"{made.ws}/repo/f{number}", "w") as file:
            file.write(str(number))
    tests = "import unittest\nclass T(unittest.TestCase):\n" + "".join(
        f"    def test_{n}(self): self.assertEqual({n} + 1, {n + 1})\n" for n in range(20)
    )
    with open(f"{made.ws}/project/test_it.py", "w") as file:
        file.write(tests)
    line = f"{GIT} init -q && {GIT} add . && {GIT} commit -qm x".format(ws=made.ws)
    subprocess.run(["/bin/bash", "-c", line], check=True, env=environment(made))
    made.hand_over()


def environment(made: Arena) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": made.ws, "TMPDIR": made.ws, "GIT_CONFIG_NOSYSTEM": "1"}


def bubblewrap(made: Arena) -> list[str]:
    return ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev",
            "--proc", "/proc", "--bind", made.ws, made.ws,
            "--tmpfs", made.models, "--ro-bind", made.conf, made.conf, "--"]  # fmt: skip


def measure(made: Arena, repeats: int, work: dict[str, list[str]], *, another: bool) -> dict[str, Any]:
    """Milliseconds of each command in each way."""
    null = os.open(os.devnull, os.O_RDWR)
    traps: dict[str, int] = {}

    def plain(argv: list[str]) -> int:
        # Changing the user costs Python its fastest way to start a process: who touches no file is started without.
        touches = AS_ROOT and argv != WORK["true"]
        given: dict[str, Any] = {"user": ORDINARY, "group": ORDINARY, "extra_groups": []} if touches else {}
        return subprocess.run(
            argv, cwd=made.ws, env=environment(made), stdin=null, stdout=null, stderr=null, check=False, **given
        ).returncode

    def inside(session: Confined, argv: list[str]) -> KernelEnded:
        streams = {"stdin": null, "stdout": null, "stderr": null}
        return session.run(argv, cwd=made.ws, environment=environment(made), **streams)

    profile = Profile(read=SYSTEM, write=(made.ws,))
    fresh_ones = itertools.cycle((profile, replace(profile, connect=(1,)) if another else profile))
    with Executor(made.protected(), launcher=LAUNCHER, required=False) as executor:
        kept = {mode: executor.open(replace(profile, mode=mode)) for mode in MODES}

        def pooled(mode: str) -> Callable[[list[str]], int]:
            def run(argv: list[str]) -> int:
                ended = inside(kept[mode], argv)
                traps[mode] = ended.traps
                return ended.exit_code

            return run

        def fresh(argv: list[str]) -> int:
            with executor.open(next(fresh_ones)) as session:
                return inside(session, argv).exit_code

        ways: dict[str, Callable[[list[str]], int]] = {"bare": plain, "fresh": fresh}
        ways |= {mode: pooled(mode) for mode in kept}
        if shutil.which("bwrap") and plain([*bubblewrap(made), "/bin/true"]) == 0:
            ways["bwrap"] = lambda argv: plain([*bubblewrap(made), *argv])
        return {
            name: _in_turns(ways, _filled(argv, made), TRUE_REPEATS if name == "true" else repeats, traps)
            for name, argv in work.items()
        }


def _filled(argv: list[str], made: Arena) -> list[str]:
    return [word.replace("{ws}", made.ws) for word in argv]


def _in_turns(
    ways: dict[str, Callable[[list[str]], int]], argv: list[str], repeats: int, traps: dict[str, int]
) -> dict[str, dict[str, float]]:
    """One after another, so that what else runs on the machine hits all of them alike."""
    took: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(repeats + 1):
        for way, run in ways.items():
            began = time.perf_counter()
            code = run(argv)
            spent = (time.perf_counter() - began) * 1e3
            if code:
                raise SystemExit(f"{argv[0]} ended with {code} in {way}")
            if turn:
                took[way].append(spent)
    print(f"  {argv[:3]} measured", file=sys.stderr, flush=True)
    return {
        way: {"min": min(times), "median": median(times), "traps": traps.get(way, 0)} for way, times in took.items()
    }


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=REPEATS)
    options.add_argument("--only", default="", help="commands whose name has this text")
    options.add_argument("--another", action="store_true", help="no fresh session is like the one before")
    options.add_argument("--json", action="store_true", help="print JSON")
    args = options.parse_args()
    with arena() as made:
        prepare(made)
        work = {name: argv for name, argv in WORK.items() if args.only in name}
        found = measure(made, args.repeats, work, another=args.another)
    if args.json:
        print(json.dumps(found, indent=2))
        return 0
    ways = list(next(iter(found.values())))
    print("| min / median ms (calls answered) | " + " | ".join(ways) + " |\n|---" + "|---" * len(ways) + "|")
    for name, cells in found.items():
        texts = [f"{one['min']:.1f} / {one['median']:.1f} ({one['traps']:.0f})" for one in cells.values()]
        print(f"| {name} | " + " | ".join(texts) + " |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
