"""Redirections: where output goes, what input is, and what flows into which file.

Not concerned with the command between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from guardrail.effects.domain._assured import note_replaced
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._environment import set_variable
from guardrail.effects.domain._paths import STREAMS
from guardrail.effects.domain._state import State
from guardrail.effects.domain._values import NOTHING, NUM, TOP, Field, Stream, Value, is_known, merge
from guardrail.effects.shell._listings import lines_within
from guardrail.effects.shell._reading import file_text
from guardrail.effects.shell._streams import beside
from guardrail.model import Edit, Op, Resource
from guardrail.parse.ir import Process, Redirect, Word
from guardrail.patterns import lazy

if TYPE_CHECKING:
    from guardrail.effects.shell._interpreter import Interpreter


MAX_TARGETS: Final = 16
"""Most files that one redirection is followed to; bash takes several words for a mistake anyway."""


def through_descriptors(shell: Interpreter, redirects: tuple[Redirect, ...], out: Stream, call: Call) -> None:
    """`>&3`: the output goes to whatever is open there."""
    for redirect in redirects:
        if redirect.op in (">&", ">") and _is_other(redirect.target):
            break
    else:
        return
    for sink in call.state.held:
        if sink.path is not None:
            shell.contents.put(sink.path, None)
    if not out.sources:
        return
    shell.divert(out.sources)
    for sink in call.state.held:
        for item in out.sources:
            call.emit("copy", item, sink, flow=(*out.flow, "redirect"))


def redirections(
    shell: Interpreter, redirects: tuple[Redirect, ...], call: Call, stdin: Stream
) -> tuple[list[tuple[Resource, str, bool]], Stream]:
    """Where output goes (resource, operator, whether standard output goes there), and what input is."""
    others: tuple[Resource, ...] = ()  # what is open at other descriptors
    outs: list[tuple[Resource, str, bool]] = []
    source: Field | None = None
    # `2>&1` moves errors only; any other copy of a descriptor may carry the output anywhere.
    duplicated = len(redirects) > 1 and any(
        r.op == ">&" and r.fd != 2 and r.target is not None and _is_number(r.target.plain) for r in redirects
    )
    for redirect in redirects:
        if redirect.target is None:
            continue
        if redirect.variable is not None:
            set_variable(shell, call.state, redirect.variable, Value(alternatives=(NUM,)))
        if redirect.op in ("<<", "<<<"):
            document = _document(shell, redirect.op, redirect.target, call.state)
            if redirect.fd not in (None, 0):
                others = merge(others, document.sources)
            else:
                stdin, source = document, None
            continue
        if redirect.op in ("<&", ">&") and _is_number(number := redirect.target.plain):
            if redirect.op == "<&":
                stdin = Stream(sources=merge(stdin.sources, merge(others, call.state.opened)), connected=True)
            call.doubted = call.doubted or str(number).rstrip("-") not in ("0", "1", "2")
            continue
        if redirect.op in ("<", "<&"):
            opened, named = _input_of(shell, redirect.op, redirect.target, call, others)
            if redirect.fd not in (None, 0):
                others = merge(others, opened.sources)
            else:
                stdin, source = opened, named
            continue
        carries = redirect.fd in (None, 1) or redirect.op.startswith("&") or duplicated
        for resource in _written(shell, redirect, call):
            outs.append((resource, redirect.op, carries))
            if resource.kind == "net":
                stdin = Stream(sources=stdin.sources, connected=True)
    outs = _followed(redirects, outs)
    return outs, beside(_still(stdin, source, call) if outs else stdin, others)


def _written(shell: Interpreter, redirect: Redirect, call: Call) -> Iterator[Resource]:
    """The files that an output is opened to."""
    for vector in shell.expand.alternatives((redirect.target,) if redirect.target is not None else (), call.state):
        for field in vector if len(vector) <= MAX_TARGETS else (Field(text=TOP),):
            resource = call.opened(field) if TOP in field.text else call.place(field)
            call.doubted = call.doubted or not _opens(shell, redirect.op, resource, call)
            _emptied(shell, redirect.op, resource)
            yield resource


def _still(stdin: Stream, source: Field | None, call: Call) -> Stream:
    """The input, which the opening of an output may have emptied."""
    return stdin if source is None else msgspec.structs.replace(stdin, text=file_text(call, (source,)))


def _opens(shell: Interpreter, op: str, resource: Resource, call: Call) -> bool:
    """A file can be opened to be written, as far as can be told."""
    path = resource.path
    if path is None or ("noclobber" in call.state.modes and op != ">|"):
        return path in STREAMS
    folder = path.rpartition("/")[0]
    known = folder in _WRITABLE or folder == call.cwd or folder in shell.directories
    return shell.view.kind(path) != "dir" and (known or shell.view.kind(folder) == "dir")


_WRITABLE: Final = frozenset(("", "/dev", "/tmp", "/var/tmp", "/dev/shm"))  # noqa: S108 - nothing is put there
"""Directories in which anybody can make a file."""


def errors_too(redirects: Sequence[Redirect]) -> bool:
    """`2>&1`, `&>`: what a command complains of goes where its output goes."""
    for redirect in redirects:
        op = redirect.op
        if op in ("&>", "&>>") or (op == ">&" and (redirect.fd == 2 or not _is_digits(redirect.target))):
            return True
    return False


def _is_digits(target: Word | None) -> bool:
    return target is None or _is_number(target.plain)


def _emptied(shell: Interpreter, op: str, resource: Resource) -> None:
    """The shell empties a file before the command can read it."""
    if op in (">", ">|", "&>") and resource.path is not None:
        shell.contents.put(resource.path, b"")


def _followed(
    redirects: tuple[Redirect, ...], outs: list[tuple[Resource, str, bool]]
) -> list[tuple[Resource, str, bool]]:
    """The same, without a claim to know what reaches the files where standard output becomes another descriptor."""
    if len(redirects) == 1 or not any(
        r.op == ">&" and r.fd in (None, 1) and r.target is not None and _is_number(r.target.plain) for r in redirects
    ):
        return outs
    return [(resource, "&>>" if op in (">>", "&>>") else "&>", carries) for resource, op, carries in outs]


def _opened(shell: Interpreter, target: Word, call: Call) -> tuple[Stream, Field | None]:
    """What `< file` or `< <(…)` gives, and the file if it is one."""
    part = target.parts[0] if len(target.parts) == 1 else None
    if isinstance(part, Process) and not part.write:
        out = shell.substitute(part.script, call.state, beside=True, heard=True)
        return msgspec.structs.replace(out, flow=("process",), connected=True), None
    fields = [field for vector in shell.expand.alternatives((target,), call.state) for field in vector]
    for field in fields:
        path = call.place(field).path
        call.doubted = call.doubted or path is None or not (path.startswith("/dev/") or _is_there(shell, path))
    streams = [_input(field, call) for field in fields]
    if len(streams) == 1:
        return streams[0], fields[0]
    sources: tuple[Resource, ...] = ()
    for stream in streams:
        sources = merge(sources, stream.sources)
    return Stream(sources=sources, flow=("redirect",), connected=True), None


def _input_of(
    shell: Interpreter, op: str, target: Word, call: Call, others: tuple[Resource, ...]
) -> tuple[Stream, Field | None]:
    """The same; after `<&$fd`, whose number a variable has, whatever is open may be meant."""
    stream, named = _opened(shell, target, call)
    if op == "<":
        return stream, named
    return Stream(sources=merge(stream.sources, merge(others, call.state.opened)), connected=True), named


def _is_there(shell: Interpreter, path: str) -> bool:
    if shell.contents.knows(path):
        return shell.contents.sure(path)
    return shell.view.kind(path) == "file" and not shell.contents.changed(path)


def moved(redirects: Sequence[Redirect], out: Stream, *, merged: bool) -> Stream:
    """What is left of an output where standard output becomes another descriptor; `merged` if errors go there, too."""
    for redirect in redirects:
        if redirect.op != ">&" or redirect.fd not in (None, 1) or not _is_digits(redirect.target):
            continue
        number = str(redirect.target.plain).rstrip("-") if redirect.target is not None else ""
        if number == "1":
            continue
        if number in ("", "2") and not merged and not errors_too(redirects):
            return NOTHING
        out = Stream(sources=out.sources, names=out.names, flow=out.flow)  # it may be standard output all the same
    return out


def _document(shell: Interpreter, op: str, target: Word, state: State) -> Stream:
    """A here document or here string."""
    value = shell.expand.value(target, state)
    text = value.alternatives[0] if len(value.alternatives) == 1 else TOP
    text = text + "\n" if op == "<<<" else text
    known = text if is_known(text) else None
    listed = _lines(value) if known is None and op == "<<<" else ()
    return Stream(text=known, sources=value.sources, listed=listed, flow=("heredoc",), connected=True)


def _lines(value: Value) -> tuple[str, ...]:
    """What each line of a here string is, if it is nothing but what a lister printed; at the least an empty one."""
    texts = [text for text in value.alternatives if text]
    found = lines_within(texts[0]) if len(texts) == 1 else ()
    return (*found, "") if found else ()


def _input(field: Field, call: Call) -> Stream:
    sources = call.read(field, reveals="content" if call.name not in _DIGESTING else "digest")
    emit = call.shell.emit
    emit.entered = merge(emit.entered, sources)
    return Stream(text=file_text(call, (field,)), sources=sources, flow=("redirect",), connected=True)


def write_out(shell: Interpreter, outs: list[tuple[Resource, str, bool]], out: Stream, call: Call) -> Stream:
    """Apply output redirections to what a command gave; returns what still reaches standard output."""
    taken = False
    both = len([None for _, _, carries in outs if carries]) > 1
    certain = call.name != "exec" and all(operator in (">", ">>", ">|") or not carries for _, operator, carries in outs)
    last = max((index for index, (_, _, carries) in enumerate(outs) if carries), default=-1)
    for index, (resource, operator, carries) in enumerate(outs):
        stream = _stream(resource.path)
        shell.emit.reopened(
            "append" if operator in (">>", "&>>") else "write", resource, spec=call.name, span=call.span
        )
        if stream is not None:
            if stream == "/dev/stderr" and carries:
                shell.divert(out.sources)
            if stream == "" and carries:
                out = Stream(sources=out.sources, names=out.names, flow=out.flow)  # it may be standard output
            taken = taken or (carries and stream not in ("", "/dev/stdout"))
            continue
        append = operator in (">>", "&>>")
        sources = out.sources if carries else shell.diverted
        edit = None
        if carries and certain and operator in (">", ">>", ">|") and out.text is not None:
            # Of several targets the last one gets the output; the others are only emptied.
            edit = Edit(kind="append" if append else "whole", text=out.text if index == last else "")
        if certain and operator in (">", ">|") and resource.path is not None and not call.doubted:
            note_replaced(shell, resource.path, call.state)
        op: Op = "append" if append else "write"
        call.put(op, resource, sources, flow=(*out.flow, "redirect"), edit=edit, opened=True)
        taken = taken or carries
    # With several targets the last one wins in the shell; descriptors are not followed that far, so it may go on.
    return (Stream(sources=out.sources, names=out.names, flow=out.flow) if both else NOTHING) if taken else out


_DESCRIPTOR: Final = lazy(r"/(?:dev|proc/self)/fd/([0-9]+)")


def _stream(path: str | None) -> str | None:
    """The stream that a path is a name of, `""` for another descriptor; None for a file."""
    match = _DESCRIPTOR.fullmatch(path) if path is not None else None
    if match is None:
        return path if path in STREAMS else None
    return {"0": "/dev/stdin", "1": "/dev/stdout", "2": "/dev/stderr"}.get(match[1], "")


_DIGESTING: Final = frozenset(
    "wc sha1sum sha224sum sha256sum sha384sum sha512sum md5sum b2sum b3sum cksum sum cmp true : false test [".split()
)
"""Commands whose output tells only a digest of their standard input."""


def _is_number(text: str | None) -> bool:
    return text is not None and text.rstrip("-").isdigit()


def _is_other(target: Word | None) -> bool:
    """A descriptor that is not standard output, or one that is not known."""
    if target is None:
        return False
    text = target.plain
    return text is None or (_is_number(text) and text.rstrip("-") != "1") or text.startswith(("/dev/fd/", "/proc/"))
