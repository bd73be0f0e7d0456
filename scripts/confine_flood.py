"""Flood a supervisor with calls that it denies, each fourth in another way, and print what that costs it.

    python scripts/confine_flood.py [--calls 100000]

It exits with 1 if a call got through, a descriptor or a process stays behind, or honest work does not go on.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from guardrail.confine.kernel import Confined, Executor, KernelEnded  # noqa: E402 - the checkout comes first
from tests.confine_matrix import profile, state  # noqa: E402
from tests.confine_support import LAUNCHER, PYTHON, Arena, arena, run  # noqa: E402

WARM = 4000
"""Calls made before descriptors are counted; a session's successor is made a moment after it starts."""

CODE = """
import os
for i in range({rounds}):
    for what in (lambda: os.unlink({conf!r}), lambda: os.rename('nothing%d' % i, 'x'),
                 lambda: open({weights!r}, 'r+'), lambda: os.chmod('/etc/passwd', 0)):
        try: what(); raise SystemExit('done')
        except OSError: pass
"""


def flood(session: Confined, made: Arena, calls: int) -> KernelEnded:
    """Make so many calls, all of them in vain."""
    code = CODE.format(rounds=calls // 4, conf=made.conf, weights=made.weights)
    return run(session, [PYTHON, "-S", "-c", code], made.ws)[1]


def _open_files(executor: Executor) -> int:
    """Descriptors of the executor and of all below it."""
    of = {int(pid): _parent(pid) for pid in os.listdir("/proc") if pid.isdecimal()}
    below = {executor.pid}
    while more := {pid for pid, parent in of.items() if parent in below} - below:
        below |= more
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in below)


def _parent(pid: str) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def main() -> int:
    """Flood, and print; 1 if anything was not held."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--calls", type=int, default=100_000)
    calls = options.parse_args().calls
    with (
        arena() as made,
        Executor(made.protected(), launcher=LAUNCHER) as executor,
        executor.open(profile(made, "default")) as session,
    ):
        flood(session, made, WARM)  # by the end of which the next session's process is there too
        before, files = state(made), _open_files(executor)
        began = time.monotonic()
        ended = flood(session, made, calls)
        seconds = time.monotonic() - began
        kept = _open_files(executor) - files
        same, works = state(made) == before, run(session, ["/bin/echo", "on"], made.ws)[0] == "on\n"
    print(
        f"{ended.traps} calls in {seconds:.1f} s, {seconds / ended.traps * 1e6:.0f} µs each; {ended.events} events, of "
        f"which {len(ended.observed)} told; {kept} descriptors and {ended.survivors} processes stayed"
    )
    return 0 if ended.exit_code == 0 and same and works and not kept and not ended.survivors else 1


if __name__ == "__main__":
    raise SystemExit(main())
