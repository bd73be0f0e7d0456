"""The mandates in force for a call: those whose signature, issuer and window hold, and that nobody revoked.

Not concerned with how they are read, which `_directory` is. A file that is refused never counts, and `problems` says
why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from guardrail.config import Config
from guardrail.errors import Fault
from guardrail.mandates._directory import Genuine, MandateDirectory, MandateProblem, ended_by
from guardrail.mandates._ledger import MandateLedger, Use
from guardrail.mandates._mandate import Mandate, MandateGrant
from guardrail.mandates._revocation import Ended, kept_revocation
from guardrail.mandates._separation import Separation
from guardrail.mandates._signing import public_keys
from guardrail.mandates._word import Given
from guardrail.model import MandateUse, Subject


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A mandate as it stands for one call: what policy is told of it.

    Args:
        id: of the mandate.
        issuer: who signed it.
        grants: what may be done.
        left: for each grant how many uses are left; None for any number.
        barred: assets of this call about which its issuer may not order anything of this agent.
    """

    id: str
    issuer: str
    grants: tuple[MandateGrant, ...]
    left: tuple[int | None, ...]
    barred: tuple[str, ...] = ()


class MandateBook:
    """The mandates of a configuration.

    Args:
        config: names the directory, the people, and who operates which agent.
        ledger: keeps uses and revocations; in memory by default.

    Raises:
        ConfigError: if a person's key is no key, or the directory is set and cannot be read.
    """

    def __init__(self, config: Config, ledger: MandateLedger | None = None) -> None:
        self._ledger = ledger if ledger is not None else MandateLedger()
        self.separation = Separation(config)
        place = str(config.path(config.mandates.directory)) if config.mandates.directory else None
        revokers = frozenset(config.mandates.revokers)
        self._directory = MandateDirectory(place, public_keys(config), revokers, self._ledger)

    @property
    def problems(self) -> tuple[MandateProblem, ...]:
        """Every file that is refused, whatever the time and whoever asks."""
        return self._directory.contents().problems

    @property
    def mandates(self) -> tuple[Mandate, ...]:
        """Every mandate that is genuine, in force or not."""
        return tuple(item.mandate for item in self._directory.contents().genuine)

    def current(self, subject: Subject, session: str, now_us: int) -> tuple[Mandate, ...]:
        """The mandates that hold for a call.

        Args:
            subject: who asks.
            session: in which session.
            now_us: the time, in microseconds since 1970.

        Returns:
            Genuine mandates for this subject and session, in their window; none if the directory cannot be read.
        """
        genuine = self._directory.contents().genuine
        if not genuine:
            return ()
        return tuple(
            item.mandate
            for item in genuine
            # The plain questions come first to save time; `why_not` asks all of them and has the last word on the rest.
            if item.start_us <= now_us < item.end_us
            and item.ended is None
            and item.mandate.issuer != subject.id
            and item.for_subject.match(subject.id)
            and (item.plain or item.mandate.why_not(subject, session, now_us) is None)
            and self.separation.why_not(item.mandate.issuer, subject) is None
        )

    def orders(self, mandates: Sequence[Mandate], subject: Subject, assets: Iterable[str]) -> tuple[Order, ...]:
        """What policy is told of the mandates that hold for a call.

        Args:
            mandates: as `current` gave them.
            subject: who asks.
            assets: the ids that the call is about.

        Raises:
            Fault: if it cannot be told how often a grant was used.
        """
        if not mandates:
            return ()
        return tuple(
            Order(
                id=mandate.id,
                issuer=mandate.issuer,
                grants=mandate.grants,
                left=tuple(
                    None if grant.uses is None else max(0, grant.uses - self._ledger.used(mandate.id, grant.key))
                    for grant in mandate.grants
                ),
                barred=self.separation.barred(mandate.issuer, subject, assets),
            )
            for mandate in mandates
        )

    def use(self, uses: Sequence[MandateUse], mandates: Sequence[Mandate]) -> tuple[MandateUse, ...]:
        """Count a call that is about to be released under grants.

        Args:
            uses: the grants, each once.
            mandates: as `current` gave them.

        Returns:
            The same, with the number of this use where uses are counted.

        Raises:
            Fault: if the last use of one was taken in the meantime, or it cannot be counted; then nothing was.
        """
        known = {mandate.id: mandate for mandate in mandates}
        counted: list[tuple[int, Use]] = []
        for index, use in enumerate(uses):
            mandate = known.get(use.mandate)
            if mandate is None or use.grant > len(mandate.grants):
                raise Fault(
                    f"the mandate `{use.mandate}` was changed, revoked or over before the call could be released"
                )
            grant = mandate.grants[use.grant - 1]
            if grant.uses is not None:
                counted.append((index, Use(use.mandate, grant.key, grant.uses)))
        if not counted:
            return tuple(uses)
        numbers = self._ledger.take([use for _, use in counted])
        if numbers is None:
            names = ", ".join(dict.fromkeys(f"`{one.mandate}`" for _, one in counted))
            raise Fault(f"the last use of the mandate {names} was taken by another call: ask for a new order")
        found = list(uses)
        for (index, one), number in zip(counted, numbers, strict=True):
            found[index] = msgspec.structs.replace(found[index], use=number, of=one.most)
        return tuple(found)

    @property
    def revoked(self) -> frozenset[str]:
        """Ids of mandates that are ended for everybody."""
        ended = self._directory.contents().ended
        return frozenset(name for name, found in ended.items() if any(one.issuer is None for one in found))

    @property
    def unread(self) -> tuple[str, ...]:
        """Names in the directory that are not looked at, because they do not end like a mandate; hidden ones aside."""
        return self._directory.unread

    def words(self) -> tuple[tuple[Given, ...], tuple[MandateProblem, ...]]:
        """What people have said should be done by the guard itself, and the files that are refused."""
        return self._directory.words()

    def kept_revocations(self) -> tuple[tuple[str, str, bytes], ...]:
        """Every revocation that was seen: mandate, digest of its envelope in hexadecimal, and the envelope.

        Raises:
            Fault: if the file cannot be read.
        """
        found = ((data, kept_revocation(data)) for data in self._ledger.revocations())
        return tuple((one.revocation.mandate, hashlib.sha256(data).hexdigest(), data) for data, one in found if one)

    def ended(self, mandate: Mandate) -> Ended | None:
        """The revocation that ended a mandate, if one did."""
        return ended_by(mandate, self._directory.contents().ended)

    def left(self, mandate: Mandate) -> tuple[int | None, ...]:
        """For each grant how many uses are left; None for any number.

        Raises:
            Fault: if that cannot be read.
        """
        (order,) = self.orders((mandate,), Subject(), ())
        return order.left

    def close(self) -> None:
        """Let go of the ledger."""
        self._ledger.close()

    def why_nobody(self, mandate: Mandate, now_us: int) -> str | None:
        """Why a mandate counts for nobody, or None if it may.

        Args:
            mandate: one that is genuine.
            now_us: the time, in microseconds since 1970.
        """
        ended = self.ended(mandate)
        return mandate.why_not_now(now_us) if ended is None else str(ended)

    def why_not(self, subject: Subject, session: str, now_us: int) -> tuple[MandateProblem, ...]:
        """Every file that does not count for a call, each with one reason."""
        state = self._directory.contents()
        reasons = ((item.file, self._why_not(item, subject, session, now_us)) for item in state.genuine)
        return (*state.problems, *(MandateProblem(file, reason) for file, reason in reasons if reason is not None))

    def _why_not(self, item: Genuine, subject: Subject, session: str, now_us: int) -> str | None:
        if item.ended is not None:
            return str(item.ended)
        reason = item.mandate.why_not(subject, session, now_us)
        return reason if reason is not None else self.separation.why_not(item.mandate.issuer, subject)
