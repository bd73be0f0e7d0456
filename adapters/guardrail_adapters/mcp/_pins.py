"""Which tools of which server people know: each is pinned by its whole definition, and a changed one is a new one.

    first listing of a server ever     its tools are pinned as they are, except names that hide or imitate
    anything else later                waits, is not shown to the client, and is refused, until a person accepts it

Kept beside the trail, among what the guard protects as its own, and read at each call: an acceptance counts at once.
Its blind spot: a server that behaves otherwise under the same definition. The call is judged all the same.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from guardrail import ConfigError, GuardrailError
from guardrail.audit import beside_trail
from guardrail.canonical import canonical
from guardrail.config import Config
from guardrail.printing import visible
from guardrail.storage import StateFile, remedy, transaction
from guardrail_adapters.mcp._names import is_plain, skeleton

MAX_TOOLS: Final = 4096
"""Most tools of one server that are kept, waiting ones included."""

MAX_DEFINITION_BYTES: Final = 256 * 1024
"""Largest definition of one tool, in bytes of canonical JSON; a larger one is not shown to the client."""

FIRST_SECONDS: Final = 60.0
"""How long the pages of a first listing may take, in seconds: one that never ends would make every tool a known one."""

BUSY_SECONDS: Final = 2.0
"""Longest wait for another process that is writing, in seconds."""

_SCHEMA: Final = """
create table if not exists pins (server text, name text, digest text, definition blob not null,
    accepted integer not null, since_us integer not null, primary key (server, name, digest)) without rowid;
create table if not exists served (server text, name text, digest text not null,
    primary key (server, name)) without rowid;
"""


class PinError(GuardrailError):
    """The pins cannot be read or written; no tool is called then."""


class Pin(msgspec.Struct, frozen=True, kw_only=True):
    """One definition of one tool.

    Args:
        server: name of the server.
        name: the tool's name, as the server spells it.
        digest: SHA-256 of its definition, in hexadecimal.
        definition: canonical JSON of it, without `_meta`.
        accepted: whether it may be called.
        since_us: when it was first seen or accepted, in microseconds since the epoch.
    """

    server: str
    name: str
    digest: str
    definition: bytes
    accepted: bool
    since_us: int


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What of a `tools/list` goes on to the client.

    Args:
        tools: those that are pinned, as the server sent them.
        notices: one sentence for people on each that is not.
    """

    tools: list[Any]
    notices: tuple[str, ...] = ()


