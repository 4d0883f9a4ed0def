"""Does each dataflow add in the order of docs/rivals.md, and is a wrong order seen?"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from accel_sim.dataflows import (
    cambricon_x,
    channel_merging,
    index_matching,
    rcsc,
    scnn,
    sigma,
    systolic,
)
from accel_sim.dataflows.abstract.mask_machine import Keep, MaskMachine
from accel_sim.dataflows.abstract.product import Order, add_up
from accel_sim.dataflows.mixed_vector import product
from accel_sim.dataflows.registry import DATAFLOWS
from accel_sim.dataflows.tensor_core import hierarchical, n_m
from accel_sim.dataflows.tensor_core.array import TensorCoreArray
from accel_sim.inputs.activations import Activations, Inputs, Layer
from accel_sim.machines.load import load_machine
from sparse_formats.formats.bitmap import Bitmap
from sparse_formats.formats.relative_csc import RelativeCSC
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.dataflows import tensor_core_reference
from tests.accel_sim.dataflows.test_channel_merging import merged
from tests.accel_sim.workloads import random_matrix, roomy, simulated

pytestmark = pytest.mark.rule(rivals=1)


def tree(terms: list[Any]) -> Any:
    """Neighbours first; an odd one out meets a missing lane, which is 0."""
    while len(terms) > 1:
        terms = [
            terms[i] + (terms[i + 1] if i + 1 < len(terms) else np.float32(0))
            for i in range(0, len(terms), 2)
        ]
    return terms[0]


def added(terms: list[Any]) -> Any:
    """One after the other."""
    total: Any = np.float32(0)
    for term in terms:
        total = total + term
    return total


def products(keep: Keep, weight: NDArray[Any], x: NDArray[Any], row: int, cols: range) -> list[Any]:
    return [weight[row, col] * x[:, col] for col in cols if keep[row, col]]


def chunks(items: Any, size: int) -> Iterator[Any]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def one_after_the_other(keep: Keep, weight: NDArray[Any], x: NDArray[Any], row: int) -> Any:
    """EIE, SCNN, outer products, and a systolic array whose outputs stay."""
    return added(products(keep, weight, x, row, range(keep.shape[1])))


def folds_of_four(keep: Keep, weight: NDArray[Any], x: NDArray[Any], row: int) -> Any:
    parts = chunks(range(keep.shape[1]), 4)
    return added([added(products(keep, weight, x, row, part)) for part in parts])


def windows(keep: Keep, weight: NDArray[Any], x: NDArray[Any], row: int) -> Any:
    """Cambricon-X: input ranges of 12, windows of 5, 3 multipliers."""
    of_ranges = []
    for part in chunks(range(keep.shape[1]), 12):
        cycles = []
        for window in chunks(part, 5):
            terms = products(keep, weight, x, row, window)
            cycles += [tree(some + [np.float32(0)] * (3 - len(some))) for some in chunks(terms, 3)]
        of_ranges.append(added(cycles))
    return added(of_ranges)


def dense_slots(keep: Keep, weight: NDArray[Any], x: NDArray[Any], row: int) -> Any:
    """A tensor core of 6 slots: what is dropped is multiplied as 0."""
    terms = [np.where(keep[row, col], weight[row, col], 0) * x[:, col] for col in range(len(x[0]))]
    steps = [some + [np.float32(0)] * (6 - len(some)) for some in chunks(terms, 6)]
    return added([tree(step) for step in steps])


def two_of_four(keep: Keep, weight: NDArray[Any], x: NDArray[Any], row: int) -> Any:
    slots: list[Any] = []
    for group in chunks(range(keep.shape[1]), 4):
        terms = products(keep, weight, x, row, group)
        slots += terms + [np.float32(0)] * (2 - len(terms))
    steps = [some + [np.float32(0)] * (6 - len(some)) for some in chunks(slots, 6)]
    return added([tree(step) for step in steps])


def in_mode(*told: str) -> Callable[..., Any]:
    """A tensor core with these keys."""

    def way(keep: Keep, weight: NDArray[Any], x: NDArray[Any], row: int) -> Any:
        machine = load_machine("tensor_core_dense", told)
        array: TensorCoreArray = machine.array  # pyright: ignore[reportAttributeAccessIssue]
        return tensor_core_reference.output(keep, weight, x, row, array)

    return way


def sets_of_three(keep: Keep, weight: NDArray[Any], x: NDArray[Any], row: int) -> Any:
    """OPTIMUS-style: strips of 2 sets · 4 outputs, 3 PE rows a set."""
    first = row - row % 8
    strip = keep[first : first + 8]
    ranked = sorted(range(len(strip)), key=lambda r: (-int(strip[r].sum()), r))
    set_of = {}
    for i, r in enumerate(ranked):
        set_of[r] = i % 2 if (i // 2) % 2 == 0 else 1 - i % 2
    handed, sums = [0, 0], [np.float32(0)] * 3
    for col in range(keep.shape[1]):
        for r in ranked:
            if strip[r, col]:
                pe = handed[set_of[r]] % 3
                handed[set_of[r]] += 1
                if r == row - first:
                    sums[pe] = sums[pe] + weight[row, col] * x[:, col]
    return added(sums)


def columns_of_three(keep: Keep, weight: NDArray[Any], x: NDArray[Any], row: int) -> Any:
    """Index matching: every third input is of the same PE column, which has a sum of its own."""
    columns = [range(first, keep.shape[1], 3) for first in range(3)]
    return added([added(products(keep, weight, x, row, column)) for column in columns])


def fills_of_fifteen(keep: Keep, weight: NDArray[Any], x: NDArray[Any], row: int) -> Any:
    """SIGMA: strips of 8 outputs, three engines of five multipliers."""
    first = row - row % 8
    held = [
        (r, c) for r in range(first, min(first + 8, len(keep))) for c in np.flatnonzero(keep[r])
    ]
    fills = []
    for fill in chunks(held, 15):
        engines = []
        for engine in chunks(fill, 5):
            lanes = [weight[r, c] * x[:, c] if r == row else np.float32(0) for r, c in engine]
            if any(r == row for r, _ in engine):
                engines.append(tree(lanes + [np.float32(0)] * (5 - len(lanes))))
        if engines:
            fills.append(added(engines))
    return added(fills)


def merged_channels(keep: Keep, weight: NDArray[Any], x: NDArray[Any], row: int) -> Any:
    """Tiles of 8 outputs, at most 3 inputs a group: the groups in turn."""
    first = row - row % 8
    terms = []
    for group in merged(keep[first : first + 8], 3):
        terms += [weight[row, c] * x[:, c] for c in group if keep[row, c]]
    return added(terms)


SMALL = ("outputs=3", "slots=6", "strip_outputs=8")
MODES = {
    "hierarchical": ("hierarchical_modes=[[2,4,1,4],[2,4,2,4]]",),
    "sum": ("modes=[[1,4],[2,8]]", "terms=2"),
    "blocks": ("modes=[[2,4]]", "dense_blocks=true"),
}

WAYS: dict[str, tuple[str, tuple[str, ...], Callable[..., Any]]] = {
    "eie": ("eie", ("pes=3", "outputs_per_pe=4", "run_bits=1"), one_after_the_other),
    "output": ("systolic_os", ("rows=4", "cols=3"), one_after_the_other),
    "weight": ("systolic_ws", ("rows=4", "cols=3"), folds_of_four),
    "input": ("systolic_is", ("rows=4", "cols=3"), folds_of_four),
    "cambricon": (
        "cambricon_x",
        ("pes=3", "multipliers=3", "window_inputs=5", "input_words=12", "output_words=8"),
        windows,
    ),
    "dense": ("tensor_core_dense", ("slots=6", "strip_outputs=8"), dense_slots),
    "2:4": ("tensor_core_2_4", ("slots=6", "strip_outputs=8"), two_of_four),
    **{
        way: ("tensor_core_dense", (*SMALL, *told), in_mode(*SMALL, *told))
        for way, told in MODES.items()
    },
    "dual_side": ("dual_side_tensor_core", ("core_rows=2", "tile_outputs=4"), one_after_the_other),
    "optimus": (
        "optimus",
        ("pe_rows=6", "sets=2", "outputs_per_set=4", "window_inputs=8"),
        sets_of_three,
    ),
    "matching": ("snap", ("cores=2", "pe_columns=3", "outputs_per_pe=4"), columns_of_three),
    "merging": (
        "channel_merging",
        ("outputs=8", "tokens=4", "merged_inputs=3"),
        merged_channels,
    ),
    "scnn": ("scnn", ("pe_rows=2", "pe_cols=2", "accumulators=8"), one_after_the_other),
    "sigma": ("sigma", ("dpes=3", "dpe_multipliers=5", "strip_outputs=8"), fills_of_fifteen),
}


def matrix_for(way: str) -> MaskedMatrix:
    if way not in ("2:4", *MODES):
        return random_matrix((19, 29), 0.6, seed=5)
    keep = np.random.default_rng(3).random((19, 29)) < 0.8
    keep &= (np.arange(29) + np.arange(19)[:, None] // 2) % 4 < 2
    if way == "hierarchical":
        keep &= (np.arange(29) // 4 + np.arange(19)[:, None]) % 4 < 2
    if way == "sum":
        # Of eight inputs 1:4 takes one of three, and 2:8 the others.
        keep[:, :8] = np.arange(8) < 3
    if way == "blocks":
        keep[3:7] = True
    weight = np.random.default_rng(4).standard_normal((19, 29)).astype(np.float32)
    return MaskedMatrix("m", keep, np.where(keep, weight, np.float32(0)))


def run(way: str, machine: MaskMachine) -> Any:
    matrix = matrix_for(way)
    x = np.random.default_rng(6).standard_normal((4, 29)).astype(np.float16)
    return machine.run(Layer(0, matrix), Inputs(4, x, None), is_checked=True), matrix, x


def load(way: str) -> MaskMachine:
    name, settings, _ = WAYS[way]
    machine = load_machine(name, ("operands.datatype=fp16", *settings))
    assert isinstance(machine, MaskMachine)
    return machine


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("room", [None, "weight_buffer.bytes=200"])
def test_are_the_sums_those_of_the_order_to_the_last_bit(way: str, room: str | None) -> None:
    machine = load(way)
    if room is not None and way in ("eie", "cambricon"):
        # Blocks of outputs change no output of these machines.
        machine = load_machine(WAYS[way][0], ("operands.datatype=fp16", *WAYS[way][1], room))
        assert isinstance(machine, MaskMachine)
    result, matrix, x = run(way, machine)
    weight = matrix.weight.astype(np.float16).astype(np.float32)
    wanted = [WAYS[way][2](matrix.keep, weight, x.astype(np.float32), row) for row in range(19)]
    assert result.product.is_equal
    assert result.outputs.dtype == np.float32
    assert result.outputs.tolist() == np.array(wanted, np.float32).tolist()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("field", ["input", "output", "value"])
def test_is_one_wrong_entry_seen(way: str, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = load(way)
    right = type(machine).orders

    def wrong(self: MaskMachine, keep: Keep, weight: NDArray[Any]) -> Iterator[Order]:
        for order in right(self, keep, weight):
            item = getattr(order, field).copy()
            if len(item):
                middle = len(item) // 2
                item[middle] = 0 if field == "value" else (item[middle] + 1) % 19
            yield replace(order, **{field: item})

    monkeypatch.setattr(type(machine), "orders", wrong)
    assert run(way, machine)[0].product.is_equal is False


def shorter_run(encoded: RelativeCSC) -> RelativeCSC:
    runs = encoded.entries.runs.copy()
    runs[np.flatnonzero((runs == 1) & ~encoded.entries.is_padding)[0]] = 0
    return replace(encoded, entries=replace(encoded.entries, runs=runs))


def earlier_input(entries: rcsc.Schedule) -> rcsc.Schedule:
    return replace(entries, inputs=np.maximum(entries.inputs - 1, 0))


def earlier_index(found: tuple[Any, Any, NDArray[np.int64]]) -> tuple[Any, Any, NDArray[np.int64]]:
    row, slot, index = found
    return row, slot, np.maximum(index - 1, 0)


def earlier_place(lists: index_matching.EntryLists) -> index_matching.EntryLists:
    return replace(lists, place=np.maximum(lists.place - 1, 0))


def a_run_less(runs: tuple[Any, Any]) -> tuple[Any, Any]:
    input_, run = runs[0], runs[1].copy()
    run[np.flatnonzero(run)[0]] -= 1
    return input_, run


FAULTS: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "eie": (RelativeCSC, "encode", shorter_run),
    "optimus": (rcsc, "schedule", earlier_input),
    "dual_side": (Bitmap, "encode", lambda bitmap: replace(bitmap, keep=np.roll(bitmap.keep, 1))),
    "2:4": (n_m, "slots_and_indices", earlier_index),
    "hierarchical": (hierarchical, "slots_and_indices", earlier_index),
    "sum": (n_m, "slots_and_indices", earlier_index),
    "blocks": (n_m, "slots_and_indices", earlier_index),
    "weight": (
        systolic,
        "blocks",
        lambda tiles: [(strip, out, (max(i - 1, 0), k)) for strip, out, (i, k) in tiles],
    ),
    "merging": (channel_merging, "merge", lambda groups: np.maximum(groups - 1, 0)),
    "scnn": (scnn, "zero_runs", a_run_less),
    "sigma": (sigma, "places", lambda held: replace(held, input=np.maximum(held.input - 1, 0))),
    "matching": (index_matching, "entry_lists", earlier_place),
    "cambricon": (cambricon_x, "kept_of_windows", lambda kept: np.roll(kept, 1, axis=1)),
}


@pytest.mark.parametrize("way", FAULTS)
def test_is_an_index_off_by_one_in_what_is_stored_seen(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, name, change = FAULTS[way]
    right = getattr(where, name)
    monkeypatch.setattr(where, name, lambda *given, **named: change(right(*given, **named)))
    assert run(way, load(way))[0].product.is_equal is False


def test_has_every_dataflow_an_order_and_a_fault_here() -> None:
    rivals = set(DATAFLOWS) - {"mixed_vector"}
    assert {load(way).dataflow for way in WAYS} == rivals
    assert {load(way).dataflow for way in FAULTS} == rivals


@pytest.mark.parametrize(
    ("way", "name"),
    [("hierarchical", "2:4 of 2:4"), ("sum", "1:4 + 2:8"), ("blocks", "2:4 or dense")],
)
def test_does_each_mode_run_in_these_tests(way: str, name: str) -> None:
    assert load(way).format_of(matrix_for(way).keep) == name


@pytest.mark.parametrize("field", ["lo", "unit"])
def test_is_an_entry_of_mixed_vectors_that_is_off_by_one_seen(
    field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = product.machine_product

    def wrong(tiles: Any, *others: Any) -> NDArray[Any]:
        entries = tiles[0].stream.entries
        places = getattr(entries, field).copy()
        places[np.argmax(places)] -= 1
        stream = replace(tiles[0].stream, entries=replace(entries, **{field: places}))
        return right([tiles[0]._replace(stream=stream), *tiles[1:]], *others)

    monkeypatch.setattr(product, "machine_product", wrong)
    (layer,) = simulated([random_matrix((16, 32), 0.5)], roomy(), Activations(3), threads=1)
    assert layer.product is not None and layer.product["is_equal"] is False


def test_is_an_order_that_leaves_the_matrix_refused() -> None:
    one = np.ones(1, np.float32)
    for output, input_ in ((2, 0), (0, 3), (-1, 0)):
        order = Order(np.array([output]), np.array([input_]), one)
        with pytest.raises(IndexError, match="is not in"):
            add_up([order], np.ones((3, 1), np.float32), np.zeros((2, 1), np.float32))


@pytest.mark.parametrize("way", ["eie", "weight", "optimus"])
def test_multiplies_a_machine_alone_as_in_a_run(way: str) -> None:
    machine = load(way)
    result, matrix, x = run(way, machine)
    weight = matrix.weight.astype(np.float16).astype(np.float32)
    multiply = machine.multiplication(matrix, len(x))
    assert multiply(weight, x).tolist() == result.outputs.tolist()
    dense = np.random.default_rng(1).integers(-9, 10, (19, 29)).astype(np.float32)
    whole = machine.multiplication(matrix, len(x), is_dense=True)
    assert np.array_equal(whole(dense, np.round(x)), dense @ np.round(x).astype(np.float32).T)
