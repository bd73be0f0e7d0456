"""What the tests of bundles share: bundles of any revision without a compiler, keys, and a bundle server.

A bundle here is the policy that ships under another name: its module reads the revision from data, so none has to be
compiled. Signatures by `opa` itself are in `tests/test_policy_signatures.py`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import orjson
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from guardrail.config import BundleKeyConfig, Config, PolicyConfig
from guardrail.policy._build import read_sources
from guardrail.policy.bundles._archive import pack
from guardrail.policy.bundles._make import wasm_bundle
from guardrail.policy.bundles._signature import SIGNATURES, digest
from tests.policy_support import POLICIES

NOW = 1_780_000_000
"""Time of issue of the first bundle, in seconds since 1970."""

WAIT_SECONDS = 120.0
"""Longest wait for something that another thread does, in seconds."""

EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public(key: Any) -> str:
    """The public half in PEM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def private(key: Any) -> bytes:
    """The private half in PEM, as `opa` reads it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


KEY = BundleKeyConfig(id="k1", algorithm="ES256", key=public(EC_KEY))
"""The key that bundles here are signed with."""


def members(
    version: str = "1.0.0", issued: int | None = NOW, change: Callable[[Any], None] | None = None
) -> dict[str, bytes]:
    """An unsigned bundle.

    Args:
        version: first part of its revision.
        issued: its time of issue, in seconds since 1970.
        change: changes `data.guardrail.settings` in place.
    """
    built = shipped()
    data = orjson.loads(built["build/data.json"])
    if change is not None:
        change(data["guardrail"]["settings"])
    mark = hashlib.sha256(orjson.dumps(data)).hexdigest()[:6]
    revision = f"{version}+{mark}"
    data["guardrail"]["release"]["revision"] = revision
    manifest = orjson.loads(built["build/manifest.json"])
    manifest |= {"revision": revision, "moved": data["guardrail"]["settings"]["moved"]}
    made = wasm_bundle(
        {**built, "build/data.json": orjson.dumps(data), "build/manifest.json": orjson.dumps(manifest)}, issued or 0
    )
    if issued is None:
        outer = orjson.loads(made[".manifest"])
        del outer["metadata"]["guardrail"]["issued"]
        made[".manifest"] = orjson.dumps(outer)
    return made


def shipped() -> dict[str, bytes]:
    """What was built and ships, by path."""
    names = ("build/policy.wasm", "build/data.json", "build/manifest.json")
    return {name: (POLICIES / name).read_bytes() for name in names}


def stricter(settings: Any) -> None:
    """A change that shows: code that was not analysed is denied."""
    settings["outcomes"]["opaque.code"] = "deny"
    settings["moved"] = ["review.granted"]


def signed(
    files: Mapping[str, bytes], *, key_id: str = "k1", key: Any = EC_KEY, iat: int | None = None, **claims: Any
) -> dict[str, bytes]:
    """The same bundle with a signature of ours, in OPA's form."""
    listed = [
        {"name": name, "hash": digest(name, content), "algorithm": "SHA-256"}
        for name, content in files.items()
        if name != SIGNATURES
    ]
    payload = {"files": listed, **({} if iat is None else {"iat": iat}), **claims}
    return {**files, SIGNATURES: orjson.dumps({"signatures": [jws(payload, {"alg": "ES256", "kid": key_id}, key)]})}


def jws(payload: Any, header: Any, key: Any = EC_KEY) -> str:
    """A compact JWS by ES256."""
    head, body = (_b64(orjson.dumps(part)) for part in (header, payload))
    r, s = decode_dss_signature(key.sign(f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256())))
    return f"{head}.{body}.{_b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def archive(path: Path, files: Mapping[str, bytes]) -> Path:
    """Put a bundle where a guard finds it, whole."""
    fresh = path.with_name("fresh")
    fresh.write_bytes(pack(files))
    fresh.replace(path)
    return path


def config(bundle: str | Path, **policy: Any) -> Config:
    """A configuration with this bundle, which nobody looks at again by itself, and the key."""
    given = {"keys": (KEY,), "poll_seconds": 3600.0, **policy}
    return Config(policy=PolicyConfig(bundle=str(bundle), **given))


def until(true: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    end, turn = time.monotonic() + WAIT_SECONDS, threading.Event()
    while not true():
        assert time.monotonic() < end, "it did not come"
        turn.wait(0.01)


class BundleHost(http.server.ThreadingHTTPServer):
    """A bundle server that serves `body` with its ETag, asks for a token if it has one, and counts."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body = b""
        self.token = ""
        self.answer: Callable[[http.server.BaseHTTPRequestHandler], None] | None = None
        self.statuses: list[int] = []
        self.release = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/bundles/guardrail.tar.gz"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: BundleHost

    def do_GET(self) -> None:
        host = self.server
        if host.answer is not None:
            with contextlib.suppress(OSError):
                host.answer(self)
            self.close_connection = True
            return
        tag = f'"{hashlib.sha256(host.body).hexdigest()}"'
        if host.token and self.headers["Authorization"] != f"Bearer {host.token}":
            self._send(401, b"", {})
        elif self.headers["If-None-Match"] == tag:
            self._send(304, b"", {})
        else:
            self._send(200, host.body, {"ETag": tag})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.server.statuses.append(status)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""


@contextlib.contextmanager
def bundle_host() -> Iterator[BundleHost]:
    """A bundle server, gone when this is left."""
    host = BundleHost()
    thread = threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield host
    finally:
        host.release.set()
        host.shutdown()
        host.server_close()
        thread.join(10)


def revision_of(files: Mapping[str, bytes]) -> str:
    """The revision that a bundle says it has."""
    revision: str = msgspec.json.decode(files[".manifest"])["revision"]
    return revision


def rego(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same revision for a server: sources and data."""
    manifest = orjson.loads(files[".manifest"])
    manifest.pop("wasm")
    rules = {name: text for name, text in read_sources(POLICIES).items() if name.endswith(".rego")}
    return {".manifest": orjson.dumps(manifest), "data.json": files["data.json"], **rules}
