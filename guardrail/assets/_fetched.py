"""What comes over the web from an asset's own address, or from a place that has what the asset's store has.

Not concerned with hubs and stores whose addresses say themselves what they have: the effects speak of those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from guardrail.assets._addresses import Addresses
from guardrail.model import Effect
from guardrail.patterns import lazy

MAX_PARTS: Final = 16
"""Most directories of an address that are compared; a longer one is compared by its first."""

_STORES: Final = ("s3", "gs", "az", "oss", "obs", "cos", "swift")
_HUBS: Final = ("hf", "modelscope")
_WEB: Final = lazy(
    r"(?:(?:https?|ssh|git|ftps?)://|git:)(?:[^/@]*@)?(?P<host>[^/:@]+)(?::\d+/|[/:])/*(?P<path>[^?#]+)(?:[?#].*)?",
    re.IGNORECASE | re.DOTALL,
)
_FORGES: Final = lazy(
    r"(?:.*\.)?(?:github|githubusercontent|gitlab|bitbucket|codeberg|gitee|sourceforge|launchpad|sr|azure|visualstudio)"
    r"\.(?:com|org|io|net|ht)|(?:git|gitlab|github|gitea|forgejo|gerrit|bitbucket|code|scm|svn|hg|src|stash)[-.\d].*",
    re.IGNORECASE,
)
"""Hosts of code, which often has the name of the model that it is about."""

_FILE: Final = ("http://", "https://", "ftp://", "ftps://", "sftp://")
_LANDING: Final = frozenset(("write", "append", "create"))
_LISTING: Final = ("git-ls-remote",)


def fetched(effects: Sequence[Effect], addresses: Addresses) -> list[Effect]:
    """The same; what is downloaded from an asset's address is a copy of it, and what has its name may be.

    Args:
        effects: what one call would do, resolved.
        addresses: where assets live.
    """
    found: list[Effect] = []
    for index, effect in enumerate(effects):
        if effect.op != "net_recv" or not (uri := effect.resource.uri or ""):
            continue
        if effect.resource.asset is not None:
            if uri.lower().startswith(_FILE) and "/v2/" not in uri:
                found += _landed(effect, effects, index)
        elif (asset := _mirrored(uri, addresses)) is not None and _kept(effect, effects):
            named = msgspec.structs.replace(effect.resource, asset=asset)
            found.append(
                msgspec.structs.replace(
                    effect,
                    op="mention",
                    resource=named,
                    attrs={"named_like": asset},
                    precision="opaque",
                    modality="may",
                )
            )
    return [*effects, *found] if found else list(effects)


def _landed(effect: Effect, effects: Sequence[Effect], index: int) -> Iterator[Effect]:
    """Into what the same command writes it goes; what is written after it in the same call may be made of it."""
    own: list[Effect] = []
    later: list[Effect] = []
    for place, other in enumerate(effects):
        if other.op in _LANDING and other.resource.uri is None and other.resource.kind != "dir":
            if other.origin == effect.origin:
                own.append(other)
            elif place > index:
                later.append(other)
    for other in own or later:
        yield msgspec.structs.replace(
            effect,
            op="copy",
            target=other.resource,
            attrs={},
            flow=("download",),
            modality="must" if own else "may",
            precision=effect.precision if own else "opaque",
        )


def _kept(effect: Effect, effects: Sequence[Effect]) -> bool:
    """What comes in stays here: it is written somewhere, or git keeps it."""
    spec = effect.origin.spec if effect.origin is not None else ""
    if spec.startswith("git-"):
        return spec not in _LISTING
    return any(other.op in _LANDING and other.resource.uri is None for other in effects)


def _mirrored(uri: str, addresses: Addresses) -> str | None:
    """The asset that lies in some store by the path of this address, or at a hub by a part of it."""
    match = _WEB.fullmatch(uri)
    if match is None or _FORGES.fullmatch(match["host"]) is not None:
        return None
    parts = [part for part in match["path"].removesuffix(".git").split("/") if part][:MAX_PARTS]
    whole = "/".join(parts)
    names = [f"{scheme}://{whole}" for scheme in _STORES if addresses.has(scheme)]
    for scheme in filter(addresses.has, _HUBS):
        names += [f"{scheme}://{'/'.join(parts[at:])}" for at in range(len(parts) - 1)]
    return next((asset for name in names for asset in addresses.find(name, downward=False)[0]), None)
