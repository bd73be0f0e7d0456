"""Variables that other programs read: setting one of them may change what any later command does."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guardrail.effects.domain._emit import MUTATING
from guardrail.effects.domain._paths import STREAMS, place
from guardrail.effects.domain._state import State, join_values
from guardrail.effects.domain._values import FIRM, NAME, NUM, SLIM, TOP, Field, Stream, Value, is_known
from guardrail.effects.domain._variables import (
    CODE,
    EDITS,
    KNOWN_SHELLS,
    NAMED_OPTIONS,
    PREFIXES,
    RUNS,
    WORDS,
    WRITES,
    WRITES_IN_TEXT,
)
from guardrail.model import Resource
from guardrail.patterns import lazy

if TYPE_CHECKING:
    from guardrail.effects.domain._call import Call
    from guardrail.effects.shell._interpreter import Interpreter

_LOADER = lazy(
    r"LD_\w+|BASH_ENV|SHELLOPTS|BASHOPTS|BASH_FUNC_.*|GCONV_PATH|GLIBC_TUNABLES|POSIXLY_CORRECT|CDPATH|GLOBIGNORE"
    r"|PROMPT_COMMAND|PS4|TAR_OPTIONS|TAPE|RSYNC_\w+|RIPGREP_CONFIG_PATH|GREP_OPTIONS|LESSOPEN|LESSCLOSE|LESS|CURL_HOME"
    r"|WGETRC|LOCPATH|NLSPATH|GZIP|BZIP2?|XZ_(?:OPT|DEFAULTS)|ZSTD_\w+|SSH_ASKPASS|BUSYBOX\w*"
)
_PROGRAM = lazy(r"GIT_\w+|PAGER|MANPAGER|EDITOR|VISUAL|BROWSER|SUDO_\w+")
_INTERPRETER = lazy(
    r"PYTHON\w+|PERL\w+|PERL5OPT|RUBY\w+|NODE_\w+|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|CLASSPATH|LUA_\w+|R_\w+"
)
_OPTIONS = lazy(r"PERL5OPT|RUBYOPT|NODE_OPTIONS|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|PYTHON(?:STARTUP|HOME|BREAKPOINT)")
_LOADS = lazy(r"/|agent|require|import|loader|eval|(?:^|\s)-[a-zA-Z]*[MmrIe]")
_HARMLESS_PROGRAMS: Final = frozenset(("cat", "less", "more", "true", ":", "", "0", "1", "vi", "vim", "nano"))
_HARMLESS_NAMES: Final = lazy(
    r"GIT_(?:AUTHOR|COMMITTER)_(?:NAME|EMAIL|DATE)|GIT_TERMINAL_PROMPT|NODE_ENV|LESSCHARSET"
    r"|PYTHON(?:UNBUFFERED|DONTWRITEBYTECODE|HASHSEED|IOENCODING|UTF8|WARNINGS|FAULTHANDLER)"
)
_TRUSTED_PATH: Final = ("/bin", "/usr/bin", "/usr/local/bin", "/sbin", "/usr/sbin", "/usr/local/sbin")


@functools.lru_cache(maxsize=4096)
def _is_read(name: str) -> bool:
    """Other programs may read a variable of that name."""
    return any(pattern.fullmatch(name) for pattern in (_LOADER, _PROGRAM, _INTERPRETER))


def _watched(shell: Interpreter, name: str, value: Value) -> None:
    """Say what somebody waits for: a key of a control file."""
    if name in shell.watched:
        known = len(value.alternatives) == 1 and TOP not in value.alternatives[0] and NUM not in value.alternatives[0]
        _say(shell, name, {"key": name, **({"after": value.alternatives[0]} if known else {})})


def set_variable(shell: Interpreter, state: State, name: str, value: Value) -> None:
    """Assign, and say so when other programs, or traps, read the variable."""
    _assign(shell, state, name, value)
    if shell.awaited:
        shell.noticed(name, state)


def _assign(shell: Interpreter, state: State, name: str, value: Value) -> None:
    traits = state.traits.get(name, "") if state.traits else ""
    if "i" in traits:
        value = join_values(value, shell.number(state, value))
    _watched(shell, name, value)
    _meant(shell, state, name, _held(state, name, value) if traits else value)
    if name == "PATH":
        state.put(name, Value(sources=value.sources))
        state.path = _path_before(value) if "v" not in traits else None
        _say(shell, name)
        return
    state.put(name, _inherited(value) if name == LIBRARIES else value)
    if name == "IFS":
        if "v" in traits or any(text not in (" \t\n", " ") for text in value.alternatives):
            state.ifs = False
        _say(shell, name)
    elif name == "PWD" or name == "OLDPWD":
        state.cwds = state.cwds if value.alternatives == state.cwds else (None,)
    elif name == "BASH_ARGV0":
        state.put("0", value)
    elif name == START:
        _say(shell, name)
        if any(_may_be_file(shell, state, text) for text in value.alternatives):
            state.path = None
    elif _is_read(name):
        _told(shell, state, name, value)


START: Final = "ENV"
"""The file that an interactive shell runs first which does as POSIX says: `sh -i`. Many scripts call a stage so."""

_STAGE: Final = lazy(f"[\\w{TOP}{NUM}{SLIM}{FIRM}-]*")


def _may_be_file(shell: Interpreter, state: State, text: str) -> bool:
    """A value that names a file, or is expanded to such a name, by itself; whoever starts such a shell asks again."""
    if not _STAGE.fullmatch(text):
        return True
    if not text or not is_known(text):
        return False
    paths = [place(text, cwd).path for cwd in state.cwds]
    return any(path is not None and shell.view.kind(path) in ("file", "other") for path in paths)


def note_start_file(call: Call) -> None:
    """A shell starts that may be interactive, and runs the file that `ENV` names, if that was set."""
    if any(call.state.vars[START].alternatives if START in call.state.vars else ()):
        call.opaque("dynamic", reason=f"the shell runs what {START} names first", words=())
        for text in call.state.vars[START].alternatives:
            call.mention_text(text)


def _held(state: State, name: str, value: Value) -> Value:
    """What a variable holds that is given a value: as it was declared, another one."""
    after = state.copy()
    after.put(name, value)
    return after.vars[name]


def _told(shell: Interpreter, state: State, name: str, value: Value) -> None:
    """A variable that other programs read was set: what they are then may not be known."""
    if _LOADER.fullmatch(name):
        if name == LIBRARIES and state.path is not None and not state.traits.get(name) and _is_system(value):
            parts = (part for text in value.alternatives for part in text.split(":"))
            shell.libraries |= {part.rstrip("/\0") for part in parts}
        else:
            state.path = None
        _say(shell, name)
        if name == "PS4" or name == "PROMPT_COMMAND":
            _prompted(shell, state, name, value)
    elif _PROGRAM.fullmatch(name) and not _HARMLESS_NAMES.fullmatch(name):
        _say(shell, name)
        # What an editor does is asked where it is set, of all that is known of it.
        asked = EDITS.fullmatch(name) and all(map(is_known, value.alternatives))
        if not asked and not all(text in _HARMLESS_PROGRAMS for text in value.alternatives):
            state.path = None
    elif _INTERPRETER.fullmatch(name) and not _HARMLESS_NAMES.fullmatch(name):
        _say(shell, name)
        if _OPTIONS.fullmatch(name) and any(TOP in text or _LOADS.search(text) for text in value.alternatives):
            state.path = None


def _prompted(shell: Interpreter, state: State, name: str, value: Value) -> None:
    """What is expanded, or run, before other commands."""
    for text in value.alternatives:
        if name == "PS4":
            # A prompt is expanded as in double quotes; in a here document a quote in it is a character.
            text = f": <<GUARDRAIL\n{text}\nGUARDRAIL\n" if "$" in text or "`" in text or TOP in text else ""
        shell.run_later(text, state.copy())


@functools.lru_cache(maxsize=4096)
def _is_meant(name: str) -> bool:
    """Some program runs what a variable of that name says, or writes there."""
    texts = (*(pattern for pattern, _ in (*CODE, *WRITES_IN_TEXT)), RUNS, WRITES)
    return name == "SHELL" or any(pattern.fullmatch(name) for pattern in texts)


def _meant(shell: Interpreter, state: State, name: str, value: Value) -> None:
    """What a program would do that reads the variable."""
    if not _is_meant(name):
        return
    shell.emit.maybe += 1
    try:
        for text in value.alternatives:
            if text:
                _one_meant(shell, state, name, text)
    finally:
        shell.emit.maybe -= 1


def _one_meant(shell: Interpreter, state: State, name: str, text: str) -> None:
    known = is_known(text)
    if WRITES.fullmatch(name):
        _written(shell, state, text)
    for pattern, part in WRITES_IN_TEXT:
        for found in part.findall(text) if pattern.fullmatch(name) else ():
            _written(shell, state, found)
    for pattern, harmless in CODE:
        if pattern.fullmatch(name) and not harmless.fullmatch(text):
            call = shell.call(name, (Field(text=text),), state, None, Stream(), (0, 0))
            call.opaque("inline" if known else "dynamic", reason=f"{name} is code for other programs", words=())
            call.mention_text(text)
    if name == "SHELL" and text.rpartition("/")[2] in KNOWN_SHELLS:
        return
    if name == "SHELL" or RUNS.fullmatch(name):
        _run(shell, state, name, text)


def _run(shell: Interpreter, state: State, name: str, text: str) -> None:
    """A program that is given what another one prints: what it does with that is not followed."""
    if not is_known(text):
        shell.dynamic(f"{name} is run by other programs, and not known", (0, 0))
        return
    edited = EDITS.fullmatch(name) is not None and text not in _HARMLESS_PROGRAMS
    before = len(shell.emit.effects)
    shell.run_later(f"{text} {_EDITED}" if edited else text, state.copy(), Stream(text=""))
    for effect in shell.emit.effects[before:]:
        own = (
            edited and effect.op in ("write", "create", "read") and (effect.resource.path or "").endswith(f"/{_EDITED}")
        )
        if (effect.op in MUTATING or effect.op in ("net_send", "remote_exec")) and not own:
            state.path = None


_EDITED: Final = ".git/COMMIT_EDITMSG"
"""What an editor is said to be given: what it is called is for the program to say that starts it."""


def _written(shell: Interpreter, state: State, text: str) -> None:
    for cwd in state.cwds:
        # Some programs put a number or the host's name where a `%` stands.
        where = place(_SPECIAL.sub(TOP, _NUMBERED.sub(NAME, text)), cwd)
        if where.path is not None and shell.view.kind(where.path) == "dir":
            where = msgspec.structs.replace(where, kind="dir", recursive=True)
        if where.path not in STREAMS:
            shell.emit.add("write", where, spec="assignment", may=True)


_NUMBERED: Final = lazy(r"%\w")
_SPECIAL: Final = lazy(r"\$\{?\w+\}?|\{\w+\}|%\{[^}]*\}")


def given_words(state: State, command: str) -> list[Field]:
    """The words that variables give a command besides its own: `TF_CLI_ARGS_plan`, `ZIPOPT`."""
    head, _, verb = command.partition(" ")
    found: list[Field] = []
    for name in WORDS.get(head, ()):
        for variable in (name, f"{name}_{verb}"):
            value = state.vars.get(variable)
            for text in value.alternatives if value is not None else ():
                words = [Field(text=TOP, many=True)] if TOP in text else [Field(text=word) for word in text.split()]
                found += words
    return found


def given_options(state: State, command: str) -> list[tuple[str, Field]]:
    """Long options that variables give a command: `PIP_LOG=x` is `--log x`."""
    prefix = PREFIXES.get(command.partition(" ")[0])
    if prefix is None:
        return []
    found: list[tuple[str, Field]] = []
    for name, value in state.vars.items():
        if name.upper().startswith(prefix):
            option = NAMED_OPTIONS.get(name.upper(), "--" + name[len(prefix) :].lower().replace("_", "-"))
            found += [(option, Field(text=text, sources=value.sources)) for text in value.alternatives if text]
    return found


LIBRARIES: Final = "LD_LIBRARY_PATH"
"""Directories that programs load libraries from, before those of the system."""

_SYSTEM_LIBRARIES: Final = lazy(
    r"/(?:usr/(?:local/)?)?lib(?:32|64)?(?:/[\w.+-]+)*/?|/usr/local/(?:cuda|nvidia)[\w.+-]*(?:/[\w.+-]+)*/lib(?:32|64)?(?:/stubs)?/?"
)


def _is_system(value: Value) -> bool:
    """Only libraries of the system are looked for; a NUL stands for what the call was given.

    An empty part is the working directory, and so is what was given where nothing was: `_commands` looks there.
    """
    parts = [part for text in value.alternatives for part in text.split(":")]
    return all(part in ("", "\0") or (_SYSTEM_LIBRARIES.fullmatch(part) and ".." not in part) for part in parts)


def _inherited(value: Value) -> Value:
    return Value(alternatives=tuple(text.replace("\0", TOP) for text in value.alternatives), sources=value.sources)


def assuming(state: State, name: str) -> State:
    """The state in which a new value of a list of directories is worked out: a NUL stands for what is there already."""
    probe = state.copy()
    if name == "PATH":
        before = TOP if state.path is None else ":".join((*state.path, "\0"))
        probe.vars[name] = Value(alternatives=(before,))
    elif name not in state.vars:
        probe.vars[name] = Value(alternatives=("\0",))
    elif state.path is not None:  # an earlier value was one of the system's, and what is not known in it was given
        old = state.vars[name]
        probe.vars[name] = Value(alternatives=tuple(text.replace(TOP, "\0") for text in old.alternatives))
    return probe


def given(value: Value) -> list[str]:
    """The texts of a variable that are wholly known."""
    return [text for text in value.alternatives if text and is_known(text)]


def _say(shell: Interpreter, name: str, attrs: Mapping[str, Any] | None = None) -> None:
    facts = {"name": name, **(attrs or {})}
    shell.emit.add("env", Resource(kind="env", uri=f"env:{name}"), spec="assignment", attrs=facts)


def _path_before(value: Value) -> tuple[str, ...] | None:
    """Directories searched before the ones the guard assumes; None if that cannot be told.

    In `value`, a NUL stands for the assumed PATH itself.
    """
    if len(value.alternatives) != 1:
        return None
    before: list[str] = []
    for part in value.alternatives[0].split(":"):
        if part == "\0" or part in _TRUSTED_PATH:
            return tuple(before)
        if not part.startswith("/") or not is_known(part) or "\0" in part:
            return None
        before.append(part)
    return None
