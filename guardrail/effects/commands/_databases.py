"""sqlite3, duckdb, psql, mysql: what SQL text and the clients' own commands read, write and run.

Not concerned with rows and tables: a database is one thing, a file or an object behind a server.
"""

from __future__ import annotations

import abc
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.code._scripts import note_run
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._given import given_text as text_in
from guardrail.effects.commands._makes import below, make
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import Code
from guardrail.effects.domain._values import SOMETHING, TOP, Field, Stream, merge
from guardrail.model import Resource

MAX_FILES: Final = 4
"""Most files of commands that are followed one from within another."""

MAX_SQL: Final = 64 * 1024
"""Longest SQL text that is looked into, in characters."""

_NAMES = r'(?P<name>"(?:[^"]|"")*"|`[^`]*`)'
_WORDS = r"(?P<word>[A-Za-z_][\w.]*)|(?P<mark>[^\s])"
_PLAIN = r"'(?:[^']|'')*'"
_DOLLARS = r"\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"
_COMMENTS = r"--[^\n]*|/\*.*?(?:\*/|\Z)"
_DOT = r"(?P<client>^\.[^\n]*)"
_LITE: Final = re.compile(rf"{_COMMENTS}|(?P<text>{_PLAIN})|{_NAMES}|{_DOT}|{_WORDS}", re.DOTALL | re.MULTILINE)
_DUCK: Final = re.compile(
    rf"{_COMMENTS}|(?P<text>[eE]?{_PLAIN}|{_DOLLARS})|{_NAMES}|{_DOT}|{_WORDS}", re.DOTALL | re.MULTILINE
)
_POSTGRES: Final = re.compile(
    rf"{_COMMENTS}|(?P<text>[eE]'(?:[^'\\]|\\.|'')*'|{_PLAIN}|{_DOLLARS})|{_NAMES}|(?P<client>\\[^\n]*)|{_WORDS}",
    re.DOTALL,
)
_MYSQL: Final = re.compile(
    r"--(?=[\s\x00-\x1f]|\Z)[^\n]*|\#[^\n]*|/\*(?!M?!).*?(?:\*/|\Z)|/\*M?!\d*|\*/"
    r"|(?P<text>'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\")|(?P<name>`[^`]*`)"
    r"|(?P<client>\\[!.TPdeuCR][^\n]*|^[ \t]*(?i:system|source|tee|pager|edit|delimiter)\b[^\n]*)"
    rf"|{_WORDS}",
    re.DOTALL | re.MULTILINE,
)
_UNSURE: Final[Mapping[re.Pattern[str], re.Pattern[str]]] = {
    _DUCK: re.compile(r"\b[eE]'[^']*\\|(?:\$\w*\$.*?){65}", re.DOTALL),
    _POSTGRES: re.compile(r"/\*(?:(?!\*/).)*?/\*|standard_conforming_strings|(?:\$\w*\$.*?){65}", re.DOTALL),
    _MYSQL: re.compile(r"(?i:sql_mode|named.commands)"),
}
"""What a text holds of which the tokens may be others: comments that nest, other rules for quotes, too many of them."""

_FILES: Final = re.compile(r"readfile|writefile|load_file|fsdir|lsdir|zipfile|read_\w+|parquet_\w+|sniff_csv")
"""Functions whose first argument is a file, in any of the dialects."""

_CHANGES: Final = frozenset(
    "insert update replace create alter reindex vacuum grant revoke merge load import comment upsert "
    "call rename attach restore begin".split()
)
_REMOVES: Final = frozenset(("delete", "drop", "truncate"))
_LOOKS: Final = frozenset(
    "select with explain pragma values show describe desc use set commit end rollback start savepoint release table "
    "summarize from detach begin analyze checkpoint fetch declare close pivot lock unlock help delimiter".split()
)
_CODE: Final = frozenset(
    "load_extension edit fts3_tokenizer sys_exec sys_eval pg_read_file pg_read_binary_file pg_ls_dir lo_import "
    "lo_export pg_file_write dblink dblink_exec install shell".split()
)
_DOT_QUIET: Final = frozenset(
    "bail binary changes check databases dbconfig dbinfo echo eqp exit expert explain filectrl "
    "headers header help indexes indices imposter lint limit mode nonce nullvalue parameter print progress prompt quit "
    "scanstats schema separator sha3sum show stats tables table timeout timer version "
    "vfsinfo vfslist vfsname width dump connection crlf crnl multiline singleline rows columns maxrows maxwidth "
    "highlight keyword constant large_number_rendering thousand_sep decimal_sep utf8 testctrl unmodule".split()
)


