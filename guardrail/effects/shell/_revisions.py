"""The names that git prints of branches, tags and commits.

Not concerned with what git does, nor with the files that it lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from guardrail.effects.domain._values import NAME, NUM, PATH, REF, TOKEN
from guardrail.patterns import lazy

REFS: Final = frozenset(("tag", "branch", "describe", "for-each-ref", "rev-list", "rev-parse"))


_DESCRIBED: Final = lazy(
    r"--(?:tags|all|always|long|dirty|exact-match|first-parent|abbrev=\d+|match=[\w.*-]*|exclude=[\w.*-]*)|HEAD[~^\d]*"
)


def refs(verb: str, words: Sequence[str]) -> tuple[str, ...]:
    """Names of versions, which git does not let begin with a dash, nor hold blanks, wildcards or `..`."""
    formats = [word for word in words if word.startswith(("--format", "--pretty"))]
    if verb == "log":
        return (NAME,) if formats and all(map(_LOGGED.fullmatch, words)) else ()
    if verb == "rev-parse":
        plain = all(_REVISION.fullmatch(word) for word in words)
        # Without a name that is asked for it is a hash, or the word that it could not make anything of.
        named = any(word.startswith("--abbrev") for word in words)
        return () if not words or not plain else (REF,) if named else (TOKEN,)
    if verb == "rev-list" and "--count" in words:
        return (NUM,)
    if verb == "describe":
        return (REF,) if all(map(_DESCRIBED.fullmatch, words)) else ()
    plain = not formats or all(map(_FORMAT.fullmatch, formats))
    return (PATH,) if verb in REFS and plain and not any(_SHOWN.match(word) for word in words) else ()


_LOGGED: Final = lazy(
    r"--(?:format|pretty)=(?:format:|tformat:)?%[hH]|-n|-?\d+|-n\d+|--(?:max-count|since|until|author|grep)=.*"
    r"|--(?:all|reverse|merges|no-merges|first-parent|)|[A-Za-z][\w./~^@-]*"
)


_FORMAT: Final = lazy(r"--format=(?:%\((?:refname|objectname)(?::\w+)?\))+")
_REVISION: Final = lazy(r"--short(?:=\d+)?|--verify|--abbrev-ref|-q|--quiet|@|HEAD[~^\d]*|main|master")
_SHOWN: Final = lazy(r"-[a-z]*[vnmMcCdD]|--(?:verbose|show|git-dir|absolute|path|local|abbrev-ref|parseopt|sq)")
