"""Small workloads drawn at random: machines on which every part is a bottleneck at times."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_sim.dataflows.mixed_vector.dataflow import MixedVector
from accel_sim.inputs.activations import Activations, Layer
from accel_sim.inputs.datatypes import DATATYPES
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import MENU, VectorLayout
from tests.accel_sim.dataflows.mixed_vector.reference.product import operands
from tests.accel_sim.workloads import load_mixed_vector


@dataclass(frozen=True, repr=False)
class Workload:
    """One call of `simulate`; `settings`, by section and key, rebuild the machine."""

    matrices: tuple[MaskedMatrix, ...]
    settings: Mapping[str, Any]
    activations: Activations

    @property
    def machine(self) -> MixedVector:
        return with_settings(DEFAULT, self.settings)

    def inputs(self) -> list[NDArray[Any]]:
        """Each layer's operands, (tokens, inputs)."""
        return [
            layer_inputs(self.activations, Layer(index, matrix), self.machine.array.datatype)
            for index, matrix in enumerate(self.matrices)
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


DEFAULT = load_mixed_vector("tf_mvp")


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


# --- matrices -------------------------------------------------------------------------------------

SIZES = st.sampled_from((1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 16, 17, 19, 23, 24))
WIDE = st.sampled_from((64, 65, 97, 128, 129, 130, 193))
SHAPES = st.one_of(
    st.tuples(SIZES, SIZES),
    st.tuples(SIZES, SIZES),
    st.tuples(SIZES, SIZES),
    st.tuples(SIZES, SIZES),
    st.one_of(st.tuples(st.integers(1, 3), WIDE), st.tuples(WIDE, st.integers(1, 3))),
)
MENUS = (MENU, MENU, (1, 2, 4), (3, 6, 12), (5, 10))
"""Lengths that drawn layouts choose from; a maker of vectors need not keep to ours."""

KINDS = ("random", "random", "lines", "vectors", "vectors", "vectors", "zero", "one")


@st.composite
def matrices_of(draw: st.DrawFn, index: int, shape: tuple[int, int]) -> MaskedMatrix:
    """A mask of one of the kinds that the machine meets; its entries come from a drawn seed."""
    rows, cols = shape
    kind = draw(st.sampled_from(KINDS))
    density = draw(st.sampled_from((0.05, 0.2, 0.4, 0.7, 0.9)))
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
        keep[:, rng.integers(cols, size=1 + cols // 5)] = rng.random() < 0.5
    elif kind == "vectors":
        layout = drawn_layout(rng, shape, density)
        keep = layout.keep(shape)
    else:
        keep = rng.random(shape) < density
        keep[rng.random(rows) < rng.choice((0.0, 0.3))] = False
    weight = drawn_weight(rng, keep) if draw(st.booleans()) else None
    return MaskedMatrix(f"m{index}", keep, weight, "other", layout)


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


@st.composite
def activations_of(draw: st.DrawFn, matrices: Sequence[MaskedMatrix], datatype: str) -> Activations:
    """Drawn by the simulator, or recorded: floats, integers, or booleans."""
    tokens = draw(st.integers(1, 5))
    density = draw(pick(1.0, 0.9, 0.5, 0.5, 0.1, 0.0))
    seed = draw(st.integers(0, 1000))
    kind = draw(pick("drawn", "drawn", "float", "int", "bool"))
    if kind == "drawn":
        return Activations(tokens, density, seed)
    alike = draw(pick("none", "none", "all", "all but one"))
    rng = np.random.default_rng(seed)
    recorded: dict[str, NDArray[Any]] = {}
    for matrix in matrices:
        shape = (tokens, matrix.shape[1])
        stands = rng.random(shape) < density * rng.choice((1, 1, 0.3), (tokens, 1))
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
                x[seed % tokens] = own
        recorded[matrix.name] = x
    return Activations(tokens, seed=seed, recorded=recorded)


def layer_inputs(activations: Activations, layer: Layer, datatype: str) -> NDArray[Any]:
    """What the multiplier sees; what is recorded as a number, rounded here (§8)."""
    recorded = (activations.recorded or {}).get(layer.matrix.name)
    if recorded is None or recorded.dtype == np.bool_:
        return activations.operands(layer, DATATYPES[datatype])
    return operands(recorded, np.ones(recorded.shape, np.bool_), datatype)


# --- machines -------------------------------------------------------------------------------------

POLICIES = ("interleaved", "snake", "lpt", "set_associative", "online", "online")


def pick(*choices: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(choices)


EFFICIENCIES = (
    ((64,), (800,)),
    ((1,), (1000,)),
    ((64, 256, 1024), (800, 900, 950)),
    ((8, 20, 100), (333, 501, 997)),
)
SETTINGS = st.fixed_dictionaries(
    {
        "array.pe_rows": st.one_of(st.integers(1, 4), st.integers(1, 16)),
        "array.token_columns": st.integers(1, 5),
        "array.lanes": pick(1, 2, 3, 4, 5, 6, 7, 8, 12),
        "array.pe_latency_cycles": st.integers(0, 5),
        "array.packing": st.booleans(),
        "array.datatype": pick("fp16", "int8", "int16"),
        "scheduler.policy": pick(
            "interleaved", "snake", "lpt", "set_associative", "online", "online"
        ),
        "queue.depth_entries": st.integers(1, 8),
        "queue.per_column": st.booleans(),
        "decompressor.bytes_per_cycle": pick(1, 5, 16, 30, 60, 100, 576, 576),
        "decompressor.entries_per_cycle": pick(1, 2, 3, 5, 16, 16),
        "zero_skip.entries_per_cycle": st.integers(0, 4),
        "matching.inputs_per_cycle": pick(1, 1, 2, 3, 7, 16),
        "weight_buffer.bytes": st.one_of(
            st.integers(20, 300), st.integers(200, 2000), pick(2000, 5000, 10**6, 10**6)
        ),
        "output.words_per_cycle": pick(1, 2, 3, 7, 16, 64),
        "dram.bytes_per_cycle": pick(1, 2, 3, 7, 33, 64, 0.125, 1.5, 36.571, 9.999),
        "dram.burst_bytes": pick(1, 2, 3, 8, 32, 64),
        "dram.first_latency_cycles": pick(0, 1, 2, 7, 30, 60),
        "dram.prefetch_across_layers": st.booleans(),
        "dram.row_bytes": pick(1, 7, 64, 2048),
    }
)
"""What does not depend on anything else."""


@st.composite
def settings_of(draw: st.DrawFn) -> dict[str, Any]:
    """A machine small enough that every queue, window and buffer is a bottleneck at times."""
    free = draw(SETTINGS)
    rows, lanes = free["array.pe_rows"], free["array.lanes"]
    sets = draw(st.sampled_from([n for n in range(1, rows + 1) if rows % n == 0]))
    runs, permille = draw(st.sampled_from(EFFICIENCIES))
    return free | {
        "array.accumulators_per_pe": lanes + draw(pick(0, 0, 1, 3, 8, 17, 64)),
        "matching.window_inputs": lanes + draw(pick(0, 0, 1, 2, 5, 16, 100)),
        "scheduler.sets": sets,
        "dram.efficiency_run_bytes": runs,
        "dram.efficiency_permille": permille,
    }


BYTES = {"fp16": (2, 4), "int8": (1, 4), "int16": (2, 6)}
"""Of an operand and an accumulator."""


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    """One to three matrices, one machine, one kind of activations."""
    shapes = [draw(SHAPES)] * draw(pick(1, 1, 1, 1, 2))
    shapes += [draw(SHAPES)] * draw(pick(0, 0, 0, 1))
    matrices = tuple(draw(matrices_of(index, shape)) for index, shape in enumerate(shapes))
    machine = draw(settings_of())
    activations = draw(activations_of(matrices, machine["array.datatype"]))
    # An activation buffer for the first layer's inputs, outputs and some partial sums, or another.
    rows, cols = matrices[0].shape
    operand, accumulator = BYTES[machine["array.datatype"]]
    just = operand * (rows + cols) + accumulator * draw(st.integers(0, rows))
    just = max(2, just * activations.tokens)
    machine["activation_buffer.bytes"] = draw(pick(1, 400, just - 1, just, just, 10**6))
    return Workload(matrices, machine, activations)