_DIALECTS: Final = {"psql": _POSTGRES, "pgcli": _POSTGRES, "duckdb": _DUCK}


def _is_of_users(words: Sequence[str]) -> bool:
    """A statement that changes who may do what in a database."""
    first, second = words[0], words[1] if len(words) > 1 else ""
    return first in ("grant", "revoke") or (
        first in ("create", "alter", "drop") and second in ("user", "role", "login")
    )


"""Clients of other dialects than those of mysql and sqlite."""


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
        self.dialect = _DIALECTS.get(call.name, _MYSQL if server else _LITE)
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
        """The database is another one afterwards."""
        self.call.put("write", self.database, sources)

    def remove(self) -> None:
        """Something in it goes."""
        self.call.emit("api_delete" if self.server else "write", self.database)

    def to_file(self, name: str) -> None:
        """The content of the database goes into a file."""
        self.look()
        self.call.put("write", self.call.place(Field(text=name)), (self.database, *self.out))

    def from_file(self, name: str) -> None:
        """A file goes into the database, or into an answer."""
        read = self.call.read(Field(text=name))
        self.out = merge(self.out, read)
        self.change(read)

    def piped(self, text: str) -> None:
        """The answer goes to a shell text, or a shell text is run."""
        call = self.call
        with call.perhaps():
            call.shell.run_text(text, call.state.copy(), Stream(sources=(self.database, *self.out), connected=True))

    def redirect(self, name: str) -> None:
        """What follows is written to a file or given to a program."""
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
        """A file of SQL and commands is run."""
        call = self.call
        place = call.place(field)
        call.read(field, reveals="none")
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
        """SQL, and the client's own commands between and behind it."""
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
        unsure = _UNSURE.get(self.dialect)
        if len(text) <= MAX_SQL and TOP not in text and (unsure is None or unsure.search(text) is None):
            return True
        self.call.opaque("dynamic", resource=self.database, reason="the SQL text is not known", words=())
        self.call.mention_text(text)
        self.change()
        return False

    def sql(self, text: str) -> None:
        """The effects of SQL statements."""
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
        code = said & _CODE or (first == "load" and not said & {"data", "xml", "index"} and {first})
        if first == "create" and "language" in said and not said & {"sql", "plpgsql"}:
            code = {"language"}
        if code:
            self.call.opaque("inline", reason=f"{self.call.name} runs {min(code)}", words=())
            self.call.mention_text(" ".join(_unquoted(text) for sort, text in tokens if sort == "text"))
        if _is_of_users(words):
            self.call.emit("set_security", at("account", "sql"), attrs={"verb": first})
        if first in _REMOVES or (first == "with" and said & _REMOVES) or (first == "alter" and "drop" in said):
            self.remove()
            self.look()
        elif (
            first in _CHANGES
            or (first == "with" and said & {"insert", "update"})
            or (first == "pragma" and any(text == "=" for _, text in tokens))
        ):
            self.change()
        elif first in _LOOKS or first in ("copy", "export"):
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
        escaped = self.dialect is _MYSQL or (self.dialect is _POSTGRES and text[:1] in "eE")
        return TOP if escaped and "\\" in text else _unquoted(text)

    def _is_text(self, tokens: Sequence[tuple[str, str]], index: int, word: str) -> bool:
        """A literal; what stands in double quotes is one for sqlite, if it cannot be a name of anything."""
        sort, text = tokens[index]
        if sort == "text":
            return True
        if sort != "name" or text[:1] != '"' or self.server:
            return False
        if self.dialect is _DUCK and word in ("from", "join") and ("/" in text or "." in text):
            return True
        return _FILES.fullmatch(word) is not None or word in ("attach", "database", "into")

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
                    self.call.mention_text(_unquoted(text))
            return

    def _is_spelled(self, tokens: Sequence[tuple[str, str]], words: Sequence[str], index: int, depth: int) -> bool:
        """Whether the word takes no file, or one that is written out."""
        word, first = words[index], words[0]
        at = index + 1
        ends: tuple[str, ...] = ("",)
        if _FILES.fullmatch(word) and at < len(tokens) and tokens[at][1] == "(":
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
            elif self._is_text(tokens, index, last) and not _is_content(tokens, index):
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
        elif self.call.name == "duckdb" and before in ("read_text", "read_blob", "glob"):
            self.out = merge(self.out, self.call.read(Field(text=name, glob=name if "*" in name else None)))
            if first != "select":
                self.change(self.out)
        elif before in ("attach", "database") and first == "attach":
            self._attached(name)
        elif self.call.name == "duckdb" and first in ("set", "pragma"):
            self.to_file(name)
        elif self.call.name == "duckdb" and before not in ("to", "database") and ("/" in name or "." in name):
            self.out = merge(self.out, self.call.read(Field(text=name, glob=name if "*" in name else None)))

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


