"""tree-sitter-bash -> our own tree, repaired and checked.

The parser accepts some commands and silently returns the wrong words (`rm > log -rf /models` has no operand there).
Two things answer that: words after a redirection go back to their command, and every byte of the text has to be
accounted for, as a word, an operator, a blank or a comment. What fails the check is one `Opaque` for the whole text.
Not concerned with what a command means, nor with how the nodes are read: `_statements`, `_simple` and `_redirects` are.
"""

from __future__ import annotations

import re
import threading
import time
from typing import Final

import tree_sitter
import tree_sitter_bash

from guardrail.parse._masks import Masked, is_settled, mask
from guardrail.parse._misparse import EndOfLine, Misparse
from guardrail.parse._plain import plain_command
from guardrail.parse._statements import Statements
from guardrail.parse.ir import Opaque, Script
from guardrail.patterns import lazy

MAX_SHELL_BYTES: Final = 1024 * 1024
"""Longest shell text handed to the parser, in bytes; `limits.command_bytes` is far below it."""

MAX_UNTIMED_BYTES: Final = 2048
"""Longest text that is parsed without looking at the clock, in bytes; what is shorter is done in milliseconds."""

MAX_PARSE_SECONDS: Final = 0.08
"""Longest that the syntax of one text may take, in seconds of processor time."""

_LANGUAGE: Final = tree_sitter.Language(tree_sitter_bash.language())

_ASCII: Final = bytes(range(0x80)) + b"." * 0x80
"""What the grammar is given for each byte: its scanner looks characters up in a table of 256 and has crashed the
process on others. To bash every such byte is an ordinary character of a word, and so is a dot; offsets stay, and words,
names and here documents are read from the text itself."""


MAX_BARS: Final = 2000
"""Most `|` outside of quotes, and most backticks, in one text: with more, the grammar cannot even be interrupted."""

MAX_LINES_APART: Final = 16
"""Most ends of lines in one text that the grammar is told of, as it took the commands on both sides for one."""

_SEPARATOR: Final = lazy(r"[\n;&|]")
_TIME: Final = lazy(r"\btime\b")
_QUOTES: Final = lazy(r"'[^']*+'|\"(?>(?:[^\"\\]|\\.)*)\"", re.DOTALL)


class _Local(threading.local):
    """One parser object for each thread: it must not be shared."""

    def __init__(self) -> None:
        self.parser = tree_sitter.Parser(_LANGUAGE)


_local: Final = _Local()


def parse_shell(text: str) -> Script:
    """Parse one shell text.

    Args:
        text: bash source.

    Returns:
        Its tree; a text that is not valid, not modelled or not vouched for is one `Opaque` statement. Never raises.
    """
    plain = plain_command(text)
    return plain if plain is not None else parse_by_grammar(text)


def parse_by_grammar(text: str) -> Script:
    """Parse one shell text by its syntax tree, also where a simpler reading would do.

    Args:
        text: bash source.

    Returns:
        As `parse_shell`.
    """
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return _opaque("not encodable", text)
    if len(data) > MAX_SHELL_BYTES:
        return _opaque("too long", text)
    return _parse(text, data.decode("latin-1"), 0)


def _opaque(reason: str, text: str) -> Script:
    return Script(body=(Opaque(reason=reason, text=text),), text=text)


def _parse(text: str, source: str, depth: int) -> Script:
    if "\0" in source:
        return _opaque("NUL byte", text)
    grammar = source
    root = None if len(source) > MAX_UNTIMED_BYTES and _is_crowded(source) else _tree(source)
    if root is None:
        return _opaque("takes too long to parse", text)
    masked = mask(source) if root.has_error or _is_timed(source) or _begins_escaped(source) else None
    if masked is not None:
        root = _tree(masked.grammar)
        if root is None:
            return _opaque("takes too long to parse", text)
    for _ in range(MAX_LINES_APART):
        try:
            return _built(text, source, depth, root, masked)
        except EndOfLine as found:
            # A here document begins behind the line of its operator, so that what ends such a line is not looked into.
            if masked is not None or not is_settled(source, found.at):
                break
            grammar = f"{grammar[: found.at]};{grammar[found.at + 1 :]}"
        root = _tree(grammar)
        if root is None:
            return _opaque("takes too long to parse", text)
    return _opaque("commands of several lines that are taken for one", text)


def _built(text: str, source: str, depth: int, root: tree_sitter.Node, masked: Masked | None) -> Script:
    """What the syntax tree says.

    Raises:
        EndOfLine: if it makes one command of two, at the end of a line.
    """
    if root.has_error:
        return _opaque("parse error", text)
    try:
        builder = Statements(source, root, depth, _parse_inner, masked)
        body = builder.block(root.children, 0, len(source))
        script = Script(body=body, text=text, lines=builder.lines)
        # INVARIANT: what was hidden from the grammar as an operator was met as one, not as part of a word.
        return script if not builder.unseen else _opaque("parse error", text)
    except EndOfLine:
        raise
    except Misparse as reason:
        return _opaque(str(reason), text)
    except (LookupError, ValueError, RecursionError) as error:
        # A tree of a shape never seen is not vouched for either.
        return _opaque(f"unexpected tree ({type(error).__name__})", text)


def _begins_escaped(source: str) -> bool:
    """A here document may begin with a backslash: the grammar takes such a line for more of the operator's."""
    return "<<" in source and _ESCAPED.search(source) is not None


_ESCAPED: Final = lazy(r"<<[^\n]*\n[ \t]*\\")


def _is_timed(source: str) -> bool:
    """`time` may stand before a compound command."""
    if "time" not in source or not ("(" in source or "{" in source):
        return False
    for part in _SEPARATOR.split(source):
        match = _TIME.search(part)
        if match is not None and max(part.rfind("("), part.rfind("{")) > match.start():
            return True
    return False


def _is_crowded(source: str) -> bool:
    if source.count("`") > MAX_BARS:
        return True
    return source.count("|") > MAX_BARS and _QUOTES.sub("", source).count("|") > MAX_BARS


def _tree(source: str) -> tree_sitter.Node | None:
    """The syntax tree; None if it takes too long: on some texts the grammar tries every reading of every part."""
    data = source.encode("latin-1").translate(_ASCII)
    parser = _local.parser
    if len(data) <= MAX_UNTIMED_BYTES:
        return parser.parse(data).root_node
    deadline = time.thread_time() + MAX_PARSE_SECONDS

    def late(_offset: int, _error: bool) -> bool:
        return time.thread_time() > deadline

    try:
        tree = parser.parse(lambda offset, _point: data[offset:], progress_callback=late)
    except ValueError:
        parser.reset()
        return None
    return tree.root_node


def _parse_inner(source: str, depth: int) -> Script:
    return _parse(source, source, depth)
