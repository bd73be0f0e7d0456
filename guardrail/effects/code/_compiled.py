"""Sources in Go, Rust and Java that only compute and print: what is made of nothing but those is no script of its own.

Not concerned with C, where a program can reach beyond its own words. In the others what touches files, programs or the
network has to be imported, or named, by words that stand in the source; so a source that has none of these does not.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator
from typing import Any, Final

import msgspec

from guardrail.effects.code._told_java import IMPORTS, starts_itself
from guardrail.effects.code._told_java import without_told as without_told_java
from guardrail.effects.code._told_rust import without_told as without_told_rust
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import escape, place
from guardrail.patterns import lazy

MAX_PLAIN_BYTES: Final = 64 * 1024
"""Largest source that is looked at, in bytes."""

_GO_IMPORTS: Final = frozenset(
    "bufio bytes cmp container/heap container/list container/ring context crypto/md5 crypto/rand crypto/sha1 "
    "crypto/sha256 crypto/sha512 encoding/base64 encoding/binary encoding/csv encoding/hex encoding/json "
    "errors flag fmt hash/crc32 hash/fnv io iter log maps math math/big math/bits math/cmplx math/rand math/rand/v2 "
    "net/http os regexp slices sort strconv strings sync sync/atomic testing text/tabwriter time unicode "
    "unicode/utf8".split()
)
"""Packages of Go that only compute, or print to what is open; of some only the members below may be named."""

_GO_TEXT: Final = lazy(r'"(?:[^"\\\n]|\\.)*"|`[^`]*`|\'(?:[^\'\\\n]|\\.)+\'')
_GO_COMMENT: Final = lazy(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_GO_PART: Final = lazy(rf"{_GO_TEXT.pattern}|{_GO_COMMENT.pattern}", re.DOTALL)
_GO_IMPORT: Final = lazy(r'^import[ \t]+(?:"([^"\n]+)"|\(([^)]*)\))[ \t]*$', re.MULTILINE)
_GO_LISTED: Final = lazy(r'(?<![ \t])[ \t]*+(?:"([^"\n]+)"|//[^\n]*+)?[ \t]*+(?:\n|$)')
_GO_OS: Final = lazy(r"\bos\b(?!\.(?:Args|Exit|Stdin|Stdout|Stderr)\b)")
_GO_SERVING: Final = lazy(
    r"\bhttp\b(?!\.(?:HandleFunc|Handle|HandlerFunc|Handler|ListenAndServe|NewServeMux|ServeMux|ResponseWriter|Request"
    r"|Error|NotFound|Server|ErrServerClosed|StatusText|TimeoutHandler|Status[A-Z]\w*|Method[A-Z]\w*)\b)"
)
"""What of the server is more than to answer with what is computed: clients, and whatever hands out files."""

_GO_TOLD: Final = lazy(r"\bos\.(?:Open|ReadFile|Stat)\(\s*(?:os\.Args\[\d\]|flag\.Arg\(\d\)|(?P<name>[a-z]\w*))\s*\)")
"""A file is read whose name is an argument: what a program is handed is named where it runs."""

_GO_GIVEN: Final = (
    r"\b{0}\s*:=\s*(?:os\.Args\[\d\]|flag\.Arg\(\d\))\s*\n"
    r"|\bfor\s+_,\s*{0}\s*:=\s*range\s+(?:flag\.Args\(\)|os\.Args\[1:\])(?=\s*\{{)"
)
_GO_ARGUMENTS: Final = lazy(
    r"[\w.]\(\s*os\.Args\[\d\]\s*\)(?!\s*[=,])|:=\s*os\.Args\[\d\]\s*\n|\blen\(os\.Args\)"
    r"|\brange\s+(?:flag\.Args\(\)|os\.Args\[1:\])(?=\s*\{)"
    r"|\bflag\.(?:Parse\(\)|Arg\(\d\)|NArg\(\)|PrintDefaults\(\)|(?:Bool|Int|Int64|Uint|Float64|Duration|String)\()"
)
"""Looks at arguments by which they stay what the program was started with."""


_GO_REACHING: Final = lazy(
    r"\.\s*(?:Chmod|Chown|Chdir|Truncate|SyscallConn|Fd|ReadDir|Readdir|Readdirnames|SetOutput|LoadLocation|ListenAndServeTLS"
    r"|ServeTLS|Client|Push|Hijack|Benchmark)\b"
)
"""Members by which something open is more than read and written."""

_GO_MODULE: Final = lazy(r"(?:\s*(?:module\s+\S+|go\s+[\d.]+|//[^\n]*)\s*\n)*\s*")

_RUST_PART: Final = lazy(
    r'b?"(?:[^"\\]|\\.)*"|\'(?:[^\'\\\n]|\\(?:x..|u\{\w+\}|.))\'|//[^\n]*|/\*(?:(?!/\*).)*?\*/', re.DOTALL
)
_RUST_REACHING: Final = lazy(
    r"\b(?:fs|net|process|os|ffi|arch|path|Path|PathBuf|unsafe|extern|asm|global_asm|naked_asm|include|include_str"
    r"|include_bytes|mod|macro|no_mangle|export_name|link|link_name|link_section|proc_macro|alloc|panic_handler|feature"
    r"|File|OpenOptions|Command|TcpStream|TcpListener|UdpSocket)\b|\benv\b(?!\s*::\s*args\b)|\br#|#\s*!\s*\["
)
"""Words of Rust by which a program reaches beyond its own memory, or takes in other sources."""


def plain_parts(call: Call, paths: Collection[str]) -> frozenset[str]:
    """Those of some files of the session's that do no more, in a program, than compute and print.

    Args:
        call: the compiler.
        paths: what the session wrote, in earlier calls and in this one.
    """
    if call.shell.loops:
        return frozenset()  # what is written later is there when it is built again
    return frozenset(path for path in paths if may_be_plain(path) and is_plain_part(call, path))


def may_be_plain(path: str) -> bool:
    """A file is of a kind of which it is told whether it only computes."""
    return path.endswith(_ENDINGS)


_ENDINGS: Final = (".go", ".rs", ".java", "/go.mod", "/go.sum", "/Cargo.toml", "/Cargo.lock")


def is_plain_part(call: Call, path: str) -> bool:
    """The same of one file, with the others that lie beside it, whose names it may use."""
    folder, _, name = path.rpartition("/")
    view = call.shell.view
    if name == "go.sum":
        return True
    if name == "go.mod":
        text = _text(call, path)
        return text is not None and _GO_MODULE.fullmatch(text) is not None
    if name.endswith(".go"):
        beside = view.glob(f"{escape(folder)}/*.go")
        # A package is built without its tests.
        others = [one for one in beside or () if view.real(one) != path and not one.endswith("_test.go")]
        own = beside is not None and all(call.shell.authored(one) for one in others)
        # What one file is told, another of the package may change.
        parts = dict.fromkeys((path, *others))
        alone = sum(not one.endswith("_test.go") for one in parts) == 1
        return own and all(_is_plain_go(_text(call, one), alone=alone and not _says_flag(call, one)) for one in parts)
    if name.endswith(".java"):
        return _is_plain_java_beside(call, folder)
    if name == "Cargo.toml":
        return _is_plain_manifest(_manifest(call, path))
    if name == "Cargo.lock":
        return is_plain_part(call, f"{folder}/Cargo.toml")
    return name.endswith(".rs") and _is_plain_rust(_text(call, path), _crates(call, path))


def _says_flag(call: Call, path: str) -> bool:
    """A test may give that name another meaning, where it is built with its package."""
    return path.endswith("_test.go") and re.search(r"\bflag\b", _text(call, path) or "flag") is not None


def _text(call: Call, path: str) -> str | None:
    data = call.content(place(path, None))
    if data is None or len(data) > MAX_PLAIN_BYTES:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _crates(call: Call, path: str) -> frozenset[str] | None:
    """Crates that a source may use by their names; none outside of packages, None where it reaches more than names.

    In a package only the root of a program stands alone: a module is handed what others have, and uses their macros.
    """
    folder = path.rpartition("/")[0]
    while folder:
        if call.shell.view.kind(f"{folder}/Cargo.toml") is not None:
            found = _manifest(call, f"{folder}/Cargo.toml")
            alone = _ROOT.fullmatch(path.removeprefix(f"{folder}/")) is not None
            return _named_crates(found[0]) if found is not None and alone else None
        folder = folder.rpartition("/")[0]
    return frozenset()


_ROOT: Final = lazy(r"src/main\.rs|(?:src/bin|examples)/[\w-]+\.rs")
_PLAIN_PACKAGE: Final = frozenset(
    "name version edition authors description license publish rust-version readme repository keywords".split()
)
_PLAIN_MANIFEST: Final = frozenset("package profile dependencies dev-dependencies build-dependencies".split())


class _Needs(msgspec.Struct, frozen=True, rename="kebab"):
    """The crates that a package, or a target of one, depends on."""

    dependencies: dict[str, Any] = {}
    dev_dependencies: dict[str, Any] = {}
    build_dependencies: dict[str, Any] = {}

    def names(self) -> Iterator[str]:
        """Their names, as the manifest has them."""
        yield from (*self.dependencies, *self.dev_dependencies, *self.build_dependencies)


class _Manifest(_Needs, frozen=True, rename="kebab"):
    """What counts in a `Cargo.toml`."""

    package: dict[str, Any] = {}
    lib: dict[str, Any] = {}
    target: dict[str, _Needs] = {}


def _manifest(call: Call, path: str) -> tuple[_Manifest, frozenset[str]] | None:
    """A manifest, and the names of all of its tables; None if it cannot be read."""
    text = _text(call, path)
    try:
        table = tomllib.loads(text) if text is not None else None
        return None if table is None else (msgspec.convert(table, _Manifest), frozenset(table))
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError):
        return None


def _named_crates(manifest: _Manifest) -> frozenset[str]:
    """The crates of a package, itself included."""
    own = (str(one.get("name", "")) for one in (manifest.package, manifest.lib))
    others = (name for needs in (manifest, *manifest.target.values()) for name in needs.names())
    return frozenset(name.replace("-", "_") for name in (*own, *others) if name)


def _is_plain_manifest(found: tuple[_Manifest, frozenset[str]] | None) -> bool:
    """A package that takes in nothing of others, and whose building runs nothing."""
    if found is None:
        return False
    manifest, tables = found
    plain = tables <= _PLAIN_MANIFEST and manifest.package.keys() <= _PLAIN_PACKAGE
    return plain and next(manifest.names(), None) is None


def _is_plain_go(text: str | None, *, alone: bool) -> bool:
    if text is None or "//go:" in text or "//line" in text or "// +build" in text or "/*line" in text:
        return False
    shown = _GO_PART.sub(lambda part: part[0] if part[0][:1] == '"' else " ", text)
    imported: list[str] = []
    for match in _GO_IMPORT.finditer(shown):
        if match[1]:
            imported.append(match[1])
            continue
        imported += [line[1] for line in _GO_LISTED.finditer(match[2]) if line[1]]
        if _GO_LISTED.sub("", match[2]).strip():
            return False  # a name of its own for a package
    code = _GO_IMPORT.sub("", shown)
    code = _GO_TEXT.sub(" ", code)
    if re.search(r"\bimport\b", code) or not _GO_IMPORTS.issuperset(imported):
        return False
    code = _without_told(code) if alone else code
    if "testing" in imported and re.search(r"\btesting\b(?!\.(?:TB?|B|F|M|Short|Verbose)\b)", code) is not None:
        return False
    if "net/http" in imported and _GO_SERVING.search(code) is not None:
        return False
    return _GO_OS.search(code) is None and _GO_REACHING.search(code) is None and '"' not in code and "`" not in code


def _without_told(code: str) -> str:
    """A source of Go without reads of files that its arguments name, if nothing else can come to be those names."""
    names = {match["name"] for match in _GO_TOLD.finditer(code)} - {None}
    if _GO_TOLD.search(code) is None or re.search(r"\b(?:os\.Args|flag)\b", _GO_ARGUMENTS.sub("", code)) is not None:
        return code
    for name in names:
        given = re.compile(_GO_GIVEN.format(name))
        uses = re.compile(
            rf"(?<![\w.])(?:os\.(?:Open|ReadFile|Stat)|fmt\.(?:S|F)?Print\w*|fmt\.Errorf|log\.\w+)\([^()&\n]*\b{name}\b[^()&\n]*\)"
        )
        rest = uses.sub("", given.sub("", code))
        # Whatever else the name stands for, or is given, somewhere in the source, is not followed.
        if len(given.findall(code)) != 1 or re.search(rf"(?<![\w.]){name}\b", rest) is not None:
            return code
    return _GO_TOLD.sub("0", code)


_JAVA_PART: Final = lazy(
    r'"""(?:[^\\]|\\.)*?"""|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)+\'|//[^\n]*|/\*.*?\*/', re.DOTALL
)
_JAVA_IMPORT: Final = lazy(r"\bimport\s++([\w.*\s]++);")
_JAVA_IMPORTS: Final = lazy(
    r"java\.util\.(?:function\.|stream\.|regex\.|concurrent\.(?:atomic\.|locks\.)?)?(?:\w+|\*)"
    r"|java\.(?:math|time|text)\.(?:\w+|\*)|java\.nio\.charset\.StandardCharsets|static java\.lang\.Math\.(?:\w+|\*)"
    r"|java\.io\.(?:BufferedReader|InputStreamReader|(?:Unchecked)?IOException|EOFException|Serializable|String(?:Reader|Writer)"
    r"|ByteArray(?:In|Out)putStream)"
)
_JAVA_SYSTEM: Final = lazy(
    r"\bSystem\b(?!\s*\.\s*(?:out|err|in|exit|currentTimeMillis|nanoTime|arraycopy|lineSeparator|identityHashCode)\b)"
)
_JAVA_REACHING: Final = lazy(
    r"\b(?:Runtime|Process|ProcessBuilder|ProcessHandle|Class|ClassLoader|ClassValue|Module|ModuleLayer|StackWalker|Formatter"
    r"|ServiceLoader|\w*ResourceBundle|Compiler|SecurityManager|InheritableThreadLocal|ObjectInputStream|PrintStream"
    r"|getClass|getDeclaringClass|forName|newInstance|getResource\w*|getContextClassLoader|invoke\w*|native|module|package"
    r"|java|javax|jdk|sun|com|org|net|io|class(?=\s*\.)|\w*ZoneRules\w*|Path|Files?|FileHandler|Preferences)\b"
    r"|\.\s*class\b|@\s*(?!Override\b|FunctionalInterface\b|SafeVarargs\b|SuppressWarnings\b|Deprecated\b)\w"
)
"""Words of Java by which a program reaches beyond its own memory, names classes as texts, or takes in other code."""


_JAVA_HEAD: Final = lazy(r"(?<![\w.])(?<!\.\s)(?!(?:this|super)\b)([a-z_]\w*)\s*\.(?!\.)")
_JAVA_DECLARED: Final = lazy(
    r"[\w>\]]\s+(?<!return )(?<!throw )([a-z_]\w*)\s*(?=[=;,:)\[])|\b([a-z_]\w*)\s*->"
    r"|[(,]\s*([a-z_]\w*)\s*(?=,[\w\s,]{0,256}+\)\s*->|\)\s*->)"
)


def declared_classes(text: str) -> set[str]:
    """The classes that a source of Java declares."""
    return set(re.findall(r"\b(?:class|interface|enum|record)\s+(\w+)", text))


def _is_plain_java_beside(call: Call, folder: str) -> bool:
    """All sources of a directory, which see each other; and no class there but what is made of them."""
    view, here = call.shell.view, escape(folder)
    sources, classes = view.glob(f"{here}/*.java"), view.glob(f"{here}/*.class")
    if not sources or classes is None or not all(call.shell.authored(one) for one in sources):
        return False
    texts = [_text(call, one) for one in sources]
    made = {name for text in texts for name in declared_classes(text or "")}
    others = {one.rpartition("/")[2].removesuffix(".class").partition("$")[0] for one in classes}
    return others <= made and all(map(_is_plain_java, texts))


def _is_plain_java(text: str | None) -> bool:
    if text is None or "\\u" in text:
        return False
    code = _JAVA_PART.sub(" ", text)
    imports = [" ".join(match[1].split()) for match in _JAVA_IMPORT.finditer(code)]
    rest = _JAVA_IMPORT.sub(" ", code)
    if re.search(r"\bimport\b", rest) or not all(one in IMPORTS or _JAVA_IMPORTS.fullmatch(one) for one in imports):
        return False
    rest = without_told_java(rest) if IMPORTS.intersection(imports) else rest
    if (
        starts_itself(rest)
        or _JAVA_REACHING.search(rest) is not None
        or _JAVA_SYSTEM.search(rest) is not None
        or '"' in rest
    ):
        return False
    # What a dot stands behind that is no variable is a package of the project.
    declared = {name for names in _JAVA_DECLARED.findall(rest) for name in names if name}
    return declared.issuperset(_JAVA_HEAD.findall(rest))


def _is_plain_rust(text: str | None, crates: frozenset[str] | None) -> bool:
    if text is None or crates is None:
        return False
    code = without_told_rust(_RUST_PART.sub(" ", text))
    if _RUST_REACHING.search(code) is not None or '"' in code or "/*" in code:
        return False
    # In a package a macro, and a name below `crate`, may be another file's.
    inner = _named_in(code) & {*crates, "crate", "super"} if crates else ()
    macros = (match[1] for match in _RUST_MACRO.finditer(code)) if crates else ()
    derived = (name for match in _RUST_ATTRIBUTE.finditer(code) for name in _RUST_WORD.findall(match[1]))
    return not inner and _RUST_MACROS.issuperset(macros) and (not crates or _RUST_ATTRIBUTES.issuperset(derived))


def _named_in(code: str) -> set[str]:
    """Words of a source that may name a crate: what is brought in, and what a path begins with."""
    brought = (word for match in _RUST_USE.finditer(code) for word in _RUST_WORD.findall(match[0]))
    return {*brought, *(match[1] for match in _RUST_HEAD.finditer(code))}


_RUST_USE: Final = lazy(r"\b(?:use|extern)\b[^;]*")
_RUST_HEAD: Final = lazy(r"\b([A-Za-z_]\w*)\s*::")
_RUST_WORD: Final = lazy(r"\b[A-Za-z_]\w*")
_RUST_MACRO: Final = lazy(r"\b(\w+)\s*!(?!=)")
_RUST_ATTRIBUTE: Final = lazy(r"#\s*+!?\s*+\[([^\]]*+)(?:\]|\Z)")
_RUST_MACROS: Final = frozenset(
    "println print eprintln eprint format write writeln vec assert assert_eq assert_ne debug_assert "
    "debug_assert_eq panic todo unimplemented unreachable dbg matches concat stringify line file column "
    "thread_local format_args".split()
)
"""Macros of the standard library that only compute and print."""

_RUST_ATTRIBUTES: Final = frozenset(
    "derive Debug Clone Copy PartialEq Eq PartialOrd Ord Hash Default allow warn deny dead_code unused "
    "unused_variables unused_mut unused_imports inline always never must_use cfg test repr u8 u16 u32 u64 i32 i64 "
    "non_snake_case".split()
)
"""Words of attributes that run no code of others."""
