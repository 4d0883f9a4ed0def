"""From a target to a plan that meets it: what the table does not know is found by simulation."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pruning.targets.machine import System
from pruning.targets.table import Plan, Table

CLOSE = 0.98
"""The share of the target that a result must reach."""

ROUNDS = 12
"""Simulations of the whole model until its gap to the table is known (chosen)."""

TRIALS = 200
"""Simulations in which single matrices take what the plan has left over (chosen)."""


@dataclass(frozen=True)
class Closed:
    """A plan that meets a target.

    whole: what it takes, simulated. beyond: how much of that the table's costs do not add up to.
    rounds: simulations of the whole model.
    """

    plan: Plan
    whole: float
    beyond: float
    rounds: int


def close(
    table: Table, system: System, coefficients: NDArray[np.float64], target: float
) -> Closed | None:
    """The plan of least error among those seen that take at most `target`; None if none does.

    The budget of the dynamic program is the target less what a simulated plan took beyond its
    costs in the table: attention and vector unit, first loads, and what neighbours cost each other.
    """
    found, rounds = _by_budget(table, system, coefficients, target)
    if found is None:
        return None
    return _filled(table, system, coefficients, target, found, rounds)


def _by_budget(
    table: Table, system: System, coefficients: NDArray[np.float64], target: float
) -> tuple[Plan | None, int]:
    whole_of = _remembered(lambda plan: table.whole(plan, system))
    best: Plan | None = None
    beyond = whole_of(table.cheapest) - table.cost(table.cheapest)
    over: list[float] = []
    seen: set[Plan] = set()
    for number in range(ROUNDS):
        plan = table.best(coefficients, target - beyond)
        if plan is None:
            plan = table.cheapest
        whole = whole_of(plan)
        if whole <= target and (
            best is None or table.error(plan, coefficients) < table.error(best, coefficients)
        ):
            best = plan
        if plan in seen and whole <= target:
            return best, number + 1
        seen.add(plan)
        beyond = whole - table.cost(plan)
        if whole > target:
            over.append(beyond)
        if over and (whole > target or len(over) > 2):
            beyond = max(beyond, *over)
    return best, ROUNDS


def _filled(
    table: Table,
    system: System,
    coefficients: NDArray[np.float64],
    target: float,
    plan: Plan,
    rounds: int,
) -> Closed:
    """The plan after single matrices took what is left of the target, most error saved first."""
    whole, left = table.whole(plan, system), TRIALS
    while left > 0:
        moves = sorted(_moves(table, coefficients, plan, 2 * (target - whole)))
        for _, better in moves[:left]:
            left -= 1
            taken = table.whole(better, system)
            if taken <= target:
                plan, whole = better, taken
                break
        else:
            break
    return Closed(plan, whole, whole - table.cost(plan), rounds + TRIALS - left)


def _moves(
    table: Table, coefficients: NDArray[np.float64], plan: Plan, room: float
) -> list[tuple[float, Plan]]:
    """Plans that differ in one matrix, save error, and may have room; the change of the error."""
    found = []
    for i, (rows, own) in enumerate(zip(table.rows, plan, strict=True)):
        for number, row in enumerate(rows):
            saved = coefficients[i] * (rows[own].error - row.error)
            if saved > 0 and row.cost - rows[own].cost <= room:
                found.append((-saved, (*plan[:i], number, *plan[i + 1 :])))
    return found


def reachable(table: Table, system: System) -> tuple[float, float]:
    """The least and the most that a plan of these levels takes, simulated."""
    ends = [table.whole(plan, system) for plan in (table.cheapest, table.dense)]
    return min(ends), max(ends)


def _remembered(function: Callable[[Plan], float]) -> Callable[[Plan], float]:
    known: dict[Plan, float] = {}

    def remembered(plan: Plan) -> float:
        if plan not in known:
            known[plan] = function(plan)
        return known[plan]

    return remembered
