"""Small workloads drawn at random: machines on which every part is a bottleneck at times.

A workload is drawn from a seed, so a failing one is named by a number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.mixed_vector.dataflow import MixedVector
from accel_sim.inputs.activations import Activations, Layer
from accel_sim.inputs.datatypes import DATATYPES
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import MENU, VectorLayout
from tests.accel_sim.dataflows.mixed_vector.reference.machine import Machine, longest_entry
from tests.accel_sim.dataflows.mixed_vector.reference.product import operands
from tests.accel_sim.workloads import load_mixed_vector


@dataclass(frozen=True, repr=False)
class Workload:
    """One call of `simulate`; `settings`, by section and key, rebuild the machine."""

    matrices: tuple[MaskedMatrix, ...]
    settings: Mapping[str, Any]
    activations: Activations

    @property
    def machine(self) -> Machine:
        """For the reference."""
        return Machine().having(self.settings)

    @property
    def simulated_machine(self) -> MixedVector:
        """For the simulator."""
        return with_settings(load_mixed_vector("tf_mvp"), self.settings)

    def inputs(self) -> list[NDArray[Any]]:
        """Each layer's operands, (tokens, inputs)."""
        return [
            layer_inputs(self.activations, Layer(index, matrix), self.machine.array.datatype)
            for index, matrix in enumerate(self.matrices)
        ]

    def given(self) -> list[NDArray[Any]]:
        """The same as they were recorded, if they were."""
        recorded = self.activations.recorded or {}
        return [
            recorded.get(matrix.name, x)
            for matrix, x in zip(self.matrices, self.inputs(), strict=True)
        ]

    def __repr__(self) -> str:
        """As text that can be pasted: what a failing example prints."""
        masks = "; ".join(
            f"{m.name}: {m.keep.astype(int).tolist()}, vectors {_layout_text(m.vectors)}, "
            f"weights {None if m.weight is None else m.weight.dtype}"
            for m in self.matrices
        )
        return f"Workload({masks}; {dict(self.settings)}; {self.activations})"


def _layout_text(layout: VectorLayout | None) -> str:
    if layout is None:
        return "None"
    triples = zip(
        layout.lines.tolist(), layout.starts.tolist(), layout.lengths.tolist(), strict=True
    )
    return f"{layout.orientation} {list(triples)}"


def with_settings(machine: MixedVector, settings: Mapping[str, Any]) -> MixedVector:
    """The machine with other values of some keys; they are not checked, which is quick."""
    sections: dict[str, dict[str, Any]] = {}
    for key, value in settings.items():
        section, _, leaf = key.partition(".")
        sections.setdefault(section, {})[leaf] = value
    return replace(
        machine,
        **{name: replace(getattr(machine, name), **some) for name, some in sections.items()},
    )


