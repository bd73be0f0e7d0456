"""Zones: names for places, so that an order and a rule can say `backup` and the operator says once what that is.

Not concerned with who may go there. A place belongs to a zone by its real path, or by its address; looking that up
costs the depth of the path, not the number of zones.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence

from guardrail.config import Config
from guardrail.model import Resource

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_AUTHORITY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(?:[^/@]*@)?([^/]*)(.*)", re.DOTALL)
_NOWHERE: tuple[str, ...] = ()


class Zones:
    """The zones of a configuration.

    Args:
        config: names them; a relative directory is relative to guardrail.toml.
    """

    def __init__(self, config: Config) -> None:
        places: dict[str, list[str]] = {}
        for name, entries in config.zones.items():
            for entry in entries:
                if _ADDRESS.match(entry):
                    place = _plain(entry)
                else:
                    place = os.path.realpath(config.path(entry))
                names = places.setdefault(_key(place), [])
                if name not in names:
                    names.append(name)
        self.names = frozenset(config.zones)
        self._places: Mapping[str, Sequence[str]] = places

    def of(self, resource: Resource) -> tuple[str, ...]:
        """The zones that a place lies in.

        Args:
            resource: with its real path filled in, if it is a file.

        Returns:
            Their names, the innermost first; none for a place that is not known exactly. A pattern below a known
            address is in the zones of that address; one of files is in none, because a link could lead elsewhere.
        """
        if not self._places:
            return _NOWHERE
        place = _known(resource)
        if place is None or "/../" in f"{place}/":
            return _NOWHERE
        found: dict[str, None] = {}
        for upper in _upwards(place):
            for name in self._places.get(upper, ()):
                found[name] = None
        return tuple(found)


def _known(resource: Resource) -> str | None:
    """Where the resource certainly is."""
    if resource.uri is not None:
        return _plain(resource.uri)
    if resource.pattern is None:
        return resource.real or resource.path
    literal = re.split(r"[*?\[]", resource.pattern, maxsplit=1)[0]
    if not _ADDRESS.match(literal) or not literal.endswith("/"):
        return None
    return _plain(literal)


def _plain(address: str) -> str:
    """An address without the user and the port, which say nothing about the place; the host in lower case."""
    found = _AUTHORITY.fullmatch(address)
    if found is None:
        return address
    scheme, host, rest = found.groups()
    return f"{scheme.lower()}://{re.sub(r':[0-9]+$', '', host).lower()}{rest}"


def _key(place: str) -> str:
    return place if place == "/" or place.endswith("://") else place.rstrip("/")


def _upwards(place: str) -> Iterator[str]:
    """The place and everything it lies in: `s3://b/k`, `s3://b`, `s3://`, `s3:`."""
    here = _key(place)
    while here:
        yield here
        if here == "/" or here.endswith("://"):
            break
        upper = here.rpartition("/")[0]
        here = f"{upper}/" if upper.endswith(":/") else upper or ("/" if here.startswith("/") else "")
    scheme = _ADDRESS.match(place)
    if scheme is not None and scheme.group() != _key(place):
        yield scheme.group()
