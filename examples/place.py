"""Where the examples act: a folder with a model's weights, and a configuration that names them an asset."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

CONFIG: Final = """
[[asset]]
id = "model:beta"
class = "weights"
paths = ["weights"]
[trail]
directory = "trail"
timeout_seconds = 60
[limits]
decision_ms = 60000
"""


@contextmanager
def place() -> Generator[Path]:
    """The folder, which goes with the block: `weights` and `guardrail.toml` are in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "weights").mkdir()
        (folder / "weights/w.safetensors").write_bytes(b"W")
        (folder / "guardrail.toml").write_text(CONFIG)
        yield folder
