"""Simple commands: words, assignments and redirections put in order, and words that the parser tore joined again.

Not concerned with what stands around a command.
"""

from __future__ import annotations

import itertools
import re
from typing import Final

from guardrail.parse._arithmetic import arithmetic_names
from guardrail.parse._braced import SUBSCRIPT, Subscript
from guardrail.parse._misparse import EndOfLine, Misparse
from guardrail.parse._redirects import Item, Redirections
from guardrail.parse._tree import BLANKS, NAME, REDIRECTS, Node
from guardrail.parse.ir import Assign, Group, Redirect, Simple, Statement, Word
from guardrail.patterns import lazy

RESERVED: Final = frozenset(
    "{ } coproc then do done fi esac elif else if while until for case select function ! [[ ]]".split()
)
"""Words that are syntax where a command's name is expected."""

_ASSIGNING: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_KEYED: Final = lazy(r"\[([A-Za-z0-9_./-]+|'[^'\"$`\\]*'|\"[^'\"$`\\]*\")\]=")


class SimpleCommands(Redirections):
    """Simple commands, assignments and declarations of one syntax tree."""

    __slots__ = ()

    def simple(self, node: Node) -> Statement:
        """A command without redirections above it."""
        return self._simple(node, [])

    def _simple(self, node: Node | None, redirects: list[Node]) -> Statement:
        items: list[Item] = []
        documents: list[Redirect] = []
        follow: Node | None = None
        for child in (*(node.children if node is not None else ()), *redirects):
            kind = child.type
            if kind == "heredoc_redirect":
                found, extra, follow = self.heredoc(child)
                documents.extend(found)
                items.append(Item("document", child.start_byte, child.end_byte))
                items.extend(Item("word", word.start, word.end, inside=True) for word in extra)
            elif kind in REDIRECTS:
                items.extend(self.redirect_items(child))
            elif kind in ("subshell", "comment"):
                raise Misparse(f"{kind} inside a command")
            else:
                what = "assign" if kind == "variable_assignment" else "word"
                items.append(Item(what, child.start_byte, child.end_byte, child))
        if len(items) > 1:
            items = self._mended(items)
        return self._assemble(items, documents, follow)

    def _assemble(self, items: list[Item], documents: list[Redirect], follow: Node | None) -> Statement:
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
                assigns.append(self.assign(item.node, item.end))
            elif item.kind == "redirect" and item.node is not None:
                redirects.append(self.redirect(item))
            elif item.kind == "newline":
                # The parser takes assignments on one line for the environment of the command on the next.
                before = Simple(words=(), assigns=tuple(assigns), redirects=(), start=items[0].start, end=item.start)
                assigns = []
        if words and words[0].plain in RESERVED and not _is_quoted(words[0]):
            raise Misparse("reserved word as a command name")
        if words and _ASSIGNING.match(words[0].plain or "") and not _is_quoted(words[0]):
            raise Misparse("assignment that goes on in the next line")
        if words and any(one.index is not None for one in assigns):
            raise Misparse("assignment to an element before a command")
        simple = Simple(
            words=tuple(words),
            assigns=tuple(assigns),
            redirects=tuple(sorted(redirects, key=_start)),
            start=items[0].start,
            end=max(item.end for item in items),
        )
        whole = simple if follow is None else self.follow(simple, follow)
        if before is None:
            return whole
        self.torn.append(Group(body=(before, whole)))
        return self.torn[-1]

    def _mended(self, items: list[Item]) -> list[Item]:
        """The parts of a command in order: torn words joined, words left out put back, all else checked."""
        items.sort(key=_item_start)
        out = [items[0]]
        for item in items[1:]:
            last = out[-1]
            gap = self.source[last.end : item.start]
            if gap == "" and item.kind == "redirect" and last.kind == "word" and self.is_descriptor(last, item):
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
            elif gap == "" or BLANKS.fullmatch(gap):
                out.append(item)
            elif all(other.kind == "assign" for other in out) and re.fullmatch(r"[ \t]*+;?[ \t]*+\n[ \t\n]*+", gap):
                out += [Item("newline", last.end, last.end), item]
            else:
                found = self.left_out(last.end, item.start)
                if found and found[-1].end == item.start:
                    if item.kind != "word":
                        raise Misparse("bytes in a command that belong to no word")
                    item.start = found.pop().start
                out += [*found, item]
        return out

    def left_out(self, start: int, end: int) -> list[Item]:
        """Words that the parser skipped, such as a lone dash before a here document."""
        found: list[Item] = []
        i = start
        while i < end:
            blank = BLANKS.match(self.source, i, end)
            if self.source[blank.end() if blank is not None else i] == "\n":
                raise EndOfLine("bytes in a command that belong to no word", blank.end() if blank is not None else i)
            if blank is None:
                raise Misparse("bytes in a command that belong to no word")
            i = blank.end()
            if i < end:
                _, stop = self.lexer.scan(i, end)
                if stop == i or self.source[i] == "#":
                    raise Misparse("bytes in a command that belong to no word")
                found.append(Item("word", i, stop))
                i = stop
        return found

    def assign(self, node: Node, end: int | None = None, *, declared: bool = False) -> Assign:
        """`name=value`, `name[subscript]=value` or `name=(…)`."""
        end = node.end_byte if end is None else end
        children = node.children
        if len(children) < 2:
            raise Misparse("assignment that is not modelled")
        name, index = self._assigned(children[0])
        operator = children[1]
        if operator.type not in ("=", "+=") or operator.start_byte != children[0].end_byte:
            raise Misparse("assignment that is not modelled")
        array = None
        start = operator.end_byte
        if len(children) == 3 and children[2].type == "array":
            if children[2].start_byte != start or end != node.end_byte or index.text:
                raise Misparse("assignment that is not modelled")
            array = self._array(children[2])
            value = Word(parts=(), start=start, end=node.end_byte)
        elif start == end:
            value = Word(parts=(), start=start, end=start, plain="")
        else:
            value = self.lexer.word(start, end, assignment=True)
        append = operator.type == "+="
        return Assign(
            name=name,
            value=value,
            append=append,
            index=index.text or None,
            names=index.names,
            parts=index.parts,
            array=array,
            declared=declared,
        )

    def _assigned(self, node: Node) -> tuple[str, Subscript]:
        """Name and subscript of what is assigned; no text if there is no subscript."""
        text = self.text(node)
        if node.type == "variable_name" and NAME.fullmatch(text):
            return text, Subscript("", (), ())
        name, bracket, index = text.partition("[")
        if node.type != "subscript" or not bracket or not index.endswith("]") or not NAME.fullmatch(name):
            raise Misparse("assignment that is not modelled")
        index = index[:-1]
        if SUBSCRIPT.fullmatch(index) and index not in ("@", "*"):
            return name, Subscript(index, (), () if index[:1] in "'\"" else arithmetic_names(index)[0])
        found = self.lexer.subscript(node.start_byte + len(name) + 1, node.end_byte)
        if found is None or found[1] != node.end_byte - 1:
            raise Misparse("computed subscript")
        return name, found[0]

    def _array(self, node: Node) -> tuple[tuple[str | None, Word], ...]:
        words: list[tuple[str | None, Word]] = []
        position = node.start_byte + 1
        for child in node.children[1:-1]:
            if child.type == "comment":
                raise Misparse("comment inside an array")
            if words and child.start_byte == position:
                raise Misparse("words that are not separated")
            self.gap(position, child.start_byte)
            words.append(self._element(child.start_byte, child.end_byte))
            position = child.end_byte
        self.gap(position, node.end_byte - 1)
        return tuple(words)

    def _element(self, start: int, end: int) -> tuple[str | None, Word]:
        """`word` or `[subscript]=word`."""
        match = _KEYED.match(self.source, start, end)
        if match is not None:
            stop = match.end()
            empty = Word(parts=(), start=stop, end=stop, plain="")
            return match[1], empty if stop == end else self.lexer.word(stop, end, assignment=True)
        word = self.lexer.word(start, end)
        if word.plain is None and self.source[start] == "[" and "]=" in self.source[start:end]:
            raise Misparse("computed subscript")
        return None, word

    def declaration(self, node: Node) -> Statement:
        """`export`, `declare`, `local`, `readonly`, `typeset`, `unset`: a command whose words may be assignments."""
        words: list[Word] = []
        assigns: list[Assign] = []
        spans: list[tuple[int, int, bool]] = []
        children = node.children
        for index, child in enumerate(children):
            if child.type == "variable_assignment" and any(c.type == "array" for c in child.children):
                assign = self.assign(child, declared=True)
                assigns.append(assign)
                spans.append((child.start_byte, child.end_byte, True))
                name_end = child.start_byte + len(assign.name)
                words.append(self.lexer.word(child.start_byte, name_end))
                continue
            if index and children[index - 1].end_byte == child.start_byte:
                continue  # the rest of a word that the parser tore
            end = child.end_byte
            following = index + 1
            while following < len(children) and children[following].start_byte == end:
                end = children[following].end_byte
                following += 1
            word = self.lexer.word(child.start_byte, end, assignment=child.type == "variable_assignment")
            words.append(word)
            spans.append((word.start, word.end, True))
        self.separate(spans)
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
                self.blank(left.end_byte, right.start_byte)
            assigns = tuple(self.assign(child) for child in node.children)
        else:
            assigns = (self.assign(node),)
        return Simple(words=(), assigns=assigns, redirects=(), start=node.start_byte, end=node.end_byte)


def _item_start(item: Item) -> tuple[int, int]:
    return (item.start, -item.end)


def _start(item: Word | Redirect) -> int:
    return item.start


def _is_quoted(word: Word) -> bool:
    return any(getattr(part, "quoted", False) for part in word.parts)
