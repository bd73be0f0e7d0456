"""tree-sitter-bash -> our own tree, repaired and checked.

The parser accepts some commands and silently returns the wrong words (`rm > log -rf /models` has no operand there).
Two things answer that: words after a redirection go back to their command, and every byte of the text has to be
accounted for, as a word, an operator, a blank or a comment. What fails the check is one `Opaque` for the whole text.
Not concerned with what a command means.
"""

from __future__ import annotations

import itertools
import re
import threading
from typing import Final, Literal

import tree_sitter
import tree_sitter_bash

from guardrail.parse._heredoc import heredoc_span, without_tabs
from guardrail.parse._words import Lexer, Misparse, arithmetic_names
from guardrail.parse.ir import (
    AndOr,
    Arithmetic,
    Assign,
    Block,
    Case,
    For,
    Function,
    Group,
    If,
    Loop,
    Negated,
    Opaque,
    Pipeline,
    Redirect,
    Redirected,
    Script,
    Simple,
    Statement,
    Test,
    Word,
)

MAX_SHELL_BYTES: Final = 1024 * 1024
"""Longest shell text handed to the parser, in bytes; `limits.command_bytes` is far below it."""

MAX_TREE_DEPTH: Final = 40
"""Deepest nesting of compound commands and substitutions in one text, in levels of the syntax tree."""

_LANGUAGE: Final = tree_sitter.Language(tree_sitter_bash.language())
_BLANKS = re.compile(r"(?:[ \t]|(?<=[ \t])\\\n|\\\n(?=[ \t]))+")
_BETWEEN = re.compile(r"(?:[ \t\n]|(?<=[ \t\n])\\\n|\\\n(?=[ \t]))*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED: Final = frozenset(
    "{ } coproc then do done fi esac elif else if while until for case select function ! [[ ]]".split()
)
_REDIRECTS: Final = frozenset(("file_redirect", "heredoc_redirect", "herestring_redirect"))
_OPERATORS: Final = frozenset(("<", ">", ">>", ">|", "&>", "&>>", "<&", ">&", "<&-", ">&-"))

_COMPOUND: Final = frozenset(
    "subshell compound_statement if_statement while_statement for_statement c_style_for_statement case_statement "
    "test_command".split()
)

_ASCII: Final = bytes(range(0x80)) + b"." * 0x80
"""What the grammar is given for each byte: its scanner looks characters up in a table of 256 and has crashed the
process on others. To bash every such byte is an ordinary character of a word, and so is a dot; offsets stay, and words,
names and here documents are read from the text itself."""

Node = tree_sitter.Node


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
    root = _local.parser.parse(source.encode("latin-1").translate(_ASCII)).root_node
    if root.has_error:
        return _opaque("parse error", text)
    try:
        builder = _Builder(source, root, depth)
        return Script(body=builder.block(root.children, 0, len(source)), text=text)
    except Misparse as reason:
        return _opaque(str(reason), text)
    except (LookupError, ValueError, RecursionError) as error:
        # A tree of a shape never seen is not vouched for either.
        return _opaque(f"unexpected tree ({type(error).__name__})", text)


class _Item:
    """A part of a simple command: `word`, `assign`, `redirect`, `document` or `newline`."""

    __slots__ = ("descriptor", "end", "inside", "kind", "node", "start")

    def __init__(self, kind: str, start: int, end: int, node: Node | None = None, *, inside: bool = False) -> None:
        self.kind = kind
        self.start = start
        self.end = end
        self.node = node
        self.inside = inside
        self.descriptor: int | None = None


