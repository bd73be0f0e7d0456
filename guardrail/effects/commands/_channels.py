"""nc, socat: pipes between files, programs and the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import as_code
from guardrail.effects.domain._values import SOMETHING, TOP, Field, Stream, merge
from guardrail.model import Resource

_STREAMS: Final = frozenset(("-", "STDIO", "STDIN", "STDOUT", "STDERR", "READLINE", "PIPE", "FD"))
_FILES: Final = frozenset("FILE OPEN CREATE CREAT GOPEN GOPEN-CREATE APPEND POSIXMQ".split())
_PROGRAMS: Final = frozenset(("EXEC", "SYSTEM", "SHELL"))
_FILE_OPTIONS: Final = ("-lf", "-r", "-R", "-L", "-W")
_VALUED: Final = (*_FILE_OPTIONS, "-lp", "-b", "-t", "-T")
_FAR: Final = tuple("TCP UDP UNIX ABSTRACT OPENSSL SSL SOCKS PROXY VSOCK SCTP IP SOCKET LOCAL DCCP".split())
_LOCAL: Final = frozenset(("PTY", "TUN", "INTERFACE"))


def netcat(call: Call, parsed: Parsed) -> Stream:
    """`nc`, `ncat`: what comes in is sent, what the other side sends comes out."""
    place = _other_side(parsed)
    out: tuple[Resource, ...] = ()
    said: tuple[Resource, ...] = ()  # what programs say goes to the other side
    kept: list[Field] = []  # files for what goes over the wire
    for option, role, field in parsed.values:
        if role == "run":
            rest = parsed.operands if parsed.has("--listen") or call.name == "busybox" else ()
            text = " ".join((field.text, *(word.text for word in rest)))
            started = field if not rest else Field(text=text, sources=field.sources)
            said = merge(said, _started(call, started, shell=option in ("--sh-exec", "-c")).sources)
        elif role == "write" or (option == "-x" and "ncat" in call.name):
            # Of ncat it is a file for what goes over the wire, of others a proxy.
            kept.append(field)
        elif role == "read":
            call.read(field, reveals="some")
        elif role == "opaque":
            call.opaque("inline", reason=f"{option} of {call.name} runs code", words=(field,))
    sent = merge(merge(call.stdin.sources, said), tuple(source for field in call.args for source in field.sources))
    for field in kept:
        call.put("write", call.place(field), sent)
    if parsed.has("-z") or (parsed.has("--recv-only") and not sent):
        call.emit("net_recv", place)
        return SOMETHING
    for source in sent:
        call.emit("copy", source, place, flow=call.stdin.flow or ("net",))
    for name in call.stdin.names:
        call.emit("mention", name, precision="opaque", may=True)
    if call.stdin.connected or sent or parsed.has("--exec", "--sh-exec"):
        call.emit("net_send", place, flow=call.stdin.flow)
    call.emit("net_recv", place)
    return Stream(sources=out)


def _other_side(parsed: Parsed) -> Resource:
    """Where a connection of netcat goes, or comes from."""
    names = [field.text for field in parsed.operands]
    if parsed.has("--unixsock"):
        return at("unix", names[0] if names else "*")
    if parsed.has("--listen"):
        port = parsed.value("-p")
        return at("tcp", f"//*:{port.text if port is not None else names[-1] if names else '*'}")
    return at("tcp", "//" + ":".join(names[:2]) if names else "//*")


def _started(call: Call, field: Field, *, shell: bool) -> Stream:
    """A program that a connection is tied to: whoever is there gives it its input."""
    if not field.known:
        return call.opaque("dynamic", reason="the program is not known", words=(field,))
    words = field.text.split()
    if words and words[0].rpartition("/")[2] in (
        "sh",
        "bash",
        "dash",
        "zsh",
        "ksh",
        "ash",
        "python3",
        "python",
        "perl",
    ):
        call.opaque("dynamic", reason="a shell for whoever is at the other end", words=(field,))
    with call.perhaps():
        out = call.shell.run_text(field.text, call.state.copy(), call.stdin)[2]
    if not shell:
        call.shell.emit.opaque("program", as_code(words[0] if words else "?"), spec=call.name, span=call.span)
    return out


class _End(msgspec.Struct, frozen=True, kw_only=True):
    """One side of socat: whose content comes out of it, where content that goes in ends up, a program."""

    sources: tuple[Resource, ...] = ()
    sinks: tuple[Resource, ...] = ()
    program: Field | None = None
    shell: bool = False
    standard: bool = False


def socat(call: Call, _parsed: Parsed) -> Stream:
    """`socat ADDRESS ADDRESS`: data goes both ways, or with `-u` and `-U` one way."""
    flags, files, addresses = _split(call.args)
    for field in files:
        call.put("write", call.place(field), ())
    if len(addresses) < 2:
        unsure = any(field.many or field.text.startswith(TOP) for field in addresses)
        return call.opaque("dynamic", reason="addresses that are not known") if unsure else SOMETHING
    first, second = addresses[0], addresses[1]
    forth, back = "-U" not in flags, "-u" not in flags
    left = _ends(call, first, reads=forth, writes=back)
    right = _ends(call, second, reads=back, writes=forth)
    out: tuple[Resource, ...] = ()
    if forth:
        out = merge(out, _flow(call, left, right))
    if back:
        out = merge(out, _flow(call, right, left))
    return Stream(sources=out)


def _split(args: Sequence[Field]) -> tuple[set[str], list[Field], list[Field]]:
    """Options without values, files that options name, and addresses; values may stand in the same word or the next."""
    flags: set[str] = set()
    files: list[Field] = []
    i = 0
    while i < len(args) and args[i].text.startswith("-") and len(args[i].text) > 1 and args[i].glob is None:
        text = args[i].text
        i += 1
        name = text[:3] if text[:2] == "-l" else text[:2]
        if name not in _VALUED:
            flags.add(text)
            continue
        value = args[i - 1].tail(len(name))
        if not value.text and i < len(args):
            value = args[i]
            i += 1
        if name in _FILE_OPTIONS:
            files.append(value)
    return flags, files, list(args[i:])


def _flow(call: Call, origins: Sequence[_End], ends: Sequence[_End]) -> tuple[Resource, ...]:
    """Content goes from one side to the other; what reaches standard output is returned."""
    given: tuple[Resource, ...] = ()
    for end in origins:
        given = merge(given, call.stdin.sources if end.standard else end.sources)
        if end.program is not None:
            given = merge(given, _program(call, end, SOMETHING))
    out: tuple[Resource, ...] = ()
    for end in ends:
        if end.standard:
            out = merge(out, given)
        for sink in end.sinks:
            if sink.kind == "net":
                for source in given:
                    call.emit("copy", source, sink, flow=("net",))
                call.emit("net_send", sink)
            else:
                call.put("write", sink, given)
        if end.program is not None:
            _program(call, end, Stream(sources=given, connected=True))
    return out


def _program(call: Call, end: _End, stdin: Stream) -> tuple[Resource, ...]:
    inner = call.shell.call(call.name, call.args, call.state.copy(), call.cwd, stdin, call.span)
    return _started(inner, end.program or Field(text=TOP), shell=end.shell).sources


def _ends(call: Call, field: Field, *, reads: bool, writes: bool) -> list[_End]:
    """What an address stands for; `A!!B` is read from A and written to B."""
    if not field.known:
        call.opaque("dynamic", reason="an address that is not known", words=(field,))
        return []
    first, both, second = field.text.partition("!!")
    if not both:
        return [_end(call, first, reads=reads, writes=writes)]
    found: list[_End] = []
    if reads:
        found.append(_end(call, first, reads=True, writes=False))
    if writes:
        found.append(_end(call, second, reads=False, writes=True))
    return found


def _end(call: Call, text: str, *, reads: bool, writes: bool) -> _End:
    keyword, colon, rest = text.partition(":")
    name = keyword.partition(",")[0].upper()
    if not colon and "/" in keyword.partition(",")[0]:
        name, rest = "GOPEN", text
    if name in _STREAMS and not (name == "PIPE" and rest):
        return _End(standard=True)
    if name in _PROGRAMS:
        return _End(program=Field(text=_command(rest)), shell=name != "EXEC")
    value, *options = rest.split(",")
    if name in _FILES or name == "PIPE":
        return _file(call, name, Field(text=value), options, reads=reads, writes=writes)
    if name in _LOCAL:
        return _End()
    scheme = "unix" if name.startswith(("UNIX", "ABSTRACT", "LOCAL")) else "udp" if name.startswith("UDP") else "tcp"
    host = value if "LISTEN" not in name and "RECV" not in name else f"*:{value}"
    place = at(scheme, f"//{host}" if scheme != "unix" else value)
    if not name.startswith(_FAR):
        call.opaque("program", reason="an address of socat that is not known", words=(Field(text=text),))
    if reads or "LISTEN" in name:
        call.emit("net_recv", place)
    return _End(sinks=(place,))


def _command(text: str) -> str:
    """The command of an address, without the options after it and without its quotes."""
    bare = text.strip()
    if bare[:1] in ("'", '"'):
        return bare[1:].partition(bare[0])[0]
    return bare.partition(",")[0]


def _file(call: Call, name: str, field: Field, options: Sequence[str], *, reads: bool, writes: bool) -> _End:
    plain = {option.partition("=")[0].lower() for option in options}
    place = call.place(field)
    creates = name in ("CREATE", "CREAT")
    sources: tuple[Resource, ...] = ()
    if reads and not creates and not plain & {"wronly", "o-wronly"}:
        sources = call.read(field)
    writable = writes and not plain & {"rdonly", "o-rdonly", "readonly"}
    if plain & {"unlink", "unlink-early", "unlink-late", "unlink-close"}:
        call.emit("delete", call.place(field, nofollow=True))
    if plain & {"trunc", "o-trunc", "ftruncate", "truncate"}:
        call.emit("truncate", place)
    if plain & {"mode", "perm", "user", "group", "uid", "gid", "owner", "perm-early", "perm-late"}:
        call.emit("set_security", place)
    if creates and not writes:
        call.emit("write", place)
    return _End(sources=sources, sinks=(place,) if writable else ())


FAMILIES: Final[Mapping[str, Family]] = {"netcat": netcat, "socat": socat}
"""What `code` of a spec may say, for this module."""
