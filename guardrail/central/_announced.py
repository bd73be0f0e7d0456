"""What people announce to all guards: which assets there are, and which policy bundle is to be served.

Each is signed by a person, and has a version that only rises. Pure: not concerned with where it is kept (`_takeup`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import orjson

from guardrail.config import AssetConfig, Config
from guardrail.config._problems import check
from guardrail.errors import ConfigError
from guardrail.mandates import seal, unseal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Kind = Literal["inventory", "bundle"]
"""What is announced."""

KINDS: Final[tuple[Kind, ...]] = ("inventory", "bundle")

TYPES: Final[Mapping[Kind, str]] = {
    "inventory": "application/vnd.guardrail.inventory.v1+json",
    "bundle": "application/vnd.guardrail.bundle.v1+json",
}
"""What the signature is over, besides the announcement: none passes for one of another kind, or for an order."""

MAX_BYTES: Final[Mapping[Kind, int]] = {"inventory": 32 * 1024 * 1024, "bundle": 64 * 1024}
"""Largest announcement of a kind, in bytes."""

MAX_VERSION: Final = 2**53 - 1


class Announced(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that a person announces.

    Args:
        issuer: name of the `[[person]]` who signs it.
        version: from 1; of two the higher one counts, and a lower one than was seen never does.
        issued: when it was signed, for people.
        v: version of this format.
    """

    issuer: str
    version: int
    issued: dt.datetime
    v: Literal[1] = 1


class InventoryAnnounced(Announced, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Assets, beside those that each guard declares itself."""

    assets: tuple[AssetConfig, ...]


class BundleAnnounced(Announced, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy bundle that is to be served: by its revision, for people, and by the digest of what it consists of."""

    revision: str
    digest: str


AnyAnnounced = InventoryAnnounced | BundleAnnounced

_DECODERS: Final[Mapping[Kind, msgspec.json.Decoder[Any]]] = {
    "inventory": msgspec.json.Decoder(InventoryAnnounced),
    "bundle": msgspec.json.Decoder(BundleAnnounced),
}


def kind_of(announced: AnyAnnounced) -> Kind:
    """What it announces."""
    return "inventory" if isinstance(announced, InventoryAnnounced) else "bundle"


def sign_announced(announced: AnyAnnounced, key: Ed25519PrivateKey) -> bytes:
    """Put it into a signed envelope.

    Args:
        announced: what is announced.
        key: the issuer's own key.

    Raises:
        ConfigError: if it is impossible or too large.
    """
    _check(announced)
    kind = kind_of(announced)
    payload = orjson.dumps(msgspec.to_builtins(announced), option=orjson.OPT_SORT_KEYS)
    data = seal(TYPES[kind], payload, key)
    if len(data) > MAX_BYTES[kind]:
        raise ConfigError(f"it may have at most {MAX_BYTES[kind]} bytes, and has {len(data)}")
    return data


def open_announced(kind: Kind, data: bytes, people: Mapping[str, bytes], may: Collection[str]) -> AnyAnnounced:
    """What is announced, after its signature and the right to it were checked.

    Args:
        kind: what it must be.
        data: the envelope.
        people: public keys by the name of who owns them.
        may: names of those who may announce this.

    Raises:
        ConfigError: if it is malformed, not signed by one of them, or impossible.
    """
    sealed = unseal(data, TYPES[kind], most=MAX_BYTES[kind], what=kind)
    announced: AnyAnnounced = sealed.read(_DECODERS[kind], kind)
    sealed.check(announced.issuer, "issuer", people)
    if announced.issuer not in may:
        raise ConfigError(f"`{announced.issuer}` is not among those who may announce it: `central.{kind}_by`")
    _check(announced)
    return announced


def with_assets(config: Config, announced: InventoryAnnounced) -> Config:
    """A configuration with the assets that are announced; what it declares itself stays.

    INVARIANT: an inventory only adds. Whoever announces one cannot take an asset away that a guard declares, nor say
    something else of it: two of one id are refused.

    Args:
        config: as it was read.
        announced: the inventory.

    Raises:
        ConfigError: if it does not fit this configuration.
    """
    if announced.assets and config.assets[-len(announced.assets) :] == announced.assets:
        return config  # they are in it already: this is the configuration of a guard that was opened
    merged = msgspec.structs.replace(config, assets=(*config.assets, *announced.assets))
    check(merged, f"inventory {announced.version} of the centre")
    return merged


def _check(announced: AnyAnnounced) -> None:
    if not 1 <= announced.version <= MAX_VERSION:
        raise ConfigError("its version must be a number from 1 on")
    if isinstance(announced, BundleAnnounced):
        if len(announced.digest) != 64 or not set(announced.digest) <= set("0123456789abcdef"):
            raise ConfigError("its digest must be 64 hexadecimal digits")
        return
    for asset in announced.assets:
        for path in asset.paths:
            # Each guard has its configuration elsewhere: one and the same word would be another place.
            if not path.startswith(("/", "~")):
                raise ConfigError(f"asset `{asset.id}`: `{path}` is a relative path: name it in full")