class _Builder:
    """Turns one syntax tree into statements."""

    __slots__ = ("depth", "lexer", "root", "source")

    def __init__(self, source: str, root: Node, depth: int) -> None:
        self.source = source
        self.root = root
        self.depth = depth
        self.lexer = Lexer(source, self._nested, self._reparse)

    # -- substitutions

    def _nested(self, i: int, kind: str) -> tuple[Script, int]:
        """The commands of the substitution at offset `i`; the tree must know one exactly there."""
        node = self.root.descendant_for_byte_range(i, i + 2)
        while node is not None and node.type != kind and node.start_byte == i:
            node = node.parent
        if node is None or node.type != kind or node.start_byte != i:
            raise Misparse("substitution that the parser does not see")
        children = node.children
        if children[-1].type != ")":
            raise Misparse("substitution without an end")
        body = self.block(children[1:-1], i + 2, children[-1].start_byte)
        return Script(body=body, text=self.source[i + 2 : children[-1].start_byte]), node.end_byte

    def _reparse(self, inner: str) -> Script:
        if self.depth >= MAX_TREE_DEPTH:
            raise Misparse("nested too deep")
        script = _parse(inner, inner, self.depth + 1)
        if script.body and isinstance(script.body[0], Opaque):
            raise Misparse(script.body[0].reason)
        return script

    # -- blocks

    def block(self, nodes: list[Node], start: int, end: int) -> Block:
        """A sequence of statements; separators and comments are checked and dropped."""
        self.depth += 1
        if self.depth > MAX_TREE_DEPTH:
            raise Misparse("nested too deep")
        out: list[Statement] = []
        position = start
        separated = True
        out_end = start
        for node in nodes:
            kind = node.type
            self._gap(position, node.start_byte)
            position = node.end_byte
            if kind == "comment":
                self._comment(node)
            elif kind in (";", "\n", "&"):
                if kind == "&" and out:
                    out[-1] = Group(body=(out[-1],), subshell=True, background=True)
                separated = True
            elif kind in ("heredoc_body", "heredoc_end", "ERROR") or not node.is_named:
                raise Misparse(f"unexpected {kind}")
            else:
                if not separated and "\n" not in self.source[out_end : node.start_byte]:
                    raise Misparse("two commands without a separator")
                out.append(self.statement(node))
                separated = False
            out_end = position
        self._gap(position, end)
        self.depth -= 1
        return tuple(out)

    def _gap(self, start: int, end: int) -> None:
        if start < end and not _BETWEEN.fullmatch(self.source, start, end):
            raise Misparse("bytes that belong to no command")
        if start > end:
            raise Misparse("parts that overlap")

    def _comment(self, node: Node) -> None:
        before = self.source[node.start_byte - 1] if node.start_byte else "\n"
        if before not in " \t\n;&|()" or "\n" in self.source[node.start_byte : node.end_byte]:
            raise Misparse("comment inside a word")
        # A line continuation before `#` glues it to what stands before.
        if self.source[node.start_byte - 2 : node.start_byte] == "\\\n":
            raise Misparse("comment after a line continuation")

    def statement(self, node: Node) -> Statement:
        """Any one statement node."""
        handler = _STATEMENTS.get(node.type)
        if handler is None:
            raise Misparse(f"{node.type} is not modelled")
        return handler(self, node)

    def redirected(self, node: Node) -> Statement:
        """A statement with redirections, which the parser may hang too high in the tree."""
        children = node.children
        redirects = [child for child in children if child.type in _REDIRECTS]
        bodies = [child for child in children if child.type not in _REDIRECTS]
        if not bodies:
            return self._simple(None, redirects)
        if len(bodies) != 1 or node.child_by_field_name("body") != bodies[0]:
            raise Misparse("redirection of several commands")
        if bodies[0].type in _COMPOUND:
            self._cover([*bodies, *redirects], node)
        return self._attach(bodies[0], redirects)

    def _attach(self, body: Node, redirects: list[Node]) -> Statement:
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
        rest: list[Statement] = []
        plain: list[Redirect] = []
        for redirect in redirects:
            if redirect.type == "heredoc_redirect":
                document, extra, follow = self._heredoc(redirect)
                plain.extend(document)
                if extra or follow is not None:
                    raise Misparse("words after a here document of a compound command")
            else:
                items = self._redirect_items(redirect)
                if len(items) > 1:
                    raise Misparse("words after a redirection of a compound command")
                plain.append(self._redirect(items[0]))
        rest.append(self.statement(body))
        return Redirected(body=rest[0], redirects=tuple(plain))

    # -- simple commands

    def simple(self, node: Node) -> Statement:
        """A command without redirections above it."""
        return self._simple(node, [])

    def _simple(self, node: Node | None, redirects: list[Node]) -> Statement:
        items: list[_Item] = []
        documents: list[Redirect] = []
        follow: Node | None = None
        for child in (*(node.children if node is not None else ()), *redirects):
            kind = child.type
            if kind == "heredoc_redirect":
                found, extra, follow = self._heredoc(child)
                documents.extend(found)
                items.append(_Item("document", child.start_byte, child.end_byte))
                items.extend(_Item("word", word.start, word.end, inside=True) for word in extra)
            elif kind in _REDIRECTS:
                items.extend(self._redirect_items(child))
            elif kind in ("subshell", "comment"):
                raise Misparse(f"{kind} inside a command")
            else:
                what = "assign" if kind == "variable_assignment" else "word"
                items.append(_Item(what, child.start_byte, child.end_byte, child))
        if len(items) > 1:
            items = self._mended(items)
        return self._assemble(items, documents, follow)

    def _assemble(self, items: list[_Item], documents: list[Redirect], follow: Node | None) -> Statement:
        words: list[Word] = []
        assigns: list[Assign] = []
        redirects = documents
        before: Statement | None = None
        for item in items:
            if item.kind == "word":
                words.extend(self.lexer.words(item.start, item.end))
            elif item.kind == "assign" and item.node is not None:
                if words:
                    raise Misparse("assignment after the command name")
                assigns.append(self._assign(item.node, item.end))
            elif item.kind == "redirect" and item.node is not None:
                redirects.append(self._redirect(item))
            elif item.kind == "newline":
                # The parser takes assignments on one line for the environment of the command on the next.
                before = Simple(words=(), assigns=tuple(assigns), redirects=(), start=items[0].start, end=item.start)
                assigns = []
        if words and words[0].plain in _RESERVED and not _is_quoted(words[0]):
            raise Misparse("reserved word as a command name")
        simple = Simple(
            words=tuple(words),
            assigns=tuple(assigns),
            redirects=tuple(sorted(redirects, key=_start)),
            start=items[0].start,
            end=max(item.end for item in items),
        )
        whole = simple if follow is None else self._follow(simple, follow)
        return whole if before is None else Group(body=(before, whole))

    def _mended(self, items: list[_Item]) -> list[_Item]:
        """The parts of a command in order: torn words joined, words left out put back, all else checked."""
        items.sort(key=_item_start)
        out = [items[0]]
        for item in items[1:]:
            last = out[-1]
            gap = self.source[last.end : item.start]
            if gap == "" and item.kind == "redirect" and last.kind == "word" and self._is_descriptor(last, item):
                out.pop()
                item.start = last.start
                out.append(item)
            elif item.inside and last.kind == "document" and item.end <= last.end:
                out.insert(-1, item)  # a word on the line of a here document's operator
            elif item.start < last.end:
                raise Misparse("parts that overlap")
            elif gap == "" and item.kind == "document" and self.source[last.end - 1].isdigit():
                raise Misparse("odd file descriptor")
            elif gap in ("", "\\\n") and item.kind == "word" and last.kind in ("word", "assign", "redirect"):
                last.end = item.end
            elif gap == "" or _BLANKS.fullmatch(gap):
                out.append(item)
            elif all(other.kind == "assign" for other in out) and re.fullmatch(r"[ \t]*;?[ \t]*\n[ \t\n]*", gap):
                out += [_Item("newline", last.end, last.end), item]
            else:
                found = self._left_out(last.end, item.start)
                if found and found[-1].end == item.start:
                    if item.kind != "word":
                        raise Misparse("bytes in a command that belong to no word")
                    item.start = found.pop().start
                out += [*found, item]
        return out

    def _is_descriptor(self, word: _Item, redirect: _Item) -> bool:
        """Digits right before a redirection belong to it, also where the parser takes them for a word."""
        text = self.source[word.start : word.end]
        if not (text.isascii() and text.isdigit()) or redirect.node is None:
            return False
        if redirect.node.children[0].type == "file_descriptor" or len(text) > 4:
            raise Misparse("odd file descriptor")
        redirect.descriptor = int(text)
        return True

    def _left_out(self, start: int, end: int) -> list[_Item]:
        """Words that the parser skipped, such as a lone dash before a here document."""
        found: list[_Item] = []
        i = start
        while i < end:
            blank = _BLANKS.match(self.source, i, end)
            if blank is None:
                raise Misparse("bytes in a command that belong to no word")
            i = blank.end()
            if i < end:
                _, stop = self.lexer.scan(i, end)
                if stop == i or self.source[i] == "#":
                    raise Misparse("bytes in a command that belong to no word")
                found.append(_Item("word", i, stop))
                i = stop
        return found

    def _separate(self, spans: list[tuple[int, int, bool]]) -> None:
        spans.sort()
        for (_, end, word), (start, _, next_word) in itertools.pairwise(spans):
            if start < end:
                raise Misparse("parts that overlap")
            if start == end:
                if word and next_word:
                    raise Misparse("words that are not separated")
            elif not _BLANKS.fullmatch(self.source, end, start):
                raise Misparse("bytes in a command that belong to no word")

    def _assign(self, node: Node, end: int | None = None) -> Assign:
        end = node.end_byte if end is None else end
        children = node.children
        name = self._text(children[0])
        if children[0].type != "variable_name" or not _NAME.fullmatch(name) or len(children) < 2:
            raise Misparse("assignment that is not modelled")
        operator = children[1]
        if operator.type not in ("=", "+=") or operator.start_byte != children[0].end_byte:
            raise Misparse("assignment that is not modelled")
        array = None
        start = operator.end_byte
        if len(children) == 3 and children[2].type == "array":
            if children[2].start_byte != start or end != node.end_byte:
                raise Misparse("assignment that is not modelled")
            array = self._array(children[2])
            value = Word(parts=(), start=start, end=node.end_byte)
        elif start == end:
            value = Word(parts=(), start=start, end=start, plain="")
        else:
            value = self.lexer.word(start, end, assignment=True)
        return Assign(name=name, value=value, append=operator.type == "+=", array=array)

    def _array(self, node: Node) -> tuple[Word, ...]:
        words: list[Word] = []
        position = node.start_byte + 1
        for child in node.children[1:-1]:
            if child.type == "comment":
                raise Misparse("comment inside an array")
            if words and child.start_byte == position:
                raise Misparse("words that are not separated")
            self._gap(position, child.start_byte)
            words.append(self.lexer.word(child.start_byte, child.end_byte))
            if words[-1].plain is None and "[" in self.source[child.start_byte : child.start_byte + 1]:
                raise Misparse("computed subscript")
            position = child.end_byte
        self._gap(position, node.end_byte - 1)
        return tuple(words)

    def declaration(self, node: Node) -> Statement:
        """`export`, `declare`, `local`, `readonly`, `typeset`, `unset`: a command whose words may be assignments."""
        words: list[Word] = []
        assigns: list[Assign] = []
        spans: list[tuple[int, int, bool]] = []
        children = node.children
        for index, child in enumerate(children):
            if child.type == "variable_assignment" and any(c.type == "array" for c in child.children):
                assign = self._assign(child)
                assigns.append(assign)
                spans.append((child.start_byte, child.end_byte, True))
                name_end = child.start_byte + len(assign.name)
                words.append(self.lexer.word(child.start_byte, name_end))
                continue
            if index and children[index - 1].end_byte == child.start_byte:
                continue  # the rest of a word that the parser tore
            end = child.end_byte
            for rest in children[index + 1 :]:
                if rest.start_byte != end:
                    break
                end = rest.end_byte
            word = self.lexer.word(child.start_byte, end, assignment=child.type == "variable_assignment")
            words.append(word)
            spans.append((word.start, word.end, True))
        self._separate(spans)
        start, end = node.start_byte, node.end_byte
        declared = Simple(words=tuple(words), assigns=(), redirects=(), start=start, end=end)
        if not assigns:
            return declared
        filled = Simple(words=(), assigns=tuple(assigns), redirects=(), start=start, end=end)
        return Group(body=(declared, filled))

    def assignment(self, node: Node) -> Statement:
        """Assignments without a command."""
        if node.type == "variable_assignments":
            for left, right in itertools.pairwise(node.children):
                self._blank(left.end_byte, right.start_byte)
            assigns = tuple(self._assign(child) for child in node.children)
        else:
            assigns = (self._assign(node),)
        return Simple(words=(), assigns=assigns, redirects=(), start=node.start_byte, end=node.end_byte)

    def _blank(self, start: int, end: int) -> None:
        if not _BLANKS.fullmatch(self.source, start, end):
            raise Misparse("bytes in a command that belong to no word")

    # -- redirections

    def _redirect_items(self, node: Node) -> list[_Item]:
        """One redirection, and the words that the parser wrongly made further targets of it."""
        _, rest = self._descriptor(node)
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
        found = [_Item("redirect", node.start_byte, end, node)]
        found.extend(_Item("word", child.start_byte, child.end_byte) for child in rest[1 if closing else 2 :])
        return found

    def _redirect(self, item: _Item) -> Redirect:
        if item.node is None:
            raise Misparse("redirection that is not modelled")
        fd, rest = self._descriptor(item.node)
        fd = item.descriptor if item.descriptor is not None else fd
        operator = rest[0].type
        if operator.endswith("-"):
            if item.end != rest[0].end_byte:
                raise Misparse("redirection that is not modelled")
            return Redirect(op=operator[:-1], fd=fd, target=None, start=item.start, end=item.end)
        position = rest[0].end_byte
        if position < rest[1].start_byte:
            self._blank(position, rest[1].start_byte)
        target = self.lexer.word(rest[1].start_byte, item.end)
        name = "<<<" if item.node.type == "herestring_redirect" else operator
        return Redirect(op=name, fd=fd, target=target, start=item.start, end=item.end)

    def _descriptor(self, node: Node) -> tuple[int | None, list[Node]]:
        children = node.children
        if children[0].type != "file_descriptor":
            return None, children
        text = self._text(children[0])
        if not (text.isascii() and text.isdigit()) or len(text) > 4 or children[1].start_byte != children[0].end_byte:
            raise Misparse("odd file descriptor")
        return int(text), children[1:]

    def _heredoc(self, node: Node) -> tuple[list[Redirect], list[Word], Node | None]:
        """A here document, words and redirections after its operator, and the command that follows on the line."""
        fd, rest = self._descriptor(node)
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
                items = self._redirect_items(child)
                one = self._redirect(items[0])
                redirects.append(one)
                extra = [self.lexer.word(item.start, item.end) for item in items[1:]]
                words.extend(extra)
                spans += [(one.start, one.end, False), *((w.start, w.end, True) for w in extra)]
            elif kind in ("&&", "||") and rest[index + 1].type in _STATEMENTS:
                follow = child
                line_end = rest[index + 1].end_byte
                self._gap(child.end_byte, rest[index + 1].start_byte)
                spans.append((child.start_byte, line_end, False))
                index += 1
            elif kind == "pipeline":
                follow = child
                spans.append((child.start_byte, child.end_byte, False))
            elif child.is_named and kind not in _REDIRECTS and kind not in _STATEMENTS:
                word = self.lexer.word(child.start_byte, child.end_byte)
                words.append(word)
                spans.append((word.start, word.end, True))
            else:
                raise Misparse("here document that is not modelled")
            index += 1
        self._separate(spans)
        span = heredoc_span(self.source, start.start_byte, start.end_byte, line_end, strip=rest[0].type == "<<-")
        if span.end != rest[-1].end_byte or rest[-1].type != "heredoc_end" or body_node is None:
            raise Misparse("here document whose end is not clear")
        body = self.lexer.heredoc(span.body_start, span.body_end, literal=span.literal)
        if span.strip_tabs:
            body = without_tabs(body)
        first = Redirect(op="<<", fd=fd, target=body, start=node.start_byte, end=start.end_byte)
        return [first, *redirects], words, follow

    def _follow(self, first: Statement, node: Node) -> Statement:
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
            return Pipeline(stages=(first, self.statement(stages[0])))
        right = node.next_named_sibling
        if right is None:
            raise Misparse("here document that is not modelled")
        return AndOr(first=first, rest=((_operator(node), self.statement(right)),))

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
            self._cover(parts, current)
            if parts[2].type == "list":
                raise Misparse("list that nests to the right")
            last = self._attach(parts[2], redirects) if redirects else self.statement(parts[2])
            redirects = []
            rest.append((_operator(parts[1]), last))
            current = parts[0]
        return AndOr(first=self.statement(current), rest=tuple(reversed(rest)))

    def pipeline(self, node: Node) -> Statement:
        """`a | b`."""
        return self._pipeline(node, [])

    def _pipeline(self, node: Node, redirects: list[Node]) -> Statement:
        self._cover(node.children, node)
        stages: list[Statement] = []
        nodes = [child for child in node.children if child.type not in ("|", "|&", "comment")]
        bars = [child for child in node.children if child.type in ("|", "|&")]
        if len(bars) != len(nodes) - 1:
            raise Misparse("pipeline that is not modelled")
        stages.extend(self.statement(stage) for stage in nodes[:-1])
        stages.append(self._attach(nodes[-1], redirects) if redirects else self.statement(nodes[-1]))
        return Pipeline(stages=tuple(stages))

    def negated(self, node: Node) -> Statement:
        """`! a`."""
        return self._negated(node, [])

    def _negated(self, node: Node, redirects: list[Node]) -> Statement:
        children = node.children
        if len(children) != 2:
            raise Misparse("negation that is not modelled")
        self._cover(children, node)
        return Negated(body=self._attach(children[1], redirects) if redirects else self.statement(children[1]))

    def _cover(self, parts: list[Node], node: Node) -> None:
        """Every byte between the parts is blank."""
        position = node.start_byte
        for part in parts:
            self._gap(position, part.start_byte)
            if part.type == "comment":
                self._comment(part)
            position = part.end_byte
        self._gap(position, node.end_byte)

    def _spaced(self, parts: list[Node]) -> None:
        for left, right in itertools.pairwise(parts):
            self._gap(left.end_byte, right.start_byte)

    # -- compound commands

    def subshell(self, node: Node) -> Statement:
        """`( … )`."""
        return Group(body=self._between(node, "(", ")"), subshell=True)

    def compound(self, node: Node) -> Statement:
        """`{ … }` or `(( … ))`."""
        first = node.children[0]
        if self.source.startswith("((", first.start_byte):
            if ";" in self.source[node.start_byte : node.end_byte]:
                raise Misparse("arithmetic that is not modelled")
            names, assigns = arithmetic_names(self.source[node.start_byte + 2 : node.end_byte - 2])
            if not self.source.endswith("))", node.start_byte, node.end_byte):
                raise Misparse("arithmetic that is not modelled")
            return Arithmetic(names=names, assigns=assigns)
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
        branches = [
            (self.block(head, first.end_byte, then.start_byte), self.block(_before(body, stop), then.end_byte, stop))
        ]
        otherwise: Block | None = None
        for tail, following in zip(tails, [*tails[1:], last], strict=False):
            self._gap(tail.end_byte, following.start_byte)
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
        return Loop(condition=condition, body=self._between(body, "do", "done"))

    def for_(self, node: Node) -> Statement:
        """`for name in words` and `select`."""
        children = node.children
        body = children[-1]
        name = node.child_by_field_name("variable")
        if name is None or not _NAME.fullmatch(self._text(name)):
            raise Misparse("loop that is not modelled")
        self._cover(children, node)
        words: list[Word] = []
        listed = False
        for child in children[2:-1]:
            if child.type == "in":
                listed = True
            elif child.is_named:
                words.append(self.lexer.word(child.start_byte, child.end_byte))
            elif child.type not in (";", "\n"):
                raise Misparse("loop that is not modelled")
        self._separate([(word.start, word.end, True) for word in words])
        if body.type == "do_group":
            block = self._between(body, "do", "done")
        elif body.type == "compound_statement":
            block = self._between(body, "{", "}")
        else:
            raise Misparse("loop that is not modelled")
        select = children[0].type == "select"
        return For(name=self._text(name), words=tuple(words) if listed else None, body=block, select=select)

    def c_for(self, node: Node) -> Statement:
        """`for (( … ))`."""
        body = node.children[-1]
        if body.type != "do_group":
            raise Misparse("loop that is not modelled")
        match = re.fullmatch(r"for[ \t]*\(\((.*)\)\)[ \t\n]*;?[ \t\n]*", self.source[node.start_byte : body.start_byte])
        if match is None:
            raise Misparse("loop that is not modelled")
        names, assigns = arithmetic_names(match[1])
        return Loop(condition=(), body=self._between(body, "do", "done"), names=names, assigns=assigns)

    def case(self, node: Node) -> Statement:
        """`case word in …`."""
        children = node.children
        self._cover(children, node)
        value = node.child_by_field_name("value")
        if value is None:
            raise Misparse("case that is not modelled")
        items: list[tuple[tuple[Word, ...], Block]] = []
        for child in children:
            if child.type == "case_item":
                items.append(self._case_item(child))
            elif child.is_named and child != value and child.type != "comment":
                raise Misparse("case that is not modelled")
        return Case(word=self.lexer.word(value.start_byte, value.end_byte), items=tuple(items))

    def _case_item(self, node: Node) -> tuple[tuple[Word, ...], Block]:
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
        end = node.end_byte
        if body and body[-1].type in (";;", ";&", ";;&"):
            end = body[-1].start_byte
            body = body[:-1]
        self._spaced(children[: close + 1])
        return tuple(patterns), self.block(body, children[close].end_byte, end)

    def function(self, node: Node) -> Statement:
        """`name() body` and `function name body`."""
        name = node.child_by_field_name("name")
        body = node.child_by_field_name("body")
        if name is None or body is None or any(child.type in _REDIRECTS for child in node.children):
            raise Misparse("function that is not modelled")
        word = self.lexer.word(name.start_byte, name.end_byte)
        if word.plain is None:
            raise Misparse("function that is not modelled")
        self._cover(node.children, node)
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

    def _text(self, node: Node) -> str:
        return self.source[node.start_byte : node.end_byte]


