"""Packages that are taken away: what they hold goes with them, a guard or an overseer among it.

Not concerned with what is installed: that runs code of its own, and stays a program that is not looked into.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._looking import builder, group
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import Stream
from guardrail.model import Op
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


def packaged(call: Call, parsed: Parsed) -> Stream:
    """`pip` and its like, beyond what is known of them: a package that is there is put in again, or as another one."""
    out = group(call, parsed)
    words = [field.text for field in call.args]
    if _PUTTING.isdisjoint(words) or any(map(_ELSEWHERE.fullmatch, words)):
        return out
    words = [word for word in words if word != "tool"]
    anew = any(map(_ANEW.fullmatch, words))
    for text in words:
        file = _FILE.fullmatch(text.rpartition("/")[2])
        named = _REQUIRED.fullmatch(file[1] if file is not None else text)
        if named is not None and named[1] not in _PUTTING and (anew or file is not None or named[2]):
            op: Op = "api_delete" if "uninstall" in words else "write"
            call.emit(op, at("pip", _canonical(named[1])))
    return out


_PUTTING: Final = frozenset("install uninstall upgrade reinstall inject".split())
_ELSEWHERE: Final = lazy(r"--(?:dry-run|target|prefix|root|python|download)(?:=.*)?|-t")
_ANEW: Final = lazy(
    r"-[a-zA-Z]*[UIP][a-zA-Z]*|--(?:upgrade|force|reinstall|ignore-installed)(?:-[a-z-]+)?(?:=.*)?"
    r"|upgrade|reinstall|uninstall"
)
"""What makes an index's own copy take the place of the one that is there."""

_REQUIRED: Final = lazy(r"(?:--[a-z-]+=)?([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?( ?[=<>!~@].*)?")
_FILE: Final = lazy(r"([A-Za-z0-9._]+(?:-[A-Za-z][A-Za-z0-9._]*)*)-\d[^/]*\.(?:whl|tar\.gz|zip)")
"""A file of a package: its name, and then its version."""


def _canonical(text: str) -> str:
    """The name of a distribution as an index compares it, without extras and versions.

    Source: https://packaging.python.org/en/latest/specifications/name-normalization/
    """
    match = _NAME.match(text)
    return _SEPARATORS.sub("-", match[0]).lower() if match is not None else text


FAMILIES: Final[Mapping[str, Family]] = {"packaged": packaged, "unpackaged": unpackaged}