def _is_content(tokens: Sequence[tuple[str, str]], index: int) -> bool:
    """What `writefile` writes, which stands behind the name and a comma."""
    before = [text.lower() for _, text in tokens[max(index - 4, 0) : index]]
    return len(before) == 4 and before[0] == "writefile" and before[3] == ","


def _unquoted(text: str) -> str:
    """A literal or a name without its quotes."""
    text = text.lstrip("eE") if "'" in text[:2] else text
    quote = text[:1]
    return text[1:-1].replace(quote * 2, quote) if quote in ("'", '"', "`") else text


_ANY_END: Final = ("*",)
"""Whatever stands behind a literal, it is a whole one."""


def _words_of(line: str) -> list[str]:
    """The words of a client's own command."""
    return [a or b or c for a, b, c in re.findall(r"\"([^\"]*)\"|'([^']*)'|(\S+)", line)]


def sql_given(call: Call, client: Client) -> Field | None:
    """SQL that comes on standard input: known text, or a script in a file; None when that was said to be opaque."""
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
    attrs = {"authored": True} if call.shell.emit.changed(source.path) else None
    call.shell.emit.opaque("script", source, spec=call.name, span=call.span, attrs=attrs)
    client.change((source,))
    return None


# -- sqlite3, duckdb


class Lite(Client):
    """`sqlite3` and `duckdb`: SQL between dot commands, each on a line."""

    __slots__ = ()

    def command(self, line: str) -> None:
        """A dot command, which stands in the first column of a line."""
        words = _words_of(line[1:])
        if not words:
            return
        name, options = words[0].lower(), {word.lstrip("-") for word in words[1:] if word.startswith("-")}
        rest = [
            TOP if "\\" in word else word  # an escape
            for before, word in itertools.pairwise(words)
            if word[:1] != "-" and before[-5:] != "-skip"
        ]
        if name in ("shell", "system"):
            self.piped(line[1:].split(maxsplit=1)[1] if rest else "")
        elif name == "import" and rest and rest[0].startswith("|"):
            self.piped(line.partition("|")[2].rpartition(" ")[0])
            self.change()
        elif name == "read" and rest:
            self.piped(line.partition("|")[2]) if rest[0].startswith("|") else self.include(Field(text=rest[-1]))
        elif not self._dot_file(name, options, rest) and name not in _DOT_QUIET:
            self.call.opaque("inline", reason=f".{name[:20]} of {self.call.name}", words=())
            self.call.mention_text(line)

    def _dot_file(self, name: str, options: set[str], rest: Sequence[str]) -> bool:
        """A dot command that names a file, or shows what the database holds; whether it is one."""
        last = rest[-1] if rest else ""
        if name in ("backup", "save", "clone"):
            self.to_file(last or TOP)
        elif name in ("output", "once", "log", "trace") and not options & {"e", "x", "w"}:
            self.redirect(last)
        elif name == "testcase":
            self.to_file("testcase-out.txt")
        elif name == "session" and {"changeset", "patchset"} & {word.lower() for word in rest}:
            self.to_file(last)
        elif (name == "import" and rest) or name == "restore":
            self.from_file((rest[0] if name == "import" else last) or TOP)
        elif name == "open":
            self.database = self.call.place(Field(text=last)) if last else self.database
            self.seen.clear()
            if "new" in options and last:
                self.call.emit("write", self.database)
        elif name in ("dump", "fullschema", "recover", "dbtotxt", "selftest", "session"):
            self.look()
        else:
            return False
        return True


