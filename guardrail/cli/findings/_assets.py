"""Findings about the assets: whether they are there, and as they were declared."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli.findings._finding import Finding, cause

if TYPE_CHECKING:
    from guardrail.config import AssetConfig, Config


_MOST_RECORDS: Final = 100
"""Most files of one evaluation asset that are looked into."""

_MOST_BYTES: Final = 64 * 1024 * 1024
"""Most that is read of one of them, in bytes."""


def asset_findings(config: Config) -> Iterator[Finding]:
    """Whether each asset is there, whether its controls are safe, and whether its digest is the declared one."""
    if not config.assets:
        yield Finding(name="assets", state="problem", detail="none declared, so nothing is guarded: add an [[asset]]")
    for asset in config.assets:
        paths = [config.path(path) for path in asset.paths]
        told = [finding for path in paths for finding in _path_findings(asset, path)]
        yield from told
        if asset.asset_class == "control" and not asset.controls and not asset.weakens:
            detail = f"`{asset.id}` lists no `controls` and no `weakens`, so every edit of it is unsanctioned"
            yield Finding(name="assets", state="note", detail=detail)
        if told:
            continue
        for path in paths:
            yield from _control_findings(asset, path)
            yield from _record_findings(asset, path)
        if asset.digest is not None:
            yield _digest_finding(asset, [str(path) for path in paths])


def _path_findings(asset: AssetConfig, path: Path) -> Iterator[Finding]:
    try:
        if stat.S_ISDIR(os.stat(path).st_mode):
            os.scandir(path).close()
    except (FileNotFoundError, NotADirectoryError):
        detail = f"`{asset.id}`: nothing at `{path}` yet; the name is guarded, other names of it cannot be"
        yield Finding(name="assets", state="note", detail=detail)
    except OSError as error:
        detail = (
            f"`{asset.id}`: cannot look at `{path}`: {cause(error)}, so other names of it stay unknown: "
            "let the user that the guard runs as read it and enter the directories above it"
        )
        yield Finding(name="assets", state="problem", detail=detail)
    if os.path.realpath(path) == "/":
        detail = (
            f"`{asset.id}` is all of `/`, so every command touches it, and the guard's own files count as part of it: "
            "name the directories that the model lies in"
        )
        yield Finding(name="assets", state="problem", detail=detail)


def _record_findings(asset: AssetConfig, path: Path) -> Iterator[Finding]:
    """Whether an evaluation record can be judged by its scores."""
    from guardrail.assets import check_record

    if asset.record is None:
        return
    for file in [path] if path.is_file() else sorted(one for one in path.glob("*") if one.is_file())[:_MOST_RECORDS]:
        try:
            with open(file, "rb") as stream:
                wrong = check_record(str(file), stream.read(_MOST_BYTES), asset.record)
        except OSError as error:
            wrong = f"cannot be read: {cause(error)}"
        if wrong is not None:
            detail = f"`{asset.id}`: `{file}`: {wrong}, so every edit of it is one of the whole file: mend `record`"
            yield Finding(name="assets", state="problem", detail=detail)


def _control_findings(asset: AssetConfig, path: Path) -> Iterator[Finding]:
    """Whether each control has its safe value now: the guard sees changes, and this one may have been made before."""
    from guardrail.assets import control_keys, control_of
    from guardrail.config import dotted
    from guardrail.effects import key_changes

    if not (asset.controls or asset.weakens) or not path.is_file():
        return
    try:
        content = path.read_bytes()
    except OSError as error:
        yield Finding(name="assets", state="problem", detail=f"`{asset.id}`: cannot read `{path}`: {cause(error)}")
        return
    keys = key_changes(str(path), None, content)
    if keys is None:
        detail = (
            f"`{asset.id}`: `{path}` is not JSON, TOML or YAML with one plain meaning, so its controls cannot be read, "
            "and every edit of it is unsanctioned"
        )
        yield Finding(name="assets", state="problem", detail=detail)
        return
    declared = control_keys(dict(dotted(asset.controls)), dict(dotted(asset.weakens)))
    bearing: dict[str, list[tuple[Any, bool]]] = {}
    for change in keys:
        control = change.key if change.key in declared.names else control_of(change.key, declared.names)
        if control is not None:
            bearing.setdefault(control, []).append((change.after, bool(declared.judge(change).get("weakened"))))
    for key in declared.names:
        if key not in bearing and not any(change.key.startswith(f"{key}.") for change in keys):
            mend = " with its safe value, or mend `controls`" if key in declared.safe else ", or mend `weakens`"
            detail = f"`{asset.id}`: `{path}` has no key `{key}`: add it{mend}"
            yield Finding(name="assets", state="problem", detail=detail)
        # As a change to that value would be judged: a format that has only texts says `true` in letters.
        unsafe = [value for value, weakened in bearing.get(key, ()) if weakened and key in declared.safe]
        if unsafe:
            detail = (
                f"`{asset.id}`: `{key}` in `{path}` is {_value(unsafe[0])} now, and {_value(declared.safe[key])} is "
                "the safe value: find out who changed it"
            )
            yield Finding(name="assets", state="problem", detail=detail)


def _value(value: object) -> str:
    return f"`{json.dumps(value, default=str)[:64]}`"


def _digest_finding(asset: AssetConfig, paths: list[str]) -> Finding:
    import hashlib

    if len(paths) > 1 or not os.path.isfile(paths[0]):
        detail = f"`{asset.id}`: `digest` is compared for an asset of one file only"
        return Finding(name="assets", state="note", detail=detail)
    try:
        with open(paths[0], "rb") as stream:
            found = "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return Finding(name="assets", state="problem", detail=f"cannot read `{paths[0]}`: {cause(error)}")
    if found != asset.digest:
        detail = f"`{asset.id}`: `{paths[0]}` has the digest `{found}`, not the declared one: find out who changed it"
        return Finding(name="assets", state="problem", detail=detail)
    return Finding(name="assets", state="ok", detail=f"`{asset.id}` has its declared digest")
