"""Compilers: what they make, and whether that is made of nothing but sources that lie in files.

Not concerned with who wrote the sources. A program `built` of them is the session's own if the session wrote what may
be one of them, which only its history can say; wherever words of the call have a part in it, it simply was written.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.code._compiled import plain_parts
from guardrail.effects.code._programs import run_nested
from guardrail.effects.code._scripts import note_run
from guardrail.effects.code._sources import build_of, own_part, place_of, plain_sources
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._looking import builder
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import basename
from guardrail.effects.domain._values import DEEP, NAME, NUM, PATH, SLIM, TOP, Field, Stream
from guardrail.model import Resource
from guardrail.patterns import lazy

_PRINTING: Final = frozenset("-E -M -MM -fsyntax-only --version --help -dumpversion -dumpmachine -v -###".split())
"""Options with which a compiler makes no file."""

_STEERING: Final = lazy(
    r"(?:CPLUS|C|OBJC)_INCLUDE_PATH|CPATH|LIBRARY_PATH|COMPILER_PATH|GCC_.*|LD_.*|CCC?_.*|TMPDIR|RUST.*|CARGO.*|GO.*|CGO_.*"
    r"|CLASSPATH|J(?:AVA|DK).*|_JAVA_OPTIONS|GHC.*|HASKELL.*|OCAML.*|CAML.*|NIM.*|ZIG.*|CRYSTAL.*|SWIFT.*|KOTLIN.*"
)
"""Variables that say where sources and tools are found, or what is done besides."""

_HARMLESS: Final = lazy(
    r"RUST_(?:LOG|BACKTRACE)|CARGO_(?:TERM_\w+|INCREMENTAL|NET_\w+)|GO(?:OS|ARCH|ARM|AMD64|MAXPROCS|GC|MEMLIMIT"
    r"|DEBUG|111MODULE)|CGO_ENABLED"
)
"""Those of them that put nothing into the program."""

_RUST_FLAGS: Final = lazy(r"(?:\s*+-C\s?(?!linker|link-|ar=)[\w-]++(?:=[\w-]++)?)*+\s*+")

_SHARED: Final = lazy(r"(?:/var)?/tmp/*(?:/[^/]+\.[^/]+)?")
"""A directory where results of all sorts lie, without an ending to their names, or a source in it."""

_WORDS: Final[Mapping[str, re.Pattern[str]]] = {
    "c": lazy(
        r"-(?:O\w*|g\w*|W[a-z][\w+-]*(?:=\w+)?|std=[\w+]+|f(?![\w-]*(?:plugin|profile|dump|use-ld))[\w-]+(?:=[\w,+-]+)?"
        r"|m[\w.-]+(?:=[\w.+-]+)?|pthread|shared|static|static-libgcc|static-libstdc\+\+|no-pie|pie|c|S|ansi|pedantic"
        r"|pipe|rdynamic|s|M?MD|MP|D\w+(?:=[\d.]+)?|[lIL][\w./+-]+)"
    ),
    "rustc": lazy(
        r"-[Og]|-C(?!linker|link-|ar=)[\w-]+(?:=[\w-]+)?|--edition=\d+|--crate-(?:name|type)=[\w-]+|--test|--out-dir=\S+"
    ),
    "ghc": lazy(r"-O\d?|-W[\w-]*|-threaded|-rtsopts|-dynamic|-static|--make|-v\d?|-X\w+"),
    "javac": lazy(r"-g(?::\w+)?|-Xlint(?::[\w,-]+)?|-nowarn|-deprecation|-parameters|-proc:none|-Werror|-verbose"),
    "go": lazy(
        r"-[vxaniw]|-(?:race|msan|asan|trimpath|work|cover|mod=(?:readonly|vendor|mod)|buildvcs=\w+|p=\d+|tags=[\w,]+)"
        r"|-ldflags=(?:-[sw] ?)+"
    ),
    "": lazy(r"-O\w*|-g|--release|-release|-w|-nologo|-optimize\+?"),
}
"""Options of compilers that put no text of their own into the program; of those without a name, the last."""

_TAKING: Final[Mapping[str, Mapping[str, str]]] = {
    "c": {"-o": r".+", **dict.fromkeys(("-I", "-L", "-isystem", "-iquote", "-MF", "-MT"), r".+"), "-l": r"[\w.+-]+"},
    "rustc": {
        **dict.fromkeys(("-o", "--out-dir"), r".+"), "-C": r"(?!linker|link-|ar=)[\w=-]+",
        **dict.fromkeys(("--edition", "--crate-name", "--crate-type"), r"[\w-]+"),
    },
    "ghc": {"-o": r".+", "-outputdir": r".+"},
    "javac": {"-d": r".+", **dict.fromkeys(("-cp", "-classpath", "--class-path"), r".+"),
              **dict.fromkeys(("--release", "-source", "-target", "-encoding"), r"[\w.-]+")},
    "go": {"-o": r".+", "-ldflags": r"(?:-[sw] ?)+", "-tags": r"[\w,]+", "-p": r"\d+", "-mod": r"readonly|vendor|mod"},
    "": {"-o": r".+", "-d": r".+"},
}  # fmt: skip
"""Options whose value is the next word, and what that may be."""

_SOURCE: Final = lazy(
    r".*\.(?:c|cc|cpp|cxx|c\+\+|C|h|hh|hpp|m|mm|cu|s|S|asm|f|f90|f95|for|o|a|so|rs|go|java|kt|kts|scala|hs|lhs|swift|pas|pp|vala|adb|ads"
    r"|ml|mli|erl|ex|cs|vb|fs|d|nim|cr|v|zig|dart|jar|class|lean|cob|cbl)"
)
"""Names of what compilers read as their own language."""

_RUN: Final = lazy(r".*\.(?:go|rs|java|kt|nim|cr|v|zig|dart|swift|jar|class|cs|fsx|gleam)")
"""Names of what is compiled and run at once."""

_STEM_OF: Final[Mapping[str, str]] = {
    "rustc": "", "ghc": "", "swiftc": "", "fpc": "", "valac": "", "gnatmake": "", "dmd": "", "ldc2": "",
    "mcs": ".exe", "csc": ".exe", "vbc": ".exe", "fsc": ".exe", "javac": ".class", "kotlinc": "Kt.class",
    "scalac": ".class", "erlc": ".beam", "ocamlc": "a.out", "ocamlopt": "a.out", "ocamlfind": "a.out", "gccgo": "a.out",
}  # fmt: skip
"""What a compiler adds to the name of its source where no option names the result; `a.out` stands for itself."""


def compiler(call: Call, parsed: Parsed) -> Stream:
    """A C compiler, which without `-o` makes up the name of what it writes."""
    if any(_RUNNING.fullmatch(field.text) for field in call.args):
        return _at_once(call, parsed)
    before = len(call.shell.emit.effects)
    out = builder(call, parsed)
    words = {field.text for field in call.args}
    if words & _PRINTING or parsed.unknown:
        return out
    made = next((suffix for option, suffix in (("-c", ".o"), ("-S", ".s")) if option in words), None)
    sources = [field for field in parsed.operands if field.known and field.text != "-"]
    target = parsed.value("-o")
    if target is None and made is None and sources:
        call.put("write", call.place(Field(text="a.out")), ())
    for field in sources:
        stem = basename(field.text).rpartition(".")[0]
        if made is not None and target is None and stem:
            call.put("write", call.place(Field(text=f"{stem}{made}")), ())
        if words & {"-MD", "-MMD"} and stem:
            # What it depends on is noted beside what is made.
            noted = target.text.rpartition(".")[0] if target is not None else stem
            with call.perhaps():
                call.put("write", call.place(Field(text=f"{noted}.d")), ())
    _note_built(call, before, _of_files(call, "c"), "c")
    return out


_RUNNING: Final = lazy(r"-+run(?:[ =,].*)?")


def _at_once(call: Call, parsed: Parsed) -> Stream:
    """`tcc -run FILE …`, `dmd -run FILE …`: what is compiled is run, and nothing of it is left."""
    sources = [call.place(field).path for field in call.args if _SOURCE.fullmatch(field.text)]
    _run_built(call, "c" if call.name == "tcc" else "any", sources)
    for field in call.args:
        place = call.place(field)
        if field.text[:1] not in ("-", "") and place.path is not None and _may_lie(call, place):
            note_run(call, place)
    if call.stdin.connected:
        return call.opaque("dynamic", reason="what is compiled and run comes in")
    return builder(call, parsed)


def _may_lie(call: Call, place: Resource) -> bool:
    """A file is there, or this call may have put one there."""
    return place.path is not None and (call.kind(place) == "file" or call.shell.emit.changed(place.path))


def translator(call: Call, parsed: Parsed) -> Stream:
    """A compiler of another language; where no option names what it makes, its source does."""
    if any(_RUNNING.fullmatch(field.text) for field in call.args):
        return _at_once(call, parsed)
    before, plain = len(call.shell.emit.effects), plain_sources(call)
    out = builder(call, parsed)
    name = call.name
    if {field.text for field in call.args} & _PRINTING or name not in _STEM_OF:
        return out
    given = [field.text for field in call.args]
    folder = next((text for before, text in itertools.pairwise(given) if before == "--out-dir"), "")
    if folder or parsed.value("-o") is None:
        for text in _made_of(call, parsed):
            with call.perhaps():
                call.put("write", call.place(Field(text=f"{folder}/{text}" if folder else text)), ())
    _note_built(call, before, _of_files(call, name if name in _WORDS else ""), _READS.get(name, "any"), plain)
    return out


def _made_of(call: Call, parsed: Parsed) -> Iterator[str]:
    """The names that results get of those of their sources."""
    ending = _STEM_OF[call.name]
    if ending == "a.out":
        yield ending
        return
    named = parsed.value("--crate-name")
    for field in parsed.operands:
        folder, slash, name = field.text.rpartition("/")
        stem = named.text if named is not None else name.rpartition(".")[0]
        if not field.known or not stem or not _SOURCE.fullmatch(field.text):
            continue
        if call.name == "rustc":
            stem = stem.replace("-", "_")
            yield from (stem, f"lib{stem}.rlib", f"lib{stem}.so", f"lib{stem}.a")
        else:
            # Some write beside the source, some where they run.
            yield from dict.fromkeys((f"{folder}{slash}{stem}{ending}", f"{stem}{ending}"))


def go_build(call: Call, parsed: Parsed) -> Stream:
    """`go build`: a program of the package's name, or where `-o` says."""
    before, plain = len(call.shell.emit.effects), plain_sources(call)
    out = builder(call, parsed)
    target = parsed.value("-o")
    packages = [field for field in parsed.operands if field.known] or [Field(text=".")]
    if target is not None and (target.text.endswith("/") or call.kind(call.place(target)) == "dir"):
        names = [f"{target.text.rstrip('/')}/{name}" for name in _programs(call, packages)]
    elif target is not None:
        names = [target.text]
    else:
        names = list(_programs(call, packages)) if len(packages) == 1 or _is_go(packages[0]) else []
    for name in names:
        with call.perhaps(target is None):
            call.put("write", call.place(Field(text=name)), ())
    _note_built(call, before, _of_files(call, "go", packages=True), "go", plain)
    return out


