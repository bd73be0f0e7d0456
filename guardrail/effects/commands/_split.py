"""split, editors and runners of shell text on input: pee, mispipe, ifne.

Not concerned with what a person does in an editor: an open file may be written, and that is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed, parse_options
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import NUM, TOP, Field, Stream, merge
from guardrail.model import Resource
from guardrail.patterns import lazy

_SILENT: Final = frozenset(("gvim", "vim.basic", "vim.tiny", "vim.nox", "vimx", "view"))
_VIEWERS: Final = frozenset(("view", "gview", "rview", "bmore"))


def split(call: Call, parsed: Parsed) -> Stream:
    """`split FILE PREFIX`: pieces are PREFIXaa, PREFIXab, …; without a prefix xaa, xab, …."""
    if parsed.has("--filter"):
        out: tuple[Resource, ...] = ()
        for field in parsed.values_of("--filter"):
            out = merge(out, _shell(call, field, _inputs(call, parsed.operands[:1])).sources)
        return Stream(sources=out, flow=call.stdin.flow)
    if len(parsed.operands) < 2 and not any(field.many for field in parsed.operands):
        parsed.operands = [*(parsed.operands or [Field(text="-")]), Field(text="x")]
    return apply_spec(call, parsed)


def _inputs(call: Call, operands: list[Field]) -> tuple[Resource, ...]:
    sources: tuple[Resource, ...] = () if operands else call.stdin.sources
    for field in operands:
        sources = merge(sources, call.read(field))
    return sources


def _shell(call: Call, field: Field, sources: tuple[Resource, ...]) -> Stream:
    """A piece of shell text that gets content on its input."""
    if not field.known:
        return call.opaque("dynamic", reason="the command is not known", words=(field,))
    with call.perhaps():
        return call.shell.run_text(field.text, call.state.copy(), Stream(sources=sources, connected=True))[2]


def pee(call: Call, parsed: Parsed) -> Stream:
    """`pee COMMAND…`, `mispipe A B`: shell texts that get the input, each or one after the other."""
    sources = call.stdin.sources
    out: tuple[Resource, ...] = ()
    for field in parsed.operands:
        stream = _shell(call, field, sources)
        out = merge(out, stream.sources)
        if call.name == "mispipe":
            sources = stream.sources
    return Stream(sources=out, flow=call.stdin.flow)


def editor(call: Call, parsed: Parsed) -> Stream:
    """An editor: it reads its files and may write them; commands on the command line are code."""
    if call.name in _SILENT and any(field.text in ("-es", "-Es") for field in call.args):
        # After `-e`, `-s` is another option than otherwise.
        words = [Field(text="-e") if field.text in ("-es", "-Es") else field for field in call.args]
        parsed = parse_options(parsed.spec, words)
    sources = _editor_options(call, parsed)
    readonly = parsed.has("--readonly") or call.name in _VIEWERS
    for field in parsed.operands:
        if field.text[:1] == "+":
            if not field.text[1:].lstrip(":").isdecimal() and field.text != "+":
                call.opaque("inline", reason=f"a command for {call.name}", words=(field,))
                call.mention_text(field.text)
        elif field.text == "-":
            sources = merge(sources, call.stdin.sources)
        else:
            sources = merge(sources, call.read(field))
            # What a substitution printed is gone when it is closed.
            if not readonly and field.text != f"/dev/fd/{NUM}":
                call.emit("write", call.place(field), may=True)
    call.opaque("program", reason=f"{call.name} takes commands as it runs", words=())
    commanded = any(role in ("shell", "opaque") for _, role, _ in parsed.values)
    fed = call.stdin.connected and not any(field.text == "-" for field in parsed.operands)
    if fed or (parsed.has("--script") and not commanded):
        call.opaque("inline", reason=f"{call.name} takes commands from its input")
    if parsed.unknown:
        call.mention(call.args)
    return Stream(sources=sources)


_QUITTING: Final = lazy(r":?(?:q|qa|quit|qall)!?")
"""A command of vim that leaves, and saves nothing."""


def _editor_options(call: Call, parsed: Parsed) -> tuple[Resource, ...]:
    sources: tuple[Resource, ...] = ()
    for option, role, field in parsed.values:
        if option == "-c" and field.known and _QUITTING.fullmatch(field.text):
            continue
        if role in ("shell", "opaque"):
            call.opaque("inline" if field.known else "dynamic", reason=f"{option} gives {call.name} commands", words=())
            call.mention((field,))
            call.mention_text(field.text)
        elif role == "read":
            sources = merge(sources, call.read(field))
        elif role == "write":
            call.put("write", call.place(field), sources)
    return sources


def combine(call: Call, parsed: Parsed) -> Stream:
    """`combine A and B`: lines of two files."""
    words = [field for field in parsed.operands if field.text not in ("and", "not", "or", "xor")]
    sources: tuple[Resource, ...] = ()
    for field in words if len(words) >= 2 else parsed.operands:
        sources = merge(sources, call.read(field, reveals="some"))
    return Stream(sources=sources)


def rows(call: Call, parsed: Parsed) -> Stream:
    """`mlr VERB … then VERB …  FILE…`: which words are files is seen from the end; all of them are looked at."""
    if parsed.has("--from"):
        files = parsed.values_of("--from")
    else:
        files = [field for field in parsed.operands[1:] if _is_file(call, field)]
    for field in parsed.operands:
        if field.text in ("tee", "split", "put", "filter", "case", "nothing"):
            _verb(call, parsed, field.text)
    sources: tuple[Resource, ...] = () if files else call.stdin.sources
    for option, role, field in parsed.values:
        if role in ("opaque", "run"):
            call.opaque("inline", reason=f"{option} of {call.name} runs a program", words=(field,))
    for field in files:
        sources = merge(sources, call.read(field))
        if parsed.has("-I"):
            call.emit("write", call.place(field))
    return Stream(sources=sources, flow=call.stdin.flow)


def _is_file(call: Call, field: Field) -> bool:
    text = field.text
    return (
        field.many
        or field.glob is not None
        or TOP in text
        or call.kind(call.place(field)) is not None
        or "/" in text
        or (("." in text) and " " not in text and not text.startswith((".", "$", "-")))
    )


def _verb(call: Call, parsed: Parsed, verb: str) -> None:
    """Verbs that write: `tee`, `split`, and programs with redirections or calls of their own."""
    words = parsed.operands
    texts = [field.text for field in words if any(mark in field.text for mark in (">", "|", "system", "exec"))]
    if verb in ("tee", "split"):
        call.opaque("program", reason=f"the verb {verb} of mlr writes files", words=words)
    elif any(word in text for text in texts for word in ("system", "exec", "tee", "emit", "print", "dump")):
        call.opaque("inline", reason="a program of mlr that may do more than filter", words=words)
        for text in texts:
            call.mention_text(text)


FAMILIES: Final[Mapping[str, Family]] = {
    "combine": combine,
    "editor": editor,
    "pee": pee,
    "rows": rows,
    "split": split,
}
"""What `code` of a spec may say, for this module."""
