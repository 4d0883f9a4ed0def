"""Do the bytes that the decompressor reads, in the order of its entries, give the matrix back?"""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.formats.mixed_vectors import MixedVectors
from sparse_formats.formats.parts.value_types import VALUE_TYPES, from_patterns
from sparse_formats.masks.vectors import Orientation, VectorLayout
from tests.accel_sim.dataflows.mixed_vector.reference.tile_stream import TileStream

pytestmark = pytest.mark.rule(microarchitecture=3)

MENUS = ((1, 4, 8, 16, 32, 64), (1, 2, 4), (3, 6, 12), (5, 10), (8,), (128,))


def drawn(
    orientation: Orientation,
    shape: tuple[int, int],
    menu: tuple[int, ...],
    density: float,
    seed: int,
    value_type: str | None,
) -> MixedVectors:
    """Vectors of the menu left to right with gaps; any bit patterns as weights."""
    rng = np.random.default_rng(seed)
    lines, axis = shape if orientation == "horizontal" else shape[::-1]
    found: list[tuple[int, int, int]] = []
    for line in range(lines):
        at = 0
        while at < axis:
            length = int(rng.choice([n for n in menu if at % n == 0]))
            if rng.random() < density:
                found.append((line, at, length))
                at += length
            else:
                at += menu[0]
    columns = np.array(found, np.int32).reshape(-1, 3).T
    layout = VectorLayout(orientation, *(np.ascontiguousarray(column) for column in columns))
    keep = layout.keep(shape)
    if value_type is None:
        return MixedVectors.encode(keep, None, layout)
    typed = VALUE_TYPES[value_type]
    bits = rng.integers(0, 1 << min(typed.bits, 63), shape, np.uint64)
    bits[~keep] = 0
    return MixedVectors.encode(keep, from_patterns(bits, typed), layout)


streams = st.builds(
    TileStream,
    st.builds(
        drawn,
        st.sampled_from(("horizontal", "vertical")),
        st.tuples(st.integers(0, 20), st.integers(0, 150)),
        st.sampled_from(MENUS),
        st.sampled_from((0.0, 0.1, 0.5, 1.0)),
        st.integers(0, 2**32 - 1),
        st.none() | st.sampled_from(sorted(VALUE_TYPES)),
    ),
    st.integers(1, 64),
)


