"""JSON Web Tokens of an identity provider, checked with its keys from a file (RFC 7515, RFC 7517).

Not concerned with what a token claims: who asks for its payload says what has to stand there.
Nothing is fetched while a token is looked at.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from guardrail.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    PublicKey = RSAPublicKey | EllipticCurvePublicKey

SKEW_SECONDS: Final = 60
"""How far a provider's clock may be off, in seconds."""

MIN_RSA_BITS: Final = 2048
"""Shortest RSA key that is believed, in bits."""

_P256_BYTES: Final = 32


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    alg: str
    kid: str
    crit: tuple[str, ...] = ()


class ProviderKeys:
    """The keys of one provider.

    Args:
        path: its JWKS.
        name: what the file is called in a message, such as `review.oidc.jwks`.

    Raises:
        ConfigError: if they cannot be read, or none of them can be used.
    """

    def __init__(self, path: Path, *, name: str) -> None:
        self._keys = _load(path, name)

    def payload(self, token: str) -> bytes:
        """The claims of a token that one of the keys has signed.

        Raises:
            ValueError: if none has; the message is one clause.
            msgspec.DecodeError: if it is no token.
        """
        parts = token.split(".")
        if len(parts) != 3:
            raise ValueError("the token has not three parts")
        header = msgspec.json.decode(unbase64(parts[0]), type=_Header)
        key = self._keys.get(header.kid)
        if key is None:
            raise ValueError(f"the provider has no key `{header.kid[:64]}`")
        # INVARIANT: the kind of the key says which algorithm there is; the token's own word only has to agree.
        if header.crit or header.alg != _algorithm(key):
            raise ValueError(f"the token is not signed with {_algorithm(key)}")
        if not _is_signed(key, f"{parts[0]}.{parts[1]}".encode("ascii"), unbase64(parts[2])):
            raise ValueError("the signature of the token is not that of the provider")
        return unbase64(parts[1])


def unbase64(text: str) -> bytes:
    """Bytes from base64url without padding.

    Raises:
        ValueError: if the text is not that.
    """
    if "=" in text:
        raise ValueError("base64url stands without padding here")
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _load(path: Path, name: str) -> dict[str, PublicKey]:
    try:
        keys: Any = orjson.loads(path.read_bytes())["keys"]
        found = {str(key["kid"]): _public(key) for key in keys if key.get("use", "sig") == "sig"}
    except OSError as error:
        raise ConfigError(f"cannot read `{name}`: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"`{name}` holds no keys that can be used: {error}") from None
    if not found:
        raise ConfigError(f"`{name}` holds no key to verify with")
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
    return int.from_bytes(unbase64(text), "big")
