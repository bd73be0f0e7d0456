"""sqlite3, duckdb, psql, mysql: their own commands between the SQL, where it comes from, and what dumps take out.

Not concerned with what the SQL does (`_sql`), nor with clients that are only asked something (`_queries`).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._makes import below, make
from guardrail.effects.commands._sql import Client, sql_given
from guardrail.effects.commands._sql_words import MYSQL
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import SOMETHING, TOP, Field, Stream, merge
from guardrail.model import Resource
from guardrail.patterns import lazy

_DOT_QUIET: Final = frozenset(
    "bail binary changes check databases dbconfig dbinfo echo eqp exit expert explain filectrl "
    "headers header help indexes indices imposter lint limit mode nonce nullvalue parameter print progress prompt quit "
    "scanstats schema separator sha3sum show stats tables table timeout timer version "
    "vfsinfo vfslist vfsname width dump connection crlf crnl multiline singleline rows columns maxrows maxwidth "
    "highlight keyword constant large_number_rendering thousand_sep decimal_sep utf8 testctrl unmodule".split()
)

_META: Final = lazy(r"\\(?:'(?:[^'\\]|\\.){0,500}+'|[^'\\]|')*+")
"""One command of psql; the next one may stand behind it."""

_COPY: Final = lazy(r"\b(from|to)\s+(program\s+)?(?:'((?:[^']|'')*)'|(\S+))", re.IGNORECASE)


def _words_of(line: str) -> list[str]:
    """The words of a client's own command."""
    return [a or b or c for a, b, c in re.findall(r"\"([^\"]*)\"|'([^']*)'|(\S+)", line)]


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
        if self.dialect is MYSQL:
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


# -- dumps


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


FAMILIES: Final[Mapping[str, Family]] = {"dump": dump, "lite": lite, "server": server}
"""What `code` of a spec may say, for this module."""
