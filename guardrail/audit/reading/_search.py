"""From a selection to its records: by the index where there is one that is fit for it, else by reading everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from guardrail.audit.reading._leaves import Found, Place, read_leaves
from guardrail.audit.reading._selection import Chooser, Selection

Hit = tuple[Found, dict[str, Any]]
"""A leaf and what it says."""

Note = Callable[[str], None]
"""Told one sentence where something could not be done as asked."""


def search(
    directory: Path | str, selection: Selection, *, index: bool = True, note: Note = lambda _: None
) -> Iterator[Hit]:
    """The records that are asked for, in the order of the trail.

    Args:
        directory: the trail.
        selection: what is asked for.
        index: use the index, if the trail has one; it is brought up to date first.
        note: told when the index is there and cannot be used, and how many records could not be read.

    Raises:
        OSError: if the trail cannot be read.
    """
    after = -1
    if index and selection.by_content:
        from guardrail.audit.reading._index import Index, IndexUnusable, build_index, index_path

        if index_path(directory).is_file():
            try:
                build_index(directory)
                with Index.open(directory) as found_by:
                    for found in found_by.find(selection):
                        after = found.seq
                        yield found, found.record() or {}
                return
            except IndexUnusable as error:
                note(f"{error}: the trail itself was read instead")
    for hit in _scan(directory, selection, note):
        if hit[0].seq > after:
            yield hit


def _scan(directory: Path | str, selection: Selection, note: Note) -> Iterator[Hit]:
    chooser = Chooser(selection)
    following, missing = -1, 0
    for found in read_leaves(directory):
        if following < 0:
            # What was pruned is not missing: the first segment that is left is named for its first record.
            following = int(found.file[:20]) if found.file[:20].isdigit() else found.seq
        missing, following = missing + max(0, found.seq - following), found.seq + 1
        record = found.record()
        if record is None:
            missing += 1
            continue
        if selection.last is not None and found.seq > selection.last:
            break
        if chooser.wants(found.seq, record):
            yield found, record
    if missing:
        note(f"{missing} record{'' if missing == 1 else 's'} cannot be read: see `guardrail audit verify`")


def begin_of(directory: Path | str, since_us: int | None) -> Place | None:
    """Where reading a period may begin, by the index; None is the first record.

    Raises:
        OSError: if the trail cannot be read.
    """
    from guardrail.audit.reading._index import Index, IndexUnusable, build_index, index_path

    if since_us is None or not index_path(directory).is_file():
        return None
    try:
        build_index(directory)
        with Index.open(directory) as index:
            return index.begin_of(since_us)
    except IndexUnusable:
        return None
