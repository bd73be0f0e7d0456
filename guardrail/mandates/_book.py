"""The mandates in force: those in the directory whose signature, issuer and window hold, and that nobody revoked.

The directory is looked at on every call, so a mandate that is withdrawn or revoked stops counting with the next one.
A file that is refused never counts, and `problems` says why.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import stat
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from guardrail.config import Config
from guardrail.errors import ConfigError, Fault
from guardrail.mandates._ledger import MandateLedger, Use
from guardrail.mandates._mandate import MAX_MANDATE_BYTES, Mandate, MandateGrant, microseconds
from guardrail.mandates._revocation import MAX_REVOCATION_BYTES, Ended, kept_revocation, open_revocation
from guardrail.mandates._separation import Separation
from guardrail.mandates._signing import open_envelope, public_keys
from guardrail.mandates._word import MAX_WORD_BYTES, WORDS, Given, open_word
from guardrail.model import MandateUse, Subject

SUFFIX: Final = ".mandate.json"
REVOKED: Final = ".revocation.json"

MAX_FILES: Final = 256
"""Most mandates in the directory; with more of them none counts."""

MAX_REVOCATIONS: Final = 4096
"""Most revocations in the directory; with more of them no mandate counts."""

MAX_WORDS: Final = 256
"""Most words, that the guard shall carry out a deletion itself, that are read from the directory."""

EAGER_FILES: Final = 2
"""Up to this many files are looked at on every call."""

STAT_SECONDS: Final = 0.02
"""With more files than that, each is looked at again after at most this time, in seconds; the directory always is."""

SETTLED_NS: Final = 50_000_000
"""A file changed this shortly before it was read is read again, in nanoseconds: file clocks tick coarsely."""


class MandateProblem(NamedTuple):
    """One file that does not count."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"`{self.file}`: {self.reason}"


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


class _Genuine(NamedTuple):
    """A mandate whose signature holds, made ready for matching: `plain` ones name no model and no session."""

    file: str
    mandate: Mandate
    start_us: int
    end_us: int
    for_subject: re.Pattern[str]
    plain: bool
    ended: Ended | None


class _State(NamedTuple):
    """The directory as it was read."""

    directory: tuple[int, ...]
    files: tuple[tuple[str, tuple[int, ...]], ...]
    genuine: tuple[_Genuine, ...]
    problems: tuple[MandateProblem, ...]
    settled: bool
    looked: float
    ended: Mapping[str, tuple[Ended, ...]] = {}


