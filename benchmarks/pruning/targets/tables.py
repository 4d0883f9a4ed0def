"""Which sums of costs of single matrices are near the simulated model? Tables that were tried."""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.pruning.targets.costs import FAMILIES, worst
from benchmarks.pruning.targets.ready import Ready, model_of, ready
from benchmarks.pruning.targets.rows import keep

Plan = tuple[int, ...]
Costs = NDArray[np.float64]

PLANS, RIDGE, UNIFORM = 200, 3.0, 1.5
"""Random plans of the regression, its penalty, and the weight of uniform plans (chosen)."""


def tables(arguments: argparse.Namespace) -> None:
    """Each family on tf_mvp: the worst error of each table on uniform and on mixed plans."""
    text = arguments.data / "wikitext-2" / "valid.txt"
    for name in arguments.models:
        for family in FAMILIES:
            model = model_of(name, arguments.folder)
            with ready(model, text, "tf_mvp", [family], 0, 8, update="none") as r:
                for kind, (constant, costs) in tried(r).items():
                    found = worst(r, lambda plan, c=costs, k=constant: k + summed(c, plan))
                    row = {"model": name, "family": family, "table": kind, **found}
                    keep("tables", row, arguments.out)


def tried(r: Ready) -> dict[str, tuple[float, Costs]]:
    """A constant and the costs (matrices, levels) of each table."""
    count, levels = r.table.costs.shape
    first = r.table.costs.copy()
    own, more = np.zeros_like(first), np.zeros_like(first)
    for level in range(levels):
        rows = r.table.chosen((level,) * count)
        ends = [whole(r, rows[: i + 1]) for i in range(count)]
        own[:, level] = np.diff([0.0, *ends])
        first[0, level] = ends[0]
        for i in range(count):
            more[i, level] = whole(r, [*rows[: i + 1], *rows[i:]]) - ends[-1]
    return {
        "marginal": (0.0, r.table.costs),
        "first matrix alone": (0.0, first),
        "own time in a uniform run": (0.0, own),
        "one more in a uniform run": (0.0, more),
        "regression": fitted(r),
    }


def fitted(r: Ready) -> tuple[float, Costs]:
    """Marginal costs and a constant, corrected by ridge regression on simulated plans."""
    count, levels = r.table.costs.shape
    rng = np.random.default_rng(5)
    plans = [tuple(map(int, rng.integers(0, levels, count))) for _ in range(PLANS)]
    plans += [(level,) * count for level in range(levels)]
    wholes = np.array([r.table.whole(plan, r.system) for plan in plans])
    costs = r.table.costs.ravel()
    weights = np.r_[np.ones(PLANS), np.full(levels, UNIFORM * np.sqrt(PLANS / levels))]
    given = np.zeros((len(plans), count * levels))
    for row, plan in zip(given, plans, strict=True):
        row[np.arange(count) * levels + np.array(plan)] = 1
    shares = given * costs / wholes[:, None] * weights[:, None]
    left = (1 - given @ costs / wholes) * weights
    one = weights / wholes
    without = np.eye(len(plans)) - np.outer(one, one) / (one @ one)
    squares = (shares**2).sum(0)
    penalty = RIDGE * squares[squares > 0].mean()
    centred = without @ shares
    inner = centred @ centred.T + penalty * np.eye(len(plans))
    change = centred.T @ np.linalg.solve(inner, without @ left)
    constant = float(one @ (left - shares @ change) / (one @ one))
    return constant, (costs * (1 + change)).reshape(count, levels)


def whole(r: Ready, rows: Sequence[Any]) -> float:
    """Seconds of matrices one after the other, in the order in which they are given."""
    from accel_sim.dataflows.abstract.timeline import lay_out

    machine = r.system.machine
    segments = [product.given.segment for row in rows for product, _ in row.products]
    return lay_out(segments, machine)[-1].end / machine.clock.clock_hz


def summed(costs: Costs, plan: Plan) -> float:
    return float(costs[np.arange(len(plan)), plan].sum())
