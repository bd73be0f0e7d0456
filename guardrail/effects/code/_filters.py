"""One-liners of Perl, Ruby, Node, PHP, Lua, R, Julia and Elixir that provably only compute and print.

Not an analyser of those languages: whatever is not on the short lists of `_words` and `_perl` is not a filter, and
stays opaque.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from guardrail.effects.code._handed import name_source
from guardrail.effects.code._literals import Calls
from guardrail.effects.code._one_liners import kept_as, starts_otherwise
from guardrail.effects.code._perl import Program, perl_files
from guardrail.effects.code._plain_calls import MAX_FILTER, NAMED, done, plain_calls, runs, starts, with_files
from guardrail.effects.code._script_filters import is_bound, with_modules
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import NOTHING, TOP, Field, Stream, merge
from guardrail.model import Resource
from guardrail.patterns import lazy

_LETTERS: Final = r"(?:[npawW]|[0l][0-7]*+)*"
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

_QUOTED: Final = lazy(r"[\"']([\w ./-]+)[\"']")

_PROJECT: Final[Mapping[str, re.Pattern[str]]] = {
    "julia": lazy(
        r"\s*(?:using|import) Pkg\s*;"
        r"(?:\s*Pkg\.(?:instantiate|test|status|resolve|precompile|build|update)\(\)\s*(?:;|$))+\s*"
    ),
    "R": lazy(
        r"(?:\s*(?:testthat::test_(?:dir|local|package|file)|devtools::(?:test|check|document|load_all|build|install_deps)"
        r"|lintr::lint(?:_dir|_package)?|styler::style_(?:dir|pkg|file)|roxygen2::roxygeni[sz]e|covr::package_coverage"
        r"|pkgdown::build_site|renv::(?:restore|status|snapshot)|rmarkdown::render|knitr::knit|targets::tar_make)"
        r"\((?:(?:\w+\s*=\s*)?(?:\"[\w ./*-]*\"|'[\w ./*-]*'|TRUE|FALSE|\d++)(?:,\s*+)?)*+\)\s*(?:;|$))+"
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
    language = NAMED.get(name)
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
        language = NAMED.get(name)
        given = _with_imports(call, code, language) if language is not None else None
        found = None
        if given and language is not None:
            call.stdin = NOTHING
            found = with_files(call, language, given)
    return found


def _with_imports(call: Call, code: str, language: str) -> Sequence[Calls] | None:
    """What a program does that is no file, with all modules that it imports, from the directory of the call."""
    calls = plain_calls(code, language)
    folder = call.cwd if call.cwd is not None and TOP not in call.cwd else None
    found = with_modules(call, code, folder) if calls is not None and calls.imports else None
    if calls is not None and not calls.imports:
        found = [calls]
    return found if found and not is_bound(call, found) else None


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
    return done(call, sources)


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
    return done(call)


# -- Ruby


def _ruby(call: Call) -> Stream | None:
    line = _line(call, _RUBY_OPTION)
    calls = plain_calls("\n".join(line.codes), "ruby") if line is not None else None
    if line is None or calls is None or not all(is_plain_file(field) for field in line.files):
        return None
    if line.suffix is not None:
        return None if calls.reads or calls.writes or calls.loads else _edited(call, line.files, line.suffix)
    if (calls.writes or calls.appends) and line.files:
        return None
    sources: tuple[Resource, ...] = ()
    for field in line.files:
        sources = merge(sources, call.read(field))
    return with_files(call, "ruby", (calls,), sources)


# -- the others


def _code(call: Call, language: str) -> Stream | None:
    args = [field for field in call.args if field.text not in _PLAIN_OPTIONS.get(language, ())]
    if len(args) != 2 or args[0].text not in _CODE_OPTIONS[language] or not all(field.known for field in call.args):
        return None
    code = args[1].text
    if language in _PROJECT and _PROJECT[language].fullmatch(code):
        starts(call, language)
        runs(call, Field(text="test/runtests.jl"))
        call.mention_text(code)
        for name in dict.fromkeys(_QUOTED.findall(code)):
            path = call.place(Field(text=name)).path
            if path is not None and call.shell.authored(path):
                name_source(call, path)  # a document has code in it, whatever its name ends in
        return call.opaque("program", reason="the packages and tests of the project")
    found = _with_imports(call, code, language)
    out = with_files(call, language, found) if found else None
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
