"""What `guardrail proxy mcp` runs: everything is opened here, and let go of in the end.

Not concerned with arguments on a command line, nor with printing: `guardrail.cli.proxy` is.
INVARIANT: the guard and the pins are open before a server is started or an address listened on.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import re
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path, PurePath
from typing import Final

from guardrail import Config, ConfigError, Guard, GuardrailError
from guardrail.telemetry import configure_from_environment
from guardrail_adapters.mcp._clients import OWN, Plan, plan, undo, write
from guardrail_adapters.mcp._gate import Gate
from guardrail_adapters.mcp._headers import HttpSettings
from guardrail_adapters.mcp._kept import TaskFile
from guardrail_adapters.mcp._names import is_server
from guardrail_adapters.mcp._pins import Pin, PinStore, pins_path
from guardrail_adapters.mcp._servers import Left, Reached, ServersFile, Started, read_servers
from guardrail_adapters.mcp._settings import RelaySettings

__all__ = [
    "Plan",
    "accept",
    "forget",
    "http",
    "is_server",
    "many",
    "pins",
    "plan",
    "server_name",
    "stdio",
    "undo",
    "waiting",
    "write",
]

_log: Final = logging.getLogger("guardrail.mcp")

_STARTERS: Final = frozenset("npx uvx bunx pipx node python python3 uv docker sh bash env deno run".split())
"""Programs that start a server and do not name it, with their subcommands."""

_GENERIC: Final = frozenset("index main server cli app __main__ dist build src lib bin".split())
"""Names that any server's files and directories may have."""

_AFFIX: Final = re.compile(r"^(?:mcp[-_])?(?:server[-_])?|[-_]mcp(?:[-_]server)?$")


def stdio(config: Config, settings: RelaySettings, command: Sequence[str]) -> int:
    """Relay between a client on standard input and output and a server that is started here.

    Returns:
        The exit code: 0 if the client ended it, 1 otherwise.

    Raises:
        ConfigError: if the configuration, the pins or the server cannot be used.
        TrailError: if the trail cannot be written.
    """
    from guardrail_adapters.mcp._stdio import relay

    with _opened(config, settings) as gate:
        return asyncio.run(relay(gate, command))


def many(config: Config, settings: RelaySettings, file: str) -> int:
    """Relay between a client and every server that a file names.

    Args:
        config: of the guard.
        settings: for all of them; each has its own name.
        file: a client's, or one that `import` wrote.

    Raises:
        ConfigError: if the configuration, the file or one of the servers cannot be used.
        TrailError: if the trail cannot be written.
    """
    from guardrail_adapters.mcp._many import relay_many

    with _opened(config, settings) as first:
        servers = _usable(read_servers(Path(file)))
        gates = {name: first.of(name) for name in servers}
        return asyncio.run(relay_many(gates, servers))


def _usable(found: ServersFile) -> dict[str, Started | Reached]:
    """The servers of a file that can be relayed; the others are named on standard error.

    Raises:
        ConfigError: if there are none.
    """
    servers: dict[str, Started | Reached] = {}
    for name in found.entries:
        server = found.filled(name, os.environ)
        if isinstance(server, Left):
            _log.warning("the server `%s` is left out: %s", name, server.why)
        elif name != OWN:
            servers[name] = server
    if not servers:
        raise ConfigError(f"`{found.path}` names no server that can be relayed: each needs a `command` or a `url`")
    if any(isinstance(server, Reached) for server in servers.values()):
        _needs_aiohttp()
    return servers


def _needs_aiohttp() -> None:
    if importlib.util.find_spec("aiohttp") is None:
        raise ConfigError("`aiohttp` is not installed: install `guardrail-runtime[mcp]`")


