"""The executor: a small process of its own that confines a tool, starts it, and acts in its place.

Not concerned with why a call is held to a profile: `guardrail.confine.kernel` makes profiles and reads the accounts.

INVARIANT: these modules use the standard library alone, and the process holds no secret: the tool's domain is one step
away from its memory, and a busy interpreter beside the supervisor makes a trapped call three hundred times slower.

    zygote      one thread; forks a worker for each session, and ends what a dead worker leaves behind
    worker      main   unrestricted: speaks with the guard, waits for the tool, ends what the tool leaves behind
                T1     no capability, no_new_privs, Landlock D1: the supervisor acts inside the tool's own rules
                T2     as T1, and Landlock D2 below D1, and the filter: starts the tool, which inherits all of it
"""

from __future__ import annotations

import os
from typing import Final

BOOT: Final = os.path.join(os.path.dirname(os.path.realpath(__file__)), "_boot.py")
"""The program to start, with what its first line says."""
