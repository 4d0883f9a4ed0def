"""Are the bytes the machine fetches streams that exist, and does it read them as they stand?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel_sim.dataflows.mixed_vector.dataflow import MixedVector
from accel_sim.dataflows.mixed_vector.stream import EncodedTile, Stored, cut_into_tiles, entries_of
from accel_sim.inputs.activations import Activations
from sparse_formats.formats.mixed_vectors import MixedVectors
from sparse_formats.masks.decompose import decompose, decompose_oriented
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import Orientation, VectorLayout
from tests.accel_sim.dataflows.mixed_vector.reference.tile_stream import TileStream
from tests.accel_sim.workloads import random_matrix, roomy, simulated, vector_matrix

pytestmark = pytest.mark.rule(microarchitecture=3)

# Tiles of 64 outputs, by 64 inputs where the buffer is small.
SMALL_BUFFER = "weight_buffer.bytes=16384"
TILES_OF_64 = ("accumulators_per_pe=32", "sets=2")
# Strips of 24 outputs: no vector of 16 or more is aligned to them.
STRIPS_OF_24 = ("pe_rows=3", "lanes=8", "accumulators_per_pe=8", "policy=interleaved")

MATRICES = {
    "one tile": (random_matrix((60, 60), 0.3), TILES_OF_64),
    "strips": (random_matrix((200, 90), 0.2), TILES_OF_64),
    "input ranges": (random_matrix((130, 777), 0.5), (*TILES_OF_64, SMALL_BUFFER)),
    "vectors cut at strips": (
        vector_matrix((200, 96), "vertical", 128, 0.4),
        TILES_OF_64,
    ),
    "vectors cut at ranges": (
        vector_matrix((100, 2000), "horizontal", 128, 0.4),
        (*TILES_OF_64, SMALL_BUFFER),
    ),
    "nothing kept": (random_matrix((70, 70), 0.0), TILES_OF_64),
    "all kept": (random_matrix((130, 300), 1.0), (*TILES_OF_64, SMALL_BUFFER)),
    "strips of 24, vertical": (
        vector_matrix((200, 96), "vertical", 64, 0.4),
        STRIPS_OF_24,
    ),
    "strips of 24, horizontal": (
        vector_matrix((100, 700), "horizontal", 64, 0.4),
        (*STRIPS_OF_24, "weight_buffer.bytes=1024"),
    ),
    "lengths of 12 in strips of 24": (
        vector_matrix((199, 50), "vertical", 12, 0.4),
        STRIPS_OF_24,
    ),
    "lengths of 48 in strips of 24": (
        vector_matrix((199, 50), "vertical", 48, 0.4),
        STRIPS_OF_24,
    ),
    "lengths of 10 in input ranges": (
        vector_matrix((40, 333), "horizontal", 10, 0.4),
        (*STRIPS_OF_24, "weight_buffer.bytes=512"),
    ),
}


def streams_of(
    tiles: Sequence[EncodedTile], matrix: MaskedMatrix, layout: VectorLayout, lanes: int
) -> list[bytes]:
    """Each tile as a mixed-vector matrix of its own, in FP16, in the decompressor's order."""
    streams: list[bytes] = []
    for tile in tiles:
        stream = stream_of(tile, matrix, layout, lanes)
        data = stream.to_bytes()
        again = TileStream.from_bytes(data, stream.descriptor()).matrix
        (keep, weight), (kept, weights) = stream.matrix.decode(), again.decode()
        assert weight is not None and weights is not None
        assert (kept == keep).all() and weights.tobytes() == weight.tobytes()
        streams.append(data)
    return streams


def stream_of(
    tile: EncodedTile, matrix: MaskedMatrix, layout: VectorLayout, lanes: int
) -> TileStream:
    """The tile, its weights in FP16, for a machine of so many lanes."""
    (row0, row1), (col0, col1) = tile.rows, tile.cols
    is_horizontal = layout.orientation == "horizontal"
    line0, axis0 = (row0, col0) if is_horizontal else (col0, row0)
    axis = matrix.shape[1 if is_horizontal else 0]
    cut = VectorLayout(
        layout.orientation,
        tile.lines - np.int32(line0),
        tile.starts - np.int32(axis0),
        nominal_lengths(tile, layout, axis, axis0),
    )
    weight: Any = matrix.weight
    weights = weight[row0:row1, col0:col1].astype(np.float16)
    return TileStream(MixedVectors.encode(matrix.keep[row0:row1, col0:col1], weights, cut), lanes)


def nominal_lengths(tile: EncodedTile, layout: VectorLayout, axis: int, axis0: int) -> Any:
    """What is covered; but more for a vector that the matrix' edge, and nothing else, cut short."""
    told = zip(layout.lines.tolist(), layout.starts.tolist(), layout.lengths.tolist(), strict=True)
    overrunning = {(line, start): n for line, start, n in told if start + n > axis}
    lengths: list[int] = []
    for line, start, end in zip(tile.lines, tile.starts, tile.ends, strict=True):
        nominal = overrunning.get((int(line), int(start)), 0)
        stays = end == axis and nominal and (start - axis0) % nominal == 0
        lengths.append(nominal if stays else int(end - start))
    return np.array(lengths, np.int32)


