"""Sign sketches of tensors: which signs the largest weights of some rows have.

Quantising, pruning, scaling and moderate noise keep the sign of large weights, so agreement stays near one; unrelated
weights agree at one half. By Hoeffding's inequality, agreement of 0.75 by chance over 1,024 bits is below 1e-55.
Blind to columns permuted or flipped. Honest fine-tunes of one base agree as well: a match is lineage, not identity.
The seed is a secret of the deployment: who knew it could flip just these weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

ROWS: Final = 16
"""Rows of a tensor that are sketched."""

LARGEST: Final = 64
"""Largest weights of each row whose sign is kept."""

MIN_COLUMNS: Final = 4 * LARGEST
"""Fewest columns of a tensor that can be sketched."""

Rows = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Rows of a matrix by their numbers, as numbers."""


class Sketch(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The sketch of one tensor.

    Args:
        shape: of the tensor, as rows and columns.
        rows: numbers of the sketched rows, as little-endian u4.
        columns: `LARGEST` column numbers for each row, as little-endian u4.
        signs: one bit for each of these, most significant first.
    """

    shape: tuple[int, int]
    rows: bytes
    columns: bytes
    signs: bytes


def matrix_of(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """A shape as rows and columns; None if it cannot be sketched."""
    if len(shape) < 2:
        return None
    rows = int(np.prod(shape[:-1], dtype=np.int64))
    return (rows, shape[-1]) if rows >= ROWS and shape[-1] >= MIN_COLUMNS else None


def sketch(shape: tuple[int, int], rows_of: Rows, seed: int) -> Sketch:
    """Take the sketch of a matrix, of which only `ROWS` rows are read."""
    numbers = np.sort(np.random.default_rng(seed).choice(shape[0], ROWS, replace=False)).astype(np.int64)
    part = rows_of(numbers)
    largest = np.argpartition(-np.abs(part), LARGEST, axis=1)[:, :LARGEST]
    columns = np.sort(largest, axis=1)
    return Sketch(
        shape=shape,
        rows=numbers.astype("<u4").tobytes(),
        columns=columns.astype("<u4").tobytes(),
        signs=np.packbits(np.take_along_axis(part, columns, 1) > 0).tobytes(),
    )


def agreement(known: Sketch, rows_of: Rows) -> float:
    """How much of a sketch a matrix of the same shape agrees with, from 0.5 for unrelated ones to 1.

    A matrix with all signs turned agrees as much as the original.
    """
    numbers = np.frombuffer(known.rows, "<u4").astype(np.int64)
    columns = np.frombuffer(known.columns, "<u4").astype(np.int64).reshape(len(numbers), LARGEST)
    signs: NDArray[Any] = np.unpackbits(np.frombuffer(known.signs, np.uint8))[: columns.size].reshape(columns.shape)
    taken = np.take_along_axis(rows_of(numbers), columns, 1)
    # What was pruned to zero has no sign to agree or disagree.
    counted = taken != 0
    if not counted.any():
        return 0.5
    same = float(((taken > 0) == signs.astype(bool))[counted].mean())
    return max(same, 1.0 - same)
