"""opa-python-client, held to what a decision needs: one session of ours, no retries, no redirects, a bounded answer.

The client makes its session itself, without a Unix socket, and reads as much as the server sends; so the session is
made here and put in.
"""

from __future__ import annotations

import importlib
from typing import Any, Final
from urllib.parse import SplitResult

import aiohttp
import orjson

from guardrail.policy._conclude import MAX_ANSWER_BYTES

OK: Final = 200
"""The only HTTP status with a decision."""

_module: Any = importlib.import_module("opa_client.opa_async")


class BadAnswer(ValueError):
    """An HTTP answer without a decision; its text says why, in our words."""


def new_client(url: SplitResult, token: str, seconds: float) -> Any:
    """A client for this address; must be called on the event loop it will live on.

    Args:
        url: `http`, `https` or `unix`.
        token: bearer token to send, or empty.
        seconds: longest time for one answer; every question has a shorter one of its own.
    """
    secure = url.scheme == "https"
    host = url.hostname or "localhost"
    client: Any = _module.AsyncOpaClient(
        host=f"[{host}]" if ":" in host else host,
        port=url.port or (443 if secure else 8181),
        ssl=secure,
        token=token or None,
        # Its own retries wait 0.3 s and more, longer than a whole decision may take.
        retries=0,
        timeout=seconds,
    )
    connector = aiohttp.UnixConnector(path=url.path) if url.scheme == "unix" else aiohttp.TCPConnector()
    client._session = _Session(
        aiohttp.ClientSession(
            headers=client.headers,
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=seconds),
            response_class=_BoundedResponse,
            json_serialize=_dumps,
            trust_env=False,  # a proxy from the environment would see, and could make, every decision
        )
    )
    return client


class _Session:
    """The part of a session that the client uses, stricter."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @property
    def closed(self) -> bool:
        return self._session.closed

    async def request(self, method: str, url: str, **options: Any) -> aiohttp.ClientResponse:
        response = await self._session.request(method, url, allow_redirects=False, **options)
        if response.status != OK:
            response.close()
            raise BadAnswer(_meaning(response.status))
        return response

    async def close(self) -> None:
        await self._session.close()


class _BoundedResponse(aiohttp.ClientResponse):
    async def read(self) -> bytes:
        if self._body is None:
            body = bytearray()
            async for chunk in self.content.iter_any():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    self.close()
                    raise BadAnswer(f"it sends more than {MAX_ANSWER_BYTES} bytes")
            self._body = bytes(body)
        return self._body


def _meaning(status: int) -> str:
    if status in (401, 403):
        return f"HTTP status {status}: it wants another token, so set `policy.token`"
    return f"HTTP status {status}"


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()
