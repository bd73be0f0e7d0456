"""CSV (RFC 4180) that a spreadsheet may open: no cell of it is a formula, and none moves a cursor."""

from __future__ import annotations

import csv
import io
from typing import Any, BinaryIO, Final

from guardrail.audit.export._rows import COLUMNS, Column
from guardrail.audit.reading import fields
from guardrail.audit.reading._search import Hit
from guardrail.printing import visible

_FORMULA: Final = tuple("=+-@\t\r\n＝＋－＠")
"""What a cell must not begin with; the last four are read like the first four by some spreadsheets."""


def safe(value: str) -> str:
    """Text as a cell: escaped where it is not visible, and with an apostrophe where it could be a formula."""
    shown = visible(value)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


class CsvTable:
    """One row a record; lists are joined by `; `.

    Args:
        stream: where it goes.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=False)
        self._writer = csv.writer(self._text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        self._writer.writerow([column.name for column in COLUMNS])

    def take(self, hit: Hit) -> int:
        """Write one row."""
        self._writer.writerow([_cell(column, column.value(hit)) for column in COLUMNS])
        return 1

    def close(self) -> None:
        """Write what is left, and leave the stream to its owner."""
        self._text.flush()
        self._text.detach()


def _cell(column: Column, value: Any) -> str:
    if value is None:
        return ""
    if column.type == "texts":
        return safe("; ".join(value))
    if column.type == "time":
        return fields.moment(value)
    if column.type == "bool":
        return "true" if value else "false"
    return safe(value) if column.type == "text" else str(value)
