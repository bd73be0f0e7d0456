"""What is left at an address: one protocol, and a small adapter for each kind of store that can be asked.

An address that nobody can be asked about is not known to be empty: what is owed there stays owed, and is said to be.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol

import msgspec

from guardrail.config import Config
from guardrail.obligations._events import Finding


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What a store has of an address.

    Args:
        result: `present` if anything is left of it, `unknown` if that cannot be told.
        says: each thing that is left, or why it cannot be told, or what was looked at.
    """

    result: Literal["absent", "present", "unknown"]
    says: tuple[str, ...]


def is_address(place: str) -> bool:
    """Whether a place of an asset is an address, and no path."""
    return not place.startswith("/")


class Cleared(msgspec.Struct, frozen=True, kw_only=True):
    """What a store has deleted at an address.

    Args:
        gone: how many things: versions, uploads, entries.
        left: what it would not delete, and why.
    """

    gone: int
    left: tuple[str, ...] = ()


class Store(Protocol):
    """A place that keeps things under addresses."""

    def owns(self, address: str) -> bool:
        """Whether it is the one to ask about an address."""
        ...

    def holds(self, address: str) -> Holding:
        """What is left at an address. Never raises: what cannot be told is `unknown`, with the reason."""
        ...

    def erase(self, address: str) -> Cleared:
        """Delete all that is at an address. Never raises: what cannot be deleted is left, with the reason."""
        ...


class MlflowRegistry:
    """Model versions in an MLflow registry.

    Blind spot: artifacts of the run that a version was made from outlive it; their place is a path or an address of
    its own, to be declared with the asset.

    Args:
        url: the server.
        environment: where its credentials are.
    """

    def __init__(self, url: str, environment: Mapping[str, str] = os.environ) -> None:
        self._url = url
        self._environment = environment

    def owns(self, address: str) -> bool:
        """Whether it is a model version."""
        return address.startswith(("mlflow:", "models:/"))

    def holds(self, address: str) -> Holding:
        """Whether the version is registered."""
        from guardrail.assets.identity._claims import Unfit
        from guardrail.assets.identity._mlflow import has_version

        try:
            if has_version(address, self._url, self._environment):
                return Holding(result="present", says=(f"`{address}` is still registered",))
        except Unfit as error:
            return Holding(result="unknown", says=(f"`{address}` cannot be looked at: {error}",))
        return Holding(result="absent", says=(f"`{address}` is not registered any more",))

    def erase(self, address: str) -> Cleared:
        """Delete the version from the registry."""
        from guardrail.assets.identity._claims import Unfit
        from guardrail.assets.identity._mlflow import delete_version

        try:
            return Cleared(gone=int(delete_version(address, self._url, self._environment)))
        except Unfit as error:
            return Cleared(gone=0, left=(f"`{address}` cannot be deleted: {error}",))


def stores_of(config: Config, environment: Mapping[str, str] = os.environ) -> tuple[Store, ...]:
    """The stores that a configuration says may be asked.

    Args:
        config: `[obligations]` names them.
        environment: where their credentials are.
    """
    found: list[Store] = []
    if config.obligations.s3_url:
        from guardrail.obligations.world._s3 import S3Store

        found.append(S3Store(config.obligations.s3_url, config.obligations.s3_region, environment))
    if config.obligations.mlflow_url:
        found.append(MlflowRegistry(config.obligations.mlflow_url, environment))
    return tuple(found)


class Addresses:
    """What was found at the addresses of one asset.

    Args:
        uris: the addresses.
        stores: who can be asked.
    """

    def __init__(self, uris: Sequence[str], stores: Sequence[Store]) -> None:
        self.findings: list[Finding] = []
        self.evidence: list[str] = []
        self.unseen: list[str] = []
        for uri in uris:
            store = next((store for store in stores if store.owns(uri)), None)
            if store is None:
                self.unseen.append(uri)
                self.findings.append(Finding(kind="unknown", says=f"`{uri}` {UNSEEN}", path=uri))
                continue
            held = store.holds(uri)
            self.evidence.extend(held.says)
            kinds: Mapping[str, Literal["present", "unknown"]] = {"present": "present", "unknown": "unknown"}
            if held.result in kinds:
                self.findings.extend(Finding(kind=kinds[held.result], says=line, path=uri) for line in held.says)


class Emptied:
    """What was deleted at addresses, on a person's word.

    INVARIANT: only addresses that the asset had when its deletion was ordered: whoever adds another to the inventory
    afterwards has nothing deleted there.

    Args:
        uris: the addresses.
        stores: who can be told to.
    """

    def __init__(self, uris: Sequence[str], stores: Sequence[Store]) -> None:
        self.gone = 0
        self.left: list[str] = []
        for uri in uris:
            store = next((store for store in stores if store.owns(uri)), None)
            if store is None:
                self.left.append(f"`{uri}` was left: no store of `[obligations]` has it")
                continue
            cleared = store.erase(uri)
            self.gone += cleared.gone
            self.left.extend(cleared.left)


UNSEEN: Final = "cannot be seen from here"
"""What is said of an address that nobody can be asked about."""
