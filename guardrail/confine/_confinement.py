"""The seam for kernel confinement: what a released call may reach is narrowed before its process starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from guardrail.confine._job import Job
from guardrail.model import Effect


class Confinement(Protocol):
    """Narrows what a process can reach to what its call was judged to do."""

    @property
    def name(self) -> str:
        """What records call it."""
        ...

    def confine(self, job: Job, effects: Sequence[Effect]) -> Job:
        """The job as it has to be started.

        Args:
            job: what is to be started.
            effects: what the call was judged to do; nothing beyond them has to be possible.

        Returns:
            A job that does the same, no wider.

        Raises:
            JobError: if it cannot be confined here; it does not run then.
        """
        ...

    def seen(self) -> Mapping[str, str | int]:
        """What there is to record of the last job, once it is over.

        Raises:
            JobError: if nobody knows what it did.
        """
        ...


class Unconfined:
    """No confinement: the process can reach whatever its user can, and records say so."""

    name = "none"

    def confine(self, job: Job, effects: Sequence[Effect]) -> Job:
        """The job as it is."""
        del effects
        return job

    def seen(self) -> Mapping[str, str | int]:
        """Nothing was looked at."""
        return {}
