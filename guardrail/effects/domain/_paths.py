"""From text to the address of a file, and from free text to the paths it names.

`..` is kept and symbolic links are not followed: only the live filesystem can do that, in `assets`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import unquote

from guardrail.effects.domain._values import DEEP, FIRM, NAME, NUM, PATH, SLIM, TOP, Field, is_known, last_of
from guardrail.model import ANY_DEPTH, Kind, Resource
from guardrail.patterns import lazy

STREAMS: Final = frozenset(f"/dev/{name}" for name in "stdin stdout stderr null tty zero full urandom random".split())
"""Device files that keep nothing: reading and writing them touches no file."""

STANDARD_OUTPUT: Final = frozenset(("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/proc/thread-self/fd/1"))
"""Names of what the command prints."""

_DESCRIPTOR = lazy(r"/+(?:dev/+(?:fd/+[^/]+|std(?:in|out|err))|proc/+[^/]+/+fd/+[^/]+)")

_NET_DEVICE = lazy(r"/+dev/+(tcp|udp)/+([^/]*)/+(.*)")
_NUMBERS = re.compile(f"(?:{NUM}|{NAME})+")
_SPECIAL = re.compile(r"[*?\[]")
_MARKS = re.compile(r"[=@:,;]+")
_TOKEN = re.compile(r"[^\s'\"`;|&<>()=,$\\]+")
_BARE = lazy(r"[^\[\]{}]+")
"""What stands between brackets and braces."""

_EDGED = re.compile(r"[\[\]{}#?%^~!+]|[*@&]$")
_CLOSING: Final = ".:!?@#%^~+&*-"
_BRACED = lazy(r"\{[^{}\s'\"]*(?:,|\.\.)[^{}\s'\"]*\}")

MAX_PUBLIC: Final = 4096
"""Longest text of a file that is repeated in the address of another, in characters."""

_PUBLIC = lazy(r"\s*(?:(?:[A-Za-z_+@-]{1,64}|[0-9]{1,12}|(?=\S*[./])[\w.+@/-]{1,256})(?:\s+|$))*", re.ASCII)
_SECRET = lazy(r"(?<![A-Za-z0-9_-])(?=[A-Za-z_-]*[0-9])(?=[0-9_-]*[A-Za-z])[A-Za-z0-9_-]{16,}")
_PRIVATE = lazy(r"(?i)key|secret|passw|pwd|token|cred|auth|\.env|\.ssh|\.pem|netrc|pgpass")


def escape(text: str) -> str:
    """A literal as a pattern; TOP becomes `**`, NUM `*`."""
    return _wild(_SPECIAL.sub(r"[\g<0>]", text))


def _wild(text: str) -> str:
    text = text.replace(FIRM, "")
    # Numbers and names next to each other are one part of a name: two stars would be any path.
    if SLIM in text or DEEP in text:
        found = _LISTED.fullmatch(text)
        if found is not None and ".." not in text[found.end(1) :].split("/"):
            # A directory of such a name may lead anywhere that is reached from below; `..` before it is plain to see.
            return f"{found[1]}{ANY_DEPTH}*{_NUMBERS.sub('*', found[2]) if '/' not in found[2] else ''}"
        begun = _BEGUN.fullmatch(text) if found is None else None
        # What begins with a letter is no `..`, so that it, too, only leads downward from there.
        if begun is not None and ".." not in text[begun.end(1) :].split("/"):
            return f"{begun[1]}{ANY_DEPTH}*{begun[2]}"
        if DEEP in text:
            text = text.replace(DEEP, TOP).replace(SLIM, TOP)
    return _NUMBERS.sub("*", text).replace(TOP, "**")


_LISTED: Final = re.compile(f"([^{TOP}{NUM}*]*/|){PATH}((?:{NAME}|[^{TOP}{NUM}{SLIM}{DEEP}])*)")
"""A directory, a path below it that was listed, and how its last name ends."""

_BEGUN: Final = lazy(f"([^{TOP}{NUM}*]*/|)[\\w@%+=,-](?:{NUM}|{NAME}|[\\w.@%+=,-])*+{PATH}((?:\\.\\w+)*)", re.ASCII)
"""A directory, and a name in it that begins with a word, goes on with such a path, and has plain endings."""


_FILE_URL = lazy(r"file:(?://[^/]*)?(/.*|)", re.IGNORECASE | re.DOTALL)


def local_path(text: str) -> str | None:
    """The path that a `file:` address leads to, whatever host it names; None of any other text."""
    match = _FILE_URL.match(text)
    if match is None:
        return None
    path = match[1] or "/" + text[5:].lstrip("/")
    return unquote(path, errors="surrogateescape") if "%" in path else path


def is_descriptor(resource: Resource) -> bool:
    """What is open there goes on to wherever the shell opened it, as far as names tell."""
    return _DESCRIPTOR.fullmatch(resource.path or resource.pattern or "") is not None


def undashed(text: str) -> bool:
    """A text whose beginning is not known, and yet is no dash."""
    return text.startswith((NAME, PATH))


def is_public(text: str, sources: Sequence[Resource]) -> bool:
    """Whether a text is but names of files and versions; what may be a secret is not repeated anywhere.

    Args:
        text: what some files hold.
        sources: those files, whose names may tell.
    """
    if text == NUM:
        return True  # some number: nothing of it is repeated
    if len(text) > MAX_PUBLIC or not _PUBLIC.fullmatch(text) or _SECRET.search(text):
        return False
    return not any(_PRIVATE.search(source.path or source.pattern or source.uri or "") for source in sources)


def place(
    text: str,
    cwd: str | None,
    glob: str | None = None,
    kind: Kind = "file",
    *,
    recursive: bool = False,
    nofollow: bool = False,
) -> Resource:
    """The address that a path operand stands for.

    Args:
        text: the operand; may hold TOP.
        cwd: directory it is relative to; None if unknown.
        glob: the operand as a pattern, if it is one.
        kind: what is expected there.
        recursive: what lies below is meant too.
        nofollow: a symbolic link is meant itself.
    """
    if glob is None:
        if text[:1] == "/":
            if text.startswith("/dev/") and (match := _NET_DEVICE.fullmatch(text)):
                return Resource(kind="net", uri=f"{match[1]}://{match[2]}:{match[3]}")
            if text.isascii() or is_known(text):  # most are ASCII, and need no second call
                return Resource(kind=kind, path=text, recursive=recursive, nofollow=nofollow)
        elif cwd is not None and (text.isascii() or is_known(text)) and (cwd.isascii() or is_known(cwd)):
            full = f"{cwd.rstrip('/')}/{text}"
            return Resource(kind=kind, path=full, recursive=recursive, nofollow=nofollow)
    pattern = _wild(glob) if glob is not None else escape(text)
    if pattern.startswith(ANY_DEPTH) or not pattern.startswith(("/", "**")):
        pattern = f"{escape(cwd.rstrip('/')) if cwd is not None else '**'}/{pattern}"
    return Resource(kind=kind, pattern=pattern, recursive=recursive, nofollow=nofollow)


def basename(text: str) -> str:
    """Last component of a path, trailing slashes ignored; TOP if it cannot be told."""
    name = text.rstrip("/").rpartition("/")[2]
    return TOP if TOP in name or name in ("", "..") else name


def last_name(source: Field) -> Field:
    """Last component of a path, which may be a pattern within one name."""
    if source.glob is None:
        text = source.text.rstrip("/").rpartition("/")[2]
        if SLIM in text or DEEP in text:
            return Field(text=last_of(text))
        return Field(text=TOP if source.many else basename(source.text))
    last = source.glob.rstrip("/").rpartition("/")[2]
    return Field(text=TOP) if last in ("", "..") or "**" in last else Field(text=TOP, glob=last)


def below(directory: Field, name: str | Field) -> Field:
    """`directory/name` as a field."""
    last = name if isinstance(name, Field) else Field(text=name)
    text = f"{directory.text.rstrip('/')}/{last.text}"
    glob = None
    if directory.glob is not None or last.glob is not None:
        head = directory.glob if directory.glob is not None else escape(directory.text)
        glob = f"{head.rstrip('/')}/{last.glob if last.glob is not None else escape(last.text)}"
    return Field(text=text, glob=glob, many=directory.many, span=directory.span)


def spellings(word: str) -> Iterable[str]:
    """Every path that a word of an unknown program may name: itself, and its tails after `=`, `@`, `:`, `-x`."""
    if word.isalnum():
        return (word,)
    if _UNMARKED.fullmatch(word) is None:
        return _spelled(word)
    slash = word.find("/")
    tail = word[slash:] if slash > 0 and word[slash:].strip("/") else ""
    glued = word[2:] if word[0] == "-" and word[1:2] != "-" else ""
    if glued:
        return (word, glued, tail) if tail and tail != glued else (word, glued)
    return (word, tail) if tail else (word,)


def _spelled(word: str) -> Iterator[str]:
    seen: set[str] = set()
    plain = unquote(word, errors="surrogateescape") if "%" in word else word
    for text in (word, *_tails(word), *((plain, *_tails(plain)) if plain != word else ())):
        if text and text not in seen:
            seen.add(text)
            yield text


_UNMARKED: Final = re.compile(r"[A-Za-z0-9_./-]+")
"""Words without a mark that a path could stand behind, but for a slash, and the dash of an option of one letter."""


def _tails(word: str) -> Iterator[str]:
    if len(word) > 2 and word[0] in "-+" and word[1] != "-":
        yield word[2:]
    if _MARKS.search(word) is not None:
        for mark in "=@:,":
            rest = word
            while mark in rest:
                _, _, rest = rest.partition(mark)
                yield rest
        for whole in (word, word[2:]) if word[:1] == "-" and word[1:2] != "-" else (word,):
            pieces = _MARKS.split(whole)
            if len(pieces) > 1:
                yield from pieces
    slash = word.find("/")
    if slash > 0 and word[slash:].strip("/") and word[slash + 1] != "*":
        yield word[slash:]
    for token in _TOKEN.findall(word):
        if token != word and ("/" in token or "." in token):
            yield token
        if ("/" in token or "." in token) and _EDGED.search(token) is not None:
            yield from _cores(token)
    if "{" in word:
        yield from _unbraced(word)


def _cores(token: str) -> Iterator[str]:
    """The paths in a token that has marks of some language around it: `/a}`, `[/a]`, `[a.txt]`, `/a#x`, `/a!`."""
    for piece in _BARE.findall(token):
        core = piece.rstrip(_CLOSING)
        for head in (core, *(core.partition(mark)[0] for mark in "#?%^~!+" if mark in core)):
            if "/" in head or "." in head:
                yield head
                yield from (head.rpartition(mark)[2] for mark in ":@" if mark in head)


def _unbraced(text: str) -> Iterator[str]:
    """Tokens in which braces stand for one of several texts: `/a/{b,c}/d` may be any `/a/*/d`."""
    wide = _BRACED.sub("*", text)
    if wide != text:
        for token in _TOKEN.findall(wide):
            if "*" in token and "/" in token and token.strip("*/"):
                yield token


def paths_in(text: str) -> Iterator[str]:
    """Tokens of free text or code that could be paths: with a slash, a dot inside, or a leading `~`."""
    seen: set[str] = set()
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token[-1] in "@+!?*" and text.startswith("(", match.end()) and "/" in token:
            yield f"{token[: token.rindex('/') + 1]}*"  # `/models/@(a|b)`
        plain = (unquote(token, errors="surrogateescape"),) if "%" in token else ()
        bare = _BARE.findall(token) if any(mark in token for mark in "{}[]") else ()
        cores = _cores(token) if "/" in token and _EDGED.search(token) is not None else ()
        for candidate in (
            token,
            token.rstrip(".:!?"),
            *(token.split(":") if ":" in token else ()),
            *plain,
            *bare,
            *cores,
        ):
            if candidate in seen or len(candidate) > 4096:
                continue
            seen.add(candidate)
            if "/" in candidate or "." in candidate.strip(".") or candidate.startswith("~"):
                yield candidate
    if "{" in text:
        yield from _unbraced(text)
