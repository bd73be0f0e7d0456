"""Permission marks on the files of assets (fanotify): for a whole node, whoever opens them, by whatever name.

It needs CAP_SYS_ADMIN and sees what no process can be held to by itself: daemons, other containers, hard links, bind
mounts, io_uring. It complements confinement and does not replace it: it can refuse an open and nothing else, and when
it ends the kernel lets every open pass, so something has to watch it.

INVARIANT: it opens no marked file itself, for nobody would answer that; programs are read, and are no assets.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import stat
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Self

from guardrail.assets import Asset
from guardrail.confine.kernel import ConfineError
from guardrail.confine.kernel._profiles import digest_of
from guardrail.confine.kernel._protected import OWN_SHOWN, READABLE, files_of, raised
from guardrail.printing import printable

RESCAN_SECONDS: Final = 60.0
"""How often new directories and new assets are looked for, in seconds."""

MAX_PROGRAMS: Final = 4096
"""Most programs whose digest is remembered; then all are forgotten and read again."""

_CLASS_CONTENT: Final = 0x4
_CLOEXEC: Final = 0x1
_UNLIMITED_QUEUE: Final = 0x10
_UNLIMITED_MARKS: Final = 0x20
_MARK_ADD: Final = 0x1
_OPENS: Final = 0x10000 | 0x40000  # FAN_OPEN_PERM and FAN_OPEN_EXEC_PERM, from linux/fanotify.h
_ON_CHILD: Final = 0x08000000
_ALLOW, _DENY = 1, 2
_EVENT: Final = struct.Struct("=IBBHQii")
_RESPONSE: Final = struct.Struct("=iI")
_NO_FD: Final = -1
_BATCH_BYTES: Final = 64 * 1024
_LIBC: Final = ctypes.CDLL(None, use_errno=True)

Told = Callable[[Mapping[str, Any]], None]
"""Takes what is to be known of one open."""


class Observer:
    """Answers for every open of an asset's files.

    Args:
        assets: the inventory; weights and their like are marked, what anybody may read is not.
        readers: SHA-256 of the programs that may open them.
        enforce: whether all others are refused; otherwise they are told of.
        told: hears of each open by another program.

    Raises:
        ConfineError: if this process may not, or this kernel cannot.
    """

    def __init__(self, assets: Iterable[Asset], readers: Iterable[str], *, enforce: bool, told: Told) -> None:
        self._assets = assets
        self._readers = frozenset(readers)
        self._enforce = enforce
        self._told = told
        self._marked: dict[tuple[int, int], str] = {}
        self._programs: dict[tuple[int, ...], str] = {}
        # INVARIANT: the queue has no end, for the kernel lets those pass that it could not ask about.
        flags = _CLASS_CONTENT | _CLOEXEC | _UNLIMITED_MARKS | _UNLIMITED_QUEUE
        self._fd = _LIBC.fanotify_init(flags, os.O_RDONLY | os.O_CLOEXEC | os.O_LARGEFILE)
        if self._fd < 0:
            why = os.strerror(ctypes.get_errno()).lower()
            raise ConfineError(f"opens of assets cannot be watched: {why}; it takes CAP_SYS_ADMIN and fanotify")

    def mark(self, failed: Callable[[ConfineError], None] = raised) -> int:
        """Mark every file, and every directory for the files that come to lie in it.

        What was marked before is marked again: a number is used anew when its file is gone, and its mark is gone then.

        Args:
            failed: takes what cannot be marked; the others are marked all the same, if this returns.

        Returns:
            How many are marked.

        Raises:
            ConfineError: by default, if one of them cannot be.
        """
        marked: dict[tuple[int, int], str] = {}
        for asset, root in self._roots():
            for path, found in files_of(root, failed):
                if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
                    self._mark(path, found, failed)
                    marked[found.st_dev, found.st_ino] = asset
        self._marked = marked
        return len(marked)

    def serve(self, stop: int) -> None:
        """Answer until a descriptor is readable.

        INVARIANT: what goes wrong with one file is told, and ends nothing: at its end the kernel lets every open pass.

        Args:
            stop: that descriptor.
        """
        ready = select.poll()
        ready.register(self._fd, select.POLLIN)
        ready.register(stop, select.POLLIN)
        due = time.monotonic() + RESCAN_SECONDS
        while True:
            found = {fd for fd, _ in ready.poll(max(0.0, due - time.monotonic()) * 1000)}
            if self._fd in found:
                self._answer(os.read(self._fd, _BATCH_BYTES))
            if stop in found:
                return
            if time.monotonic() >= due:
                self.mark(lambda error: self._told_fault(str(error)))
                due = time.monotonic() + RESCAN_SECONDS

    def close(self) -> None:
        """Take all marks away; opens that wait are let through by the kernel."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _roots(self) -> Iterator[tuple[str, str]]:
        for asset in self._assets:
            if asset.asset_class not in READABLE and asset.id not in OWN_SHOWN:
                yield from ((asset.id, root) for root in asset.roots)

    def _mark(self, path: str, found: os.stat_result, failed: Callable[[ConfineError], None]) -> None:
        mask = _OPENS | (_ON_CHILD if stat.S_ISDIR(found.st_mode) else 0)
        if _LIBC.fanotify_mark(self._fd, _MARK_ADD, ctypes.c_uint64(mask), -100, os.fsencode(path)) < 0:
            number = ctypes.get_errno()
            if number != errno.ENOENT:  # gone since it was seen
                failed(ConfineError(f"`{printable(path)}` cannot be marked: {os.strerror(number).lower()}"))

    def _told_fault(self, why: str) -> None:
        self._told({"source": "fanotify", "t": time.time(), "op": "fault", "why": why})

    def _answer(self, events: bytes) -> None:
        at = 0
        while at < len(events):
            size, _, _, _, _, fd, pid = _EVENT.unpack_from(events, at)
            at += size
            if fd == _NO_FD:
                continue  # no question
            answer = _DENY if self._enforce else _ALLOW
            try:
                if self._may(fd, pid):
                    answer = _ALLOW
            except Exception as error:  # noqa: BLE001 - it is answered, and with a no where that is asked
                self._told_fault(f"{type(error).__name__}: {error}")
            with contextlib.suppress(OSError):  # whoever asked may have been ended
                os.write(self._fd, _RESPONSE.pack(fd, answer))
            os.close(fd)

    def _may(self, fd: int, pid: int) -> bool:
        if pid == os.getpid():
            return True
        program, digest = self._program(pid)
        if digest in self._readers:
            return True
        path = os.readlink(f"/proc/self/fd/{fd}")
        self._told(
            {
                "source": "fanotify",
                "t": time.time(),
                "op": "read",
                "asset": self._asset(fd, path),
                "path": path,
                "pid": pid,
                "program": program,
                "sha256": digest,
                "outcome": "deny" if self._enforce else "observe",
            }
        )
        return False

    def _asset(self, fd: int, path: str) -> str | None:
        found = os.fstat(fd)
        if known := self._marked.get((found.st_dev, found.st_ino)):
            return known
        try:
            above = os.stat(os.path.dirname(path))
        except OSError:
            return None
        return self._marked.get((above.st_dev, above.st_ino))

    def _program(self, pid: int) -> tuple[str, str]:
        """Path and digest of who opens; it waits for the answer, so it cannot be another by now."""
        try:
            found = os.stat(f"/proc/{pid}/exe")
            if (found.st_dev, found.st_ino) in self._marked:
                return "", ""  # a program that is an asset: reading it would have us wait for ourselves
            key = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
            if key not in self._programs:
                if len(self._programs) >= MAX_PROGRAMS:
                    self._programs.clear()
                self._programs[key] = digest_of(f"/proc/{pid}/exe")
            return os.readlink(f"/proc/{pid}/exe"), self._programs[key]
        except (OSError, ConfineError):
            return "", ""
