"""Sources in any language in which what is done to a file, or run, has a name that does not stand there.

Not an analyser of those languages: statements are looked at as text, and a name that was given such a value stands for
it. What comes of the environment, of a file or of a code that is undone is no name that a reader of the source sees.
"""

from __future__ import annotations

import re
from typing import Final

from guardrail.patterns import lazy

MAX_STATEMENT: Final = 1000
"""Longest statement that is looked at, in characters; what is behind that is another one."""

MAX_NAMES: Final = 64
"""Most names that are followed; with more, every name counts."""

_FROM_ELSEWHERE: Final = lazy(
    r"\bprocess\.env\s*[.\[](?!\s*(?:NODE_ENV|PORT|HOST|CI|DEBUG|HOME|USER|PATH|TZ|LANG)\b)|\b(?:Deno|Bun)\.env\s*[.\[]"
    r"|\bos\.(?:Getenv|LookupEnv)\b|\benv::vars?(?:_os)?\b|\bENV\s*[\[.]|\bSystem\.getenv\b|\bgetenv\s*\(|\$ENV\{"
    r"|\$_(?:ENV|SERVER)\b|\bSys\.getenv\b|\bGetEnvironmentVariable\b"
    r"|\batob\s*\(|\bfromCharCode\b|\bfrom\([^)\n]*['\"](?:base64|hex)['\"]|\bDecodeString\s*\(|\bstr_rot13\b|\bstrrev\s*\("
    r"|\bbase64_decode\b|\bunpack1?\s*\(|\bgetDecoder\b|\breverse\(\)\s*\.\s*join\b"
)
"""What gives a text that does not stand in the source."""

_ACTS: Final = lazy(
    r"(?<![\w$])(?:rm|rmSync|rmdir\w*|unlink\w*|rename\w*|cp|cpSync|cp_r|copy\w*|truncate\w*|chmod\w*|chown\w*|lchown|link"
    r"|linkSync|symlink\w*|mv|move\w*|remove\w*|delete\w*|Remove\w*|Rename|Truncate|Chmod|Chown|Link|Symlink|WriteFile"
    r"|OpenFile|Create|Open|ReadFile|hard_link|writeFile\w*|open|openSync|createReadStream|createWriteStream|readFile\w*|readAllBytes|appendFile\w*|exec\w*"
    r"|spawn\w*|system|popen|passthru|Command|ProcessBuilder|fopen|file_(?:get|put)_contents|require|import)"
    r"(?:\s*+!?\s*+\(|\s++(?=[\w$\"'(]))"
)
"""A call that does something to a file, reads it, or runs it."""

_GIVEN: Final = lazy(r"(?:^|[\s({,])\$?(?P<name>[A-Za-z_]\w*)\s*(?::\s*[\w<>&\[\]]+\s*)?(?::=|<-|=)(?![=>])")


def is_assembled(text: str) -> bool:
    """Whether something is done to a file, or run, by a name that the source does not say.

    Args:
        text: the source.
    """
    if _FROM_ELSEWHERE.search(text) is None:
        return False
    statements = [part for line in re.split(r"[;\n]", text) for part in _pieces(line)]
    names: set[str] = set()
    while len(names) <= MAX_NAMES:
        source = _named(names)
        found = {
            match["name"]
            for part in statements
            if (match := _GIVEN.search(part)) is not None
            and (_FROM_ELSEWHERE.search(part, match.end()) is not None or source.search(part, match.end()) is not None)
        }
        if found <= names:
            break
        names |= found
    source = _named(names)
    for part in statements:
        for match in _ACTS.finditer(part):
            told = part[match.end() :]
            if _FROM_ELSEWHERE.search(told) is not None or source.search(told) is not None or len(names) > MAX_NAMES:
                return True
    return False


def _pieces(line: str) -> list[str]:
    return [line[at : at + MAX_STATEMENT] for at in range(0, len(line), MAX_STATEMENT)]


def _named(names: set[str]) -> re.Pattern[str]:
    """Any of these names; nothing, where there are none."""
    return re.compile(rf"(?<![\w.])\$?(?:{'|'.join(sorted(names))})\b" if names else r"(?!)")
