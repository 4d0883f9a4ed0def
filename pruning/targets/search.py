"""The outer search: how much the error of each matrix matters, with the calibration loss as judge.

That loss is how far the outputs are from those of the unpruned model (`judge`). Errors of outputs
of single matrices do not say what they do to the model behind them. So each has a coefficient. The
search begins with the number of weights of each matrix, tries what each matrix does alone, then
draws around the best found so far, in a neighbourhood that shrinks.

Source: SPDY (Frantar & Alistarh, ICML 2022), section 3.3, which draws coefficients at random, then
changes a tenth of the best ones; to begin with single matrices is this project's own.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pruning.targets.table import Plan, Table
from sparse_formats.terminal.progress import Tell

Coefficients = NDArray[np.float64]
Loss = Callable[[Plan], float]

SHARE = 0.1, 0.5
"""Share of the coefficients that a draw changes: at the end and at first (chosen)."""

WIDTH = 0.3, 2.0
"""Standard deviation of the logarithm of a change: at the end and at first (chosen)."""


@dataclass(frozen=True)
class Found:
    """loss: of the plan by these coefficients; judged: plans that were judged in all.

    first: the loss with those that it began with.
    """

    coefficients: Coefficients
    loss: float
    first: float
    judged: int


def search(
    table: Table,
    solve: Callable[[Coefficients], Plan | None],
    loss_of: Loss,
    draws: int,
    seed: int,
    tell: Tell = lambda step: None,
) -> Found:
    """The coefficients whose plan has the least loss; without draws those that it begins with.

    solve: coefficients → the plan of least error within the budget.
    """
    known: dict[Plan, float] = {}

    def of_plan(plan: Plan) -> float:
        if plan not in known:
            known[plan] = loss_of(plan)
        return known[plan]

    def judged(coefficients: Coefficients) -> float:
        plan = solve(coefficients)
        return float("inf") if plan is None else of_plan(plan)

    best = table.weights
    least = first = judged(best)
    if draws:
        tell("outer search: each matrix alone")
        alone = sensitivities(table, solve(best) or table.cheapest, of_plan)
        for tried in (np.ones(len(best)), alone, np.sqrt(alone), np.sqrt(alone * best)):
            if (loss := judged(tried)) < least:
                best, least = tried, loss
    rng = np.random.default_rng(seed)
    for number in range(draws):
        tell(f"outer search: draw {number + 1} of {draws}, loss {least:.4f}")
        tried = best * neighbour(rng, len(best), 1 - number / draws)
        if (loss := judged(tried)) < least:
            best, least = tried, loss
    return Found(best, least, first, len(known))


def sensitivities(table: Table, plan: Plan, loss_of: Loss) -> Coefficients:
    """How much the loss rises by the error of each matrix alone, as in `plan`; their mean is 1."""
    dense = loss_of(table.dense)
    found = np.ones(len(plan))
    for i, number in enumerate(plan):
        rows = table.rows[i]
        if number == 0:  # no error at all: the middle one of its levels
            number = len(rows) // 2
        if (error := rows[number].error) > 0:
            one = (*table.dense[:i], number, *table.dense[i + 1 :])
            found[i] = (loss_of(one) - dense) / error
    # A matrix that seems to do no harm is as good as the least harmful ones, not worthless.
    return np.maximum(found, max(float(np.quantile(found, 0.1)), 1e-3)) / max(found.mean(), 1e-3)


def neighbour(rng: np.random.Generator, count: int, left: float) -> Coefficients:
    """Factors of `count` coefficients, most of them 1; left: of the search, from 1 to 0."""
    share, width = (end + (start - end) * left for end, start in (SHARE, WIDTH))
    changed = rng.random(count) < max(share, 1 / count)
    return np.where(changed, np.exp(width * rng.standard_normal(count)), 1.0)
