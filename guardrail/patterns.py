"""Regular expressions that cost nothing until they are asked.

Not concerned with what any of them is for. The analysis has some hundreds, of which one call needs a few; where a
process is started for each tool call, compiling all of them would take longer than judging it.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, Generic, cast

_METHODS = ("match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer")


class Lazy(Generic[AnyStr]):
    """Stands for a pattern: compiles it when one of its methods is first named, and then has them as its own.

    Args:
        source: the expression.
        flags: as for `re.compile`.
    """

    def __init__(self, source: AnyStr, flags: int) -> None:
        self.pattern: AnyStr = source
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        # INVARIANT: two threads may both come here; each sets the same methods, so that the later one changes nothing.
        compiled = re.compile(self.pattern, self._flags)
        for method in _METHODS:
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)


def lazy(source: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """A regular expression as `re.compile` gives it, which is compiled when it is first used.

    Args:
        source: the expression.
        flags: as for `re.compile`.

    Returns:
        What has the methods of a pattern, and its `pattern`. A fault in the expression shows at its first use.
    """
    return cast("re.Pattern[AnyStr]", Lazy(source, flags))
