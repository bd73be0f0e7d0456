"""The servers that a client's file names: which are started, which are reached over HTTP, and which cannot be relayed.

    Claude Desktop, Claude Code, Cursor, Gemini CLI   JSON, `mcpServers`
    VS Code                                           JSON, `servers`
    Codex                                             TOML, `mcp_servers`

Checked against what those clients document, on 2026-11-30. Pure but for `read_servers`; nothing is started here.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from guardrail import ConfigError, jsonc
from guardrail_adapters.mcp._frames import table
from guardrail_adapters.mcp._names import is_server

KEYS: Final = ("mcpServers", "servers", "mcp_servers")
"""Where clients keep their servers."""

_VARIABLE: Final = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_PLAIN: Final = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_PLACES: Final = re.compile(r"\$\{(userHome|workspaceFolder|workspaceFolderBasename)\}")
_FOREIGN: Final = re.compile(r"\$\{[^}]*\}")

_SIGNS_IN: Final = ("oauth", "auth", "authProviderType", "headersHelper")
"""Keys by which a client is told to sign in to a server by itself."""


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """A server that is started.

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


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """A server that is reached over streamable HTTP.

    Args:
        url: its endpoint.
        headers: what is sent with every request, such as a token.
    """

    url: str
    headers: dict[str, str] = {}


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """A server that no relay can stand before, or that its client does not use.

    Args:
        why: the end of a sentence about it.
    """

    why: str


Server = Started | Reached | Left


class ServersFile(msgspec.Struct, frozen=True, kw_only=True):
    """A client's file.

    Args:
        path: where it is.
        text: what stands in it.
        key: under which its servers are.
        entries: each server as the client has it, by name.
    """

    path: Path
    text: str
    key: str
    entries: dict[str, Any]

    @property
    def is_toml(self) -> bool:
        """Whether it is Codex's."""
        return self.path.suffix == ".toml"

    def server(self, name: str) -> Server:
        """One of its servers, with variables as they stand there.

        Raises:
            ConfigError: if what is said of it cannot be used.
        """
        if not is_server(name):
            raise ConfigError(
                f"the server `{name}` in `{self.path}` cannot be named so: use letters, digits, `-` and single `_`"
            )
        entry = table(self.entries[name])
        try:
            found = _server(entry, gemini=self.path.parent.name == ".gemini")
        except msgspec.ValidationError as error:
            raise ConfigError(f"the server `{name}` in `{self.path}` cannot be used: {error}") from None
        if not isinstance(found, Left):
            for text in texts(found):
                if foreign := _FOREIGN.search(_PLACES.sub("", _VARIABLE.sub("", text))):
                    return Left(why=f"only its client can fill in `{foreign[0]}`: write `${{NAME}}`, and set NAME")
        return found

    def filled(self, name: str, environment: Mapping[str, str]) -> Server:
        """The same, with variables filled in.

        Raises:
            ConfigError: if a variable is not set, or what comes of it cannot be used.
        """
        found = self.server(name)
        if isinstance(found, Left):
            return found

        def value(variable: re.Match[str]) -> str:
            given, default = environment.get(variable[1], ""), variable[2]
            if not given and default is None:
                raise ConfigError(f"the server `{name}` in `{self.path}` needs `{variable[1]}` in the environment")
            return given or default

        whole = _mapped(found, lambda text: _PLACES.sub(self._place, _VARIABLE.sub(value, text)))
        if isinstance(whole, Reached):
            _check(name, whole)
        return whole

    def _place(self, variable: re.Match[str]) -> str:
        if variable[1] == "userHome":
            return os.path.expanduser("~")
        # A project's file lies in a directory of the client's within it, such as `.vscode`.
        folder = self.path.absolute().parent
        folder = folder.parent if folder.name.startswith(".") else folder
        return str(folder) if variable[1] == "workspaceFolder" else folder.name


