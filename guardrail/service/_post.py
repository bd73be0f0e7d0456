"""Sending something to an address that an operator named: one POST, bounded, and no redirect is followed.

Blind spot: the address that a name means is looked at once somebody there has answered, so that a place that is refused
sees a connection, and with https a greeting; never a request.
"""

from __future__ import annotations

import http.client
import logging
import urllib.parse
from collections.abc import Callable
from typing import Final

from guardrail.config._addresses import refused

TIMEOUT_SECONDS: Final = 10.0
"""Longest wait for the other side, in seconds."""

MAX_ANSWER_BYTES: Final = 64 * 1024
"""Most that is read of an answer, in bytes."""

Post = Callable[[str, dict[str, str], bytes], tuple[int, bytes]]
"""Sends, and gives back the status and what was answered; 0 for no answer."""


def send(
    url: str, headers: dict[str, str], body: bytes, *, most: int = MAX_ANSWER_BYTES, private: bool = True
) -> tuple[int, bytes]:
    """Post something.

    Args:
        url: where to.
        headers: of the request.
        body: what is sent.
        most: how much of the answer is read, in bytes; what is beyond is left.
        private: whether it may lie at an address that is not on the internet.

    Returns:
        The status and the answer; 0 and nothing if there was none.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.connect()
            # Whatever the name meant before, or will mean next: this is who gets what is sent now.
            peer = connection.sock.getpeername()[0]
            if why := refused(peer, private=private):
                # The rest of the address may be a secret, as that of an incoming webhook of Slack is.
                logging.getLogger("guardrail.service").warning(
                    "guardrail.post.refused %s: `%s` %s", parts.hostname, peer, why
                )
                return 0, b""
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", target, body, headers)
            with connection.getresponse() as answer:
                return answer.status, answer.read(most)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError):  # a port or a name that nothing can have is a `ValueError`
        return 0, b""