class Draw:
    """What is drawn from one seed, piece by piece."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def pick(self, *choices: Any) -> Any:
        """One of them, each as likely as the others."""
        return choices[self.rng.integers(len(choices))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)


# --- matrices -------------------------------------------------------------------------------------

SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 11, 12, 13, 15, 16, 19, 24)
WIDE = (64, 65, 97, 128, 129, 130, 193)
MENUS = (MENU, MENU, (1, 2, 4), (3, 6, 12), (5, 10))
"""Lengths that drawn layouts choose from; a maker of vectors need not keep to ours."""

KINDS = ("random", "random", "lines", "vectors", "vectors", "vectors", "zero", "one")


def drawn_shape(draw: Draw) -> tuple[int, int]:
    if draw.chance(0.92):
        return draw.pick(*SIZES), draw.pick(*SIZES)
    few, many = draw.pick(1, 2, 3), draw.pick(*WIDE)
    return (few, many) if draw.chance(0.7) else (many, few)


def drawn_matrix(
    draw: Draw, name: str, shape: tuple[int, int], settings: Mapping[str, Any]
) -> MaskedMatrix:
    """A mask of one of the kinds that the machine meets."""
    rows, cols = shape
    is_choosing = settings["array.lane_select"] > 1
    rng, kind = draw.rng, draw.pick(*KINDS, *["chosen"] * (len(KINDS) * is_choosing))
    density = draw.pick(0.05, 0.2, 0.4, 0.7, 0.9)
    layout = None
    if kind == "zero":
        keep = np.zeros(shape, np.bool_)
    elif kind == "one":
        keep = np.ones(shape, np.bool_)
    elif kind == "lines":
        # Whole rows and columns over a thin random ground: long vectors in both orientations.
        keep = rng.random(shape) < density / 4
        keep[rng.integers(rows, size=1 + rows // 5)] = True
        keep[:, rng.integers(cols, size=1 + cols // 5)] = rng.random() < 0.5
    elif kind == "chosen":
        keep = drawn_choices(draw, shape, density, settings)
    elif kind == "vectors":
        layout = drawn_layout(rng, shape, density)
        keep = layout.keep(shape)
    else:
        keep = rng.random(shape) < density
        keep[rng.random(rows) < rng.choice((0.0, 0.3))] = False
    weight = drawn_weight(rng, keep) if draw.chance(0.5) else None
    if weight is not None and rng.random() < 0.2:
        weight = np.where(keep, rng.integers(-127, 128, shape), 0).astype(np.int8)
    return MaskedMatrix(name, keep, weight, "other", layout)


def drawn_choices(
    draw: Draw, shape: tuple[int, int], density: float, settings: Mapping[str, Any]
) -> NDArray[np.bool_]:
    """Some (position, unit), in which each lane keeps one of its candidates; few other weights."""
    width = settings["array.lane_select"]
    lanes = settings["array.lanes"] // draw.pick(*settings["array.lane_groups"])
    # In column mode the lanes are outputs, in row mode the inputs with one remainder.
    high, wide = (lanes, width) if draw.chance(0.5) else (1, lanes * width)
    bands, slots = -(-shape[0] // high), -(-shape[1] // wide)
    taken = draw.rng.integers(width, size=(bands, slots, lanes, 1)) == np.arange(width)
    taken &= draw.rng.random((bands, slots, 1, 1)) < max(density, draw.pick(0.0, 1.0))
    axes = (0, 1, 3, 2) if high == 1 else (0, 2, 1, 3)
    keep = taken.transpose(axes).reshape(bands * high, slots * wide)
    keep = keep[: shape[0], : shape[1]]
    return keep | (draw.rng.random(shape) < draw.pick(0.0, 0.0, 0.05))


def drawn_weight(rng: np.random.Generator, keep: NDArray[np.bool_]) -> NDArray[Any]:
    """Of very different sizes, so that the order of the sums shows in their rounding."""
    spread = rng.standard_normal(keep.shape) * 2.0 ** rng.integers(-6, 7, size=keep.shape)
    return np.where(keep, spread, 0).astype(np.float32)


def drawn_layout(rng: np.random.Generator, shape: tuple[int, int], density: float) -> VectorLayout:
    """Aligned vectors of mixed lengths, left to right on each line, with gaps.

    Not what a decomposition would find: short vectors may touch, and the last may run over the end.
    """
    is_horizontal = rng.random() < 0.5
    lines, axis = shape if is_horizontal else shape[::-1]
    lengths = MENUS[rng.integers(len(MENUS))]
    menu = sorted(rng.choice(lengths, rng.integers(1, len(lengths) + 1), replace=False).tolist())
    found: list[tuple[int, int, int]] = []
    for line in range(lines):
        at = 0
        while at < axis:
            fitting = [n for n in menu if at % n == 0]
            if not fitting:
                at += 1
            elif rng.random() < density:
                found.append((line, at, fitting[rng.integers(len(fitting))]))
                at += found[-1][2]
            else:
                at += menu[0]
    columns = np.array(found, np.int32).reshape(-1, 3).T
    orientation = "horizontal" if is_horizontal else "vertical"
    layout = VectorLayout(orientation, *(np.ascontiguousarray(column) for column in columns))
    layout.check(shape, "drawn layout")
    return layout


# --- activations ----------------------------------------------------------------------------------


def drawn_activations(
    draw: Draw, matrices: Sequence[MaskedMatrix], tokens: Sequence[int]
) -> Activations:
    """Drawn by the simulator, or recorded: floats, integers, or booleans.

    tokens: how many there may be.
    """
    number = draw.pick(*tokens)
    density = draw.pick(1.0, 0.9, 0.5, 0.5, 0.1, 0.0)
    seed = int(draw.rng.integers(1000))
    kind = draw.pick("drawn", "drawn", "float", "int", "bool")
    if kind == "drawn":
        return Activations(number, density, seed)
    alike = draw.pick("none", "none", "all", "all but one")
    rng = draw.rng
    recorded: dict[str, NDArray[Any]] = {}
    for matrix in matrices:
        shape = (number, matrix.shape[1])
        stands = rng.random(shape) < density * rng.choice((1, 1, 0.3), (number, 1))
        if kind == "bool":
            x = stands
        elif kind == "int":
            x = np.where(stands, rng.integers(-127, 128, shape), 0).astype(np.int8)
        else:
            # Some so small that they are 0 to the multiplier.
            size = 10.0 ** rng.choice((0, 0, 0, -3, -9), shape)
            x = np.where(stands, rng.standard_normal(shape) * size, 0).astype(np.float32)
        if alike != "none":
            own = x[-1].copy()
            x[:] = x[0]
            if alike == "all but one":
                x[seed % number] = own
        recorded[matrix.name] = x
    return Activations(number, seed=seed, recorded=recorded)


def layer_inputs(activations: Activations, layer: Layer, datatype: str) -> NDArray[Any]:
    """What the multiplier sees; what is recorded as a number, rounded here (§8)."""
    recorded = (activations.recorded or {}).get(layer.matrix.name)
    if recorded is None or recorded.dtype == np.bool_:
        return activations.operands(layer, DATATYPES[datatype])
    return operands(recorded, np.ones(recorded.shape, np.bool_), datatype)


# --- machines -------------------------------------------------------------------------------------

FREE: Mapping[str, Sequence[Any]] = {
    "array.pe_rows": (1, 1, 2, 2, 3, 4, 4, 5, 6, 8),
    "array.token_columns": (1, 2, 2, 3, 4),
    "array.pe_latency_cycles": (0, 1, 3),
    "array.packing": (False, True),
    "array.datatype": ("fp16", "fp16", "int8", "int8", "int16", "int16", "bf16", "fp8", "int4"),
    "scheduler.policy": ("interleaved", "snake", "lpt", "set_associative", "set_associative"),
    "queue.depth_entries": (1, 1, 2, 3, 4),
    "queue.per_column": (False, True),
    "zero_skip.entries_per_cycle": (0, 1, 1, 2, 3),
    "matching.inputs_per_cycle": (1, 1, 2, 3, 7, 16),
    "output.words_per_cycle": (1, 2, 3, 7, 16, 64),
    "dram.bytes_per_cycle": (1, 7, 33, 64, 512, 512, 512, 512, 0.375, 36.571, 9.999),
    "dram.burst_bytes": (1, 2, 3, 8, 32, 64),
    "dram.first_latency_cycles": (0, 1, 2, 7, 30, 60),
    "dram.prefetch_across_layers": (False, True),
    "dram.resident": (False, False, True),
    "dram.row_bytes": (1, 7, 64, 2048),
}
"""What does not depend on anything else."""

LANES: Mapping[int, Sequence[tuple[int, ...]]] = {
    1: ((1,),),
    2: ((1,), (2,), (1, 2)),
    3: ((1,), (3,), (1, 3)),
    4: ((1,), (2,), (4,), (1, 2), (2, 4), (1, 2, 4)),
    6: ((1,), (2,), (3,), (6,), (3, 6), (1, 2, 6)),
    8: ((1,), (2,), (4,), (8,), (2,), (4,), (1, 2), (2, 4), (4, 8), (1, 2, 4, 8)),
    12: ((1, 3), (4,), (2, 4, 12)),
    16: ((8,), (2, 8), (1, 2, 4, 8), (16,)),
    32: ((1,), (2, 8), (1, 4)),
    64: ((1,), (1, 2), (8,)),
}
"""Lane groups by the lanes of a PE."""

FEW_LANES, MANY_LANES = (1, 2, 3, 4, 4, 6, 8, 8), (12, 16, 32, 64)

EFFICIENCIES = (
    ((64,), (800,)),
    ((1,), (1000,)),
    ((64, 256, 1024), (800, 900, 950)),
    ((8, 20, 100), (333, 501, 997)),
)


def drawn_settings(draw: Draw, some_lanes: Sequence[int]) -> dict[str, Any]:
    """A machine small enough that every queue, window and buffer is a bottleneck at times."""
    free = {key: draw.pick(*choices) for key, choices in FREE.items()}
    rows, lanes = free["array.pe_rows"], draw.pick(*some_lanes)
    groups = draw.pick(*LANES[lanes])
    select = draw.pick(1, 1, 2, 2, 2, 4, 4, 4, 8, 16) if free["array.packing"] else 1
    # Every number of groups divides the lanes, the words, and the most groups.
    words = lanes + max(groups) * draw.pick(0, 0, 1, 2, 4, 8)
    runs, permille = draw.pick(*EFFICIENCIES)
    word = draw.pick(2, 4, 5, 8, 8, 13, 16, 24, 40, 40, 72)
    settings = free | {
        "array.lanes": lanes,
        "array.lane_groups": groups,
        "array.lane_select": select,
        "array.accumulators_per_pe": words,
        "matching.window_inputs": lanes * select + draw.pick(0, 0, 1, 2, 5, 16, 100),
        "scheduler.sets": draw.pick(*(n for n in range(1, rows + 1) if rows % n == 0)),
        "decompressor.word_bytes": word,
        "dram.efficiency_run_bytes": runs,
        "dram.efficiency_permille": permille,
        "weight_buffer.banks": rows,
        "weight_buffer.port_bytes": word,
        "activation_buffer.banks": 16,
        "activation_buffer.port_bytes": 128,
    }
    machine = Machine().having(settings)
    fewest = max(n * (1 + -(-longest_entry(machine, n) // (8 * word))) for n in groups)
    return settings | {
        "decompressor.buffer_words": fewest + draw.pick(0, 0, 1, 2, 8, 32),
        # As many words of every PE row; most often enough for every matrix.
        "weight_buffer.bytes": rows * word * draw.pick(20, 32, 48, 80, 200, 400, *[10**5] * 6),
    }


def of_four_bits(
    matrices: tuple[MaskedMatrix, ...], activations: Activations
) -> tuple[tuple[MaskedMatrix, ...], Activations]:
    """The same, with whole numbers that four bits hold."""

    def clipped(values: NDArray[Any]) -> NDArray[Any]:
        return np.clip(values, -8, 7) if values.dtype == np.int8 else values

    weights = [None if m.weight is None else clipped(m.weight) for m in matrices]
    recorded = activations.recorded
    return (
        tuple(replace(m, weight=weight) for m, weight in zip(matrices, weights, strict=True)),
        replace(
            activations,
            recorded=recorded and {name: clipped(x) for name, x in recorded.items()},
        ),
    )


def drawn_workload(seed: int) -> Workload:
    """One to three matrices, one machine, one kind of activations."""
    draw = Draw(seed)
    settings = drawn_settings(draw, MANY_LANES if seed % 32 == 15 else FEW_LANES)
    shapes = [drawn_shape(draw)] * draw.pick(1, 1, 1, 1, 2)
    shapes += [drawn_shape(draw)] * draw.pick(0, 0, 0, 1)
    matrices = tuple(drawn_matrix(draw, f"m{i}", shape, settings) for i, shape in enumerate(shapes))
    tokens = (1, 1, 2, 2, 3, 4, 5)
    if seed % 32 == 31:  # More than 64 columns, on a small matrix.
        small = draw.pick(1, 3, 6), draw.pick(1, 4, 9)
        matrices = (drawn_matrix(draw, "m0", small, settings),)
        settings["array.token_columns"], tokens = draw.pick(64, 65, 70), (64, 65, 69, 130)
        settings["activation_buffer.port_bytes"] = 1024
    activations = drawn_activations(draw, matrices, tokens)
    if settings["array.datatype"] == "int4":
        matrices, activations = of_four_bits(matrices, activations)
    # An activation buffer for the first layer's inputs, outputs and some partial sums, or another.
    machine, (rows, cols) = Machine().having(settings), matrices[0].shape
    just = machine.operand_bytes * (rows + cols)
    just += machine.accumulator_bytes * int(draw.rng.integers(rows + 1))
    just = max(16, just * activations.tokens)
    settings["activation_buffer.bytes"] = draw.pick(16, 400, just - 1, just, just, 10**6, 10**6)
    return Workload(matrices, settings, activations)
