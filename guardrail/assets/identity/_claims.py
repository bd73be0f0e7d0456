"""What registries and manifests say of files: digests by name, to be believed as far as bytes bear them out.

Not concerned with who signed a manifest: `model_signing verify` and the registries' own tools answer that.
Sources: OpenSSF model signing 1.0 (predicate `https://model_signing/signature/v1.0`) in an in-toto Statement v1 in a
DSSE envelope; CycloneDX 1.5 to 1.7, components of type `machine-learning-model`; the tree listing of the Hugging Face
Hub API (`/api/models/NAME/tree/REVISION`); Ollama's manifests (`application/vnd.ollama.image.model`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

MAX_CLAIMS_BYTES: Final = 256 * 1024 * 1024
"""Largest manifest that is read, in bytes."""

Source = Literal["oms", "cyclonedx", "hf-tree", "ollama"]

_ALGORITHMS: Final = {"sha256": "sha256", "sha-256": "sha256", "blake3": "blake3"}
_SIGNED: Final = "https://model_signing/signature/v1.0"
_OLLAMA_MODEL: Final = "application/vnd.ollama.image.model"
_DIGEST_BYTES: Final = 32


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A digest that somebody says a file of a model has.

    Args:
        name: of the file, as the source gives it.
        algorithm: `sha256` or `blake3`.
        digest: 32 bytes.
    """

    name: str
    algorithm: str
    digest: bytes


class Unfit(ValueError):
    """The manifest is not what it is said to be; the message says why."""


def claims_of(data: bytes) -> tuple[Source, tuple[Claim, ...]]:
    """Read a manifest.

    Args:
        data: JSON.

    Returns:
        What kind of manifest it is, and its claims with an algorithm that is known here.

    Raises:
        Unfit: if it is of no kind that is known, contradicts itself, or claims nothing.
    """
    if len(data) > MAX_CLAIMS_BYTES:
        raise Unfit(f"it is larger than {MAX_CLAIMS_BYTES} bytes")
    try:
        document: Any = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise Unfit(f"it is not JSON: {error}") from None
    for source, fits, read in _SOURCES:
        if fits(document):
            try:
                found = tuple(read(document))
            except (KeyError, TypeError, AttributeError) as error:
                raise Unfit(f"it looks like {source} and is not: {type(error).__name__} {error}") from None
            if not found:
                raise Unfit(f"it is {source} and has no digest of a model that is known here (SHA-256, BLAKE3)")
            return source, found
    raise Unfit("it is none of: model-signing bundle, CycloneDX, Hugging Face tree, Ollama manifest")


def _claim(name: str, algorithm: str, digest: str) -> Claim | None:
    known = _ALGORITHMS.get(algorithm.lower())
    if known is None:
        return None
    try:
        raw = binascii.unhexlify(digest)
    except (binascii.Error, ValueError):
        raise Unfit(f"the digest of `{name}` is not hexadecimal") from None
    if len(raw) != _DIGEST_BYTES:
        raise Unfit(f"the digest of `{name}` has {len(raw)} bytes, not {_DIGEST_BYTES}")
    return Claim(name=name, algorithm=known, digest=raw)


def _oms(document: Mapping[str, Any]) -> Iterator[Claim]:
    envelope = document.get("dsseEnvelope", document)
    try:
        statement: Any = msgspec.json.decode(base64.b64decode(envelope["payload"], validate=True))
    except (binascii.Error, msgspec.DecodeError, ValueError):
        raise Unfit("the payload of its envelope is not JSON in base64") from None
    if statement["predicateType"] != _SIGNED:
        raise Unfit(f"it signs `{statement['predicateType']}`, which is no model")
    resources = statement["predicate"]["resources"]
    together = hashlib.sha256(b"".join(bytes.fromhex(one["digest"]) for one in resources)).hexdigest()
    if statement["subject"][0]["digest"].get("sha256") != together:
        raise Unfit("its subject is not the digest of its resources: it was changed")
    for one in resources:
        claim = _claim(one["name"], one["algorithm"], one["digest"])
        if claim is not None:
            yield claim


def _cyclonedx(document: Mapping[str, Any]) -> Iterator[Claim]:
    waiting: list[Any] = list(document.get("components", ()))
    top = document.get("metadata", {}).get("component")
    if top is not None:
        waiting.append(top)
    while waiting:
        component = waiting.pop(0)
        waiting.extend(component.get("components", ()))
        if component.get("type") not in ("machine-learning-model", "file", "data"):
            continue
        for one in component.get("hashes", ()):
            claim = _claim(component["name"], one["alg"], one["content"])
            if claim is not None:
                yield claim


def _tree(document: list[dict[str, Any]]) -> Iterator[Claim]:
    for entry in document:
        lfs: dict[str, str] = entry.get("lfs") or {}
        digest = lfs.get("oid") or lfs.get("sha256")
        claim = _claim(entry["path"], "sha256", digest.removeprefix("sha256:")) if digest else None
        if claim is not None:
            yield claim


def _ollama(document: Mapping[str, Any]) -> Iterator[Claim]:
    for layer in document["layers"]:
        if layer.get("mediaType") == _OLLAMA_MODEL:
            algorithm, _, digest = layer["digest"].partition(":")
            claim = _claim(layer["digest"], algorithm, digest)
            if claim is not None:
                yield claim


def _has(*keys: str) -> Callable[[Any], bool]:
    return lambda document: isinstance(document, dict) and any(key in document for key in keys)


def _is_tree(document: Any) -> bool:
    return isinstance(document, list) and all(isinstance(one, dict) and "path" in one for one in document)  # pyright: ignore[reportUnknownVariableType]


_SOURCES: Final[tuple[tuple[Source, Callable[[Any], bool], Callable[[Any], Iterator[Claim]]], ...]] = (
    ("oms", _has("dsseEnvelope", "payloadType"), _oms),
    ("cyclonedx", _has("bomFormat"), _cyclonedx),
    ("hf-tree", _is_tree, _tree),
    ("ollama", _has("layers"), _ollama),
)
