"""From the records that are asked for to a file, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import BinaryIO, Final, NamedTuple, Protocol

from guardrail.audit.reading._search import Hit

FORMATS: Final = ("jsonl", "ocsf", "parquet", "csv")
"""What records can be written as."""

PROGRESS_EVERY: Final = 10_000
"""How many records lie between two calls of the progress callback."""

Progress = Callable[[int], None]
"""Called now and then with the number of records written."""


class Exported(NamedTuple):
    """What was written.

    Args:
        records: how many records.
        lines: how many rows, lines or events they became.
    """

    records: int
    lines: int


class Sink(Protocol):
    """One format."""

    def take(self, hit: Hit) -> int:
        """Write one record, and say how many lines it became."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


def export(
    hits: Iterable[Hit], stream: BinaryIO, form: str, *, check: bool = False, progress: Progress | None = None
) -> Exported:
    """Write records in one format; memory does not grow with their number.

    Args:
        hits: the records.
        stream: where they go.
        form: one of `FORMATS`.
        check: for OCSF, hold every event against the schema before it is written.
        progress: called now and then.

    Raises:
        ConfigError: if the format needs a package that is not installed, or there is no such format.
        TrailError: if an event is not what the schema says, which is a fault of this program.
        OSError: if the stream cannot be written.
    """
    sink = _sink(form, stream, check=check)
    records = lines = 0
    for hit in hits:
        lines += sink.take(hit)
        records += 1
        if progress is not None and not records % PROGRESS_EVERY:
            progress(records)
    sink.close()
    return Exported(records, lines)


def _sink(form: str, stream: BinaryIO, *, check: bool) -> Sink:
    if form == "jsonl":
        return _Leaves(stream)
    if form == "ocsf":
        from guardrail.audit.export._ocsf_lines import OcsfLines

        return OcsfLines(stream, check=check)
    if form == "csv":
        from guardrail.audit.export._csv import CsvTable

        return CsvTable(stream)
    if form == "parquet":
        from guardrail.audit.export._parquet import ParquetTable

        return ParquetTable(stream)
    raise ValueError(f"no format is called `{form}`")


class _Leaves:
    """JSON lines: each line is a leaf, byte for byte, so that its hash can be worked out from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def take(self, hit: Hit) -> int:
        # A leaf is canonical JSON, in which a newline is always escaped.
        self._stream.write(hit[0].leaf + b"\n")
        return 1

    def close(self) -> None:
        self._stream.flush()
