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
        listed = [(column.name, types[column.type]) for column in COLUMNS]
        self._schema = arrow.schema([*listed, ("record", arrow.string())])
        self._batch: Any = arrow.RecordBatch
        self._writer: Any = pq.ParquetWriter(stream, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def take(self, hit: Hit) -> int:
        """Add one row."""
        row = {column.name: column.value(hit) for column in COLUMNS}
        for column in COLUMNS:
            value = row[column.name]
            if column.type in ("int", "time") and value is not None and not -_INT64 <= value < _INT64:
                row[column.name] = None  # no writer of ours records such a number; `record` has it
        row["record"] = hit[0].leaf.decode("utf-8", "replace")
        self._rows.append(row)
        if len(self._rows) >= GROUP_ROWS:
            self._flush()
        return 1

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_batch(self._batch.from_pylist(self._rows, schema=self._schema))
            self._rows = []

    def close(self) -> None:
        """Write the last row group and the footer."""
        self._flush()
        self._writer.close()
