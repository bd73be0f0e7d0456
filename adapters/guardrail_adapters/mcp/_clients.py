"""Configuration files of MCP clients: which servers they start, and how the relay takes their place, and gives it back.

    FILE                       the client's: its servers go, one called `guardrail` comes
    FILE.guardrail.json        those servers, which the relay starts or reaches instead
    FILE.before-guardrail      the client's file as it was, byte for byte

Pure but for `write` and `undo`. Not concerned with what an entry says (`_servers`).
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

from guardrail import ConfigError, jsonc
from guardrail_adapters.mcp._frames import table
from guardrail_adapters.mcp._servers import Left, ServersFile, read_servers, variables

OWN: Final = "guardrail"
"""What the relay is called among a client's servers."""

MOVED: Final = frozenset(
    "command args env cwd type transport url httpUrl serverUrl headers http_headers env_http_headers"
    " bearer_token_env_var env_vars".split()
)
"""Keys of a server that the relay goes by; any other is the client's own."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an import would change.

    Args:
        file: the client's file.
        moved: names of the servers that go behind the relay; if there are none, nothing changes.
        notes: sentences for people, on servers that stay and on what is lost of those that go.
        before: text of the client's file.
        after: its text then.
        servers: text of the relay's file then.
    """

    file: Path
    moved: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    before: str = ""
    after: str = ""
    servers: str = ""

    @property
    def diff(self) -> str:
        """The change of the client's file, for people."""
        lines = difflib.unified_diff(
            self.before.splitlines(), self.after.splitlines(), str(self.file), str(self.file), lineterm=""
        )
        return "\n".join(lines)


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
    found = read_servers(file)
    beside = _beside(file, ".guardrail.json")
    kept = read_servers(beside).entries if beside.exists() else {}
    moved, notes = _chosen(found)
    if not moved:
        return Plan(file=file, notes=notes) if notes else None
    if both := sorted(kept.keys() & moved.keys()):
        raise ConfigError(f"the relay has a server `{both[0]}` already: rename the one in `{file}`")
    entries = {**kept, **moved}
    # VS Code wants to be told what the other clients take for granted.
    kind = {"type": "stdio"} if found.key == "servers" else {}
    entry = {**kind, "command": command[0], "args": [*command[1:], "--servers", str(beside)], **_passed(found, entries)}
    after = _toml(found.text, moved, entry) if found.is_toml else _json(found.text, found.key, moved, entry)
    digest = hashlib.sha256(after.encode()).hexdigest()
    servers = json.dumps({"mcpServers": entries, "wrote": digest}, indent=2, ensure_ascii=False) + "\n"
    return Plan(file=file, moved=tuple(moved), notes=notes, before=found.text, after=after, servers=servers)


def _chosen(found: ServersFile) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Which servers move, as the client has them, and a sentence on each that does not, or not as a whole."""
    moved: dict[str, Any] = {}
    notes: list[str] = []
    for name, entry in found.entries.items():
        if name == OWN:
            continue
        server = found.server(name)
        if isinstance(server, Left):
            notes.append(f"`{name}` stays, and nothing judges its calls: {server.why}")
            continue
        moved[name] = entry
        if lost := [f"`{key}`" for key in table(entry) if key not in MOVED]:
            notes.append(f"of `{name}` these are the client's own and count no more: {', '.join(lost)}")
    return moved, tuple(notes)


def _passed(found: ServersFile, entries: dict[str, Any]) -> dict[str, Any]:
    """What the client has to give the relay's environment, in the client's own words: it may pass on no other."""
    names: dict[str, str] = {}
    whole = msgspec.structs.replace(found, entries=entries)
    for name, entry in entries.items():
        server = whole.server(name)
        if not isinstance(server, Left):
            names |= variables(server)
        names |= {str(table(one).get("name", one)): "" for one in table(entry).get("env_vars", ())}
    if not names:
        return {}
    return {"env_vars": sorted(names)} if found.is_toml else {"env": names}


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


def _json(text: str, key: str, moved: dict[str, Any], entry: dict[str, Any]) -> str:
    """The text without some servers: what else stands in it, comments included, stays as it is."""
    after = jsonc.exchange(text, (key,), moved, OWN, entry)
    was, now = jsonc.read(text).value, jsonc.read(after).value
    if now != {**was, key: {**{name: one for name, one in was[key].items() if name not in moved}, OWN: entry}}:
        raise ConfigError("the file is written in a way that cannot be changed safely: move its servers by hand")
    return after


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
    # A string of JSON is one of TOML as well, and so is a list of them.
    rest = "".join(kept).rstrip("\n")
    lines = [f"[mcp_servers.{OWN}]", *(f"{key} = {json.dumps(value)}" for key, value in entry.items())]
    after = "\n".join([rest, "", *lines, ""]).lstrip("\n")
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