def _is_go(field: Field) -> bool:
    return field.text.endswith(".go")


def _programs(call: Call, packages: Sequence[Field]) -> Iterator[str]:
    for field in packages[:1] if _is_go(packages[0]) else packages:
        text = field.text.rstrip("/")
        if _is_go(field):
            yield basename(text)[:-3]
        elif text in (".", "..", ""):
            where = call.place(field).path
            yield from (basename(where.rstrip("/").removesuffix("/.")),) if where else ()
            module = call.content(call.place(Field(text="go.mod"))) or b""
            named = re.match(rb"\s*module\s+(\S+)\s", module + b"\n")
            name = re.sub(rb"/v\d+\Z", b"", named[1]).strip(b'"`').rpartition(b"/")[2] if named else b""
            yield from (name.decode("utf-8", "replace"),) if name else ()
        elif not text.endswith("..."):
            yield basename(text)


def running(call: Call, _parsed: Parsed) -> Stream:
    """`go run`, `cargo run`, `java`: sources are compiled, or what was compiled is found, and run."""
    if any(field.text == "-jar" for field in call.args):
        out = call.opaque("program")
    else:
        out = _run_built(call, *_run_of(call))
    for field in call.args:
        place = call.place(field)
        if field.known and _RUN.fullmatch(field.text) and place.path is not None:
            authored = call.shell.emit.changed(place.path)
            real = call.shell.view.real(place.path)
            if call.shell.authored(place.path) and plain_parts(call, (real,)):
                continue
            if authored or call.shell.view.kind(place.path) == "file":
                call.script(place, authored=authored)
    run_nested(call)
    return out


