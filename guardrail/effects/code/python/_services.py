"""Things that are open to elsewhere: sockets, logs, databases, writers on top of a file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from guardrail.effects.code.python._core import remote, single
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._system import argument_of
from guardrail.effects.code.python._values import (
    NAME,
    NONE,
    Args,
    Const,
    Function,
    Klass,
    Partial,
    Ref,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    carried,
    content,
    options,
    path_texts,
)
from guardrail.effects.code.python._web import address_of, deleted, deletes
from guardrail.effects.domain._values import TOP, merge
from guardrail.model import Resource
from guardrail.patterns import lazy

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine

_READING = lazy(
    r"\s*(?:select|pragma\s+(?:table_info|database_list|index_list)|explain|values|show|describe|begin|commit|rollback"
    r"|with\b(?!.*\b(?:insert|update|delete|replace)\b))\b",
    re.IGNORECASE | re.DOTALL,
)


# -- sockets


@handles("socket.send", "socket.sendall", "socket.sendto", "socket.sendmsg", "socket.sendfile", "socket.write",
         "http.client.request", "http.client.send", "http.client.putrequest", "ftplib.storbinary", "ftplib.storlines",
         "smtplib.sendmail", "smtplib.send_message", "any.sendall", "any.sendto", "any.sendfile", "any.storbinary",
         "any.sendmail", "any.send_message", "azure.upload_blob", "any.upload_blob", "any.putfo", "paramiko.putfo",
         "any.send_bytes", "any.post", "any.request", "any.publish")  # fmt: skip
def send(machine: Machine, args: Args) -> Value:
    """Content leaves for another machine."""
    given = args.after(1)
    if isinstance(args.pos[0], Thing) and args.pos[0].kind == "http.client" and deletes(given.get(0, "method")):
        deleted(machine, address_of(_peer(args.pos[0]), given.get(1, "url")))
    sources = content(given)
    for value in given.all():
        machine.account(value)
    machine.put("write", (remote(f"net:{_peer(args.pos[0])}"),), sources)
    return Thing("response")


def _peer(owner: Value) -> str:
    peer = owner.facts.get("peer") if isinstance(owner, Thing) else None
    return single(peer) or "*"


@handles("socket.gethostbyname", "socket.gethostbyname_ex", "socket.gethostbyaddr", "socket.getaddrinfo",
         "socket.getfqdn")  # fmt: skip
def look_up(machine: Machine, args: Args) -> Value:
    """A name is asked for: what is in it leaves with the question."""
    _asked(machine, args)
    return Text((NAME,))


def _asked(machine: Machine, args: Args) -> None:
    for value in args.all():
        machine.account(value)
    sources = content(args)
    if sources:
        machine.put("write", (remote("dns:*"),), sources)


@handles("socket.connect", "socket.bind", "socket.listen", "socket.settimeout", "socket.setsockopt", "socket.close",
         "socket.connect_ex", "socket.shutdown", "socket.setblocking", "socket.getsockname", "socket.fileno",
         "ftplib.login", "ftplib.cwd", "ftplib.quit", "smtplib.login", "smtplib.starttls", "smtplib.quit",
         "smtplib.ehlo", "paramiko.connect", "paramiko.close", "paramiko.load_system_host_keys",
         "paramiko.set_missing_host_key_policy")  # fmt: skip
def connect(machine: Machine, args: Args) -> Value:
    """Names the other side."""
    _asked(machine, args.after(1))
    return args.pos[0] if args.pos else NONE


@handles("http.server.HTTPServer", "http.server.ThreadingHTTPServer", "http.server.HTTPSServer",
         "http.server.ThreadingHTTPSServer", "http.server.test", "socketserver.TCPServer",
         "socketserver.ThreadingTCPServer", "socketserver.ForkingTCPServer")  # fmt: skip
def serve(machine: Machine, args: Args) -> Value:
    """The directory that the process is in is offered to whoever asks, unless a class of the code answers itself."""
    given = [option for value in args.all() for option in options(value)]
    machine.mention(Seq([value for value in given if not isinstance(value, Const)]))
    for value in given:
        if not isinstance(value, Ref):
            machine.escape(value)
    if all(not _offers_files(value) for value in given):
        return Thing("http.server")
    offered = machine.places(
        Text(tuple(cwd if cwd is not None else TOP for cwd in machine.cwds)), kind="dir", recursive=True
    )
    for place in offered:
        machine.emit("copy", place, remote("net:served"), may=True, flow=("serve",))
    return Thing("http.server")


def _offers_files(value: Value) -> bool:
    if isinstance(value, Ref):
        return value.name in ("http.server.SimpleHTTPRequestHandler", "http.server.CGIHTTPRequestHandler")
    if isinstance(value, Klass):
        return value.framed and value.find("do_GET") is None
    return isinstance(value, Unknown | Partial | Function)


@handles("wandb.init")
def new_run(machine: Machine, args: Args) -> Value:
    """A run: what it is told is sent."""
    for value in args.all():
        machine.account(value)
    sources = content(args)
    if sources and not machine.trusted:
        machine.mention(Unknown(sources))
    plain: dict[str, Value] = {name: Unknown() for name in ("id", "name", "dir", "url", "step", "project", "path")}
    return Thing("wandb.live", plain)


@handles("wandb.api.run", "wandb.api.from_path")
def past_run(machine: Machine, args: Args) -> Value:
    """A run that is over."""
    for value in args.all():
        machine.account(value)
    return Thing("wandb.run", {"summary": Thing("wandb.summary")})


@handles("wandb.api.runs")
def past_runs(machine: Machine, args: Args) -> Value:
    """Any number of them."""
    return Seq([], rest=past_run(machine, args), born=machine.branch)


@handles("wandb.run.update", "wandb.run.save", "wandb.summary.update")
def amend_run(machine: Machine, args: Args) -> Value:
    """A run that is over gets other results."""
    for value in args.all():
        machine.account(value)
    machine.emit("record_score", remote("wandb:*"), may=True)
    return NONE


@handles("wandb.run.delete")
def delete_run(machine: Machine, _args: Args) -> Value:
    """A run and its results are gone."""
    machine.emit("api_delete", remote("wandb:*"), may=True)
    return NONE


@handles("socket.accept")
def accept(_machine: Machine, _args: Args) -> Value:
    """Another socket and its address."""
    return Seq([Thing("socket"), Unknown()], "tuple")


@handles("paramiko.open_sftp", "paramiko.from_transport")
def sftp(machine: Machine, args: Args) -> Value:
    """Files of another machine."""
    return connect(machine, args)


@handles("paramiko.put", "fabric.put", "any.put_file")
def put_remote(machine: Machine, args: Args) -> Value:
    """A file goes to another machine."""
    local = args.get(1, "localpath") or args.named.get("local") or Unknown()
    far = args.get(2, "remotepath") or args.named.get("remote")
    machine.account(far)
    machine.put("write", (remote(f"ssh://*/{single(far) or '*'}"),), machine.places(local) or carried(local))
    return NONE


@handles("paramiko.get", "fabric.get")
def get_remote(machine: Machine, args: Args) -> Value:
    """A file comes from another machine."""
    machine.account(args.get(1, "remotepath"))
    machine.put("write", machine.places(args.get(2, "localpath") or args.named.get("local") or Unknown()), ())
    return NONE


@handles("paramiko.exec_command", "fabric.run", "fabric.sudo", "fabric.Connection.run")
def run_remote(machine: Machine, args: Args) -> Value:
    """A command on another machine."""
    value = args.get(1, "command") or Unknown()
    machine.account(value)
    machine.emit("remote_exec", remote("ssh://*"), attrs={"command": single(value) or "?"})
    given = content(args.after(2))
    if given:
        machine.put("write", (remote("ssh://*"),), given)
    machine.mention(value)
    return Unknown()


@handles("paramiko.remove", "paramiko.unlink", "paramiko.rmdir", "paramiko.rename", "paramiko.truncate")
def change_remote(machine: Machine, args: Args) -> Value:
    """A file of another machine is changed."""
    value = args.get(1, "path") or Unknown()
    machine.account(value)
    machine.emit("api_delete", remote(f"ssh://*/{single(value) or '*'}"))
    return NONE


@handles("fabric.Connection")
def connection(machine: Machine, args: Args) -> Value:
    """A connection to another machine."""
    for value in args.all():
        machine.account(value)
    return Thing("fabric")


# -- logs


_LEVELS = "debug info warning warn error critical log fatal"


@handles(*(f"logging.{name}" for name in _LEVELS.split()), *(f"any.{name}" for name in _LEVELS.split()))
def log(machine: Machine, args: Args) -> Value:
    """A line goes to standard error, and to the files that logs go to."""
    sources = content(Args([value for value in args.all() if not isinstance(value, Thing)]))
    for value in args.all():
        machine.account(value)
        machine.escape(value)
    if "exc_info" in args.named:
        sources = merge(sources, carried(Seq(machine.thrown)))
    _logged(machine, sources)
    return NONE


handles(*(f"loguru.logger.{name}" for name in (*_LEVELS.split(), "trace", "success")))(log)


@handles("loguru.logger.add")
def log_into(machine: Machine, args: Args) -> Value:
    """Logs go to a file, or to what is open."""
    target = argument_of(args, 0, "sink")
    for value in args.all():
        machine.account(value)
        machine.escape(value)
    if isinstance(target, Text):
        _log_to(machine, target)
    else:
        machine.log_streams.append(target)
    return NONE


@handles("structlog.get_logger", "structlog.getLogger")
def printing_logger(_machine: Machine, _args: Args) -> Value:
    """A logger that prints."""
    return Thing("structlog")


@handles(*(f"structlog.{name}" for name in (*_LEVELS.split(), "msg", "exception")))
def print_log(machine: Machine, args: Args) -> Value:
    """A line goes to standard output."""
    for value in args.after(1).all():
        machine.account(value)
    machine.write_out(content(args.after(1)), None)
    return NONE


@handles("logging.exception", "any.exception", "loguru.logger.exception")
def log_error(machine: Machine, args: Args) -> Value:
    """A line, and what the error says that was caught."""
    log(machine, args)
    _logged(machine, carried(Seq(machine.thrown)))
    return NONE


def _logged(machine: Machine, sources: tuple[Resource, ...]) -> None:
    if sources:
        machine.write_out(sources, None, errors=True)
        for place in machine.logs:
            for source in sources:
                machine.emit("copy", source, place)
    for stream in machine.log_streams:
        machine.sink(stream, sources, None)


@handles("logging.basicConfig")
def configure_logs(machine: Machine, args: Args) -> Value:
    """Where logs go."""
    for value in args.all():
        machine.account(value)
        machine.escape(value)
    name = args.named.get("filename")
    if name is not None:
        _log_to(machine, name)
    stream = args.named.get("stream")
    if stream is not None:
        machine.log_streams.append(stream)
    return NONE


@handles("logging.StreamHandler")
def log_stream(machine: Machine, args: Args) -> Value:
    """Something open that logs go to."""
    stream = args.get(0, "stream")
    if stream is not None:
        machine.escape(stream)
        machine.log_streams.append(stream)
    return Thing("logging.FileHandler")


@handles("logging.FileHandler", "logging.handlers.RotatingFileHandler", "logging.handlers.TimedRotatingFileHandler",
         "logging.handlers.WatchedFileHandler")  # fmt: skip
def log_file(machine: Machine, args: Args) -> Value:
    """A file that logs go to."""
    _log_to(machine, argument_of(args, 0, "filename"))
    machine.account(args.get(1, "mode"))
    return Thing("logging.FileHandler")


@handles(*(f"logging.handlers.{name}Handler" for name in "SysLog Socket HTTP Datagram SMTP NTEventLog".split()))
def log_elsewhere(machine: Machine, args: Args) -> Value:
    """Logs go to another machine."""
    for value in args.all():
        machine.account(value)
    machine.logs.append(remote("net:logs"))
    return Thing("logging.FileHandler")


def _log_to(machine: Machine, name: Value) -> None:
    places = machine.places(name)
    machine.put("append", places, ())
    machine.logs.extend(places)


# -- writers on top of a file


@handles("csv.writer", "csv.DictWriter")
def table_writer(_machine: Machine, args: Args) -> Value:
    """Rows go into a file."""
    return Thing("csv.writer", {"to": argument_of(args, 0)})


@handles("pandas.ExcelWriter", "pandas.HDFStore")
def workbook(machine: Machine, args: Args) -> Value:
    """A file that tables are put into."""
    path = argument_of(args, 0, "path")
    for value in (*args.pos[1:], *args.named.values()):
        machine.account(value)
    machine.put("write", machine.places(path), ())
    return Thing("<workbook>", {"to": path})


@handles("<workbook>.put", "<workbook>.append", "<workbook>.append_to_multiple")
def put_table(machine: Machine, args: Args) -> Value:
    """A table goes into the file."""
    for value in args.pos[1:]:
        machine.account(value)
    machine.sink(args.pos[0], content(args.after(1)), None)
    return NONE


@handles("csv.writer.writerow", "csv.writer.writerows", "csv.writer.writeheader")
def write_rows(machine: Machine, args: Args) -> Value:
    """Rows are written."""
    owner = args.pos[0]
    for value in args.pos[1:]:
        machine.account(value)
    if isinstance(owner, Thing):
        machine.sink(owner.facts["to"], content(args.after(1)), None)
    return NONE


# -- databases


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
    _asked(machine, args)
    exact = single(value)
    if exact is not None and exact.startswith("sqlite:///"):
        return Thing("<sqlite>", {"<db>": Text((exact[len("sqlite:///") :] or ":memory:",))})
    return Thing("sql", {"<text>": value} if value is not None else {})


@handles("sql.execute", "sql.executemany", "sql.execute_batch", "sql.run")
def execute_elsewhere(machine: Machine, args: Args) -> Value:
    """SQL text for a database elsewhere."""
    statement = argument_of(args, 1)
    if isinstance(statement, Thing):
        statement = statement.facts.get("<text>", Unknown())
    machine.account(statement)
    text = single(statement)
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


# -- objects that may be paths


def _as_path(name: str) -> None:
    def run(machine: Machine, args: Args) -> Value:
        owner, rest = args.pos[0], args.after(1)
        if name in ("rename", "replace", "open") and not _is_path_call(name, rest):
            machine.escape(owner)
            return Unknown(content(args))
        path = Text((TOP,), owner.sources, path=True)
        return machine.call_method(path, name, rest)

    handles(f"any.{name}")(run)


def _is_path_call(name: str, args: Args) -> bool:
    """`p.rename(target)`, `p.open("w")`: not the methods of tables and texts that share the names."""
    if name == "open":
        mode = single(args.get(0, "mode"))
        return mode is not None and len(mode) < 4 and any(c in mode for c in "wax+")
    plain = len(args.pos) == 1 and not args.named
    return plain and isinstance(args.pos[0], Text | Unknown)


for _name in "unlink rmdir touch chmod symlink_to hardlink_to write_text write_bytes rename replace open".split():
    _as_path(_name)
