"""What fetching bundles and sending decision logs share of HTTP: a connection, and what to ask for on it.

Not concerned with what is sent and what is made of the answer. No proxy is asked, and no redirect is followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import SplitResult

if TYPE_CHECKING:
    import http.client


def connect(url: SplitResult, seconds: float) -> http.client.HTTPConnection:
    """A connection to a server, whose certificate has to be trusted here if it has one.

    Args:
        url: of `http` or `https`.
        seconds: longest wait for one step.
    """
    import http.client
    import ssl

    host, port = url.hostname or "", url.port
    if url.scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=seconds, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=seconds)


def target(url: SplitResult) -> str:
    """What is asked for on the connection."""
    path = url.path or "/"
    return f"{path}?{url.query}" if url.query else path
