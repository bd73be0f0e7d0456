"""Files of the session's that a tool runs by itself, and that do no more than say how it is to work.

Not concerned with the paths in them: those are named to the tool as they stand. A file counts as one of these only if
every text in it stands there as it is, and none of its words reaches files or programs.
"""

from __future__ import annotations

import re
from typing import Final

from guardrail.effects.code._recipes import run_recipes
from guardrail.effects.code._scripts import script_texts
from guardrail.effects.code.python._beside import check_module, module_name
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import Field
from guardrail.model import Resource
from guardrail.patterns import lazy

MAX_SETTLED: Final = 64 * 1024
"""Largest such file that is looked at, in characters."""

_RUN_AS_SCRIPTS: Final = frozenset(("setup.py", "build.py"))
_LOADED: Final = frozenset(("locustfile.py", "gunicorn.conf.py", "celeryconfig.py", "env.py"))

_SCRIPTED: Final = lazy(r"(?:[\w.-]+\.config|\.[\w-]+rc|jest\.setup)\.[cm]?[jt]s")
_MODULE: Final = lazy(r"\b(?:require\s*\(|from|import)\s*([\"'])([^\"'\n]*)\1")
_PACKAGE: Final = lazy(
    r"(?!node:|fs-|del\b|cpy|zx\b|exec|shell|cross-spawn|rimraf|glob|fast-glob|graceful-fs|mkdirp|mv\b|ncp\b|npm-run|node-pty|ssh)"
    r"(?!(?:assert|async_hooks|buffer|child_process|cluster|console|crypto|dgram|diagnostics_channel|dns|domain|events|fs"
    r"|http|http2|https|inspector|module|net|os|perf_hooks|process|punycode|querystring|readline|repl|stream|string_decoder"
    r"|sys|timers|tls|trace_events|tty|util|v8|vm|wasi|worker_threads|zlib)(?:/|$))@?[a-z][\w./-]*|(?:node:)?(?:path|url)"
)
"""The name of a package, of none that is known to reach files or programs; or a module that only computes."""

_COMPUTED: Final = lazy(
    r"\b(?:require(?!\s*\(\s*[\"'])|import\s*[(.](?!meta\.(?:url|dirname)\b)|eval|Function|constructor|global\w*|process(?!\.env\.(?:NODE_ENV|CI|PORT)\b)"
    r"|Deno|Bun|WebAssembly|Reflect|Proxy|fetch|XMLHttpRequest|__proto__|with|raw|atob|Buffer|fromCh\w*|fromCo\w*|replace\w*"
    r"|reverse|split|concat|slice|sub\w*|charAt|at|repeat|pad\w*|exec\w*|spawn\w*|fork|system|run\w*|writeFile\w*|decode\w*)\b"
    r"|(?<!path)\.join\b|\\[ux0-7]|\$\{|[\"'`)\]]\s*\+|\+\s*[\"'`]|\b(?!default\b|return\b)[\w$]+\s*\[|[)\]]\s*\[|createRequire|base64|#!"
)
"""What makes a text out of others, or reaches files and programs."""

_BUILT: Final = lazy(
    r"(?i)\b(?:execute_process|exec_program|file|add_custom_\w+|add_test|include|configure_file|install|find_(?:program|package|file"
    r"|path|library)|fetchcontent\w*|externalproject\w*|try_(?:run|compile)|cmake_language|write_file|load_\w+|macro|function"
    r"|string|list|math|option_?env|ctest_\w+|set_\w*propert\w+|build_command|add_subdirectory|subdirs|aux_source_directory)\s*\("
    r"|LAUNCHER|RULE_|_COMPILER\b|_LINKER\b|_(?:MODULE|PREFIX)_PATH\b|\$ENV|ENV\{|\[=*\[|@\w+@"
    r"|-wrapper|-fplugin|-specs|-fuse-ld|[\s\"']-B"
)
"""What a `CMakeLists.txt` does beyond naming programs and their sources."""

