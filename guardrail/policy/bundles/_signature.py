"""The signature of a bundle, verified as OPA verifies it, and where OPA is lenient, more strictly.

1. `.signatures.json` holds exactly one compact JWS, for OPA's own verifier.
2. The key is the configured one, else the one that the header's `kid` names, else the claim `keyid`; the algorithm
   comes from the key's configuration and never from the token.
3. The signature; the scope.
4. Every member is listed and every listed file is there. OPA lets a member pass whose name ends in `signatures.json`,
   and does not look at delta bundles at all.
5. Every digest, by SHA-2. OPA takes MD5 and SHA-1 too.

Source: OPA 1.21.1, v1/bundle/{verify,hash,bundle,keys}.go, read 2026-11-29.
Not concerned with what a bundle says.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guardrail.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives import hashes

SIGNATURES: Final = ".signatures.json"
"""The member that holds the signature; it is the only one that is not signed."""

MAX_JSON_DEPTH: Final = 128
"""Deepest nesting of a JSON member, in levels."""

_STRUCTURED: Final = frozenset({"data.json", "data.yaml", "signatures.json", ".manifest"})
"""Members, by base name, whose digest is over the parsed JSON; OPA takes `data.yml` as bytes."""

_DIGESTS: Final[Mapping[str, str]] = {"SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
_CURVES: Final[Mapping[str, tuple[str, int]]] = {
    "ES256": ("secp256r1", 32),
    "ES384": ("secp384r1", 48),
    "ES512": ("secp521r1", 66),
}


class VerificationKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key that bundles may be signed with.

    Args:
        id: its name, as `kid` or `keyid` has it.
        algorithm: such as `ES256`.
        key: public key or certificate in PEM, or the shared secret for `HS*`.
        scope: what the signature's `scope` must be.
    """

    id: str
    algorithm: str
    key: str
    scope: str = ""


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """What a good signature says.

    Args:
        key: id of the key.
        issued: when it was signed, in seconds since 1970, if it says so.
    """

    key: str
    issued: int | None


