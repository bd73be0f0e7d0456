"""Methods of what is open: files, streams, buffers in memory."""

from __future__ import annotations

import io
from typing import Final

from guardrail.effects.code.python._carried import carried
from guardrail.effects.code.python._core import Core, single
from guardrail.effects.code.python._values import NONE, Args, Const, Handle, Seq, Text, Thing, Unknown, Value, anything
from guardrail.effects.domain._values import merge

_READS: Final = frozenset("read readline readlines read1 readall getvalue getbuffer peek readinto recv".split())


_QUIET: Final = frozenset(
    "close flush seek tell fileno isatty readable writable seekable detach reconfigure __enter__ __exit__ fsync".split()
)


def handle_method(core: Core, owner: Handle, name: str, args: Args) -> Value | None:
    if name in _READS:
        return _read_handle(core, owner, name, args)
    if name in ("write", "writelines", "print", "send", "sendall"):
        value = args.get(0) or Unknown()
        core.account(value)
        if name == "writelines":
            parts = [single(item) for item in value.items] if isinstance(value, Seq) and value.known else [None]
            exact = None if None in parts else "".join(part for part in parts if part is not None)
        else:
            exact = single(value)
            if exact is None and isinstance(value, Const) and isinstance(value.value, bytes):
                exact = _decoded(value.value)
        core.sink(owner, carried(value), exact)
        return Unknown(numeric=True)
    if name in ("writerow", "writerows"):
        core.sink(owner, tuple(s for value in args.all() for s in carried(value)), None)
        return NONE
    if name == "truncate":
        owner.text = owner.text if owner.mode[:1] in "wx" and owner.text == "" else None
        core.each("truncate", owner.places)
        return NONE
    if name in _QUIET:
        if name == "seek" and owner.mode[:1] in "wax":
            owner.text = None
        if name == "seek":
            owner.used = True  # from where it is read then, is not followed
        if name == "fileno":
            return owner
        return Unknown(numeric=True) if name in ("tell", "seek") else NONE
    if name in ("__iter__", "open"):  # what is opened later by `fsspec` counts as open
        return owner
    return None


def _decoded(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _read_handle(core: Core, owner: Handle, name: str, args: Args) -> Value:
    sources = core.contents_of(owner)
    for value in args.all():
        if name == "readinto" and isinstance(value, Unknown | Thing):
            value.sources = merge(value.sources, sources)
    first = not owner.used
    owner.used = True
    whole = (
        name in ("read", "readlines", "readall", "getvalue") and not args.pos and first and core.branch == owner.born
    )
    content = _content(core, owner) if whole and owner.mode[:1] != "w" else None
    if content is None:
        if name == "readlines":
            return Seq([], "list", anything(sources) if not owner.binary else Unknown(sources), core.branch)
        return Unknown(sources) if owner.binary else anything(sources)
    if owner.binary:
        return Const(content, sources)
    decoded = _decoded(content)
    if decoded is None or "\r" in decoded:
        return anything(sources)
    if name == "readlines":
        lines: list[Value] = [Text((line,), sources) for line in io.StringIO(decoded)]
        return Seq(lines, born=core.branch) if len(lines) <= 512 else Seq([], rest=anything(sources), born=core.branch)
    return Text((decoded,), sources)


def _content(core: Core, owner: Handle) -> bytes | None:
    if owner.kind == "stdin":
        return core.call.stdin.text.encode("utf-8", "surrogateescape") if core.call.stdin.text is not None else None
    if owner.kind == "memory":
        return owner.text.encode("utf-8", "surrogateescape") if owner.text is not None and not owner.binary else None
    return core.known_content(owner.places[0]) if len(owner.places) == 1 else None
