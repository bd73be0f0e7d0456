"""Which controls the evidence is relevant to: maps kept as data, counted as records come.

A map says which records bear on a control; whether the control is met is for an auditor to say, and nothing here does.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from guardrail.audit.reading import fields
from guardrail.audit.reading.fields import Record
from guardrail.errors import ConfigError

CONTROLS: Final = Path(__file__).with_name("controls")
"""Where the maps lie: `queries.toml`, and one file for each source of controls."""

EXAMPLES: Final = 3
"""How many record numbers are named for each query."""


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records are meant; every condition that is given has to hold.

    Args:
        shows: what such a record shows, in a few words.
        kinds: one of these kinds.
        outcomes: one of these outcomes.
        events: one of these words on what happened or how it stands.
        has: each of these fields is there, and not empty.
        on_asset: it is about an asset.
    """

    shows: str
    kinds: tuple[str, ...]
    outcomes: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    has: tuple[str, ...] = ()
    on_asset: bool = False

    def matches(self, record: Record) -> bool:
        """Whether a record of one of its kinds is one of those that are meant."""
        if self.outcomes and fields.outcome_of(record) not in self.outcomes:
            return False
        if self.events and not {fields.status_of(record), fields.text(record.get("event"))} & set(self.events):
            return False
        if self.on_asset and not fields.assets_of(record):
            return False
        return all(record.get(name) for name in self.has)


class Control(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One control.

    Args:
        control: its number.
        asks: what it asks for, in our words.
        queries: names of the queries whose records bear on it.
        also: what else of the report bears on it.
    """

    control: str
    asks: str
    queries: tuple[str, ...] = ()
    also: str = ""


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One law, standard or framework.

    Args:
        source: its name.
        edition: which edition the numbers are of.
        note: what a reader has to know of it.
        control: its controls.
    """

    source: str
    edition: str
    note: str = ""
    control: tuple[Control, ...]


class Found(msgspec.Struct, kw_only=True):
    """How many records a query has found, and the first of them."""

    count: int = 0
    examples: list[int] = []


class Controls:
    """The maps, and what was found for them.

    Args:
        queries: by name.
        sources: in the order of their files.
    """

    def __init__(self, queries: Mapping[str, Query], sources: tuple[Source, ...]) -> None:
        self.queries = queries
        self.sources = sources
        self.found = {name: Found() for name in queries}
        self._by_kind: dict[str, list[tuple[Query, Found]]] = {}
        for name, query in queries.items():
            for kind in query.kinds:
                self._by_kind.setdefault(kind, []).append((query, self.found[name]))

    def take(self, seq: int, record: Record) -> None:
        """Go on by one record."""
        for query, found in self._by_kind.get(fields.kind_of(record), ()):
            if query.matches(record):
                found.count += 1
                if len(found.examples) < EXAMPLES:
                    found.examples.append(seq)


def load(directory: Path = CONTROLS) -> Controls:
    """Read the maps.

    Raises:
        ConfigError: if a file is not what it should be, or names a query that there is not.
    """
    queries = msgspec.convert(_read(directory / "queries.toml").get("query", {}), dict[str, Query])
    sources: list[Source] = []
    for path in sorted(directory.glob("*.toml")):
        if path.name == "queries.toml":
            continue
        try:
            source = msgspec.convert(_read(path), Source)
        except msgspec.ValidationError as error:
            raise ConfigError(f"the map of controls `{path.name}` cannot be used: {error}") from None
        for control in source.control:
            for name in control.queries:
                if name not in queries:
                    raise ConfigError(f"the map `{path.name}` names the query `{name}`, which there is not")
            if not control.queries and not control.also:
                raise ConfigError(f"the map `{path.name}` says nothing that bears on `{control.control}`")
        sources.append(source)
    return Controls(queries, tuple(sources))


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"the map of controls `{path.name}` cannot be read: {error}") from None
