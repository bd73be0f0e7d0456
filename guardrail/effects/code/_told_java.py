"""Sources of Java that read files whose names are their arguments: what a program is handed is named where it runs.

Not concerned with names that are put together: a name is one of the arguments, or a variable that is given one once.
"""

from __future__ import annotations

import re
from typing import Final

from guardrail.patterns import lazy

IMPORTS: Final = frozenset(
    "java.nio.file.Files java.nio.file.Path java.nio.file.Paths java.io.FileReader java.io.File".split()
)
"""What a source has to import to read a file by its name."""

_MAIN: Final = lazy(r"\bmain\(\s*(?:final\s+)?String(?:\[\]|\s*\.\.\.)\s+args\s*\)")
_ANY_MAIN: Final = lazy(r"\bmain\(\s*(?:(?:final\s+)?String(?:\[\]|\s*\.\.\.)?\s*\w+(?:\[\])?\s*)?\)(?=[\w\s,.]*\{)")
_ARGUMENT: Final = r"args\[\d\]"
_LEFT: Final = lazy(r"\bargs(?!\.length\b|\[\d\](?!\s*(?:=(?!=)|\+[+=])))")
_GIVEN: Final = lazy(rf"\b(?:final\s+)?(?:String|var)\s+([a-z]\w*)\s*=\s*{_ARGUMENT}\s*;")
_READ: Final = (
    r"\bFiles\.(?:readAllLines|readString|readAllBytes|lines|newBufferedReader|size|exists)\(\s*"
    r"(?:Path\.of|Paths\.get)\(\s*(?:{0})\s*\)\s*\)|\bnew\s+FileReader\(\s*(?:{0})\s*\)"
    r"|\bnew\s+(?:FileReader|Scanner)\(\s*new\s+File\(\s*(?:{0})\s*\)\s*\)"
)


def without_told(code: str) -> str:
    """A source without its reads of what its arguments name; as it is, if another name may be opened.

    Args:
        code: the source, its texts, comments and imports left out.
    """
    rest, count = _MAIN.subn("start(String[] told)", code)
    if count != 1 or _LEFT.search(rest) is not None:
        return code
    rest = rest.replace("args.length", "told.length")
    names = [match[1] for match in _GIVEN.finditer(rest)]
    rest = _GIVEN.sub(";", rest)
    if any(_is_given_again(rest, name) for name in names) or len(set(names)) != len(names):
        return code
    return re.sub(_READ.format("|".join((_ARGUMENT, *names))), "0", rest)


def starts_itself(code: str) -> bool:
    """A source calls a `main`, which is then handed something else than the arguments.

    Args:
        code: the source, its texts and comments left out.
    """
    return re.search(r"\bmain\b", _ANY_MAIN.sub("", code)) is not None


def _is_given_again(code: str, name: str) -> bool:
    """Another value may come to be called so: it is assigned, or declared, a second time."""
    declared = rf"(?<!\breturn)(?<!\bthrow)(?<!\bcase)(?<!\belse)(?:(?<=[\w>\]])|(?<=\.\.\.))\s+{name}\b"
    if re.search(rf"{declared}|\b{name}\s*(?:=(?!=)|\+[+=]|->)", code) is not None:
        return True
    return any(re.search(rf"\b{name}\b", match[1]) is not None for match in _TAKEN.finditer(code))


_TAKEN: Final = lazy(r"\(([^()]*)\)\s*->")
