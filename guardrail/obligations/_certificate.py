"""The certificate of a deletion: an in-toto Statement in a DSSE envelope, signed with the key of the trail.

It says what was deleted, on whose order, how it was looked for afterwards and how far, what was wrong on the way, and
what no look could see. Whoever has the verifier key can check it without this program: `scripts/check_certificate.py`.
Sources: in-toto Attestation Framework v1 (Statement), DSSE v1.0.2, C2SP signed-note (verifier keys); its fields follow
NIST SP 800-88 where they mean something for files.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import orjson

from guardrail.canonical import canonical
from guardrail.errors import ConfigError
from guardrail.mandates import pae
from guardrail.obligations._duty import Duty
from guardrail.obligations._events import Coverage, Discharged, Pinned
from guardrail.obligations._transparency import MEMBER
from guardrail.printing import printable, shortened

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://guardrail.example/deletion/v1"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"

MAX_PAYLOAD_BYTES: Final = 30 * 1024
"""Largest statement, in bytes: with its envelope it has to fit into a record of the trail."""

MAX_LISTED: Final = 32
"""Most subjects, locations or violations in a certificate; the rest are counted, and covered by `files_digest`."""

FEW_LISTED: Final = 4
"""As many are listed where that would be too long."""

MAX_CHARS: Final = 300
"""Longest name or sentence in a certificate, in characters."""

MAX_CERTIFICATE_BYTES: Final = 256 * 1024
"""Largest certificate that is read, in bytes."""

LIMITS: Final[tuple[str, ...]] = (
    "memory of processes and of accelerators",
    "offline media and backups",
    "hosts without a guard, and other mount namespaces",
    "blocks are freed by the filesystem and not overwritten",
    "copies in directories that were not searched (`sweeps` names those that were), and on raw devices",
    "copies that were encrypted, cut into pieces of less than 4 KiB, or changed beyond what fingerprints recognise",
    "copies in text other than base64 and hexadecimal, or in packings other than gzip, bzip2, xz, zstd and zip",
    "copies inside more than three of these packings and texts",
)
"""What no sweep of files can see; every certificate says so."""

_ED25519: Final = b"\x01"


class TrailKey:
    """The key that certificates are signed with: the trail's own.

    Args:
        private: Ed25519 key.
        name: of the trail, and so of its key.
    """

    def __init__(self, private: Ed25519PrivateKey, name: str) -> None:
        self._private = private
        self.name = _key_name(name, _ED25519 + private.public_key().public_bytes_raw())

    def envelope(self, payload: bytes) -> dict[str, Any]:
        """A DSSE envelope around a statement."""
        signature = self._private.sign(pae(PAYLOAD_TYPE, payload))
        return {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": self.name, "sig": base64.b64encode(signature).decode()}],
        }


def certify(duty: Duty, key: TrailKey, *, version: str, known: bool, now_us: int) -> Discharged:
    """The proof that a deletion was carried out.

    Args:
        duty: looked for twice and found gone.
        key: signs it.
        version: of this program.
        known: the asset was registered, so that copies were looked for by content in all the ways there are.
        now_us: the time, in microseconds since 1970.
    """
    payload = _payload(_statement(duty, version, MAX_LISTED, known=known, now_us=now_us))
    if len(payload) > MAX_PAYLOAD_BYTES:
        payload = _payload(_statement(duty, version, FEW_LISTED, known=known, now_us=now_us))
    envelope = key.envelope(payload)
    digest = hashlib.sha256(to_file(envelope)).hexdigest()
    return Discharged(at_us=now_us, certificate=digest, envelope=envelope)


def _payload(statement: dict[str, Any]) -> bytes:
    return orjson.dumps(statement, option=orjson.OPT_SORT_KEYS)


def to_file(envelope: dict[str, Any]) -> bytes:
    """A certificate as the content of a file."""
    return orjson.dumps(envelope, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def digest_of(data: bytes) -> str:
    """The digest under which a certificate is in the trail, however its file is laid out; empty if it is none."""
    try:
        envelope = orjson.loads(data)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(envelope, dict):
        return ""
    known = cast("dict[str, Any]", envelope)
    return hashlib.sha256(to_file({name: known[name] for name in known if name != MEMBER})).hexdigest()


def _statement(duty: Duty, version: str, most: int, *, known: bool, now_us: int) -> dict[str, Any]:
    terms = duty.terms
    # What was begun and not told of, because the guard was stopped meanwhile, it has begun all the same.
    deleted_by_guard = duty.erased or duty.erasing
    predicate: dict[str, Any] = {
        "order": terms.mandate,
        "obligation": terms.id,
        "asset": terms.asset,
        "approvers": [_short(name) for name in dict.fromkeys((terms.issuer, duty.word)) if name],
        "method": "unlink",
        "tool": {"name": "guardrail", "version": version},
        "executor": "guardrail" if deleted_by_guard else f"agent:{_short(terms.subject)}",
        "ordered_us": terms.opened_us,
        "due_us": terms.due_us,
        "proven_us": now_us,
        "quiet_us": terms.quiet_us,
        "locations": _locations(duty, most),
        "files": len(duty.files) + duty.files_more,
        "files_digest": _digest_of(duty.files),
        "sweeps": [_sweep(sweep) for sweep in duty.sweeps],
        "violations": [
            {"kind": one.kind, "t_us": one.at_us, "says": _short(one.says)} for one in duty.violations[:most]
        ],
        "violations_more": max(0, len(duty.violations) - most),
        "attempts": dict(duty.attempts),
        "limits": list(_limits(duty, known=known)),
        "seq": [duty.opened_seq, duty.last_seq],
    }
    return {
        "_type": STATEMENT_TYPE,
        "subject": _subjects(duty, most),
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate,
    }


def _locations(duty: Duty, most: int) -> list[dict[str, str]]:
    places = [f"file://{file.path}" for file in duty.files]
    places += [place for place in duty.terms.places if not place.startswith("/")]
    return [{"uri": _short(place), "state": "discharged"} for place in places[:most]]


def _subjects(duty: Duty, most: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for file in [file for file in duty.files if file.sha256][:most]:
        digest = {"sha256": file.sha256} | ({"blake3": file.blake3} if file.blake3 else {})
        name = _short(file.path.rpartition("/")[2])
        found.append({"name": f"asset:{duty.terms.asset}/{name}", "digest": digest})
    # A statement needs a subject: where no content was known it is about inodes.
    return found or [{"name": f"asset:{duty.terms.asset}", "digest": {"guardrailInodes": _digest_of(duty.files)}}]


def _digest_of(files: Sequence[Pinned]) -> str:
    return hashlib.sha256(canonical([msgspec.to_builtins(file) for file in files])).hexdigest()


def _sweep(sweep: Coverage) -> dict[str, Any]:
    table: dict[str, Any] = msgspec.to_builtins(sweep)
    unreadable = cast("tuple[str, ...]", table.pop("unreadable"))
    more = cast("int", table.pop("unreadable_more"))
    table["places"] = [_short(place) for place in cast("tuple[str, ...]", table["places"])[:8]]
    return {**table, "unreadable": len(unreadable) + more, "unread": [_short(line) for line in unreadable[:8]]}


def _limits(duty: Duty, *, known: bool) -> tuple[str, ...]:
    limits: list[str] = [*LIMITS]
    if not known:
        limits.append("the asset was not registered: copies that were changed, cut or packed are not recognised")
    unknown = sum(not file.sha256 for file in duty.files)
    if unknown:
        limits.append(f"the content of {unknown} files was never read, so copies of them are not recognised")
    if duty.files_more:
        limits.append(f"{duty.files_more} files were not noted one by one")
    if any(place.startswith(("mlflow:", "models:/")) for place in duty.terms.places):
        limits.append(
            "of a registered version the entry is gone; artifacts of the run that made it have a place of theirs"
        )
    followed = min((sweep.proven for sweep in duty.sweeps), default=0)
    if followed < len(duty.files):
        limits.append(
            f"of {len(duty.files) - followed} files the filesystem could not be asked whether their inodes are left: "
            "names outside of the searched directories are excluded only as far as descriptors were held"
        )
    if any(sweep.unreadable for sweep in duty.sweeps):
        limits.append("places that could not be read are counted under `sweeps`")
    return tuple(limits)


def _short(text: str) -> str:
    return shortened(printable(text), MAX_CHARS)


# -- checking


def check_certificate(data: bytes, vkey: str) -> dict[str, Any]:
    """What a certificate says, after its signature was checked.

    Args:
        data: content of its file.
        vkey: verifier key of the trail, best one that was kept elsewhere; of several lines each is one.

    Raises:
        ConfigError: if a key is none, or the certificate is not one that they have signed.
    """
    keys = dict(read_vkey(line) for line in vkey.strip().splitlines() or [""])
    if len(data) > MAX_CERTIFICATE_BYTES:
        raise ConfigError(f"it is larger than {MAX_CERTIFICATE_BYTES} bytes")
    try:
        envelope = _decoder.decode(data)
        payload = base64.b64decode(envelope.payload, validate=True)
        signatures = {one.keyid: base64.b64decode(one.sig, validate=True) for one in envelope.signatures}
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, binascii.Error, ValueError):
        raise ConfigError("it is no certificate: it must be one DSSE envelope in JSON") from None
    if envelope.payload_type != PAYLOAD_TYPE:
        raise ConfigError(f"its payload type is `{envelope.payload_type}`, not `{PAYLOAD_TYPE}`")
    name = next((name for name in keys if name in signatures), None)
    if name is None:
        raise ConfigError(f"it is not signed by `{'` or `'.join(keys)}`")
    # INVARIANT: nothing of the payload is read before the signature over these very bytes was checked.
    if not _verifies(keys[name], signatures[name], pae(PAYLOAD_TYPE, payload)):
        raise ConfigError("its signature is wrong: it was changed, or signed by somebody else")
    try:
        statement: dict[str, Any] = msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError):
        raise ConfigError("what was signed is no statement") from None
    if (statement.get("_type"), statement.get("predicateType")) != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise ConfigError("what was signed is no statement about a deletion")
    return statement


def read_vkey(vkey: str) -> tuple[str, bytes]:
    """Name and public key of a verifier key: `name+hash+base64`, as in C2SP signed-note.

    Raises:
        ConfigError: if it is none.
    """
    parts = vkey.strip().split("+", 2)
    try:
        raw = base64.b64decode(parts[2], validate=True)
    except (IndexError, binascii.Error, ValueError):
        raw = b""
    if len(parts) != 3 or len(raw) != 33 or raw[:1] != _ED25519:
        raise ConfigError("the verifier key must be `name+hash+base64`, as `trail.vkey` has it")
    name = f"{parts[0]}+{parts[1]}"
    if _key_name(parts[0], raw) != name:
        raise ConfigError(f"the verifier key `{parts[0]}` is not whole: its hash does not fit")
    return name, raw[1:]


def _key_name(name: str, raw: bytes) -> str:
    """What a signature calls the key: its name, and the first bytes of a hash over both (C2SP signed-note)."""
    return f"{name}+{hashlib.sha256(name.encode() + bytes([10]) + raw).hexdigest()[:8]}"


class _Signature(msgspec.Struct, frozen=True, kw_only=True):
    keyid: str
    sig: str


class _Envelope(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    payload_type: str
    payload: str
    signatures: tuple[_Signature, ...]


_decoder: Final = msgspec.json.Decoder(_Envelope)


def _verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True
