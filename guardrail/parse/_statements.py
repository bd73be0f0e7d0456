"""Blocks, lists, pipelines, compound commands and functions.

Not concerned with the inside of a simple command.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from guardrail.parse._binding import chained, piped, with_errors
from guardrail.parse._misparse import Misparse
from guardrail.parse._redirects import operator
from guardrail.parse._simple import SimpleCommands
from guardrail.parse._tree import COMPOUND, MAX_STATEMENTS, MAX_TREE_DEPTH, NAME, REDIRECTS, Node
from guardrail.parse.ir import (
    AndOr,
    Arithmetic,
    Block,
    Case,
    For,
    Function,
    Group,
    If,
    Loop,
    Negated,
    Pipeline,
    Redirect,
    Redirected,
    Simple,
    Statement,
    Test,
    Word,
)
from guardrail.patterns import lazy

_FOR: Final = lazy(r"for[ \t]*\(\(")
_FOR_END: Final = lazy(r"[ \t\n]*+;?[ \t\n]*+")


class Statements(SimpleCommands):
    """Blocks, lists, pipelines and compound commands of one syntax tree."""

    __slots__ = ()

    def block(self, nodes: list[Node], start: int, end: int) -> Block:
        """A sequence of statements; separators and comments are checked and dropped."""
        self.depth += 1
        if self.depth > MAX_TREE_DEPTH or len(nodes) > 2 * MAX_STATEMENTS:
            raise Misparse("nested too deep")
        out: list[Statement] = []
        lines: set[int] = set()
        position = start
        separated = True
        out_end = begun = start
        for node in nodes:
            kind = node.type
            self.gap(position, node.start_byte)
            position = node.end_byte
            if kind == "comment":
                self.comment(node)
            elif kind in (";", "\n", "&"):
                if kind == "&" and out:
                    out[-1] = Group(body=(out[-1],), subshell=True, background=True)
                separated = True
            elif kind in ("heredoc_body", "heredoc_end", "ERROR") or not node.is_named:
                raise Misparse(f"unexpected {kind}")
            else:
                if not separated and "\n" not in self.source[out_end : node.start_byte]:
                    raise Misparse("two commands without a separator")
                if "\n" in self.source[begun : node.start_byte].replace("\\\n", ""):
                    lines.add(len(out))
                before, found = self._apart(self.statement(node))
                if before is not None:
                    out.append(before)
                    lines.add(len(out))
                out.append(found)
                separated, begun = False, position
            out_end = position
        self.gap(position, end)
        self.depth -= 1
        self.lines = frozenset(lines)
        return tuple(out)

    def _apart(self, found: Statement) -> tuple[Statement | None, Statement]:
        """A statement, and the one that ends on the line before, which the parser ran together with it."""
        if not self.torn:
            return None, found
        if isinstance(found, Group) and any(found is one for one in self.torn):
            return found.body[0], found.body[1]
        if isinstance(found, Negated):
            before, after = self._apart(found.body)
            return (None, found) if before is None else (Negated(body=before), after)
        if isinstance(found, Pipeline):
            for index, stage in enumerate(found.stages):
                before, after = self._apart(stage)
                if before is not None:
                    left, right = (*found.stages[:index], before), (after, *found.stages[index + 1 :])
                    return piped(left), piped(right)
        if isinstance(found, AndOr):
            return self._apart_list(found)
        return None, found

    def _apart_list(self, found: AndOr) -> tuple[Statement | None, Statement]:
        before, after = self._apart(found.first)
        if before is not None:
            return before, AndOr(first=after, rest=found.rest)
        for index, (sign, right) in enumerate(found.rest):
            before, after = self._apart(right)
            if before is not None:
                rest = found.rest[index + 1 :]
                left = AndOr(first=found.first, rest=(*found.rest[:index], (sign, before)))
                return left, AndOr(first=after, rest=rest) if rest else after
        return None, found

    def statement(self, node: Node) -> Statement:
        """Any one statement node."""
        handler = _HANDLERS.get(node.type)
        if handler is None:
            raise Misparse(f"{node.type} is not modelled")
        return handler(self, node)

    def redirected(self, node: Node) -> Statement:
        """A statement with redirections, which the parser may hang too high in the tree."""
        children = node.children
        redirects = [child for child in children if child.type in REDIRECTS]
        bodies = [child for child in children if child.type not in REDIRECTS]
        if not bodies:
            return self._simple(None, redirects)
        if len(bodies) != 1 or node.child_by_field_name("body") != bodies[0]:
            raise Misparse("redirection of several commands")
        if bodies[0].type in COMPOUND:
            self.cover([*bodies, *redirects], node)
        return self.attach(bodies[0], redirects)

    def attach(self, body: Node, redirects: list[Node]) -> Statement:
        """A redirection at the end of a list or pipeline belongs to its last command."""
        if body.type == "command":
            return self._simple(body, redirects)
        if body.type == "list":
            return self._list(body, redirects)
        if body.type == "pipeline":
            return self._pipeline(body, redirects)
        if body.type == "negated_command":
            return self._negated(body, redirects)
        if body.type in ("variable_assignment", "declaration_command", "unset_command", "function_definition"):
            raise Misparse("redirection on an assignment or a definition")
        plain: list[Redirect] = []
        for redirect in redirects:
            if redirect.type == "heredoc_redirect":
                document, extra, follow = self.heredoc(redirect)
                plain.extend(document)
                if extra or follow is not None:
                    raise Misparse("words after a here document of a compound command")
            else:
                items = self.redirect_items(redirect)
                if len(items) > 1:
                    raise Misparse("words after a redirection of a compound command")
                plain.append(self.redirect(items[0]))
        return Redirected(body=self.statement(body), redirects=tuple(plain))

    # -- lists

    def list_(self, node: Node) -> Statement:
        """`a && b || c`."""
        return self._list(node, [])

    def _list(self, node: Node, redirects: list[Node]) -> Statement:
        rest: list[tuple[Literal["&&", "||"], Statement]] = []
        current = node
        while current.type == "list":  # a long chain nests to the left: walked, not recursed into
            parts = [child for child in current.children if child.type != "comment"]
            if len(parts) != 3 or parts[1].type not in ("&&", "||") or len(parts) != len(current.children):
                raise Misparse("list that is not modelled")
            self.cover(parts, current)
            if parts[2].type == "list":
                raise Misparse("list that nests to the right")
            last = self.attach(parts[2], redirects) if redirects else self.statement(parts[2])
            redirects = []
            rest.append((operator(parts[1]), last))
            current = parts[0]
        return chained(self.statement(current), rest[::-1])

    def pipeline(self, node: Node) -> Statement:
        """`a | b`."""
        return self._pipeline(node, [])

    def _pipeline(self, node: Node, redirects: list[Node]) -> Statement:
        self.cover(node.children, node)
        stages: list[Statement] = []
        nodes = [child for child in node.children if child.type not in ("|", "|&", "comment")]
        bars = [child for child in node.children if child.type in ("|", "|&")]
        if len(bars) != len(nodes) - 1:
            raise Misparse("pipeline that is not modelled")
        for stage, bar in zip(nodes[:-1], bars, strict=True):
            found = self.statement(stage)
            stages.append(found if bar.type == "|" else with_errors(found, bar.start_byte, bar.end_byte))
        stages.append(self.attach(nodes[-1], redirects) if redirects else self.statement(nodes[-1]))
        return piped(stages)

    def negated(self, node: Node) -> Statement:
        """`! a`."""
        return self._negated(node, [])

    def _negated(self, node: Node, redirects: list[Node]) -> Statement:
        children = node.children
        if len(children) != 2:
            raise Misparse("negation that is not modelled")
        self.cover(children, node)
        return Negated(body=self.attach(children[1], redirects) if redirects else self.statement(children[1]))

    # -- compound commands

    def subshell(self, node: Node) -> Statement:
        """`( … )`, or `(( … ))` where the parser does not expect that."""
        inner = node.children[1] if len(node.children) == 3 else None
        if (
            inner is not None
            and inner.type == "subshell"
            and (inner.start_byte, inner.end_byte) == (node.start_byte + 1, node.end_byte - 1)
        ):
            found, stop = self.lexer.arithmetic(node.start_byte + 2, node.end_byte)
            if stop != node.end_byte:
                raise Misparse("arithmetic that is not modelled")
            return Arithmetic(text=found.text, names=found.names, assigns=found.assigns, parts=found.parts)
        return Group(body=self._between(node, "(", ")"), subshell=True)

    def compound(self, node: Node) -> Statement:
        """`{ … }` or `(( … ))`."""
        first = node.children[0]
        if self.source.startswith("((", first.start_byte):
            found, stop = self.lexer.arithmetic(node.start_byte + 2, node.end_byte)
            if stop != node.end_byte or not self.source.endswith("))", node.start_byte, node.end_byte):
                raise Misparse("arithmetic that is not modelled")
            return Arithmetic(text=found.text, names=found.names, assigns=found.assigns, parts=found.parts)
        if self.source[first.end_byte : first.end_byte + 1] not in (" ", "\t", "\n"):
            raise Misparse("brace without a blank")
        return Group(body=self._between(node, "{", "}"))

    def _between(self, node: Node, opening: str, closing: str) -> Block:
        children = node.children
        if children[0].type != opening or children[-1].type != closing:
            raise Misparse(f"{node.type} is not modelled")
        return self.block(children[1:-1], children[0].end_byte, children[-1].start_byte)

    def _sections(self, node: Node, marks: tuple[str, ...]) -> list[Block]:
        """The blocks between reserved words, which must come in this order."""
        blocks: list[Block] = []
        inside: list[Node] = []
        expected = list(marks)
        position = -1
        for child in node.children:
            if expected and child.type == expected[0]:
                if position >= 0:
                    blocks.append(self.block(inside, position, child.start_byte))
                expected.pop(0)
                inside, position = [], child.end_byte
            else:
                inside.append(child)
        if expected:
            raise Misparse(f"{node.type} is not modelled")
        blocks.append(self.block(inside, position, node.end_byte))
        return blocks

    def if_(self, node: Node) -> Statement:
        """`if`, `elif`, `else`."""
        tails = [child for child in node.children if child.type in ("elif_clause", "else_clause")]
        first, last = node.children[0], node.children[-1]
        if first.type != "if" or last.type != "fi":
            raise Misparse("if that is not modelled")
        then = next((child for child in node.children if child.type == "then"), None)
        if then is None:
            raise Misparse("if that is not modelled")
        head = [child for child in node.children[1:] if child.end_byte <= then.start_byte]
        stop = tails[0].start_byte if tails else last.start_byte
        body = [child for child in node.children if then.end_byte <= child.start_byte and child.end_byte <= stop]
        branches = [(self.block(head, first.end_byte, then.start_byte), self.block(body, then.end_byte, stop))]
        otherwise: Block | None = None
        for tail, following in zip(tails, [*tails[1:], last], strict=False):
            self.gap(tail.end_byte, following.start_byte)
            if tail.type == "elif_clause":
                condition, action = self._sections(tail, ("elif", "then"))
                branches.append((condition, action))
            else:
                (otherwise,) = self._sections(tail, ("else",))
        return If(branches=tuple(branches), otherwise=otherwise)

    def while_(self, node: Node) -> Statement:
        """`while` and `until`."""
        children = node.children
        body = children[-1]
        if body.type != "do_group":
            raise Misparse("loop that is not modelled")
        condition = self.block(children[1:-1], children[0].end_byte, body.start_byte)
        until = children[0].type == "until"
        return Loop(condition=condition, body=self._between(body, "do", "done"), until=until)

    def for_(self, node: Node) -> Statement:
        """`for name in words` and `select`."""
        children = node.children
        body = children[-1]
        name = node.child_by_field_name("variable")
        if name is None or not NAME.fullmatch(self.text(name)):
            raise Misparse("loop that is not modelled")
        self.cover(children, node)
        words: list[Word] = []
        listed = False
        for child in children[2:-1]:
            if child.type == "in":
                listed = True
            elif child.is_named:
                words.append(self.lexer.word(child.start_byte, child.end_byte))
            elif child.type not in (";", "\n"):
                raise Misparse("loop that is not modelled")
        self.separate([(word.start, word.end, True) for word in words])
        if body.type == "do_group":
            block = self._between(body, "do", "done")
        elif body.type == "compound_statement":
            block = self._between(body, "{", "}")
        else:
            raise Misparse("loop that is not modelled")
        select = children[0].type == "select"
        return For(name=self.text(name), words=tuple(words) if listed else None, body=block, select=select)

    def c_for(self, node: Node) -> Statement:
        """`for (( … ))`."""
        body = node.children[-1]
        if body.type != "do_group":
            raise Misparse("loop that is not modelled")
        head = _FOR.match(self.source, node.start_byte, body.start_byte)
        if head is None:
            raise Misparse("loop that is not modelled")
        found, stop = self.lexer.arithmetic(head.end(), body.start_byte, clauses=True)
        clauses = found.text.split(";")
        if len(clauses) != 3 or not _FOR_END.fullmatch(self.source, stop, body.start_byte):
            raise Misparse("loop that is not modelled")
        return Loop(
            condition=(),
            body=self._between(body, "do", "done"),
            clauses=(clauses[0], clauses[1], clauses[2]),
            names=found.names,
            assigns=found.assigns,
            parts=found.parts,
        )

    def case(self, node: Node) -> Statement:
        """`case word in …`."""
        children = node.children
        self.cover(children, node)
        value = node.child_by_field_name("value")
        if value is None:
            raise Misparse("case that is not modelled")
        items: list[tuple[tuple[Word, ...], Block, str]] = []
        for child in children:
            if child.type == "case_item":
                items.append(self._case_item(child))
            elif child.is_named and child != value and child.type != "comment":
                raise Misparse("case that is not modelled")
        return Case(word=self.lexer.word(value.start_byte, value.end_byte), items=tuple(items))

    def _case_item(self, node: Node) -> tuple[tuple[Word, ...], Block, str]:
        children = node.children
        close = next((i for i, child in enumerate(children) if child.type == ")"), None)
        if close is None:
            raise Misparse("case that is not modelled")
        patterns: list[Word] = []
        for child in children[:close]:
            if child.is_named:
                patterns.append(self.lexer.word(child.start_byte, child.end_byte))
            elif child.type not in ("(", "|"):
                raise Misparse("case that is not modelled")
        body = children[close + 1 :]
        end, ending = node.end_byte, ";;"
        if body and body[-1].type in (";;", ";&", ";;&"):
            end, ending = body[-1].start_byte, body[-1].type
            body = body[:-1]
        self.spaced(children[: close + 1])
        return tuple(patterns), self.block(body, children[close].end_byte, end), ending

    def function(self, node: Node) -> Statement:
        """`name() body` and `function name body`."""
        name = node.child_by_field_name("name")
        body = node.child_by_field_name("body")
        if name is None or body is None or any(child.type in REDIRECTS for child in node.children):
            raise Misparse("function that is not modelled")
        word = self.lexer.word(name.start_byte, name.end_byte)
        if word.plain is None:
            raise Misparse("function that is not modelled")
        self.cover(node.children, node)
        return Function(name=word.plain, body=self.statement(body))

    def test(self, node: Node) -> Statement:
        """`[ … ]` as a simple command, `[[ … ]]` as words."""
        children = node.children
        opening, closing = children[0], children[-1]
        if opening.type == "[[" and closing.type == "]]":
            inside = self.source[opening.end_byte : closing.start_byte]
            words = self.lexer.loose(opening.end_byte, closing.start_byte)
            return Test(words=words, arithmetic=re.search(r"[ \t]-(?:eq|ne|lt|le|gt|ge|v)[ \t]", inside) is not None)
        if opening.type != "[" or closing.type != "]":
            raise Misparse("test that is not modelled")
        found = [self.lexer.word(opening.start_byte, opening.end_byte)]
        i = opening.end_byte
        while i < node.end_byte:
            if self.source[i] in " \t":
                i += 1
                continue
            _, stop = self.lexer.scan(i, node.end_byte)
            if stop == i:
                raise Misparse("operator inside a test")
            found.append(self.lexer.word(i, stop))
            i = stop
        if found[-1].plain != "]" or len(found) < 2:
            raise Misparse("test that is not modelled")
        return Simple(words=tuple(found), assigns=(), redirects=(), start=node.start_byte, end=node.end_byte)


_HANDLERS: Final = {
    "command": Statements.simple,
    "redirected_statement": Statements.redirected,
    "list": Statements.list_,
    "pipeline": Statements.pipeline,
    "negated_command": Statements.negated,
    "subshell": Statements.subshell,
    "compound_statement": Statements.compound,
    "if_statement": Statements.if_,
    "while_statement": Statements.while_,
    "for_statement": Statements.for_,
    "c_style_for_statement": Statements.c_for,
    "case_statement": Statements.case,
    "function_definition": Statements.function,
    "variable_assignment": Statements.assignment,
    "variable_assignments": Statements.assignment,
    "declaration_command": Statements.declaration,
    "unset_command": Statements.declaration,
    "test_command": Statements.test,
}
