"""Ask an installed `guardrail` three questions from an empty directory; run it with the Python it is installed for.

Proves that the wheel is complete: the command, the compiled policy and the specs come from the installation alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

QUESTIONS = (
    ("ls -l {asset}", 0),
    ("cp {asset} {folder}/copy.safetensors", 3),
    ('eval "$(printf %s unknown | base64 -d)"', 4),
)
"""A command, and the exit code that `guardrail check` must answer with."""

CONFIG = """\
[[asset]]
id = "model:beta"
class = "weights"
paths = ["{asset}"]

[trail]
timeout_seconds = 60

[limits]
decision_ms = 60000
"""


def main() -> int:
    """Ask, print the answers, and return 1 if any is wrong."""
    command = Path(sys.executable).with_name("guardrail")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asset = folder / "beta.safetensors"
        asset.write_bytes(b"\0" * 64)
        (folder / "guardrail.toml").write_text(CONFIG.format(asset=asset))
        environment = {"PATH": os.environ["PATH"], "HOME": name, "XDG_STATE_HOME": name, "XDG_CACHE_HOME": name}
        wrong = 0
        for text, expected in QUESTIONS:
            question = text.format(asset=asset, folder=folder)
            answer = subprocess.run(
                [command, "check", question], cwd=folder, env=environment,
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            verdict = "ok" if answer.returncode == expected else f"WRONG, expected {expected}"
            print(f"$ guardrail check '{text}'\n  exit code {answer.returncode}: {verdict}")
            if answer.returncode != expected:
                wrong += 1
                print(answer.stdout + answer.stderr)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
