"""Signed mandates: DSSE envelopes (securesystemslib/dsse protocol v1) with one Ed25519 signature.

What is signed is `PAE(payloadType, payload)`, so a signature over a mandate can never pass for one over anything else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import orjson

from guardrail.errors import ConfigError
from guardrail.mandates._mandate import MAX_MANDATE_BYTES, Mandate, sentence

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from guardrail.config import Config

_T = TypeVar("_T")

PAYLOAD_TYPE: Final = "application/vnd.guardrail.mandate.v1+json"
KEY_PREFIX: Final = "ed25519:"
_KEY_BYTES: Final = 32


class _Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    keyid: str
    sig: str


class _Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    payload_type: str
    payload: str
    signatures: tuple[_Signature, ...]


_decoder: Final = msgspec.json.Decoder(_Envelope)


class WrongSigner(ConfigError):
    """Who signed it is not known here, is not whom it names, or may not say it."""


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: lengths keep type and payload apart."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def new_key(path: Path | str) -> str:
    """Make a key pair for a person.

    Args:
        path: where the private key goes, PKCS#8 in PEM, readable by its owner only; must not exist.

    Returns:
        The public key in the form of `[[person]]`: `ed25519:` and base64.

    Raises:
        ConfigError: if the file exists or cannot be written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as stream:
            stream.write(pem)
            stream.flush()
            os.fsync(fd)
    except FileExistsError:
        raise ConfigError(f"`{path}` exists: a key is never overwritten, name another file") from None
    except OSError as error:
        raise ConfigError(f"cannot write the key `{path}`: {(error.strerror or str(error)).lower()}") from None
    return public_text(key)


def load_key(path: Path | str) -> Ed25519PrivateKey:
    """A person's private key.

    Raises:
        ConfigError: if it cannot be read, others may read it too, or it is no Ed25519 key in PEM.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        with open(path, "rb") as stream:
            mode, pem = os.fstat(stream.fileno()).st_mode, stream.read(MAX_MANDATE_BYTES)
    except OSError as error:
        raise ConfigError(f"cannot read the key `{path}`: {(error.strerror or str(error)).lower()}") from None
    if mode & 0o077:
        raise ConfigError(f"the key `{path}` can be read by others: `chmod 600` it")
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        raise ConfigError(f"`{path}` is not an unencrypted private key in PEM") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"`{path}` is not an Ed25519 key")
    return key


def public_text(key: Ed25519PrivateKey) -> str:
    """The public half of a key in the form of `[[person]]`."""
    return KEY_PREFIX + base64.b64encode(key.public_key().public_bytes_raw()).decode()


def read_public(text: str) -> bytes:
    """The 32 bytes of a public key in the form of `[[person]]`.

    Raises:
        ConfigError: if it is anything else.
    """
    raw = _unbase64(text.removeprefix(KEY_PREFIX)) if text.startswith(KEY_PREFIX) else None
    if raw is None or len(raw) != _KEY_BYTES:
        raise ConfigError(f"`{text}` is not a public key: it must be `{KEY_PREFIX}` and 32 bytes in base64")
    return raw


def public_keys(config: Config) -> dict[str, bytes]:
    """The public key of each person of a configuration, by name.

    Raises:
        ConfigError: if one of them is none.
    """
    keys: dict[str, bytes] = {}
    for person in config.people:
        try:
            keys[person.name] = read_public(person.key)
        except ConfigError as error:
            raise ConfigError(f"the `key` of the [[person]] `{person.name}`: {error}") from None
    return keys


def key_id(public: bytes) -> str:
    """The name by which an envelope says which key it was signed with; a hint, never proof."""
    return "sha256:" + hashlib.sha256(public).hexdigest()


def sign(mandate: Mandate, private_key: Ed25519PrivateKey) -> bytes:
    """Put a mandate into a signed envelope.

    Args:
        mandate: what is ordered.
        private_key: the issuer's own Ed25519 key.

    Returns:
        The content of a `*.mandate.json` file.

    Raises:
        ConfigError: if the mandate is impossible or too large.
    """
    mandate.validate()
    data = seal(PAYLOAD_TYPE, mandate.to_json(), private_key)
    if len(data) > MAX_MANDATE_BYTES:
        raise ConfigError(f"a mandate may have at most {MAX_MANDATE_BYTES} bytes, this one has {len(data)}")
    return data


def seal(payload_type: str, payload: bytes, private_key: Ed25519PrivateKey) -> bytes:
    """A signed envelope around canonical JSON, as the content of a file."""
    signature = _Signature(
        keyid=key_id(private_key.public_key().public_bytes_raw()),
        sig=base64.b64encode(private_key.sign(pae(payload_type, payload))).decode(),
    )
    envelope = _Envelope(payload_type=payload_type, payload=base64.b64encode(payload).decode(), signatures=(signature,))
    return orjson.dumps(msgspec.to_builtins(envelope), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What is in an envelope, before anybody's signature was checked.

    Args:
        payload_type: what it says it is.
        payload: canonical JSON.
    """

    payload_type: str
    payload: bytes
    signature: _Signature

    def read(self, decoder: msgspec.json.Decoder[_T], what: str) -> _T:
        """What was signed, as it has to be to mean anything.

        Args:
            decoder: knows the form.
            what: it is called in messages.

        Raises:
            ConfigError: if it is of another form.
        """
        try:
            return decoder.decode(self.payload)
        except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ConfigError(f"not a {what}: {sentence(error)}") from None

    def check(self, name: str, role: str, people: Mapping[str, bytes]) -> None:
        """Check that a person signed it.

        Args:
            name: of the person.
            role: what they are to it, for the message: `issuer`.
            people: public keys by the name of who owns them.

        Raises:
            WrongSigner: if they are unknown, or the signature is not theirs.
        """
        public = people.get(name)
        if public is None:
            raise WrongSigner(f"its {role} `{name}` is no [[person]] of the configuration")
        if self.signature.keyid != key_id(public):
            raise WrongSigner(f"it is signed with a key that is not the one of its {role} `{name}`")
        if not _verifies(public, _unbase64(self.signature.sig), pae(self.payload_type, self.payload)):
            raise WrongSigner(f"the signature is not that of its {role} `{name}`")


