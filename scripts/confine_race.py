"""Race the supervisor, and print what came of it: opens of the protected file must be none.

    python scripts/confine_race.py [--tries 20000] [--how open,openat2,times,xattr] [--bare]

A tool flips the bytes of a path between a harmless and the protected name while it makes the call. `--bare` runs the
same without confinement, which shows that there is a race to be won.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from guardrail.confine.kernel import Executor  # noqa: E402 - the checkout comes first on the path
from tests.confine_matrix import profile  # noqa: E402
from tests.confine_support import AS_ROOT, DROP, HERE, LAUNCHER, PYTHON, Arena, arena, run  # noqa: E402

HOWS = ("open", "openat2", "times", "xattr")


def race(made: Arena, how: str, tries: int, *, bare: bool = False) -> dict[str, int]:
    """Counts of one race: `hits` on what is protected, `ok` for what was let through, `refused`."""
    harmless = Path(made.conf).with_name("harmless.yaml")
    harmless.write_text("x")
    made.hand_over()
    argv = [PYTHON, "-S", str(HERE / "confine_racer.py"), how, str(harmless), made.conf, str(tries)]
    if bare:
        drop = DROP if AS_ROOT else ()
        said = subprocess.run([*drop, *argv], capture_output=True, text=True, check=True, timeout=600).stdout
    else:
        with (
            Executor(made.protected(), launcher=LAUNCHER) as executor,
            executor.open(profile(made, "default")) as session,
        ):
            said, _ = run(session, argv, made.ws)
    counts = {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", said)}
    if counts.keys() != {"hits", "ok", "refused"}:
        raise SystemExit(f"the racer failed: {said[-300:]}")
    return counts


def main() -> int:
    """Race, and print; 1 if anything was hit."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--tries", type=int, default=20_000, help="of each kind")
    options.add_argument("--how", default=",".join(HOWS), help="kinds of calls")
    options.add_argument("--bare", action="store_true", help="without confinement")
    args = options.parse_args()
    worst = 0
    for how in args.how.split(","):
        with arena() as made:
            began = time.monotonic()
            counts = race(made, how, args.tries, bare=args.bare)
        print(f"{how:8} {counts}  in {time.monotonic() - began:.1f} s", flush=True)
        worst = max(worst, counts["hits"])
    return 0 if args.bare or not worst else 1


if __name__ == "__main__":
    raise SystemExit(main())
