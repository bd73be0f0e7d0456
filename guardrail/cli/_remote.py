"""One request to the service, over TCP or a Unix socket, for people on the command line."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.parse
from typing import Any, Final, cast

from guardrail.errors import ConfigError, GuardrailError

TIMEOUT_SECONDS: Final = 10.0
"""Longest wait for the service, in seconds."""

MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
"""Largest answer that is read, in bytes."""


class _Unix(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_SECONDS)
        self.sock.connect(self._path)


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
        headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
        connection.request("POST", target, body, headers)
        answer = connection.getresponse()
        data = answer.read(MAX_ANSWER_BYTES)
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise GuardrailError(f"the service at `{url}` gave no answer: {why.lower()}") from None
    finally:
        connection.close()
    try:
        value: object = json.loads(data)
    except ValueError:
        value = None
    return answer.status, cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _connection(url: str) -> http.client.HTTPConnection:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "unix" and parts.path:
        return _Unix(parts.path)
    try:
        if parts.scheme == "https" and parts.hostname:
            return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
        if parts.scheme == "http" and parts.hostname:
            return http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
    except ValueError:
        pass
    raise ConfigError(f"`{url}` is no address of a service: use `http://HOST:PORT`, `https://HOST` or `unix:///PATH`")
