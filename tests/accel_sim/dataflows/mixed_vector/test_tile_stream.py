"""Are the bytes of a tile those of docs/microarchitecture.md §3, bit by bit, and can they be read?

The streams here are put together by hand, field by field.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.accel_sim.dataflows.mixed_vector.reference.machine import Machine, ceil_div
from tests.accel_sim.dataflows.mixed_vector.reference.tile_stream import (
    described,
    from_bytes,
    to_bytes,
    weights_of,
)
from tests.accel_sim.dataflows.mixed_vector.reference.tiles import (
    Choice,
    Fields,
    Matrix,
    Tile,
    next_width,
    tiles_of,
)

pytestmark = pytest.mark.rule(microarchitecture=3)


def bits_of(*fields: tuple[int, int]) -> bytes:
    """Fields of (number, width), one behind the other from the lowest bit, in whole bytes."""
    whole, at = 0, 0
    for number, width in fields:
        whole |= number << at
        at += width
    return whole.to_bytes(ceil_div(at, 8), "little")


def tile_of(keep: Sequence[Sequence[int]], choice: Choice, is_dense: bool, **settings: Any) -> Tile:
    """The only tile of a mask, on a small machine of int8."""
    machine = Machine().having(
        {
            "array.lanes": 4,
            "array.lane_groups": (1, 2, 4),
            "array.accumulators_per_pe": 8,
            "array.datatype": "int8",
            "scheduler.policy": "interleaved",
            "decompressor.word_bytes": 4,
        }
        | {f"array.{key}": value for key, value in settings.items()}
    )
    mask = np.array(keep, np.bool_)
    matrix = Matrix.dense(mask.shape) if is_dense else Matrix.pruned(mask, None, "row", machine)
    (tile,) = tiles_of(matrix, choice, machine)
    return tile


def check(tile: Tile, data: bytes) -> None:
    """The value at (output, input) is 16·output + input + 1."""
    rows, cols = len(tile.strip), len(tile.inputs)
    values = [[16 * out + col + 1 for col in range(cols)] for out in range(rows)]
    assert to_bytes(tile, values) == data
    assert len(data) == tile.bytes
    told = described(tile)
    read = weights_of(from_bytes(data, told, tile.machine), told, tile.machine)
    kept = {cell for entry in tile.entries for cell in entry.cells}
    assert read == {(out, col): values[out][col] for out, col in kept}


DESCRIPTOR = bytes(16)


def test_which_bits_has_a_tile_of_row_mode() -> None:
    # Two slots of 4 lanes; unit 0 and 2 are numbers 0 and 1 of slot 0, unit 1 is 0 of slot 1.
    # Entries (position, unit): (0, 0) full, (0, 1), (1, 1), (1, 2): d = 1, t = 1. Bitmaps of 4 take
    # 16 bits; a flag each and three bitmaps take as many: the lower pattern.
    keep = [[1, 1, 1, 1, 0, 0], [0, 1, 0, 0, 1, 1], [0, 0, 0, 0, 0, 1]]
    tile = tile_of(keep, Choice("row", 1), False, pe_rows=2)
    assert tile.fields == Fields(1, 1, 1)
    slot_0 = bits_of(
        *((0, 1), (0, 1), (0b1111, 4), (1, 8), (2, 8), (3, 8), (4, 8)),
        *((1, 1), (1, 1), (0b0010, 4), (38, 8)),
    )
    slot_1 = bits_of(
        *((0, 1), (0, 1), (0b0010, 4), (18, 8)),
        *((1, 1), (0, 1), (0b0011, 4), (21, 8), (22, 8)),
    )
    assert (len(slot_0), len(slot_1)) == (7, 5)
    table = bits_of((0, 1), (1, 1), (0, 1))  # Of units 0, 1 and 2.
    records = bits_of((2, 16), (7, 16), (2, 16), (5, 16))
    words = slot_0[:4] + slot_1[:4] + slot_0[4:] + slot_1[4:]
    check(tile, DESCRIPTOR + table + records + words)
    # A word of records and two of the longer sub-stream in each of two rows.
    assert (tile.header_words, tile.row_words, tile.room) == (1, [3, 3], 2 * 4 * 3)


def test_which_bits_has_a_tile_of_column_mode() -> None:
    # Two slots of 2 lanes of one PE row. Units 0, 1 and 2, of which the last has one output.
    # Slot 0: (0, 0) full, (0, 2), (1, 0), (2, 0) full; slot 1: (0, 1) full, (2, 1) full: d = 2,
    # t = 1. Four flags and two flags with bitmaps: 10 bits, instead of 12 of bitmaps alone.
    keep = [[1, 0, 1], [1, 1, 1], [1, 0, 1], [1, 0, 1], [1, 0, 0]]
    tile = tile_of(keep, Choice("column", 2), False, pe_rows=1)
    assert tile.fields == Fields(2, 1, 2)
    slot_0 = bits_of(
        *((1, 1), (0, 2), (0, 1), (1, 8), (17, 8)),
        *((0, 1), (0, 2), (1, 1), (0b01, 2), (65, 8)),
        *((0, 1), (1, 2), (0, 1), (0b10, 2), (18, 8)),
        *((1, 1), (1, 2), (0, 1), (3, 8), (19, 8)),
    )
    slot_1 = bits_of(
        *((1, 1), (0, 2), (0, 1), (33, 8), (49, 8)),
        *((1, 1), (2, 2), (0, 1), (35, 8), (51, 8)),
    )
    assert (len(slot_0), len(slot_1)) == (9, 5)
    table = bits_of((0, 1), (1, 1), (0, 1))
    records = bits_of((4, 16), (9, 16), (2, 16), (5, 16))
    words = slot_0[:4] + slot_1[:4] + slot_0[4:8] + slot_1[4:] + slot_0[8:]
    check(tile, DESCRIPTOR + table + records + words)
    # Two words of records; 3 and 2 words.
    assert (tile.header_words, tile.row_words) == (2, [7])


def test_has_a_tile_of_full_entries_no_bitmaps() -> None:
    # One slot, so a table of no bits; units 0 and 1, t = 1; positions 0 and 2, d = 2.
    keep = [[1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1], [0] * 8 + [1] * 4]
    tile = tile_of(keep, Choice("row", 1), False, pe_rows=1)
    assert tile.fields == Fields(2, 1, 0)
    slot = bits_of(
        *((0, 2), (0, 1), (1, 8), (2, 8), (3, 8), (4, 8)),
        *((2, 2), (0, 1), (9, 8), (10, 8), (11, 8), (12, 8)),
        *((0, 2), (1, 1), (25, 8), (26, 8), (27, 8), (28, 8)),
    )
    check(tile, DESCRIPTOR + bits_of((3, 16), (len(slot), 16)) + slot)


def test_has_a_tile_without_entries_records_only() -> None:
    tile = tile_of([[0, 0]] * 3, Choice("row", 2), False, pe_rows=2)
    assert tile.fields == Fields(0, 0, 0)
    # Three units on four slots: 2 bits each.
    check(tile, DESCRIPTOR + bits_of((0, 2), (1, 2), (2, 2)) + bytes(4 * 4))
    assert tile.room == 2 * 4 * 2


def test_which_bits_have_entries_with_selects() -> None:
    # The page's: lane i has the candidates i and i + 4 in row mode; lane 0 keeps both of its, so
    # there is a second entry. d = t = 0. Bitmaps of 8 bits, or flags besides.
    tile = tile_of([[1, 0, 0, 1, 1, 1, 0, 0]], Choice("row", 1, 2), False, pe_rows=1)
    assert tile.fields == Fields(0, 0, 1)
    slot = bits_of(
        *((0b1011, 4), (0, 1), (1, 8), (1, 1), (6, 8), (0, 1), (4, 8)),
        *((0b0001, 4), (1, 1), (5, 8)),
    )
    assert [(entry.lo, entry.hi) for entry in tile.entries] == [(0, 8), (0, 8)]
    check(tile, DESCRIPTOR + bits_of((2, 16), (len(slot), 16)) + slot)
    # The same bits in column mode, where select 0 is input 0 and select 1 input 1.
    keep = [[1, 1], [0, 1], [0, 0], [1, 0]]
    column = tile_of(keep, Choice("column", 1, 2), False, pe_rows=1)
    values = [[1, 5], [0, 6], [0, 0], [4, 0]]
    assert to_bytes(column, values) == DESCRIPTOR + bits_of((2, 16), (len(slot), 16)) + slot
    # And with the page's values.
    page = to_bytes(tile, [[3, 0, 0, 17, 5, 256 - 2, 0, 0]])
    assert page[20:] == bytes.fromhex("6b a0 bf 88 58 00")


def test_have_lanes_at_ragged_ends_fewer_candidates() -> None:
    # Positions of 4·4 inputs, the second with 16 … 21: lanes 0 and 1 have two candidates there,
    # lanes 2 and 3 one. Three slots hold nothing but the record.
    keep = [[0] * 15 + [1] + [0, 1, 1, 1, 1, 1]]
    tile = tile_of(keep, Choice("row", 1, 4), False, pe_rows=1)
    assert [(entry.lo, entry.hi) for entry in tile.entries] == [(0, 16), (16, 22), (16, 22)]
    assert [entry.lanes for entry in tile.entries] == [[3], [0, 1, 2, 3], [1]]
    assert [entry.selects for entry in tile.entries] == [[3], [1, 0, 0, 0], [1]]
    slot = bits_of(
        *((0, 1), (0, 1), (0b1000, 4), (3, 2), (16, 8)),
        *((1, 1), (1, 1), (1, 2), (21, 8), (0, 2), (18, 8), (0, 2), (19, 8), (0, 2), (20, 8)),
        *((0, 1), (0, 1), (0b0010, 4), (1, 2), (22, 8)),
    )
    # d = 1; three flags and two bitmaps take 11 bits, three bitmaps 12.
    assert tile.fields == Fields(1, 0, 2)
    check(tile, DESCRIPTOR + bits_of((3, 16), (len(slot), 16)) + slot)
    # Column mode: positions of inputs 0, 1 and of input 2; units of 4 outputs and of 1.
    tall = [[1, 1, 1], [0, 1, 0], [0, 0, 0], [1, 0, 1], [0, 1, 1]]
    column = tile_of(tall, Choice("column", 1, 2), False, pe_rows=1)
    assert [
        (entry.position, entry.unit, entry.lo, entry.hi, entry.lanes, entry.selects)
        for entry in column.entries
    ] == [
        (0, 0, 0, 2, [0, 1, 3], [0, 1, 0]),
        (0, 0, 0, 2, [0], [1]),
        (0, 1, 0, 2, [0], [1]),
        (1, 0, 2, 3, [0, 3], [0, 0]),
        (1, 1, 2, 3, [0], [0]),
    ]


@pytest.mark.parametrize(
    ("choice", "slots"),
    [
        # Row mode: positions of 4 and 2 inputs; units 0 and 2 in slot 0, unit 1 in slot 1.
        (
            Choice("row", 1),
            ([1, 2, 3, 4, 33, 34, 35, 36, 5, 6, 37, 38], [17, 18, 19, 20, 21, 22]),
        ),
        # Column mode: one unit of three outputs, all in slot 0.
        (Choice("column", 1), ([16 * y + x + 1 for x in range(6) for y in range(3)], [])),
    ],
)
def test_is_a_dense_tile_values_only(choice: Choice, slots: tuple[list[int], list[int]]) -> None:
    tile = tile_of([[1] * 6] * 3, choice, True, pe_rows=2)
    entries = [len(numbers) for numbers in tile.entries_of_slot]
    records = [field for n, slot in zip(entries, slots, strict=True) for field in (n, len(slot))]
    words: list[int] = []
    for at in range(0, max(map(len, slots)), 4):
        words += slots[0][at : at + 4] + slots[1][at : at + 4]
    check(tile, DESCRIPTOR + bits_of(*((number, 16) for number in records)) + bytes(words))


@pytest.mark.parametrize(
    ("width", "narrower"),
    [(2, 1), (7, 4), (127, 64), (128, 64), (129, 128), (193, 128), (1000, 512), (3072, 1536)],
)
def test_which_width_comes_next(width: int, narrower: int) -> None:
    assert next_width(width) == narrower


def test_are_positions_beyond_twenty_bits_cut() -> None:
    # One weight at the end of 2²⁰ + 1 inputs: in column mode d = 21. The next width is 2¹⁹ + 64.
    machine = Machine()
    keep = [[False] * 2**20 + [True]]
    tiles = tiles_of(Matrix(keep, None, False), Choice("column", 1), machine)
    assert [len(tile.inputs) for tile in tiles] == [2**19 + 64, 2**19 - 63]
    assert [tile.fields.d for tile in tiles] == [0, 19]
