"""Names of functions in `code` of a spec -> the functions; each module of a family lists its own."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Final

from guardrail.effects.commands import (
    _accounts,
    _agents,
    _api,
    _archive,
    _asides,
    _awk,
    _buckets,
    _builds,
    _channels,
    _checkers,
    _clients,
    _clock,
    _compilers,
    _compose,
    _containers,
    _databases,
    _discs,
    _driven,
    _editors,
    _fetching,
    _files,
    _find,
    _git,
    _git_remote,
    _git_tree,
    _hubs,
    _images,
    _kube,
    _looking,
    _media,
    _mounts,
    _names,
    _nested,
    _objects,
    _pack,
    _packages,
    _patches,
    _processes,
    _queries,
    _schedules,
    _services,
    _sessions,
    _split,
    _stores,
    _structured,
    _text,
    _transfer,
    _wrappers,
    _zip,
)
from guardrail.effects.commands._family import Family

_MODULES: Final[tuple[ModuleType, ...]] = (
    _accounts,
    _agents,
    _api,
    _archive,
    _awk,
    _buckets,
    _builds,
    _asides,
    _channels,
    _checkers,
    _clients,
    _clock,
    _compilers,
    _compose,
    _containers,
    _databases,
    _discs,
    _driven,
    _editors,
    _fetching,
    _files,
    _find,
    _git,
    _git_remote,
    _git_tree,
    _hubs,
    _images,
    _kube,
    _looking,
    _media,
    _mounts,
    _names,
    _nested,
    _objects,
    _pack,
    _packages,
    _patches,
    _processes,
    _queries,
    _schedules,
    _services,
    _sessions,
    _split,
    _stores,
    _structured,
    _text,
    _transfer,
    _wrappers,
    _zip,
)


def _collected() -> Mapping[str, Family]:
    table: dict[str, Family] = {}
    for module in _MODULES:
        for name, function in module.FAMILIES.items():
            if name in table:
                raise ValueError(f"two functions are called `{name}` in the families of commands")
            table[name] = function
    return table


FAMILIES: Final = _collected()
"""What `code` may say."""
