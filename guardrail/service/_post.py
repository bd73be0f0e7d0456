"""Posting to somebody else's server: webhooks and sign-ins. No redirect is followed."""

from __future__ import annotations

import http.client
import urllib.parse
from typing import Final

TIMEOUT_SECONDS: Final = 10.0
"""Longest wait for the other end, in seconds."""


def post(url: str, headers: dict[str, str], body: bytes, *, most: int = 0) -> tuple[int, bytes]:
    """Send a body.

    Args:
        url: address, `https://host/path`.
        headers: what goes with it.
        body: the body.
        most: how much of the answer is read, in bytes; what is more is left.

    Returns:
        The status and the answer; 0 and nothing if there was none, or no host can have that address.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", target, body, headers)
            with connection.getresponse() as answer:
                data = answer.read(most)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError):  # a port or a name that nothing can have is a `ValueError`
        return 0, b""
    return answer.status, data