class _File(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    hash: str
    algorithm: str = ""


class _Payload(msgspec.Struct, frozen=True, kw_only=True):
    """Other claims are for other readers."""

    files: tuple[_File, ...]
    scope: str = ""
    keyid: str = ""
    iat: int | float | None = None


class _Signatures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    signatures: tuple[str, ...]
    plugin: str = ""


def verify(members: Mapping[str, bytes], *, keys: Sequence[VerificationKey], key_id: str, where: str) -> Signed:
    """Make sure that every member is what a known key signed.

    Args:
        members: the bundle.
        keys: the keys that count; none at all refuses every bundle.
        key_id: the one key that must have been used; empty means that the signature says which of `keys`.
        where: address of the bundle, for messages.

    Raises:
        ConfigError: if it is not signed, by none of these keys, or a member is not what was signed.
    """
    if SIGNATURES not in members:
        raise _refused(where, "it is not signed, and with a `[[policy.key]]` it has to be: use `opa sign`")
    token = _token(members[SIGNATURES], where)
    head, payload, signature, signed = _split(token, where)
    key = _key(head, payload, keys, key_id, where)
    if not _verified(key, signed, signature):
        raise _refused(where, f"its signature is not one of the key `{key.id}`: sign it again, or correct the key")
    if payload.scope != key.scope:
        raise _refused(
            where, f"it was signed for the scope `{payload.scope}`, and the key `{key.id}` is for `{key.scope}`"
        )
    _check_files(members, payload, where)
    return Signed(key=key.id, issued=None if payload.iat is None else int(payload.iat))


def digest(name: str, content: bytes, algorithm: str = "SHA-256") -> str:
    """The digest that OPA signs for a member, in hexadecimal.

    Args:
        name: the member; JSON ones are hashed in canonical form, so that white space is free.
        content: its bytes.
        algorithm: as the signature names it.

    Raises:
        ValueError: if a structured member is not JSON.
        RecursionError: if it is nested too deeply.
    """
    if posixpath.basename(name) in _STRUCTURED:
        value: Any = json.loads(
            content, parse_int=_Number, parse_float=_Number, parse_constant=_no_number, object_pairs_hook=_once
        )
        content = _canonical(value, 0).encode()
    return hashlib.new(_DIGESTS[algorithm], content).hexdigest()


def _token(text: bytes, where: str) -> str:
    try:
        found = msgspec.json.decode(text, type=_Signatures)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refused(where, f"its `{SIGNATURES}` is not one: {error}") from None
    if len(found.signatures) != 1:
        raise _refused(where, f"it has {len(found.signatures)} signatures, and must have exactly one")
    if found.plugin not in ("", "_default"):
        raise _refused(where, f"it was signed for the verifier `{found.plugin[:80]}`, which is not known here")
    return found.signatures[0]


def _split(token: str, where: str) -> tuple[dict[str, Any], _Payload, bytes, bytes]:
    parts = token.split(".")
    try:
        head, body, signature = (_decode(part) for part in parts)  # three, or a ValueError
        header: Any = msgspec.json.decode(head)
        payload = msgspec.json.decode(body, type=_Payload)
        signed = f"{parts[0]}.{parts[1]}".encode("ascii")
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _refused(where, f"its signature is no compact JWS: {error}") from None
    if not isinstance(header, dict) or "crit" in header:
        # RFC 7515 section 4.1.11: what is critical and not understood must be refused.
        raise _refused(where, "the header of its signature is not understood")
    return header, payload, signature, signed  # pyright: ignore[reportUnknownVariableType]


def _decode(part: str) -> bytes:
    if not re.fullmatch("[A-Za-z0-9_-]*", part):
        raise ValueError("a part of it is not base64url")
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise ValueError("a part of it is not base64url") from None


def _key(
    header: Mapping[str, Any], payload: _Payload, keys: Sequence[VerificationKey], key_id: str, where: str
) -> VerificationKey:
    wanted: object = key_id or header.get("kid") or payload.keyid
    if not isinstance(wanted, str) or not wanted:
        raise _refused(where, "its signature names no key: sign it with a key id, or set `policy.key_id`")
    for key in keys:
        if key.id == wanted:
            return key
    raise _refused(where, f"it is signed with the key `{wanted[:80]}`, and no `[[policy.key]]` has that id: add it")


# ── the algorithms ────────────────────────────────────────────────────────────────────────────────────────────────────


def _verified(key: VerificationKey, signed: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    if key.algorithm.startswith("HS"):
        expected = hmac.new(key.key.encode(), signed, f"sha{key.algorithm[2:]}").digest()
        return hmac.compare_digest(expected, signature)
    public = load_public_key(key)
    try:
        if key.algorithm in _CURVES:
            _verify_ecdsa(public, key.algorithm, signed, signature)
        else:
            _verify_rsa(public, key.algorithm, signed, signature)
    except InvalidSignature:
        return False
    return True


def load_public_key(key: VerificationKey) -> Any:
    """The public key of a configuration, of the kind that its algorithm needs.

    Raises:
        ConfigError: if it is no PEM of such a key.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    text = key.key.encode()
    try:
        public: Any = (
            x509.load_pem_x509_certificate(text).public_key()
            if b"BEGIN CERTIFICATE" in text
            else load_pem_public_key(text)
        )
    except Exception:  # noqa: BLE001 - the library documents no common base: ValueError, UnsupportedAlgorithm, …
        raise ConfigError(
            f"the key `{key.id}` in `[[policy.key]]` is no public key or certificate in PEM:"
            " give the public half, such as of `openssl ec -in key.pem -pubout`"
        ) from None
    if key.algorithm in _CURVES:
        fits = isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name == _CURVES[key.algorithm][0]
    else:
        fits = isinstance(public, rsa.RSAPublicKey) and public.key_size >= 2048
    if not fits:
        raise ConfigError(f"the key `{key.id}` in `[[policy.key]]` is not one for `{key.algorithm}`: correct either")
    return public


def _verify_ecdsa(public: Any, algorithm: str, signed: bytes, signature: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    size = _CURVES[algorithm][1]
    if len(signature) != 2 * size:
        raise InvalidSignature
    r, s = (int.from_bytes(half, "big") for half in (signature[:size], signature[size:]))
    public.verify(encode_dss_signature(r, s), signed, ec.ECDSA(_hash(algorithm)))


def _verify_rsa(public: Any, algorithm: str, signed: bytes, signature: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric import padding

    digest_ = _hash(algorithm)
    pad = (
        padding.PSS(mgf=padding.MGF1(digest_), salt_length=digest_.digest_size)
        if algorithm.startswith("PS")
        else padding.PKCS1v15()
    )
    public.verify(signature, signed, pad, digest_)


def _hash(algorithm: str) -> hashes.HashAlgorithm:
    from cryptography.hazmat.primitives import hashes

    return {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[algorithm[2:]]


# ── the files ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_files(members: Mapping[str, bytes], payload: _Payload, where: str) -> None:
    listed = {file.name: file for file in payload.files}
    if len(listed) != len(payload.files):
        raise _refused(where, "its signature lists a file twice")
    present = set(members) - {SIGNATURES}
    extra, missing = sorted(present - set(listed)), sorted(set(listed) - present)
    if extra:
        raise _refused(where, f"`{extra[0]}` is in it and was not signed")
    if missing:
        raise _refused(where, f"`{missing[0]}` was signed and is not in it")
    for name, file in listed.items():
        if file.algorithm not in _DIGESTS:
            raise _refused(where, f"the digest of `{name}` is by `{file.algorithm[:40]}`: use SHA-256")
        try:
            found = digest(name, members[name], file.algorithm)
        except (ValueError, RecursionError):
            raise _refused(where, f"`{name}` is not JSON") from None
        if not hmac.compare_digest(found, file.hash.lower()):
            raise _refused(where, f"`{name}` is not the file that was signed")


class _Number(str):
    """A JSON number as it was written: 1.50 and 1.5 have different digests."""

    __slots__ = ()


_SPECIAL: Final = re.compile('["\\\\\x00-\x1f\u2028\u2029\ud800-\udfff]')
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _canonical(value: Any, depth: int) -> str:
    if depth > MAX_JSON_DEPTH:
        raise RecursionError
    match value:
        case dict():
            items: list[tuple[str, Any]] = sorted(value.items())  # pyright: ignore[reportUnknownArgumentType]
            return "{" + ",".join(f"{_string(k)}:{_canonical(v, depth + 1)}" for k, v in items) + "}"  # pyright: ignore[reportUnknownArgumentType]
        case list():
            return "[" + ",".join(_canonical(item, depth + 1) for item in value) + "]"  # pyright: ignore[reportUnknownVariableType]
        case _Number():
            return str(value)
        case str():
            return _string(value)
        case True:
            return "true"
        case False:
            return "false"
        case _:
            return "null"


def _string(text: str) -> str:
    return '"' + _SPECIAL.sub(_escape, text) + '"'


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if "\ud800" <= character <= "\udfff":
        # Go's decoder would make U+FFFD of it, so that texts which differ would have one digest.
        raise ValueError("a lone surrogate is no text")
    return _ESCAPES.get(character, f"\\u{ord(character):04x}")


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; OPA hashes the last of two equal keys, and another reader may take the first."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands in it twice")
    return found


def _refused(where: str, why: str) -> ConfigError:
    return ConfigError(f"the policy bundle `{where}` is refused: {why}")
