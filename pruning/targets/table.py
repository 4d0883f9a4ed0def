"""The table of costs and errors: what each matrix takes and loses at each of its levels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.pattern import Target
from pruning.scoring import ScoredMatrix
from pruning.statistics.matrix_statistics import Statistics
from pruning.targets.dynamic_program import least_error
from pruning.targets.errors import OutputError, Stored
from pruning.targets.levels import Level, masks_at
from pruning.targets.machine import Product, System
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix import MaskedMatrix

Plan = tuple[int, ...]
"""The number of a row in each matrix's table: what it becomes."""


@dataclass(frozen=True, eq=False)
class Row:
    """A matrix at one level. cost: seconds or joules at the margin; error: of its outputs."""

    level: Level
    density: float
    cost: float
    error: float
    products: Sequence[tuple[Product, float]]
    stored: Stored


@dataclass(frozen=True, eq=False)
class Table:
    """The rows of each matrix, all of it first, and the same as arrays with inf where none is.

    costs, errors: float64 (matrices, levels).
    """

    names: tuple[str, ...]
    rows: tuple[tuple[Row, ...], ...]
    costs: NDArray[np.float64]
    errors: NDArray[np.float64]

    @classmethod
    def of(cls, names: Sequence[str], rows: Sequence[Sequence[Row]]) -> "Table":
        most = max(len(some) for some in rows)
        costs, errors = (np.full((len(rows), most), np.inf) for _ in range(2))
        for i, some in enumerate(rows):
            costs[i, : len(some)] = [row.cost for row in some]
            errors[i, : len(some)] = [row.error for row in some]
        return cls(tuple(names), tuple(map(tuple, rows)), costs, errors)

    @property
    def weights(self) -> NDArray[np.float64]:
        """How many weights each matrix has, their mean 1."""
        sizes = np.array([np.prod(rows[0].stored.shape) for rows in self.rows], np.float64)
        return sizes / sizes.mean()

    def chosen(self, plan: Plan) -> list[Row]:
        """The row of each matrix."""
        return [rows[i] for rows, i in zip(self.rows, plan, strict=True)]

    def cost(self, plan: Plan) -> float:
        """The sum of the costs of the rows."""
        return sum(row.cost for row in self.chosen(plan))

    def error(self, plan: Plan, coefficients: NDArray[np.float64]) -> float:
        """The sum of the errors of the rows, each times the coefficient of its matrix."""
        return float(sum(c * r.error for c, r in zip(coefficients, self.chosen(plan), strict=True)))

    def whole(self, plan: Plan, system: System) -> float:
        """What all matrices together take, simulated."""
        return system.whole([row.products for row in self.chosen(plan)])

    def best(self, coefficients: NDArray[np.float64], budget: float) -> Plan | None:
        """The plan of least error whose costs sum up to no more than `budget`."""
        weighted = np.where(np.isfinite(self.errors), self.errors, 0) * coefficients[:, None]
        found = least_error(weighted, self.costs, budget)
        return None if found is None else tuple(int(i) for i in found)

    @property
    def cheapest(self) -> Plan:
        """The row of least cost of each matrix."""
        return tuple(int(i) for i in self.costs.argmin(1))

    @property
    def dense(self) -> Plan:
        """All of each matrix."""
        return (0,) * len(self.rows)


def rows_of(
    matrix: ScoredMatrix,
    known: Statistics,
    levels: Sequence[Level],
    system: System,
    is_updated: bool,
) -> list[Row]:
    """What one matrix can become on this machine.

    Raises:
        InputError: it does not fit the machine at any level.
    """
    assert known.gram is not None
    errors = OutputError(known.weight, known.gram, is_updated)
    found: list[Row] = []
    refused: InputError | None = None
    for number, pruned in masks_at(levels, Target(matrix.name, matrix.kind, matrix.scores)):
        keep = pruned.keep
        masked = MaskedMatrix(matrix.name, keep, None, matrix.kind, pruned.layout, pruned.slots)
        try:
            products = system.products(masked)
        except InputError as error:
            refused = error
            continue
        error, rebuilt = errors.of(keep)
        cost = max(system.marginal(products), 0.0)
        stored = Stored.of(rebuilt, keep)
        found.append(Row(levels[number], float(keep.mean()), cost, error, products, stored))
    if not found:
        raise refused or InputError(f"matrix {matrix.name} has no level")
    return found


def as_data(row: Row) -> dict[str, Any]:
    """A row as JSON-able data."""
    groups = {product.lane_groups for product, _ in row.products}
    return {
        "pattern": row.level.name,
        "density": row.density,
        "cost": row.cost,
        "output_error": row.error,
        "lane_groups": max(groups, default=0),
    }