def lite(call: Call, parsed: Parsed) -> Stream:
    """`sqlite3 FILE SQL…`, `duckdb FILE -c SQL`."""
    operands = list(parsed.operands)
    name = operands.pop(0) if operands else Field(text=":memory:")
    where = name.text.removeprefix("file:").partition("?")[0] if name.known else TOP
    memory = where in ("", ":memory:")
    place = at("sql", "memory") if memory else call.place(Field(text=where, sources=name.sources))
    client = Lite(call, place, server=False)
    texts = [*parsed.values_of("--cmd"), *parsed.values_of("--command"), *operands]
    for field in [*parsed.values_of("--init"), *parsed.values_of("--file")]:
        client.include(field)
    if parsed.has("--archive"):
        call.opaque("program", reason="archives of sqlite3")
    if not operands and not parsed.has("--command", "--file", "--version", "--help"):
        text = sql_given(call, client)
        texts.extend((text,) if text is not None else ())
    sources: tuple[Resource, ...] = ()
    for field in texts:
        sources = merge(sources, field.sources)
        client.script(field.text) if field.known else client.sql(TOP)
    client.finish()
    if sources and not parsed.has("--readonly"):
        client.change(sources)
    out = client.out if not memory else tuple(r for r in client.out if r != place)
    return Stream(sources=merge(out, sources))


# -- servers


class Server(Client):
    """`psql` and `mysql`: SQL, and commands that begin with a backslash or stand on a line."""

    __slots__ = ()

    def command(self, line: str) -> None:
        """A command behind a backslash, or a word of mysql's own."""
        if self.dialect is _MYSQL:
            self._mysql(line)
            return
        whole = line.startswith(("\\!", "\\copy"))
        for piece in (line,) if whole else _META.findall(line):
            if piece.startswith(("\\!", "\\copy")) and not whole:
                self._backslash(line[line.index(piece) :])  # it takes all the rest
                return
            self._backslash(piece)

    def _backslash(self, line: str) -> None:
        words = _words_of(line)
        name, rest = words[0], words[1:]
        if "`" in line and not name.startswith(("\\!", "\\copy")):
            for text in re.findall(r"`([^`]*)`", line):
                self.piped(text)
        # A word may be the output of a command, a variable, or written with escapes.
        rest = [TOP if any(c in word for c in "`:\\") else word for word in rest]
        if name.startswith("\\!"):
            self.piped(line[2:])
        elif name == "\\copy":
            self._copied(line)
        elif name in ("\\o", "\\out", "\\g", "\\gx", "\\w", "\\write", "\\s"):
            self.redirect(line[line.index("|") :] if "|" in line else rest[-1] if rest else "")
        elif name in ("\\i", "\\include", "\\ir", "\\include_relative"):
            self.include(Field(text=rest[0] if rest else TOP))
        elif name == "\\lo_import" and rest:
            self.from_file(rest[0])
        elif name == "\\lo_export" and len(rest) > 1:
            self.to_file(rest[1])
        elif name in ("\\e", "\\ef", "\\ev", "\\cd", "\\setenv", "\\watch", "\\gexec", "\\set", "\\prompt"):
            self.call.opaque("inline", reason=f"{name} of psql", words=[Field(text=w) for w in rest])
        elif re.fullmatch(r"\\[A-Za-z_?+;]+", name):
            self.look()
        else:
            self.call.opaque("inline", reason=f"{name[:20]} of psql", words=())
            self.call.mention_text(line)

    def _copied(self, line: str) -> None:
        match = _COPY.search(_outside(line))
        if match is None:
            self.call.opaque("program", reason="a copy that is not understood", words=())
            return
        name = match[3].replace("''", "'") if match[3] is not None else match[4]
        if match[2]:
            self.piped(name)
            self.change()
        elif name.lower() in ("stdin", "stdout", "pstdin", "pstdout"):
            self.look() if match[1].lower() == "to" else self.change(self.call.stdin.sources)
        elif match[1].lower() == "to":
            self.to_file(name)
        else:
            self.from_file(name)

    def _mysql(self, line: str) -> None:
        short = line.startswith("\\")
        name = line[:2] if short else line.split(maxsplit=1)[0].lower()
        given = line[len(name) :].strip()
        words = [name, *_words_of(given)]
        if name in ("system", "\\!"):
            self.piped(given)
        elif name in ("tee", "\\T"):
            file = words[1] if len(words) > 1 else TOP
            self.targets[file] = len(self.out)
            self.to_file(file)
        elif name in ("source", "\\."):
            self.include(Field(text=given.rstrip(";").strip() or TOP))
        elif name in ("delimiter", "\\d"):
            self.ends += (given.split()[0],) if given else ()
        elif name in ("\\u", "\\C", "\\R"):
            self.look()
        else:
            self.call.opaque("inline", reason=f"{name} of {self.call.name}", words=[Field(text=w) for w in words[1:]])
            self.change()


