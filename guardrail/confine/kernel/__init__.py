"""The kernel line: Landlock, a seccomp filter and a supervisor hold a tool to what its call was judged to do."""

from __future__ import annotations

from guardrail.confine.execd._orders import Profile, ProtectedSet
from guardrail.confine.kernel._asking import Asked, Word
from guardrail.confine.kernel._commit import commit
from guardrail.confine.kernel._confinement import Account, KernelConfinement
from guardrail.confine.kernel._executor import Confined, Executor, host_report
from guardrail.confine.kernel._profiles import Bounds, Serving, predictions, profile_for, serving_profile
from guardrail.confine.kernel._protected import protect
from guardrail.confine.kernel._records import ConfineError, EnforcementReport, KernelEnded, Mode
from guardrail.confine.kernel._trial import Change, Tried
from guardrail.enforcement import Observed

__all__ = [
    "Account",
    "Asked",
    "Bounds",
    "Change",
    "ConfineError",
    "Confined",
    "EnforcementReport",
    "Executor",
    "KernelConfinement",
    "KernelEnded",
    "Mode",
    "Observed",
    "Profile",
    "ProtectedSet",
    "Serving",
    "Tried",
    "Word",
    "commit",
    "host_report",
    "predictions",
    "profile_for",
    "protect",
    "serving_profile",
]
