"""Parquet with typed columns, one row group at a time. Needs pyarrow, the extra `parquet`."""

from __future__ import annotations

from typing import Any, BinaryIO, Final

from guardrail.audit.export._rows import COLUMNS
from guardrail.audit.reading._search import Hit
from guardrail.errors import ConfigError

GROUP_ROWS: Final = 20_000
"""How many rows are held in memory, and written as one row group."""

_INT64: Final = 1 << 63


class ParquetTable:
    """One row a record, and the record itself as JSON in the column `record`.

    Args:
        stream: where it goes.

    Raises:
        ConfigError: if pyarrow is not installed.
    """

    def __init__(self, stream: BinaryIO) -> None:
        try:
            import pyarrow as pa  # type: ignore[import-untyped]
            import pyarrow.parquet as pq  # type: ignore[import-untyped]
        except ImportError:
            raise ConfigError(
                "Parquet needs `pyarrow`: install `guardrail-runtime[parquet]`, or export as csv or jsonl"
            ) from None
        arrow: Any = pa
        types = {
            "int": arrow.int64(),
            "time": arrow.timestamp("us", tz="UTC"),
            "text": arrow.string(),
            "texts": arrow.list_(arrow.string()),
            "bool": arrow.bool_(),
        }
        self._arrow = arrow
        self._types = [*(types[column.type] for column in COLUMNS), arrow.string()]
        names = [*(column.name for column in COLUMNS), "record"]
        self._schema = arrow.schema(list(zip(names, self._types, strict=True)))
        self._writer: Any = pq.ParquetWriter(stream, self._schema, compression="zstd")
        self._values: list[list[Any]] = [[] for _ in self._types]

    def take(self, hit: Hit) -> int:
        """Add one row."""
        for values, column in zip(self._values, COLUMNS, strict=False):
            value = column.value(hit)
            # No writer of ours records a number beyond 64 bits; `record` has it.
            beyond = isinstance(value, int) and not -_INT64 <= value < _INT64
            values.append(None if beyond else value)
        self._values[-1].append(hit[0].leaf.decode("utf-8", "replace"))
        if len(self._values[-1]) >= GROUP_ROWS:
            self._flush()
        return 1

    def _flush(self) -> None:
        if self._values[-1]:
            columns = zip(self._values, self._types, strict=True)
            arrays = [self._arrow.array(values, kind) for values, kind in columns]
            self._writer.write_batch(self._arrow.record_batch(arrays, schema=self._schema))
            self._values = [[] for _ in self._types]

    def close(self) -> None:
        """Write the last row group and the footer."""
        self._flush()
        self._writer.close()
