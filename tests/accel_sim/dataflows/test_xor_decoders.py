"""Do XOR decoders in front of a machine do what docs/rivals.md §16 says?"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accel_sim.costs.area import machine_area
from accel_sim.dataflows.abstract.account import LayerRun
from accel_sim.dataflows.abstract.loads import tile_loads, transfer_cycles
from accel_sim.dataflows.abstract.timeline import alone
from accel_sim.inputs.activations import Activations, Inputs, Layer
from accel_sim.inputs.datatypes import DATATYPES
from accel_sim.inputs.workload import Workload
from accel_sim.machines.builtin import builtin_accelerators
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate
from sparse_formats.errors import InputError
from sparse_formats.formats.parts.xor_network import XorNetwork
from sparse_formats.formats.xor_net import XorNet
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.workloads import random_matrix

pytestmark = pytest.mark.rule(rivals=16)
DECODERS = ("xor_decoder.decoders=64", "patches_per_cycle=8")
MOVES_WEIGHTS = ("systolic_ws", "tensor_core_dense", "snap", "tf_mvp")


def run_of(name: str, matrix: MaskedMatrix, *settings: str) -> tuple[Any, LayerRun]:
    machine = load_machine(name, settings)
    return machine, machine.run(Layer(0, matrix), Inputs(8, None, None))


@pytest.mark.parametrize("name", ["systolic_ws", "tensor_core_dense"])
@pytest.mark.parametrize("memory", [0, 1])
def test_is_a_tile_as_long_as_its_weights_in_the_format(name: str, memory: int) -> None:
    matrix = random_matrix((64, 70), 0.2, dtype=np.float16)
    settings = (*DECODERS, f"decoder_memory={memory}", "array.value_bits=16")
    _, run = run_of(name, matrix, *settings)
    assert matrix.weight is not None
    for tile in run.tiles:
        place = slice(*tile.rows), slice(*tile.cols)
        weight = np.where(matrix.keep, matrix.weight, 0)[place]
        stored = XorNet.encode(matrix.keep[place], weight, outputs=40, memory=memory)
        sent = tile.delivery
        assert sent is not None and not sent.is_sampled
        assert sent.bits == stored.storage(16).bits
        assert sent.patches == sum(map(len, stored.patches))
        words = 16 * -(-weight.size // 40)
        assert (sent.words, sent.decoded_bits) == (words, 40 * words)
        assert sent.cycles == max(-(-words // 64), -(-sent.patches // 8))


@pytest.mark.parametrize("name", list(builtin_accelerators()))
def test_are_decoders_in_front_of_every_machine(name: str) -> None:
    matrix = random_matrix((96, 130), 0.2)
    workload = Workload.of([matrix], Activations(6, 0.5))
    without, behind = (
        simulate(workload, load_machine(name, settings), threads=1)
        for settings in (("xor_decoder.decoders=0", "dram.resident=false"),
                         (*DECODERS, "dram.resident=false"))
    )  # fmt: skip
    assert "decoder" not in without.total.cycles_by_cause
    assert behind.total.cycles_by_cause["decoder"] >= 0
    assert behind.total.product_is_equal is True
    assert behind.total.cycles == sum(behind.total.cycles_by_cause.values())
    # Nothing behind the weight buffer changes, and never are more bytes sent than before.
    for cause, cycles in without.total.cycles_by_cause.items():
        if cause not in ("dram", "writeback"):
            assert behind.total.cycles_by_cause[cause] == cycles
    assert behind.total.macs_executed == without.total.macs_executed
    assert behind.total.dram_bytes <= without.total.dram_bytes
    assert sum(behind.area_mm2.values()) > sum(without.area_mm2.values())
    assert any(note.startswith("XOR decoders: ") for note in behind.notes)
    assert not any(note.startswith("XOR decoders: ") for note in without.notes)


def test_is_a_wait_for_patches_a_cause_of_its_own() -> None:
    matrix = random_matrix((64, 64), 0.2, dtype=np.float16)
    machine, run = run_of("systolic_ws", matrix, "decoders=64", "patches_per_cycle=1")
    (tile,), (load,) = run.tiles, tile_loads(run, machine)
    assert tile.delivery is not None
    moved = transfer_cycles(load.weights, machine)
    held = tile.delivery.patches - moved
    assert held > 0 and load.weights.bytes == -(-tile.delivery.bytes // 64) * 64
    time = alone(run, machine)
    # The first pass waits for the first byte, the bytes, and then for the patches.
    first = machine.dram.first_latency_cycles
    assert (time.wait_dram, time.wait_decoder) == (first + moved, held)
    faster = replace(machine, xor_decoder=replace(machine.xor_decoder, patches_per_cycle=1000))
    run = faster.run(Layer(0, matrix), Inputs(8, None, None))
    assert alone(run, faster).wait_decoder == 0
    # With one decoder the words themselves are what the DRAM waits for.
    slow = replace(machine, xor_decoder=replace(faster.xor_decoder, decoders=1))
    run = slow.run(Layer(0, matrix), Inputs(8, None, None))
    assert alone(run, slow).wait_decoder == 16 * -(-64 * 64 // 40) - moved


def test_does_what_does_not_become_smaller_come_as_it_is() -> None:
    _, run = run_of("systolic_ws", random_matrix((64, 64), 0.95), *DECODERS)
    assert [tile.delivery for tile in run.tiles] == [None]
    dense = MaskedMatrix("m", np.ones((64, 64), np.bool_))
    assert run_of("systolic_ws", dense, *DECODERS)[1].tiles[0].delivery is None
    report = simulate([dense], load_machine("systolic_ws", DECODERS))
    assert any("no tile is sent to the decoders" in note for note in report.notes)


def test_are_weights_that_stay_on_the_chip_not_sent() -> None:
    report = simulate([random_matrix((64, 64), 0.1)], load_machine("eie", DECODERS))
    assert any("because the weights stay on the chip" in note for note in report.notes)
    assert report.total.cycles_by_cause["decoder"] == 0


def test_is_a_sample_near_the_whole() -> None:
    # 16 planes of 300 × 400 in blocks of 40 are 48,000 words, of which 2,048 are searched.
    keep = np.random.default_rng(3).random((300, 400)) < 0.2
    _, run = run_of("tensor_core_dense", MaskedMatrix("m", keep), *DECODERS)
    patches = sum(tile.delivery.patches for tile in run.tiles if tile.delivery is not None)
    assert all(tile.delivery is not None and tile.delivery.is_sampled for tile in run.tiles)
    network, rng = XorNetwork(40, 1), np.random.default_rng(4)
    whole = 0
    for _ in range(4):
        bits = rng.random(keep.size) < 0.5
        care = keep.reshape(-1)
        whole += 4 * len(network.missed(care, bits, network.encode(care, bits)))
    # Either has drawn bits of its own; the sample knows about 200 patches, to within 7 %.
    assert patches == pytest.approx(whole, rel=0.2)


def test_do_decoders_take_room() -> None:
    bare, behind = (machine_area(load_machine("systolic_ws", s)) for s in ((), DECODERS))
    gates = sum(bin(row).count("1") - 1 for row in XorNetwork(40, 1).rows.tolist())
    by_hand = 64 * (gates * 2.5 * 0.55 + (8 * 2 + 40) * 3.3) * 1e-6
    assert "decompressor" not in bare
    assert behind["decompressor"] == pytest.approx(by_hand)
    # A machine that has a decompressor of its own has both.
    bare, behind = (machine_area(load_machine("tf_mvp", s)) for s in ((), DECODERS))
    assert behind["decompressor"] - bare["decompressor"] == pytest.approx(by_hand)


@pytest.mark.parametrize("name", list(DATATYPES))
def test_is_every_operand_another_pattern(name: str) -> None:
    datatype = DATATYPES[name]
    drawn = datatype.draw(np.random.default_rng(0), (200, 200))
    values = np.concatenate([drawn.reshape(-1), -drawn.reshape(-1), np.zeros(1, drawn.dtype)])
    patterns = datatype.patterns(np.ascontiguousarray(values))
    assert int(patterns.max()) < 1 << datatype.operand_bits
    assert len(np.unique(patterns)) == len(np.unique(values))


def test_what_are_the_patterns_of_short_floats() -> None:
    # bfloat16 is the upper half of a float32. E4M3: 1 is 0 0111 000, −1.125 is 1 0111 001, 448 is
    # 0 1111 110, and 2^-9, the smallest, is 0 0000 001.
    bf16 = np.array([1.0, -2.5, 3.0 * 2.0**-60], np.float32)
    assert (DATATYPES["bf16"].patterns(bf16) == bf16.view(np.uint32) >> 16).all()
    fp8 = np.array([1.0, -1.125, 448.0, 2.0**-9, 0.0], np.float32)
    assert DATATYPES["fp8"].patterns(fp8).tolist() == [0b00111000, 0b10111001, 0b01111110, 1, 0]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("decoder_outputs=256", "decoder_outputs.*256"),
        ("decoder_memory=3", "decoder_memory.*3"),
        ("patches_per_cycle=0", "patches_per_cycle.*0"),
    ],
)
def test_is_an_impossible_decoder_refused(setting: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        load_machine("systolic_ws", [setting])
