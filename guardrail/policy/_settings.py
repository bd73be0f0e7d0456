"""The tunables of a policy: `guardrail.settings` in its data.json, refused where a key is not known.

Not concerned with what a rule makes of one of them; `docs/policy-data.md` explains every key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from guardrail.config import Maturity
from guardrail.errors import ConfigError
from guardrail.model import AssetClass, Kind, Op

Family = Literal[
    "inspect", "copy", "move", "delete", "edit", "times", "keys", "lifecycle", "opaque", "remote", "mention"
]
"""How an operation is judged; `policies/guardrail/lib/shape.rego` has the same list."""

OutcomeWord = Literal["allow", "escalate", "deny"]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table that refuses unknown keys."""


class ByPrecision(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An outcome for each precision of an effect."""

    exact: OutcomeWord
    pattern: OutcomeWord
    opaque: OutcomeWord


class Labelled(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What counts as sending something away."""

    ops: tuple[Op, ...]
    targets: tuple[str, ...]


class Way(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"source": "from"}):
    """From addresses that begin so, to addresses that begin so."""

    source: str
    to: str


class Administration(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is held though it touches no asset: see `policies/guardrail/rules/admin.rego`."""

    kinds: tuple[Kind, ...]
    held: tuple[str, ...]
    words: tuple[str, ...]
    keys: tuple[str, ...]
    verbs: tuple[str, ...]
    devices: tuple[str, ...]
    not_devices: tuple[str, ...]
    programs: tuple[str, ...]
    ops: tuple[Op, ...]
    shipped: tuple[Way, ...]


class Earlier(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When what was done before counts: see `policies/guardrail/rules/sequence.rego`."""

    scope: Literal["session", "agent"]
    hosts: tuple[str, ...]
    refusals: Annotated[int, msgspec.Meta(ge=1)]


class Confined(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What rests on the kernel where it holds a call: rules, and copies by serving programs.

    See `policies/guardrail/lib/held.rego` and `serving.rego`.
    """

    modes: tuple[Literal["floor", "default", "strict"], ...]
    ports: tuple[int, ...]
    rests: tuple[str, ...]
    serves: tuple[Family, ...]


class Placement(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What counts as bringing an asset elsewhere: see `policies/guardrail/rules/assets/placement.rego`."""

    families: tuple[Family, ...]


class Judging(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What nobody decides about themselves: see `policies/guardrail/rules/assets/relation.rego`."""

    classes: tuple[AssetClass, ...]
    relations: tuple[Literal["self", "peer", "other"], ...]


class Evaluation(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How scores are judged: see `policies/guardrail/rules/assets/evaluation.rego`."""

    relation: Literal["none", "same", "family"]


class Settings(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`data.guardrail.settings`; `docs/policy-data.md` explains every key."""

    version: str
    ops: dict[Op, Family]
    targeted: tuple[Op, ...]
    unsanctioned: ByPrecision
    code: dict[str, Literal["run", "hold"]]
    labelled: Labelled
    sequence: Earlier
    confined: Confined
    placement: Placement
    judging: Judging
    approvers: dict[str, tuple[str, ...]]
    administration: Administration
    evaluation: Evaluation
    outcomes: dict[str, OutcomeWord]
    maturity: dict[str, Maturity]
    moved: tuple[str, ...]


class _Guardrail(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    settings: Settings


class _Data(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    guardrail: _Guardrail


def read_settings(sources: Mapping[str, bytes]) -> Settings:
    """The tunables in data.json.

    Raises:
        ConfigError: if a key is unknown, missing or ill-typed, or an operation is not given a family.
    """
    try:
        settings = msgspec.json.decode(sources["data.json"], type=_Data).guardrail.settings
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"`data.json` is not valid: {error}") from None
    missing = sorted(set(Op.__args__) - settings.ops.keys())  # type: ignore[attr-defined]
    if missing:
        raise ConfigError(f"`data.json` gives no family to `{missing[0]}`: add it to `guardrail.settings.ops`")
    return settings