def bits_of(*fields: tuple[int, int]) -> bytes:
    """Fields of (number, width), one behind the other from the lowest bit."""
    whole, at = 0, 0
    for number, width in fields:
        whole |= number << at
        at += width
    return whole.to_bytes(-(-at // 8), "little")


KEEP = np.array([[1, 1, 1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1, 1, 0]], bool)
# Three slots of 3 entries: 0..2, 3..5, 6..7. Length code 0 = one entry, 1 = four.
LINES = VectorLayout(
    "horizontal", *(np.array(a, np.int32) for a in ([0, 0, 1, 1], [0, 4, 5, 6], [4, 1, 1, 1]))
)
WEIGHT = np.where(KEEP, np.arange(16).reshape(2, 8) * 3, 0).astype(np.int8)
HEADER = ((0, 3), (2, 3), (4, 3))


def test_in_which_order_do_the_bits_of_horizontal_vectors_stand() -> None:
    stream = TileStream(MixedVectors.encode(KEEP, WEIGHT, LINES), 3)
    index, code, weight = 3, 1, 8
    assert stream.to_bytes() == bits_of(
        (0, 1),
        *HEADER,
        # Slot 0, line 0: its first vector, of which three weights lie here.
        *((0, index), (1, code), (0, weight), (3, weight), (6, weight)),
        # Slot 0, line 1: nothing, but where its first vector begins.
        *((5, index), (0, code)),
        # Slot 1, line 0: the rest of it, the next one, which begins here too; then no more.
        *((9, weight), (4, index), (0, code), (12, weight)),
        # Slot 1, line 1: its first vector, and where the next begins.
        *((39, weight), (6, index), (0, code)),
        # Slot 2, line 1.
        (42, weight),
    )
    entries = stream.entries(8, is_packed=True)
    assert entries.position.tolist() == [0, 1, 1, 2]
    assert entries.unit.tolist() == [0, 0, 1, 1]
    assert entries.lanes.tolist() == [0b111, 0b011, 0b100, 0b001]
    assert entries.bits.tolist() == [4 + 24, 4 + 8 + 4 + 8, 8 + 4, 8]
    pieces = stream.entries(8, is_packed=False)
    assert pieces.lanes.tolist() == [0b111, 0b001, 0b010, 0b100, 0b001]
    assert pieces.bits.tolist() == [28, 4 + 8 + 4, 8, 12, 8]


def test_in_which_order_do_the_bits_of_vertical_vectors_stand() -> None:
    lines = replace(LINES, orientation="vertical")
    weight = np.ascontiguousarray(WEIGHT.T)
    stream = TileStream(MixedVectors.encode(np.ascontiguousarray(KEEP.T), weight, lines), 3)
    index, code, weight_bits = 3, 1, 8
    assert stream.to_bytes() == bits_of(
        (1, 1),
        *HEADER,
        *((0, index), (1, code), *((n, weight_bits) for n in (0, 3, 6, 9))),
        *((4, index), (0, code), (12, weight_bits)),
        *((5, index), (0, code), (39, weight_bits)),
        *((6, index), (0, code), (42, weight_bits)),
    )
    entries = stream.entries(8, is_packed=True)
    assert entries.position.tolist() == [0, 0, 1, 1]
    assert entries.unit.tolist() == [0, 1, 1, 2]
    assert entries.lanes.tolist() == [0b111, 0b011, 0b100, 0b001]
    # Line 1's first index is read in its slot 0, so on the way to its first entry.
    assert entries.bits.tolist() == [28, 8 + 4 + 8, 4 + 8 + 4, 8]


@given(streams)
@settings(max_examples=2 * settings().max_examples)
def test_is_it_as_long_as_the_matrix_and_gives_it_back(stream: TileStream) -> None:
    data, matrix = stream.to_bytes(), stream.matrix
    assert len(data) == len(matrix.to_bytes())
    again = TileStream.from_bytes(data, stream.descriptor())
    for name in ("lines", "starts", "lengths"):
        mine, right = (getattr(one.matrix.vectors, name) for one in (again, stream))
        assert mine.dtype == right.dtype and (mine == right).all()
    assert again.matrix.vectors.orientation == matrix.vectors.orientation
    (keep, weight), (kept, weights) = matrix.decode(), again.matrix.decode()
    assert (kept == keep).all()
    assert (weight is None) == (weights is None)
    if weight is not None and weights is not None:
        assert weights.dtype == weight.dtype and weights.tobytes() == weight.tobytes()


@given(streams, st.integers(0, 33), st.booleans())
def test_do_entries_ascend_and_make_up_the_stream(
    stream: TileStream, value_bits: int, is_packed: bool
) -> None:
    entries, matrix = stream.entries(value_bits, is_packed), stream.matrix
    places = list(zip(entries.position.tolist(), entries.unit.tolist(), strict=True))
    assert all(a < b or (a == b and not is_packed) for a, b in pairwise(places))
    storage = matrix.storage(value_bits)
    assert int(entries.bits.sum()) == storage.bits - storage.pointers - 1
    is_row_mode = matrix.vectors.orientation == "horizontal"
    keep = np.zeros(matrix.shape, bool)
    for (position, unit), lanes in zip(places, entries.lanes.tolist(), strict=True):
        line, slot = (unit, position) if is_row_mode else (position, unit)
        for lane in range(64):
            if lanes >> lane & 1:
                at = slot * stream.lanes + lane
                assert not keep[(line, at) if is_row_mode else (at, line)]
                keep[(line, at) if is_row_mode else (at, line)] = True
    assert (keep == matrix.decode()[0]).all()


def refused_or_canonical(data: bytes, of: TileStream) -> None:
    """Nothing but an InputError that names a place, or the only stream of what was decoded."""
    descriptor = of.descriptor()
    try:
        stream = TileStream.from_bytes(data, descriptor)
    except InputError as error:
        assert "bit " in str(error) and "byte " in str(error)
        return
    typed = descriptor.value_type
    assert stream.to_bytes(typed.name if typed else None) == data
    assert stream.descriptor(typed.name if typed else None) == descriptor
    keep, weight = stream.matrix.decode()
    MixedVectors.encode(keep, weight, stream.matrix.vectors)


@given(streams, st.data())
@settings(max_examples=4 * settings().max_examples)
def test_is_a_damaged_stream_refused_or_another_matrix(
    stream: TileStream, data: st.DataObject
) -> None:
    damaged = bytearray(stream.to_bytes())
    damage = data.draw(st.sampled_from(["bits", "cut", "longer", "random"]))
    if damage == "bits" and damaged:
        for place in data.draw(st.lists(st.integers(0, len(damaged) * 8 - 1), max_size=3)):
            damaged[place // 8] ^= 1 << place % 8
    elif damage == "cut":
        damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
    elif damage == "longer":
        damaged += data.draw(st.binary(min_size=1, max_size=9))
    elif damage == "random":
        damaged = bytearray(data.draw(st.binary(max_size=len(damaged) + 8)))
    refused_or_canonical(bytes(damaged), stream)


def flipped(bit: int) -> NDArray[Any]:
    stream = bytearray(TileStream(MixedVectors.encode(KEEP, WEIGHT, LINES), 3).to_bytes())
    stream[bit // 8] ^= 1 << bit % 8
    return np.frombuffer(bytes(stream), np.uint8)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        # Header 10 bits; index 10..12, code 13, weights 14..37; line 1's first index 38..40.
        (lambda: flipped(1), "bit 1 (byte 0) of the stream: the first pointer must be 0"),
        (lambda: flipped(6), "bit 7 (byte 0) of the stream: pointer 2 falls from 6 to 4"),
        (lambda: flipped(10), "bit 10 (byte 1) of the stream: vector 0 starts at 1 of 8 entries"),
        (lambda: flipped(41), "bit 38 (byte 4) of the stream: vector 2 starts at 5 of 8 entries"),
        (lambda: flipped(50)[:8], "the stream ends within the index"),
    ],
)
def test_which_bit_is_named(damage: Any, says: str) -> None:
    descriptor = TileStream(MixedVectors.encode(KEEP, WEIGHT, LINES), 3).descriptor()
    with pytest.raises(InputError) as caught:
        TileStream.from_bytes(damage().tobytes(), descriptor)
    assert says in str(caught.value)


def test_is_a_line_of_too_many_vectors_refused_before_there_is_room_for_them() -> None:
    stream = TileStream(MixedVectors.encode(np.ones((1, 4), bool), None), 4)
    told = stream.descriptor()
    huge = 2**31 - 1
    descriptor = replace(
        told, shape=(1, huge), parameters={"vectors": huge, "lengths": (huge,), "lanes": 4}
    )
    data = bits_of((0, 1), (0, 31), (huge, 31))
    with pytest.raises(InputError, match="line 0 has 2147483647 vectors on 1 places"):
        TileStream.from_bytes(data, descriptor)


@pytest.mark.parametrize("lanes", [0, 65])
def test_how_many_lanes_may_there_be(lanes: int) -> None:
    matrix = MixedVectors.encode(KEEP, WEIGHT, LINES)
    with pytest.raises(InputError, match=r"lanes is \d+; give a whole number in 1..64"):
        TileStream(matrix, lanes)
