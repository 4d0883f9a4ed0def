"""Entries that tell the number of dropped weights before them in few bits.

Where more than 2^k − 1 are dropped in a row, a padding zero is stored after each 2^k − 1 of them:
an entry with the greatest run and the value 0, which stands for 2^k dropped weights. Source: EIE
(ISCA 2016), k = 4. A matrix of R rows is dealt out to P processing elements
(PEs): row r is local row r // P of PE r mod P; a run counts local rows of one column of one PE.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.formats.parts.bitstream import BitReader, read_values
from sparse_formats.formats.parts.value_types import ValueType, bit_view
from sparse_formats.storage import Storage

MOST_RUN_BITS = 8


@dataclass(frozen=True, eq=False)
class Runs:
    """Entries, PE by PE, column by column, ascending rows.

    pointers: int64 (pes · cols + 1): where each column of each PE begins.
    runs: uint8; is_padding: bool: one item an entry.
    """

    pointers: NDArray[np.int64]
    runs: NDArray[np.uint8]
    is_padding: NDArray[np.bool_]

    @property
    def padding_zeros(self) -> int:
        """Entries that keep nothing."""
        return int(np.count_nonzero(self.is_padding))

    @property
    def nnz(self) -> int:
        return len(self.runs) - self.padding_zeros

    def storage(self, value_bits: int, run_bits: int, pointers: int = 0) -> Storage:
        """(nnz + padding zeros)·(v + k) bits, and those of the `pointers`."""
        return Storage(
            values=self.nnz * value_bits,
            indices=self.nnz * run_bits,
            pointers=pointers,
            padding=self.padding_zeros * (value_bits + run_bits),
        )


def encode_runs(
    keep: NDArray[np.bool_], weight: NDArray[Any] | None, run_bits: int, pes: int
) -> tuple[Runs, NDArray[Any] | None]:
    """The entries of bool mask `keep`, and their weights, 0 where padding.

    run_bits: k, 1 … 8. pes: P ≥ 1.

    Raises:
        InputError: run_bits or pes out of range.
    """
    if not 1 <= run_bits <= MOST_RUN_BITS or pes < 1:
        raise InputError(
            f"run_bits is {run_bits}, pes is {pes}; give 1..{MOST_RUN_BITS} bits and at "
            "least one processing element"
        )
    keep = np.ascontiguousarray(keep)
    cols = keep.shape[1]
    next_row = np.zeros(pes * cols, np.int64)
    counts = np.zeros(pes * cols + 1, np.int64)
    _count(keep, run_bits, pes, next_row, counts)
    pointers = np.cumsum(counts)
    total = int(pointers[-1])
    runs, is_padding = np.empty(total, np.uint8), np.empty(total, np.bool_)
    data = None if weight is None else np.empty(total, weight.dtype)
    next_row[:] = 0
    _write(
        keep,
        np.zeros((1, 1), np.uint8) if weight is None else bit_view(np.ascontiguousarray(weight)),
        weight is not None,
        run_bits,
        pes,
        next_row,
        pointers[:-1].copy(),
        runs,
        is_padding,
        np.empty(0, np.uint8) if data is None else bit_view(data),
    )
    return Runs(pointers, runs, is_padding), data


def decode_runs(
    entries: Runs,
    data: NDArray[Any] | None,
    shape: tuple[int, int],
    run_bits: int,
    pes: int,
) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
    """The mask and the weights of `shape`."""
    keep = np.zeros(shape, np.bool_)
    weight = np.zeros((0, 0) if data is None else shape, np.uint8 if data is None else data.dtype)
    _spread(
        entries.pointers,
        entries.runs,
        entries.is_padding,
        np.zeros(1, np.uint8) if data is None else bit_view(data),
        data is not None,
        run_bits,
        pes,
        keep,
        bit_view(weight),
    )
    return keep, None if data is None else weight


def check_telling(entries: Runs, data: NDArray[Any] | None, run_bits: int, where: str) -> None:
    """InputError if the stream would not tell a kept entry from a padding zero.

    That is one with the greatest run and the value 0 (or any value, in a stream without values).
    """
    doubtful = ~entries.is_padding & (entries.runs == (1 << run_bits) - 1)
    if data is not None:
        doubtful &= bit_view(data) == 0
    if doubtful.any():
        kind = "an entry without a value" if data is None else "a kept zero"
        raise InputError(
            f"{where}: entry {int(np.argmax(doubtful))} is {kind} behind exactly "
            f"{(1 << run_bits) - 1} dropped weights, which the stream cannot distinguish from a "
            'padding zero; pack with other run_bits, or as "csc" or "bitmap"'
        )


def read_entries(
    reader: BitReader,
    pointers: NDArray[np.int64],
    shape: tuple[int, int],
    run_bits: int,
    pes: int,
    value_type: ValueType | None,
) -> tuple[Runs, NDArray[Any] | None]:
    """The runs and values of a stream, the last of its sections.

    Raises:
        InputError: a run leaves its column, or padding ends one; the stream is too short or long.
    """
    total, first_run = int(pointers[-1]), reader.at
    runs = reader.read("runs", total, run_bits, np.uint8)
    data = read_values(reader, total, value_type)
    reader.finish()
    is_padding = runs == (1 << run_bits) - 1
    if data is not None:
        is_padding &= bit_view(data) == 0
    wrong = int(_first_wrong(pointers, runs, is_padding, run_bits, pes, *shape))
    if wrong >= 0:
        raise reader.fail(
            first_run + wrong * run_bits,
            f"entry {wrong} leaves its column of {shape[0]} rows, or is padding that ends it",
        )
    return Runs(pointers, runs, is_padding), data


@njit(cache=True)
def _count(
    keep: NDArray[np.bool_],
    run_bits: int,
    pes: int,
    next_row: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    rows, cols = keep.shape
    pe, local = 0, 0
    for row in range(rows):
        base = pe * cols
        for col in range(cols):
            if keep[row, col]:
                counts[base + col + 1] += ((local - next_row[base + col]) >> run_bits) + 1
                next_row[base + col] = local + 1
        pe += 1
        if pe == pes:
            pe, local = 0, local + 1


@njit(cache=True)
def _write(
    keep: NDArray[np.bool_],
    weight: NDArray[Any],
    has_data: bool,
    run_bits: int,
    pes: int,
    next_row: NDArray[np.int64],
    cursor: NDArray[np.int64],
    runs: NDArray[np.uint8],
    is_padding: NDArray[np.bool_],
    data: NDArray[Any],
) -> None:
    rows, cols = keep.shape
    longest = (1 << run_bits) - 1
    pe, local = 0, 0
    for row in range(rows):
        base = pe * cols
        for col in range(cols):
            if keep[row, col]:
                gap, k = local - next_row[base + col], cursor[base + col]
                while gap > longest:
                    runs[k] = longest
                    is_padding[k] = True
                    if has_data:
                        data[k] = 0
                    k += 1
                    gap -= longest + 1
                runs[k] = gap
                is_padding[k] = False
                if has_data:
                    data[k] = weight[row, col]
                cursor[base + col] = k + 1
                next_row[base + col] = local + 1
        pe += 1
        if pe == pes:
            pe, local = 0, local + 1


@njit(cache=True)
def _spread(
    pointers: NDArray[np.int64],
    runs: NDArray[np.uint8],
    is_padding: NDArray[np.bool_],
    data: NDArray[Any],
    has_data: bool,
    run_bits: int,
    pes: int,
    keep: NDArray[np.bool_],
    weight: NDArray[Any],
) -> None:
    cols = keep.shape[1]
    for line in range(len(pointers) - 1):
        row, col = line // cols, line % cols
        for k in range(pointers[line], pointers[line + 1]):
            row += np.int64(runs[k]) * pes
            if not is_padding[k]:
                keep[row, col] = True
                if has_data:
                    weight[row, col] = data[k]
            row += pes


@njit(cache=True)
def _first_wrong(
    pointers: NDArray[np.int64],
    runs: NDArray[np.uint8],
    is_padding: NDArray[np.bool_],
    run_bits: int,
    pes: int,
    rows: int,
    cols: int,
) -> int:
    for line in range(len(pointers) - 1):
        row = line // cols
        for k in range(pointers[line], pointers[line + 1]):
            row += np.int64(runs[k]) * pes
            if row >= rows or (is_padding[k] and k == pointers[line + 1] - 1):
                return k
            row += pes
    return -1
