"""The catalogue about itself: what is known of a command, as plain values.

Not concerned with how it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from guardrail.effects.catalogue._spec import Spec, specs


def describe(name: str) -> dict[str, Any] | None:
    """What the catalogue says of one command.

    Args:
        name: the command, or a subcommand such as `aws s3 cp`.

    Returns:
        Plain JSON values; None if there is no such spec.
    """
    spec = specs().get(name)
    if spec is None:
        return None
    found: Spec = spec
    entry: dict[str, Any] = {
        key: value for key, value in msgspec.to_builtins(found.entry).items() if value not in ("", (), [], {}, False)
    }
    entry["subcommands"] = sorted(found.children)
    return entry


def families() -> Mapping[str, tuple[str, ...]]:
    """Name of each specs file -> the commands in it, sorted; subcommands are left to `describe`."""
    known = specs()
    table: dict[str, list[str]] = {}
    for name in known:
        if " " not in name:
            table.setdefault(known.file_of(name).removesuffix(".toml"), []).append(name)
    return {file: tuple(sorted(names)) for file, names in sorted(table.items())}
