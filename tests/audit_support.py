"""Small trails for the tests of the ledger, and children that write one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from guardrail.audit import Trail

ROOT = Path(__file__).resolve().parent.parent
SEGMENT_BYTES = 4096
NEVER = 1e6  # seconds


def open_trail(directory: Path, **settings: Any) -> Trail:
    """A trail with small segments that signs only when it must."""
    return Trail.open(directory, **{"segment_bytes": SEGMENT_BYTES, "checkpoint_seconds": NEVER, **settings})


def intent(number: int = 0) -> dict[str, Any]:
    """A record that releases a call."""
    return {"kind": "intent", "number": number, "assets": ["model:beta"], "decision": {"outcome": "allow", "rules": []}}


def denial(number: int = 0) -> dict[str, Any]:
    """A record that releases nothing."""
    return {"kind": "decision", "number": number, "text": "é" * (number % 50), "decision": {"outcome": "deny"}}


def make_trail(directory: Path, records: int = 40, **settings: Any) -> Path:
    """A closed trail over several segments, with a checkpoint at each of their ends."""
    with open_trail(directory, **settings) as trail:
        for number in range(records):
            trail.append(denial(number))
    return directory


def crashed_trail(directory: Path, batches: int = 6) -> Path:
    """A trail whose process died: all records synced one by one, only the empty tree signed."""
    live = directory.with_name(directory.name + "-live")
    with open_trail(live, segment_bytes=1 << 16) as trail:
        for number in range(batches):
            trail.append(denial(number))
        shutil.copytree(live, directory)
    return directory


def segments(directory: Path) -> list[Path]:
    """The segment files in order."""
    return sorted(directory.glob("*.seg"))


def flip(path: Path, offset: int, mask: int = 1) -> None:
    """Change one byte of a file in place."""
    with path.open("r+b") as stream:
        stream.seek(offset)
        byte = stream.read(1)[0]
        stream.seek(offset)
        stream.write(bytes([byte ^ mask]))


def child(script: str, *arguments: object, before: tuple[str, ...] = (), **options: Any) -> subprocess.Popen[bytes]:
    """A Python process that runs `script` with our package on its path."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))}
    command = [*before, sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def end_process(_: object) -> None:
    """Be ended, as the system does it when memory runs out."""
    os._exit(9)
