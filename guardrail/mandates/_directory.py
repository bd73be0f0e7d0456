"""The directory of mandates: what lies in it, whose signature holds, and what was revoked.

It is looked at on every call, so that a mandate that is withdrawn or revoked stops counting with the next one.
Not concerned with whom a mandate is for: the book is.
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
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from guardrail.errors import ConfigError, Fault
from guardrail.mandates._ledger import MandateLedger
from guardrail.mandates._mandate import MAX_MANDATE_BYTES, Mandate, microseconds
from guardrail.mandates._revocation import MAX_REVOCATION_BYTES, Ended, kept_revocation, open_revocation
from guardrail.mandates._signing import open_envelope
from guardrail.mandates._word import MAX_WORD_BYTES, WORDS, Given, open_word

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


class Genuine(NamedTuple):
    """A mandate whose signature holds, made ready for matching: `plain` ones name no model and no session."""

    file: str
    mandate: Mandate
    start_us: int
    end_us: int
    for_subject: re.Pattern[str]
    plain: bool
    ended: Ended | None


class Contents(NamedTuple):
    """The directory as it was read.

    Args:
        directory: what tells whether it was changed.
        files: the same of each mandate in it.
        genuine: the mandates whose signature holds.
        problems: files that do not count.
        settled: nothing in it was changed so shortly before that a further change would not show.
        looked: when it was looked at, by the monotonic clock.
        ended: revocations that hold, by id of the mandate.
    """

    directory: tuple[int, ...]
    files: tuple[tuple[str, tuple[int, ...]], ...]
    genuine: tuple[Genuine, ...]
    problems: tuple[MandateProblem, ...]
    settled: bool
    looked: float
    ended: Mapping[str, tuple[Ended, ...]] = {}


class MandateDirectory:
    """A directory of signed files.

    Args:
        path: the directory; None for none.
        people: public keys by the name of who owns them.
        revokers: names of those who may revoke any mandate.
        ledger: keeps revocations.

    Raises:
        ConfigError: if it cannot be read.
    """

    def __init__(
        self, path: str | None, people: Mapping[str, bytes], revokers: Collection[str], ledger: MandateLedger
    ) -> None:
        self._path = path
        self._people = people
        self._revokers = revokers
        self._ledger = ledger
        self._lock = threading.Lock()
        self._contents = Contents((), (), (), (), settled=True, looked=0.0)
        if path is not None:
            try:
                os.scandir(path).close()
            except OSError as error:
                raise ConfigError(
                    f"cannot read the mandates in `{path}`: {(error.strerror or str(error)).lower()}: "
                    f"{_remedy(error)}, or leave `mandates.directory` empty"
                ) from None
            self._contents = self._read(path)

    def contents(self) -> Contents:
        """What lies there now."""
        if self._path is None:
            return self._contents
        state = self._contents
        if _unchanged(self._path, state):
            return state
        with self._lock:
            if self._contents is state or not _unchanged(self._path, self._contents):
                self._contents = self._read(self._path)
            return self._contents

    @property
    def unread(self) -> tuple[str, ...]:
        """Names in the directory that are not looked at, because they do not end like a mandate; hidden ones aside."""
        try:
            names = os.listdir(self._path) if self._path is not None else []
        except OSError:
            return ()  # `problems` says so
        return tuple(
            sorted(name for name in names if not name.endswith((SUFFIX, REVOKED, *WORDS)) and not name.startswith("."))
        )

    def words(self) -> tuple[tuple[Given, ...], tuple[MandateProblem, ...]]:
        """What people have said should be done by the guard itself, and the files that are refused."""
        given: list[Given] = []
        wrong: list[MandateProblem] = []
        if self._path is None:
            return (), ()
        try:
            names = sorted(name for name in os.listdir(self._path) if name.endswith(WORDS))
        except OSError:
            return (), ()  # `problems` says so
        for name in names[:MAX_WORDS]:
            try:
                _, data = _load(os.path.join(self._path, name), MAX_WORD_BYTES)
                given.append(open_word(data, self._people))
            except OSError as error:
                wrong.append(MandateProblem(name, f"cannot be read: {(error.strerror or str(error)).lower()}"))
            except ConfigError as error:
                wrong.append(MandateProblem(name, str(error)))
        wrong += [MandateProblem(name, f"not read: at most {MAX_WORDS} words are") for name in names[MAX_WORDS:]]
        return tuple(given), tuple(wrong)

    def _read(self, directory: str) -> Contents:
        now, now_ns = time.monotonic(), time.time_ns()
        try:
            known = _identity(os.stat(directory))
            every = sorted(os.listdir(directory))
        except OSError as error:
            problem = MandateProblem(directory, f"cannot be read: {(error.strerror or str(error)).lower()}")
            return Contents((), (), (), (problem,), settled=False, looked=now)
        names = [name for name in every if name.endswith(SUFFIX)]
        revoked = [name for name in every if name.endswith(REVOKED)]
        for found, most, what in ((names, MAX_FILES, "mandates"), (revoked, MAX_REVOCATIONS, "revocations")):
            if len(found) > most:
                text = f"holds {len(found)} {what}, and at most {most} are read: none counts"
                return Contents(known, (), (), (MandateProblem(directory, text),), settled=True, looked=now)
        ended, wrong, unreadable = self._revocations(directory, revoked)
        if unreadable:
            # INVARIANT: what a revocation says that cannot be read is not known, so that it may be about any mandate.
            return Contents(known, (), (), tuple(unreadable), settled=False, looked=now)
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
        genuine = tuple(_ready(name, mandate, ended_by(mandate, ended)) for name, mandate in mandates)
        refused = (*problems, *wrong, *twice)
        return Contents(known, tuple(files), genuine, refused, settled=settled, looked=now, ended=ended)

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
        for one in map(self._kept, kept):
            if one is None:
                # INVARIANT: as above; what is kept and cannot be read may have ended any mandate.
                unreadable.append(MandateProblem(directory, "no mandate counts: a revocation that was kept is damaged"))
                continue
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


def _unchanged(directory: str, state: Contents) -> bool:
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


def _ready(file: str, mandate: Mandate, ended: Ended | None) -> Genuine:
    pattern = re.compile(fnmatch.translate(mandate.subject))
    return Genuine(
        file=file,
        mandate=mandate,
        start_us=microseconds(mandate.not_before),
        end_us=microseconds(mandate.not_after),
        for_subject=pattern,
        plain=mandate.model is None and mandate.session is None,
        ended=ended,
    )


def ended_by(mandate: Mandate, ended: Mapping[str, tuple[Ended, ...]]) -> Ended | None:
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
