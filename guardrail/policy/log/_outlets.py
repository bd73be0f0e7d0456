"""Where events go: a file of one JSON object a line, or a log server, each behind a buffer and a thread of its own.

Not concerned with what an event says.
"""

from __future__ import annotations

import errno
import gzip
import os
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Final, cast
from urllib.parse import urlsplit

from guardrail.policy._http import connect, target
from guardrail.policy.log._event import Entry

MAX_BATCH_EVENTS: Final = 500
"""Most events of one upload."""

MAX_BATCH_BYTES: Final = 512 * 1024
"""Largest upload before it is compressed, in bytes; an event larger than that goes alone."""

MAX_FILE_BYTES: Final = 256 * 1024 * 1024
"""Largest file of events, in bytes; then it is renamed to end in `.1`, in place of the one before."""

UPLOAD_SECONDS: Final = 5.0
"""Longest wait for one step of an upload, in seconds."""

FIRST_WAIT_SECONDS: Final = 0.5
"""Wait after the first upload that fails, in seconds; it doubles."""

LONGEST_WAIT_SECONDS: Final = 30.0
"""Longest wait between two uploads that fail, in seconds."""

CLOSE_SECONDS: Final = 2.0
"""Longest wait for what is buffered to be written when closing, in seconds."""


class Outlet(ABC):
    """One place where events go.

    Args:
        render: makes the JSON of an event, on the outlet's own thread.
        buffer_bytes: most memory for decisions that wait, in bytes.
        flush_seconds: longest time that a decision waits, in seconds.
    """

    def __init__(self, render: Callable[[Entry], bytes], *, buffer_bytes: int, flush_seconds: float) -> None:
        self.dropped = 0
        """How many decisions were lost: the buffer was full, or they could not be rendered."""
        self.failures = 0
        """How often events could not be handed on; they are tried again."""
        self._render = render
        self._buffer_bytes = buffer_bytes
        self._flush_seconds = flush_seconds
        self._waiting: deque[Entry] = deque()
        self._size = 0
        self._stop = threading.Event()
        self._start()

    def offer(self, entry: Entry) -> None:
        """Take a decision, without waiting for anything; of too many the oldest are dropped."""
        if self._pid != os.getpid():
            self._waiting.clear()  # what waited at the fork is the parent's to write
            self._size = 0
            self._start()
        with self._lock:
            self._waiting.append(entry)
            self._size += entry.size
            while self._size > self._buffer_bytes and self._waiting:
                self._size -= self._waiting.popleft().size
                self.dropped += 1
            full = self._size > self._buffer_bytes // 2
        if full:
            self._wake.set()

    def flush(self) -> None:
        """Have what waits written soon."""
        self._wake.set()

    def close(self) -> None:
        """Write what waits, within a bound, and count what is left as dropped."""
        self._stop.set()
        self._wake.set()
        if self._pid == os.getpid():
            self._thread.join(CLOSE_SECONDS)
        with self._lock:
            self.dropped += len(self._waiting)
            self._waiting.clear()
            self._size = 0

    @abstractmethod
    def deliver(self, events: Sequence[bytes]) -> None:
        """Hand events on.

        Raises:
            OSError: if they could not be; they are tried again.
        """

    def _start(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="guardrail-decision-log", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        wait = 0.0
        while True:
            if wait:
                # A full buffer wakes us all the time; a server that is down is not to be asked all the time.
                self._stop.wait(wait)
            else:
                self._wake.wait(self._flush_seconds)
            self._wake.clear()
            last = self._stop.is_set()
            done = self._empty()
            if last:
                return
            wait = 0.0 if done else min(max(2 * wait, FIRST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)

    def _empty(self) -> bool:
        """Hand on what waits, batch by batch; false if that failed."""
        while batch := self._batch():
            events = [text for text in map(self._rendered, batch) if text is not None]
            try:
                if events:
                    self.deliver(events)
            except Exception:  # noqa: BLE001 - whatever a disk or a server does, decisions go on and events wait
                self.failures += 1
                self._put_back(batch)
                return False
        return True

    def _batch(self) -> list[Entry]:
        batch: list[Entry] = []
        size = 0
        with self._lock:
            while self._waiting and len(batch) < MAX_BATCH_EVENTS:
                size += self._waiting[0].size
                if batch and size > MAX_BATCH_BYTES:
                    break
                entry = self._waiting.popleft()
                self._size -= entry.size
                batch.append(entry)
        return batch

    def _put_back(self, batch: Sequence[Entry]) -> None:
        with self._lock:
            for entry in reversed(batch):
                if self._size + entry.size > self._buffer_bytes:
                    self.dropped += 1
                    continue
                self._waiting.appendleft(entry)
                self._size += entry.size

    def _rendered(self, entry: Entry) -> bytes | None:
        try:
            return self._render(entry)
        except Exception:  # noqa: BLE001 - one odd decision must not hold up those behind it
            with self._lock:
                self.dropped += 1
            return None


class FileOutlet(Outlet):
    """A file of one JSON object a line; opened for each batch, so that it may be renamed by whoever collects it.

    Args:
        path: the file.
        render: see `Outlet`.
        buffer_bytes: see `Outlet`.
        flush_seconds: see `Outlet`.
    """

    def __init__(
        self, path: Path, render: Callable[[Entry], bytes], *, buffer_bytes: int, flush_seconds: float
    ) -> None:
        self._path = path
        super().__init__(render, buffer_bytes=buffer_bytes, flush_seconds=flush_seconds)

    def deliver(self, events: Sequence[bytes]) -> None:
        """See `Outlet.deliver`.

        Raises:
            OSError: if the file cannot be written.
        """
        text = b"".join(line + b"\n" for line in events)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with open(descriptor, "ab", buffering=0) as stream:
            before = os.fstat(descriptor).st_size
            if _written(cast("BinaryIO", stream), text) != len(text):
                os.ftruncate(descriptor, before)  # no half line, and nothing twice when it is tried again
                raise OSError(errno.ENOSPC, "the disk is full", str(self._path))
        if before + len(text) > MAX_FILE_BYTES:
            os.replace(self._path, self._path.with_name(f"{self._path.name}.1"))


class ServerOutlet(Outlet):
    """A log server, as OPA talks to one: POST of a gzipped JSON array.

    Args:
        url: the whole address, such as `https://host/logs`.
        token: bearer token, or empty.
        render: see `Outlet`.
        buffer_bytes: see `Outlet`.
        flush_seconds: see `Outlet`.
    """

    def __init__(
        self,
        url: str,
        token: str,
        render: Callable[[Entry], bytes],
        *,
        buffer_bytes: int,
        flush_seconds: float,
    ) -> None:
        self._url = urlsplit(url)
        self._token = token
        super().__init__(render, buffer_bytes=buffer_bytes, flush_seconds=flush_seconds)

    def deliver(self, events: Sequence[bytes]) -> None:
        """See `Outlet.deliver`.

        Raises:
            OSError: if the server does not take them, in time and with a status of success.
        """
        import http.client

        body = gzip.compress(b"[" + b",".join(events) + b"]", mtime=0)
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip", "User-Agent": "guardrail"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        connection = connect(self._url, UPLOAD_SECONDS)
        try:
            connection.request("POST", target(self._url), body=body, headers=headers)
            status = connection.getresponse().status
        except http.client.HTTPException as error:
            raise OSError(f"no HTTP ({type(error).__name__})") from None
        finally:
            connection.close()
        if not 200 <= status < 300:
            raise OSError(f"HTTP status {status}")


def _written(stream: BinaryIO, text: bytes) -> int:
    try:
        return stream.write(text)
    except OSError:
        return -1


def now_ns() -> int:
    """The time, in nanoseconds since 1970."""
    return time.time_ns()