def read_servers(path: Path) -> ServersFile:
    """Read a client's file.

    Raises:
        ConfigError: if it cannot be read, or names no servers at all.
    """
    try:
        text = path.read_text(encoding="utf-8")
        whole: Any = tomllib.loads(text) if path.suffix == ".toml" else jsonc.read(text).value
    except OSError as error:
        raise ConfigError(f"cannot read `{path}`: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, ConfigError) as error:
        raise ConfigError(f"cannot read `{path}`: {error}") from None
    for key in KEYS:
        if key in table(whole):
            return ServersFile(path=path, text=text, key=key, entries=table(table(whole)[key]))
    raise ConfigError(f"`{path}` has no servers: looked for {', '.join(f'`{key}`' for key in KEYS)}")


def texts(server: Started | Reached) -> Iterator[str]:
    """Every text of a server in which a variable may stand."""
    if isinstance(server, Reached):
        yield from (server.url, *server.headers.values())
    else:
        yield from (server.command, *server.args, *server.env.values(), server.cwd or "")


def variables(server: Started | Reached) -> dict[str, str]:
    """The environment variables that a server needs, each with the text that stands for it."""
    return {found[1]: found[0] for text in texts(server) for found in _VARIABLE.finditer(text)}


def _server(entry: Mapping[str, Any], *, gemini: bool) -> Server:
    kind = entry.get("type", entry.get("transport"))
    if entry.get("disabled") is True or entry.get("enabled") is False:
        return Left(why="it is switched off")
    if "envFile" in entry:
        return Left(why="its client reads variables for it from a file (`envFile`): name them in `env`")
    if "command" in entry:
        return _spelled(msgspec.convert({**entry}, Started), gemini=gemini)
    url = entry.get("httpUrl", entry.get("url", entry.get("serverUrl")))
    if url is None:
        return Left(why="it has neither `command` nor `url`")
    # For Gemini CLI a `url` without a type is one of these, and `httpUrl` is the other transport.
    if kind == "sse" or (gemini and kind is None and "httpUrl" not in entry):
        return Left(why="it speaks HTTP with SSE, the transport of 2024-11-05, and the relay streamable HTTP only")
    if kind not in (None, "http", "streamable-http", "streamableHttp"):
        return Left(why=f"the relay does not speak the transport `{kind}`")
    if any(key in entry for key in _SIGNS_IN):
        return Left(why="its client signs in to it by itself, which the relay cannot: give it a token in `headers`")
    headers = {**table(entry.get("headers")), **table(entry.get("http_headers"))}
    headers |= {name: f"${{{variable}}}" for name, variable in table(entry.get("env_http_headers")).items()}
    if "bearer_token_env_var" in entry:
        headers["Authorization"] = f"Bearer ${{{entry['bearer_token_env_var']}}}"
    return _spelled(msgspec.convert({"url": url, "headers": headers}, Reached), gemini=gemini)


def _spelled(server: Started | Reached, *, gemini: bool) -> Server:
    """Gemini CLI also takes variables without braces."""
    return _mapped(server, lambda text: _PLAIN.sub(r"${\1}", text)) if gemini else server


def _mapped(server: Started | Reached, change: Callable[[str], str]) -> Started | Reached:
    if isinstance(server, Reached):
        headers = {name: change(value) for name, value in server.headers.items()}
        return Reached(url=change(server.url), headers=headers)
    return Started(
        command=change(server.command),
        args=tuple(map(change, server.args)),
        env={name: change(value) for name, value in server.env.items()},
        cwd=None if server.cwd is None else change(server.cwd),
    )


def _check(name: str, server: Reached) -> None:
    parts = urlsplit(server.url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise ConfigError(f"`url` of the server `{name}` is no endpoint: write https://HOST/PATH")
    for header, value in server.headers.items():
        if not (re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", header) and value.isprintable() and value.isascii()):
            raise ConfigError(f"the header `{header}` of the server `{name}` has characters that no header may have")
