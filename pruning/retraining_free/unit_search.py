"""Which units fit into a budget of FLOPs: one threshold on importance per FLOP over all of them.

Source: K-prune (Park et al. 2024), section 4.2 (KPMS): of the target sublayer and those above it;
the threshold is applied to the target alone, whose cost then leaves the budget.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pruning.retraining_free.sublayers import Kept


def units_within(
    importance: Sequence[NDArray[np.float64]], costs: Sequence[float], budget: float
) -> list[Kept]:
    """The units of largest importance per cost, up to the first that does not fit.

    importance: by sublayer, (units,). costs: of one unit of each sublayer. Of equals the first
    sublayer's first unit goes before the others, so a budget for all keeps all. One sort instead
    of the published scan over all thresholds.
    """
    counts = [len(values) for values in importance]
    cost = np.repeat(np.asarray(costs, np.float64), counts)
    worth = np.concatenate(importance) / cost if counts else np.empty(0)
    order = np.argsort(-worth, kind="stable")
    # Sums of a hundred thousand terms: the budget of the whole model must fit the whole model.
    fits = np.cumsum(cost[order]) <= budget * (1 + 1e-9)
    keep = np.zeros(len(worth), np.bool_)
    keep[order[: int(fits.sum())]] = True
    return np.split(keep, np.cumsum(counts)[:-1])
