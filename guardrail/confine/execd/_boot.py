"""Starts what stands between the guard and a tool, with the standard library alone: `python -I -S _boot.py WHAT …`.

    executor CHANNEL PROTECTED          confines tools, in a process that is kept
    once ORDER ACCOUNT PROGRAM ARG…     confines one tool, in place of itself
    watch ORDERS REPORT                 watches one tool to its end, and confines nothing

The packages above are put in place empty, so that neither their own modules nor what those need is loaded.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType


def _empty_package(name: str, directory: str) -> None:
    package = ModuleType(name)
    package.__path__ = [directory]
    sys.modules[name] = package


def packages() -> None:
    """Put the packages above in place, empty."""
    here = os.path.dirname(os.path.realpath(__file__))
    above = os.path.dirname(here)
    _empty_package("guardrail", os.path.dirname(above))
    _empty_package("guardrail.confine", above)
    _empty_package("guardrail.confine.execd", here)


def main(what: str, *words: str) -> None:
    """Make the packages, and run what is asked for."""
    packages()
    if what == "once":
        from guardrail.confine.execd import _once

        _once.main(*words)
    elif what == "watch":
        from guardrail.confine import _supervisor

        _supervisor.main(*map(int, words))
    else:
        from guardrail.confine.execd import _zygote

        _zygote.main(*map(int, words))


if __name__ == "__main__":
    main(*sys.argv[1:])