def http(config: Config, settings: RelaySettings, transport: HttpSettings, ready: Callable[[str], None]) -> int:
    """Relay between clients that come over HTTP and the one server behind.

    Args:
        config: of the guard.
        settings: see `RelaySettings`.
        transport: see `HttpSettings`.
        ready: is told the address once it is listened on.

    Raises:
        ConfigError: if the configuration, the pins or the address cannot be used, or aiohttp is not installed.
        TrailError: if the trail cannot be written.
    """
    _needs_aiohttp()
    from guardrail_adapters.mcp._http import serve

    with _opened(config, settings) as gate:
        return asyncio.run(serve(gate, transport, ready))


def server_name(command: Sequence[str]) -> str:
    """What a server is called by its command: `npx -y @modelcontextprotocol/server-filesystem /srv` is `filesystem`.

    Raises:
        ConfigError: if the command names nothing.
    """
    for word in command:
        if word.startswith("-"):
            continue
        # `@scope/name@version` and `name@version` are of npm; in a path only the last names count.
        package = word if "/" in word and not word.startswith("@") else re.sub(r"(?<=.)@.*$", "", word)
        parts = PurePath(package).parts
        if not parts or parts[-1] in _STARTERS:
            continue
        for part in reversed(parts):
            name = _AFFIX.sub("", part.removesuffix(".py").removesuffix(".js").removesuffix(".mjs"))
            if name and name not in _GENERIC and re.fullmatch(r"[A-Za-z0-9_.-]+", name):
                return name
    raise ConfigError("the command names no server: give it a name with --name")


@contextlib.contextmanager
def _opened(config: Config, settings: RelaySettings) -> Generator[Gate]:
    if not _log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("guardrail: %(message)s"))
        _log.addHandler(handler)
        _log.propagate = False
    recorder = configure_from_environment("guardrail")
    with contextlib.ExitStack() as stack:
        stack.callback(recorder.shutdown)
        guard = stack.enter_context(Guard.open(config, telemetry=recorder))
        pins = stack.enter_context(contextlib.closing(PinStore.of(config)))
        seconds = config.review.escalation_seconds
        tasks = stack.enter_context(contextlib.closing(TaskFile(pins_path(config), 2 * seconds)))
        guard.begin(settings.subject, session=settings.session)
        try:
            yield Gate(guard, pins, settings, tasks)
        finally:
            try:
                guard.end(settings.subject, session=settings.session)
            except GuardrailError as error:
                _log.error("the end of the session is not on record: %s", error)


# ── pins ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def pins(config: Config, server: str = "") -> list[Pin]:
    """Every pin of a configuration.

    Raises:
        ConfigError: if there are none, or they cannot be read.
    """
    with _pins(config) as store:
        return store.all(server)


def waiting(config: Config, server: str, name: str = "") -> list[Pin]:
    """Definitions that wait for a person; see `PinStore.waiting`."""
    with _pins(config) as store:
        return store.waiting(server, name)


def accept(config: Config, server: str, names: Sequence[str]) -> list[Pin]:
    """Accept tools as their server lists them now.

    Args:
        config: whose pins.
        server: the server.
        names: its tools; all that wait if there are none.

    Returns:
        What was accepted.

    Raises:
        ConfigError: if a name is that of no tool that waits; nothing is accepted then.
    """
    with _pins(config, readonly=False) as store:
        found = {pin.name: pin for pin in store.waiting(server)}
        for name in names:
            if name not in found:
                raise ConfigError(f"no tool `{name}` of `{server}` waits: see `guardrail proxy mcp pins list`")
        chosen = [found[name] for name in names] if names else list(found.values())
        for pin in chosen:
            store.accept(pin)
        return chosen


def forget(config: Config, server: str) -> int:
    """Forget the pins of a server.

    Returns:
        How many there were.
    """
    with _pins(config, readonly=False) as store:
        count = len(store.all(server))
        store.forget(server)
        return count


@contextlib.contextmanager
def _pins(config: Config, *, readonly: bool = True) -> Generator[PinStore]:
    if not pins_path(config).exists():
        raise ConfigError("no server has listed its tools to this configuration yet, so nothing is pinned")
    with contextlib.closing(PinStore.of(config, readonly=readonly)) as store:
        yield store
