"""Configuration files of MCP clients: which servers they start, and how the relay takes their place, and gives it back.

    FILE                       the client's: its servers that are started go, one called `guardrail` comes
    FILE.guardrail.json        those servers, which the relay starts instead
    FILE.before-guardrail      the client's file as it was, byte for byte

Pure but for `write` and `undo`. Servers that a client reaches over HTTP stay where they are.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from guardrail import ConfigError
from guardrail_adapters.mcp._frames import table
from guardrail_adapters.mcp._names import is_server

OWN: Final = "guardrail"
"""What the relay is called among a client's servers."""

_KEYS: Final = ("mcpServers", "servers", "mcp_servers")
"""Where clients keep their servers: Claude Desktop, Claude Code and Cursor; VS Code; Codex."""


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """A server that is started: one entry of a client's file; keys that only the client knows are let pass.

    Args:
        command: the program.
        args: its arguments.
        env: further environment variables.
        cwd: where it runs.
    """

    command: str
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    cwd: str | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an import would change.

    Args:
        file: the client's file.
        moved: names of the servers that go behind the relay.
        before: text of the client's file.
        after: its text then.
        servers: text of the relay's file then.
    """

    file: Path
    moved: tuple[str, ...]
    before: str
    after: str
    servers: str

    @property
    def diff(self) -> str:
        """The change of the client's file, for people."""
        lines = difflib.unified_diff(
            self.before.splitlines(), self.after.splitlines(), str(self.file), str(self.file), lineterm=""
        )
        return "\n".join(lines)


def servers_of(file: Path) -> dict[str, Started]:
    """The servers that a file says to start, by name.

    Raises:
        ConfigError: if it cannot be read, or names none.
    """
    _, found = _read(file)
    servers = {name: _started(file, name, entry) for name, entry in found.items() if "command" in table(entry)}
    if not servers:
        raise ConfigError(f"`{file}` names no server to start: it needs `mcpServers` with a `command` each")
    return servers


def plan(file: Path, command: Sequence[str]) -> Plan | None:
    """What to change so that the relay stands before a client's servers.

    Args:
        file: the client's.
        command: how the client starts the relay; the path of its servers is added.

    Returns:
        The change; None if there is nothing to do.

    Raises:
        ConfigError: if the file cannot be read or written again as it is.
    """
    text, found = _read(file)
    ours = _beside(file, ".guardrail.json")
    moved = {k: v for k, v in found.items() if k != OWN and "command" in table(v)}
    if not moved:
        return None
    for name, entry in moved.items():
        _started(file, name, entry)
    kept: dict[str, Any] = json.loads(ours.read_text())["mcpServers"] if ours.exists() else {}
    both = sorted(kept.keys() & moved.keys())
    if both:
        raise ConfigError(f"the relay has a server `{both[0]}` already: rename the one in `{file}`")
    entry = {"command": command[0], "args": [*command[1:], "--servers", str(ours)]}
    after = _toml(text, moved, entry) if file.suffix == ".toml" else _json(text, moved, entry)
    digest = hashlib.sha256(after.encode()).hexdigest()
    servers = json.dumps({"mcpServers": {**kept, **moved}, "wrote": digest}, indent=2, ensure_ascii=False) + "\n"
    return Plan(file=file, moved=tuple(moved), before=text, after=after, servers=servers)


def write(change: Plan) -> None:
    """Carry a plan out: what was there is kept first.

    Raises:
        OSError: if a file cannot be written; the client's file is as it was then.
    """
    before = _beside(change.file, ".before-guardrail")
    if not before.exists():
        _put(before, change.before)
    _put(_beside(change.file, ".guardrail.json"), change.servers)
    _put(change.file, change.after)


def undo(file: Path) -> Literal[True]:
    """Put a client's file back as it was before the first import.

    Raises:
        ConfigError: if it was not imported, or has changed since.
    """
    before, ours = _beside(file, ".before-guardrail"), _beside(file, ".guardrail.json")
    if not (before.exists() and ours.exists()):
        raise ConfigError(f"`{file}` was not imported, so there is nothing to undo")
    wrote = json.loads(ours.read_text()).get("wrote")
    if hashlib.sha256(file.read_bytes()).hexdigest() != wrote:
        raise ConfigError(f"`{file}` has changed since it was imported: compare it with `{before}` by hand")
    _put(file, before.read_text())
    ours.unlink()
    before.unlink()
    return True


def _read(file: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
        whole: Any = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot read `{file}`: {(error.strerror or str(error)).lower()}") from None
    except ValueError as error:
        raise ConfigError(f"cannot read `{file}`: {error}: comments have to be taken out of JSON first") from None
    for key in _KEYS:
        if key in table(whole):
            return text, table(table(whole)[key])
    raise ConfigError(f"`{file}` has no servers: looked for {', '.join(f'`{key}`' for key in _KEYS)}")


def _started(file: Path, name: str, entry: object) -> Started:
    if not is_server(name):
        raise ConfigError(
            f"the server `{name}` in `{file}` cannot be named so: use letters, digits, `-` and single `_`"
        )
    try:
        return msgspec.convert(entry, Started)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the server `{name}` in `{file}` cannot be used: {error}") from None


def _json(text: str, moved: dict[str, Any], entry: dict[str, Any]) -> str:
    whole = json.loads(text)
    key = next(key for key in _KEYS if key in whole)
    whole[key] = {**{k: v for k, v in whole[key].items() if k not in moved}, OWN: entry}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _toml(text: str, moved: dict[str, Any], entry: dict[str, Any]) -> str:
    """The text without some tables: what else stands in it, comments before them included, stays as it is."""
    names = "|".join(re.escape(name) for name in [*moved, OWN])
    header = re.compile(rf'^\[mcp_servers\.(?:{names}|"(?:{names})")(?:\.[^\]]*)?\]')
    kept: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        if line.startswith("["):
            inside = header.match(line) is not None
        if not inside:
            kept.append(line)
    # A string of JSON is one of TOML as well.
    words = ", ".join(json.dumps(word) for word in entry["args"])
    rest = "".join(kept).rstrip("\n")
    after = f"{rest}\n\n[mcp_servers.{OWN}]\ncommand = {json.dumps(entry['command'])}\nargs = [{words}]\n".lstrip("\n")
    was, now = tomllib.loads(text), tomllib.loads(after)
    expected = {k: v for k, v in was["mcp_servers"].items() if k not in moved}
    if now != {**was, "mcp_servers": {**expected, OWN: entry}}:
        raise ConfigError("the file is written in a way that cannot be changed safely: move its servers by hand")
    return after


def _beside(file: Path, ending: str) -> Path:
    return file.with_name(file.name + ending)


def _put(file: Path, text: str) -> None:
    """A file, there as a whole or not at all, with the mode it had; a new one may hold secrets, and is its owner's."""
    target = Path(os.path.realpath(file))
    fresh = _beside(target, ".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8", newline="") as stream:
        stream.write(text)
    if target.exists():
        fresh.chmod(target.stat().st_mode & 0o777)
    os.replace(fresh, target)
