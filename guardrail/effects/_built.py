"""Whether a file that was written may go into a program that a compiler makes: by its name, and by where it lies.

Not concerned with the sources themselves: `code/_sources.py` looks into those for files that they take in by name.
A build is a mapping that travels with an effect: `reads` (a key of `READS`), `below` (directories), `named` (globs of
whole paths, wherever they are) and `broad` (what is below those directories counts but for texts of other kinds),
and `plain` (sources of the session's that only compute, which do not count).
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from typing import Any, Final

from guardrail.patterns import lazy

Build = Mapping[str, Any]
"""What goes into a program; see above."""

_C: Final = (
    r"c|cc|cpp|cxx|c\+\+|C|CPP|h|hh|hpp|hxx|h\+\+|H|inc|inl|ipp|tcc|tpp|txx|def|i|ii|m|mm|cu|cuh|s|S|sx|asm|f|F|f90|F90"
    r"|f95|f03|f08|for|mod|o|obj|a|lo|so(?:\.\d+)*|ld|lds|map|modulemap|gch|pch|specs"
)
_LANGUAGES: Final = (
    r"java|kt|kts|scala|hs|hs-boot|lhs|swift|pas|pp|lpr|vala|vapi|adb|ads|ml|mli|mll|mly|erl|hrl|ex|exs|cs|vb|fs|fsi|fsx"
    r"|nim|cr|v|zig|zon|dart|gleam|lean|cob|cbl|cpy|jar|class|jmod|dll|exe|hi|cmi|cmx|cmo|cma|beam|gd"
)

READS: Final[Mapping[str, re.Pattern[str]]] = {
    "c": lazy(rf".*\.(?:{_C})"),
    "go": lazy(rf".*\.(?:go|mod|sum|work|swig|swigcxx|syso|{_C})|.*/vendor/modules\.txt"),
    "rust": lazy(r".*\.(?:rs|rlib|rmeta)|.*/cargo\.(?:toml|lock)", re.IGNORECASE),
    "java": lazy(r".*\.(?:java|class|jar|jmod|zip|jsh)"),
    "python": lazy(r".*\.py"),
    "any": lazy(rf".*\.(?:go|rs|{_C}|{_LANGUAGES})|.*/(?:[Cc]argo\.toml|build\.zig\.zon)"),
}
"""How the names of files look that a compiler reads by itself."""

_ALWAYS: Final = lazy(
    r".*/\.cargo/.*|.*/rust-toolchain(?:\.toml)?|.*/go/env|.*/pkg/mod/.*|/(?:usr/(?:local/)?)?(?:lib\w*|include)/.*"
)
"""Settings of compilers and the libraries of the machine: part of every program, wherever that is built."""

_NO_SOURCES: Final = frozenset(
    ".md .rst .txt .adoc .log .csv .tsv .json .jsonl .yaml .yml .toml .ini .cfg .conf .env .lock .html .css .scss .svg "
    ".png .jpg .jpeg .gif .pdf .py .pyi .pyc .ipynb .js .mjs .cjs .ts .tsx .jsx .vue .sh .bash .sql .rb .pl .php .xml "
    ".diff .patch .d .out .err .bak .orig .pid .zip .tar .gz .tgz .bz2 .xz .zst".split()
)
"""Endings of names of files that a build of which little is known does not take for a part of a program."""

_NO_SOURCE_NAMES: Final = frozenset(
    "makefile gnumakefile dockerfile readme license changelog notice authors procfile jenkinsfile vagrantfile gemfile "
    ".gitignore .dockerignore .gitattributes .editorconfig .env .npmrc .prettierrc .flake8".split()
)

_SHARED: Final = lazy(r"(?:/var)?/tmp/[^/]+")
"""Results of all sorts, without an ending to their names: no source is looked for among them."""


def may_be_part(path: str, build: Build, *, folder: bool = False) -> bool:
    """Whether something that was written may go into a program.

    Args:
        path: where it is, without links.
        build: what goes into the program.
        folder: it is, or may be, a directory that was brought with all that lies in it.
    """
    if path in build.get("plain", ()):
        return False  # it was looked into, and does nothing but compute
    if "/.git/" in f"{path}/":
        return False  # the history of a project; none of it is compiled
    tops = [top.rstrip("/") for top in build["below"]]
    inside = any(path == top or path.startswith(f"{top}/") for top in tops)
    if folder and (inside or any(top.startswith(f"{path.rstrip('/')}/") for top in tops)):
        return True
    if is_always_part(path) or any(fnmatch.fnmatchcase(path, one) for one in build["named"]):
        return True
    if not inside:
        return False
    return READS[build["reads"]].fullmatch(path) is not None or bool(build["broad"] and is_odd(path))


def is_always_part(path: str) -> bool:
    """It goes into every program that is built here."""
    return _ALWAYS.fullmatch(path) is not None


def is_odd(path: str) -> bool:
    """A file is of no kind that programs are certainly not made of."""
    name = path.rpartition("/")[2].lower()
    if name in _NO_SOURCE_NAMES:
        return False
    _, dot, ending = name.rpartition(".")
    return f".{ending}" not in _NO_SOURCES if dot else _SHARED.fullmatch(path) is None
