"""Run it, no wider: a tool that the guard starts itself, bounded, watched to its last process, and cleaned up after."""

from __future__ import annotations

from guardrail.confine._command import EXECUTABLE_TOOL, job_of
from guardrail.confine._confinement import Confinement, Seen, Unconfined
from guardrail.confine._job import CANNOT, Ended, Job, JobError, Stop, Stream
from guardrail.confine._run import run_job

__all__ = [
    "CANNOT",
    "EXECUTABLE_TOOL",
    "Confinement",
    "Ended",
    "Job",
    "JobError",
    "Seen",
    "Stop",
    "Stream",
    "Unconfined",
    "job_of",
    "run_job",
]