_USUAL: Final = lazy(
    r"(?i)\b(?:include\s*\(\s*(?:CTest|CPack|GoogleTest|FetchContent|GNUInstallDirs|Catch|CheckCXXCompilerFlag)\s*\)"
    r"|find_package\s*\((?![^)]*\b(?:PATHS|HINTS|CONFIGS|NAMES|PATH_SUFFIXES)\b)[\w\s.]+\)|file\s*\(\s*GLOB(?:_RECURSE)?\s+(?!CMAKE)[\w\s./*${}-]+\)|list\s*\(\s*APPEND\s+(?!CMAKE)[\w\s.${}-]+\)"
    r"|fetchcontent_declare\s*\(\s*\w+\s+(?:URL|GIT_REPOSITORY)\s+https://(?:github|gitlab)\.com/[\w./-]+"
    r"(?:\s+(?:GIT_TAG|GIT_SHALLOW|URL_HASH)\s+[\w.=-]+)*\s*\)|fetchcontent_makeavailable\s*\([\w\s-]+\)"
    r"|install\s*\(\s*TARGETS\s[\w\s-]+\)|set_target_properties\s*\(\s*[\w-]+\s+PROPERTIES"
    r"(?:\s+(?:C|CXX)_(?:STANDARD|STANDARD_REQUIRED|EXTENSIONS)\s+\w+)+\s*\))"
)
"""Of that what only finds libraries, lists sources, or brings those of a public place."""

_TEST: Final = lazy(r"(?i)\badd_test\s*\(\s*NAME\s+[\w.-]+\s+COMMAND\s+([\w-]+)((?:\s+[\w.=-]+)*)\s*\)")
_PROGRAM: Final = lazy(r"(?i)\badd_executable\s*\(\s*([\w-]+)\s+(?!IMPORTED|ALIAS)")

_MESON_CALL: Final = lazy(r"([\w.]+)\s*\(")
_MESON: Final = frozenset(
    "project executable library static_library shared_library both_libraries dependency include_directories test "
    "benchmark declare_dependency files get_option message warning error install_headers meson.project_version "
    "meson.project_name meson.get_compiler cc.find_library cpp.find_library cc.get_id add_project_arguments "
    "add_global_arguments summary assert environment".split()
)
"""What a `meson.build` calls that runs no command; a test runs a program that is built here."""

_MESON_ODD: Final = lazy(
    r"-wrapper|-fplugin|-specs|-fuse-ld|'-B|native\s*:|\bpython\b|foreach|@\w+@|'{3}|\\|exe_wrapper|rust_args|'/|'\.\.|'@|config-tool"
    r"|\binstall_dir\b"
)

_HOOKED: Final = lazy(
    r"\b(?:local|entry|language|additional_dependencies|meta|args|default_language_version|exec)\b|[&*!]\w"
)
"""What a list of hooks says beyond naming those of public places."""

_PUBLIC_HOOKS: Final = lazy(r"\brepo\s*:(?!\s*[\"']?https://(?:github|gitlab)\.com/)")


def is_settled(call: Call, place: Resource) -> bool:
    """Whether a file of the session's was looked into, or has nothing to be looked into.

    Args:
        call: the program that runs it by itself.
        place: the file.
    """
    path = place.path or ""
    name = path.rpartition("/")[2]
    if not call.shell.authored(path):
        return False
    if name in _RUN_AS_SCRIPTS:
        with call.perhaps():
            call.shell.again(call, (Field(text="python"), Field(text=path)), external=True)
        return True
    if name in _LOADED:
        check_module(call, module_name(call, path), path)
        return True
    if run_recipes(call, place):
        return True
    kind = _of_kind(name)
    texts = script_texts(call, place) if kind is not None else ()
    return bool(texts) and all(len(text) <= MAX_SETTLED and _says_no_more(kind, text) for text in texts)


def _of_kind(name: str) -> str | None:
    if name in ("CMakeLists.txt", ".pre-commit-config.yaml", "meson.build", "Gemfile"):
        return name
    return "node" if _SCRIPTED.fullmatch(name) is not None else None


def _says_no_more(kind: str | None, text: str) -> bool:
    if kind == "CMakeLists.txt":
        return _is_plain_cmake(text)
    if kind == "meson.build":
        calls = [match[1] for match in _MESON_CALL.finditer(_MESON_PART.sub(_blank, text))]
        if "files" in calls and {"test", "benchmark"}.intersection(calls):
            return False  # a test may be such a file
        return _MESON_ODD.search(text) is None and _MESON.issuperset(calls)
    if kind == "Gemfile":
        return all(_GEM.fullmatch(line) is not None for line in text.split("\n"))
    if kind == ".pre-commit-config.yaml":
        return _HOOKED.search(text) is None and _PUBLIC_HOOKS.search(text) is None
    modules = [match[2] for match in _MODULE.finditer(text)]
    return _COMPUTED.search(text) is None and all(_PACKAGE.fullmatch(name) is not None for name in modules)


