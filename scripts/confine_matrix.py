"""Run every attack against one mechanism after another, and print one Markdown table.

    python scripts/confine_matrix.py [--only NAME,…] [--peers PYTHON] [--totals] [MECHANISM …]

Mechanisms: `bare` (nothing), `bwrap` (bubblewrap with the workspace writable, models hidden and the configuration bound
read-only), `nono` (nono-py) and `sandlock`, which PYTHON has, `floor`, `default` and `strict` of ours, and `pod`, which
is `strict` in a stand-in for a restricted pod; by default all that are installed. As root everything runs under an
ordinary user without a capability, who owns all the files.
Cells: `held`, `OPEN`, with `+` where an event was told; others' own logs are not collected.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from tests import confine_attacks as attacks  # noqa: E402 - the checkout comes first on the path
from tests.confine_matrix import Column, confined, plain  # noqa: E402
from tests.confine_support import HERE, SYSTEM, Arena, arena, lacking  # noqa: E402

MECHANISMS = ("bare", "bwrap", "sandlock", "nono", "floor", "default", "strict", "pod")
TABLES = (
    ("the first", attacks.ATTACKS),
    ("further", attacks.FURTHER),
    ("newer", attacks.NEWER),
    ("latest", attacks.LATEST),
    ("youngest", attacks.YOUNGEST),
    ("oddest", attacks.ODDEST),
    ("readers", attacks.READERS),
)
PEERS = {"nono": "nono_py", "sandlock": "sandlock"}


def bubblewrap(made: Arena, reading: bool) -> list[str]:
    """As agents' sandboxes call it; a reader sees the models, and everything read-only."""
    own = [] if reading else ["--bind", made.ws, made.ws, "--tmpfs", made.models, "--ro-bind", made.conf, made.conf]
    return [
        "bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--ro-bind", "/", "/", "--dev", "/dev",
        "--proc", "/proc", *own, "--tmpfs", f"{made.base}/run", "--",
    ]  # fmt: skip


def peer(name: str, python: str) -> Callable[[Arena, bool], list[str]]:
    """A sandbox that is a package, with what our own profiles are given."""

    def prefix(made: Arena, reading: bool) -> list[str]:
        read = (*SYSTEM, "/dev", str(HERE), *((made.models, made.ws) if reading else ()))
        words = [word for path in read for word in ("--read", path)]
        if not reading:
            words += ["--write", made.ws, "--hide", made.models, "--hide", made.conf]
        return [python, str(ROOT / "scripts/confine_peer.py"), name, *words, "--cwd", made.ws, "--"]

    return prefix


def column(mechanism: str, names: list[str], python: str) -> Column | None:
    """What came of the attacks against one mechanism; nothing where it does not start."""
    with arena() as made:
        if mechanism == "bare":
            return plain(made, names)
        if mechanism in {"bwrap", *PEERS}:
            prefix = bubblewrap if mechanism == "bwrap" else peer(mechanism, python)
            if not _is_there(mechanism, python) or not plain(made, ["benign_ws"], prefix).open:
                return None
            return plain(made, names, prefix)
        if mechanism == "pod":
            return confined(made, "strict", names, lacking("pod"))
        return confined(made, mechanism, names)


def _is_there(mechanism: str, python: str) -> bool:
    if mechanism == "bwrap":
        return shutil.which("bwrap") is not None
    done = subprocess.run([python, "-c", f"import {PEERS[mechanism]}"], capture_output=True, check=False)
    return done.returncode == 0


def main() -> int:
    """Print the table; 1 if strict, in a pod or not, has an open cell, or honest work does not go on in one of ours."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("mechanisms", nargs="*", metavar="MECHANISM", default=list(MECHANISMS))
    options.add_argument("--only", help="names of attacks")
    options.add_argument("--peers", metavar="PYTHON", default=sys.executable, help="interpreter with others' packages")
    options.add_argument("--totals", action="store_true", help="only the last rows")
    args = options.parse_args()
    every = [name for _, some in TABLES for name in some] + list(attacks.BENIGN)
    names = [name for name in every if not args.only or name in args.only.split(",")]
    columns = {
        mechanism: found for mechanism in args.mechanisms if (found := column(mechanism, names, args.peers)) is not None
    }
    print("| attack | " + " | ".join(columns) + " |\n|---" * 1 + "|---" * len(columns) + "|")
    for name in () if args.totals else names:
        cells = (("OPEN" if name in one.open else "held") + "+" * (name in one.told) for one in columns.values())
        print(f"| {name} | " + " | ".join(cells) + " |")
    for title, some in TABLES:
        count = [str(len(set(one.open) & set(some))) for one in columns.values()]
        told = [str(len(set(one.told) & set(some))) for one in columns.values()]
        print(f"| **open of {title} {len(set(names) & set(some))}** | " + " | ".join(count) + " |")
        print("| **of these with an event** | " + " | ".join(told) + " |")
    ours = [columns[mode] for mode in ("floor", "default", "strict", "pod") if mode in columns]
    honest = set(attacks.BENIGN) & set(names)
    strict = {name for mode in ("strict", "pod") if mode in columns for name in columns[mode].open} - honest
    return 1 if strict or any(not honest <= set(one.open) for one in ours) else 0


if __name__ == "__main__":
    raise SystemExit(main())