def open_envelope(data: bytes, people: Mapping[str, bytes]) -> Mandate:
    """The mandate in an envelope, after its signature was checked.

    Args:
        data: content of a `*.mandate.json` file.
        people: public keys by the name of who owns them.

    Raises:
        WrongSigner: if its issuer is unknown, or its signature is not the issuer's.
        ConfigError: if it is malformed.
    """
    sealed = unseal(data, PAYLOAD_TYPE, most=MAX_MANDATE_BYTES, what="mandate")
    # INVARIANT: the payload is parsed before its signature is known to be good only to learn who should have signed;
    # nothing of it is used before the issuer's own key has verified it.
    mandate = Mandate.from_json(sealed.payload)
    sealed.check(mandate.issuer, "issuer", people)
    return mandate


def payload_type_of(data: bytes) -> str:
    """What an envelope says it is, unchecked; empty if it is none."""
    try:
        return _decoder.decode(data).payload_type
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def unseal(data: bytes, payload_type: str, *, most: int, what: str) -> Sealed:
    """Take an envelope apart; its signature is not checked yet.

    Args:
        data: content of the file.
        payload_type: what it must be.
        most: largest file, in bytes.
        what: it is called in messages.

    Raises:
        ConfigError: if it is too large, malformed, of another type, or not canonical.
    """
    if len(data) > most:
        raise ConfigError(f"it is larger than {most} bytes")
    try:
        envelope = _decoder.decode(data)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"not a signed {what}: {sentence(error)}") from None
    if envelope.payload_type != payload_type:
        raise ConfigError(f"its payload type is `{envelope.payload_type}`, not `{payload_type}`")
    if len(envelope.signatures) != 1:
        raise ConfigError(f"it needs exactly one signature, and has {len(envelope.signatures)}")
    payload = _unbase64(envelope.payload)
    if payload is None:
        raise ConfigError("its payload is not base64")
    if not _is_canonical(payload):
        # Two parsers must never read two mandates out of the same signed bytes, for instance by a repeated key.
        maker = {
            "mandate": "mandates sign",
            "revocation": "mandates revoke",
            "word": "obligations discharge",
        }.get(what, "escalations")
        raise ConfigError(f"its payload is not canonical JSON: make it with `guardrail {maker}`")
    return Sealed(payload_type=payload_type, payload=payload, signature=envelope.signatures[0])


def _is_canonical(payload: bytes) -> bool:
    try:
        return orjson.dumps(orjson.loads(payload), option=orjson.OPT_SORT_KEYS) == payload
    except ValueError:
        return False


def _verifies(public: bytes, signature: bytes | None, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if signature is None:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _unbase64(text: str) -> bytes | None:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None
