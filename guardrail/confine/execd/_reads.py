"""Opens that only read, in `default`: which of them may bear on an asset, so that they are told of.

Not concerned with holding them: Landlock does, by what it finds itself. So a quick look is enough, and one that a tool
outruns, by a link that it moves meanwhile or from a descriptor of a directory, costs evidence and nothing else.
"""

from __future__ import annotations

import os
from typing import Final

from guardrail.confine.execd._kernel import AT_FDCWD, Memory, signed
from guardrail.confine.execd._orders import ProtectedSet
from guardrail.confine.execd._plans import Trapped
from guardrail.confine.execd._seccomp import WRITE_INTENT

_FLAGS_AT: Final = {"open": 1, "openat": 2}
"""Which register of a call has its flags; openat2 keeps them behind a pointer, and is carried out here."""

_OWN_NAMES: Final = (b"/proc/", b"/dev/fd/", b"/dev/std")
"""Names that mean something else to who looks than to who asks."""


class Reads:
    """Looks at opens that only read; for one thread alone.

    Args:
        protected: what is protected.
        memory: reads the tool.
    """

    def __init__(self, protected: ProtectedSet, memory: Memory) -> None:
        self._identities = protected.identities
        self._telling = (*_OWN_NAMES, *(os.fsencode(root) for root in protected.roots))
        self._memory = memory

    def is_one(self, trapped: Trapped) -> bool:
        """Whether a call is such an open: by its registers, as the filter chose it."""
        at = _FLAGS_AT.get(trapped.name)
        return at is not None and not trapped.args[at] & WRITE_INTENT

    def may_bear(self, trapped: Trapped) -> bool:
        """Whether what a call names may be an asset: yes, unless it is something else that is there, or nothing."""
        given = trapped.args
        dirfd, at = (AT_FDCWD, given[0]) if trapped.name == "open" else (signed(given[0]), given[1])
        try:
            path = self._memory.text(trapped.pid, at)
        except OSError:
            return False  # the kernel cannot read it either
        if path.startswith(self._telling):
            return True
        if not path.startswith(b"/"):
            start = b"cwd" if dirfd == AT_FDCWD else b"fd/%d" % dirfd
            path = b"/proc/%d/%s/%s" % (trapped.pid, start, path)
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            return False
        return (found.st_dev, found.st_ino) in self._identities
