"""Build tools that also copy, remove or run by themselves: objcopy, cmake, cargo, ansible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.code._programs import run_nested
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._looking import builder
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._environment import set_variable
from guardrail.effects.domain._values import NOTHING, SOMETHING, Field, Stream, Value
from guardrail.patterns import lazy

_CMAKE: Final[Mapping[str, tuple[str, ...]]] = {
    "copy": ("cp",),
    "copy_if_different": ("cp",),
    "copy_directory": ("cp", "-r"),
    "copy_directory_if_different": ("cp", "-r"),
    "remove": ("rm",),
    "remove_directory": ("rm", "-r"),
    "rm": ("rm",),
    "rename": ("mv",),
    "create_symlink": ("ln", "-s"),
    "create_hardlink": ("ln",),
    "make_directory": ("mkdir", "-p"),
    "touch": ("touch",),
    "touch_nocreate": ("touch", "-c"),
    "cat": ("cat",),
    "md5sum": ("md5sum",),
    "sha256sum": ("sha256sum",),
    "env": ("env",),
    "time": ("env",),
}
"""What `cmake -E` calls the commands that others have too."""

_QUIET: Final = frozenset(("echo", "echo_append", "true", "false", "sleep", "capabilities", "environment", "help"))
_ASKING: Final = frozenset(("--version", "--help", "-h", "-V", "version", "help", "-version", "-help"))


def objcopy(call: Call, parsed: Parsed) -> Stream:
    """`objcopy IN [OUT]`: the one file is changed if there is no other; sections come from and go to files."""
    sections = [field for _, role, field in parsed.values if role == "mention"]
    if sections:
        call.opaque("program", reason="sections come from or go to files")
    out = apply_spec(call, parsed)
    if len(parsed.operands) == 1:
        call.emit("write", call.place(parsed.operands[0]))
    return out


def building(call: Call, _parsed: Parsed) -> Stream:
    """A build tool does what its files say; `cmake -E` does one thing by itself."""
    words = call.args
    if words and all(field.text in _ASKING for field in words):
        return SOMETHING
    if call.name == "cmake" and words and words[0].text == "-E":
        name = words[1].text if len(words) > 1 else "help"
        if name in _QUIET:
            return SOMETHING
        if name in _CMAKE:
            vector = (*(Field(text=text) for text in _CMAKE[name]), *words[2:])
            return call.shell.again(call, vector, external=True)
    run_nested(call)
    return call.opaque("program")


def cleaned(call: Call, parsed: Parsed) -> Stream:
    """`cargo clean`: the directory of what was built goes."""
    folder = parsed.value("--target-dir") or Field(text="target")
    call.emit("delete", call.place(folder, kind="dir", recursive=True, nofollow=True), may=True)
    return NOTHING


def go_env(call: Call, parsed: Parsed) -> Stream:
    """`go env -w NAME=VALUE`: every later build has the variable, so this says what it would do there."""
    if not parsed.has("-w"):
        return apply_spec(call, parsed)
    for field in parsed.operands:
        name, mark, value = field.text.partition("=")
        if not mark or not name.isidentifier():
            call.opaque("dynamic", reason="the variable that is kept is not known", words=(field,))
            continue
        set_variable(call.shell, call.state.copy(), name, Value(alternatives=(value,), sources=field.sources))
        call.mention_text(value)
    quiet = all(_GO_QUIET.fullmatch(field.text) for field in parsed.operands)
    home = call.shell.expand.lookup("HOME", call.state, {})[0]
    # With these set, what is built later is no more the session's than before.
    call.emit("write", call.place(Field(text=f"{home}/.config/go/env")), attrs={"environment": True} if quiet else None)
    return NOTHING


_GO_QUIET: Final = lazy(
    r"(?:GO(?:PROXY|PRIVATE|NOPROXY|NOSUMDB|SUMDB|INSECURE|OS|ARCH|ARM|AMD64|DEBUG|TELEMETRY|111MODULE|CACHE|MODCACHE|PATH"
    r"|BIN)|CGO_ENABLED)=.*|GOFLAGS=(?:-(?:mod=\w+|v|trimpath|buildvcs=\w+|p=\d+)\s*)*"
)
"""Variables of Go, with a value, that put nothing into a program."""


def ansible(call: Call, parsed: Parsed) -> Stream:
    """`ansible HOSTS -m MODULE -a ARGUMENTS`, `ansible-playbook FILE`: the host may be this one."""
    if parsed.has("--help", "--version", "--syntax-check") or not parsed.operands:
        return apply_spec(call, parsed)
    out = call.opaque("program")
    for _, _, field in parsed.values:
        call.mention_text(field.text)
    hosts = parsed.operands[0].text if call.name == "ansible" else "inventory"
    call.emit("remote_exec", at("ssh", hosts))
    module = parsed.value("--module-name")
    if call.name == "ansible" and (module is None or module.text.rpartition(".")[2] in ("shell", "command", "raw")):
        for field in parsed.values_of("--args"):
            with call.perhaps():
                call.shell.run_text(field.text, call.state.copy())
    return out


def rpm(call: Call, parsed: Parsed) -> Stream:
    """`rpm`, `rpmquery`: macros may be programs."""
    out = builder(call, parsed)
    for field in parsed.values_of("--pipe"):
        call.opaque("inline", reason="rpm gives its output to a command", words=(field,))
    for field in parsed.values_of("--define"):
        if _MACRO_CODE.search(field.text) or not field.known:
            call.opaque("inline" if field.known else "dynamic", reason="a macro of rpm runs code", words=(field,))
            call.mention_text(field.text)
    return out


_MACRO_CODE: Final = lazy(r"%\(|%\{\s*(?:lua|load|uncompress|shescape|exists|include)\b")


FAMILIES: Final[Mapping[str, Family]] = {
    "ansible": ansible,
    "building": building,
    "cleaned": cleaned,
    "go_env": go_env,
    "objcopy": objcopy,
    "rpm": rpm,
}
"""What `code` of a spec may say, for this module."""
