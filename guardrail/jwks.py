"""Tokens that somebody else signs: JSON Web Signatures (RFC 7515) under keys of a file (RFC 7517); nothing is fetched.

Whoever keeps the file up to date, such as a mounted secret, changes the keys of a running process: a new key counts,
and one that is gone counts no more, a second later.
Not concerned with what a token says: whoever reads it checks issuer, audience and time.
"""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from guardrail.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    PublicKey = RSAPublicKey | EllipticCurvePublicKey

MIN_RSA_BITS: Final = 2048
"""Shortest RSA key that is believed, in bits."""

LOOK_SECONDS: Final = 1.0
"""How often at the most it is looked whether the file has changed, in seconds, however many tokens come."""

_P256_BYTES: Final = 32

_log: Final = logging.getLogger("guardrail.jwks")


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    alg: str
    kid: str
    crit: tuple[str, ...] = ()


class KeySet:
    """The keys of an issuer, by their ids, as they stand in a file.

    Args:
        path: a JSON Web Key Set, as an issuer's `jwks_uri` gives it.
        setting: which setting names it, for messages.
        clock: seconds that only grow.

    Raises:
        ConfigError: if it cannot be read, or has no key that can be used.
    """

    def __init__(self, path: Path, setting: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._setting = setting
        self._clock = clock
        self._lock = threading.Lock()
        # Before reading: what is written meanwhile is seen as a change.
        self._mark = _mark(path)
        self._keys = _keys_of(path, setting)
        self._next = clock() + LOOK_SECONDS

    def payload(self, token: str) -> bytes:
        """What a token says, if one of the keys has signed it.

        Args:
            token: a JSON Web Signature in compact form.

        Raises:
            ValueError: if it is none, or none of the keys has signed it.
        """
        parts = token.split(".")
        if len(parts) != 3:
            raise ValueError("the token has not three parts")
        try:
            header = msgspec.json.decode(_unbase64(parts[0]), type=_Header)
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from None
        key = self._current().get(header.kid)
        if key is None:
            raise ValueError(f"the provider has no key `{header.kid[:64]}`")
        # INVARIANT: the kind of the key says which algorithm there is; the token's own word only has to agree.
        if header.crit or header.alg != _algorithm(key):
            raise ValueError(f"the token is not signed with {_algorithm(key)}")
        if not _is_signed(key, f"{parts[0]}.{parts[1]}".encode("ascii"), _unbase64(parts[2])):
            raise ValueError("the signature of the token is not that of the provider")
        return _unbase64(parts[1])

    def _current(self) -> Mapping[str, PublicKey]:
        """The keys, read again if the file has changed; as they were, if it cannot be read."""
        with self._lock:
            if self._clock() < self._next:
                return self._keys
            self._next = self._clock() + LOOK_SECONDS
            mark = _mark(self._path)
            if mark != self._mark:
                self._mark = mark
                try:
                    self._keys = _keys_of(self._path, self._setting)
                except ConfigError as error:
                    _log.warning("the keys stay as they were: %s", error)
            return self._keys


def _mark(path: Path) -> tuple[int, int, int]:
    """What a file is known by; all zero where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_ino, found.st_size


def _keys_of(path: Path, setting: str) -> Mapping[str, PublicKey]:
    try:
        keys: Any = orjson.loads(path.read_bytes())["keys"]
        found = {str(key["kid"]): _public(key) for key in keys if key.get("use", "sig") == "sig"}
    except OSError as error:
        raise ConfigError(f"cannot read `{setting}`: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"`{setting}` holds no keys that can be used: {error}") from None
    if not found:
        raise ConfigError(f"`{setting}` holds no key to verify with")
    return found


def _public(key: dict[str, Any]) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if key.get("kty") == "RSA":
        public = rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"])).public_key()
        if public.key_size < MIN_RSA_BITS:
            raise ValueError(f"an RSA key has less than {MIN_RSA_BITS} bits")
        return public
    if key.get("kty") == "EC" and key.get("crv") == "P-256":
        return ec.EllipticCurvePublicNumbers(_number(key["x"]), _number(key["y"]), ec.SECP256R1()).public_key()
    raise ValueError("a key must be RSA, or EC with P-256")


def _algorithm(key: PublicKey) -> str:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return "RS256" if isinstance(key, rsa.RSAPublicKey) else "ES256"


def _is_signed(key: PublicKey, signed: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
            return True
        if len(signature) != 2 * _P256_BYTES:
            return False
        r, s = (int.from_bytes(half, "big") for half in (signature[:_P256_BYTES], signature[_P256_BYTES:]))
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _number(text: str) -> int:
    return int.from_bytes(_unbase64(text), "big")


def _unbase64(text: str) -> bytes:
    if "=" in text:
        raise ValueError("base64url stands without padding here")
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
