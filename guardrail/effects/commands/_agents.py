"""Agents that are started from a shell: by their hooks a guard stands over them, and an option may leave it out.

Not concerned with what such an agent then does: it is a program that is not looked into.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import Field, Stream
from guardrail.patterns import lazy

_BARE: Final = lazy(
    r"--(?:dangerously|allow-dangerously)-[\w-]+|--(?:yolo|bare|pure|safe-mode|allow-all-tools|allow-all|trust-all-tools)"
    r"|--(?:skip-permissions-unsafe|ignore-user-config|ignore-rules|auto-approve-everything)"
)
"""Options with which an agent runs without its hooks, or without asking anybody, whichever agent it is."""

_OWN: Final[Mapping[str, re.Pattern[str]]] = {
    "claude": lazy(r"--permission-mode[= ]bypassPermissions|--setting-sources(?:[= ](?!.*user).*)?"),
    "codex": lazy(
        r"(?:--sandbox|-s)[= ]?danger-full-access|--disable[= ](?:codex_)?hooks"
        r"|(?:--config|-c)[= ]?(?:features\.(?:codex_)?hooks\s*=\s*false|hooks\b.*|sandbox_mode\s*=.*danger.*)"
    ),
    "gemini": lazy(r"-[a-z]*y[a-z]*|--approval-mode[= ]yolo"),
    "qwen": lazy(r"-[a-z]*y[a-z]*|--approval-mode[= ]yolo"),
    "crush": lazy(r"-[a-z]*y[a-z]*"),
}
"""What means the same to one of them: an option, or an option and its value with `=` or one blank between them."""

_TELLING: Final = lazy(r"disableAllHooks|\"hooks\"|bypassPermissions|allowManagedHooksOnly|defaultMode")
"""What settings of its own say where they replace hooks, or leave them out."""

_SAME: Final[Mapping[str, str]] = {"claude-code": "claude", "gemini-cli": "gemini", "opencode-ai": "opencode"}
"""Names of packages, as `npx` takes them, and the programs that are in them."""

_HOMES: Final[Mapping[str, tuple[str, ...]]] = {
    "claude": ("CLAUDE_CONFIG_DIR", "CLAUDE_CODE_SIMPLE"),
    "codex": ("CODEX_HOME",),
    "gemini": ("GEMINI_CLI_HOME",),
    "opencode": ("OPENCODE_PURE", "OPENCODE_CONFIG_DIR", "XDG_CONFIG_HOME"),
}
"""Variables by which an agent finds its hooks in another place, or none."""


def agent(call: Call, _parsed: Parsed) -> Stream:
    """`claude`, `codex` and their like: a program, and whether it is one that nobody stands over."""
    name = _SAME.get(call.name, call.name)
    words = [field.text for field in call.args]
    own = _OWN.get(name)
    pairs = [*words, *(f"{one} {other}" for one, other in itertools.pairwise(words))]
    bare = any(map(_BARE.fullmatch, words)) or (own is not None and any(map(own.fullmatch, pairs)))
    moved = any(variable in call.state.vars for variable in _HOMES.get(name, ()))
    if bare or moved or (name == "claude" and _told_otherwise(call)):
        call.emit("set_security", at("service", f"hooks:{name}"), attrs={"verb": "started without"})
    return call.opaque("program")


def _told_otherwise(call: Call) -> bool:
    """Settings are given that speak of hooks, or nobody knows of what."""
    given = [call.args[i + 1] for i, field in enumerate(call.args[:-1]) if field.text == "--settings"]
    given += [field.tail(len("--settings=")) for field in call.args if field.text.startswith("--settings=")]
    return any(_speaks(call, field) for field in given)


def _speaks(call: Call, field: Field) -> bool:
    if field.text.lstrip()[:1] == "{":
        return not field.known or _TELLING.search(field.text) is not None
    data = call.content(call.place(field)) if field.known else None
    return data is None or _TELLING.search(data.decode("utf-8", "replace")) is not None


FAMILIES: Final[Mapping[str, Family]] = {"agent": agent}
"""What `code` of a spec may say, for this module."""