def _run_of(call: Call) -> tuple[str, Sequence[str | None]]:
    """What is read to make a program that runs at once, and where that is looked for."""
    tool = call.name.partition(" ")[0]
    words = [field.text for field in call.args]
    options = words[: next((i for i, word in enumerate(words) if word[:1] != "-" or word == "--"), len(words))]
    if tool not in _AT_ONCE or not all(field.known for field in call.args[: len(options) + 1]):
        return "any", ()
    reads, plain = _AT_ONCE[tool]
    if tool != "java" and not all(plain.fullmatch(word) for word in options):
        return "any", ()
    named = [".", *(word for word in words if word[:1] != "-" and word)] if tool != "cargo" else ["."]
    if tool == "go":
        named = [".", *_packages_run([word for word in words[len(options) :] if word])]
    if tool == "cargo":
        named += [after for word, after in itertools.pairwise(words) if word == "--manifest-path"]
        named += [word.partition("=")[2] for word in words if word.startswith("--manifest-path=")]
    if tool == "java":
        named = [".", *(word for word in _class_run(words) if word[:1] != "-" and word)]
        named = [part for word in named for part in word.removeprefix("@").split(":") if part]
    places = [call.place(Field(text=text)).path for text in named]
    there = [path for path in places if path is None or call.shell.view.kind(path) is not None]
    return reads, there


