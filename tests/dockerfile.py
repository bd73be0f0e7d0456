"""The Dockerfile, read; for its tests and for `scripts/image_steps.py`, which runs its steps."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def instructions() -> list[tuple[str, str]]:
    """The instructions, continued lines joined, comments gone."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [(line.split(None, 1)[0].upper(), line.split(None, 1)[1].strip()) for line in lines if line.strip()]


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage, without its FROM."""
    found: list[list[tuple[str, str]]] = []
    for kind, value in instructions():
        if kind == "FROM":
            found.append([])
        elif found:
            found[-1].append((kind, value))
    return found


def last(name: str) -> str:
    """The last instruction of a kind, which is the one that counts."""
    return [value for kind, value in instructions() if kind == name][-1]