class PinStore:
    """The pins of every server.

    Args:
        path: the file; None keeps them in memory.
        readonly: only look; the file must be there.

    Raises:
        ConfigError: if it cannot be used.
    """

    def __init__(self, path: Path | None, *, readonly: bool = False) -> None:
        self._memory: sqlite3.Connection | None = None
        self._file: StateFile | None = None
        self._first: dict[str, float] = {}
        self._said: set[tuple[str, str, str]] = set()
        if path is None:
            self._memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            self._memory.executescript(_SCHEMA)
            return
        self._file = StateFile(path, busy=BUSY_SECONDS, readonly=readonly, durable=True)
        try:
            if not readonly:
                self._file.create()
                self._file.connection().executescript(_SCHEMA)
            self._file.connection().execute("select count(*) from pins").fetchone()
        except (OSError, sqlite3.Error) as error:
            self._file.close()
            why = remedy(error, "which tools were accepted")
            raise ConfigError(f"the pins of MCP tools, `{path}`, cannot be opened: {why}") from None

    @classmethod
    def of(cls, config: Config, *, readonly: bool = False) -> PinStore:
        """The pins of a configuration."""
        return cls(pins_path(config), readonly=readonly)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
        if self._memory is not None:
            self._memory.close()

    # ── on the way ───────────────────────────────────────────────────────────────────────────────────────────────────

    def listing(self, server: str, tools: Sequence[object], *, more: bool) -> Listing:
        """Compare a page of tools with the pins, and keep what is new.

        Args:
            server: whose.
            tools: as it sent them.
            more: it has further pages.

        Raises:
            PinError: if the pins cannot be used.
        """
        known = self._of(server)
        if not known:
            self._first[server] = time.monotonic() + FIRST_SECONDS
        first = time.monotonic() < self._first.get(server, 0.0)
        if not more:
            self._first.pop(server, None)
        accepted = {pin.name: pin for pin in known if pin.accepted}
        looks = Counter(skeleton(name) for name in {*accepted, *map(_name_of, tools)})
        kept: list[object] = []
        notices: list[str] = []
        fresh: list[Pin] = []
        for tool in tools:
            pin = _pin(server, tool)
            if pin is None:
                notices.append(f"`{server}` lists a tool that has no usable definition: it is left out")
                continue
            old = accepted.get(pin.name)
            if old is not None and old.digest == pin.digest:
                kept.append(tool)
            elif first and old is None and is_plain(pin.name) and looks[skeleton(pin.name)] == 1:
                pin = msgspec.structs.replace(pin, accepted=True)
                accepted[pin.name] = pin
                kept.append(tool)
            else:
                notices += self._notice(pin, old, accepted)
            fresh.append(pin)
        self._keep(server, known, fresh)
        return Listing(tools=kept, notices=tuple(notices))

    def callable(self, server: str, name: str) -> bool | None:
        """Whether a tool is pinned as the server last listed it; None if it has never listed one of that name.

        Raises:
            PinError: if the pins cannot be used.
        """
        row = self._one(
            "select accepted from served left join pins using (server, name, digest) where server = ? and name = ?",
            server, name,
        )  # fmt: skip
        return None if row is None else bool(row[0])

    def _notice(self, pin: Pin, old: Pin | None, accepted: dict[str, Pin]) -> Iterator[str]:
        mark = (pin.server, pin.name, pin.digest)
        if mark in self._said:
            return
        self._said.add(mark)
        twin = next((n for n in accepted if n != pin.name and skeleton(n) == skeleton(pin.name)), None)
        if old is not None:
            why = "has changed since it was accepted"
        elif twin is not None:
            why = f"looks like `{twin}` and is another tool"
        elif not is_plain(pin.name):
            why = "has a name with characters that a tool's name may not have"
        else:
            why = "is new, or looks like another that is"
        name = visible(pin.name)
        yield (
            f"tool `{name}` of `{pin.server}` {why}: it is refused until a person looks at it"
            f" (`guardrail proxy mcp pins show {pin.server} {name}`) and accepts it (`pins accept`)"
        )

    # ── what people do ───────────────────────────────────────────────────────────────────────────────────────────────

    def all(self, server: str = "") -> list[Pin]:
        """Every pin, of one server or of all.

        Raises:
            PinError: if the pins cannot be used.
        """
        return self._of(server) if server else self._read("select * from pins order by server, name, since_us")

    def waiting(self, server: str, name: str = "") -> list[Pin]:
        """Definitions that wait for a person: as the server listed them last.

        Raises:
            PinError: if the pins cannot be used.
        """
        return self._read(
            "select pins.* from pins join served using (server, name, digest) where server = ? and not accepted"
            " and (name = ? or ? = '') order by name",
            server, name, name,
        )  # fmt: skip

    def accept(self, pin: Pin) -> None:
        """Let a tool be called as it is defined there, and no longer as it was before.

        Raises:
            PinError: if the pins cannot be used.
        """
        where = (pin.server, pin.name)
        self._write(
            ("delete from pins where server = ? and name = ? and accepted", where),
            (
                "update pins set accepted = 1, since_us = ? where server = ? and name = ? and digest = ?",
                (_now_us(), *where, pin.digest),
            ),
        )

    def forget(self, server: str) -> None:
        """Forget a server: its next listing counts as its first.

        Raises:
            PinError: if the pins cannot be used.
        """
        self._write(
            ("delete from pins where server = ?", (server,)), ("delete from served where server = ?", (server,))
        )

    # ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _keep(self, server: str, known: Sequence[Pin], fresh: Sequence[Pin]) -> None:
        have = {(pin.name, pin.digest) for pin in known}
        new = [pin for pin in fresh if (pin.name, pin.digest) not in have]
        if len(have) + len(new) > MAX_TOOLS:
            raise PinError(f"`{server}` has listed more than {MAX_TOOLS} tools: forget it with `pins forget`")
        served = dict(self._rows("select name, digest from served where server = ?", server))
        moved = [pin for pin in fresh if served.get(pin.name) != pin.digest]
        if not (new or moved):
            return
        add = "insert or ignore into pins values (?, ?, ?, ?, ?, ?)"
        serve = "insert or replace into served values (?, ?, ?)"
        self._write(
            *((add, (p.server, p.name, p.digest, p.definition, int(p.accepted), p.since_us)) for p in new),
            *((serve, (pin.server, pin.name, pin.digest)) for pin in moved),
        )

    def _of(self, server: str) -> list[Pin]:
        return self._read("select * from pins where server = ? order by name, since_us", server)

    def _read(self, query: str, *values: object) -> list[Pin]:
        rows = [dict(zip(Pin.__struct_fields__, row, strict=True)) for row in self._rows(query, *values)]
        return [msgspec.convert({**row, "accepted": bool(row["accepted"])}, Pin) for row in rows]

    def _one(self, query: str, *values: object) -> Any:
        return next(iter(self._rows(query, *values)), None)

    def _rows(self, query: str, *values: object) -> list[Any]:
        try:
            return self._db().execute(query, values).fetchall()
        except (OSError, sqlite3.Error) as error:
            raise PinError(f"the pins of MCP tools cannot be read: {error}") from None

    def _write(self, *steps: tuple[str, tuple[object, ...]]) -> None:
        try:
            with transaction(self._db()) as db:
                for query, values in steps:
                    db.execute(query, values)
        except (OSError, sqlite3.Error) as error:
            raise PinError(f"the pins of MCP tools cannot be written: {error}") from None

    def _db(self) -> sqlite3.Connection:
        if self._memory is not None:
            return self._memory
        if self._file is None:
            raise PinError("the pins of MCP tools are closed")
        return self._file.connection()


def pins_path(config: Config) -> Path:
    """Where the pins of a configuration lie."""
    return beside_trail(config, "mcp.db")


def _name_of(tool: object) -> str:
    name: object = tool.get("name") if isinstance(tool, dict) else None  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]
    return name if isinstance(name, str) else ""


def _pin(server: str, tool: object) -> Pin | None:
    name = _name_of(tool)
    if not name or not isinstance(tool, dict):
        return None
    # `_meta` is for programs, and may differ each time; everything a model reads is in the rest.
    definition = canonical({key: value for key, value in tool.items() if key != "_meta"})  # pyright: ignore[reportUnknownVariableType]
    if len(definition) > MAX_DEFINITION_BYTES:
        return None
    digest = hashlib.sha256(definition).hexdigest()
    return Pin(server=server, name=name, digest=digest, definition=definition, accepted=False, since_us=_now_us())


def _now_us() -> int:
    return time.time_ns() // 1000
