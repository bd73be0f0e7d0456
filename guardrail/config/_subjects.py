"""Tables about what is guarded, and about whom: assets, people, agents."""

from __future__ import annotations

import datetime as dt
from typing import Any

from guardrail.config._section import Section
from guardrail.model import AssetClass


class RecordConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[asset.record]`: which key of an evaluation record is what; a dotted key reaches into tables.

    Args:
        items: key of the list or table of records; empty if the file itself is the list, or one record.
        id: key that tells one record from another; empty means its place in the list.
        score: key of the score.
        subject: key of the model that is scored; without one in the record it is the asset's `model`.
        judge: key of who scored it.
        threshold: key of the threshold, or the threshold itself.
        direction: `min` if a score passes from the threshold up, `max` if it passes up to it, or the key that says so.
        criteria: keys of what is measured, and how: a change of one is a change of the criteria; `*` is allowed.
        reference: scores of comparable models, or of earlier runs; at least three, or none.
        outlier: how far from the reference a score may lie, in standard deviations estimated from the median.
        count: key that says over how many items a score was taken, such as `n`; empty means that records do not say.
        expected: over how many items a score has to be taken, or, without `count`, how many records a whole file has;
            fewer are told as left out, and 0 says nothing.
    """

    items: str = ""
    id: str = ""
    score: str = "score"
    subject: str = "model"
    judge: str = "judge"
    threshold: float | str = "threshold"
    direction: str = "direction"
    criteria: tuple[str, ...] = ("criteria", "rubric")
    reference: tuple[float, ...] = ()
    outlier: float = 3.5
    count: str = ""
    expected: int = 0


class AssetConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"asset_class": "class"}):
    """One `[[asset]]`: something worth guarding.

    Args:
        id: unique name, such as `model:beta`.
        asset_class: `weights`, `checkpoint`, `adapter`, `control`, `evaluation`, `criteria` or `registry`.
        paths: files or directories it lives in; relative ones are relative to guardrail.toml.
        uris: addresses it lives at where there is no path: `s3://bucket/key`, `hf://org/name`, `k8s:configmap/name`,
            `systemd:name.timer`, `process:name`, `account:name`; an asset needs a path or an address.
        model: the model it belongs to.
        owner: the person or team that owns it.
        registered: the date it was registered on; rules use this and never a file's mtime.
        digest: `sha256:<hex>` of its content, for an asset of one file; `guardrail doctor` compares it.
        controls: for `control`: key -> the value that is safe; a dotted key reaches into tables.
        zones: names of the `[zones]` it may be in: a copy or move to any other place is held, whoever ordered it;
            empty says nothing about places.
        separation: whether an order about it must come from somebody who does not operate the agent; the general
            `mandates.separation` by default.
        weakens: for `control`: key -> the change that weakens it: `false`, `true`, `up`, `down`, `wider`, `narrower`,
            `people`, `removed`, `any`, `ask` or `none`; a dotted key reaches into tables, and a key may have `*` in it.
        record: for `evaluation`: which key of a record is what; without it every edit is one of the whole file.
    """

    id: str
    asset_class: AssetClass
    paths: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    model: str | None = None
    owner: str | None = None
    registered: dt.date | None = None
    digest: str | None = None
    controls: dict[str, Any] = {}
    zones: tuple[str, ...] = ()
    separation: bool | None = None
    weakens: dict[str, Any] = {}
    record: RecordConfig | None = None


class AgentConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[agent]]`: who operates which agents; several tables that fit one agent add up.

    Args:
        id: glob on ids of agents.
        operator: the person who runs them, by the name that is signed with.
    """

    id: str
    operator: str


class InventoryConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[assets]`: assets that are declared beside guardrail.toml.

    Args:
        files: files of further assets, `*` allowed in the last name: TOML with `[[asset]]` tables, or JSON lines with
            one asset a line, which is read ten times as fast; relative to guardrail.toml, as all paths in them are.
    """

    files: tuple[str, ...] = ()


class PersonConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[person]]`: somebody whose signature on a mandate counts.

    Args:
        name: who it is, such as `dana@example.com`.
        key: Ed25519 public key, `ed25519:` and 32 bytes in base64.
    """

    name: str
    key: str
