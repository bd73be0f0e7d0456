"""The seam to owned execution: a job that was judged becomes one that the kernel holds."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any, Final, Self

import msgspec

from guardrail.assets import Asset
from guardrail.confine._confinement import Seen
from guardrail.confine._job import Job
from guardrail.confine.execd import BOOT
from guardrail.confine.execd._orders import ProtectedSet
from guardrail.confine.kernel._asking import Asking, Word
from guardrail.confine.kernel._executor import FLOOR_LEAVES, check_floor, host_report, report_of
from guardrail.confine.kernel._profiles import Bounds, Serving, compared, profile_for, serving_profile
from guardrail.confine.kernel._protected import OWN_SERVING, protect
from guardrail.confine.kernel._records import ConfineError, EnforcementReport, observed
from guardrail.confine.kernel._trial import TrialOrder, Tried
from guardrail.enforcement import Enforcement, Observed
from guardrail.model import Effect

MAX_SEEN: Final = 8
"""Most assets that the record of a call names of what the kernel held."""

GRACE_SHARE: Final = 0.75
"""Share of a job's grace after which what stands for the tool ends it, instead of being ended itself."""

OWN_PLACE: Final = "guardrail:confinement"
"""Where orders and accounts lie, as an asset of the guard's own."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel told of a job.

    Args:
        report: what was in force.
        observed: what was denied or is to be known.
        events: how often, repetitions included.
        refused: why it was not started, if it was not.
        tried: what it would have changed, if it was on trial.
        crowded: whether it was ended because it had more processes than it may.
    """

    report: EnforcementReport
    observed: tuple[Observed, ...] = ()
    events: int = 0
    refused: str | None = None
    tried: Tried | None = None
    crowded: bool = False


