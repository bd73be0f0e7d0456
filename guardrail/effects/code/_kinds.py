"""Which programs run code, and of which kind."""

from __future__ import annotations

import functools
from typing import Final

from guardrail.patterns import lazy

_SHELLS: Final = frozenset(("bash", "sh", "dash", "ash", "rbash"))
_PYTHONS: Final = frozenset(("python", "pypy"))
_PYTHON = lazy(r"(?:python|pypy)[0-9.]*")
_OTHERS: Final = frozenset(
    "node nodejs perl ruby php lua luajit Rscript R julia deno bun tclsh wish expect osascript pwsh powershell irb "
    "zsh ksh ksh93 mksh fish csh tcsh elvish xonsh nu guile racket sbcl clisp ghci scala groovy kotlin swift ocaml "
    "erl elixir iex gdb lldb ipython ipython3 bpython ts-node tsx qjs erb".split()
)
MAX_NAMES: Final = 1024
"""Most names of commands of which it is kept whether they are interpreters."""
_OTHER_VERSION = lazy(r"(?:perl|ruby|lua|php|node)[0-9.]+")


@functools.lru_cache(maxsize=MAX_NAMES)
def interpreter_of(name: str) -> str | None:
    """The kind of code a program runs: `shell`, `python`, `other`, or None."""
    if name in _SHELLS:
        return "shell"
    if name in _OTHERS:
        return "other"
    versioned = name[-1:].isdigit() or name[-1:] == "."
    if name in _PYTHONS or (versioned and _PYTHON.fullmatch(name)):
        return "python"
    return "other" if versioned and _OTHER_VERSION.fullmatch(name) else None
