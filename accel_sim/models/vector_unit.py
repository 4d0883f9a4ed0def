"""The vector unit: cycles, operations and bytes of what no product does.

docs/whole_models.md §3. Rows are given as an array of their lengths, because those of softmax
differ where a model is causal.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.machine_sections import Vector
from accel_sim.models.transformer import Activation, Norm
from sparse_formats.storage import bits_for


@dataclass(frozen=True)
class VectorWork:
    """cycles; operations of the lanes; numbers read from and written to the activation buffer."""

    cycles: int = 0
    operations: int = 0
    read: int = 0
    written: int = 0

    def __add__(self, other: "VectorWork") -> "VectorWork":
        return VectorWork(
            self.cycles + other.cycles,
            self.operations + other.operations,
            self.read + other.read,
            self.written + other.written,
        )

    def times(self, count: int) -> "VectorWork":
        """As often as that, one behind the other."""
        return VectorWork(*(count * value for value in vars(self).values()))


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of numbers. lengths: int64 (rows,) or, of `count` rows that are all alike, (1,)."""

    lengths: NDArray[np.int64]
    count: int

    @classmethod
    def alike(cls, count: int, length: int) -> "Rows":
        return cls(np.array([length], np.int64), count)

    @classmethod
    def of(cls, lengths: NDArray[Any]) -> "Rows":
        return cls(lengths.astype(np.int64), len(lengths))

    @property
    def numbers(self) -> int:
        return int(self.lengths.sum()) * (self.count if len(self.lengths) == 1 else 1)

    def groups(self, lanes: int) -> int:
        """Of up to `lanes` numbers, none across two rows."""
        found = int((-(-self.lengths // lanes)).sum())
        return found * (self.count if len(self.lengths) == 1 else 1)


def elementwise(numbers: int, unit: Vector, operands: int = 1) -> VectorWork:
    """One operation on each number; `operands`: how many it reads for each."""
    cycles = unit.latency_cycles + -(-numbers // unit.elements_per_cycle)
    return VectorWork(cycles, numbers, operands * numbers, numbers)


def reduction(rows: Rows, unit: Vector) -> VectorWork:
    """The sum or the maximum of each row."""
    cycles = rows.groups(unit.elements_per_cycle) + bits_for(unit.elements_per_cycle)
    return VectorWork(unit.latency_cycles + cycles, rows.numbers, rows.numbers, rows.count)


def exp(numbers: int, unit: Vector) -> VectorWork:
    return _function(numbers, unit.exp_cycles, unit.exp_operations, unit)


def divide(numbers: int, unit: Vector) -> VectorWork:
    return _function(numbers, unit.divide_cycles, unit.divide_operations, unit)


def root(numbers: int, unit: Vector) -> VectorWork:
    return _function(numbers, unit.root_cycles, unit.root_operations, unit)


def _function(numbers: int, cycles: int, operations: int, unit: Vector) -> VectorWork:
    return VectorWork(
        unit.latency_cycles + -(-numbers // unit.elements_per_cycle) * cycles,
        numbers * operations,
        numbers,
        numbers,
    )


def look_up(numbers: int, tables: int, is_added: bool, unit: Vector) -> VectorWork:
    """Embedding: `numbers` from each of some tables, added up.

    is_added: to what is there already; otherwise the first table is copied.
    """
    added = elementwise(numbers, unit, operands=2)
    if is_added:
        return added.times(tables)
    return elementwise(numbers, unit) + added.times(tables - 1)


def norm(kind: Norm, rows: Rows, unit: Vector) -> VectorWork:
    reductions = {"layer": 2, "rms": 1}[kind]
    scaled = elementwise(rows.numbers, unit).times(2)
    return reduction(rows, unit).times(reductions) + root(rows.count, unit) + scaled


def rope(numbers: int, unit: Vector) -> VectorWork:
    return elementwise(numbers, unit).times(3)


def residual(numbers: int, unit: Vector) -> VectorWork:
    return elementwise(numbers, unit, operands=2)


def _smooth(numbers: int, unit: Vector) -> VectorWork:
    """x·Φ(x) or x·σ(x), whose second factor comes out of the table that gives exp."""
    return exp(numbers, unit) + elementwise(numbers, unit)


def _relu(numbers: int, unit: Vector) -> VectorWork:
    return elementwise(numbers, unit)


_ACTIVATIONS: dict[Activation, Callable[[int, Vector], VectorWork]] = {
    "gelu": _smooth,
    "silu": _smooth,
    "relu": _relu,
}


def activation(kind: Activation, is_gated: bool, numbers: int, unit: Vector) -> VectorWork:
    found = _ACTIVATIONS[kind](numbers, unit)
    return found + elementwise(numbers, unit, operands=2) if is_gated else found


def softmax(rows: Rows, unit: Vector) -> VectorWork:
    numbers = rows.numbers
    return (
        reduction(rows, unit).times(2)
        + exp(numbers, unit)
        + divide(rows.count, unit)
        + elementwise(numbers, unit)
    )


def online_softmax(
    tiles: Sequence[Rows], outputs: int, width: int, unit: Vector
) -> list[VectorWork]:
    """Of each tile of keys of a score block, which has `outputs` rows of `width` numbers.

    tiles: of each, the rows that see some of it, and how much.
    """
    found = []
    for index, rows in enumerate(tiles):
        work = reduction(rows, unit).times(2) + exp(rows.numbers, unit)
        if index:
            work += exp(rows.count, unit) + elementwise(rows.count * width, unit).times(2)
        found.append(work)
    found[-1] += divide(outputs, unit) + elementwise(outputs * width, unit)
    return found
