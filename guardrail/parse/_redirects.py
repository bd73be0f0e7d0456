"""Redirections and here documents, which the parser hangs in odd places and to which it adds words of the command.

Not concerned with the commands they belong to.
"""

from __future__ import annotations

from typing import Final, Literal

from guardrail.parse._binding import chained, piped
from guardrail.parse._heredoc import heredoc_span, without_tabs
from guardrail.parse._misparse import Misparse
from guardrail.parse._tree import REDIRECTS, Node, Tree
from guardrail.parse.ir import Redirect, Statement, Word
from guardrail.patterns import lazy

_OPERATORS: Final = frozenset(("<", ">", ">>", ">|", "&>", "&>>", "<&", ">&", "<&-", ">&-"))

_VARIABLE: Final = lazy(r"\{[A-Za-z_][A-Za-z0-9_]*\}")

FIRST_FREE: Final = 10
"""The least number that the shell takes for a descriptor whose number it keeps in a variable."""

STATEMENT_KINDS: Final = frozenset(
    "command redirected_statement list pipeline negated_command subshell compound_statement if_statement "
    "while_statement for_statement c_style_for_statement case_statement function_definition variable_assignment "
    "variable_assignments declaration_command unset_command test_command".split()
)
"""Nodes that are statements."""


class Item:
    """A part of a simple command: `word`, `assign`, `redirect`, `document` or `newline`."""

    __slots__ = ("descriptor", "end", "inside", "kind", "node", "start", "variable")

    def __init__(self, kind: str, start: int, end: int, node: Node | None = None, *, inside: bool = False) -> None:
        self.kind = kind
        self.start = start
        self.end = end
        self.node = node
        self.inside = inside
        self.descriptor: int | None = None
        self.variable: str | None = None


