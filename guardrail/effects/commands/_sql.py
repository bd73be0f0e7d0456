"""What SQL text reads, writes and runs, whichever client is given it.

Not concerned with rows and tables: a database is one thing, a file or an object behind a server.
Nor with the commands that clients have beside SQL, nor with their options: `_databases` and `_queries`.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Final

from guardrail.effects.code._scripts import note_run
from guardrail.effects.commands._given import given_text as text_in
from guardrail.effects.commands._makes import below
from guardrail.effects.commands._sql_words import (
    CHANGES,
    CODE,
    DIALECTS,
    DUCK,
    FILES,
    LITE,
    LOOKS,
    MYSQL,
    POSTGRES,
    REMOVES,
    UNSURE,
    is_content,
    is_of_users,
    unquoted,
)
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import Code
from guardrail.effects.domain._values import TOP, Field, Stream, merge
from guardrail.model import Resource

MAX_FILES: Final = 4
"""Most files of commands that are followed one from within another."""

MAX_SQL: Final = 64 * 1024
"""Longest SQL text that is looked into, in characters."""


class Client(abc.ABC):
    """One run of a database client.

    Args:
        call: the command.
        database: the file or object it works on.
        server: paths in SQL are the server's, which may be this machine or another.
    """

    __slots__ = ("call", "database", "dialect", "ends", "files", "out", "seen", "server", "targets")

    def __init__(self, call: Call, database: Resource, *, server: bool) -> None:
        self.call = call
        self.database = database
        self.server = server
        self.out: tuple[Resource, ...] = ()
        self.seen: set[str] = set()
        self.ends: tuple[str, ...] = (";",)
        self.dialect = DIALECTS.get(call.name, MYSQL if server else LITE)
        self.files: list[str | None] = []  # which files of commands are being run, each within the one before
        self.targets: dict[str, int] = {}  # where output went -> how many sources it had until then

    # -- effects

    def look(self) -> None:
        """The content of the database may come out."""
        if "look" not in self.seen:
            self.seen.add("look")
            self.call.emit("read", self.database, attrs={"reveals": "some"})
        self.out = merge(self.out, (self.database,))

    def change(self, sources: Sequence[Resource] = ()) -> None:
        """The database is another one afterwards.

        Args:
            sources: whose content goes into it.
        """
        self.call.put("write", self.database, sources)

    def remove(self) -> None:
        """Something in it goes."""
        self.call.emit("api_delete" if self.server else "write", self.database)

    def to_file(self, name: str) -> None:
        """The content of the database goes into a file.

        Args:
            name: the file, as the client or the SQL names it.
        """
        self.look()
        self.call.put("write", self.call.place(Field(text=name)), (self.database, *self.out))

    def from_file(self, name: str) -> None:
        """A file goes into the database, or into an answer.

        Args:
            name: the file, as the client or the SQL names it.
        """
        read = self.call.read(Field(text=name))
        self.out = merge(self.out, read)
        self.change(read)

    def piped(self, text: str) -> None:
        """The answer goes to a shell text, or a shell text is run.

        Args:
            text: what the shell is given.
        """
        call = self.call
        with call.perhaps():
            call.shell.run_text(text, call.state.copy(), Stream(sources=(self.database, *self.out), connected=True))

    def redirect(self, name: str) -> None:
        """What follows is written to a file or given to a program.

        Args:
            name: a file, `|` and a shell text, or what means standard output again.
        """
        if name in ("", "stdout", "off"):
            return
        self.targets[name] = len(self.out)
        if name.startswith("|"):
            self.piped(name[1:])
        else:
            self.to_file(name)

    def finish(self) -> None:
        """What came out after the output was sent elsewhere is there."""
        for name, before in self.targets.items():
            if len(self.out) > before and name.startswith("|"):
                self.piped(name[1:])
            elif len(self.out) > before:
                self.call.put("write", self.call.place(Field(text=name)), self.out)

    def include(self, field: Field) -> None:
        """A file of SQL and commands is run.

        Args:
            field: the file; `-` is the input.
        """
        call = self.call
        place = call.place(field)
        # What is no statement is shown in the message that says so.
        call.shell.divert(call.read(field, reveals="some"))
        if field.text in ("-", "/dev/stdin"):
            given = sql_given(call, self)
            self.script(given.text if given is not None and given.known else TOP)
            return
        text = text_in(call, field) if len(self.files) < MAX_FILES else None
        if text is None:
            if place.path is not None and field.known:
                note_run(call, place)
            call.opaque("program", reason=f"{call.name} runs a script that is not known", words=(field,))
            self.change(call.origins(field))
        elif place.path not in self.files:
            self.files.append(place.path)
            self.script(text)
            self.files.pop()

    # -- SQL

    def script(self, text: str) -> None:
        """SQL, and the client's own commands between and behind it.

        Args:
            text: all of it; TOP where it is not known.
        """
        if not self._understood(text):
            return
        start = 0
        for match in self.dialect.finditer(text):
            line = match["client"]
            if line is not None:
                self.sql(text[start : match.start()])
                start = match.end()
                self.command(line.strip())
        self.sql(text[start:])

    @abc.abstractmethod
    def command(self, line: str) -> None:
        """One of the client's own commands, with its words."""

    def _understood(self, text: str) -> bool:
        """Whether the text is known, and its tokens are; says what may be the matter if not."""
        unsure = UNSURE.get(self.dialect)
        if len(text) <= MAX_SQL and TOP not in text and (unsure is None or unsure.search(text) is None):
            return True
        self.call.opaque("dynamic", resource=self.database, reason="the SQL text is not known", words=())
        self.call.mention_text(text)
        self.change()
        return False

    def sql(self, text: str) -> None:
        """The effects of SQL statements.

        Args:
            text: statements, each ended by one of `ends`.
        """
        if not text.strip() or not self._understood(text):
            return
        statement: list[tuple[str, str]] = []
        for match in self.dialect.finditer(text):
            sort = match.lastgroup if match.lastgroup != "tag" else "text"
            if sort in ("mark", "word") and text.startswith(self.ends, match.start()):
                self._statement(statement)
                statement = []
            elif sort and (statement or sort != "mark"):
                statement.append((sort, match[0]))
        self._statement(statement)

    def _statement(self, tokens: Sequence[tuple[str, str]]) -> None:
        if not tokens:
            return
        words = [text.lower() if sort == "word" else "" for sort, text in tokens]
        first = words[0]
        self._paths(tokens, words)
        self._worked_out(tokens, words)
        said = set(words)
        code = said & CODE or (first == "load" and not said & {"data", "xml", "index"} and {first})
        if first == "create" and "language" in said and not said & {"sql", "plpgsql"}:
            code = {"language"}
        if code:
            self.call.opaque("inline", reason=f"{self.call.name} runs {min(code)}", words=())
            self.call.mention_text(" ".join(unquoted(text) for sort, text in tokens if sort == "text"))
        if is_of_users(words):
            self.call.emit("set_security", at("account", "sql"), attrs={"verb": first})
        if first in REMOVES or (first == "with" and said & REMOVES) or (first == "alter" and "drop" in said):
            self.remove()
            self.look()
        elif (
            first in CHANGES
            or (first == "with" and said & {"insert", "update"})
            or (first == "pragma" and any(text == "=" for _, text in tokens))
        ):
            self.change()
        elif first in LOOKS or first in ("copy", "export"):
            self.look()
            if "into" in said and first == "select":
                self.change()
            if first == "copy" and not said.isdisjoint(("stdin", "pstdin")):
                self.change(self.call.stdin.sources)
        else:
            self._unknown(tokens, words)

    def _unknown(self, tokens: Sequence[tuple[str, str]], words: Sequence[str]) -> None:
        """A statement of which nothing is known; one that is prepared from a text is what the text says."""
        texts = [self._literal(text) for sort, text in tokens if sort == "text"]
        if words[0] == "prepare" and len(texts) == 1 and tokens[-1][0] == "text" and TOP not in texts[0]:
            self.sql(texts[0])
            return
        code: Code = "dynamic" if words[0] == "prepare" and "as" not in words else "program"
        self.call.opaque(code, reason=f"a statement `{tokens[0][1][:20]}` of {self.call.name}", words=())
        for text in texts:
            self.call.mention_text(text)
        self.change()

    def _literal(self, text: str) -> str:
        """What a text stands for; TOP if it is not written out."""
        if text.startswith("$"):
            return text.partition("$")[2].partition("$")[2].rpartition("$")[0].rpartition("$")[0]
        escaped = self.dialect is MYSQL or (self.dialect is POSTGRES and text[:1] in "eE")
        return TOP if escaped and "\\" in text else unquoted(text)

    def _is_text(self, tokens: Sequence[tuple[str, str]], index: int, word: str) -> bool:
        """A literal; what stands in double quotes is one for sqlite, if it cannot be a name of anything."""
        sort, text = tokens[index]
        if sort == "text":
            return True
        if sort != "name" or text[:1] != '"' or self.server:
            return False
        if self.dialect is DUCK and word in ("from", "join") and ("/" in text or "." in text):
            return True
        return FILES.fullmatch(word) is not None or word in ("attach", "database", "into")

    def _worked_out(self, tokens: Sequence[tuple[str, str]], words: Sequence[str]) -> None:
        """A file that is no literal, or more than one: an expression that is not followed."""
        depth = 0
        for index, word in enumerate(words):
            if tokens[index][0] == "mark":
                depth += (tokens[index][1] == "(") - (tokens[index][1] == ")")
            if not word or self._is_spelled(tokens, words, index, depth):
                continue
            self.call.opaque("dynamic", reason=f"the file of `{word}` is worked out", words=())
            for sort, text in tokens:
                if sort in ("text", "name"):
                    self.call.mention_text(unquoted(text))
            return

    def _is_spelled(self, tokens: Sequence[tuple[str, str]], words: Sequence[str], index: int, depth: int) -> bool:
        """Whether the word takes no file, or one that is written out."""
        word, first = words[index], words[0]
        at = index + 1
        ends: tuple[str, ...] = ("",)
        if FILES.fullmatch(word) and at < len(tokens) and tokens[at][1] == "(":
            at, ends = index + 2, (",", ")")
            if at < len(tokens) and tokens[at][1] == "[":
                return True  # a list of files, or of what is not written out, which is refused
        elif word in ("outfile", "dumpfile", "infile", "program"):
            ends = ("", *_ANY_END)
        elif word in ("to", "from") and first == "copy" and depth == 0:
            ends = ("", *_ANY_END)
            if at < len(words) and words[at] in ("stdin", "stdout", "program"):
                return True
        elif (word == "attach" and index == 0) or (word == "into" and first == "vacuum"):
            if self.server:
                return True
            while at < len(words) and words[at] in ("database", "if", "not", "exists"):
                at += 1
            ends = ("", "as", "(", "key")
        else:
            return True
        if at >= len(tokens):
            return word not in ("readfile", "writefile")
        spelled = self._is_text(tokens, at, word) or (word == "attach" and tokens[at][0] == "word")
        following = tokens[at + 1][1].lower() if at + 1 < len(tokens) else ""
        return spelled and (following in ends or _ANY_END[0] in ends)

    def _paths(self, tokens: Sequence[tuple[str, str]], words: Sequence[str]) -> None:
        """String literals that are files, told by the word before them; what is read first may go into the others."""
        literals: list[tuple[str, str]] = []
        last = ""
        for index, word in enumerate(words):
            if word:
                last = word
            elif self._is_text(tokens, index, last) and not is_content(tokens, index):
                # `:'x'` is a variable of the client.
                variable = index > 0 and tokens[index - 1][1] in (":", "&")
                literals.append((TOP if variable else self._literal(tokens[index][1]), last))
        if words[0] == "attach" and len(words) > 1 and not self.server:
            bare = next((text for _, text in tokens[1:] if text.lower() != "database"), "")
            literals += [(bare, "attach")] if bare[:1].isalpha() else []
        for name, before in literals:
            self._source(name, before, words)
        for name, before in literals:
            self._target(name, before, words[0])

    def _source(self, name: str, before: str, words: Sequence[str]) -> None:
        first = words[0]
        if before in ("fsdir", "lsdir", "zipfile") or (before == "database" and first == "import"):
            self.out = merge(self.out, self.call.read(Field(text=name), recursive=True))
            if "virtual" in words:
                self.call.emit("write", self.call.place(Field(text=name)), may=True)
            if first != "select":
                self.change(self.out)
        elif before in ("infile", "readfile", "load_file") or (before == "from" and first == "copy"):
            if self.server and "local" not in words:
                self.call.name_text(name)
            if before == "readfile" and first == "select":
                self.out = merge(self.out, self.call.read(Field(text=name)))
            else:
                self.from_file(name)
        elif before in ("attach", "database") and first == "attach":
            self._attached(name)
        elif self.call.name == "duckdb":
            self._of_duck(name, before, first)

    def _of_duck(self, name: str, before: str, first: str) -> None:
        """A literal of duckdb: an argument of a function that reads, a setting, or a file in the place of a table."""
        reads = before in ("read_text", "read_blob", "glob")
        if not reads and first in ("set", "pragma"):
            self.to_file(name)
        elif reads or (before not in ("to", "database") and ("/" in name or "." in name)):
            self.out = merge(self.out, self.call.read(Field(text=name, glob=name if "*" in name else None)))
            if first in CHANGES or (reads and first != "select"):
                self.change(self.out)

    def _target(self, name: str, before: str, first: str) -> None:
        if before in ("outfile", "dumpfile", "writefile") or (before == "to" and first == "copy"):
            self._written(name, far=self.server)
        elif before == "into" and first == "vacuum":
            self.to_file(name)
        elif before == "program":
            self.call.opaque("inline", reason="the server runs a program", words=())
            self.call.mention_text(name)
        elif before == "database" and first == "export":
            self.look()
            below(self.call, Field(text=name), (self.database,))

    def _written(self, name: str, *, far: bool) -> None:
        self.to_file(name)
        if far:
            self.call.name_text(name)

    def _attached(self, name: str) -> None:
        if name.startswith(":") or not name:
            return
        place = self.call.place(Field(text=name.removeprefix("file:").partition("?")[0]))
        self.call.emit("read", place, attrs={"reveals": "some"})
        self.out = merge(self.out, (place,))
        # What is done to one of the databases may be done to the other.
        self.call.emit("write", place, may=True)
        self.call.emit("copy", place, self.database, may=True)
        self.call.emit("copy", self.database, place, may=True)


_ANY_END: Final = ("*",)
"""Whatever stands behind a literal, it is a whole one."""


def sql_given(call: Call, client: Client) -> Field | None:
    """SQL that comes on standard input: known text, or a script in a file; None when that was said to be opaque.

    Args:
        call: the client.
        client: its run, whose database changes if nobody knows how.
    """
    stdin = call.stdin
    if stdin.text is not None:
        return Field(text=stdin.text, sources=stdin.sources)
    # Through a pipe another command may have changed it.
    source = stdin.sources[0] if len(stdin.sources) == 1 and stdin.flow == ("redirect",) else None
    if source is None or source.path is None:
        return Field(text=TOP, sources=stdin.sources)
    data = call.content(source)
    if data is not None:
        return Field(text=data.decode("utf-8", "replace"))
    call.script(source, authored=call.shell.emit.changed(source.path))
    client.change((source,))
    return None
