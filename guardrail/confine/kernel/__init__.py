"""The kernel line: Landlock, a seccomp filter and a supervisor hold a tool to what its call was judged to do."""

from __future__ import annotations

from guardrail.confine.execd._orders import Profile, ProtectedSet
from guardrail.confine.kernel._executor import Confined, Executor
from guardrail.confine.kernel._protected import protect
from guardrail.confine.kernel._records import ConfineError, EnforcementReport, KernelEnded, Mode, Observed

__all__ = [
    "ConfineError",
    "Confined",
    "EnforcementReport",
    "Executor",
    "KernelEnded",
    "Mode",
    "Observed",
    "Profile",
    "ProtectedSet",
    "protect",
]
