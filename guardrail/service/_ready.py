"""Asking a running service whether it is ready, with the standard library alone."""

from __future__ import annotations

import http.client
import json
from typing import Any, Final

from guardrail.client import cause
from guardrail.client._unix import UnixConnection
from guardrail.config import Config, ServiceConfig

TIMEOUT_SECONDS: Final = 3.0
"""Longest wait for the answer, in seconds."""


def is_ready(config: Config, settings: ServiceConfig) -> tuple[bool, str]:
    """Ask `/readyz`.

    Args:
        config: the configuration of the service.
        settings: where it listens.

    Returns:
        Whether it is ready, and one line about it.
    """
    connection = _connection(config, settings)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        answer: Any = json.loads(response.read(65536))
    except (http.client.HTTPException, ValueError):
        return False, f"guardrail: what answers at {_place(settings)} is not the guardrail service"
    except OSError as error:
        return False, f"guardrail: no service answers at {_place(settings)}: {cause(error)}"
    finally:
        connection.close()
    if response.status == 200:
        return True, "guardrail: ready"
    detail: Any = answer.get("detail") if isinstance(answer, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return False, f"guardrail: {detail or f'the service answered with status {response.status}'}"


def _place(settings: ServiceConfig) -> str:
    return f"`{settings.socket}`" if settings.socket else f"`{settings.host}` port {settings.port}"


def _connection(config: Config, settings: ServiceConfig) -> http.client.HTTPConnection:
    if settings.socket:
        return UnixConnection(settings.socket, TIMEOUT_SECONDS)
    # A service that listens on every address answers on loopback.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - compared, not bound
    if settings.tls is None:
        return http.client.HTTPConnection(host, settings.port, timeout=TIMEOUT_SECONDS)
    from guardrail.service._tls import client_context

    context = client_context(config, settings.tls)
    return http.client.HTTPSConnection(host, settings.port, timeout=TIMEOUT_SECONDS, context=context)