_META: Final = re.compile(r"\\(?:'(?:[^'\\]|\\.)*'|[^'\\]|')*")
"""One command of psql; the next one may stand behind it."""

_COPY: Final = re.compile(r"\b(from|to)\s+(program\s+)?(?:'((?:[^']|'')*)'|(\S+))", re.IGNORECASE)


def _outside(line: str) -> str:
    """A line without what stands in brackets or double quotes."""
    kept: list[str] = []
    depth = 0
    for match in re.finditer(r"'(?:[^']|'')*'|\"[^\"]*\"|[()]|[^'\"()]+|.", line):
        depth += (match[0] == "(") - (match[0] == ")")
        if depth <= 0 and match[0][0] not in '")':
            kept.append(match[0])
        elif match[0][0] in '")':
            kept.append(" x ")
    return "".join(kept)


def server(call: Call, parsed: Parsed) -> Stream:
    """`psql`, `mysql`: a database behind a server, and SQL from an option, a file or the input."""
    database = parsed.value("--dbname") or (parsed.operands[0] if parsed.operands else Field(text="*"))
    client = Server(call, at("sql", database.text.rpartition("@")[2] or "*"), server=True)
    for _, role, field in parsed.values:
        if role == "write":
            client.look()
            call.put("write", call.place(field), (client.database,))
        elif role in ("opaque", "run"):
            call.opaque("inline", reason=f"an option of {call.name}", words=(field,))
    texts = parsed.values_of("--command")
    for field in parsed.values_of("--file"):
        client.include(field)
    sources: tuple[Resource, ...] = ()
    if not texts and not parsed.has("--file", "--list", "--version", "--help"):
        text = sql_given(call, client)
        texts.extend((text,) if text is not None else ())
    for field in texts:
        sources = merge(sources, field.sources)
        client.script(field.text) if field.known else client.sql(TOP)
    client.finish()
    if sources:
        client.change(sources)
    if parsed.has("--list"):
        return SOMETHING
    return Stream(sources=client.out)


def warehouse(call: Call, parsed: Parsed) -> Stream:
    """`bq query`: SQL in words or on the input, for a database behind an API."""
    client = Server(call, at("bq", "query"), server=True)
    for field in parsed.values_of("--destination_table"):
        call.put("write", at("bq", field.text), ())
    texts = parsed.operands
    if not texts and (text := sql_given(call, client)) is not None:
        texts = [text]
    for field in texts:
        client.sql(field.text if field.known else TOP)
        if field.sources:
            client.change(field.sources)
    return Stream(sources=client.out)


_REACHES: Final = re.compile(
    r"\b(?:file|url|s3\w*|gcs|hdfs|iceberg\w*|deltalake|azure\w*|executable\w*|remote\w*|mysql|postgresql|odbc|jdbc|mongodb"
    r"|redis|sqlite|cluster\w*|input|dictionary|query|raw_query|procedure)\s*\(|\b(?:infile|outfile|copy|source|capture|stage|put|get|attach)\b"
    r"|^\s*[!\\.@]",
    re.IGNORECASE | re.MULTILINE,
)
"""SQL, or commands of a client in its place, that go beyond the database: to files, to hosts, to other databases."""


