"""One request to the service, over TCP or a Unix socket, for people and programs on the command line."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, cast

from guardrail.client._unix import UnixConnection
from guardrail.errors import ConfigError, GuardrailError

if TYPE_CHECKING:
    from guardrail.config import Config

TIMEOUT_SECONDS: Final = 10.0
"""Longest wait for the service, in seconds."""

MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
"""Largest answer that is read, in bytes."""


def post(url: str, target: str, body: bytes, token: str) -> tuple[int, dict[str, Any]]:
    """Send JSON.

    Args:
        url: `http://host:port`, `https://host`, or `unix:///path/to/socket`.
        target: path on the service.
        body: what to send.
        token: bearer token.

    Returns:
        Status, and the JSON object that came back; empty if none did.

    Raises:
        ConfigError: if the address is none.
        GuardrailError: if there is no answer.
    """
    connection = _connection(url)
    try:
        answer = _asked(connection, target, body, token)
        return answer.status, _object(answer.read(MAX_ANSWER_BYTES))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _no_answer(url, error) from None
    finally:
        connection.close()


def lines(url: str, target: str, body: bytes, token: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Send JSON, and take in an answer of one object a line as it comes.

    Args:
        url: as for `post`.
        target: path on the service.
        body: what to send.
        token: bearer token, or empty.

    Yields:
        Status, and an object; empty for a line that is none.

    Raises:
        ConfigError: if the address is none.
        GuardrailError: if there is no answer, or it ends before it is whole.
    """
    connection = _connection(url)
    try:
        answer = _asked(connection, target, body, token)
        if connection.sock is not None:
            connection.sock.settimeout(None)  # what runs there has its own time, and says nothing meanwhile
        while line := answer.readline(MAX_ANSWER_BYTES):
            yield answer.status, _object(line)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _no_answer(url, error) from None
    finally:
        connection.close()


def address_of(config: Config) -> str:
    """Where the service of a configuration listens, as `post` and `lines` take it."""
    service = config.service
    if service.socket:
        return f"unix://{config.path(service.socket)}"
    return f"http://[{service.host}]:{service.port}" if ":" in service.host else f"http://{service.host}:{service.port}"


def _asked(connection: http.client.HTTPConnection, target: str, body: bytes, token: str) -> http.client.HTTPResponse:
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
    connection.request("POST", target, body, headers)
    return connection.getresponse()


def _object(data: bytes) -> dict[str, Any]:
    try:
        value: object = json.loads(data)
    except ValueError:
        value = None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _no_answer(url: str, error: Exception) -> GuardrailError:
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return GuardrailError(f"the service at `{url}` gave no answer: {why[:1].lower()}{why[1:]}")


def _connection(url: str) -> http.client.HTTPConnection:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "unix" and parts.path:
        return UnixConnection(parts.path, TIMEOUT_SECONDS)
    try:
        if parts.scheme == "https" and parts.hostname:
            return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
        if parts.scheme == "http" and parts.hostname:
            return http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
    except ValueError:
        pass
    raise ConfigError(f"`{url}` is no address of a service: use `http://HOST:PORT`, `https://HOST` or `unix:///PATH`")
