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
_LOADED: Final = frozenset(("locustfile.py", "gunicorn.conf.py", "celeryconfig.py"))

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
    r"|find_package\s*\([\w\s.]+\)|file\s*\(\s*GLOB(?:_RECURSE)?\s+(?!CMAKE)[\w\s./*${}-]+\)|list\s*\(\s*APPEND\s+(?!CMAKE)[\w\s.${}-]+\)"
    r"|fetchcontent_declare\s*\(\s*\w+\s+(?:URL|GIT_REPOSITORY)\s+https://(?:github|gitlab)\.com/[\w./-]+"
    r"(?:\s+(?:GIT_TAG|GIT_SHALLOW|URL_HASH)\s+[\w.=-]+)*\s*\)|fetchcontent_makeavailable\s*\([\w\s-]+\)"
    r"|install\s*\(\s*TARGETS\s[\w\s-]+\)|set_target_properties\s*\(\s*[\w-]+\s+PROPERTIES"
    r"(?:\s+(?:C|CXX)_(?:STANDARD|STANDARD_REQUIRED|EXTENSIONS)\s+\w+)+\s*\))"
)
"""Of that what only finds libraries, lists sources, or brings those of a public place."""

_TEST: Final = lazy(r"(?i)\badd_test\s*\(\s*NAME\s+[\w.-]+\s+COMMAND\s+([\w-]+)((?:\s+[\w.=-]+)*)\s*\)")
_PROGRAM: Final = lazy(r"(?i)\badd_executable\s*\(\s*([\w-]+)")

_MESON_CALL: Final = lazy(r"([\w.]+)\s*\(")
_MESON: Final = frozenset(
    "project executable library static_library shared_library both_libraries dependency include_directories test "
    "benchmark declare_dependency files get_option message warning error install_headers meson.project_version "
    "meson.project_name meson.get_compiler cc.find_library cpp.find_library cc.get_id add_project_arguments "
    "add_global_arguments summary assert environment".split()
)
"""What a `meson.build` calls that runs no command; a test runs a program that is built here."""

_MESON_ODD: Final = lazy(
    r"-wrapper|-fplugin|-specs|-fuse-ld|'-B|native\s*:|\bpython\b|foreach|@\w+@|'{3}|\\|exe_wrapper|rust_args"
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
    if name in ("CMakeLists.txt", ".pre-commit-config.yaml", "meson.build"):
        return name
    return "node" if _SCRIPTED.fullmatch(name) is not None else None


def _says_no_more(kind: str | None, text: str) -> bool:
    if kind == "CMakeLists.txt":
        return _BUILT.search(_without_usual(text)) is None
    if kind == "meson.build":
        calls = [match[1] for match in _MESON_CALL.finditer(_MESON_PART.sub("''", text))]
        return _MESON_ODD.search(text) is None and _MESON.issuperset(calls)
    if kind == ".pre-commit-config.yaml":
        return _HOOKED.search(text) is None and _PUBLIC_HOOKS.search(text) is None
    modules = [match[2] for match in _MODULE.finditer(text)]
    return _COMPUTED.search(text) is None and all(_PACKAGE.fullmatch(name) is not None for name in modules)


_MESON_PART: Final = lazy(r"'[^'\\\n]*'|#[^\n]*")


def _without_usual(text: str) -> str:
    """A `CMakeLists.txt` without what any has, and without tests that are programs of its own."""
    text = re.sub(r"(?m)^\s*#[^\n\[]*$", "", text)
    programs = {match[1] for match in _PROGRAM.finditer(text)}
    text = _TEST.sub(lambda match: "" if match[1] in programs else match[0], text)
    return _USUAL.sub("", text)
