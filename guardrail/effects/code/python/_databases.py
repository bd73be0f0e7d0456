"""Databases in files and elsewhere: what is known to read them changes nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from guardrail.effects.code.python._carried import content
from guardrail.effects.code.python._core import remote, single
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._services import asked
from guardrail.effects.code.python._system import argument_of
from guardrail.effects.code.python._values import NONE, Args, Text, Thing, Unknown, Value, path_texts
from guardrail.effects.domain._values import merge
from guardrail.patterns import lazy

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine


_READING = lazy(
    r"\s*(?:select|pragma\s+(?:table_info|database_list|index_list)|explain|values|show|describe|begin|commit|rollback"
    r"|with\b(?!.*\b(?:insert|update|delete|replace)\b))\b",
    re.IGNORECASE | re.DOTALL,
)


@handles("sqlite3.connect", "sqlite3.Connection", "sqlite3.dbapi2.connect", "aiosqlite.connect")
def connect_database(machine: Machine, args: Args) -> Value:
    """A database in a file, or in memory."""
    value = argument_of(args, 0, "database")
    exact = single(value)
    for extra in args.named.values():
        machine.account(extra)
    if exact == ":memory:":
        machine.account(value)
        return Thing("<sqlite>")
    uri = args.named.get("uri")
    if uri is not None and exact is not None and exact.startswith("file:"):
        machine.account(value)
        value = Text((exact[5:].partition("?")[0],))
    machine.each("read", machine.places(value), attrs={"reveals": "some"})
    return Thing("<sqlite>", {"<db>": value})


@handles("<sqlite>.execute", "<sqlite>.executemany", "<sqlite>.executescript")
def execute(machine: Machine, args: Args) -> Value:
    """SQL text: what is not known to read may write the file."""
    owner, statement = args.pos[0], argument_of(args, 1)
    if isinstance(statement, Thing):
        statement = statement.facts.get("<text>", Unknown())
    machine.account(statement)
    for value in args.pos[2:]:
        machine.account(value)
    database = owner.facts.get("<db>") if isinstance(owner, Thing) else None
    text = single(statement)
    found = machine.places(database) if database is not None else ()
    script = text is not None and ";" in text.rstrip().rstrip(";")
    if text is None or script or not _READING.match(text):
        machine.put("write", found, content(args.after(2)))
        if database is not None:
            names = path_texts(database)
            beside = Text(tuple(name + end for name in names[:2] for end in ("-journal", "-wal", "-shm")))
            machine.put("write", machine.places(beside), ())
        if text is not None and "'" in text and re.search(r"(?:attach|vacuum\s+into)", text, re.IGNORECASE):
            for word in re.findall(r"'([^']*)'", text):
                machine.put("write", machine.places(Text((word,))), found)
        if text is not None and "?" in text and re.search(r"(?:attach|vacuum\s+into)", text, re.IGNORECASE):
            for value in args.pos[2:]:
                for item in machine.items_of(value)[0]:
                    machine.put("write", machine.places(item), found)
    result = Thing("<sqlite>", dict(owner.facts) if isinstance(owner, Thing) else {})
    given = content(args.after(2))
    if isinstance(owner, Thing) and given:
        owner.sources = merge(owner.sources, given)
    result.sources = merge(tuple(found), owner.sources)
    return result


@handles("<sqlite>.connect", "<sqlite>.begin", "<sqlite>.cursor", "<sqlite>.__enter__")
def cursor(_machine: Machine, args: Args) -> Value:
    """The same database."""
    return args.pos[0]


@handles(
    "<sqlite>.scalar",
    "<sqlite>.scalars",
    "<sqlite>.mappings",
    "<sqlite>.all",
    "<sqlite>.first",
    "<sqlite>.fetchall",
    "<sqlite>.fetchone",
    "<sqlite>.fetchmany",
    "<sqlite>.iterdump",
    "<sqlite>.serialize",
    "<sqlite>.blobopen",
)
def fetch(machine: Machine, args: Args) -> Value:
    """Rows, or all that is in the file."""
    owner = args.pos[0]
    database = owner.facts.get("<db>") if isinstance(owner, Thing) else None
    whole = machine.places(database) if database is not None else ()
    return Unknown(merge(owner.sources, whole))


@handles(
    "<sqlite>.commit", "<sqlite>.close", "<sqlite>.rollback", "<sqlite>.create_function", "<sqlite>.set_trace_callback"
)
def end(machine: Machine, args: Args) -> Value:
    """Nothing more than what was executed."""
    for value in args.pos[1:]:
        machine.escape(value)
    return NONE


@handles("<sqlite>.backup")
def backup(machine: Machine, args: Args) -> Value:
    """One database into another."""
    owner, target = args.pos[0], argument_of(args, 1)
    source = owner.facts.get("<db>") if isinstance(owner, Thing) else None
    into = target.facts.get("<db>") if isinstance(target, Thing) else None
    if source is not None and into is not None:
        machine.put("write", machine.places(into), machine.places(source))
    return NONE


_CHANGING = lazy(
    r"\s*(insert|update|delete|drop|alter|truncate|create|replace|merge|copy|grant|revoke)\b"
    r"(?:\s+(?:into|from|table|or\s+\w+|if\s+exists))*\s+[\"'`]?([\w.]+)?", re.IGNORECASE,
)  # fmt: skip


@handles("sqlalchemy.create_engine", "psycopg.connect", "psycopg2.connect", "pymysql.connect", "MySQLdb.connect",
         "mysql.connector.connect", "sqlalchemy.text")  # fmt: skip
def engine(machine: Machine, args: Args) -> Value:
    """A database elsewhere, or in a file."""
    value = args.get(0)
    for item in args.all():
        machine.account(item)
    asked(machine, args)
    exact = single(value)
    if exact is not None and exact.startswith("sqlite:///"):
        return Thing("<sqlite>", {"<db>": Text((exact[len("sqlite:///") :] or ":memory:",))})
    return Thing("sql", {"<text>": value} if value is not None else {})


_FILES: Final = lazy(
    r"\blo_import\b|\bpg_read_|\bcopy\b|\bload_file\b|\bload\s+data\b|\binto\s+outfile\b", re.IGNORECASE
)
"""What in SQL has the server read or write a file."""


@handles("sql.execute", "sql.executemany", "sql.execute_batch", "sql.run")
def execute_elsewhere(machine: Machine, args: Args) -> Value:
    """SQL text for a database elsewhere."""
    statement = argument_of(args, 1)
    if isinstance(statement, Thing):
        statement = statement.facts.get("<text>", Unknown())
    machine.account(statement)
    text = single(statement)
    if text is not None and _FILES.search(text):
        for word in re.findall(r"'([^']*)'", text):
            machine.mention_text(word)  # a server on this machine has the same files
    if text is None:
        machine.emit("write", remote("sql:*"), may=True)
    elif (match := _CHANGING.match(text)) is not None:
        machine.put("write", (remote(f"sql:{match[2] or '*'}"),), content(args.after(2)))
    elif content(args.after(1)) and not machine.trusted:
        machine.put("write", (remote("sql:*"),), content(args.after(1)))
    return args.pos[0]


@handles("sql.cursor", "sql.connect", "sql.begin", "sql.session", "sql.commit", "sql.close")
def same_engine(_machine: Machine, args: Args) -> Value:
    """The same database."""
    return args.pos[0]