class MandateBook:
    """The mandates of a configuration.

    Args:
        config: names the directory, the people, and who operates which agent.
        ledger: keeps uses and revocations; in memory by default.

    Raises:
        ConfigError: if a person's key is no key, or the directory is set and cannot be read.
    """

    def __init__(self, config: Config, ledger: MandateLedger | None = None) -> None:
        self._people = public_keys(config)
        self._revokers = frozenset(config.mandates.revokers)
        self._ledger = ledger if ledger is not None else MandateLedger()
        self.separation = Separation(config)
        self._directory = str(config.path(config.mandates.directory)) if config.mandates.directory else None
        self._lock = threading.Lock()
        self._state = _State((), (), (), (), settled=True, looked=0.0)
        if self._directory is not None:
            try:
                os.scandir(self._directory).close()
            except OSError as error:
                raise ConfigError(
                    f"cannot read the mandates in `{self._directory}`: {(error.strerror or str(error)).lower()}: "
                    f"{_remedy(error)}, or leave `mandates.directory` empty"
                ) from None
            self._state = self._read(self._directory)

    @property
    def problems(self) -> tuple[MandateProblem, ...]:
        """Every file that is refused, whatever the time and whoever asks."""
        return self._fresh().problems

    @property
    def mandates(self) -> tuple[Mandate, ...]:
        """Every mandate that is genuine, in force or not."""
        return tuple(item.mandate for item in self._fresh().genuine)

    @property
    def unread(self) -> tuple[str, ...]:
        """Names in the directory that are not looked at, because they do not end like a mandate; hidden ones aside."""
        try:
            names = os.listdir(self._directory) if self._directory is not None else []
        except OSError:
            return ()  # `problems` says so
        return tuple(
            sorted(name for name in names if not name.endswith((SUFFIX, REVOKED, *WORDS)) and not name.startswith("."))
        )

    def current(self, subject: Subject, session: str, now_us: int) -> tuple[Mandate, ...]:
        """The mandates that hold for a call.

        Args:
            subject: who asks.
            session: in which session.
            now_us: the time, in microseconds since 1970.

        Returns:
            Genuine mandates for this subject and session, in their window; none if the directory cannot be read.
        """
        genuine = self._fresh().genuine
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
        ended = self._fresh().ended
        return frozenset(name for name, found in ended.items() if any(one.issuer is None for one in found))

    def words(self) -> tuple[tuple[Given, ...], tuple[MandateProblem, ...]]:
        """What people have said should be done by the guard itself, and the files that are refused."""
        given: list[Given] = []
        wrong: list[MandateProblem] = []
        if self._directory is None:
            return (), ()
        try:
            names = sorted(name for name in os.listdir(self._directory) if name.endswith(WORDS))
        except OSError:
            return (), ()  # `problems` says so
        for name in names[:MAX_WORDS]:
            try:
                _, data = _load(os.path.join(self._directory, name), MAX_WORD_BYTES)
                given.append(open_word(data, self._people))
            except OSError as error:
                wrong.append(MandateProblem(name, f"cannot be read: {(error.strerror or str(error)).lower()}"))
            except ConfigError as error:
                wrong.append(MandateProblem(name, str(error)))
        wrong += [MandateProblem(name, f"not read: at most {MAX_WORDS} words are") for name in names[MAX_WORDS:]]
        return tuple(given), tuple(wrong)

    def kept_revocations(self) -> tuple[tuple[str, str, bytes], ...]:
        """Every revocation that was seen: mandate, digest of its envelope in hexadecimal, and the envelope.

        Raises:
            Fault: if the file cannot be read.
        """
        found = ((data, kept_revocation(data)) for data in self._ledger.revocations())
        return tuple((one.revocation.mandate, hashlib.sha256(data).hexdigest(), data) for data, one in found if one)

    def ended(self, mandate: Mandate) -> Ended | None:
        """The revocation that ended a mandate, if one did."""
        return _ended(mandate, self._fresh().ended)

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

    def why_not(self, subject: Subject, session: str, now_us: int) -> tuple[MandateProblem, ...]:
        """Every file that does not count for a call, each with one reason."""
        state = self._fresh()
        reasons = ((item.file, self._why_not(item, subject, session, now_us)) for item in state.genuine)
        return (*state.problems, *(MandateProblem(file, reason) for file, reason in reasons if reason is not None))

    def _why_not(self, item: _Genuine, subject: Subject, session: str, now_us: int) -> str | None:
        if item.ended is not None:
            return str(item.ended)
        reason = item.mandate.why_not(subject, session, now_us)
        return reason if reason is not None else self.separation.why_not(item.mandate.issuer, subject)

    def _fresh(self) -> _State:
        if self._directory is None:
            return self._state
        state = self._state
        if _unchanged(self._directory, state):
            return state
        with self._lock:
            if self._state is state or not _unchanged(self._directory, self._state):
                self._state = self._read(self._directory)
            return self._state

    def _read(self, directory: str) -> _State:
        now, now_ns = time.monotonic(), time.time_ns()
        try:
            known = _identity(os.stat(directory))
            every = sorted(os.listdir(directory))
        except OSError as error:
            problem = MandateProblem(directory, f"cannot be read: {(error.strerror or str(error)).lower()}")
            return _State((), (), (), (problem,), settled=False, looked=now)
        names = [name for name in every if name.endswith(SUFFIX)]
        revoked = [name for name in every if name.endswith(REVOKED)]
        for found, most, what in ((names, MAX_FILES, "mandates"), (revoked, MAX_REVOCATIONS, "revocations")):
            if len(found) > most:
                text = f"holds {len(found)} {what}, and at most {most} are read: none counts"
                return _State(known, (), (), (MandateProblem(directory, text),), settled=True, looked=now)
        ended, wrong, unreadable = self._revocations(directory, revoked)
        if unreadable:
            # INVARIANT: what a revocation says that cannot be read is not known, so that it may be about any mandate.
            return _State(known, (), (), tuple(unreadable), settled=False, looked=now)
        files: list[tuple[str, tuple[int, ...]]] = []
        mandates: list[tuple[str, Mandate]] = []
        problems: list[MandateProblem] = []
        for name in names:
            path = os.path.join(directory, name)
            try:
                identity, data = _load(path, MAX_MANDATE_BYTES)
                files.append((path, identity))
                mandates.append((name, open_envelope(data, self._people)))
            except OSError as error:
                problems.append(MandateProblem(name, f"cannot be read: {(error.strerror or str(error)).lower()}"))
            except ConfigError as error:
                problems.append(MandateProblem(name, str(error)))
        mandates, twice = _without_duplicates(mandates)
        settled = all(now_ns - max(identity[3:]) > SETTLED_NS for identity in (known, *(seen for _, seen in files)))
        settled = settled and len(files) == len(names) and not wrong
        genuine = tuple(_genuine(name, mandate, _ended(mandate, ended)) for name, mandate in mandates)
        refused = (*problems, *wrong, *twice)
        return _State(known, tuple(files), genuine, refused, settled=settled, looked=now, ended=ended)

    def _revocations(
        self, directory: str, names: Sequence[str]
    ) -> tuple[dict[str, tuple[Ended, ...]], list[MandateProblem], list[MandateProblem]]:
        """What was revoked, by id of the mandate; files that are refused; and what could not be read at all."""
        found: dict[str, tuple[Ended, ...]] = {}
        wrong: list[MandateProblem] = []
        unreadable: list[MandateProblem] = []
        for name in names:
            try:
                _, data = _load(os.path.join(directory, name), MAX_REVOCATION_BYTES)
                ended = open_revocation(data, self._people, self._revokers)
                self._ledger.keep(ended.revocation.mandate, hashlib.sha256(data).hexdigest(), data)
            except FileNotFoundError:
                continue  # taken away since the directory was listed; if it ever held, the ledger has it
            except (OSError, Fault) as error:
                text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                unreadable.append(MandateProblem(name, f"cannot be read, so no mandate counts: {text.lower()}"))
            except ConfigError as error:
                wrong.append(MandateProblem(name, str(error)))
        try:
            kept = self._ledger.revocations()
        except Fault as error:
            return {}, wrong, [*unreadable, MandateProblem(directory, f"no mandate counts: {error}")]
        for one in filter(None, map(self._kept, kept)):
            found[one.revocation.mandate] = (*found.get(one.revocation.mandate, ()), one)
        return found, wrong, unreadable

    def _kept(self, data: bytes) -> Ended | None:
        try:
            return open_revocation(data, self._people, self._revokers)
        except ConfigError:
            # Who signed it has left the configuration since, or has a new key: it held when it was kept.
            return kept_revocation(data)


