"""What two other parsers make of a shell text: bash itself, and shfmt.

Not concerned with our own parser, except for the last part, which says of its tree what can be compared.
"""

from __future__ import annotations

import concurrent.futures
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from guardrail.parse.ir import Opaque, Script, Simple, Word

SECONDS: Final = 60
"""Longest one run of either may take, in seconds."""

Words = tuple[str, ...]
"""The words of one simple command, as they are written."""

T = TypeVar("T")

_ESCAPED: Final = re.compile(r"\\([`\\$])")


def shfmt() -> str | None:
    """The program, from this interpreter's environment or from PATH."""
    beside = Path(sys.executable).with_name("shfmt")
    return str(beside) if beside.exists() else shutil.which("shfmt")


def _each(work: Callable[[str], T], texts: Sequence[str]) -> list[T]:
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(work, texts))


def valid_in_bash(texts: Sequence[str]) -> list[bool]:
    """Whether bash would run each text at all."""
    return _each(_valid, texts)


def _valid(text: str) -> bool:
    done = subprocess.run(["bash", "-n"], input=text.encode(), capture_output=True, timeout=SECONDS, check=False)
    # An end of file in a here document is a warning, and the text runs.
    return done.returncode == 0


def commands_by_shfmt(program: str, texts: Sequence[str]) -> list[list[Words] | None]:
    """The simple commands of each text, sorted; None where shfmt takes it for no bash."""
    return _each(lambda text: _by_shfmt(program, text), texts)


def _by_shfmt(program: str, text: str) -> list[Words] | None:
    data = text.encode()
    command = [program, "-ln", "bash", "--to-json"]
    done = subprocess.run(command, input=data, capture_output=True, timeout=SECONDS, check=False)
    if done.returncode:
        return None
    return sorted(_of_json(json.loads(done.stdout), data))


def _of_json(node: Any, data: bytes) -> Iterator[Words]:
    if isinstance(node, list):
        for item in node:
            yield from _of_json(item, data)
    elif isinstance(node, dict):
        kind = node.get("Type")
        if kind == "CallExpr" and node.get("Args"):
            yield tuple(_cut(word, data) for word in node["Args"])
        elif kind == "DeclClause":
            # The words of an array are its own: ours keeps them apart.
            names = (_cut(word, data).partition("=(")[0] for word in node.get("Args") or ())
            yield (node["Variant"]["Value"], *names)
        for value in node.values():
            yield from _of_json(value, data)


def _cut(node: dict[str, Any], data: bytes) -> str:
    return plain(data[node["Pos"]["Offset"] : node["End"]["Offset"]].decode())


def plain(raw: str) -> str:
    """A word as written, without line continuations and the escapes that a backtick substitution needs."""
    return _ESCAPED.sub(r"\1", raw.replace("\\\n", ""))


def printed_by_bash(words: Sequence[str]) -> list[str]:
    """What bash makes of words that have nothing to expand, as written."""
    script = "set -f +B\n" + "".join(f"printf '%s\\0' {word}\n" for word in words)
    done = subprocess.run(["bash"], input=script.encode(), capture_output=True, timeout=SECONDS, check=True)
    return [value.decode("utf-8", "surrogateescape") for value in done.stdout.split(b"\0")[:-1]]


# ── our own tree ──────────────────────────────────────────────────────────────────────────────────────────────────────


def opaque(script: Script) -> str:
    """Why a part of a text is not vouched for; empty if all of it is."""
    return next((node.reason for node, _ in _nodes(script, script.text.encode()) if isinstance(node, Opaque)), "")


def commands_of_ours(script: Script) -> list[Words]:
    """The simple commands of a tree, sorted, in the shape that shfmt's are in."""
    found = []
    for node, data in _nodes(script, script.text.encode()):
        if isinstance(node, Simple) and node.words:
            words = [plain(data[word.start : word.end].decode()) for word in node.words]
            if words[0] == "time":
                words = words[2 if words[1:2] == ["-p"] else 1 :]
            if words and words[0] != "let":
                found.append(tuple(words))
    return sorted(found)


def plain_words(script: Script) -> list[tuple[str, str]]:
    """Words of commands with nothing to expand: as written, and what they are said to be."""
    found = []
    for node, data in _nodes(script, script.text.encode()):
        if isinstance(node, Simple):
            found += [
                (data[word.start : word.end].decode(), word.plain) for word in node.words if word.plain is not None
            ]
    return found


def _nodes(node: Any, data: bytes) -> Iterator[tuple[Any, bytes]]:
    """Every node with the text that its offsets count in: a backtick substitution counts in its own."""
    if isinstance(node, tuple):
        for item in node:
            yield from _nodes(item, data)
    elif isinstance(node, msgspec.Struct):
        if isinstance(node, Script):
            data = _counted_in(node, data)
        yield node, data
        for name in node.__struct_fields__:
            yield from _nodes(getattr(node, name), data)


def _counted_in(script: Script, outer: bytes) -> bytes:
    own = script.text.encode("utf-8", "surrogateescape")
    spans = [(node.start, node.end) for node in _simples(script)]
    if not spans or own == outer:
        return own if own == outer else outer
    first, last = min(start for start, _ in spans), max(end for _, end in spans)
    place = outer.find(own)
    while place >= 0:
        if place <= first and last <= place + len(own):
            return outer
        place = outer.find(own, place + 1)
    return own


def _simples(node: Any) -> Iterator[Simple]:
    """The simple commands of a script itself, not those inside its words."""
    if isinstance(node, tuple):
        for item in node:
            yield from _simples(item)
    elif isinstance(node, Simple):
        if node.words:
            yield node
    elif isinstance(node, msgspec.Struct) and not isinstance(node, Word):
        for name in node.__struct_fields__:
            yield from _simples(getattr(node, name))
