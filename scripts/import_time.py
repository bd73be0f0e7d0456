"""Print what `import guardrail` costs over bare Python, in milliseconds, beside its budget.

A harness hook starts a process for each tool call, so this is paid often.
The minimum of several runs is printed: on a shared machine anything else measures the neighbours.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

BUDGET_MS = 60.0
"""Most that `import guardrail` may cost over bare Python, in milliseconds."""

RUNS = 15
"""Process starts of each kind."""


def start(code: str, environment: dict[str, str]) -> float:
    """Milliseconds for one process that runs `code`."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
    return (time.perf_counter() - begin) * 1000


def main() -> int:
    """Measure and print; the exit code is 1 only far over the budget, since shared machines are slow by turns."""
    with tempfile.TemporaryDirectory() as cache:
        # Bytecode is kept, as in an installation, also where the environment at hand asks Python not to write it.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache, "PYTHONDONTWRITEBYTECODE": ""}
        start("import guardrail", environment)
        bare = min(start("pass", environment) for _ in range(RUNS))
        full = min(start("import guardrail", environment) for _ in range(RUNS))
    cost = full - bare
    print(f"import guardrail: {cost:.0f} ms over bare Python ({bare:.0f} ms), budget {BUDGET_MS:.0f} ms")
    return int(cost > 3 * BUDGET_MS)


if __name__ == "__main__":
    sys.exit(main())
