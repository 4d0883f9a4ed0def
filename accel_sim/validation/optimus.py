"""Balance and utilisation of scalar PEs: CSC interleaved, RCSC, SA-RCSC, over random masks.

768 × 768, a fifth kept, 256 PE rows (accelerators of one MAC each). Two kinds of mask: uniformly
random, and rows whose densities are log-normal (σ = 0.5, mean 0.2, cut at 1).
"""

from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.rcsc import Count, Policy, RcscArray, pass_counts, schedule
from accel_sim.validation.agreement import Agreement

MASKS = 100
SIDE = 768
DENSITY = 0.2
PE_ROWS = 256
WINDOWS = (2, 16, 128)
Kind = Literal["random", "skewed"]


@dataclass(frozen=True)
class Scheme:
    """A way to hand entries to PEs; sets as in `Rcsc`."""

    name: str
    policy: Policy
    sets: int


CSC = Scheme("CSC interleaved", "interleaved", PE_ROWS)
RCSC = Scheme("RCSC", "snake", PE_ROWS)
SA64, SA16, SA8 = (
    Scheme(f"SA-RCSC, {sets} sets of {PE_ROWS // sets}", "set_associative", sets)
    for sets in (64, 16, 8)
)
SCHEMES = (CSC, RCSC, SA64, SA16, SA8)


def mask(kind: Kind, seed: int) -> NDArray[np.bool_]:
    """One of the masks of the experiment."""
    rng = np.random.default_rng(seed)
    density: NDArray[np.float64] | float = DENSITY
    if kind == "skewed":
        normal = rng.standard_normal((SIDE, 1))
        density = np.minimum(DENSITY * np.exp(0.5 * normal - 0.125), 1.0)
    return rng.random((SIDE, SIDE)) < density


@cache
def means(kind: Kind) -> dict[tuple[Scheme, int], float]:
    """Mean over the masks, for each scheme and window, of entries per PE row and cycle.

    Window 0: of mean load over greatest load, which a window without end would reach.
    """
    sums = {(scheme, window): 0.0 for scheme in SCHEMES for window in (0, *WINDOWS)}
    for seed in range(MASKS):
        keep = mask(kind, seed)
        for scheme in SCHEMES:
            entries = schedule(keep, RcscArray(PE_ROWS, 1, scheme.policy, scheme.sets))
            sums[scheme, 0] += float(entries.loads.mean() / entries.loads.max())
            for window in WINDOWS:
                counts = pass_counts(entries, window)
                sums[scheme, window] += counts[Count.BUSY] / (PE_ROWS * counts[Count.CYCLES])
    return {key: value / MASKS for key, value in sums.items()}


def mean(kind: Kind, scheme: Scheme, window: int) -> float:
    """One of `means`."""
    return means(kind)[scheme, window]


def gain(kind: Kind, better: Scheme, worse: Scheme, window: int) -> float:
    """How much `better` has more than `worse`."""
    return mean(kind, better, window) - mean(kind, worse, window)


def _told(kind: Kind, scheme: str, window: int) -> str:
    return (
        f"{kind} masks, window {window}: utilisation of {scheme}"
        if window
        else f"{kind} masks: balance of {scheme}"
    )


# Balance alone, utilisation at a window of 2, of 16; one random mask of an earlier program of ours.
_ONE_MASK: dict[Kind, dict[Scheme, dict[int, float]]] = {
    "random": {
        CSC: {0: 0.88, 2: 0.37, 16: 0.79},
        RCSC: {0: 0.96, 2: 0.37, 16: 0.80},
        SA64: {0: 0.99, 2: 0.58, 16: 0.96},
        SA16: {0: 0.996, 2: 0.75, 16: 0.996},
        SA8: {0: 0.998, 2: 0.81, 16: 0.998},
    },
    "skewed": {
        CSC: {0: 0.43, 16: 0.43},
        RCSC: {0: 0.49, 16: 0.49},
        SA64: {0: 0.81, 16: 0.81},
        SA16: {0: 0.95, 16: 0.95},
        SA8: {0: 0.97, 16: 0.97},
    },
}
_ORDER = ((RCSC, CSC), (SA64, RCSC), (SA16, SA64), (SA8, SA16))
_KINDS: tuple[Kind, ...] = ("random", "skewed")
_RELATION = (
    "OPTIMUS (MLSys 2020) and RCSC (TCAD 39(9) 2020), abstracts: better balanced in this order"
)

AGREEMENTS = (
    *(
        Agreement(
            "optimus",
            f"{_told(kind, better.name, window)} − {worse.name}",
            0,
            "inferred",
            _RELATION,
            partial(gain, kind, better, worse, window),
            tolerance=0,
            relation="at least",
            note=f"mean of {MASKS} masks",
        )
        for window in (0, 128)
        for kind in _KINDS
        for better, worse in _ORDER
    ),
    Agreement(
        "optimus",
        _told("random", SA8.name, 128),
        1,
        "inferred",
        "OPTIMUS (MLSys 2020), abstract: high utilisation with many MACs",
        partial(mean, "random", SA8, 128),
        tolerance=0.01,
        note=f"mean of {MASKS} masks; 1 is the limit of many PEs a set",
    ),
    *(
        Agreement(
            "optimus",
            _told(kind, scheme.name, window),
            figure,
            "computed",
            "an earlier, unpublished program of ours with one mask",
            partial(mean, kind, scheme, window),
            note=f"mean of {MASKS} masks",
        )
        for kind, schemes in _ONE_MASK.items()
        for scheme, figures in schemes.items()
        for window, figure in figures.items()
    ),
)
