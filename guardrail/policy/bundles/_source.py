"""Where bundles come from: a directory, a tar.gz, or a bundle server, looked at again and again.

Not concerned with whether what comes is good: it is verified by whoever asked for it.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import SplitResult, urlsplit

import msgspec

from guardrail.config import Config, secret
from guardrail.errors import ConfigError
from guardrail.policy._http import connect, target
from guardrail.policy.bundles._archive import MAX_ARCHIVE_BYTES, read_directory, unpack

if TYPE_CHECKING:
    import http.client

SOCKET_SECONDS: Final = 5.0
"""Longest wait for one step of a download, in seconds."""

FETCH_SECONDS: Final = 30.0
"""Longest download, in seconds: a server that sends a byte now and then is given up."""

MAX_ETAG_CHARS: Final = 1024
"""Longest ETag that is kept, in characters."""

_CHUNK: Final = 64 * 1024


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle as it came.

    Args:
        tag: names this content to the source: asked again with it, the source says whether there is anything new.
        members: the files of the bundle.
    """

    tag: str
    members: Mapping[str, bytes]


class Source(Protocol):
    """Something that has a bundle."""

    @property
    def name(self) -> str:
        """Its address, for messages and for the record of what was accepted from it."""
        ...

    def fetch(self, tag: str) -> Fetched | None:
        """Get the bundle.

        Args:
            tag: of what was got last, or empty.

        Returns:
            The bundle, or None if it is still that one.

        Raises:
            ConfigError: if there is none, or it cannot be had in time and in bounds.
        """
        ...


def source_of(config: Config) -> Source:
    """The source that `policy.bundle` names.

    Raises:
        ConfigError: if it is an address that cannot be one, or the variable of its token is not set.
    """
    text = config.policy.bundle
    if text.startswith(("http://", "https://")):
        return BundleServer(text, secret(config.policy.bundle_token, "policy.bundle_token"))
    return BundleFiles(config.path(text))


class BundleFiles:
    """A directory or a tar.gz on this host.

    Args:
        path: of either.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name: Final = str(path)

    def fetch(self, tag: str) -> Fetched | None:
        """See `Source.fetch`.

        Raises:
            ConfigError: if it cannot be read, or is over a limit.
        """
        if self._path.is_dir():
            members: Mapping[str, bytes] = read_directory(self._path)
            found = _digest(*(part for item in sorted(members.items()) for part in (item[0].encode(), item[1])))
            return None if found == tag else Fetched(tag=found, members=members)
        archive = self._read()
        found = _digest(archive)
        return None if found == tag else Fetched(tag=found, members=unpack(archive, self.name))

    def _read(self) -> bytes:
        try:
            with self._path.open("rb") as stream:
                # One byte more than is allowed, so that whoever unpacks it sees that it is too large.
                return stream.read(MAX_ARCHIVE_BYTES + 1)
        except OSError as error:
            raise ConfigError(
                f"cannot read the policy bundle `{self.name}`: {(error.strerror or str(error)).lower()};"
                " name a directory or archive made by `guardrail policy build`"
            ) from None


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()


class BundleServer:
    """A bundle server, as OPA asks one: GET with a bearer token and the ETag of what was got last.

    Neither a redirect nor a proxy from the environment is followed.

    Args:
        url: `http://` or `https://`, with the path of the bundle.
        token: bearer token, or empty.

    Raises:
        ConfigError: if the address is none.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = _split(url)
        self._token = token
        # A query may hold a signed permission, which is nobody's business in a log.
        self.name: Final = f"{self._url.scheme}://{self._url.netloc}{self._url.path}"

    def fetch(self, tag: str) -> Fetched | None:
        """See `Source.fetch`.

        Raises:
            ConfigError: if no bundle comes in time and in bounds.
        """
        import http.client

        end = time.monotonic() + FETCH_SECONDS
        connection = connect(self._url, SOCKET_SECONDS)
        try:
            connection.request("GET", target(self._url), headers=self._headers(tag))
            response = connection.getresponse()
            if response.status == 304 and tag:
                return None
            if response.status != 200:
                raise self._cannot(_meaning(response.status))
            body = self._body(response, end)
            etag = response.headers.get("ETag", "")
        except (OSError, http.client.HTTPException) as error:
            raise self._cannot(_sentence(error)) from None
        finally:
            connection.close()
        # Without an ETag there is nothing to ask by, and an empty tag is asked for again in full.
        kept = etag if len(etag) <= MAX_ETAG_CHARS and etag.isprintable() and etag.isascii() else ""
        return Fetched(tag=kept, members=unpack(body, self.name))

    def _headers(self, tag: str) -> dict[str, str]:
        headers = {"Accept": "application/gzip, application/octet-stream", "Accept-Encoding": "identity"}
        headers |= {"User-Agent": "guardrail", "Prefer": "modes=snapshot"}
        if tag:
            headers["If-None-Match"] = tag
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        return headers

    def _body(self, response: http.client.HTTPResponse, end: float) -> bytes:
        body = bytearray()
        while chunk := response.read1(_CHUNK):
            body += chunk
            if len(body) > MAX_ARCHIVE_BYTES:
                raise self._cannot(f"it sends more than {MAX_ARCHIVE_BYTES} bytes")
            if time.monotonic() > end:
                raise self._cannot(f"it takes longer than {FETCH_SECONDS:g} s")
        if response.length:
            raise self._cannot("it closed the connection before the end")
        return bytes(body)

    def _cannot(self, why: str) -> ConfigError:
        return ConfigError(f"cannot get the policy bundle from `{self.name}`: {why}; see to that server")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError(f"`policy.bundle` is no address: `{url}`: write `https://host/path/bundle.tar.gz`") from None
    plain = url.isprintable() and url.isascii() and " " not in url
    if not parts.hostname or parts.username or parts.password or parts.fragment or port == 0 or not plain:
        raise ConfigError(
            "`policy.bundle` must be `https://host/path/bundle.tar.gz`, and a secret belongs into `policy.bundle_token`"
        )
    return parts


def _meaning(status: int) -> str:
    if status in (401, 403):
        return f"HTTP status {status}: it wants another token, so set `policy.bundle_token`"
    if 300 <= status < 400:
        return f"HTTP status {status}: redirects are not followed, so name the last address in `policy.bundle`"
    return f"HTTP status {status}"


def _sentence(error: BaseException) -> str:
    """What went wrong, in our words."""
    import http.client
    import socket
    import ssl

    match error:
        case http.client.HTTPException():
            return "what it sends is no HTTP, or ends too early"
        case TimeoutError():
            return f"it does not answer within {SOCKET_SECONDS:g} s"
        case ssl.SSLCertVerificationError():
            return "its certificate is not trusted here"
        case ssl.SSLError():
            return "it does not speak TLS"
        case socket.gaierror():
            return "its name cannot be resolved"
        case OSError() if error.errno is not None and error.errno > 0:
            return os.strerror(error.errno).lower()
        case OSError():
            return "nothing can be reached there"
        case _:
            return "what it sends is no HTTP, or ends too early"
