"""Are the bytes that the machine fetches tiles that exist, and is the matrix in them?"""

from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from accel_sim.inputs.activations import Activations
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.dataflows.mixed_vector.drawn_workloads import drawn_workload, with_settings
from tests.accel_sim.dataflows.mixed_vector.reference.layers import Source, every_choice
from tests.accel_sim.dataflows.mixed_vector.reference.machine import OPERAND_BITS, Machine
from tests.accel_sim.dataflows.mixed_vector.reference.product import operands
from tests.accel_sim.dataflows.mixed_vector.reference.tile_stream import (
    described,
    from_bytes,
    to_bytes,
    weights_of,
)
from tests.accel_sim.dataflows.mixed_vector.reference.tiles import (
    Choice,
    DoesNotFit,
    Tile,
    tiles_of,
)
from tests.accel_sim.workloads import (
    load_mixed_vector,
    random_matrix,
    simulated,
    vector_matrix,
)

pytestmark = pytest.mark.rule(microarchitecture=3)

SMALL: dict[str, Any] = {
    "array.pe_rows": 4,
    "array.token_columns": 2,
    "array.lanes": 8,
    "array.lane_groups": (1, 2, 4),
    "array.accumulators_per_pe": 32,
    "scheduler.sets": 2,
    "decompressor.word_bytes": 20,
    "decompressor.buffer_words": 16,
    "weight_buffer.port_bytes": 20,
}


def one_of_two(shape: tuple[int, int]) -> MaskedMatrix:
    """Each output keeps one of every two inputs."""
    rng = np.random.default_rng(0)
    first = rng.random((shape[0], shape[1] // 2, 1)) < 0.5
    keep = np.concatenate([first, ~first], axis=2).reshape(shape)
    return MaskedMatrix("m", keep, np.where(keep, rng.standard_normal(shape), 0).astype(np.float32))


MATRICES: dict[str, tuple[MaskedMatrix, dict[str, Any]]] = {
    "one tile": (random_matrix((60, 60), 0.3), {}),
    "strips": (random_matrix((200, 90), 0.2), {}),
    "input ranges": (random_matrix((130, 300), 0.5), {"weight_buffer.bytes": 32768}),
    "vertical vectors": (vector_matrix((200, 96), "vertical", 128, 0.4), {}),
    "horizontal vectors": (
        vector_matrix((100, 400), "horizontal", 16, 0.4),
        {"weight_buffer.bytes": 16384, "array.packing": False},
    ),
    "vectors that are not aligned to tiles": (
        vector_matrix((40, 333), "horizontal", 10, 0.4),
        {"weight_buffer.bytes": 8192, "array.packing": False},
    ),
    "nothing kept": (random_matrix((70, 70), 0.0), {}),
    "all kept": (random_matrix((130, 300), 1.0), {"weight_buffer.bytes": 65536}),
    "all in one set": (
        random_matrix((60, 60), 0.3),
        {"scheduler.sets": 1, "array.accumulators_per_pe": 64},
    ),
    "lanes that choose": (one_of_two((60, 60)), {"array.lane_select": 2}),
    "longest first": (random_matrix((60, 60), 0.3), {"scheduler.policy": "lpt"}),
    "back and forth": (random_matrix((60, 60), 0.3), {"scheduler.policy": "snake"}),
}


def bit_patterns(values: NDArray[Any], datatype: str) -> list[list[int]]:
    """The bits of operands: those of FP16 numbers, for other types the lowest of an integer."""
    if datatype == "fp16":
        return values.astype(np.float16).view(np.uint16).tolist()
    return (values.astype(np.int64) % 2 ** OPERAND_BITS[datatype]).tolist()


def stream_of(tile: Tile, patterns: list[list[int]]) -> bytes:
    """The tile's bytes, which say what the matrix says."""
    data, told = to_bytes(tile, patterns), described(tile)
    read = weights_of(from_bytes(data, told, tile.machine), told, tile.machine)
    y, x = tile.strip.start, tile.inputs.start
    kept = {cell for entry in tile.entries for cell in entry.cells}
    assert read == {(out - y, col - x): patterns[out][col] for out, col in kept}
    return data


@pytest.mark.parametrize(("matrix", "settings"), MATRICES.values(), ids=MATRICES)
def test_are_the_bytes_of_a_matrix_those_of_its_tiles(
    matrix: MaskedMatrix, settings: dict[str, Any]
) -> None:
    machine = with_settings(load_mixed_vector("tf_mvp"), SMALL | settings)
    (result,) = simulated([matrix], machine, Activations(1), is_checked=False)
    mode = "row" if result.orientation == "horizontal" else "column"
    choice = Choice(mode, result.lane_groups, result.lane_select)
    assert choice.s == settings.get("array.lane_select", 1)
    mine = Machine().having(SMALL | settings)
    source = Source(matrix, matrix.shape, np.zeros((1, matrix.shape[1])))
    tiles = tiles_of(source.seen_in(choice.mode, mine), choice, mine)
    assert matrix.weight is not None
    patterns = bit_patterns(operands(matrix.weight, matrix.keep, "fp16"), "fp16")
    streams = [stream_of(tile, patterns) for tile in tiles]
    assert result.tiles == len(streams)
    assert sum(result.storage_bits.values()) == 8 * sum(map(len, streams))
    burst = mine.dram.burst_bytes
    assert result.dram_bytes == sum(-(-len(stream) // burst) * burst for stream in streams)
    # All weights stand in one tile, and once.
    cells = [cell for tile in tiles for entry in tile.entries for cell in entry.cells]
    assert sorted(cells) == list(zip(*map(list, np.nonzero(matrix.keep)), strict=True))


@pytest.mark.parametrize("part", range(10))
def test_can_every_choice_of_a_drawn_workload_be_read(part: int) -> None:
    for seed in range(part, 2 * settings().max_examples, 10):
        work = drawn_workload(seed)
        machine, datatype = work.machine, work.machine.array.datatype
        for matrix, x in zip(work.matrices, work.inputs(), strict=True):
            weight = np.random.default_rng(seed).integers(-99, 100, matrix.shape)
            patterns = bit_patterns(weight, datatype)
            own, dense = Source(matrix, matrix.shape, x), Source(None, matrix.shape, x)
            choices = every_choice(machine)
            pairs = [(own, choice) for choice in choices]
            pairs += [(dense, choice) for choice in choices if choice.s == 1]
            for source, choice in pairs:
                try:
                    tiles = tiles_of(source.seen_in(choice.mode, machine), choice, machine)
                except DoesNotFit:
                    continue
                streams = [stream_of(tile, patterns) for tile in tiles]
                assert list(map(len, streams)) == [tile.bytes for tile in tiles]
