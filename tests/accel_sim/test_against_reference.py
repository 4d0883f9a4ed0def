"""Does the simulator say what the contract says?

`reference.py` builds the machine of docs/microarchitecture.md a second time. Here both get the same
small workloads, and every figure must be equal to the last digit. 300 drawn workloads are compared
by default; for more of them set MVPSIM_REFERENCE_EXAMPLES:

    MVPSIM_REFERENCE_EXAMPLES=10000 pytest tests/accel_sim/test_against_reference.py

At the end stand cases whose cycles are worked out on paper, for both.
"""

import os
from dataclasses import dataclass, fields
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_sim.accelerator import Accelerator, load_accelerator
from accel_sim.product import machine_product
from accel_sim.report import LayerResult
from accel_sim.simulate import simulate
from accel_sim.workload import Activations
from sparse_formats.decompose import decompose_oriented
from sparse_formats.errors import InputError
from sparse_formats.masks import MaskedMatrix
from sparse_formats.vectors import MENU, Orientation, VectorLayout
from tests.accel_sim.reference import (
    DoesNotFit,
    Inputs,
    ReferenceLayer,
    Run,
    Unit,
    ordered_product,
    product_error,
    reference,
    run_pass,
    skippable,
)

EXAMPLES = int(os.environ.get("MVPSIM_REFERENCE_EXAMPLES", "300"))


@dataclass(frozen=True, repr=False)
class Workload:
    """One call of `simulate`; `settings` rebuild the machine."""

    matrices: tuple[MaskedMatrix, ...]
    settings: tuple[str, ...]
    activations: Activations

    @property
    def machine(self) -> Accelerator:
        return load_accelerator("tf_mvp", self.settings)

    def __repr__(self) -> str:
        """As text that can be pasted: what a failing example prints."""
        masks = "; ".join(
            f"{m.name}: {m.keep.astype(int).tolist()}, vectors {_layout_text(m.vectors)}, "
            f"weights {m.weight is not None}"
            for m in self.matrices
        )
        return f"Workload({masks}; {list(self.settings)}; {self.activations})"


def _layout_text(layout: VectorLayout | None) -> str:
    if layout is None:
        return "None"
    triples = zip(
        layout.lines.tolist(), layout.starts.tolist(), layout.lengths.tolist(), strict=True
    )
    return f"{layout.orientation} {list(triples)}"


# --- drawing workloads ----------------------------------------------------------------------------

SIZES = st.sampled_from((1, 2, 3, 4, 5, 7, 8, 11, 13, 16, 17, 19, 23, 29, 31, 32, 33, 37, 40, 41))
WIDE = st.sampled_from((64, 65, 97, 127, 128, 129, 130, 191, 193, 257))
SHAPES = st.one_of(
    st.tuples(SIZES, SIZES),
    st.tuples(SIZES, SIZES),
    st.tuples(st.integers(1, 3), WIDE),
    st.tuples(WIDE, st.integers(1, 3)),
)
MENUS = (MENU, MENU, (1, 2, 4), (3, 6, 12), (5, 10))
"""Lengths that drawn layouts choose from; a maker of vectors need not keep to ours."""

KINDS = ("random", "random", "lines", "vectors", "vectors", "zero", "one")


