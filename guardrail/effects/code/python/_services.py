"""Things that are open to elsewhere: sockets, servers, runs of experiments, other machines, and writers of tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.effects.code.python._carried import carried, content
from guardrail.effects.code.python._core import remote, single
from guardrail.effects.code.python._defined import Function, Klass
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._system import argument_of
from guardrail.effects.code.python._values import (
    NAME,
    NONE,
    Args,
    Const,
    Dict,
    Partial,
    Ref,
    Seq,
    Text,
    Thing,
    Unknown,
    Value,
    options,
)
from guardrail.effects.code.python._web import address_of, deleted, deletes
from guardrail.effects.domain._values import TOP

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine


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


@handles("boto3.client.generate_presigned_url", "boto3.client.generate_presigned_post")
def presign(machine: Machine, args: Args) -> Value:
    """An address by which anybody gets an object, or may do what else it is made for."""
    given = args.after(1)
    for value in given.all():
        machine.account(value)
    params = given.get(1, "Params")
    parts = params.items if isinstance(params, Dict) else {}
    bucket, key = (single(parts.get(name) or given.named.get(name)) for name in ("Bucket", "Key"))
    if single(given.get(0, "ClientMethod")) not in ("put_object", "upload_part"):
        machine.emit("api_visibility", remote(f"s3://{bucket or '*'}/{key or '*'}"))
    return Text((NAME,))


def _peer(owner: Value) -> str:
    peer = owner.facts.get("peer") if isinstance(owner, Thing) else None
    return single(peer) or "*"


@handles("socket.gethostbyname", "socket.gethostbyname_ex", "socket.gethostbyaddr", "socket.getaddrinfo",
         "socket.getfqdn")  # fmt: skip
def look_up(machine: Machine, args: Args) -> Value:
    """A name is asked for: what is in it leaves with the question."""
    asked(machine, args)
    return Text((NAME,))


def asked(machine: Machine, args: Args) -> None:
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
    asked(machine, args.after(1))
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
