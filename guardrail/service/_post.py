"""Sending something to an address that an operator named: one POST, bounded, and no redirect is followed."""

from __future__ import annotations

import http.client
import urllib.parse
from collections.abc import Callable
from typing import Final

TIMEOUT_SECONDS: Final = 10.0
"""Longest wait for the other side, in seconds."""

MAX_ANSWER_BYTES: Final = 64 * 1024
"""Most that is read of an answer, in bytes."""

Post = Callable[[str, dict[str, str], bytes], tuple[int, bytes]]
"""Sends, and gives back the status and what was answered; 0 for no answer."""


def send(url: str, headers: dict[str, str], body: bytes, *, most: int = MAX_ANSWER_BYTES) -> tuple[int, bytes]:
    """Post something.

    Args:
        url: where to.
        headers: of the request.
        body: what is sent.
        most: how much of the answer is read, in bytes; what is beyond is left.

    Returns:
        The status and the answer; 0 and nothing if there was none.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", target, body, headers)
            with connection.getresponse() as answer:
                return answer.status, answer.read(most)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError):  # a port or a name that nothing can have is a `ValueError`
        return 0, b""
