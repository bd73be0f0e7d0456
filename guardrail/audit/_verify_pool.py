"""Segments read by as many processes as are asked for, and handed back in their order.

INVARIANT: nothing here is imported from the writer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final, TypeVar

from guardrail.audit._verify_scan import Scan, Task, scan

T = TypeVar("T")

WORTH_BYTES: Final = 32 * 1024 * 1024
"""From which size on a trail is worth further processes, in bytes: each takes a fraction of a second to start."""

AHEAD: Final = 2
"""How many segments each process may be ahead of what was joined; bounds the memory."""


def in_order(tasks: Sequence[Task], jobs: int, told: Callable[[int, int], None]) -> Iterator[tuple[Task, Scan]]:
    """Read segments and yield each with what it holds, in order.

    Args:
        tasks: what to read.
        jobs: most processes.
        told: called now and then with records and bytes of the segment that is read in this process.

    Raises:
        OSError: if one cannot be read, or a process that read one was ended.
    """
    jobs = min(jobs, len(tasks))
    if jobs < 2 or sum(Path(task.path).stat().st_size for task in tasks) < WORTH_BYTES:
        for task in tasks:
            yield task, scan(task, told)
        return
    yield from spread(tasks, jobs, scan)


def spread(tasks: Sequence[T], jobs: int, read: Callable[[T], Scan]) -> Iterator[tuple[T, Scan]]:
    """Read parts of a trail in other processes and yield each with what it holds, in order.

    Args:
        tasks: what to read.
        jobs: how many processes.
        read: reads one of them; a function of a module.

    Raises:
        OSError: if one cannot be read, or a process that read one was ended.
    """
    # Not forked: the process that asks may have threads, and a trail open.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running: deque[tuple[T, Future[Scan]]] = deque()
        for task in tasks:
            running.append((task, pool.submit(read, task)))
            if len(running) < jobs * AHEAD:
                continue
            first, found = running.popleft()
            yield first, _result(found)
        while running:
            first, found = running.popleft()
            yield first, _result(found)


def _result(found: Future[Scan]) -> Scan:
    try:
        return found.result()
    except BrokenExecutor:
        # The system ends processes when memory runs out.
        raise OSError("a process that read a segment was ended: verify with fewer `--jobs`") from None