class KernelConfinement:
    """Holds each job to what its call was judged to do; a `Confinement` of owned execution.

    Args:
        assets: the inventory; frozen for each job as it lies then.
        bounds: the most that any job may reach.
        serving: programs that may read weights.
        required: whether a job that this kernel cannot hold as asked is not started.
        launcher: what starts Python.
        word: decides about calls that were denied because of an asset, while they wait; without it they are refused.
        ask_seconds: how long each of them waits, in seconds.
        trial: whether tools work on a copy of what they may change, without a network, since what is sent cannot be
            taken back.
    """

    name = "kernel"

    def __init__(
        self,
        assets: Iterable[Asset],
        bounds: Bounds,
        *,
        serving: Sequence[Serving] = (),
        required: bool = True,
        launcher: Sequence[str] = (sys.executable,),
        word: Word | None = None,
        ask_seconds: float = 0.0,
        trial: bool = False,
    ) -> None:
        self._assets = assets
        self._bounds = msgspec.structs.replace(bounds, connect=(), unix=()) if trial else bounds
        self._serving = serving
        self._required = required
        self._launcher = launcher
        self._word = word
        self._ask_seconds = ask_seconds
        self._asking: Asking | None = None
        self._trial = trial
        self._tried: TrialOrder | None = None
        self._place = tempfile.mkdtemp(prefix="guardrail-confine-")
        self._count = 0
        self._protected: ProtectedSet | None = None
        self._effects: Sequence[Effect] = ()
        self._served: tuple[str, ...] = ()
        self._written: dict[str, str] = {}

    def enforcement(self, job: Job) -> Enforcement | None:
        """What policy may rely on; see `Confinement`.

        Raises:
            ConfineError: if best effort is allowed, and what this host lacks cannot be found out.
        """
        bounds = self._bounds
        if bounds.mode == "off":
            return None
        lacking = self._lacking
        # What is said to be whole has to be whole when the job starts, too.
        required = self._required or not lacking
        if (serving := self._fixed(job.argv)) is not None and serving.problem(bounds.write) is None:
            return Enforcement(mode=bounds.mode, required=required, lacking=lacking, serving=serving.assets)
        return Enforcement(
            mode=bounds.mode, required=required, lacking=lacking, connect=bounds.connect, write=bounds.write
        )  # fmt: skip

    def _fixed(self, argv: Sequence[str]) -> Serving | None:
        """The serving program that is to be started, if it is one; on trial nothing serves."""
        return next((one for one in self._serving if one.starts(argv)), None) if not self._trial else None

    @functools.cached_property
    def _lacking(self) -> tuple[str, ...]:
        """Where all is required nothing is asked of this host: what it lacks keeps a job from being started."""
        return () if self._required else host_report(self._bounds.mode, self._launcher).lacking

    def confine(self, job: Job, effects: Sequence[Effect]) -> Job:
        """The job as it has to be started.

        Raises:
            ConfineError: if it cannot be confined to its effects; it must not run then.
        """
        assets = list(self._assets)
        self._effects = effects
        self._protected = _with_own(protect(assets), self._place, self._serving)
        self._count += 1
        self._served, serving = (), self._fixed(job.argv)
        if serving is None:
            profile, environment = profile_for(effects, assets, self._bounds), job.environment
        else:
            profile = serving_profile(serving, job.argv, assets, self._bounds.mode, self._bounds.write)
            environment, self._served = serving.environment, serving.assets
            # Nothing else of the call is taken over: neither its variables nor where relative names start from.
            job = msgspec.structs.replace(job, cwd="/")
        self._written = self._protected.where_written(profile)
        if self._required and not self._trial:
            # What is on trial is judged before it is more than a copy.
            check_floor(self._bounds.mode, self._written)
        if self._trial:
            self._tried = TrialOrder(profile, self._protected, self._place, str(self._count))
        # Whoever stands for the tool counts what it has running, so that its end is told by what held it.
        profile = replace(profile, processes=self._bounds.processes)
        order = {
            "profile": asdict(profile),
            "protected": self._protected.to_plain(),
            "required": self._required or not self._lacking,
            "environment": environment,
            "asks": self._asks(),
            "trial": None if self._tried is None else self._tried.plain,
            # Shorter than whoever waits for it does, so that its end is told by what held it.
            "grace_seconds": job.grace_seconds * GRACE_SHARE,
        }
        with open(self._file("order"), "w", encoding="utf-8") as file:
            json.dump(order, file)
        words = (*self._launcher, "-I", "-S", "-B", BOOT, "once", self._file("order"), self._file("account"))
        # INVARIANT: what stands for the tool is not confined itself: no variable of the tool (LD_PRELOAD) reaches it.
        return msgspec.structs.replace(job, argv=(*words, *job.argv), environment={}, processes=0)

    def account(self) -> Account:
        """What was told of the last job, once it is over.

        Raises:
            ConfineError: if nothing was told, because its supervisor was ended.
        """
        try:
            with open(self._file("account"), encoding="utf-8") as file:
                told = json.load(file)
        except (OSError, ValueError):
            raise ConfineError("nobody knows what the tool did: its supervisor was ended", started=True) from None
        ended: dict[str, Any] = told["ended"] or {}
        aliases = self._protected.aliases if self._protected is not None else ()
        report = report_of(told["host"], self._bounds.mode, aliases, self._written)
        return Account(
            # What was in force is what the session says it was; of one that was never opened, what could have been.
            report=msgspec.structs.replace(report, mode=told.get("mode", report.mode)),
            observed=compared(self._effects, map(observed, told["events"]), self._served),
            events=ended.get("events", 0),
            refused=told.get("refused"),
            tried=None if self._tried is None else self._tried.read(told.get("trial")),
            crowded=ended.get("why") == "processes",
        )

    def seen(self) -> Seen:
        """What was in force for the last job, and what the kernel held or saw of it; see `Confinement`.

        Raises:
            ConfineError: if it was not started, or nobody knows what it did.
        """
        account = self.account()
        if account.refused is not None:
            raise ConfineError(account.refused)
        facts: dict[str, str | int] = {"kernel_mode": account.report.mode}
        if account.events:
            facts["kernel_events"] = account.events
        if account.tried is not None:
            facts["trial_changes"] = len(account.tried.changes)
        denied = {one.op for one in account.observed if one.outcome == "deny"}
        surprises = {one.asset for one in account.observed if one.asset is not None and one.is_surprise}
        for name, words, most in (
            ("kernel_lacks", account.report.lacking, None),
            ("kernel_unheld", [one for one in account.report.unheld if one not in FLOOR_LEAVES], MAX_SEEN),
            ("kernel_denied", sorted(denied), None),
            ("kernel_assets", sorted(surprises), MAX_SEEN),
        ):
            if words:
                facts[name] = " ".join(words[:most])
        return Seen(facts=facts, observed=account.observed, crowded=account.crowded)

    def close(self) -> None:
        """Take away its files."""
        if self._asking is not None:
            self._asking.close()
        shutil.rmtree(self._place, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _asks(self) -> dict[str, Any] | None:
        """Where the tool's supervisor asks, if anybody is there to decide."""
        if self._asking is not None:
            self._asking.close()
            self._asking = None
        if self._word is None or self._ask_seconds <= 0:
            return None
        try:
            self._asking = Asking(self._file("asks"), self._word)
        except OSError as error:
            raise ConfineError(f"people cannot be asked at `{self._file('asks')}`: {error.strerror or error}") from None
        return {"socket": self._file("asks"), "seconds": self._ask_seconds}

    def _file(self, what: str) -> str:
        return os.path.join(self._place, f"{self._count}.{what}")


def _with_own(protected: ProtectedSet, place: str, serving: Iterable[Serving]) -> ProtectedSet:
    """INVARIANT: orders and accounts are protected too: a tool may have leave to write where temporary files lie.

    And so is what the operator fixed by content: between the look at it and its start no other tool can exchange it.
    """
    roots, identities = dict(protected.roots), dict(protected.identities)
    own = [(os.path.realpath(place), OWN_PLACE)]
    own += [(name, OWN_SERVING) for one in serving for path in one.files for name in (path, os.path.realpath(path))]
    for path, name in own:
        roots.setdefault(path, name)
        with contextlib.suppress(OSError):
            found = os.stat(path)
            identities.setdefault((found.st_dev, found.st_ino), name)
    return ProtectedSet(
        roots=roots,
        identities=identities,
        readable=(*protected.readable, OWN_SERVING),
        aliases=protected.aliases,
        holders=protected.holders,
    )