def _class_run(words: Sequence[str]) -> Sequence[str]:
    """Of the words for `java` those up to the class, or the source, that runs; all where an option is not known."""
    at = 0
    while at < len(words) and words[at][:1] == "-":
        if words[at] not in ("-cp", "-classpath", "--class-path", "-ea") and not _SIZES.fullmatch(words[at]):
            return words
        at += 1 if words[at] == "-ea" or _SIZES.fullmatch(words[at]) else 2
    return words[: at + 1]


_SIZES: Final = lazy(r"-Xm[sx]\d+[kmgKMG]?")


def _packages_run(words: Sequence[str]) -> list[str]:
    """Of the words for `go run` those that are compiled: files of Go, or one package; others are for the program."""
    files = list(itertools.takewhile(lambda word: word.endswith(".go"), words))
    return files or list(words[:1])


_AT_ONCE: Final[Mapping[str, tuple[str, re.Pattern[str]]]] = {
    "go": ("go", _WORDS["go"]),
    "cargo": ("rust", lazy(
        r"-(?:v+|q|r)|--(?:release|quiet|verbose|locked|offline|frozen|all-features|no-default-features"
        r"|(?:bin|example|package|features|profile|target|manifest-path|color)(?:=.*)?)"
    )),
    "java": ("java", lazy("")),
}  # fmt: skip
"""Programs that compile and run, what they read, and options that add nothing to it."""


