"""What a program does to the files, hosts and commands that its calls name, if it does nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from guardrail.effects.code._literal_calls import literal_calls
from guardrail.effects.code._literals import Calls
from guardrail.effects.code._plain import LANGUAGES
from guardrail.effects.code._tokens import Unread, tokens
from guardrail.effects.code._typescript import untyped
from guardrail.effects.code._words import R_PLOTS
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import as_code
from guardrail.effects.domain._values import NOTHING, TOP, Field, Stream, merge
from guardrail.model import Resource

MAX_FILTER: Final = 4096
"""Longest one-liner that is looked at, in characters."""


NAMED: Final[Mapping[str, str]] = {
    "node": "node",
    "nodejs": "node",
    "ts-node": "node",
    "tsx": "node",
    "qjs": "node",
    "deno": "node",
    "bun": "node",
    "php": "php",
    "Rscript": "R",
    "R": "R",
    "julia": "julia",
    "lua": "lua",
    "luajit": "lua",
    "elixir": "elixir",
    "ruby": "ruby",
}
_STARTING: Final[Mapping[str, tuple[str, ...]]] = {
    "R": (".Rprofile", ".Renviron", ".RData"),
    "bun": ("bunfig.toml",),
}
"""Files in the directory of the call that the interpreter runs before anything else."""


_STARTING_AT_HOME: Final[Mapping[str, tuple[str, ...]]] = {
    "R": (".Rprofile", ".Renviron"),
    "julia": (".julia/config/startup.jl",),
}


def done(call: Call, sources: tuple[Resource, ...] = ()) -> Stream:
    """It ran, and prints what is in its sources and its input."""
    call.emit("exec", as_code(call.name))
    return Stream(sources=merge(sources, call.stdin.sources), flow=call.stdin.flow)


def plain_calls(
    code: str,
    language: str,
    argv: Sequence[str | None] | None = None,
    folder: str | None = None,
    *,
    typed: bool = False,
) -> Calls | None:
    """What a program does to files that it names, if it does nothing else; None if it may."""
    syntax, is_plain = LANGUAGES[language]
    if language == "node" and code.startswith("#!"):
        code = code.partition("\n")[2]
    if not code or len(code) > MAX_FILTER:
        return None
    try:
        read = tokens(code, syntax)
        calls = literal_calls(untyped(read) if typed else read, language, argv, folder)
        # What is set in the environment is found by what is run.
        return calls if is_plain(calls.rest) and not (calls.environment and calls.runs) else None
    except (Unread, RecursionError):
        return None


def with_files(call: Call, language: str, found: Sequence[Calls], sources: tuple[Resource, ...] = ()) -> Stream:
    """The effects of calls that name their files; what is read may be in all that is written or printed."""
    starts(call, language)
    for calls in found:
        for name in calls.loads:
            runs(call, Field(text=name))
        for address in calls.asks:
            call.emit("net_recv", Resource(kind="net", uri=address))
        for name in (*calls.reads, *calls.loads):
            sources = merge(sources, call.read(Field(text=name)))
        sources = merge(sources, _looked_at(call, calls))
    carried = merge(sources, call.stdin.sources)
    if any(calls.complains for calls in found):
        call.shell.divert(carried)
    if any(calls.serves for calls in found):
        _given_away(call, carried)
    for calls in found:
        for name in calls.makes:
            call.emit("create", call.place(Field(text=name), kind="dir"))
        for name in calls.writes:
            call.put("write", call.place(Field(text=name)), carried)
        for name in calls.appends:
            call.put("append", call.place(Field(text=name)), carried)
        if language == "R" and any(token.kind == "word" and token.text in R_PLOTS for token in calls.rest):
            with call.perhaps():
                call.put("write", call.place(Field(text="Rplots.pdf")), carried)
    return done(call, sources)


def _given_away(call: Call, sources: tuple[Resource, ...]) -> None:
    """A server may give to whoever asks what its program reads, or is told by its variables."""
    for name in ("PORT", "HOST", "NODE_ENV"):
        sources = merge(sources, call.state.vars[name].sources if name in call.state.vars else ())
    for source in sources:
        call.emit("copy", source, Resource(kind="net", uri="http://*"), may=True, flow=("serve",))


def _looked_at(call: Call, calls: Calls) -> tuple[Resource, ...]:
    """What comes from directories that are shown, unknown files, the environment, and commands that are run."""
    sources: tuple[Resource, ...] = call.state.contents() if calls.environment else ()
    for name in calls.shows:
        shown = call.place(Field(text=name), kind="dir", recursive=True)
        call.emit("read", shown, attrs={"reveals": "content"})
        sources = merge(sources, (shown,))
    if calls.reads_any:
        sources = merge(sources, call.read(Field(text=TOP)))
    if calls.lists:
        call.emit("list", call.place(Field(text=TOP)), may=True)
    for words in calls.runs:
        with call.perhaps():
            command = tuple(Field(text=word, span=call.span) for word in words)
            sources = merge(sources, call.shell.again(call, command, external=True, stdin=NOTHING).sources)
    return sources


def starts(call: Call, language: str) -> None:
    """The files that the interpreter runs by itself."""
    for name in _STARTING.get(call.name if call.name in _STARTING else language, ()):
        runs(call, Field(text=name))
    home = call.shell.expand.lookup("HOME", call.state, {})[0]
    for name in _STARTING_AT_HOME.get(language, ()) if TOP not in home else ():
        runs(call, Field(text=f"{home}/{name}"))


def runs(call: Call, field: Field) -> None:
    """A file that says what runs: whether the session wrote it is for the history to say."""
    place = call.place(field)
    changed = place.path is None or call.shell.emit.changed(place.path)
    if changed or (place.path is not None and call.shell.view.kind(place.path) == "file"):
        call.script(place, authored=changed)
