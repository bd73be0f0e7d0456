"""What a guard itself depends on: its files are assets too, because whoever edits them edits every later decision."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import to_builtins

from guardrail.audit import beside_trail, trail_directory, trail_key
from guardrail.config import FROM_FILE, Config, ServingConfig
from guardrail.policy import bundle_directory, cache_directory

HOOKED_FILE: Final = "installed"
"""File beside the trail with the settings that hooks were put into, one path a line."""

_DATABASES: Final = ("identity", "history", "lineage", "mcp", "mcp-tasks", "orders")
_PLACES: Final = ("policy", "review.snapshot", "inbox", "hook")


def own_files(config: Config) -> list[tuple[str, str]]:
    """Name and path of everything that a guard depends on.

    Args:
        config: whose guard.
    """
    return [*_what_it_reads(config), *_what_it_writes(config)]


def _what_it_reads(config: Config) -> Iterator[tuple[str, str]]:
    if config.source:
        yield "guardrail:config", config.source
    for number, path in enumerate(config.asset_files):
        yield f"guardrail:assets:{number}", path
    if config.mandates.directory:
        yield "guardrail:mandates", str(config.path(config.mandates.directory))
    if not config.policy.bundle.startswith(("http://", "https://")):
        yield "guardrail:policy", str(bundle_directory(config))
    for key in config.policy.keys:
        if not (key.algorithm.startswith("HS") or "-----BEGIN" in key.key or key.key.startswith("${")):
            yield "guardrail:policy-key", str(config.path(key.key))
    if config.review.oidc is not None:
        yield "guardrail:identity-keys", str(config.path(config.review.oidc.jwks))
    yield from (("guardrail:identity-keys", str(config.path(path))) for path in _who_may_ask(config) if path)
    yield from (("guardrail:secrets", str(config.path(path))) for path in _secrets(config) if path)
    yield "guardrail:code", str(Path(__file__).parent)
    yield "guardrail:cache", str(cache_directory())
    yield from (("guardrail:serving", path) for one in config.execute.serving for path in _what_it_loads(one))
    # Whoever edits the settings that a hook stands in takes it out.
    for path in hooked(config):
        yield "guardrail:hooks", path


def _what_it_loads(serving: ServingConfig) -> Iterator[str]:
    """Where a serving program loads code from that nobody fixed by content.

    That is beside each script of it, and in the environment of an interpreter that has one of its own.
    """
    yield from (os.path.dirname(path) for path in serving.files if path != serving.program)
    above = os.path.dirname(os.path.dirname(serving.program))
    if os.path.exists(os.path.join(above, "pyvenv.cfg")):
        yield above


def _who_may_ask(config: Config) -> Iterator[str]:
    """Files by which callers of the service are known."""
    tls, cluster = config.service.tls, config.service.kubernetes
    if tls is not None:
        yield from (tls.certificate, tls.client_ca)
    if cluster is not None:
        yield from (cluster.jwks, cluster.ca if cluster.review else "")


def _secrets(config: Config) -> Iterator[str]:
    """Files of which whoever has read one can pass for the guard, for a caller, or for a person who answers."""
    tls, cluster = config.service.tls, config.service.kubernetes
    if tls is not None:
        yield tls.key
    if cluster is not None and cluster.review:
        yield cluster.token
    yield from _secret_files(to_builtins(config))


def _secret_files(settings: object) -> Iterator[str]:
    """Files that settings take a secret from, whichever settings."""
    if isinstance(settings, str) and settings.startswith(FROM_FILE):
        yield settings[len(FROM_FILE) : -1]
    elif isinstance(settings, dict):
        for value in settings.values():  # pyright: ignore[reportUnknownVariableType]
            yield from _secret_files(value)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(settings, list | tuple):
        for value in settings:  # pyright: ignore[reportUnknownVariableType]
            yield from _secret_files(value)  # pyright: ignore[reportUnknownArgumentType]


def _what_it_writes(config: Config) -> Iterator[tuple[str, str]]:
    # Also where nothing is recorded: another guard of the same configuration keeps its trail there.
    yield "guardrail:trail", str(trail_directory(config))
    yield "guardrail:key", str(trail_key(config))
    if config.trail.checkpoint_file:
        yield "guardrail:trail", str(config.path(config.trail.checkpoint_file))
    if config.decision_log.file:
        yield "guardrail:decision-log", str(config.path(config.decision_log.file))
    # SQLite keeps what was written last beside the file. All of it is one asset: what goes through the directory that
    # it lies in, as `git status` does, bears on it once.
    for path in (review_store(config), *(beside_trail(config, f"{name}.db") for name in _DATABASES)):
        for ending in ("", "-wal", "-shm"):
            yield "guardrail:state", f"{path}{ending}"
    for name in _PLACES:
        yield "guardrail:state", str(beside_trail(config, name))


def review_store(config: Config) -> Path:
    """The file where adapters remember their turns.

    Args:
        config: whose guard.
    """
    return config.path(config.review.store) if config.review.store else beside_trail(config, "reviews.db")


def hooked(config: Config) -> tuple[str, ...]:
    """Settings of harnesses that the guard's hook was put into, as `guardrail hook install` noted it.

    Args:
        config: whose guard.
    """
    try:
        text = (beside_trail(config, "hook") / HOOKED_FILE).read_text(encoding="utf-8")
    except OSError:
        return ()
    return tuple(line for line in text.splitlines() if line)
