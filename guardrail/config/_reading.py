"""guardrail.toml and the files of assets beside it, read into one `Config` or refused with one sentence.

Not concerned with what the settings are (`_settings`), nor with which values cannot be meant (`_problems`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, get_args

import msgspec

from guardrail.config._problems import check
from guardrail.config._section import Section
from guardrail.config._settings import SET_BY_LOAD, Config
from guardrail.config._subjects import AssetConfig
from guardrail.errors import ConfigError

MAX_CONFIG_BYTES: Final = 8 * 1024 * 1024
"""Largest guardrail.toml, in bytes."""

MAX_SECRET_CHARS: Final = 64 * 1024
"""Longest secret that is read from a file, in characters."""

MAX_ASSETS: Final = 100_000
"""Most assets of one configuration."""

MAX_ASSET_FILE_BYTES: Final = 64 * 1024 * 1024
"""Largest file of assets, in bytes."""


def load(path: str | os.PathLike[str]) -> Config:
    """Read guardrail.toml.

    Args:
        path: the file.

    Returns:
        The configuration, checked.

    Raises:
        ConfigError: if it cannot be read, is not TOML, or holds anything unknown, ill-typed or impossible.
    """
    file = Path(path).absolute()
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration `{file}`: {error.strerror}") from None
    if len(data) > MAX_CONFIG_BYTES:
        raise ConfigError(f"the configuration `{file}` is larger than {MAX_CONFIG_BYTES} bytes")
    return parse(data, base=str(file.parent), source=str(file))


def parse(text: str | bytes, *, base: str = "", source: str = "") -> Config:
    """Read a configuration from text.

    Args:
        text: TOML.
        base: directory that relative paths are relative to.
        source: name to use in messages.

    Returns:
        The configuration, checked.

    Raises:
        ConfigError: as `load`.
    """
    where = source or "the configuration"
    try:
        raw: Any = msgspec.toml.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"`{where}` is not valid TOML: {error}") from None
    for reserved in SET_BY_LOAD:
        if reserved in raw:
            raise ConfigError(f"`{where}` has the unknown key `{reserved}`: remove it")
    try:
        config = msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"`{where}` is not a valid configuration: {_sentence(error, raw)}") from None
    # Pods of one configuration have trails of their own, whose names only their environment knows.
    trail = msgspec.structs.replace(config.trail, origin=secret(config.trail.origin, "trail.origin"))
    config = msgspec.structs.replace(config, trail=trail, base=base, source=source)
    if config.inventory.files:
        config = _with_files(config, where)
    check(config, where)
    return config


class _AssetFile(Section, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"assets": "asset"}):
    assets: tuple[AssetConfig, ...] = ()


_asset_lines: Final = msgspec.json.Decoder(AssetConfig)


def _with_files(config: Config, where: str) -> Config:
    """The configuration with the assets that stand in files of their own.

    Raises:
        ConfigError: if one is missing, too large, or holds what is no asset: an asset that is left out is not guarded.
    """
    assets = list(config.assets)
    files: dict[str, None] = {}
    folders: dict[str, None] = {}
    for pattern in config.inventory.files:
        if any(char in pattern for char in "*?["):
            folders[_own_folder(config, pattern, where)] = None
        for file in _matching_files(config, pattern, where):
            if file not in files:
                files[file] = None
                assets.extend(read_assets(file))
                if len(assets) > MAX_ASSETS:
                    raise ConfigError(f"`{where}` declares more than {MAX_ASSETS} assets, the last in `{file}`")
    return msgspec.structs.replace(config, assets=tuple(assets), asset_files=(*files, *folders))


def _own_folder(config: Config, pattern: str, where: str) -> str:
    """The directory of a pattern: a file that is added there changes which asset a path is, so it is guarded as well.

    Raises:
        ConfigError: if guarding it would guard everything beside the configuration.
    """
    folder, base = os.path.realpath(config.path(pattern).parent), os.path.realpath(config.path(""))
    if base == folder or base.startswith(folder.rstrip("/") + "/"):
        raise ConfigError(f"`{where}`: `assets.files` has `{pattern}`: give these files a directory of their own")
    return folder


def _matching_files(config: Config, pattern: str, where: str) -> list[str]:
    path = config.path(pattern)
    if not pattern or any(char in str(path.parent) for char in "*?["):
        raise ConfigError(f"`{where}`: `assets.files` has `{pattern}`: name a file, or `*` in the last name only")
    if not any(char in path.name for char in "*?["):
        return [str(path)]
    # A link is followed: what it leads to is named in every message, and guarded like the file.
    found = sorted(str(one) for one in path.parent.glob(path.name) if one.is_file() and not one.name.startswith("."))
    if not found:
        raise ConfigError(f"`{where}`: `assets.files` has `{pattern}`, which no file fits: mend it or take it out")
    return found


def read_assets(file: str) -> Sequence[AssetConfig]:
    """The assets in a file of assets.

    Args:
        file: TOML with `[[asset]]` tables, or JSON lines.

    Raises:
        ConfigError: if it cannot be read, or holds anything else.
    """
    try:
        with open(file, "rb") as stream:
            data = stream.read(MAX_ASSET_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the assets in `{file}`: {error.strerror}") from None
    if len(data) > MAX_ASSET_FILE_BYTES:
        raise ConfigError(f"the assets in `{file}` are more than {MAX_ASSET_FILE_BYTES} bytes: split the file")
    if file.endswith((".jsonl", ".ndjson")):
        return _read_lines(file, data)
    if not file.endswith(".toml"):
        raise ConfigError(f"`{file}` is no file of assets: its name must end in `.toml` or `.jsonl`")
    try:
        raw: Any = msgspec.toml.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"`{file}` is not valid TOML: {error}") from None
    try:
        return msgspec.convert(raw, _AssetFile).assets
    except msgspec.ValidationError as error:
        raise ConfigError(f"`{file}` is no file of assets: {_sentence(error, raw)}") from None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) != len({name for name, _ in pairs}):
        raise ValueError("a key stands there twice")


def _read_lines(file: str, data: bytes) -> Sequence[AssetConfig]:
    found: list[AssetConfig] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            json.loads(line, object_pairs_hook=_no_key_twice)
            found.append(_asset_lines.decode(line))
        except (ValueError, RecursionError) as error:
            text = str(error)
            raise ConfigError(f"`{file}` is no file of assets: line {number}: {text[:1].lower()}{text[1:]}") from None
        if len(found) > MAX_ASSETS:
            raise ConfigError(f"`{file}` declares more than {MAX_ASSETS} assets")
    return found


FROM_FILE: Final = "${file:"
"""What the value of a setting begins with that takes a secret from a file."""


def secret(text: str, key: str) -> str:
    """A secret of the configuration, read when it is needed: an auditor does not have to know the service's token.

    Args:
        text: the value, or `${NAME}` for that environment variable, or `${file:/path}` for what that file has.
        key: the setting, for the message.

    Returns:
        The secret; empty if none is configured.

    Raises:
        ConfigError: if the variable is not set or is empty, or the file cannot be read or is empty.
    """
    if not (text.startswith("${") and text.endswith("}")):
        return text
    if text.startswith(FROM_FILE):
        return _from_file(text[len(FROM_FILE) : -1], key)
    value = os.environ.get(text[2:-1], "")
    if not value:
        raise ConfigError(
            f"`{key}` names the environment variable `{text[2:-1]}`, which is not set or is empty: set it"
        )
    return value


def _from_file(path: str, key: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            value = file.read(MAX_SECRET_CHARS + 1).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror or str(error) if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"`{key}` names the file `{path}`, which cannot be read: {why.lower()}") from None
    if not 0 < len(value) <= MAX_SECRET_CHARS:
        raise ConfigError(f"`{key}` names the file `{path}`, which must hold 1 to {MAX_SECRET_CHARS} characters")
    return value


def _sentence(error: msgspec.ValidationError, raw: Any) -> str:
    """What is wrong, where, and what would be right."""
    text, _, place = str(error).partition(" - at `")
    text = text[:1].lower() + text[1:]
    steps = [step for step in place.rstrip("`").removeprefix("$").replace("[", ".[").split(".") if step]
    section, name = _walk(steps)
    where = ".".join(steps).replace(".[", "[")
    entry = raw
    for step in steps[:2]:
        try:
            entry = entry[int(step[1:-1])] if step.startswith("[") else entry[step]
        except (LookupError, TypeError, ValueError):
            break
    if isinstance(entry, dict) and "id" in entry:
        where += f" (`{entry['id']}`)"  # pyright: ignore[reportUnknownArgumentType]
    if "unknown field" in text and section is not None:
        names = [field.encode_name for field in msgspec.structs.fields(section)]
        known = ", ".join(f"`{name}`" for name in names if name not in SET_BY_LOAD)
        text += f"; what is known there is {known}"
    elif "enum value" in text and section is not None:
        field = next((f for f in msgspec.structs.fields(section) if f.encode_name == name), None)
        kind = getattr(field, "type", None)
        # Of a table whose values are one of several, those.
        kind = next((one for one in get_args(kind) if get_args(one)), kind)
        choices = [choice for choice in get_args(kind) if choice != "guard"]
        text += f"; use one of {', '.join(f'`{choice}`' for choice in choices)}"
    elif "RFC3339" in text:
        text += "; write it as 2024-08-19"
    return f"{text}, at `{where}`" if where else text


def _walk(steps: Sequence[str]) -> tuple[type[msgspec.Struct] | None, str]:
    """The table that a path leads to, and the last key on the way."""
    section: type[msgspec.Struct] = Config
    name = ""
    for step in steps:
        if step.startswith("["):
            continue
        name = step
        field = next((f for f in msgspec.structs.fields(section) if f.encode_name == step), None)
        kind: Any = getattr(field, "type", None)
        inner = next((part for part in (kind, *get_args(kind)) if isinstance(part, type)), None)
        if inner is not None and issubclass(inner, msgspec.Struct):
            section = inner
        else:
            break
    return section, name
