"""Files of records: JSON, JSON lines, YAML, CSV -> plain values, for as far as all readers agree.

Not concerned with what a record means. Whatever two readers could understand differently raises `Unclear`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import yaml

from guardrail.effects.keys._formats import load_json, load_yaml
from guardrail.effects.keys._regex import Unclear

MAX_RECORDS: Final = 50_000
"""Most records of one file."""

MAX_COLUMNS: Final = 1_000
"""Most columns of a table."""


def read_records(path: str, data: bytes) -> Any:
    """What a file of records says.

    Args:
        path: its name; the extension says the format, and without a known one it is JSON, one or one a line.
        data: its content.

    Returns:
        Plain values; of a file with one record a line, the list of them.

    Raises:
        Unclear: if it has no single meaning, or is no file of records.
    """
    extension = path.rpartition("/")[2].lower().rpartition(".")[2]
    try:
        text = data.decode("utf-8")
        if text.startswith("\ufeff"):
            raise Unclear("byte order mark")
        return _READERS.get(extension, _guess)(text)
    except (ValueError, RecursionError, OverflowError, csv.Error, yaml.YAMLError) as error:
        raise Unclear(f"not readable as {extension or 'JSON'}: {error}") from None


def _lines(text: str) -> list[Any]:
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) > MAX_RECORDS:
        raise Unclear("too many records")
    return [load_json(line) for line in lines]


def _yaml(text: str) -> Any:
    documents = [document for document in load_yaml(text) if document is not None]
    return documents[0] if len(documents) == 1 else documents


def _table(delimiter: str) -> Callable[[str], list[dict[str, str]]]:
    def read(text: str) -> list[dict[str, str]]:
        if "\0" in text:
            raise Unclear("a NUL")
        rows = list(csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True))
        rows = [row for row in rows if row]
        if not rows:
            return []
        head = [name.strip() for name in rows[0]]
        if len(set(head)) != len(head) or not all(head) or len(head) > MAX_COLUMNS or len(rows) > MAX_RECORDS:
            raise Unclear("columns without a name of their own, or too many rows")
        if any(len(row) != len(head) for row in rows):
            # Readers differ in what a cell too few or too many means.
            raise Unclear("a row that is longer or shorter than the head")
        return [dict(zip(head, row, strict=True)) for row in rows[1:]]

    return read


def _guess(text: str) -> Any:
    try:
        return load_json(text)
    except json.JSONDecodeError:
        return _lines(text)


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "json": load_json,
    "jsonl": _lines,
    "ndjson": _lines,
    "yaml": _yaml,
    "yml": _yaml,
    "csv": _table(","),
    "tsv": _table("\t"),
}
