"""The mandates in force: those in the directory whose signature, issuer and window hold.

The directory is looked at on every call, so a mandate that is withdrawn stops counting with the next one.
A file that is refused never counts, and `problems` says why.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import threading
import time
from collections import Counter
from typing import Final, NamedTuple

from guardrail.config import Config
from guardrail.errors import ConfigError
from guardrail.mandates._mandate import MAX_MANDATE_BYTES, Mandate, microseconds
from guardrail.mandates._signing import open_envelope, read_public
from guardrail.model import Subject

SUFFIX: Final = ".mandate.json"

MAX_FILES: Final = 256
"""Most mandates in the directory; with more of them none counts."""

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


class _Genuine(NamedTuple):
    """A mandate whose signature holds, made ready for matching: `plain` ones name no model and no session."""

    file: str
    mandate: Mandate
    start_us: int
    end_us: int
    for_subject: re.Pattern[str]
    plain: bool


class _State(NamedTuple):
    """The directory as it was read."""

    directory: tuple[int, ...]
    files: tuple[tuple[str, tuple[int, ...]], ...]
    genuine: tuple[_Genuine, ...]
    problems: tuple[MandateProblem, ...]
    settled: bool
    looked: float


class MandateBook:
    """The mandates of a configuration.

    Args:
        config: names the directory and the people.

    Raises:
        ConfigError: if a person's key is no key, or the directory is set and cannot be read.
    """

    def __init__(self, config: Config) -> None:
        self._people = {person.name: read_public(person.key) for person in config.people}
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
            self._state = _read(self._directory, self._people)

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
        return tuple(sorted(name for name in names if not name.endswith(SUFFIX) and not name.startswith(".")))

    def current(self, subject: Subject, session: str, now_us: int) -> tuple[Mandate, ...]:
        """The mandates that hold for a call.

        Args:
            subject: who asks.
            session: in which session.
            now_us: the time, in microseconds since 1970.

        Returns:
            Genuine mandates for this subject and session, in their window; none if the directory cannot be read.
        """
        return tuple(
            item.mandate
            for item in self._fresh().genuine
            # The plain questions come first to save time; `why_not` asks all of them and has the last word on the rest.
            if item.start_us <= now_us < item.end_us
            and item.mandate.issuer != subject.id
            and item.for_subject.match(subject.id)
            and (item.plain or item.mandate.why_not(subject, session, now_us) is None)
        )

    def why_not(self, subject: Subject, session: str, now_us: int) -> tuple[MandateProblem, ...]:
        """Every file that does not count for a call, each with one reason."""
        state = self._fresh()
        reasons = ((item.file, item.mandate.why_not(subject, session, now_us)) for item in state.genuine)
        return (*state.problems, *(MandateProblem(file, reason) for file, reason in reasons if reason is not None))

    def _fresh(self) -> _State:
        if self._directory is None:
            return self._state
        state = self._state
        if _unchanged(self._directory, state):
            return state
        with self._lock:
            if self._state is state or not _unchanged(self._directory, self._state):
                self._state = _read(self._directory, self._people)
            return self._state


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


def _read(directory: str, people: dict[str, bytes]) -> _State:
    now, now_ns = time.monotonic(), time.time_ns()
    try:
        known = _identity(os.stat(directory))
        names = sorted(name for name in os.listdir(directory) if name.endswith(SUFFIX))
    except OSError as error:
        problem = MandateProblem(directory, f"cannot be read: {(error.strerror or str(error)).lower()}")
        return _State((), (), (), (problem,), settled=False, looked=now)
    if len(names) > MAX_FILES:
        problem = MandateProblem(
            directory, f"holds {len(names)} mandates, and at most {MAX_FILES} are read: none counts"
        )
        return _State(known, (), (), (problem,), settled=True, looked=now)
    files: list[tuple[str, tuple[int, ...]]] = []
    mandates: list[tuple[str, Mandate]] = []
    problems: list[MandateProblem] = []
    for name in names:
        path = os.path.join(directory, name)
        try:
            identity, data = _load(path)
            files.append((path, identity))
            mandates.append((name, open_envelope(data, people)))
        except OSError as error:
            problems.append(MandateProblem(name, f"cannot be read: {(error.strerror or str(error)).lower()}"))
        except ConfigError as error:
            problems.append(MandateProblem(name, str(error)))
    mandates, twice = _without_duplicates(mandates)
    settled = all(now_ns - max(identity[3:]) > SETTLED_NS for identity in (known, *(seen for _, seen in files)))
    settled = settled and len(files) == len(names)
    genuine = tuple(_genuine(name, mandate) for name, mandate in mandates)
    return _State(known, tuple(files), genuine, (*problems, *twice), settled=settled, looked=now)


def _genuine(file: str, mandate: Mandate) -> _Genuine:
    pattern = re.compile(fnmatch.translate(mandate.subject))
    return _Genuine(
        file=file,
        mandate=mandate,
        start_us=microseconds(mandate.not_before),
        end_us=microseconds(mandate.not_after),
        for_subject=pattern,
        plain=mandate.model is None and mandate.session is None,
    )


def _load(path: str) -> tuple[tuple[int, ...], bytes]:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a named pipe must not make every call wait
    with os.fdopen(fd, "rb") as stream:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError("it is no regular file")
        return _identity(found), stream.read(MAX_MANDATE_BYTES + 1)


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
