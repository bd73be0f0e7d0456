"""The seam for kernel confinement: what a released call may reach is narrowed before its process starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from guardrail.confine._job import Job
from guardrail.enforcement import Enforcement, Observed
from guardrail.model import Effect


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to record of a job, once it is over.

    Args:
        facts: what was in force, and counts.
        observed: what was held, or seen, one by one.
        crowded: whether it was ended because it had more processes than it may.
    """

    facts: dict[str, str | int] = {}
    observed: tuple[Observed, ...] = ()
    crowded: bool = False


class Confinement(Protocol):
    """Narrows what a process can reach to what its call was judged to do."""

    @property
    def name(self) -> str:
        """What records call it."""
        ...

    def enforcement(self, job: Job) -> Enforcement | None:
        """What policy may rely on; None for nothing.

        Args:
            job: what is to be started, if it is released.

        Raises:
            JobError: if this host cannot be asked.
        """
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

    def seen(self) -> Seen:
        """What there is to record of the last job, once it is over.

        Raises:
            JobError: if nobody knows what it did.
        """
        ...


class Unconfined:
    """No confinement: the process can reach whatever its user can, and records say so."""

    name = "none"

    def enforcement(self, job: Job) -> Enforcement | None:
        """Nothing will hold it."""
        del job
        return None

    def confine(self, job: Job, effects: Sequence[Effect]) -> Job:
        """The job as it is."""
        del effects
        return job

    def seen(self) -> Seen:
        """Nothing was looked at."""
        return Seen()
