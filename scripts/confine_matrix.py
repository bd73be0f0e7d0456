"""Run every attack against one mechanism after another, and print one Markdown table.

    python scripts/confine_matrix.py [--only NAME,…] [MECHANISM …]

Mechanisms: `bare` (nothing), `bwrap` (bubblewrap with the workspace writable, models hidden and the configuration bound
read-only; left out where it is not installed), and `floor`, `default` and `strict` of ours; all of them by default.
As root everything runs under an ordinary user without a capability, who owns all the files.
Cells: `held`, `OPEN`, with `+` where an event was told; others' own logs are not collected.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from tests import confine_attacks as attacks  # noqa: E402 - the checkout comes first on the path
from tests.confine_matrix import Column, confined, plain  # noqa: E402
from tests.confine_support import Arena, arena  # noqa: E402

MECHANISMS = ("bare", "bwrap", "floor", "default", "strict")


def bubblewrap(made: Arena) -> list[str]:
    """As agents' sandboxes call it."""
    return [
        "bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--ro-bind", "/", "/", "--dev", "/dev",
        "--proc", "/proc", "--bind", made.ws, made.ws, "--tmpfs", made.models, "--ro-bind", made.conf, made.conf,
        "--tmpfs", f"{made.base}/run", "--",
    ]  # fmt: skip


def column(mechanism: str, names: list[str]) -> Column | None:
    """What came of the attacks against one mechanism; nothing where it does not start."""
    with arena() as made:
        if mechanism == "bare":
            return plain(made, names)
        if mechanism == "bwrap":
            if shutil.which("bwrap") is None or not plain(made, ["benign_ws"], bubblewrap).open:
                return None
            return plain(made, names, bubblewrap)
        return confined(made, mechanism, names)


def main() -> int:
    """Print the table; 1 if strict has an open cell, or honest work does not go on in a mode of ours."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("mechanisms", nargs="*", metavar="MECHANISM", default=list(MECHANISMS))
    options.add_argument("--only", help="names of attacks")
    args = options.parse_args()
    every = [*attacks.ATTACKS, *attacks.FURTHER, *attacks.NEWER, *attacks.READERS, *attacks.BENIGN]
    names = [name for name in every if not args.only or name in args.only.split(",")]
    columns = {mechanism: found for mechanism in args.mechanisms if (found := column(mechanism, names)) is not None}
    print("| attack | " + " | ".join(columns) + " |\n|---" * 1 + "|---" * len(columns) + "|")
    for name in names:
        cells = (("OPEN" if name in one.open else "held") + "+" * (name in one.told) for one in columns.values())
        print(f"| {name} | " + " | ".join(cells) + " |")
    for title, some in (
        ("the first", attacks.ATTACKS),
        ("further", attacks.FURTHER),
        ("newer", attacks.NEWER),
        ("readers", attacks.READERS),
    ):
        count = [str(len(set(one.open) & set(some))) for one in columns.values()]
        told = [str(len(set(one.told) & set(some))) for one in columns.values()]
        print(f"| **open of {title} {len(set(names) & set(some))}** | " + " | ".join(count) + " |")
        print("| **of these with an event** | " + " | ".join(told) + " |")
    ours = [columns[mode] for mode in ("floor", "default", "strict") if mode in columns]
    honest = set(attacks.BENIGN) & set(names)
    strict = set(columns["strict"].open) - set(attacks.BENIGN) if "strict" in columns else set[str]()
    return 1 if strict or any(not honest <= set(one.open) for one in ours) else 0


if __name__ == "__main__":
    raise SystemExit(main())
