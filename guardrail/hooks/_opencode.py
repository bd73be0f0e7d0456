"""OpenCode's plugin: one file of JavaScript that asks the hook's own process."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from guardrail.errors import GuardrailError

PLUGIN_FILE: Final = "zz-guardrail.js"
"""Its name: plugins of a directory are loaded in the order of their names, and this one should be last."""

GRACE_SECONDS: Final = 5.0
"""How much longer than the hook's own deadline the plugin waits for its process, in seconds."""

_COMMAND: Final = "/* guardrail: command */ []"
_DEADLINE: Final = "/* guardrail: deadline */ 15000"


def plugin_path(project: str | None) -> Path:
    """Where OpenCode looks for plugins.

    Args:
        project: directory of the project; None for all of this user's.
    """
    if project is not None:
        return Path(project) / ".opencode/plugin" / PLUGIN_FILE
    config = os.environ.get("XDG_CONFIG_HOME", "")
    home = Path(config) if config.startswith("/") else Path.home() / ".config"
    return home / "opencode/plugin" / PLUGIN_FILE


def plugin_text(words: Sequence[str], deadline_seconds: float) -> str:
    """The plugin with the command that it runs.

    Args:
        words: program and arguments of the hook's process.
        deadline_seconds: its own deadline, in seconds.

    Raises:
        GuardrailError: if the file that is shipped is not the one that this was written for.
    """
    text = _shipped()
    if text.count(_COMMAND) != 1 or text.count(_DEADLINE) != 1:
        raise GuardrailError("the plugin that is shipped for OpenCode has no place for the command: install anew")
    text = text.replace(_COMMAND, json.dumps(list(words)))
    return text.replace(_DEADLINE, str(round((deadline_seconds + GRACE_SECONDS) * 1000)))


def _shipped() -> str:
    # In a wheel it lies in the package, in a checkout beside the other adapters.
    shipped = files("guardrail").joinpath("_opencode/guardrail.js")
    if shipped.is_file():
        return shipped.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / "adapters/opencode/guardrail.js").read_text(encoding="utf-8")