class Redirections(Tree):
    """Redirections and here documents of one syntax tree."""

    __slots__ = ()

    def is_descriptor(self, word: Item, redirect: Item) -> bool:
        """Digits or `{name}` before a redirection belong to it, also where the parser takes them for a word."""
        text = self.source[word.start : word.end]
        if _VARIABLE.fullmatch(text) and redirect.node is not None:
            redirect.descriptor, redirect.variable = FIRST_FREE, text[1:-1]
            return True
        if not (text.isascii() and text.isdigit()) or redirect.node is None:
            return False
        if redirect.node.children[0].type == "file_descriptor" or len(text) > 4:
            raise Misparse("odd file descriptor")
        redirect.descriptor = int(text)
        return True

    def redirect_items(self, node: Node) -> list[Item]:
        """One redirection, and the words that the parser wrongly made further targets of it."""
        _, rest = self.descriptor(node)
        operator = rest[0].type
        if node.type == "herestring_redirect":
            if len(rest) != 2:
                raise Misparse("here string that is not modelled")
        elif operator not in _OPERATORS:
            raise Misparse("redirection that is not modelled")
        closing = operator.endswith("-")
        if not closing and len(rest) < 2:
            raise Misparse("redirection without a target")
        end = rest[0].end_byte if closing else rest[1].end_byte
        found = [Item("redirect", self.begun(node), end, node)]
        found.extend(Item("word", child.start_byte, child.end_byte) for child in rest[1 if closing else 2 :])
        return found

    def redirect(self, item: Item) -> Redirect:
        if item.node is None:
            raise Misparse("redirection that is not modelled")
        hidden = self.hidden(item.node, item)
        if hidden is not None:
            return hidden
        fd, rest = self.descriptor(item.node)
        fd = item.descriptor if item.descriptor is not None else fd
        operator = rest[0].type
        if operator.endswith("-"):
            if item.end != rest[0].end_byte:
                raise Misparse("redirection that is not modelled")
            return Redirect(op=operator[:-1], fd=fd, target=None, start=item.start, end=item.end)
        position = rest[0].end_byte
        if position < rest[1].start_byte:
            self.blank(position, rest[1].start_byte)
        target = self.lexer.word(rest[1].start_byte, item.end)
        name = "<<<" if item.node.type == "herestring_redirect" else operator
        return Redirect(op=name, fd=fd, target=target, start=item.start, end=item.end, variable=item.variable)

    def begun(self, node: Node) -> int:
        """Where a redirection begins whose operator the grammar was shown only the end of."""
        at = node.start_byte
        if self.masked is None or at not in self.masked.documents:
            return at
        span = self.masked.documents[at]
        return at - (2 if span is None or span.strip_tabs else 1)

    def hidden(self, node: Node, item: Item) -> Redirect | None:
        """The here document or here string behind an operator that the grammar took for `<`."""
        at = node.start_byte
        if self.masked is None or at not in self.masked.documents:
            return None
        self.unseen.discard(at)
        span = self.masked.documents[at]
        if span is None:
            target = self.lexer.word(node.children[1].start_byte, item.end)
            return Redirect(op="<<<", fd=None, target=target, start=item.start, end=item.end)
        body = self.lexer.heredoc(span.body_start, span.body_end, literal=span.literal)
        if span.strip_tabs:
            body = without_tabs(body)
        return Redirect(op="<<", fd=None, target=body, start=item.start, end=item.end)

    def descriptor(self, node: Node) -> tuple[int | None, list[Node]]:
        children = node.children
        if children[0].type != "file_descriptor":
            return None, children
        text = self.text(children[0])
        if not (text.isascii() and text.isdigit()) or len(text) > 4 or children[1].start_byte != children[0].end_byte:
            raise Misparse("odd file descriptor")
        return int(text), children[1:]

    def heredoc(self, node: Node) -> tuple[list[Redirect], list[Word], Node | None]:
        """A here document, words and redirections after its operator, and the command that follows on the line."""
        fd, rest = self.descriptor(node)
        start = rest[1]
        redirects: list[Redirect] = []
        words: list[Word] = []
        follow: Node | None = None
        spans: list[tuple[int, int, bool]] = [(node.start_byte, start.end_byte, True)]
        body_node, line_end = None, start.end_byte
        index = 2
        while index < len(rest):
            child = rest[index]
            kind = child.type
            if kind in ("heredoc_body", "heredoc_end"):
                body_node = body_node or child
                index += 1
                continue
            line_end = child.end_byte
            if kind == "file_redirect":
                items = self.redirect_items(child)
                one = self.redirect(items[0])
                redirects.append(one)
                extra = [self.lexer.word(item.start, item.end) for item in items[1:]]
                words.extend(extra)
                spans += [(one.start, one.end, False), *((w.start, w.end, True) for w in extra)]
            elif kind in ("&&", "||") and rest[index + 1].type in STATEMENT_KINDS:
                follow = child
                line_end = rest[index + 1].end_byte
                self.gap(child.end_byte, rest[index + 1].start_byte)
                spans.append((child.start_byte, line_end, False))
                index += 1
            elif kind == "pipeline":
                follow = child
                spans.append((child.start_byte, child.end_byte, False))
            elif child.is_named and kind not in REDIRECTS and kind not in STATEMENT_KINDS:
                word = self.lexer.word(child.start_byte, child.end_byte)
                words.append(word)
                spans.append((word.start, word.end, True))
            else:
                raise Misparse("here document that is not modelled")
            index += 1
        self.separate(spans)
        span = heredoc_span(self.source, start.start_byte, start.end_byte, line_end, strip=rest[0].type == "<<-")
        if span.end != rest[-1].end_byte or rest[-1].type != "heredoc_end" or body_node is None:
            raise Misparse("here document whose end is not clear")
        body = self.lexer.heredoc(span.body_start, span.body_end, literal=span.literal)
        if span.strip_tabs:
            body = without_tabs(body)
        first = Redirect(op="<<", fd=fd, target=body, start=node.start_byte, end=start.end_byte)
        return [first, *redirects], words, follow

    def follow(self, first: Statement, node: Node) -> Statement:
        """What stands after a here document's operator on the same line: `&& b`, `|| b` or `| b`."""
        if node.type == "pipeline":
            stages = [child for child in node.children if child.is_named]
            if len(stages) != 1 or any(child.type not in ("|", "command") for child in node.children):
                raise Misparse("here document that is not modelled")
            gap = node.start_byte - 1
            while gap > 0 and self.source[gap] in " \t":
                gap -= 1
            if node.children[0].type != "|" and self.source[gap] != "|":
                raise Misparse("here document that is not modelled")
            return piped((first, self.statement(stages[0])))
        right = node.next_named_sibling
        if right is None:
            raise Misparse("here document that is not modelled")
        return chained(first, ((operator(node), self.statement(right)),))


def operator(node: Node) -> Literal["&&", "||"]:
    """Which of the two it is."""
    return "&&" if node.type == "&&" else "||"