@pytest.mark.parametrize(("matrix", "given_"), MATRICES.values(), ids=MATRICES)
def test_is_a_tile_as_long_as_its_stream(matrix: MaskedMatrix, given_: tuple[str, ...]) -> None:
    machine = roomy(*given_)
    layout = matrix.vectors or decompose(matrix.keep)
    tiles = cut_into_tiles(Stored(layout, matrix.shape), machine)
    streams = streams_of(tiles, matrix, layout, machine.array.lanes)
    assert [tile.bytes for tile in tiles] == [len(stream) for stream in streams]


@pytest.mark.parametrize(("matrix", "given_"), MATRICES.values(), ids=MATRICES)
def test_are_the_bytes_read_the_streams_rounded_to_bursts(
    matrix: MaskedMatrix, given_: tuple[str, ...]
) -> None:
    machine = roomy(*given_)
    layout = matrix.vectors or decompose(matrix.keep)
    tiles = cut_into_tiles(Stored(layout, matrix.shape), machine)
    burst = machine.dram.burst_bytes
    streams = streams_of(tiles, matrix, layout, machine.array.lanes)
    expected = sum(-(-len(stream) // burst) * burst for stream in streams)
    (result,) = simulated([matrix], machine, Activations(tokens=2), is_checked=False)
    assert result.dram_bytes == expected


def same_entries(
    tile: EncodedTile, stream: TileStream, orientation: Orientation, machine: MixedVector
) -> None:
    """Does the simulator deliver what the stream's reader finds, bit by bit and in its order?"""
    mine = entries_of(tile, orientation, machine)
    read = stream.entries(16, machine.array.packing)
    col0, lanes = tile.cols[0], machine.array.lanes
    position = (mine.lo - col0) // (lanes if orientation == "horizontal" else 1)
    assert position.tolist() == read.position.tolist()
    assert mine.unit.tolist() == read.unit.tolist()
    assert mine.lanes.tolist() == read.lanes.tolist()
    assert mine.bits.tolist() == read.bits.tolist()
    assert tile.header_bits + int(mine.bits.sum()) == tile.bits


@pytest.mark.parametrize("packing", ["true", "false"])
@pytest.mark.parametrize(("matrix", "given_"), MATRICES.values(), ids=MATRICES)
def test_are_the_entries_those_of_the_stream(
    matrix: MaskedMatrix, given_: tuple[str, ...], packing: str
) -> None:
    machine = roomy(*given_, f"array.packing={packing}")
    layout = matrix.vectors or decompose(matrix.keep)
    for tile in cut_into_tiles(Stored(layout, matrix.shape), machine):
        stream = stream_of(tile, matrix, layout, machine.array.lanes)
        same_entries(tile, stream, layout.orientation, machine)


@given(
    st.sampled_from(("horizontal", "vertical")),
    st.tuples(st.integers(1, 70), st.integers(1, 150)),
    st.sampled_from((1, 2, 3, 4, 6, 8, 12, 16, 48, 64, 128)),
    st.sampled_from(((1, 4, 8, 16, 32, 64), (1, 2, 4), (3, 6, 12), (5, 10), None)),
    st.sampled_from((0.1, 0.5, 1.0)),
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 4), st.sampled_from((1, 3, 4, 8)), st.integers(1, 5)),
    st.sampled_from((512, 1024, 4096)),
    st.sampled_from(("true", "false")),
)
@settings(max_examples=2 * settings().max_examples)
def test_are_they_however_the_tiles_are_cut(
    orientation: Orientation,
    shape: tuple[int, int],
    length: int,
    menu: tuple[int, ...] | None,
    density: float,
    seed: int,
    array: tuple[int, int, int],
    buffer: int,
    packing: str,
) -> None:
    pe_rows, lanes, units = array
    matrix = vector_matrix(shape, orientation, length, density, seed)
    # Of one length, or cut anew.
    layout = matrix.vectors if menu is None else decompose_oriented(matrix.keep, orientation, menu)
    assert layout is not None
    machine = roomy(
        f"pe_rows={pe_rows}",
        f"lanes={lanes}",
        f"accumulators_per_pe={lanes * units}",
        "policy=interleaved",
        f"weight_buffer.bytes={buffer}",
        f"array.packing={packing}",
    )
    tiles = cut_into_tiles(Stored(layout, shape), machine)
    streams = streams_of(tiles, matrix, layout, lanes)
    assert [tile.bytes for tile in tiles] == [len(stream) for stream in streams]
    for tile in tiles:
        same_entries(tile, stream_of(tile, matrix, layout, lanes), orientation, machine)