def asked(call: Call, parsed: Parsed) -> Stream:
    """`clickhouse-client -q SQL`, `trino --execute SQL`: what is asked in words; anything else is not looked into."""
    if call.args and all(field.text in ("--version", "--help", "-V", "-h") for field in call.args):
        return SOMETHING
    texts = parsed.values_of("--query") or parsed.values_of("--execute")
    odd = parsed.unknown or parsed.injected or call.stdin.connected or any(field.sources for field in call.args)
    settings = [field for field in parsed.values_of("--option") if not field.known or re.search("file|!", field.text)]
    if not texts or odd or settings or not all(f.known and not _REACHES.search(f.text) for f in texts):
        out = call.opaque("inline", reason=f"{call.name} runs commands that are not looked into")
        for field in call.args:
            call.mention_text(field.text)
        return out
    client = Server(call, at("sql", "*"), server=True)
    for field in texts:
        client.sql(field.text)
    return Stream(sources=client.out)


def etcd(call: Call, parsed: Parsed) -> Stream:
    """`etcdctl get KEY`, `put KEY VALUE`, `del KEY`: what is in the words goes to the server."""
    operands = parsed.operands
    where = at("etcd", operands[0].text if operands else "*")
    if parsed.unknown or parsed.injected or (call.stdin.connected and len(operands) == 1 and call.name[-3:] == "put"):
        call.opaque("inline", reason=f"{call.name} is told more than is looked into")
    for source in (source for field in call.args for source in field.sources):
        call.emit("copy", source, where, flow=("argument",))
    verb = call.name.rpartition(" ")[2]
    call.emit("read" if verb == "get" else "write" if verb == "put" else "api_delete", where)
    return Stream(sources=(where,)) if verb == "get" else SOMETHING


_FLUX_VALUES: Final = frozenset("--org -o --org-id --host -t --token -c --active-config --configs-path -p".split())
_FLUX_REACHES: Final = re.compile(r"\bimport\b|\bto\s*\(|\bwideTo\b|\boption\b")


def flux(call: Call, parsed: Parsed) -> Stream:
    """`influx query TEXT`: Flux that only asks; anything else is not looked into."""
    words = [field.text for field in parsed.operands]
    operands: list[str] = []
    rest = words[1:]
    while rest:
        word = rest.pop(0)
        if word in _FLUX_VALUES and rest:
            rest.pop(0)
        elif word not in ("-r", "--raw", "--skip-verify", "--hide-headers"):
            operands.append(word)
    plain = all(field.known and not field.sources for field in parsed.operands) and not call.stdin.connected
    if words[:1] in (["ping"], ["version"]) and not rest:
        return SOMETHING
    if words[:1] != ["query"] or len(operands) != 1 or not plain or _FLUX_REACHES.search(operands[0]):
        out = call.opaque("inline", reason=f"{call.name} runs commands that are not looked into")
        for field in call.args:
            call.mention_text(field.text)
        return out
    where = at("influx", "query")
    call.emit("read", where, attrs={"reveals": "some"})
    return Stream(sources=(where,))


def dump(call: Call, parsed: Parsed) -> Stream:
    """`pg_dump`, `mysqldump`, `mongodump`: the database comes out as a file, a directory or text."""
    names = parsed.operands or parsed.values_of("--dbname")
    known = call.name not in ("mongodump", "mongoexport") and names and names[0].known
    database = at("sql", names[0].text if known else "*")
    call.emit("read", database, attrs={"reveals": "content"})
    for _, role, field in parsed.values:
        if role == "uses":
            call.read(field, reveals="none")
        elif role == "below":
            below(call, field, (database,))
        elif role == "opaque":
            call.opaque("program", reason=f"an option of {call.name}", words=(field,))
        elif role == "write":
            call.put("write", call.place(field), (database,))
    kept = any(role in ("write", "below") for _, role, _ in parsed.values)
    return SOMETHING if make(call, parsed, (), (database,)) or kept else Stream(sources=(database,))


FAMILIES: Final[Mapping[str, Family]] = {
    "asked": asked,
    "dump": dump,
    "etcd": etcd,
    "flux": flux,
    "lite": lite,
    "server": server,
    "warehouse": warehouse,
}
"""What `code` of a spec may say, for this module."""