@st.composite
def matrices_of(draw: st.DrawFn, index: int) -> MaskedMatrix:
    """A mask of one of the kinds that the machine meets; its entries come from a drawn seed."""
    rows, cols = shape = draw(SHAPES)
    kind = draw(st.sampled_from(KINDS))
    density = draw(st.sampled_from((0.02, 0.1, 0.3, 0.5, 0.9)))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    layout = None
    if kind == "zero":
        keep = np.zeros(shape, np.bool_)
    elif kind == "one":
        keep = np.ones(shape, np.bool_)
    elif kind == "lines":
        # Whole rows and columns over a thin random ground: long vectors in both orientations.
        keep = rng.random(shape) < density / 4
        keep[rng.integers(rows, size=1 + rows // 5)] = True
        keep[:, rng.integers(cols, size=1 + cols // 5)] = draw(st.booleans())
    elif kind == "vectors":
        layout = drawn_layout(rng, draw(st.booleans()), shape, density)
        keep = layout.keep(shape)
    else:
        keep = rng.random(shape) < density
        keep[rng.random(rows) < draw(st.sampled_from((0.0, 0.3)))] = False
    weight = None
    if draw(st.booleans()):
        # Of very different sizes, so that the order of the sums shows in their rounding.
        spread = rng.standard_normal(shape) * 2.0 ** rng.integers(-6, 7, size=shape)
        weight = np.where(keep, spread, 0).astype(np.float32)
    return MaskedMatrix(f"m{index}", keep, weight, "other", layout)


def drawn_layout(
    rng: np.random.Generator, is_horizontal: bool, shape: tuple[int, int], density: float
) -> VectorLayout:
    """Aligned vectors of mixed lengths, left to right on each line, with gaps.

    Not what a decomposition would find: short vectors may touch, and the last may run over the end.
    """
    lines, axis = shape if is_horizontal else shape[::-1]
    lengths = MENUS[rng.integers(len(MENUS))]
    menu = sorted(rng.choice(lengths, rng.integers(1, len(lengths) + 1), replace=False).tolist())
    found: list[tuple[int, int, int]] = []
    for line in range(lines):
        at = 0
        while at < axis:
            length = int(rng.choice([n for n in menu if at % n == 0] or [0]))
            if length == 0:
                at += 1
            elif rng.random() < density:
                found.append((line, at, length))
                at += length
            else:
                at += menu[0]
    columns = np.array(found, np.int32).reshape(-1, 3).T
    orientation = "horizontal" if is_horizontal else "vertical"
    layout = VectorLayout(orientation, *(np.ascontiguousarray(column) for column in columns))
    layout.check(shape, "drawn layout")
    return layout


@st.composite
def settings_of(draw: st.DrawFn) -> tuple[str, ...]:
    """A machine small enough that every queue, window and buffer is a bottleneck at times."""

    def pick(*choices: Any) -> Any:
        return draw(st.sampled_from(choices))

    rows = draw(st.integers(1, 16))
    lanes = pick(1, 2, 3, 4, 5, 6, 7, 8, 12, 16)
    sets = draw(st.sampled_from([n for n in range(1, rows + 1) if rows % n == 0]))
    buffer = draw(st.one_of(st.integers(20, 400), st.sampled_from((900, 2000, 5000, 10**6))))
    steps = pick(
        ("[64]", "[800]"), ("[1]", "[1000]"), ("[64, 256, 1024]", "[800, 900, 950]"),
        ("[8, 20, 100]", "[333, 501, 997]"),
    )  # fmt: skip
    return (
        f"array.pe_rows={rows}",
        f"array.token_columns={draw(st.integers(1, 5))}",
        f"array.lanes={lanes}",
        f"array.accumulators_per_pe={lanes + pick(0, 0, 1, 3, 8, 17, 64)}",
        f"array.pe_latency_cycles={draw(st.integers(0, 5))}",
        f"array.packing={pick('true', 'false')}",
        f"scheduler.policy={pick('interleaved', 'snake', 'set_associative', 'set_associative')}",
        f"scheduler.sets={sets}",
        f"queue.depth_entries={draw(st.integers(1, 8))}",
        f"decompressor.bytes_per_cycle={pick(1, 2, 3, 5, 8, 16, 40, 100, 576)}",
        f"decompressor.entries_per_cycle={pick(1, 2, 3, 5, 16)}",
        f"zero_skip.entries_per_cycle={draw(st.integers(0, 4))}",
        f"matching.window_inputs={lanes + pick(0, 0, 1, 2, 5, 16, 100)}",
        f"matching.inputs_per_cycle={pick(1, 1, 2, 3, 7, 16)}",
        f"weight_buffer.bytes={buffer}",
        f"output.words_per_cycle={pick(1, 2, 3, 7, 16, 64)}",
        f"dram.bytes_per_cycle={pick(1, 2, 3, 7, 16, 33, 64)}",
        f"dram.burst_bytes={pick(1, 2, 3, 8, 32, 64)}",
        f"dram.first_latency_cycles={pick(0, 1, 2, 7, 30, 60)}",
        f"dram.efficiency_run_bytes={steps[0]}",
        f"dram.efficiency_permille={steps[1]}",
        f"dram.prefetch_across_layers={pick('true', 'false')}",
    )


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    """One to three matrices, one machine, one kind of activations."""
    count = draw(st.sampled_from((1, 1, 2, 3)))
    activations = Activations(
        tokens=draw(st.integers(1, 12)),
        density=draw(st.sampled_from((1.0, 1.0, 0.5, 0.1, 0.0))),
        seed=draw(st.integers(0, 1000)),
    )
    matrices = tuple(draw(matrices_of(index)) for index in range(count))
    # An activation buffer for the first layer's inputs, outputs and some partial sums, or another.
    rows, cols = matrices[0].shape
    just = activations.tokens * (2 * (rows + cols) + 4 * draw(st.integers(0, rows)))
    kept = draw(st.sampled_from((1, 400, just - 1, just, just, 10**6)))
    settings = (*draw(settings_of()), f"activation_buffer.bytes={kept}")
    return Workload(matrices, settings, activations)


# --- comparing ------------------------------------------------------------------------------------


def plain(value: object) -> object:
    """Units as dicts, so that they compare by their figures and print by name."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if all(hasattr(value, f.name) for f in fields(Unit)):
        return {f.name: plain(getattr(value, f.name)) for f in fields(Unit)}
    return value


def differences(work: Workload) -> list[str]:
    """Every figure on which the two disagree, and what each says."""
    machine = work.machine
    try:
        expected, runs = reference(work.matrices, machine, work.activations)
    except DoesNotFit:
        with pytest.raises(InputError):
            simulate(work.matrices, machine, work.activations, threads=1)
        return []
    found, outputs = simulate_with_outputs(work, machine)
    texts: list[str] = []
    for index, (want, got) in enumerate(zip(expected, found, strict=True)):
        for f in fields(want):
            ours, theirs = plain(getattr(want, f.name)), plain(getattr(got, f.name))
            if ours != theirs:
                texts.append(f"{want.name}.{f.name}: reference {ours}, simulator {theirs}")
        matrix = work.matrices[index]
        if matrix.weight is None:
            texts += [] if got.product is None else [f"{want.name}.product: {got.product}"]
        else:
            texts += _product_differences(matrix, runs[index], machine, got.product, outputs.pop(0))
    return texts


def simulate_with_outputs(
    work: Workload, machine: Accelerator
) -> tuple[list[LayerResult], list[NDArray[np.float32]]]:
    """The results, and the layers' outputs, which no result holds, on their way to the check."""
    outputs: list[NDArray[np.float32]] = []

    def recorded(*arguments: Any) -> NDArray[np.float32]:
        outputs.append(machine_product(*arguments))
        return outputs[-1]

    with patch("accel_sim.product.machine_product", recorded):
        return simulate(work.matrices, machine, work.activations, threads=1), outputs


def _product_differences(
    matrix: MaskedMatrix, run: Run, machine: Accelerator, product: Any, output: NDArray[np.float32]
) -> list[str]:
    """`output`: (outputs, tokens) of the simulator, equal to the last bit; then its errors."""
    assert matrix.weight is not None
    expected = ordered_product(matrix.weight.astype(np.float16), run.inputs, run.passes, machine)
    if not np.array_equal(expected, output.T):
        return [f"{matrix.name}.product: {expected.tolist()}, simulator {output.T.tolist()}"]
    largest, share = product_error(matrix, run.inputs, run.passes, machine)
    # The FP64 product it is measured against has rounding of its own, 2⁻²⁹ of an FP32 one.
    is_same = product["is_equal"] == (share <= 1)
    is_same &= product["max_abs_error"] == pytest.approx(largest, rel=1e-6, abs=1e-9)
    is_same &= product["max_error_over_bound"] == pytest.approx(share, rel=1e-6, abs=1e-6)
    return [] if is_same else [f"{matrix.name}.product: reference {largest, share}, {product}"]


@given(workloads())
@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_does_the_simulator_agree_with_the_reference(work: Workload) -> None:
    assert differences(work) == []


@given(workloads())
@settings(
    max_examples=max(1, EXAMPLES // 20),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_does_the_order_of_the_units_within_a_cycle_not_matter(work: Workload) -> None:
    machine = work.machine
    try:
        _, runs = reference(work.matrices[:1], machine, work.activations)
    except DoesNotFit:
        return
    for one in runs[0].passes:
        flags = skippable(one.tile, runs[0].inputs, one.tokens, machine)
        assert run_pass(one.tile, one.row_of, flags, machine, is_backwards=True) == one.count


@pytest.mark.parametrize("orientation", ["horizontal", "vertical"])
@pytest.mark.parametrize("lanes", [3, 8, 12])
@pytest.mark.parametrize("packing", ["true", "false"])
def test_is_the_output_summed_in_the_order_of_the_machine(
    orientation: Orientation, lanes: int, packing: str
) -> None:
    # Few drawn workloads have sums long enough for their order to show. Here five PE rows share
    # the units of one set, entries are well filled, several input ranges are added up.
    rng = np.random.default_rng(lanes)
    keep = rng.random((19, 40)) < 0.7
    weight = np.where(keep, rng.standard_normal(keep.shape) * 2.0 ** rng.integers(-6, 7, 40), 0)
    layout = decompose_oriented(keep, orientation)
    work = Workload(
        (MaskedMatrix("m", keep, weight.astype(np.float32), "other", layout),),
        (
            *("pe_rows=5", "sets=1", "token_columns=2", f"lanes={lanes}"),
            *("accumulators_per_pe=24", f"packing={packing}", "weight_buffer.bytes=1000"),
        ),
        Activations(5, 0.9, 1),
    )
    (layer,), _ = reference(work.matrices, work.machine, work.activations)
    assert layer.tiles > 1
    assert differences(work) == []


# --- on paper -------------------------------------------------------------------------------------
#
# One PE of one lane; a port that takes a whole tile in one cycle; DRAM of one byte per cycle behind
# a latency of 5; one word written back per cycle. A vector at the end of its line has the longest
# length on offer, so a full line of up to 64 is one vector: n = 1, no index, no code, and one line
# makes a header of (1 + 1)·1 + 1 = 3 bits.

PAPER = (
    "pe_rows=1",
    "token_columns=1",
    "lanes=1",
    "accumulators_per_pe=1",
    "pe_latency_cycles=2",
    "policy=interleaved",
    "depth_entries=8",
    "decompressor.bytes_per_cycle=100",
    "decompressor.entries_per_cycle=8",
    "zero_skip.entries_per_cycle=0",
    "window_inputs=4",
    "inputs_per_cycle=4",
    "words_per_cycle=1",
    "dram.bytes_per_cycle=1",
    "burst_bytes=1",
    "first_latency_cycles=5",
    "efficiency_run_bytes=[1]",
    "efficiency_permille=[1000]",
)


@dataclass(frozen=True)
class GivenInputs(Activations):
    """The same inputs for every token of every layer."""

    values: tuple[float, ...] = ()

    def draw(self, inputs: int, layer_index: int) -> Inputs:
        assert inputs == len(self.values)
        return np.array([self.values] * self.tokens, np.float16)


def both(
    masks: list[list[list[int]]], settings: tuple[str, ...], activations: Activations
) -> tuple[list[ReferenceLayer], list[LayerResult]]:
    machine = load_accelerator("tf_mvp", [*PAPER, *settings])
    matrices = [MaskedMatrix(f"m{i}", np.array(mask, np.bool_)) for i, mask in enumerate(masks)]
    layers, _ = reference(matrices, machine, activations)
    return layers, simulate(matrices, machine, activations, threads=1)


def causes(layer: ReferenceLayer | LayerResult) -> dict[str, int]:
    """Causes that took any cycles."""
    return {cause: cycles for cause, cycles in layer.cycles_by_cause.items() if cycles}


def test_what_does_a_single_weight_take() -> None:
    # 16 + 3 bits = 3 bytes: loaded in 5 + 3 = 8 cycles.
    # 0: 19 bits arrive. 1: the header goes. 2: the entry is delivered. 3: it is issued.
    # The pass: 4 + 2 cycles, until 14. One word written: 15.
    # Dense: 2 bytes in 7 cycles; no header, so 3 + 2 cycles, until 12, and 1 to write: 13.
    for (layer,) in both([[[1]]], (), Activations(1, 1.0, 0)):
        assert layer.cycles == 15
        assert layer.dense_cycles == 13
        assert causes(layer) == {
            "dram": 8, "decompressor": 3, "compute": 1, "pipeline": 2, "writeback": 1
        }  # fmt: skip


def test_what_does_a_single_empty_place_take() -> None:
    # A header of (1 + 1)·0 + 1 = 1 bit = 1 byte: loaded in 5 + 1 = 6 cycles.
    # 0: it arrives. 1: it goes. The pass: 2 + 2, until 10; written at 11.
    for (layer,) in both([[[0]]], (), Activations(1, 1.0, 0)):
        assert layer.cycles == 11
        assert causes(layer) == {"dram": 6, "decompressor": 2, "pipeline": 2, "writeback": 1}


def test_does_a_queue_of_one_deliver_every_other_cycle() -> None:
    # 4·16 + 3 = 67 bits = 9 bytes: loaded in 14 cycles. The decompressor sees the queue as it was:
    # cycle     0      1       2       3     4       5     6       7     8       9
    # delivers  -      header  e0      full  e1      full  e2      full  e3      -
    # issues    -      -       -       e0    -       e1    -       e2    -       e3
    # The pass: 10 + 2, until 26; written at 27.
    # Dense: 8 bytes in 13 cycles, no header: 9 + 2, until 24; written at 25.
    for (layer,) in both([[[1, 1, 1, 1]]], ("depth_entries=1",), Activations(1, 1.0, 0)):
        assert layer.cycles == 27
        assert layer.dense_cycles == 25
        assert causes(layer) == {
            "dram": 14, "decompressor": 6, "compute": 4, "pipeline": 2, "writeback": 1
        }  # fmt: skip
        unit = layer.units["decompressor"]
        assert unit.busy == 5
        assert unit.stalled == {"queue_full": 3, "weight_buffer": 1}


def test_does_a_far_input_wait_for_the_window() -> None:
    # Two vectors of length 1, i = ⌈log2 8⌉ = 3, header 2·2 + 1 = 5: 2·(16 + 3) + 5 = 43 bits =
    # 6 bytes, loaded in 11 cycles. Window of 2, 1 input per cycle; at the start of each cycle:
    # cycle   0   1       2       3    4   5   6   7   8   9   10
    # base    0   0       0       0    0   6   6   6   6   6   6
    # loaded  0   1       2       2    2   2   3   4   5   6   7
    #         -   header  e0, e1  e0   .   .   .   .   .   .   e1 needs [6, 7)
    # e0 is the front until the end of 3, seen by the window in 3, so base stays 0 in 4, moves to 6
    # in 5; until then nothing enters (2, 3, 4). The pass: 11 + 2, until 24; written at 25.
    window = ("window_inputs=2", "inputs_per_cycle=1")
    for (layer,) in both([[[1, 0, 0, 0, 0, 0, 1, 0]]], window, Activations(1, 1.0, 0)):
        assert layer.cycles == 25
        assert causes(layer) == {
            "dram": 11, "decompressor": 3, "window": 6, "compute": 2, "pipeline": 2, "writeback": 1
        }  # fmt: skip
        assert layer.units["matching"].busy == 8
        assert layer.units["matching"].stalled == {"window_full": 3}


def test_does_a_run_of_zeros_longer_than_z_take_more_cycles() -> None:
    # 4·16 + 3 = 67 bits = 9 bytes: 14 cycles. 0: bits, 1: header, 2: all four are delivered.
    # 3: two are dropped. 4: the third is dropped, the fourth is issued. The pass: 5 + 2, until 21.
    some = GivenInputs(1, 0.25, 0, (0.0, 0.0, 0.0, 1.0))
    for (layer,) in both([[[1, 1, 1, 1]]], ("zero_skip.entries_per_cycle=2",), some):
        assert layer.cycles == 22
        assert causes(layer) == {
            "dram": 14, "decompressor": 3, "zero_skip": 1, "compute": 1, "pipeline": 2,
            "writeback": 1,
        }  # fmt: skip
        assert layer.units["zero_skip"].busy == 2
        assert (layer.macs_executed, layer.macs_skipped) == (1, 3)


def test_is_a_pass_of_zeros_only_skipped_z_at_a_time() -> None:
    # 5·16 + 3 = 83 bits = 11 bytes: 16 cycles. Delivered in 2; dropped in 3, 4 and 5: 2 + 2 + 1.
    for (layer,) in both(
        [[[1, 1, 1, 1, 1]]], ("zero_skip.entries_per_cycle=2",), Activations(1, 0.0, 0)
    ):
        assert layer.cycles == 16 + 6 + 2 + 1
        assert causes(layer) == {
            "dram": 16, "decompressor": 3, "zero_skip": 3, "pipeline": 2, "writeback": 1
        }  # fmt: skip


def test_does_a_pass_wait_for_its_accumulator_bank() -> None:
    # One column of 8: a vertical vector, 8·16 + 3 = 131 bits = 17 bytes, loaded in 22 cycles.
    # 8 entries, one per output: delivered in 2, issued in 3 … 10: a pass of 11 + 2 = 13 cycles.
    # 3 groups of 3 tokens; 24 words to write, one per cycle:
    # pass     0: 22–35    1: 35–48    2: 59–72, when write-back 0 has freed its bank
    # write    0: 35–59    1: 59–83    2: 83–107
    banks = ("accumulators_per_pe=8", "token_columns=3")
    for (layer,) in both([[[1]] * 8], banks, Activations(9, 1.0, 0)):
        assert layer.orientation == "vertical"
        assert layer.cycles == 107
        assert causes(layer) == {
            "dram": 22, "decompressor": 9, "compute": 24, "pipeline": 6,
            "writeback": (59 - 48) + (107 - 72),
        }  # fmt: skip


def test_is_a_wait_for_both_the_weights_and_the_bank_put_down_to_dram() -> None:
    # Two strips of one output, 40 inputs: each tile 40·16 + 3 = 643 bits = 81 bytes, which at half
    # the peak rate take 162 cycles. Loads: 5 + 162 = 167, and 329 without a gap.
    # A pass: bits, header, delivery; issued in 3 … 42: 43 + 2 = 45 cycles. A write-back: 117 words.
    # pass     0: 167–212    1: 212–257    2: 329–374    3: 446–491
    # write    0: 212–329    1: 329–446    2: 446–563    3: 563–680
    # Pass 2 waits for its tile and for write-back 0, both until 329; pass 3 for write-back 1 only.
    slow = ("token_columns=117", "efficiency_permille=[500]")
    for (layer,) in both([[[1] * 40] * 2], slow, Activations(234, 1.0, 0)):
        assert layer.tiles == 2
        assert layer.cycles == 680
        assert causes(layer) == {
            "dram": 167 + (329 - 257), "decompressor": 4 * 3, "compute": 4 * 40, "pipeline": 4 * 2,
            "writeback": (446 - 374) + (680 - 491),
        }  # fmt: skip


@pytest.mark.parametrize(
    ("is_prefetched", "cycles"),
    [
        # The second load follows the first without a gap, 8–11; the pass 15–21; written at 22.
        ("true", 22 - 15),
        # It starts with its layer: 15, first latency until 20, there at 23; like the first.
        ("false", 15),
    ],
)
def test_do_the_weights_of_the_next_layer_run_ahead(is_prefetched: str, cycles: int) -> None:
    prefetch = (f"prefetch_across_layers={is_prefetched}",)
    for first, second in both([[[1]], [[1]]], prefetch, Activations(1, 1.0, 0)):
        assert first.cycles == 15
        assert second.cycles == cycles


def test_is_a_column_without_a_token_idle_for_the_whole_pass() -> None:
    # One weight as above, one token on two columns: a pass of 4 + 2 cycles, the second column idle
    # in all 6. The first: 3 decompressor, 1 busy, 2 pipeline. Waits count for both columns.
    for (layer,) in both([[[1]]], ("token_columns=2",), Activations(1, 1.0, 0)):
        pe = layer.units["pe"]
        assert pe.busy == 1
        assert pe.stalled["decompressor"] == 3
        assert pe.stalled["dram"] == 2 * 8
        assert pe.stalled["writeback"] == 2 * 1
        assert (pe.stalled["pipeline"], pe.idle) == (2, 6)
