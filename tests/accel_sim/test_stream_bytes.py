"""Are the bytes the machine fetches those of the packed streams?"""

from typing import Any

import numpy as np
import pytest

from accel_sim.accelerator import Accelerator
from accel_sim.simulate import simulate
from accel_sim.stream import Stored, Tile, cut_into_tiles
from accel_sim.workload import Activations
from sparse_formats.decompose import decompose
from sparse_formats.masks import MaskedMatrix
from sparse_formats.mixed_vectors import MixedVectors
from sparse_formats.vectors import VectorLayout
from tests.accel_sim.workloads import random_matrix, roomy, vector_matrix

# Tiles of 64 outputs, by 64 inputs where the buffer is small.
SMALL_BUFFER = "weight_buffer.bytes=16384"
TILES_OF_64 = ("accumulators_per_pe=32", "sets=2")

MATRICES = {
    "one tile": (random_matrix((60, 60), 0.3), roomy(*TILES_OF_64)),
    "strips": (random_matrix((200, 90), 0.2), roomy(*TILES_OF_64)),
    "input ranges": (random_matrix((130, 777), 0.5), roomy(*TILES_OF_64, SMALL_BUFFER)),
    "vectors cut at strips": (
        vector_matrix((200, 96), "vertical", 128, 0.4),
        roomy(*TILES_OF_64),
    ),
    "vectors cut at ranges": (
        vector_matrix((100, 2000), "horizontal", 128, 0.4),
        roomy(*TILES_OF_64, SMALL_BUFFER),
    ),
    "nothing kept": (random_matrix((70, 70), 0.0), roomy(*TILES_OF_64)),
    "all kept": (random_matrix((130, 300), 1.0), roomy(*TILES_OF_64, SMALL_BUFFER)),
}


def stream_of(tile: Tile, matrix: MaskedMatrix, layout: VectorLayout) -> bytes:
    """The tile as a mixed-vector matrix of its own, in FP16, cut as the machine cuts it."""
    (row0, row1), (col0, col1) = tile.rows, tile.cols
    is_horizontal = layout.orientation == "horizontal"
    line0, axis0 = (row0, col0) if is_horizontal else (col0, row0)
    covered = tile.ends - tile.starts
    # A nominal length is longer than what is covered only at the matrix' edge, where the tile's
    # last entry is the matrix' last one too.
    nominal = {
        (int(line), int(start)): int(length)
        for line, start, length in zip(layout.lines, layout.starts, layout.lengths, strict=True)
    }
    axis = matrix.shape[1 if is_horizontal else 0]
    lengths = [
        nominal.get((int(line), int(start)), int(size)) if end == axis else int(size)
        for line, start, end, size in zip(tile.lines, tile.starts, tile.ends, covered, strict=True)
    ]
    cut = VectorLayout(
        layout.orientation,
        tile.lines - np.int32(line0),
        tile.starts - np.int32(axis0),
        np.array(lengths, np.int32),
    )
    keep = matrix.keep[row0:row1, col0:col1]
    weight: Any = matrix.weight
    weights = weight[row0:row1, col0:col1].astype(np.float16)
    encoded = MixedVectors.encode(keep, weights, cut)
    stream = encoded.to_bytes()
    kept, back = MixedVectors.from_bytes(stream, encoded.descriptor()).decode()
    assert back is not None
    assert (kept == keep).all() and back.tobytes() == np.ascontiguousarray(weights).tobytes()
    return stream


@pytest.mark.parametrize(("matrix", "machine"), MATRICES.values(), ids=MATRICES)
def test_is_a_tile_as_long_as_its_stream(matrix: MaskedMatrix, machine: Accelerator) -> None:
    layout = matrix.vectors or decompose(matrix.keep)
    tiles = cut_into_tiles(Stored(layout, matrix.shape), machine)
    streams = [stream_of(tile, matrix, layout) for tile in tiles]
    assert [tile.bytes for tile in tiles] == [len(stream) for stream in streams]


@pytest.mark.parametrize(("matrix", "machine"), MATRICES.values(), ids=MATRICES)
def test_are_the_bytes_read_the_streams_rounded_to_bursts(
    matrix: MaskedMatrix, machine: Accelerator
) -> None:
    layout = matrix.vectors or decompose(matrix.keep)
    tiles = cut_into_tiles(Stored(layout, matrix.shape), machine)
    burst = machine.dram.burst_bytes
    streams = [stream_of(tile, matrix, layout) for tile in tiles]
    expected = sum(-(-len(stream) // burst) * burst for stream in streams)
    (result,) = simulate([matrix], machine, Activations(tokens=2), is_checked=False)
    assert result.dram_bytes == expected
