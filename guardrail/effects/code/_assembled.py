"""Sources in any language in which what is done to a file, or run, has a name that does not stand there.

Not an analyser of those languages: statements are looked at as text, and a name that was given such a value stands for
it. What comes of the environment, of a file or of a code that is undone is no name that a reader of the source sees.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
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
    r"|\bbase64_decode\b|\bunpack1?\s*\(|\bgetDecoder\b|\breversed?(?:\(\)|\b)\s*\.\s*join\b"
)
"""What gives a text that does not stand in the source."""

_TURNED: Final = lazy(
    r"\.revers(?:e|ed)\b|\brev(?:erse[d]?)?\s*\(|\bString\.reverse\b|\breverse\s+[\"'(]|\(\s*reverse\b|\.rev\(\)|\bArray\.Reverse\b"
    r"|\bfrom_utf8\w*\s*\(|\bString\.fromCharCodes\b|\bintToUtf8\b|\bstring\(\[\](?:byte|rune)\{|\bnew\s+String\(\s*new\s+(?:byte|char)\b"
    r"|(?:\(\s*|^\s*)rev\b|:reverse\(|\brev\s*<<<|\|\s*rev\b|\bbase64\s+(?:-d|--decode)\b|\bxxd\s+-r\b|\breverse\(\w{1,40}\.begin\b|\bArray\.Reverse\b"
    r"|\.pack\s*\(|\bpack\s*\(\s*['\"]|\bunhexlify\b|\bhex2bin\s*\(|\bFromBase64String\b|\bFromHexString\b|\bbase64\s*::\s*\w*decode|\bhex\s*::\s*decode"
    r"|\bBase64\.\w*decode\w*|\bdecode64\b|\bbase64Decode\b|\bparseHex\b|\bHexFormat\b"
    # A name that begins at the root, or above, and goes on with what does not stand there.
    r"|[\[(]\s*(['\"])\1\s*,[^\])\n]{1,400}[\])]\s*\.\s*(?:join|joined)\b|\bPathBuf::from\(\s*\"[/.]{1,16}\"\s*\)"
    r"|(?:\bPaths?\.(?:of|get|join|resolve|Combine)|\bpath\.(?:join|resolve)|\bfilepath\.Join|\bnew\s+File|\bFile\.join|\bPath)"
    r"\(\s*['\"](?:/|(?:\.\./){2,16}(?:\.\.)?)['\"]\s*[,)]"
    r"|=\s*['\"](?:/|(?:\.\./)+\.\.|\.\./)['\"]\s*(?:[;+]|$)"
)
"""What makes a text of others that do stand there: as a name it is hidden, as content it is not."""

_ACTS: Final = lazy(
    r"(?<![\w$])(?:rm|rmSync|rmdir\w*|unlink\w*|rename\w*|cp|cpSync|cp_r|copy\w*|truncate\w*|chmod\w*|chown\w*|lchown|link"
    r"|linkSync|symlink\w*|mv|move\w*|remove\w*|delete\w*|Remove\w*|Rename|Truncate|Chmod|Chown|Link|Symlink|WriteFile"
    r"|OpenFile|Create|Open|ReadFile|hard_link|writeFile\w*|open|openSync|createReadStream|createWriteStream|readFile\w*|readAllBytes|appendFile\w*|exec\w*"
    r"|spawn\w*|system|popen|passthru|Command|ProcessBuilder|fopen|file_(?:get|put)_contents|require|import|(?:delete|copy|rename|move)-file"
    r"|(?:File|Directory)\.(?:Delete|Move|Copy|Open\w*|WriteAll\w+|ReadAll\w+))"
    r"(?:\s*+!?\s*+\(|\s++(?=[\w$\"'(]))"
)
"""A call that does something to a file, reads it, or runs it."""

_GIVEN: Final = lazy(r"(?:^|[\s({,])\$?(?P<name>[A-Za-z_]\w*)\s*(?::\s*[\w<>&\[\]]+\s*)?(?::=|<-|=)(?![=>])")


_AROUND: Final = lazy(
    r"\b(?:walk\w*|Walk\w*|[gG]lob\w*|readdir\w*|read_dir|ReadDir|scandir|opendir|Dir(?:\.\w+)?|EnumerateFil\w+|EnumerateDir\w+"
    r"|Get(?:Files|Directories)|listFiles|list\.files|listSync|FileServer|\w*DirectoryIterator)\s*[(\[]\s*(?:[\w.:]{1,40}\(\s*)?"
    r"([\"'`])(?:~|(?:\.\./){1,16}\.{0,2}|\.\.|/)/?(?:\*[^\"'`\n]{0,200})?\1\s*[,)\]]"
    r"|\bfind(?:depth)?\s*\(\s*(?:sub\b|\\&)[^;\n]{0,400},\s*['\"](?:/|(?:\.\./)+|\.\.)['\"]"
)
"""All that lies below the root, in a home or above the project is listed or handed out: any of that may be meant."""

_HIDDEN: Final = lazy(
    r"\b(?:require|import)\s*\(\s*['\"]\w{0,40}['\"]\s*\+\s*['\"]|[\w)\]]\[\s*['\"]\w{0,40}['\"]\s*\+\s*['\"]\w{0,40}['\"]\s*\]\s*\("
)
"""A module, or what is called, has a name that was put together."""

_OF_PATHS: Final = lazy(
    r"\b(?:File|Path|Paths|Directory|Link)\b[\w.]*\((?P<told>[^;\n]{1,400}?)\)\s*\.\s*"
    r"(?:delete\w*|unlink\w*|copy\w*|rename\w*|move\w*|toFile\(\)\s*\.\s*delete\w*)\s*\("
)
"""A file is made of a name, and something is done to it."""

_ON_NAMES: Final = (
    r"{}(?:\.\w{{1,40}}\(\))?\s*\.\s*(?:toFile\(\)\s*\.\s*delete|delete(?:Sync|IfExists|Recursively|OnExit)|unlink|renameTo"
    r"|copyTo)\w*\s*\("
)
"""The same of a file that has a name of its own."""

_IN_PLACE: Final = lazy(
    r"\b(?:Array\.Reverse|std::reverse|ranges::reverse|Collections\.reverse|slices\.Reverse)\s*\(\s*(\w+)"
)
"""A text is turned around where it stands."""


def is_assembled(text: str) -> bool:
    """Whether something is done to a file, or run, by a name that the source does not say.

    Args:
        text: the source.
    """
    if _AROUND.search(text) is not None or _HIDDEN.search(text) is not None:
        return True
    statements: list[str] = []
    for pattern in (_FROM_ELSEWHERE, _TURNED):
        if pattern.search(text) is None:
            continue
        statements = statements or [part for line in re.split(r"[;\n]", text) for part in _pieces(line)]
        names = _IN_PLACE.findall(text) if pattern is _TURNED else ()
        if _is_named_by(text, statements, pattern, set(names)):
            return True
    return False


def _is_named_by(text: str, statements: Sequence[str], pattern: re.Pattern[str], names: set[str]) -> bool:
    """Something is done to what a pattern gives, or a name that was given that."""

    def gives(part: str, start: int = 0) -> bool:
        return pattern.search(part, start) is not None or source.search(part, start) is not None

    source = _named(names)
    while len(names) <= MAX_NAMES:
        given = ((part, _GIVEN.search(part)) for part in statements)
        found = {match["name"] for part, match in given if match is not None and gives(part, match.end())}
        if found <= names:
            break
        names |= found
        source = _named(names)
    for part in statements:
        for match in _ACTS.finditer(part):
            told = part[match.end() :]
            if pattern is _TURNED and _WRITING.match(match[0]) is not None:
                told = told.partition(",")[0]  # what is written is no name
            if gives(told) or len(names) > MAX_NAMES:
                return True
        if any(gives(match["told"]) for match in _OF_PATHS.finditer(part)):
            return True
    return bool(names) and re.search(_ON_NAMES.format(source.pattern), text) is not None


_WRITING: Final = lazy(r"(?:write|append|File\.WriteAll)\w*|WriteFile|file_put_contents")


def _pieces(line: str) -> list[str]:
    return [line[at : at + MAX_STATEMENT] for at in range(0, len(line), MAX_STATEMENT)]


def _named(names: set[str]) -> re.Pattern[str]:
    """Any of these names; nothing, where there are none."""
    return re.compile(rf"(?<![\w.])\$?(?:{'|'.join(sorted(names))})\b" if names else r"(?!)")
