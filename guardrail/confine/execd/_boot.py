"""Starts the executor with nothing but the standard library: `python -I -S _boot.py CHANNEL PROTECTED`, or
`once ORDER ACCOUNT PROGRAM ARG…`.

The packages above are put in place empty, so that neither their own modules nor what those need is loaded.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType


def _empty_package(name: str, directory: Path) -> None:
    package = ModuleType(name)
    package.__path__ = [str(directory)]
    sys.modules[name] = package


def packages() -> None:
    """Put the packages above in place, empty."""
    here = Path(__file__).resolve().parent
    for name, directory in (
        ("guardrail", here.parent.parent),
        ("guardrail.confine", here.parent),
        ("guardrail.confine.execd", here),
    ):
        _empty_package(name, directory)


def main(*words: str) -> None:
    """Make the packages, and run what is asked for."""
    packages()
    if words[:1] == ("once",):
        from guardrail.confine.execd import _once

        _once.main(*words[1:])
    else:
        from guardrail.confine.execd import _zygote

        _zygote.main(*map(int, words))


if __name__ == "__main__":
    main(*sys.argv[1:])