_WORD: Final = r"(?:\"[\w.~<>=! -]+\"|'[\w.~<>=! -]+')"
_GEM: Final = lazy(
    r"\s*(?:#.*|source\s+[\"']https://rubygems\.org/?[\"']|ruby\s+{w}|end"
    r"|gem\s+{w}(?:\s*,\s*{w})*(?:\s*,\s*(?:require:\s*(?:false|true|{w})|groups?:\s*\[?\s*:\w+(?:\s*,\s*:\w+)*\s*\]?"
    r"|platforms?:\s*\[?\s*:\w+(?:\s*,\s*:\w+)*\s*\]?))*|group\s+:\w+(?:\s*,\s*:\w+)*\s+do)?\s*(?:#.*)?".replace(
        "{w}", _WORD
    )
)
"""A line of a `Gemfile` that names what a public place has."""

_MESON_PART: Final = lazy(r"'[^'\\\n]*'|#[^\n]*")


def _blank(part: re.Match[str]) -> str:
    return "''" if part[0][0] == "'" else ""


_CMAKE_PART: Final = lazy(r"\\.|\"(?:[^\"\\]|\\.)*\"|#[^\n]*", re.DOTALL)
_CMAKE_CALL: Final = lazy(r"(\w+)\s*\(")
_CMAKE: Final = frozenset(
    "cmake_minimum_required project set unset option add_executable add_library target_link_libraries "
    "target_include_directories target_compile_features target_compile_definitions target_compile_options "
    "target_link_options target_sources target_precompile_headers include_directories add_compile_options "
    "add_link_options add_definitions add_compile_definitions link_libraries enable_testing message if elseif else "
    "endif foreach endforeach while endwhile cmake_policy add_dependencies source_group mark_as_advanced "
    "enable_language gtest_discover_tests catch_discover_tests not and or".split()
)
"""What a `CMakeLists.txt` calls that neither runs nor takes in anything besides what is built."""

_STEERING: Final = lazy(
    r"\b(?:CMAKE_(?!(?:C|CXX)_(?:STANDARD|STANDARD_REQUIRED|EXTENSIONS|FLAGS\w*|COMPILER_(?:ID|VERSION))\b"
    r"|(?:CURRENT_)?(?:SOURCE|BINARY)_DIR\b|BUILD_TYPE\b|EXPORT_COMPILE_COMMANDS\b|POSITION_INDEPENDENT_CODE\b"
    r"|PROJECT_(?:NAME|VERSION)\b|SYSTEM_NAME\b|DL_LIBS\b|INSTALL_(?:LIB|BIN|INCLUDE)DIR\b"
    r"|INTERPROCEDURAL_OPTIMIZATION\b|AUTO(?:MOC|UIC|RCC)\b|VERSION\b)"
    r"|CPACK_(?!(?:GENERATOR|PACKAGE_(?:NAME|VERSION|VENDOR|CONTACT))\b)|(?:CTEST|FETCHCONTENT|MEMORYCHECK)_)"
    r"|(?i:\b(?:set|option|foreach|unset)\s*\(\s*\"?(?:[^\s\"()]*(?:\$|\\)|\w+_(?:DIR|ROOT)\b))|\\[_\n]"
    r"|-W[lap],|[\s\"';]@|[\s\"';]-(?:o|x|T|M|X|save-temps|dump|include|imacros|specs|l/|f(?:profile|dump|pass))"
)
"""Variables of CMake by which it runs something, or finds it elsewhere, and options that hand a compiler more."""


def _without_usual(text: str) -> str:
    """A `CMakeLists.txt` without what any has, and without tests that are programs of its own."""
    text = _CMAKE_PART.sub(lambda part: " " if part[0][0] == "#" else part[0], text)
    blank = _CMAKE_PART.sub("", text)
    # A program that is built only perhaps leaves the name to another one.
    surely = re.sub(r"(?is)\b(?:if|foreach|while)\s*\(.*\bend(?:if|foreach|while)\s*\(", "", blank)
    programs = {match[1] for match in _PROGRAM.finditer(surely)}
    text = _TEST.sub(lambda match: "" if match[1] in programs else match[0], text)
    return _USUAL.sub("", text)


def _is_plain_cmake(text: str) -> bool:
    rest = _without_usual(text)
    calls = {match[1].lower() for match in _CMAKE_CALL.finditer(_CMAKE_PART.sub('""', rest))}
    return _CMAKE.issuperset(calls) and _BUILT.search(rest) is None and _STEERING.search(rest) is None
