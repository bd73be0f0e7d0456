"""A peer of the analysis: nah, which sorts shell commands into types of action, in an environment of its own.

Its classifier is asked less than ours is: it names a type of action for each stage and no effect on a resource.
Reads a JSON list of commands on stdin and the directory to judge them in as its argument; prints the times in
nanoseconds, one list for each command.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> int:
    """Measure and print."""
    import nah
    from nah.bash import classify_command

    rounds = int(sys.argv[1])
    os.chdir(sys.argv[2])
    lines: list[str] = json.load(sys.stdin)
    if classify_command("rm -rf /").final_decision == "allow":
        raise SystemExit("the peer does not judge")
    for line in lines:
        classify_command(line)
    times: list[list[int]] = [[] for _ in lines]
    for _ in range(rounds):
        for index, line in enumerate(lines):
            start = time.perf_counter_ns()
            classify_command(line)
            times[index].append(time.perf_counter_ns() - start)
    print(json.dumps({"version": getattr(nah, "__version__", ""), "times": times}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
