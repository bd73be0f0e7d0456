"""Packages that are taken away: what they hold goes with them, a guard or an overseer among it.

Not concerned with what is installed: that runs code of its own, and stays a program that is not looked into.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._looking import builder
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import Stream
from guardrail.patterns import lazy

_OF_PYTHON: Final = frozenset("pip pip3 pipx pdm pipenv hatch rye conda mamba micromamba poetry uv".split())
_OF_NODE: Final = frozenset("npm pnpm bower yarn bun".split())

_SEPARATORS: Final = lazy(r"[-_.]+")
_NAME: Final = lazy(r"[A-Za-z0-9*][A-Za-z0-9._*-]*")


def unpackaged(call: Call, parsed: Parsed) -> Stream:
    """`pip uninstall`, `apt remove` and their like: each package by its name, and whatever its own scripts do."""
    out = builder(call, parsed)
    head = call.name.partition(" ")[0]
    scheme = "pip" if head in _OF_PYTHON else "npm-module" if head in _OF_NODE else "package"
    for field in parsed.operands:
        name = at(scheme, field.text)
        if scheme == "pip" and name.uri is not None:
            name = at(scheme, _canonical(name.uri.partition(":")[2]))
        call.emit("api_delete", name)
    return out


def _canonical(text: str) -> str:
    """The name of a distribution as an index compares it, without extras and versions.

    Source: https://packaging.python.org/en/latest/specifications/name-normalization/
    """
    match = _NAME.match(text)
    return _SEPARATORS.sub("-", match[0]).lower() if match is not None else text


FAMILIES: Final[Mapping[str, Family]] = {"unpackaged": unpackaged}
