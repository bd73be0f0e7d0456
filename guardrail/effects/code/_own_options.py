"""Options of interpreters that change nothing about what code runs: limits, warnings, where a project's libraries are.

Not concerned with any other option: from there on the words stay as they are, and the interpreter is opaque. What an
option loads by name of the session's files leaves it where it is as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from guardrail.effects.code._own_files import own_files, parts_of
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import TOP, Field
from guardrail.patterns import lazy

_NODE: Final = (
    r"--(?:trace-(?:warnings|deprecation|uncaught|exit)|no-(?:warnings|deprecation)|enable-source-maps|throw-deprecation"
    r"|unhandled-rejections=\w+|(?:max-old-space-size|max-semi-space-size|stack-size|stack-trace-limit)=\d+|expose-gc"
    r"|experimental-(?:vm-modules|strip-types|transform-types|global-webcrypto|fetch|modules|json-modules|sqlite)"
    r"|preserve-symlinks|dns-result-order=\w+|no-experimental-\w+|use-openssl-ca|watch)"
)

_SINGLE: Final[Mapping[str, re.Pattern[str]]] = {
    "node": lazy(_NODE),
    "ts-node": lazy(r"-[THs]+|--(?:transpile-only|transpileOnly|esm|files|swc|pretty|skip-project|log-error)"),
    "tsx": lazy(r"--no-cache|--no-warnings"),
    "ruby": lazy(r"-[wU]+|-W:?[\w-]+|--(?:yjit|jit|disable=gems)"),
    "php": lazy(
        r"-[nq]|-d(?:memory_limit|max_execution_time|display_errors|error_reporting|date\.timezone|xdebug\.mode"
        r"|opcache\.enable_cli|zend\.assertions|assert\.exception|short_open_tag|precision)(?:=[\w/.~&| -]*)?"
    ),
    "julia": lazy(
        r"-q|-O\d?|--(?:quiet|optimize=\d|threads=[\w,]+|startup-file=no|history-file=no|color=\w+|depwarn=\w+"
        r"|banner=\w+|compile=\w+|check-bounds=\w+|project|warn-overwrite=\w+)|-t\d+"
    ),
    "Rscript": lazy(
        r"--(?:vanilla|slave|quiet|no-save|no-restore|no-echo|no-environ|no-site-file|no-init-file|verbose)"
    ),
    "perl": lazy(r"-[wWtT]+|-C\w*"),
    "lua": lazy(r"-W"),
    "erb": lazy(r"-(?:T[-012<>%]+|[nvdwU]+)"),
    "qjs": lazy(r"--(?:std|module|script|stats)|-[mT]"),
}
"""Options of one word."""

_VALUED: Final[Mapping[str, Mapping[str, re.Pattern[str]]]] = {
    "php": {"-d": lazy(_SINGLE["php"].pattern.partition("-d")[2])},
    "erb": {"-T": lazy(r"[-012<>%]+")},
    "julia": {"-t": lazy(r"[\w,]+"), "--threads": lazy(r"[\w,]+")},
}
"""Options whose value is the next word, and what that may be."""

_PACKAGE: Final = lazy(
    r"(?:ts-node(?:/(?:esm|register)(?:/transpile-only)?)?|tsx(?:/(?:esm|cjs))?|dotenv/config|tsconfig-paths/register|esbuild-register"
    r"|@swc-node/register(?:/esm)?|@babel/register|source-map-support/register|module-alias/register"
    r"|@esbuild-kit/esm-loader|esm|reflect-metadata)"
)
"""Packages that see to it that sources of another form can be run."""

_LOADING: Final[Mapping[str, frozenset[str]]] = {
    "node": frozenset("-r --require --import --loader --experimental-loader".split()),
    "ts-node": frozenset("-r --require".split()),
    "tsx": frozenset("-r --require --import".split()),
}
_FOLDERS: Final[Mapping[str, tuple[str, ...]]] = {"ruby": ("-I",), "perl": ("-I",), "julia": ("--project=",)}
"""Options that say where modules are found."""

_SETTINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "node": ("--env-file=", "--env-file-if-exists="),
    "ts-node": ("-P", "--project"),
    "tsx": ("--tsconfig",),
}
"""Options that name a file with settings."""

_ALIASES: Final = {"nodejs": "node", "luajit": "lua", "R": "Rscript"}


def own_options(call: Call) -> tuple[Field, ...]:
    """The words of an interpreter, without those at their beginning that change nothing about what runs.

    Args:
        call: the interpreter.

    Returns:
        The words that are left; what was taken away has been named where it names a place.
    """
    name = call.name.rstrip("0123456789.")
    name = _ALIASES.get(name, name)
    words = list(call.args)
    while words and words[0].known and words[0].text[:1] == "-":
        count = _taken(call, name, words)
        if count == 0 or len(words) <= count:
            break
        del words[:count]
    return tuple(words)


def _taken(call: Call, name: str, words: list[Field]) -> int:
    """How many words the option takes that comes first; 0 if it has to stay."""
    text = words[0].text
    if name in _SINGLE and _SINGLE[name].fullmatch(text):
        return 1
    value = words[1] if len(words) > 1 and words[1].known else Field(text=TOP)
    pattern = _VALUED.get(name, {}).get(text)
    if pattern is not None:
        return 2 if pattern.fullmatch(value.text) else 0
    option, glued, given = text.partition("=")
    if option in _LOADING.get(name, ()):
        package = given if glued else value.text
        loads = _PACKAGE.fullmatch(package) is not None and not _wrote(call, "node_modules", anywhere=True)
        return (1 if glued else 2) if loads else 0
    for option in _FOLDERS.get(name, ()):
        if text.startswith(option):
            glued = text[len(option) :]
            return _place(call, Field(text=glued or value.text), 1 if glued else 2)
    for option in _SETTINGS.get(name, ()):
        if text == option or (option[-1] == "=" and text.startswith(option)):
            glued = text[len(option) :]
            return _place(call, Field(text=glued or value.text), 1 if glued else 2)
    return 0


def _place(call: Call, field: Field, count: int) -> int:
    """A file or a directory is named, of which nothing is the session's."""
    path = call.place(field).path if field.known and field.text[:1] != "-" else None
    if path is None or _wrote(call, path):
        return 0
    call.mention((field,))
    return count


def _wrote(call: Call, place: str, *, anywhere: bool = False) -> bool:
    """The session wrote something there; None of it being known counts as that."""
    if not (call.shell.emit.made or call.shell.written_before):
        return False
    own = own_files(call)
    if own is None or call.shell.authored(place):
        return True
    if anywhere:
        return any(f"/{place}/" in path for path in own.at(parts_of, place))
    top = call.shell.view.real(place).rstrip("/")
    return top in own or own.any_below(top)
