"""A syntax tree together with its text: every byte has to be a word, an operator, a blank or a comment.

Not concerned with what the nodes are: `_simple` and `_statements` read them.
"""

from __future__ import annotations

import abc
import itertools
import re
from collections.abc import Callable
from typing import Final

import tree_sitter

from guardrail.parse._masks import Masked
from guardrail.parse._misparse import Misparse
from guardrail.parse._words import Lexer
from guardrail.parse.ir import Block, Opaque, Script, Statement
from guardrail.patterns import lazy

MAX_TREE_DEPTH: Final = 40
"""Deepest nesting of compound commands and substitutions in one text, in levels of the syntax tree."""

MAX_TEXTS: Final = 1024
"""Most backtick substitutions in one text, each of which is parsed on its own."""

MAX_STATEMENTS: Final = 8192
"""Most commands of one block; the interpreter stops at fewer."""

Node = tree_sitter.Node

BLANKS: Final = re.compile(r"(?:[ \t]|(?<=[ \t])\\\n|\\\n(?=[ \t]))+")
"""What separates words: a line continuation counts only beside a blank."""

BETWEEN: Final = re.compile(r"(?:[ \t\n]|(?<=[ \t\n])\\\n|\\\n(?=[ \t]))*")
"""What may stand between commands."""

NAME: Final = lazy(r"[A-Za-z_][A-Za-z0-9_]*")
"""The name of a variable."""

REDIRECTS: Final = frozenset(("file_redirect", "heredoc_redirect", "herestring_redirect"))
"""Nodes that are redirections."""

COMPOUND: Final = frozenset(
    "subshell compound_statement if_statement while_statement for_statement c_style_for_statement case_statement "
    "test_command".split()
)
"""Nodes that are compound commands."""


class Tree(abc.ABC):
    """One syntax tree with its text, and the checks that every byte of the text is accounted for.

    Args:
        source: UTF-8 text seen as Latin-1.
        root: its syntax tree.
        depth: how deep in other texts it stands.
        parse: parses the text of a backtick substitution one level deeper.
        masked: what the grammar was not shown of the text, if anything.
    """

    __slots__ = ("_parse", "depth", "lexer", "lines", "masked", "root", "source", "texts", "torn", "unseen")

    def __init__(
        self, source: str, root: Node, depth: int, parse: Callable[[str, int], Script], masked: Masked | None = None
    ) -> None:
        self.source = source
        self.root = root
        self.depth = depth
        self.masked = masked
        self.unseen = set(masked.documents) if masked is not None else set[int]()
        self.lexer = Lexer(source, self._nested, self._reparse)
        self._parse = parse
        self.texts = 0
        self.torn: list[Statement] = []  # assignments of one line, and the command on the next, taken for one command
        self.lines: frozenset[int] = frozenset()  # of the block read last, which statements begin a line

    @abc.abstractmethod
    def block(self, nodes: list[Node], start: int, end: int) -> Block:
        """A sequence of statements; separators and comments are checked and dropped."""

    @abc.abstractmethod
    def statement(self, node: Node) -> Statement:
        """Any one statement node."""

    def _nested(self, i: int, kind: str) -> tuple[Script, int]:
        """The commands of the substitution at offset `i`; the tree must know one exactly there."""
        node = self.root.descendant_for_byte_range(i, i + 2)
        # Inside double quotes the parser adds blanks before it.
        while node is not None and node.type != kind and self.source[node.start_byte : i].strip(" \t\n") == "":
            node = node.parent
        if node is None or node.type != kind or node.children[0].end_byte != i + 2:
            raise Misparse("substitution that the parser does not see")
        children = node.children
        if children[-1].type != ")":
            raise Misparse("substitution without an end")
        body = self.block(children[1:-1], i + 2, children[-1].start_byte)
        return Script(body=body, text=self.source[i + 2 : children[-1].start_byte]), node.end_byte

    def _reparse(self, inner: str) -> Script:
        self.texts += 1
        if self.depth >= MAX_TREE_DEPTH or self.texts > MAX_TEXTS:
            raise Misparse("nested too deep")
        script = self._parse(inner, self.depth + 1)
        if script.body and isinstance(script.body[0], Opaque):
            raise Misparse(script.body[0].reason)
        return script

    # -- checks

    def gap(self, start: int, end: int) -> None:
        """Only blanks stand in between."""
        source = self.source if self.masked is None else self.masked.spaces
        if start < end and not BETWEEN.fullmatch(source, start, end):
            raise Misparse("bytes that belong to no command")
        if start > end:
            raise Misparse("parts that overlap")

    def comment(self, node: Node) -> None:
        """A comment is where one may stand."""
        if self.masked is not None and self.masked.inside(node.start_byte, node.end_byte):
            return
        before = self.source[node.start_byte - 1] if node.start_byte else "\n"
        if before not in " \t\n;&|()" or "\n" in self.source[node.start_byte : node.end_byte]:
            raise Misparse("comment inside a word")
        # A line continuation before `#` glues it to what stands before.
        if self.source[node.start_byte - 2 : node.start_byte] == "\\\n":
            raise Misparse("comment after a line continuation")

    def separate(self, spans: list[tuple[int, int, bool]]) -> None:
        """Words do not touch, and only blanks stand in between."""
        spans.sort()
        for (_, end, word), (start, _, next_word) in itertools.pairwise(spans):
            if start < end:
                raise Misparse("parts that overlap")
            if start == end:
                if word and next_word:
                    raise Misparse("words that are not separated")
            elif not BLANKS.fullmatch(self.source, end, start):
                raise Misparse("bytes in a command that belong to no word")

    def blank(self, start: int, end: int) -> None:
        """Only blanks within a line stand in between."""
        if not BLANKS.fullmatch(self.source, start, end):
            raise Misparse("bytes in a command that belong to no word")

    def cover(self, parts: list[Node], node: Node) -> None:
        """Every byte between the parts is blank."""
        position = node.start_byte
        for part in parts:
            self.gap(position, part.start_byte)
            if part.type == "comment":
                self.comment(part)
            position = part.end_byte
        self.gap(position, node.end_byte)

    def spaced(self, parts: list[Node]) -> None:
        """Only blanks stand between neighbours."""
        for left, right in itertools.pairwise(parts):
            self.gap(left.end_byte, right.start_byte)

    def text(self, node: Node) -> str:
        """The text of a node."""
        return self.source[node.start_byte : node.end_byte]