def _operator(node: Node) -> Literal["&&", "||"]:
    return "&&" if node.type == "&&" else "||"


def _item_start(item: _Item) -> tuple[int, int]:
    return (item.start, -item.end)


def _start(item: Word | Redirect) -> int:
    return item.start


def _before(nodes: list[Node], stop: int) -> list[Node]:
    return [node for node in nodes if node.start_byte < stop]


def _is_quoted(word: Word) -> bool:
    return any(getattr(part, "quoted", False) for part in word.parts)


_STATEMENTS: Final = {
    "command": _Builder.simple,
    "redirected_statement": _Builder.redirected,
    "list": _Builder.list_,
    "pipeline": _Builder.pipeline,
    "negated_command": _Builder.negated,
    "subshell": _Builder.subshell,
    "compound_statement": _Builder.compound,
    "if_statement": _Builder.if_,
    "while_statement": _Builder.while_,
    "for_statement": _Builder.for_,
    "c_style_for_statement": _Builder.c_for,
    "case_statement": _Builder.case,
    "function_definition": _Builder.function,
    "variable_assignment": _Builder.assignment,
    "variable_assignments": _Builder.assignment,
    "declaration_command": _Builder.declaration,
    "unset_command": _Builder.declaration,
    "test_command": _Builder.test,
}