def _remedy(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "create it"
        case PermissionError():
            return "let the user that the guard runs as read and enter it"
        case NotADirectoryError():
            return "name a directory"
        case _:
            return "make it readable"


def _unchanged(directory: str, state: _State) -> bool:
    if not state.settled:
        return False
    try:
        if _identity(os.stat(directory)) != state.directory:
            return False
        if len(state.files) > EAGER_FILES and time.monotonic() - state.looked < STAT_SECONDS:
            return True
        return all(_identity(os.stat(path)) == known for path, known in state.files)
    except OSError:
        return False


def _identity(found: os.stat_result) -> tuple[int, ...]:
    # The change time cannot be set from user space, so that a change with its old mtime put back is seen as well.
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _genuine(file: str, mandate: Mandate, ended: Ended | None) -> _Genuine:
    pattern = re.compile(fnmatch.translate(mandate.subject))
    return _Genuine(
        file=file,
        mandate=mandate,
        start_us=microseconds(mandate.not_before),
        end_us=microseconds(mandate.not_after),
        for_subject=pattern,
        plain=mandate.model is None and mandate.session is None,
        ended=ended,
    )


def _ended(mandate: Mandate, ended: Mapping[str, tuple[Ended, ...]]) -> Ended | None:
    return next((one for one in ended.get(mandate.id, ()) if one.ends(mandate)), None)


def _load(path: str, most: int) -> tuple[tuple[int, ...], bytes]:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a named pipe must not make every call wait
    with os.fdopen(fd, "rb") as stream:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError("it is no regular file")
        return _identity(found), stream.read(most + 1)


def _without_duplicates(mandates: list[tuple[str, Mandate]]) -> tuple[list[tuple[str, Mandate]], list[MandateProblem]]:
    """Of two mandates with one id neither counts: which of them was meant is not for us to guess."""
    count = Counter(mandate.id for _, mandate in mandates)
    kept = [(name, mandate) for name, mandate in mandates if count[mandate.id] == 1]
    problems = [
        MandateProblem(name, f"its id `{mandate.id}` is used by another mandate too: neither counts")
        for name, mandate in mandates
        if count[mandate.id] > 1
    ]
    return kept, problems