def _run_built(call: Call, reads: str, places: Sequence[str | None]) -> Stream:
    """A program is made and runs; if a file of the session's may be a part of it, that is named."""
    if call.shell.contents.vague() or _steered(call):
        return call.opaque("program", attrs={"authored": True})
    build = build_of(call, reads, places)
    own = own_part(call, build)
    if own is not None:
        call.script(place_of(call, own), authored=True)
        return call.opaque("program", attrs={"authored": True})
    return call.opaque("program", attrs={"built": build})


# -- what is made of files alone


def _of_files(call: Call, kind: str, *, packages: bool = False) -> Sequence[str | None] | None:
    """Where the sources lie, if nothing but files that are sources by their names goes into what is made; else None."""
    if call.shell.contents.vague() or _steered(call) or any(field.sources for field in call.args):
        return None
    plain, taking = _WORDS[kind], _TAKING[kind]
    fields = list(call.args)
    named: list[str] = [] if kind == "c" else ["."]
    while fields:
        field = fields.pop(0)
        word = field.text
        if not field.known:
            # Names that a pattern or a lister gave: none of them is an option.
            if not field.named or not _SOURCE.fullmatch(word):
                return None
            named.append(_UNKNOWN.split(word, maxsplit=1)[0].rpartition("/")[0] or ".")
        elif word in taking:
            if not fields or not fields[0].known or re.fullmatch(taking[word], fields[0].text) is None:
                return None
            value = fields.pop(0).text
            named += [value] if word in _PLACES else []
        elif word[:1] == "-":
            if plain.fullmatch(word) is None:
                return None
            named += [word[2:]] if word[:2] in ("-I", "-L") else []
        elif word[:1] == "@" or not (packages or _SOURCE.fullmatch(word)):
            return None
        else:
            named.append(word)
    here = call.place(Field(text=".")).path
    places = [call.place(Field(text=text)).path for text in named]
    shared = any(path is None or _SHARED.fullmatch(posixpath.normpath(path)) for path in (*places, here))
    return None if shared else places


_UNKNOWN: Final = lazy(f"[{TOP}{NUM}{NAME}{PATH}{DEEP}{SLIM}*?\\[]")

_PLACES: Final = frozenset(("-I", "-L", "-isystem", "-iquote", "-cp", "-classpath", "--class-path"))
"""Options that name where more of the program is found."""


def _steered(call: Call) -> bool:
    """Whether a variable that this call set says what is compiled, or how."""
    for name, value in call.state.vars.items():
        if _STEERING.fullmatch(name) and not _HARMLESS.fullmatch(name):
            plain = name == "RUSTFLAGS" and all(_RUST_FLAGS.fullmatch(text) for text in value.alternatives)
            if not plain:
                return True
    return False


def _note_built(
    call: Call, before: int, places: Sequence[str | None] | None, reads: str, plain: Sequence[str] = ()
) -> None:
    """Say of what this command wrote that it is made of files, if none of those is one that the session wrote before.

    Args:
        call: the compiler.
        before: how many effects there were before its own.
        places: where its sources lie; None if more goes into what it makes.
        reads: what it reads.
        plain: sources of the session's that only compute.
    """
    if places is None:
        return
    build = build_of(call, reads, places, plain)
    if own_part(call, build) is not None:
        return  # what is written is the session's, like any other file
    emit = call.shell.emit
    for index in range(before, len(emit.effects)):
        effect = emit.effects[index]
        place = effect.target if effect.op == "copy" else effect.resource if effect.op == "write" else None
        if place is not None and place.path is not None:
            emit.effects[index] = msgspec.structs.replace(effect, attrs={**effect.attrs, "built": build})
            emit.built[place.path] = (len(emit.effects), build)


_READS: Final = {"rustc": "rust", "javac": "java"}
"""What translators read by themselves, where `_built` knows it."""


FAMILIES: Final[Mapping[str, Family]] = {
    "compiler": compiler,
    "go_build": go_build,
    "running": running,
    "translator": translator,
}
"""What `code` of a spec may say, for this module."""
