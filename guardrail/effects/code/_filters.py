"""One-liners of Perl, Ruby, Node, PHP, Lua, R, Julia and Elixir that provably only compute and print.

Not an analyser of those languages: whatever is not on the short lists of `_words` and `_perl` is not a filter, and
stays opaque.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from guardrail.effects.code._lent import lent_texts
from guardrail.effects.code._literal_calls import literal_calls
from guardrail.effects.code._literals import Calls
from guardrail.effects.code._node import module_file
from guardrail.effects.code._one_liners import kept_as, starts_otherwise
from guardrail.effects.code._perl import Program, perl_files
from guardrail.effects.code._plain import LANGUAGES
from guardrail.effects.code._scripts import script_texts
from guardrail.effects.code._tokens import Unread, tokens
from guardrail.effects.code._words import R_PLOTS
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import as_code
from guardrail.effects.domain._values import NOTHING, NUM, TOP, Field, Stream, merge
from guardrail.model import Resource
from guardrail.patterns import lazy

MAX_FILTER: Final = 4096
"""Longest one-liner that is looked at, in characters."""

MAX_MODULES: Final = 16
"""Most modules of the session's that one script may import."""

_LETTERS: Final = r"(?:[npalwW]|0[0-7]*|l[0-7]*)*"
_PERL_OPTION: Final = lazy(
    rf"-(?P<letters>{_LETTERS})"
    r"(?P<end>i(?P<suffix>\S*)|F(?:/(?:[\w,:;|\t -]|\\[t|s.])+/|(?:[\w,:;|\t]|\\[t|s.])+)|[eE]|"
    r"M(?P<module>strict|warnings|utf8|POSIX|List::Util|Scalar::Util|Data::Dumper|Time::HiRes|JSON::PP)(?:=[\w,]+)?|)"
)
_RUBY_OPTION: Final = lazy(
    r"-(?P<letters>[npalwW]*)(?P<end>i(?P<suffix>\S*)|e|r(?:json|date|time|set|csv|yaml|bigdecimal|pp)|)"
)
_CODE_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "node": ("-e", "-p", "-pe", "--eval", "--print"),
    "php": ("-r",),
    "R": ("-e",),
    "julia": ("-e", "-E"),
    "lua": ("-e",),
    "elixir": ("-e",),
}
_PLAIN_OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "node": frozenset(("--input-type=module", "--input-type=commonjs", "--no-warnings")),
    "R": frozenset(("--vanilla", "--slave", "--quiet", "-q", "--no-save", "--no-echo")),
    "julia": frozenset(("--project", "--project=.", "--startup-file=no", "-q")),
    "php": frozenset(("-n",)),
}
_NAMED: Final[Mapping[str, str]] = {
    "node": "node",
    "nodejs": "node",
    "ts-node": "node",
    "tsx": "node",
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
_PROJECT: Final[Mapping[str, re.Pattern[str]]] = {
    "julia": lazy(
        r"\s*(?:using|import) Pkg\s*;"
        r"(?:\s*Pkg\.(?:instantiate|test|status|resolve|precompile|build|update)\(\)\s*(?:;|$))+\s*"
    ),
    "R": lazy(
        r"(?:\s*(?:testthat::test_(?:dir|local|package|file)|devtools::(?:test|check|document|load_all|build|install_deps)"
        r"|lintr::lint(?:_dir|_package)?|styler::style_(?:dir|pkg|file)|roxygen2::roxygeni[sz]e|covr::package_coverage"
        r"|pkgdown::build_site|renv::(?:restore|status|snapshot)|rmarkdown::render|knitr::knit|targets::tar_make)"
        r"\((?:(?:\w+\s*=\s*)?(?:\"[\w ./*-]*\"|'[\w ./*-]*'|TRUE|FALSE|\d+)(?:,\s*)?)*\)\s*(?:;|$))+"
    ),
}
"""Code that asks for what a project holds to be built or tested, as `make test` does."""


def is_filter(call: Call) -> Stream | None:
    """The output of a one-liner that only computes and prints; None if that is not proved."""
    name = call.name.rstrip("0123456789.")
    if starts_otherwise(call):
        return None
    if name == "perl":
        return _perl(call)
    language = _NAMED.get(name)
    if language is None:
        return None
    return _ruby(call) if language == "ruby" else _code(call, language)


def is_given_filter(call: Call) -> Stream | None:
    """The same for a program that comes in as a text of the call's own."""
    name = call.name.rstrip("0123456789.")
    code = call.given_text()
    if code is None or starts_otherwise(call) or any(field.text not in ("-", "--vanilla") for field in call.args):
        return None
    if name == "perl":
        program = _short([code]) and perl_files([code], loops=False, strict=False)
        found = _perl_reads(call, program) if program else None
    else:
        language = _NAMED.get(name)
        calls = _plain(code, language) if language is not None else None
        found = None
        if calls is not None and language is not None:
            call.stdin = NOTHING
            found = _with_files(call, language, (calls,))
    return found


def _done(call: Call, sources: tuple[Resource, ...] = ()) -> Stream:
    call.emit("exec", as_code(call.name))
    return Stream(sources=merge(sources, call.stdin.sources), flow=call.stdin.flow)


class _Line(msgspec.Struct, kw_only=True):
    """The words of a command of Perl or Ruby.

    Args:
        codes: its programs.
        files: what they are run on.
        loops: they are run on each line.
        suffix: what `-i` says; None if nothing is edited.
        strict: texts are no names of variables.
    """

    codes: list[str]
    files: Sequence[Field]
    loops: bool = False
    suffix: str | None = None
    strict: bool = False


def _line(call: Call, pattern: re.Pattern[str]) -> _Line | None:
    """The words of a command, if all of its options are known."""
    line = _Line(codes=[], files=())
    rest = list(call.args)
    while rest and rest[0].text.startswith("-") and rest[0].text != "-":
        field = rest.pop(0)
        if field.text == "--":
            break
        option = pattern.fullmatch(field.text)
        if option is None or not field.known:
            return None
        end = option["end"]
        line.suffix = option["suffix"] if end[:1] == "i" else line.suffix
        line.loops = line.loops or bool(set("np") & set(option["letters"])) or end[:1] == "F"
        line.strict = line.strict or end == "Mstrict"
        if end in ("e", "E"):
            if not rest or not rest[0].known:
                return None
            line.codes.append(rest.pop(0).text)
    line.files = rest
    return line if _short(line.codes) else None


def _short(codes: Sequence[str]) -> bool:
    return bool(codes) and sum(map(len, codes)) <= MAX_FILTER


# -- Perl


def _perl(call: Call) -> Stream | None:
    """`perl -pe 's/a/b/' files`, also with `-i`, which rewrites the files."""
    line = _line(call, _PERL_OPTION)
    program = perl_files(line.codes, loops=line.loops, strict=line.strict) if line is not None else None
    if line is None or program is None or (line.suffix is not None and program.files):
        return None
    files = line.files if program.arguments else ()
    if not all(is_plain_file(field) for field in files):
        return None
    if line.suffix is not None:
        return _edited(call, files, line.suffix)
    return _perl_reads(call, program, files)


def _perl_reads(call: Call, program: Program, files: Sequence[Field] = ()) -> Stream:
    sources: tuple[Resource, ...] = call.state.contents() if program.environment else ()
    for field in (*files, *(Field(text=name) for name in program.files)):
        sources = merge(sources, call.read(field))
    return _done(call, sources)


def is_plain_file(field: Field) -> bool:
    """Perl runs a name that starts or ends with such a sign as a command."""
    known = field.known or field.glob is not None
    return known and field.text.strip()[:1] not in ("|", "<", ">", "+", "-") and "|" not in field.text


def _edited(call: Call, files: Sequence[Field], suffix: str) -> Stream:
    """Files that are rewritten, each kept under another name if there is a suffix."""
    brought = call.stdin.sources
    for field in files:
        read = call.read(field)
        place = call.place(field, nofollow=True)
        if suffix:
            kept = kept_as(field, suffix, call.name)
            call.put("write", call.place(kept if kept is not None else Field(text=TOP)), (place,))
        # A variable may carry what was read before it, from another file or the input.
        with call.perhaps(bool(brought)):
            for source in brought:
                call.emit("copy", source, place)
        call.put("write", place, ())
        brought = merge(brought, read)
    return _done(call)


# -- Ruby


def _ruby(call: Call) -> Stream | None:
    line = _line(call, _RUBY_OPTION)
    calls = _plain("\n".join(line.codes), "ruby") if line is not None else None
    if line is None or calls is None or not all(is_plain_file(field) for field in line.files):
        return None
    if line.suffix is not None:
        return None if calls.reads or calls.writes or calls.loads else _edited(call, line.files, line.suffix)
    if (calls.writes or calls.appends) and line.files:
        return None
    sources: tuple[Resource, ...] = ()
    for field in line.files:
        sources = merge(sources, call.read(field))
    return _with_files(call, "ruby", (calls,), sources)


# -- the others


def _code(call: Call, language: str) -> Stream | None:
    args = [field for field in call.args if field.text not in _PLAIN_OPTIONS.get(language, ())]
    if len(args) != 2 or args[0].text not in _CODE_OPTIONS[language] or not all(field.known for field in call.args):
        return None
    code = args[1].text
    if language in _PROJECT and _PROJECT[language].fullmatch(code):
        _starts(call, language)
        _runs(call, Field(text="test/runtests.jl"))
        call.mention_text(code)
        return call.opaque("program", reason="the packages and tests of the project")
    calls = _plain(code, language)
    # What is imported by one that is no file is found from the directory of the call.
    folder = call.cwd if call.cwd is not None and TOP not in call.cwd else None
    found = _with_modules(call, code, folder) if calls is not None and calls.imports else calls and (calls,)
    out = _with_files(call, language, found) if found and not _bound(call, found) else None
    member = _MEMBER.fullmatch(code) if language == "node" and args[0].text in ("-p", "--print", "-pe") else None
    return out if out is None or member is None else _member(call, out, member)


_MEMBER: Final = lazy(r"\s*require\(([\"'])(?P<file>\.{0,2}/[\w./-]+\.json)\1\)\.(?P<name>[A-Za-z]\w*)\s*;?\s*")
"""`node -p "require('./package.json').version"`."""


def _member(call: Call, out: Stream, match: re.Match[str]) -> Stream:
    """The output, where it is a text in a file that can be read now."""
    place = call.place(Field(text=match["file"]))
    data = call.content(place) if call.shell.contents.sure(place.path or "") else None
    try:
        table = msgspec.json.decode(data, type=dict[str, Any]) if data is not None else {}
    except (msgspec.MsgspecError, RecursionError):
        return out
    text = table.get(match["name"])
    plain = isinstance(text, str) and text.isprintable() and len(text) <= MAX_MEMBER
    return msgspec.structs.replace(out, text=f"{text}\n") if plain else out


MAX_MEMBER: Final = 256
"""Longest text in a file that is followed as an output, in characters."""


def is_script_filter(call: Call, path: str, text: str, args: Sequence[Field] = ()) -> Stream | None:
    """The same for a script of Node, with all modules that it imports of those the session wrote."""
    if _NAMED.get(call.name) != "node" or call.name in ("deno", "bun") or starts_otherwise(call):
        return None
    argv = None if any(field.many for field in args) else [field.text if field.known else None for field in args]
    found = _with_modules(call, text, path.rpartition("/")[0], argv)
    return _with_files(call, "node", found) if found and not _bound(call, found) else None


def _bound(call: Call, found: Sequence[Calls]) -> bool:
    """A server may be bound to a path, which a variable says: a socket is then put there."""
    port = call.state.vars.get("PORT")
    named = port is not None and not all(text.isdecimal() or text == NUM for text in port.alternatives)
    return named and any(calls.serves for calls in found)


def _with_modules(
    call: Call, code: str, folder: str | None, argv: Sequence[str | None] | None = None
) -> list[Calls] | None:
    """What a program and the modules that it imports do; None unless all that the session wrote of them is plain.

    What the project holds besides is run like a program of its own, and what it is handed is named.
    """
    found: list[Calls] = []
    waiting: list[tuple[str, str | None, bool]] = [(code, folder, True)]
    seen: set[str] = set()
    lent: list[Resource] = []
    while waiting:
        text, here, own = waiting.pop()
        within = call.shell.view.real(here) if argv is not None and here is not None and TOP not in here else None
        calls = _plain(text, "node", argv, within) if own else None
        if own and (calls is None or (calls.imports and here is None)):
            return None
        found += [calls] if calls is not None else []
        for name in calls.imports if calls is not None else _LOADED.findall(text):
            place = call.place(module_file(call, Field(text=_beside(call, here or "", name))))
            path = posixpath.normpath(place.path or "")
            if path in seen:
                continue
            seen.add(path)
            # In a file of the project not each such text is a module.
            if not own and call.kind(place) in (None, "dir") and not call.shell.emit.changed(path):
                continue
            texts = script_texts(call, place) if place.path is not None else ()
            if not texts or len(seen) > MAX_MODULES:
                return None
            authored = call.shell.authored(path)
            lent += [] if authored else [place]
            waiting += [(each, path.rpartition("/")[0], authored) for each in texts]
    return found if not lent or _lends(call, found, lent) else None


def _beside(call: Call, folder: str, name: str) -> str:
    """The path of a module: Node looks for it from where the file really is, so that `..` leads out by name."""
    made = call.shell.view.kind(folder) is None and not call.shell.emit.contents.linked
    return posixpath.normpath(f"{folder}/{name}") if made else f"{folder}/{name}"


_LOADED: Final = lazy(r"[\"'`](\.{1,2}(?:/[^\"'`\n]*)?)[\"'`]")
"""Modules beside it that a file of the project may load: whatever stands in quotes and begins like one."""


def _lends(call: Call, found: Sequence[Calls], lent: Sequence[Resource]) -> bool:
    """Name what code of the project is handed; False if that is not known."""
    handed: list[str] = []
    for calls in found:
        texts = lent_texts(calls)
        if texts is None:
            return False
        handed += texts
    for place in lent:
        call.script(place)
    for text in dict.fromkeys(handed):
        if text.strip("/ \t\n"):
            call.name_text(text)
            call.mention((Field(text=text),))
            call.mention_text(text)
    return True


def _plain(
    code: str, language: str, argv: Sequence[str | None] | None = None, folder: str | None = None
) -> Calls | None:
    """What a program does to files that it names, if it does nothing else; None if it may."""
    syntax, is_plain = LANGUAGES[language]
    if language == "node" and code.startswith("#!"):
        code = code.partition("\n")[2]
    if not code or len(code) > MAX_FILTER:
        return None
    try:
        calls = literal_calls(tokens(code, syntax), language, argv, folder)
        # What is set in the environment is found by what is run.
        return calls if is_plain(calls.rest) and not (calls.environment and calls.runs) else None
    except (Unread, RecursionError):
        return None


def _with_files(call: Call, language: str, found: Sequence[Calls], sources: tuple[Resource, ...] = ()) -> Stream:
    """The effects of calls that name their files; what is read may be in all that is written or printed."""
    _starts(call, language)
    for calls in found:
        for name in calls.loads:
            _runs(call, Field(text=name))
        for address in calls.asks:
            call.emit("net_recv", Resource(kind="net", uri=address))
        for name in (*calls.reads, *calls.loads):
            sources = merge(sources, call.read(Field(text=name)))
        sources = merge(sources, _looked_at(call, calls))
    carried = merge(sources, call.stdin.sources)
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
    return _done(call, sources)


def _given_away(call: Call, sources: tuple[Resource, ...]) -> None:
    """A server may give to whoever asks what its program reads, or is told by its variables."""
    for name in ("PORT", "HOST", "NODE_ENV"):
        sources = merge(sources, call.state.vars[name].sources if name in call.state.vars else ())
    for source in sources:
        call.emit("copy", source, Resource(kind="net", uri="http://*"), may=True, flow=("serve",))


def _looked_at(call: Call, calls: Calls) -> tuple[Resource, ...]:
    """What comes from files whose names are not known, from the environment, and from commands that are run."""
    sources: tuple[Resource, ...] = call.state.contents() if calls.environment else ()
    if calls.reads_any:
        sources = merge(sources, call.read(Field(text=TOP)))
    if calls.lists:
        call.emit("list", call.place(Field(text=TOP)), may=True)
    for words in calls.runs:
        with call.perhaps():
            command = tuple(Field(text=word, span=call.span) for word in words)
            sources = merge(sources, call.shell.again(call, command, external=True, stdin=NOTHING).sources)
    return sources


def _starts(call: Call, language: str) -> None:
    """The files that the interpreter runs by itself."""
    for name in _STARTING.get(call.name if call.name in _STARTING else language, ()):
        _runs(call, Field(text=name))
    home = call.shell.expand.lookup("HOME", call.state, {})[0]
    for name in _STARTING_AT_HOME.get(language, ()) if TOP not in home else ():
        _runs(call, Field(text=f"{home}/{name}"))


def _runs(call: Call, field: Field) -> None:
    """A file that says what runs: whether the session wrote it is for the history to say."""
    place = call.place(field)
    changed = place.path is None or call.shell.emit.changed(place.path)
    if changed or (place.path is not None and call.shell.view.kind(place.path) == "file"):
        call.script(place, authored=changed)
